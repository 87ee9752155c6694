/* What `mandrill up` tells at its end. Pure. */
#ifndef MANDRILL_SUMMARY_H
#define MANDRILL_SUMMARY_H

#include "cli/tally.h"
#include <stdio.h>

typedef struct {
    counts_t counts;
    uint64_t leftover;    /* there already when the run began */
    uint64_t backlog;     /* not finished: stays */
    uint64_t unpublished; /* of a load that was cut short */
    /* What became of those that were at work when it was told to stop. */
    bool stopped;
    uint64_t at_work, finished, released, left;
    double seconds;
    const char *data_dir;
} summary_t;

/* Lines for people, the first one for scripts too:
 * "1000 published, 1000 saved, 1000 restarted, 1000 acked, 0 dead". */
void summary_write(const summary_t *s, FILE *out);

#endif

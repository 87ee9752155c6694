/* What a run has done, from what its publishers said: each life of a publisher counts from 0, so the lives
 * are added up. Pure. */
#ifndef MANDRILL_TALLY_H
#define MANDRILL_TALLY_H

#include <stdbool.h>
#include <stdint.h>

/* Counts of one life, or sums of several. */
typedef struct {
    uint64_t published, acked, dead, saved, restarted;
} counts_t;

typedef struct {
    counts_t before;   /* lives that have ended */
    counts_t now;      /* the present one */
    uint64_t backlog;  /* not done and not dead, as last heard */
    uint64_t leftover; /* the backlog that the run began with */
    bool begun;        /* the above is known */
} tally_t;

void tally_init(tally_t *t);
/* What the present publisher says. */
void tally_heard(tally_t *t, const counts_t *now, uint64_t backlog);
/* It is gone. What it did after it was last heard is missing. */
void tally_publisher_gone(tally_t *t);
/* The load has ended, and this many were published by it: now the sums are known from what is left, and what
 * was missing is made good. */
void tally_settle(tally_t *t, uint64_t published);
counts_t tally_sum(const tally_t *t);

#endif

/* The parts of a pipeline: which program each is, and with which words it is started. */
#ifndef MANDRILL_PARTS_H
#define MANDRILL_PARTS_H

#include "cli/args.h"
#include <stdint.h>

typedef enum { PART_PUBLISHER, PART_CONSUMER, PART_SAVE, PART_RESTART, PARTS } part_t;
enum { CONSUMERS_MAX = 8, WORKERS_MAX = 48 /* of a leg */ };

/* The publisher drains for so much longer than the consumers: it is there to take what they give back at the
 * end of their time. */
enum { PUBLISHER_STAYS_MS = 2000 };

typedef struct {
    const char *data_dir; /* outbox.db, saved.db */
    const char *run_dir;  /* announce files, and sockets of ipc */
    bool ipc;             /* else tcp on the loopback */
    bool default_ports;   /* of tcp; else any free ones */
    bool restart_crashed;
    bool postgres;          /* save workers are save-postgres, and have its options in their environment */
    uint32_t counts[PARTS]; /* of PART_PUBLISHER always 1 */
    int64_t drain_ms;       /* what consumers and workers are given to drain */
    args_t more[PARTS];     /* further words for each part; the caller's */
} pipeline_settings_t;

const char *part_name(part_t part);    /* "save" */
const char *part_program(part_t part); /* "mandrill-worker" */
/* The program and what it is told in any case, `more` among it. 0 or -errno. */
int part_add_words(args_t *args, const pipeline_settings_t *s, part_t part);
/* What the `number`-th of a part (from 1) binds. */
void part_add_endpoints(args_t *args, const pipeline_settings_t *s, part_t part, uint32_t number);
/* Lets every program check its words (-n), so that a wrong one is told before anything starts. The exit
 * status for a command; what is wrong was told by the program. */
int parts_check(const pipeline_settings_t *s);

#endif

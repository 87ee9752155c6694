/* The sections of tests/bench/growth.c. Each prints its heading and its tables. */
#ifndef MANDRILL_BENCH_GROWTH_H
#define MANDRILL_BENCH_GROWTH_H

#include <stdint.h>

typedef struct {
    unsigned runs;
    uint64_t count;          /* messages of each measured stretch */
    uint64_t backlog_max;    /* the longest backlog */
    uint64_t leases;         /* held by the test peer */
    unsigned ack_deadline_s; /* of these */
    unsigned take_s;         /* they are taken, and run out, over so long */
} growth_t;

void growth_backlog(const growth_t *g);
void growth_workers(const growth_t *g);
void growth_consumers(const growth_t *g);
void growth_bodies(const growth_t *g);
void growth_leases(const growth_t *g);
void growth_restart(const growth_t *g);

/* "goal: ... : met" or "missed", for a reader; the exit code does not hang on it. */
void growth_goal(const char *goal, int met);

#endif

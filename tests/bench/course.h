/* A pipeline of the shipped programs under full load, measured between two moments of it: not its start, and
 * not its end.
 *
 * The load has no end: what is measured is a number of acks, and whatever is under way then is given up. Only
 * an outbox that is to serve again is left in order. */
#ifndef MANDRILL_BENCH_COURSE_H
#define MANDRILL_BENCH_COURSE_H

#include "tests/bench/measure.h"

enum { COURSE_MANY = 8, COURSE_PROGRAMS_MAX = 3 * COURSE_MANY + 1 };

typedef enum {
    ROLE_OF_PUBLISHER,
    ROLE_OF_CONSUMER,
    ROLE_OF_SAVE,
    ROLE_OF_RESTART,
    COURSE_ROLES
} course_role_t;

typedef struct {
    unsigned publishers, consumers, restarts; /* processes */
    unsigned crowd;                           /* sessions of one test peer in place of the restart workers */
    unsigned size_bytes;
    double rate;             /* of each load; 0: as fast as it goes */
    const char *outbox;      /* one that holds messages already, of the only publisher; NULL: a new one */
    const char *simulate;    /* how long a restart takes; NULL: no time */
    unsigned slots;          /* in all restart workers together; 0: their own */
    unsigned save_batch;     /* 0: its own */
    uint64_t warm_up, count; /* acks before it is measured, and while it is */
} course_t;

typedef struct {
    double rate;                      /* acks a second */
    double published;                 /* messages stored a second */
    double cpu_us[COURSE_ROLES];      /* a message; of the crowd nothing */
    double peak_mb[COURSE_ROLES];     /* of the largest process of the role */
    double now_mb[COURSE_ROLES];      /* of all processes of the role, at the end */
    int64_t backlog_min, backlog_max; /* rows in all outboxes, as seen now and then */
} course_result_t;

void course_run(const course_t *c, course_result_t *ret);

/* Makes an outbox, or adds to it, until it has `count` messages that have never been out: by a publisher that
 * has no consumer. */
void course_fill(const char *outbox, uint64_t count, unsigned size_bytes);

#endif

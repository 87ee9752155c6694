/* When a crashed child is started again, and when that has to end. Pure. */
#ifndef MANDRILL_RESTARTS_H
#define MANDRILL_RESTARTS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RESTARTS_MAX = 20, /* in RESTARTS_WINDOW_MS, of all children together */
    RESTARTS_WINDOW_MS = 60000,
    /* A child that lived so long before it crashed is not in a crash loop: its waits begin anew. */
    RESTARTS_SOUND_MS = 10000,
};

typedef struct {
    int64_t at_ms[RESTARTS_MAX]; /* the last ones, a ring */
    uint32_t next;
    uint32_t count;
} restarts_t;

void restarts_init(restarts_t *r);
/* Counts a restart; false when there were too many already: give up. */
bool restarts_allow(restarts_t *r, int64_t now_ms);
/* The wait before the n-th restart in a row (from 1): 100 ms, doubled each time, 2 s at most (a child that
 * crashes at once is given up within a minute). No jitter: nobody else waits for the same thing. */
int64_t restarts_wait_ms(uint32_t n);

#endif

/* A consumer that takes messages and does nothing with them: it never acks, extends or gives back. Several
 * sessions, each over a connection of its own, since a window is 65,536 at most. The sessions are those of
 * the shipped programs (runtime/dialer.h); driven by taker_until(). */
#ifndef MANDRILL_BENCH_TAKER_H
#define MANDRILL_BENCH_TAKER_H

#include "common/core/proto.h"
#include <stdbool.h>

typedef struct taker taker_t;

typedef struct {
    void *arg;
    void (*given)(void *arg, const delivery_record_t *d, int64_t now_us);
    /* Each turn of taker_until(); may open windows. In how many ms it wants the next one. May be NULL. */
    int64_t (*tick)(void *arg, taker_t *t, int64_t now_us);
} taker_events_t;

/* With sessions of one window; the events are copied. */
void taker_open(taker_t **ret, const char *endpoint, unsigned sessions, uint32_t window,
                const taker_events_t *events);
/* Gone without a word. */
void taker_close(taker_t **ref);
/* Of one session, from now on. */
void taker_window(taker_t *t, unsigned session, uint32_t window);
/* Goes on until `done` says so or the time (measure_now_us) has come; false for the time. */
bool taker_until(taker_t *t, bool (*done)(void *arg), int64_t until_us);
unsigned taker_up(const taker_t *t); /* sessions */

#endif

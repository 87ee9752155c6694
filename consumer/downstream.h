/* The consumer's workers: sessions with them, the tasks they are given, the results that come back.
 *
 * Each turn: downstream_receive() puts results and notes into the gather; downstream_flush() gives out what
 * waits: it first decides how much each worker gets, then fills each worker's frames one after the other; and
 * tells those who have asked for a grant. */
#ifndef MANDRILL_CONSUMER_DOWNSTREAM_H
#define MANDRILL_CONSUMER_DOWNSTREAM_H

#include "common/runtime/server.h"
#include "consumer/legs.h"

typedef struct {
    gather_t *gather;
    roster_t *roster;
    legs_t *legs;
    loop_t *loop;
    const char *endpoint;
    uint32_t batch; /* tasks of a frame */
} downstream_options_t;

typedef struct downstream downstream_t;

/* 0 or -errno with `why` (WHY_BYTES). */
int downstream_open(downstream_t **ret, const downstream_options_t *o, char *why);
/* BYE to the workers: what they have done is taken, what they run goes back to the publishers. No more tasks
 * are given. */
void downstream_bye(downstream_t *d, int linger_ms);
void downstream_close(downstream_t **d, int linger_ms);
void downstream_receive(downstream_t *d);
void downstream_tick(downstream_t *d);
void downstream_flush(downstream_t *d);
int64_t downstream_next_ms(const downstream_t *d);
const char *downstream_endpoint(const downstream_t *d);
/* Who works, for status: walks the workers, from UINT32_MAX to UINT32_MAX. */
typedef struct {
    uint32_t leg;
    const char *label; /* escaped */
    uint32_t window, outstanding;
    uint64_t given; /* tasks, since it joined */
} downstream_worker_t;
uint32_t downstream_next_worker(const downstream_t *d, uint32_t after, downstream_worker_t *ret);
void downstream_counts(const downstream_t *d, server_counts_t *ret);

#endif

/* The roster of a consumer's workers: who serves which leg with which kind, and how much credit each has
 * left. Pure.
 *
 * The next task of a leg goes to its least loaded worker (outstanding / window), so a slow worker gets less
 * and an added one fills up at once. Worker numbers are the caller's (0..ROSTER_MAX-1); legs are the
 * consumer's. */
#ifndef MANDRILL_ROSTER_H
#define MANDRILL_ROSTER_H

#include "common/core/message.h"
#include <stdbool.h>
#include <stdint.h>

enum { ROSTER_MAX = 4096 };
#define ROSTER_NONE UINT32_MAX

typedef struct roster roster_t;

roster_t *roster_new(void);
void roster_destroy(roster_t **r);
/* 0, -EEXIST when the leg is served by another kind (the caller answers ERROR KIND), -ENOSPC. */
int roster_join(roster_t *r, uint32_t worker, uint32_t leg, const char *kind, uint32_t window);
void roster_leave(roster_t *r, uint32_t worker);
bool roster_has(const roster_t *r, uint32_t worker);
void roster_window(roster_t *r, uint32_t worker, uint32_t window);
/* Not picked while on hold: nothing can be sent to it for the moment. Its window still counts. */
void roster_hold(roster_t *r, uint32_t worker, bool hold);
uint32_t roster_pick(const roster_t *r, uint32_t leg); /* ROSTER_NONE: nobody has credit */
void roster_gave(roster_t *r, uint32_t worker, uint32_t n);
/* It has so many tasks from before it joined, be it more than its window. */
void roster_had(roster_t *r, uint32_t worker, uint32_t n);
void roster_freed(roster_t *r, uint32_t worker, uint32_t n);
uint32_t roster_leg(const roster_t *r, uint32_t worker);
uint32_t roster_outstanding(const roster_t *r, uint32_t worker);
uint32_t roster_credit(const roster_t *r, uint32_t worker);
uint32_t roster_workers(const roster_t *r, uint32_t leg);
uint64_t roster_capacity(const roster_t *r, uint32_t leg); /* sum of windows */
uint64_t roster_leg_outstanding(const roster_t *r, uint32_t leg);
const char *roster_kind(const roster_t *r, uint32_t leg); /* NULL: no worker */
/* The consumer's own window for its publishers: what the scarcest of `legs` (bits) can take plus a batch, 0
 * when one has no worker or none that takes anything, never above max. */
uint32_t roster_consumer_window(const roster_t *r, uint8_t legs, uint32_t batch, uint32_t max);

#endif

/* What a round adds to the histories of messages (core/history.h): the tries that steps tell of, and how
 * leases ended. A part of round.c; everything is 0 or -errno. */
#ifndef MANDRILL_ROUND_EVENTS_H
#define MANDRILL_ROUND_EVENTS_H

#include "publisher/round.h"

/* Keeps what the step tells until the round is over. */
void round_events_keep(round_t *r, round_step_t *step, const step_t *s);
/* Among the steps first..end-1, whose codes are known, there are some that add to a history. */
bool round_events_any(const round_t *r, uint32_t first, uint32_t end);
/* Writes what they add. Before the changes: a dead letter takes it along. */
int round_events_write(round_t *r, uint32_t first, uint32_t end);
/* Writes how the lease ended that ends with the i-th change. */
int round_events_lease(round_t *r, size_t i, const delivery_change_t *c);

#endif

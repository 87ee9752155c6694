/* The history of a message: its events (proto.h), one behind the other as event_write() has them, the oldest
 * first. Pure.
 *
 * It never grows beyond HISTORY_BYTES_MAX: what is too much goes at the old end, and one HOW_OMITTED event at
 * the front tells how many have gone and since when. Errors: -EPROTO when given bytes are not events;
 * -ENOMEM. The history is as it was then. */
#ifndef MANDRILL_HISTORY_H
#define MANDRILL_HISTORY_H

#include "common/core/proto.h"

/* Adds events to those in `history`; how many, since one that is there byte for byte already is not kept
 * twice: a step may be said again. */
int history_add(buffer_t *history, const void *events, size_t len);
/* Raises `tries`, by bit, to the highest number of a try that has failed and may be repeated. */
void history_tries(const void *events, size_t len, uint8_t tries[static LEGS_MAX]);

enum { REASON_BYTES_MAX = TEXT_BYTES_MAX };
/* Why the message has died, as one text (its length; `ret` has room for REASON_BYTES_MAX): "permanent: TEXT",
 * "unknown: TEXT", or "tries exhausted: TEXT" after the last try of a leg in `bad`; with `exhausted`
 * "deliveries: N leases lost: TEXT" after the last event that has a text. */
size_t history_reason(const void *events, size_t len, uint8_t bad, bool exhausted, uint32_t deliveries,
                      char *ret);

#endif

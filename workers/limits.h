/* When the time of which task is over. Deadlines mostly come in order, since the limit of a leg stays the
 * same: such a one is appended to a list, O(1), and only one that is earlier than the last goes into a heap.
 * Pure.
 */
#ifndef MANDRILL_LIMITS_H
#define MANDRILL_LIMITS_H

#include "common/core/fifo.h"
#include "common/core/heap.h"

#define LIMITS_NONE HEAP_NONE

typedef struct {
    links_t links;
    fifo_t in_order;
    heap_t others;
    int64_t *deadlines; /* ms, by number, of what is in the list */
    uint32_t capacity;
} limits_t;

void limits_init(limits_t *l);
void limits_done(limits_t *l);
/* The number must not be in. 0 or -ENOMEM. */
int limits_add(limits_t *l, uint32_t number, int64_t deadline_ms);
/* Nothing when it is not in. */
void limits_remove(limits_t *l, uint32_t number);
/* The number with the earliest deadline, or LIMITS_NONE. */
uint32_t limits_first(const limits_t *l);
int64_t limits_first_ms(const limits_t *l); /* INT64_MAX when empty */

#endif

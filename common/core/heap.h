/* A min-heap of items 0..capacity-1 by an int64 key: deadlines, backoffs, the least loaded worker.
 *
 * An item is in the heap at most once; heap_set() inserts it or moves it. All O(log n). The heap owns its
 * three arrays. */
#ifndef MANDRILL_HEAP_H
#define MANDRILL_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#define HEAP_NONE UINT32_MAX

typedef struct {
    uint32_t *items;  /* heap order */
    uint32_t *places; /* by item: where it is in `items`, or HEAP_NONE */
    int64_t *keys;    /* by item */
    uint32_t count;
    uint32_t capacity;
} heap_t;

int heap_init(heap_t *h, uint32_t capacity); /* 0 or -ENOMEM */
void heap_done(heap_t *h);
/* Makes room for more items; keeps what is in. */
int heap_grow(heap_t *h, uint32_t capacity);
void heap_set(heap_t *h, uint32_t item, int64_t key);
void heap_remove(heap_t *h, uint32_t item); /* nothing when it is not in */
bool heap_has(const heap_t *h, uint32_t item);
/* The item with the smallest key, or HEAP_NONE. */
uint32_t heap_first(const heap_t *h);
int64_t heap_first_key(const heap_t *h); /* INT64_MAX when empty */

#endif

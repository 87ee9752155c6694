#include "common/core/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int heap_init(heap_t *h, uint32_t capacity)
{
    *h = (heap_t){0};
    int rc = heap_grow(h, capacity);
    if (rc < 0) {
        heap_done(h);
    }
    return rc;
}

void heap_done(heap_t *h)
{
    free(h->items);
    free(h->places);
    free(h->keys);
    *h = (heap_t){0};
}

int heap_grow(heap_t *h, uint32_t capacity)
{
    if (capacity <= h->capacity) {
        return 0;
    }
    /* An array that grew stays grown when the next one fails: `capacity` alone says what may be used. */
    uint32_t *items = realloc(h->items, capacity * sizeof *items);
    if (items == NULL) {
        return -ENOMEM;
    }
    h->items = items;
    uint32_t *places = realloc(h->places, capacity * sizeof *places);
    if (places == NULL) {
        return -ENOMEM;
    }
    h->places = places;
    int64_t *keys = realloc(h->keys, capacity * sizeof *keys);
    if (keys == NULL) {
        return -ENOMEM;
    }
    h->keys = keys;
    for (uint32_t i = h->capacity; i < capacity; i++) {
        places[i] = HEAP_NONE;
    }
    h->capacity = capacity;
    return 0;
}

static void put_at(heap_t *h, uint32_t place, uint32_t item)
{
    h->items[place] = item;
    h->places[item] = place;
}

/* Both move the hole at `place` to where `item` belongs, and fill it. */
static void sift_up(heap_t *h, uint32_t place, uint32_t item)
{
    int64_t key = h->keys[item];
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (h->keys[h->items[parent]] <= key) {
            break;
        }
        put_at(h, place, h->items[parent]);
        place = parent;
    }
    put_at(h, place, item);
}

static void sift_down(heap_t *h, uint32_t place, uint32_t item)
{
    int64_t key = h->keys[item];
    for (;;) {
        uint64_t child = 2 * (uint64_t)place + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count && h->keys[h->items[child + 1]] < h->keys[h->items[child]]) {
            child++;
        }
        if (h->keys[h->items[child]] >= key) {
            break;
        }
        put_at(h, place, h->items[child]);
        place = (uint32_t)child;
    }
    put_at(h, place, item);
}

void heap_set(heap_t *h, uint32_t item, int64_t key)
{
    assert(item < h->capacity);
    uint32_t place = h->places[item];
    if (place == HEAP_NONE) {
        h->keys[item] = key;
        sift_up(h, h->count++, item);
        return;
    }
    int64_t before = h->keys[item];
    h->keys[item] = key;
    if (key < before) {
        sift_up(h, place, item);
    } else if (key > before) {
        sift_down(h, place, item);
    }
}

void heap_remove(heap_t *h, uint32_t item)
{
    assert(item < h->capacity);
    uint32_t place = h->places[item];
    if (place == HEAP_NONE) {
        return;
    }
    h->places[item] = HEAP_NONE;
    uint32_t last = h->items[--h->count];
    if (last == item) {
        return;
    }
    /* The last item may come from another branch: it can belong higher as well as lower. */
    if (h->keys[last] < h->keys[item]) {
        sift_up(h, place, last);
    } else {
        sift_down(h, place, last);
    }
}

bool heap_has(const heap_t *h, uint32_t item)
{
    return item < h->capacity && h->places[item] != HEAP_NONE;
}

uint32_t heap_first(const heap_t *h)
{
    return h->count > 0 ? h->items[0] : HEAP_NONE;
}

int64_t heap_first_key(const heap_t *h)
{
    return h->count > 0 ? h->keys[h->items[0]] : INT64_MAX;
}

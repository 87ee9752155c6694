#include "common/core/index.h"

#include <errno.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 16 };

/* Row ids count up, so the home place is taken from a multiplicative hash (Knuth 6.4): neighbours spread
 * evenly, and no stride of keys falls on one place. */
static uint32_t home(const index_t *x, uint64_t key)
{
    return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & x->mask;
}

/* Three quarters: beyond that linear probing gets slow. */
static uint32_t count_max(uint32_t mask)
{
    return mask - mask / 4;
}

static int allocate(index_t *x, uint64_t capacity)
{
    uint64_t *keys = malloc(capacity * sizeof *keys);
    uint32_t *slots = malloc(capacity * sizeof *slots);
    if (keys == NULL || slots == NULL) {
        free(keys);
        free(slots);
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < capacity; i++) {
        slots[i] = INDEX_NONE;
    }
    *x = (index_t){.keys = keys, .slots = slots, .mask = (uint32_t)(capacity - 1)};
    return 0;
}

int index_init(index_t *x, uint32_t expected)
{
    uint64_t capacity = CAPACITY_MIN;
    while (capacity < UINT64_C(1) << 31 && count_max((uint32_t)(capacity - 1)) < expected) {
        capacity *= 2;
    }
    *x = (index_t){0};
    return allocate(x, capacity);
}

void index_done(index_t *x)
{
    free(x->keys);
    free(x->slots);
    *x = (index_t){0};
}

/* The finalizer of MurmurHash3 over both words. */
uint64_t index_mix(uint64_t a, uint64_t b)
{
    uint64_t h = a * UINT64_C(0x9e3779b97f4a7c15) + b;
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    h ^= h >> 33;
    return h;
}

static void put(index_t *x, uint64_t key, uint32_t slot)
{
    uint32_t at = home(x, key);
    while (x->slots[at] != INDEX_NONE) {
        at = (at + 1) & x->mask;
    }
    x->keys[at] = key;
    x->slots[at] = slot;
    x->count++;
}

static int grow(index_t *x)
{
    index_t bigger;
    int rc = allocate(&bigger, 2 * ((uint64_t)x->mask + 1));
    if (rc < 0) {
        return rc;
    }
    for (uint64_t i = 0; i <= x->mask; i++) {
        if (x->slots[i] != INDEX_NONE) {
            put(&bigger, x->keys[i], x->slots[i]);
        }
    }
    index_done(x);
    *x = bigger;
    return 0;
}

int index_put(index_t *x, uint64_t key, uint32_t slot)
{
    if (x->count >= count_max(x->mask)) {
        int rc = x->mask < UINT32_MAX / 2 ? grow(x) : -ENOMEM;
        if (rc < 0) {
            return rc;
        }
    }
    put(x, key, slot);
    return 0;
}

static uint32_t find_from(const index_t *x, uint64_t key, uint32_t at, uint32_t *ret_cursor)
{
    for (; x->slots[at] != INDEX_NONE; at = (at + 1) & x->mask) {
        if (x->keys[at] == key) {
            *ret_cursor = at;
            return x->slots[at];
        }
    }
    return INDEX_NONE;
}

uint32_t index_find(const index_t *x, uint64_t key, uint32_t *ret_cursor)
{
    return find_from(x, key, home(x, key), ret_cursor);
}

uint32_t index_find_next(const index_t *x, uint64_t key, uint32_t *cursor)
{
    return find_from(x, key, (*cursor + 1) & x->mask, cursor);
}

void index_remove(index_t *x, uint64_t key, uint32_t slot)
{
    uint32_t hole = 0; /* gcc 12 does not see that every path sets it */
    uint32_t found = index_find(x, key, &hole);
    while (found != slot) {
        if (found == INDEX_NONE) {
            return;
        }
        found = index_find_next(x, key, &hole);
    }
    /* What follows moves back over the hole, unless that would put it before its home. */
    for (uint32_t at = (hole + 1) & x->mask; x->slots[at] != INDEX_NONE; at = (at + 1) & x->mask) {
        uint32_t from_home = (at - home(x, x->keys[at])) & x->mask;
        uint32_t from_hole = (at - hole) & x->mask;
        if (from_home >= from_hole) {
            x->keys[hole] = x->keys[at];
            x->slots[hole] = x->slots[at];
            hole = at;
        }
    }
    x->slots[hole] = INDEX_NONE;
    x->count--;
}

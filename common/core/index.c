#include "common/core/index.h"

#include <errno.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 16, NEIGHBOUR_BITS = 3, NEIGHBOUR_MASK = (1 << NEIGHBOUR_BITS) - 1 };

/* Ids count up and come in batches. The home of the first of eight neighbours is taken from a multiplicative
 * hash (Knuth 6.4), so no stride of keys falls on one place, and the others have the places behind it: two
 * cache lines for eight, where each alone would cost one or two. The top bits of the product: with them the
 * eights of a run of ids hardly meet, where bits from its middle cost 3 looks a key at half load. */
static uint32_t home(const index_t *x, uint64_t key)
{
    const uint64_t hash = ((key >> NEIGHBOUR_BITS) * UINT64_C(0x9e3779b97f4a7c15)) >> x->shift;
    return (uint32_t)(hash << NEIGHBOUR_BITS | (key & NEIGHBOUR_MASK));
}

/* Two thirds: beyond that linear probing gets slow. */
static uint32_t count_max(uint32_t mask)
{
    return mask - mask / 3;
}

static int allocate(index_t *x, uint64_t capacity)
{
    index_cell_t *cells = calloc(capacity, sizeof *cells);
    if (cells == NULL) {
        return -ENOMEM;
    }
    for (uint64_t i = 0; i < capacity; i++) {
        cells[i].slot = INDEX_NONE;
    }
    uint32_t shift = 64 + NEIGHBOUR_BITS;
    for (uint64_t places = 1; places < capacity; places *= 2) {
        shift--;
    }
    *x = (index_t){.cells = cells, .mask = (uint32_t)(capacity - 1), .shift = shift};
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
    free(x->cells);
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

uint64_t index_key(uint64_t a, uint64_t b)
{
    return index_mix(a, 0) + b;
}

static void put(index_t *x, uint64_t key, uint32_t slot)
{
    uint32_t at = home(x, key);
    while (x->cells[at].slot != INDEX_NONE) {
        at = (at + 1) & x->mask;
    }
    x->cells[at] = (index_cell_t){key, slot};
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
        if (x->cells[i].slot != INDEX_NONE) {
            put(&bigger, x->cells[i].key, x->cells[i].slot);
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
    for (; x->cells[at].slot != INDEX_NONE; at = (at + 1) & x->mask) {
        if (x->cells[at].key == key) {
            *ret_cursor = at;
            return x->cells[at].slot;
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
    for (uint32_t at = (hole + 1) & x->mask; x->cells[at].slot != INDEX_NONE; at = (at + 1) & x->mask) {
        uint32_t from_home = (at - home(x, x->cells[at].key)) & x->mask;
        uint32_t from_hole = (at - hole) & x->mask;
        if (from_home >= from_hole) {
            x->cells[hole] = x->cells[at];
            hole = at;
        }
    }
    x->cells[hole].slot = INDEX_NONE;
    x->count--;
}

/* A hash index from 64-bit keys to slots (uint32), open addressing, backward-shift deletion (no tombstones,
 * flat cost for ever). Keys that follow each other lie side by side, eight of them: those of one batch are
 * found in the cache.
 *
 * A message id (stream, seq) is made one 64-bit key with index_key(), other pairs with index_mix(): the
 * caller compares the slot's full id after a find, walking on with index_find_next() on a mismatch. */
#ifndef MANDRILL_INDEX_H
#define MANDRILL_INDEX_H

#include <stdint.h>

#define INDEX_NONE UINT32_MAX

typedef struct {
    uint64_t key;
    uint32_t slot; /* INDEX_NONE: free */
} index_cell_t;

typedef struct {
    index_cell_t *cells;
    uint32_t mask;
    uint32_t shift; /* leaves as many bits of a product as there are eights of cells */
    uint32_t count;
} index_t;

int index_init(index_t *x, uint32_t expected); /* 0 or -ENOMEM; grows by itself */
void index_done(index_t *x);
uint64_t index_mix(uint64_t a, uint64_t b);
/* Of neighbours in `b`, neighbours. */
uint64_t index_key(uint64_t a, uint64_t b);
/* 0 or -ENOMEM. The same key may be put for different slots. */
int index_put(index_t *x, uint64_t key, uint32_t slot);
/* The first slot under the key, or INDEX_NONE; *ret_cursor serves index_find_next. */
uint32_t index_find(const index_t *x, uint64_t key, uint32_t *ret_cursor);
uint32_t index_find_next(const index_t *x, uint64_t key, uint32_t *cursor);
void index_remove(index_t *x, uint64_t key, uint32_t slot);

#endif

/* The memory of each simulated process, by malloc() and its likes wrapped at link time: a process that is
 * killed gives back what it had, one that ends by itself must have given back everything. */
#ifndef MANDRILL_SIM_MEMORY_H
#define MANDRILL_SIM_MEMORY_H

#include <stddef.h>

typedef struct memory_block memory_block_t;

typedef struct {
    memory_block_t *first;
    size_t bytes, bytes_max, blocks;
} memory_t;

/* Whose memory is asked for from now on; NULL: the simulator's own. Returns whose it was. */
memory_t *memory_enter(memory_t *m);
void memory_release(memory_t *m);

/* The simulator's own, whoever runs. They abort when there is none. */
void *keep_alloc(size_t bytes); /* zeroed */
void *keep_grow(void *p, size_t bytes);
void keep_free(void *p);

#endif

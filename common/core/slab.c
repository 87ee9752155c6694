#include "common/core/slab.h"
#include "common/core/message.h"

#include <stdlib.h>
#include <string.h>

/* Blocks are as far apart as cache lines; so is a chunk's link, which is one such line at its start. */
enum { BLOCK_MIN = 64, CHUNK_BLOCKS_BYTES = 256 * 1024 };

_Static_assert(BLOCK_MIN << (SLAB_CLASSES - 1) == BODY_BYTES_MAX, "the last class is for the largest body");
_Static_assert(CHUNK_BLOCKS_BYTES % BODY_BYTES_MAX == 0, "a chunk is whole blocks of each class");

static unsigned class_of(size_t len)
{
    unsigned class = 0;
    while ((size_t)BLOCK_MIN << class < len) {
        class ++;
    }
    return class;
}

/* A free block and a chunk begin with a pointer to the next one. */
static void push(void **list, void *block)
{
    memcpy(block, list, sizeof *list);
    *list = block;
}

static void *pop(void **list)
{
    void *block = *list;
    memcpy(list, block, sizeof *list);
    return block;
}

static int grow(slab_t *s, unsigned class)
{
    size_t block_len = (size_t)BLOCK_MIN << class;
    size_t chunk_len = BLOCK_MIN + CHUNK_BLOCKS_BYTES;
    char *chunk = aligned_alloc(BLOCK_MIN, chunk_len);
    if (chunk == NULL) {
        return -1;
    }
    push(&s->chunks, chunk);
    s->bytes_held += chunk_len;
    /* Backwards, so that they are handed out in the order of their addresses. */
    for (size_t at = CHUNK_BLOCKS_BYTES; at > 0; at -= block_len) {
        push(&s->free[class], chunk + BLOCK_MIN + at - block_len);
    }
    return 0;
}

void slab_init(slab_t *s)
{
    *s = (slab_t){0};
}

void slab_done(slab_t *s)
{
    while (s->chunks != NULL) {
        free(pop(&s->chunks));
    }
    slab_init(s);
}

void *slab_get(slab_t *s, size_t len)
{
    if (len > BODY_BYTES_MAX) {
        return NULL;
    }
    unsigned class = class_of(len);
    if (s->free[class] == NULL && grow(s, class) != 0) {
        return NULL;
    }
    s->bytes_used += (size_t)BLOCK_MIN << class;
    return pop(&s->free[class]);
}

void slab_put(slab_t *s, void *p, size_t len)
{
    if (p == NULL) {
        return;
    }
    unsigned class = class_of(len);
    s->bytes_used -= (size_t)BLOCK_MIN << class;
    push(&s->free[class], p);
}

#include "common/core/fifo.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int links_init(links_t *l, uint32_t capacity)
{
    *l = (links_t){0};
    int rc = links_grow(l, capacity);
    if (rc < 0) {
        links_done(l);
    }
    return rc;
}

int links_grow(links_t *l, uint32_t capacity)
{
    if (capacity <= l->capacity) {
        return 0;
    }
    uint32_t *next = realloc(l->next, capacity * sizeof *next);
    if (next == NULL) {
        return -ENOMEM;
    }
    l->next = next;
    uint32_t *prev = realloc(l->prev, capacity * sizeof *prev);
    if (prev == NULL) {
        return -ENOMEM;
    }
    l->prev = prev;
    for (uint32_t i = l->capacity; i < capacity; i++) {
        next[i] = FIFO_OUT;
    }
    l->capacity = capacity;
    return 0;
}

void links_done(links_t *l)
{
    free(l->next);
    free(l->prev);
    *l = (links_t){0};
}

bool links_in(const links_t *l, uint32_t slot)
{
    return slot < l->capacity && l->next[slot] != FIFO_OUT;
}

void fifo_init(fifo_t *f)
{
    *f = (fifo_t){.first = FIFO_NONE, .last = FIFO_NONE};
}

void fifo_push(fifo_t *f, links_t *l, uint32_t slot)
{
    assert(slot < l->capacity && l->next[slot] == FIFO_OUT);
    l->next[slot] = FIFO_NONE;
    l->prev[slot] = f->last;
    if (f->last == FIFO_NONE) {
        f->first = slot;
    } else {
        l->next[f->last] = slot;
    }
    f->last = slot;
    f->count++;
}

void fifo_push_front(fifo_t *f, links_t *l, uint32_t slot)
{
    assert(slot < l->capacity && l->next[slot] == FIFO_OUT);
    l->next[slot] = f->first;
    l->prev[slot] = FIFO_NONE;
    if (f->first == FIFO_NONE) {
        f->last = slot;
    } else {
        l->prev[f->first] = slot;
    }
    f->first = slot;
    f->count++;
}

uint32_t fifo_pop(fifo_t *f, links_t *l)
{
    uint32_t slot = f->first;
    if (slot != FIFO_NONE) {
        fifo_remove(f, l, slot);
    }
    return slot;
}

void fifo_remove(fifo_t *f, links_t *l, uint32_t slot)
{
    assert(links_in(l, slot) && f->count > 0);
    uint32_t next = l->next[slot];
    uint32_t prev = l->prev[slot];
    if (prev == FIFO_NONE) {
        f->first = next;
    } else {
        l->next[prev] = next;
    }
    if (next == FIFO_NONE) {
        f->last = prev;
    } else {
        l->prev[next] = prev;
    }
    l->next[slot] = FIFO_OUT;
    f->count--;
}

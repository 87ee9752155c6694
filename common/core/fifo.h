/* Doubly linked lists of slots 0..capacity-1 that share two arrays of links: a slot is in one list of its
 * links at most. O(1) push, pop and removal from the middle. */
#ifndef MANDRILL_FIFO_H
#define MANDRILL_FIFO_H

#include <stdbool.h>
#include <stdint.h>

#define FIFO_NONE UINT32_MAX
#define FIFO_OUT  (UINT32_MAX - 1) /* next of a slot that is in no list */

typedef struct {
    uint32_t *next;
    uint32_t *prev;
    uint32_t capacity;
} links_t;

typedef struct {
    uint32_t first;
    uint32_t last;
    uint32_t count;
} fifo_t;

int links_init(links_t *l, uint32_t capacity);
int links_grow(links_t *l, uint32_t capacity);
void links_done(links_t *l);
bool links_in(const links_t *l, uint32_t slot);
void fifo_init(fifo_t *f);
void fifo_push(fifo_t *f, links_t *l, uint32_t slot);
void fifo_push_front(fifo_t *f, links_t *l, uint32_t slot);
uint32_t fifo_pop(fifo_t *f, links_t *l); /* FIFO_NONE when empty */
void fifo_remove(fifo_t *f, links_t *l, uint32_t slot);

#endif

#include "workers/limits.h"

#include <errno.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 1024 };

void limits_init(limits_t *l)
{
    *l = (limits_t){0};
    fifo_init(&l->in_order);
}

void limits_done(limits_t *l)
{
    links_done(&l->links);
    heap_done(&l->others);
    free(l->deadlines);
    limits_init(l);
}

static int grow(limits_t *l, uint32_t number)
{
    uint32_t capacity = l->capacity == 0 ? CAPACITY_MIN : l->capacity;
    while (capacity <= number)
        capacity *= 2;
    int64_t *deadlines = realloc(l->deadlines, capacity * sizeof *deadlines);
    if (deadlines == NULL)
        return -ENOMEM;
    l->deadlines = deadlines;
    int error = links_grow(&l->links, capacity);
    if (error == 0)
        error = heap_grow(&l->others, capacity);
    if (error == 0)
        l->capacity = capacity;
    return error;
}

int limits_add(limits_t *l, uint32_t number, int64_t deadline_ms)
{
    const int error = number < l->capacity ? 0 : grow(l, number);
    if (error != 0)
        return error;
    if (l->in_order.count > 0 && deadline_ms < l->deadlines[l->in_order.last]) {
        heap_set(&l->others, number, deadline_ms);
    } else {
        l->deadlines[number] = deadline_ms;
        fifo_push(&l->in_order, &l->links, number);
    }
    return 0;
}

void limits_remove(limits_t *l, uint32_t number)
{
    if (links_in(&l->links, number))
        fifo_remove(&l->in_order, &l->links, number);
    else if (number < l->capacity)
        heap_remove(&l->others, number);
}

/* Whether the earliest is that of the list. */
static bool list_is_first(const limits_t *l)
{
    return l->in_order.count > 0 && l->deadlines[l->in_order.first] <= heap_first_key(&l->others);
}

uint32_t limits_first(const limits_t *l)
{
    return list_is_first(l) ? l->in_order.first : heap_first(&l->others);
}

int64_t limits_first_ms(const limits_t *l)
{
    return list_is_first(l) ? l->deadlines[l->in_order.first] : heap_first_key(&l->others);
}

#include "common/core/roster.h"
#include "common/core/heap.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t window;
    uint32_t outstanding;
    uint8_t leg;
    bool joined;
    bool held_back;
} worker_t;

typedef struct {
    char kind[NAME_BYTES_MAX + 1];
    uint32_t workers;
    uint64_t capacity;
    uint64_t outstanding;
    heap_t credit; /* workers that may be given more, by load */
} leg_t;

struct roster {
    leg_t legs[LEGS_MAX];
    worker_t workers[ROSTER_MAX];
};

roster_t *roster_new(void)
{
    roster_t *r = calloc(1, sizeof *r);
    for (uint32_t i = 0; r != NULL && i < LEGS_MAX; i++)
        if (heap_init(&r->legs[i].credit, ROSTER_MAX) != 0)
            roster_destroy(&r);
    return r;
}

void roster_destroy(roster_t **ref)
{
    roster_t *r = *ref;
    if (r == NULL)
        return;
    for (uint32_t i = 0; i < LEGS_MAX; i++)
        heap_done(&r->legs[i].credit);
    free(r);
    *ref = NULL;
}

bool roster_has(const roster_t *r, uint32_t worker)
{
    assert(worker < ROSTER_MAX);
    return r->workers[worker].joined;
}

static const worker_t *joined(const roster_t *r, uint32_t worker)
{
    assert(roster_has(r, worker));
    return &r->workers[worker];
}

uint32_t roster_credit(const roster_t *r, uint32_t worker)
{
    const worker_t *w = joined(r, worker);
    return w->outstanding < w->window ? w->window - w->outstanding : 0;
}

/* Every change of a worker ends here: puts it where it belongs among those with credit. */
static void place(roster_t *r, uint32_t worker)
{
    const worker_t *w = joined(r, worker);
    heap_t *credit = &r->legs[w->leg].credit;
    if (w->held_back || roster_credit(r, worker) == 0)
        heap_remove(credit, worker);
    else
        heap_set(credit, worker, (int64_t)(((uint64_t)w->outstanding << 32) / w->window));
}

int roster_join(roster_t *r, uint32_t worker, uint32_t leg, const char *kind, uint32_t window)
{
    assert(leg < LEGS_MAX && strlen(kind) <= NAME_BYTES_MAX);
    if (worker >= ROSTER_MAX)
        return -ENOSPC;
    assert(!r->workers[worker].joined);
    leg_t *l = &r->legs[leg];
    if (l->workers > 0 && strcmp(l->kind, kind) != 0)
        return -EEXIST;
    memcpy(l->kind, kind, strlen(kind) + 1);
    l->workers++;
    l->capacity += window;
    r->workers[worker] = (worker_t){.window = window, .leg = (uint8_t)leg, .joined = true};
    place(r, worker);
    return 0;
}

void roster_leave(roster_t *r, uint32_t worker)
{
    const worker_t *w = joined(r, worker);
    leg_t *l = &r->legs[w->leg];
    l->workers--;
    l->capacity -= w->window;
    l->outstanding -= w->outstanding;
    heap_remove(&l->credit, worker);
    r->workers[worker].joined = false;
}

void roster_window(roster_t *r, uint32_t worker, uint32_t window)
{
    leg_t *l = &r->legs[joined(r, worker)->leg];
    l->capacity = l->capacity - r->workers[worker].window + window;
    r->workers[worker].window = window;
    place(r, worker);
}

void roster_hold(roster_t *r, uint32_t worker, bool hold)
{
    assert(roster_has(r, worker));
    r->workers[worker].held_back = hold;
    place(r, worker);
}

uint32_t roster_pick(const roster_t *r, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    uint32_t worker = heap_first(&r->legs[leg].credit);
    return worker == HEAP_NONE ? ROSTER_NONE : worker;
}

void roster_had(roster_t *r, uint32_t worker, uint32_t n)
{
    r->legs[joined(r, worker)->leg].outstanding += n;
    r->workers[worker].outstanding += n;
    place(r, worker);
}

void roster_gave(roster_t *r, uint32_t worker, uint32_t n)
{
    assert(n <= roster_credit(r, worker));
    roster_had(r, worker, n);
}

void roster_freed(roster_t *r, uint32_t worker, uint32_t n)
{
    assert(n <= joined(r, worker)->outstanding);
    r->workers[worker].outstanding -= n;
    r->legs[r->workers[worker].leg].outstanding -= n;
    place(r, worker);
}

uint32_t roster_leg(const roster_t *r, uint32_t worker)
{
    return joined(r, worker)->leg;
}

uint32_t roster_outstanding(const roster_t *r, uint32_t worker)
{
    return joined(r, worker)->outstanding;
}

uint32_t roster_workers(const roster_t *r, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    return r->legs[leg].workers;
}

uint64_t roster_capacity(const roster_t *r, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    return r->legs[leg].capacity;
}

uint64_t roster_leg_outstanding(const roster_t *r, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    return r->legs[leg].outstanding;
}

const char *roster_kind(const roster_t *r, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    return r->legs[leg].workers > 0 ? r->legs[leg].kind : NULL;
}

uint32_t roster_consumer_window(const roster_t *r, uint8_t legs, uint32_t batch, uint32_t max)
{
    uint64_t scarcest = UINT64_MAX;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        if ((legs >> leg & 1) && r->legs[leg].capacity < scarcest)
            scarcest = r->legs[leg].capacity;
    if (scarcest == UINT64_MAX || scarcest == 0)
        return 0;
    return scarcest + batch < max ? (uint32_t)(scarcest + batch) : max;
}

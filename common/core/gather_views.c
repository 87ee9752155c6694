/* What others may know of the gather: what is held, for HELLO, log lines, the dump and the status. */
#include "common/core/gather_internal.h"
#include <assert.h>

entry_t *gather_entry_by_lease(const gather_t *g, uint32_t slot, uint32_t lease)
{
    if (slot >= g->capacity)
        return NULL;
    entry_t *e = &g->entries[slot];
    bool held = e->state == ENTRY_OPEN || e->state == ENTRY_ENDED;
    return held && e->lease == lease ? e : NULL;
}

size_t gather_held(const gather_t *g, uint32_t source, uint64_t *ret, size_t max)
{
    size_t n = 0;
    for (uint32_t slot = 0; slot < g->capacity && n + 2 <= max; slot++) {
        const entry_t *e = &g->entries[slot];
        if (e->source != source || e->stray || (e->state != ENTRY_OPEN && e->state != ENTRY_ENDED))
            continue;
        ret[n++] = e->id.stream;
        ret[n++] = e->id.seq;
    }
    return n;
}

static gather_view_t view_of(const gather_t *g, const entry_t *e)
{
    return (gather_view_t){.slot = (uint32_t)(e - g->entries),
                           .id = e->id,
                           .source = e->source,
                           .extended = e->extended,
                           .legs = e->legs,
                           .done = e->done,
                           .bad = e->bad,
                           .running = e->running,
                           .body = e->body,
                           .body_len = e->body_len};
}

bool gather_view(const gather_t *g, uint32_t slot, uint32_t lease, gather_view_t *ret)
{
    const entry_t *e = gather_entry_by_lease(g, slot, lease);
    if (e == NULL)
        return false;
    *ret = view_of(g, e);
    return true;
}

void gather_each(const gather_t *g, void (*each)(void *arg, const gather_view_t *view), void *arg)
{
    for (uint32_t slot = 0; slot < g->capacity; slot++) {
        const entry_t *e = &g->entries[slot];
        if (e->state != ENTRY_OPEN && e->state != ENTRY_ENDED)
            continue;
        gather_view_t view = view_of(g, e);
        each(arg, &view);
    }
}

void gather_gauges(const gather_t *g, gather_gauges_t *ret)
{
    gather_gauges_t gauges = {.held = g->states[ENTRY_OPEN] + g->states[ENTRY_ENDED],
                              .reporting = g->states[ENTRY_ENDED],
                              .late = g->late,
                              .extended = g->extended,
                              .notes = g->notes,
                              .granted = g->granted,
                              .refused = g->refused,
                              .strays = g->strays_index.count - g->lost_strays.count};
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
        gauges.waiting[leg] = gather_waiting(g, leg);
        gauges.suspects[leg] = gauges.waiting[leg] - g->waiting[leg][CLASS_NORMAL].count + g->suspects[leg];
        gauges.timeouts[leg] = g->timeouts[leg];
        gauges.lost[leg] = g->lost[leg];
        gauges.running[leg] = g->running_legs[leg];
        gauges.backing_off[leg] = g->backing_off[leg];
        gauges.done[leg] = g->done[leg];
        gauges.bad[leg] = g->bad[leg];
        gauges.retries[leg] = g->retries[leg];
    }
    *ret = gauges;
}

void gather_leg_view(const gather_t *g, const gather_view_t *view, uint32_t leg, gather_leg_view_t *ret)
{
    assert(leg < LEGS_MAX && view->slot < g->capacity);
    uint32_t n = view->slot * LEGS_MAX + leg;
    const task_t *t = &g->tasks[n];
    *ret = (gather_leg_view_t){.failures = t->failures};
    if (view->done >> leg & 1) {
        ret->state = LEG_DONE;
    } else if (view->bad >> leg & 1) {
        ret->state = LEG_BAD;
    } else if (t->state == TASK_RUNNING) {
        ret->state = LEG_RUNNING;
        ret->worker = t->worker;
        ret->label = gather_who(g, t->who);
        ret->at_ms = t->since_ms;
    } else if (t->state == TASK_BACKOFF) {
        ret->state = LEG_BACKING_OFF;
        ret->at_ms = g->backoffs.keys[n];
    }
}

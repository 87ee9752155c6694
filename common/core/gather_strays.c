/* Strays: tries that a worker still has and that nobody waits for, as they are over their hard limit, or came
 * back with a worker that was thought lost. They keep the worker's window right, and what they get done is
 * told. What a lost worker had is remembered, should he come back, as long as there is room. */
#include "common/core/gather_internal.h"
#include <errno.h>
#include <stdlib.h>

enum { STRAYS_FIRST = 64 };

static int grow(gather_t *g)
{
    uint32_t capacity = g->strays_capacity > 0 ? 2 * g->strays_capacity : STRAYS_FIRST;
    if (capacity > g->limits.messages_max)
        capacity = g->limits.messages_max;
    if (capacity <= g->strays_capacity)
        return -ENOSPC;
    stray_t *strays = realloc(g->strays, capacity * sizeof *strays);
    if (strays == NULL)
        return -ENOMEM;
    g->strays = strays;
    if (links_grow(&g->stray_links, capacity) != 0)
        return -ENOMEM;
    for (uint32_t i = g->strays_capacity; i < capacity; i++)
        fifo_push(&g->strays_spare, &g->stray_links, i);
    g->strays_capacity = capacity;
    return 0;
}

static fifo_t *strays_of(gather_t *g, uint32_t worker)
{
    return worker == LOST_WORKER ? &g->lost_strays : &g->workers[worker].strays;
}

static bool make_room(gather_t *g)
{
    if (g->strays_spare.count > 0 || grow(g) == 0)
        return true;
    if (g->lost_strays.count == 0)
        return false;
    gather_stray_remove(g, g->lost_strays.first);
    return true;
}

bool gather_stray_add(gather_t *g, uint32_t worker, uint64_t ref, uint32_t task, const giving_t *of)
{
    if (!make_room(g))
        return false;
    const uint32_t i = g->strays_spare.first;
    if (index_put(&g->strays_index, index_mix(ref, worker), i) != 0)
        return false;
    stray_t *s = &g->strays[i];
    *s = (stray_t){.ref = ref, .worker = worker, .of = *of, .source = SOURCES_MAX};
    if (task != UINT32_MAX) {
        const entry_t *e = &g->entries[task / LEGS_MAX];
        s->id = e->id;
        s->token = e->token;
        /* A message that is over may have been the last one of its source. */
        s->source = e->state == ENTRY_SPENT ? SOURCES_MAX : e->source;
    }
    fifo_remove(&g->strays_spare, &g->stray_links, i);
    fifo_push(strays_of(g, worker), &g->stray_links, i);
    return true;
}

uint32_t gather_stray_find(const gather_t *g, uint32_t worker, uint64_t ref)
{
    uint32_t cursor;
    if (g->strays_index.count == 0)
        return UINT32_MAX;
    uint64_t key = index_mix(ref, worker);
    uint32_t i = index_find(&g->strays_index, key, &cursor);
    while (i != INDEX_NONE && (g->strays[i].ref != ref || g->strays[i].worker != worker))
        i = index_find_next(&g->strays_index, key, &cursor);
    return i;
}

void gather_stray_remove(gather_t *g, uint32_t stray)
{
    const stray_t *s = &g->strays[stray];
    index_remove(&g->strays_index, index_mix(s->ref, s->worker), stray);
    fifo_remove(strays_of(g, s->worker), &g->stray_links, stray);
    fifo_push_front(&g->strays_spare, &g->stray_links, stray);
}

bool gather_stray_move(gather_t *g, uint32_t stray, uint32_t worker)
{
    stray_t *s = &g->strays[stray];
    if (index_put(&g->strays_index, index_mix(s->ref, worker), stray) != 0) {
        gather_stray_remove(g, stray);
        return false;
    }
    index_remove(&g->strays_index, index_mix(s->ref, s->worker), stray);
    fifo_remove(strays_of(g, s->worker), &g->stray_links, stray);
    fifo_push(strays_of(g, worker), &g->stray_links, stray);
    s->worker = worker;
    return true;
}

void gather_strays_forget(gather_t *g, uint32_t source)
{
    for (uint32_t i = 0; i < g->strays_capacity; i++)
        if (g->strays[i].source == source)
            g->strays[i].source = SOURCES_MAX;
}

/* --- what they get done --- */

/* The message is not held any more: it comes in once more to be told of. */
static gather_taken_t tell_of_one_gone(gather_t *g, const stray_t *s)
{
    uint32_t slot;
    if (s->source == SOURCES_MAX)
        return TAKEN_LATE;
    gather_message_t m = {.source = s->source, .id = s->id, .token = s->token};
    if (gather_table_add(g, &m, &slot) != 0)
        return TAKEN_LATE; /* then it is done twice */
    uint32_t leg = gather_ref_leg(s->ref);
    entry_t *e = &g->entries[slot];
    e->stray = true;
    e->legs = e->done = (uint8_t)(1u << leg);
    g->done[leg]++;
    gather_table_state(g, e, ENTRY_ENDED);
    gather_entry_tell_again(g, slot);
    return TAKEN_OK;
}

static gather_taken_t tell(gather_t *g, const stray_t *s, text_t text, int64_t now_ms)
{
    uint32_t slot = gather_table_find(g, s->id);
    if (slot == INDEX_NONE)
        return tell_of_one_gone(g, s);
    entry_t *e = &g->entries[slot];
    uint32_t leg = gather_ref_leg(s->ref);
    if ((e->legs & ~e->done & 1u << leg) == 0)
        return TAKEN_LATE;
    if (e->state == ENTRY_OPEN) {
        gather_leg_done(g, slot * LEGS_MAX + leg, &s->of, text, now_ms);
        return TAKEN_OK;
    }
    e->done |= (uint8_t)(1u << leg);
    e->bad &= (uint8_t) ~(1u << leg);
    g->done[leg]++;
    gather_entry_tell_again(g, slot);
    return TAKEN_OK;
}

gather_taken_t gather_stray_ok(gather_t *g, uint32_t stray, text_t text, int64_t now_ms, message_id_t *ret_id)
{
    const stray_t s = g->strays[stray];
    gather_stray_remove(g, stray);
    if (s.id.seq == 0)
        return TAKEN_LATE;
    gather_taken_t taken = tell(g, &s, text, now_ms);
    if (taken == TAKEN_OK && ret_id != NULL)
        *ret_id = s.id;
    return taken;
}

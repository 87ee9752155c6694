#include "common/core/delivery_internal.h"

#include <errno.h>
#include <stdlib.h>

enum { CAPACITY_FIRST = 1024 };

const uint32_t suspects_max[SUSPECT_LEVELS] = {64, 8, 1};

static int grow_to(delivery_t *d, uint32_t capacity)
{
    entry_t *entries = realloc(d->entries, capacity * sizeof *entries);
    if (entries == NULL) {
        return -ENOMEM;
    }
    d->entries = entries;
    stage_t *stages = realloc(d->stages, capacity * sizeof *stages);
    if (stages == NULL) {
        return -ENOMEM;
    }
    d->stages = stages;
    delivery_change_t *changes = realloc(d->changes, capacity * sizeof *changes);
    if (changes == NULL) {
        return -ENOMEM;
    }
    d->changes = changes;
    orphan_t *orphans = realloc(d->orphans, capacity * sizeof *orphans);
    if (orphans == NULL) {
        return -ENOMEM;
    }
    d->orphans = orphans;
    if (links_grow(&d->links, capacity) < 0 || heap_grow(&d->heap, capacity) < 0) {
        return -ENOMEM;
    }
    d->capacity = capacity;
    return 0;
}

int table_init(delivery_t *d)
{
    uint32_t capacity = d->limits.table_max < CAPACITY_FIRST ? d->limits.table_max : CAPACITY_FIRST;
    fifo_init(&d->unused);
    fifo_init(&d->returned);
    fifo_init(&d->fresh);
    fifo_init(&d->dead);
    for (unsigned level = 0; level < SUSPECT_LEVELS; level++) {
        fifo_init(&d->suspects[level]);
    }
    slab_init(&d->bodies);
    int rc = index_init(&d->index, capacity);
    if (rc < 0) {
        return rc;
    }
    return grow_to(d, capacity);
}

void table_done(delivery_t *d)
{
    free(d->entries);
    free(d->stages);
    free(d->changes);
    free(d->orphans);
    links_done(&d->links);
    heap_done(&d->heap);
    index_done(&d->index);
    slab_done(&d->bodies);
}

uint32_t table_find(const delivery_t *d, uint64_t id)
{
    uint32_t cursor;
    uint32_t slot = index_find(&d->index, id, &cursor);
    return slot == INDEX_NONE ? FIFO_NONE : slot;
}

static int take_slot(delivery_t *d, uint32_t *ret_slot)
{
    uint32_t slot = fifo_pop(&d->unused, &d->links);
    if (slot == FIFO_NONE) {
        if (d->used == d->limits.table_max) {
            return -ENOSPC;
        }
        if (d->used == d->capacity) {
            uint32_t max = d->limits.table_max;
            int rc = grow_to(d, d->capacity < max / 2 ? 2 * d->capacity : max);
            if (rc < 0) {
                return rc;
            }
        }
        slot = d->used++;
        d->entries[slot].state = ENTRY_FREE;
    }
    *ret_slot = slot;
    return 0;
}

int table_insert(delivery_t *d, uint64_t id, uint32_t *ret_slot)
{
    uint32_t slot;
    int rc = take_slot(d, &slot);
    if (rc < 0) {
        return rc;
    }
    rc = index_put(&d->index, id, slot);
    if (rc < 0) {
        fifo_push_front(&d->unused, &d->links, slot);
        return rc;
    }
    d->entries[slot] = (entry_t){.id = id, .stage = STAGE_NONE, .session = DELIVERY_NO_SESSION};
    *ret_slot = slot;
    return 0;
}

void table_remove(delivery_t *d, uint32_t slot)
{
    table_leave(d, slot);
    table_drop_body(d, slot);
    index_remove(&d->index, d->entries[slot].id, slot);
    d->entries[slot].state = ENTRY_FREE;
    /* In front: the slot used last is the one most likely still in the cache. */
    fifo_push_front(&d->unused, &d->links, slot);
}

/* What was spared beside suspects may be the poison all the same: twice, and it is a suspect too. Else it
 * would be given out beside the next ones again and again, and they would die of it in its place. */
unsigned suspect_level(const entry_t *e)
{
    uint64_t lost = (uint64_t)e->deliveries + e->spared;
    if (lost < SUSPECT_LOSSES) {
        return SUSPECT_LEVELS;
    }
    return lost - SUSPECT_LOSSES < SUSPECT_LEVELS ? (unsigned)lost - SUSPECT_LOSSES : SUSPECT_LEVELS - 1;
}

bool table_may_park(const delivery_t *d, int64_t wait_ms)
{
    uint32_t max = d->limits.parked_max;
    return wait_ms <= PARKED_SHORT_MS || max == 0 || d->counts[ENTRY_PARKED] < max;
}

static fifo_t *list_of(delivery_t *d, const entry_t *e)
{
    unsigned level;
    switch (e->state) {
    case ENTRY_READY:
        level = suspect_level(e);
        if (level < SUSPECT_LEVELS) {
            return &d->suspects[level];
        }
        return e->returned ? &d->returned : &d->fresh;
    case ENTRY_LEASED:
    case ENTRY_LIMBO:
        if (e->session == DELIVERY_NO_SESSION) {
            return NULL;
        }
        return e->timed ? &d->sessions[e->session].timed : &d->sessions[e->session].first;
    case ENTRY_DEAD:
        return &d->dead;
    default:
        return NULL;
    }
}

/* A suspect enters (1) or leaves (-1) the table, or what its session has out. */
static void count_suspect(delivery_t *d, const entry_t *e, uint32_t one)
{
    unsigned level = suspect_level(e);
    if (level == SUSPECT_LEVELS) {
        return;
    }
    d->suspects_count += one;
    if ((e->state == ENTRY_LEASED || e->state == ENTRY_LIMBO) && e->session != DELIVERY_NO_SESSION) {
        d->sessions[e->session].suspects[level] += one;
    }
}

void table_leave(delivery_t *d, uint32_t slot)
{
    entry_t *e = &d->entries[slot];
    fifo_t *list = list_of(d, e);
    if (list != NULL) {
        fifo_remove(list, &d->links, slot);
    }
    heap_remove(&d->heap, slot);
    d->counts[e->state]--;
    count_suspect(d, e, -1U);
}

void table_enter(delivery_t *d, uint32_t slot)
{
    entry_t *e = &d->entries[slot];
    fifo_t *list = list_of(d, e);
    if (list != NULL) {
        fifo_push(list, &d->links, slot);
    }
    d->counts[e->state]++;
    count_suspect(d, e, 1);
    table_arm(d, slot);
}

void table_arm(delivery_t *d, uint32_t slot)
{
    const entry_t *e = &d->entries[slot];
    bool waits =
        e->state == ENTRY_PARKED || e->state == ENTRY_LIMBO || (e->state == ENTRY_LEASED && e->timed);
    if (waits && e->stage == STAGE_NONE) {
        heap_set(&d->heap, slot, e->due_ms);
    }
}

void table_drop_body(delivery_t *d, uint32_t slot)
{
    entry_t *e = &d->entries[slot];
    if (e->body != NULL) {
        slab_put(&d->bodies, e->body, e->body_len);
        e->body = NULL;
    }
}

static void end_lease(entry_t *e)
{
    e->token = 0;
    e->extended_ms = 0;
    e->session = DELIVERY_NO_SESSION;
    e->timed = false;
}

void table_return(delivery_t *d, uint32_t slot, uint32_t deliveries, uint8_t spared, int64_t due_ms)
{
    table_leave(d, slot);
    entry_t *e = &d->entries[slot];
    end_lease(e);
    e->returned = true;
    e->deliveries = deliveries;
    e->spared = spared;
    e->due_ms = due_ms;
    e->state = due_ms > 0 ? ENTRY_PARKED : ENTRY_READY;
    table_enter(d, slot);
}

void table_release(delivery_t *d, uint32_t slot)
{
    const entry_t *e = &d->entries[slot];
    table_return(d, slot, e->deliveries, e->spared, 0);
}

void table_assign(delivery_t *d, uint32_t slot, uint16_t session)
{
    table_leave(d, slot);
    entry_t *e = &d->entries[slot];
    e->session = session;
    e->timed = true;
    table_enter(d, slot);
}

void table_untake(delivery_t *d, uint32_t slot)
{
    table_leave(d, slot);
    entry_t *e = &d->entries[slot];
    end_lease(e);
    e->state = ENTRY_READY;
    fifo_push_front(list_of(d, e), &d->links, slot);
    d->counts[ENTRY_READY]++;
    count_suspect(d, e, 1);
}

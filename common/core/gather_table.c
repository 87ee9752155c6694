/* The gather's memory and lists: slots, tasks and where they are queued. */
#include "common/core/gather_internal.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_FIRST = 1024 };

static int grow_to(gather_t *g, uint32_t capacity)
{
    entry_t *entries = realloc(g->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return -ENOMEM;
    g->entries = entries;
    task_t *tasks = realloc(g->tasks, (size_t)capacity * LEGS_MAX * sizeof *tasks);
    if (tasks == NULL)
        return -ENOMEM;
    g->tasks = tasks;
    if (links_grow(&g->extend_links, capacity) != 0 || links_grow(&g->report_links, capacity) != 0 ||
        links_grow(&g->note_links, capacity) != 0 || links_grow(&g->task_links, capacity * LEGS_MAX) != 0 ||
        heap_grow(&g->backoffs, capacity * LEGS_MAX) != 0)
        return -ENOMEM;
    uint32_t added = capacity - g->capacity;
    memset(&g->entries[g->capacity], 0, added * sizeof *entries);
    memset(&g->tasks[(size_t)g->capacity * LEGS_MAX], 0, (size_t)added * LEGS_MAX * sizeof *tasks);
    for (uint32_t slot = g->capacity; slot < capacity; slot++)
        fifo_push(&g->spare, &g->extend_links, slot);
    g->states[ENTRY_FREE] += added;
    g->capacity = capacity;
    return 0;
}

static int grow(gather_t *g)
{
    if (g->capacity >= g->limits.messages_max)
        return -ENOSPC;
    uint32_t capacity = g->capacity > 0 ? g->capacity : SLOTS_FIRST / 2;
    capacity = capacity < g->limits.messages_max / 2 ? capacity * 2 : g->limits.messages_max;
    return grow_to(g, capacity);
}

gather_t *gather_new(const gather_limits_t *limits)
{
    assert(limits->messages_max > 0 && limits->messages_max <= (UINT32_C(1) << REF_NUMBER_BITS) / LEGS_MAX);
    gather_t *g = calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    gather_limits(g, limits);
    g->overdue_ms = INT64_MAX;
    g->whos = calloc(WHO_MAX, sizeof *g->whos);
    g->random = limits->seed;
    g->generation = (uint32_t)random_next(&g->random) & GENERATION_MASK;
    g->generation_first = g->generation;
    slab_init(&g->slab);
    fifo_init(&g->spare);
    for (uint32_t i = 0; i < SOURCES_MAX; i++) {
        fifo_init(&g->sources[i].extends);
        fifo_init(&g->sources[i].reports);
        fifo_init(&g->sources[i].finals);
        fifo_init(&g->sources[i].notes);
    }
    for (uint32_t i = 0; i < LEGS_MAX; i++) {
        for (uint32_t class = 0; class < CLASSES; class ++)
            fifo_init(&g->waiting[i][class]);
    }
    for (uint32_t i = 0; i < ROSTER_MAX; i++) {
        fifo_init(&g->workers[i].running);
        fifo_init(&g->workers[i].strays);
        g->workers[i].unstarted = FIFO_NONE;
    }
    fifo_init(&g->strays_spare);
    fifo_init(&g->lost_strays);
    fifo_init(&g->answering);
    if (g->whos == NULL || index_init(&g->index, SLOTS_FIRST) != 0 || links_init(&g->extend_links, 1) != 0 ||
        links_init(&g->report_links, 1) != 0 || links_init(&g->task_links, 1) != 0 ||
        links_init(&g->note_links, 1) != 0 || links_init(&g->answer_links, ROSTER_MAX) != 0 ||
        links_init(&g->stray_links, 1) != 0 || index_init(&g->strays_index, 1) != 0 ||
        heap_init(&g->backoffs, 1) != 0 || grow(g) != 0)
        gather_destroy(&g);
    return g;
}

void gather_destroy(gather_t **ref)
{
    gather_t *g = *ref;
    if (g == NULL)
        return;
    links_done(&g->extend_links);
    links_done(&g->report_links);
    links_done(&g->task_links);
    links_done(&g->stray_links);
    links_done(&g->note_links);
    links_done(&g->answer_links);
    index_done(&g->strays_index);
    free(g->strays);
    heap_done(&g->backoffs);
    index_done(&g->index);
    slab_done(&g->slab);
    free(g->entries);
    free(g->tasks);
    free(g->whos);
    free(g);
    *ref = NULL;
}

uint32_t gather_table_find(const gather_t *g, message_id_t id)
{
    uint32_t cursor;
    uint64_t key = index_key(id.stream, id.seq);
    uint32_t slot = index_find(&g->index, key, &cursor);
    while (slot != INDEX_NONE &&
           (g->entries[slot].id.seq != id.seq || g->entries[slot].id.stream != id.stream))
        slot = index_find_next(&g->index, key, &cursor);
    return slot;
}

void gather_table_state(gather_t *g, entry_t *e, entry_state_t state)
{
    g->states[e->state]--;
    g->states[state]++;
    e->state = (uint8_t)state;
}

int gather_table_add(gather_t *g, const gather_message_t *m, uint32_t *ret_slot)
{
    int error = g->spare.count == 0 ? grow(g) : 0;
    if (error != 0)
        return error;
    uint32_t slot = g->spare.first;
    uint8_t *body = slab_get(&g->slab, m->body_len);
    if (body == NULL)
        return -ENOMEM;
    if (index_put(&g->index, index_key(m->id.stream, m->id.seq), slot) != 0) {
        slab_put(&g->slab, body, m->body_len);
        return -ENOMEM;
    }
    if (m->body_len > 0)
        memcpy(body, m->body, m->body_len);
    fifo_remove(&g->spare, &g->extend_links, slot);
    g->generation = (g->generation + 1) & GENERATION_MASK;
    if (((g->generation - g->generation_first) & GENERATION_MASK) > GENERATIONS_BEHIND)
        g->generation_first = (g->generation - GENERATIONS_BEHIND) & GENERATION_MASK;
    entry_t *e = &g->entries[slot];
    gather_table_state(g, e, ENTRY_OPEN);
    *e = (entry_t){.id = m->id,
                   .token = m->token,
                   .body = body,
                   .body_len = m->body_len,
                   .generation = g->generation,
                   .lease = ++g->lease,
                   .source = m->source,
                   .state = ENTRY_OPEN,
                   .legs = m->legs,
                   .legs_ever = m->legs};
    *ret_slot = slot;
    return 0;
}

int gather_table_body(gather_t *g, entry_t *e, const gather_message_t *m)
{
    if (!e->stray)
        return 0;
    uint8_t *body = slab_get(&g->slab, m->body_len);
    if (body == NULL)
        return -ENOMEM;
    if (m->body_len > 0)
        memcpy(body, m->body, m->body_len);
    slab_put(&g->slab, e->body, e->body_len);
    e->body = body;
    e->body_len = m->body_len;
    e->stray = false;
    return 0;
}

static void slot_free(gather_t *g, uint32_t slot)
{
    gather_table_state(g, &g->entries[slot], ENTRY_FREE);
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        if (g->entries[slot].legs_ever >> leg & 1)
            g->tasks[(size_t)slot * LEGS_MAX + leg] = (task_t){0};
    /* The slot that was used last is the one that is warm in the cache. */
    fifo_push_front(&g->spare, &g->extend_links, slot);
}

void gather_table_unlist(gather_t *g, uint32_t slot)
{
    entry_t *e = &g->entries[slot];
    source_t *s = &g->sources[e->source];
    if (links_in(&g->extend_links, slot))
        fifo_remove(&s->extends, &g->extend_links, slot);
    if (links_in(&g->report_links, slot))
        fifo_remove(e->state == ENTRY_ENDED ? &s->finals : &s->reports, &g->report_links, slot);
    e->held_up = false;
}

void gather_table_leave(gather_t *g, uint32_t slot)
{
    entry_t *e = &g->entries[slot];
    assert(e->state == ENTRY_OPEN || e->state == ENTRY_ENDED);
    gather_table_unlist(g, slot);
    gather_table_stop_idle(g, slot, e->legs);
    index_remove(&g->index, index_key(e->id.stream, e->id.seq), slot);
    slab_put(&g->slab, e->body, e->body_len);
    e->body = NULL;
    if (e->text != NULL)
        slab_put(&g->slab, e->text, e->text_len);
    e->text = NULL;
    gather_tries_drop(g, e);
    gather_notes_drop(g, slot);
    gather_table_state(g, e, ENTRY_SPENT);
    if (e->running == 0)
        slot_free(g, slot);
}

/* --- tasks --- */

static void task_unlist(gather_t *g, uint32_t n)
{
    task_t *t = &g->tasks[n];
    uint32_t leg = n % LEGS_MAX;
    switch ((task_state_t)t->state) {
    case TASK_NONE:
        break;
    case TASK_WAITING:
        fifo_remove(&g->waiting[leg][class_of(t)], &g->task_links, n);
        g->entries[n / LEGS_MAX].waiting--;
        break;
    case TASK_RUNNING:
        if (g->workers[t->worker].unstarted == n)
            g->workers[t->worker].unstarted = g->task_links.next[n];
        fifo_remove(&g->workers[t->worker].running, &g->task_links, n);
        if (class_of(t) != CLASS_NORMAL) {
            g->workers[t->worker].suspects--;
            g->suspects[leg]--;
        }
        g->running_legs[leg]--;
        g->entries[n / LEGS_MAX].running--;
        break;
    case TASK_BACKOFF:
        heap_remove(&g->backoffs, n);
        g->entries[n / LEGS_MAX].backing_off--;
        g->backing_off[leg]--;
        break;
    }
}

void gather_task_wait(gather_t *g, uint32_t n, bool first)
{
    task_unlist(g, n);
    g->tasks[n].state = TASK_WAITING;
    g->entries[n / LEGS_MAX].waiting++;
    fifo_t *queue = &g->waiting[n % LEGS_MAX][class_of(&g->tasks[n])];
    if (first)
        fifo_push_front(queue, &g->task_links, n);
    else
        fifo_push(queue, &g->task_links, n);
}

void gather_task_run(gather_t *g, uint32_t n, uint32_t worker, int64_t now_ms)
{
    task_t *t = &g->tasks[n];
    task_unlist(g, n);
    t->state = TASK_RUNNING;
    t->worker = (uint16_t)worker;
    holder_t *h = &g->workers[worker];
    t->who = h->who;
    t->order = (uint32_t)++h->given;
    t->avoid = 0;
    t->since_ms = now_ms;
    t->try_no = (uint8_t)(t->failures + 1);
    t->given = true;
    t->barred = false;
    t->giving++;
    if (class_of(t) != CLASS_NORMAL) {
        h->suspects++;
        h->suspects_class = class_of(t);
        g->suspects[n % LEGS_MAX]++;
    }
    fifo_push(&h->running, &g->task_links, n);
    if (h->unstarted == FIFO_NONE)
        h->unstarted = n;
    if (worker >= g->workers_end)
        g->workers_end = worker + 1;
    g->running_legs[n % LEGS_MAX]++;
    g->entries[n / LEGS_MAX].running++;
}

void gather_task_started(gather_t *g, uint32_t n, int64_t now_ms)
{
    const int64_t hard_ms = g->policies[n % LEGS_MAX].limit_hard_ms;
    g->tasks[n].since_ms = now_ms;
    if (hard_ms > 0 && now_ms + hard_ms < g->overdue_ms)
        g->overdue_ms = now_ms + hard_ms;
}

void gather_task_back_off(gather_t *g, uint32_t n, int64_t due_ms)
{
    task_unlist(g, n);
    g->tasks[n].state = TASK_BACKOFF;
    heap_set(&g->backoffs, n, due_ms);
    g->entries[n / LEGS_MAX].backing_off++;
    g->backing_off[n % LEGS_MAX]++;
}

void gather_task_stop(gather_t *g, uint32_t n)
{
    uint32_t slot = n / LEGS_MAX;
    task_unlist(g, n);
    g->tasks[n].state = TASK_NONE;
    if (g->entries[slot].state == ENTRY_SPENT && g->entries[slot].running == 0)
        slot_free(g, slot);
}

void gather_table_stop_idle(gather_t *g, uint32_t slot, uint8_t legs)
{
    if (g->entries[slot].waiting + g->entries[slot].backing_off == 0)
        return;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
        uint32_t n = slot * LEGS_MAX + leg;
        if ((legs >> leg & 1) == 0 || g->tasks[n].state == TASK_RUNNING)
            continue;
        if (g->tasks[n].state == TASK_BACKOFF && g->backoffs.keys[n] > g->entries[slot].resume_ms)
            g->entries[slot].resume_ms = g->backoffs.keys[n];
        gather_task_stop(g, n);
    }
}

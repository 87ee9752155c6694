/* What is true of the gather's tables at any time, whatever has happened. For the test that includes
 * cmocka.h. */
#ifndef MANDRILL_GATHER_SOUND_H
#define MANDRILL_GATHER_SOUND_H

#include "common/core/gather_internal.h"

static inline void check_notes(const gather_t *g, uint32_t slot)
{
    const entry_t *e = &g->entries[slot];
    uint32_t legs = 0;
    bool can_be_told = false;
    for (const gather_note_t *note = e->notes; note != NULL; note = note->next) {
        assert_false(legs >> note->leg & 1);
        legs |= 1u << note->leg;
        assert_true(note->len <= note->room);
        assert_false(e->lost && (note->untold || note->asks));
        can_be_told |= note->untold && note->told_no == 0;
    }
    assert_int_equal(links_in(&g->note_links, slot), can_be_told);
    assert_true(!e->held_up || (e->state == ENTRY_ENDED && gather_notes_untold(e)));
    if (e->state == ENTRY_FREE || e->state == ENTRY_SPENT)
        assert_null(e->notes);
}

static inline void check_entry(const gather_t *g, uint32_t slot)
{
    const entry_t *e = &g->entries[slot];
    uint32_t running = 0, backing_off = 0, waiting = 0;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
        uint32_t n = slot * LEGS_MAX + leg;
        const task_t *t = &g->tasks[n];
        bool listed = t->state == TASK_WAITING || t->state == TASK_RUNNING;
        assert_int_equal(links_in(&g->task_links, n), listed);
        assert_int_equal(heap_has(&g->backoffs, n), t->state == TASK_BACKOFF);
        running += t->state == TASK_RUNNING;
        backing_off += t->state == TASK_BACKOFF;
        waiting += t->state == TASK_WAITING;
        assert_true(t->failures <= g->policies[leg].max_tries);
        bool open = entry_open_legs(e) >> leg & 1;
        if (e->state == ENTRY_OPEN && !e->lost && !g->releasing)
            assert_true(open ? t->state != TASK_NONE : t->state == TASK_NONE || t->state == TASK_RUNNING);
        if (e->state == ENTRY_ENDED || e->state == ENTRY_SPENT)
            assert_true(t->state == TASK_NONE || t->state == TASK_RUNNING);
        if (e->state == ENTRY_FREE)
            assert_int_equal(t->state, TASK_NONE);
    }
    if (e->state == ENTRY_FREE) {
        assert_true(links_in(&g->extend_links, slot));
        return;
    }
    assert_int_equal(e->running, running);
    assert_int_equal(e->backing_off, backing_off);
    assert_int_equal(e->waiting, waiting);
    assert_int_equal(e->done & e->bad, 0);
    bool held = e->state == ENTRY_OPEN || e->state == ENTRY_ENDED;
    assert_int_equal(gather_table_find(g, e->id) == slot, held);
    assert_int_equal(links_in(&g->extend_links, slot), e->state == ENTRY_OPEN && !e->lost);
    if (e->state == ENTRY_OPEN) {
        assert_true(entry_open_legs(e) != 0);
        assert_true(e->running > 0 || !(e->lost || g->releasing));
        assert_int_equal(links_in(&g->report_links, slot), !e->lost && entry_untold(e));
    }
    if (e->state == ENTRY_SPENT)
        assert_true(e->running > 0);
}

static inline void check_order(const gather_t *g, const source_t *s)
{
    int64_t last_ms = INT64_MIN;
    for (uint32_t slot = s->extends.first; slot != FIFO_NONE; slot = g->extend_links.next[slot]) {
        assert_true(g->entries[slot].extend_ms >= last_ms);
        last_ms = g->entries[slot].extend_ms;
    }
    last_ms = INT64_MIN;
    for (uint32_t slot = s->reports.first; slot != FIFO_NONE; slot = g->report_links.next[slot]) {
        assert_true(g->entries[slot].report_ms >= last_ms);
        last_ms = g->entries[slot].report_ms;
    }
}

static inline void check_worker(const gather_t *g, uint32_t worker, uint32_t current, int64_t now_ms)
{
    static const uint32_t most[CLASSES] = {UINT32_MAX, 16, 4, 1};
    const holder_t *h = &g->workers[worker];
    uint32_t suspects = 0;
    int64_t last_ms = INT64_MIN;
    bool started = true;
    for (uint32_t n = h->running.first; n != FIFO_NONE; n = g->task_links.next[n]) {
        assert_int_equal(g->tasks[n].worker, worker);
        started &= n != h->unstarted;
        assert_int_equal(started, g->tasks[n].order == 0 || g->tasks[n].order <= h->started);
        assert_true(!started || g->tasks[n].since_ms >= last_ms);
        last_ms = g->tasks[n].since_ms;
        /* Looked at in time, or again soon when there was no room for it. */
        assert_true(!started || g->overdue_ms <= last_ms + g->policies[n % LEGS_MAX].limit_hard_ms ||
                    g->overdue_ms <= now_ms + 1000);
        if (class_of(&g->tasks[n]) == CLASS_NORMAL)
            continue;
        assert_int_equal(class_of(&g->tasks[n]), h->suspects_class);
        suspects++;
    }
    assert_true(!started || h->unstarted == FIFO_NONE);
    assert_int_equal(h->suspects, suspects);
    assert_true(suspects <= most[h->suspects_class]);
    assert_int_equal(h->running.count + h->strays.count, current);
}

static inline void check_tables(const gather_t *g)
{
    uint32_t held = 0, states[ENTRY_STATES] = {0};
    for (uint32_t slot = 0; slot < g->capacity; slot++) {
        check_entry(g, slot);
        check_notes(g, slot);
        states[g->entries[slot].state]++;
    }
    assert_memory_equal(states, g->states, sizeof states);
    held = states[ENTRY_OPEN] + states[ENTRY_ENDED];
    assert_int_equal(g->index.count, held);
    assert_int_equal(g->spare.count, states[ENTRY_FREE]);
    for (uint32_t source = 0; source < SOURCES_MAX; source++)
        check_order(g, &g->sources[source]);
}

#endif

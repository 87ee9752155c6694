/* What the gather reports to the publishers, and what their answers mean. */
#include "common/core/gather_internal.h"
#include <assert.h>

/* One that is late, or lost with its connection, loses no lease. */
enum { EXTENDS_IN_DEADLINE = 3 };

/* Every leg has ended, or is let go: one last step, and its answer ends the message here. */
static void entry_end(gather_t *g, uint32_t slot, bool release)
{
    entry_t *e = &g->entries[slot];
    gather_table_unlist(g, slot);
    gather_table_stop_idle(g, slot, e->legs);
    gather_table_state(g, e, ENTRY_ENDED);
    e->release = release;
    gather_entry_finish(g, slot);
}

void gather_entry_finish(gather_t *g, uint32_t slot)
{
    entry_t *e = &g->entries[slot];
    assert(e->state == ENTRY_ENDED);
    e->held_up = e->notes != NULL && gather_notes_untold(e);
    if (!e->held_up && !links_in(&g->report_links, slot))
        fifo_push(&g->sources[e->source].finals, &g->report_links, slot);
}

/* Whether a result may still come for a leg that is open. `begun`: of what is at work. What a worker has not
 * begun waits there as it would here, behind something that hangs, perhaps. */
static bool open_leg_runs(const gather_t *g, uint32_t slot, bool begun)
{
    const entry_t *e = &g->entries[slot];
    const task_t *tasks = &g->tasks[(size_t)slot * LEGS_MAX];
    bool any = false;
    for (uint32_t leg = 0; e->running > 0 && leg < LEGS_MAX; leg++) {
        const task_t *t = &tasks[leg];
        any |= (entry_open_legs(e) >> leg & 1) && t->state == TASK_RUNNING &&
               (!begun || has_started(&g->workers[t->worker], t));
    }
    return any;
}

void gather_entry_review(gather_t *g, uint32_t slot)
{
    entry_t *e = &g->entries[slot];
    if (e->state != ENTRY_OPEN)
        return;
    if (e->lost) {
        if (open_leg_runs(g, slot, false))
            return;
        if (entry_untold(e))
            entry_end(g, slot, false);
        else
            gather_table_leave(g, slot);
    } else if (entry_open_legs(e) == 0) {
        entry_end(g, slot, false);
    } else if (g->releasing) {
        gather_table_stop_idle(g, slot, e->legs);
        if (!open_leg_runs(g, slot, false))
            entry_end(g, slot, true);
    }
}

void gather_entry_let_go(gather_t *g, uint32_t slot, int64_t now_ms)
{
    const entry_t *e = &g->entries[slot];
    if (e->backing_off == 0 || g->limits.release_after_ms == 0 || e->state != ENTRY_OPEN || e->lost)
        return;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
        uint32_t n = slot * LEGS_MAX + leg;
        bool waits_long =
            g->tasks[n].state == TASK_BACKOFF && g->backoffs.keys[n] > now_ms + g->limits.release_after_ms;
        if ((entry_open_legs(e) >> leg & 1) && !waits_long)
            return;
    }
    entry_end(g, slot, true);
}

void gather_entry_tell_again(gather_t *g, uint32_t slot)
{
    entry_t *e = &g->entries[slot];
    e->release = e->release && entry_open_legs(e) != 0;
    gather_entry_finish(g, slot);
}

void gather_entry_report_later(gather_t *g, uint32_t slot, int64_t now_ms)
{
    entry_t *e = &g->entries[slot];
    if (e->state != ENTRY_OPEN || e->lost || !entry_untold(e) || links_in(&g->report_links, slot))
        return;
    e->report_ms = now_ms + g->limits.report_after_ms;
    fifo_push(&g->sources[e->source].reports, &g->report_links, slot);
}

void gather_entry_extend_later(gather_t *g, uint32_t slot, int64_t now_ms)
{
    entry_t *e = &g->entries[slot];
    source_t *s = &g->sources[e->source];
    int64_t after_ms = g->limits.extend_every_ms;
    if (s->extend_within_ms > 0 && s->extend_within_ms < after_ms)
        after_ms = s->extend_within_ms;
    e->extend_ms = now_ms + after_ms;
    fifo_push(&s->extends, &g->extend_links, slot);
}

/* --- steps --- */

gather_step_t gather_entry_step(const entry_t *e, uint32_t slot, step_op_t op, int64_t ms)
{
    gather_step_t s = {.slot = slot,
                       .lease = e->lease,
                       .source = e->source,
                       .id = e->id,
                       .token = e->token,
                       .done = e->told_done,
                       .bad = e->told_bad,
                       .op = op,
                       .ms = ms};
    if (e->told_bad != 0 && e->text != NULL)
        s.text = (text_t){(const char *)e->text, e->text_len};
    return s;
}

static void fill_step(gather_t *g, uint32_t slot, step_op_t op, int64_t ms, gather_step_t *ret)
{
    entry_t *e = &g->entries[slot];
    e->told_done = e->done;
    e->told_bad = e->bad;
    *ret = gather_entry_step(e, slot, op, ms);
    ret->final = e->state == ENTRY_ENDED;
    gather_tries_hand_out(g, e, ret);
}

static void final_step(gather_t *g, uint32_t slot, int64_t now_ms, gather_step_t *ret)
{
    const entry_t *e = &g->entries[slot];
    /* A release in the middle of a backoff leaves the rest of it to the publisher. */
    int64_t ms = e->release && e->resume_ms > now_ms ? e->resume_ms - now_ms : 0;
    fill_step(g, slot, e->release ? OP_RELEASE : OP_NONE, ms < DURATION_MS_MAX ? ms : DURATION_MS_MAX, ret);
}

/* What is extended up to the cap has lost a lease: not what only waits here. */
static bool has_idled_too_long(const gather_t *g, uint32_t slot, int64_t now_ms)
{
    const entry_t *e = &g->entries[slot];
    const int64_t max_ms = g->sources[e->source].idle_max_ms;
    return max_ms > 0 && now_ms - e->lease_ms >= max_ms && !open_leg_runs(g, slot, true);
}

/* What lies untouched at a worker stays there. */
static void let_idle_go(gather_t *g, uint32_t slot)
{
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
        const uint32_t n = slot * LEGS_MAX + leg;
        if (gather_leg_is_open(g, n) && g->tasks[n].state == TASK_RUNNING && gather_leave_behind(g, n))
            gather_task_stop(g, n);
    }
    entry_end(g, slot, true);
}

static void extend_step(gather_t *g, uint32_t slot, int64_t now_ms, gather_step_t *ret)
{
    entry_t *e = &g->entries[slot];
    gather_table_unlist(g, slot);
    fill_step(g, slot, OP_EXTEND, g->limits.extend_ms, ret);
    e->extended++;
    g->extended++;
    gather_entry_extend_later(g, slot, now_ms);
}

static bool report_is_due(const gather_t *g, const source_t *s, int64_t now_ms)
{
    return s->reports.count > 0 && g->entries[s->reports.first].report_ms <= now_ms;
}

static bool extend_is_due(const gather_t *g, const source_t *s, int64_t now_ms)
{
    return s->extends.count > 0 && g->entries[s->extends.first].extend_ms <= now_ms;
}

size_t gather_steps(gather_t *g, uint32_t source, int64_t now_ms, gather_step_t *ret, size_t max)
{
    assert(source < SOURCES_MAX);
    source_t *s = &g->sources[source];
    size_t n = 0;
    gather_tries_told(g);
    /* Extensions first: a lease that runs out while others are reported costs more than they gain. */
    while (n < max && extend_is_due(g, s, now_ms)) {
        if (has_idled_too_long(g, s->extends.first, now_ms))
            let_idle_go(g, s->extends.first);
        else
            extend_step(g, s->extends.first, now_ms, &ret[n++]);
    }
    if (n < max)
        n += gather_notes_hand_out(g, source, now_ms, ret + n, max - n);
    while (n < max && s->finals.count > 0)
        final_step(g, fifo_pop(&s->finals, &g->report_links), now_ms, &ret[n++]);
    while (n < max && report_is_due(g, s, now_ms))
        fill_step(g, fifo_pop(&s->reports, &g->report_links), OP_NONE, 0, &ret[n++]);
    return n;
}

int64_t gather_steps_ms(const gather_t *g, uint32_t source)
{
    assert(source < SOURCES_MAX);
    const source_t *s = &g->sources[source];
    int64_t next_ms = INT64_MAX;
    if (s->finals.count > 0 || s->notes.count > 0)
        return INT64_MIN;
    if (s->reports.count > 0)
        next_ms = g->entries[s->reports.first].report_ms;
    if (s->extends.count > 0 && g->entries[s->extends.first].extend_ms < next_ms)
        next_ms = g->entries[s->extends.first].extend_ms;
    return next_ms;
}

void gather_leases(gather_t *g, uint32_t source, int64_t ack_deadline_ms, int64_t lease_cap_ms)
{
    assert(source < SOURCES_MAX);
    source_t *s = &g->sources[source];
    const int64_t idle_max_ms = (lease_cap_ms + 1) / 2;
    s->extend_within_ms = (ack_deadline_ms + EXTENDS_IN_DEADLINE - 1) / EXTENDS_IN_DEADLINE;
    s->idle_max_ms = idle_max_ms;
    /* Some of them fall into the second half of the cap. */
    if (idle_max_ms > 0 && (s->extend_within_ms == 0 || s->extend_within_ms > idle_max_ms / 2))
        s->extend_within_ms = (idle_max_ms + 1) / 2;
}

void gather_extend_all(gather_t *g, uint32_t source, int64_t now_ms)
{
    assert(source < SOURCES_MAX);
    const fifo_t *extends = &g->sources[source].extends;
    for (uint32_t slot = extends->first; slot != FIFO_NONE; slot = g->extend_links.next[slot])
        g->entries[slot].extend_ms = now_ms;
}

/* --- answers --- */

static void lose(gather_t *g, uint32_t slot)
{
    entry_t *e = &g->entries[slot];
    gather_table_unlist(g, slot);
    gather_notes_lost(g, slot);
    gather_table_stop_idle(g, slot, e->legs);
    e->lost = true;
    gather_entry_review(g, slot);
}

bool gather_settled(gather_t *g, uint32_t slot, uint32_t lease, bool final, step_code_t code)
{
    const entry_t *e = gather_entry_by_lease(g, slot, lease);
    if (e == NULL)
        return false;
    if (final && links_in(&g->report_links, slot))
        return false; /* something was done since: it is told before the message goes */
    if (final)
        gather_table_leave(g, slot);
    else if (code != STEP_KEPT && code != STEP_GRANTED && e->state == ENTRY_OPEN && !e->lost)
        lose(g, slot);
    return e->state != ENTRY_OPEN && e->state != ENTRY_ENDED;
}

void gather_source_gone(gather_t *g, uint32_t source)
{
    assert(source < SOURCES_MAX);
    for (uint32_t slot = 0; slot < g->capacity; slot++) {
        const entry_t *e = &g->entries[slot];
        if (e->source == source && (e->state == ENTRY_OPEN || e->state == ENTRY_ENDED))
            gather_table_leave(g, slot);
    }
    gather_leases(g, source, 0, 0);
    gather_strays_forget(g, source);
}

void gather_release(gather_t *g)
{
    g->releasing = true;
    for (uint32_t slot = 0; slot < g->capacity; slot++)
        if (g->entries[slot].state == ENTRY_OPEN)
            gather_entry_review(g, slot);
}

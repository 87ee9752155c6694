/* The gather: messages that come in, tasks that go out, results that come back. */
#include "common/core/gather_internal.h"
#include <assert.h>
#include <string.h>

/* How far in a queue it is looked for a task that a worker may have. */
enum { LOOK_AHEAD = 8 };
/* A try over its limit whose place cannot be noted is looked at again after this. */
enum { NO_ROOM_MS = 1000 };

void gather_policy(gather_t *g, uint32_t leg, const gather_policy_t *policy)
{
    assert(leg < LEGS_MAX && policy->max_tries > 0 && policy->max_tries <= TRIES_MAX);
    g->policies[leg] = *policy;
    if (g->workers_end > 0)
        g->overdue_ms = INT64_MIN; /* what is out may be now */
}

const gather_policy_t *gather_policy_of(const gather_t *g, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    return &g->policies[leg];
}

/* The lists are in the order in which things are due: all of them come forward together. */
static void come_forward(gather_t *g, int64_t extends_ms, int64_t reports_ms)
{
    for (uint32_t slot = 0; slot < g->capacity; slot++) {
        g->entries[slot].extend_ms -= extends_ms > 0 ? extends_ms : 0;
        g->entries[slot].report_ms -= reports_ms > 0 ? reports_ms : 0;
    }
}

void gather_limits(gather_t *g, const gather_limits_t *limits)
{
    come_forward(g, g->limits.extend_every_ms - limits->extend_every_ms,
                 g->limits.report_after_ms - limits->report_after_ms);
    g->limits = *limits;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        gather_policy(g, leg, &limits->policy);
}

/* --- messages --- */

/* The tries that failed elsewhere count here too. A leg that has none left has ended before it begins: so
 * does one whose consumer was lost after the last try and before its end was told. */
static void count_tries(gather_t *g, uint32_t slot, const gather_message_t *m, int64_t now_ms)
{
    static const uint8_t none[LEGS_MAX];
    if (memcmp(m->tries, none, sizeof none) == 0)
        return;
    gather_tries_begin(g, slot);
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
        uint32_t n = slot * LEGS_MAX + leg;
        task_t *t = &g->tasks[n];
        if ((m->legs >> leg & 1) && m->tries[leg] > t->failures)
            t->failures = m->tries[leg];
        if (t->state != TASK_RUNNING && gather_leg_is_open(g, n))
            gather_leg_is_tried_out(g, n, now_ms);
    }
}

static void redeliver(gather_t *g, uint32_t slot, const gather_message_t *m, int64_t now_ms)
{
    entry_t *e = &g->entries[slot];
    gather_table_unlist(g, slot);
    if (e->state != ENTRY_OPEN)
        gather_table_state(g, e, ENTRY_OPEN);
    e->token = m->token;
    e->lease = ++g->lease;
    e->source = m->source;
    gather_notes_list(g, slot);
    e->lost = false;
    e->release = false;
    /* What the publisher asks for again it has not heard of. */
    e->told_done &= (uint8_t)~m->legs;
    e->told_bad = 0;
    uint8_t ended = e->done | e->bad;
    /* Another consumer has done these: a task of them that runs is let run out, and not waited for. */
    gather_table_stop_idle(g, slot, (uint8_t)(e->legs & ~ended & ~m->legs));
    e->legs = (uint8_t)(ended | m->legs);
    e->legs_ever |= m->legs;
    e->resume_ms = 0;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        if ((entry_open_legs(e) >> leg & 1) && g->tasks[slot * LEGS_MAX + leg].state == TASK_NONE)
            gather_task_wait(g, slot * LEGS_MAX + leg, false);
    e->lease_ms = now_ms;
    gather_entry_extend_later(g, slot, now_ms);
    gather_entry_review(g, slot);
    count_tries(g, slot, m, now_ms);
    gather_entry_report_later(g, slot, now_ms);
}

int gather_deliver(gather_t *g, const gather_message_t *m, int64_t now_ms)
{
    assert(m->source < SOURCES_MAX);
    uint32_t slot = gather_table_find(g, m->id);
    int error = 0;
    if (slot != INDEX_NONE) {
        if (m->token > g->entries[slot].token)
            error = gather_table_body(g, &g->entries[slot], m);
        if (m->token > g->entries[slot].token && error == 0)
            error = gather_notes_come(g, slot, m);
        if (m->token > g->entries[slot].token && error == 0)
            redeliver(g, slot, m, now_ms);
        return error;
    }
    error = gather_table_add(g, m, &slot);
    if (error == 0 && (error = gather_notes_come(g, slot, m)) != 0)
        gather_table_leave(g, slot);
    if (error != 0)
        return error;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        if (m->legs >> leg & 1)
            gather_task_wait(g, slot * LEGS_MAX + leg, false);
    g->entries[slot].lease_ms = now_ms;
    gather_entry_extend_later(g, slot, now_ms);
    if (m->legs == 0 || g->releasing)
        gather_entry_review(g, slot);
    count_tries(g, slot, m, now_ms);
    return 1;
}

/* --- tasks --- */

uint32_t gather_waiting(const gather_t *g, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    uint32_t sum = 0;
    for (uint32_t class = 0; class < CLASSES; class ++)
        sum += g->waiting[leg][class].count;
    return sum;
}

/* The first in the queue that may go to the worker. Not looking far: who is passed over is not many. */
static uint32_t first_for(const gather_t *g, const fifo_t *queue, uint32_t worker, bool picky)
{
    uint32_t n = queue->first;
    for (uint32_t i = 0; i < LOOK_AHEAD && n != FIFO_NONE; i++, n = g->task_links.next[n])
        if (g->tasks[n].avoid != worker + 1)
            return n;
    return picky ? FIFO_NONE : queue->first;
}

/* Suspects first, as few of them may go out: the worst, and nothing less while they wait, or others would
 * keep them waiting for ever. */
static uint32_t next_for(const gather_t *g, uint32_t leg, uint32_t worker, bool picky)
{
    static const uint32_t most[CLASSES] = {UINT32_MAX, 16, 4, 1};
    const holder_t *h = &g->workers[worker];
    uint32_t class = CLASSES - 1;
    while (class != CLASS_NORMAL && g->waiting[leg][class].count == 0)
        class --;
    if (class != CLASS_NORMAL && h->suspects < most[class] &&
        (h->suspects == 0 || h->suspects_class == class)) {
        uint32_t n = first_for(g, &g->waiting[leg][class], worker, picky);
        if (n != FIFO_NONE)
            return n;
    }
    return first_for(g, &g->waiting[leg][CLASS_NORMAL], worker, picky);
}

bool gather_give(gather_t *g, uint32_t leg, uint32_t worker, bool picky, int64_t now_ms, gather_task_t *ret)
{
    assert(leg < LEGS_MAX && worker < ROSTER_MAX);
    uint32_t n = next_for(g, leg, worker, picky);
    if (n == FIFO_NONE)
        return false;
    const entry_t *e = &g->entries[n / LEGS_MAX];
    gather_task_run(g, n, worker, now_ms);
    *ret = (gather_task_t){.record = {.ref = gather_ref(g, n),
                                      .try_no = g->tasks[n].try_no,
                                      .id = e->id,
                                      .body = e->body,
                                      .body_len = e->body_len},
                           .leg = leg};
    const gather_note_t *note = e->notes != NULL ? gather_note_of(e, leg) : NULL;
    if (note != NULL && note->len > 0) {
        ret->record.note = note->bytes;
        ret->record.note_len = note->len;
    }
    return true;
}

void gather_ungive(gather_t *g, uint64_t ref)
{
    const task_t *t = gather_task_by_ref(g, ref);
    assert(t != NULL && t->state == TASK_RUNNING);
    holder_t *h = &g->workers[t->worker];
    if (t->order == (uint32_t)h->given && h->given > 0)
        h->given--;
    gather_take_back_unsent(g, gather_ref_number(ref));
}

/* --- results --- */

/* Of a try that the worker has not, as far as is known: only that it got something done is of use. */
static gather_taken_t take_late(gather_t *g, uint32_t worker, const result_record_t *r, int64_t now_ms,
                                message_id_t *ret_id)
{
    uint32_t n = gather_ref_number(r->ref);
    const task_t *t = gather_task_by_ref(g, r->ref);
    if (t == NULL || !t->given || r->outcome != OUTCOME_OK || !gather_leg_is_open(g, n))
        return TAKEN_LATE;
    if (ret_id != NULL)
        *ret_id = g->entries[n / LEGS_MAX].id;
    const giving_t of = {g->workers[worker].who, now_ms}; /* since when is not known any more */
    return gather_try_ends(g, n, &of, r, now_ms);
}

static gather_taken_t take_current(gather_t *g, const result_record_t *r, int64_t now_ms,
                                   message_id_t *ret_id)
{
    uint32_t n = gather_ref_number(r->ref);
    const task_t *t = &g->tasks[n];
    const giving_t of = {t->who, t->since_ms};
    if (!gather_leg_is_open(g, n)) {
        gather_run_out(g, n);
        return TAKEN_LATE;
    }
    if (ret_id != NULL)
        *ret_id = g->entries[n / LEGS_MAX].id;
    gather_task_stop(g, n);
    return gather_try_ends(g, n, &of, r, now_ms);
}

gather_taken_t gather_result(gather_t *g, uint32_t worker, const result_record_t *r, int64_t now_ms,
                             message_id_t *ret_id, bool *ret_freed)
{
    assert(worker < ROSTER_MAX);
    gather_taken_t taken = TAKEN_LATE;
    uint32_t stray = UINT32_MAX;
    bool current = gather_is_current(g, worker, r->ref, r->try_no);
    if (current)
        taken = take_current(g, r, now_ms, ret_id);
    else if ((stray = gather_stray_find(g, worker, r->ref)) == UINT32_MAX)
        taken = take_late(g, worker, r, now_ms, ret_id);
    else if (r->outcome == OUTCOME_OK)
        taken = gather_stray_ok(g, stray, r->text, now_ms, ret_id);
    else
        gather_stray_remove(g, stray);
    *ret_freed = current || stray != UINT32_MAX;
    g->late += taken == TAKEN_LATE;
    return taken;
}

/* --- time --- */

/* Ends the tries of one worker that are over their limits: of what it has started, for what waits for its
 * turn there has not been tried yet. When that may be so next: no later, and no tries are looked at that are
 * younger than the shortest limit. */
static int64_t end_overdue(gather_t *g, const holder_t *h, int64_t shortest_ms, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    uint32_t after;
    for (uint32_t n = h->running.first; n != h->unstarted; n = after) {
        after = g->task_links.next[n];
        const int64_t since_ms = g->tasks[n].since_ms;
        const int64_t hard_ms = g->policies[n % LEGS_MAX].limit_hard_ms;
        int64_t due_ms = hard_ms > 0 ? since_ms + hard_ms : INT64_MAX;
        if (due_ms <= now_ms)
            due_ms = gather_time_out(g, n, now_ms) ? INT64_MAX : now_ms + NO_ROOM_MS;
        next_ms = due_ms < next_ms ? due_ms : next_ms;
        if (since_ms + shortest_ms > now_ms)
            break;
    }
    return next_ms;
}

/* Not every giving is put in an order for the one that may be hung: the oldest of each worker is looked at
 * when a limit may be over, which is seldom. */
static void look_for_overdue(gather_t *g, int64_t now_ms)
{
    int64_t shortest_ms = INT64_MAX, next_ms = INT64_MAX;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        if (g->policies[leg].limit_hard_ms > 0 && g->policies[leg].limit_hard_ms < shortest_ms)
            shortest_ms = g->policies[leg].limit_hard_ms;
    for (uint32_t worker = 0; shortest_ms < INT64_MAX && worker < g->workers_end; worker++) {
        int64_t due_ms = end_overdue(g, &g->workers[worker], shortest_ms, now_ms);
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    g->overdue_ms = next_ms;
}

void gather_tick(gather_t *g, int64_t now_ms)
{
    if (g->overdue_ms <= now_ms)
        look_for_overdue(g, now_ms);
    while (heap_first_key(&g->backoffs) <= now_ms)
        gather_task_wait(g, heap_first(&g->backoffs), false);
}

int64_t gather_next_ms(const gather_t *g)
{
    int64_t next_ms = heap_first_key(&g->backoffs);
    return g->overdue_ms < next_ms ? g->overdue_ms : next_ms;
}

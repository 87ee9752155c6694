/* The gather: messages that come in, tasks that go out, results that come back. */
#include "common/core/gather_internal.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A worker that answers BLOCKED without a wait must not make its task go round and round. */
enum { BLOCKED_MS_MIN = 50 };

static uint64_t ref_of(const gather_t *g, uint32_t n)
{
    return (uint64_t)g->entries[n / LEGS_MAX].generation << 32 | n;
}

/* The task that a ref names, or NULL when its slot was given to another message since, or never was one. */
static task_t *task_by_ref(gather_t *g, uint64_t ref)
{
    uint32_t n = (uint32_t)ref;
    if (n / LEGS_MAX >= g->capacity)
        return NULL;
    const entry_t *e = &g->entries[n / LEGS_MAX];
    return e->state != ENTRY_FREE && e->generation == ref >> 32 ? &g->tasks[n] : NULL;
}

/* --- messages --- */

static void redeliver(gather_t *g, uint32_t slot, const gather_message_t *m, int64_t now_ms)
{
    entry_t *e = &g->entries[slot];
    gather_table_unlist(g, slot);
    if (e->state != ENTRY_OPEN)
        gather_table_state(g, e, ENTRY_OPEN);
    e->token = m->token;
    e->lease = ++g->lease;
    e->source = m->source;
    e->lost = false;
    e->release = false;
    /* What the publisher asks for again it has not heard of. */
    e->told_done &= (uint8_t)~m->legs;
    e->told_bad = 0;
    uint8_t ended = e->done | e->bad;
    /* Another consumer has done these: a task of them that runs is let run out, and not waited for. */
    gather_table_stop_idle(g, slot, (uint8_t)(e->legs & ~ended & ~m->legs));
    e->legs = (uint8_t)(ended | m->legs);
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        if ((entry_open_legs(e) >> leg & 1) && g->tasks[slot * LEGS_MAX + leg].state == TASK_NONE)
            gather_task_wait(g, slot * LEGS_MAX + leg, false);
    gather_entry_extend_later(g, slot, now_ms);
    gather_entry_review(g, slot);
    if (e->state == ENTRY_OPEN && entry_untold(e))
        gather_entry_report_later(g, slot, now_ms);
}

int gather_deliver(gather_t *g, const gather_message_t *m, int64_t now_ms)
{
    assert(m->source < SOURCES_MAX);
    uint32_t slot = gather_table_find(g, m->id);
    if (slot != INDEX_NONE) {
        if (m->token > g->entries[slot].token)
            redeliver(g, slot, m, now_ms);
        return 0;
    }
    int error = gather_table_add(g, m, &slot);
    if (error != 0)
        return error;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        if (m->legs >> leg & 1)
            gather_task_wait(g, slot * LEGS_MAX + leg, false);
    gather_entry_extend_later(g, slot, now_ms);
    if (m->legs == 0 || g->releasing)
        gather_entry_review(g, slot);
    return 1;
}

/* --- tasks --- */

uint32_t gather_waiting(const gather_t *g, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    return g->waiting[leg].count;
}

bool gather_give(gather_t *g, uint32_t leg, uint32_t worker, gather_task_t *ret)
{
    assert(leg < LEGS_MAX && worker < ROSTER_MAX);
    uint32_t n = g->waiting[leg].first;
    if (n == FIFO_NONE)
        return false;
    const entry_t *e = &g->entries[n / LEGS_MAX];
    gather_task_run(g, n, worker);
    *ret = (gather_task_t){.record = {.ref = ref_of(g, n),
                                      .try_no = g->tasks[n].failures + 1u,
                                      .id = e->id,
                                      .body = e->body,
                                      .body_len = e->body_len},
                           .leg = leg};
    return true;
}

static bool leg_is_open(const gather_t *g, uint32_t n)
{
    const entry_t *e = &g->entries[n / LEGS_MAX];
    return e->state == ENTRY_OPEN && (entry_open_legs(e) >> n % LEGS_MAX & 1);
}

/* A task that nobody waits for has ended. It may have been the last one of a message that is let go. */
static void run_out(gather_t *g, uint32_t n)
{
    gather_task_stop(g, n);
    gather_entry_review(g, n / LEGS_MAX);
}

/* The task is at no worker any more and its leg is open. */
static void wait_again(gather_t *g, uint32_t n, int64_t due_ms, bool first)
{
    entry_t *e = &g->entries[n / LEGS_MAX];
    if (e->lost || g->releasing) {
        if (due_ms > e->resume_ms)
            e->resume_ms = due_ms;
        run_out(g, n);
    } else if (due_ms != INT64_MIN) {
        gather_task_back_off(g, n, due_ms);
    } else {
        gather_task_wait(g, n, first);
    }
}

static void leg_ends(gather_t *g, uint32_t n, bool done, int64_t now_ms)
{
    uint32_t slot = n / LEGS_MAX, leg = n % LEGS_MAX;
    entry_t *e = &g->entries[slot];
    if (g->tasks[n].state != TASK_RUNNING)
        gather_task_stop(g, n);
    if (done) {
        e->done |= (uint8_t)(1u << leg);
        g->done[leg]++;
    } else {
        e->bad |= (uint8_t)(1u << leg);
        g->bad[leg]++;
    }
    gather_entry_review(g, slot);
    if (e->state == ENTRY_OPEN)
        gather_entry_report_later(g, slot, now_ms);
}

/* The first reason is kept: the later legs of a message tend to fail for the same. */
static void keep_text(gather_t *g, entry_t *e, const char *text, uint32_t len)
{
    if (e->text != NULL || len == 0)
        return;
    e->text = slab_get(&g->slab, len);
    if (e->text == NULL)
        return;
    memcpy(e->text, text, len);
    e->text_len = len;
}

/* Counts a try that failed; false when it was the last. */
static bool may_try_again(gather_t *g, uint32_t n)
{
    task_t *t = &g->tasks[n];
    t->failures++;
    if (t->failures >= g->limits.max_tries)
        return false;
    g->retries[n % LEGS_MAX]++;
    return true;
}

/* Ends what the worker had of a task, as if it had not been given or as a try that failed. */
static void take_back(gather_t *g, uint32_t n, bool costs_try, int64_t now_ms)
{
    static const char lost[] = "the worker was lost";
    if (!leg_is_open(g, n)) {
        run_out(g, n);
    } else if (costs_try && !may_try_again(g, n)) {
        gather_task_stop(g, n);
        keep_text(g, &g->entries[n / LEGS_MAX], lost, sizeof lost - 1);
        leg_ends(g, n, false, now_ms);
    } else {
        wait_again(g, n, INT64_MIN, true);
    }
}

void gather_ungive(gather_t *g, uint64_t ref)
{
    const task_t *t = task_by_ref(g, ref);
    assert(t != NULL && t->state == TASK_RUNNING);
    (void)t;
    take_back(g, (uint32_t)ref, false, 0);
}

uint32_t gather_worker_gone(gather_t *g, uint32_t worker, bool costs_try, int64_t now_ms)
{
    assert(worker < ROSTER_MAX);
    uint32_t count = 0;
    /* From the last, as each goes before the others in its queue: they keep their order. */
    for (; g->running[worker].last != FIFO_NONE; count++)
        take_back(g, g->running[worker].last, costs_try, now_ms);
    return count;
}

static int compare_refs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

uint32_t gather_worker_holds(gather_t *g, uint32_t worker, uint64_t *refs, size_t n)
{
    assert(worker < ROSTER_MAX);
    uint32_t count = 0;
    uint32_t before;
    if (n > 0)
        qsort(refs, n, sizeof *refs, compare_refs);
    for (uint32_t task = g->running[worker].last; task != FIFO_NONE; task = before) {
        before = g->task_links.prev[task];
        uint64_t ref = ref_of(g, task);
        if (n > 0 && bsearch(&ref, refs, n, sizeof *refs, compare_refs) != NULL)
            continue;
        take_back(g, task, false, 0);
        count++;
    }
    return count;
}

/* --- results --- */

static gather_taken_t take_outcome(gather_t *g, uint32_t n, const result_record_t *r, int64_t now_ms)
{
    entry_t *e = &g->entries[n / LEGS_MAX];
    int64_t wait_ms = r->ms;
    switch (r->outcome) {
    case OUTCOME_OK:
        leg_ends(g, n, true, now_ms);
        return TAKEN_OK;
    case OUTCOME_TRANSIENT:
        if (may_try_again(g, n)) {
            int64_t own_ms = backoff_ms(&g->limits.backoff, g->tasks[n].failures, random_next(&g->random));
            wait_again(g, n, now_ms + (wait_ms > own_ms ? wait_ms : own_ms), false);
            return TAKEN_RETRY;
        }
        break;
    case OUTCOME_BLOCKED:
        wait_again(g, n, now_ms + (wait_ms > BLOCKED_MS_MIN ? wait_ms : BLOCKED_MS_MIN), false);
        return TAKEN_RETRY;
    case OUTCOME_PERMANENT:
    case OUTCOMES:
        break;
    }
    keep_text(g, e, r->text.bytes, r->text.len);
    leg_ends(g, n, false, now_ms);
    return TAKEN_BAD;
}

gather_taken_t gather_result(gather_t *g, uint32_t worker, const result_record_t *r, int64_t now_ms,
                             message_id_t *ret_id, bool *ret_freed)
{
    uint32_t n = (uint32_t)r->ref;
    task_t *t = task_by_ref(g, r->ref);
    bool current =
        t != NULL && t->state == TASK_RUNNING && t->worker == worker && r->try_no == t->failures + 1u;
    *ret_freed = current;
    if (t == NULL || !t->given || !leg_is_open(g, n) || (!current && r->outcome != OUTCOME_OK)) {
        if (current)
            run_out(g, n);
        g->late++;
        return TAKEN_LATE;
    }
    if (ret_id != NULL)
        *ret_id = g->entries[n / LEGS_MAX].id;
    if (current)
        gather_task_stop(g, n);
    return take_outcome(g, n, r, now_ms);
}

/* --- time --- */

void gather_tick(gather_t *g, int64_t now_ms)
{
    while (heap_first_key(&g->backoffs) <= now_ms)
        gather_task_wait(g, heap_first(&g->backoffs), false);
}

int64_t gather_next_ms(const gather_t *g)
{
    return heap_first_key(&g->backoffs);
}

/* The gather: messages that come in, tasks that go out, results that come back. */
#include "common/core/gather_internal.h"
#include <assert.h>
#include <string.h>

/* The task that a ref names, or NULL when its slot was given to another message since, or never was one. */
static task_t *task_by_ref(gather_t *g, uint64_t ref)
{
    uint32_t n = gather_ref_number(ref);
    if (n / LEGS_MAX >= g->capacity)
        return NULL;
    const entry_t *e = &g->entries[n / LEGS_MAX];
    return e->state != ENTRY_FREE && e->generation == ref >> 32 ? &g->tasks[n] : NULL;
}

void gather_policy(gather_t *g, uint32_t leg, const gather_policy_t *policy)
{
    assert(leg < LEGS_MAX && policy->max_tries > 0 && policy->max_tries <= TRIES_MAX);
    g->policies[leg] = *policy;
}

/* --- messages --- */

/* The tries that failed elsewhere count here too. A leg that has none left has ended before it begins: so
 * does one whose consumer was lost after the last try and before its end was told. */
static void count_tries(gather_t *g, uint32_t slot, const gather_message_t *m, int64_t now_ms)
{
    static const uint8_t none[LEGS_MAX];
    static const text_t reason = {"as many tries as are allowed had failed before", 46};
    if (memcmp(m->tries, none, sizeof none) == 0)
        return;
    gather_tries_begin(g, slot);
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
        uint32_t n = slot * LEGS_MAX + leg;
        task_t *t = &g->tasks[n];
        if (m->tries[leg] > t->failures)
            t->failures = m->tries[leg];
        if (t->failures >= g->policies[leg].max_tries && t->state != TASK_RUNNING && gather_leg_is_open(g, n))
            gather_leg_fails(g, n, reason, now_ms);
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
    count_tries(g, slot, m, now_ms);
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
    count_tries(g, slot, m, now_ms);
    return 1;
}

/* --- tasks --- */

uint32_t gather_waiting(const gather_t *g, uint32_t leg)
{
    assert(leg < LEGS_MAX);
    return g->waiting[leg].count;
}

bool gather_give(gather_t *g, uint32_t leg, uint32_t worker, int64_t now_ms, gather_task_t *ret)
{
    assert(leg < LEGS_MAX && worker < ROSTER_MAX);
    uint32_t n = g->waiting[leg].first;
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
    return true;
}

void gather_ungive(gather_t *g, uint64_t ref)
{
    const task_t *t = task_by_ref(g, ref);
    assert(t != NULL && t->state == TASK_RUNNING);
    (void)t;
    gather_take_back(g, gather_ref_number(ref), false, 0);
}

/* --- results --- */

gather_taken_t gather_result(gather_t *g, uint32_t worker, const result_record_t *r, int64_t now_ms,
                             message_id_t *ret_id, bool *ret_freed)
{
    uint32_t n = gather_ref_number(r->ref);
    task_t *t = task_by_ref(g, r->ref);
    bool current = t != NULL && t->state == TASK_RUNNING && t->worker == worker &&
                   r->ref == gather_ref(g, n) && r->try_no == t->try_no;
    *ret_freed = current;
    if (t == NULL || !t->given || !gather_leg_is_open(g, n) || (!current && r->outcome != OUTCOME_OK)) {
        if (current)
            gather_run_out(g, n);
        g->late++;
        return TAKEN_LATE;
    }
    if (ret_id != NULL)
        *ret_id = g->entries[n / LEGS_MAX].id;
    /* When one that comes late was given is not known any more. */
    giving_t of = current ? (giving_t){t->who, t->given_ms} : (giving_t){g->who[worker], now_ms};
    if (current)
        gather_task_stop(g, n);
    return gather_try_ends(g, n, &of, r, now_ms);
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

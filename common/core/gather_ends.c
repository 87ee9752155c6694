/* How tries end in the gather, and what follows from it for their leg and their message. */
#include "common/core/gather_internal.h"
#include <stdio.h>
#include <string.h>

/* A worker that answers BLOCKED without a wait must not make its task go round and round. */
enum { BLOCKED_MS_MIN = 50 };

bool gather_leg_is_open(const gather_t *g, uint32_t n)
{
    const entry_t *e = &g->entries[n / LEGS_MAX];
    return e->state == ENTRY_OPEN && (entry_open_legs(e) >> n % LEGS_MAX & 1);
}

void gather_run_out(gather_t *g, uint32_t n)
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
        gather_run_out(g, n);
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
    if (g->tasks[n].state != TASK_RUNNING && g->tasks[n].state != TASK_NONE)
        gather_task_stop(g, n);
    if (done) {
        e->done |= (uint8_t)(1u << leg);
        g->done[leg]++;
    } else {
        e->bad |= (uint8_t)(1u << leg);
        g->bad[leg]++;
    }
    if (e->notes != NULL)
        gather_notes_leg_ended(g, n, done);
    gather_entry_review(g, slot);
    gather_entry_let_go(g, slot, now_ms);
    gather_entry_report_later(g, slot, now_ms);
}

void gather_leg_fails(gather_t *g, uint32_t n, text_t reason, int64_t now_ms)
{
    entry_t *e = &g->entries[n / LEGS_MAX];
    /* The first reason is kept: the later legs of a message tend to fail for the same. */
    if (e->text == NULL && reason.len > 0 && (e->text = slab_get(&g->slab, reason.len)) != NULL) {
        memcpy(e->text, reason.bytes, reason.len);
        e->text_len = reason.len;
    }
    leg_ends(g, n, false, now_ms);
}

bool gather_leg_is_tried_out(gather_t *g, uint32_t n, int64_t now_ms)
{
    static const text_t reason = {"as many tries as are allowed had failed before", 46};
    if (g->tasks[n].failures < g->policies[n % LEGS_MAX].max_tries)
        return false;
    gather_leg_fails(g, n, reason, now_ms);
    return true;
}

/* --- tries --- */

static int64_t duration(int64_t ms)
{
    return ms < 0 ? 0 : ms < DURATION_MS_MAX ? ms : DURATION_MS_MAX;
}

static uint32_t next_no(const task_t *t)
{
    return t->failures < TRIES_MAX ? t->failures + 1u : TRIES_MAX;
}

/* Why the leg has ended with this try: its own words, or what was seen of its worker. */
static text_t reason_of(const gather_try_t *t, char *text, size_t size)
{
    const char *colon = t->label.len > 0 ? ": " : "";
    int len;
    if (t->how == HOW_LOST)
        len = snprintf(text, size, "the worker was lost%s%.*s", colon, (int)t->label.len, t->label.bytes);
    else if (t->how == HOW_TIMEOUT)
        len = snprintf(text, size, "no result after %lld ms%s%.*s", (long long)t->took_ms, colon,
                       (int)t->label.len, t->label.bytes);
    else
        return t->text;
    return (text_t){text, (uint32_t)len};
}

/* A try of an open leg has failed: the leg has ended badly, or it waits for the next. At once when `wait_ms`
 * is negative, else for so long at least. Of what a publisher has taken back it is not told. */
static gather_taken_t try_fails(gather_t *g, uint32_t n, how_t how, text_t text, int64_t wait_ms,
                                int64_t now_ms)
{
    char reason[128];
    task_t *t = &g->tasks[n];
    const gather_policy_t *policy = &g->policies[n % LEGS_MAX];
    gather_try_t ended = {.leg = n % LEGS_MAX,
                          .no = next_no(t),
                          .how = how,
                          .since_ms = t->since_ms,
                          .took_ms = duration(now_ms - t->since_ms),
                          .label = gather_who(g, t->who),
                          .text = text};
    gather_task_stop(g, n);
    const bool final = how == HOW_PERMANENT || how == HOW_UNKNOWN;
    if (!final)
        t->failures = (uint8_t)ended.no;
    if (how == HOW_LOST)
        g->lost[n % LEGS_MAX]++;
    if (!g->entries[n / LEGS_MAX].lost) {
        gather_tries_begin(g, n / LEGS_MAX);
        gather_try_tell(g, n, &ended);
    }
    if (final || t->failures >= policy->max_tries) {
        gather_leg_fails(g, n, reason_of(&ended, reason, sizeof reason), now_ms);
        return TAKEN_BAD;
    }
    g->retries[n % LEGS_MAX]++;
    if (wait_ms >= 0) {
        int64_t own_ms = backoff_ms(&policy->backoff, t->failures, random_next(&g->random));
        wait_again(g, n, now_ms + (wait_ms > own_ms ? wait_ms : own_ms), false);
    } else {
        wait_again(g, n, INT64_MIN, true);
    }
    gather_entry_let_go(g, n / LEGS_MAX, now_ms);
    gather_entry_report_later(g, n / LEGS_MAX, now_ms);
    return TAKEN_RETRY;
}

/* What has ended well is written down when something of the message has failed, or its worker says something
 * of it; else the task remembers it, in case that something will. */
void gather_leg_done(gather_t *g, uint32_t n, const giving_t *of, text_t text, int64_t now_ms)
{
    task_t *t = &g->tasks[n];
    int64_t took_ms = duration(now_ms - of->since_ms);
    if (g->entries[n / LEGS_MAX].failed || text.len > 0) {
        gather_try_t ended = {.leg = n % LEGS_MAX,
                              .no = next_no(t),
                              .how = HOW_OK,
                              .since_ms = of->since_ms,
                              .took_ms = took_ms,
                              .label = gather_who(g, of->who),
                              .text = text};
        gather_try_tell(g, n, &ended);
    } else if (t->state != TASK_RUNNING) {
        t->who = of->who;
        t->since_ms = of->since_ms;
        t->took_ms = (uint32_t)took_ms;
        t->kept_ok = true;
    }
    g->entries[n / LEGS_MAX].bad &= (uint8_t) ~(1u << n % LEGS_MAX);
    leg_ends(g, n, true, now_ms);
}

gather_taken_t gather_try_ends(gather_t *g, uint32_t n, const giving_t *of, const result_record_t *r,
                               int64_t now_ms)
{
    switch (r->outcome) {
    case OUTCOME_OK:
        gather_leg_done(g, n, of, r->text, now_ms);
        return TAKEN_OK;
    case OUTCOME_TRANSIENT:
        return try_fails(g, n, HOW_TRANSIENT, r->text, r->ms, now_ms);
    case OUTCOME_BLOCKED:
        if (gather_leg_is_tried_out(g, n, now_ms))
            return TAKEN_BAD;
        wait_again(g, n, now_ms + (r->ms > BLOCKED_MS_MIN ? r->ms : BLOCKED_MS_MIN), false);
        gather_entry_let_go(g, n / LEGS_MAX, now_ms);
        return TAKEN_RETRY;
    case OUTCOME_UNKNOWN:
        return try_fails(g, n, HOW_UNKNOWN, r->text, 0, now_ms);
    case OUTCOME_PERMANENT:
    case OUTCOMES:
        break;
    }
    return try_fails(g, n, HOW_PERMANENT, r->text, 0, now_ms);
}

bool gather_leave_behind(gather_t *g, uint32_t n)
{
    const task_t *t = &g->tasks[n];
    const giving_t of = {t->who, t->since_ms};
    return gather_stray_add(g, t->worker, gather_ref(g, n), n, &of);
}

bool gather_time_out(gather_t *g, uint32_t n, int64_t now_ms)
{
    task_t *t = &g->tasks[n];
    const uint16_t worker = t->worker;
    if (!gather_leave_behind(g, n))
        return false;
    if (!gather_leg_is_open(g, n)) {
        gather_run_out(g, n);
        return true;
    }
    t->avoid = (uint16_t)(worker + 1);
    g->timeouts[n % LEGS_MAX]++;
    try_fails(g, n, HOW_TIMEOUT, (text_t){"", 0}, 0, now_ms);
    return true;
}

void gather_take_back(gather_t *g, uint32_t n, bool at_work, bool costs_try, int64_t now_ms)
{
    task_t *t = &g->tasks[n];
    if (!gather_leg_is_open(g, n)) {
        gather_run_out(g, n);
        return;
    }
    gather_task_stop(g, n);
    t->lost += at_work && t->lost < UINT8_MAX;
    if (costs_try)
        try_fails(g, n, HOW_LOST, (text_t){"", 0}, -1, now_ms);
    else if (!gather_leg_is_tried_out(g, n, now_ms))
        wait_again(g, n, INT64_MIN, true);
}

void gather_take_back_unsent(gather_t *g, uint32_t n)
{
    if (!gather_leg_is_open(g, n)) {
        gather_run_out(g, n);
        return;
    }
    gather_task_stop(g, n);
    wait_again(g, n, INT64_MIN, true);
}

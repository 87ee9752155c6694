/* The workers of the gather: who has which tasks, and what becomes of these when he goes or comes back. */
#include "common/core/gather_internal.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int compare_refs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Whether the ref is among the sorted ones. */
static bool has_ref(const uint64_t *refs, size_t n, uint64_t ref)
{
    return n > 0 && bsearch(&ref, refs, n, sizeof *refs, compare_refs) != NULL;
}

/* --- started --- */

static void note_started(gather_t *g, holder_t *h, int64_t now_ms)
{
    for (; h->unstarted != FIFO_NONE && has_started(h, &g->tasks[h->unstarted]);
         h->unstarted = g->task_links.next[h->unstarted])
        gather_task_started(g, h->unstarted, now_ms);
}

void gather_worker_started(gather_t *g, uint32_t worker, uint64_t count, int64_t now_ms)
{
    assert(worker < ROSTER_MAX);
    holder_t *h = &g->workers[worker];
    if (count > h->given)
        count = h->given;
    if (count > h->started)
        h->started = count;
    note_started(g, h, now_ms);
}

/* --- coming --- */

/* Whether a ref can be one of ours: what a worker had of another process that was here it will not answer. */
static bool is_ours(const gather_t *g, uint64_t ref)
{
    uint32_t given = ((uint32_t)(ref >> 32) - g->generation_first) & GENERATION_MASK;
    uint32_t latest = (g->generation - g->generation_first) & GENERATION_MASK;
    return given > 0 && given <= latest && gather_ref_number(ref) / LEGS_MAX < g->capacity;
}

/* The number of the task that the ref names, or UINT32_MAX when its slot was given to another message since.
 */
static uint32_t task_of(const gather_t *g, uint64_t ref)
{
    uint32_t n = gather_ref_number(ref);
    const entry_t *e = &g->entries[n / LEGS_MAX];
    return e->state != ENTRY_FREE && e->generation == ref >> 32 ? n : UINT32_MAX;
}

/* He has this one from before. False: there is no room to note it. */
static bool has_still(gather_t *g, uint32_t worker, uint64_t ref, const giving_t *of)
{
    uint32_t task = task_of(g, ref), lost = gather_stray_find(g, LOST_WORKER, ref);
    if (task != UINT32_MAX && g->tasks[task].state != TASK_RUNNING)
        g->tasks[task].avoid = (uint16_t)(worker + 1);
    return lost != UINT32_MAX ? gather_stray_move(g, lost, worker)
                              : gather_stray_add(g, worker, ref, task, of);
}

uint32_t gather_worker_joined(gather_t *g, uint32_t worker, const char *label, const uint64_t *refs, size_t n,
                              int64_t now_ms)
{
    assert(worker < ROSTER_MAX && strlen(label) <= LABEL_BYTES_MAX);
    holder_t *h = &g->workers[worker];
    uint32_t count = 0;
    assert(h->running.count == 0 && h->strays.count == 0);
    gather_answers_drop(g, worker);
    h->given = h->started = 0;
    h->who = gather_who_joined(g, label);
    const giving_t of = {h->who, now_ms};
    for (size_t i = 0; i < n; i++) {
        if (!is_ours(g, refs[i]))
            continue;
        if (!has_still(g, worker, refs[i], &of))
            break;
        count++;
    }
    return count;
}

void gather_worker_welcomed(gather_t *g, uint32_t worker, int64_t now_ms)
{
    assert(worker < ROSTER_MAX);
    holder_t *h = &g->workers[worker];
    h->given = h->started = 0;
    for (uint32_t n = h->running.first; n != FIFO_NONE; n = g->task_links.next[n])
        g->tasks[n].order = 0;
    note_started(g, h, now_ms);
}

uint32_t gather_worker_holds(gather_t *g, uint32_t worker, uint64_t *refs, size_t n, int64_t now_ms)
{
    const holder_t *h = &g->workers[worker];
    uint32_t count = 0, before, after;
    gather_worker_welcomed(g, worker, now_ms);
    if (n > 0)
        qsort(refs, n, sizeof *refs, compare_refs);
    for (uint32_t stray = h->strays.first; stray != FIFO_NONE; stray = after) {
        after = g->stray_links.next[stray];
        if (has_ref(refs, n, g->strays[stray].ref))
            continue;
        gather_stray_remove(g, stray);
        count++;
    }
    for (uint32_t task = h->running.last; task != FIFO_NONE; task = before) {
        before = g->task_links.prev[task];
        if (has_ref(refs, n, gather_ref(g, task)))
            continue;
        gather_take_back(g, task, false, false, now_ms);
        count++;
    }
    return count;
}

/* --- going --- */

/* A suspect that was at work is what the worker was lost by, more likely than what ran beside it. */
static bool suspect_has_started(const gather_t *g, const holder_t *h)
{
    if (h->suspects == 0)
        return false;
    for (uint32_t n = h->running.first; n != FIFO_NONE; n = g->task_links.next[n])
        if (class_of(&g->tasks[n]) != CLASS_NORMAL && has_started(h, &g->tasks[n]))
            return true;
    return false;
}

/* Should he come back, it is known what his tasks were, whatever has become of their messages. */
static void remember_strays(gather_t *g, const holder_t *h)
{
    uint32_t after;
    for (uint32_t stray = h->strays.first; stray != FIFO_NONE; stray = after) {
        after = g->stray_links.next[stray];
        gather_stray_move(g, stray, LOST_WORKER);
    }
}

static void remember_task(gather_t *g, uint32_t n)
{
    const giving_t of = {g->tasks[n].who, g->tasks[n].since_ms};
    gather_stray_add(g, LOST_WORKER, gather_ref(g, n), n, &of);
}

uint32_t gather_worker_gone(gather_t *g, uint32_t worker, bool lost, int64_t now_ms)
{
    assert(worker < ROSTER_MAX);
    holder_t *h = &g->workers[worker];
    uint32_t count = h->strays.count + h->running.count;
    bool suspects_only = lost && suspect_has_started(g, h);
    if (lost)
        remember_strays(g, h);
    while (h->strays.first != FIFO_NONE)
        gather_stray_remove(g, h->strays.first);
    /* From the last, as each goes before the others in its queue: they keep their order. */
    while (h->running.last != FIFO_NONE) {
        const task_t *t = &g->tasks[h->running.last];
        if (lost)
            remember_task(g, h->running.last);
        bool at_work = lost && has_started(h, t);
        bool costs_try = at_work && (!suspects_only || class_of(t) != CLASS_NORMAL);
        gather_take_back(g, h->running.last, at_work, costs_try, now_ms);
    }
    gather_answers_drop(g, worker);
    h->who = 0;
    return count;
}

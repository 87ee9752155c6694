/* The workers of the gather: who has which tasks, and what becomes of these when he goes or comes back. */
#include "common/core/gather_internal.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

void gather_worker_joined(gather_t *g, uint32_t worker, const char *label)
{
    assert(worker < ROSTER_MAX && strlen(label) <= LABEL_BYTES_MAX);
    gather_who_joined(g, worker, label);
}

uint32_t gather_worker_gone(gather_t *g, uint32_t worker, bool costs_try, int64_t now_ms)
{
    assert(worker < ROSTER_MAX);
    uint32_t count = 0;
    /* From the last, as each goes before the others in its queue: they keep their order. */
    for (; g->running[worker].last != FIFO_NONE; count++)
        gather_take_back(g, g->running[worker].last, costs_try, now_ms);
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
        uint64_t ref = gather_ref(g, task);
        if (n > 0 && bsearch(&ref, refs, n, sizeof *refs, compare_refs) != NULL)
            continue;
        gather_take_back(g, task, false, 0);
        count++;
    }
    return count;
}

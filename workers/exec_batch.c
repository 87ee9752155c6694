/* The batch executor: one call of run_batch() a turn, with all that is queued up to --batch. Nothing waits
 * for a batch to fill; while one is at work the next one queues up in the sockets. A batch cannot be
 * cancelled: the kind looks at deadlines itself, where it can. */
#include "workers/executor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int batch_open(exec_t *e, char *why)
{
    e->state = calloc(e->slots, sizeof(worker_task_t));
    if (e->state != NULL)
        return 0;
    snprintf(why, WHY_BYTES, "no memory for a batch of %u tasks", e->slots);
    return -ENOMEM;
}

static int batch_run(exec_t *e)
{
    worker_task_t *tasks = e->state;
    const uint32_t n = executor_begin(e, e->slots);
    for (uint32_t i = 0; i < n; i++)
        tasks[i] = executor_pop(e)->task;
    return n == 0 ? 0 : e->kind->run_batch(e->self, tasks, n, e->sink);
}

static int64_t batch_next_ms(const exec_t *e)
{
    return e->queue_count > 0 ? e->loop->now_ms : INT64_MAX;
}

static bool batch_close(exec_t *e)
{
    free(e->state);
    e->state = NULL;
    return true;
}

const executor_ops_t exec_batch = {batch_open, batch_run, batch_next_ms, batch_close, NULL, NULL};

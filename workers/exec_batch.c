/* The batch executor: one call of run_batch() a turn, with all that is queued up to --batch. Nothing waits
 * for a batch to fill; while one is at work the next one queues up, here or in the sockets. A batch cannot be
 * cancelled: the kind looks at deadlines itself, where it can.
 *
 * A kind with go_on() has its batch at work while the loop turns, so that nobody waits for a server that
 * takes its time but those whose tasks it has. */
#include "workers/executor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    exec_wait_t wait; /* of a kind with go_on() */
    worker_task_t tasks[];
} batch_state_t;

static int batch_open(exec_t *e, char *why)
{
    batch_state_t *s = calloc(1, sizeof *s + e->slots * sizeof s->tasks[0]);
    if (s == NULL) {
        snprintf(why, WHY_BYTES, "no memory for a batch of %u tasks", e->slots);
        return -ENOMEM;
    }
    executor_wait_init(&s->wait);
    e->state = s;
    return 0;
}

static int begin_batch(exec_t *e)
{
    batch_state_t *s = e->state;
    const uint32_t n = executor_begin(e, e->slots);
    for (uint32_t i = 0; i < n; i++)
        s->tasks[i] = executor_pop(e)->task;
    return n == 0 ? 0 : e->kind->run_batch(e->self, s->tasks, n, e->sink);
}

static int batch_run(exec_t *e)
{
    batch_state_t *s = e->state;
    if (e->kind->go_on == NULL)
        return begin_batch(e);
    int result = e->kind->go_on(e->self, e->loop->now_ms, e->sink);
    /* What comes while the kind takes nothing is for it to give back. */
    if (result >= 0 && executor_running(e) == 0 && e->queue_count > 0)
        result = begin_batch(e);
    const int error = result >= 0 ? executor_watch(e, &s->wait) : result;
    return error < 0 ? error : result;
}

static int64_t batch_next_ms(const exec_t *e)
{
    const batch_state_t *s = e->state;
    if (e->queue_count > 0 && executor_running(e) == 0)
        return e->loop->now_ms;
    return e->kind->go_on != NULL ? s->wait.wait.due_ms : INT64_MAX;
}

static bool batch_close(exec_t *e)
{
    batch_state_t *s = e->state;
    if (s != NULL)
        executor_wait_done(e, &s->wait);
    free(s);
    e->state = NULL;
    return true;
}

const executor_ops_t exec_batch = {batch_open, batch_run, batch_next_ms, batch_close, NULL, NULL, NULL};

#include "workers/executor.h"

#include "common/runtime/clock.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { QUEUE_MIN = 1024 };

int executor_open(exec_t *e, char *why)
{
    static const executor_ops_t *const ops[] = {
        [EXECUTOR_BATCH] = &exec_batch,
        [EXECUTOR_LOOP] = &exec_loop,
        [EXECUTOR_THREADS] = &exec_threads,
    };
    e->ops = ops[e->kind->executor];
    return e->ops->open(e, why);
}

bool executor_close(exec_t *e)
{
    const bool idle = e->ops == NULL || e->ops->close(e);
    free(e->queue);
    e->queue = NULL;
    e->queue_capacity = e->queue_first = e->queue_count = 0;
    return idle;
}

static int grow(exec_t *e)
{
    const uint32_t capacity = e->queue_capacity == 0 ? QUEUE_MIN : e->queue_capacity * 2;
    uint32_t *queue = malloc(capacity * sizeof *queue);
    if (queue == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < e->queue_count; i++)
        queue[i] = e->queue[(e->queue_first + i) & (e->queue_capacity - 1)];
    free(e->queue);
    e->queue = queue;
    e->queue_capacity = capacity;
    e->queue_first = 0;
    return 0;
}

int executor_queue(exec_t *e, uint32_t number)
{
    if (e->queue_count == e->queue_capacity && grow(e) != 0)
        return -ENOMEM;
    e->queue[(e->queue_first + e->queue_count++) & (e->queue_capacity - 1)] = number;
    return 0;
}

static held_task_t *queued(const exec_t *e, uint32_t i)
{
    return held_at(e->tasks, e->queue[(e->queue_first + i) & (e->queue_capacity - 1)]);
}

uint32_t executor_begin(exec_t *e, uint32_t n)
{
    const int64_t now_ms = e->loop->now_ms;
    if (n > e->queue_count)
        n = e->queue_count;
    for (uint32_t i = 0; i < n; i++) {
        held_task_t *h = queued(e, i);
        h->begun_ms = now_ms;
        h->task.deadline_ms = h->limit_ms > 0 ? now_ms + h->limit_ms : INT64_MAX;
        runtime_begun(e->sink, h);
    }
    if (n > 0)
        runtime_tell_begun(e->sink);
    return n;
}

held_task_t *executor_pop(exec_t *e)
{
    assert(e->queue_count > 0);
    held_task_t *h = queued(e, 0);
    e->queue_first = (e->queue_first + 1) & (e->queue_capacity - 1);
    e->queue_count--;
    return h;
}

void executor_sift(exec_t *e, bool (*unwanted)(const worker_sink_t *sink, const held_task_t *h))
{
    for (uint32_t left = e->queue_count; left > 0; left--) {
        const uint32_t number = executor_pop(e)->task.number;
        if (unwanted(e->sink, held_at(e->tasks, number)))
            held_remove(e->tasks, number);
        else
            (void)executor_queue(e, number); /* there is room: it comes from there */
    }
}

uint32_t executor_running(const exec_t *e)
{
    return e->tasks->count - e->queue_count;
}

void executor_wait_init(exec_wait_t *w)
{
    *w = (exec_wait_t){.wait = {.fd = -1, .due_ms = 0}, .item = -1};
}

int executor_watch(const exec_t *e, exec_wait_t *w)
{
    const int fd = w->wait.fd;
    e->kind->await(e->self, &w->wait);
    if (w->wait.fd != fd) {
        loop_remove(e->loop, w->item);
        w->item = w->wait.fd >= 0 ? loop_add_fd(e->loop, w->wait.fd) : -1;
        if (w->wait.fd >= 0 && w->item < 0)
            return w->item;
    }
    loop_watch_writes(e->loop, w->item, w->wait.writes);
    return 0;
}

void executor_wait_done(const exec_t *e, exec_wait_t *w)
{
    loop_remove(e->loop, w->item);
    w->item = -1;
}

bool worker_cancelled(const worker_task_t *task)
{
    return task->deadline_ms != INT64_MAX && clock_ms() >= task->deadline_ms;
}

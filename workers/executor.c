#include "workers/executor.h"

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

held_task_t *executor_pop(exec_t *e)
{
    assert(e->queue_count > 0);
    const uint32_t number = e->queue[e->queue_first];
    e->queue_first = (e->queue_first + 1) & (e->queue_capacity - 1);
    e->queue_count--;
    return held_at(e->tasks, number);
}

uint32_t executor_running(const exec_t *e)
{
    return e->tasks->count - e->queue_count;
}

/* The loop executor: thousands of tasks at once in the thread of the loop. start() begins each, poll() ends
 * those that are due. */
#include "workers/executor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int64_t due_ms; /* as poll() said last */
} loop_state_t;

static int loop_open(exec_t *e, char *why)
{
    loop_state_t *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    s->due_ms = INT64_MAX;
    e->state = s;
    return 0;
}

static int loop_run(exec_t *e)
{
    loop_state_t *s = e->state;
    /* Each ends at once in some kinds; then the next one may begin, and the queue bounds the turn. */
    while (e->queue_count > 0 && executor_running(e) < e->slots) {
        const held_task_t *h = executor_pop(e);
        e->kind->start(e->self, &h->task, e->loop->now_ms, e->sink);
    }
    s->due_ms = e->kind->poll(e->self, e->loop->now_ms, e->sink);
    return 0;
}

static int64_t loop_next_ms(const exec_t *e)
{
    const loop_state_t *s = e->state;
    /* poll() has just made room. */
    if (e->queue_count > 0 && executor_running(e) < e->slots)
        return e->loop->now_ms;
    return s->due_ms;
}

static bool loop_close(exec_t *e)
{
    free(e->state);
    e->state = NULL;
    return true;
}

const executor_ops_t exec_loop = {loop_open, loop_run, loop_next_ms, loop_close};

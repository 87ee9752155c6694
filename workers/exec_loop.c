/* The loop executor: thousands of tasks at once in the thread of the loop. start() begins each, poll() ends
 * those that are due, cancel() those whose time is over. */
#include "workers/executor.h"
#include "workers/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int64_t due_ms;  /* as poll() said last */
    limits_t limits; /* of what is at work, when the kind can cancel */
} loop_state_t;

static int loop_open(exec_t *e, char *why)
{
    loop_state_t *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    s->due_ms = INT64_MAX;
    limits_init(&s->limits);
    e->state = s;
    return 0;
}

static void start(exec_t *e, loop_state_t *s, const held_task_t *h)
{
    e->kind->start(e->self, &h->task, e->loop->now_ms, e->sink);
    /* Some end at once. What there is no memory for runs without a limit: the consumer has one of its own. */
    if (h->used && h->limit_ms > 0 && e->kind->cancel != NULL)
        (void)limits_add(&s->limits, h->task.number, h->task.deadline_ms);
}

/* Whether there was any. */
static bool cancel_overdue(exec_t *e, loop_state_t *s)
{
    bool any = false;
    while (limits_first_ms(&s->limits) <= e->loop->now_ms) {
        const uint32_t number = limits_first(&s->limits);
        limits_remove(&s->limits, number);
        e->kind->cancel(e->self, number, e->sink);
        any = true;
    }
    return any;
}

static int loop_run(exec_t *e)
{
    loop_state_t *s = e->state;
    uint32_t n;
    /* Each ends at once in some kinds; then the next ones may begin, and the queue bounds the turn. */
    while (executor_running(e) < e->slots && (n = executor_begin(e, e->slots - executor_running(e))) > 0)
        for (; n > 0; n--)
            start(e, s, executor_pop(e));
    s->due_ms = e->kind->poll(e->self, e->loop->now_ms, e->sink);
    /* After poll(): what has ended in time is not cancelled. */
    if (cancel_overdue(e, s))
        s->due_ms = e->kind->poll(e->self, e->loop->now_ms, e->sink);
    return 0;
}

static int64_t loop_next_ms(const exec_t *e)
{
    const loop_state_t *s = e->state;
    /* poll() has just made room. */
    if (e->queue_count > 0 && executor_running(e) < e->slots)
        return e->loop->now_ms;
    const int64_t limit_ms = limits_first_ms(&s->limits);
    return limit_ms < s->due_ms ? limit_ms : s->due_ms;
}

static void loop_ended(exec_t *e, uint32_t number)
{
    loop_state_t *s = e->state;
    limits_remove(&s->limits, number);
}

static bool loop_close(exec_t *e)
{
    loop_state_t *s = e->state;
    if (s != NULL)
        limits_done(&s->limits);
    free(s);
    e->state = NULL;
    return true;
}

static void loop_cancel(exec_t *e, uint32_t number)
{
    loop_state_t *s = e->state;
    if (e->kind->cancel == NULL)
        return;
    limits_remove(&s->limits, number);
    e->kind->cancel(e->self, number, e->sink);
    s->due_ms = e->loop->now_ms; /* poll() knows */
}

const executor_ops_t exec_loop = {loop_open, loop_run, loop_next_ms, loop_close, loop_ended, loop_cancel};

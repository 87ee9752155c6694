/* The loop executor: thousands of tasks at once in the thread of the loop. start() begins each, poll() ends
 * those that are due, go_on() those whose news have come, cancel() those whose time is over. */
#include "workers/executor.h"
#include "workers/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    int64_t due_ms;   /* as poll() or await() said last */
    exec_wait_t wait; /* of a kind with go_on() */
    limits_t limits;  /* of what is at work, when the kind can cancel */
} loop_state_t;

static int loop_open(exec_t *e, char *why)
{
    loop_state_t *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(why, WHY_BYTES, "no memory");
        return -ENOMEM;
    }
    executor_wait_init(&s->wait);
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

/* 0, how many ms nothing will be taken, or -errno. */
static int end_due(exec_t *e, loop_state_t *s)
{
    if (e->kind->go_on == NULL) {
        s->due_ms = e->kind->poll(e->self, e->loop->now_ms, e->sink);
        return 0;
    }
    const int result = e->kind->go_on(e->self, e->loop->now_ms, e->sink);
    const int error = result >= 0 ? executor_watch(e, &s->wait) : result;
    s->due_ms = s->wait.wait.due_ms;
    return error < 0 ? error : result;
}

static int loop_run(exec_t *e)
{
    loop_state_t *s = e->state;
    uint32_t n;
    /* Each ends at once in some kinds; then the next ones may begin, and the queue bounds the turn. */
    while (executor_running(e) < e->slots && (n = executor_begin(e, e->slots - executor_running(e))) > 0)
        for (; n > 0; n--)
            start(e, s, executor_pop(e));
    int result = end_due(e, s);
    /* After that: what has ended in time is not cancelled. */
    if (result >= 0 && cancel_overdue(e, s))
        result = end_due(e, s);
    return result;
}

static int64_t loop_next_ms(const exec_t *e)
{
    const loop_state_t *s = e->state;
    /* What has just ended made room. */
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
    if (s != NULL) {
        executor_wait_done(e, &s->wait);
        limits_done(&s->limits);
    }
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
    s->due_ms = e->loop->now_ms; /* the kind knows */
}

static void loop_granted(exec_t *e, uint32_t number, bool granted)
{
    loop_state_t *s = e->state;
    if (e->kind->granted == NULL)
        return;
    e->kind->granted(e->self, number, granted, e->sink);
    s->due_ms = e->loop->now_ms; /* as above */
}

const executor_ops_t exec_loop = {loop_open,  loop_run,    loop_next_ms, loop_close,
                                  loop_ended, loop_cancel, loop_granted};

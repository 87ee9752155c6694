/* What consumers say and are told: HELLO and its window, TASKS, seen numbers; what has been started, NOTES
 * and RESULTS going back. */
#include "common/runtime/announce.h"
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include "workers/runtime_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A consumer that gives more than its window gets the rest back, and this long to think. */
enum { OVER_WINDOW_MS = 1000 };

/* --- the window --- */

/* What each of `n` connected consumers may have with us. */
static uint32_t share(const runtime_t *rt, uint32_t n)
{
    if (rt->draining || rt->loop.now_ms < rt->paused_until_ms)
        return 0;
    const uint32_t part = rt->options.window / (n > 0 ? n : 1);
    return part > 0 ? part : 1;
}

void intake_windows(runtime_t *rt)
{
    const uint32_t window = share(rt, rt->up);
    buffer_t frame;
    buffer_init(&frame);
    for (uint32_t n = 0; n < DIALS_MAX; n++) {
        consumer_t *c = &rt->consumers[n];
        if (!c->up || c->window == window)
            continue;
        buffer_clear(&frame);
        encode_window(&frame, window);
        /* What cannot be sent now is tried again in the next turn. */
        if (dialer_send(rt->dialer, n, &frame) == 0)
            c->window = window;
    }
    buffer_done(&frame);
}

/* --- results --- */

bool intake_flush(runtime_t *rt)
{
    bool left = false;
    for (uint32_t n = 0; n < DIALS_MAX; n++) {
        consumer_t *c = &rt->consumers[n];
        const buffer_t *frame;
        replies_close(&c->replies);
        if (c->up && !notes_send(rt, n)) {
            left = true;
            continue;
        }
        while (c->up && (frame = replies_unsent(&c->replies)) != NULL) {
            if (dialer_send(rt->dialer, n, frame) != 0) {
                left = true;
                break;
            }
            replies_sent(&c->replies);
        }
    }
    return left;
}

/* --- what has been started --- */

/* Tasks begin in the order in which they came, so the place of the last one says it of all before it; those
 * that were refused have their places too. */
void runtime_begun(worker_sink_t *rt, const held_task_t *h)
{
    consumer_t *c = &rt->consumers[h->consumer];
    if (h->generation == c->generation && h->welcomes == c->welcomes)
        c->begun = h->place;
}

void runtime_tell_begun(worker_sink_t *rt)
{
    buffer_t frame;
    buffer_init(&frame);
    for (uint32_t n = 0; n < DIALS_MAX; n++) {
        consumer_t *c = &rt->consumers[n];
        if (!c->up || c->told == c->begun)
            continue;
        buffer_clear(&frame);
        encode_ping(&frame, c->begun);
        /* Where the pipe is full, the next PING tells it. */
        if (dialer_send(rt->dialer, n, &frame) == 0)
            c->told = c->begun;
    }
    buffer_done(&frame);
}

static uint64_t on_count(void *arg, uint32_t dial)
{
    const runtime_t *rt = arg;
    return rt->consumers[dial].begun;
}

/* What is held from before WELCOME does not count. */
static void count_anew(consumer_t *c)
{
    c->welcomes++;
    c->given = c->begun = c->told = 0;
}

static void on_again(void *arg, uint32_t dial)
{
    runtime_t *rt = arg;
    count_anew(&rt->consumers[dial]);
}

/* --- sessions --- */

static uint32_t held_refs(runtime_t *rt, uint32_t dial)
{
    const consumer_t *c = &rt->consumers[dial];
    if (rt->refs == NULL)
        rt->refs = malloc(HELD_MAX * sizeof *rt->refs);
    if (rt->refs == NULL)
        return 0; /* then they are given again: work twice, nothing lost */
    uint32_t count = replies_refs(&c->replies, rt->refs, HELD_MAX);
    for (uint32_t n = held_next(&rt->tasks, HELD_NONE); n != HELD_NONE && count < HELD_MAX;
         n = held_next(&rt->tasks, n)) {
        const held_task_t *h = held_at(&rt->tasks, n);
        if (h->consumer == dial && h->generation == c->generation)
            rt->refs[count++] = h->ref;
    }
    return count;
}

static void on_hello(void *arg, uint32_t dial, hello_t *h, const uint64_t **ret_held)
{
    runtime_t *rt = arg;
    consumer_t *c = &rt->consumers[dial];
    replies_close(&c->replies);
    h->window = c->window = share(rt, rt->up + 1);
    h->held_count = held_refs(rt, dial);
    *ret_held = rt->refs;
}

/* The consumer has said goodbye, or another process stands where it was: nobody wants the tasks and results
 * of the last one. */
static void forget(runtime_t *rt, uint32_t dial)
{
    consumer_t *c = &rt->consumers[dial];
    if (c->held > 0)
        log_info("%u tasks are of a consumer that is gone", c->held);
    c->generation++;
    c->held = 0;
    replies_forget(&c->replies);
    notes_forget(rt, dial);
}

static void on_up(void *arg, uint32_t dial, const welcome_t *w, bool other_server)
{
    (void)w;
    runtime_t *rt = arg;
    consumer_t *c = &rt->consumers[dial];
    if (other_server)
        forget(rt, dial);
    replies_again(&c->replies);
    count_anew(c);
    c->up = true;
    rt->up++;
    if (rt->announced)
        return;
    rt->announced = true;
    const char *const pairs[] = {"ready", "1", NULL};
    const int error = announce_write(rt->options.announce, pairs);
    if (error != 0)
        log_error("cannot write %s: %s", rt->options.announce, strerror(-error));
    notify_ready();
}

static void on_down(void *arg, uint32_t dial)
{
    runtime_t *rt = arg;
    rt->consumers[dial].up = false;
    rt->up--;
}

static void on_gone(void *arg, uint32_t dial)
{
    forget(arg, dial);
}

static bool is_ownerless(const worker_sink_t *rt, const held_task_t *h)
{
    return h->generation != rt->consumers[h->consumer].generation;
}

/* Its tasks go to others at this moment: what is not done yet must not be done here, too. Those of a consumer
 * that was killed run to their end. */
static void on_bye(void *arg, uint32_t dial)
{
    runtime_t *rt = arg;
    forget(rt, dial);
    executor_sift(&rt->executor, is_ownerless);
    if (rt->executor.ops->cancel == NULL)
        return;
    for (uint32_t n = held_next(&rt->tasks, HELD_NONE); n != HELD_NONE; n = held_next(&rt->tasks, n)) {
        const held_task_t *h = held_at(&rt->tasks, n);
        if (h->consumer == dial && is_ownerless(rt, h))
            rt->executor.ops->cancel(&rt->executor, n);
    }
}

/* --- tasks --- */

static void take_task(runtime_t *rt, uint32_t dial, const task_record_t *record, int64_t limit_ms)
{
    consumer_t *c = &rt->consumers[dial];
    rt->taken++;
    c->given++;
    if (c->held >= rt->options.window) {
        rt->over_window++;
        sink_refuse(rt, c, record, OUTCOME_BLOCKED, OVER_WINDOW_MS, "more tasks than the window allows");
        return;
    }
    held_task_t *h = held_add(&rt->tasks, record);
    if (h == NULL) {
        sink_refuse(rt, c, record, OUTCOME_BLOCKED, OVER_WINDOW_MS, "the worker is out of memory");
        return;
    }
    const uint32_t number = h->task.number;
    if (body_parse(h->bytes, h->len, &h->task.body) != 0) {
        rt->bad_bodies++;
        held_remove(&rt->tasks, number);
        sink_refuse(rt, c, record, OUTCOME_PERMANENT, 0,
                    "the body is not as section 6 of the protocol has it");
        return;
    }
    h->consumer = dial;
    h->generation = c->generation;
    h->welcomes = c->welcomes;
    h->place = c->given;
    h->limit_ms = limit_ms;
    h->taken_ms = rt->loop.now_ms;
    if (executor_queue(&rt->executor, number) != 0) {
        held_remove(&rt->tasks, number);
        sink_refuse(rt, c, record, OUTCOME_BLOCKED, OVER_WINDOW_MS, "the worker is out of memory");
        return;
    }
    c->held++;
}

static int on_frame(void *arg, uint32_t dial, int command, const frame_t *frame)
{
    runtime_t *rt = arg;
    replies_t *replies = &rt->consumers[dial].replies;
    uint64_t seen;
    tasks_t head;
    if (command == CMD_PING) {
        if (decode_ping(frame->data, frame->len, &seen) != 0)
            return -EPROTO;
        replies_seen(replies, seen);
        return 0;
    }
    if (command == CMD_GRANTS)
        return notes_take_grants(rt, dial, frame);
    if (command != CMD_TASKS)
        return -ENOSYS;
    const int n = decode_tasks(frame->data, frame->len, &head, rt->records);
    if (n < 0)
        return n;
    replies_seen(replies, head.seen);
    for (int i = 0; i < n; i++)
        take_task(rt, dial, &rt->records[i], head.limit_ms);
    return 0;
}

const dialer_events_t intake_events = {
    .hello = on_hello,
    .up = on_up,
    .down = on_down,
    .gone = on_gone,
    .frame = on_frame,
    .count = on_count,
    .again = on_again,
    .bye = on_bye,
};

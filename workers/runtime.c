#include "workers/runtime.h"

#include "common/runtime/log.h"
#include "common/runtime/metrics.h"
#include "common/runtime/notify.h"
#include "common/runtime/signals.h"
#include "workers/runtime_internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAMES_A_TURN = 64, /* from each consumer */
    RETRY_MS = 10,      /* a frame that could not be sent */
    LINGER_MS = 1000,   /* for the last results and BYE */
    DUMP_TASKS_MAX = 20,
    ASKS_FIRST = 64,
    /* A commit in the loop's thread is no stall; what keeps PING from its time is. */
    BATCH_STALL_MS = 1000,
};

/* Of a worker that has ended while a thread of it still reads its task: what that needs stays. */
static runtime_t *volatile left_to_thread;

/* --- what people are told --- */

/* Those that came first, which is not the order of the table. Returns how many. */
static uint32_t find_oldest(const runtime_t *rt, const held_task_t *ret[static DUMP_TASKS_MAX])
{
    uint32_t count = 0;
    for (uint32_t n = held_next(&rt->tasks, HELD_NONE); n != HELD_NONE; n = held_next(&rt->tasks, n)) {
        const held_task_t *h = held_at(&rt->tasks, n);
        uint32_t at = count;
        while (at > 0 && ret[at - 1]->taken_ms > h->taken_ms)
            at--;
        if (at == DUMP_TASKS_MAX)
            continue;
        count += count < DUMP_TASKS_MAX;
        memmove(&ret[at + 1], &ret[at], (count - at - 1) * sizeof ret[0]);
        ret[at] = h;
    }
    return count;
}

static void dump(const runtime_t *rt)
{
    const held_task_t *oldest[DUMP_TASKS_MAX];
    const uint32_t count = find_oldest(rt, oldest);
    log_info("in flight: %u tasks, %u of them queued; %u consumers, %" PRIu64 " stalls", rt->tasks.count,
             rt->executor.queue_count, rt->up, rt->loop.stalls);
    for (uint32_t i = 0; i < count; i++) {
        const held_task_t *h = oldest[i];
        const bool queued = h->begun_ms == 0;
        char id[MESSAGE_ID_TEXT];
        message_id_format(h->task.id, id);
        log_info("  %s %.*s try %u, %s for %" PRId64 " ms", id, (int)h->task.body.host_len, h->task.body.host,
                 h->task.try_no, queued ? "queued" : "at work",
                 rt->loop.now_ms - (queued ? h->taken_ms : h->begun_ms));
    }
    if (rt->tasks.count > count)
        log_info("  and %u more", rt->tasks.count - count);
}

static void fill_report(const runtime_t *rt, metrics_t *m)
{
    dialer_counts_t frames;
    dialer_counts(rt->dialer, &frames);
    metrics_init(m);
    metrics_text(m, "worker", "role");
    metrics_text(m, rt->options.kind->name, "kind");
    metrics_text(m, rt->options.kind->leg, "leg");
    metrics_int(m, (int64_t)rt->taken, "tasks");
    metrics_int(m, (int64_t)rt->outcomes[OUTCOME_OK], "ok");
    metrics_int(m, (int64_t)rt->outcomes[OUTCOME_TRANSIENT], "transient");
    metrics_int(m, (int64_t)rt->outcomes[OUTCOME_PERMANENT], "permanent");
    metrics_int(m, (int64_t)rt->outcomes[OUTCOME_BLOCKED], "blocked");
    metrics_int(m, (int64_t)rt->outcomes[OUTCOME_UNKNOWN], "unknown");
    metrics_int(m, (int64_t)rt->notes, "notes");
    metrics_int(m, (int64_t)rt->granted, "granted");
    metrics_int(m, (int64_t)rt->bad_bodies, "bad_bodies");
    metrics_int(m, (int64_t)rt->over_window, "over_window");
    metrics_int(m, (int64_t)(frames.malformed + frames.unknown + frames.wires.refused_parts), "refused");
}

static void report(const runtime_t *rt)
{
    static metrics_t m;
    fill_report(rt, &m);
    if (strcmp(rt->options.report, "json") == 0) {
        char *json = metrics_json(&m);
        if (json != NULL)
            printf("%s\n", json);
        free(json);
        fflush(stdout);
    } else if (strcmp(rt->options.report, "text") == 0) {
        log_info("%" PRIu64 " tasks: %" PRIu64 " ok, %" PRIu64 " transient, %" PRIu64 " permanent, %" PRIu64
                 " blocked, %" PRIu64 " unknown",
                 rt->taken, rt->outcomes[OUTCOME_OK], rt->outcomes[OUTCOME_TRANSIENT],
                 rt->outcomes[OUTCOME_PERMANENT], rt->outcomes[OUTCOME_BLOCKED],
                 rt->outcomes[OUTCOME_UNKNOWN]);
    }
}

/* For the service manager: what a worker is at, and why it is not ready. */
static void notify_manager(const runtime_t *rt)
{
    if (!notify_status_due(rt->loop.now_ms))
        return;
    if (!rt->announced)
        notify_status("waiting for a consumer");
    else
        notify_status("%s%u tasks in hand, %u consumers connected; %" PRIu64 " done, %" PRIu64 " failed",
                      rt->draining ? "draining: " : "", rt->tasks.count, rt->up, rt->outcomes[OUTCOME_OK],
                      rt->outcomes[OUTCOME_TRANSIENT] + rt->outcomes[OUTCOME_PERMANENT] +
                          rt->outcomes[OUTCOME_UNKNOWN]);
}

/* Alive is what works: also without a consumer, or with its store away, where a restart would mend nothing.
 */
static void show_life(runtime_t *rt)
{
    char state[HEALTH_STATE_MAX];
    if (rt->loop.now_ms < health_next_ms(&rt->health))
        return;
    if (rt->draining)
        snprintf(state, sizeof state, "draining, %u tasks in hand", rt->tasks.count);
    else if (rt->up == 0)
        snprintf(state, sizeof state, "waits for a consumer");
    else if (rt->paused_until_ms > rt->loop.now_ms)
        snprintf(state, sizeof state, "waits for what it works on");
    else
        snprintf(state, sizeof state, "works for %u consumers, %u tasks in hand", rt->up, rt->tasks.count);
    health_tell(&rt->health, rt->loop.now_ms, state);
}

/* --- the loop --- */

/* Tasks whose result can still be told: the consumers of the others are gone for good. */
static uint32_t wanted(const runtime_t *rt)
{
    uint32_t sum = 0;
    for (uint32_t n = 0; n < DIALS_MAX; n++)
        sum += rt->consumers[n].held;
    return sum;
}

/* False: stop at once. */
static bool take_signals(runtime_t *rt)
{
    for (;;) {
        switch (signals_read(rt->signals)) {
        case SIGNALS_NONE:
            return true;
        case SIGNALS_STOP:
            log_info("draining: %u tasks in flight", rt->tasks.count);
            notify_stopping(rt->options.drain_ms);
            rt->draining = true;
            rt->drain_until_ms = rt->loop.now_ms + rt->options.drain_ms;
            break;
        case SIGNALS_STOP_NOW:
            log_warn("stopped at once: %u given back", wanted(rt));
            return false;
        case SIGNALS_DUMP:
            dump(rt);
            break;
        case SIGNALS_RELOAD:
            notify_reloading();
            if (rt->options.reload != NULL)
                rt->options.reload(rt->options.reload_arg, &rt->options);
            notify_reloaded();
            break;
        case SIGNALS_CHILD:
            break;
        }
    }
}

static int64_t next_due_ms(const runtime_t *rt, bool unsent)
{
    const int64_t due[] = {
        dialer_next_ms(rt->dialer),
        health_next_ms(&rt->health),
        rt->executor.ops->next_ms(&rt->executor),
        rt->draining ? rt->drain_until_ms : INT64_MAX,
        rt->paused_until_ms > rt->loop.now_ms ? rt->paused_until_ms : INT64_MAX,
        unsent ? rt->loop.now_ms + RETRY_MS : INT64_MAX,
    };
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < sizeof due / sizeof due[0]; i++)
        first = due[i] < first ? due[i] : first;
    return first;
}

/* Whether a drain has ended: nothing is left, or no time. */
static bool is_drained(const runtime_t *rt, bool unsent)
{
    if (!rt->draining)
        return false;
    const uint32_t left = wanted(rt);
    if ((left > 0 || unsent) && rt->loop.now_ms < rt->drain_until_ms)
        return false;
    log_info("drained: %" PRIu64 " finished, %u given back", rt->drained, left);
    if (rt->tasks.count > left)
        log_info("%u tasks are dropped: their consumer is gone", rt->tasks.count - left);
    return true;
}

static void run_tasks(runtime_t *rt)
{
    const int result = rt->executor.ops->run(&rt->executor);
    if (result > 0)
        rt->paused_until_ms = rt->loop.now_ms + result;
    else if (result == 0 && rt->options.kind->go_on != NULL)
        rt->paused_until_ms = 0;
    if (result < 0 && rt->failed == 0)
        rt->failed = result;
}

/* Returns the exit code. */
static int work(runtime_t *rt)
{
    bool unsent = false;
    for (;;) {
        const int error = loop_wait(&rt->loop, next_due_ms(rt, unsent));
        if (error != 0) {
            log_error("cannot wait for sockets: %s", strerror(-error));
            return EXIT_FAILURE;
        }
        if (loop_ready(&rt->loop, rt->signals_item) && !take_signals(rt))
            return wanted(rt) > 0 || unsent ? EXIT_FAILURE : EXIT_SUCCESS;
        dialer_receive(rt->dialer, FRAMES_A_TURN);
        run_tasks(rt);
        unsent = intake_flush(rt);
        if (rt->failed != 0) {
            log_error("the worker cannot go on: %s", strerror(-rt->failed));
            return EXIT_FAILURE;
        }
        intake_windows(rt);
        dialer_tick(rt->dialer);
        notify_manager(rt);
        show_life(rt);
        if (is_drained(rt, unsent))
            return EXIT_SUCCESS;
    }
}

static int open_all(runtime_t *rt, char *why)
{
    const runtime_options_t *o = &rt->options;
    loop_init(&rt->loop);
    if (o->kind->executor == EXECUTOR_BATCH && o->kind->go_on == NULL)
        rt->loop.stall_ms = BATCH_STALL_MS;
    rt->signals_item = loop_add_fd(&rt->loop, rt->signals);
    held_init(&rt->tasks);
    for (uint32_t n = 0; n < DIALS_MAX; n++) {
        replies_init(&rt->consumers[n].replies);
        buffer_init(&rt->consumers[n].notes);
    }
    if (index_init(&rt->asks, ASKS_FIRST) != 0)
        return -ENOMEM;
    rt->executor = (exec_t){.kind = o->kind,
                            .self = o->self,
                            .tasks = &rt->tasks,
                            .sink = rt,
                            .loop = &rt->loop,
                            .slots = o->slots};
    int error = health_open(&rt->health, o->health, "worker", rt->loop.now_ms, why);
    if (error == 0)
        error = executor_open(&rt->executor, why);
    if (error != 0)
        return error;
    const dialer_options_t dialer = {.what = "consumer",
                                     .role = ROLE_WORKER,
                                     .kind = o->kind->name,
                                     .leg = o->kind->leg,
                                     .label = o->name,
                                     .endpoints = o->consumers,
                                     .endpoints_count = o->consumers_count};
    dialer_events_t events = intake_events;
    events.arg = rt;
    return dialer_open(&rt->dialer, &dialer, &events, &rt->loop, why);
}

int runtime_run(const runtime_options_t *options, int signals, bool *ret_stuck)
{
    char why[WHY_BYTES] = "no memory";
    int code = EXIT_FAILURE;
    runtime_t *rt = calloc(1, sizeof *rt);
    if (rt != NULL) {
        rt->options = *options;
        rt->signals = signals;
    }
    if (rt == NULL || open_all(rt, why) != 0) {
        log_error("%s", why);
    } else {
        code = work(rt);
        report(rt);
    }
    *ret_stuck = false;
    if (rt == NULL)
        return code;
    dialer_close(&rt->dialer, LINGER_MS);
    health_close(&rt->health);
    *ret_stuck = !executor_close(&rt->executor);
    if (*ret_stuck) {
        left_to_thread = rt;
        return code;
    }
    for (uint32_t n = 0; n < DIALS_MAX; n++) {
        replies_done(&rt->consumers[n].replies);
        buffer_done(&rt->consumers[n].notes);
    }
    index_done(&rt->asks);
    held_done(&rt->tasks);
    free(rt->refs);
    free(rt);
    return code;
}

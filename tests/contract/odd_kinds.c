#include "tests/contract/odd_kinds.h"

#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool named(const worker_task_t *t, const char *begin)
{
    const size_t len = strlen(begin);
    return t->body.instance_len >= len && memcmp(t->body.instance, begin, len) == 0;
}

static void decide(const worker_task_t *t, worker_result_t *ret)
{
    *ret = (worker_result_t){.outcome = OUTCOME_OK};
    if (named(t, "gone")) {
        ret->outcome = OUTCOME_PERMANENT;
        snprintf(ret->text, sizeof ret->text, "it is gone");
    } else if (named(t, "again") || (named(t, "down") && getenv("ODD_DOWN") != NULL)) {
        ret->outcome = OUTCOME_TRANSIENT;
        ret->ms = ODD_WAIT_MS;
    } else if (named(t, "bound")) {
        ret->outcome = OUTCOME_TRANSIENT;
    } else if (named(t, "tells")) {
        ret->outcome = OUTCOME_PERMANENT;
        snprintf(ret->text, sizeof ret->text, "note: %.*s", (int)t->note_len,
                 t->note != NULL ? (const char *)t->note : "");
    } else if (named(t, "later")) {
        ret->outcome = OUTCOME_BLOCKED;
        ret->ms = ODD_WAIT_MS;
    } else if (named(t, "long")) {
        ret->outcome = OUTCOME_PERMANENT;
        memset(ret->text, 'x', TEXT_BYTES_MAX);
        ret->text[TEXT_BYTES_MAX - 1] = '\xc3'; /* the first half of a character */
    }
}

static void give(worker_sink_t *sink, const worker_task_t *t)
{
    worker_result_t r;
    decide(t, &r);
    if (named(t, "twice"))
        worker_ok(sink, t->number);
    if (named(t, "because"))
        worker_ok_because(sink, t->number, "it was done before");
    else if (r.outcome == OUTCOME_OK)
        worker_ok(sink, t->number);
    else
        worker_fail(sink, t->number, r.outcome, r.ms, r.text);
}

static int odd_open(void **ret_self, const config_t *config, bool check, char *why)
{
    (void)config, (void)check, (void)why;
    *ret_self = calloc(1, sizeof(int64_t));
    return *ret_self != NULL ? 0 : -ENOMEM;
}

static void odd_close(void **self)
{
    free(*self);
    *self = NULL;
}

/* How long the task takes. */
static int time_of(const worker_task_t *t)
{
    return named(t, "slow")     ? ODD_SLOW_MS
           : named(t, "parked") ? ODD_PARKED_MS
           : named(t, "hung")   ? ODD_HUNG_MS
                                : 0;
}

static bool ends_when_cancelled(const worker_task_t *t)
{
    return named(t, "bound") || named(t, "nearly");
}

/* What takes its time, in code that just does one thing after the other. */
static void spend_time(const worker_task_t *t)
{
    if (named(t, "poison"))
        abort();
    while (named(t, "stuck") || (ends_when_cancelled(t) && !worker_cancelled(t)))
        poll(NULL, 0, 1);
    poll(NULL, 0, time_of(t));
}

static void thread_run(void *self, const worker_task_t *t, worker_result_t *ret)
{
    (void)self;
    spend_time(t);
    decide(t, ret);
}

static int batch_run(void *self, const worker_task_t *tasks, uint32_t n, worker_sink_t *sink)
{
    bool full = false;
    (void)self;
    for (uint32_t i = 0; i < n; i++) {
        if (named(&tasks[i], "broken")) {
            log_error("the store is broken");
            return -EIO;
        }
        spend_time(&tasks[i]);
        full = full || named(&tasks[i], "full");
    }
    for (uint32_t i = 0; i < n; i++) {
        if (full)
            worker_fail(sink, tasks[i].number, OUTCOME_BLOCKED, ODD_PAUSE_MS, "full");
        else
            give(sink, &tasks[i]);
    }
    return full ? ODD_PAUSE_MS : 0;
}

/* What takes its time, a place each. */
static const worker_task_t *slow[ODD_SLOTS];
static int64_t slow_until_ms[ODD_SLOTS];

static void note(worker_sink_t *sink, const worker_task_t *t, int64_t grant_ms, const char *text)
{
    worker_note(sink, t->number, grant_ms, text, (uint32_t)strlen(text));
}

static bool asks(const worker_task_t *t)
{
    return named(t, "asks");
}

/* What it records when it begins, and for how long it waits for an answer. */
static int64_t begin_noted(const worker_task_t *t, int64_t now_ms, worker_sink_t *sink)
{
    if (asks(t) || named(t, "voids"))
        note(sink, t, ODD_GRANT_MS, "intent");
    if (named(t, "askstwice"))
        note(sink, t, ODD_GRANT_MS, "again");
    if (named(t, "voids"))
        note(sink, t, 0, "");
    return asks(t) ? now_ms + ODD_GRANT_MS : INT64_MAX;
}

static void loop_start(void *self, const worker_task_t *t, int64_t now_ms, worker_sink_t *sink)
{
    (void)self;
    const bool endless = named(t, "stuck") || ends_when_cancelled(t);
    if (named(t, "poison"))
        abort();
    if (named(t, "hasty"))
        note(sink, t, ODD_GRANT_MS, "intent");
    const bool noted = asks(t) || named(t, "voids");
    if (!noted && !endless && time_of(t) == 0) {
        give(sink, t);
        return;
    }
    for (int i = 0; i < ODD_SLOTS; i++) {
        if (slow[i] == NULL) {
            slow[i] = t;
            slow_until_ms[i] = noted     ? begin_noted(t, now_ms, sink)
                               : endless ? INT64_MAX
                                         : now_ms + time_of(t);
            return;
        }
    }
    abort(); /* more tasks than slots */
}

static int64_t loop_poll(void *self, int64_t now_ms, worker_sink_t *sink)
{
    int64_t next_ms = INT64_MAX;
    (void)self;
    for (int i = 0; i < ODD_SLOTS; i++) {
        if (slow[i] == NULL)
            continue;
        if (slow_until_ms[i] <= now_ms && asks(slow[i])) {
            note(sink, slow[i], 0, "");
            worker_fail(sink, slow[i]->number, OUTCOME_BLOCKED, ODD_WAIT_MS, "no grant");
            slow[i] = NULL;
        } else if (slow_until_ms[i] <= now_ms) {
            give(sink, slow[i]);
            slow[i] = NULL;
        } else if (slow_until_ms[i] < next_ms) {
            next_ms = slow_until_ms[i];
        }
    }
    return next_ms;
}

static void loop_cancel(void *self, uint32_t number, worker_sink_t *sink)
{
    (void)self;
    for (int i = 0; i < ODD_SLOTS; i++) {
        if (slow[i] == NULL || slow[i]->number != number || !ends_when_cancelled(slow[i]))
            continue;
        give(sink, slow[i]);
        slow[i] = NULL;
    }
}

static void loop_granted(void *self, uint32_t number, bool granted, worker_sink_t *sink)
{
    (void)self;
    for (int i = 0; i < ODD_SLOTS; i++) {
        if (slow[i] == NULL || slow[i]->number != number)
            continue;
        if (named(slow[i], "voids"))
            abort(); /* it has taken it back */
        log_info("a grant has come");
        if (granted)
            worker_ok_because(sink, number, "granted");
        else
            worker_fail(sink, number, OUTCOME_TRANSIENT, 0, "refused");
        slow[i] = NULL;
        return;
    }
    abort(); /* of a task that is not at work */
}

/* What two of the kinds have. */
static const config_option_t odd_shared[] = {
    {.name = "odd-wait", .type = CONFIG_DURATION, .fallback = "1s", .argument = "TIME", .help = "nothing"},
};

const worker_kind_t odd_threads = {.name = "odd-threads",
                                   .leg = "odd",
                                   .summary = "does what the name says, in threads",
                                   .executor = EXECUTOR_THREADS,
                                   .slots = ODD_SLOTS,
                                   .shared = odd_shared,
                                   .shared_count = 1,
                                   .open = odd_open,
                                   .close = odd_close,
                                   .run = thread_run};
const worker_kind_t odd_batch = {.name = "odd-batch",
                                 .leg = "odd",
                                 .summary = "does what the name says, in batches",
                                 .executor = EXECUTOR_BATCH,
                                 .slots = ODD_BATCH,
                                 .open = odd_open,
                                 .close = odd_close,
                                 .run_batch = batch_run};
const worker_kind_t odd_loop = {.name = "odd-loop",
                                .leg = "odd",
                                .summary = "does what the name says, in the loop",
                                .executor = EXECUTOR_LOOP,
                                .slots = ODD_SLOTS,
                                .shared = odd_shared,
                                .shared_count = 1,
                                .open = odd_open,
                                .close = odd_close,
                                .start = loop_start,
                                .poll = loop_poll,
                                .cancel = loop_cancel,
                                .granted = loop_granted};

const worker_kind_t *const odd_kinds[] = {&odd_threads, &odd_batch, &odd_loop, NULL};

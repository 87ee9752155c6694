/* What both tests of the gather begin with. */
#ifndef MANDRILL_GATHER_FIXTURE_H
#define MANDRILL_GATHER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/gather.h"
#include <errno.h>
#include <string.h>

enum { SAVE, RESTART, BOTH = 3 };
enum { EVERY_MS = 2000, EXTEND_MS = 3000, REPORT_MS = 100, TRIES = 3, HELD = 4, LONG_MS = 1000 };

static inline gather_t *new_gather(void)
{
    gather_limits_t limits = {
        .messages_max = HELD,
        .extend_ms = EXTEND_MS,
        .extend_every_ms = EVERY_MS,
        .report_after_ms = REPORT_MS,
        .release_after_ms = LONG_MS,
        .policy = {.max_tries = TRIES, .backoff = {.base_ms = 200, .factor = 2, .cap_ms = 30000}},
        .seed = 1};
    gather_t *g = gather_new(&limits);
    assert_non_null(g);
    return g;
}

static inline int setup(void **state)
{
    *state = new_gather();
    return 0;
}

static inline int teardown(void **state)
{
    gather_destroy((gather_t **)state);
    return 0;
}

static inline int deliver_from(gather_t *g, uint32_t source, uint64_t seq, uint64_t token, uint8_t legs,
                               int64_t now_ms)
{
    gather_message_t m = {.source = source,
                          .id = {.stream = 900, .seq = seq},
                          .token = token,
                          .legs = legs,
                          .body = "body",
                          .body_len = 4};
    return gather_deliver(g, &m, now_ms);
}

static inline int deliver(gather_t *g, uint64_t seq, uint64_t token, uint8_t legs, int64_t now_ms)
{
    return deliver_from(g, 0, seq, token, legs, now_ms);
}

static inline gather_task_t give(gather_t *g, uint32_t leg, uint32_t worker)
{
    gather_task_t task;
    assert_true(gather_give(g, leg, worker, false, 0, &task));
    assert_int_equal(task.leg, leg);
    return task;
}

/* One that is at work when its worker is lost. */
static inline gather_task_t give_and_start(gather_t *g, uint32_t leg, uint32_t worker)
{
    gather_task_t task = give(g, leg, worker);
    gather_worker_started(g, worker, UINT32_MAX, 0);
    return task;
}

static inline gather_taken_t answer(gather_t *g, uint32_t worker, const gather_task_t *task,
                                    outcome_t outcome, int64_t ms, int64_t now_ms, bool freed)
{
    const char *text = outcome == OUTCOME_OK ? "" : "no such host";
    result_record_t r = {.ref = task->record.ref,
                         .try_no = task->record.try_no,
                         .outcome = outcome,
                         .ms = ms,
                         .text = {text, (uint32_t)strlen(text)}};
    bool ret_freed = !freed;
    message_id_t id = {0};
    gather_taken_t taken = gather_result(g, worker, &r, now_ms, &id, &ret_freed);
    assert_int_equal(ret_freed, freed);
    if (taken != TAKEN_LATE)
        assert_int_equal(id.seq, task->record.id.seq);
    return taken;
}

static inline void ok(gather_t *g, uint32_t worker, const gather_task_t *task, int64_t now_ms)
{
    assert_int_equal(answer(g, worker, task, OUTCOME_OK, 0, now_ms, true), TAKEN_OK);
}

static inline gather_step_t one_step(gather_t *g, uint32_t source, int64_t now_ms)
{
    gather_step_t steps[2];
    assert_int_equal(gather_steps(g, source, now_ms, steps, 2), 1);
    assert_int_equal(steps[0].source, source);
    return steps[0];
}

static inline void no_step(gather_t *g, int64_t now_ms)
{
    gather_step_t step;
    for (uint32_t source = 0; source < 2; source++)
        assert_int_equal(gather_steps(g, source, now_ms, &step, 1), 0);
}

static inline gather_gauges_t gauges(const gather_t *g)
{
    gather_gauges_t ret;
    gather_gauges(g, &ret);
    return ret;
}

/* Nothing held, waiting, at a worker or in backoff. */
static inline void assert_empty(const gather_t *g)
{
    gather_gauges_t now = gauges(g);
    assert_int_equal(now.held, 0);
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        assert_int_equal(now.waiting[leg] + now.running[leg] + now.backing_off[leg], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif

/* The consumer's gather: what it holds is delivered again, or its publisher goes. */
#include "tests/unit/gather_fixture.h"

static void test_redelivered_while_running(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1);
    assert_int_equal(deliver(g, 1, 60, BOTH, 1000), 0);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    assert_int_equal(gather_waiting(g, RESTART), 1);
    assert_int_equal(gauges(g).held, 1);
    assert_true(gather_steps_ms(g, 0) == 1000 + EVERY_MS);
    gather_task_t restart = give(g, RESTART, 1);
    ok(g, 1, &save, 1000);
    ok(g, 1, &restart, 1000);
    assert_int_equal(one_step(g, 0, 1000).token, 60);
}

static void test_an_older_or_equal_token_changes_nothing(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    assert_int_equal(deliver(g, 1, 50, BOTH, 1000), 0);
    assert_int_equal(deliver(g, 1, 49, BOTH, 1000), 0);
    assert_int_equal(gather_waiting(g, RESTART), 0);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    assert_int_equal(step.token, 50);
}

static void test_redelivered_after_its_last_step(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    answer(g, 1, &save, OUTCOME_PERMANENT, 0, 0, true);
    gather_step_t old = one_step(g, 0, 0);
    assert_int_equal(deliver(g, 1, 60, 1, 10), 0);
    /* Reported again under the new token; nothing runs again; the answer to the old step means nothing. */
    assert_int_equal(gather_waiting(g, SAVE), 0);
    assert_false(gather_settled(g, old.slot, old.lease, true, STEP_STALE));
    gather_step_t step = one_step(g, 0, 10);
    assert_int_equal(step.token, 60);
    assert_int_equal(step.bad, 1 << SAVE);
    assert_true(step.text.len > 0);
    assert_true(step.final);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_DEAD));
    assert_empty(g);
}

static void test_redelivered_before_its_last_step_went_out(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    ok(g, 1, &save, 0);
    deliver(g, 1, 60, 1, 10);
    gather_step_t step = one_step(g, 0, 10);
    assert_int_equal(step.token, 60);
    assert_int_equal(step.done, 1 << SAVE);
}

static void test_redelivered_by_another_source(void **state)
{
    gather_t *g = *state;
    deliver_from(g, 0, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1);
    ok(g, 1, &save, 0);
    assert_int_equal(deliver_from(g, 1, 1, 60, BOTH, 10), 0);
    uint64_t held[2];
    assert_int_equal(gather_held(g, 0, held, 2), 0);
    assert_int_equal(gather_held(g, 1, held, 2), 2);
    assert_true(gather_steps_ms(g, 0) == INT64_MAX);
    gather_step_t step = one_step(g, 1, 10 + REPORT_MS);
    assert_int_equal(step.done, 1 << SAVE);
    assert_int_equal(step.token, 60);
}

static void test_redelivery_tells_what_others_have_done(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 7, 0);
    gather_task_t running = give(g, 2, 1);
    deliver(g, 1, 60, 1 << SAVE, 10);
    assert_int_equal(gather_waiting(g, RESTART), 0);
    gather_task_t save = give(g, SAVE, 1);
    ok(g, 1, &save, 20);
    /* Leg 2 is not waited for, and its worker's credit still comes back. */
    gather_step_t step = one_step(g, 0, 20);
    assert_int_equal(step.done, 1 << SAVE);
    assert_true(step.final);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_DONE));
    assert_int_equal(answer(g, 1, &running, OUTCOME_OK, 0, 30, true), TAKEN_LATE);
    assert_empty(g);
}

static void test_redelivery_after_it_was_lost(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    gather_settled(g, step.slot, step.lease, false, STEP_STALE);
    deliver(g, 1, 60, BOTH, EVERY_MS);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    gather_task_t restart = give(g, RESTART, 1);
    ok(g, 1, &save, EVERY_MS);
    assert_int_equal(answer(g, 1, &restart, OUTCOME_TRANSIENT, 0, EVERY_MS, true), TAKEN_RETRY);
    assert_int_equal(gauges(g).backing_off[RESTART], 1);
    step = one_step(g, 0, 2 * EVERY_MS);
    assert_int_equal(step.op, OP_EXTEND);
    assert_int_equal(step.done, 1 << SAVE);
    assert_int_equal(step.token, 60);
}

static void test_what_was_told_is_told_again_when_asked(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1);
    ok(g, 1, &save, 0);
    one_step(g, 0, REPORT_MS);
    deliver(g, 1, 60, BOTH, 200);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    assert_int_equal(one_step(g, 0, 200 + REPORT_MS).done, 1 << SAVE);
}

/* `bad` counts only under its token: what was said under the old one may have been ignored. */
static void test_what_went_badly_is_told_again(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1);
    answer(g, 1, &save, OUTCOME_PERMANENT, 0, 0, true);
    assert_int_equal(one_step(g, 0, REPORT_MS).bad, 1 << SAVE);
    deliver(g, 1, 60, BOTH, 200);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    gather_step_t step = one_step(g, 0, 200 + REPORT_MS);
    assert_int_equal(step.bad, 1 << SAVE);
    assert_int_equal(step.token, 60);
}

static void test_held(void **state)
{
    gather_t *g = *state;
    deliver_from(g, 0, 1, 50, 1, 0);
    deliver_from(g, 1, 2, 50, 1, 0);
    deliver_from(g, 0, 3, 50, 1, 0);
    gather_task_t task = give(g, SAVE, 1);
    ok(g, 1, &task, 0);
    one_step(g, 0, 0); /* under way, and still held */
    uint64_t held[8];
    assert_int_equal(gather_held(g, 0, held, 8), 4);
    assert_int_equal(held[0], 900);
    assert_int_equal(held[1], 1);
    assert_int_equal(held[3], 3);
    assert_int_equal(gather_held(g, 0, held, 3), 2);
}

static void test_source_gone(void **state)
{
    gather_t *g = *state;
    deliver_from(g, 0, 1, 50, BOTH, 0);
    deliver_from(g, 0, 2, 50, 1, 0);
    deliver_from(g, 1, 3, 50, 1, 0);
    gather_task_t running = give(g, SAVE, 1);
    gather_source_gone(g, 0);
    assert_int_equal(gauges(g).held, 1);
    assert_int_equal(gather_waiting(g, SAVE), 1);
    assert_int_equal(gather_waiting(g, RESTART), 0);
    assert_int_equal(answer(g, 1, &running, OUTCOME_OK, 0, 0, true), TAKEN_LATE);
    assert_true(gather_steps_ms(g, 0) == INT64_MAX);
    assert_int_equal(give(g, SAVE, 1).record.id.seq, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_redelivered_while_running),
        TEST(test_an_older_or_equal_token_changes_nothing),
        TEST(test_redelivered_after_its_last_step),
        TEST(test_redelivered_before_its_last_step_went_out),
        TEST(test_redelivered_by_another_source),
        TEST(test_redelivery_tells_what_others_have_done),
        TEST(test_redelivery_after_it_was_lost),
        TEST(test_what_was_told_is_told_again_when_asked),
        TEST(test_what_went_badly_is_told_again),
        TEST(test_held),
        TEST(test_source_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

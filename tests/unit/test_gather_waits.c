/* The consumer's gather: a message that would wait for long goes back to its publisher meanwhile. */
#include "tests/unit/gather_fixture.h"

static void test_a_long_wait_goes_back(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    answer(g, 1, &save, OUTCOME_TRANSIENT, LONG_MS + 1, 100, true);
    assert_int_equal(gauges(g).backing_off[SAVE], 0);
    /* With the try, and what is left of the wait. */
    gather_step_t step = one_step(g, 0, 400);
    assert_int_equal(step.op, OP_RELEASE);
    assert_int_equal(step.ms, LONG_MS + 1 - 300);
    assert_true(step.final);
    assert_int_equal(step.tries_count, 1);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_RETURNED));
    assert_empty(g);
}

static void test_a_short_wait_stays(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    answer(g, 1, &save, OUTCOME_BLOCKED, LONG_MS, 0, true);
    assert_int_equal(gauges(g).backing_off[SAVE], 1);
    no_step(g, LONG_MS);
    gather_tick(g, LONG_MS);
    assert_int_equal(gather_waiting(g, SAVE), 1);
}

static void test_blocked_for_long_goes_back_and_counts_nothing(void **state)
{
    gather_t *g = *state;
    for (uint64_t token = 50; token < 60; token++) {
        assert_int_equal(deliver(g, 1, token, 1, 0), 1);
        gather_task_t save = give(g, SAVE, 1);
        assert_int_equal(save.record.try_no, 1);
        answer(g, 1, &save, OUTCOME_BLOCKED, 5000, 0, true);
        gather_step_t step = one_step(g, 0, 0);
        assert_int_equal(step.op, OP_RELEASE);
        assert_int_equal(step.ms, 5000);
        assert_int_equal(step.tries_count, 0);
        assert_true(gather_settled(g, step.slot, step.lease, true, STEP_RETURNED));
    }
}

static void test_a_long_wait_stays_while_another_leg_is_at_work(void **state)
{
    gather_t *g = *state;
    for (int ends_badly = 0; ends_badly < 2; ends_badly++) {
        deliver(g, 1, 50, BOTH, 0);
        gather_task_t save = give(g, SAVE, 1);
        answer(g, 1, &save, OUTCOME_BLOCKED, 5000, 0, true);
        assert_int_equal(gauges(g).backing_off[SAVE], 1); /* restart waits for a worker */
        gather_task_t restart = give(g, RESTART, 2);
        assert_int_equal(one_step(g, 0, EVERY_MS).op, OP_EXTEND);
        answer(g, 2, &restart, ends_badly ? OUTCOME_PERMANENT : OUTCOME_OK, 0, 3000, true);
        gather_step_t step = one_step(g, 0, 3000);
        assert_int_equal(step.op, OP_RELEASE);
        assert_int_equal(step.ms, 2000);
        assert_int_equal(step.done, ends_badly ? 0 : 1 << RESTART);
        assert_int_equal(step.bad, ends_badly ? 1 << RESTART : 0);
        gather_settled(g, step.slot, step.lease, true, STEP_RETURNED);
        assert_empty(g);
    }
}

static void test_of_several_waits_the_longest_counts(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1), restart = give(g, RESTART, 2);
    answer(g, 1, &save, OUTCOME_BLOCKED, 7000, 0, true);
    answer(g, 2, &restart, OUTCOME_BLOCKED, 3000, 0, true);
    gather_step_t step = one_step(g, 0, 0);
    assert_int_equal(step.op, OP_RELEASE);
    assert_int_equal(step.ms, 7000);
    gather_settled(g, step.slot, step.lease, true, STEP_RETURNED);
    /* One that is short is waited for. */
    deliver(g, 1, 60, BOTH, 0);
    save = give(g, SAVE, 1), restart = give(g, RESTART, 2);
    answer(g, 1, &save, OUTCOME_BLOCKED, 7000, 0, true);
    answer(g, 2, &restart, OUTCOME_BLOCKED, 500, 0, true);
    no_step(g, 500);
    gather_tick(g, 500);
    restart = give(g, RESTART, 2);
    ok(g, 2, &restart, 600);
    assert_int_equal(one_step(g, 0, 600).ms, 6400);
}

static void test_redelivered_before_its_release_was_answered(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    answer(g, 1, &save, OUTCOME_BLOCKED, 5000, 0, true);
    gather_step_t step = one_step(g, 0, 0);
    assert_int_equal(deliver(g, 1, 60, 1, 3000), 0);
    assert_false(gather_settled(g, step.slot, step.lease, true, STEP_RETURNED));
    save = give(g, SAVE, 1);
    gather_release(g);
    answer(g, 1, &save, OUTCOME_BLOCKED, 300, 3000, true);
    assert_int_equal(one_step(g, 0, 3000).ms, 300);
}

/* A leg without a worker is no wait of its own. */
static void test_without_workers_it_stays_and_is_extended(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    for (int i = 1; i <= 5; i++) {
        gather_step_t step = one_step(g, 0, i * EVERY_MS);
        assert_int_equal(step.op, OP_EXTEND);
        assert_false(gather_settled(g, step.slot, step.lease, false, STEP_KEPT));
    }
    assert_int_equal(give(g, SAVE, 1).record.try_no, 1);
}

/* The publisher has ended the lease at its cap: RETURNED or DEAD answers an extension. */
static void test_the_lease_cap_takes_a_waiting_message(void **state)
{
    gather_t *g = *state;
    for (step_code_t code = STEP_DEAD; code <= STEP_RETURNED; code++) {
        deliver(g, 1, 50, 1, 0);
        gather_step_t step = one_step(g, 0, EVERY_MS);
        assert_int_equal(step.op, OP_EXTEND);
        assert_true(gather_settled(g, step.slot, step.lease, false, code));
        assert_empty(g);
    }
}

/* What a hung try gets done after its message went back is told all the same. */
static void test_done_after_it_went_back(void **state)
{
    gather_t *g = *state;
    gather_policy_t policy = {.max_tries = 3, .backoff = {60000, 1, 60000}, .limit_hard_ms = 500};
    gather_policy(g, SAVE, &policy);
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give_and_start(g, SAVE, 1);
    gather_tick(g, 500);
    gather_step_t step = one_step(g, 0, 500);
    assert_int_equal(step.op, OP_RELEASE);
    /* Not answered yet. */
    assert_int_equal(answer(g, 1, &save, OUTCOME_OK, 0, 600, true), TAKEN_OK);
    gather_step_t done = one_step(g, 0, 600);
    assert_int_equal(done.op, OP_NONE);
    assert_int_equal(done.done, 1 << SAVE);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_RETURNED));
    assert_false(gather_settled(g, done.slot, done.lease, true, STEP_DONE));
    assert_empty(g);
}

/* What runs there was done by another, and what is left of the message waits: nothing is worth waiting for.
 */
static void test_release_does_not_wait_for_a_task_of_a_leg_that_is_done(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t first = give(g, SAVE, 1);
    gather_worker_gone(g, 1, true, 0);
    gather_task_t second = give(g, SAVE, 2);
    assert_int_equal(answer(g, 1, &first, OUTCOME_OK, 0, 0, false), TAKEN_OK);
    gather_release(g);
    gather_step_t step = one_step(g, 0, 0);
    assert_int_equal(step.op, OP_RELEASE);
    assert_int_equal(step.done, 1 << SAVE);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_RETURNED));
    assert_int_equal(gauges(g).held, 0);
    assert_int_equal(answer(g, 2, &second, OUTCOME_OK, 0, 0, true), TAKEN_LATE);
    assert_empty(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_long_wait_goes_back),
        TEST(test_a_short_wait_stays),
        TEST(test_blocked_for_long_goes_back_and_counts_nothing),
        TEST(test_a_long_wait_stays_while_another_leg_is_at_work),
        TEST(test_of_several_waits_the_longest_counts),
        TEST(test_redelivered_before_its_release_was_answered),
        TEST(test_release_does_not_wait_for_a_task_of_a_leg_that_is_done),
        TEST(test_without_workers_it_stays_and_is_extended),
        TEST(test_the_lease_cap_takes_a_waiting_message),
        TEST(test_done_after_it_went_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The consumer's gather: tries that are over their hard limit, and what their workers say after all. */
#include "tests/unit/gather_many.h"

static void test_over_the_limit_it_is_tried_again_and_stays_out(void **state)
{
    gather_t *g = *state;
    gather_worker_joined(g, 1, "slow", NULL, 0, 0);
    deliver_many(g, 1, 1);
    gather_task_t slow = give_and_start(g, SAVE, 1);
    assert_true(gather_next_ms(g) == LIMIT_MS);
    gather_tick(g, LIMIT_MS - 1);
    assert_int_equal(gauges(g).running[SAVE], 1);
    gather_tick(g, LIMIT_MS);
    assert_int_equal(gauges(g).running[SAVE], 0);
    assert_int_equal(gauges(g).timeouts[SAVE], 1);
    assert_int_equal(outstanding(g, 1), 1);
    gather_step_t step = one_step(g, 0, LIMIT_MS + REPORT_MS);
    assert_int_equal(step.tries_count, 1);
    assert_int_equal(step.tries->how, HOW_TIMEOUT);
    assert_int_equal(step.tries->took_ms, LIMIT_MS);
    assert_memory_equal(step.tries->label.bytes, "slow", 4);
    gather_tick(g, 2 * LIMIT_MS - 1);
    gather_task_t none, again = {0};
    assert_false(gather_give(g, SAVE, 1, true, LIMIT_MS, &none));
    assert_true(gather_give(g, SAVE, 2, true, LIMIT_MS, &again));
    assert_int_equal(again.record.try_no, 2);
    /* Its failure means nothing and gives the credit back, once. */
    assert_int_equal(answer(g, 1, &slow, OUTCOME_TRANSIENT, 0, LIMIT_MS, true), TAKEN_LATE);
    assert_int_equal(answer(g, 1, &slow, OUTCOME_TRANSIENT, 0, LIMIT_MS, false), TAKEN_LATE);
    assert_int_equal(outstanding(g, 1), 0);
    ok(g, 2, &again, LIMIT_MS);
}

/* What waits at its worker for its turn has not been tried: the limit begins when that is told. */
static void test_the_limit_begins_with_the_start(void **state)
{
    gather_t *g = *state;
    gather_worker_joined(g, 1, "busy", NULL, 0, 0);
    deliver_many(g, 1, 3);
    give(g, SAVE, 1);
    gather_task_t second = give(g, SAVE, 1), third = give(g, SAVE, 1);
    assert_true(gather_next_ms(g) == INT64_MAX);
    gather_worker_started(g, 1, 1, 10);
    assert_true(gather_next_ms(g) == 10 + LIMIT_MS);
    gather_tick(g, 10 + LIMIT_MS - 1);
    assert_int_equal(gauges(g).timeouts[SAVE], 0);
    gather_tick(g, 10 + LIMIT_MS);
    assert_int_equal(gauges(g).timeouts[SAVE], 1);
    assert_int_equal(gauges(g).running[SAVE], 2);
    gather_worker_started(g, 1, 2, 5 * LIMIT_MS);
    gather_tick(g, 6 * LIMIT_MS - 1);
    assert_int_equal(gauges(g).timeouts[SAVE], 1);
    ok(g, 1, &second, 6 * LIMIT_MS - 1);
    gather_tick(g, 100 * LIMIT_MS);
    assert_int_equal(gauges(g).timeouts[SAVE], 1);
    /* It may be at work on what it has when it is welcomed anew. */
    gather_worker_welcomed(g, 1, 100 * LIMIT_MS);
    gather_tick(g, 101 * LIMIT_MS);
    assert_int_equal(gauges(g).timeouts[SAVE], 2);
    assert_int_equal(answer(g, 1, &third, OUTCOME_OK, 0, 101 * LIMIT_MS, true), TAKEN_OK);
}

static void test_its_late_ok_counts(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 1);
    gather_task_t slow = give_and_start(g, SAVE, 1);
    gather_tick(g, LIMIT_MS);
    gather_tick(g, 2 * LIMIT_MS - 1);
    gather_task_t again = give_and_start(g, SAVE, 2);
    assert_int_equal(answer(g, 1, &slow, OUTCOME_OK, 0, 2 * LIMIT_MS, true), TAKEN_OK);
    gather_step_t step = one_step(g, 0, 2 * LIMIT_MS);
    assert_true(step.final);
    assert_int_equal(step.done, 1 << SAVE);
    assert_int_equal(step.tries_count, 2);
    assert_int_equal(step.tries->how, HOW_TIMEOUT);
    assert_int_equal(step.tries->next->how, HOW_OK);
    assert_int_equal(step.tries->next->took_ms, 2 * LIMIT_MS);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_DONE));
    assert_int_equal(answer(g, 2, &again, OUTCOME_OK, 0, 2 * LIMIT_MS, true), TAKEN_LATE);
    assert_empty(g);
    assert_int_equal(gauges(g).strays, 0);
}

static void test_the_last_try_over_the_limit_ends_the_leg(void **state)
{
    gather_t *g = *state;
    gather_policy_t policy = {.max_tries = 1, .limit_hard_ms = 700};
    gather_policy(g, SAVE, &policy);
    gather_worker_joined(g, 1, "slow", NULL, 0, 0);
    deliver_many(g, 1, 2);
    gather_task_t first = give_and_start(g, SAVE, 1), second = give_and_start(g, SAVE, 1);
    gather_tick(g, 700);
    gather_step_t steps[3];
    assert_int_equal(gather_steps(g, 0, 700, steps, 3), 2);
    assert_int_equal(steps[0].bad, 1 << SAVE);
    assert_memory_equal(steps[0].text.bytes, "no result after 700 ms: slow", steps[0].text.len);
    /* Done after all: it is told, before the publisher has answered and when the message has gone. */
    assert_int_equal(answer(g, 1, &first, OUTCOME_OK, 0, 800, true), TAKEN_OK);
    assert_false(gather_settled(g, steps[0].slot, steps[0].lease, true, STEP_DEAD));
    assert_true(gather_settled(g, steps[1].slot, steps[1].lease, true, STEP_DEAD));
    gather_step_t step = one_step(g, 0, 800);
    assert_int_equal(step.id.seq, 1);
    assert_int_equal(step.done, 1 << SAVE);
    assert_int_equal(step.bad, 0);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_DONE));
    assert_empty(g);
    assert_int_equal(answer(g, 1, &second, OUTCOME_OK, 0, 900, true), TAKEN_OK);
    step = one_step(g, 0, 900);
    assert_int_equal(step.id.seq, 2);
    assert_int_equal(step.token, 2);
    assert_int_equal(step.done, 1 << SAVE);
    assert_true(step.final);
    uint64_t held[2];
    assert_int_equal(gather_held(g, 0, held, 2), 0);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_DONE));
    assert_empty(g);
}

/* One leg has ended badly by its limit, another still runs: what was bad is done after all. */
static void test_bad_becomes_done_while_another_leg_is_open(void **state)
{
    gather_t *g = *state;
    gather_policy_t policy = {.max_tries = 1, .limit_hard_ms = 700};
    gather_policy(g, SAVE, &policy);
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give_and_start(g, SAVE, 1), restart = give_and_start(g, RESTART, 2);
    gather_tick(g, 700);
    assert_int_equal(one_step(g, 0, 700 + REPORT_MS).bad, 1 << SAVE);
    assert_int_equal(answer(g, 1, &save, OUTCOME_OK, 0, 900, true), TAKEN_OK);
    gather_step_t step = one_step(g, 0, 900 + REPORT_MS);
    assert_int_equal(step.bad, 0);
    assert_int_equal(step.done, 1 << SAVE);
    ok(g, 2, &restart, 1100);
    assert_int_equal(one_step(g, 0, 1100).done, BOTH);
}

/* A message that was told of as a stray's is delivered: what is done is not run again. */
static void test_a_strays_message_is_delivered(void **state)
{
    gather_t *g = *state;
    gather_policy_t policy = {.max_tries = 1, .limit_hard_ms = 700};
    gather_policy(g, SAVE, &policy);
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give_and_start(g, SAVE, 1);
    gather_tick(g, 700);
    gather_step_t step = one_step(g, 0, 700);
    gather_settled(g, step.slot, step.lease, true, STEP_DEAD);
    answer(g, 1, &save, OUTCOME_OK, 0, 900, true);
    assert_int_equal(deliver(g, 1, 60, BOTH, 950), 0);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    gather_task_t restart = give_and_start(g, RESTART, 1);
    assert_memory_equal(restart.record.body, "body", 4);
    ok(g, 1, &restart, 960);
    step = one_step(g, 0, 960);
    assert_int_equal(step.done, BOTH);
    assert_int_equal(step.token, 60);
}

static void test_the_source_of_a_stray_goes(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 1);
    gather_task_t save = give_and_start(g, SAVE, 1);
    gather_tick(g, LIMIT_MS);
    gather_source_gone(g, 0);
    assert_int_equal(answer(g, 1, &save, OUTCOME_OK, 0, LIMIT_MS, true), TAKEN_LATE);
    assert_empty(g);
}

static void test_strays_of_a_worker_that_goes(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 2);
    give_and_start(g, SAVE, 1);
    gather_tick(g, LIMIT_MS);
    give_and_start(g, SAVE, 1);
    assert_int_equal(outstanding(g, 1), 2);
    assert_int_equal(gather_worker_gone(g, 1, true, LIMIT_MS), 2);
    assert_int_equal(outstanding(g, 1), 0);
    /* Its try was counted when it was over the limit, and not again. */
    assert_int_equal(failures(g, 1), 1);
    assert_int_equal(failures(g, 2), 1);
}

/* The same task twice at one worker. */
static void test_held_once_and_given_twice(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 1);
    gather_task_t slow = give_and_start(g, SAVE, 1);
    gather_tick(g, LIMIT_MS);
    gather_tick(g, 2 * LIMIT_MS - 1);
    gather_task_t again = give_and_start(g, SAVE, 1);
    assert_true(again.record.ref != slow.record.ref);
    uint64_t held[] = {again.record.ref, slow.record.ref};
    assert_int_equal(gather_worker_holds(g, 1, held, 2, 0), 0);
    held[0] = slow.record.ref;
    assert_int_equal(gather_worker_holds(g, 1, held, 1, 0), 1);
    assert_int_equal(outstanding(g, 1), 1);
    assert_int_equal(gather_waiting(g, SAVE), 1);
    assert_int_equal(gather_worker_holds(g, 1, NULL, 0, 0), 1);
    assert_int_equal(outstanding(g, 1), 0);
}

static void test_a_message_that_is_over_gives_its_slot_back_at_the_limit(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 1);
    gather_task_t lost = give_and_start(g, SAVE, 1);
    gather_worker_gone(g, 1, false, 0);
    gather_task_t again = give_and_start(g, SAVE, 2);
    answer(g, 1, &lost, OUTCOME_OK, 0, 0, false);
    gather_step_t step = one_step(g, 0, 0);
    gather_settled(g, step.slot, step.lease, true, STEP_DONE);
    assert_int_equal(g->states[ENTRY_SPENT], 1);
    gather_tick(g, LIMIT_MS);
    assert_int_equal(g->states[ENTRY_SPENT], 0);
    assert_int_equal(answer(g, 2, &again, OUTCOME_OK, 0, LIMIT_MS, true), TAKEN_LATE);
}

static void test_as_many_strays_as_messages(void **state)
{
    gather_t *g = *state;
    for (uint32_t round = 0; round < 2; round++) {
        deliver_many(g, 1, MANY);
        assert_int_equal(give_all(g, 1), MANY);
        gather_worker_started(g, 1, UINT32_MAX, 0);
        gather_tick(g, LIMIT_MS);
        assert_int_equal(g->workers[1].strays.count, MANY);
        assert_int_equal(gauges(g).running[SAVE], round == 0 ? 0 : MANY);
        if (round == 0)
            gather_source_gone(g, 0);
    }
    /* No room for more: these are waited for, until there is. */
    assert_true(gather_next_ms(g) == LIMIT_MS + 1000);
    gather_tick(g, LIMIT_MS + 1000);
    assert_int_equal(gauges(g).running[SAVE], MANY);
    assert_int_equal(gather_worker_gone(g, 1, false, 0), 2 * MANY);
}

static void test_limits_change_at_run_time(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 2);
    give_and_start(g, SAVE, 1);
    gather_policy_t policy = *gather_policy_of(g, SAVE);
    policy.limit_hard_ms = 100;
    gather_policy(g, SAVE, &policy);
    gather_tick(g, 50);
    assert_true(gather_next_ms(g) == 100);
    policy.limit_hard_ms = 0;
    gather_policy(g, SAVE, &policy);
    gather_tick(g, 1000 * LIMIT_MS);
    assert_int_equal(gauges(g).timeouts[SAVE], 0);
    assert_int_equal(gauges(g).running[SAVE], 1);
    policy.limit_hard_ms = LIMIT_MS;
    gather_policy(g, SAVE, &policy);
    gather_tick(g, 1000 * LIMIT_MS);
    assert_int_equal(gauges(g).timeouts[SAVE], 1);
}

/* The shorter limit of one leg ends nothing of another's, and is not kept from its time by it. */
static void test_limits_of_two_legs_side_by_side(void **state)
{
    gather_t *g = *state;
    gather_policy_t policy = {.max_tries = 5, .limit_hard_ms = 300};
    gather_policy(g, RESTART, &policy);
    gather_task_t task;
    for (int64_t now_ms = 0; now_ms < 10; now_ms++) {
        deliver(g, (uint64_t)now_ms + 1, 50, BOTH, now_ms);
        assert_true(gather_give(g, SAVE, 1, false, now_ms, &task));
        assert_true(gather_give(g, RESTART, 2, false, now_ms, &task));
        gather_worker_started(g, 1, UINT32_MAX, now_ms);
        gather_worker_started(g, 2, UINT32_MAX, now_ms);
    }
    assert_true(gather_next_ms(g) == 300);
    for (int64_t now_ms = 0; now_ms < 10; now_ms++) {
        gather_tick(g, 300 + now_ms);
        assert_int_equal(gauges(g).timeouts[RESTART], now_ms + 1);
        assert_int_equal(gauges(g).timeouts[SAVE], 0);
    }
    gather_tick(g, LIMIT_MS + 4);
    assert_int_equal(gauges(g).timeouts[SAVE], 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MANY_TEST(test_over_the_limit_it_is_tried_again_and_stays_out),
        MANY_TEST(test_the_limit_begins_with_the_start),
        MANY_TEST(test_its_late_ok_counts),
        MANY_TEST(test_the_last_try_over_the_limit_ends_the_leg),
        MANY_TEST(test_bad_becomes_done_while_another_leg_is_open),
        MANY_TEST(test_a_strays_message_is_delivered),
        MANY_TEST(test_the_source_of_a_stray_goes),
        MANY_TEST(test_strays_of_a_worker_that_goes),
        MANY_TEST(test_held_once_and_given_twice),
        MANY_TEST(test_a_message_that_is_over_gives_its_slot_back_at_the_limit),
        MANY_TEST(test_as_many_strays_as_messages),
        MANY_TEST(test_limits_change_at_run_time),
        MANY_TEST(test_limits_of_two_legs_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

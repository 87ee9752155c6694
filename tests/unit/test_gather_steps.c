/* The consumer's gather: what it reports, what the answers mean, and drain. */
#include "tests/unit/gather_fixture.h"

/* --- reports and extensions --- */

static void test_a_leg_done_is_reported_in_time(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1), restart = give(g, RESTART, 1);
    ok(g, 1, &save, 500);
    assert_true(gather_steps_ms(g, 0) == 500 + REPORT_MS);
    no_step(g, 500 + REPORT_MS - 1);
    gather_step_t step = one_step(g, 0, 500 + REPORT_MS);
    assert_int_equal(step.done, 1 << SAVE);
    assert_int_equal(step.op, OP_NONE);
    assert_false(step.final);
    no_step(g, 700);
    assert_false(gather_settled(g, step.slot, step.lease, false, STEP_KEPT));
    ok(g, 1, &restart, 800);
    step = one_step(g, 0, 800);
    assert_int_equal(step.done, BOTH);
    assert_true(step.final);
}

static void test_extensions_come_on_time(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 1000);
    assert_true(gather_steps_ms(g, 0) == 1000 + EVERY_MS);
    no_step(g, 1000 + EVERY_MS - 1);
    for (int i = 1; i <= 3; i++) {
        gather_step_t step = one_step(g, 0, 1000 + i * EVERY_MS);
        assert_int_equal(step.op, OP_EXTEND);
        assert_int_equal(step.ms, EXTEND_MS);
        assert_false(step.final);
        no_step(g, 1000 + i * EVERY_MS);
        gather_view_t view;
        assert_true(gather_view(g, step.slot, step.lease, &view));
        assert_int_equal(view.extended, i);
        assert_memory_equal(view.body, "body", 4);
    }
    assert_int_equal(gauges(g).extended, 3);
}

static void test_extended_in_every_state_of_its_task(void **state)
{
    gather_t *g = *state;
    for (uint64_t seq = 1; seq <= 3; seq++)
        deliver(g, seq, seq, 1, 0);
    gather_task_t backs_off = give(g, SAVE, 1);
    give(g, SAVE, 1);
    answer(g, 1, &backs_off, OUTCOME_TRANSIENT, 10000, 0, true);
    gather_step_t steps[4];
    assert_int_equal(gather_steps(g, 0, EVERY_MS, steps, 4), 3);
}

static void test_an_extension_carries_what_is_done(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1);
    ok(g, 1, &save, EVERY_MS - 10);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    assert_int_equal(step.op, OP_EXTEND);
    assert_int_equal(step.done, 1 << SAVE);
    no_step(g, EVERY_MS + REPORT_MS);
}

/* Else what takes longer than the deadline would lose its lease each time, and be a dead letter at last. */
static void test_a_short_ack_deadline_is_extended_in_time(void **state)
{
    enum { DEADLINE_MS = 1500 };
    gather_t *g = *state;
    gather_leases(g, 0, DEADLINE_MS, 0);
    deliver_from(g, 0, 1, 50, 1, 0);
    deliver_from(g, 1, 2, 50, 1, 0);
    for (int64_t now_ms = DEADLINE_MS / 3; now_ms <= DEADLINE_MS; now_ms += DEADLINE_MS / 3) {
        assert_true(gather_steps_ms(g, 0) == now_ms);
        assert_int_equal(one_step(g, 0, now_ms).op, OP_EXTEND);
    }
    assert_true(gather_steps_ms(g, 1) == EVERY_MS);

    gather_source_gone(g, 0);
    deliver_from(g, 0, 3, 50, 1, 0);
    assert_true(gather_steps_ms(g, 0) == EVERY_MS);
    gather_leases(g, 0, 10 * EVERY_MS, 0);
    deliver_from(g, 0, 4, 50, 1, 0);
    assert_true(gather_steps_ms(g, 0) == EVERY_MS);
}

/* What waits for a worker, or for a store that is away, is not extended until it has lost a lease by the cap.
 */
static void test_what_only_waits_goes_back_in_time(void **state)
{
    enum { CAP_MS = 5 * EVERY_MS };
    gather_t *g = *state;
    gather_leases(g, 0, 10000, CAP_MS);
    deliver(g, 1, 50, BOTH, 0);
    deliver(g, 2, 50, 1 << RESTART, 0);
    gather_task_t save = give(g, SAVE, 1), restart = give(g, RESTART, 2), second = give(g, RESTART, 3);
    gather_worker_started(g, 3, 1, 0);
    ok(g, 1, &save, 0);
    gather_step_t step = {0};
    int64_t now_ms = 0;
    for (; step.op != OP_RELEASE; now_ms += 50) {
        /* Away for as long as it takes, and said so again and again. */
        if (restart.record.ref != 0)
            assert_int_equal(answer(g, 2, &restart, OUTCOME_BLOCKED, 100, now_ms, true), TAKEN_RETRY);
        restart.record.ref = 0;
        while (step.op != OP_RELEASE && gather_steps(g, 0, now_ms, &step, 1) == 1)
            assert_true(now_ms < CAP_MS);
        gather_tick(g, now_ms);
        if (step.op != OP_RELEASE && gather_waiting(g, RESTART) > 0)
            assert_true(gather_give(g, RESTART, 2, false, now_ms, &restart));
    }
    assert_true(now_ms > CAP_MS / 2);
    assert_int_equal(step.id.seq, 1);
    assert_int_equal(step.done, 1 << SAVE);
    assert_int_equal(step.bad, 0);
    assert_int_equal(step.tries_count, 0);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_RETURNED));
    /* The other one was at work all the time: for it the cap is made. */
    for (now_ms = CAP_MS; now_ms < 2 * CAP_MS; now_ms += EVERY_MS)
        while (gather_steps(g, 0, now_ms, &step, 1) == 1)
            assert_int_equal(step.op, OP_EXTEND);
    ok(g, 3, &second, now_ms);
}

/* A worker that hangs takes the message to its end no more than one that is not there: nothing is counted,
 * and what he gets done after all is told. */
static void test_what_is_never_started_goes_back_in_time(void **state)
{
    enum { CAP_MS = 4 * EVERY_MS };
    gather_t *g = *state;
    gather_leases(g, 0, 10000, CAP_MS);
    deliver(g, 1, 50, 1 << SAVE, 0);
    deliver(g, 2, 50, 1 << SAVE, 0);
    gather_task_t begun = give(g, SAVE, 1), untouched = give(g, SAVE, 1);
    gather_worker_started(g, 1, 1, 0);
    gather_step_t step = {0};
    int64_t now_ms = 0;
    for (; step.op != OP_RELEASE; now_ms += 50)
        while (step.op != OP_RELEASE && gather_steps(g, 0, now_ms, &step, 1) == 1)
            assert_true(now_ms < CAP_MS);
    assert_int_equal(step.id.seq, 2);
    assert_int_equal(step.bad, 0);
    assert_int_equal(step.tries_count, 0);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_RETURNED));
    assert_int_equal(gauges(g).strays, 1);
    assert_int_equal(answer(g, 1, &untouched, OUTCOME_OK, 0, now_ms, true), TAKEN_OK);
    do
        assert_int_equal(gather_steps(g, 0, now_ms, &step, 1), 1);
    while (step.id.seq != 2);
    assert_int_equal(step.done, 1 << SAVE);
    ok(g, 1, &begun, now_ms);
}

/* Half of a cap is looked at within it, however seldom extensions are wanted. */
static void test_a_short_cap_is_kept(void **state)
{
    gather_t *g = *state;
    gather_leases(g, 0, 10 * EVERY_MS, EVERY_MS);
    deliver(g, 1, 50, 1 << SAVE, 0);
    assert_int_equal(one_step(g, 0, EVERY_MS / 4).op, OP_EXTEND);
    assert_int_equal(one_step(g, 0, EVERY_MS / 2).op, OP_RELEASE);
}

static void test_extend_all(void **state)
{
    gather_t *g = *state;
    deliver_from(g, 0, 1, 50, 1, 0);
    deliver_from(g, 1, 2, 50, 1, 0);
    gather_extend_all(g, 0, 10);
    assert_true(gather_steps_ms(g, 0) <= 10);
    assert_int_equal(one_step(g, 0, 10).op, OP_EXTEND);
    no_step(g, 10);
    assert_true(gather_steps_ms(g, 0) == 10 + EVERY_MS);
}

/* --- answers --- */

static void check_dropped(gather_t *g, step_code_t code)
{
    gather_gauges_t before = gauges(g);
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    assert_false(gather_settled(g, step.slot, step.lease, false, code));
    assert_int_equal(gather_waiting(g, RESTART), 0);
    no_step(g, 10 * EVERY_MS);
    ok(g, 1, &save, 10 * EVERY_MS);
    step = one_step(g, 0, 10 * EVERY_MS);
    assert_true(step.final);
    assert_int_equal(step.op, OP_NONE);
    assert_int_equal(step.done, 1 << SAVE);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_STALE));
    assert_empty(g);
    assert_int_equal(gauges(g).done[SAVE], before.done[SAVE] + 1);
}

static void test_not_ours_any_more(void **state)
{
    check_dropped(*state, STEP_STALE);
    check_dropped(*state, STEP_GONE);
    check_dropped(*state, STEP_RETURNED);
    check_dropped(*state, STEP_DONE);
    check_dropped(*state, STEP_DEAD);
}

static void test_not_ours_and_nothing_runs(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    assert_true(gather_settled(g, step.slot, step.lease, false, STEP_STALE));
    assert_empty(g);
}

static void test_not_ours_and_the_running_task_fails(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    gather_settled(g, step.slot, step.lease, false, STEP_STALE);
    answer(g, 1, &save, OUTCOME_TRANSIENT, 0, EVERY_MS, true);
    assert_empty(g);
}

static void test_not_ours_and_all_is_done(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1), restart = give(g, RESTART, 1);
    answer(g, 1, &restart, OUTCOME_BLOCKED, 60000, 0, true);
    gather_worker_gone(g, 1, false, 0);
    gather_task_t again = give(g, SAVE, 2);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    gather_settled(g, step.slot, step.lease, false, STEP_STALE);
    ok(g, 2, &again, EVERY_MS);
    /* Done, and the restart that was let go has left no delay behind. */
    step = one_step(g, 0, EVERY_MS);
    assert_true(step.final);
    assert_int_equal(step.op, OP_NONE);
    assert_int_equal(step.ms, 0);
    assert_int_equal(answer(g, 1, &save, OUTCOME_OK, 0, 0, false), TAKEN_LATE);
}

/* Nobody waits for a worker that runs what another one has done. */
static void test_not_ours_and_done_twice(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    gather_worker_gone(g, 1, false, 0);
    give(g, SAVE, 2);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    gather_settled(g, step.slot, step.lease, false, STEP_STALE);
    assert_int_equal(answer(g, 1, &save, OUTCOME_OK, 0, 0, false), TAKEN_OK);
    assert_true(one_step(g, 0, EVERY_MS).final);
}

/* The message does not wait for a task that counts no more; its slot does. */
static void test_not_ours_and_what_runs_counts_no_more(void **state)
{
    gather_t *g = *state;
    for (int gone = 0; gone < 2; gone++) {
        deliver(g, 1, 50, BOTH, 0);
        gather_task_t save = give(g, SAVE, 1);
        gather_worker_gone(g, 1, false, 0);
        gather_task_t again = give(g, SAVE, 2);
        assert_int_equal(answer(g, 1, &save, OUTCOME_OK, 0, 0, false), TAKEN_OK);
        gather_step_t step = one_step(g, 0, REPORT_MS);
        assert_true(gather_settled(g, step.slot, step.lease, false, STEP_STALE));
        assert_int_equal(gauges(g).held, 0);
        if (gone)
            assert_int_equal(gather_worker_gone(g, 2, true, 0), 1);
        else
            assert_int_equal(answer(g, 2, &again, OUTCOME_OK, 0, 0, true), TAKEN_LATE);
        assert_empty(g);
    }
}

static void test_a_stale_last_step_is_the_end(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    answer(g, 1, &save, OUTCOME_PERMANENT, 0, 0, true);
    gather_step_t step = one_step(g, 0, 0);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_STALE));
    assert_empty(g);
}

/* --- drain --- */

static void test_release_lets_go_what_waits(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_release(g);
    assert_int_equal(gather_waiting(g, SAVE) + gather_waiting(g, RESTART), 0);
    gather_step_t step = one_step(g, 0, 0);
    assert_int_equal(step.op, OP_RELEASE);
    assert_int_equal(step.ms, 0);
    assert_true(step.final);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_RETURNED));
    assert_empty(g);
}

static void test_release_waits_for_what_runs(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    deliver(g, 2, 51, 1, 0);
    gather_task_t save = give(g, SAVE, 1), other = give(g, SAVE, 1);
    gather_release(g);
    assert_int_equal(gather_waiting(g, RESTART), 0);
    no_step(g, 0);
    gather_step_t extensions[3];
    assert_int_equal(gather_steps(g, 0, EVERY_MS, extensions, 3), 2);
    ok(g, 1, &save, EVERY_MS);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    assert_int_equal(step.op, OP_RELEASE);
    assert_int_equal(step.done, 1 << SAVE);
    ok(g, 1, &other, EVERY_MS);
    step = one_step(g, 0, EVERY_MS);
    assert_int_equal(step.op, OP_NONE);
    assert_int_equal(step.id.seq, 2);
}

static void test_release_and_a_try_that_fails(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    gather_release(g);
    assert_int_equal(answer(g, 1, &save, OUTCOME_TRANSIENT, 700, 1000, true), TAKEN_RETRY);
    assert_true(gather_next_ms(g) == INT64_MAX);
    gather_step_t step = one_step(g, 0, 1100);
    assert_int_equal(step.op, OP_RELEASE);
    assert_int_equal(step.ms, 600);
}

static void test_release_of_a_backoff_hands_the_rest_on(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    answer(g, 1, &save, OUTCOME_BLOCKED, 900, 0, true);
    gather_release(g);
    gather_step_t step = one_step(g, 0, 100);
    assert_int_equal(step.op, OP_RELEASE);
    assert_int_equal(step.ms, 800);
}

static void test_release_and_what_comes_later(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    gather_release(g);
    assert_int_equal(deliver(g, 2, 51, BOTH, 0), 1);
    assert_int_equal(one_step(g, 0, 0).id.seq, 2);
    /* A lost worker's task is not given again. */
    gather_worker_gone(g, 1, false, 0);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    gather_step_t step = one_step(g, 0, 0);
    assert_int_equal(step.id.seq, 1);
    assert_int_equal(step.op, OP_RELEASE);
    assert_int_equal(answer(g, 1, &save, OUTCOME_OK, 0, 0, false), TAKEN_LATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_leg_done_is_reported_in_time),
        TEST(test_extensions_come_on_time),
        TEST(test_extended_in_every_state_of_its_task),
        TEST(test_an_extension_carries_what_is_done),
        TEST(test_a_short_ack_deadline_is_extended_in_time),
        TEST(test_what_only_waits_goes_back_in_time),
        TEST(test_what_is_never_started_goes_back_in_time),
        TEST(test_a_short_cap_is_kept),
        TEST(test_extend_all),
        TEST(test_not_ours_any_more),
        TEST(test_not_ours_and_nothing_runs),
        TEST(test_not_ours_and_the_running_task_fails),
        TEST(test_not_ours_and_all_is_done),
        TEST(test_not_ours_and_done_twice),
        TEST(test_not_ours_and_what_runs_counts_no_more),
        TEST(test_a_stale_last_step_is_the_end),
        TEST(test_release_lets_go_what_waits),
        TEST(test_release_waits_for_what_runs),
        TEST(test_release_and_a_try_that_fails),
        TEST(test_release_of_a_backoff_hands_the_rest_on),
        TEST(test_release_and_what_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

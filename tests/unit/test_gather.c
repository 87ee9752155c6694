/* The consumer's gather: messages, tasks, results and workers, rule by rule. */
#include "tests/unit/gather_fixture.h"

/* --- the way of a message --- */

static void test_both_legs_then_one_step(void **state)
{
    gather_t *g = *state;
    assert_int_equal(deliver(g, 1, 50, BOTH, 0), 1);
    assert_int_equal(gather_waiting(g, SAVE), 1);
    assert_int_equal(gather_waiting(g, RESTART), 1);
    gather_task_t save = give(g, SAVE, 1), restart = give(g, RESTART, 2);
    assert_int_equal(save.record.try_no, 1);
    assert_int_equal(save.record.id.stream, 900);
    assert_int_equal(save.record.body_len, 4);
    assert_memory_equal(save.record.body, "body", 4);
    assert_true(save.record.ref != restart.record.ref);
    assert_int_equal(gather_ref_leg(save.record.ref), SAVE);
    assert_int_equal(gather_ref_leg(restart.record.ref), RESTART);
    gather_task_t none;
    assert_false(gather_give(g, SAVE, 1, false, 0, &none));

    ok(g, 1, &save, 10);
    no_step(g, 10);
    ok(g, 2, &restart, 20);
    assert_true(gather_steps_ms(g, 0) == INT64_MIN);
    gather_step_t step = one_step(g, 0, 20);
    assert_int_equal(step.id.seq, 1);
    assert_int_equal(step.token, 50);
    assert_int_equal(step.done, BOTH);
    assert_int_equal(step.bad, 0);
    assert_int_equal(step.op, OP_NONE);
    assert_true(step.final);
    assert_int_equal(gauges(g).reporting, 1);
    no_step(g, 100000);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_DONE));
    assert_empty(g);
    assert_false(gather_settled(g, step.slot, step.lease, true, STEP_DONE));
}

static void test_only_open_legs_run(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1 << RESTART, 0);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    gather_task_t restart = give(g, RESTART, 1);
    ok(g, 1, &restart, 0);
    assert_int_equal(one_step(g, 0, 0).done, 1 << RESTART);
}

static void test_no_leg_at_all_ends_at_once(void **state)
{
    gather_t *g = *state;
    assert_int_equal(deliver(g, 1, 50, 0, 0), 1);
    gather_step_t step = one_step(g, 0, 0);
    assert_true(step.final);
    assert_int_equal(step.done, 0);
}

static void test_full(void **state)
{
    gather_t *g = *state;
    for (uint64_t seq = 1; seq <= HELD; seq++)
        assert_int_equal(deliver(g, seq, seq, 1, 0), 1);
    assert_int_equal(deliver(g, 99, 99, 1, 0), -ENOSPC);
    assert_int_equal(gauges(g).held, HELD);
    assert_int_equal(deliver(g, 1, 100, 1, 0), 0);
    gather_task_t task = give(g, SAVE, 1);
    ok(g, 1, &task, 0);
    gather_step_t step = one_step(g, 0, 0);
    gather_settled(g, step.slot, step.lease, true, STEP_DONE);
    assert_int_equal(deliver(g, 99, 99, 1, 0), 1);
}

static void test_first_in_first_out_and_ungive(void **state)
{
    gather_t *g = *state;
    for (uint64_t seq = 1; seq <= 3; seq++)
        deliver(g, seq, seq, 1, 0);
    gather_task_t first = give(g, SAVE, 1);
    assert_int_equal(first.record.id.seq, 1);
    gather_ungive(g, first.record.ref);
    assert_int_equal(gather_waiting(g, SAVE), 3);
    gather_task_t again = give(g, SAVE, 2);
    assert_int_equal(again.record.id.seq, 1);
    assert_int_equal(again.record.try_no, 1);
    assert_int_equal(give(g, SAVE, 2).record.id.seq, 2);
}

static void test_steps_go_to_their_source(void **state)
{
    gather_t *g = *state;
    deliver_from(g, 0, 1, 50, 1, 0);
    deliver_from(g, 1, 2, 50, 1, 0);
    gather_task_t a = give(g, SAVE, 1), b = give(g, SAVE, 1);
    ok(g, 1, &b, 0);
    assert_true(gather_steps_ms(g, 0) == EVERY_MS);
    assert_int_equal(one_step(g, 1, 0).id.seq, 2);
    ok(g, 1, &a, 0);
    assert_int_equal(one_step(g, 0, 0).id.seq, 1);
}

static void test_steps_come_in_portions(void **state)
{
    gather_t *g = *state;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        deliver(g, seq, seq, 1, 0);
        gather_task_t task = give(g, SAVE, 1);
        ok(g, 1, &task, 0);
    }
    gather_step_t steps[2];
    assert_int_equal(gather_steps(g, 0, 0, steps, 2), 2);
    assert_int_equal(gather_steps(g, 0, 0, steps, 2), 1);
    assert_int_equal(gather_steps(g, 0, 0, steps, 2), 0);
}

/* --- outcomes --- */

static void test_transient_backs_off_and_comes_back(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t task = give(g, SAVE, 1);
    assert_true(gather_next_ms(g) == INT64_MAX);
    assert_int_equal(answer(g, 1, &task, OUTCOME_TRANSIENT, 0, 1000, true), TAKEN_RETRY);
    int64_t due_ms = gather_next_ms(g);
    assert_true(due_ms >= 1000 && due_ms <= 1200);
    assert_int_equal(gauges(g).backing_off[SAVE], 1);
    gather_tick(g, due_ms - 1);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    gather_tick(g, due_ms);
    assert_int_equal(gather_waiting(g, SAVE), 1);
    assert_int_equal(gauges(g).retries[SAVE], 1);
    assert_int_equal(give(g, SAVE, 2).record.try_no, 2);
}

static void test_transient_waits_as_long_as_the_worker_says(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t task = give(g, SAVE, 1);
    answer(g, 1, &task, OUTCOME_TRANSIENT, 900, 1000, true);
    assert_true(gather_next_ms(g) == 1900);
}

static void test_tries_are_limited(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    int64_t now_ms = 0;
    for (uint32_t try_no = 1; try_no <= TRIES; try_no++) {
        gather_tick(g, now_ms);
        gather_task_t task = give(g, SAVE, 1);
        assert_int_equal(task.record.try_no, try_no);
        gather_taken_t taken = answer(g, 1, &task, OUTCOME_TRANSIENT, 0, now_ms, true);
        assert_int_equal(taken, try_no < TRIES ? TAKEN_RETRY : TAKEN_BAD);
        now_ms += 1000;
    }
    assert_int_equal(gauges(g).bad[SAVE], 1);
    /* The other leg goes on. */
    gather_task_t restart = give(g, RESTART, 1);
    ok(g, 1, &restart, now_ms);
    gather_step_t steps[2];
    size_t n = gather_steps(g, 0, now_ms, steps, 2);
    assert_true(n >= 1 && steps[n - 1].final);
    assert_int_equal(steps[n - 1].done, 1 << RESTART);
    assert_int_equal(steps[n - 1].bad, 1 << SAVE);
}

static void test_permanent_says_why(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t task = give(g, SAVE, 1);
    assert_int_equal(answer(g, 1, &task, OUTCOME_PERMANENT, 0, 0, true), TAKEN_BAD);
    gather_step_t step = one_step(g, 0, 0);
    assert_true(step.final);
    assert_int_equal(step.bad, 1 << SAVE);
    assert_int_equal(step.text.len, strlen("no such host"));
    assert_memory_equal(step.text.bytes, "no such host", step.text.len);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_DEAD));
    assert_empty(g);
}

static void test_blocked_costs_no_try(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    int64_t now_ms = 0;
    for (int i = 0; i < 2 * TRIES; i++) {
        gather_task_t task = give(g, SAVE, 1);
        assert_int_equal(task.record.try_no, 1);
        assert_int_equal(answer(g, 1, &task, OUTCOME_BLOCKED, 400, now_ms, true), TAKEN_RETRY);
        assert_true(gather_next_ms(g) == now_ms + 400);
        now_ms += 400;
        gather_tick(g, now_ms);
    }
    assert_int_equal(gauges(g).retries[SAVE], 0);
}

static void test_blocked_without_a_wait_does_not_spin(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t task = give(g, SAVE, 1);
    answer(g, 1, &task, OUTCOME_BLOCKED, 0, 1000, true);
    assert_true(gather_next_ms(g) > 1000);
}

/* --- late results --- */

static void test_ok_of_a_lost_worker_still_counts(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t lost = give_and_start(g, SAVE, 1);
    assert_int_equal(gather_worker_gone(g, 1, true, 0), 1);
    gather_task_t again = give(g, SAVE, 2);
    assert_int_equal(again.record.try_no, 2);
    assert_int_equal(answer(g, 1, &lost, OUTCOME_OK, 0, 10, false), TAKEN_OK);
    gather_step_t step = one_step(g, 0, 10);
    assert_int_equal(step.done, 1 << SAVE);
    /* Over for the publisher; the other worker's credit still comes back with its answer. */
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_DONE));
    assert_int_equal(gauges(g).held, 0);
    assert_int_equal(gauges(g).running[SAVE], 1);
    assert_int_equal(answer(g, 2, &again, OUTCOME_OK, 0, 20, true), TAKEN_LATE);
    assert_empty(g);
    assert_int_equal(gauges(g).done[SAVE], 1);
    assert_int_equal(gauges(g).late, 1);
}

static void test_ok_comes_while_the_task_waits_or_backs_off(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    deliver(g, 2, 51, 1, 0);
    gather_task_t a = give(g, SAVE, 1), b = give(g, SAVE, 2);
    gather_worker_gone(g, 1, false, 0);
    assert_int_equal(answer(g, 1, &a, OUTCOME_OK, 0, 0, false), TAKEN_OK);
    answer(g, 2, &b, OUTCOME_TRANSIENT, 0, 0, true);
    assert_int_equal(answer(g, 2, &b, OUTCOME_OK, 0, 0, false), TAKEN_OK);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    assert_true(gather_next_ms(g) == INT64_MAX);
    gather_step_t steps[3];
    assert_int_equal(gather_steps(g, 0, 0, steps, 3), 2);
}

static void test_late_failures_are_ignored(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t lost = give_and_start(g, SAVE, 1);
    gather_worker_gone(g, 1, true, 0);
    gather_task_t again = give(g, SAVE, 2);
    for (outcome_t outcome = OUTCOME_TRANSIENT; outcome <= OUTCOME_BLOCKED; outcome++)
        assert_int_equal(answer(g, 1, &lost, outcome, 0, 0, false), TAKEN_LATE);
    /* The same worker, but an earlier try of its own. */
    again.record.try_no = 1;
    assert_int_equal(answer(g, 2, &again, OUTCOME_PERMANENT, 0, 0, false), TAKEN_LATE);
    assert_int_equal(gauges(g).running[SAVE], 1);
    again.record.try_no = 2;
    ok(g, 2, &again, 0);
}

static void test_a_result_counts_once(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t task = give(g, SAVE, 1);
    ok(g, 1, &task, 0);
    assert_int_equal(answer(g, 1, &task, OUTCOME_OK, 0, 0, false), TAKEN_LATE);
    assert_int_equal(answer(g, 1, &task, OUTCOME_PERMANENT, 0, 0, false), TAKEN_LATE);
    assert_int_equal(gauges(g).done[SAVE], 1);
    assert_int_equal(gauges(g).bad[SAVE], 0);
}

static void test_a_slot_used_again_knows_old_refs(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t old = give(g, SAVE, 1);
    answer(g, 1, &old, OUTCOME_TRANSIENT, 0, 0, true);
    gather_tick(g, 1000);
    old = give(g, SAVE, 1);
    assert_int_equal(old.record.try_no, 2);
    ok(g, 1, &old, 0);
    gather_step_t step = one_step(g, 0, 0);
    gather_settled(g, step.slot, step.lease, true, STEP_DONE);
    deliver(g, 2, 51, 1, 0);
    gather_task_t fresh = give(g, SAVE, 1);
    assert_int_equal(fresh.record.try_no, 1);
    assert_int_equal(fresh.record.ref & 0xffffff, old.record.ref & 0xffffff);
    assert_true(fresh.record.ref != old.record.ref);
    assert_int_equal(answer(g, 1, &old, OUTCOME_OK, 0, 0, false), TAKEN_LATE);
    assert_int_equal(gauges(g).running[SAVE], 1);
    /* An answer to the old message's step does not touch the new one. */
    assert_false(gather_settled(g, step.slot, step.lease, true, STEP_DONE));
    assert_int_equal(gauges(g).held, 1);
}

static void test_refs_that_never_were(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t task = give(g, SAVE, 1);
    gather_ungive(g, task.record.ref);
    gather_t *other = new_gather();
    deliver(other, 1, 50, BOTH, 0);
    gather_task_t waiting = give(other, SAVE, 1);
    gather_task_t wrong = waiting;
    wrong.record.ref = waiting.record.ref + RESTART; /* not given to anybody yet */
    assert_int_equal(answer(other, 1, &wrong, OUTCOME_OK, 0, 0, false), TAKEN_LATE);
    wrong.record.ref = waiting.record.ref + 5; /* a leg that the message does not have */
    assert_int_equal(answer(other, 1, &wrong, OUTCOME_OK, 0, 0, false), TAKEN_LATE);
    wrong.record.ref = UINT64_C(0x7fffffffffffffff);
    assert_int_equal(answer(other, 1, &wrong, OUTCOME_OK, 0, 0, false), TAKEN_LATE);
    wrong.record.ref = waiting.record.ref + LEGS_MAX; /* a free slot */
    assert_int_equal(answer(other, 1, &wrong, OUTCOME_OK, 0, 0, false), TAKEN_LATE);
    gather_destroy(&other);
}

static void test_refs_fit_the_wire_and_differ_between_processes(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (uint64_t seed = 0; seed < 64; seed++) {
        gather_limits_t limits = {.messages_max = 1, .policy.max_tries = 1, .seed = seed};
        gather_t *g = gather_new(&limits);
        deliver(g, 1, 1, 1, 0);
        uint64_t ref = give(g, SAVE, 1).record.ref;
        assert_true(ref <= INT64_MAX);
        assert_true(ref != last);
        last = ref;
        gather_destroy(&g);
    }
}

static void test_growing_keeps_everything(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    gather_limits_t limits = {.messages_max = MANY, .extend_every_ms = EVERY_MS, .policy.max_tries = 1};
    gather_t *g = gather_new(&limits);
    for (uint64_t seq = 1; seq <= MANY; seq++)
        assert_int_equal(deliver(g, seq, seq, BOTH, 0), 1);
    assert_int_equal(deliver(g, MANY + 1, 1, BOTH, 0), -ENOSPC);
    for (uint64_t seq = 1; seq <= MANY; seq++) {
        gather_task_t task = give(g, RESTART, 1);
        assert_int_equal(task.record.id.seq, seq);
        assert_memory_equal(task.record.body, "body", 4);
        ok(g, 1, &task, 0);
    }
    assert_int_equal(gather_waiting(g, SAVE), MANY);
    gather_destroy(&g);
    gather_destroy(&g);
}

/* --- workers that go and come back --- */

static void test_a_lost_worker_costs_tries(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    for (uint32_t try_no = 1; try_no <= TRIES; try_no++) {
        gather_task_t task = give_and_start(g, SAVE, try_no);
        assert_int_equal(task.record.try_no, try_no);
        assert_int_equal(gather_worker_gone(g, try_no, true, 0), 1);
    }
    gather_step_t step = one_step(g, 0, 0);
    assert_int_equal(step.bad, 1 << SAVE);
    assert_true(step.text.len > 0);
}

static void test_a_worker_that_leaves_costs_nothing(void **state)
{
    gather_t *g = *state;
    for (uint64_t seq = 1; seq <= 3; seq++)
        deliver(g, seq, seq, 1, 0);
    for (int round = 0; round < 2 * TRIES; round++) {
        /* First in the queue again, in the old order, before what has never been given. */
        assert_int_equal(give(g, SAVE, 1).record.id.seq, 1);
        gather_task_t second = give(g, SAVE, 1);
        assert_int_equal(second.record.id.seq, 2);
        assert_int_equal(second.record.try_no, 1);
        assert_int_equal(gather_worker_gone(g, 1, false, 0), 2);
        assert_int_equal(gather_waiting(g, SAVE), 3);
    }
    assert_int_equal(gather_worker_gone(g, 1, false, 0), 0);
}

static void test_only_that_worker_is_gone(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    deliver(g, 2, 51, 1, 0);
    give(g, SAVE, 1);
    gather_task_t other = give(g, SAVE, 2);
    gather_worker_gone(g, 1, true, 0);
    assert_int_equal(gauges(g).running[SAVE], 1);
    ok(g, 2, &other, 0);
}

static void test_what_a_worker_does_not_hold_waits_again(void **state)
{
    gather_t *g = *state;
    uint64_t refs[3];
    for (uint64_t seq = 1; seq <= 3; seq++) {
        deliver(g, seq, seq, 1, 0);
        refs[seq - 1] = give(g, SAVE, 1).record.ref;
    }
    uint64_t held[2] = {INT64_MAX, refs[1]}; /* and one that it never got */
    assert_int_equal(gather_worker_holds(g, 1, held, 2, 0), 2);
    assert_int_equal(gather_waiting(g, SAVE), 2);
    gather_task_t again = give(g, SAVE, 1);
    assert_int_equal(again.record.id.seq, 1);
    assert_int_equal(again.record.try_no, 1);
    assert_int_equal(give(g, SAVE, 1).record.id.seq, 3);
    assert_int_equal(gather_worker_holds(g, 1, NULL, 0, 0), 3);
    assert_int_equal(gather_waiting(g, SAVE), 3);
}

/* The worker's answer was taken, and not seen to be: it still speaks of the task. What was given to it again
 * since has not come. */
static void test_what_a_worker_has_answered_and_did_not_get_again_waits_again(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t first = give(g, SAVE, 1);
    uint64_t held[1] = {first.record.ref};
    assert_int_equal(answer(g, 1, &first, OUTCOME_BLOCKED, 50, 0, true), TAKEN_RETRY);
    gather_tick(g, 50);
    gather_task_t again = give(g, SAVE, 1);
    assert_int_equal(again.record.try_no, 1);
    assert_int_equal(gather_worker_holds(g, 1, held, 1, 0), 1);
    assert_int_equal(gather_waiting(g, SAVE), 1);
    assert_int_equal(answer(g, 1, &again, OUTCOME_TRANSIENT, 0, 60, false), TAKEN_LATE);
    gather_task_t last = give(g, SAVE, 1);
    assert_int_equal(answer(g, 1, &first, OUTCOME_PERMANENT, 0, 60, false), TAKEN_LATE);
    ok(g, 1, &last, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_both_legs_then_one_step),
        TEST(test_only_open_legs_run),
        TEST(test_no_leg_at_all_ends_at_once),
        TEST(test_full),
        TEST(test_first_in_first_out_and_ungive),
        TEST(test_steps_go_to_their_source),
        TEST(test_steps_come_in_portions),
        TEST(test_transient_backs_off_and_comes_back),
        TEST(test_transient_waits_as_long_as_the_worker_says),
        TEST(test_tries_are_limited),
        TEST(test_permanent_says_why),
        TEST(test_blocked_costs_no_try),
        TEST(test_blocked_without_a_wait_does_not_spin),
        TEST(test_ok_of_a_lost_worker_still_counts),
        TEST(test_ok_comes_while_the_task_waits_or_backs_off),
        TEST(test_late_failures_are_ignored),
        TEST(test_a_result_counts_once),
        TEST(test_a_slot_used_again_knows_old_refs),
        TEST(test_refs_that_never_were),
        TEST(test_refs_fit_the_wire_and_differ_between_processes),
        TEST(test_growing_keeps_everything),
        TEST(test_a_lost_worker_costs_tries),
        TEST(test_a_worker_that_leaves_costs_nothing),
        TEST(test_only_that_worker_is_gone),
        TEST(test_what_a_worker_does_not_hold_waits_again),
        TEST(test_what_a_worker_has_answered_and_did_not_get_again_waits_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

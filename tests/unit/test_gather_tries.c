/* The consumer's gather: what is told of tries, and how they are counted across deliveries. */
#include "common/core/gather_internal.h"
#include "tests/unit/gather_fixture.h"

static int deliver_tried(gather_t *g, uint64_t seq, uint64_t token, uint8_t legs, uint8_t save,
                         uint8_t restart)
{
    gather_message_t m = {
        .id = {.stream = 900, .seq = seq}, .token = token, .legs = legs, .tries = {save, restart}};
    return gather_deliver(g, &m, 0);
}

static void expect_try(const gather_try_t *t, uint32_t leg, uint32_t no, how_t how, int64_t since_ms,
                       int64_t took_ms, const char *label, const char *text)
{
    assert_int_equal(t->leg, leg);
    assert_int_equal(t->no, no);
    assert_int_equal(t->how, how);
    assert_int_equal(t->since_ms, since_ms);
    assert_int_equal(t->took_ms, took_ms);
    assert_int_equal(t->label.len, strlen(label));
    assert_memory_equal(t->label.bytes, label, t->label.len);
    assert_int_equal(t->text.len, strlen(text));
    assert_memory_equal(t->text.bytes, text, t->text.len);
}

static gather_task_t give_at(gather_t *g, uint32_t leg, uint32_t worker, int64_t now_ms)
{
    gather_task_t task;
    assert_true(gather_give(g, leg, worker, false, now_ms, &task));
    return task;
}

static void test_all_well_tells_nothing(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1), restart = give(g, RESTART, 2);
    size_t bytes = g->slab.bytes_used;
    ok(g, 1, &save, 10);
    assert_int_equal(one_step(g, 0, 10 + REPORT_MS).tries_count, 0);
    ok(g, 2, &restart, 200);
    assert_int_equal(g->slab.bytes_used, bytes);
    assert_int_equal(one_step(g, 0, 200).tries_count, 0);
}

static void test_a_failure_is_told_in_time(void **state)
{
    gather_t *g = *state;
    gather_worker_joined(g, 1, "web-7:42", NULL, 0, 0);
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give_at(g, SAVE, 1, 1000);
    answer(g, 1, &save, OUTCOME_TRANSIENT, 0, 1250, true);
    assert_true(gather_steps_ms(g, 0) == 1250 + REPORT_MS);
    no_step(g, 1250 + REPORT_MS - 1);
    gather_step_t step = one_step(g, 0, 1250 + REPORT_MS);
    assert_int_equal(step.op, OP_NONE);
    assert_false(step.final);
    assert_int_equal(step.tries_count, 1);
    expect_try(step.tries, SAVE, 1, HOW_TRANSIENT, 1000, 250, "web-7:42", "no such host");
    /* Once. */
    no_step(g, 1900);
    gather_tick(g, 1900);
    save = give_at(g, SAVE, 1, 1900);
    ok(g, 1, &save, 1950);
    step = one_step(g, 0, 1950);
    assert_true(step.final);
    assert_int_equal(step.tries_count, 1);
    expect_try(step.tries, SAVE, 2, HOW_OK, 1900, 50, "web-7:42", "");
}

static void test_what_ended_well_before_is_told_with_the_first_failure(void **state)
{
    gather_t *g = *state;
    gather_worker_joined(g, 1, "saver", NULL, 0, 0);
    gather_worker_joined(g, 2, "restarter", NULL, 0, 0);
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give_at(g, SAVE, 1, 100), restart = give_at(g, RESTART, 2, 100);
    ok(g, 1, &save, 130);
    /* Its number stands for another by then. */
    gather_worker_gone(g, 1, false, 140);
    gather_worker_joined(g, 1, "another", NULL, 0, 0);
    answer(g, 2, &restart, OUTCOME_PERMANENT, 0, 150, true);
    gather_step_t step = one_step(g, 0, 150);
    assert_true(step.final);
    assert_int_equal(step.tries_count, 2);
    expect_try(step.tries, SAVE, 1, HOW_OK, 100, 30, "saver", "");
    expect_try(step.tries->next, RESTART, 1, HOW_PERMANENT, 100, 50, "restarter", "no such host");
}

static void test_blocked_is_no_try(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    answer(g, 1, &save, OUTCOME_BLOCKED, 400, 0, true);
    assert_true(gather_steps_ms(g, 0) == EVERY_MS);
}

static void test_an_extension_tells_tries(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    answer(g, 1, &save, OUTCOME_TRANSIENT, 0, EVERY_MS - 10, true);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    assert_int_equal(step.op, OP_EXTEND);
    assert_int_equal(step.tries_count, 1);
    no_step(g, EVERY_MS + REPORT_MS);
}

static void test_a_lost_worker_is_named(void **state)
{
    gather_t *g = *state;
    deliver_tried(g, 1, 50, 1, TRIES - 1, 0);
    gather_worker_joined(g, 1, "web-7:42", NULL, 0, 0);
    give_at(g, SAVE, 1, 10);
    gather_worker_started(g, 1, 1, 20);
    gather_worker_gone(g, 1, true, 3010);
    gather_step_t steps[2];
    assert_int_equal(gather_steps(g, 0, 3010, steps, 2), 1);
    assert_int_equal(steps[0].tries_count, 1);
    expect_try(steps[0].tries, SAVE, TRIES, HOW_LOST, 20, 2990, "web-7:42", "");
    assert_memory_equal(steps[0].text.bytes, "the worker was lost: web-7:42", steps[0].text.len);
}

/* --- counting --- */

static void test_tries_go_on_where_they_ended(void **state)
{
    gather_t *g = *state;
    deliver_tried(g, 1, 50, BOTH, 1, 0);
    gather_task_t save = give(g, SAVE, 1), restart = give(g, RESTART, 1);
    assert_int_equal(save.record.try_no, 2);
    assert_int_equal(restart.record.try_no, 1);
    assert_int_equal(answer(g, 1, &save, OUTCOME_TRANSIENT, 0, 0, true), TAKEN_RETRY);
    gather_tick(g, 1000);
    save = give(g, SAVE, 1);
    assert_int_equal(save.record.try_no, 3);
    assert_int_equal(answer(g, 1, &save, OUTCOME_TRANSIENT, 0, 1000, true), TAKEN_BAD);
    /* Something of it has failed: what ends well is told. */
    ok(g, 1, &restart, 1000);
    gather_step_t step = one_step(g, 0, 1000);
    assert_int_equal(step.tries_count, 3);
    assert_int_equal(step.tries->no, 2);
    assert_int_equal(step.tries->next->no, 3);
    assert_int_equal(step.tries->next->next->how, HOW_OK);
}

static void test_no_try_is_left(void **state)
{
    gather_t *g = *state;
    deliver_tried(g, 1, 50, BOTH, TRIES, 0);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    gather_task_t restart = give(g, RESTART, 1);
    gather_step_t step = one_step(g, 0, REPORT_MS);
    assert_int_equal(step.bad, 1 << SAVE);
    assert_true(step.text.len > 0);
    assert_false(step.final);
    ok(g, 1, &restart, 200);
    assert_true(one_step(g, 0, 200).final);

    deliver_tried(g, 2, 50, 1, TRIES_MAX, 0);
    step = one_step(g, 0, 200);
    assert_true(step.final);
    assert_int_equal(step.bad, 1 << SAVE);
}

static void test_redelivered_with_the_tries_of_another(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1);
    deliver_tried(g, 1, 60, BOTH, TRIES - 1, TRIES);
    assert_int_equal(gather_waiting(g, RESTART), 0);
    /* The one that runs is still answered by its own number, and counts on top of the others. */
    assert_int_equal(answer(g, 1, &save, OUTCOME_TRANSIENT, 0, 0, true), TAKEN_BAD);
    gather_step_t step = one_step(g, 0, 0);
    assert_true(step.final);
    assert_int_equal(step.bad, BOTH);
    assert_int_equal(step.tries_count, 1);
    assert_int_equal(step.tries->no, TRIES);
}

/* It runs while the last try that is allowed has failed elsewhere: its result counts, and if it was no try,
 * or the worker leaves, there is none to follow. */
static void test_no_try_is_left_for_what_runs(void **state)
{
    gather_t *g = *state;
    gather_worker_joined(g, 1, "web-7:42", NULL, 0, 0);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        deliver_tried(g, seq, 50, 1, 0, 0);
        gather_task_t save = give_at(g, SAVE, 1, 0);
        assert_int_equal(deliver_tried(g, seq, 60, 1, TRIES, 0), 0);
        assert_int_equal(gauges(g).running[SAVE], 1);
        if (seq == 1)
            assert_int_equal(answer(g, 1, &save, OUTCOME_BLOCKED, 400, 10, true), TAKEN_BAD);
        else if (seq == 2)
            assert_int_equal(answer(g, 1, &save, OUTCOME_OK, 0, 10, true), TAKEN_OK);
        else if (seq == 3)
            gather_worker_holds(g, 1, NULL, 0, 10);
        else
            gather_worker_gone(g, 1, false, 10);
        assert_int_equal(gather_waiting(g, SAVE), 0);
        assert_int_equal(gauges(g).backing_off[SAVE], 0);
        gather_step_t step = one_step(g, 0, 10);
        assert_true(step.final);
        assert_int_equal(step.bad, seq == 2 ? 0 : 1 << SAVE);
        assert_int_equal(step.text.len > 0, seq != 2);
        gather_settled(g, step.slot, step.lease, true, seq == 2 ? STEP_DONE : STEP_DEAD);
    }
    assert_empty(g);
}

static void test_redelivered_with_fewer_tries(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    answer(g, 1, &save, OUTCOME_TRANSIENT, 0, 0, true);
    deliver_tried(g, 1, 60, 1, 0, 0);
    gather_tick(g, 1000);
    assert_int_equal(give(g, SAVE, 1).record.try_no, 2);
    assert_int_equal(one_step(g, 0, REPORT_MS).tries_count, 1);
}

static void test_policies_differ_by_leg_and_change(void **state)
{
    gather_t *g = *state;
    gather_policy_t policy = {.max_tries = 1};
    gather_policy(g, RESTART, &policy);
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t save = give(g, SAVE, 1), restart = give(g, RESTART, 1);
    assert_int_equal(answer(g, 1, &save, OUTCOME_TRANSIENT, 0, 0, true), TAKEN_RETRY);
    assert_int_equal(answer(g, 1, &restart, OUTCOME_TRANSIENT, 0, 0, true), TAKEN_BAD);
    gather_policy(g, SAVE, &policy);
    gather_tick(g, 1000);
    save = give(g, SAVE, 1);
    assert_int_equal(answer(g, 1, &save, OUTCOME_TRANSIENT, 0, 1000, true), TAKEN_BAD);
}

static void test_other_limits_count_for_what_is_held(void **state)
{
    gather_t *g = *state;
    const gather_limits_t limits = {.messages_max = HELD,
                                    .extend_ms = 2 * EXTEND_MS,
                                    .extend_every_ms = 2 * EVERY_MS,
                                    .report_after_ms = REPORT_MS,
                                    .policy = {.max_tries = 1}};
    deliver(g, 1, 50, BOTH, 0);
    gather_limits(g, &limits);
    /* The next extension was due by the old period, the one behind it is by the new. */
    gather_step_t step = one_step(g, 0, EVERY_MS);
    assert_int_equal(step.ms, 2 * EXTEND_MS);
    gather_settled(g, step.slot, step.lease, false, STEP_KEPT);
    assert_true(gather_steps_ms(g, 0) == 3 * EVERY_MS);
    gather_task_t save = give(g, SAVE, 1);
    assert_int_equal(answer(g, 1, &save, OUTCOME_TRANSIENT, 0, EVERY_MS, true), TAKEN_BAD);
}

/* What comes in after it is not kept waiting by what was due by a longer period. */
static void test_shorter_periods_count_at_once(void **state)
{
    gather_t *g = *state;
    const gather_limits_t limits = {.messages_max = HELD,
                                    .extend_ms = EXTEND_MS,
                                    .extend_every_ms = EVERY_MS / 2,
                                    .report_after_ms = REPORT_MS / 2,
                                    .policy = {.max_tries = TRIES}};
    deliver(g, 1, 50, BOTH, 0);
    gather_task_t first = give(g, SAVE, 1);
    ok(g, 1, &first, 10);
    gather_limits(g, &limits);
    deliver(g, 2, 51, BOTH, 10);
    gather_task_t second = give(g, SAVE, 1);
    ok(g, 1, &second, 10);
    gather_step_t steps[3];
    assert_int_equal(gather_steps(g, 0, 10 + REPORT_MS / 2, steps, 3), 2);
    assert_int_equal(gather_steps(g, 0, 10 + EVERY_MS / 2, steps, 3), 2);
    assert_int_equal(steps[0].op, OP_EXTEND);
    assert_int_equal(steps[1].id.seq, 2);
}

/* --- bounds --- */

static void test_not_ours_any_more_is_not_told(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    gather_step_t step = one_step(g, 0, EVERY_MS);
    gather_settled(g, step.slot, step.lease, false, STEP_STALE);
    answer(g, 1, &save, OUTCOME_TRANSIENT, 0, EVERY_MS, true);
    assert_empty(g);
}

static void test_a_long_text_is_cut_between_characters(void **state)
{
    gather_t *g = *state;
    char text[301];
    for (int i = 0; i < 100; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 3);
    deliver(g, 1, 50, 1, 0);
    gather_task_t save = give(g, SAVE, 1);
    result_record_t r = {
        .ref = save.record.ref, .try_no = 1, .outcome = OUTCOME_PERMANENT, .text = {text, 300}};
    bool freed;
    gather_result(g, 1, &r, 0, NULL, &freed);
    gather_step_t step = one_step(g, 0, 0);
    assert_int_equal(step.tries->text.len, 255);
    assert_int_equal(step.text.len, 300);
}

/* While nobody can be told, the last try of each leg stays: from there the next consumer counts on. */
static void test_a_step_has_room_for_its_tries(void **state)
{
    gather_t *g = *state;
    char text[TEXT_BYTES_MAX], label[LABEL_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    memset(label, 'w', LABEL_BYTES_MAX);
    label[LABEL_BYTES_MAX] = '\0';
    gather_worker_joined(g, 1, label, NULL, 0, 0);
    for (uint32_t text_len = 0; text_len <= TEXT_BYTES_MAX; text_len += TEXT_BYTES_MAX) {
        gather_policy_t many = {.max_tries = TRIES_MAX};
        for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
            gather_policy(g, leg, &many);
        deliver(g, 1, 50, 255, 0);
        for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
            for (uint32_t i = 0; i < 100; i++) {
                gather_task_t task = give(g, leg, 1);
                result_record_t r = {.ref = task.record.ref,
                                     .try_no = i + 1,
                                     .outcome = OUTCOME_TRANSIENT,
                                     .text = {text, text_len}};
                bool freed;
                gather_result(g, 1, &r, 0, NULL, &freed);
                gather_tick(g, 0);
            }
        }
        gather_step_t step = one_step(g, 0, REPORT_MS);
        assert_in_range(step.tries_count, LEGS_MAX, STEP_EVENTS_MAX);
        buffer_t b;
        buffer_init(&b);
        uint32_t last[LEGS_MAX] = {0};
        const gather_try_t *t = step.tries;
        for (uint32_t i = 0; i < step.tries_count; i++, t = t->next) {
            event_t e = {.bit = (uint8_t)t->leg,
                         .no = t->no,
                         .label = t->label,
                         .since_ms = INT64_MAX,
                         .took_ms = DURATION_MS_MAX,
                         .how = t->how,
                         .text = t->text};
            event_write(&b, &e);
            assert_true(t->no > last[t->leg]);
            last[t->leg] = t->no;
        }
        assert_true(b.len <= HISTORY_BYTES_MAX);
        assert_int_equal(events_count(b.data, b.len), step.tries_count);
        for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
            assert_int_equal(last[leg], 100);
        buffer_done(&b);
        gather_source_gone(g, 0);
        gather_steps(g, 0, 0, &step, 0);
        assert_int_equal(g->slab.bytes_used, 0);
    }
}

static void test_names_that_are_too_old_are_empty(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 50, 1, 0);
    gather_worker_joined(g, 1, "first", NULL, 0, 0);
    gather_task_t save = give(g, SAVE, 1);
    for (uint32_t i = 0; i < WHO_MAX; i++)
        gather_worker_joined(g, 2, "second", NULL, 0, 0);
    answer(g, 1, &save, OUTCOME_PERMANENT, 0, 0, true);
    assert_int_equal(one_step(g, 0, 0).tries->label.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_well_tells_nothing),
        TEST(test_a_failure_is_told_in_time),
        TEST(test_what_ended_well_before_is_told_with_the_first_failure),
        TEST(test_blocked_is_no_try),
        TEST(test_an_extension_tells_tries),
        TEST(test_a_lost_worker_is_named),
        TEST(test_tries_go_on_where_they_ended),
        TEST(test_no_try_is_left),
        TEST(test_redelivered_with_the_tries_of_another),
        TEST(test_no_try_is_left_for_what_runs),
        TEST(test_redelivered_with_fewer_tries),
        TEST(test_other_limits_count_for_what_is_held),
        TEST(test_shorter_periods_count_at_once),
        TEST(test_policies_differ_by_leg_and_change),
        TEST(test_not_ours_any_more_is_not_told),
        TEST(test_a_long_text_is_cut_between_characters),
        TEST(test_a_step_has_room_for_its_tries),
        TEST(test_names_that_are_too_old_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

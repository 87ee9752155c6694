/* The consumer's gather: workers that were lost and come back with what they had. */
#include "common/core/gather_internal.h"
#include "tests/unit/gather_fixture.h"

static uint32_t outstanding(const gather_t *g, uint32_t worker)
{
    return g->workers[worker].running.count + g->workers[worker].strays.count;
}

/* A task of message 1, at worker 1 when he is lost. */
static gather_task_t lose_one(gather_t *g)
{
    deliver(g, 1, 50, 1, 0);
    gather_task_t task = give_and_start(g, SAVE, 1);
    gather_worker_gone(g, 1, true, 3000);
    return task;
}

static gather_taken_t come_back_and_say(gather_t *g, const gather_task_t *task, outcome_t outcome)
{
    assert_int_equal(gather_worker_joined(g, 9, "again", &task->record.ref, 1, 5000), 1);
    return answer(g, 9, task, outcome, 0, 6000, true);
}

static void test_a_worker_comes_back_with_its_tasks(void **state)
{
    gather_t *g = *state;
    for (uint64_t seq = 1; seq <= 3; seq++)
        deliver(g, seq, seq, 1, 0);
    gather_task_t tasks[3];
    for (int i = 0; i < 3; i++)
        tasks[i] = give(g, SAVE, 1);
    gather_worker_started(g, 1, 1, 0);
    gather_worker_gone(g, 1, true, 3000);
    uint64_t held[] = {tasks[0].record.ref, tasks[1].record.ref, tasks[2].record.ref,
                       tasks[0].record.ref ^ UINT64_C(1) << 62, /* of another process */
                       7};
    assert_int_equal(gather_worker_joined(g, 9, "again", held, 5, 4000), 3);
    assert_int_equal(outstanding(g, 9), 3);
    /* Preferably others do them now. */
    gather_task_t none, again[3];
    assert_false(gather_give(g, SAVE, 9, true, 4000, &none));
    for (int i = 0; i < 3; i++)
        assert_true(gather_give(g, SAVE, 2, true, 4000, &again[i]));
    assert_int_equal(answer(g, 9, &tasks[0], OUTCOME_OK, 0, 5000, true), TAKEN_OK);
    assert_int_equal(answer(g, 9, &tasks[1], OUTCOME_PERMANENT, 0, 5000, true), TAKEN_LATE);
    ok(g, 2, &again[2], 5000);
    assert_int_equal(answer(g, 9, &tasks[2], OUTCOME_OK, 0, 5000, true), TAKEN_LATE);
    assert_int_equal(outstanding(g, 9), 0);
    assert_int_equal(gauges(g).done[SAVE], 2);
    ok(g, 2, &again[1], 5000);
    assert_int_equal(answer(g, 2, &again[0], OUTCOME_OK, 0, 5000, true), TAKEN_LATE);
}

/* Another worker has let it end badly meanwhile: it leaves the dead letters. */
static void test_done_by_a_lost_worker_after_the_message_died(void **state)
{
    gather_t *g = *state;
    gather_task_t lost = lose_one(g), again = give(g, SAVE, 2);
    answer(g, 2, &again, OUTCOME_PERMANENT, 0, 4000, true);
    gather_step_t step = one_step(g, 0, 4000);
    gather_settled(g, step.slot, step.lease, true, STEP_DEAD);
    assert_empty(g);
    assert_int_equal(come_back_and_say(g, &lost, OUTCOME_OK), TAKEN_OK);
    step = one_step(g, 0, 6000);
    assert_int_equal(step.id.seq, 1);
    assert_int_equal(step.token, 50);
    assert_int_equal(step.done, 1 << SAVE);
    assert_int_equal(step.bad, 0);
    assert_true(step.final);
    assert_true(gather_settled(g, step.slot, step.lease, true, STEP_DONE));
    assert_int_equal(outstanding(g, 9), 0);
    assert_empty(g);
}

/* It went back to its publisher for a long wait, and has come again. */
static void test_done_by_a_lost_worker_after_a_release(void **state)
{
    gather_t *g = *state;
    gather_task_t lost = lose_one(g), again = give(g, SAVE, 2);
    answer(g, 2, &again, OUTCOME_BLOCKED, 5000, 4000, true);
    gather_step_t step = one_step(g, 0, 4000);
    gather_settled(g, step.slot, step.lease, true, STEP_RETURNED);
    deliver(g, 1, 60, 1, 5000);
    assert_int_equal(come_back_and_say(g, &lost, OUTCOME_OK), TAKEN_OK);
    assert_int_equal(gather_waiting(g, SAVE), 0);
    step = one_step(g, 0, 6000);
    assert_int_equal(step.token, 60);
    assert_int_equal(step.done, 1 << SAVE);
}

static void test_a_late_failure_of_a_lost_worker(void **state)
{
    gather_t *g = *state;
    gather_task_t lost = lose_one(g);
    assert_int_equal(come_back_and_say(g, &lost, OUTCOME_PERMANENT), TAKEN_LATE);
    assert_int_equal(gauges(g).bad[SAVE], 0);
    assert_int_equal(gather_waiting(g, SAVE), 1);
}

static void test_lost_again_and_back_again(void **state)
{
    gather_t *g = *state;
    gather_task_t lost = lose_one(g), again = give(g, SAVE, 2);
    ok(g, 2, &again, 4000);
    gather_step_t step = one_step(g, 0, 4000);
    gather_settled(g, step.slot, step.lease, true, STEP_GONE);
    gather_worker_joined(g, 1, "again", &lost.record.ref, 1, 4000);
    assert_int_equal(gauges(g).strays, 1);
    gather_worker_gone(g, 1, true, 5000);
    assert_int_equal(gauges(g).strays, 0);
    assert_int_equal(come_back_and_say(g, &lost, OUTCOME_OK), TAKEN_OK);
}

static void test_nothing_is_told_to_a_source_that_is_gone(void **state)
{
    gather_t *g = *state;
    gather_task_t lost = lose_one(g);
    gather_source_gone(g, 0);
    assert_int_equal(come_back_and_say(g, &lost, OUTCOME_OK), TAKEN_LATE);
    assert_empty(g);
}

/* As many are remembered as messages may be held, and what a worker has now comes first. */
static void test_the_oldest_are_forgotten(void **state)
{
    gather_t *g = *state;
    gather_task_t lost[2 * HELD];
    for (uint32_t i = 0; i < 2 * HELD; i++) {
        deliver(g, i + 1, 50, 1, 0);
        lost[i] = give(g, SAVE, 1);
        gather_worker_gone(g, 1, true, 0);
        gather_task_t again = give(g, SAVE, 2);
        answer(g, 2, &again, OUTCOME_PERMANENT, 0, 0, true);
        gather_step_t step = one_step(g, 0, 0);
        gather_settled(g, step.slot, step.lease, true, STEP_DEAD);
    }
    assert_int_equal(g->lost_strays.count, HELD);
    for (uint32_t i = 0; i < 2 * HELD; i++) {
        gather_worker_joined(g, 10 + i, "again", &lost[i].record.ref, 1, 0);
        assert_int_equal(answer(g, 10 + i, &lost[i], OUTCOME_OK, 0, 0, true),
                         i < HELD + 1 ? TAKEN_LATE : TAKEN_OK);
        if (i >= HELD + 1) {
            gather_step_t step = one_step(g, 0, 0);
            gather_settled(g, step.slot, step.lease, true, STEP_DONE);
        }
    }
}

/* The ref of a task of the first slot that many messages ago; UINT32_MAX: of the next. */
static uint64_t given_before(const gather_t *g, uint32_t messages)
{
    return (uint64_t)((g->generation - messages) & GENERATION_MASK) << 32;
}

/* One process may hold more messages than generations: what it gave last is its own across the wrap, and what
 * is further behind than half of them is another's. */
static void test_more_messages_than_generations(void **state)
{
    gather_t *g = *state;
    uint64_t held[3];
    g->generation = (g->generation_first - 2) & GENERATION_MASK;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        deliver(g, seq, seq, 1, 0);
        held[seq - 1] = give(g, SAVE, 1).record.ref;
    }
    gather_worker_gone(g, 1, true, 3000);
    assert_int_equal(gather_worker_joined(g, 9, "again", held, 3, 4000), 3);
    assert_int_equal(outstanding(g, 9), 3);
    uint64_t edge[] = {given_before(g, GENERATIONS_BEHIND - 1), given_before(g, GENERATIONS_BEHIND),
                       given_before(g, UINT32_MAX)};
    assert_int_equal(gather_worker_joined(g, 10, "other", edge, 1, 4000), 1);
    assert_int_equal(gather_worker_joined(g, 11, "other", edge + 1, 2, 4000), 0);
}

/* And where the numbers themselves begin again. */
static void test_generations_that_begin_again(void **state)
{
    gather_t *g = *state;
    uint64_t held[3];
    g->generation = g->generation_first = GENERATION_MASK - 1;
    for (uint64_t seq = 1; seq <= 3; seq++) {
        deliver(g, seq, seq, 1, 0);
        held[seq - 1] = give(g, SAVE, 1).record.ref;
    }
    gather_worker_gone(g, 1, true, 3000);
    uint64_t all[] = {held[0], held[1], held[2], given_before(g, 3), given_before(g, UINT32_MAX)};
    assert_int_equal(gather_worker_joined(g, 9, "again", all, 5, 4000), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_worker_comes_back_with_its_tasks),
        TEST(test_done_by_a_lost_worker_after_the_message_died),
        TEST(test_done_by_a_lost_worker_after_a_release),
        TEST(test_a_late_failure_of_a_lost_worker),
        TEST(test_lost_again_and_back_again),
        TEST(test_nothing_is_told_to_a_source_that_is_gone),
        TEST(test_the_oldest_are_forgotten),
        TEST(test_more_messages_than_generations),
        TEST(test_generations_that_begin_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

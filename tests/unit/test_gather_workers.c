/* The consumer's gather: workers that are lost, what they had started, suspects. */
#include "tests/unit/gather_many.h"

/* All that wait, out to one worker that is lost while it works at them. */
static void lose_all(gather_t *g, uint32_t worker)
{
    give_all(g, worker);
    gather_worker_started(g, worker, UINT32_MAX, 0);
    gather_worker_gone(g, worker, true, 0);
    gather_worker_joined(g, worker, "again", NULL, 0, 0);
}

/* --- started --- */

static void test_only_what_was_started_costs_a_try(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 3);
    for (int i = 0; i < 3; i++)
        give(g, SAVE, 1);
    gather_worker_started(g, 1, 2, 0);
    gather_worker_started(g, 1, 1, 0); /* never back */
    assert_int_equal(gather_worker_gone(g, 1, true, 0), 3);
    assert_int_equal(failures(g, 1), 1);
    assert_int_equal(failures(g, 2), 1);
    assert_int_equal(failures(g, 3), 0);
    assert_int_equal(gauges(g).lost[SAVE], 2);
    for (uint64_t seq = 1; seq <= 3; seq++)
        assert_int_equal(give(g, SAVE, 2).record.id.seq, seq);
}

static void test_a_goodbye_costs_nothing(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 1);
    give_and_start(g, SAVE, 1);
    gather_worker_gone(g, 1, false, 0);
    assert_int_equal(failures(g, 1), 0);
}

static void test_what_could_not_be_sent_is_not_counted_on(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 4);
    give(g, SAVE, 1);
    gather_task_t second = give(g, SAVE, 1), third = give(g, SAVE, 1);
    gather_ungive(g, third.record.ref);
    gather_ungive(g, second.record.ref);
    /* The worker's second is this one. */
    assert_int_equal(give(g, SAVE, 1).record.id.seq, 2);
    give(g, SAVE, 1);
    gather_worker_started(g, 1, 2, 0);
    gather_worker_gone(g, 1, true, 0);
    assert_int_equal(failures(g, 2), 1);
    assert_int_equal(failures(g, 3), 0);
}

static void test_what_it_held_counts_as_started(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 3);
    uint64_t held = give(g, SAVE, 1).record.ref;
    give(g, SAVE, 1);
    gather_worker_started(g, 1, 2, 0);
    assert_int_equal(gather_worker_holds(g, 1, &held, 1, 0), 1);
    /* Counted anew from here on. */
    assert_int_equal(give(g, SAVE, 1).record.id.seq, 2);
    assert_int_equal(give(g, SAVE, 1).record.id.seq, 3);
    gather_worker_started(g, 1, 1, 0);
    gather_worker_gone(g, 1, true, 0);
    assert_int_equal(failures(g, 1), 1);
    assert_int_equal(failures(g, 2), 1);
    assert_int_equal(failures(g, 3), 0);
}

static void test_a_count_from_nowhere(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 2);
    gather_worker_started(g, 1, INT64_MAX, 0);
    give(g, SAVE, 1);
    gather_worker_gone(g, 1, true, 0);
    assert_int_equal(failures(g, 1), 0);
}

/* A session may last for more tasks than 32 bits count: what comes then is not started before it begins. */
static void test_more_tasks_than_32_bits_count(void **state)
{
    gather_t *g = *state;
    const uint64_t many = UINT32_MAX;
    g->workers[1].given = g->workers[1].started = (uint32_t)many - 1;
    deliver_many(g, 1, 4);
    for (int i = 0; i < 4; i++)
        give(g, SAVE, 1);
    gather_worker_started(g, 1, many + 2, 0);
    gather_worker_gone(g, 1, true, 0);
    for (uint64_t seq = 1; seq <= 4; seq++)
        assert_int_equal(failures(g, seq), seq <= 3 ? 1 : 0);
}

/* --- suspects --- */

static void test_suspects_go_out_in_small_groups(void **state)
{
    gather_t *g = *state;
    static const uint32_t groups[] = {40, 40, 16, 4};
    for (uint32_t lost = 0; lost < 4; lost++) {
        deliver_many(g, 1, 40);
        for (uint32_t i = 0; i < lost; i++) {
            /* Each to a worker of its own, so that all of them have lost as many. */
            uint32_t workers = 0;
            while (gather_waiting(g, SAVE) > 0 && workers < 41)
                give_all(g, 100 + workers++);
            for (uint32_t worker = 100; worker < 100 + workers; worker++) {
                gather_worker_started(g, worker, UINT32_MAX, 0);
                gather_worker_gone(g, worker, true, 0);
                gather_worker_joined(g, worker, "", NULL, 0, 0);
            }
        }
        assert_int_equal(gauges(g).suspects[SAVE], lost < 2 ? 0 : 40);
        assert_int_equal(give_all(g, 1), groups[lost]);
        /* What has lost nobody is not held up by them. */
        deliver_many(g, 41, 42);
        assert_int_equal(give_all(g, 1), 2);
        assert_int_equal(give_all(g, 2), lost < 2 ? 0 : 40 - groups[lost] < groups[lost] ? 24 : groups[lost]);
        gather_worker_gone(g, 1, false, 0);
        gather_worker_gone(g, 2, false, 0);
        gather_source_gone(g, 0);
        gather_worker_joined(g, 1, "", NULL, 0, 0);
        gather_worker_joined(g, 2, "", NULL, 0, 0);
    }
}

static void test_one_kind_of_suspects_at_a_time_and_the_worst_first(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 2);
    for (int i = 0; i < 2; i++)
        lose_all(g, 1);
    gather_task_t first = give_and_start(g, SAVE, 1);
    gather_worker_gone(g, 1, true, 0);
    gather_worker_joined(g, 1, "", NULL, 0, 0);
    /* 1 has lost three now, 2 two. */
    gather_task_t task = give(g, SAVE, 1), none;
    assert_int_equal(task.record.id.seq, first.record.id.seq);
    assert_false(gather_give(g, SAVE, 1, false, 0, &none));
    assert_int_equal(give(g, SAVE, 2).record.id.seq, 2);
    ok(g, 1, &task, 0);
    gather_worker_gone(g, 2, false, 0);
    assert_int_equal(give(g, SAVE, 1).record.id.seq, 2);
}

static void test_beside_a_suspect_nothing_is_counted(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 1);
    for (int i = 0; i < 2; i++)
        lose_all(g, 1);
    deliver_many(g, 2, 3);
    assert_int_equal(give_all(g, 1), 3);
    gather_worker_started(g, 1, 3, 0);
    gather_worker_gone(g, 1, true, 0);
    assert_int_equal(failures(g, 1), 3);
    assert_int_equal(failures(g, 2), 0);
    /* One that was not started is not what it was lost by. */
    gather_worker_joined(g, 1, "", NULL, 0, 0);
    gather_task_t suspect = give(g, SAVE, 1);
    assert_int_equal(suspect.record.id.seq, 1);
    gather_ungive(g, suspect.record.ref);
    give(g, SAVE, 2); /* the suspect is out elsewhere */
    assert_int_equal(give(g, SAVE, 1).record.id.seq, 2);
    gather_worker_started(g, 1, 1, 0);
    gather_worker_gone(g, 2, false, 0);
    gather_worker_joined(g, 2, "", NULL, 0, 0);
    assert_int_equal(give(g, SAVE, 1).record.id.seq, 1);
    gather_worker_gone(g, 1, true, 0);
    assert_int_equal(failures(g, 1), 3);
    assert_int_equal(failures(g, 2), 1);
}

/* Poison that comes when others are suspects already: they do not die of what it does beside them. */
static void test_poison_beside_suspects(void **state)
{
    gather_t *g = *state;
    deliver_many(g, 1, 40);
    for (int i = 0; i < 2; i++)
        lose_all(g, 1);
    deliver_many(g, 41, 41);
    gather_task_t tasks[MANY];
    for (uint32_t kills = 0; gauges(g).held > 0 && kills < 100; kills++) {
        uint32_t n = 0;
        bool kills_it = false;
        while (gather_give(g, SAVE, 1, false, 0, &tasks[n]))
            kills_it |= tasks[n++].record.id.seq == 41;
        gather_worker_started(g, 1, UINT32_MAX, 0);
        for (uint32_t i = 0; i < n && !kills_it; i++)
            ok(g, 1, &tasks[i], 0);
        if (kills_it) {
            gather_worker_gone(g, 1, true, 0);
            gather_worker_joined(g, 1, "again", NULL, 0, 0);
        }
        gather_step_t step;
        while (gather_steps(g, 0, 0, &step, 1) == 1)
            gather_settled(g, step.slot, step.lease, step.final, step.bad ? STEP_DEAD : STEP_DONE);
    }
    assert_int_equal(gauges(g).bad[SAVE], 1);
    assert_int_equal(gauges(g).done[SAVE], 40);
}

/* A task that kills its worker each time, among many that do not: it ends, and nothing else does. */
static void test_poison_dies_and_its_neighbours_do_not(void **state)
{
    gather_t *g = *state;
    enum { POISON = 7 };
    deliver_many(g, 1, MANY);
    uint64_t done = 0;
    for (uint32_t round = 0; round < 1000 && gauges(g).bad[SAVE] == 0; round++) {
        gather_task_t tasks[MANY];
        uint32_t n = 0, poison = UINT32_MAX;
        while (n < 32 && gather_give(g, SAVE, 1, false, 0, &tasks[n])) {
            if (tasks[n].record.id.seq == POISON)
                poison = n;
            n++;
        }
        gather_worker_started(g, 1, n, 0);
        if (poison != UINT32_MAX) {
            gather_worker_gone(g, 1, true, 0);
            gather_worker_joined(g, 1, "", NULL, 0, 0);
            continue;
        }
        for (uint32_t i = 0; i < n; i++, done++)
            ok(g, 1, &tasks[i], 0);
    }
    assert_int_equal(gauges(g).bad[SAVE], 1);
    gather_step_t steps[MANY];
    for (size_t n = gather_steps(g, 0, 0, steps, MANY), i = 0; i < n; i++)
        assert_int_equal(steps[i].bad != 0, steps[i].id.seq == POISON);
    gather_task_t task;
    while (gather_give(g, SAVE, 1, false, 0, &task)) {
        ok(g, 1, &task, 0);
        done++;
    }
    assert_int_equal(done, MANY - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MANY_TEST(test_only_what_was_started_costs_a_try),
        MANY_TEST(test_a_goodbye_costs_nothing),
        MANY_TEST(test_what_could_not_be_sent_is_not_counted_on),
        MANY_TEST(test_what_it_held_counts_as_started),
        MANY_TEST(test_a_count_from_nowhere),
        MANY_TEST(test_more_tasks_than_32_bits_count),
        MANY_TEST(test_suspects_go_out_in_small_groups),
        MANY_TEST(test_one_kind_of_suspects_at_a_time_and_the_worst_first),
        MANY_TEST(test_beside_a_suspect_nothing_is_counted),
        MANY_TEST(test_poison_beside_suspects),
        MANY_TEST(test_poison_dies_and_its_neighbours_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

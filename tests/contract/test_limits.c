/* Time limits: what is at work for longer than its TASKS said is cancelled, and gives one result like any
 * other. Over the kinds of tests/contract/odd_kinds.c, in each of the executors. */
#include "tests/contract/contract.h"

#include "common/core/peers.h"
#include <string.h>

enum { LIMIT_MS = 200, LONG_MS = 1000 };

static uint64_t next_seq = 1;

static uint64_t ask(boss_t *b, const char *name, int64_t limit_ms)
{
    b->limit_ms = limit_ms;
    return boss_ask(b, 0, next_seq++, 1, name);
}

static const boss_result_t *await(boss_t *b, uint64_t ref)
{
    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    return boss_result(b, ref);
}

static void test_a_task_that_takes_too_long_is_cancelled(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const int64_t start_ms = test_now_ms();
    const boss_result_t *r = await(b, ask(b, "bound-1", LIMIT_MS));
    assert_int_equal(r->outcome, OUTCOME_TRANSIENT);
    assert_string_equal(r->text, "cancelled after 200 ms");
    assert_true(r->at_ms - start_ms >= LIMIT_MS);
    r = await(b, ask(b, "bound-2", LONG_MS));
    assert_string_equal(r->text, "cancelled after 1 s");
    assert_true(r->at_ms - start_ms >= LIMIT_MS + LONG_MS);
    assert_int_equal(b->results_count, 2);
    rig_passed(c->rig);
}

/* The worker wakes up for it, with nothing else to wake it. */
static void test_the_time_is_watched(void **state)
{
    enum { TIMES = 5 };
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    b->ping_ms = INT64_MAX;
    const int64_t start_ms = test_now_ms();
    for (int i = 0; i < TIMES; i++)
        await(b, ask(b, "bound-1", LIMIT_MS));
    /* By its own PINGs it would take a second each. */
    assert_true(test_now_ms() - start_ms < (TIMES - 1) * PING_MS);
    rig_passed(c->rig);
}

static void test_the_kind_may_know_better(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const boss_result_t *r = await(b, ask(b, "nearly-1", LIMIT_MS));
    assert_int_equal(r->outcome, OUTCOME_OK);
    assert_int_equal(b->results_count, 1);
    rig_passed(c->rig);
}

static void test_what_ends_in_time_is_left_alone(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const uint64_t without = ask(b, "parked-1", 0);
    assert_int_equal(await(b, without)->outcome, OUTCOME_OK);
    const uint64_t within = ask(b, "slow-1", WAIT_MS);
    assert_int_equal(await(b, within)->outcome, OUTCOME_OK);
    /* A failure in time keeps its own text. */
    const boss_result_t *r = await(b, ask(b, "again-1", WAIT_MS));
    assert_int_equal(r->outcome, OUTCOME_TRANSIENT);
    assert_string_equal(r->text, "");
    rig_passed(c->rig);
}

/* Each has its own limit, in whatever order they come; what has none stays. */
static void test_limits_of_all_lengths(void **state)
{
    enum { TASKS = ODD_SLOTS - 1 };
    static const int64_t limits_ms[TASKS] = {500, 100, 700, 300, 0, 200, 600};
    contract_t *c = *state;
    boss_t *b = &c->boss;
    uint64_t refs[TASKS];

    contract_start(c, "worker", ARGS("--drain-timeout", "0"));
    const int64_t start_ms = test_now_ms();
    for (int i = 0; i < TASKS; i++)
        refs[i] = ask(b, "bound-1", limits_ms[i]);
    BOSS_UNTIL(b, b->results_count == TASKS - 1);
    for (int i = 0; i < TASKS; i++) {
        const boss_result_t *r = boss_result(b, refs[i]);
        assert_true((r == NULL) == (limits_ms[i] == 0));
        for (int k = 0; r != NULL && k < TASKS; k++)
            assert_true(limits_ms[k] == 0 || limits_ms[k] <= limits_ms[i] ||
                        boss_result(b, refs[k])->at_ms >= r->at_ms);
        assert_true(r == NULL || r->at_ms - start_ms >= limits_ms[i]);
    }
    rig_passed(c->rig);
}

/* What cannot be cancelled holds its slot and nothing else; the slot of what could is free again. */
static void test_what_ignores_it_holds_its_slot_only(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS("--drain-timeout", "0"));
    const uint64_t stuck = ask(b, "stuck-1", LIMIT_MS);
    for (int round = 0; round < 2; round++) {
        const uint64_t first = b->next_ref;
        boss_flood(b, 0, "bound", next_seq, ODD_SLOTS - 1);
        BOSS_UNTIL(b, b->workers[0].outstanding == 1);
        boss_expect_each_once(b, first, ODD_SLOTS - 1);
    }
    assert_null(boss_result(b, stuck));
    assert_int_equal(b->outcomes[OUTCOME_TRANSIENT], 2 * (ODD_SLOTS - 1));
    rig_passed(c->rig);
}

/* The time runs from when the task is started: waiting for others costs it nothing. */
static void test_the_time_that_a_task_waits_does_not_count(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS("--batch", "1"));
    const uint64_t first = ask(b, "bound-1", LIMIT_MS);
    const uint64_t second = ask(b, "bound-2", LIMIT_MS);
    const int64_t first_ms = await(b, first)->at_ms;
    assert_true(await(b, second)->at_ms - first_ms >= LIMIT_MS - 50);
    rig_passed(c->rig);
}

int main(void)
{
    static const row_t all[] = {{"mandrill-worker-odd", &odd_threads},
                                {"mandrill-worker-odd", &odd_loop},
                                {"mandrill-worker-odd", &odd_batch}};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_task_that_takes_too_long_is_cancelled),
        cmocka_unit_test(test_the_time_is_watched),
        cmocka_unit_test(test_the_kind_may_know_better),
        cmocka_unit_test(test_what_ends_in_time_is_left_alone),
    };
    const struct CMUnitTest parallel[] = {
        cmocka_unit_test(test_limits_of_all_lengths),
        cmocka_unit_test(test_what_ignores_it_holds_its_slot_only),
    };
    const struct CMUnitTest batch[] = {cmocka_unit_test(test_the_time_that_a_task_waits_does_not_count)};
    int failed = contract_run("limits", tests, sizeof tests / sizeof tests[0], all, 3);
    failed += contract_run("threads and loop", parallel, sizeof parallel / sizeof parallel[0], all, 2);
    return failed + contract_run("batch", batch, 1, &all[2], 1);
}

/* What the three executors do with what a kind may do, over the kinds of tests/contract/odd_kinds.c. */
#include "tests/contract/contract.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_FAILED = 1 };

static const boss_result_t *answer(boss_t *b, const char *name)
{
    static uint64_t seq;
    const uint64_t ref = boss_ask(b, 0, ++seq, 1, name);

    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    return boss_result(b, ref);
}

static void test_every_outcome_arrives_as_it_was_given(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    const boss_result_t *r = answer(b, "fine-1");
    assert_int_equal(r->outcome, OUTCOME_OK);
    r = answer(b, "gone-1");
    assert_int_equal(r->outcome, OUTCOME_PERMANENT);
    assert_string_equal(r->text, "it is gone");
    r = answer(b, "again-1");
    assert_int_equal(r->outcome, OUTCOME_TRANSIENT);
    assert_int_equal(r->ms, ODD_WAIT_MS);
    r = answer(b, "later-1");
    assert_int_equal(r->outcome, OUTCOME_BLOCKED);
    assert_int_equal(r->ms, ODD_WAIT_MS);
    /* The boss has decoded it, so it was cut to what the protocol takes. */
    r = answer(b, "long-1");
    assert_int_equal(r->outcome, OUTCOME_PERMANENT);
    assert_int_equal(r->text_len, TEXT_BYTES_MAX - 1);

    assert_int_equal(contract_stop(c, p), 0);
    assert_int_equal(report_number(p, "ok"), 1);
    assert_int_equal(report_number(p, "transient"), 1);
    assert_int_equal(report_number(p, "permanent"), 2);
    assert_int_equal(report_number(p, "blocked"), 1);
    rig_passed(c->rig);
}

/* A slow task keeps nobody from PING and from being heard; in threads and in the loop they run side by side.
 */
static void test_slow_tasks_run_side_by_side(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    const uint64_t first = b->next_ref;

    contract_start(c, "worker", NO_ARGS);
    const int64_t start_ms = test_now_ms();
    boss_flood(b, 0, "slow", 1, ODD_SLOTS);
    BOSS_UNTIL(b, b->results_count == ODD_SLOTS);
    boss_expect_each_once(b, first, ODD_SLOTS);
    assert_true(test_now_ms() - start_ms >= ODD_SLOW_MS);
    assert_true(b->results[ODD_SLOTS - 1].at_ms - b->results[0].at_ms < (ODD_SLOTS - 1) * ODD_SLOW_MS);
    rig_passed(c->rig);
}

/* Two consumers may have given more than there are slots: the rest waits its turn. (odd-loop aborts when more
 * are begun.) */
static void test_more_tasks_than_slots_wait(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    static boss_t second;
    const char *endpoint = rig_endpoint(c->rig, "tasks-1");

    contract_spawn(c, "worker", endpoint, NO_ARGS);
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].welcomed);
    boss_flood(b, 0, "parked", 1, ODD_SLOTS);
    boss_open(&second, endpoint);
    BOSS_UNTIL(b, (boss_turn(&second, 0), second.workers_count == 1 && second.workers[0].welcomed));
    boss_flood(&second, 0, "slow", 100, second.workers[0].window);
    BOSS_UNTIL(b,
               (boss_turn(&second, 0), b->workers[0].outstanding == 0 && second.workers[0].outstanding == 0));
    assert_int_equal(b->outcomes[OUTCOME_OK], ODD_SLOTS);
    assert_int_equal(second.outcomes[OUTCOME_OK], ODD_SLOTS / 2);
    boss_close(&second);
    rig_passed(c->rig);
}

/* What ends after another process stands where its consumer was is nobody's. */
static void test_results_of_a_consumer_that_is_gone_are_dropped(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char endpoint[RIG_ENDPOINT_MAX];
    process_t *p = contract_start(c, "worker", NO_ARGS);

    const uint64_t parked = b->next_ref;
    boss_flood(b, 0, "parked", 1, ODD_SLOTS / 2);
    assert_int_equal(answer(b, "fine-1")->outcome, OUTCOME_OK); /* so they are at work */
    snprintf(endpoint, sizeof endpoint, "%s", b->endpoint);
    boss_close(b);
    boss_open(b, endpoint);
    b->next_ref = parked + 1000;
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].welcomed);
    assert_int_equal(answer(b, "fine-2")->outcome, OUTCOME_OK);
    const unsigned hellos = b->workers[0].hellos;
    boss_who(b, 0);
    BOSS_UNTIL(b, b->workers[0].hellos > hellos);
    assert_false(boss_held(b, 0, parked));
    assert_int_equal(contract_stop(c, p), 0); /* when they have ended */
    assert_int_equal(process_log_count(p, "4 tasks are of a consumer that is gone"), 1);
    assert_int_equal(b->results_count, 1);
    rig_passed(c->rig);
}

static void test_stuck_tasks_are_given_back_when_the_drain_times_out(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", ARGS("--drain-timeout", "300ms"));

    const uint64_t stuck = boss_ask(b, 0, 1, 1, "stuck-1");
    assert_int_equal(answer(b, "fine-1")->outcome, OUTCOME_OK); /* a stuck one holds only its slot */
    const int64_t start_ms = test_now_ms();
    assert_int_equal(contract_stop(c, p), 0);
    assert_true(test_now_ms() - start_ms >= 300);
    BOSS_UNTIL(b, b->workers[0].byes == 1);
    assert_null(boss_result(b, stuck));
    assert_int_equal(process_log_count(p, "drained: 0 finished, 1 given back"), 1);
    rig_passed(c->rig);
}

static void test_a_second_signal_stops_at_once(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", ARGS("--drain-timeout", "1h"));

    boss_ask(b, 0, 1, 1, "stuck-1");
    assert_int_equal(answer(b, "fine-1")->outcome, OUTCOME_OK);
    process_signal(p, SIGTERM);
    BOSS_UNTIL(b, b->workers[0].window == 0); /* it drains */
    assert_true(process_running(p));
    process_signal(p, SIGTERM);
    BOSS_UNTIL(b, !process_running(p));
    assert_int_equal(process_code(p), EXIT_FAILED);
    BOSS_UNTIL(b, b->workers[0].byes == 1);
    rig_passed(c->rig);
}

static void test_what_is_in_flight_is_dumped_on_request(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", ARGS("--drain-timeout", "0"));

    boss_ask(b, 0, 77, 3, "stuck-1");
    assert_int_equal(answer(b, "fine-1")->outcome, OUTCOME_OK);
    process_signal(p, SIGUSR1);
    BOSS_UNTIL(b, process_log_count(p, "5d1e9a0c44f3b210-77 stuck-1.example.net try 3, at work for ") == 1);
    assert_int_equal(process_log_count(p, "in flight: 1 tasks"), 1);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

static void test_a_held_task_is_named_while_it_runs(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS("--drain-timeout", "0"));
    const uint64_t stuck = boss_ask(b, 0, 1, 1, "stuck-1");
    assert_int_equal(answer(b, "fine-1")->outcome, OUTCOME_OK);
    boss_who(b, 0);
    BOSS_UNTIL(b, b->workers[0].hellos == 2);
    assert_true(boss_held(b, 0, stuck));
    rig_passed(c->rig);
}

static void test_a_full_store_asks_for_nothing_until_it_is_over(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const boss_result_t *r = answer(b, "full-1");
    const int64_t full_ms = r->at_ms;
    assert_int_equal(r->outcome, OUTCOME_BLOCKED);
    assert_int_equal(r->ms, ODD_PAUSE_MS);
    BOSS_UNTIL(b, b->workers[0].window == 0);
    BOSS_UNTIL(b, b->workers[0].window == contract_window(c));
    assert_true(test_now_ms() - full_ms >= ODD_PAUSE_MS - 50);
    assert_int_equal(answer(b, "fine-1")->outcome, OUTCOME_OK);
    rig_passed(c->rig);
}

static void test_a_broken_store_ends_the_worker_and_answers_nothing(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    assert_int_equal(answer(b, "fine-1")->outcome, OUTCOME_OK);
    const uint64_t broken = boss_ask(b, 0, 1, 1, "broken-1");
    BOSS_UNTIL(b, !process_running(p));
    assert_int_equal(process_code(p), EXIT_FAILED);
    BOSS_UNTIL(b, b->workers[0].byes == 1); /* so that others get the task at once */
    assert_null(boss_result(b, broken));
    assert_int_equal(process_log_count(p, "the store is broken"), 1);
    rig_passed(c->rig);
}

int main(void)
{
    static const row_t all[] = {{"mandrill-worker-odd", &odd_threads},
                                {"mandrill-worker-odd", &odd_loop},
                                {"mandrill-worker-odd", &odd_batch}};
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_outcome_arrives_as_it_was_given)};
    const struct CMUnitTest parallel[] = {
        cmocka_unit_test(test_slow_tasks_run_side_by_side),
        cmocka_unit_test(test_more_tasks_than_slots_wait),
        cmocka_unit_test(test_results_of_a_consumer_that_is_gone_are_dropped),
        cmocka_unit_test(test_stuck_tasks_are_given_back_when_the_drain_times_out),
        cmocka_unit_test(test_a_second_signal_stops_at_once),
        cmocka_unit_test(test_what_is_in_flight_is_dumped_on_request),
        cmocka_unit_test(test_a_held_task_is_named_while_it_runs),
    };
    const struct CMUnitTest stores[] = {
        cmocka_unit_test(test_a_full_store_asks_for_nothing_until_it_is_over),
        cmocka_unit_test(test_a_broken_store_ends_the_worker_and_answers_nothing),
    };
    int failed = contract_run("executors", tests, 1, all, 3);
    failed += contract_run("threads and loop", parallel, sizeof parallel / sizeof parallel[0], all, 2);
    return failed + contract_run("batch", stores, sizeof stores / sizeof stores[0], &all[2], 1);
}

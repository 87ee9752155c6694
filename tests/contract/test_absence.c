/* A worker that is gone for a while, or whose consumer is: it is welcomed back with what it holds, and what
 * it has done meanwhile is told once. */
#include "tests/contract/contract.h"

#include "common/core/peers.h"
#include <signal.h>
#include <stdio.h>

/* Long enough to be dead for everybody. */
enum { ROWS_MAX = 32, AWAY_MS = DEAD_MS + 500, FEW = 5 };

#define BOSS_WAIT_SINCE(b, start_ms, ms) BOSS_UNTIL(b, test_now_ms() - (start_ms) >= (ms))

/* A task is on its way to a worker that is stopped, and taken for dead meanwhile. */
static void test_a_stopped_worker_is_welcomed_back(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);
    const uint64_t session = b->workers[0].hello.session;

    const uint64_t before = boss_ask(b, 0, 1, 1, "web-1");
    BOSS_UNTIL(b, boss_result(b, before) != NULL);
    process_signal(p, SIGSTOP);
    const int64_t stopped_ms = test_now_ms();
    const uint64_t late = boss_ask(b, 0, 2, 1, "web-2");
    BOSS_WAIT_SINCE(b, stopped_ms, AWAY_MS);
    boss_forget(b, 0);
    assert_int_equal(b->workers[0].hellos, 1);
    process_signal(p, SIGCONT);
    BOSS_UNTIL(b, b->workers[0].hellos == 2);
    assert_int_equal(b->workers_count, 1);
    assert_int_equal(b->workers[0].hello.session, session);
    assert_true(boss_held(b, 0, late));
    BOSS_UNTIL(b, boss_result(b, late) != NULL);
    /* A request for a grant may be lost with the connection that it went over: then nothing was done. */
    if (c->row.kind->granted == NULL || boss_result(b, late)->outcome != OUTCOME_BLOCKED)
        assert_int_equal(boss_result(b, late)->outcome, OUTCOME_OK);
    /* And it works on as before. */
    const uint64_t after = boss_ask(b, 0, 3, 1, "web-3");
    BOSS_UNTIL(b, boss_result(b, after) != NULL);
    assert_int_equal(b->results_count, 3);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

static void test_a_consumer_is_replaced_while_the_worker_is_stopped(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char endpoint[RIG_ENDPOINT_MAX];
    process_t *p = contract_start(c, "worker", NO_ARGS);

    b->blind = true;
    for (uint64_t seq = 1; seq <= FEW; seq++)
        boss_ask(b, 0, seq, 1, "web-1");
    BOSS_UNTIL(b, b->results_count == FEW); /* and not seen: the worker keeps them */
    process_signal(p, SIGSTOP);
    snprintf(endpoint, sizeof endpoint, "%s", b->endpoint);
    boss_close(b);
    boss_open(b, endpoint); /* another process, by its session */
    b->next_ref += FEW + 1;
    process_signal(p, SIGCONT);
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].welcomed);
    const uint64_t ref = boss_ask(b, 0, 1, 1, "web-1");
    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    assert_int_equal(boss_result(b, ref)->no, 1);
    assert_int_equal(b->results_count, 1);
    assert_int_equal(b->workers[0].started, 1);
    assert_int_equal(contract_stop(c, p), 0);
    assert_int_equal(b->results_count, 1);
    rig_passed(c->rig);
}

static void test_both_consumers_welcome_it_back(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    static boss_t second;
    const char *endpoint = rig_endpoint(c->rig, "tasks-1");

    boss_open(&second, endpoint);
    process_t *p = contract_spawn(c, "worker", endpoint, NO_ARGS);
    BOSS_UNTIL(b, (boss_turn(&second, 0), b->workers_count == 1 && second.workers_count == 1));
    BOSS_UNTIL(b, (boss_turn(&second, 0), b->workers[0].window == second.workers[0].window));
    process_signal(p, SIGSTOP);
    const uint64_t first_late = boss_ask(b, 0, 1, 1, "web-1"),
                   second_late = boss_ask(&second, 0, 2, 1, "web-2");
    boss_forget(b, 0);
    boss_forget(&second, 0);
    process_signal(p, SIGCONT);
    BOSS_UNTIL(b, (boss_turn(&second, 0),
                   boss_result(b, first_late) != NULL && boss_result(&second, second_late) != NULL));
    assert_int_equal(b->workers[0].hellos, 2);
    assert_int_equal(second.workers[0].hellos, 2);
    assert_true(boss_held(b, 0, first_late));
    assert_true(boss_held(&second, 0, second_late));
    boss_close(&second);
    rig_passed(c->rig);
}

/* PING comes from the thread that works: a batch that hangs is silence, and its results are sent when it is
 * over. */
static void test_a_batch_that_hangs_is_silent_and_then_late(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const uint64_t hung = boss_ask(b, 0, 1, 1, "hung-1");
    BOSS_UNTIL(b, b->workers[0].started == 1);
    const int64_t begun_ms = test_now_ms();
    const unsigned pings = b->workers[0].pings;
    BOSS_WAIT_SINCE(b, begun_ms, AWAY_MS);
    assert_int_equal(b->workers[0].pings, pings);
    boss_forget(b, 0);
    BOSS_UNTIL(b, boss_result(b, hung) != NULL);
    assert_int_equal(boss_result(b, hung)->outcome, OUTCOME_OK);
    assert_int_equal(b->workers[0].hellos, 2);
    assert_true(boss_held(b, 0, hung));
    rig_passed(c->rig);
}

/* In threads it is the loop that PINGs: one that hangs holds its slot. */
static void test_a_thread_that_hangs_is_no_silence(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const uint64_t hung = boss_ask(b, 0, 1, 1, "hung-1");
    const unsigned pings = b->workers[0].pings;
    BOSS_UNTIL(b, b->workers[0].pings >= pings + 3);
    assert_null(boss_result(b, hung));
    BOSS_UNTIL(b, boss_result(b, hung) != NULL);
    assert_int_equal(b->workers[0].hellos, 1);
    rig_passed(c->rig);
}

int main(void)
{
    static row_t rows[ROWS_MAX];
    const size_t count = contract_rows(rows, ROWS_MAX);
    static const row_t threads = {"mandrill-worker-odd", &odd_threads},
                       batch = {"mandrill-worker-odd", &odd_batch};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stopped_worker_is_welcomed_back),
        cmocka_unit_test(test_a_consumer_is_replaced_while_the_worker_is_stopped),
        cmocka_unit_test(test_both_consumers_welcome_it_back),
    };
    const struct CMUnitTest silent[] = {cmocka_unit_test(test_a_batch_that_hangs_is_silent_and_then_late)};
    const struct CMUnitTest alive[] = {cmocka_unit_test(test_a_thread_that_hangs_is_no_silence)};
    int failed = contract_run("absence", tests, sizeof tests / sizeof tests[0], rows, count);
    failed += contract_run("batch", silent, 1, &batch, 1);
    return failed + contract_run("threads", alive, 1, &threads, 1);
}

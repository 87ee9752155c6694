/* How many tasks have been started: told in PING, in the order in which they came, and before the work can
 * kill the process. */
#include "tests/contract/contract.h"

#include <signal.h>
#include <stdio.h>

enum { ROWS_MAX = 32, FEW = 5, POISONS = 5, SIGNALLED = 128 };

static void await(boss_t *b, uint64_t ref)
{
    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
}

static void test_started_is_told_before_the_result(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    for (uint64_t seq = 1; seq <= FEW; seq++) {
        await(b, boss_ask(b, 0, seq, 1, "web-1"));
        assert_int_equal(b->workers[0].started, seq);
    }
    /* The PINGs of an idle worker go on telling it. */
    const unsigned pings = b->workers[0].pings;
    BOSS_UNTIL(b, b->workers[0].pings >= pings + 2);
    assert_int_equal(b->workers[0].started, FEW);
    rig_passed(c->rig);
}

/* So that the number stays a place among the tasks as they were given. */
static void test_what_is_refused_has_its_place(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    boss_give(b, 0, 1, 1, "", 0);
    boss_give(b, 0, 2, 1, "\xc0", 1);
    await(b, boss_ask(b, 0, 3, 1, "web-1"));
    assert_int_equal(b->workers[0].started, 3);
    assert_int_equal(b->results_count, 3);
    rig_passed(c->rig);
}

static void test_many_cost_few_frames(void **state)
{
    enum { MANY = 20000, FEWER = 2000, TOGETHER = 50 };
    contract_t *c = *state;
    boss_t *b = &c->boss;

    /* What waits for others ends, and lets the next begin, when these like; and each task costs them
     * something. */
    const bool waits = c->row.kind->go_on != NULL;
    const unsigned many = waits ? FEWER : MANY, together = waits ? 2 : TOGETHER;

    contract_start(c, "worker", NO_ARGS);
    boss_give_many(b, 0, "web", 1, many);
    BOSS_UNTIL(b, b->results_count == many);
    assert_int_equal(b->workers[0].started, many);
    if (c->row.kind->slots >= 2 * TOGETHER)
        assert_true(b->workers[0].pings < many / together);
    rig_passed(c->rig);
}

static void test_it_counts_anew_after_each_welcome(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    await(b, boss_ask(b, 0, 1, 1, "web-1"));
    for (unsigned hellos = 2; hellos < 4; hellos++) {
        boss_who(b, 0);
        BOSS_UNTIL(b, b->workers[0].hellos == hellos);
        assert_int_equal(b->workers[0].started, 0);
        await(b, boss_ask(b, 0, hellos, 1, "web-1"));
        assert_int_equal(b->workers[0].started, 1);
    }
    rig_passed(c->rig);
}

/* A HELLO that is repeated before its answer comes is answered twice: the second one counts. */
static void test_it_counts_anew_after_a_second_welcome(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    const welcome_t welcome = {.version = PROTO_VERSION, .session = b->session};

    contract_start(c, "worker", NO_ARGS);
    await(b, boss_ask(b, 0, 1, 1, "web-1"));
    buffer_clear(&b->frame);
    encode_welcome(&b->frame, &welcome);
    boss_send(b, 0, &b->frame);
    b->workers[0].started = 0;
    await(b, boss_ask(b, 0, 2, 1, "web-1"));
    assert_int_equal(b->workers[0].started, 1);
    assert_int_equal(b->workers[0].hellos, 1);
    rig_passed(c->rig);
}

/* --- what the kinds of the tests show --- */

static void test_what_is_held_does_not_count(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS("--drain-timeout", "0"));
    const uint64_t stuck = boss_ask(b, 0, 1, 1, "stuck-1");
    await(b, boss_ask(b, 0, 2, 1, "fine-1"));
    assert_int_equal(b->workers[0].started, 2);
    boss_who(b, 0);
    BOSS_UNTIL(b, b->workers[0].hellos == 2);
    assert_true(boss_held(b, 0, stuck));
    await(b, boss_ask(b, 0, 3, 1, "fine-1"));
    assert_int_equal(b->workers[0].started, 1);
    rig_passed(c->rig);
}

/* All slots are taken by the tasks of one consumer: those of the other are held, not started. When they begin
 * after a WELCOME that they were held over, they do not count. */
static void test_what_waits_for_a_slot_has_not_been_started(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    static boss_t second;
    const char *endpoint = rig_endpoint(c->rig, "tasks-1");

    contract_spawn(c, "worker", endpoint, ARGS("--drain-timeout", "0"));
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].welcomed);
    boss_flood(b, 0, "parked", 1, ODD_SLOTS);
    BOSS_UNTIL(b, b->workers[0].started == ODD_SLOTS);
    boss_open(&second, endpoint);
    BOSS_UNTIL(b, (boss_turn(&second, 0), second.workers_count == 1 && second.workers[0].welcomed));
    boss_flood(&second, 0, "slow", 100, 2);
    const unsigned pings = second.workers[0].pings;
    /* A whole second, in which it was told nothing, while the slots are taken for longer. */
    BOSS_UNTIL(b, (boss_turn(&second, 0), second.workers[0].pings > pings));
    if (b->results_count == 0)
        assert_int_equal(second.workers[0].started, 0);
    boss_who(&second, 0);
    BOSS_UNTIL(b, (boss_turn(&second, 0), second.workers[0].hellos == 2));
    assert_int_equal(second.workers[0].hello.held_count, 2);
    BOSS_UNTIL(b, (boss_turn(&second, 0), second.results_count == 2));
    assert_int_equal(second.workers[0].started, 0);
    boss_ask(&second, 0, 102, 1, "fine-1");
    BOSS_UNTIL(b, (boss_turn(&second, 0), second.results_count == 3));
    assert_int_equal(second.workers[0].started, 1);
    boss_close(&second);
    rig_passed(c->rig);
}

/* A batch is told as a whole, the next one not before it begins. */
static void test_a_batch_that_waits_has_not_been_started(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS("--batch", "1"));
    boss_flood(b, 0, "parked", 1, 2);
    BOSS_UNTIL(b, b->workers[0].started > 0);
    assert_int_equal(b->workers[0].started, 1);
    assert_int_equal(b->results_count, 0);
    BOSS_UNTIL(b, b->results_count == 1);
    BOSS_UNTIL(b, b->results_count == 2);
    assert_int_equal(b->workers[0].started, 2);
    rig_passed(c->rig);
}

/* Again and again, since a frame that was sent just before the end may or may not have gone out. */
static void test_a_task_that_kills_the_process_is_known(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char name[PROCESS_NAME_MAX];

    for (unsigned n = 0; n < POISONS; n++) {
        const unsigned worker = n % BOSS_WORKERS_MAX;
        if (worker == 0)
            boss_dismiss(b);
        snprintf(name, sizeof name, "worker-%u", n);
        process_t *p = contract_start(c, name, NO_ARGS);
        await(b, boss_ask(b, worker, 2 * n + 1, 1, "fine-1"));
        const uint64_t ref = boss_ask(b, worker, 2 * n + 2, 1, "poison-1");
        BOSS_UNTIL(b, !process_running(p));
        boss_turn(b, 0);
        assert_int_equal(process_code(p), SIGNALLED + SIGABRT);
        assert_int_equal(b->workers[worker].started, 2);
        assert_null(boss_result(b, ref));
    }
    rig_passed(c->rig);
}

/* The number that it names next may be that of another message: it must not go on. */
static void test_a_kind_that_answers_twice_is_stopped(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    boss_ask(b, 0, 1, 1, "twice-1");
    BOSS_UNTIL(b, !process_running(p));
    assert_int_equal(process_code(p), SIGNALLED + SIGABRT);
    assert_int_equal(process_log_count(p, "which is not at work"), 1);
    boss_turn(b, 0);
    assert_int_equal(b->results_count, 0);
    rig_passed(c->rig);
}

int main(void)
{
    static row_t rows[ROWS_MAX];
    const size_t count = contract_rows(rows, ROWS_MAX);
    static const row_t odd[] = {{"mandrill-worker-odd", &odd_threads},
                                {"mandrill-worker-odd", &odd_loop},
                                {"mandrill-worker-odd", &odd_batch}};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_started_is_told_before_the_result),
        cmocka_unit_test(test_what_is_refused_has_its_place),
        cmocka_unit_test(test_many_cost_few_frames),
        cmocka_unit_test(test_it_counts_anew_after_each_welcome),
        cmocka_unit_test(test_it_counts_anew_after_a_second_welcome),
    };
    const struct CMUnitTest deadly[] = {cmocka_unit_test(test_a_task_that_kills_the_process_is_known)};
    const struct CMUnitTest parallel[] = {
        cmocka_unit_test(test_what_is_held_does_not_count),
        cmocka_unit_test(test_what_waits_for_a_slot_has_not_been_started),
    };
    const struct CMUnitTest batch[] = {cmocka_unit_test(test_a_batch_that_waits_has_not_been_started)};
    const struct CMUnitTest sinks[] = {cmocka_unit_test(test_a_kind_that_answers_twice_is_stopped)};
    int failed = contract_run("started", tests, sizeof tests / sizeof tests[0], rows, count);
    failed += contract_run("deadly", deadly, 1, odd, 3);
    failed += contract_run("threads and loop", parallel, sizeof parallel / sizeof parallel[0], odd, 2);
    failed += contract_run("batch", batch, 1, &odd[2], 1);
    return failed + contract_run("sinks", sinks, 1, &odd[1], 2);
}

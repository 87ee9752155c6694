/* What every worker owes its consumer, whatever its kind: each test runs for each row of the table of kinds.
 */
#include "tests/contract/contract.h"
#include "tests/support/frames.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS_MAX = 32,
    MANY = 3000,
    FEW = 5,
    EXIT_FAILED = 1,
    GARBAGE = 300,
    ASKED_MAX = 1000,
    SMALL = 16,
    OVER = 10
};

/* A small window for kinds of either sort. */
#define SMALL_ARGS ARGS("--slots", "16", "--batch", "1")

static void test_hello_says_what_the_worker_is(void **state)
{
    contract_t *c = *state;
    contract_start(c, "worker", NO_ARGS);
    const hello_t *h = &c->boss.workers[0].hello;

    assert_true(h->version_min <= PROTO_VERSION && h->version_max >= PROTO_VERSION);
    assert_int_equal(h->role, ROLE_WORKER);
    assert_string_equal(h->kind, c->row.kind->name);
    assert_string_equal(h->leg, c->row.kind->leg);
    assert_int_not_equal(h->session, 0);
    assert_int_equal(c->boss.workers[0].window, contract_window(c));
    assert_int_equal(h->held_count, 0);
    rig_passed(c->rig);
}

static void test_it_is_ready_when_it_is_welcomed(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    b->silent = true;
    process_t *p = contract_spawn(c, "worker", NULL, NO_ARGS);
    /* HELLO is repeated each second. */
    BOSS_UNTIL(b, b->workers_count > 0 && b->workers[0].hellos >= 2);
    assert_false(contract_ready(p));
    b->silent = false;
    BOSS_UNTIL(b, contract_ready(p));
    rig_passed(c->rig);
}

static void test_every_task_gets_one_result(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);
    const uint64_t first = b->next_ref;

    boss_give_many(b, 0, "web", 1, MANY);
    BOSS_UNTIL(b, b->results_count >= MANY);
    assert_int_equal(contract_stop(c, p), 0);
    boss_expect_each_once(b, first, MANY);
    assert_int_equal(b->outcomes[OUTCOME_OK], MANY);
    assert_int_equal(report_number(p, "tasks"), MANY);
    assert_int_equal(report_number(p, "ok"), MANY);
    assert_int_equal(report_number(p, "refused"), 0);
    rig_passed(c->rig);
}

static void test_a_message_that_comes_again_is_answered_again(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const uint64_t first = boss_ask(b, 0, 7, 1, "web-7");
    BOSS_UNTIL(b, boss_result(b, first) != NULL);
    const uint64_t second = boss_ask(b, 0, 7, 2, "web-7");
    BOSS_UNTIL(b, boss_result(b, second) != NULL);
    assert_int_equal(boss_result(b, second)->outcome, OUTCOME_OK);
    assert_int_equal(boss_result(b, first)->try_no, 1);
    assert_int_equal(boss_result(b, second)->try_no, 2);
    rig_passed(c->rig);
}

static void test_bad_bodies_end_badly_and_alone(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"", 0},
        {"\xc0", 1},                                             /* nil */
        {"\x80", 1},                                             /* an empty map */
        {"\x81\xa8instance\xa1x", 12},                           /* as clients write it */
        {"\x82\xa4host\xa7web-1.x\xacpublished_at\x01\x01", 29}, /* a byte too many */
        {"\x82\xa4host\xa7web-1.x\xacpublished_at\xff", 28},     /* a time before 1970 */
        {"\x82\xa4host\xa7;rm -rf\xacpublished_at\x01", 28},     /* no host name */
        {"\xdd\x01\x00\x00\x00", 5},                             /* announces more than there is */
    };
    contract_t *c = *state;
    boss_t *b = &c->boss;
    uint64_t refs[sizeof bad / sizeof bad[0]];
    const size_t n = sizeof bad / sizeof bad[0];
    process_t *p = contract_start(c, "worker", NO_ARGS);

    for (size_t i = 0; i < n; i++) {
        refs[i] = boss_give(b, 0, i + 1, 1, bad[i].bytes, bad[i].len);
        boss_ask(b, 0, 100 + i, 1, "web-1");
    }
    BOSS_UNTIL(b, b->results_count >= 2 * n);
    for (size_t i = 0; i < n; i++) {
        const boss_result_t *r = boss_result(b, refs[i]);
        assert_non_null(r);
        assert_int_equal(r->outcome, OUTCOME_PERMANENT);
        assert_non_null(strstr(r->text, "body"));
    }
    assert_int_equal(b->outcomes[OUTCOME_OK], n);
    assert_int_equal(contract_stop(c, p), 0);
    assert_int_equal(report_number(p, "permanent"), n);
    assert_int_equal(report_number(p, "bad_bodies"), n);
    rig_passed(c->rig);
}

static void test_garbage_is_counted_and_survived(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);
    uint64_t seed = frames_seed();
    unsigned surely_bad = 0;
    buffer_t frame;

    b->lax = true;
    buffer_init(&frame);
    for (int i = 0; i < GARBAGE; i++) {
        const char *why;
        const bool is_bad = frames_surely_bad(frames_bad(FRAMES_TASKS, &seed, &frame));
        /* What is BYE by chance ends the connection, and what was sent behind it is not counted. */
        if (proto_command(frame.data, frame.len, &why) == CMD_BYE)
            continue;
        surely_bad += is_bad;
        boss_send(b, 0, &frame);
        boss_turn(b, 0);
    }
    buffer_done(&frame);
    /* What was WHO by chance is followed by a new HELLO: some of these may be lost. A task may take longer
     * than a turn. */
    uint64_t asked[ASKED_MAX];
    bool answered = false;
    for (size_t n = 0; !answered;) {
        assert_true(n < ASKED_MAX);
        asked[n] = boss_ask(b, 0, n + 1, 1, "web-1");
        n++;
        boss_turn(b, 50);
        for (size_t i = 0; i < n && !answered; i++)
            answered = boss_result(b, asked[i]) != NULL;
    }
    assert_true(b->workers[0].errors > 0);
    assert_int_equal(contract_stop(c, p), 0);
    assert_true(report_number(p, "refused") >= (int64_t)surely_bad);
    rig_passed(c->rig);
}

static void test_who_is_answered_with_all_that_is_held(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    uint64_t refs[FEW];
    uint64_t numbers[FEW], last_number = 0;

    contract_start(c, "worker", NO_ARGS);
    const uint64_t session = b->workers[0].hello.session;
    b->blind = true;
    for (int i = 0; i < FEW; i++)
        refs[i] = boss_ask(b, 0, (uint64_t)i + 1, 1, "web-1");
    BOSS_UNTIL(b, b->results_count == FEW);
    for (int i = 0; i < FEW; i++)
        numbers[i] = boss_result(b, refs[i])->no;
    for (int i = 0; i < FEW; i++)
        last_number = numbers[i] > last_number ? numbers[i] : last_number;

    /* Not seen is held, and sent again as it was. */
    b->results_count = 0;
    boss_who(b, 0);
    BOSS_UNTIL(b, b->workers[0].hellos == 2);
    assert_int_equal(b->workers[0].hello.session, session);
    assert_int_equal(b->workers[0].hello.held_count, FEW);
    for (int i = 0; i < FEW; i++)
        assert_true(boss_held(b, 0, refs[i]));
    BOSS_UNTIL(b, b->results_count == FEW);
    for (int i = 0; i < FEW; i++)
        assert_int_equal(boss_result(b, refs[i])->no, numbers[i]);

    /* Seen is neither. */
    b->results_count = 0;
    b->workers[0].seen = last_number;
    b->ping_ms = 0; /* says so now */
    boss_turn(b, 0);
    boss_who(b, 0);
    BOSS_UNTIL(b, b->workers[0].hellos == 3);
    assert_int_equal(b->workers[0].hello.held_count, 0);
    const uint64_t sixth = boss_ask(b, 0, 98, 1, "web-1");
    BOSS_UNTIL(b, boss_result(b, sixth) != NULL);
    assert_int_equal(b->results_count, 1);

    /* TASKS say what is seen as well as PING. */
    b->ping_ms = INT64_MAX;
    b->workers[0].seen = boss_result(b, sixth)->no;
    const uint64_t last = boss_ask(b, 0, 99, 1, "web-1");
    BOSS_UNTIL(b, boss_result(b, last) != NULL);
    boss_who(b, 0);
    BOSS_UNTIL(b, b->workers[0].hellos == 4);
    assert_int_equal(b->workers[0].hello.held_count, 1);
    assert_true(boss_held(b, 0, last));
    rig_passed(c->rig);
}

static void test_a_cut_connection_loses_and_repeats_nothing(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    const uint64_t first = b->next_ref;

    contract_start(c, "worker", NO_ARGS);
    const uint64_t session = b->workers[0].hello.session;
    const uint32_t n = contract_window(c) < 200 ? contract_window(c) : 200;
    boss_give_many(b, 0, "web", 1, n);
    /* The first results are here; the others go down with the connection, or come after it. */
    BOSS_UNTIL(b, b->results_count > 0);
    boss_cut(b);
    BOSS_UNTIL(b, b->workers[0].hellos >= 2);
    assert_int_equal(b->workers_count, 1);
    assert_int_equal(b->workers[0].hello.session, session);
    /* What it does not hold never arrived, or is answered and seen: a consumer would give the former again.
     */
    uint32_t lost = 0;
    for (uint64_t ref = first; ref < first + n; ref++)
        lost += !boss_held(b, 0, ref) && boss_result(b, ref) == NULL;
    BOSS_UNTIL(b, b->results_count >= n - lost);
    for (uint64_t ref = first; ref < first + n; ref++)
        boss_result(b, ref); /* fails the test when there are two */
    rig_passed(c->rig);
}

static void test_another_consumer_is_told_nothing_of_the_last_ones_tasks(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char endpoint[RIG_ENDPOINT_MAX];

    contract_start(c, "worker", NO_ARGS);
    b->blind = true;
    for (int i = 0; i < FEW; i++)
        boss_ask(b, 0, (uint64_t)i + 1, 1, "web-1");
    BOSS_UNTIL(b, b->results_count == FEW);
    snprintf(endpoint, sizeof endpoint, "%s", b->endpoint);
    boss_close(b);
    boss_open(b, endpoint); /* another process, by its session */
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].welcomed);
    const uint64_t ref = boss_ask(b, 0, 1, 1, "web-1");
    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    assert_int_equal(b->results_count, 1);
    assert_int_equal(boss_result(b, ref)->no, 1);
    rig_passed(c->rig);
}

static void test_tasks_beyond_the_window_come_back(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", SMALL_ARGS);
    const uint64_t first = b->next_ref;

    assert_int_equal(b->workers[0].window, SMALL);
    boss_flood(b, 0, "web", 1, SMALL + OVER);
    BOSS_UNTIL(b, b->results_count == SMALL + OVER);
    boss_expect_each_once(b, first, SMALL + OVER);
    assert_int_equal(b->outcomes[OUTCOME_OK], SMALL);
    assert_int_equal(b->outcomes[OUTCOME_BLOCKED], OVER);
    for (uint64_t ref = first + SMALL; ref < first + SMALL + OVER; ref++) {
        assert_int_equal(boss_result(b, ref)->outcome, OUTCOME_BLOCKED);
        assert_true(boss_result(b, ref)->ms > 0);
    }
    assert_int_equal(contract_stop(c, p), 0);
    assert_int_equal(report_number(p, "over_window"), OVER);
    rig_passed(c->rig);
}

static void test_two_consumers_share_the_window(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    static boss_t second;
    const char *endpoint = rig_endpoint(c->rig, "tasks-1");

    contract_spawn(c, "worker", endpoint, SMALL_ARGS);
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].welcomed && b->workers[0].window == SMALL);
    boss_open(&second, endpoint);
    BOSS_UNTIL(b, (boss_turn(&second, 0), second.workers_count == 1 && b->workers[0].window == SMALL / 2 &&
                                              second.workers[0].window == SMALL / 2));
    assert_int_not_equal(second.workers[0].hello.session, b->workers[0].hello.session);

    /* Both are served. */
    boss_ask(b, 0, 1, 1, "web-1");
    boss_ask(&second, 0, 2, 1, "web-2");
    BOSS_UNTIL(b, (boss_turn(&second, 0), b->results_count == 1 && second.results_count == 1));

    buffer_clear(&second.frame);
    encode_bye(&second.frame);
    boss_send(&second, 0, &second.frame);
    second.silent = true; /* stays away */
    BOSS_UNTIL(b, (boss_turn(&second, 0), b->workers[0].window == SMALL));
    boss_close(&second);
    rig_passed(c->rig);
}

static void test_a_drain_finishes_and_says_goodbye(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);
    const uint64_t first = b->next_ref;
    const uint32_t n = b->workers[0].window;

    boss_give_many(b, 0, "web", 1, n);
    /* They came in one frame, so all are there when the first is answered. */
    BOSS_UNTIL(b, b->results_count > 0);
    assert_int_equal(contract_stop(c, p), 0);
    BOSS_UNTIL(b, b->workers[0].byes == 1);
    assert_int_equal(b->workers[0].window, 0);
    assert_int_equal(process_log_count(p, " finished, 0 given back"), 1);
    boss_expect_each_once(b, first, n);
    assert_int_equal(b->outcomes[OUTCOME_OK], n);
    rig_passed(c->rig);
}

static void test_killed_it_comes_back_as_another(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    const uint64_t first = boss_ask(b, 0, 1, 1, "web-1");
    BOSS_UNTIL(b, boss_result(b, first) != NULL);
    process_kill(p);
    process_start(p);
    BOSS_UNTIL(b, b->workers_count == 2 && b->workers[1].welcomed && b->workers[1].window > 0);
    assert_int_not_equal(b->workers[0].hello.session, b->workers[1].hello.session);
    assert_int_equal(b->workers[1].hello.held_count, 0);
    const uint64_t second = boss_ask(b, 1, 1, 2, "web-1");
    BOSS_UNTIL(b, boss_result(b, second) != NULL);
    assert_int_equal(boss_result(b, second)->outcome, OUTCOME_OK);
    assert_int_equal(boss_result(b, second)->no, 1);
    rig_passed(c->rig);
}

static void test_an_idle_worker_pings(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const int64_t start_ms = test_now_ms();
    BOSS_UNTIL(b, b->workers[0].pings >= 3);
    /* One a second, and no more. */
    assert_true(test_now_ms() - start_ms >= 1900);
    assert_int_equal(b->workers[0].hellos, 1);
    rig_passed(c->rig);
}

int main(void)
{
    static row_t rows[ROWS_MAX];
    const size_t count = contract_rows(rows, ROWS_MAX);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_says_what_the_worker_is),
        cmocka_unit_test(test_it_is_ready_when_it_is_welcomed),
        cmocka_unit_test(test_every_task_gets_one_result),
        cmocka_unit_test(test_a_message_that_comes_again_is_answered_again),
        cmocka_unit_test(test_bad_bodies_end_badly_and_alone),
        cmocka_unit_test(test_garbage_is_counted_and_survived),
        cmocka_unit_test(test_who_is_answered_with_all_that_is_held),
        cmocka_unit_test(test_a_cut_connection_loses_and_repeats_nothing),
        cmocka_unit_test(test_another_consumer_is_told_nothing_of_the_last_ones_tasks),
        cmocka_unit_test(test_tasks_beyond_the_window_come_back),
        cmocka_unit_test(test_two_consumers_share_the_window),
        cmocka_unit_test(test_a_drain_finishes_and_says_goodbye),
        cmocka_unit_test(test_killed_it_comes_back_as_another),
        cmocka_unit_test(test_an_idle_worker_pings),
    };
    return contract_run("protocol", tests, sizeof tests / sizeof tests[0], rows, count);
}

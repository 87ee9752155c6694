/* restart-simulate: how long it takes, how often it fails. */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <string.h>

enum { TASKS = 1500, FEW = 200, LATE_MS = 2000 };

static void ask_all(contract_t *c, uint32_t n)
{
    boss_t *b = &c->boss;
    const uint64_t first = b->next_ref;

    boss_give_many(b, 0, "web", 1, n);
    BOSS_UNTIL(b, b->results_count == n);
    boss_expect_each_once(b, first, n);
}

static void test_delays_are_kept(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    int64_t sum_ms = 0;

    contract_start(c, "worker", ARGS("--simulate", "300..500"));
    const int64_t start_ms = test_now_ms();
    ask_all(c, FEW);
    for (int i = 0; i < FEW; i++) {
        const int64_t took_ms = b->results[i].at_ms - start_ms;
        assert_true(took_ms >= 300);
        assert_true(took_ms <= 500 + LATE_MS);
        sum_ms += took_ms;
    }
    /* Spread over the range: they come neither all at its beginning nor all at its end. */
    assert_true(b->results[FEW - 1].at_ms - b->results[0].at_ms >= 100);
    assert_true(sum_ms / FEW >= 350);
    rig_passed(c->rig);
}

static void test_without_delay_it_answers_at_once(void **state)
{
    contract_t *c = *state;

    contract_start(c, "worker", ARGS("--simulate", "0..0"));
    const int64_t start_ms = test_now_ms();
    ask_all(c, TASKS);
    assert_true(test_now_ms() - start_ms < LATE_MS);
    rig_passed(c->rig);
}

static void test_failures_come_at_their_rate(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    unsigned disconnected = 0, timed_out = 0, no_host = 0;

    contract_start(c, "worker", ARGS("--simulate", "0..0", "--fail", "0.3", "--seed", "42"));
    ask_all(c, TASKS);
    for (int i = 0; i < TASKS; i++) {
        const boss_result_t *r = &b->results[i];
        disconnected += r->outcome == OUTCOME_TRANSIENT && strcmp(r->text, "server disconnected") == 0;
        timed_out += r->outcome == OUTCOME_TRANSIENT && strcmp(r->text, "time-out") == 0;
        no_host += r->outcome == OUTCOME_PERMANENT && strcmp(r->text, "no such host") == 0;
    }
    const unsigned failed = disconnected + timed_out + no_host;
    assert_int_equal(b->outcomes[OUTCOME_OK], TASKS - failed);
    assert_in_range(failed, TASKS * 25 / 100, TASKS * 35 / 100);
    assert_in_range(disconnected, failed * 25 / 100, failed * 42 / 100);
    assert_in_range(timed_out, failed * 25 / 100, failed * 42 / 100);
    assert_in_range(no_host, failed * 25 / 100, failed * 42 / 100);
    rig_passed(c->rig);
}

static void test_every_restart_can_fail(void **state)
{
    contract_t *c = *state;

    contract_start(c, "worker", ARGS("--simulate", "0..0", "--fail", "1"));
    ask_all(c, FEW);
    assert_int_equal(c->boss.outcomes[OUTCOME_OK], 0);
    rig_passed(c->rig);
}

static void test_a_seed_makes_it_the_same_again(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    outcome_t first[FEW];

    process_t *p = contract_start(c, "worker", ARGS("--simulate", "0..0", "--fail", "0.5", "--seed", "7"));
    ask_all(c, FEW);
    for (int i = 0; i < FEW; i++)
        first[i] = b->results[i].outcome;
    assert_int_equal(contract_stop(c, p), 0);

    b->results_count = 0;
    contract_start(c, "again", ARGS("--simulate", "0..0", "--fail", "0.5", "--seed", "7"));
    boss_give_many(b, 1, "web", 1, FEW);
    BOSS_UNTIL(b, b->results_count == FEW);
    for (int i = 0; i < FEW; i++)
        assert_int_equal(b->results[i].outcome, first[i]);
    rig_passed(c->rig);
}

static void test_restarts_are_logged_on_request(void **state)
{
    contract_t *c = *state;
    process_t *p = contract_start(c, "worker", ARGS("--simulate", "0..1", "--log-messages"));

    ask_all(c, 2);
    assert_int_equal(process_log_count(p, "Restarted web-1.example.net (5d1e9a0c44f3b210-1)"), 1);
    assert_int_equal(process_log_count(p, "Restarted "), 2);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

static void test_a_bad_range_is_a_usage_error(void **state)
{
    contract_t *c = *state;
    static const char *const bad[] = {"",
                                      "5",
                                      "..",
                                      "1..",
                                      "..1",
                                      "2..1",
                                      "-1..1",
                                      "0..1s",
                                      "0..99999999",
                                      "a..b",
                                      "99999999999999999999999999..1"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char name[PROCESS_NAME_MAX];
        snprintf(name, sizeof name, "bad-%zu", i);
        process_t *p =
            SPAWN(c->rig, name, "mandrill-worker", "--kind", "restart-simulate", "--simulate", bad[i]);
        assert_int_equal(process_wait(p, WAIT_MS), 2);
        assert_true(process_log_count(p, "--simulate") > 0);
    }
    assert_int_equal(RUN(c->rig, "rate", "mandrill-worker", "--kind", "restart-simulate", "--fail", "1.5"),
                     2);
    rig_passed(c->rig);
}

int main(void)
{
    const row_t row = contract_row("restart-simulate");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delays_are_kept),
        cmocka_unit_test(test_without_delay_it_answers_at_once),
        cmocka_unit_test(test_failures_come_at_their_rate),
        cmocka_unit_test(test_every_restart_can_fail),
        cmocka_unit_test(test_a_seed_makes_it_the_same_again),
        cmocka_unit_test(test_restarts_are_logged_on_request),
        cmocka_unit_test(test_a_bad_range_is_a_usage_error),
    };
    return contract_run("restart-simulate", tests, sizeof tests / sizeof tests[0], &row, 1);
}

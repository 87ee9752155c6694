/* restart-docker: nothing before it is recorded, nothing twice when its worker dies, and what the guards say.
 * The engine is one that fails when it is told to (tests/support/dockerd.h). */
#include "tests/contract/contract.h"

#include "common/runtime/clock.h"

static void test_the_intent_is_recorded_before_the_restart(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    dockerd_t *d = c->dockerd;

    contract_start(c, "worker", NO_ARGS);
    b->grants = BOSS_SAYS_NOTHING;
    const uint64_t ref = contract_ask(c, "web-1", CONTRACT_PUBLISHED_MS, NULL);
    BOSS_UNTIL(b, boss_intent(b, ref) != NULL);
    /* Another one goes all the way up to there. */
    const uint64_t other = contract_ask(c, "web-2", CONTRACT_PUBLISHED_MS, NULL);
    BOSS_UNTIL(b, boss_intent(b, other) != NULL);
    assert_int_equal(dockerd_calls(d, CALL_RESTART), 0);
    boss_answer(b, 0, ref, true);
    contract_expect(c, ref, OUTCOME_OK, "is back after");
    boss_answer(b, 0, other, false);
    contract_expect(c, other, OUTCOME_BLOCKED, "refused");
    assert_int_equal(dockerd_calls(d, CALL_RESTART), 1);
    assert_int_equal(dockerd_restarts(d, "web-1"), 1);
    rig_passed(c->rig);
}

static void test_a_worker_that_dies_after_the_restart_did_it(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    dockerd_t *d = c->dockerd;

    process_t *p = contract_start(c, "worker", NO_ARGS);
    b->grants = BOSS_SAYS_NOTHING;
    const uint64_t ref = contract_ask(c, "web-1", CONTRACT_PUBLISHED_MS, NULL);
    BOSS_UNTIL(b, boss_intent(b, ref) != NULL);
    dockerd_plan(d, CALL_INSPECT, DOCKERD_SILENT, 0, 1);
    boss_answer(b, 0, ref, true);
    BOSS_UNTIL(b, dockerd_restarts(d, "web-1") == 1);
    process_kill(p);
    dockerd_plan(d, CALL_INSPECT, DOCKERD_FINE, 0, 0);
    p = contract_start(c, "next", ARGS("--log-messages"));
    contract_expect(c, contract_ask(c, "web-1", CONTRACT_PUBLISHED_MS, boss_intent(b, ref)), OUTCOME_OK,
                    "was restarted by an earlier try");
    assert_int_equal(process_log_count(p, "Not restarted: web-1.example.net was restarted by an earlier"), 1);
    assert_int_equal(dockerd_restarts(d, "web-1"), 1);
    assert_int_equal(dockerd_calls(d, CALL_RESTART), 1);
    rig_passed(c->rig);
}

/* Nobody knows when its request is carried out, until it cannot be any more. */
static void test_a_worker_that_dies_before_the_restart_is_waited_out(void **state)
{
    enum { TOGETHER_MS = 900 };
    contract_t *c = *state;
    boss_t *b = &c->boss;
    dockerd_t *d = c->dockerd;
    const char *const times[] = {"--grant",
                                 "200ms",
                                 "--act-timeout",
                                 "400ms",
                                 "--return-timeout",
                                 "300ms",
                                 "--poll",
                                 "20ms",
                                 "--docker-stop-timeout",
                                 "100ms",
                                 NULL};

    process_t *p = contract_start(c, "worker", times);
    dockerd_plan(d, CALL_RESTART, DOCKERD_SILENT, 0, 1);
    const uint64_t ref = contract_ask(c, "web-1", CONTRACT_PUBLISHED_MS, NULL);
    BOSS_UNTIL(b, dockerd_calls(d, CALL_RESTART) == 1);
    process_kill(p);
    contract_start(c, "next", times);
    const int64_t start_ms = test_now_ms();
    const boss_result_t *r = contract_expect(
        c, contract_ask(c, "web-1", CONTRACT_PUBLISHED_MS, boss_intent(b, ref)), OUTCOME_OK, "is back after");
    assert_true(r->at_ms - start_ms >= TOGETHER_MS);
    assert_int_equal(dockerd_restarts(d, "web-1"), 1);
    assert_int_equal(dockerd_calls(d, CALL_RESTART), 2);
    rig_passed(c->rig);
}

static void test_a_dry_run_restarts_nothing(void **state)
{
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;

    dockerd_add(d, "web-1", NULL);
    process_t *p = contract_start(c, "worker", ARGS("--dry-run", "--log-messages"));
    contract_expect(c, contract_ask(c, "web-1", CONTRACT_PUBLISHED_MS, NULL), OUTCOME_OK, "dry run: ");
    contract_expect(c, contract_ask(c, "web-2", CONTRACT_PUBLISHED_MS, NULL), OUTCOME_PERMANENT,
                    "no such container");
    assert_int_equal(dockerd_calls(d, CALL_RESTART), 0);
    assert_int_equal(c->boss.intents_count, 0);
    assert_int_equal(process_log_count(p, "Dry run: web-1.example.net "), 1);
    rig_passed(c->rig);
}

static void test_guards_hold_for_containers(void **state)
{
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;

    contract_start(c, "worker", ARGS("--min-uptime", "1h", "--deny-host", "db-*"));
    contract_expect(c, contract_ask(c, "web-1", CONTRACT_PUBLISHED_MS, NULL), OUTCOME_OK, "is back after");
    contract_expect(c, contract_ask(c, "web-1", clock_wall_ms() + 1000, NULL), OUTCOME_OK,
                    "less than --min-uptime 1h");
    contract_expect(c, contract_ask(c, "db-1", CONTRACT_PUBLISHED_MS, NULL), OUTCOME_PERMANENT,
                    "denied by --deny-host db-*");
    assert_int_equal(dockerd_calls(d, CALL_RESTART), 1);
    rig_passed(c->rig);
}

int main(void)
{
    const row_t row = contract_row("restart-docker");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_intent_is_recorded_before_the_restart),
        cmocka_unit_test(test_a_worker_that_dies_after_the_restart_did_it),
        cmocka_unit_test(test_a_worker_that_dies_before_the_restart_is_waited_out),
        cmocka_unit_test(test_a_dry_run_restarts_nothing),
        cmocka_unit_test(test_guards_hold_for_containers),
    };
    return contract_run("restart-docker, once", tests, sizeof tests / sizeof tests[0], &row, 1);
}

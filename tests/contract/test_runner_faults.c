/* What becomes of a restart when its worker is killed, stopped or cut off, when its time is over, and when
 * the whole fleet is away: over hosts that are files (odd_driver.h). */
#include "tests/contract/contract.h"
#include "tests/contract/odd_driver.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MANY = 10000,
    ROUND = 2000,
    LEAK_BYTES_MAX = 1 << 20,
    GRANT_MS = 200,
    ACT_MS = 300,
    RETURN_MS = 200,
    /* What an intent of these may take to show. */
    TOGETHER_MS = GRANT_MS + ACT_MS + RETURN_MS,
};

#define SHORT_TIMES                                                                                          \
    "--grant", "200ms", "--act-timeout", "300ms", "--return-timeout", "200ms", "--poll", "20ms",             \
        "--log-messages"

static uint64_t ask(contract_t *c, const char *host, const boss_intent_t *note)
{
    return contract_ask(c, host, CONTRACT_PUBLISHED_MS, note);
}

/* A try whose worker died, and the note that it left. */
static uint64_t ask_until_death(contract_t *c, const char *host)
{
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, host, ARGS(SHORT_TIMES));
    const uint64_t ref = ask(c, host, NULL);

    BOSS_UNTIL(b, !process_running(p));
    assert_int_equal(process_code(p), 128 + SIGKILL);
    assert_non_null(boss_intent(b, ref));
    assert_null(boss_result(b, ref));
    return ref;
}

/* --- killed --- */

static void test_a_worker_that_dies_after_the_act_did_it(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    const uint64_t ref = ask_until_death(c, "died-1");

    assert_int_equal(contract_boots(c, "died-1"), 1);
    process_t *p = contract_start(c, "next", ARGS(SHORT_TIMES));
    contract_expect(c, ask(c, "died-1", boss_intent(b, ref)), OUTCOME_OK, "was restarted by an earlier try");
    assert_int_equal(process_log_count(p, "Not restarted: died-1.example.net was restarted by an earlier"),
                     1);
    assert_int_equal(contract_boots(c, "died-1"), 1);
    rig_passed(c->rig);
}

static void test_a_worker_that_dies_before_the_act_is_waited_out(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    const uint64_t ref = ask_until_death(c, "dies-1");

    assert_int_equal(contract_boots(c, "dies-1"), 0);
    process_t *p = contract_start(c, "next", ARGS(SHORT_TIMES));
    const int64_t start_ms = test_now_ms();
    const boss_result_t *r =
        contract_expect(c, ask(c, "dies-1", boss_intent(b, ref)), OUTCOME_OK, "is back after");
    assert_true(r->at_ms - start_ms >= TOGETHER_MS);
    assert_int_equal(process_log_count(p, "Restarted dies-1.example.net ("), 1);
    assert_int_equal(contract_boots(c, "dies-1"), 1);
    rig_passed(c->rig);
}

/* Whose act had no effect within its time leaves nothing to wait for. */
static void test_what_was_waited_out_is_not_waited_for_again(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    const uint64_t ref = ask_until_death(c, "dies-1");

    contract_start(c, "next", ARGS(SHORT_TIMES));
    b->grants = BOSS_SAYS_NOTHING;
    const uint64_t second = ask(c, "dies-1", boss_intent(b, ref));
    contract_expect(c, second, OUTCOME_BLOCKED, "no grant within --grant 200ms");
    assert_int_equal(boss_intent(b, second)->voids, 0);
    b->grants = BOSS_GRANTS;
    const int64_t start_ms = test_now_ms();
    const boss_result_t *r =
        contract_expect(c, ask(c, "dies-1", boss_intent(b, second)), OUTCOME_OK, "is back after");
    assert_true(r->at_ms - start_ms < TOGETHER_MS);
    assert_int_equal(contract_boots(c, "dies-1"), 1);
    rig_passed(c->rig);
}

/* --- stopped --- */

static void test_a_drain_waits_for_an_act(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", ARGS("--poll", "20ms"));
    const uint64_t ref = ask(c, "parked-1", NULL);

    BOSS_UNTIL(b, boss_intent(b, ref) != NULL);
    assert_int_equal(contract_stop(c, p), 0);
    contract_expect(c, ref, OUTCOME_OK, "is back after");
    assert_int_equal(contract_boots(c, "parked-1"), 1);
    assert_int_equal(process_log_count(p, "drained: 1 finished, 0 given back"), 1);
    rig_passed(c->rig);
}

/* What is given back has its note: who gets it next knows that it may have been done. */
static void test_a_drain_that_is_too_short_leaves_the_note(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker",
                                  ARGS("--drain-timeout", "100ms", "--grant", "200ms", "--act-timeout", "2s",
                                       "--return-timeout", "200ms", "--poll", "20ms"));
    const uint64_t ref = ask(c, "parked-1", NULL);

    BOSS_UNTIL(b, boss_intent(b, ref) != NULL);
    boss_turn(b, 50);
    assert_int_equal(contract_stop(c, p), 0);
    assert_int_equal(process_log_count(p, "drained: 0 finished, 1 given back"), 1);
    assert_null(boss_result(b, ref));
    assert_true(boss_intent(b, ref)->len > 0);
    assert_int_equal(boss_intent(b, ref)->voids, 0);
    contract_start(c, "next", ARGS(SHORT_TIMES, "--act-timeout", "2s"));
    contract_expect(c, ask(c, "parked-1", boss_intent(b, ref)), OUTCOME_OK, "is back after");
    assert_int_equal(contract_boots(c, "parked-1"), 1);
    rig_passed(c->rig);
}

/* --- cancelled --- */

static void test_a_task_whose_time_is_over_is_cancelled(void **state)
{
    enum { LIMIT_MS = TOGETHER_MS + 50 };
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS(SHORT_TIMES));
    b->limit_ms = LIMIT_MS;
    /* The act takes all of its time, and so does each look after it. */
    const uint64_t ref = ask(c, "hung-1", NULL);
    BOSS_UNTIL(b, boss_intent(b, ref) != NULL);
    contract_expect(c, ref, OUTCOME_TRANSIENT, "may have been restarted");
    assert_int_equal(boss_intent(b, ref)->voids, 0);
    assert_int_equal(contract_boots(c, "hung-1"), 1);
    /* A grant that is not answered before the limit: nothing was done. */
    b->limit_ms = 0;
    b->grants = BOSS_SAYS_NOTHING;
    contract_expect(c, ask(c, "web-1", NULL), OUTCOME_BLOCKED, "no grant within");
    assert_int_equal(contract_boots(c, "web-1"), 0);
    rig_passed(c->rig);
}

/* Its consumer has gone for good: what is under way is stopped, and nothing more is done. */
static void test_bye_cancels_what_is_under_way(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    buffer_t bye;

    process_t *p = contract_start(c, "worker", NO_ARGS);
    const uint64_t acts = ask(c, "parked-1", NULL);
    BOSS_UNTIL(b, boss_intent(b, acts) != NULL);
    b->grants = BOSS_SAYS_NOTHING;
    const uint64_t waits = ask(c, "web-1", NULL);
    BOSS_UNTIL(b, boss_intent(b, waits) != NULL);
    buffer_init(&bye);
    encode_bye(&bye);
    boss_send(b, 0, &bye);
    buffer_done(&bye);
    BOSS_UNTIL(b, contract_boots(c, "cancelled") == 1);
    assert_int_equal(contract_stop(c, p), 0);
    assert_int_equal(contract_boots(c, "parked-1") + contract_boots(c, "web-1"), 0);
    assert_null(boss_result(b, acts));
    assert_null(boss_result(b, waits));
    rig_passed(c->rig);
}

/* --- away --- */

static void test_a_fleet_that_is_away_costs_no_try(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char fleet[TEST_PATH_MAX], path[2 * TEST_PATH_MAX];

    contract_start(c, "worker", ARGS("--poll", "20ms"));
    contract_expect(c, ask(c, "web-1", NULL), OUTCOME_OK, "");
    snprintf(path, sizeof path, "%s/away", contract_fleet(c, fleet));
    test_write_file(path, "", 0);
    /* Whoever asks first may be the one who finds out. */
    assert_true(contract_expect(c, ask(c, "web-2", NULL), OUTCOME_BLOCKED, "the fleet is away")->ms > 0);
    BOSS_UNTIL(b, b->workers[0].window == 0);
    contract_expect(c, ask(c, "web-2", NULL), OUTCOME_BLOCKED, "the fleet is away");
    assert_int_equal(unlink(path), 0);
    BOSS_UNTIL(b, b->workers[0].window == contract_window(c));
    contract_expect(c, ask(c, "web-2", NULL), OUTCOME_OK, "");
    assert_int_equal(contract_boots(c, "web-2"), 1);
    rig_passed(c->rig);
}

/* --- many --- */

static long memory_of(const process_t *p)
{
    char path[64];
    long pages = 0, resident = 0;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)p->pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &pages, &resident), 2);
    fclose(f);
    return resident * sysconf(_SC_PAGESIZE);
}

static void test_ten_thousand_restarts_leave_nothing_behind(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    long early = 0;

    process_t *p = contract_start(c, "worker", ARGS("--poll", "20ms"));
    const uint64_t first = b->next_ref;
    for (uint32_t done = 0; done < MANY; done += ROUND) {
        boss_give_many(b, 0, done % (2 * ROUND) == 0 ? "web" : "slow", done + 1, ROUND);
        BOSS_UNTIL(b, b->results_count == done + ROUND);
        if (done == ROUND)
            early = memory_of(p);
    }
    boss_expect_each_once(b, first, MANY);
    assert_int_equal(b->outcomes[OUTCOME_OK], MANY);
    assert_int_equal(b->intents_count, MANY);
    assert_int_equal(
        contract_boots(c, "web-1") + contract_boots(c, "slow-2001") + contract_boots(c, "web-10000"), 3);
    const long late = memory_of(p);
    /* A sanitizer keeps what was freed, and looks for leaks by itself. */
    if (late - early > LEAK_BYTES_MAX && !TEST_SANITIZED)
        fail_msg("%ld bytes more than after %d restarts", late - early, 2 * ROUND);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

int main(void)
{
    static const row_t row = {"mandrill-worker-odd", &odd_runner};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_that_dies_after_the_act_did_it),
        cmocka_unit_test(test_a_worker_that_dies_before_the_act_is_waited_out),
        cmocka_unit_test(test_what_was_waited_out_is_not_waited_for_again),
        cmocka_unit_test(test_a_drain_waits_for_an_act),
        cmocka_unit_test(test_a_drain_that_is_too_short_leaves_the_note),
        cmocka_unit_test(test_a_task_whose_time_is_over_is_cancelled),
        cmocka_unit_test(test_bye_cancels_what_is_under_way),
        cmocka_unit_test(test_a_fleet_that_is_away_costs_no_try),
        cmocka_unit_test(test_ten_thousand_restarts_leave_nothing_behind),
    };
    return contract_run("runner faults", tests, sizeof tests / sizeof tests[0], &row, 1);
}

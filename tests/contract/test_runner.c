/* What every kind that restarts real hosts owes its fleet: nothing is done before it is recorded and granted,
 * and what the guards say. Over hosts that are files (odd_driver.h). */
#include "tests/contract/contract.h"
#include "tests/contract/odd_driver.h"

#include "common/runtime/clock.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { FEW = 40, EXIT_USAGE = 2, DEFAULT_GRANT_MS = 5000, DEFAULT_LIMIT_MS = 30000 };

static uint64_t ask(contract_t *c, const char *host)
{
    return contract_ask(c, host, CONTRACT_PUBLISHED_MS, NULL);
}

static void expect_host(contract_t *c, const char *host, outcome_t outcome, const char *text)
{
    contract_expect(c, ask(c, host), outcome, text);
}

static const boss_intent_t *await_note(contract_t *c, uint64_t ref)
{
    boss_t *b = &c->boss;

    BOSS_UNTIL(b, boss_intent(b, ref) != NULL);
    return boss_intent(b, ref);
}

/* --- record before act --- */

static void test_nothing_is_done_before_it_is_granted(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = contract_start(c, "worker", ARGS("--log-messages"));
    b->grants = BOSS_SAYS_NOTHING;
    const uint64_t ref = ask(c, "web-1");
    const boss_intent_t *n = await_note(c, ref);
    assert_int_equal(n->grant_ms, DEFAULT_GRANT_MS);
    assert_true(n->len > 0);
    /* Others come and end meanwhile. */
    expect_host(c, "gone-1", OUTCOME_PERMANENT, "it is gone");
    assert_int_equal(contract_boots(c, "web-1"), 0);
    boss_answer(b, 0, ref, true);
    contract_expect(c, ref, OUTCOME_OK, "is back after");
    assert_int_equal(contract_boots(c, "web-1"), 1);
    /* The one note stays: the message is done. */
    assert_int_equal(boss_intent(b, ref)->count, 1);
    assert_int_equal(process_log_count(p, "Restarted web-1.example.net (5d1e9a0c44f3b210-"), 1);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

static void test_what_is_refused_is_not_done(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    b->grants = BOSS_REFUSES;
    const uint64_t ref = ask(c, "web-1");
    contract_expect(c, ref, OUTCOME_BLOCKED, "refused");
    /* Nor is it taken back: it is not this worker's any more. */
    assert_int_equal(boss_intent(b, ref)->voids, 0);
    assert_int_equal(contract_boots(c, "web-1"), 0);
    rig_passed(c->rig);
}

static void test_a_grant_that_comes_late_is_none(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS("--grant", "100ms"));
    b->grants = BOSS_SAYS_NOTHING;
    const uint64_t ref = ask(c, "web-1");
    const boss_result_t *r = contract_expect(c, ref, OUTCOME_BLOCKED, "no grant within --grant 100ms");
    assert_true(r->ms > 0);
    assert_int_equal(boss_intent(b, ref)->voids, 1);
    assert_int_equal(boss_intent(b, ref)->len, 0);
    boss_answer(b, 0, ref, true);
    b->grants = BOSS_GRANTS;
    expect_host(c, "web-2", OUTCOME_OK, "");
    assert_int_equal(contract_boots(c, "web-1"), 0);
    rig_passed(c->rig);
}

/* Each of many gets its own answer, in whatever order they come. */
/* It is there when the worker looks again, and came in time; the clock says that it is over. */
static void test_a_grant_that_is_read_late_is_none(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = contract_start(c, "worker", ARGS("--grant", "500ms"));
    b->grants = BOSS_SAYS_NOTHING;
    const uint64_t ref = ask(c, "web-1");
    await_note(c, ref);
    process_signal(p, SIGSTOP);
    const int64_t stopped_ms = test_now_ms();
    boss_answer(b, 0, ref, true);
    BOSS_UNTIL(b, test_now_ms() - stopped_ms > 600);
    process_signal(p, SIGCONT);
    contract_expect(c, ref, OUTCOME_BLOCKED, "no grant within --grant 500ms");
    assert_int_equal(boss_intent(b, ref)->voids, 1);
    assert_int_equal(contract_boots(c, "web-1"), 0);
    rig_passed(c->rig);
}

static void test_grants_find_their_tasks(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    const uint64_t first = b->next_ref;
    char host[32];

    contract_start(c, "worker", NO_ARGS);
    b->grants = BOSS_SAYS_NOTHING;
    for (unsigned i = 0; i < FEW; i++) {
        snprintf(host, sizeof host, "web-%u", i);
        ask(c, host);
    }
    BOSS_UNTIL(b, b->intents_count == FEW);
    for (unsigned i = FEW; i-- > 0;)
        boss_answer(b, 0, first + i, i % 2 == 0);
    BOSS_UNTIL(b, b->results_count == FEW);
    boss_expect_each_once(b, first, FEW);
    for (unsigned i = 0; i < FEW; i++) {
        snprintf(host, sizeof host, "web-%u", i);
        assert_int_equal(boss_result(b, first + i)->outcome, i % 2 == 0 ? OUTCOME_OK : OUTCOME_BLOCKED);
        assert_int_equal(contract_boots(c, host), i % 2 == 0 ? 1 : 0);
    }
    rig_passed(c->rig);
}

/* --- what comes of an act --- */

static void test_what_was_not_done_is_taken_back(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const uint64_t refused = ask(c, "refuses-1"), blocked = ask(c, "blocked-1");
    contract_expect(c, refused, OUTCOME_TRANSIENT, "it refuses");
    assert_int_equal(boss_intent(b, refused)->voids, 1);
    contract_expect(c, blocked, OUTCOME_BLOCKED, "the worker cannot begin it: Cannot allocate memory");
    assert_int_equal(boss_intent(b, blocked)->voids, 1);
    expect_host(c, "nofile-1", OUTCOME_BLOCKED, "the worker cannot begin it: Too many open files");
    expect_host(c, "down-1", OUTCOME_TRANSIENT, "it is down");
    assert_int_equal(b->intents_count, 2);
    rig_passed(c->rig);
}

static void test_done_is_what_was_seen_to_be(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS("--return-timeout", "300ms", "--poll", "20ms"));
    expect_host(c, "slow-1", OUTCOME_OK, "is back after");
    expect_host(c, "comes-1", OUTCOME_OK, "is back after");
    expect_host(c, "lost-1", OUTCOME_OK, "is back after");
    assert_int_equal(contract_boots(c, "slow-1") + contract_boots(c, "comes-1") + contract_boots(c, "lost-1"),
                     3);
    const uint64_t undone = ask(c, "undone-1"), ill = ask(c, "ill-1");
    contract_expect(c, undone, OUTCOME_TRANSIENT,
                    "may have been restarted, and showed no restart within --return-timeout 300ms");
    assert_int_equal(boss_intent(b, undone)->voids, 0);
    contract_expect(c, ill, OUTCOME_TRANSIENT, "not well within --return-timeout 300ms: it is ill");
    assert_int_equal(contract_boots(c, "ill-1"), 1);
    rig_passed(c->rig);
}

static void test_a_host_that_cannot_be_looked_at(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS("--blind"));
    const uint64_t good = ask(c, "web-1"), lost = ask(c, "lost-1");
    contract_expect(c, good, OUTCOME_OK, "");
    contract_expect(c, lost, OUTCOME_UNKNOWN, "may have been restarted: the answer got lost");
    /* Whoever finds its note does not know either. */
    contract_expect(c, contract_ask(c, "lost-1", CONTRACT_PUBLISHED_MS, boss_intent(b, lost)),
                    OUTCOME_UNKNOWN, "nothing tells whether it did");
    assert_int_equal(contract_boots(c, "web-1"), 1);
    assert_int_equal(contract_boots(c, "lost-1"), 1);
    rig_passed(c->rig);
}

static void test_a_host_that_knows_the_message_is_asked_again(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS("--blind", "--repeats"));
    const uint64_t lost = ask(c, "lost-1");
    contract_expect(c, lost, OUTCOME_TRANSIENT, "may have been restarted: the answer got lost");
    contract_expect(c, contract_ask(c, "lost-1", CONTRACT_PUBLISHED_MS, boss_intent(b, lost)),
                    OUTCOME_TRANSIENT, "the answer got lost");
    assert_int_equal(contract_boots(c, "lost-1"), 2);
    rig_passed(c->rig);
}

/* --- guards --- */

static void test_who_was_restarted_lately_is_left_alone(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = contract_start(c, "worker", ARGS("--min-uptime", "7d", "--log-messages"));
    expect_host(c, "web-1", OUTCOME_OK, "is back after");
    /* The same message once more, as if nothing had been recorded of it. */
    expect_host(c, "web-1", OUTCOME_OK, "after the request");
    /* Another one, of now. */
    contract_expect(c, contract_ask(c, "web-1", clock_wall_ms() + 1000, NULL), OUTCOME_OK,
                    "less than --min-uptime 7d");
    assert_int_equal(contract_boots(c, "web-1"), 1);
    assert_int_equal(b->intents_count, 1);
    assert_int_equal(process_log_count(p, "Restarted web-1.example.net ("), 1);
    assert_int_equal(process_log_count(p, "Not restarted: web-1.example.net was restarted "), 1);
    assert_int_equal(process_log_count(p, "Not restarted: web-1.example.net is up for "), 1);
    rig_passed(c->rig);
}

static void test_a_dry_run_does_everything_but_the_act(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = contract_start(c, "worker", ARGS("--dry-run", "--log-messages"));
    assert_int_equal(process_log_count(p, "INFO restart: dry run: "), 1);
    expect_host(c, "web-1", OUTCOME_OK, "dry run: ");
    expect_host(c, "gone-1", OUTCOME_PERMANENT, "it is gone");
    assert_int_equal(process_log_count(p, "Dry run: web-1.example.net would have been restarted (5d1e"), 1);
    assert_int_equal(contract_boots(c, "web-1"), 0);
    assert_int_equal(b->intents_count, 0);
    rig_passed(c->rig);
}

static void test_hosts_are_allowed_and_denied(void **state)
{
    contract_t *c = *state;

    contract_start(c, "worker",
                   ARGS("--allow-host", "web-*.example.net", "--allow-host", "db-1.example.net",
                        "--deny-host", "web-9*", "--deny-host", "db-?.*"));
    expect_host(c, "web-1", OUTCOME_OK, "");
    expect_host(c, "web-90", OUTCOME_PERMANENT, "host web-90.example.net is denied by --deny-host web-9*");
    expect_host(c, "db-1", OUTCOME_PERMANENT, "denied by --deny-host db-?.*");
    expect_host(c, "mail-1", OUTCOME_PERMANENT, "host mail-1.example.net is not one that --allow-host names");
    expect_host(c, "web-1.example.org", OUTCOME_PERMANENT, "not one that --allow-host names");
    assert_int_equal(contract_boots(c, "web-90") + contract_boots(c, "db-1") + contract_boots(c, "mail-1"),
                     0);
    assert_int_equal(contract_boots(c, "web-1"), 1);
    rig_passed(c->rig);
}

/* A host that is denied while its restart waits for the grant is not restarted. */
static void test_rules_for_hosts_are_read_again(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char file[TEST_PATH_MAX];
    const char before[] = "slots = 64\n", after[] = "deny-host = web-*\nallow-host = db-*\n";

    test_write_file(rig_path(c->rig, "worker.zpl", file), before, sizeof before - 1);
    process_t *p = contract_start(c, "worker", ARGS("--config", file));
    expect_host(c, "mail-1", OUTCOME_OK, "");
    b->grants = BOSS_SAYS_NOTHING;
    const uint64_t web = ask(c, "web-1"), mail = ask(c, "mail-2");
    await_note(c, web);
    await_note(c, mail);
    test_write_file(file, after, sizeof after - 1);
    process_signal(p, SIGHUP);
    BOSS_UNTIL(b, process_log_count(p, "deny-host: web-* instead of") == 1);
    boss_answer(b, 0, web, true);
    contract_expect(c, web, OUTCOME_PERMANENT, "denied by --deny-host web-*");
    assert_int_equal(boss_intent(b, web)->voids, 1);
    boss_answer(b, 0, mail, true);
    contract_expect(c, mail, OUTCOME_PERMANENT, "not one that --allow-host names");
    b->grants = BOSS_GRANTS;
    expect_host(c, "db-1", OUTCOME_OK, "");
    expect_host(c, "mail-3", OUTCOME_PERMANENT, "not one that --allow-host names");
    assert_int_equal(contract_boots(c, "web-1") + contract_boots(c, "mail-2") + contract_boots(c, "mail-3"),
                     0);
    rig_passed(c->rig);
}

/* --- limits and options --- */

static void test_a_limit_that_is_too_short_is_told(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = contract_start(c, "worker", NO_ARGS);
    b->limit_ms = DEFAULT_LIMIT_MS;
    const uint64_t ref = ask(c, "web-1");
    assert_true(contract_expect(c, ref, OUTCOME_BLOCKED, "--act-timeout 30s, --return-timeout 5m")->ms > 0);
    assert_int_equal(process_log_count(p, "ERROR restart: nothing is restarted: a try may need "), 1);
    assert_int_equal(process_log_count(p, "--limit restart=TIME"), 1);
    assert_int_equal(contract_boots(c, "web-1"), 0);
    assert_int_equal(b->intents_count, 0);
    process_stop(p);
    contract_start(c, "short", ARGS("--grant", "2s", "--act-timeout", "10s", "--return-timeout", "15s"));
    expect_host(c, "web-1", OUTCOME_OK, "");
    rig_passed(c->rig);
}

static void test_options_are_checked(void **state)
{
    static const struct {
        const char *flags[6];
        const char *says;
    } rows[] = {
        {{"--poll", "0"}, "--poll"},
        {{"--grant", "0"}, "--grant"},
        {{"--min-uptime", "soon"}, "--min-uptime"},
        {{"--min-uptime", "7d", "--blind"}, "--min-uptime: for how long hosts are up is not known"},
        {{"--grant", "20m", "--act-timeout", "20m", "--return-timeout", "20m"}, "less than an hour"},
    };
    contract_t *c = *state;
    char fleet[TEST_PATH_MAX];

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const process_t *p = contract_ends(
            c, "mandrill-worker-odd", ARGS("--kind", "odd-runner", "-n", "--fleet", contract_fleet(c, fleet)),
            rows[i].flags, 6, EXIT_USAGE, rows[i].says);
        assert_int_equal(process_log_count(p, rows[i].says), 1);
    }
    process_t *p = SPAWN(c->rig, "foreign", "mandrill-worker-odd", "--kind", "odd-loop", "--dry-run");
    assert_int_equal(process_wait(p, WAIT_MS), EXIT_USAGE);
    assert_true(process_log_count(p, "--dry-run") > 0);
    rig_passed(c->rig);
}

int main(void)
{
    static const row_t row = {"mandrill-worker-odd", &odd_runner};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_done_before_it_is_granted),
        cmocka_unit_test(test_what_is_refused_is_not_done),
        cmocka_unit_test(test_a_grant_that_comes_late_is_none),
        cmocka_unit_test(test_a_grant_that_is_read_late_is_none),
        cmocka_unit_test(test_grants_find_their_tasks),
        cmocka_unit_test(test_what_was_not_done_is_taken_back),
        cmocka_unit_test(test_done_is_what_was_seen_to_be),
        cmocka_unit_test(test_a_host_that_cannot_be_looked_at),
        cmocka_unit_test(test_a_host_that_knows_the_message_is_asked_again),
        cmocka_unit_test(test_who_was_restarted_lately_is_left_alone),
        cmocka_unit_test(test_a_dry_run_does_everything_but_the_act),
        cmocka_unit_test(test_hosts_are_allowed_and_denied),
        cmocka_unit_test(test_rules_for_hosts_are_read_again),
        cmocka_unit_test(test_a_limit_that_is_too_short_is_told),
        cmocka_unit_test(test_options_are_checked),
    };
    return contract_run("runner", tests, sizeof tests / sizeof tests[0], &row, 1);
}

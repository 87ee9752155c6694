/* restart-exec: commands for hosts that are files (tests/support/exec_host.sh). What their exits mean, what
 * reaches a command, how long it may take, and what is left of it when the worker goes. With a real ssh and
 * sshd: test_restart_ssh.c. */
#include "tests/contract/contract.h"
#include "tests/support/exec_host.h"

#include "common/core/codec.h"
#include "common/runtime/clock.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, SLOTS = 3, MANY = 40 };

/* Times short enough to be waited out. */
#define SOON                                                                                                 \
    "--grant", "2s", "--act-timeout", "5s", "--return-timeout", "1s", "--poll", "20ms", "--exec-kill-after", \
        "200ms"

/* The worker over the hosts of this test, with these flags; "--exec ..." of the test's own come last and win.
 */
static process_t *start_as(contract_t *c, const char *name, const char *const *args)
{
    boss_t *b = &c->boss;
    const unsigned before = b->workers_count;
    char restart[TEST_PATH_MAX * 3], observe[TEST_PATH_MAX * 3];
    const char *list[PROCESS_ARGUMENTS_MAX] = {"--kind", "restart-exec", "--log-messages", "--consumer",
                                               b->endpoint};
    size_t n = 5;

    exec_host_command(c->rig, "restart {instance} {boot_id}", restart);
    exec_host_command(c->rig, "observe {instance}", observe);
    list[n++] = "--exec";
    list[n++] = restart;
    list[n++] = "--exec-observe";
    list[n++] = observe;
    while (*args != NULL)
        list[n++] = *args++;
    process_t *p = rig_spawn(c->rig, name, "mandrill-worker", list);
    BOSS_UNTIL(b, b->workers_count > before && b->workers[before].welcomed);
    return p;
}

/* The same where hosts cannot be looked at. */
static process_t *start_blind(contract_t *c, const char *name, const char *const *args)
{
    boss_t *b = &c->boss;
    const unsigned before = b->workers_count;
    char restart[TEST_PATH_MAX * 3];
    const char *list[PROCESS_ARGUMENTS_MAX] = {
        "--kind",    "restart-exec", "--consumer",
        b->endpoint, "--exec",       exec_host_command(c->rig, "restart {instance}", restart)};
    size_t n = 6;

    while (*args != NULL)
        list[n++] = *args++;
    process_t *p = rig_spawn(c->rig, name, "mandrill-worker", list);
    BOSS_UNTIL(b, b->workers_count > before && b->workers[before].welcomed);
    return p;
}

/* Hosts are up for a day when they are asked for first. */
static uint64_t ask(contract_t *c, const char *host)
{
    return contract_ask(c, host, clock_wall_ms(), NULL);
}

static void expect_host(contract_t *c, const char *host, outcome_t outcome, const char *text)
{
    contract_expect(c, ask(c, host), outcome, text);
}

/* --- what is done --- */

static void test_a_host_is_restarted_and_seen_to_be_back(void **state)
{
    contract_t *c = *state;
    process_t *p = start_as(c, "worker", ARGS(SOON));

    expect_host(c, "web-1", OUTCOME_OK, "is back after");
    assert_int_equal(exec_host_restarts(c->rig, "web-1"), 1);
    assert_int_equal(exec_host_calls(c->rig, "restart web-1 boot-0\n"), 1);
    assert_int_equal(process_log_count(p, "Restarted web-1.example.net "), 1);
    /* Published before it was restarted last. */
    contract_expect(c, contract_ask(c, "web-1", clock_wall_ms() - 600000, NULL), OUTCOME_OK,
                    "after the request");
    assert_int_equal(exec_host_restarts(c->rig, "web-1"), 1);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

static void test_an_exit_decides(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    start_as(c, "worker", ARGS(SOON, "--exec-exit", "3=permanent", "--exec-exit", "9=ok"));
    expect_host(c, "refuses-1", OUTCOME_PERMANENT, "exit 3: it is in production");
    expect_host(c, "broken-1", OUTCOME_TRANSIENT, "exit 4: broken: \\x1b[1mbecause\\x0abecause");
    assert_int_equal(b->results[b->results_count - 1].text_len > 300, true);
    assert_int_equal(exec_host_restarts(c->rig, "refuses-1") + exec_host_restarts(c->rig, "broken-1"), 0);
    /* The connection was cut: it is looked, and it was restarted. */
    expect_host(c, "cut-1", OUTCOME_OK, "is back after");
    assert_int_equal(exec_host_restarts(c->rig, "cut-1"), 1);
    /* What has certainly not happened leaves no intent. */
    assert_int_equal(boss_intent(b, b->results[0].ref)->len, 0);
    rig_passed(c->rig);
}

static void test_the_target_compares_what_was_seen(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    start_as(c, "worker", ARGS(SOON, "--exec-exit", "9=ok"));
    b->grants = BOSS_SAYS_NOTHING;
    const uint64_t ref = ask(c, "web-1");
    BOSS_UNTIL(b, boss_intent(b, ref) != NULL);
    /* Somebody else is faster, after the look and before the act. */
    exec_host_restart(c->rig, "web-1");
    boss_grant(b, 0, ref, 1, true);
    contract_expect(c, ref, OUTCOME_OK, "is back after");
    assert_int_equal(exec_host_calls(c->rig, "restart web-1 boot-0\n"), 1);
    assert_int_equal(exec_host_restarts(c->rig, "web-1"), 1);
    rig_passed(c->rig);
}

static void test_without_a_look_an_unsure_end_is_told_as_one(void **state)
{
    contract_t *c = *state;

    start_blind(c, "worker", ARGS(SOON));
    expect_host(c, "web-1", OUTCOME_OK, "");
    expect_host(c, "cut-1", OUTCOME_UNKNOWN, "may have been restarted: exit 255");
    expect_host(c, "refuses-1", OUTCOME_TRANSIENT, "exit 3: it is in production");
    rig_passed(c->rig);
}

static void test_what_cannot_be_seen_is_not_restarted(void **state)
{
    contract_t *c = *state;

    start_as(c, "worker", ARGS(SOON));
    expect_host(c, "off-1", OUTCOME_TRANSIENT, "exit 1: no route to off-1");
    expect_host(c, "odd-1", OUTCOME_TRANSIENT,
                "its first word is no id of letters, digits and . _ : + -: (it is a teapot)");
    assert_int_equal(exec_host_restarts(c->rig, "off-1") + exec_host_restarts(c->rig, "odd-1"), 0);
    rig_passed(c->rig);
}

static void test_a_host_that_is_not_well_is_told(void **state)
{
    contract_t *c = *state;
    char health[TEST_PATH_MAX * 3];

    start_as(c, "worker",
             ARGS(SOON, "--exec-health", exec_host_command(c->rig, "health {instance}", health)));
    expect_host(c, "web-1", OUTCOME_OK, "is back after");
    expect_host(c, "ill-1", OUTCOME_TRANSIENT, "exit 1: two units failed");
    assert_int_equal(exec_host_restarts(c->rig, "ill-1"), 1);
    rig_passed(c->rig);
}

static void test_guards_hold_for_commands(void **state)
{
    contract_t *c = *state;

    start_as(c, "worker", ARGS(SOON, "--min-uptime", "7d", "--deny-host", "db-*"));
    expect_host(c, "db-1", OUTCOME_PERMANENT, "denied by --deny-host db-*");
    contract_expect(c, ask(c, "web-1"), OUTCOME_OK, "less than --min-uptime");
    assert_int_equal(exec_host_calls(c->rig, "restart "), 0);
    assert_int_equal(exec_host_calls(c->rig, "db-1"), 0);
    rig_passed(c->rig);
}

static void test_a_dry_run_runs_no_command_that_restarts(void **state)
{
    contract_t *c = *state;

    start_as(c, "worker", ARGS(SOON, "--dry-run"));
    expect_host(c, "web-1", OUTCOME_OK, "dry run: ");
    assert_int_equal(exec_host_calls(c->rig, "observe web-1"), 1);
    assert_int_equal(exec_host_calls(c->rig, "restart "), 0);
    rig_passed(c->rig);
}

/* --- names that are none --- */

static void test_hostile_names_reach_no_command(void **state)
{
    static const char *const names[] = {"web-1;touch canary",
                                        "$(touch canary)",
                                        "`touch canary`",
                                        "-oProxyCommand=touch canary",
                                        "web-1\ntouch canary",
                                        "../../bin/sh",
                                        "web-1 canary",
                                        "WEB-1",
                                        "-v",
                                        "web_1",
                                        "{host}",
                                        "*"};
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = start_blind(c, "worker", ARGS(SOON));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (int dotted = 0; dotted < 2; dotted++) {
            char host[256];
            buffer_t body;
            snprintf(host, sizeof host, "%s%s", names[i], dotted ? ".example.net" : "");
            buffer_init(&body);
            write_map(&body, 2);
            write_str(&body, "host", 4);
            write_str(&body, host, strlen(host));
            write_str(&body, "published_at", 12);
            write_int(&body, CONTRACT_PUBLISHED_MS);
            const uint64_t ref = boss_give(b, 0, 1000 + i * 2 + (uint64_t)dotted, 1, body.data, body.len);
            buffer_done(&body);
            contract_expect(c, ref, OUTCOME_PERMANENT, "");
        }
    expect_host(c, "web-1", OUTCOME_OK, "");
    assert_int_equal(exec_host_calls(c->rig, "\n"), 1);
    assert_int_equal(access("canary", F_OK), -1);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

/* --- time, slots, ends --- */

static void test_a_command_that_hangs_is_killed(void **state)
{
    contract_t *c = *state;

    start_blind(c, "worker", ARGS("--act-timeout", "1s", "--exec-kill-after", "300ms"));
    expect_host(c, "hung-1", OUTCOME_UNKNOWN, "may have been restarted: killed by SIGKILL after 1.");
    assert_non_null(strstr(c->boss.results[0].text, " s: calling"));
    WAIT(!exec_host_runs(c->rig, "hung-1"));
    rig_passed(c->rig);
}

static void test_a_task_whose_time_is_over_is_cancelled(void **state)
{
    contract_t *c = *state;

    c->boss.limit_ms = 2000;
    start_as(c, "worker",
             ARGS("--grant", "500ms", "--act-timeout", "1s", "--return-timeout", "400ms", "--exec-kill-after",
                  "100ms", "--poll", "20ms"));
    expect_host(c, "hung-1", OUTCOME_TRANSIENT, "");
    WAIT(!exec_host_runs(c->rig, "hung-1"));
    c->boss.limit_ms = 0;
    expect_host(c, "web-1", OUTCOME_OK, "is back after");
    rig_passed(c->rig);
}

static void test_no_more_run_at_once_than_there_are_slots(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char host[32];

    process_t *p = start_blind(c, "worker", ARGS(SOON, "--slots", "3"));
    for (uint64_t i = 0; i < MANY; i++) {
        BOSS_UNTIL(b, b->workers[0].outstanding < SLOTS);
        snprintf(host, sizeof host, "wide-%d", (int)i);
        ask(c, host);
    }
    BOSS_UNTIL(b, b->results_count == MANY);
    assert_int_equal(b->outcomes[OUTCOME_OK], MANY);
    assert_int_equal(exec_host_most(c->rig), SLOTS);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

static void test_a_drain_waits_for_a_command(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = start_as(c, "worker", ARGS(SOON));
    const uint64_t ref = ask(c, "held-1");
    BOSS_UNTIL(b, exec_host_restarts(c->rig, "held-1") == 1);
    process_signal(p, SIGTERM);
    BOSS_UNTIL(b, b->workers[0].window == 0);
    exec_host_go(c->rig);
    BOSS_UNTIL(b, !process_running(p));
    assert_int_equal(process_code(p), 0);
    contract_expect(c, ref, OUTCOME_OK, "is back after");
    assert_int_equal(process_log_count(p, "drained: 1 finished, 0 given back"), 1);
    rig_passed(c->rig);
}

static void test_a_worker_that_is_told_twice_leaves_nobody_behind(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = start_blind(c, "worker", ARGS("--exec-kill-after", "300ms"));
    ask(c, "hung-1");
    ask(c, "held-1");
    BOSS_UNTIL(b, exec_host_runs(c->rig, "hung-1") && exec_host_runs(c->rig, "held-1"));
    process_signal(p, SIGTERM);
    BOSS_UNTIL(b, b->workers[0].window == 0);
    process_signal(p, SIGTERM);
    BOSS_UNTIL(b, !process_running(p));
    assert_int_equal(process_code(p), EXIT_FAILED);
    /* Not in a moment: they are gone before the worker is. */
    assert_false(exec_host_runs(c->rig, "hung-1"));
    assert_false(exec_host_runs(c->rig, "held-1"));
    rig_passed(c->rig);
}

/* Nobody can take a command of a killed worker along: it goes on, and the next try finds the intent. */
static void test_a_worker_that_is_killed_leaves_its_intent(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = start_as(c, "worker", ARGS(SOON));
    const uint64_t ref = ask(c, "slow-1");
    BOSS_UNTIL(b, exec_host_calls(c->rig, "restart slow-1 boot-0\n") == 1);
    process_kill(p);
    start_as(c, "next", ARGS(SOON));
    const uint64_t again = contract_ask(c, "slow-1", clock_wall_ms(), boss_intent(b, ref));
    /* It looks, and waits: the command may still do it. */
    BOSS_UNTIL(b, exec_host_calls(c->rig, "observe slow-1") >= 3);
    exec_host_go(c->rig);
    contract_expect(c, again, OUTCOME_OK, "was restarted by an earlier try");
    assert_int_equal(exec_host_restarts(c->rig, "slow-1"), 1);
    assert_int_equal(exec_host_calls(c->rig, "restart slow-1"), 1);
    rig_passed(c->rig);
}

/* As the documents advise where a command may hang and its target does not compare. */
static void test_a_command_may_die_with_its_worker(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char command[TEST_PATH_MAX * 3], dying[TEST_PATH_MAX * 3 + 32];

    exec_host_command(c->rig, "restart {instance}", command);
    snprintf(dying, sizeof dying, "setpriv --pdeathsig KILL %s", command);
    process_t *p = start_as(c, "worker", ARGS(SOON, "--exec", dying));
    ask(c, "hung-1");
    BOSS_UNTIL(b, exec_host_runs(c->rig, "hung-1"));
    process_kill(p);
    WAIT(!exec_host_runs(c->rig, "hung-1"));
    rig_passed(c->rig);
}

/* --- configuration --- */

static void test_what_exits_mean_is_read_again(void **state)
{
    contract_t *c = *state;
    char file[TEST_PATH_MAX];
    const char before[] = "exec-exit = 3=permanent\n", after[] = "exec-exit = 3-4=transient\n",
               bad[] = "exec-exit = 3=perhaps\n";

    test_write_file(rig_path(c->rig, "worker.zpl", file), before, sizeof before - 1);
    process_t *p = start_as(c, "worker", ARGS(SOON, "--config", file));
    expect_host(c, "refuses-1", OUTCOME_PERMANENT, "exit 3: ");
    test_write_file(file, bad, sizeof bad - 1);
    process_signal(p, SIGHUP);
    BOSS_UNTIL(&c->boss, process_log_count(p, "'3=perhaps' is no rule") == 1);
    test_write_file(file, after, sizeof after - 1);
    process_signal(p, SIGHUP);
    BOSS_UNTIL(&c->boss, process_log_count(p, "exec-exit") >= 2);
    expect_host(c, "refuses-1", OUTCOME_TRANSIENT, "exit 3: ");
    rig_passed(c->rig);
}

static void test_options_are_checked(void **state)
{
    static const struct {
        const char *args[8];
        int code;
        const char *text;
    } rows[] = {
        {{NULL}, EXIT_USAGE, "--exec is missing: restart-exec needs a command"},
        {{"--exec", "/bin/true {hots}"}, EXIT_USAGE, "--exec: '{hots}' is no placeholder; expected {host}"},
        {{"--exec", "/bin/true {host"}, EXIT_USAGE, "a { without its }"},
        {{"--exec", "/bin/true '{host}"}, EXIT_USAGE, "a ' that is not closed, at character 11"},
        {{"--exec", "no-such-program-here {host}"},
         EXIT_FAILED,
         "--exec: 'no-such-program-here' is in no folder of PATH"},
        {{"--exec", "/etc/passwd {host}"},
         EXIT_FAILED,
         "--exec: '/etc/passwd' is no program that can be run"},
        {{"--exec", "/no/such/program"}, EXIT_FAILED, "--exec: '/no/such/program' is not there"},
        {{"--exec", "true", "--exec-observe", "/no/such"},
         EXIT_FAILED,
         "--exec-observe: '/no/such' is not there"},
        {{"--exec", "true", "--exec-health", "true {"}, EXIT_USAGE, "--exec-health: a { without its }"},
        {{"--exec", "true {boot_id}"}, EXIT_USAGE, "--exec: {boot_id} is what --exec-observe sees"},
        {{"--exec", "true", "--exec-observe", "cat {boot_id}"},
         EXIT_USAGE,
         "--exec-observe: {boot_id} is for --exec alone"},
        {{"--exec", "true", "--min-uptime", "7d"}, EXIT_USAGE, "--min-uptime: for how long hosts are up is"},
        {{"--exec", "true", "--exec-exit", "1=maybe"}, EXIT_USAGE, "--exec-exit: '1=maybe' is no rule"},
        {{"--exec", "true", "--exec-exit", "0=ok,256=ok"}, EXIT_USAGE, "'256=ok' is no rule"},
        {{"--exec", "true {host}", "--exec-exit", "1-9=permanent", "-n"}, 0, ""},
    };
    contract_t *c = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int check = 0; check < 2 && (rows[i].code != 0 || check == 0); check++) {
            contract_ends(c, "mandrill-worker",
                          ARGS("--kind", "restart-exec", check ? "-n" : "--log-level=info"), rows[i].args,
                          sizeof rows[i].args / sizeof *rows[i].args, rows[i].code, rows[i].text);
        }
    rig_passed(c->rig);
}

int main(void)
{
    const row_t rows[] = {contract_row("restart-exec")};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_host_is_restarted_and_seen_to_be_back),
        cmocka_unit_test(test_an_exit_decides),
        cmocka_unit_test(test_the_target_compares_what_was_seen),
        cmocka_unit_test(test_without_a_look_an_unsure_end_is_told_as_one),
        cmocka_unit_test(test_what_cannot_be_seen_is_not_restarted),
        cmocka_unit_test(test_a_host_that_is_not_well_is_told),
        cmocka_unit_test(test_guards_hold_for_commands),
        cmocka_unit_test(test_a_dry_run_runs_no_command_that_restarts),
        cmocka_unit_test(test_hostile_names_reach_no_command),
        cmocka_unit_test(test_a_command_that_hangs_is_killed),
        cmocka_unit_test(test_a_task_whose_time_is_over_is_cancelled),
        cmocka_unit_test(test_no_more_run_at_once_than_there_are_slots),
        cmocka_unit_test(test_a_drain_waits_for_a_command),
        cmocka_unit_test(test_a_worker_that_is_told_twice_leaves_nobody_behind),
        cmocka_unit_test(test_a_worker_that_is_killed_leaves_its_intent),
        cmocka_unit_test(test_a_command_may_die_with_its_worker),
        cmocka_unit_test(test_what_exits_mean_is_read_again),
        cmocka_unit_test(test_options_are_checked),
    };
    return contract_run("restart-exec", tests, sizeof tests / sizeof tests[0], rows, 1);
}

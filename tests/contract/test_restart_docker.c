/* restart-docker: which container a host is, what may be restarted, when a restart counts as done, and what
 * becomes of a task when the engine fails. The engine is one that fails when it is told to
 * (tests/support/dockerd.h); the real one is in tests/compose. */
#include "tests/contract/contract.h"

#include "common/runtime/clock.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    LIMIT_MS = 400,
    LARGE = 3 << 20,
    MANY = 500,
    WINDOW_SLOW_MS = 700,
};

#define SOON_BACK ARGS("--return-timeout", "300ms", "--poll", "20ms")

static void expect_host(contract_t *c, const char *host, outcome_t outcome, const char *text)
{
    contract_expect(c, contract_ask(c, host, CONTRACT_PUBLISHED_MS, NULL), outcome, text);
}

/* The worker with rules of the test's own. */
static process_t *start_with(contract_t *c, const char *const *args)
{
    boss_t *b = &c->boss;
    char socket[TEST_PATH_MAX];
    const char *list[PROCESS_ARGUMENTS_MAX] = {
        "--kind",    "restart-docker",  "--log-messages",          "--consumer",
        b->endpoint, "--docker-socket", contract_socket(c, socket)};
    size_t n = 7;

    while (*args != NULL)
        list[n++] = *args++;
    process_t *p = rig_spawn(c->rig, "worker", "mandrill-worker", list);
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].welcomed && b->workers[0].window > 0);
    return p;
}

/* --- which container --- */

static void test_a_host_is_a_container_by_its_name(void **state)
{
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;

    dockerd_add(d, "web-1", NULL);
    dockerd_add(d, "web-2", NULL);
    dockerd_add(d, "web-2.example.net", NULL);
    contract_start(c, "worker", NO_ARGS);
    expect_host(c, "web-1", OUTCOME_OK, "");
    assert_int_equal(dockerd_restarts(d, "web-1"), 1);
    /* The whole name comes before the first part of it. */
    expect_host(c, "web-2", OUTCOME_OK, "");
    assert_int_equal(dockerd_restarts(d, "web-2"), 0);
    assert_int_equal(dockerd_restarts(d, "web-2.example.net"), 1);
    expect_host(c, "web-3", OUTCOME_PERMANENT,
                "no such container: none is called web-3.example.net or web-3");
    /* Ids are no names, though the engine takes them for such. */
    expect_host(c, "c0ffee", OUTCOME_PERMANENT, "no such container");
    assert_int_equal(dockerd_calls(d, CALL_RESTART), 2);
    assert_int_equal(dockerd_saw(d, "/restart?t=10 "), 2);
    rig_passed(c->rig);
}

static void test_a_host_is_a_container_by_its_label(void **state)
{
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;

    dockerd_add(d, "project_web_1", "net.example/host=web-1.example.net");
    dockerd_add(d, "project_db_1", "net.example/host=db-1");
    dockerd_add(d, "twin_1", "net.example/host=twin");
    dockerd_add(d, "twin_2", "net.example/host=twin");
    dockerd_add(d, "web-7", NULL);
    start_with(c, ARGS("--docker-allow", "*", "--docker-find-label", "net.example/host"));
    expect_host(c, "web-1", OUTCOME_OK, "");
    assert_int_equal(dockerd_restarts(d, "project_web_1"), 1);
    expect_host(c, "db-1", OUTCOME_OK, "");
    assert_int_equal(dockerd_restarts(d, "project_db_1"), 1);
    expect_host(c, "twin", OUTCOME_PERMANENT, "several containers have the label net.example/host=twin");
    expect_host(c, "web-7", OUTCOME_PERMANENT, "no such container");
    assert_int_equal(dockerd_calls(d, CALL_RESTART), 2);
    rig_passed(c->rig);
}

/* --- what may be restarted --- */

static void test_only_what_is_allowed_is_restarted(void **state)
{
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;

    dockerd_add(d, "web-1", NULL);
    dockerd_add(d, "db-1", NULL);
    dockerd_add(d, "mail-1", "restart=yes");
    dockerd_add(d, "mail-2", "restart=no");
    dockerd_add(d, "dns-1", "net.example/any=thing");
    start_with(c, ARGS("--docker-allow", "web-*,cache-?", "--docker-allow-label", "restart=yes",
                       "--docker-allow-label", "net.example/any"));
    expect_host(c, "web-1", OUTCOME_OK, "");
    expect_host(c, "mail-1", OUTCOME_OK, "");
    expect_host(c, "dns-1", OUTCOME_OK, "");
    expect_host(c, "db-1", OUTCOME_PERMANENT, "container db-1 is not one that --docker-allow");
    expect_host(c, "mail-2", OUTCOME_PERMANENT, "container mail-2 is not one that --docker-allow");
    assert_int_equal(dockerd_calls(d, CALL_RESTART), 3);
    assert_int_equal(dockerd_restarts(d, "db-1") + dockerd_restarts(d, "mail-2"), 0);
    rig_passed(c->rig);
}

static void test_what_is_allowed_is_read_again(void **state)
{
    contract_t *c = *state;
    char file[TEST_PATH_MAX];
    const char before[] = "docker-allow = web-*\n", after[] = "docker-allow = db-*\n",
               none[] = "slots = 64\n",
               slow[] = "docker-allow = mail-*\nact-timeout = 1m\ndocker-stop-timeout = 30s\n";

    test_write_file(rig_path(c->rig, "worker.zpl", file), before, sizeof before - 1);
    process_t *p = start_with(c, ARGS("--config", file));
    expect_host(c, "db-1", OUTCOME_PERMANENT, "not one that --docker-allow");
    test_write_file(file, none, sizeof none - 1);
    process_signal(p, SIGHUP);
    BOSS_UNTIL(&c->boss, process_log_count(p, "restart-docker may restart nothing") == 1);
    expect_host(c, "web-1", OUTCOME_OK, "");
    /* The other act-timeout would be for the next start. */
    test_write_file(file, slow, sizeof slow - 1);
    process_signal(p, SIGHUP);
    BOSS_UNTIL(&c->boss, process_log_count(p, "not less than --act-timeout, 15000 ms") == 1);
    expect_host(c, "mail-1", OUTCOME_PERMANENT, "not one that --docker-allow");
    expect_host(c, "web-3", OUTCOME_OK, "");
    test_write_file(file, after, sizeof after - 1);
    process_signal(p, SIGHUP);
    BOSS_UNTIL(&c->boss, process_log_count(p, "docker-allow: db-* instead of web-*") == 1);
    expect_host(c, "db-1", OUTCOME_OK, "");
    expect_host(c, "web-2", OUTCOME_PERMANENT, "not one that --docker-allow");
    rig_passed(c->rig);
}

/* --- when it is done --- */

/* Whoever asks again for what was carried out gets no second restart; who asks anew does. */
static void test_a_message_is_carried_out_once(void **state)
{
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;

    dockerd_add(d, "web-1", NULL);
    process_t *p = start_with(c, ARGS("--docker-allow", "web-1"));
    const int64_t published_ms = clock_wall_ms() - 1;
    contract_expect(c, contract_ask(c, "web-1", published_ms, NULL), OUTCOME_OK, "is back after");
    contract_expect(c, contract_ask(c, "web-1", published_ms, NULL), OUTCOME_OK, "after the request");
    contract_expect(c, contract_ask(c, "web-1", published_ms, NULL), OUTCOME_OK, "after the request");
    assert_int_equal(dockerd_restarts(d, "web-1"), 1);
    assert_int_equal(process_log_count(p, "Restarted web-1.example.net ("), 1);
    assert_int_equal(process_log_count(p, "Not restarted: web-1.example.net was restarted "), 2);
    contract_expect(c, contract_ask(c, "web-1", clock_wall_ms() + 1000, NULL), OUTCOME_OK, "is back after");
    assert_int_equal(dockerd_restarts(d, "web-1"), 2);
    rig_passed(c->rig);
}

static void test_ok_is_what_was_seen_to_run_again(void **state)
{
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;

    contract_start(c, "worker", SOON_BACK);
    dockerd_plan(d, CALL_RESTART, DOCKERD_ENDS, 0, 1);
    expect_host(c, "web-1", OUTCOME_TRANSIENT,
                "was restarted, and is not well within --return-timeout 300ms: container web-1 was restarted "
                "and does not run: it ended with 3");
    /* What does not run needs a start, however lately it had one. */
    expect_host(c, "web-1", OUTCOME_OK, "");
    assert_int_equal(dockerd_restarts(d, "web-1"), 2);
    dockerd_plan(d, CALL_RESTART, DOCKERD_UNTOUCHED, 0, 1);
    expect_host(c, "web-2", OUTCOME_TRANSIENT, "was told to restart, and showed no restart within");
    rig_passed(c->rig);
}

/* The engine has carried it out, but that was not heard: it is looked at, and found. */
static void test_an_answer_that_is_lost_is_looked_for(void **state)
{
    static const dockerd_fault_t lost[] = {DOCKERD_RESET, DOCKERD_CLOSE, DOCKERD_NO_HTTP};
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;
    char host[32];

    contract_start(c, "worker", NO_ARGS);
    for (unsigned i = 0; i < sizeof lost / sizeof lost[0]; i++) {
        snprintf(host, sizeof host, "web-%u", i);
        dockerd_plan(d, CALL_RESTART, lost[i], 0, 1);
        expect_host(c, host, OUTCOME_OK, "is back after");
        assert_int_equal(dockerd_restarts(d, host), 1);
    }
    assert_int_equal(dockerd_calls(d, CALL_RESTART), sizeof lost / sizeof lost[0]);
    rig_passed(c->rig);
}

/* --- an engine that fails --- */

static void test_what_the_engine_answers_decides(void **state)
{
    static const struct {
        long status;
        outcome_t outcome;
        const char *text;
    } rows[] = {
        {404, OUTCOME_PERMANENT, "no such container"},
        {403, OUTCOME_PERMANENT, "the Docker engine answered 403: planned \\x07"},
        {409, OUTCOME_TRANSIENT, "the Docker engine answered 409: planned \\x07"},
        {429, OUTCOME_TRANSIENT, "the Docker engine answered 429"},
        /* These may have done something first: it is looked at. */
        {500, OUTCOME_TRANSIENT, "the Docker engine answered 500: planned \\x07"},
        {503, OUTCOME_TRANSIENT, "the Docker engine answered 503: planned \\x07"},
    };
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;

    contract_start(c, "worker", SOON_BACK);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dockerd_plan(d, CALL_RESTART, DOCKERD_STATUS, rows[i].status, 1);
        expect_host(c, "web-1", rows[i].outcome, rows[i].text);
        if (rows[i].status == 404)
            continue; /* not the first, but the second name would be found */
        dockerd_plan(d, CALL_INSPECT, DOCKERD_STATUS, rows[i].status, 1);
        expect_host(c, "web-1", rows[i].outcome, rows[i].text);
    }
    assert_int_equal(dockerd_restarts(d, "web-1"), 0);
    rig_passed(c->rig);
}

static void test_an_answer_that_is_none_costs_a_try_and_no_more(void **state)
{
    static const struct {
        dockerd_fault_t fault;
        long value;
        const char *text;
    } rows[] = {
        {DOCKERD_RESET, 0, "the Docker engine, asked for the container: "},
        {DOCKERD_CLOSE, 0, "the Docker engine, asked for the container: "},
        {DOCKERD_NO_HTTP, 0, "the Docker engine, asked for the container: "},
        {DOCKERD_NO_JSON, 0, "makes no sense"},
        {DOCKERD_LARGE, LARGE, "an answer of more than 1 MB"},
        {DOCKERD_LARGE, 1000, "makes no sense"},
        {DOCKERD_HEADERS, 0, "more than 64 kB of headers"},
    };
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;

    dockerd_add(d, "web-1.example.net", NULL);
    contract_start(c, "worker", NO_ARGS);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        /* Twice: libcurl asks again over a new connection when an old one ends without an answer. */
        dockerd_plan(d, CALL_INSPECT, rows[i].fault, rows[i].value, 2);
        expect_host(c, "web-1", OUTCOME_TRANSIENT, rows[i].text);
        dockerd_plan(d, CALL_INSPECT, DOCKERD_FINE, 0, 0);
    }
    assert_int_equal(dockerd_restarts(d, "web-1.example.net"), 0);
    expect_host(c, "web-1", OUTCOME_OK, "");
    rig_passed(c->rig);
}

static void test_chunks_are_put_together(void **state)
{
    contract_t *c = *state;
    dockerd_t *d = c->dockerd;

    contract_start(c, "worker", NO_ARGS);
    for (long size = 1; size < 100; size = size * 3 + 1) {
        dockerd_plan(d, CALL_INSPECT, DOCKERD_CHUNKED, size, 3);
        expect_host(c, "web-1", OUTCOME_OK, "");
        dockerd_plan(d, CALL_INSPECT, DOCKERD_FINE, 0, 0);
    }
    assert_int_equal(dockerd_restarts(d, "web-1"), 1);
    rig_passed(c->rig);
}

/* --- time --- */

static void test_what_takes_too_long_is_given_up(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    dockerd_t *d = c->dockerd;
    process_t *p = contract_start(c, "worker",
                                  ARGS("--grant", "100ms", "--act-timeout", "150ms", "--return-timeout",
                                       "100ms", "--docker-stop-timeout", "100ms", "--poll", "20ms"));

    b->limit_ms = LIMIT_MS;
    dockerd_plan(d, CALL_INSPECT, DOCKERD_SILENT, 0, 1);
    expect_host(c, "web-1", OUTCOME_TRANSIENT, "the Docker engine, asked for the container: ");
    dockerd_plan(d, CALL_RESTART, DOCKERD_SILENT, 0, 1);
    expect_host(c, "web-1", OUTCOME_TRANSIENT, "asked for the restart, which it may have carried out:");
    assert_int_equal(dockerd_restarts(d, "web-1"), 0);
    /* Their connections are cut, but for those that wait to be used again, and others go on. */
    expect_host(c, "web-1", OUTCOME_OK, "");
    WAIT(dockerd_connections(d) <= 2);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

/* When the task's time is over, nothing is asked any more. */
static void test_a_task_whose_time_is_over_is_cancelled(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    dockerd_t *d = c->dockerd;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    b->limit_ms = LIMIT_MS;
    dockerd_plan(d, CALL_INSPECT, DOCKERD_SILENT, 0, 1);
    expect_host(c, "web-1", OUTCOME_TRANSIENT, "ms: not restarted");
    WAIT(dockerd_connections(d) <= 1);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

/* All of them at once, each with a connection of its own, while the loop turns. */
static void test_slow_restarts_run_side_by_side(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    dockerd_t *d = c->dockerd;
    process_t *p = contract_start(c, "worker", ARGS("--slots", "500"));

    dockerd_plan(d, CALL_RESTART, DOCKERD_SLOW, WINDOW_SLOW_MS, MANY);
    const uint64_t first = b->next_ref;
    const int64_t start_ms = test_now_ms();
    boss_give_many(b, 0, "web", 1, MANY);
    BOSS_UNTIL(b, b->results_count == MANY);
    boss_expect_each_once(b, first, MANY);
    assert_int_equal(b->outcomes[OUTCOME_OK], MANY);
    assert_true(test_now_ms() - start_ms >= WINDOW_SLOW_MS);
    /* One after the other they would take minutes. */
    assert_true(test_now_ms() - start_ms < 20 * WINDOW_SLOW_MS);
    for (unsigned i = 1; i <= MANY; i++) {
        char host[32];
        snprintf(host, sizeof host, "web-%u", i);
        assert_int_equal(dockerd_restarts(d, host), 1);
    }
    /* What nobody needs any more is closed. */
    WAIT(dockerd_connections(d) <= 64);
    assert_int_equal(contract_stop(c, p), 0);
    rig_passed(c->rig);
}

static void test_a_drain_waits_for_a_restart(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    dockerd_plan(c->dockerd, CALL_RESTART, DOCKERD_SLOW, WINDOW_SLOW_MS, 1);
    const uint64_t ref = contract_ask(c, "web-1", CONTRACT_PUBLISHED_MS, NULL);
    BOSS_UNTIL(b, dockerd_calls(c->dockerd, CALL_RESTART) == 1);
    assert_int_equal(contract_stop(c, p), 0);
    contract_expect(c, ref, OUTCOME_OK, "");
    assert_int_equal(process_log_count(p, "drained: 1 finished, 0 given back"), 1);
    rig_passed(c->rig);
}

/* --- an engine that is away --- */

static void test_an_engine_that_is_away_costs_no_try(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    dockerd_t *d = c->dockerd;
    process_t *p = contract_start(c, "worker", NO_ARGS);

    expect_host(c, "web-1", OUTCOME_OK, "");
    dockerd_stop(d);
    /* Nobody told it: the next task finds out. */
    expect_host(c, "web-2", OUTCOME_BLOCKED, "no Docker engine answers: No such file or directory");
    BOSS_UNTIL(b, b->workers[0].window == 0);
    assert_true(process_log_count(p, "docker.sock: No such file or directory; nothing is restarted") >= 1);
    expect_host(c, "web-2", OUTCOME_BLOCKED, "no Docker engine answers");
    dockerd_start(d);
    BOSS_UNTIL(b, b->workers[0].window == contract_window(c));
    expect_host(c, "web-2", OUTCOME_OK, "");
    assert_int_equal(dockerd_restarts(d, "web-1"), 1);
    assert_int_equal(dockerd_restarts(d, "web-2"), 1);
    rig_passed(c->rig);
}

/* Between the restart and the look at it. */
static void test_an_engine_that_goes_after_the_restart_did_it(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    dockerd_t *d = c->dockerd;

    contract_start(c, "worker", NO_ARGS);
    dockerd_plan(d, CALL_RESTART, DOCKERD_SLOW, WINDOW_SLOW_MS, 1);
    uint64_t ref = contract_ask(c, "web-1", CONTRACT_PUBLISHED_MS, NULL);
    BOSS_UNTIL(b, dockerd_calls(d, CALL_RESTART) == 1);
    dockerd_plan(d, CALL_INSPECT, DOCKERD_SILENT, 0, 1);
    BOSS_UNTIL(b, dockerd_restarts(d, "web-1") == 1);
    dockerd_stop(d);
    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    assert_true(boss_result(b, ref)->outcome != OUTCOME_OK &&
                boss_result(b, ref)->outcome != OUTCOME_PERMANENT);
    dockerd_plan(d, CALL_INSPECT, DOCKERD_FINE, 0, 0);
    dockerd_start(d);
    do {
        ref = contract_ask(c, "web-1", CONTRACT_PUBLISHED_MS, NULL);
        BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    } while (boss_result(b, ref)->outcome == OUTCOME_BLOCKED);
    assert_int_equal(boss_result(b, ref)->outcome, OUTCOME_OK);
    assert_int_equal(dockerd_restarts(d, "web-1"), 1);
    rig_passed(c->rig);
}

static void test_programs_start_in_any_order(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    dockerd_stop(c->dockerd);
    process_t *p = contract_spawn(c, "worker", NULL, NO_ARGS);
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].welcomed &&
                      process_log_count(p, "nothing is restarted") > 0);
    assert_int_equal(b->workers[0].window, 0);
    dockerd_plan(c->dockerd, CALL_PING, DOCKERD_STATUS, 500, 1);
    dockerd_start(c->dockerd);
    BOSS_UNTIL(b, b->workers[0].window > 0);
    assert_true(dockerd_calls(c->dockerd, CALL_PING) >= 2);
    expect_host(c, "web-1", OUTCOME_OK, "");
    rig_passed(c->rig);
}

/* --- options --- */

static void test_options_are_checked(void **state)
{
    static const struct {
        const char *flags[4];
        int code;
        const char *says;
    } rows[] = {
        {{NULL}, EXIT_USAGE, "--docker-allow GLOB or --docker-allow-label KEY[=VALUE]"},
        {{"--docker-allow", "*", "--docker-allow-label", "=x"},
         EXIT_USAGE,
         "--docker-allow-label: '=x' is no label"},
        {{"--docker-allow", "*", "--docker-find-label", "a=b"},
         EXIT_USAGE,
         "--docker-find-label: 'a=b' is no key"},
        {{"--docker-allow", "*", "--docker-find-label", "\xff"}, EXIT_USAGE, "'\\xff' is no key of a label"},
        {{"--docker-allow", "*", "--docker-stop-timeout", "2h"}, EXIT_USAGE, "--docker-stop-timeout"},
        {{"--docker-allow", "*", "--docker-stop-timeout", "15s"},
         EXIT_USAGE,
         "--docker-stop-timeout: 15000 ms is not less than --act-timeout, 15000 ms"},
        {{"--docker-allow", "*", "--act-timeout", "10s"},
         EXIT_USAGE,
         "--docker-stop-timeout: 10000 ms is not less than --act-timeout, 10000 ms"},
        {{"--docker-allow", "*", "--docker-socket", "tcp://127.0.0.1:2375"},
         EXIT_USAGE,
         "is no path of a socket"},
        {{"--docker-allow", "*", "--docker-socket", "/no/such.sock"},
         EXIT_FAILED,
         "--docker-socket: no Docker engine answers at /no/such.sock: No such file or directory"},
        {{"--docker-allow", "*"}, 0, ""},
    };
    contract_t *c = *state;
    char socket[TEST_PATH_MAX];

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const process_t *p = contract_ends(
            c, "mandrill-worker",
            ARGS("--kind", "restart-docker", "-n", "--docker-socket", contract_socket(c, socket)),
            rows[i].flags, 4, rows[i].code, rows[i].says);
        char *said = test_read_file(p->log);
        /* One line, or none; below a value that is no such time, where to read more. */
        const char *line = strchr(said, '\n');
        assert_true(rows[i].code == 0 ? line == NULL : line[1] == '\0' || strncmp(line + 1, "Try ", 4) == 0);
        free(said);
    }
    dockerd_plan(c->dockerd, CALL_PING, DOCKERD_STATUS, 500, 1);
    process_t *p = SPAWN(c->rig, "sick", "mandrill-worker", "--kind", "restart-docker", "-n",
                         "--docker-socket", contract_socket(c, socket), "--docker-allow", "*");
    assert_int_equal(process_wait(p, WAIT_MS), EXIT_FAILED);
    assert_int_equal(process_log_count(p, "500 to /_ping"), 1);
    rig_passed(c->rig);
}

int main(void)
{
    const row_t row = contract_row("restart-docker");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_host_is_a_container_by_its_name),
        cmocka_unit_test(test_a_host_is_a_container_by_its_label),
        cmocka_unit_test(test_only_what_is_allowed_is_restarted),
        cmocka_unit_test(test_what_is_allowed_is_read_again),
        cmocka_unit_test(test_a_message_is_carried_out_once),
        cmocka_unit_test(test_ok_is_what_was_seen_to_run_again),
        cmocka_unit_test(test_an_answer_that_is_lost_is_looked_for),
        cmocka_unit_test(test_what_the_engine_answers_decides),
        cmocka_unit_test(test_an_answer_that_is_none_costs_a_try_and_no_more),
        cmocka_unit_test(test_chunks_are_put_together),
        cmocka_unit_test(test_what_takes_too_long_is_given_up),
        cmocka_unit_test(test_a_task_whose_time_is_over_is_cancelled),
        cmocka_unit_test(test_slow_restarts_run_side_by_side),
        cmocka_unit_test(test_a_drain_waits_for_a_restart),
        cmocka_unit_test(test_an_engine_that_is_away_costs_no_try),
        cmocka_unit_test(test_an_engine_that_goes_after_the_restart_did_it),
        cmocka_unit_test(test_programs_start_in_any_order),
        cmocka_unit_test(test_options_are_checked),
    };
    return contract_run("restart-docker", tests, sizeof tests / sizeof tests[0], &row, 1);
}

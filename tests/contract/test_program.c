/* The program around the kinds: its flags, for each row of the table. */
#include "tests/contract/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS_MAX = 32, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* As long as a label may be. */
#define LONG_NAME "rack-7.example.net/restart-1234567890-1234567890-1234567890-0001"

static const char *log_of(const process_t *p)
{
    static char *text;

    free(text);
    text = test_read_file(p->log);
    return text;
}

static void expect_usage_error(contract_t *c, const char *const *args, const char *says)
{
    contract_ends(c, c->row.program, args, NULL, 0, EXIT_USAGE, says);
}

static void test_bad_flags_are_named(void **state)
{
    contract_t *c = *state;
    const char *kind = c->row.kind->name;

    expect_usage_error(c, NO_ARGS, "--kind");
    expect_usage_error(c, ARGS("--kind", "no-such-kind"), "no-such-kind");
    expect_usage_error(c, ARGS("--kind"), "--kind");
    expect_usage_error(c, ARGS("--kind", kind, "--frobnicate"), "--frobnicate");
    expect_usage_error(c, ARGS("--kind", kind, "stray"), "stray");
    expect_usage_error(c, ARGS("--kind", kind, "--slots", "0"), "--slots");
    expect_usage_error(c, ARGS("--kind", kind, "--slots", "many"), "--slots");
    expect_usage_error(c, ARGS("--kind", kind, "--batch", "16385"), "--batch");
    expect_usage_error(c, ARGS("--kind", kind, "--consumer", "localhost"), "--consumer");
    expect_usage_error(c, ARGS("--kind", kind, "--consumer", "tcp://127.0.0.1:99999"), "99999");
    expect_usage_error(c, ARGS("--kind", kind, "--drain-timeout", "soon"), "soon");
    expect_usage_error(c, ARGS("--kind", kind, "--report", "xml"), "xml");
    expect_usage_error(c, ARGS("--kind", kind, "--config", "/no/such/file"), "/no/such/file");
    expect_usage_error(c, ARGS("--kind", kind, "--name", "two words"), "'two words' is no name");
    expect_usage_error(c, ARGS("--kind", kind, "--name", "\xc3\xa4"), "is no name");
    expect_usage_error(c, ARGS("--kind", kind, "--name", LONG_NAME "x"), "is no name");
    /* A bad endpoint is found wherever it stands in the list. */
    expect_usage_error(c, ARGS("--kind", kind, "--consumer", "tcp://127.0.0.1:1", "--consumer", "x"), "'x'");
    rig_passed(c->rig);
}

static void test_help_shows_every_kind_and_its_options(void **state)
{
    contract_t *c = *state;
    process_t *p = SPAWN(c->rig, "help", c->row.program, "--help");

    assert_int_equal(process_wait(p, WAIT_MS), 0);
    assert_true(process_out_count(p, c->row.kind->name) > 0);
    assert_true(process_out_count(p, c->row.kind->summary) > 0);
    for (size_t i = 0; i < c->row.kind->options_count; i++)
        assert_true(process_out_count(p, c->row.kind->options[i].name) > 0);
    for (size_t i = 0; i < c->row.kind->shared_count; i++) {
        char option[PROCESS_NAME_MAX];
        snprintf(option, sizeof option, "  --%s ", c->row.kind->shared[i].name);
        assert_int_equal(process_out_count(p, option), 1);
    }
    assert_string_equal(log_of(p), "");
    rig_passed(c->rig);
}

static void test_a_check_changes_nothing(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char file[TEST_PATH_MAX];
    process_t *p = contract_spawn(c, "check", NULL, ARGS("-n"));

    assert_int_equal(process_wait(p, WAIT_MS), 0);
    boss_turn(b, 0);
    assert_int_equal(b->workers_count, 0);
    if (contract_file(c, file) != NULL)
        assert_int_equal(access(file, F_OK), -1);
    rig_passed(c->rig);
}

static void test_it_goes_by_its_name(void **state)
{
    contract_t *c = *state;
    char expected[LABEL_BYTES_MAX + 1], host[LABEL_BYTES_MAX + 1] = "", prefix[LABEL_BYTES_MAX + 64];
    process_t *p = contract_start(c, "worker", NO_ARGS);

    gethostname(host, sizeof host - 1);
    snprintf(expected, sizeof expected, "%.50s:%ld", host, (long)p->pid);
    assert_string_equal(c->boss.workers[0].hello.label, expected);
    assert_int_equal(contract_stop(c, p), 0);
    p = contract_start(c, "named", ARGS("--name", LONG_NAME));
    assert_string_equal(c->boss.workers[1].hello.label, LONG_NAME);
    snprintf(prefix, sizeof prefix, "INFO %s %s: connected to consumer", c->row.kind->leg, LONG_NAME);
    WAIT(process_log_count(p, prefix) == 1);
    rig_passed(c->rig);
}

static void test_slots_and_batch_make_the_window(void **state)
{
    contract_t *c = *state;
    const bool batch = c->row.kind->executor == EXECUTOR_BATCH;

    contract_start(c, "worker", ARGS("--slots", "3", "--batch", "5"));
    assert_int_equal(c->boss.workers[0].window, batch ? 80 : 3);
    rig_passed(c->rig);
}

static void test_an_option_of_another_kind_is_refused(void **state)
{
    contract_t *c = *state;
    char flag[2 * PROCESS_NAME_MAX];

    for (size_t k = 0; worker_kinds[k] != NULL; k++) {
        const worker_kind_t *other = worker_kinds[k];
        for (size_t i = 0; other != c->row.kind && i < other->options_count; i++) {
            const config_option_t *o = &other->options[i];
            const char *value = o->choices != NULL ? o->choices : "1";
            snprintf(flag, sizeof flag, o->type == CONFIG_FLAG ? "--%s" : "--%s=%.*s", o->name,
                     (int)strcspn(value, "|"), value);
            expect_usage_error(c, ARGS("--kind", c->row.kind->name, flag), other->name);
        }
    }
    rig_passed(c->rig);
}

/* What several kinds have is refused by the others only, which name all that have it. */
static void test_a_shared_option(void **state)
{
    contract_t *c = *state;
    const char *kind = c->row.kind->name;

    if (c->row.kind->shared_count == 0) {
        char says[2 * PROCESS_NAME_MAX];
        snprintf(says, sizeof says, "--odd-wait: is an option of --kind odd-threads, odd-loop, not of %s",
                 kind);
        expect_usage_error(c, ARGS("--kind", kind, "--odd-wait", "1s"), says);
    } else {
        process_t *p = contract_spawn(c, "check", NULL, ARGS("-n", "--odd-wait", "1s"));
        assert_int_equal(process_wait(p, WAIT_MS), 0);
    }
    rig_passed(c->rig);
}

static void test_a_threads_kind_takes_no_thousands_of_slots(void **state)
{
    contract_t *c = *state;

    expect_usage_error(c, ARGS("--kind", c->row.kind->name, "--slots", "4097"), "thread");
    rig_passed(c->rig);
}

int main(void)
{
    static row_t rows[ROWS_MAX];
    const size_t count = contract_rows(rows, ROWS_MAX);
    size_t real = 0;
    const row_t odd[] = {{"mandrill-worker-odd", &odd_threads},
                         {"mandrill-worker-odd", &odd_loop},
                         {"mandrill-worker-odd", &odd_batch}};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_flags_are_named),
        cmocka_unit_test(test_help_shows_every_kind_and_its_options),
        cmocka_unit_test(test_a_check_changes_nothing),
        cmocka_unit_test(test_it_goes_by_its_name),
        cmocka_unit_test(test_slots_and_batch_make_the_window),
    };
    const struct CMUnitTest real_tests[] = {cmocka_unit_test(test_an_option_of_another_kind_is_refused)};
    const struct CMUnitTest shared_tests[] = {cmocka_unit_test(test_a_shared_option)};
    const struct CMUnitTest threads_tests[] = {
        cmocka_unit_test(test_a_threads_kind_takes_no_thousands_of_slots)};

    while (worker_kinds[real] != NULL)
        real++;
    int failed = contract_run("program", tests, sizeof tests / sizeof tests[0], rows, count);
    failed += contract_run("options", real_tests, 1, rows, real);
    failed += contract_run("shared options", shared_tests, 1, odd, 3);
    return failed + contract_run("threads", threads_tests, 1, &odd[0], 1);
}

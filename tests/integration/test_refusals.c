/* Starts that cannot succeed: each ends soon, with the exit code that fits and a line that names what is
 * wrong. */
#include "tests/support/pipeline.h"
#include "tests/support/saved.h"

#include <stdio.h>
#include <string.h>

static const char *const PROGRAMS[] = {"mandrill-publisher", "mandrill-consumer", "mandrill-worker",
                                       "mandrill"};
enum { PROGRAMS_COUNT = sizeof PROGRAMS / sizeof *PROGRAMS, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static void assert_says(const process_t *p, const char *text)
{
    if (process_log_count(p, text) == 0)
        fail_msg("%s does not say \"%s\"", p->name, text);
}

/* Runs a program to its end with a name of its own. */
static process_t *ends(rig_t *rig, int code, const char *program, const char *const *args)
{
    char name[PROCESS_NAME_MAX];

    snprintf(name, sizeof name, "run-%zu", rig->processes_count);
    process_t *p = rig_spawn(rig, name, program, args);
    int got = process_wait(p, WAIT_MS);
    if (got != code)
        fail_msg("%s (%s) ended with %d, not %d", program, name, got, code);
    return p;
}

static void test_unknown_flags(void **state)
{
    rig_t *rig = *state;

    for (size_t i = 0; i < PROGRAMS_COUNT; i++) {
        bool many = strcmp(PROGRAMS[i], "mandrill") == 0;
        process_t *p = ends(rig, EXIT_USAGE, PROGRAMS[i],
                            many ? ARGS("publish", "--clinets", "x") : ARGS("--annuonce", "x"));

        assert_says(p, many ? "--clients" : "--announce");
    }
    assert_says(ends(rig, EXIT_USAGE, "mandrill", ARGS("dance")), "dance");
    assert_says(ends(rig, EXIT_USAGE, "mandrill-worker", ARGS("--kind", "save-paper")), "save-paper");
    assert_says(ends(rig, EXIT_USAGE, "mandrill-publisher", ARGS("--ack-deadline", "soon")), "soon");
    assert_says(ends(rig, EXIT_USAGE, "mandrill-publisher", ARGS("--listen", "udp://127.0.0.1:1")),
                "udp://127.0.0.1:1");
    rig_passed(rig);
}

static void test_unreadable_configurations(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX];
    static const char UNKNOWN_KEY[] = "ack-dedline = 5s\n";

    for (size_t i = 0; i < PROGRAMS_COUNT; i++) {
        bool many = strcmp(PROGRAMS[i], "mandrill") == 0;

        assert_says(
            ends(rig, EXIT_USAGE, PROGRAMS[i],
                 many ? ARGS("status", "--config", "/nowhere/m.zpl") : ARGS("--config", "/nowhere/m.zpl")),
            "/nowhere/m.zpl");
        assert_says(ends(rig, EXIT_USAGE, PROGRAMS[i],
                         many ? ARGS("status", "--config", rig->dir) : ARGS("--config", rig->dir)),
                    rig->dir);
    }
    test_write_file(rig_path(rig, "bad.zpl", path), UNKNOWN_KEY, strlen(UNKNOWN_KEY));
    process_t *p = ends(rig, EXIT_USAGE, "mandrill-publisher", ARGS("--config", path));
    assert_says(p, path);
    assert_says(p, "ack-dedline");
    rig_passed(rig);
}

static void test_endpoints_in_use(void **state)
{
    rig_t *rig = *state;
    char outbox[TEST_PATH_MAX];
    const char *leases, *tasks;

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    leases = rig_endpoint(rig, "leases-0");
    tasks = rig_endpoint(rig, "tasks-0");
    rig_path(rig, "other.db", outbox);
    process_t *p =
        ends(rig, EXIT_FAILED, "mandrill-publisher",
             ARGS("--outbox", outbox, "--listen", leases, "--clients", rig_endpoint(rig, "free-0")));
    assert_says(p, leases);
    assert_says(p, "in use");
    p = ends(rig, EXIT_FAILED, "mandrill-publisher",
             ARGS("--outbox", outbox, "--listen", rig_endpoint(rig, "free-1"), "--clients",
                  rig_endpoint(rig, "clients-0")));
    assert_says(p, rig_endpoint(rig, "clients-0"));
    p = ends(rig, EXIT_FAILED, "mandrill-consumer",
             ARGS("--publisher", leases, "--listen", tasks, "--control", rig_endpoint(rig, "free-2")));
    assert_says(p, tasks);
    assert_says(p, "in use");
    /* The ones that were there first have not noticed. */
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    rig_passed(rig);
}

static process_t *publisher_over(rig_t *rig, const char *outbox)
{
    return ends(rig, EXIT_FAILED, "mandrill-publisher",
                ARGS("--outbox", outbox, "--listen", rig_endpoint(rig, "free-0"), "--clients",
                     rig_endpoint(rig, "free-1")));
}

static void test_outboxes_that_are_none(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX];
    process_t *publisher = start_publisher(rig, 0, NO_ARGS);

    publish_hosts(rig, 0, "web", 3);
    assert_int_equal(process_stop(publisher), 0);
    database_change(rig_path(rig, "outbox-0.db", path), "PRAGMA user_version = 99");
    process_t *p = publisher_over(rig, path);
    assert_says(p, path);
    assert_says(p, "99");
    test_write_file(rig_path(rig, "text.db", path), "This is a letter and no database at all.\n", 41);
    assert_says(publisher_over(rig, path), path);
    char *text = test_read_file(path);
    assert_string_equal(text, "This is a letter and no database at all.\n");
    free(text);
    database_change(rig_path(rig, "foreign.db", path), "CREATE TABLE recipes(name)");
    assert_says(publisher_over(rig, path), path);
    assert_int_equal(saved_number(path, "SELECT count(*) FROM sqlite_master", NULL), 1);
    /* A file is no folder. */
    assert_says(publisher_over(rig, rig_path(rig, "text.db/outbox.db", path)), path);
    assert_says(publisher_over(rig, rig->dir), rig->dir);
    rig_passed(rig);
}

static void test_a_second_publisher_on_one_outbox(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX];

    start_publisher(rig, 0, NO_ARGS);
    process_t *p = publisher_over(rig, rig_path(rig, "outbox-0.db", path));
    assert_says(p, path);
    publish_hosts(rig, 0, "web", 3);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 3);
    rig_passed(rig);
}

static process_t *save_over(rig_t *rig, const char *database)
{
    return ends(
        rig, EXIT_FAILED, "mandrill-worker",
        ARGS("--kind", "save-sqlite", "--consumer", rig_endpoint(rig, "tasks-0"), "--database", database));
}

static void test_save_databases_that_are_none(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX];

    test_write_file(rig_path(rig, "text.db", path), "This is a letter and no database at all.\n", 41);
    assert_says(save_over(rig, path), path);
    database_change(rig_path(rig, "foreign.db", path), "CREATE TABLE messages(text)");
    assert_says(save_over(rig, path), path);
    assert_says(save_over(rig, rig_path(rig, "text.db/saved.db", path)), path);
    rig_passed(rig);
}

static void test_a_second_save_worker_on_one_file(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX];

    start_publisher(rig, 0, NO_ARGS);
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    process_t *p = save_over(rig, rig_path(rig, "saved-0.db", path));
    assert_says(p, path);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..5"));
    publish_hosts(rig, 0, "web", 3);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(saved(rig, 0), 3);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_unknown_flags, "ipc"),
        RIG_TEST(test_unreadable_configurations, "ipc"),
        RIG_TESTS(test_endpoints_in_use),
        RIG_TEST(test_outboxes_that_are_none, "ipc"),
        RIG_TESTS(test_a_second_publisher_on_one_outbox),
        RIG_TEST(test_save_databases_that_are_none, "ipc"),
        RIG_TESTS(test_a_second_save_worker_on_one_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

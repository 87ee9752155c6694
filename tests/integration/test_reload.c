/* SIGHUP with the real programs: the file is changed, the signal sent, and the new value does something. */
#include "tests/support/pipeline.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void write_config(const rig_t *rig, const char *text, char *path)
{
    FILE *f = fopen(rig_path(rig, "mandrill.zpl", path), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Changes the file, and returns when the program has said `line` once more. */
static void reload(const rig_t *rig, process_t *p, const char *text, const char *line)
{
    char path[TEST_PATH_MAX];
    unsigned before = process_log_count(p, line);

    write_config(rig, text, path);
    process_signal(p, SIGHUP);
    WAIT(process_log_count(p, line) == before + 1);
}

static void test_new_values_count(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX];

    write_config(rig,
                 "publisher\n    outbox-max = 5M\n"
                 "consumer\n    max-tries = 1\n    window-max = 100\n"
                 "worker\n    fail = 1\n    simulate = 0..0\n",
                 path);
    process_t *publisher = start_publisher(rig, 0, ARGS("--config", path));
    process_t *consumer = start_consumer(rig, 0, 1, ARGS("--config", path));
    start_save(rig, 0, 1, NO_ARGS);
    process_t *restart = start_restart(rig, 0, 1, ARGS("--config", path));
    publish_hosts(rig, 0, "bad", 3);
    WAIT(status_number(rig, "clients-0", STATUS_DEAD) == 3);

    static const char changed[] =
        "publisher\n    outbox-max = 6M\n"
        "consumer\n    max-tries = 2\n    window-max = 50\n    log-messages = true\n"
        "worker\n    fail = 0\n    simulate = 0..0\n    slots = 7\n";
    reload(rig, publisher, changed, "outbox-max: 6M instead of 5M");
    assert_int_equal(status_number(rig, "clients-0", "outbox_max_bytes"), 6 << 20);
    reload(rig, consumer, changed, "SIGHUP: 3 options have another value now");
    assert_int_equal(status_number(rig, "control-0", "window_max"), 50);
    reload(rig, restart, changed, "SIGHUP: 1 options have another value now");
    assert_int_equal(process_log_count(restart, "slots: 7 instead of not given needs a restart"), 1);

    publish_hosts(rig, 0, "good", 5);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 3);
    assert_int_equal(process_log_count(consumer, "Consumed "), 5);
    rig_passed(rig);
}

/* Whatever is wrong with it, and whoever finds it: the parser, the program, or the worker's kind. */
static void test_a_bad_file_changes_nothing(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX], place[TEST_PATH_MAX + 64];

    write_config(rig, "", path);
    process_t *publisher = start_publisher(rig, 0, ARGS("--config", path));
    process_t *consumer = start_consumer(rig, 0, 1, ARGS("--config", path));
    process_t *restart = start_restart(rig, 0, 1, ARGS("--config", path));
    int64_t outbox_max = status_number(rig, "clients-0", "outbox_max_bytes");

    reload(rig, publisher, "publisher\n    outbox-max = 7M\n    drain-timeout = soon\n", "stays as it was");
    snprintf(place, sizeof place, "%s:3: publisher/drain-timeout: \"soon\" is not a time", path);
    assert_int_equal(process_log_count(publisher, place), 1);
    assert_int_equal(status_number(rig, "clients-0", "outbox_max_bytes"), outbox_max);
    reload(rig, publisher, "outbox-max = 7M\nlegs = save,save\n", "stays as it was");
    assert_int_equal(process_log_count(publisher, "legs: a name stands twice"), 1);
    reload(rig, consumer, "window-max = 10\nmax-trys = 3\n", "stays as it was");
    assert_int_equal(process_log_count(consumer, ":2: unknown key \"max-trys\"; did you mean \"max-tries\"?"),
                     1);
    assert_int_equal(status_number(rig, "control-0", "window_max"), 16384);
    reload(rig, consumer, "window-max = 10\nextend = 2s\nextend-every = 2s\n", "stays as it was");
    assert_int_equal(
        process_log_count(consumer, ":3: extend-every: 2000 ms are not less than --extend, which is 2000 ms"),
        1);
    assert_int_equal(status_number(rig, "control-0", "window_max"), 16384);
    reload(rig, restart, "worker\n    fail = 1\n    simulate = 5\n", "stays as it was");
    assert_int_equal(process_log_count(restart, ":3: worker/simulate: '5' is no range of milliseconds"), 1);
    assert_int_equal(process_log_count(restart, "instead of"), 0);
    /* All of them go on, and a good file is read again. */
    reload(rig, publisher, "outbox-max = 7M\n", "SIGHUP: 1 options have another value now");
    assert_int_equal(status_number(rig, "clients-0", "outbox_max_bytes"), 7 << 20);
    rig_passed(rig);
}

static void test_up_tells_its_children(void **state)
{
    rig_t *rig = *state;
    char path[TEST_PATH_MAX], data[TEST_PATH_MAX];

    write_config(rig, "consumer\n    max-tries = 3\n", path);
    process_t *up = SPAWN(rig, "up", "mandrill", "up", "--transport", "ipc", "--count", "0", "--config", path,
                          "--data", rig_path(rig, "data", data));
    WAIT(process_log_count(up, "all are ready") == 1);
    reload(rig, up, "consumer\n    max-tries = 4\n", "max-tries: 4 instead of 3");
    /* Publisher, save, two restart workers. */
    WAIT(process_log_count(up, "SIGHUP: 0 options have another value now") == 4);
    assert_int_equal(process_stop(up), 0);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_new_values_count),
        RIG_TEST(test_a_bad_file_changes_nothing, "ipc"),
        RIG_TEST(test_up_tells_its_children, "ipc"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

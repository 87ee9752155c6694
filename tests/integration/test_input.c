/* Lines of input, good and bad: each bad one is refused by its number, and stops none of the others. */
#include "tests/support/pipeline.h"

#include <stdio.h>
#include <string.h>

enum { LONG_NAME = 300 };

/* Which lines are bad: 2 to 5, and 7. */
static size_t write_lines(const rig_t *rig, char *path)
{
    char text[1024];
    char long_name[LONG_NAME + 1];

    memset(long_name, 'a', LONG_NAME);
    long_name[LONG_NAME] = '\0';
    int len =
        snprintf(text, sizeof text, "web-1\n; rm -rf /\n\n%s\nweb-\xff\xfe\nweb-2.example.org\n%s\nweb-3\n",
                 long_name, "{\"instance\":\"web-4\"");
    rig_path(rig, "lines", path);
    test_write_file(path, text, (size_t)len);
    return 5;
}

/* `end` is what the program writes behind the number. */
static void assert_told(const process_t *p, const char *end)
{
    static const unsigned BAD[] = {2, 3, 4, 5, 7};

    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char line[32];

        snprintf(line, sizeof line, "line %u%s", BAD[i], end);
        if (process_log_count(p, line) != 1)
            fail_msg("%s does not name line %u", p->name, BAD[i]);
    }
    for (unsigned good = 1; good <= 8; good++) {
        char line[32];

        snprintf(line, sizeof line, "line %u%s", good, end);
        if (good == 1 || good == 6 || good == 8)
            assert_int_equal(process_log_count(p, line), 0);
    }
    /* Bytes of the input reach no terminal. */
    assert_int_equal(process_log_count(p, "\xff"), 0);
}

static void rest_of_the_pipeline(rig_t *rig)
{
    start_consumer(rig, 0, 1, NO_ARGS);
    start_save(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..5"));
}

static void assert_stored(rig_t *rig)
{
    assert_int_equal(saved(rig, 0), 3);
    assert_int_equal(saved_host(rig, 0, "web-1.example.net"), 1);
    assert_int_equal(saved_host(rig, 0, "web-2.example.org"), 1);
    assert_int_equal(saved_host(rig, 0, "web-3.example.net"), 1);
}

static void test_bad_lines_of_a_publishers_input(void **state)
{
    rig_t *rig = *state;
    char lines[TEST_PATH_MAX];

    size_t bad = write_lines(rig, lines);
    rig->stdin_file = lines;
    process_t *publisher = start_publisher(rig, 0, ARGS("--from", "-"));
    rest_of_the_pipeline(rig);
    /* All that was good is acked; that something was refused shows in the exit code. */
    assert_int_equal(process_wait(publisher, WAIT_MS), 1);
    assert_told(publisher, ":");
    assert_stored(rig);
    assert_int_equal(report_number(publisher, "published"), 3);
    assert_int_equal(report_number(publisher, "acked"), 3);
    assert_int_equal(report_number(publisher, "refused"), (int64_t)bad);
    rig_passed(rig);
}

static void test_bad_lines_of_a_client(void **state)
{
    rig_t *rig = *state;
    char lines[TEST_PATH_MAX];

    write_lines(rig, lines);
    start_publisher(rig, 0, NO_ARGS);
    rest_of_the_pipeline(rig);
    process_t *publish = publish_program(rig, "publish", 0, "lines");
    process_start(publish);
    assert_int_equal(process_wait(publish, WAIT_MS), 1);
    assert_told(publish, " refused:");
    assert_int_equal(process_out_count(publish, "\n"), 3);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_stored(rig);
    rig_passed(rig);
}

static void test_bad_words_of_a_command_line(void **state)
{
    rig_t *rig = *state;

    start_publisher(rig, 0, NO_ARGS);
    rest_of_the_pipeline(rig);
    process_t *publish =
        SPAWN(rig, "publish", "mandrill", "publish", "--clients", rig_endpoint(rig, "clients-0"), "web-1",
              "; rm -rf /", "web-2.example.org", "", "web-3");
    assert_int_equal(process_wait(publish, WAIT_MS), 1);
    assert_int_equal(process_out_count(publish, "\n"), 3);
    assert_int_equal(process_log_count(publish, "; rm -rf /"), 1);
    WAIT(status_number(rig, "clients-0", STATUS_BACKLOG) == 0);
    assert_stored(rig);
    rig_passed(rig);
}

static void test_nobody_to_publish_to(void **state)
{
    rig_t *rig = *state;
    process_t *publish = SPAWN(rig, "publish", "mandrill", "publish", "--clients",
                               rig_endpoint(rig, "clients-0"), "--timeout", "300ms", "web-1");

    assert_int_equal(process_wait(publish, WAIT_MS), 1);
    assert_int_equal(process_out_count(publish, "web-1"), 0);
    assert_true(process_log_count(publish, rig_endpoint(rig, "clients-0")) > 0);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_bad_lines_of_a_publishers_input),
        RIG_TESTS(test_bad_lines_of_a_client),
        RIG_TESTS(test_bad_words_of_a_command_line),
        RIG_TESTS(test_nobody_to_publish_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/runtime/config.h"
#include "tests/unit/capture.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const config_option_t options[] = {
    {"listen", CONFIG_TEXT, NULL, "EP", "where consumers connect", 0, 0, NULL, NULL, false, false, false,
     false},
    {"legs", CONFIG_LIST, "save,restart", "NAMES", "the fan-out", 0, 0, NULL, NULL, false, false, false,
     false},
    {"stay", CONFIG_FLAG, NULL, NULL, "stay when done", 0, 0, NULL, NULL, false, false, false, false},
    {"ack-deadline", CONFIG_DURATION, "10s", "TIME", "how long a lease is", 0, 0, NULL, NULL, false, false,
     false, false},
};

static const config_program_t program = {
    .name = "mandrill-test",
    .section = "publisher",
    .summary = "Only a test.",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
};

static char path[] = "/tmp/mandrill-config-XXXXXX";
static config_t *config;
static const char *told;

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    config_destroy(&config);
    return unlink(path);
}

static int load_path(const char *file, const char *flag)
{
    char *argv[] = {(char *)"mandrill-test", (char *)"--config", (char *)file, (char *)flag};
    config_destroy(&config);
    capture_begin(STDERR_FILENO);
    int r = config_load(&config, &program, flag ? 4 : 3, argv);
    told = capture_end();
    return r;
}

static int load_bytes(const char *bytes, size_t len)
{
    FILE *f = fopen(path, "w");
    if (!f || fwrite(bytes, 1, len, f) != len || fclose(f) != 0)
        return -ENOSPC;
    return load_path(path, NULL);
}

static int load(const char *text)
{
    return load_bytes(text, strlen(text));
}

/* "file:line: text" */
static void assert_told_at(unsigned line, const char *text)
{
    char place[sizeof(path) + 32];
    snprintf(place, sizeof(place), "mandrill-test: %s:%u: ", path, line);
    if (!strstr(told, place) || !strstr(told, text))
        fail_msg("\"%s\" does not name %s%s", told, place, text);
}

static void test_top_level_and_section(void **state)
{
    (void)state;
    const char *const *list;
    assert_int_equal(load("#   a comment\n"
                          "\n"
                          "listen = tcp://127.0.0.1:1   # the rest is a comment\n"
                          "stay = true\r\n"
                          "legs = a\n"
                          "legs = b,c\n"
                          "consumer\n"
                          "    window-max = 5\n"
                          "publisher    # ours\n"
                          "    listen = \"tcp://127.0.0.1:2 # no comment\"\n"
                          "    # a comment\n"
                          "worker\n"
                          "    listen = tcp://127.0.0.1:3"),
                     CONFIG_RUN);
    assert_string_equal(told, "");
    assert_string_equal(config_text(config, "listen"), "tcp://127.0.0.1:2 # no comment");
    assert_true(config_flag(config, "stay"));
    assert_true(config_given(config, "stay"));
    assert_int_equal(config_list(config, "legs", &list), 3);
    assert_string_equal(list[2], "c");
    assert_int_equal(config_int(config, "ack-deadline"), 10000);
    char origin[sizeof(path) + 32];
    snprintf(origin, sizeof(origin), "%s:10: publisher/listen", path);
    assert_string_equal(config_origin(config, "listen"), origin);
    snprintf(origin, sizeof(origin), "%s:4: stay", path);
    assert_string_equal(config_origin(config, "stay"), origin);
}

/* The section wins wherever it stands; lists are replaced by it, not added to. */
static void test_section_before_top_level(void **state)
{
    (void)state;
    const char *const *list;
    assert_int_equal(load("publisher\n    listen = a\n    legs = x\nlisten = b\nlegs = y,z\n"), CONFIG_RUN);
    assert_string_equal(config_text(config, "listen"), "a");
    assert_int_equal(config_list(config, "legs", &list), 1);
    assert_string_equal(list[0], "x");
}

static void test_environment_and_flags_win(void **state)
{
    (void)state;
    assert_int_equal(load("listen = file\nack-deadline = 1s\nstay = yes\n"), CONFIG_RUN);
    setenv("MANDRILL_ACK_DEADLINE", "2s", 1);
    setenv("MANDRILL_LISTEN", "environment", 1);
    assert_int_equal(load_path(path, "--listen=flag"), CONFIG_RUN);
    assert_string_equal(config_text(config, "listen"), "flag");
    assert_int_equal(config_int(config, "ack-deadline"), 2000);
    assert_true(config_flag(config, "stay"));
    unsetenv("MANDRILL_ACK_DEADLINE");
    unsetenv("MANDRILL_LISTEN");
    /* The file itself may be named by the environment. */
    setenv("MANDRILL_CONFIG", path, 1);
    char *argv[] = {(char *)"mandrill-test"};
    config_destroy(&config);
    assert_int_equal(config_load(&config, &program, 1, argv), CONFIG_RUN);
    assert_string_equal(config_text(config, "listen"), "file");
    unsetenv("MANDRILL_CONFIG");
}

static void test_bad_values_are_found_even_where_a_flag_wins(void **state)
{
    (void)state;
    assert_int_equal(load("\nack-deadline = soon\n"), -EINVAL);
    assert_non_null(strstr(told, ": ack-deadline: \"soon\" is not a time such as"));
    assert_int_equal(load_path(path, "--ack-deadline=1s"), -EINVAL);
    assert_int_equal(load("publisher\n    stay = perhaps\n"), -EINVAL);
    assert_non_null(strstr(told, ": publisher/stay: \"perhaps\" is not true or false"));
}

static void test_unknown_keys_and_sections(void **state)
{
    (void)state;
    assert_int_equal(load("listen = a\nack-dedline = 3s\n"), -EINVAL);
    assert_told_at(2, "unknown key \"ack-dedline\"; did you mean \"ack-deadline\"?");
    assert_int_equal(load("publisher\n    elephant = 3\n"), -EINVAL);
    assert_told_at(2, "unknown key \"elephant\"\n");
    assert_int_equal(load("publishers\n    listen = 3\n"), -EINVAL);
    assert_told_at(1, "unknown section \"publishers\"");
    assert_int_equal(load("config = other.zpl\n"), -EINVAL);
    assert_told_at(1, "\"config\" cannot stand in a configuration");
}

static void test_twice(void **state)
{
    (void)state;
    assert_int_equal(load("listen = a\nstay = on\nlisten = b\n"), -EINVAL);
    assert_told_at(3, "\"listen\" stands here twice");
    assert_int_equal(load("publisher\n    listen = a\n    listen = b\n"), -EINVAL);
    assert_told_at(3, "\"listen\" stands here twice");
    setenv("MANDRILL_LISTEN", "environment", 1); /* although a stronger place wins */
    assert_int_equal(load("listen = a\nlisten = b\n"), -EINVAL);
    unsetenv("MANDRILL_LISTEN");
}

static void test_syntax(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *told;
    } rows[] = {
        {"listen =\n", 1, "has no value"},
        {"listen = # comment\n", 1, "has no value"},
        {"listen = \"\"\n", 1, NULL},
        {"listen = \"a\n", 1, "a quote without its end"},
        {"listen = \"a\" b\n", 1, "a quote without its end"},
        {"listen tcp\n", 1, "expected \"key = value\""},
        {"= 3\n", 1, "expected \"key = value\""},
        {"  listen = a\n", 1, "0 or 4 spaces"},
        {"publisher\n        listen = a\n", 2, "0 or 4 spaces"},
        {"    listen = a\n", 1, "in no section"},
        {"listen = a\n    legs = b\n", 2, "in no section"},
        {"publisher\n    listen\n", 2, "has no value"},
        {"publisher\n\tlisten = a\n", 2, "has a tab"},
        {"consumer\n    anything\n", 2, "has no value"},
        {"listen = a\x01\n", 1, "control character"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(load(rows[i].text), -EINVAL);
        if (rows[i].told)
            assert_told_at(rows[i].line, rows[i].told);
        else
            assert_non_null(strstr(told, "listen: the value is empty"));
    }
    assert_int_equal(load_bytes("listen = a\0b\n", 13), -EINVAL);
    assert_told_at(1, "control character");
    assert_int_equal(load("listen = 'a b'\n"), CONFIG_RUN);
    assert_string_equal(config_text(config, "listen"), "a b");
    assert_int_equal(load(""), CONFIG_RUN);
}

static void test_long_lines_and_files(void **state)
{
    (void)state;
    static char big[(1 << 20) + 2];
    memset(big, 'x', sizeof(big));
    memcpy(big, "listen = ", 9);
    assert_int_equal(load_bytes(big, 1024), CONFIG_RUN);
    assert_int_equal(load_bytes(big, 1025), -EINVAL);
    assert_told_at(1, "longer than 1024 bytes");
    memset(big, '\n', sizeof(big));
    assert_int_equal(load_bytes(big, 1 << 20), CONFIG_RUN);
    assert_int_equal(load_bytes(big, (1 << 20) + 1), -EINVAL);
    assert_non_null(strstr(told, "longer than 1048576 bytes"));
}

static void test_unreadable_files(void **state)
{
    (void)state;
    assert_int_equal(load_path("/nonexistent/m.zpl", NULL), -EIO);
    assert_non_null(
        strstr(told, "mandrill-test: /nonexistent/m.zpl: cannot read the configuration: No such"));
    assert_null(config);
    assert_int_equal(load_path("/tmp", NULL), -EIO);
    assert_non_null(strstr(told, "/tmp: cannot read the configuration: Is a directory"));
    if (geteuid() == 0)
        return; /* root reads everything */
    assert_int_equal(chmod(path, 0), 0);
    assert_int_equal(load_path(path, NULL), -EIO);
    assert_non_null(strstr(told, "Permission denied"));
    assert_int_equal(chmod(path, 0600), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_level_and_section),
        cmocka_unit_test(test_section_before_top_level),
        cmocka_unit_test(test_environment_and_flags_win),
        cmocka_unit_test(test_bad_values_are_found_even_where_a_flag_wins),
        cmocka_unit_test(test_unknown_keys_and_sections),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_long_lines_and_files),
        cmocka_unit_test(test_unreadable_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

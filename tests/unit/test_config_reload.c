/* SIGHUP's half of the configuration: what is read again, what counts, and what is told. */
#include "common/runtime/config.h"
#include "common/runtime/log.h"
#include "tests/unit/capture.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const config_option_t options[] = {
    {.name = "listen", .type = CONFIG_TEXT, .fallback = "a", .help = "needs a restart"},
    {.name = "legs", .type = CONFIG_LIST, .fallback = "save", .help = "needs a restart"},
    {.name = "max-tries",
     .type = CONFIG_INT,
     .fallback = "5",
     .help = "a number",
     .min = 1,
     .max = 255,
     .reloads = true},
    {.name = "simulate", .type = CONFIG_TEXT, .fallback = "0..1000", .help = "a text", .reloads = true},
    {.name = "postgres", .type = CONFIG_TEXT, .help = "a secret", .secret = true},
    {.name = "window", .type = CONFIG_INT, .help = "none by default", .reloads = true},
};

static const config_program_t program = {
    .name = "mandrill-test",
    .section = "publisher",
    .summary = "Only a test.",
    .options = options,
    .options_count = sizeof options / sizeof options[0],
};

static char path[] = "/tmp/mandrill-reload-XXXXXX";
static config_t *config;
static const char *told;

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
}

static char *words[] = {(char *)"mandrill-test", (char *)"--config", path, NULL, NULL};

/* With `flag` as one word of the command line, NULL: none. */
static void start(const char *text, char *flag)
{
    config_destroy(&config);
    write_file(text);
    words[3] = flag;
    assert_int_equal(config_load(&config, &program, flag ? 4 : 3, words), CONFIG_RUN);
}

static unsigned checks;

static int take_all(void *arg, const config_t *fresh)
{
    assert_ptr_equal(arg, &checks);
    assert_ptr_not_equal(fresh, config);
    checks++;
    return 0;
}

/* What a program knows beyond types: 13 tries bring bad luck. */
static int refuse_13(void *arg, const config_t *fresh)
{
    (void)arg;
    return config_int(fresh, "max-tries") == 13 ? config_refuse(fresh, "max-tries", "expected better luck")
                                                : 0;
}

static int reload(const char *text)
{
    if (text)
        write_file(text);
    checks = 0;
    capture_begin(STDERR_FILENO);
    int r = config_reload(config, take_all, &checks);
    told = capture_end();
    return r;
}

static void assert_told(const char *text)
{
    if (!strstr(told, text))
        fail_msg("\"%s\" is not in: %s", text, told);
}

static int setup(void **state)
{
    (void)state;
    log_open("test", LOG_INFO);
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    config_destroy(&config);
    return unlink(path);
}

static void test_new_values_count(void **state)
{
    (void)state;
    start("max-tries = 7\n", NULL);
    assert_int_equal(reload("publisher\n    max-tries = 9\nsimulate = 5..6\n"), 2);
    assert_int_equal(checks, 1);
    assert_int_equal(config_int(config, "max-tries"), 9);
    assert_string_equal(config_text(config, "simulate"), "5..6");
    assert_told("max-tries: 9 instead of 7 (");
    assert_told("publisher/max-tries");
    assert_told("2 options have another value now");
    /* The same once more changes nothing. */
    assert_int_equal(reload(NULL), 0);
    assert_told("0 options have");
}

static void test_what_is_gone_from_the_file_has_its_default(void **state)
{
    (void)state;
    start("max-tries = 7\nwindow = 3\n", NULL);
    assert_int_equal(reload(""), 2);
    assert_int_equal(config_int(config, "max-tries"), 5);
    assert_false(config_given(config, "window"));
    assert_told("window: not given instead of 3");
}

static void test_what_needs_a_restart_stays(void **state)
{
    (void)state;
    start("listen = a\nlegs = save,restart\n", NULL);
    const char *listen = config_text(config, "listen");
    assert_int_equal(reload("listen = b\nlegs = save,reboot\nmax-tries = 6\n"), 1);
    assert_ptr_equal(config_text(config, "listen"), listen);
    assert_string_equal(listen, "a");
    assert_told("listen: b instead of a needs a restart");
    assert_told("legs: save,reboot instead of save,restart needs a restart");
    assert_int_equal(config_int(config, "max-tries"), 6);
}

static void test_a_secret_is_not_told(void **state)
{
    (void)state;
    start("postgres = password=hunter2\n", NULL);
    assert_int_equal(reload("postgres = password=hunter3\n"), 0);
    assert_told("postgres: a value that is not shown instead of a value that is not shown needs a restart");
    assert_null(strstr(told, "hunter"));
}

static void test_flags_and_environment_go_on_winning(void **state)
{
    (void)state;
    char flag[] = "--max-tries=3";
    setenv("MANDRILL_SIMULATE", "1..2", 1);
    start("max-tries = 7\nsimulate = 3..4\n", flag);
    assert_int_equal(reload("max-tries = 8\nsimulate = 5..6\n"), 0);
    unsetenv("MANDRILL_SIMULATE");
    assert_int_equal(config_int(config, "max-tries"), 3);
    assert_string_equal(config_text(config, "simulate"), "1..2");
}

static void test_a_bad_file_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *place;
    } bad[] = {
        {"simulate = 1..2\nmax-tries = many\n", "max-tries: \"many\" is not a whole number"},
        {"max-tries = 300\n", "is out of range, expected 1 to 255"},
        {"max-tries = 6\nno-such-key = 1\n", ":2: unknown key"},
        {"max-tries = 6\nmax-tries = 7\n", ":2: \"max-tries\" stands here twice"},
    };
    start("max-tries = 7\n", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(reload(bad[i].text), -EINVAL);
        assert_int_equal(checks, 0);
        assert_told(bad[i].place);
        assert_told(path);
        assert_told("ERROR test: ");
        assert_told("stays as it was");
        assert_int_equal(config_int(config, "max-tries"), 7);
        assert_string_equal(config_text(config, "simulate"), "0..1000");
    }
}

static void test_a_file_that_is_gone_changes_nothing(void **state)
{
    (void)state;
    start("max-tries = 7\n", NULL);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(reload(NULL), -EIO);
    assert_told("No such file");
    assert_int_equal(config_int(config, "max-tries"), 7);
}

static void test_the_program_has_a_say(void **state)
{
    (void)state;
    start("max-tries = 7\n", NULL);
    write_file("max-tries = 13\nsimulate = 1..2\n");
    capture_begin(STDERR_FILENO);
    assert_int_equal(config_reload(config, refuse_13, NULL), -EINVAL);
    told = capture_end();
    assert_told("max-tries: expected better luck");
    assert_int_equal(config_int(config, "max-tries"), 7);
    assert_string_equal(config_text(config, "simulate"), "0..1000");
}

static void test_the_log_level_follows(void **state)
{
    (void)state;
    start("log-level = info\n", NULL);
    assert_false(log_enabled(LOG_DEBUG));
    assert_int_equal(reload("log-level = debug\n"), 1);
    assert_true(log_enabled(LOG_DEBUG));
    assert_int_equal(reload(""), 1);
    assert_false(log_enabled(LOG_DEBUG));
}

static void test_without_a_file_there_is_nothing_to_read(void **state)
{
    (void)state;
    config_destroy(&config);
    assert_int_equal(config_load(&config, &program, 1, words), CONFIG_RUN);
    assert_int_equal(reload(NULL), 0);
    assert_int_equal(checks, 0);
    assert_told("there is no file");
}

static void test_help_shows_them(void **state)
{
    (void)state;
    char *argv[] = {(char *)"mandrill-test", (char *)"--help"};
    config_t *none = NULL;
    capture_begin(STDOUT_FILENO);
    assert_int_equal(config_load(&none, &program, 2, argv), CONFIG_EXIT);
    told = capture_end();
    assert_told("a number (default 5) (SIGHUP)");
    assert_told("needs a restart (default a)\n");
    assert_told("read from the file again on that signal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_values_count),
        cmocka_unit_test(test_what_is_gone_from_the_file_has_its_default),
        cmocka_unit_test(test_what_needs_a_restart_stays),
        cmocka_unit_test(test_a_secret_is_not_told),
        cmocka_unit_test(test_flags_and_environment_go_on_winning),
        cmocka_unit_test(test_a_bad_file_changes_nothing),
        cmocka_unit_test(test_a_file_that_is_gone_changes_nothing),
        cmocka_unit_test(test_the_program_has_a_say),
        cmocka_unit_test(test_the_log_level_follows),
        cmocka_unit_test(test_without_a_file_there_is_nothing_to_read),
        cmocka_unit_test(test_help_shows_them),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

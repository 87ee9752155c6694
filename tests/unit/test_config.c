#include "common/runtime/config.h"
#include "tests/unit/capture.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const config_option_t options[] = {
    {"listen", CONFIG_TEXT, "tcp://127.0.0.1:5555", "EP", "where consumers connect", 0, 0, NULL, NULL, false,
     false, false, false},
    {"outbox", CONFIG_TEXT, NULL, "FILE", "the outbox", 0, 0, NULL, NULL, false, false, false, false},
    {"transport", CONFIG_TEXT, "ipc", "NAME", "how to talk", 0, 0, "ipc|tcp", NULL, false, false, false,
     false},
    {"legs", CONFIG_LIST, "save,restart", "NAMES", "the fan-out", 0, 0, NULL, NULL, false, false, false,
     false},
    {"count", CONFIG_INT, NULL, "N", "how many", 0, 0, NULL, NULL, false, false, false, false},
    {"nice", CONFIG_INT, "0", "N", "the priority", -20, 19, NULL, NULL, false, false, false, false},
    {"fail", CONFIG_REAL, "0", "RATE", "how often to fail", 0, 1, NULL, NULL, false, false, false, false},
    {"progress", CONFIG_FLAG, "true", NULL, "show progress", 0, 0, NULL, NULL, false, false, false, false},
    {"stay", CONFIG_FLAG, NULL, NULL, "stay when done", 0, 0, NULL, NULL, false, false, false, false},
    {"ack-deadline", CONFIG_DURATION, "10s", "TIME", "how long a lease is", 1, 3600000, NULL, NULL, false,
     false, false, false},
    {"outbox-max", CONFIG_SIZE, "10G", "BYTES", "how large it may grow", 0, 0, NULL, NULL, false, false,
     false, false},
    {.name = "header", .type = CONFIG_LIST, .argument = "TEXT", .help = "a line", .whole = true},
    {.name = "speed",
     .type = CONFIG_INT,
     .argument = "N",
     .help = "not that of others",
     .own_variable = true},
};

static const config_program_t program = {
    .name = "mandrill-test",
    .section = "test",
    .summary = "Only a test.",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
    .arguments_max = 2,
};

static config_t *config;
static const char *told;

/* Loads from flags given as words that end with NULL; what was told on stderr is in `told`. */
static int load(const char *first, ...)
{
    char *argv[16] = {(char *)"mandrill-test"};
    int argc = 1;
    va_list words;
    va_start(words, first);
    for (const char *word = first; word; word = va_arg(words, const char *))
        argv[argc++] = (char *)word;
    va_end(words);
    config_destroy(&config);
    capture_begin(STDERR_FILENO);
    int r = config_load(&config, &program, argc, argv);
    told = capture_end();
    return r;
}

static int teardown(void **state)
{
    (void)state;
    config_destroy(&config);
    static const char *const variables[] = {"LISTEN",    "OUTBOX",   "TRANSPORT",    "LEGS",       "COUNT",
                                            "FAIL",      "PROGRESS", "ACK_DEADLINE", "OUTBOX_MAX", "CONFIG",
                                            "LOG_LEVEL", "SPEED",    "TEST_SPEED"};
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        char name[64];
        snprintf(name, sizeof(name), "MANDRILL_%s", variables[i]);
        unsetenv(name);
    }
    return 0;
}

#define assert_told(text) assert_non_null(strstr(told, text))

static void test_defaults(void **state)
{
    (void)state;
    const char *const *list;
    assert_int_equal(load(NULL), CONFIG_RUN);
    assert_string_equal(told, "");
    assert_string_equal(config_text(config, "listen"), "tcp://127.0.0.1:5555");
    assert_null(config_text(config, "outbox"));
    assert_int_equal(config_list(config, "legs", &list), 2);
    assert_string_equal(list[0], "save");
    assert_string_equal(list[1], "restart");
    assert_int_equal(config_int(config, "count"), 0);
    assert_int_equal(config_int(config, "ack-deadline"), 10000);
    assert_true(config_int(config, "outbox-max") == INT64_C(10) << 30);
    assert_true(config_flag(config, "progress"));
    assert_false(config_flag(config, "stay"));
    assert_false(config_given(config, "listen"));
    assert_false(config_given(config, "outbox"));
    assert_string_equal(config_text(config, "log-level"), "info");
    assert_string_equal(config_origin(config, "outbox"), "--outbox");
    assert_string_equal(config_origin(config, "listen"), "--listen");
    assert_int_equal(config_arguments(config, &list), 0);
}

static void test_flags_in_both_forms(void **state)
{
    (void)state;
    assert_int_equal(
        load("--listen", "ipc:///tmp/a=b", "--outbox=x=y", "--count=7", "--ack-deadline", "2s", NULL),
        CONFIG_RUN);
    assert_string_equal(config_text(config, "listen"), "ipc:///tmp/a=b");
    assert_string_equal(config_text(config, "outbox"), "x=y");
    assert_int_equal(config_int(config, "count"), 7);
    assert_int_equal(config_int(config, "ack-deadline"), 2000);
    assert_true(config_given(config, "listen"));
    assert_string_equal(config_origin(config, "listen"), "--listen");
    /* The last of several wins. */
    assert_int_equal(load("--count", "1", "--count", "2", NULL), CONFIG_RUN);
    assert_int_equal(config_int(config, "count"), 2);
}

static void test_unknown_flags_name_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(load("--lissten", "x", NULL), -EINVAL);
    assert_told("mandrill-test: unknown flag \"--lissten\"; did you mean --listen?");
    assert_told("Try 'mandrill-test --help'.");
    assert_int_equal(load("--ack-dedline=3s", NULL), -EINVAL);
    assert_told("unknown flag \"--ack-dedline\"; did you mean --ack-deadline?");
    assert_int_equal(load("--ack", "3s", NULL), -EINVAL); /* the beginning of a name */
    assert_told("did you mean --ack-deadline?");
    assert_int_equal(load("--no-progres", NULL), -EINVAL);
    assert_told("did you mean --no-progress?");
    assert_int_equal(load("--no-listen", NULL), -EINVAL);
    assert_told("unknown flag \"--no-listen\"");
    assert_int_equal(load("--elephants", NULL), -EINVAL);
    assert_told("unknown flag \"--elephants\"\n");
    assert_int_equal(load("-x", NULL), -EINVAL);
    assert_told("unknown flag \"-x\"");
    assert_int_equal(load("--=3", NULL), -EINVAL);
    assert_null(config);
}

static void test_missing_values(void **state)
{
    (void)state;
    assert_int_equal(load("--listen", NULL), -EINVAL);
    assert_told("--listen needs a value");
    assert_int_equal(load("--count", "--stay", NULL), -EINVAL);
    assert_told("--count needs a value: a whole number");
    assert_int_equal(load("--transport", "--", "x", NULL), -EINVAL);
    assert_told("--transport needs a value: ipc|tcp");
    assert_int_equal(load("--listen=", NULL), -EINVAL);
    assert_told("--listen: the value is empty");
    assert_int_equal(load("--listen", "", NULL), -EINVAL);
    /* With '=' a value may look like a flag; "-" is one that doesn't. */
    assert_int_equal(load("--listen=--stay", "--outbox", "-", NULL), CONFIG_RUN);
    assert_string_equal(config_text(config, "listen"), "--stay");
    assert_string_equal(config_text(config, "outbox"), "-");
}

static void test_numbers(void **state)
{
    (void)state;
    assert_int_equal(load("--nice", "-20", NULL), CONFIG_RUN);
    assert_int_equal(config_int(config, "nice"), -20);
    assert_int_equal(load("--nice=-21", NULL), -EINVAL);
    assert_told("--nice: \"-21\" is out of range, expected -20 to 19");
    assert_int_equal(load("--nice", "20", NULL), -EINVAL);
    assert_int_equal(load("--count", "-1", NULL), -EINVAL);
    assert_told("--count: \"-1\" must not be negative");
    assert_int_equal(load("--count", "9223372036854775807", NULL), CONFIG_RUN);
    assert_true(config_int(config, "count") == INT64_MAX);
    assert_int_equal(load("--count", "9223372036854775808", NULL), -EINVAL);
    assert_told("is too large");
    static const char *const bad[] = {"", " 1", "1 ", "1.5", "0x10", "ten", "1e3", "--", "-", "+1", "1k"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char word[32];
        snprintf(word, sizeof(word), "--count=%s", bad[i]);
        assert_int_equal(load(word, NULL), -EINVAL);
    }
}

static void test_reals(void **state)
{
    (void)state;
    assert_int_equal(load("--fail", "0.25", NULL), CONFIG_RUN);
    assert_true(config_real(config, "fail") == 0.25);
    assert_int_equal(load("--fail", ".5", NULL), CONFIG_RUN);
    assert_int_equal(load("--fail", "1.01", NULL), -EINVAL);
    assert_int_equal(load("--fail", "-0.5", NULL), -EINVAL);
    assert_told("out of range");
    assert_int_equal(load("--fail", "1e999", NULL), -EINVAL);
    assert_told("is too large");
    static const char *const bad[] = {"nan", "inf", "0x1p3", "0.5x", "", " 1", "."};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char word[32];
        snprintf(word, sizeof(word), "--fail=%s", bad[i]);
        assert_int_equal(load(word, NULL), -EINVAL);
    }
}

static void test_messages_cannot_steer_the_terminal(void **state)
{
    (void)state;
    setenv("MANDRILL_COUNT", "\033[2Jx", 1);
    assert_int_equal(load(NULL), -EINVAL);
    assert_told("MANDRILL_COUNT: \"\\x1b[2Jx\" is not a whole number");
    assert_null(strchr(told, '\033'));
}

static void test_switches(void **state)
{
    (void)state;
    assert_int_equal(load("--no-progress", "--stay", NULL), CONFIG_RUN);
    assert_false(config_flag(config, "progress"));
    assert_true(config_flag(config, "stay"));
    assert_int_equal(load("--progress=no", "--stay=yes", NULL), CONFIG_RUN);
    assert_false(config_flag(config, "progress"));
    assert_true(config_flag(config, "stay"));
    /* A switch takes no word after it. */
    const char *const *words;
    assert_int_equal(load("--stay", "false", NULL), CONFIG_RUN);
    assert_true(config_flag(config, "stay"));
    assert_int_equal(config_arguments(config, &words), 1);
    assert_int_equal(load("--stay=maybe", NULL), -EINVAL);
    assert_told("--stay: \"maybe\" is not true or false");
    assert_int_equal(load("--no-stay=yes", NULL), -EINVAL);
    assert_told("--no-stay takes no value");
}

static void test_lists(void **state)
{
    (void)state;
    const char *const *list;
    assert_int_equal(load("--legs", "a,b", "--legs=c", NULL), CONFIG_RUN);
    assert_int_equal(config_list(config, "legs", &list), 3);
    assert_string_equal(list[0], "a");
    assert_string_equal(list[1], "b");
    assert_string_equal(list[2], "c");
    assert_int_equal(load("--legs", "a,,b", NULL), -EINVAL);
    assert_told("--legs: \"a,,b\" has an empty item");
    assert_int_equal(load("--legs=a,", NULL), -EINVAL);
    assert_int_equal(load("--legs=", NULL), -EINVAL);
    /* Of some a comma is a part. */
    assert_int_equal(load("--header", "A: b, c", "--header", ",", NULL), CONFIG_RUN);
    assert_int_equal(config_list(config, "header", &list), 2);
    assert_string_equal(list[0], "A: b, c");
    assert_string_equal(list[1], ",");
    /* Flags replace the environment's list, they do not add to it. */
    setenv("MANDRILL_LEGS", "x,y", 1);
    assert_int_equal(load(NULL), CONFIG_RUN);
    assert_int_equal(config_list(config, "legs", &list), 2);
    assert_int_equal(load("--legs", "z", NULL), CONFIG_RUN);
    assert_int_equal(config_list(config, "legs", &list), 1);
    assert_string_equal(list[0], "z");
}

static void test_choices(void **state)
{
    (void)state;
    assert_int_equal(load("--transport", "tcp", NULL), CONFIG_RUN);
    assert_int_equal(load("--transport", "tc", NULL), -EINVAL);
    assert_told("--transport: \"tc\" is not one of ipc|tcp");
    assert_int_equal(load("--transport", "ipc|tcp", NULL), -EINVAL);
    assert_int_equal(load("--log-level", "loud", NULL), -EINVAL);
    assert_told("debug|info|warn|error");
}

static void test_arguments_and_double_dash(void **state)
{
    (void)state;
    const char *const *words;
    assert_int_equal(load("one", "--stay", "-", NULL), CONFIG_RUN);
    assert_int_equal(config_arguments(config, &words), 2);
    assert_string_equal(words[0], "one");
    assert_string_equal(words[1], "-");
    assert_true(config_flag(config, "stay"));
    assert_int_equal(load("--", "--stay", "-h", NULL), CONFIG_RUN);
    assert_int_equal(config_arguments(config, &words), 2);
    assert_string_equal(words[0], "--stay");
    assert_false(config_flag(config, "stay"));
    assert_int_equal(load("a", "b", "c", NULL), -EINVAL);
    assert_told("\"c\": too many arguments");
}

static void test_no_arguments_at_all(void **state)
{
    (void)state;
    config_program_t strict = program;
    strict.arguments_max = 0;
    char *argv[] = {(char *)"mandrill-test", (char *)"word"};
    config_t *c = NULL;
    capture_begin(STDERR_FILENO);
    int r = config_load(&c, &strict, 2, argv);
    told = capture_end();
    assert_int_equal(r, -EINVAL);
    assert_null(c);
    assert_told("\"word\": only flags are taken here");
}

static void test_environment(void **state)
{
    (void)state;
    setenv("MANDRILL_ACK_DEADLINE", "3s", 1);
    setenv("MANDRILL_PROGRESS", "off", 1);
    setenv("MANDRILL_OUTBOX", "", 1); /* as an unset variable of compose arrives */
    assert_int_equal(load(NULL), CONFIG_RUN);
    assert_int_equal(config_int(config, "ack-deadline"), 3000);
    assert_false(config_flag(config, "progress"));
    assert_null(config_text(config, "outbox"));
    assert_false(config_given(config, "outbox"));
    assert_true(config_given(config, "progress"));
    assert_string_equal(config_origin(config, "ack-deadline"), "MANDRILL_ACK_DEADLINE");
    assert_int_equal(load("--ack-deadline=4s", NULL), CONFIG_RUN);
    assert_int_equal(config_int(config, "ack-deadline"), 4000);
    assert_string_equal(config_origin(config, "ack-deadline"), "--ack-deadline");
    setenv("MANDRILL_ACK_DEADLINE", "soon", 1);
    assert_int_equal(load(NULL), -EINVAL);
    assert_told("MANDRILL_ACK_DEADLINE: \"soon\" is not a time such as");
}

/* What is set for another program's option of the name is nothing to this one. */
static void test_a_variable_of_its_own(void **state)
{
    (void)state;
    setenv("MANDRILL_SPEED", "random", 1);
    assert_int_equal(load(NULL), CONFIG_RUN);
    assert_false(config_given(config, "speed"));
    setenv("MANDRILL_TEST_SPEED", "7", 1);
    assert_int_equal(load(NULL), CONFIG_RUN);
    assert_int_equal(config_int(config, "speed"), 7);
    assert_string_equal(config_origin(config, "speed"), "MANDRILL_TEST_SPEED");
    setenv("MANDRILL_TEST_SPEED", "random", 1);
    assert_int_equal(load(NULL), -EINVAL);
    assert_told("MANDRILL_TEST_SPEED: \"random\" is no");
}

static void test_check_help_and_version(void **state)
{
    (void)state;
    assert_int_equal(load("-n", "--count", "1", NULL), CONFIG_CHECK);
    assert_non_null(config);
    assert_int_equal(load("-n", "--count", "x", NULL), -EINVAL);
    static const char *const words[] = {"-h", "--help", "--version"};
    for (size_t i = 0; i < 3; i++) {
        char *argv[] = {(char *)"mandrill-test", (char *)words[i]};
        config_t *c = NULL;
        /* Help must come even when the environment is bad. */
        setenv("MANDRILL_COUNT", "many", 1);
        capture_begin(STDOUT_FILENO);
        int r = config_load(&c, &program, 2, argv);
        const char *text = capture_end();
        assert_int_equal(r, CONFIG_EXIT);
        assert_null(c);
        assert_non_null(strstr(text, "mandrill-test"));
    }
    assert_string_equal(capture.text, "mandrill-test " MANDRILL_VERSION "\n");
}

static void test_help_names_everything(void **state)
{
    (void)state;
    config_program_t p = program;
    p.examples = "  mandrill-test --count 3\n      counts to three";
    char *argv[] = {(char *)"mandrill-test", (char *)"--help"};
    config_t *c = NULL;
    capture_begin(STDOUT_FILENO);
    assert_int_equal(config_load(&c, &p, 2, argv), CONFIG_EXIT);
    const char *text = capture_end();
    for (size_t i = 0; i < p.options_count; i++) {
        assert_non_null(strstr(text, options[i].name));
        assert_non_null(strstr(text, options[i].help));
    }
    assert_non_null(strstr(text, "(default 10s)"));
    assert_non_null(strstr(text, "--[no-]progress"));
    assert_non_null(strstr(text, "--transport ipc|tcp "));
    assert_non_null(strstr(text, "--log-level LEVEL"));
    assert_non_null(strstr(text, ": debug, info, warn,"));
    assert_non_null(strstr(text, "MANDRILL_LISTEN=tcp://127.0.0.1:5555"));
    assert_non_null(strstr(text, "MANDRILL_TEST_SPEED)"));
    assert_non_null(strstr(text, "counts to three\n"));
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, "\n");
        assert_true(len <= 80);
        assert_true(len == 0 || at[len - 1] != ' ');
        at += len + 1;
    }
}

static void test_parsers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t duration; /* negative: the error */
        int64_t size;
    } rows[] = {
        {"0", 0, 0},
        {"250", 250, 250},
        {"250ms", 250, -EINVAL},
        {"10s", 10000, -EINVAL},
        {"1.5s", 1500, -EINVAL},
        {"5m", 300000, -EINVAL},
        {"1h", 3600000, -EINVAL},
        {"2d", 172800000, -EINVAL},
        {"64k", -EINVAL, 65536},
        {"64K", -EINVAL, 65536},
        {"10M", -EINVAL, 10 << 20},
        {"0.5G", -EINVAL, 1 << 29},
        {"1.5", -EINVAL, -EINVAL},
        {"1.5ms", -EINVAL, -EINVAL},
        {"10 s", -EINVAL, -EINVAL},
        {"s", -EINVAL, -EINVAL},
        {"", -EINVAL, -EINVAL},
        {"-1s", -EINVAL, -EINVAL},
        {"1.s", -EINVAL, -EINVAL},
        {"10S", -EINVAL, -EINVAL},
        {"1kk", -EINVAL, -EINVAL},
        {"99999999999999999999", -ERANGE, -ERANGE},
        {"9223372036854775807h", -ERANGE, -EINVAL},
        {"8388608T", -EINVAL, -ERANGE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t v = -77;
        int r = config_parse_duration(rows[i].text, &v);
        assert_true((r < 0 ? r : v) == rows[i].duration);
        assert_true(r == 0 || v == -77);
        v = -77;
        r = config_parse_size(rows[i].text, &v);
        assert_true((r < 0 ? r : v) == rows[i].size);
        assert_true(r == 0 || v == -77);
    }
}

static void test_near_words(void **state)
{
    (void)state;
    static const char *const words[] = {"up", "publish", "status", "bench"};
    assert_string_equal(config_nearest_word("statsu", words, 4), "status");
    assert_string_equal(config_nearest_word("pub", words, 4), "publish");
    assert_string_equal(config_nearest_word("benhc", words, 4), "bench");
    assert_null(config_nearest_word("redrive", words, 4));
    assert_null(config_nearest_word("up", words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_defaults, teardown),
        cmocka_unit_test_teardown(test_flags_in_both_forms, teardown),
        cmocka_unit_test_teardown(test_unknown_flags_name_the_nearest, teardown),
        cmocka_unit_test_teardown(test_missing_values, teardown),
        cmocka_unit_test_teardown(test_numbers, teardown),
        cmocka_unit_test_teardown(test_reals, teardown),
        cmocka_unit_test_teardown(test_messages_cannot_steer_the_terminal, teardown),
        cmocka_unit_test_teardown(test_switches, teardown),
        cmocka_unit_test_teardown(test_lists, teardown),
        cmocka_unit_test_teardown(test_choices, teardown),
        cmocka_unit_test_teardown(test_arguments_and_double_dash, teardown),
        cmocka_unit_test_teardown(test_no_arguments_at_all, teardown),
        cmocka_unit_test_teardown(test_environment, teardown),
        cmocka_unit_test_teardown(test_a_variable_of_its_own, teardown),
        cmocka_unit_test_teardown(test_check_help_and_version, teardown),
        cmocka_unit_test_teardown(test_help_names_everything, teardown),
        cmocka_unit_test_teardown(test_parsers, teardown),
        cmocka_unit_test_teardown(test_near_words, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

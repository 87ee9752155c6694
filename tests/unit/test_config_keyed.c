/* Options that may have a value of their own by key. */
#include "common/runtime/config.h"
#include "tests/unit/capture.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const config_option_t options[] = {
    {.name = "max-tries",
     .type = CONFIG_INT,
     .fallback = "5",
     .argument = "N",
     .help = "tries of a task",
     .min = 1,
     .max = 255,
     .key = "LEG"},
    {.name = "backoff-factor",
     .type = CONFIG_REAL,
     .fallback = "2",
     .argument = "X",
     .help = "how much longer",
     .min = 1,
     .max = 100,
     .key = "LEG"},
    {.name = "limit",
     .type = CONFIG_DURATION,
     .fallback = "30s",
     .argument = "TIME",
     .help = "how long it may take",
     .min = 1,
     .max = 3600000,
     .key = "LEG"},
};

static const config_program_t program = {
    .name = "mandrill-test",
    .section = "test",
    .summary = "Only a test.",
    .options = options,
    .options_count = sizeof(options) / sizeof(options[0]),
};

static config_t *config;
static const char *told;
static char path[] = "/tmp/mandrill-keyed-XXXXXX";

/* Flags given as words that end with NULL. */
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

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    config_destroy(&config);
    unsetenv("MANDRILL_MAX_TRIES");
    return unlink(path);
}

static int64_t tries(const char *leg)
{
    return config_int_of(config, "max-tries", leg);
}

#define assert_told(text) assert_non_null(strstr(told, text))

static void test_one_for_all(void **state)
{
    (void)state;
    assert_int_equal(load(NULL), CONFIG_RUN);
    assert_int_equal(config_int(config, "max-tries"), 5);
    assert_int_equal(tries("save"), 5);
    assert_null(config_key(config, "max-tries", 0));
    assert_false(config_given(config, "max-tries"));
    assert_int_equal(load("--max-tries", "7", NULL), CONFIG_RUN);
    assert_int_equal(tries("save"), 7);
}

static void test_one_by_key(void **state)
{
    (void)state;
    assert_int_equal(load("--max-tries", "7", "--max-tries", "restart=3", "--max-tries=save=4,boot-x=9",
                          "--limit", "restart=1m", "--backoff-factor", "restart=1.5", NULL),
                     CONFIG_RUN);
    assert_int_equal(config_int(config, "max-tries"), 7);
    assert_int_equal(tries("restart"), 3);
    assert_int_equal(tries("save"), 4);
    assert_int_equal(tries("boot-x"), 9);
    assert_int_equal(tries("boot"), 7);
    assert_int_equal(config_int_of(config, "limit", "restart"), 60000);
    assert_int_equal(config_int_of(config, "limit", "save"), 30000);
    assert_true(config_real_of(config, "backoff-factor", "restart") == 1.5);
    assert_true(config_real(config, "backoff-factor") == 2);
    assert_string_equal(config_key(config, "max-tries", 0), "restart");
    assert_string_equal(config_key(config, "max-tries", 2), "boot-x");
    assert_null(config_key(config, "max-tries", 3));
    assert_string_equal(config_text(config, "max-tries"), "7,restart=3,save=4,boot-x=9");
    assert_true(config_given(config, "limit"));
    /* The last flag counts. */
    assert_int_equal(load("--max-tries", "restart=3", "--max-tries", "restart=2", NULL), CONFIG_RUN);
    assert_int_equal(tries("restart"), 2);
}

/* What is said of a key wins over what is said of all, and of two such the stronger place. */
static void test_each_key_by_its_own_place(void **state)
{
    (void)state;
    write_file("max-tries = 9\nmax-tries = restart=3\nmax-tries = save=8\n"
               "test\n    max-tries = \"save=6,other=2\"\n");
    setenv("MANDRILL_MAX_TRIES", "other=4,11", 1);
    assert_int_equal(load("--config", path, "--max-tries", "restart=2", NULL), CONFIG_RUN);
    assert_string_equal(told, "");
    assert_int_equal(tries("restart"), 2);
    assert_int_equal(tries("save"), 6);
    assert_int_equal(tries("other"), 4);
    assert_int_equal(tries("none"), 11);
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *value, *told;
    } rows[] = {
        {"restart=x", "--max-tries: restart: \"x\" is not a whole number"},
        {"restart=0", "--max-tries: restart: \"0\" is out of range, expected 1 to 255"},
        {"256", "--max-tries: \"256\" is out of range"},
        {"restart=", "--max-tries: restart: the value is empty, expected a whole number"},
        {"Restart=3", "--max-tries: \"Restart\" is not the name of a LEG"},
        {"=3", "--max-tries: \"\" is not the name of a LEG"},
        {"3,", "--max-tries: \"3,\" has an empty item"},
        {"", "--max-tries: \"\" has an empty item"},
        {"a=b=3", "--max-tries: a: \"b=3\" is not a whole number"},
        {"restart=99999999999999999999", "is too large"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(load("--max-tries", rows[i].value, NULL), -EINVAL);
        assert_told(rows[i].told);
    }
    char text[400];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(load("--max-tries", text, NULL), -EINVAL);
    assert_told("is too long");
    char many[600] = "";
    for (int i = 0; i < 70; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "%sl%d=1", i > 0 ? "," : "", i);
    assert_int_equal(load("--max-tries", many, NULL), -EINVAL);
    assert_told("more than 64");
}

static void test_twice_in_a_file(void **state)
{
    (void)state;
    write_file("max-tries = restart=3\nmax-tries = restart=4\n");
    assert_int_equal(load("--config", path, NULL), -EINVAL);
    assert_told("max-tries: restart stands here twice");
    write_file("max-tries = 3\nmax-tries = 4\n");
    assert_int_equal(load("--config", path, NULL), -EINVAL);
    assert_told("max-tries stands here twice");
}

static int take_any(void *arg, const config_t *fresh)
{
    (void)arg, (void)fresh;
    return 0;
}

static void test_read_again(void **state)
{
    (void)state;
    static config_option_t reloaded[sizeof(options) / sizeof(options[0])];
    static config_program_t other;
    memcpy(reloaded, options, sizeof(reloaded));
    reloaded[0].reloads = true;
    other = program;
    other.options = reloaded;
    char *argv[] = {(char *)"mandrill-test", (char *)"--config", path};
    write_file("max-tries = restart=3\n");
    assert_int_equal(config_load(&config, &other, 3, argv), CONFIG_RUN);
    capture_begin(STDERR_FILENO);
    write_file("max-tries = \"restart=3\"\n");
    assert_int_equal(config_reload(config, take_any, NULL), 0);
    write_file("max-tries = restart=4\nmax-tries = 6\nlimit = restart=5s\n");
    assert_int_equal(config_reload(config, take_any, NULL), 1);
    told = capture_end();
    assert_told("max-tries: 6,restart=4 instead of 5,restart=3");
    assert_told("limit: 30s,restart=5s instead of 30s needs a restart");
    assert_int_equal(tries("restart"), 4);
    assert_int_equal(tries("save"), 6);
    assert_int_equal(config_int_of(config, "limit", "restart"), 30000);
}

static void test_help_shows_the_key(void **state)
{
    (void)state;
    char *argv[] = {(char *)"mandrill-test", (char *)"--help"};
    capture_begin(STDOUT_FILENO);
    assert_int_equal(config_load(&config, &program, 2, argv), CONFIG_EXIT);
    const char *text = capture_end();
    assert_non_null(strstr(text, "--max-tries [LEG=]N"));
    assert_non_null(strstr(text, "tries of a task; may be repeated (default 5)"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_for_all),
        TEST(test_one_by_key),
        TEST(test_each_key_by_its_own_place),
        TEST(test_what_is_wrong_is_named),
        TEST(test_twice_in_a_file),
        TEST(test_read_again),
        TEST(test_help_shows_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

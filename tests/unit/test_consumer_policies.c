/* The consumer's options: what each leg's tasks are allowed. */
#include "consumer/options.h"
#include "tests/unit/capture.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static config_t *config;
static consumer_options_t options;
static const char *told;

/* Flags given as words that end with NULL. */
static int load(const char *first, ...)
{
    char *argv[80] = {(char *)"mandrill-consumer"};
    int argc = 1;
    va_list words;
    va_start(words, first);
    for (const char *word = first; word; word = va_arg(words, const char *))
        argv[argc++] = (char *)word;
    va_end(words);
    config_destroy(&config);
    capture_begin(STDERR_FILENO);
    int r = config_load(&config, &consumer_program, argc, argv);
    if (r == CONFIG_RUN)
        r = options_read(config, &options);
    told = capture_end();
    return r;
}

static int teardown(void **state)
{
    (void)state;
    config_destroy(&config);
    return 0;
}

#define assert_told(text) assert_non_null(strstr(told, text))

static void test_the_same_for_all(void **state)
{
    (void)state;
    assert_int_equal(load(NULL), 0);
    const gather_policy_t *p = policies_of(&options.policies, "save");
    assert_int_equal(p->max_tries, 5);
    assert_int_equal(p->backoff.base_ms, 200);
    assert_true(p->backoff.factor == 2);
    assert_int_equal(p->backoff.cap_ms, 30000);
    assert_int_equal(p->limit_ms, 30000);
    assert_int_equal(p->limit_hard_ms, 60000);
    assert_int_equal(options.policies.count, 0);
    assert_int_equal(options.gather.release_after_ms, 1000);
    assert_int_equal(options.gather.policy.max_tries, 5);
    assert_null(options.name);
}

static void test_a_leg_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(load("--max-tries", "restart=3", "--backoff", "restart=1s", "--backoff-factor",
                          "other=1.5", "--backoff-max", "restart=1m", "--limit", "restart=2m", "--limit-hard",
                          "restart=5m", "--name", "web-7", NULL),
                     0);
    assert_int_equal(options.policies.count, 2);
    const gather_policy_t *p = policies_of(&options.policies, "restart");
    assert_int_equal(p->max_tries, 3);
    assert_int_equal(p->backoff.base_ms, 1000);
    assert_true(p->backoff.factor == 2);
    assert_int_equal(p->backoff.cap_ms, 60000);
    assert_int_equal(p->limit_ms, 120000);
    assert_int_equal(p->limit_hard_ms, 300000);
    p = policies_of(&options.policies, "other");
    assert_int_equal(p->max_tries, 5);
    assert_true(p->backoff.factor == 1.5);
    assert_int_equal(policies_of(&options.policies, "save")->limit_ms, 30000);
    assert_string_equal(options.name, "web-7");
}

static void test_limits_in_their_order(void **state)
{
    (void)state;
    assert_int_equal(load("--limit", "60s", NULL), -EINVAL);
    assert_told("--limit-hard: 60000 ms are not more than --limit, which is 60000 ms");
    assert_int_equal(load("--limit-hard", "restart=10s", NULL), -EINVAL);
    assert_told("--limit-hard: restart: 10000 ms are not more than --limit, which is 30000 ms");
    assert_int_equal(load("--limit-hard", "1h", NULL), -EINVAL);
    assert_told("out of range");
    assert_int_equal(load("--limit", "restart=50m", "--limit-hard", "restart=59m", NULL), 0);
}

/* With these no lease would last, however often it is extended. */
static void test_extensions_in_their_order(void **state)
{
    (void)state;
    assert_int_equal(load("--extend", "1s", NULL), -EINVAL);
    assert_told("--extend-every: 2000 ms are not less than --extend, which is 1000 ms");
    assert_int_equal(load("--extend-every", "3s", NULL), -EINVAL);
    assert_told("--extend-every: 3000 ms are not less than --extend, which is 3000 ms");
    assert_int_equal(load("--extend", "0s", NULL), -EINVAL);
    assert_told("out of range");
    assert_int_equal(load("--extend-every", "0s", NULL), -EINVAL);
    assert_int_equal(load("--extend", "1001ms", "--extend-every", "1s", NULL), 0);
    assert_int_equal(options.gather.extend_ms, 1001);
}

static void test_backoffs_in_their_order(void **state)
{
    (void)state;
    assert_int_equal(load("--backoff", "31s", NULL), -EINVAL);
    assert_told("--backoff: 31000 ms are more than --backoff-max, which is 30000 ms");
    assert_int_equal(load("--backoff-max", "restart=100ms", NULL), -EINVAL);
    assert_told("--backoff: restart: 200 ms are more than --backoff-max, which is 100 ms");
    assert_int_equal(load("--backoff-max", "200ms", NULL), 0);
    assert_int_equal(load("--backoff", "0s", "--backoff-max", "0s", NULL), 0);
}

static void test_bounds(void **state)
{
    (void)state;
    char legs[400] = "";
    for (int i = 0; i <= POLICIES_MAX; i++)
        snprintf(legs + strlen(legs), sizeof legs - strlen(legs), "%sl%d=1", i > 0 ? "," : "", i);
    assert_int_equal(load("--max-tries", legs, NULL), -EINVAL);
    assert_told("--max-tries: l32: more than 32 legs are named");
    char name[80];
    memset(name, 'x', sizeof name);
    name[LABEL_BYTES_MAX + 1] = '\0';
    assert_int_equal(load("--name", name, NULL), -EINVAL);
    assert_told("--name: a name is UTF-8 of at most 64 bytes");
    name[LABEL_BYTES_MAX] = '\0';
    assert_int_equal(load("--name", name, NULL), 0);
    assert_int_equal(load("--name", "\xff", NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_the_same_for_all, teardown),
        cmocka_unit_test_teardown(test_a_leg_of_its_own, teardown),
        cmocka_unit_test_teardown(test_limits_in_their_order, teardown),
        cmocka_unit_test_teardown(test_extensions_in_their_order, teardown),
        cmocka_unit_test_teardown(test_backoffs_in_their_order, teardown),
        cmocka_unit_test_teardown(test_bounds, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/runtime/metrics.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static metrics_t metrics;

static int setup(void **state)
{
    (void)state;
    metrics_init(&metrics);
    return 0;
}

static void assert_json(const char *expected)
{
    char *text = metrics_json(&metrics);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void test_empty(void **state)
{
    (void)state;
    assert_json("{}");
}

static void test_dots_nest_and_order_stays(void **state)
{
    (void)state;
    metrics_text(&metrics, "publisher", "role");
    metrics_int(&metrics, INT64_MIN, "least");
    metrics_int(&metrics, INT64_MAX, "legs.%s.done", "save");
    metrics_real(&metrics, 0.5, "rate");
    metrics_int(&metrics, 2, "legs.%s.done", "restart");
    metrics_int(&metrics, 3, "legs.save.bad");
    assert_json("{\"role\":\"publisher\",\"least\":-9223372036854775808,"
                "\"legs\":{\"save\":{\"done\":9223372036854775807,\"bad\":3},\"restart\":{\"done\":2}},"
                "\"rate\":0.5}");
}

static void test_texts_are_escaped(void **state)
{
    (void)state;
    metrics_text(&metrics, "a \"b\"\n\\", "quoted");
    metrics_text(&metrics, "\xff\xfe", "not_utf8");
    assert_json("{\"quoted\":\"a \\\"b\\\"\\n\\\\\",\"not_utf8\":\"\\\\xff\\\\xfe\"}");
}

static void test_what_is_no_number_is_null(void **state)
{
    (void)state;
    double zero = 0;
    metrics_real(&metrics, zero / zero, "nan");
    metrics_real(&metrics, 1 / zero, "inf");
    assert_json("{\"nan\":null,\"inf\":null}");
}

static void test_a_name_below_a_value_is_refused(void **state)
{
    (void)state;
    metrics_int(&metrics, 1, "a");
    metrics_int(&metrics, 2, "a.b");
    assert_null(metrics_json(&metrics));
}

static void test_a_full_table_says_so(void **state)
{
    (void)state;
    for (int i = 0; i < METRICS_MAX; i++)
        metrics_int(&metrics, i, "n%d", i);
    assert_false(metrics.truncated);
    metrics_int(&metrics, 1, "more");
    metrics_text(&metrics, "x", "more");
    assert_true(metrics.truncated);
    assert_int_equal(metrics.count, METRICS_MAX);
    char *text = metrics_json(&metrics);
    assert_non_null(strstr(text, "\"truncated\":true"));
    assert_null(strstr(text, "more"));
    free(text);
}

static void test_a_long_name_is_dropped_and_not_cut(void **state)
{
    (void)state;
    char name[METRICS_NAME_MAX + 1];
    memset(name, 'n', sizeof(name) - 1);
    name[METRICS_NAME_MAX - 1] = '\0';
    metrics_int(&metrics, 1, "%s", name);
    assert_int_equal(metrics.count, 1);
    name[METRICS_NAME_MAX - 1] = 'n';
    name[METRICS_NAME_MAX] = '\0';
    metrics_int(&metrics, 1, "%s", name);
    assert_int_equal(metrics.count, 1);
    assert_true(metrics.truncated);
}

static void append(void *arg, const char *name, const char *value)
{
    char *text = arg;
    strncat(text, name, 20);
    strncat(text, "=", 2);
    strncat(text, value, 20);
    strncat(text, ";", 2);
}

static void test_lines(void **state)
{
    (void)state;
    char text[200] = "";
    metrics_int(&metrics, -1, "a.b");
    metrics_real(&metrics, 1.23456, "c");
    metrics_text(&metrics, "d", "e");
    metrics_each(&metrics, append, text);
    assert_string_equal(text, "a.b=-1;c=1.235;e=d;");
}

static void test_rate(void **state)
{
    (void)state;
    rate_t r = {0};
    assert_true(rate_per_s(&r) == 0);
    rate_add(&r, 5000, 1000);
    assert_true(rate_per_s(&r) == 0);
    rate_add(&r, 5010, 2000); /* too soon: does not shorten the window */
    assert_true(rate_per_s(&r) == 0);
    rate_add(&r, 6000, 2000);
    assert_true(rate_per_s(&r) == 1000);
    /* The window slides: after long enough only the new pace counts, however often it wraps. */
    for (int i = 1; i <= 100; i++) {
        rate_add(&r, 6000 + i * 1000, 2000 + (uint64_t)i * 10);
        if (i >= 7)
            assert_true(rate_per_s(&r) == 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_empty, setup),
        cmocka_unit_test_setup(test_dots_nest_and_order_stays, setup),
        cmocka_unit_test_setup(test_texts_are_escaped, setup),
        cmocka_unit_test_setup(test_what_is_no_number_is_null, setup),
        cmocka_unit_test_setup(test_a_name_below_a_value_is_refused, setup),
        cmocka_unit_test_setup(test_a_full_table_says_so, setup),
        cmocka_unit_test_setup(test_a_long_name_is_dropped_and_not_cut, setup),
        cmocka_unit_test_setup(test_lines, setup),
        cmocka_unit_test_setup(test_rate, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

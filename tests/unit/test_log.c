#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "tests/unit/capture.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int lines_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void test_a_line_has_time_level_and_name(void **state)
{
    (void)state;
    log_open("publisher", LOG_INFO);
    capture_begin(STDERR_FILENO);
    log_info("hello %d", 42);
    const char *text = capture_end();
    int year, month, day, hour, minute, second, ms, end = 0;
    assert_int_equal(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour, &minute,
                            &second, &ms, &end),
                     7);
    assert_int_equal(end, (int)strlen("2026-11-21T05:45:07.123Z"));
    assert_true(year >= 2020);
    assert_string_equal(text + end, " INFO publisher: hello 42\n");
}

static void test_levels_below_the_chosen_one_are_silent(void **state)
{
    (void)state;
    log_open("x", LOG_WARN);
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARN));
    capture_begin(STDERR_FILENO);
    log_debug("d");
    log_info("i");
    log_warn("w");
    log_error("e");
    const char *text = capture_end();
    assert_int_equal(lines_of(text), 2);
    assert_non_null(strstr(text, " WARN x: w\n"));
    assert_non_null(strstr(text, " ERROR x: e\n"));
    log_open("x", LOG_DEBUG);
    capture_begin(STDERR_FILENO);
    log_debug("d");
    assert_non_null(strstr(capture_end(), " DEBUG x: d\n"));
}

static void test_levels_by_name(void **state)
{
    (void)state;
    log_level_t level = LOG_INFO;
    assert_int_equal(log_level_parse("debug", &level), 0);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_parse("error", &level), 0);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_level_parse("loud", &level), -EINVAL);
    assert_int_equal(log_level_parse("", &level), -EINVAL);
    assert_int_equal(level, LOG_ERROR);
}

static void test_a_text_cannot_forge_a_second_line(void **state)
{
    (void)state;
    log_open("x", LOG_INFO);
    capture_begin(STDERR_FILENO);
    log_info("%s", "a\n2026-01-01T00:00:00.000Z ERROR x: forged\033[2J\x7f");
    const char *text = capture_end();
    assert_int_equal(lines_of(text), 1);
    assert_null(strchr(text, '\033'));
    assert_null(strchr(text, 0x7f));
}

static void test_a_long_line_is_cut_and_says_so(void **state)
{
    (void)state;
    char big[LOG_LINE_MAX * 2];
    memset(big, 'y', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    log_open("x", LOG_INFO);
    capture_begin(STDERR_FILENO);
    log_info("%s", big);
    const char *text = capture_end();
    size_t len = strlen(text);
    assert_true(len <= LOG_LINE_MAX);
    assert_true(len > LOG_LINE_MAX - 8);
    assert_string_equal(text + len - 5, "y...\n");
    assert_int_equal(lines_of(text), 1);
}

/* The longest that fits is whole, and one byte more is cut. */
static void test_the_longest_line_that_fits_is_whole(void **state)
{
    (void)state;
    char body[LOG_LINE_MAX + 1];
    memset(body, 'z', LOG_LINE_MAX);
    log_open("x", LOG_INFO);
    size_t head = strlen("2026-11-21T05:45:07.123Z INFO x: ");
    body[LOG_LINE_MAX - head - 2] = '\0';
    capture_begin(STDERR_FILENO);
    log_info("%s", body);
    assert_string_equal(capture_end() + LOG_LINE_MAX - 5, "zzz\n");
    body[LOG_LINE_MAX - head - 2] = 'z';
    body[LOG_LINE_MAX - head - 1] = '\0';
    capture_begin(STDERR_FILENO);
    log_info("%s", body);
    assert_string_equal(capture_end() + LOG_LINE_MAX - 5, "...\n");
}

static void test_the_limit_lets_a_few_through_and_counts_the_rest(void **state)
{
    (void)state;
    log_limit_t limit = {0};
    log_open("x", LOG_INFO);
    capture_begin(STDERR_FILENO);
    for (int i = 0; i < 100; i++)
        log_limited_line(&limit, LOG_WARN, "line %d", i);
    const char *text = capture_end();
    /* The loop may lie across the end of a second, not of two. */
    assert_in_range(lines_of(text), LOG_LIMIT_PER_S, 2 * LOG_LIMIT_PER_S + 1);
    assert_true(limit.left_out > 0);

    limit = (log_limit_t){.window_ms = clock_ms() - 1000, .written = LOG_LIMIT_PER_S, .left_out = 95};
    capture_begin(STDERR_FILENO);
    log_limited_line(&limit, LOG_WARN, "after a second");
    text = capture_end();
    assert_int_equal(lines_of(text), 2);
    assert_non_null(strstr(text, "95 more like the next line were left out"));
    assert_non_null(strstr(text, "after a second"));
    assert_int_equal(limit.left_out, 0);
}

static void test_the_limit_is_one_for_each_place(void **state)
{
    (void)state;
    log_open("x", LOG_INFO);
    capture_begin(STDERR_FILENO);
    for (int i = 0; i < 3 * LOG_LIMIT_PER_S; i++)
        log_limited(LOG_WARN, "one");
    log_limited(LOG_WARN, "two");
    const char *text = capture_end();
    assert_non_null(strstr(text, "one"));
    assert_non_null(strstr(text, "two"));
}

static void test_a_limited_line_below_the_level_counts_nothing(void **state)
{
    (void)state;
    log_limit_t limit = {0};
    log_open("x", LOG_ERROR);
    capture_begin(STDERR_FILENO);
    log_limited_line(&limit, LOG_WARN, "silent");
    assert_string_equal(capture_end(), "");
    assert_int_equal(limit.written, 0);
}

static char taken[LOG_LINE_MAX + 1];

static void take(void *arg, const char *line, size_t len)
{
    ++*(int *)arg;
    memcpy(taken, line, len);
    taken[len] = '\0';
}

static void test_lines_can_go_to_a_screen_of_the_program(void **state)
{
    (void)state;
    int n = 0;
    log_open("x", LOG_INFO);
    log_divert(take, &n);
    capture_begin(STDERR_FILENO);
    log_info("diverted");
    log_debug("below the level");
    const char *text = capture_end();
    assert_string_equal(text, "");
    assert_int_equal(n, 1);
    assert_string_equal(strstr(taken, "INFO"), "INFO x: diverted");
    log_divert(NULL, NULL);
    capture_begin(STDERR_FILENO);
    log_info("back");
    assert_non_null(strstr(capture_end(), "INFO x: back\n"));
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_has_time_level_and_name),
        cmocka_unit_test(test_levels_below_the_chosen_one_are_silent),
        cmocka_unit_test(test_levels_by_name),
        cmocka_unit_test(test_a_text_cannot_forge_a_second_line),
        cmocka_unit_test(test_a_long_line_is_cut_and_says_so),
        cmocka_unit_test(test_the_longest_line_that_fits_is_whole),
        cmocka_unit_test(test_the_limit_lets_a_few_through_and_counts_the_rest),
        cmocka_unit_test(test_the_limit_is_one_for_each_place),
        cmocka_unit_test(test_a_limited_line_below_the_level_counts_nothing),
        cmocka_unit_test(test_lines_can_go_to_a_screen_of_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

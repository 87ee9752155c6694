#include "common/runtime/log.h"
#include "common/runtime/progress.h"
#include "tests/unit/capture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char text[512];

static progress_t bar_of(uint64_t total)
{
    return (progress_t){.bar = true, .total = total, .start_ms = 1000, .last_ms = 1000};
}

static void test_bar_fits_the_width(void **state)
{
    (void)state;
    progress_t p = bar_of(1000);
    p.rate = 100;
    for (int width = 1; width < 200; width++) {
        int n = progress_text(&p, 600, 500, 0, 6000, width, text, sizeof(text));
        assert_int_equal(n, (int)strlen(text));
        assert_true(n <= width);
    }
    progress_text(&p, 600, 500, 0, 6000, 100, text, sizeof(text));
    assert_string_equal(text,
                        "[####################--------------------]  50%  600 published, 500 of 1000 acked, "
                        "100/s, ETA 5s");
}

static void test_other_things_than_messages(void **state)
{
    (void)state;
    progress_t p = bar_of(1000);
    p.what = "redriven";
    p.rate = 100;
    progress_text(&p, 0, 500, 0, 6000, 80, text, sizeof(text));
    assert_non_null(strstr(text, "]  50%  500 of 1000 redriven, 100/s, ETA 5s"));
}

static void test_bar_is_full_only_when_all_have_ended(void **state)
{
    (void)state;
    progress_t p = bar_of(1000000);
    progress_text(&p, 1000000, 999999, 0, 61000, 120, text, sizeof(text));
    assert_non_null(strstr(text, "-]  99%"));
    assert_non_null(strstr(text, "ETA -"));
    progress_text(&p, 1000000, 999999, 1, 61000, 120, text, sizeof(text));
    assert_non_null(strstr(text, "#] 100%"));
    assert_non_null(strstr(text, ", 1 dead, "));
    assert_non_null(strstr(text, "in 1m00s"));
    /* A restarted publisher may settle more than this run's load. */
    progress_text(&p, 1000000, 2000000, 0, 61000, 120, text, sizeof(text));
    assert_non_null(strstr(text, "#] 100%"));
}

static void test_line_without_terminal_or_total(void **state)
{
    (void)state;
    progress_t p = bar_of(0);
    p.bar = false;
    p.rate = 1234;
    progress_text(&p, 7, 5, 0, 2000, 80, text, sizeof(text));
    assert_string_equal(text, "7 published, 5 acked, 1.2k/s");
    p.total = 10;
    p.rate = 2e6;
    progress_text(&p, 7, 5, 1, 2000, 80, text, sizeof(text));
    assert_string_equal(text, " 60%  7 published, 5 of 10 acked, 1 dead, 2.00M/s, ETA 0s");
}

static void test_times_are_readable(void **state)
{
    (void)state;
    static const struct {
        double rate;
        const char *eta;
    } rows[] = {{1000, "ETA 1s"}, {1, "ETA 16m40s"}, {0.1, "ETA 2h46m"}, {0.0001, "ETA >99h"}, {0, "ETA -"}};
    progress_t p = bar_of(1000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        p.rate = rows[i].rate;
        progress_text(&p, 0, 0, 0, 2000, 120, text, sizeof(text));
        assert_non_null(strstr(text, rows[i].eta));
    }
}

static void test_a_small_buffer_is_not_overrun(void **state)
{
    (void)state;
    char small[16];
    memset(small, 'x', sizeof(small));
    progress_t p = bar_of(1000);
    progress_text(&p, 600, 500, 0, 6000, 100, small, 8);
    assert_int_equal(strlen(small), 7);
    assert_int_equal(small[8], 'x');
}

static void test_the_bar_is_drawn_when_due_and_taken_away(void **state)
{
    (void)state;
    progress_t p = bar_of(1000);
    capture_begin(STDERR_FILENO);
    progress_show(&p, 10, 5, 0, 1199, false);
    assert_string_equal(capture_end(), "");
    assert_false(p.shown);
    capture_begin(STDERR_FILENO);
    progress_show(&p, 10, 5, 0, 1200, false);
    const char *shown = capture_end();
    assert_int_equal(strncmp(shown, "\r\033[K[", 5), 0);
    assert_null(strchr(shown, '\n'));
    assert_true(p.shown);
    assert_true(p.rate == 25);
    capture_begin(STDERR_FILENO);
    progress_hide(&p);
    progress_hide(&p);
    assert_string_equal(capture_end(), "\r\033[K");
    capture_begin(STDERR_FILENO);
    progress_show(&p, 11, 6, 0, 1201, false); /* back at once, the rate as it was */
    progress_show(&p, 12, 7, 0, 1202, false);
    shown = capture_end();
    assert_non_null(strstr(shown, "6 of 1000 acked"));
    assert_null(strstr(shown, "7 of 1000 acked"));
    assert_true(p.shown && p.rate == 25);
    capture_begin(STDERR_FILENO);
    progress_show(&p, 1000, 1000, 0, 1300, true); /* although not due */
    shown = capture_end();
    assert_non_null(strstr(shown, "100%"));
    assert_int_equal(shown[strlen(shown) - 1], '\n');
    assert_false(p.shown);
}

static void take_bytes(void *arg, const char *bytes, size_t len)
{
    size_t at = strlen(arg);
    memcpy((char *)arg + at, bytes, len);
    ((char *)arg)[at + len] = '\0';
}

static void test_the_bar_can_go_elsewhere(void **state)
{
    (void)state;
    char taken[1024] = "";
    progress_t p = bar_of(1000);
    p.put = take_bytes;
    p.arg = taken;
    capture_begin(STDERR_FILENO);
    progress_show(&p, 10, 5, 0, 1200, false);
    progress_hide(&p);
    assert_string_equal(capture_end(), "");
    assert_int_equal(strncmp(taken, "\r\033[K[", 5), 0);
    assert_string_equal(taken + strlen(taken) - 4, "\r\033[K");
}

static void test_without_a_terminal_a_line_each_five_seconds(void **state)
{
    (void)state;
    progress_t p;
    log_open("test", LOG_INFO);
    capture_begin(STDERR_FILENO); /* a file: no terminal */
    progress_init(&p, 1000, 1000);
    progress_show(&p, 10, 5, 0, 5999, false);
    assert_string_equal(capture_end(), "");
    assert_false(p.bar);
    capture_begin(STDERR_FILENO);
    progress_show(&p, 600, 500, 0, 6000, false);
    progress_show(&p, 700, 600, 0, 6200, false);
    assert_non_null(
        strstr(capture_end(), "INFO test: 50%  600 published, 500 of 1000 acked, 100/s, ETA 5s\n"));
    capture_begin(STDERR_FILENO);
    progress_show(&p, 1000, 1000, 0, 11000, true);
    assert_non_null(
        strstr(capture_end(), "INFO test: 100%  1000 published, 1000 of 1000 acked, 100/s, in 10s\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bar_fits_the_width),
        cmocka_unit_test(test_other_things_than_messages),
        cmocka_unit_test(test_bar_is_full_only_when_all_have_ended),
        cmocka_unit_test(test_line_without_terminal_or_total),
        cmocka_unit_test(test_times_are_readable),
        cmocka_unit_test(test_a_small_buffer_is_not_overrun),
        cmocka_unit_test(test_the_bar_is_drawn_when_due_and_taken_away),
        cmocka_unit_test(test_the_bar_can_go_elsewhere),
        cmocka_unit_test(test_without_a_terminal_a_line_each_five_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

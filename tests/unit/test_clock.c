#include "common/runtime/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void test_monotonic_never_goes_back(void **state)
{
    (void)state;
    int64_t last = clock_us();
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_us();
        assert_true(now >= last);
        last = now;
    }
}

static void test_units_agree(void **state)
{
    (void)state;
    int64_t before_us = clock_us();
    int64_t ms = clock_ms();
    int64_t after_us = clock_us();
    assert_true(ms >= before_us / 1000 && ms <= after_us / 1000);
}

static void test_wall_clock_is_since_1970(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL);
    int64_t wall_ms = clock_wall_ms();
    int64_t after = (int64_t)time(NULL);
    assert_true(wall_ms / 1000 >= before - 1 && wall_ms / 1000 <= after + 1);
}

static void test_random_ids_are_63_bits_and_differ(void **state)
{
    (void)state;
    uint64_t seen = 0;
    uint64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t id = clock_random_id();
        assert_int_not_equal(id, 0);
        assert_int_not_equal(id, last);
        assert_true(id <= INT64_MAX);
        seen |= id;
        last = id;
    }
    assert_true(seen == INT64_MAX); /* every bit below the 64th is used */
}

static void test_wall_times_as_text(void **state)
{
    (void)state;
    char text[WALL_TEXT];
    clock_wall_text(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_wall_text(1795239907123, text);
    assert_string_equal(text, "2026-11-21T05:45:07.123Z");
    clock_wall_text(-5, text);
    assert_string_equal(text, "-5");
    clock_wall_text(INT64_MAX, text); /* of a year that does not fit */
    assert_string_equal(text, "9223372036854775807");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotonic_never_goes_back),
        cmocka_unit_test(test_units_agree),
        cmocka_unit_test(test_wall_clock_is_since_1970),
        cmocka_unit_test(test_random_ids_are_63_bits_and_differ),
        cmocka_unit_test(test_wall_times_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

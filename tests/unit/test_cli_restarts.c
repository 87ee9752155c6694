#include "cli/restarts.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void twenty_in_a_minute_are_allowed(void **state)
{
    (void)state;
    restarts_t r;
    restarts_init(&r);
    for (int i = 0; i < RESTARTS_MAX; i++)
        assert_true(restarts_allow(&r, 1000 + i));
    assert_false(restarts_allow(&r, 1020));
    assert_false(restarts_allow(&r, 1000 + RESTARTS_WINDOW_MS - 1));
}

static void room_comes_back_as_old_ones_leave_the_minute(void **state)
{
    (void)state;
    restarts_t r;
    restarts_init(&r);
    for (int i = 0; i < RESTARTS_MAX; i++)
        assert_true(restarts_allow(&r, 1000 + 100 * i));
    assert_true(restarts_allow(&r, 1000 + RESTARTS_WINDOW_MS));
    assert_false(restarts_allow(&r, 1000 + RESTARTS_WINDOW_MS));
    assert_true(restarts_allow(&r, 1100 + RESTARTS_WINDOW_MS));
    /* A refused one counts nothing. */
    assert_false(restarts_allow(&r, 1199 + RESTARTS_WINDOW_MS));
    assert_true(restarts_allow(&r, 1200 + RESTARTS_WINDOW_MS));
}

static void a_slow_trickle_is_never_refused(void **state)
{
    (void)state;
    restarts_t r;
    restarts_init(&r);
    for (int i = 0; i < 1000; i++)
        assert_true(restarts_allow(&r, (int64_t)i * RESTARTS_WINDOW_MS / RESTARTS_MAX));
}

static void waits_double_up_to_a_cap(void **state)
{
    (void)state;
    assert_int_equal(restarts_wait_ms(1), 100);
    assert_int_equal(restarts_wait_ms(2), 200);
    assert_int_equal(restarts_wait_ms(3), 400);
    assert_int_equal(restarts_wait_ms(6), 2000);
    assert_int_equal(restarts_wait_ms(UINT32_MAX), 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twenty_in_a_minute_are_allowed),
        cmocka_unit_test(room_comes_back_as_old_ones_leave_the_minute),
        cmocka_unit_test(a_slow_trickle_is_never_refused),
        cmocka_unit_test(waits_double_up_to_a_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

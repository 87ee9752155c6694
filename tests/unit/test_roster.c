#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/roster.h"
#include <errno.h>

enum { SAVE, RESTART, BOTH = 3, BATCH = 10, MANY = 1000000 };

static int setup(void **state)
{
    *state = roster_new();
    return *state == NULL;
}

static int teardown(void **state)
{
    roster_destroy((roster_t **)state);
    roster_destroy((roster_t **)state);
    return 0;
}

static void join(roster_t *r, uint32_t worker, uint32_t leg, uint32_t window)
{
    assert_int_equal(roster_join(r, worker, leg, "simulate", window), 0);
}

static void test_nobody(void **state)
{
    roster_t *r = *state;
    assert_int_equal(roster_pick(r, SAVE), ROSTER_NONE);
    assert_int_equal(roster_workers(r, SAVE), 0);
    assert_null(roster_kind(r, SAVE));
    assert_false(roster_has(r, 0));
    assert_int_equal(roster_consumer_window(r, 1, BATCH, MANY), 0);
}

static void test_the_least_loaded_is_picked(void **state)
{
    roster_t *r = *state;
    join(r, 5, SAVE, 100);
    join(r, 6, SAVE, 10);
    join(r, 7, RESTART, 1000);
    roster_gave(r, 5, 20); /* 20 % */
    assert_int_equal(roster_pick(r, SAVE), 6);
    roster_gave(r, 6, 3); /* 30 %, though it has fewer */
    assert_int_equal(roster_pick(r, SAVE), 5);
    roster_gave(r, 5, 20);
    assert_int_equal(roster_pick(r, SAVE), 6);
    roster_freed(r, 5, 40);
    assert_int_equal(roster_pick(r, SAVE), 5);
    assert_int_equal(roster_pick(r, RESTART), 7);
    /* One that is added is filled up first. */
    roster_gave(r, 5, 1);
    join(r, 8, SAVE, 1);
    assert_int_equal(roster_pick(r, SAVE), 8);
}

static void test_shares_follow_the_windows(void **state)
{
    roster_t *r = *state;
    join(r, 1, SAVE, 300);
    join(r, 2, SAVE, 100);
    for (int i = 0; i < 200; i++)
        roster_gave(r, roster_pick(r, SAVE), 1);
    assert_int_equal(roster_outstanding(r, 1), 150);
    assert_int_equal(roster_outstanding(r, 2), 50);
    assert_int_equal(roster_leg_outstanding(r, SAVE), 200);
}

static void test_no_more_than_the_window(void **state)
{
    roster_t *r = *state;
    join(r, 1, SAVE, 3);
    join(r, 2, SAVE, 0);
    assert_int_equal(roster_credit(r, 2), 0);
    for (uint32_t left = 3; left > 0; left--) {
        assert_int_equal(roster_credit(r, 1), left);
        assert_int_equal(roster_pick(r, SAVE), 1);
        roster_gave(r, 1, 1);
    }
    assert_int_equal(roster_pick(r, SAVE), ROSTER_NONE);
    roster_freed(r, 1, 1);
    assert_int_equal(roster_pick(r, SAVE), 1);
}

static void test_a_window_that_shrinks_takes_nothing_back(void **state)
{
    roster_t *r = *state;
    join(r, 1, SAVE, 10);
    roster_gave(r, 1, 6);
    roster_window(r, 1, 4);
    assert_int_equal(roster_outstanding(r, 1), 6);
    assert_int_equal(roster_credit(r, 1), 0);
    assert_int_equal(roster_pick(r, SAVE), ROSTER_NONE);
    assert_int_equal(roster_capacity(r, SAVE), 4);
    roster_freed(r, 1, 2);
    assert_int_equal(roster_pick(r, SAVE), ROSTER_NONE);
    roster_freed(r, 1, 1);
    assert_int_equal(roster_pick(r, SAVE), 1);
    roster_window(r, 1, 0);
    assert_int_equal(roster_pick(r, SAVE), ROSTER_NONE);
    roster_window(r, 1, 20);
    assert_int_equal(roster_credit(r, 1), 17);
    assert_int_equal(roster_pick(r, SAVE), 1);
}

static void test_one_kind_to_a_leg(void **state)
{
    roster_t *r = *state;
    assert_int_equal(roster_join(r, 1, SAVE, "save-sqlite", 1), 0);
    assert_int_equal(roster_join(r, 2, SAVE, "save-postgres", 1), -EEXIST);
    assert_false(roster_has(r, 2));
    assert_int_equal(roster_join(r, 2, RESTART, "save-postgres", 1), 0);
    assert_int_equal(roster_join(r, 3, SAVE, "save-sqlite", 1), 0);
    roster_leave(r, 1);
    assert_string_equal(roster_kind(r, SAVE), "save-sqlite");
    assert_int_equal(roster_join(r, 1, SAVE, "save-postgres", 1), -EEXIST);
    roster_leave(r, 3);
    assert_null(roster_kind(r, SAVE));
    assert_int_equal(roster_join(r, 1, SAVE, "save-postgres", 1), 0);
    assert_string_equal(roster_kind(r, SAVE), "save-postgres");
    assert_int_equal(roster_workers(r, SAVE), 1);
    assert_int_equal(roster_leg(r, 2), RESTART);
}

static void test_numbers_are_limited(void **state)
{
    roster_t *r = *state;
    assert_int_equal(roster_join(r, ROSTER_MAX, SAVE, "simulate", 1), -ENOSPC);
    join(r, ROSTER_MAX - 1, SAVE, 1);
    assert_int_equal(roster_pick(r, SAVE), ROSTER_MAX - 1);
}

static void test_one_that_leaves_takes_its_load_along(void **state)
{
    roster_t *r = *state;
    join(r, 1, SAVE, 10);
    join(r, 2, SAVE, 20);
    roster_gave(r, 1, 5);
    roster_leave(r, 1);
    assert_int_equal(roster_capacity(r, SAVE), 20);
    assert_int_equal(roster_leg_outstanding(r, SAVE), 0);
    assert_int_equal(roster_pick(r, SAVE), 2);
    roster_leave(r, 2);
    assert_int_equal(roster_pick(r, SAVE), ROSTER_NONE);
    join(r, 1, RESTART, 10);
    assert_int_equal(roster_outstanding(r, 1), 0);
    assert_int_equal(roster_pick(r, SAVE), ROSTER_NONE);
}

static void test_on_hold(void **state)
{
    roster_t *r = *state;
    join(r, 1, SAVE, 10);
    join(r, 2, SAVE, 10);
    roster_gave(r, 2, 9);
    roster_hold(r, 1, true);
    assert_int_equal(roster_pick(r, SAVE), 2);
    roster_gave(r, 2, 1);
    assert_int_equal(roster_pick(r, SAVE), ROSTER_NONE);
    assert_int_equal(roster_capacity(r, SAVE), 20);
    roster_window(r, 1, 30); /* does not let it loose */
    assert_int_equal(roster_pick(r, SAVE), ROSTER_NONE);
    roster_hold(r, 1, false);
    assert_int_equal(roster_pick(r, SAVE), 1);
    roster_hold(r, 1, true);
    roster_leave(r, 1);
    join(r, 1, SAVE, 10);
    assert_int_equal(roster_pick(r, SAVE), 1);
}

static void test_the_consumers_window(void **state)
{
    roster_t *r = *state;
    join(r, 1, SAVE, 500);
    assert_int_equal(roster_consumer_window(r, BOTH, BATCH, MANY), 0); /* nobody restarts */
    assert_int_equal(roster_consumer_window(r, 1 << SAVE, BATCH, MANY), 510);
    join(r, 2, RESTART, 64);
    join(r, 3, RESTART, 64);
    assert_int_equal(roster_consumer_window(r, BOTH, BATCH, MANY), 138);
    assert_int_equal(roster_consumer_window(r, BOTH, BATCH, 100), 100);
    assert_int_equal(roster_consumer_window(r, 0, BATCH, MANY), 0);
    /* What is outstanding does not change it. */
    roster_gave(r, 2, 64);
    assert_int_equal(roster_consumer_window(r, BOTH, BATCH, MANY), 138);
    /* Workers that take nothing are as none. */
    roster_window(r, 2, 0);
    roster_window(r, 3, 0);
    assert_int_equal(roster_consumer_window(r, BOTH, BATCH, MANY), 0);
    /* A sum that does not fit 32 bits. */
    for (uint32_t worker = 10; worker < 14; worker++)
        join(r, worker, RESTART, UINT32_MAX / 2);
    assert_int_equal(roster_consumer_window(r, 1 << RESTART, BATCH, MANY), MANY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_nobody),
        TEST(test_the_least_loaded_is_picked),
        TEST(test_shares_follow_the_windows),
        TEST(test_no_more_than_the_window),
        TEST(test_a_window_that_shrinks_takes_nothing_back),
        TEST(test_one_kind_to_a_leg),
        TEST(test_numbers_are_limited),
        TEST(test_one_that_leaves_takes_its_load_along),
        TEST(test_on_hold),
        TEST(test_the_consumers_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

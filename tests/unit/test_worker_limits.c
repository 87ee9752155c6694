#include "common/core/backoff.h"
#include "workers/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static limits_t limits;

static int setup(void **state)
{
    (void)state;
    limits_init(&limits);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    limits_done(&limits);
    return 0;
}

static void expect_first(uint32_t number, int64_t deadline_ms)
{
    assert_int_equal(limits_first(&limits), number);
    assert_int_equal(limits_first_ms(&limits), deadline_ms);
}

static void nothing_is_due_when_it_is_empty(void **state)
{
    (void)state;
    expect_first(LIMITS_NONE, INT64_MAX);
    limits_remove(&limits, 5);
    assert_int_equal(limits_add(&limits, 5, 100), 0);
    limits_remove(&limits, 5);
    limits_remove(&limits, 5);
    expect_first(LIMITS_NONE, INT64_MAX);
}

/* The heap is for what comes out of order only: one limit for all tasks costs no more than a list. */
static void deadlines_in_order_make_a_list(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 5000; n++)
        assert_int_equal(limits_add(&limits, n, 1000 + n / 10), 0);
    assert_int_equal(limits.others.count, 0);
    limits_remove(&limits, 2);
    for (uint32_t n = 0; n < 5000; n++) {
        if (n == 2)
            continue;
        expect_first(n, 1000 + n / 10);
        limits_remove(&limits, n);
    }
    expect_first(LIMITS_NONE, INT64_MAX);
}

static void an_earlier_one_comes_first(void **state)
{
    (void)state;
    assert_int_equal(limits_add(&limits, 1, 30000), 0);
    assert_int_equal(limits_add(&limits, 2, 500), 0);
    assert_int_equal(limits_add(&limits, 3, 30001), 0);
    expect_first(2, 500);
    limits_remove(&limits, 2);
    expect_first(1, 30000);
    limits_remove(&limits, 1);
    expect_first(3, 30001);
}

static void any_order_is_as_in_a_table(void **state)
{
    enum { NUMBERS = 64, STEPS = 20000 };
    uint64_t seed = 7;
    int64_t table[NUMBERS] = {0}; /* 0: not in */
    (void)state;
    for (int step = 0; step < STEPS; step++) {
        const uint32_t n = (uint32_t)(random_next(&seed) % NUMBERS);
        if (table[n] != 0) {
            limits_remove(&limits, n);
            table[n] = 0;
        } else {
            table[n] = step + 1 + (int64_t)(random_next(&seed) % 3) * 100;
            assert_int_equal(limits_add(&limits, n, table[n]), 0);
        }
        int64_t first_ms = INT64_MAX;
        for (uint32_t i = 0; i < NUMBERS; i++)
            if (table[i] != 0 && table[i] < first_ms)
                first_ms = table[i];
        assert_int_equal(limits_first_ms(&limits), first_ms);
        if (first_ms != INT64_MAX)
            assert_int_equal(table[limits_first(&limits)], first_ms);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_due_when_it_is_empty),
        TEST(deadlines_in_order_make_a_list),
        TEST(an_earlier_one_comes_first),
        TEST(any_order_is_as_in_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

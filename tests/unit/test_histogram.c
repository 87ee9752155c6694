#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/backoff.h"
#include "common/core/histogram.h"

#include <math.h>
#include <stdlib.h>

static histogram_t h;

static void empty_is_zero(void **state)
{
    (void)state;
    histogram_init(&h);
    assert_int_equal(histogram_quantile(&h, 0), 0);
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_int_equal(histogram_quantile(&h, 1), 0);
    assert_int_equal(h.total, 0);
    assert_int_equal(h.max_us, 0);
}

static void one_value_is_every_quantile(void **state)
{
    (void)state;
    const int64_t values[] = {
        0, 1, 63, 64, 127, 128, 1000003, (INT64_C(1) << 41) - 1, INT64_C(1) << 41, INT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        histogram_init(&h);
        histogram_add(&h, values[i]);
        assert_true(histogram_quantile(&h, 0) == (uint64_t)values[i]);
        assert_true(histogram_quantile(&h, 0.5) == (uint64_t)values[i]);
        assert_true(histogram_quantile(&h, 1) == (uint64_t)values[i]);
        assert_true(h.max_us == (uint64_t)values[i]);
    }
}

static void below_zero_counts_as_zero(void **state)
{
    (void)state;
    histogram_init(&h);
    histogram_add(&h, -1);
    histogram_add(&h, INT64_MIN);
    assert_int_equal(h.total, 2);
    assert_int_equal(h.counts[0], 2);
    assert_int_equal(histogram_quantile(&h, 1), 0);
}

/* Small values have a bucket each, so quantiles of them are exact: the least value that so many are not
 * above. */
static void ranks_are_rounded_up(void **state)
{
    (void)state;
    histogram_init(&h);
    for (int i = 10; i >= 1; i--) {
        histogram_add(&h, i);
    }
    assert_int_equal(histogram_quantile(&h, 0), 1);
    assert_int_equal(histogram_quantile(&h, 0.1), 1);
    assert_int_equal(histogram_quantile(&h, 0.11), 2);
    assert_int_equal(histogram_quantile(&h, 0.5), 5);
    assert_int_equal(histogram_quantile(&h, 0.51), 6);
    assert_int_equal(histogram_quantile(&h, 0.9), 9);
    assert_int_equal(histogram_quantile(&h, 0.99), 10);
    assert_int_equal(histogram_quantile(&h, 1), 10);
    assert_int_equal(histogram_quantile(&h, -1), 1);
    assert_int_equal(histogram_quantile(&h, 2), 10);
    assert_int_equal(histogram_quantile(&h, (double)NAN), 1);
    assert_int_equal(histogram_quantile(&h, (double)INFINITY), 10);
}

/* A value between two larger ones of its own: the edge of its bucket is at most 1.6 % above it, never below.
 */
static void every_power_of_two_is_within_its_error(void **state)
{
    (void)state;
    for (int bit = 0; bit <= 40; bit++) {
        for (int64_t delta = -1; delta <= 1; delta++) {
            int64_t v = (INT64_C(1) << bit) + delta;
            histogram_init(&h);
            histogram_add(&h, v);
            histogram_add(&h, INT64_MAX);
            uint64_t got = histogram_quantile(&h, 0.5);
            assert_true(got >= (uint64_t)v);
            assert_true((double)got <= (double)v * 1.016);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles_against_sorted_values(void **state)
{
    (void)state;
    enum { VALUES = 20000 };
    static int64_t values[VALUES];
    static const double quantiles[] = {0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1};
    uint64_t seed = 5;
    for (int spread = 4; spread <= 41; spread++) {
        histogram_init(&h);
        for (int i = 0; i < VALUES; i++) {
            values[i] =
                (int64_t)(random_next(&seed) >> (64 - spread) >> random_next(&seed) % (unsigned)spread);
            histogram_add(&h, values[i]);
        }
        qsort(values, VALUES, sizeof *values, by_value);
        assert_int_equal(h.total, VALUES);
        assert_true(h.max_us == (uint64_t)values[VALUES - 1]);
        uint64_t before = 0;
        for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
            int rank = (int)(quantiles[i] * VALUES);
            rank += rank < quantiles[i] * VALUES;
            double exact = (double)values[rank - 1];
            uint64_t got = histogram_quantile(&h, quantiles[i]);
            if ((double)got < exact || (double)got > exact * 1.016 || got < before || got > h.max_us) {
                fail_msg("%g of 2^%d: %llu, exactly %g", quantiles[i], spread, (unsigned long long)got,
                         exact);
            }
            before = got;
        }
    }
}

static void beyond_the_last_bucket_the_largest_counts(void **state)
{
    (void)state;
    histogram_init(&h);
    histogram_add(&h, 5);
    histogram_add(&h, INT64_C(1) << 50);
    histogram_add(&h, INT64_C(1) << 60);
    assert_int_equal(histogram_quantile(&h, 0.3), 5);
    assert_true(histogram_quantile(&h, 0.6) == UINT64_C(1) << 60);
    assert_int_equal(h.counts[HISTOGRAM_BUCKETS - 1], 2);
}

/* The last two buckets: one with an upper edge, one for all that is larger. */
static void the_last_edge_is_below_2_to_the_41(void **state)
{
    (void)state;
    histogram_init(&h);
    histogram_add(&h, INT64_C(126) << 34);
    histogram_add(&h, INT64_C(127) << 34);
    histogram_add(&h, INT64_MAX);
    assert_true(histogram_quantile(&h, 0.3) == (UINT64_C(127) << 34) - 1);
    assert_true(histogram_quantile(&h, 0.6) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_is_zero),
        cmocka_unit_test(one_value_is_every_quantile),
        cmocka_unit_test(below_zero_counts_as_zero),
        cmocka_unit_test(ranks_are_rounded_up),
        cmocka_unit_test(every_power_of_two_is_within_its_error),
        cmocka_unit_test(quantiles_against_sorted_values),
        cmocka_unit_test(the_last_edge_is_below_2_to_the_41),
        cmocka_unit_test(beyond_the_last_bucket_the_largest_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

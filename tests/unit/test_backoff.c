#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/backoff.h"

static void limits_double_up_to_the_cap(void **state)
{
    (void)state;
    const backoff_t b = {.base_ms = 200, .factor = 2, .cap_ms = 30000};
    const int64_t expected[] = {200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
    for (uint32_t n = 1; n <= 10; n++) {
        assert_int_equal(backoff_limit_ms(&b, n), expected[n - 1]);
    }
    assert_int_equal(backoff_limit_ms(&b, 0), 200); /* before any try: as after the first */
}

static void no_n_is_too_large(void **state)
{
    (void)state;
    const double factors[] = {1.0000001, 1.5, 2, 1e9, 1e308};
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
        const backoff_t b = {.base_ms = 1, .factor = factors[i], .cap_ms = 30000};
        int64_t before = 0;
        for (uint32_t n = 1; n != 0; n <<= 1) {
            int64_t limit = backoff_limit_ms(&b, n);
            assert_true(limit >= before && limit >= 1 && limit <= 30000);
            before = limit;
        }
        assert_int_equal(backoff_limit_ms(&b, UINT32_MAX), 30000);
    }
    const backoff_t widest = {.base_ms = INT64_MAX, .factor = 2, .cap_ms = INT64_MAX};
    assert_true(backoff_limit_ms(&widest, 1) == INT64_MAX);
    assert_true(backoff_limit_ms(&widest, UINT32_MAX) == INT64_MAX);
    assert_true(backoff_ms(&widest, 9, UINT64_MAX) >= 0);
}

static void odd_settings(void **state)
{
    (void)state;
    const backoff_t constant = {.base_ms = 100, .factor = 1, .cap_ms = 1000};
    assert_int_equal(backoff_limit_ms(&constant, 1), 100);
    assert_int_equal(backoff_limit_ms(&constant, UINT32_MAX), 100);
    const backoff_t capped = {.base_ms = 500, .factor = 2, .cap_ms = 100};
    assert_int_equal(backoff_limit_ms(&capped, 1), 100);
    const backoff_t none = {.base_ms = 0, .factor = 2, .cap_ms = 100};
    assert_int_equal(backoff_limit_ms(&none, 1), 0);
    assert_int_equal(backoff_limit_ms(&none, UINT32_MAX), 0);
    assert_int_equal(backoff_ms(&none, 1, UINT64_MAX), 0);
    const backoff_t at_once = {.base_ms = 100, .factor = 2, .cap_ms = 0};
    assert_int_equal(backoff_ms(&at_once, 3, UINT64_MAX), 0);
}

static void jitter_is_full_and_even(void **state)
{
    (void)state;
    enum { DRAWS = 100000, SLICES = 10 };
    const backoff_t b = {.base_ms = 250, .factor = 2, .cap_ms = 30000};
    unsigned slices[SLICES] = {0};
    uint64_t seed = 4;
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < DRAWS; i++) {
        int64_t ms = backoff_ms(&b, 3, random_next(&seed));
        assert_in_range(ms, 0, 1000);
        least = ms < least ? ms : least;
        most = ms > most ? ms : most;
        slices[ms * SLICES / 1001]++;
    }
    assert_int_equal(least, 0);
    assert_int_equal(most, 1000);
    for (int i = 0; i < SLICES; i++) {
        assert_in_range(slices[i], DRAWS / SLICES * 95 / 100, DRAWS / SLICES * 105 / 100);
    }
}

/* The first numbers of splitmix64 from 1234567, as its author's program prints them. */
static void the_generator_is_splitmix64(void **state)
{
    (void)state;
    const uint64_t expected[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
                                 UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
                                 UINT64_C(16408922859458223821)};
    uint64_t seed = 1234567;
    for (int i = 0; i < 5; i++) {
        assert_true(random_next(&seed) == expected[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_double_up_to_the_cap),
        cmocka_unit_test(no_n_is_too_large),
        cmocka_unit_test(odd_settings),
        cmocka_unit_test(jitter_is_full_and_even),
        cmocka_unit_test(the_generator_is_splitmix64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

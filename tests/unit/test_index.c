#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/backoff.h"
#include "common/core/index.h"

static void test_put_find_remove(void **state)
{
    (void)state;
    index_t x;
    uint32_t cursor;
    assert_int_equal(index_init(&x, 0), 0);
    assert_int_equal(index_find(&x, 0, &cursor), INDEX_NONE);
    assert_int_equal(index_put(&x, 0, 5), 0);
    assert_int_equal(index_put(&x, UINT64_MAX, 6), 0);
    assert_int_equal(index_find(&x, 0, &cursor), 5);
    assert_int_equal(index_find(&x, UINT64_MAX, &cursor), 6);
    assert_int_equal(index_find(&x, 1, &cursor), INDEX_NONE);
    index_remove(&x, 0, 6); /* another slot's: nothing */
    index_remove(&x, 1, 5); /* not there: nothing */
    assert_int_equal(x.count, 2);
    index_remove(&x, 0, 5);
    assert_int_equal(index_find(&x, 0, &cursor), INDEX_NONE);
    assert_int_equal(index_find(&x, UINT64_MAX, &cursor), 6);
    assert_int_equal(x.count, 1);
    index_done(&x);
    index_done(&x);
}

static void test_same_key_twice(void **state)
{
    (void)state;
    index_t x;
    uint32_t cursor;
    uint32_t seen = 0;
    assert_int_equal(index_init(&x, 4), 0);
    for (uint32_t slot = 0; slot < 3; slot++) {
        assert_int_equal(index_put(&x, 77, slot), 0);
    }
    for (uint32_t s = index_find(&x, 77, &cursor); s != INDEX_NONE; s = index_find_next(&x, 77, &cursor)) {
        seen |= 1U << s;
    }
    assert_int_equal(seen, 7);
    index_remove(&x, 77, 1);
    seen = 0;
    for (uint32_t s = index_find(&x, 77, &cursor); s != INDEX_NONE; s = index_find_next(&x, 77, &cursor)) {
        seen |= 1U << s;
    }
    assert_int_equal(seen, 5);
    index_done(&x);
}

/* Row ids count up: as long as the table is half empty each is found at the first look. */
static void test_neighbours_do_not_meet(void **state)
{
    (void)state;
    enum { KEYS = 1 << 15 };
    index_t full, lone;
    uint32_t away = 0, home = 0, place = 0;
    assert_int_equal(index_init(&full, KEYS), 0);
    assert_int_equal(index_init(&lone, KEYS), 0);
    assert_true(KEYS <= (full.mask + 1) / 2);
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_int_equal(index_put(&full, (UINT64_C(3) << 40) + 1000 + i, i), 0);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        uint64_t key = (UINT64_C(3) << 40) + 1000 + i;
        assert_int_equal(index_put(&lone, key, i), 0);
        assert_int_equal(index_find(&lone, key, &home), i);
        assert_int_equal(index_find(&full, key, &place), i);
        index_remove(&lone, key, i);
        away += (place - home) & full.mask;
    }
    assert_true(away <= KEYS / 100);
    index_done(&full);
    index_done(&lone);
}

static void test_expected_needs_no_growth(void **state)
{
    (void)state;
    index_t x;
    assert_int_equal(index_init(&x, 1000), 0);
    uint32_t mask = x.mask;
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(index_put(&x, i, i), 0);
    }
    assert_int_equal(x.mask, mask);
    index_done(&x);
}

static void test_grows(void **state)
{
    (void)state;
    enum { KEYS = 100000 };
    const uint64_t epoch = UINT64_C(3) << 40;
    index_t x;
    uint32_t cursor;
    assert_int_equal(index_init(&x, 0), 0);
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_int_equal(index_put(&x, epoch + i, i), 0);
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_int_equal(index_find(&x, epoch + i, &cursor), i);
    }
    assert_int_equal(x.count, KEYS);
    index_done(&x);
}

/* Chains of the smallest table, wrapping round its end: a wrong backward shift loses a key. */
static void random_against_array(uint64_t stride)
{
    enum { KEYS = 24, LIVE = 10, STEPS = 50000 };
    uint64_t seed = 7;
    index_t x;
    uint32_t cursor;
    bool in[KEYS] = {false};
    uint32_t live = 0;
    assert_int_equal(index_init(&x, 0), 0);
    uint32_t mask = x.mask;
    for (int step = 0; step < STEPS; step++) {
        uint32_t k = (uint32_t)(random_next(&seed) % KEYS);
        if (in[k]) {
            index_remove(&x, k * stride, k);
            in[k] = false;
            live--;
        } else if (live < LIVE) {
            assert_int_equal(index_put(&x, k * stride, k), 0);
            in[k] = true;
            live++;
        }
        for (uint32_t i = 0; i < KEYS; i++) {
            uint32_t found = index_find(&x, i * stride, &cursor);
            assert_int_equal(found, in[i] ? i : INDEX_NONE);
        }
        assert_int_equal(x.count, live);
    }
    assert_int_equal(x.mask, mask);
    index_done(&x);
}

static void test_random_against_array(void **state)
{
    (void)state;
    random_against_array(1);
    random_against_array(8);
    random_against_array(UINT64_C(1000003));
}

static void test_mix(void **state)
{
    (void)state;
    assert_true(index_mix(1, 2) != index_mix(2, 1));
    assert_true(index_mix(1, 2) != index_mix(1, 3));
    assert_true(index_mix(1, 2) == index_mix(1, 2));
    assert_true(index_key(1, 2) + 1 == index_key(1, 3));
    assert_true(index_key(1, 2) != index_key(2, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_find_remove),
        cmocka_unit_test(test_same_key_twice),
        cmocka_unit_test(test_neighbours_do_not_meet),
        cmocka_unit_test(test_expected_needs_no_growth),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_random_against_array),
        cmocka_unit_test(test_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

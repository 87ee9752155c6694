#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/backoff.h"
#include "common/core/heap.h"

static void check_order(const heap_t *h)
{
    for (uint32_t place = 0; place < h->count; place++) {
        uint32_t item = h->items[place];
        assert_int_equal(h->places[item], place);
        if (place > 0) {
            assert_true(h->keys[h->items[(place - 1) / 2]] <= h->keys[item]);
        }
    }
}

static void test_empty(void **state)
{
    (void)state;
    heap_t h;
    assert_int_equal(heap_init(&h, 0), 0);
    assert_int_equal(heap_first(&h), HEAP_NONE);
    assert_true(heap_first_key(&h) == INT64_MAX);
    assert_false(heap_has(&h, 0));
    assert_int_equal(heap_grow(&h, 1), 0);
    heap_remove(&h, 0);
    assert_int_equal(h.count, 0);
    heap_done(&h);
    heap_done(&h);
}

static void test_smallest_first(void **state)
{
    (void)state;
    heap_t h;
    assert_int_equal(heap_init(&h, 4), 0);
    heap_set(&h, 2, 20);
    heap_set(&h, 0, 30);
    heap_set(&h, 3, -5);
    assert_int_equal(heap_first(&h), 3);
    assert_int_equal(heap_first_key(&h), -5);
    heap_set(&h, 3, 40); /* moves */
    assert_int_equal(h.count, 3);
    assert_int_equal(heap_first(&h), 2);
    heap_remove(&h, 2);
    assert_false(heap_has(&h, 2));
    assert_int_equal(heap_first(&h), 0);
    heap_set(&h, 1, INT64_MIN);
    assert_int_equal(heap_first(&h), 1);
    heap_done(&h);
}

/* The last item belongs higher than the place of one removed in another branch. */
static void test_remove_moves_up(void **state)
{
    (void)state;
    heap_t h;
    assert_int_equal(heap_init(&h, 16), 0);
    const int64_t keys[] = {1, 100, 2, 110, 120, 3};
    for (uint32_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        heap_set(&h, i, keys[i]);
    }
    heap_remove(&h, 3);
    check_order(&h);
    heap_remove(&h, 0);
    check_order(&h);
    assert_int_equal(heap_first(&h), 2);
    heap_done(&h);
}

static void test_grow_keeps(void **state)
{
    (void)state;
    heap_t h;
    assert_int_equal(heap_init(&h, 2), 0);
    heap_set(&h, 0, 7);
    heap_set(&h, 1, 6);
    assert_int_equal(heap_grow(&h, 1000), 0);
    assert_int_equal(heap_grow(&h, 10), 0);
    assert_int_equal(h.capacity, 1000);
    assert_false(heap_has(&h, 999));
    heap_set(&h, 999, 5);
    assert_int_equal(heap_first(&h), 999);
    heap_remove(&h, 999);
    assert_int_equal(heap_first(&h), 1);
    heap_done(&h);
}

static void test_random_against_scan(void **state)
{
    (void)state;
    enum { ITEMS = 64, STEPS = 20000 };
    uint64_t seed = 42;
    heap_t h;
    bool in[ITEMS] = {false};
    int64_t keys[ITEMS] = {0};
    assert_int_equal(heap_init(&h, ITEMS), 0);
    for (int step = 0; step < STEPS; step++) {
        uint32_t item = (uint32_t)(random_next(&seed) % ITEMS);
        if (random_next(&seed) % 3 == 0) {
            heap_remove(&h, item);
            in[item] = false;
        } else {
            keys[item] = (int64_t)(random_next(&seed) % 100);
            heap_set(&h, item, keys[item]);
            in[item] = true;
        }
        int64_t smallest = INT64_MAX;
        uint32_t count = 0;
        for (uint32_t i = 0; i < ITEMS; i++) {
            assert_int_equal(heap_has(&h, i), in[i]);
            count += in[i];
            if (in[i] && keys[i] < smallest) {
                smallest = keys[i];
            }
        }
        assert_int_equal(h.count, count);
        assert_true(heap_first_key(&h) == smallest);
        check_order(&h);
    }
    heap_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_smallest_first),
        cmocka_unit_test(test_remove_moves_up),
        cmocka_unit_test(test_grow_keeps),
        cmocka_unit_test(test_random_against_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

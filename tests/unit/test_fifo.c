#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/fifo.h"

/* The list from both ends. */
static void check_list(const fifo_t *f, const links_t *l, const uint32_t *expected, uint32_t n)
{
    assert_int_equal(f->count, n);
    uint32_t slot = f->first;
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(slot, expected[i]);
        slot = l->next[slot];
    }
    assert_int_equal(slot, FIFO_NONE);
    slot = f->last;
    for (uint32_t i = n; i > 0; i--) {
        assert_int_equal(slot, expected[i - 1]);
        slot = l->prev[slot];
    }
    assert_int_equal(slot, FIFO_NONE);
}

static void test_order(void **state)
{
    (void)state;
    links_t l;
    fifo_t f;
    assert_int_equal(links_init(&l, 8), 0);
    fifo_init(&f);
    assert_int_equal(fifo_pop(&f, &l), FIFO_NONE);
    fifo_push(&f, &l, 3);
    fifo_push(&f, &l, 1);
    fifo_push_front(&f, &l, 7);
    check_list(&f, &l, (uint32_t[]){7, 3, 1}, 3);
    assert_int_equal(fifo_pop(&f, &l), 7);
    assert_int_equal(fifo_pop(&f, &l), 3);
    assert_int_equal(fifo_pop(&f, &l), 1);
    assert_int_equal(fifo_pop(&f, &l), FIFO_NONE);
    check_list(&f, &l, NULL, 0);
    fifo_push_front(&f, &l, 0);
    check_list(&f, &l, (uint32_t[]){0}, 1);
    links_done(&l);
    links_done(&l);
}

static void test_remove(void **state)
{
    (void)state;
    links_t l;
    fifo_t f;
    assert_int_equal(links_init(&l, 5), 0);
    fifo_init(&f);
    for (uint32_t i = 0; i < 5; i++) {
        assert_false(links_in(&l, i));
        fifo_push(&f, &l, i);
        assert_true(links_in(&l, i));
    }
    fifo_remove(&f, &l, 2);
    check_list(&f, &l, (uint32_t[]){0, 1, 3, 4}, 4);
    fifo_remove(&f, &l, 0);
    fifo_remove(&f, &l, 4);
    check_list(&f, &l, (uint32_t[]){1, 3}, 2);
    assert_false(links_in(&l, 4));
    fifo_push(&f, &l, 2);
    check_list(&f, &l, (uint32_t[]){1, 3, 2}, 3);
    assert_false(links_in(&l, 5)); /* out of range: in no list */
    links_done(&l);
}

static void test_two_lists_and_growth(void **state)
{
    (void)state;
    links_t l;
    fifo_t a, b;
    assert_int_equal(links_init(&l, 0), 0);
    assert_int_equal(links_grow(&l, 2), 0);
    fifo_init(&a);
    fifo_init(&b);
    fifo_push(&a, &l, 0);
    fifo_push(&b, &l, 1);
    assert_int_equal(links_grow(&l, 100), 0);
    assert_int_equal(links_grow(&l, 50), 0);
    assert_int_equal(l.capacity, 100);
    assert_false(links_in(&l, 99));
    fifo_push(&a, &l, 99);
    fifo_push(&b, &l, fifo_pop(&a, &l));
    check_list(&a, &l, (uint32_t[]){99}, 1);
    check_list(&b, &l, (uint32_t[]){1, 0}, 2);
    links_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_two_lists_and_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

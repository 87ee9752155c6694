#include "publisher/stamps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void an_id_has_the_time_of_its_round(void **state)
{
    (void)state;
    stamps_t s;
    assert_int_equal(stamps_init(&s), 0);
    assert_int_equal(stamps_find(&s, 5), 0);
    stamps_add(&s, 10, 1000);
    stamps_add(&s, 12, 1000); /* the same round */
    stamps_add(&s, 20, 2000);
    assert_int_equal(s.count, 2);
    assert_int_equal(stamps_find(&s, 9), 0);
    assert_int_equal(stamps_find(&s, 10), 1000);
    assert_int_equal(stamps_find(&s, 19), 1000);
    assert_int_equal(stamps_find(&s, 20), 2000);
    assert_int_equal(stamps_find(&s, UINT64_MAX), 2000);
    stamps_forget(&s, 15);
    assert_int_equal(stamps_find(&s, 15), 1000);
    stamps_forget(&s, 25);
    assert_int_equal(stamps_find(&s, 15), 0);
    assert_int_equal(stamps_find(&s, 25), 2000);
    stamps_done(&s);
}

/* Too many: the times get coarser the longer they lie there, and are never later than the truth. */
static void many_are_thinned_out(void **state)
{
    (void)state;
    stamps_t s;
    assert_int_equal(stamps_init(&s), 0);
    for (uint64_t i = 1; i <= 5 * (uint64_t)STAMPS_MAX; i++) {
        stamps_add(&s, i, (int64_t)i * 10);
        assert_true(s.first + s.count <= STAMPS_MAX);
    }
    for (uint64_t i = 1; i <= 5 * (uint64_t)STAMPS_MAX; i += 777) {
        int64_t us = stamps_find(&s, i);
        assert_true(us <= (int64_t)i * 10 && us > (int64_t)i * 10 - 6000);
    }
    assert_int_equal(stamps_find(&s, UINT64_MAX), 50 * (int64_t)STAMPS_MAX);
    stamps_done(&s);
}

static void forgotten_ones_make_room(void **state)
{
    (void)state;
    stamps_t s;
    assert_int_equal(stamps_init(&s), 0);
    for (uint64_t i = 1; i <= 10 * (uint64_t)STAMPS_MAX; i++) {
        stamps_add(&s, i, (int64_t)i * 10);
        if (i > 100)
            stamps_forget(&s, i - 100);
        assert_true(s.first + s.count <= STAMPS_MAX);
        assert_int_equal(stamps_find(&s, i > 50 ? i - 50 : 1), i > 50 ? (int64_t)(i - 50) * 10 : 10);
    }
    stamps_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_has_the_time_of_its_round),
        cmocka_unit_test(many_are_thinned_out),
        cmocka_unit_test(forgotten_ones_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

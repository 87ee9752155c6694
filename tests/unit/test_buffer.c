#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/buffer.h"

#include <errno.h>
#include <string.h>

static void appends_across_many_growths(void **state)
{
    (void)state;
    buffer_t b;
    buffer_init(&b);
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t bytes[3] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)};
        buffer_append(&b, bytes, i % 4);
    }
    assert_false(b.failed);
    size_t at = 0;
    for (unsigned i = 0; i < 100000; i++) {
        uint8_t bytes[3] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)};
        assert_memory_equal(b.data + at, bytes, i % 4);
        at += i % 4;
    }
    assert_int_equal(b.len, at);
    buffer_done(&b);
    assert_null(b.data);
}

static void clear_keeps_the_memory(void **state)
{
    (void)state;
    buffer_t b;
    buffer_init(&b);
    assert_int_equal(buffer_reserve(&b, 5000), 0);
    uint8_t *data = b.data;
    size_t cap = b.cap;
    assert_true(cap >= 5000);
    buffer_append(&b, "abc", 3);
    buffer_clear(&b);
    assert_int_equal(b.len, 0);
    for (int i = 0; i < 5000; i++) {
        buffer_append(&b, "x", 1);
    }
    assert_ptr_equal(b.data, data);
    assert_int_equal(b.cap, cap);
    buffer_done(&b);
}

static void exactly_full_does_not_grow(void **state)
{
    (void)state;
    buffer_t b;
    buffer_init(&b);
    buffer_append(&b, "x", 1);
    size_t cap = b.cap;
    while (b.len < cap) {
        buffer_append(&b, "x", 1);
    }
    assert_int_equal(b.cap, cap);
    buffer_append(&b, "", 0);
    assert_int_equal(b.cap, cap);
    buffer_append(&b, "y", 1);
    assert_true(b.cap > cap);
    assert_int_equal(b.data[b.len - 1], 'y');
    buffer_done(&b);
}

static void out_of_memory_sticks_until_cleared(void **state)
{
    (void)state;
    buffer_t b;
    buffer_init(&b);
    buffer_append(&b, "kept", 4);
    assert_int_equal(buffer_reserve(&b, SIZE_MAX), -ENOMEM);
    assert_true(b.failed);
    assert_int_equal(buffer_reserve(&b, 1), -ENOMEM);
    buffer_append(&b, "not", 3);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "kept", 4);
    buffer_clear(&b);
    assert_false(b.failed);
    buffer_append(&b, "again", 5);
    assert_int_equal(b.len, 5);
    buffer_done(&b);
    buffer_done(&b); /* of an empty one: nothing */
}

/* The sanitizer's allocator ends a program that asks for too much; here it is to say no, like malloc. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void what_the_allocator_refuses_is_out_of_memory(void **state)
{
    (void)state;
    buffer_t b;
    buffer_init(&b);
    buffer_append(&b, "kept", 4);
    size_t cap = b.cap;
    assert_int_equal(buffer_reserve(&b, SIZE_MAX / 4), -ENOMEM);
    assert_true(b.failed);
    assert_int_equal(b.cap, cap);
    assert_memory_equal(b.data, "kept", 4);
    buffer_done(&b);
}

static void a_reserve_that_would_wrap_is_refused(void **state)
{
    (void)state;
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        buffer_t b;
        buffer_init(&b);
        assert_int_equal(buffer_reserve(&b, sizes[i]), -ENOMEM);
        assert_true(b.failed);
        buffer_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_across_many_growths),
        cmocka_unit_test(clear_keeps_the_memory),
        cmocka_unit_test(exactly_full_does_not_grow),
        cmocka_unit_test(out_of_memory_sticks_until_cleared),
        cmocka_unit_test(what_the_allocator_refuses_is_out_of_memory),
        cmocka_unit_test(a_reserve_that_would_wrap_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

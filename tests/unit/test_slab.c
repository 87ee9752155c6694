#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/backoff.h"
#include "common/core/message.h"
#include "common/core/slab.h"

#include <stdlib.h>
#include <string.h>

static size_t class_bytes(size_t len)
{
    size_t bytes = 64;
    while (bytes < len) {
        bytes *= 2;
    }
    return bytes;
}

static void each_length_costs_its_class(void **state)
{
    (void)state;
    slab_t s;
    slab_init(&s);
    for (size_t edge = 64; edge <= BODY_BYTES_MAX; edge *= 2) {
        for (size_t len = edge - 1; len <= edge + 1 && len <= BODY_BYTES_MAX; len++) {
            void *p = slab_get(&s, len);
            assert_non_null(p);
            memset(p, 0xff, len); /* all of it is ours: the address sanitizer looks on */
            assert_int_equal(s.bytes_used, class_bytes(len));
            slab_put(&s, p, len);
            assert_int_equal(s.bytes_used, 0);
        }
    }
    slab_done(&s);
}

static void lengths_at_both_ends(void **state)
{
    (void)state;
    slab_t s;
    slab_init(&s);
    void *empty = slab_get(&s, 0);
    assert_non_null(empty);
    assert_int_equal(s.bytes_used, 64);
    slab_put(&s, empty, 0);
    size_t held = s.bytes_held;
    assert_null(slab_get(&s, BODY_BYTES_MAX + 1));
    assert_null(slab_get(&s, SIZE_MAX));
    assert_int_equal(s.bytes_used, 0);
    assert_int_equal(s.bytes_held, held);
    slab_put(&s, NULL, 100);
    assert_int_equal(s.bytes_used, 0);
    slab_done(&s);
}

static void what_was_put_back_is_used_again(void **state)
{
    (void)state;
    slab_t s;
    slab_init(&s);
    void *a = slab_get(&s, 100);
    void *b = slab_get(&s, 100);
    slab_put(&s, a, 100);
    slab_put(&s, b, 128); /* the same class */
    size_t held = s.bytes_held;
    assert_ptr_equal(slab_get(&s, 65), b);
    assert_ptr_equal(slab_get(&s, 128), a);
    /* Another class has blocks of its own. */
    slab_put(&s, a, 100);
    void *c = slab_get(&s, 64);
    assert_ptr_not_equal(c, a);
    assert_true(s.bytes_held > held);
    slab_done(&s);
}

static void a_warm_pool_takes_nothing_more(void **state)
{
    (void)state;
    enum { BLOCKS = 10000 };
    static void *blocks[BLOCKS];
    size_t held = 0;
    slab_t s;
    slab_init(&s);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = slab_get(&s, 100);
            assert_non_null(blocks[i]);
        }
        assert_int_equal(s.bytes_used, BLOCKS * 128);
        assert_true(s.bytes_held >= s.bytes_used);
        assert_true(s.bytes_held < s.bytes_used * 5 / 4 + 300000);
        if (round > 0) {
            assert_int_equal(s.bytes_held, held);
        }
        held = s.bytes_held;
        for (int i = 0; i < BLOCKS; i++) {
            slab_put(&s, blocks[i], 100);
        }
        assert_int_equal(s.bytes_used, 0);
    }
    slab_done(&s);
    assert_int_equal(s.bytes_held, 0);
    assert_null(s.chunks);
}

static void blocks_are_aligned_and_apart(void **state)
{
    (void)state;
    enum { BLOCKS = 3000 };
    static struct {
        uint8_t *p;
        size_t len;
    } blocks[BLOCKS];
    uint64_t seed = 3;
    slab_t s;
    slab_init(&s);
    size_t used = 0;
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t i = (uint32_t)(random_next(&seed) % BLOCKS);
        if (blocks[i].p != NULL) {
            /* Each block still holds what its owner wrote. */
            for (size_t k = 0; k < blocks[i].len; k++) {
                if (blocks[i].p[k] != (uint8_t)i) {
                    fail_msg("block %u of %zu bytes was written by another", i, blocks[i].len);
                }
            }
            slab_put(&s, blocks[i].p, blocks[i].len);
            used -= class_bytes(blocks[i].len);
            blocks[i].p = NULL;
        } else {
            blocks[i].len = random_next(&seed) % ((size_t)64 << random_next(&seed) % 8);
            blocks[i].p = slab_get(&s, blocks[i].len);
            assert_non_null(blocks[i].p);
            assert_int_equal((uintptr_t)blocks[i].p % _Alignof(max_align_t), 0);
            memset(blocks[i].p, (int)(uint8_t)i, blocks[i].len);
            used += class_bytes(blocks[i].len);
        }
        assert_int_equal(s.bytes_used, used);
    }
    slab_done(&s);
    slab_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_length_costs_its_class),     cmocka_unit_test(lengths_at_both_ends),
        cmocka_unit_test(what_was_put_back_is_used_again), cmocka_unit_test(a_warm_pool_takes_nothing_more),
        cmocka_unit_test(blocks_are_aligned_and_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

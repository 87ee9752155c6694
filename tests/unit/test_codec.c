#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/codec.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static buffer_t b;

static int clear(void **state)
{
    (void)state;
    buffer_done(&b);
    return 0;
}

/* One of everything, to cut at every byte. */
static void write_everything(void)
{
    size_t place = write_array_begin(&b);
    write_nil(&b);
    write_bool(&b, true);
    write_bool(&b, false);
    write_uint(&b, UINT64_MAX);
    write_int(&b, INT64_MIN);
    write_real(&b, 0.1);
    write_str(&b, "text \xe2\x82\xac", 8);
    write_bin(&b, "\0\xff", 2);
    write_map(&b, 2);
    write_str(&b, "one", 3);
    write_array(&b, 0);
    write_str(&b, "", 0);
    write_map(&b, 0);
    write_array_end(&b, place, 9);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    write_everything();
    assert_int_equal(codec_check(b.data, b.len, NULL), 0);
    for (size_t len = 0; len < b.len; len++) {
        assert_int_equal(codec_check(b.data, len, NULL), -EPROTO);
    }
    buffer_append(&b, "\xc0", 1);
    assert_int_equal(codec_check(b.data, b.len, NULL), -EPROTO);
}

/* --- the writer, read again --- */

static void integers_at_every_edge(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t v = (UINT64_C(1) << bit) + (uint64_t)delta;
            int64_t negative = (int64_t)(0 - v);
            reader_t r;
            value_t got;
            buffer_clear(&b);
            write_uint(&b, v);
            write_int(&b, negative);
            reader_init(&r, b.data, b.len);
            assert_true(read_value(&r, &got));
            assert_int_equal(got.type, v > INT64_MAX ? VALUE_UINT : VALUE_INT);
            assert_true(got.as.natural == v);
            assert_true(read_value(&r, &got));
            assert_int_equal(got.type, VALUE_INT);
            assert_true(got.as.integer == negative);
            assert_int_equal(reader_end(&r), 0);
        }
    }
}

static void integers_take_the_fewest_bytes(void **state)
{
    (void)state;
    const struct {
        uint64_t v;
        size_t len;
    } cases[] = {{0, 1},     {127, 1},   {128, 2},        {255, 2},        {256, 3},
                 {65535, 3}, {65536, 5}, {UINT32_MAX, 5}, {1ull << 32, 9}, {UINT64_MAX, 9}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buffer_clear(&b);
        write_uint(&b, cases[i].v);
        assert_int_equal(b.len, cases[i].len);
    }
}

static void strings_and_bytes_at_the_edges_of_their_headers(void **state)
{
    (void)state;
    static char text[70000];
    const uint32_t lengths[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 70000};
    memset(text, 't', sizeof text);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        reader_t r;
        uint32_t len;
        buffer_clear(&b);
        write_str(&b, text, lengths[i]);
        write_bin(&b, text, lengths[i]);
        write_str_head(&b, lengths[i]);
        buffer_append(&b, text, lengths[i]);
        reader_init(&r, b.data, b.len);
        for (int k = 0; k < 3; k++) {
            const char *got = k == 1 ? read_bin(&r, lengths[i], &len) : read_str(&r, lengths[i], &len);
            assert_int_equal(len, lengths[i]);
            assert_memory_equal(got, text, len);
        }
        assert_int_equal(reader_end(&r), 0);
    }
}

static void containers_at_the_edges_of_their_headers(void **state)
{
    (void)state;
    const uint32_t counts[] = {0, 1, 15, 16, 65535, 65536};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (int late = 0; late < 2; late++) {
            reader_t r;
            buffer_clear(&b);
            size_t place = late ? write_array_begin(&b) : b.len;
            if (!late) {
                write_array(&b, counts[i]);
            }
            for (uint32_t k = 0; k < counts[i]; k++) {
                write_nil(&b);
            }
            if (late) {
                write_array_end(&b, place, counts[i]);
            }
            assert_int_equal(codec_check(b.data, b.len, NULL), 0);
            reader_init(&r, b.data, b.len);
            assert_int_equal(read_array(&r, counts[i], counts[i]), counts[i]);
        }
    }
    for (uint32_t n = 15; n <= 16; n++) {
        reader_t r;
        buffer_clear(&b);
        write_map(&b, n);
        for (uint32_t k = 0; k < 2 * n; k++) {
            write_nil(&b);
        }
        reader_init(&r, b.data, b.len);
        assert_int_equal(read_map(&r, 16), n);
    }
}

static void arrays_of_unknown_length_nest(void **state)
{
    (void)state;
    size_t outer = write_array_begin(&b);
    size_t inner = write_array_begin(&b);
    write_uint(&b, 7);
    write_array_end(&b, inner, 1);
    write_uint(&b, 8);
    write_array_end(&b, outer, 2);
    assert_int_equal(b.len, 12);
    assert_memory_equal(b.data, "\xdd\0\0\0\2\xdd\0\0\0\1\7\10", 12);
}

static void reals_come_back_bit_by_bit(void **state)
{
    (void)state;
    const double reals[] = {0.0, -0.0, 0.1, -1e308, 5e-324, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        reader_t r;
        value_t got;
        buffer_clear(&b);
        write_real(&b, reals[i]);
        reader_init(&r, b.data, b.len);
        assert_true(read_value(&r, &got));
        assert_int_equal(got.type, VALUE_REAL);
        assert_memory_equal(&got.as.real, &reals[i], sizeof(double));
    }
    reader_t r;
    value_t got;
    reader_init(&r, "\xca\x3f\xc0\x00\x00", 5); /* a single of 1.5 */
    assert_true(read_value(&r, &got));
    assert_true(got.as.real == 1.5);
}

static void a_writer_out_of_memory_leaves_all_as_it_was(void **state)
{
    (void)state;
    write_uint(&b, 1);
    size_t place = write_array_begin(&b);
    (void)buffer_reserve(&b, SIZE_MAX);
    write_everything();
    write_array_end(&b, place, 0x01020304);
    assert_true(b.failed);
    assert_int_equal(b.len, 6);
    assert_memory_equal(b.data, "\x01\xdd\0\0\0\0", 6);
}

/* --- the reader's refusals --- */

static void a_reader_stays_failed(void **state)
{
    (void)state;
    reader_t r;
    value_t v = {.type = VALUE_BIN};
    uint32_t len = 99;
    reader_init(&r, "\x01\x02\xa1x", 4);
    assert_int_equal(read_uint(&r, 0), 0);
    assert_true(r.failed);
    assert_int_equal(read_uint(&r, 10), 0);
    assert_string_equal(read_str(&r, 10, &len), "");
    assert_int_equal(len, 0);
    assert_int_equal(read_array(&r, 0, 10), 0);
    assert_int_equal(read_map(&r, 10), 0);
    assert_false(read_value(&r, &v));
    assert_int_equal(v.type, VALUE_BIN);
    assert_int_equal(reader_end(&r), -EPROTO);
}

static void the_end_is_neither_too_early_nor_too_late(void **state)
{
    (void)state;
    reader_t r;
    reader_init(&r, "\x01\x02", 2);
    assert_int_equal(read_uint(&r, 1), 1);
    assert_int_equal(reader_end(&r), -EPROTO);
    assert_int_equal(read_uint(&r, 2), 2);
    assert_int_equal(reader_end(&r), 0);
    assert_int_equal(read_uint(&r, 2), 0);
    assert_int_equal(reader_end(&r), -EPROTO);
}

static void unsigned_integers_in_any_encoding(void **state)
{
    (void)state;
    const struct {
        const char *bytes;
        size_t len;
        bool good;
        uint64_t v;
    } cases[] = {
        {"\x05", 1, true, 5},
        {"\xcc\x05", 2, true, 5},
        {"\xcd\x00\x05", 3, true, 5},
        {"\xce\x00\x00\x00\x05", 5, true, 5},
        {"\xcf\x00\x00\x00\x00\x00\x00\x00\x05", 9, true, 5},
        {"\xd0\x05", 2, true, 5},
        {"\xd0\x00", 2, true, 0},
        {"\xd1\x00\x05", 3, true, 5},
        {"\xd2\x00\x00\x00\x05", 5, true, 5},
        {"\xd3\x00\x00\x00\x00\x00\x00\x00\x05", 9, true, 5},
        {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, true, INT64_MAX},
        {"\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9, false, 0},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, false, 0},
        {"\xff", 1, false, 0},
        {"\xd0\xff", 2, false, 0},
        {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9, false, 0},
        {"\xca\x40\xa0\x00\x00", 5, false, 0}, /* 5.0 */
        {"\xc0", 1, false, 0},
        {"\xc3", 1, false, 0},
        {"\xa1\x35", 2, false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reader_t r;
        reader_init(&r, cases[i].bytes, cases[i].len);
        assert_true(read_uint(&r, CODEC_INT_MAX) == cases[i].v);
        assert_int_equal(reader_end(&r), cases[i].good ? 0 : -EPROTO);
    }
}

static void limits_hold_at_their_edges(void **state)
{
    (void)state;
    reader_t r;
    uint32_t len;
    const struct {
        uint32_t min, max;
        bool good;
    } arrays[] = {{0, 3, true}, {3, 3, true}, {3, 9, true}, {0, 2, false}, {4, 9, false}};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        reader_init(&r, "\x93\x01\x01\x01", 4);
        assert_int_equal(read_array(&r, arrays[i].min, arrays[i].max), arrays[i].good ? 3 : 0);
        assert_int_equal(r.failed, !arrays[i].good);
    }
    reader_init(&r, "\x81\xa0\x01", 3);
    assert_int_equal(read_map(&r, 0), 0);
    assert_true(r.failed);
    reader_init(&r, "\xa3xyz", 4);
    read_str(&r, 2, &len);
    assert_true(r.failed);
    reader_init(&r, "\xc4\x03xyz", 5);
    read_bin(&r, 2, &len);
    assert_true(r.failed);
    reader_init(&r, "\xa3xyz", 4);
    read_bin(&r, 3, &len); /* a str is no bin */
    assert_true(r.failed);
    reader_init(&r, "\xc4\x03xyz", 5);
    read_str(&r, 3, &len);
    assert_true(r.failed);
    reader_init(&r, "\x80", 1);
    read_array(&r, 0, 9);
    assert_true(r.failed);
    reader_init(&r, "\x90", 1);
    read_map(&r, 9);
    assert_true(r.failed);
}

/* Bytes that were never checked must not lead a reader beyond their end. The copy is as long as the bytes, so
 * that the address sanitizer sees a step too far. */
static void a_reader_of_unchecked_bytes_stays_inside(void **state)
{
    (void)state;
    write_everything();
    for (size_t len = 0; len < b.len; len++) {
        uint8_t *copy = test_malloc(len + (len == 0));
        reader_t r;
        value_t v;
        memcpy(copy, b.data, len);
        reader_init(&r, copy, len);
        while (read_value(&r, &v)) {
            assert_true(r.at <= r.end);
        }
        assert_true(r.at <= r.end);
        test_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_truncation_is_refused, clear),
        cmocka_unit_test_teardown(integers_at_every_edge, clear),
        cmocka_unit_test_teardown(integers_take_the_fewest_bytes, clear),
        cmocka_unit_test_teardown(strings_and_bytes_at_the_edges_of_their_headers, clear),
        cmocka_unit_test_teardown(containers_at_the_edges_of_their_headers, clear),
        cmocka_unit_test_teardown(arrays_of_unknown_length_nest, clear),
        cmocka_unit_test_teardown(reals_come_back_bit_by_bit, clear),
        cmocka_unit_test_teardown(a_writer_out_of_memory_leaves_all_as_it_was, clear),
        cmocka_unit_test(a_reader_stays_failed),
        cmocka_unit_test(the_end_is_neither_too_early_nor_too_late),
        cmocka_unit_test(unsigned_integers_in_any_encoding),
        cmocka_unit_test(limits_hold_at_their_edges),
        cmocka_unit_test_teardown(a_reader_of_unchecked_bytes_stays_inside, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The JSON of attributes: its text for what can be written in one way only, and jansson's reading of it for
 * all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/backoff.h"
#include "common/core/codec.h"
#include "common/core/message.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static buffer_t in, out;

static int clear(void **state)
{
    (void)state;
    buffer_done(&in);
    buffer_done(&out);
    return 0;
}

static void begin(uint32_t attributes)
{
    buffer_clear(&in);
    write_map(&in, attributes + 2);
    write_str(&in, "host", 4);
    write_str(&in, "a.b", 3);
    write_str(&in, "published_at", 12);
    write_uint(&in, 5);
}

static const char *json(void)
{
    body_t body;
    assert_int_equal(body_parse(in.data, in.len, &body), 0);
    buffer_clear(&out);
    body_attributes_json(&body, &out);
    buffer_append(&out, "", 1);
    assert_false(out.failed);
    return (const char *)out.data;
}

/* The attribute "k", as jansson reads it. */
static json_t *read_back(void)
{
    json_error_t error;
    json_t *v = json_loads(json(), JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (v == NULL) {
        fail_msg("%s: %s", error.text, (char *)out.data);
    }
    json_t *k = json_incref(json_object_get(v, "k"));
    json_decref(v);
    return k;
}

static void no_attributes_are_an_empty_object(void **state)
{
    (void)state;
    begin(0);
    assert_string_equal(json(), "{}");
}

static void it_appends(void **state)
{
    (void)state;
    body_t body;
    begin(0);
    assert_int_equal(body_parse(in.data, in.len, &body), 0);
    buffer_append(&out, "before", 6);
    body_attributes_json(&body, &out);
    assert_int_equal(out.len, 8);
    assert_memory_equal(out.data, "before{}", 8);
}

static void each_type_in_the_order_given(void **state)
{
    (void)state;
    begin(8);
    write_str(&in, "z", 1);
    write_nil(&in);
    write_str(&in, "y", 1);
    write_bool(&in, true);
    write_str(&in, "x", 1);
    write_bool(&in, false);
    write_str(&in, "w", 1);
    write_int(&in, INT64_MIN);
    write_str(&in, "v", 1);
    write_uint(&in, UINT64_MAX);
    write_str(&in, "u", 1);
    write_real(&in, 0.1);
    write_str(&in, "t", 1);
    write_str(&in, "", 0);
    write_str(&in, "s", 1);
    write_int(&in, 0);
    assert_string_equal(json(), "{\"z\":null,\"y\":true,\"x\":false,\"w\":-9223372036854775808,"
                                "\"v\":18446744073709551615,\"u\":0.1,\"t\":\"\",\"s\":0}");
}

static void assert_real(double v, const char *expected)
{
    char line[64];
    begin(1);
    write_str(&in, "k", 1);
    write_real(&in, v);
    snprintf(line, sizeof line, "{\"k\":%s}", expected);
    assert_string_equal(json(), line);
}

static void reals_are_short_and_stay_reals(void **state)
{
    (void)state;
    assert_real(0.0, "0.0");
    assert_real(-0.0, "-0.0");
    assert_real(1.0, "1.0");
    assert_real(-5.0, "-5.0");
    assert_real(0.1, "0.1");
    assert_real(1.0 / 3, "0.3333333333333333");
    assert_real(1e15, "1e+15");
    assert_real(1e300, "1e+300");
    assert_real(5e-324, "4.94065645841247e-324");
    assert_real(1.7976931348623157e308, "1.7976931348623157e+308");
    assert_real(123456789012345.0, "123456789012345.0");
}

static void what_json_has_no_number_for_is_null(void **state)
{
    (void)state;
    assert_real(INFINITY, "null");
    assert_real(-INFINITY, "null");
    assert_real(NAN, "null");
    assert_real(-NAN, "null");
}

static void random_reals_read_back_the_same(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_next(&seed);
        double v;
        memcpy(&v, &bits, sizeof v);
        begin(1);
        write_str(&in, "k", 1);
        write_real(&in, v);
        json_t *k = read_back();
        if (isfinite(v)) {
            assert_true(json_is_real(k));
            assert_true(json_real_value(k) == v);
        } else {
            assert_true(json_is_null(k));
        }
        json_decref(k);
    }
}

static void integers_read_back_the_same(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        for (int sign = -1; sign <= 1; sign += 2) {
            int64_t v = (int64_t)(UINT64_MAX >> (63 - bit) >> 1) * sign;
            begin(1);
            write_str(&in, "k", 1);
            write_int(&in, v);
            json_t *k = read_back();
            assert_true(json_is_integer(k));
            assert_true(json_integer_value(k) == v);
            json_decref(k);
        }
    }
}

static void escapes_are_the_usual_ones(void **state)
{
    (void)state;
    begin(1);
    write_str(&in, "k\"", 2);
    write_str(&in, "\"\\/\b\f\n\r\t\0\x1f \x7f\xe2\x80\xa8", 15);
    assert_string_equal(json(),
                        "{\"k\\\"\":\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\\u0000\\u001f \x7f\xe2\x80\xa8\"}");
}

static void assert_text(const char *s, size_t len)
{
    begin(1);
    write_str(&in, "k", 1);
    write_str(&in, s, len);
    json_t *k = read_back();
    assert_true(json_is_string(k));
    assert_int_equal(json_string_length(k), len);
    assert_memory_equal(json_string_value(k), s, len);
    json_decref(k);
}

static void texts_read_back_the_same(void **state)
{
    (void)state;
    uint64_t seed = 2;
    static const char *const pieces[] = {"\"",
                                         "\\",
                                         "a",
                                         "text",
                                         "\n",
                                         "\x01",
                                         "\x1f",
                                         "\x7f",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x90\x92",
                                         "\\u0041",
                                         "</script>",
                                         "\t",
                                         " ",
                                         "\xef\xbf\xbf"};
    for (int c = 0; c < 0x80; c++) {
        char one = (char)c;
        assert_text(&one, 1);
    }
    for (int i = 0; i < 5000; i++) {
        char text[200];
        size_t len = 0;
        uint64_t n = random_next(&seed) % 20;
        while (n-- > 0) {
            const char *piece = pieces[random_next(&seed) % (sizeof pieces / sizeof *pieces)];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        assert_text(text, len);
    }
}

static void keys_are_escaped_like_values(void **state)
{
    (void)state;
    begin(2);
    write_str(&in, "a\"b\\\n", 5);
    write_uint(&in, 1);
    write_str(&in, "\xe2\x82\xac", 3);
    write_uint(&in, 2);
    json_t *v = json_loads(json(), 0, NULL);
    assert_non_null(v);
    assert_int_equal(json_object_size(v), 2);
    assert_int_equal(json_integer_value(json_object_get(v, "a\"b\\\n")), 1);
    assert_int_equal(json_integer_value(json_object_get(v, "\xe2\x82\xac")), 2);
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(no_attributes_are_an_empty_object, clear),
        cmocka_unit_test_teardown(it_appends, clear),
        cmocka_unit_test_teardown(each_type_in_the_order_given, clear),
        cmocka_unit_test_teardown(reals_are_short_and_stay_reals, clear),
        cmocka_unit_test_teardown(what_json_has_no_number_for_is_null, clear),
        cmocka_unit_test_teardown(random_reals_read_back_the_same, clear),
        cmocka_unit_test_teardown(integers_read_back_the_same, clear),
        cmocka_unit_test_teardown(escapes_are_the_usual_ones, clear),
        cmocka_unit_test_teardown(texts_read_back_the_same, clear),
        cmocka_unit_test_teardown(keys_are_escaped_like_values, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

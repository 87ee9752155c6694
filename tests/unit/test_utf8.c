#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/utf8.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

/* jansson checks the strings that it is given: an opinion of its own. */
static bool jansson_takes(const char *s, size_t len)
{
    json_t *v = json_stringn(s, len);
    bool ok = v != NULL;
    json_decref(v);
    return ok;
}

static void agrees(const uint8_t *bytes, size_t len)
{
    const char *s = (const char *)bytes;
    if ((utf8_prefix(s, len) == len) != jansson_takes(s, len)) {
        fail_msg("%02x %02x %02x %02x (%zu bytes): %zu are taken", bytes[0], bytes[1], bytes[2], bytes[3],
                 len, utf8_prefix(s, len));
    }
}

static size_t encode(uint32_t c, uint8_t out[static 4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (uint8_t)((0xf00 >> len) | c);
    return len;
}

static void every_character_but_the_surrogates(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x110fff; c++) {
        uint8_t bytes[4] = {0};
        size_t len = encode(c, bytes);
        bool good = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        if ((utf8_prefix((char *)bytes, len) == len) != good) {
            fail_msg("U+%04x", c);
        }
    }
}

static void all_pairs_of_bytes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x10000; i++) {
        agrees((uint8_t[4]){(uint8_t)(i >> 8), (uint8_t)i}, 2);
    }
    for (unsigned i = 0; i < 0x100; i++) {
        agrees((uint8_t[4]){(uint8_t)i}, 1);
    }
}

static void long_forms_with_every_second_byte(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0xbf, 0xc0, 0xff};
    for (unsigned first = 0xe0; first <= 0xff; first++) {
        for (unsigned second = 0; second <= 0xff; second++) {
            for (size_t i = 0; i < sizeof edges; i++) {
                agrees((uint8_t[4]){(uint8_t)first, (uint8_t)second, edges[i]}, 3);
                for (size_t k = 0; k < sizeof edges; k++) {
                    agrees((uint8_t[4]){(uint8_t)first, (uint8_t)second, edges[i], edges[k]}, 4);
                }
            }
        }
    }
}

static void the_prefix_ends_before_the_first_fault(void **state)
{
    (void)state;
    char text[64];
    /* At each place, so that the fault lies before, in and behind the steps of eight. */
    for (size_t place = 0; place < sizeof text; place++) {
        memset(text, 'a', sizeof text);
        text[place] = (char)0xff;
        assert_int_equal(utf8_prefix(text, sizeof text), place);
        assert_int_equal(utf8_prefix(text, place), place);
    }
    /* A character that is cut at the end. */
    assert_int_equal(utf8_prefix("ab\xe2\x82\xac", 5), 5);
    assert_int_equal(utf8_prefix("ab\xe2\x82\xac", 4), 2);
    assert_int_equal(utf8_prefix("ab\xe2\x82\xac", 3), 2);
    assert_int_equal(utf8_prefix("", 0), 0);
    assert_int_equal(utf8_prefix("a\0b", 3), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_but_the_surrogates),
        cmocka_unit_test(all_pairs_of_bytes),
        cmocka_unit_test(long_forms_with_every_second_byte),
        cmocka_unit_test(the_prefix_ends_before_the_first_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

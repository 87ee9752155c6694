#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/codec.h"

#include <errno.h>
#include <string.h>

static buffer_t b;

static int clear(void **state)
{
    (void)state;
    buffer_done(&b);
    return 0;
}

static void assert_refused(const void *bytes, size_t len, const char *expected)
{
    const char *why = NULL;
    assert_int_equal(codec_check(bytes, len, &why), -EPROTO);
    assert_string_equal(why, expected);
    assert_int_equal(codec_check(bytes, len, NULL), -EPROTO);
}

#define REFUSED(literal, why) assert_refused(literal, sizeof(literal) - 1, why)
#define TAKEN(literal)        assert_int_equal(codec_check(literal, sizeof(literal) - 1, NULL), 0)

static const char cut_short[] = "ends in the middle of a value";
static const char too_many[] = "announces more elements than bytes are left";

static void each_fault_has_its_text(void **state)
{
    (void)state;
    REFUSED("", "is empty");
    assert_refused(NULL, 0, "is empty");
    REFUSED("\x91", too_many);
    REFUSED("\x92\x01", too_many);
    REFUSED("\x92\xcd\x01", cut_short);
    REFUSED("\x01\x02", "has bytes behind its end");
    REFUSED("\x91\x01\x00", "has bytes behind its end");
    REFUSED("\x91\xc1", "holds a byte that begins no value");
    REFUSED("\x82\xa1"
            "a\x01\xa1"
            "a\x02",
            "holds a map key twice");
    REFUSED("\x82\xa1"
            "a\x01\xd9\x01"
            "a\x02",
            "holds a map key twice");
    REFUSED("\x81\x01\x02", "holds a map key that is not a string");
    REFUSED("\x81\xc4\x01"
            "a\x02",
            "holds a map key that is not a string");
    REFUSED("\x91\xa1\xff", "holds a string that is not UTF-8");
    REFUSED("\x81\xa1\xff\x01", "holds a string that is not UTF-8");
    TAKEN("\x91\xc4\x01\xff"); /* bytes may be anything */
}

static void strings_that_are_not_utf8(void **state)
{
    (void)state;
    const char *why = "holds a string that is not UTF-8";
    REFUSED("\xa2\xc0\x80", why);                 /* NUL in two bytes */
    REFUSED("\xa2\xc1\xbf", why);                 /* overlong */
    REFUSED("\xa3\xe0\x80\xaf", why);             /* overlong / */
    REFUSED("\xa4\xf0\x80\x80\xaf", why);         /* overlong / */
    REFUSED("\xa3\xed\xa0\x80", why);             /* U+D800 */
    REFUSED("\xa3\xed\xbf\xbf", why);             /* U+DFFF */
    REFUSED("\xa6\xed\xa0\xbd\xed\xb8\x80", why); /* a pair of surrogates */
    REFUSED("\xa4\xf4\x90\x80\x80", why);         /* U+110000 */
    REFUSED("\xa1\x80", why);
    REFUSED("\xa2\xe2\x82", why);
    TAKEN("\xa3\xe2\x82\xac");
    TAKEN("\xa3"
          "a\0b");
}

static void extension_types_are_refused(void **state)
{
    (void)state;
    const char *why = "holds an extension type";
    REFUSED("\xd4\x01\x00", why);
    REFUSED("\xd5\x01\x00\x00", why);
    REFUSED("\xd6\xff\x00\x00\x00\x00", why); /* a timestamp */
    REFUSED("\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x00", why);
    REFUSED("\xd8\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", why);
    REFUSED("\xc7\x00\x01", why);
    REFUSED("\xc8\x00\x00\x01", why);
    REFUSED("\xc9\x00\x00\x00\x00\x01", why);
}

static void counts_beyond_the_bytes_left(void **state)
{
    (void)state;
    REFUSED("\xdd\x01\x00\x00\x00", too_many);
    REFUSED("\xdd\xff\xff\xff\xff", too_many);
    REFUSED("\xdf\xff\xff\xff\xff", too_many);
    REFUSED("\xdf\x80\x00\x00\x00", too_many); /* 2^31 pairs: twice that must not wrap */
    REFUSED("\xdc\xff\xff\x00", too_many);
    REFUSED("\xde\x00\x01\xa0", too_many);
    REFUSED("\x91\xdd\x00\x00\x00\x02\xc0", too_many);
    REFUSED("\xdb\xff\xff\xff\xff\x00", cut_short);
    REFUSED("\xc6\xff\xff\xff\xff\x00", cut_short);
    REFUSED("\xd9\x02\x61", cut_short);
    REFUSED("\xbf\x61", cut_short);
    TAKEN("\xdd\x00\x00\x00\x01\xc0");
    TAKEN("\xdf\x00\x00\x00\x01\xa0\xc0");
    TAKEN("\xdc\x00\x00");
}

static void a_depth_of_eight_and_no_more(void **state)
{
    (void)state;
    TAKEN("\x91\x91\x91\x91\x91\x91\x91\x90");
    TAKEN("\x91\x91\x91\x91\x91\x91\x91\x91\x01");
    TAKEN("\x91\x91\x91\x91\x91\x91\x91\x81\xa0\x01");
    REFUSED("\x91\x91\x91\x91\x91\x91\x91\x91\x90", "nests deeper than 8");
    REFUSED("\x91\x91\x91\x91\x91\x91\x91\x91\x80", "nests deeper than 8");
    REFUSED("\x81\xa0\x81\xa0\x81\xa0\x81\xa0\x81\xa0\x81\xa0\x81\xa0\x81\xa0\x80", "nests deeper than 8");
    static uint8_t deep[1 << 20];
    memset(deep, 0x91, sizeof deep);
    assert_refused(deep, sizeof deep, "nests deeper than 8");
}

static void maps_of_64_keys_and_no_more(void **state)
{
    (void)state;
    for (uint32_t n = 64; n <= 65; n++) {
        buffer_clear(&b);
        write_map(&b, n);
        for (uint32_t i = 0; i < n; i++) {
            char key[2] = {'k', (char)('0' + i)};
            write_str(&b, key, sizeof key);
            write_nil(&b);
        }
        if (n == 64) {
            assert_int_equal(codec_check(b.data, b.len, NULL), 0);
        } else {
            assert_refused(b.data, b.len, "holds a map of more than 64 keys");
        }
    }
}

static void the_last_of_64_keys_may_not_be_the_first_again(void **state)
{
    (void)state;
    write_map(&b, 64);
    for (int i = 0; i < 64; i++) {
        char key[2] = {'k', (char)('0' + i % 63)};
        write_str(&b, key, sizeof key);
        write_nil(&b);
    }
    assert_refused(b.data, b.len, "holds a map key twice");
}

static void the_same_key_in_two_maps_is_fine(void **state)
{
    (void)state;
    TAKEN("\x92\x81\xa1"
          "a\x01\x81\xa1"
          "a\x01");
    TAKEN("\x81\xa1"
          "a\x81\xa1"
          "a\x01");
    TAKEN("\x82\xa1"
          "a\x01\xa2"
          "ab\x01");
    TAKEN("\x82\xa0\x01\xa1"
          "a\x01");
    REFUSED("\x82\xa0\x01\xa0\x01", "holds a map key twice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_has_its_text),
        cmocka_unit_test(strings_that_are_not_utf8),
        cmocka_unit_test(extension_types_are_refused),
        cmocka_unit_test(counts_beyond_the_bytes_left),
        cmocka_unit_test(a_depth_of_eight_and_no_more),
        cmocka_unit_test_teardown(maps_of_64_keys_and_no_more, clear),
        cmocka_unit_test_teardown(the_last_of_64_keys_may_not_be_the_first_again, clear),
        cmocka_unit_test(the_same_key_in_two_maps_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

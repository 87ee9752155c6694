#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/message.h"

#include <errno.h>
#include <string.h>

/* --- ids --- */

static void ids_there_and_back(void **state)
{
    (void)state;
    const struct {
        message_id_t id;
        const char *text;
    } cases[] = {
        {{UINT64_C(0x5d1e9a0c44f3b210), 42}, "5d1e9a0c44f3b210-42"},
        {{1, 1}, "0000000000000001-1"},
        {{INT64_MAX, SEQ_MAX}, "7fffffffffffffff-1099511627775"},
        {{UINT64_C(0xabcdef), 1000}, "0000000000abcdef-1000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[MESSAGE_ID_TEXT];
        message_id_t id;
        message_id_format(cases[i].id, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(message_id_parse(text, &id), 0);
        assert_true(id.stream == cases[i].id.stream && id.seq == cases[i].id.seq);
    }
    /* Ids that are none have room too: they are shown in logs. */
    char text[MESSAGE_ID_TEXT];
    message_id_format((message_id_t){UINT64_MAX, UINT64_MAX}, text);
    assert_string_equal(text, "ffffffffffffffff-18446744073709551615");
}

static void what_is_no_id(void **state)
{
    (void)state;
    const char *const cases[] = {
        "",
        "-",
        "-1",
        "5d1e9a0c44f3b210",
        "5d1e9a0c44f3b210-",
        "5d1e9a0c44f3b210-0",
        "5d1e9a0c44f3b210-042",
        "5d1e9a0c44f3b210-+42",
        "5d1e9a0c44f3b210- 42",
        "5d1e9a0c44f3b210--42",
        "5d1e9a0c44f3b210-42 ",
        "5d1e9a0c44f3b210-42x",
        "5d1e9a0c44f3b210-1099511627776",
        "5d1e9a0c44f3b210-99999999999999999999999999999999",
        "5d1e9a0c44f3b210-18446744073709551617", /* 2^64 + 1 */
        "5D1E9A0C44F3B210-42",
        "5d1e9a0c44f3b21-42",
        "5d1e9a0c44f3b2100-42",
        "5d1e9a0c44f3b21g-42",
        " 5d1e9a0c44f3b21-42",
        "0x1e9a0c44f3b210-42",
        "0000000000000000-1",
        "8000000000000000-1",
        "5d1e9a0c44f3b210.42",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        message_id_t id = {7, 7};
        if (message_id_parse(cases[i], &id) != -EINVAL) {
            fail_msg("\"%s\" is taken for an id", cases[i]);
        }
        assert_true(id.stream == 7 && id.seq == 7);
    }
}

/* --- names of hosts --- */

typedef int check_fn(const char *name, size_t len, char *why);

static void assert_name(check_fn *check, const char *name, size_t len, const char *expected)
{
    char why[WHY_BYTES] = "untouched";
    int rc = check(name, len, why);
    if (rc != (expected == NULL ? 0 : -EINVAL) ||
        strcmp(why, expected == NULL ? "untouched" : expected) != 0) {
        fail_msg("\"%.*s\": %d, %s", (int)len, name, rc, why);
    }
    assert_int_equal(check(name, len, NULL), rc);
}

#define NAME(check, literal, why) assert_name(check, literal, sizeof(literal) - 1, why)

static void instances(void **state)
{
    (void)state;
    char why[WHY_BYTES];
    NAME(instance_check, "a", NULL);
    NAME(instance_check, "0", NULL);
    NAME(instance_check, "cattle-0001", NULL);
    NAME(instance_check, "az-09", NULL);
    NAME(instance_check, "a`", "instance \"a`\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "a{", "instance \"a{\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "a/", "instance \"a/\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "a:", "instance \"a:\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "a--b", NULL);
    NAME(instance_check, "", "instance \"\" is empty");
    NAME(instance_check, "-", "instance \"-\" has a label that begins or ends with -");
    NAME(instance_check, "-a", "instance \"-a\" has a label that begins or ends with -");
    NAME(instance_check, "a-", "instance \"a-\" has a label that begins or ends with -");
    NAME(instance_check, "web.1", "instance \"web.1\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "Web", "instance \"Web\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "web_1", "instance \"web_1\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "; rm -rf /", "instance \"; rm -rf /\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "a\0b", "instance \"a\\x00b\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "a\n", "instance \"a\\x0a\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "\xff", "instance \"\\xff\" has a byte other than a-z 0-9 - in a label");
    NAME(instance_check, "caf\xc3\xa9",
         "instance \"caf\\xc3\\xa9\" has a byte other than a-z 0-9 - in a label");
    char name[64];
    memset(name, 'x', sizeof name);
    assert_name(instance_check, name, 63, NULL);
    assert_int_equal(instance_check(name, 64, why), -EINVAL);
    assert_non_null(strstr(why, "is longer than 63 bytes"));
}

static void hosts(void **state)
{
    (void)state;
    NAME(host_check, "a.b", NULL);
    NAME(host_check, "cattle-0001.example.net", NULL);
    NAME(host_check, "10.0.0.1", NULL);
    NAME(host_check, "", "host \"\" is empty");
    NAME(host_check, "web", "host \"web\" has no dot");
    NAME(host_check, "WEB", "host \"WEB\" has no dot");
    NAME(host_check, ".", "host \".\" has an empty label");
    NAME(host_check, ".a", "host \".a\" has an empty label");
    NAME(host_check, "a.", "host \"a.\" has an empty label");
    NAME(host_check, "a..b", "host \"a..b\" has an empty label");
    NAME(host_check, "-a.b", "host \"-a.b\" has a label that begins or ends with -");
    NAME(host_check, "a-.b", "host \"a-.b\" has a label that begins or ends with -");
    NAME(host_check, "a.-b", "host \"a.-b\" has a label that begins or ends with -");
    NAME(host_check, "a.b-", "host \"a.b-\" has a label that begins or ends with -");
    NAME(host_check, "a.B", "host \"a.B\" has a byte other than a-z 0-9 - in a label");
    NAME(host_check, "a.b c", "host \"a.b c\" has a byte other than a-z 0-9 - in a label");
    NAME(host_check, "a.b\0", "host \"a.b\\x00\" has a byte other than a-z 0-9 - in a label");
    NAME(host_check, "; rm -rf /.b", "host \"; rm -rf /.b\" has a byte other than a-z 0-9 - in a label");
    NAME(host_check, "$(reboot).b", "host \"$(reboot).b\" has a byte other than a-z 0-9 - in a label");
}

static void hosts_of_253_bytes_in_labels_of_63(void **state)
{
    (void)state;
    char name[300];
    char why[WHY_BYTES];
    memset(name, 'x', sizeof name);
    for (size_t dot = 63; dot < sizeof name; dot += 64) {
        name[dot] = '.';
    }
    assert_name(host_check, name, 253, NULL);
    assert_int_equal(host_check(name, 254, why), -EINVAL);
    assert_non_null(strstr(why, "is longer than 253 bytes"));
    assert_int_equal(host_check(name, 300, why), -EINVAL);
    assert_true(strlen(why) < WHY_BYTES);
    name[63] = 'x'; /* the first label has 64 now, and more */
    assert_int_equal(host_check(name, 253, why), -EINVAL);
    assert_non_null(strstr(why, "has a label of more than 63 bytes"));
}

static void a_reason_fits_whatever_the_name(void **state)
{
    (void)state;
    char name[300];
    char why[WHY_BYTES];
    for (int byte = 0; byte < 256; byte++) {
        memset(name, byte, sizeof name);
        for (size_t len = 250; len < sizeof name; len += 7) {
            memset(why, 'w', sizeof why);
            assert_int_equal(instance_check(name, len, why), -EINVAL);
            assert_non_null(memchr(why, '\0', sizeof why));
            assert_non_null(strstr(why, "63 bytes")); /* not lost behind a long name */
        }
    }
}

static void names_of_legs_and_kinds(void **state)
{
    (void)state;
    const char *const good[] = {
        "a", "z", "az09", "save", "restart-simulate", "a-", "a1", "a1234567890123456789012345678901"};
    const char *const bad[] = {"",    "-a",  "1a",  "A",     "aB",       "a b",
                               "a.b", "a_b", "a\n", "a\x7f", "\xc3\xa9", "a12345678901234567890123456789012"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(name_check(good[i], strlen(good[i])), 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(name_check(bad[i], strlen(bad[i])), -EINVAL);
    }
    assert_int_equal(name_check("a\0b", 3), -EINVAL);
}

/* --- text_escape --- */

static void assert_escaped(const char *bytes, size_t len, size_t size, const char *expected)
{
    char text[64];
    memset(text, '#', sizeof text);
    assert_ptr_equal(text_escape(bytes, len, text, size), text);
    assert_string_equal(text, expected);
    for (size_t i = size; i < sizeof text; i++) {
        assert_int_equal(text[i], '#');
    }
}

static void bytes_are_escaped(void **state)
{
    (void)state;
    assert_escaped("", 0, 10, "");
    assert_escaped("plain ~", 7, 10, "plain ~");
    assert_escaped("a\nb", 3, 10, "a\\x0ab");
    assert_escaped("\x00\x1f\x7f\x80\xff", 5, 40, "\\x00\\x1f\\x7f\\x80\\xff");
    assert_escaped("\x1b[31m", 5, 40, "\\x1b[31m");
}

static void what_is_too_long_is_cut_with_dots(void **state)
{
    (void)state;
    assert_escaped("123456789", 9, 10, "123456789"); /* just fits */
    assert_escaped("1234567890", 10, 10, "123456...");
    assert_escaped("1234567890", 10, 5, "1...");
    assert_escaped("1234567890", 10, 4, "...");
    assert_escaped("1234567890", 10, 3, "..");
    assert_escaped("1234567890", 10, 2, ".");
    assert_escaped("1234567890", 10, 1, "");
    assert_escaped("", 0, 1, "");
    assert_escaped("123", 3, 4, "123");
    /* An escape is never cut in its middle. */
    assert_escaped("12345\n", 6, 10, "12345\\x0a");
    assert_escaped("123456\n", 7, 10, "123456...");
    assert_escaped("\n\n\n", 3, 10, "\\x0a...");
    assert_escaped("\n\n", 2, 9, "\\x0a\\x0a");
    assert_escaped("\n\n", 2, 8, "\\x0a...");
    assert_escaped("\n\n", 2, 7, "...");
}

static void no_room_at_all_is_left_alone(void **state)
{
    (void)state;
    char one = '#';
    assert_ptr_equal(text_escape("abc", 3, &one, 0), &one);
    assert_int_equal(one, '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_there_and_back),
        cmocka_unit_test(what_is_no_id),
        cmocka_unit_test(instances),
        cmocka_unit_test(hosts),
        cmocka_unit_test(hosts_of_253_bytes_in_labels_of_63),
        cmocka_unit_test(a_reason_fits_whatever_the_name),
        cmocka_unit_test(names_of_legs_and_kinds),
        cmocka_unit_test(bytes_are_escaped),
        cmocka_unit_test(what_is_too_long_is_cut_with_dots),
        cmocka_unit_test(no_room_at_all_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

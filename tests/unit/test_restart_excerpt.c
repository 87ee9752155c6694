/* What is kept of a program's output, and how it is shown; what its exit means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/core/backoff.h"
#include "workers/restart/excerpt.h"
#include "workers/restart/exit_rules.h"

enum { SHOWN = 400, KEPT = EXCERPT_FIRST_BYTES + EXCERPT_LAST_BYTES };

static void shows(const char *said, size_t size, const char *expected)
{
    excerpt_t e;
    char text[4096];

    excerpt_init(&e);
    excerpt_add(&e, said, strlen(said));
    assert_string_equal(excerpt_text(&e, text, size), expected);
}

static void test_what_is_short_is_shown_whole(void **state)
{
    (void)state;
    shows("", SHOWN, "");
    shows("\n \n", SHOWN, "");
    shows("Connection refused\r\n", SHOWN, "Connection refused");
    shows("  a\nb\x1b[2J\xff\n", SHOWN, "a\\x0ab\\x1b[2J\\xff");
}

static void test_what_is_long_is_cut_in_the_middle(void **state)
{
    char said[700], expected[SHOWN];

    (void)state;
    for (size_t i = 0; i < sizeof said - 1; i++)
        said[i] = (char)('a' + i % 26);
    said[sizeof said - 1] = '\0';
    shows(said, 1000, said);
    const size_t room = SHOWN - 1 - 48, first = room / 3, last = room - first;
    snprintf(expected, sizeof expected, "%.*s [%zu bytes left out] %s", (int)first, said,
             sizeof said - 1 - first - last, said + sizeof said - 1 - last);
    shows(said, SHOWN, expected);
}

static void test_the_first_and_the_last_of_a_flood_are_kept(void **state)
{
    uint64_t random = 7;

    (void)state;
    for (int round = 0; round < 200; round++) {
        const size_t len = random_next(&random) % 5000;
        static char said[5000];
        char text[8 * KEPT], expected[2048] = "";
        excerpt_t e;
        excerpt_init(&e);
        for (size_t i = 0; i < len; i++)
            said[i] = (char)('A' + random_next(&random) % 26);
        for (size_t at = 0, n; at < len; at += n) {
            n = 1 + random_next(&random) % 1200;
            n = n < len - at ? n : len - at;
            excerpt_add(&e, said + at, n);
        }
        assert_int_equal(e.len, len);
        assert_int_equal(excerpt_left_out(&e), len > KEPT ? len - KEPT : 0);
        excerpt_text(&e, text, sizeof text);
        if (len <= KEPT)
            snprintf(expected, sizeof expected, "%.*s", (int)len, said);
        else
            snprintf(expected, sizeof expected, "%.256s [%zu bytes left out] %.512s", said, len - KEPT,
                     said + len - EXCERPT_LAST_BYTES);
        assert_string_equal(text, expected);
    }
}

static void test_no_size_is_too_small(void **state)
{
    uint64_t random = 11;

    (void)state;
    for (size_t size = 1; size < 1200; size++) {
        char text[1201], said[1024];
        excerpt_t e;
        excerpt_init(&e);
        for (size_t i = 0; i < sizeof said; i++)
            said[i] = (char)(random_next(&random) % 256);
        excerpt_add(&e, said, random_next(&random) % sizeof said);
        memset(text, '#', sizeof text);
        excerpt_text(&e, text, size);
        assert_true(strlen(text) < size);
        assert_int_equal(text[size], '#');
    }
}

static exit_meaning_t meaning(const char *const *rules, size_t count, int code)
{
    exit_rules_t r;
    size_t bad = 0;

    assert_int_equal(exit_rules_parse(&r, rules, count, &bad), 0);
    return exit_rules_meaning(&r, code);
}

static void test_exits_mean_what_rules_say(void **state)
{
    static const char *const rules[] = {"1-99=permanent", "75=transient", "255=ok", "0=unknown"};

    (void)state;
    assert_int_equal(meaning(NULL, 0, 0), EXIT_OK);
    assert_int_equal(meaning(NULL, 0, 1), EXIT_TRANSIENT);
    assert_int_equal(meaning(NULL, 0, 123), EXIT_TRANSIENT);
    assert_int_equal(meaning(NULL, 0, 124), EXIT_UNKNOWN);
    assert_int_equal(meaning(NULL, 0, 125), EXIT_TRANSIENT);
    assert_int_equal(meaning(NULL, 0, 127), EXIT_TRANSIENT);
    assert_int_equal(meaning(NULL, 0, 128), EXIT_UNKNOWN);
    assert_int_equal(meaning(NULL, 0, 143), EXIT_UNKNOWN);
    assert_int_equal(meaning(NULL, 0, 255), EXIT_UNKNOWN);
    assert_int_equal(meaning(NULL, 0, -1), EXIT_UNKNOWN);
    assert_int_equal(meaning(rules, 4, 0), EXIT_UNKNOWN);
    assert_int_equal(meaning(rules, 4, 1), EXIT_PERMANENT);
    assert_int_equal(meaning(rules, 4, 75), EXIT_TRANSIENT);
    assert_int_equal(meaning(rules, 4, 99), EXIT_PERMANENT);
    assert_int_equal(meaning(rules, 4, 100), EXIT_TRANSIENT);
    assert_int_equal(meaning(rules, 4, 255), EXIT_OK);
}

static void test_what_is_no_rule_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "=ok",
                                      "1=",
                                      "1=maybe",
                                      "256=ok",
                                      "-1=ok",
                                      "1-=ok",
                                      "5-4=ok",
                                      "a=ok",
                                      "1=ok ",
                                      " 1=ok",
                                      "1-2-3=ok",
                                      "0001=ok",
                                      "1=OK",
                                      "1==ok",
                                      "1-256=ok",
                                      "1=okay",
                                      "99999999999999999999=ok"};
    exit_rules_t r;
    size_t at = 9;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *const rules[] = {"3=ok", bad[i]};
        if (exit_rules_parse(&r, rules, 2, &at) != -EINVAL)
            fail_msg("taken: '%s'", bad[i]);
        assert_int_equal(at, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_short_is_shown_whole),
        cmocka_unit_test(test_what_is_long_is_cut_in_the_middle),
        cmocka_unit_test(test_the_first_and_the_last_of_a_flood_are_kept),
        cmocka_unit_test(test_no_size_is_too_small),
        cmocka_unit_test(test_exits_mean_what_rules_say),
        cmocka_unit_test(test_what_is_no_rule_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

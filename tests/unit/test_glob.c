#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/core/backoff.h"
#include "common/core/glob.h"

static bool match(const char *pattern, const char *text)
{
    return glob_match(pattern, strlen(pattern), text, strlen(text));
}

static void test_plain(void **state)
{
    (void)state;
    assert_true(match("web-1", "web-1"));
    assert_false(match("web-1", "web-12"));
    assert_false(match("web-12", "web-1"));
    assert_false(match("web-1", "Web-1"));
    assert_true(match("", ""));
    assert_false(match("", "a"));
    assert_false(match("a", ""));
    assert_true(match("[a-z]\\", "[a-z]\\")); /* nothing else is special */
}

static void test_any_one(void **state)
{
    (void)state;
    assert_true(match("web-?", "web-1"));
    assert_false(match("web-?", "web-"));
    assert_false(match("web-?", "web-12"));
    assert_true(match("?", "\xc3\xa4"));
    assert_true(match("??", "\xe2\x82\xac\xf0\x9f\x8e\x81"));
    assert_false(match("??", "\xc3\xa4"));
    assert_true(match("*?", "x\xc3\xa4"));
    assert_true(match("?", "\xc3")); /* cut short: no reading behind it */
}

static void test_any_number(void **state)
{
    (void)state;
    assert_true(match("*", ""));
    assert_true(match("*", "anything"));
    assert_true(match("**", ""));
    assert_true(match("web-*", "web-"));
    assert_true(match("web-*.example.net", "web-12.example.net"));
    assert_false(match("web-*.example.net", "web-12.example.com"));
    assert_true(match("*no route*", "permanent: no route to host"));
    assert_false(match("*no route", "permanent: no route to host"));
    assert_true(match("*.net", ".net.net"));
    assert_true(match("*ab*ab", "xabyabzab"));
    assert_false(match("*ab*ab*ab*ab", "xabyabzab"));
    assert_true(match("a*?b", "axb"));
    assert_false(match("a*?b", "ab"));
    assert_true(match("a**b", "ab"));
}

/* The plainest definition there is. */
static bool slow(const char *p, const char *t)
{
    if (*p == '\0') {
        return *t == '\0';
    }
    if (*p == '*') {
        return slow(p + 1, t) || (*t != '\0' && slow(p, t + 1));
    }
    return *t != '\0' && (*p == '?' || *p == *t) && slow(p + 1, t + 1);
}

static void test_against_the_definition(void **state)
{
    enum { ROUNDS = 200000 };
    (void)state;
    uint64_t random = 7;
    unsigned matches = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char pattern[8] = "", text[10] = "";
        for (uint64_t n = random_next(&random) % 7; n > 0; n--) {
            pattern[strlen(pattern)] = "ab*?"[random_next(&random) % 4];
        }
        for (uint64_t n = random_next(&random) % 9; n > 0; n--) {
            text[strlen(text)] = "ab"[random_next(&random) % 2];
        }
        if (match(pattern, text) != slow(pattern, text)) {
            fail_msg("\"%s\" and \"%s\": %d", pattern, text, match(pattern, text));
        }
        matches += match(pattern, text);
    }
    assert_in_range(matches, ROUNDS / 100, ROUNDS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_any_one),
        cmocka_unit_test(test_any_number),
        cmocka_unit_test(test_against_the_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

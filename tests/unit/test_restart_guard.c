/* Which hosts may be restarted at all: names that are none, patterns that allow and deny. */
#include "workers/restart/guard.h"

#include "common/core/backoff.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { HOSTILE = 1000, BYTES_MAX = 300 };

static bool allows_bytes(const guard_t *g, const char *host, size_t len, char *why)
{
    const char *dot = memchr(host, '.', len);
    const body_t body = {.host = host,
                         .host_len = (uint32_t)len,
                         .instance = host,
                         .instance_len = (uint32_t)(dot != NULL ? (size_t)(dot - host) : len)};
    return guard_allows(g, &body, why);
}

static bool allows(const guard_t *g, const char *host)
{
    char why[WHY_BYTES] = "";
    const bool allowed = allows_bytes(g, host, strlen(host), why);
    assert_int_equal(why[0] == '\0', allowed);
    return allowed;
}

/* What is refused is named, in plain ASCII. */
static void refuses(const char *host, size_t len)
{
    static const guard_t open = {.allow_count = 0};
    char why[WHY_BYTES] = "";
    if (allows_bytes(&open, host, len, why))
        fail_msg("'%.*s' may be restarted", (int)len, host);
    assert_true(why[0] != '\0' && strlen(why) < WHY_BYTES);
    for (const char *at = why; *at != '\0'; at++)
        assert_in_range((unsigned char)*at, ' ', '~');
}

static void names_that_are_none(void **state)
{
    static const char *const names[] = {"",
                                        ".",
                                        "..",
                                        "web-1",
                                        "web-1.",
                                        ".example.net",
                                        "web..example.net",
                                        "-web.example.net",
                                        "web-.example.net",
                                        "web.-example.net",
                                        "--help.example.net",
                                        "Web-1.example.net",
                                        "web_1.example.net",
                                        "web-1.example.net/../..",
                                        "web-1.example.net;reboot",
                                        "$(reboot).example.net",
                                        "`reboot`.example.net",
                                        "web-1.example.net reboot",
                                        "web-1.example.net\nreboot",
                                        "root@web-1.example.net",
                                        "http://web-1.example.net",
                                        "web-1.example.net:22",
                                        "web-1.example.net%00",
                                        "{host}.example.net",
                                        "*.example.net",
                                        "w\xc3\xa4s.example.net"};
    char longest[HOST_BYTES_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        refuses(names[i], strlen(names[i]));
    refuses("web-1\0.example.net", 18);
    for (size_t i = 0; i < sizeof longest; i++)
        longest[i] = i % 2 == 0 ? 'a' : '.';
    longest[sizeof longest - 1] = 'a';
    refuses(longest, sizeof longest);
}

/* A good name with one byte in it that no host has. */
static void bytes_that_no_name_has(void **state)
{
    static const char good[] = "web-1.example.net";
    uint64_t random = 42;
    char name[BYTES_MAX];
    unsigned refused = 0;
    (void)state;
    while (refused < HOSTILE) {
        const char byte = (char)random_next(&random);
        if (byte == '-' || byte == '.' || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9'))
            continue;
        const size_t at = random_next(&random) % sizeof good;
        snprintf(name, sizeof name, "%.*s%c%s", (int)at, good, byte, good + at);
        /* A NUL is copied by no format. */
        memcpy(name + at + 1, good + at, sizeof good - at);
        name[at] = byte;
        refuses(name, sizeof good);
        refused++;
    }
}

static void without_rules_every_host_may_be(void **state)
{
    static const guard_t open = {.allow_count = 0};
    char longest[HOST_BYTES_MAX + 1];
    (void)state;
    assert_true(allows(&open, "web-1.example.net"));
    assert_true(allows(&open, "1.2"));
    for (size_t i = 0; i < HOST_BYTES_MAX; i++)
        longest[i] = i % 2 == 0 ? 'a' : '.';
    longest[HOST_BYTES_MAX] = '\0';
    assert_true(allows(&open, longest));
}

static void who_is_denied_is_not_allowed(void **state)
{
    static const char *const allow[] = {"web-*.example.net", "db-1.*"};
    static const char *const deny[] = {"web-9", "*.lab.example.net"};
    const guard_t g = {allow, 2, deny, 2};
    const guard_t only_deny = {.deny = deny, .deny_count = 2};
    const guard_t only_allow = {.allow = allow, .allow_count = 2};
    (void)state;
    assert_true(allows(&g, "web-1.example.net"));
    assert_true(allows(&g, "db-1.example.org"));
    assert_false(allows(&g, "db-2.example.net"));
    /* The first part of a name is enough to deny it, and not to allow it. */
    assert_false(allows(&g, "web-9.example.net"));
    assert_false(allows(&only_deny, "web-9.example.org"));
    assert_true(allows(&only_deny, "web-90.example.org"));
    assert_false(allows(&g, "web-1.lab.example.net"));
    assert_false(allows(&only_allow, "db-1x.example.net"));
    assert_true(allows(&only_allow, "web-9.example.net"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(bytes_that_no_name_has),
        cmocka_unit_test(without_rules_every_host_may_be),
        cmocka_unit_test(who_is_denied_is_not_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/core/message.h"
#include "common/runtime/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char why[WHY_BYTES];

static void good_endpoints_pass(void **state)
{
    (void)state;
    static const char *const good[] = {
        "tcp://127.0.0.1:5555", "tcp://127.0.0.1:0",       "tcp://*:5555", "tcp://*:*",
        "tcp://consumer:65535", "tcp://a-b.example.net:1", "ipc://x",      "ipc:///tmp/some dir/x.sock",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(endpoint_check(good[i], why), 0);
}

static void bad_endpoints_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint, *why;
    } bad[] = {
        {"", "is no endpoint"},
        {"5555", "is no endpoint"},
        {"udp://127.0.0.1:5555", "is no endpoint"},
        {"inproc://x", "is no endpoint"},
        {"tcp://127.0.0.1", "no port"},
        {"tcp://127.0.0.1:", "no port of"},
        {"tcp://127.0.0.1:65536", "no port of"},
        {"tcp://127.0.0.1:99999999999", "no port of"},
        {"tcp://127.0.0.1:-1", "no port of"},
        {"tcp://:5555", "no valid address"},
        {"tcp://eth0;127.0.0.1:5555", "no valid address"},
        {"tcp://a b:5555", "no valid address"},
        {"tcp://-a:5555", "no valid address"},
        {"tcp://[::1]:5555", "IPv6"},
        {"ipc://", "no path"},
        {"ipc://@abstract", "no path"},
        {"ipc://*", "no path"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(why, sizeof why, "nothing");
        assert_int_equal(endpoint_check(bad[i].endpoint, why), -EINVAL);
        assert_non_null(strstr(why, bad[i].why));
    }
}

static void a_path_is_limited_by_what_the_kernel_takes(void **state)
{
    (void)state;
    char endpoint[256] = "ipc://";
    memset(endpoint + 6, 'p', 107);
    assert_int_equal(endpoint_check(endpoint, why), 0);
    endpoint[6 + 107] = 'p';
    assert_int_equal(endpoint_check(endpoint, why), -EINVAL);
    assert_non_null(strstr(why, "107"));
}

static void control_characters_are_escaped(void **state)
{
    (void)state;
    assert_int_equal(endpoint_check("tcp://a\x1b[31m", why), -EINVAL);
    assert_null(strchr(why, '\x1b'));
}

static void numbers_and_paths_resolve_to_themselves(void **state)
{
    (void)state;
    char list[4][128];
    assert_int_equal(endpoint_resolve("tcp://127.0.0.1:5555", list, 4, why), 1);
    assert_string_equal(list[0], "tcp://127.0.0.1:5555");
    assert_int_equal(endpoint_resolve("tcp://127.0.0.1:*", list, 4, why), 1);
    assert_string_equal(list[0], "tcp://127.0.0.1:0");
    assert_int_equal(endpoint_resolve("tcp://*:7", list, 4, why), 1);
    assert_string_equal(list[0], "tcp://*:7");
    assert_int_equal(endpoint_resolve("ipc:///tmp/x", list, 4, why), 1);
    assert_string_equal(list[0], "ipc:///tmp/x");
}

static void a_name_resolves_to_numbers(void **state)
{
    (void)state;
    char list[4][128];
    const int n = endpoint_resolve("tcp://localhost:5555", list, 4, why);
    assert_int_equal(n, 1);
    assert_string_equal(list[0], "tcp://127.0.0.1:5555");
}

static void an_unknown_name_is_an_error(void **state)
{
    (void)state;
    char list[1][128] = {"untouched"};
    const int n = endpoint_resolve("tcp://no-such-host.invalid:5555", list, 1, why);
    /* -EAGAIN where no name server can be asked. */
    assert_true(n == -ENOENT || n == -EAGAIN);
    assert_non_null(strstr(why, "no-such-host.invalid"));
    assert_string_equal(list[0], "untouched");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_endpoints_pass),
        cmocka_unit_test(bad_endpoints_say_why),
        cmocka_unit_test(a_path_is_limited_by_what_the_kernel_takes),
        cmocka_unit_test(control_characters_are_escaped),
        cmocka_unit_test(numbers_and_paths_resolve_to_themselves),
        cmocka_unit_test(a_name_resolves_to_numbers),
        cmocka_unit_test(an_unknown_name_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

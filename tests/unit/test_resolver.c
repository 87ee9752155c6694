#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/core/message.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/resolver.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

enum { WAIT_MS = 10000 };

static void test_numbers_need_no_thread(void **state)
{
    (void)state;
    const char *endpoints[] = {"tcp://127.0.0.1:5", "ipc:///tmp/x", "tcp://127.0.0.1:5"};
    char found[RESOLVED_MAX][ADDRESS_BYTES], why[WHY_BYTES];
    resolver_t *r;
    assert_int_equal(resolver_open(&r, endpoints, 3, why), 0);
    assert_int_equal(resolver_fd(r), -1);
    assert_int_equal(resolver_take(r, found), 2);
    assert_string_equal(found[0], endpoints[0]);
    assert_string_equal(found[1], endpoints[1]);
    assert_int_equal(resolver_take(r, found), -EAGAIN);
    resolver_close(&r);
    resolver_close(&r);
}

static void test_a_name_is_looked_up_by_a_thread(void **state)
{
    (void)state;
    const char *endpoints[] = {"tcp://localhost:5", "tcp://no-such-host.invalid:5", "tcp://127.0.0.1:6"};
    char found[RESOLVED_MAX][ADDRESS_BYTES], why[WHY_BYTES];
    resolver_t *r;
    assert_int_equal(resolver_open(&r, endpoints, 3, why), 0);
    /* What needs no lookup is there at once. */
    int n = resolver_take(r, found);
    assert_true(n == 1 || n == 2);
    struct pollfd news = {.fd = resolver_fd(r), .events = POLLIN};
    for (int tries = 0; n < 2 && tries < 10; tries++) {
        assert_int_equal(poll(&news, 1, WAIT_MS), 1);
        n = resolver_take(r, found);
    }
    assert_int_equal(n, 2);
    assert_string_equal(found[0], "tcp://127.0.0.1:5");
    assert_string_equal(found[1], "tcp://127.0.0.1:6");
    assert_int_equal(resolver_take(r, found), -EAGAIN);
    int64_t start_ms = clock_ms();
    resolver_close(&r);
    assert_true(clock_ms() - start_ms < 1000);
}

static void test_what_is_no_endpoint(void **state)
{
    (void)state;
    char why[WHY_BYTES] = "", endpoint[2 * ADDRESS_BYTES] = "tcp://";
    resolver_t *r = NULL;
    assert_int_equal(resolver_open(&r, (const char *[]){"udp://nowhere"}, 1, why), -EINVAL);
    assert_true(strlen(why) > 0);
    memset(endpoint + strlen(endpoint), 'x', ADDRESS_BYTES);
    memcpy(endpoint + strlen("tcp://") + ADDRESS_BYTES, ":5555", sizeof ":5555");
    why[0] = '\0';
    assert_int_equal(resolver_open(&r, (const char *[]){endpoint}, 1, why), -EINVAL);
    assert_true(strlen(why) > 0);
    assert_null(r);
}

int main(void)
{
    log_open("test", LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_need_no_thread),
        cmocka_unit_test(test_a_name_is_looked_up_by_a_thread),
        cmocka_unit_test(test_what_is_no_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

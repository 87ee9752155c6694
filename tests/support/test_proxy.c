/* The proxy is tried first: what it lets through, holds back, swallows and cuts. */
#include "tests/support/proxy.h"

#include <string.h>

enum { QUIET_MS = 150 };

typedef struct {
    void *up, *down; /* the server, and who connects through the proxy */
    proxy_t *proxy;
} line_t;

static void line_open(line_t *l, rig_t *rig)
{
    const int rcvtimeo_ms = WAIT_MS;

    l->proxy = proxy_open(rig, "server");
    l->down = rig_dealer(rig, rig_way_to(rig, "server"));
    l->up = zmq_socket(rig->zmq, ZMQ_DEALER);
    assert_non_null(l->up);
    assert_int_equal(zmq_bind(l->up, rig_endpoint(rig, "server")), 0);
    zmq_setsockopt(l->up, ZMQ_RCVTIMEO, &rcvtimeo_ms, sizeof rcvtimeo_ms);
    zmq_setsockopt(l->down, ZMQ_RCVTIMEO, &rcvtimeo_ms, sizeof rcvtimeo_ms);
}

static void say(void *from, const char *text)
{
    assert_int_equal(zmq_send(from, text, strlen(text), 0), (int)strlen(text));
}

static bool hears(void *to, const char *text)
{
    char got[64];
    int n = zmq_recv(to, got, sizeof got, 0);

    return n == (int)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

static bool quiet(void *to)
{
    zmq_pollitem_t item = {.socket = to, .events = ZMQ_POLLIN};

    return zmq_poll(&item, 1, QUIET_MS) == 0;
}

static void line_close(line_t *l, rig_t *rig)
{
    const int none = 0;

    zmq_setsockopt(l->up, ZMQ_LINGER, &none, sizeof none);
    zmq_close(l->up);
    rig_passed(rig);
}

static void test_bytes_pass_both_ways(void **state)
{
    line_t l;

    line_open(&l, *state);
    say(l.down, "there");
    assert_true(hears(l.up, "there"));
    say(l.up, "and back");
    assert_true(hears(l.down, "and back"));
    assert_int_equal(proxy_connections(l.proxy), 1);
    line_close(&l, *state);
}

static void test_what_is_held_comes_late(void **state)
{
    line_t l;

    line_open(&l, *state);
    say(l.down, "one");
    assert_true(hears(l.up, "one"));
    proxy_set(l.proxy, PROXY_UP, PROXY_HOLD);
    say(l.down, "two");
    say(l.up, "three");
    assert_true(hears(l.down, "three"));
    assert_true(quiet(l.up));
    proxy_set(l.proxy, PROXY_UP, PROXY_PASS);
    assert_true(hears(l.up, "two"));
    line_close(&l, *state);
}

static void test_what_is_dropped_never_comes_nor_what_follows_it(void **state)
{
    line_t l;

    line_open(&l, *state);
    say(l.down, "one");
    assert_true(hears(l.up, "one"));
    proxy_set(l.proxy, PROXY_UP, PROXY_DROP);
    say(l.down, "two");
    assert_true(quiet(l.up));
    proxy_set(l.proxy, PROXY_UP, PROXY_PASS);
    say(l.down, "three");
    assert_true(quiet(l.up));
    say(l.up, "four");
    assert_true(hears(l.down, "four"));
    assert_int_equal(proxy_connections(l.proxy), 1);
    line_close(&l, *state);
}

static void test_who_was_reset_connects_anew(void **state)
{
    line_t l;

    line_open(&l, *state);
    for (int i = 0; i < 3; i++) {
        say(l.down, "here");
        assert_true(hears(l.up, "here"));
        assert_int_equal(proxy_reset(l.proxy, PROXY_BOTH), 1);
        WAIT(proxy_connections(l.proxy) == 1);
    }
    line_close(&l, *state);
}

static void test_an_end_that_was_not_reset_hears_nothing_of_it(void **state)
{
    line_t l;

    line_open(&l, *state);
    say(l.down, "here");
    assert_true(hears(l.up, "here"));
    assert_int_equal(proxy_reset(l.proxy, PROXY_UP), 1);
    say(l.down, "into the void");
    assert_true(quiet(l.up));
    assert_int_equal(proxy_connections(l.proxy), 0);
    line_close(&l, *state);
}

static void test_refused_until_it_listens_again(void **state)
{
    line_t l;

    line_open(&l, *state);
    WAIT(proxy_connections(l.proxy) == 1);
    proxy_refuse(l.proxy, true);
    proxy_reset(l.proxy, PROXY_BOTH);
    assert_true(quiet(l.up));
    assert_int_equal(proxy_connections(l.proxy), 0);
    proxy_refuse(l.proxy, false);
    WAIT(proxy_connections(l.proxy) == 1);
    line_close(&l, *state);
}

static void test_delay(void **state)
{
    line_t l;

    line_open(&l, *state);
    say(l.down, "one");
    assert_true(hears(l.up, "one"));
    proxy_delay(l.proxy, 2 * QUIET_MS);
    int64_t said_ms = test_now_ms();
    say(l.down, "two");
    assert_true(hears(l.up, "two"));
    assert_true(test_now_ms() - said_ms >= 2 * QUIET_MS - 1);
    line_close(&l, *state);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_bytes_pass_both_ways, "tcp"),
        RIG_TEST(test_what_is_held_comes_late, "tcp"),
        RIG_TEST(test_what_is_dropped_never_comes_nor_what_follows_it, "tcp"),
        RIG_TEST(test_who_was_reset_connects_anew, "tcp"),
        RIG_TEST(test_an_end_that_was_not_reset_hears_nothing_of_it, "tcp"),
        RIG_TEST(test_refused_until_it_listens_again, "tcp"),
        RIG_TEST(test_delay, "tcp"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

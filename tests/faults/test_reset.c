/* Connections that end, by a proxy: resets again and again, one end alone that hears of it, refusals; and
 * bytes that take their time. Nobody is started again. */
#include "common/core/backoff.h"
#include "tests/faults/network.h"

enum {
    RESETS = 20,
    RESET_MS_MIN = 50,
    RESET_MS_MAX = 200,
    REFUSED_MS = 1500,
    DELAY_MS = 60,
    LONG_TIMES = 40,
};

static unsigned times = 1; /* as much as in ./check */

static void resets(rig_t *rig, const char *endpoint_name)
{
    trial_t t;
    proxy_t *proxy = network_start(&t, rig, endpoint_name);
    unsigned cut = 0;

    for (unsigned i = 0; i < RESETS * times; i++) {
        trial_last(&t, RESET_MS_MIN + (int64_t)(random_next(&t.seed) % (RESET_MS_MAX - RESET_MS_MIN + 1)));
        cut += proxy_reset(proxy, PROXY_BOTH);
    }
    trial_recover(&t, test_now_ms());
    assert_true(cut > 0);
    t.figures.cycles = cut;
    network_end(&t, "connections reset every 50..200 ms", endpoint_name);
}

static void half_open_connections(rig_t *rig, const char *endpoint_name)
{
    static const proxy_ways_t ENDS[] = {PROXY_UP, PROXY_DOWN};
    trial_t t;
    proxy_t *proxy = network_start(&t, rig, endpoint_name);

    for (unsigned i = 0; i < 2 * times; i++) {
        assert_true(proxy_reset(proxy, ENDS[i % 2]) > 0);
        trial_recover(&t, test_now_ms());
        TRIAL_WAIT(&t, proxy_connections(proxy) > 0);
    }
    network_end(&t, "connection half open", endpoint_name);
}

static void refused_connections(rig_t *rig, const char *endpoint_name)
{
    trial_t t;
    proxy_t *proxy = network_start(&t, rig, endpoint_name);

    for (unsigned i = 0; i < times; i++) {
        proxy_refuse(proxy, true);
        assert_true(proxy_reset(proxy, PROXY_BOTH) > 0);
        trial_last(&t, REFUSED_MS);
        proxy_refuse(proxy, false);
        trial_recover(&t, test_now_ms());
        TRIAL_WAIT(&t, proxy_connections(proxy) > 0);
    }
    network_end(&t, "reset, and refused for 1.5 s", endpoint_name);
}

static void delay(rig_t *rig, const char *endpoint_name)
{
    trial_t t;
    proxy_t *proxy = network_start(&t, rig, endpoint_name);

    proxy_delay(proxy, DELAY_MS);
    trial_recover(&t, test_now_ms());
    trial_publish(&t, 4 * NETWORK_CONFIRMS * times);
    assert_int_equal(status_number(rig, "clients-0", STATUS_REDELIVERED), 0);
    network_end(&t, "120 ms there and back", endpoint_name);
}

NETWORK_TESTS(resets)
NETWORK_TESTS(half_open_connections)
NETWORK_TESTS(refused_connections)
NETWORK_TESTS(delay)

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        NETWORK_TESTS_OF(resets),
        NETWORK_TESTS_OF(half_open_connections),
        NETWORK_TESTS_OF(refused_connections),
        NETWORK_TESTS_OF(delay),
    };

    if (argc > 1 && strcmp(argv[1], "long") == 0)
        times = LONG_TIMES;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

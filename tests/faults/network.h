/* What tests of the network share: a trial with a proxy in front of one endpoint, for each hop. */
#ifndef MANDRILL_TEST_NETWORK_H
#define MANDRILL_TEST_NETWORK_H

#include "tests/support/proxy.h"
#include "tests/support/trial.h"

#include <stdio.h>
#include <string.h>

enum { NETWORK_LEASE_MS = 1000, NETWORK_CONFIRMS = 40 };

static proxy_t *network_start(trial_t *t, rig_t *rig, const char *endpoint_name)
{
    proxy_t *proxy = proxy_open(rig, endpoint_name);

    trial_start(t, rig, NETWORK_LEASE_MS);
    trial_publish(t, NETWORK_CONFIRMS);
    TRIAL_WAIT(t, proxy_connections(proxy) > 0);
    return proxy;
}

static void network_end(trial_t *t, const char *what, const char *endpoint_name)
{
    char row[96];

    snprintf(row, sizeof row, "%s, %s", what,
             strcmp(endpoint_name, "leases-0") == 0 ? "publisher and consumer" : "consumer and workers");
    trial_end_unhelped(t, row);
}

/* Two tests of a `static void name(rig_t *rig, const char *endpoint_name)`. */
#define NETWORK_TESTS(name)                                                                                  \
    static void test_##name##_between_publisher_and_consumer(void **state)                                   \
    {                                                                                                        \
        name(*state, "leases-0");                                                                            \
    }                                                                                                        \
    static void test_##name##_between_consumer_and_workers(void **state)                                     \
    {                                                                                                        \
        name(*state, "tasks-0");                                                                             \
    }
#define NETWORK_TESTS_OF(name)                                                                               \
    RIG_TEST(test_##name##_between_publisher_and_consumer, "tcp"),                                           \
        RIG_TEST(test_##name##_between_consumer_and_workers, "tcp")

#endif

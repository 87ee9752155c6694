/* Partitions between the programs, by a proxy: shorter than the ack deadline, longer, and longer than it
 * takes to be thought dead; both ways or one; bytes that come late, and bytes that never come. Nobody is
 * started again. */
#include "common/core/backoff.h"
#include "common/core/peers.h"
#include "tests/faults/network.h"

enum {
    SHORT_MS = NETWORK_LEASE_MS / 4,            /* nobody notices */
    LONG_MS = NETWORK_LEASE_MS * 3 / 2,         /* leases run out */
    SILENT_MS = DEAD_MS + NETWORK_LEASE_MS / 2, /* both sides give each other up */
    LONG_PARTITIONS = 40,
};

typedef struct {
    proxy_ways_t ways;
    proxy_mode_t mode;
} partition_t;

/* One way that is cut says more than both: one side goes on believing that all is well. */
static const partition_t PARTITIONS[] = {
    {PROXY_BOTH, PROXY_DROP}, {PROXY_UP, PROXY_DROP}, {PROXY_DOWN, PROXY_DROP}, {PROXY_BOTH, PROXY_HOLD}};
enum { PARTITIONS_COUNT = sizeof PARTITIONS / sizeof *PARTITIONS };

static unsigned partitions = 2; /* a test */

static void cut(trial_t *t, proxy_t *proxy, partition_t partition, int64_t ms)
{
    proxy_set(proxy, partition.ways, partition.mode);
    trial_last(t, ms);
    proxy_set(proxy, PROXY_BOTH, PROXY_PASS);
    trial_recover(t, test_now_ms());
}

/* Bytes are late and none is lost: as long as that is short, it costs nothing. */
static void short_partitions(rig_t *rig, const char *endpoint_name)
{
    trial_t t;
    proxy_t *proxy = network_start(&t, rig, endpoint_name);

    for (unsigned i = 0; i < partitions; i++)
        for (proxy_ways_t ways = PROXY_UP; ways <= PROXY_BOTH; ways++)
            cut(&t, proxy, (partition_t){ways, PROXY_HOLD}, SHORT_MS);
    assert_int_equal(status_number(rig, "clients-0", STATUS_REDELIVERED), 0);
    network_end(&t, "partition of 250 ms, bytes late", endpoint_name);
}

static void cut_again_and_again(rig_t *rig, const char *endpoint_name, int64_t ms, const char *what)
{
    trial_t t;
    proxy_t *proxy = network_start(&t, rig, endpoint_name);
    unsigned first = (unsigned)(random_next(&t.seed) % PARTITIONS_COUNT);

    for (unsigned i = 0; i < partitions; i++)
        cut(&t, proxy, PARTITIONS[(first + i) % PARTITIONS_COUNT], ms);
    network_end(&t, what, endpoint_name);
}

static void partitions_longer_than_the_lease(rig_t *rig, const char *endpoint_name)
{
    cut_again_and_again(rig, endpoint_name, LONG_MS, "partition of 1.5 s, longer than the ack deadline");
}

static void partitions_longer_than_silence(rig_t *rig, const char *endpoint_name)
{
    cut_again_and_again(rig, endpoint_name, SILENT_MS, "partition of 3.5 s, longer than silence");
}

NETWORK_TESTS(short_partitions)
NETWORK_TESTS(partitions_longer_than_the_lease)
NETWORK_TESTS(partitions_longer_than_silence)

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        NETWORK_TESTS_OF(short_partitions),
        NETWORK_TESTS_OF(partitions_longer_than_the_lease),
        NETWORK_TESTS_OF(partitions_longer_than_silence),
    };

    if (argc > 1 && strcmp(argv[1], "long") == 0)
        partitions = LONG_PARTITIONS;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

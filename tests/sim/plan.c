#include "tests/sim/plan.h"

static uint64_t random;

static uint64_t below(uint64_t n)
{
    return (random_next(&random) >> 11) % n;
}

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)below((uint64_t)(high - low) + 1);
}

/* Mostly small, sometimes as large as may be: the exponent is drawn. */
static uint32_t skewed(uint32_t max)
{
    uint32_t bits = 0;
    while (max >> bits > 1)
        bits++;
    uint32_t top = UINT32_C(2) << below(bits + 1);
    uint32_t n = 1 + (uint32_t)below(top);
    return n < max ? n : max;
}

static uint32_t rarely(uint32_t per_thousand_max)
{
    return below(2) == 0 ? 0 : (uint32_t)below(per_thousand_max + 1);
}

static void plan_limits(plan_t *p)
{
    static const int64_t deadlines_ms[] = {1000, 1000, 2000, 3000, 5000};
    int64_t ack_ms = deadlines_ms[below(5)];
    p->delivery = (delivery_limits_t){
        .table_max = (uint32_t)between(4, 512),
        .ready_max = skewed(512),
        .ready_bytes_max = below(4) == 0 ? 4096 : READY_BYTES_MAX,
        .ack_deadline_ms = ack_ms,
        .lease_cap_ms = below(8) == 0 ? 4 * ack_ms : 3600000,
        .max_deliveries = (uint32_t)between(1, 6),
    };
    p->delivery.parked_max = p->delivery.table_max / 2;
    p->publisher_batch = skewed(256);
    p->outbox_max = below(6) == 0 ? between(200, 4000) : INT64_C(1) << 40;
    p->gather = (gather_limits_t){
        .extend_ms = ack_ms * 3 / 10,
        .extend_every_ms = ack_ms * 2 / 10,
        .report_after_ms = between(0, 200),
        .release_after_ms = below(3) == 0 ? 0 : between(50, 1500),
        .policy = {.max_tries = (uint32_t)between(1, 5),
                   .backoff = {.base_ms = between(10, 300), .factor = 2, .cap_ms = between(300, 3000)}},
    };
    p->consumer_batch = skewed(128);
    p->window_max = skewed(256);
    p->gather.messages_max = 2 * p->window_max + p->consumer_batch;
    p->save_batch = skewed(64);
    p->restart_slots = skewed(64);
    p->drain_ms = between(100, 4000);
}

/* Time limits of tasks, now and then: the soft one first, and never longer than the hard one. */
static void plan_task_limits(gather_policy_t *policy)
{
    if (below(3) == 0)
        policy->limit_ms = between(200, 4000);
    if (below(3) == 0)
        policy->limit_hard_ms = policy->limit_ms + between(200, 4000);
}

static void plan_machines(plan_t *p)
{
    static const int64_t latencies_us[] = {50, 300, 300, 2000, 20000};
    p->latency_us = latencies_us[below(5)];
    p->spikes = rarely(30);
    p->spike_us = between(1000, 4000000);
    p->duplicates = rarely(30);
    p->pipe_frames = below(4) == 0 ? (uint32_t)between(1, 16) : 100000;
    p->commit_us = between(100, 3000);
    p->slow_commits = rarely(50);
    p->slow_commit_us = between(1000, 2000000);
    p->stalls = rarely(10);
    p->stall_us = between(1000, 1500000);
}

static void plan_work(plan_t *p)
{
    p->transient = rarely(400);
    p->permanent = rarely(100);
    p->blocked = rarely(150);
    p->slow = rarely(100);
    p->poison = rarely(30);
    p->slow_ms = between(1000, 8000);
    p->work_ms = below(4) == 0 ? 0 : between(1, 400);
}

static void plan_faults(plan_t *p)
{
    /* Mean gaps in ms of the busiest runs. */
    static const int64_t gaps_ms[FAULTS] = {
        [FAULT_KILL] = 400,  [FAULT_STOP] = 800,       [FAULT_TERM] = 1000,
        [FAULT_CUT] = 200,   [FAULT_PARTITION] = 1500, [FAULT_WALL] = 500,
        [FAULT_FULL] = 2000, [FAULT_EIO] = 3000,       [FAULT_AWAY] = 2000,
    };
    p->faults_us = between(500, 8000) * 1000;
    if (below(20) == 0)
        return; /* now and then all is well */
    for (int i = 0; i < FAULTS; i++)
        if (below(2) == 0)
            p->gap_us[i] = gaps_ms[i] * 1000 * between(1, 8);
}

/* A time limit of a task that is too short for a restart would keep it from ever being tried, and so would a
 * lease that may not last until an earlier try's act is waited out. */
static void plan_limits_of_hosts(plan_t *p)
{
    const plan_hosts_t *h = &p->hosts;
    gather_policy_t *policy = &p->gather.policy;
    const int64_t restart_ms = h->grant_ms + h->act_ms + h->return_ms;
    if (p->delivery.lease_cap_ms < 4 * restart_ms)
        p->delivery.lease_cap_ms = 4 * restart_ms;
    if (policy->limit_ms > 0)
        policy->limit_ms += 2 * restart_ms + between(0, 2 * restart_ms);
    /* A hard limit alone may be too short: the next try begins while this one goes on. */
    if (policy->limit_hard_ms > 0 && (policy->limit_ms > 0 || below(2) == 0))
        policy->limit_hard_ms += policy->limit_ms + 2 * restart_ms;
}

/* Drawn behind everything else, and from numbers of its own: a seed that has no hosts is the world that it
 * was before there were any. */
static void plan_hosts(plan_t *p)
{
    plan_hosts_t *h = &p->hosts;
    random = p->seed ^ UINT64_C(0x686f737473);
    if (below(5) < 3)
        return;
    *h = (plan_hosts_t){
        .real = true,
        .observes = below(4) > 0,
        .repeats = below(4) == 0,
        .checks = below(3) == 0,
        .knows_uptime = below(4) > 0,
        .dry_run = below(25) == 0,
        .denies = below(10) == 0,
        .act_ms = between(20, 1000),
        .return_ms = between(50, 2000),
        .poll_ms = between(10, 300),
        .compares = below(3) == 0   ? 1000
                    : below(2) == 0 ? 0
                                    : (uint32_t)between(0, 1000),
        .long_down = rarely(50),
        .unreadable = rarely(100),
        .lost_before = rarely(200),
        .lost_after = rarely(200),
        .delayed = rarely(300),
        .crashes = rarely(30),
        .frozen = rarely(100),
    };
    /* Some longer than it takes to find out that a worker is lost. */
    h->grant_ms = below(2) == 0 ? between(3000, 8000) : between(100, 3000);
    h->down_ms = between(1, h->return_ms);
    if (h->observes && h->knows_uptime && below(6) == 0)
        h->min_uptime_ms = between(1, 100000);
    if (below(4) > 0)
        p->gap_us[FAULT_WALL] = 0; /* a clock that is a day ahead finds every host restarted since */
    plan_limits_of_hosts(p);
}

void plan_make(plan_t *p, uint64_t seed)
{
    random = seed ^ UINT64_C(0x6d616e6472696c6c);
    *p = (plan_t){
        .seed = seed,
        .publishers = (uint32_t)between(1, 2),
        .consumers = (uint32_t)between(1, 3),
        .savers = (uint32_t)between(1, 2),
        .restarters = (uint32_t)between(1, 3),
        .clients = (uint32_t)below(3),
        .await_consumer = below(2) == 0,
    };
    p->load = p->clients > 0 && below(3) == 0 ? 0 : skewed(128);
    p->published = skewed(64);
    plan_limits(p);
    plan_task_limits(&p->gather.policy);
    plan_machines(p);
    plan_work(p);
    plan_faults(p);
    plan_hosts(p);
}

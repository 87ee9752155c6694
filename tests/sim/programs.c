#include "tests/sim/programs.h"
#include "cli/publish_client.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/signals.h"
#include "consumer/consumer.h"
#include "tests/sim/check.h"
#include "tests/sim/disk.h"
#include "tests/sim/kinds.h"
#include "tests/sim/trace.h"
#include "workers/runtime.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENDPOINT_BYTES = 32, PUBLISHERS_MAX = 2, CONSUMERS_MAX = 3, CLIENTS_MAX = 2 };

/* How far each client is. It is no part of the project, and forgets nothing when it is killed. */
static uint32_t published[CLIENTS_MAX];

static const char *const publisher_endpoints[PUBLISHERS_MAX] = {"ipc://publisher-0", "ipc://publisher-1"};
static const char *const client_endpoints[PUBLISHERS_MAX] = {"ipc://clients-0", "ipc://clients-1"};
static const char *const consumer_endpoints[CONSUMERS_MAX] = {"ipc://consumer-0", "ipc://consumer-1",
                                                              "ipc://consumer-2"};
static const char *const control_endpoints[CONSUMERS_MAX] = {"ipc://control-0", "ipc://control-1",
                                                             "ipc://control-2"};

/* --- a publisher --- */

static int run_publisher(process_t *p)
{
    const plan_t *plan = &world.plan;
    char why[WHY_BYTES] = "";
    const settings_t settings = {
        .listen = publisher_endpoints[p->index],
        .clients = client_endpoints[p->index],
        .outbox = "outbox.db",
        .domain = "example.net",
        .legs = sim_legs,
        .legs_count = SIM_LEGS,
        .load = plan->load,
        .load_id = plan->load > 0 ? "load" : NULL,
        .stay = true,
        .await_consumer = plan->await_consumer,
        .limits = plan->delivery,
        .batch = plan->publisher_batch,
        .outbox_max = plan->outbox_max,
        .drain_ms = plan->drain_ms,
        .report = REPORT_NONE,
    };
    publisher_t *publisher = NULL;
    if (publisher_open(&publisher, &settings, signals_open(), why) < 0) {
        log_error("%s", why);
        return EXIT_FAILURE;
    }
    p->self = publisher;
    check_opened(p);
    int code = publisher_run(publisher);
    p->self = NULL;
    publisher_close(&publisher);
    return code;
}

publisher_t *program_publisher(process_t *p)
{
    return p->program == PROGRAM_PUBLISHER ? p->self : NULL;
}

/* --- a consumer --- */

static int run_consumer(process_t *p)
{
    const plan_t *plan = &world.plan;
    consumer_options_t options = {
        .publishers = publisher_endpoints,
        .publishers_count = plan->publishers,
        .listen = consumer_endpoints[p->index],
        .control = control_endpoints[p->index],
        .report = "none",
        .gather = plan->gather,
        .policies = {.others = plan->gather.policy},
        .window_max = plan->window_max,
        .batch = plan->consumer_batch,
        .drain_ms = plan->drain_ms,
    };
    /* Refs begin with it: no start has those of another. */
    options.gather.seed = clock_random_id();
    int code = EXIT_FAILURE;
    consumer_t *consumer = calloc(1, sizeof *consumer);
    if (consumer == NULL)
        return code;
    if (consumer_open(consumer, &options, signals_open()) == 0) {
        p->self = consumer;
        code = consumer_run(consumer);
        p->self = NULL;
    }
    consumer_close(consumer);
    free(consumer);
    return code;
}

int64_t consumer_now_ms(const process_t *p)
{
    const consumer_t *c = p->self;
    return c->loop.now_ms;
}

static uint32_t consumer_holds(const consumer_t *c)
{
    gather_gauges_t g;
    gather_gauges(c->gather, &g);
    return g.held + (upstream_settled(c->upstream) ? 0 : 1);
}

/* --- a worker --- */

static int run_worker(process_t *p, const worker_kind_t *kind, uint32_t slots, uint32_t window)
{
    const plan_t *plan = &world.plan;
    bool stuck;
    worker_state_t *state = worker_state_new(p);
    p->self = state;
    const runtime_options_t options = {
        .kind = kind,
        .self = state,
        .slots = slots,
        .window = window,
        .drain_ms = plan->drain_ms,
        .report = "none",
        .consumers = consumer_endpoints,
        .consumers_count = plan->consumers,
    };
    char why[WHY_BYTES] = "";
    if (kind == &sim_hosts && host_kind_open(state, why) < 0)
        broken("drain", "%s cannot begin: %s", p->name, why);
    int code = runtime_run(&options, signals_open(), &stuck);
    if (stuck)
        broken("memory", "%s has a thread that is stuck", p->name);
    if (kind == &sim_hosts)
        host_kind_close(state);
    return code;
}

/* --- a client --- */

static int publish(process_t *p, publish_client_t *c, uint32_t publisher, uint32_t n)
{
    enum { NAMES = 4 };
    char why[WHY_BYTES], name[12];
    confirm_t confirm;
    const refusal_t *refusals;
    int refused;
    buffer_t body;
    publish_client_begin(c);
    for (uint32_t i = 0; i < n; i++) {
        buffer_init(&body);
        snprintf(name, sizeof name, "web-%d", (int)(published[p->index] + i) % NAMES);
        body_make(name, strlen(name), "example.net", clock_wall_ms(), 0, &body, why);
        publish_client_add(c, body.data, body.len);
        buffer_done(&body);
    }
    int r = publish_client_send(c, &confirm, &refusals, &refused, why);
    if (r < 0) {
        log_warn("%s", why);
        if (r == -EPROTO)
            broken("confirm", "%s: %s", p->name, why);
        return r;
    }
    if (confirm.stored != n || refused != 0)
        broken("confirm", "%s published %u messages and %u were stored, %d refused", p->name, n,
               confirm.stored, refused);
    check_confirmed(publisher, confirm.first, confirm.stored);
    return 0;
}

static int run_client(process_t *p)
{
    enum { TIMEOUT_MS = 1000000000 };
    const plan_t *plan = &world.plan;
    uint32_t publisher = p->index % plan->publishers;
    char why[WHY_BYTES];
    publish_client_t *c;
    if (publish_client_open(&c, client_endpoints[publisher], TIMEOUT_MS, why) < 0)
        return EXIT_FAILURE;
    while (published[p->index] < plan->published) {
        uint32_t left = plan->published - published[p->index];
        uint32_t n = 1 + (uint32_t)chance_below(left < 16 ? left : 16);
        if (publish(p, c, publisher, n) < 0)
            break;
        published[p->index] += n;
        process_sleep(chance_between(0, 200000));
    }
    publish_client_close(&c);
    p->finished = published[p->index] == plan->published;
    return EXIT_SUCCESS;
}

/* --- all of them --- */

void programs_open(void)
{
    memset(published, 0, sizeof published);
}

int program_run(process_t *p)
{
    const plan_t *plan = &world.plan;
    switch (p->program) {
    case PROGRAM_PUBLISHER:
        return run_publisher(p);
    case PROGRAM_CONSUMER:
        return run_consumer(p);
    case PROGRAM_SAVE:
        return run_worker(p, &sim_save, plan->save_batch, 4 * plan->save_batch);
    case PROGRAM_RESTART:
        return run_worker(p, plan->hosts.real ? &sim_hosts : &sim_restart, plan->restart_slots,
                          plan->restart_slots);
    case PROGRAM_CLIENT:
        return run_client(p);
    }
    return EXIT_FAILURE;
}

void program_gone(process_t *p, bool killed)
{
    bool works = p->program == PROGRAM_SAVE || p->program == PROGRAM_RESTART;
    (void)killed;
    if (works && p->self != NULL) {
        worker_state_t *state = p->self;
        worker_state_destroy(&state);
    }
    p->self = NULL;
}

uint32_t program_holds(const process_t *p)
{
    if (p->self == NULL)
        return 0;
    switch (p->program) {
    case PROGRAM_CONSUMER:
        return consumer_holds(p->self);
    case PROGRAM_SAVE:
    case PROGRAM_RESTART:
        return worker_holds(p->self);
    case PROGRAM_PUBLISHER:
    case PROGRAM_CLIENT:
        break;
    }
    return 0;
}

bool programs_published(void)
{
    for (uint32_t i = 0; i < world.plan.clients; i++)
        if (published[i] < world.plan.published)
            return false;
    for (uint32_t i = 0; i < world.plan.publishers; i++)
        if (disk_load_position(i) < world.plan.load)
            return false;
    return true;
}

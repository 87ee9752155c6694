#include "tests/sim/host_driver.h"
#include "common/core/peers.h"
#include "common/runtime/clock.h"
#include "tests/sim/check.h"
#include "tests/sim/fates.h"
#include "tests/sim/hosts.h"
#include <errno.h>
#include <stdlib.h>

enum {
    QUICK_MS = 50,
    MARGIN_MS = 5, /* what takes as long as it may has ended this much before */
    UNWELL = 200,  /* in a thousand */
    NOT_CANCELLED = 500,
};

typedef enum { CALL_OBSERVE, CALL_ACT, CALL_CHECK } what_t;

/* What is under way for a task. */
typedef struct {
    what_t what;
    uint32_t number;
    const worker_task_t *task;
    uint32_t host;
    int64_t due_ms; /* when it is told */
    bool is_seen;   /* OBSERVE: at its begin; else when it is told */
    look_t look;
    acted_t acted;  /* ACT: what is told, */
    bool asks;      /* unless the host says it, */
    bool requested; /* which was asked for: */
    uint32_t request;
} call_t;

typedef struct {
    driver_tell_t tell;
    void *arg;
    call_t *calls;
    uint32_t count, cap;
} sim_driver_t;

static int open_driver(void **ret_self, const config_t *config, bool check, driver_tell_t tell, void *arg,
                       char *why)
{
    (void)config, (void)check, (void)why;
    sim_driver_t *d = calloc(1, sizeof *d);
    if (d == NULL)
        return -ENOMEM;
    d->tell = tell;
    d->arg = arg;
    *ret_self = d;
    return 0;
}

static void close_driver(void **self)
{
    sim_driver_t *d = *self;
    if (d != NULL)
        free(d->calls);
    free(d);
    *self = NULL;
}

static void traits(const void *self, driver_traits_t *ret)
{
    const plan_hosts_t *plan = &world.plan.hosts;
    (void)self;
    *ret = (driver_traits_t){.observes = plan->observes, .checks = plan->checks, .repeats = plan->repeats};
}

static call_t *new_call(sim_driver_t *d, const driver_call_t *call, what_t what)
{
    if (d->count == d->cap) {
        const uint32_t cap = d->cap > 0 ? 2 * d->cap : 16;
        call_t *grown = realloc(d->calls, cap * sizeof *grown);
        if (grown == NULL)
            return NULL;
        d->calls = grown;
        d->cap = cap;
    }
    call_t *c = &d->calls[d->count++];
    *c = (call_t){.what = what,
                  .number = call->number,
                  .task = call->task,
                  .host = host_of(call->task->body.host, call->task->body.host_len),
                  .due_ms = clock_ms() + chance_between(1, QUICK_MS)};
    return c;
}

/* Some messages fail when their host is looked at, the others when it is restarted. */
static bool fails_early(const worker_task_t *task)
{
    return world.plan.hosts.observes && task->id.seq % 2 == 0;
}

static void see(call_t *c)
{
    observation_t seen;
    c->look = (look_t){.how = LOOK_FAILED, .text = "no answer"};
    if (!host_look(c->host, &seen))
        return;
    c->look = (look_t){.how = LOOK_SEEN, .seen = seen};
    check_looked(c->task->id, world.now_us - host_up_since_us(c->host));
}

static int observe(void *self, const driver_call_t *call)
{
    const plan_hosts_t *plan = &world.plan.hosts;
    const int64_t hidden_ms = 2 * (plan->grant_ms + plan->act_ms + plan->return_ms);
    call_t *c = new_call(self, call, CALL_OBSERVE);
    const doom_t d = fate_of(call->task, LEG_RESTART);
    if (c == NULL)
        return -ENOMEM;
    if (world.faults && chance(plan->crashes))
        host_crash(c->host);
    if (world.faults && chance(plan->unreadable))
        host_hide(c->host, chance_between(0, hidden_ms * 1000));
    if (d.fate == FATE_POISON && fails_early(call->task))
        fate_strikes();
    c->is_seen = chance(500);
    see(c);
    if (c->look.how == LOOK_FAILED && chance(500))
        c->due_ms = call->until_ms;
    if (d.fate == FATE_BLOCKED)
        c->look = (look_t){.how = LOOK_AWAY, .ms = d.ms, .text = "not now"};
    else if (d.fate == FATE_PERMANENT && fails_early(call->task))
        c->look = (look_t){.how = LOOK_REFUSED, .text = "no such host"};
    else if (d.fate == FATE_TRANSIENT && fails_early(call->task))
        c->look = (look_t){.how = LOOK_FAILED, .text = "time-out"};
    else
        return 0;
    c->is_seen = true;
    return 0;
}

/* The request gets to the host and its answer back, or not. What takes effect only later is no less certain
 * to be seen within the return time-out. */
static void request(call_t *c, const driver_call_t *call)
{
    const plan_hosts_t *plan = &world.plan.hosts;
    const bool compares = host_compares(c->host);
    const int64_t now_us = world.now_us;
    const int64_t most_ms = chance(800) && plan->act_ms > QUICK_MS ? QUICK_MS : plan->act_ms - MARGIN_MS;
    const bool lost = world.faults && chance(plan->lost_before);
    int64_t at_us = now_us + chance_between(0, most_ms * 1000);
    c->due_ms = at_us / 1000 + chance_between(1, MARGIN_MS);
    if (world.faults && chance(plan->delayed) && plan->observes && !compares && !plan->repeats) {
        c->asks = false;
        c->acted = (acted_t){.how = ACTED_DONE};
        at_us += chance_between(0, (plan->return_ms - MARGIN_MS) * 1000);
    }
    if (lost || (world.faults && chance(plan->lost_after))) {
        c->due_ms = call->until_ms;
        c->asks = false;
        c->acted = (acted_t){.how = ACTED_UNKNOWN, .text = "no answer"};
    }
    c->requested = !lost;
    if (c->requested)
        c->request = host_restart(c->host, call->task->id, call->observed, at_us);
}

static int act(void *self, const driver_call_t *call)
{
    const plan_hosts_t *plan = &world.plan.hosts;
    const int64_t frozen_ms = 3 * (plan->grant_ms + plan->act_ms + plan->return_ms) + 2 * DEAD_MS;
    call_t *c = new_call(self, call, CALL_ACT);
    const doom_t d = fate_of(call->task, LEG_RESTART);
    if (c == NULL)
        return -ENOMEM;
    check_act_begins(world.current, call->number, call->task->id);
    /* Whatever happens between this and the act is a matter of the machine: nobody can look once more. */
    if (world.faults && chance(plan->frozen)) {
        world.current->stays_stopped = true;
        process_stop(world.current, chance_between(1, frozen_ms * 1000));
        process_sleep(0);
        world.current->stays_stopped = false;
    }
    world_step();
    check_acts(world.current, call->number, call->task->id);
    const bool fails = !fails_early(call->task);
    if (fails && d.fate == FATE_TRANSIENT) {
        c->acted = (acted_t){.how = ACTED_NOT, .outcome = OUTCOME_TRANSIENT, .text = "refused"};
    } else if (fails && d.fate == FATE_PERMANENT) {
        c->acted = (acted_t){.how = ACTED_NOT, .outcome = OUTCOME_PERMANENT, .text = "not allowed"};
    } else if (d.fate == FATE_BLOCKED) {
        c->acted = (acted_t){.how = ACTED_NOT, .outcome = OUTCOME_BLOCKED, .ms = d.ms, .text = "not now"};
    } else {
        c->asks = true;
        request(c, call);
    }
    if (fails && d.fate == FATE_POISON)
        fate_strikes();
    return 0;
}

static int check(void *self, const driver_call_t *call)
{
    return new_call(self, call, CALL_CHECK) != NULL ? 0 : -ENOMEM;
}

static void cancel(void *self, uint32_t number)
{
    sim_driver_t *d = self;
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->calls[i].number != number)
            continue;
        if (d->calls[i].requested && !chance(NOT_CANCELLED))
            host_restart_lost(d->calls[i].request);
        d->calls[i] = d->calls[--d->count];
        return;
    }
}

/* --- what is told --- */

static void told_of_host(call_t *c)
{
    switch (host_restarted(c->request)) {
    case RESTART_DONE:
        c->acted = (acted_t){.how = ACTED_DONE};
        break;
    case RESTART_REFUSED:
        c->acted = (acted_t){.how = ACTED_NOT, .outcome = OUTCOME_TRANSIENT, .text = "another boot"};
        break;
    case RESTART_NOBODY:
        c->acted = (acted_t){.how = ACTED_NOT, .outcome = OUTCOME_TRANSIENT, .text = "no route to host"};
        break;
    case RESTART_ASKED:
        c->acted = (acted_t){.how = ACTED_UNKNOWN, .text = "no answer"};
        break;
    }
}

static void tell(const sim_driver_t *d, call_t *c)
{
    driver_told_t told = {0};
    switch (c->what) {
    case CALL_OBSERVE:
        if (!c->is_seen)
            see(c);
        if (c->look.how == LOOK_REFUSED)
            check_permanent(c->task->id, LEG_RESTART);
        told.looked = &c->look;
        break;
    case CALL_ACT:
        if (c->asks)
            told_of_host(c);
        if (c->acted.how == ACTED_NOT && c->acted.outcome == OUTCOME_PERMANENT)
            check_permanent(c->task->id, LEG_RESTART);
        told.acted = &c->acted;
        break;
    case CALL_CHECK:
        told.unwell = world.faults && chance(UNWELL) ? "unwell" : "";
        break;
    }
    world_step();
    d->tell(d->arg, c->number, &told);
}

static int go_on(void *self, int64_t now_ms, const char **ret_why)
{
    sim_driver_t *d = self;
    (void)ret_why;
    /* Telling begins other calls, which are due later. */
    for (uint32_t i = 0; i < d->count; i++) {
        if (d->calls[i].due_ms > now_ms)
            continue;
        call_t c = d->calls[i];
        d->calls[i] = d->calls[--d->count];
        tell(d, &c);
        i = UINT32_MAX;
    }
    return 0;
}

static void await(const void *self, worker_wait_t *ret)
{
    const sim_driver_t *d = self;
    *ret = (worker_wait_t){.fd = -1, .due_ms = INT64_MAX};
    for (uint32_t i = 0; i < d->count; i++)
        if (d->calls[i].due_ms < ret->due_ms)
            ret->due_ms = d->calls[i].due_ms;
}

const driver_t sim_driver = {.open = open_driver,
                             .close = close_driver,
                             .traits = traits,
                             .observe = observe,
                             .act = act,
                             .check = check,
                             .cancel = cancel,
                             .go_on = go_on,
                             .await = await};

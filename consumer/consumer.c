#include "consumer/consumer.h"
#include "common/runtime/announce.h"
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include "common/runtime/signals.h"
#include "consumer/report.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINGER_MS = 1000,  /* for the last steps and BYE */
    MEASURE_MS = 1000, /* rates */
};

/* --- open and close --- */

static void fill_status(void *arg, metrics_t *m)
{
    report_status(arg, m);
}

static int open_sockets(consumer_t *c, char *why)
{
    const consumer_options_t *o = &c->options;
    downstream_options_t down = {.gather = c->gather,
                                 .roster = c->roster,
                                 .legs = &c->legs,
                                 .loop = &c->loop,
                                 .endpoint = o->listen,
                                 .batch = o->batch};
    upstream_options_t up = {.gather = c->gather,
                             .roster = c->roster,
                             .legs = &c->legs,
                             .loop = &c->loop,
                             .publishers = o->publishers,
                             .publishers_count = o->publishers_count,
                             .batch = o->batch,
                             .window_max = o->window_max,
                             .label = o->name,
                             .log_messages = o->log_messages};
    int error = downstream_open(&c->downstream, &down, why);
    if (error == 0)
        error = control_open(&c->control, o->control, &c->loop, fill_status, c, why);
    if (error == 0)
        error = upstream_open(&c->upstream, &up, why);
    return error;
}

static int announce(const consumer_t *c)
{
    const char *const pairs[] = {"listen", downstream_endpoint(c->downstream), "control",
                                 control_endpoint(c->control), NULL};
    int error = announce_write(c->options.announce, pairs);
    if (error == 0)
        notify_ready();
    else
        log_error("cannot write %s: %s", c->options.announce, strerror(-error));
    return error;
}

int consumer_open(consumer_t *c, const consumer_options_t *o, int signals)
{
    char why[WHY_BYTES] = "";
    *c = (consumer_t){.options = *o, .signals = signals};
    loop_init(&c->loop);
    c->started_ms = c->loop.now_ms;
    c->gather = gather_new(&o->gather);
    c->roster = roster_new();
    if (c->gather == NULL || c->roster == NULL) {
        log_error("out of memory");
        return -ENOMEM;
    }
    legs_init(&c->legs, c->gather, c->roster, &c->options.policies);
    c->signals_item = loop_add_fd(&c->loop, signals);
    int error = open_sockets(c, why);
    if (error == 0)
        error = health_open(&c->health, o->health, "consumer", c->loop.now_ms, why);
    if (error != 0) {
        log_error("%s", why);
        return error;
    }
    log_info("workers at %s, control at %s", downstream_endpoint(c->downstream),
             control_endpoint(c->control));
    return announce(c);
}

void consumer_close(consumer_t *c)
{
    health_close(&c->health);
    upstream_close(&c->upstream, LINGER_MS);
    downstream_close(&c->downstream, LINGER_MS);
    control_close(&c->control);
    gather_destroy(&c->gather);
    roster_destroy(&c->roster);
}

/* --- drain --- */

void consumer_drain(consumer_t *c)
{
    gather_gauges_t gauges;
    gather_gauges(c->gather, &gauges);
    log_info("draining: %u messages are held", gauges.held);
    notify_stopping(c->options.drain_ms);
    c->draining = true;
    c->drain_until_ms = c->loop.now_ms + c->options.drain_ms;
    upstream_counts(c->upstream, &c->before_drain);
    upstream_drain(c->upstream);
    gather_release(c->gather);
}

/* Nothing is held, and all that was told is answered. */
static bool is_done(const consumer_t *c)
{
    gather_gauges_t gauges;
    gather_gauges(c->gather, &gauges);
    return gauges.held == 0 && upstream_settled(c->upstream);
}

/* Workers first: what they run from now on others will run again. What they had is released like the rest,
 * and the publishers have a moment to answer that. */
static void part_from_workers(consumer_t *c)
{
    c->parted = true;
    c->drain_until_ms += LINGER_MS;
    downstream_bye(c->downstream, LINGER_MS);
}

/* Whether a drain has ended: nothing is left, or no time. */
bool consumer_drained(consumer_t *c)
{
    if (!c->draining)
        return false;
    if (is_done(c))
        return true;
    if (c->loop.now_ms < c->drain_until_ms)
        return false;
    if (c->parted)
        return true;
    part_from_workers(c);
    return false;
}

/* What is held still goes back with BYE, where a publisher is there to take it. */
void consumer_goodbye(consumer_t *c)
{
    upstream_counts_t now;
    uint32_t left = upstream_bye(c->upstream, LINGER_MS);
    upstream_counts(c->upstream, &now);
    uint64_t finished = now.acked + now.dead - c->before_drain.acked - c->before_drain.dead;
    log_line(left == 0 ? LOG_INFO : LOG_WARN, "drained: %" PRIu64 " finished, %" PRIu64 " released, %u left",
             finished, now.released - c->before_drain.released, left);
}

/* --- the loop --- */

static int check_options(void *arg, const config_t *fresh)
{
    consumer_options_t options;
    (void)arg;
    return options_read(fresh, &options);
}

static void reload(consumer_t *c)
{
    consumer_options_t now, *o = &c->options;
    if (config_reload(c->config, check_options, NULL) <= 0 || options_read(c->config, &now) != 0)
        return;
    o->gather = now.gather;
    o->window_max = now.window_max;
    o->drain_ms = now.drain_ms;
    o->log_messages = now.log_messages;
    o->policies = now.policies;
    gather_limits(c->gather, &o->gather);
    legs_reload(&c->legs);
    upstream_options(c->upstream, o->window_max, o->log_messages);
}

/* False: stop at once. */
static bool take_signals(consumer_t *c)
{
    for (;;) {
        switch (signals_read(c->signals)) {
        case SIGNALS_NONE:
            return true;
        case SIGNALS_STOP:
            consumer_drain(c);
            break;
        case SIGNALS_STOP_NOW:
            log_warn("stopped at once: what is held is left to its publishers");
            return false;
        case SIGNALS_DUMP:
            report_dump(c);
            break;
        case SIGNALS_RELOAD:
            notify_reloading();
            reload(c);
            notify_reloaded();
            break;
        case SIGNALS_CHILD:
            break;
        }
    }
}

int64_t consumer_due_ms(const consumer_t *c)
{
    const int64_t due_ms[] = {
        upstream_next_ms(c->upstream), downstream_next_ms(c->downstream),
        control_next_ms(c->control),   gather_next_ms(c->gather),
        health_next_ms(&c->health),    c->draining ? c->drain_until_ms : INT64_MAX,
    };
    int64_t first_ms = INT64_MAX;
    for (size_t i = 0; i < sizeof due_ms / sizeof due_ms[0]; i++)
        first_ms = due_ms[i] < first_ms ? due_ms[i] : first_ms;
    return first_ms;
}

static void measure(consumer_t *c)
{
    if (c->loop.now_ms - c->measured_ms < MEASURE_MS)
        return;
    upstream_counts_t counts;
    upstream_counts(c->upstream, &counts);
    rate_add(&c->consumed_rate, c->loop.now_ms, counts.consumed);
    rate_add(&c->acked_rate, c->loop.now_ms, counts.acked);
    c->measured_ms = c->loop.now_ms;
}

static void show_life(consumer_t *c)
{
    char state[HEALTH_STATE_MAX];
    if (c->loop.now_ms < health_next_ms(&c->health))
        return;
    gather_gauges_t gauges;
    upstream_counts_t counts;
    gather_gauges(c->gather, &gauges);
    upstream_counts(c->upstream, &counts);
    snprintf(state, sizeof state, "%s%u publishers, %u messages in hand", c->draining ? "draining, " : "",
             counts.dialer.up, gauges.held);
    health_tell(&c->health, c->loop.now_ms, state);
}

/* Everything that has come in first, so that what goes out carries all of it. */
int consumer_turn(consumer_t *c)
{
    downstream_receive(c->downstream);
    upstream_receive(c->upstream);
    control_turn(c->control);
    downstream_tick(c->downstream);
    upstream_tick(c->upstream);
    gather_tick(c->gather, c->loop.now_ms);
    downstream_flush(c->downstream);
    measure(c);
    report_notify(c);
    show_life(c);
    return upstream_flush(c->upstream);
}

int consumer_run(consumer_t *c)
{
    while (!consumer_drained(c)) {
        int error = loop_wait(&c->loop, consumer_due_ms(c));
        if (error == 0 && loop_ready(&c->loop, c->signals_item) && !take_signals(c))
            return is_done(c) ? EXIT_SUCCESS : EXIT_FAILURE;
        if (error == 0)
            error = consumer_turn(c);
        if (error != 0) {
            log_error("cannot go on: %s", strerror(-error));
            return EXIT_FAILURE;
        }
    }
    consumer_goodbye(c);
    return EXIT_SUCCESS;
}

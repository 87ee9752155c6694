#include "consumer/report.h"
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DUMP_MESSAGES_MAX = 100,
    WORKERS_SHOWN_MAX = 64, /* of all legs; the rows of a table are bounded */
};

static void leg_rows(const consumer_t *c, const gather_gauges_t *g, uint32_t leg, metrics_t *m)
{
    const char *name = legs_name(&c->legs, leg);
    const char *kind = roster_kind(c->roster, leg);
    if (name == NULL)
        return;
    metrics_int(m, roster_workers(c->roster, leg), "workers.%s.count", name);
    metrics_text(m, kind != NULL ? kind : "", "workers.%s.kind", name);
    metrics_int(m, (int64_t)roster_capacity(c->roster, leg), "workers.%s.window", name);
    metrics_int(m, (int64_t)roster_leg_outstanding(c->roster, leg), "workers.%s.outstanding", name);
    metrics_int(m, g->waiting[leg], "workers.%s.waiting", name);
    metrics_int(m, g->running[leg], "workers.%s.running", name);
    metrics_int(m, g->backing_off[leg], "workers.%s.backing_off", name);
    metrics_int(m, (int64_t)g->done[leg], "workers.%s.done", name);
    metrics_int(m, (int64_t)g->bad[leg], "workers.%s.bad", name);
    metrics_int(m, (int64_t)g->retries[leg], "workers.%s.retries", name);
    metrics_int(m, (int64_t)g->timeouts[leg], "workers.%s.timeouts", name);
    metrics_int(m, (int64_t)g->lost[leg], "workers.%s.lost", name);
    metrics_int(m, g->suspects[leg], "workers.%s.suspects", name);
}

/* How the tasks spread. */
static void worker_rows(const consumer_t *c, metrics_t *m)
{
    downstream_worker_t w;
    uint32_t shown[LEGS_MAX] = {0}, n = PEER_NONE;
    for (uint32_t i = 0; i < WORKERS_SHOWN_MAX; i++) {
        n = downstream_next_worker(c->downstream, n, &w);
        if (n == PEER_NONE)
            return;
        const char *leg = legs_name(&c->legs, w.leg);
        const uint32_t at = shown[w.leg]++;
        metrics_text(m, w.label, "workers.%s.each.%u.name", leg, at);
        metrics_int(m, w.window, "workers.%s.each.%u.window", leg, at);
        metrics_int(m, w.outstanding, "workers.%s.each.%u.outstanding", leg, at);
        metrics_int(m, (int64_t)w.given, "workers.%s.each.%u.given", leg, at);
    }
}

static void refused_rows(const consumer_t *c, const upstream_counts_t *up, metrics_t *m)
{
    server_counts_t workers, askers;
    downstream_counts(c->downstream, &workers);
    control_counts(c->control, &askers);
    const dialer_counts_t *d = &up->dialer;
    metrics_int(m, (int64_t)(d->malformed + workers.malformed + askers.malformed), "refused.malformed");
    metrics_int(m, (int64_t)(d->unknown + workers.unknown + askers.unknown), "refused.unknown");
    metrics_int(m, (int64_t)(workers.limit + askers.limit), "refused.limit");
    metrics_int(m, (int64_t)(d->wires.refused_parts + workers.wire.refused_parts + askers.wire.refused_parts),
                "refused.parts");
    metrics_int(
        m, (int64_t)(d->wires.refused_endless + workers.wire.refused_endless + askers.wire.refused_endless),
        "refused.endless");
    metrics_int(m, (int64_t)up->refused, "refused.messages");
}

void report_status(const consumer_t *c, metrics_t *m)
{
    gather_gauges_t gauges;
    upstream_counts_t up;
    gather_gauges(c->gather, &gauges);
    upstream_counts(c->upstream, &up);
    metrics_text(m, "consumer", "role");
    metrics_text(m, MANDRILL_VERSION, "version");
    metrics_int(m, c->loop.now_ms - c->started_ms, "uptime_ms");
    metrics_int(m, gauges.held, "held");
    metrics_int(m, gauges.reporting, "reporting");
    metrics_int(m, gauges.strays, "strays");
    metrics_int(m, up.window, "window");
    metrics_int(m, c->options.window_max, "window_max");
    metrics_int(m, up.dialer.up, "publishers.connected");
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        leg_rows(c, &gauges, leg, m);
    worker_rows(c, m);
    metrics_int(m, (int64_t)up.consumed, "consumed");
    metrics_int(m, (int64_t)up.acked, "acked");
    metrics_int(m, (int64_t)up.dead, "dead");
    metrics_int(m, (int64_t)up.released, "released");
    metrics_int(m, (int64_t)gauges.extended, "extended");
    metrics_int(m, (int64_t)gauges.late, "late");
    metrics_int(m, (int64_t)gauges.notes, "notes.recorded");
    metrics_int(m, (int64_t)gauges.granted, "notes.granted");
    metrics_int(m, (int64_t)gauges.refused, "notes.refused");
    refused_rows(c, &up, m);
    metrics_real(m, rate_per_s(&c->consumed_rate), "rate.consumed");
    metrics_real(m, rate_per_s(&c->acked_rate), "rate.acked");
    metrics_int(m, (int64_t)c->loop.stalls, "stalls");
    metrics_int(m, c->draining, "draining");
}

static void end_rows(const gather_gauges_t *gauges, const upstream_counts_t *up, uint64_t retries,
                     metrics_t *m)
{
    metrics_init(m);
    metrics_text(m, "consumer", "role");
    metrics_int(m, (int64_t)up->consumed, "consumed");
    metrics_int(m, (int64_t)up->acked, "acked");
    metrics_int(m, (int64_t)up->dead, "dead");
    metrics_int(m, (int64_t)up->released, "released");
    metrics_int(m, (int64_t)gauges->extended, "extended");
    metrics_int(m, (int64_t)retries, "retries");
    metrics_int(m, (int64_t)gauges->late, "late");
}

void report_end(const consumer_t *c)
{
    static metrics_t m;
    gather_gauges_t gauges;
    upstream_counts_t up;
    uint64_t retries = 0;
    gather_gauges(c->gather, &gauges);
    upstream_counts(c->upstream, &up);
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        retries += gauges.retries[leg];
    if (strcmp(c->options.report, "json") == 0) {
        end_rows(&gauges, &up, retries, &m);
        char *json = metrics_json(&m);
        if (json != NULL)
            printf("%s\n", json);
        free(json);
        fflush(stdout);
    } else if (strcmp(c->options.report, "text") == 0) {
        log_info("%" PRIu64 " consumed: %" PRIu64 " acked, %" PRIu64 " dead, %" PRIu64 " released; %" PRIu64
                 " extended, %" PRIu64 " retries, %" PRIu64 " late results",
                 up.consumed, up.acked, up.dead, up.released, gauges.extended, retries, gauges.late);
    }
}

void report_notify(const consumer_t *c)
{
    gather_gauges_t gauges;
    upstream_counts_t up;
    uint32_t workers = 0;
    if (!notify_status_due(c->loop.now_ms))
        return;
    gather_gauges(c->gather, &gauges);
    upstream_counts(c->upstream, &up);
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        workers += roster_workers(c->roster, leg);
    notify_status("%s%u messages in hand, %u publishers and %u workers connected; %" PRIu64
                  " acked since the start",
                  c->draining ? "draining: " : "", gauges.held, up.dialer.up, workers, up.acked);
}

/* --- the dump --- */

static void dump_row(void *arg, const char *name, const char *value)
{
    (void)arg;
    log_info("  %s %s", name, value);
}

typedef struct {
    const consumer_t *consumer;
    uint32_t shown, left_out;
} dump_t;

static int dump_leg(const consumer_t *c, const gather_view_t *v, uint32_t leg, char *text, size_t size)
{
    static const char *const states[] = {[LEG_WAITING] = "waiting", [LEG_DONE] = "done", [LEG_BAD] = "bad"};
    char label[4 * LABEL_BYTES_MAX + 1];
    const char *name = legs_name(&c->legs, leg);
    gather_leg_view_t l;
    gather_leg_view(c->gather, v, leg, &l);
    text_escape(l.label.bytes != NULL ? l.label.bytes : "", l.label.len, label, sizeof label);
    name = name != NULL ? name : "?";
    if (l.state == LEG_RUNNING)
        return snprintf(text, size, " %s at worker %u (%s), try %u for %" PRId64 " ms;", name, l.worker,
                        label, l.failures + 1, c->loop.now_ms - l.at_ms);
    if (l.state == LEG_BACKING_OFF)
        return snprintf(text, size, " %s waits %" PRId64 " ms, %u tries failed;", name,
                        l.at_ms - c->loop.now_ms, l.failures);
    return snprintf(text, size, " %s %s, %u tries failed;", name, states[l.state], l.failures);
}

static void dump_message(void *arg, const gather_view_t *v)
{
    dump_t *d = arg;
    if (d->shown == DUMP_MESSAGES_MAX) {
        d->left_out++;
        return;
    }
    d->shown++;
    char id[MESSAGE_ID_TEXT];
    char legs[LOG_LINE_MAX] = "";
    size_t len = 0;
    message_id_format(v->id, id);
    for (uint32_t leg = 0; leg < LEGS_MAX && len < sizeof legs; leg++)
        if (v->legs >> leg & 1)
            len += (size_t)dump_leg(d->consumer, v, leg, legs + len, sizeof legs - len);
    log_info("  %s%s extended %u times", id, legs, v->extended);
}

void report_dump(const consumer_t *c)
{
    static metrics_t m;
    metrics_init(&m);
    report_status(c, &m);
    log_info("status:");
    metrics_each(&m, dump_row, NULL);
    log_info("held:");
    dump_t dump = {.consumer = c};
    gather_each(c->gather, dump_message, &dump);
    if (dump.left_out > 0)
        log_info("  and %u more", dump.left_out);
}

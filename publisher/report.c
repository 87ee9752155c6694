#include "publisher/report.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DUMP_LEASES_MAX = 1000,
    SESSIONS_SHOWN_MAX = 32, /* the rows of a table are bounded */
};

uint64_t report_died(const publisher_t *p)
{
    return outbox_died(p->outbox);
}

static void fill_refused(const publisher_t *p, metrics_t *m)
{
    server_counts_t consumers, clients;
    server_counts(p->consumers.server, &consumers);
    server_counts(p->clients.server, &clients);
    metrics_int(m, (int64_t)(consumers.malformed + clients.malformed), "refused.malformed");
    metrics_int(m, (int64_t)(consumers.unknown + clients.unknown), "refused.unknown");
    metrics_int(m, (int64_t)(consumers.limit + clients.limit), "refused.limit");
    metrics_int(m, (int64_t)(p->clients.refused_bodies + p->sources.refused), "refused.body");
    metrics_int(m, (int64_t)p->clients.refused_full, "refused.full");
    metrics_int(m, (int64_t)(consumers.wire.refused_parts + clients.wire.refused_parts), "refused.parts");
    metrics_int(m, (int64_t)(consumers.wire.refused_endless + clients.wire.refused_endless),
                "refused.endless");
}

static void fill_legs(const publisher_t *p, metrics_t *m)
{
    const char *const *names;
    outbox_legs(p->outbox, &names);
    for (unsigned bit = 0; bit < LEGS_MAX && names[bit]; bit++)
        metrics_int(m, (int64_t)p->round.counts.legs_done[bit], "legs.%s.done", names[bit]);
}

static void fill_memory(const publisher_t *p, metrics_t *m)
{
    delivery_gauges_t d;
    uint64_t credit = 0, consumers = 0;
    delivery_gauges(p->delivery, &d);
    for (uint32_t s = PEER_NONE; (s = server_next_peer(p->consumers.server, s)) != PEER_NONE; consumers++)
        credit += delivery_credit(p->delivery, (uint16_t)s);
    metrics_int(m, d.ready, "ready");
    metrics_int(m, d.leased, "leased");
    metrics_int(m, d.parked, "parked");
    metrics_int(m, d.limbo, "limbo");
    metrics_int(m, d.suspects, "suspects");
    metrics_int(m, d.total, "window");
    metrics_int(m, p->settings.limits.table_max, "window_max");
    metrics_int(m, p->settings.limits.ready_max, "ready_max");
    metrics_int(m, p->settings.limits.parked_max, "parked_max");
    metrics_int(m, (int64_t)d.left, "parked_on_disk");
    metrics_int(m, (int64_t)consumers, "consumers");
    metrics_int(m, (int64_t)credit, "credit");
    metrics_int(m, (int64_t)d.extended, "extended");
    metrics_int(m, (int64_t)p->consumers.redelivered, "redelivered");
}

void report_outbox(outbox_t *outbox, metrics_t *m)
{
    outbox_gauges_t g;
    outbox_gauges(outbox, &g);
    int64_t age_ms = g.oldest_ms > 0 ? clock_wall_ms() - g.oldest_ms : 0;
    metrics_int(m, (int64_t)(g.rows - g.dead), "backlog");
    metrics_int(m, (int64_t)g.dead, "dead");
    metrics_int(m, age_ms > 0 ? age_ms : 0, "oldest_age_ms");
    metrics_int(m, (int64_t)(g.oldest >> EPOCH_SHIFT), "oldest_epoch");
    metrics_int(m, (int64_t)(g.oldest & SEQ_MAX), "oldest_seq");
    metrics_int(m, g.bytes, "outbox_bytes");
}

/* How the messages spread. */
static void fill_sessions(const publisher_t *p, metrics_t *m)
{
    const consumers_t *c = &p->consumers;
    uint32_t peer = PEER_NONE;
    for (uint32_t i = 0; i < SESSIONS_SHOWN_MAX; i++) {
        char name[4 * LABEL_BYTES_MAX + 1];
        peer = server_next_peer(c->server, peer);
        if (peer == PEER_NONE)
            return;
        const char *label = consumers_label((void *)c, c->sessions[peer].who);
        metrics_text(m, text_escape(label, strlen(label), name, sizeof name), "sessions.%u.name", i);
        metrics_int(m, c->sessions[peer].window, "sessions.%u.window", i);
        metrics_int(m, delivery_outstanding(p->delivery, (uint16_t)peer), "sessions.%u.outstanding", i);
        metrics_int(m, (int64_t)c->sessions[peer].given, "sessions.%u.given", i);
    }
}

static void fill_status(const publisher_t *p, metrics_t *m)
{
    char session[24];
    metrics_init(m);
    metrics_text(m, "publisher", "role");
    metrics_text(m, MANDRILL_VERSION, "version");
    snprintf(session, sizeof session, "%016llx",
             (unsigned long long)outbox_stream(p->outbox, outbox_epoch(p->outbox)));
    metrics_text(m, session, "session");
    metrics_int(m, outbox_epoch(p->outbox), "epoch");
    metrics_int(m, p->loop.now_ms - p->start_ms, "uptime_ms");
    metrics_int(m, (int64_t)p->round.counts.published, "published");
    metrics_int(m, (int64_t)p->round.counts.acked, "acked");
    report_outbox(p->outbox, m);
    metrics_int(m, (int64_t)p->dead_at_start, "dead_at_start");
    metrics_int(m, (int64_t)report_died(p), "died");
    metrics_int(m, (int64_t)p->round.counts.redriven, "redriven");
    metrics_int(m, (int64_t)p->round.counts.purged, "purged");
    metrics_int(m, (int64_t)p->round.counts.resolved, "resolved");
    metrics_int(m, (int64_t)p->round.counts.noted, "noted");
    metrics_int(m, p->settings.outbox_max, "outbox_max_bytes");
    metrics_int(m, !p->had_room, "outbox_full");
    fill_memory(p, m);
    fill_sessions(p, m);
    metrics_real(m, rate_per_s(&p->published_rate), "rate.published");
    metrics_real(m, rate_per_s(&p->acked_rate), "rate.acked");
    fill_legs(p, m);
    fill_refused(p, m);
    if (p->sources.kind != SOURCE_NONE) {
        metrics_int(m, (int64_t)p->sources.committed, "load.position");
        metrics_int(m,
                    p->sources.kind == SOURCE_LOAD && p->sources.total != LOAD_FOREVER
                        ? (int64_t)p->sources.total
                        : 0,
                    "load.total");
    }
    metrics_int(m, (int64_t)p->loop.stalls, "stalls");
    metrics_int(m, p->draining, "draining");
}

void report_notify(const publisher_t *p)
{
    delivery_gauges_t d;
    if (!notify_status_due(p->loop.now_ms))
        return;
    delivery_gauges(p->delivery, &d);
    notify_status("%s%llu messages, %u of them out; %llu dead letters; %llu acked since the start%s",
                  p->draining ? "draining: " : "", (unsigned long long)outbox_living(p->outbox), d.leased,
                  (unsigned long long)outbox_dead(p->outbox), (unsigned long long)p->round.counts.acked,
                  p->had_room ? "" : "; full, takes no new messages");
}

char *report_status(publisher_t *p)
{
    metrics_t *m = malloc(sizeof *m);
    if (!m)
        return NULL;
    fill_status(p, m);
    char *json = metrics_json(m);
    free(m);
    return json;
}

typedef struct {
    uint64_t published, acked, dead, backlog, refused, redelivered, extended;
    double seconds, rate, p50, p90, p99, max;
} end_t;

static double ms_of(const histogram_t *h, double q)
{
    return (double)histogram_quantile(h, q) / 1000;
}

static end_t end_of(const publisher_t *p)
{
    const round_counts_t *c = &p->round.counts;
    server_counts_t consumers, clients;
    delivery_gauges_t d;
    server_counts(p->consumers.server, &consumers);
    server_counts(p->clients.server, &clients);
    delivery_gauges(p->delivery, &d);
    end_t e = {
        .published = c->published,
        .acked = c->acked,
        .dead = report_died(p),
        .backlog = outbox_living(p->outbox),
        .refused = p->clients.refused_bodies + p->sources.refused,
        .redelivered = p->consumers.redelivered,
        .extended = d.extended,
        .p50 = ms_of(&c->latency, 0.5),
        .p90 = ms_of(&c->latency, 0.9),
        .p99 = ms_of(&c->latency, 0.99),
        .max = (double)c->latency.max_us / 1000,
    };
    if (c->first_us > 0 && c->last_us > c->first_us) {
        e.seconds = (double)(c->last_us - c->first_us) / 1e6;
        e.rate = (double)c->acked / e.seconds;
    }
    return e;
}

report_drain_t report_drain(const publisher_t *p)
{
    delivery_gauges_t d;
    delivery_gauges(p->delivery, &d);
    uint64_t settled = p->round.counts.acked + report_died(p) - p->drain_settled;
    uint32_t out = p->drain_out;
    report_drain_t r = {.left = d.leased < out ? d.leased : out};
    /* What was not out can be settled meanwhile, too: a leg that is done late. */
    r.finished = settled < out - r.left ? (uint32_t)settled : out - r.left;
    r.released = out - r.left - r.finished;
    return r;
}

static void print_json(const publisher_t *p, const end_t *e)
{
    metrics_t *m = malloc(sizeof *m);
    if (!m)
        return;
    metrics_init(m);
    metrics_text(m, "publisher", "role");
    metrics_int(m, outbox_epoch(p->outbox), "epoch");
    metrics_int(m, (int64_t)e->published, "published");
    metrics_int(m, (int64_t)e->acked, "acked");
    metrics_int(m, (int64_t)e->dead, "dead");
    metrics_int(m, (int64_t)p->dead_at_start, "dead_at_start");
    metrics_int(m, (int64_t)e->backlog, "backlog");
    metrics_int(m, sources_finished(&p->sources) && e->backlog == 0, "finished");
    metrics_int(m, (int64_t)e->refused, "refused");
    metrics_int(m, (int64_t)e->redelivered, "redelivered");
    metrics_int(m, (int64_t)e->extended, "extended");
    metrics_real(m, e->seconds, "seconds");
    metrics_real(m, e->rate, "rate");
    metrics_real(m, e->p50, "latency_ms.p50");
    metrics_real(m, e->p90, "latency_ms.p90");
    metrics_real(m, e->p99, "latency_ms.p99");
    metrics_real(m, e->max, "latency_ms.max");
    fill_legs(p, m);
    if (p->draining) {
        report_drain_t drain = report_drain(p);
        metrics_int(m, p->drain_out, "drained.out");
        metrics_int(m, drain.finished, "drained.finished");
        metrics_int(m, drain.released, "drained.released");
        metrics_int(m, drain.left, "drained.left");
    }
    char *json = metrics_json(m);
    if (json)
        printf("%s\n", json);
    free(json);
    free(m);
}

void report_end(publisher_t *p)
{
    end_t e = end_of(p);
    if (p->settings.report == REPORT_JSON)
        print_json(p, &e);
    if (p->settings.report == REPORT_TEXT)
        printf("%llu published, %llu acked, %llu dead, %llu in the outbox, %llu refused; %llu redelivered, "
               "%llu extended\n%.1f s, %.0f a second; latency p50 %.1f ms, p99 %.1f ms, max %.1f ms\n",
               (unsigned long long)e.published, (unsigned long long)e.acked, (unsigned long long)e.dead,
               (unsigned long long)e.backlog, (unsigned long long)e.refused,
               (unsigned long long)e.redelivered, (unsigned long long)e.extended, e.seconds, e.rate, e.p50,
               e.p99, e.max);
    fflush(stdout);
}

static void dump_row(void *arg, const char *name, const char *value)
{
    (void)arg;
    log_info("%s %s", name, value);
}

typedef struct {
    publisher_t *publisher;
    uint64_t leases;
} dump_t;

static void dump_lease(void *arg, uint64_t id, uint16_t session, int64_t deadline_ms, uint8_t done)
{
    dump_t *d = arg;
    publisher_t *p = d->publisher;
    char who[4 * LABEL_BYTES_MAX];
    char text[MESSAGE_ID_TEXT];
    if (d->leases++ >= DUMP_LEASES_MAX)
        return;
    message_id_format(outbox_id(p->outbox, id), text);
    bool held = session != DELIVERY_NO_SESSION;
    const char *label = held ? consumers_label(&p->consumers, p->consumers.sessions[session].who) : "";
    log_info("leased %s to consumer %d, %lld ms left, legs done %02x, with %s", text, held ? session : -1,
             (long long)(deadline_ms - p->loop.now_ms), done,
             label[0] ? text_escape(label, strlen(label), who, sizeof who) : "nobody by name");
}

void report_dump(publisher_t *p)
{
    dump_t d = {.publisher = p};
    metrics_t *m = malloc(sizeof *m);
    if (m) {
        fill_status(p, m);
        metrics_each(m, dump_row, NULL);
        free(m);
    }
    delivery_each_leased(p->delivery, dump_lease, &d);
    if (d.leases > DUMP_LEASES_MAX)
        log_info("and %llu leases more", (unsigned long long)(d.leases - DUMP_LEASES_MAX));
}

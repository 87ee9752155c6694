#include "publisher/maintain.h"
#include "common/runtime/announce.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/signals.h"
#include "publisher/clients.h"
#include "publisher/inspect.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TURN_MS = 1000, LINGER_MS = 1000, TABLE_MAX = 16 };

/* A publisher's round and client endpoint over a lease table in which nothing ever is. */
typedef struct {
    loop_t loop;
    outbox_t *outbox;
    delivery_t *delivery;
    backlog_t backlog;
    round_t round;
    clients_t clients;
    bool done;
} maintain_t;

static char *status(void *arg)
{
    const maintain_t *m = arg;
    return inspect_json(m->outbox);
}

static int open_parts(maintain_t *m, const settings_t *s, char *why)
{
    int64_t now_ms = m->loop.now_ms;
    int r = inspect_open(&m->outbox, s->outbox, s->outbox_max, why);
    if (r < 0)
        return r;
    /* So that there is a reserve to free when the disk is full. */
    outbox_has_room(m->outbox);
    delivery_limits_t limits = s->limits;
    limits.table_max = TABLE_MAX;
    uint32_t epoch = outbox_epoch(m->outbox);
    m->delivery = delivery_new(&limits, epoch > 0 ? epoch : 1);
    snprintf(why, WHY_BYTES, "out of memory");
    if (!m->delivery)
        return -ENOMEM;
    r = backlog_init(&m->backlog, m->outbox, m->delivery, limits.ack_deadline_ms, now_ms, clock_wall_ms());
    if (r == 0)
        r = round_init(&m->round, m->outbox, m->delivery, &m->backlog, limits.ready_max);
    if (r == 0)
        r = clients_open(&m->clients, s, m->outbox, &m->round, &m->loop, status, m, why);
    if (r < 0)
        return r;
    clients_refuse(&m->clients, "only dead letters are served here (--maintain)", false);
    r = announce_write(s->announce,
                       (const char *const[]){"clients", server_endpoint(m->clients.server), NULL});
    if (r < 0)
        snprintf(why, WHY_BYTES, "%.100s: %s", s->announce, strerror(-r));
    return r;
}

static void take_signals(maintain_t *m, int signals_fd)
{
    signals_event_t event;
    while ((event = signals_read(signals_fd)) != SIGNALS_NONE)
        m->done |= event == SIGNALS_STOP || event == SIGNALS_STOP_NOW;
}

static int turn(maintain_t *m, int signals_fd)
{
    int64_t due_ms = clients_next_ms(&m->clients), latest_ms = m->loop.now_ms + TURN_MS;
    int r = loop_wait(&m->loop, due_ms < latest_ms ? due_ms : latest_ms);
    if (r < 0)
        return r;
    take_signals(m, signals_fd);
    round_time(&m->round, m->loop.now_ms, clock_us(), clock_wall_ms());
    clients_receive(&m->clients);
    r = round_commit(&m->round);
    clients_answer(&m->clients, r == 0 ? 0 : r == -ENOSPC ? ERR_FULL : ERR_STORE, outbox_why(m->outbox));
    if (r == -ENOSPC)
        r = 0;
    round_end(&m->round);
    clients_tick(&m->clients);
    return r == 0 ? outbox_idle(m->outbox) : r;
}

static void close_parts(maintain_t *m)
{
    clients_close(&m->clients, LINGER_MS);
    round_done(&m->round);
    backlog_done(&m->backlog);
    delivery_destroy(&m->delivery);
    outbox_close(&m->outbox, false);
}

int maintain(const settings_t *settings, int signals_fd, char *why)
{
    maintain_t m = {.done = false};
    loop_init(&m.loop);
    loop_add_fd(&m.loop, signals_fd);
    int r = open_parts(&m, settings, why);
    if (r == 0)
        log_info("serving the dead letters of %s at %s", settings->outbox, server_endpoint(m.clients.server));
    while (r == 0 && !m.done) {
        r = turn(&m, signals_fd);
        if (r < 0)
            snprintf(why, WHY_BYTES, "%s", outbox_why(m.outbox)[0] ? outbox_why(m.outbox) : strerror(-r));
    }
    if (r == 0)
        log_info("stopped: %llu dead letters were redriven, %llu purged, of %llu legs were called done",
                 (unsigned long long)m.round.counts.redriven, (unsigned long long)m.round.counts.purged,
                 (unsigned long long)m.round.counts.resolved);
    close_parts(&m);
    return r;
}

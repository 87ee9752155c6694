#include "publisher/publisher.h"
#include "common/runtime/announce.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include "common/runtime/signals.h"
#include "publisher/report.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LATE_MS = 100,        /* standing still for longer ... */
    QUIET_MS = 3000,      /* ... lets nothing expire for so long, */
    QUIET_MS_MAX = 30000, /* and on a machine that stands still all the time, for no longer in one go */
    READ_ROWS_MAX = 2048, /* of the backlog in one turn */
    EXPIRE_MAX = 4096,    /* leases in one turn */
    STUCK_WAIT_MS = 20,   /* between tries to commit on a full disk */
    LINGER_MS = 1000,
    SECOND_MS = 1000,
    PROGRESS_MS = 200,
};

/* --- signals and the end --- */

static void log_insert(void *arg, const round_insert_t *insert, const void *bytes)
{
    const publisher_t *p = arg;
    char text[MESSAGE_ID_TEXT];
    body_t body;
    message_id_t id = {.stream = p->consumers.stream, .seq = insert->id & SEQ_MAX};
    if (body_parse(bytes, insert->len, &body) < 0)
        return;
    message_id_format(id, text);
    log_info("Published %s %.*s", text, (int)body.host_len, body.host);
}

static void begin_drain(publisher_t *p)
{
    delivery_gauges_t d;
    delivery_gauges(p->delivery, &d);
    log_info("stopping: %u messages are out, waiting at most %lld ms for them", d.leased,
             (long long)p->settings.drain_ms);
    notify_stopping(p->settings.drain_ms);
    p->draining = true;
    p->drain_out = d.leased;
    p->drain_settled = p->round.counts.acked + report_died(p);
    p->drain_until_ms = p->loop.now_ms + p->settings.drain_ms;
    clients_refuse(&p->clients, "the publisher is stopping", true);
    sources_stop(&p->sources);
}

static int check_settings(void *arg, const config_t *fresh)
{
    settings_t settings;
    (void)arg;
    return settings_read(&settings, fresh);
}

static void show_messages(publisher_t *p)
{
    p->round.inserted = p->settings.log_messages ? log_insert : NULL;
    p->round.arg = p;
}

/* The ack deadline is not among these: first deadlines are a FIFO, for all of them are as long. Nor is the
 * lease cap, which consumers were told with WELCOME. */
static void reload(publisher_t *p)
{
    settings_t now, *s = &p->settings;
    if (config_reload(p->config, check_settings, NULL) <= 0 || settings_read(&now, p->config) < 0)
        return;
    bool other_rate = s->rate_random != now.rate_random || s->rate < now.rate || s->rate > now.rate;
    s->limits.max_deliveries = now.limits.max_deliveries;
    s->outbox_max = now.outbox_max;
    s->drain_ms = now.drain_ms;
    s->log_messages = now.log_messages;
    s->rate_random = now.rate_random;
    s->rate = now.rate;
    delivery_limits(p->delivery, s->limits.lease_cap_ms, s->limits.max_deliveries);
    outbox_limit(p->outbox, s->outbox_max);
    show_messages(p);
    if (other_rate)
        sources_rate(&p->sources, clock_us());
}

/* Nothing is out, and all that was said of it is on disk. */
static bool is_settled(const publisher_t *p)
{
    delivery_gauges_t d;
    delivery_gauges(p->delivery, &d);
    return d.leased == 0 && p->all_in && !p->stuck;
}

static void take_signals(publisher_t *p)
{
    signals_event_t event;
    while ((event = signals_read(p->signals_fd)) != SIGNALS_NONE) {
        switch (event) {
        case SIGNALS_STOP:
            begin_drain(p);
            break;
        case SIGNALS_STOP_NOW:
            log_warn("stopping at once");
            p->at_once = true;
            break;
        case SIGNALS_DUMP:
            report_dump(p);
            break;
        case SIGNALS_RELOAD:
            notify_reloading();
            reload(p);
            notify_reloaded();
            break;
        case SIGNALS_CHILD:
        case SIGNALS_NONE:
            break;
        }
    }
}

static void look_for_end(publisher_t *p)
{
    if (p->at_once) {
        p->done = true;
        p->exit_code = is_settled(p) ? 0 : 1;
        return;
    }
    if (p->draining) {
        p->done |= is_settled(p) || p->loop.now_ms >= p->drain_until_ms;
        return;
    }
    if (p->settings.stay || !sources_finished(&p->sources) || outbox_living(p->outbox) > 0)
        return;
    p->done = true;
    p->exit_code = report_died(p) > 0 || p->sources.refused > 0 || sources_failed(&p->sources) ? 1 : 0;
}

/* --- the round --- */

static void answer_all(publisher_t *p)
{
    consumers_answer(&p->consumers);
    round_end(&p->round);
    clients_answer(&p->clients, 0, NULL);
    sources_committed(&p->sources);
    p->stuck = false;
}

/* 0, or -errno when this process cannot go on. */
static int commit(publisher_t *p)
{
    int r = p->stuck ? round_again(&p->round) : round_commit(&p->round);
    if (r == -ENOSPC) {
        log_limited(LOG_ERROR, "%s; new messages are refused until there is room", outbox_why(p->outbox));
        clients_answer(&p->clients, ERR_FULL, "the disk of the outbox is full");
        sources_undone(&p->sources);
        /* Without what was new, and with the reserve given back, deletions find room. */
        r = p->stuck ? r : round_again(&p->round);
    }
    if (r == -ENOSPC) {
        p->stuck = true;
        return 0;
    }
    if (r == 0)
        answer_all(p);
    else
        clients_answer(&p->clients, ERR_STORE, "the disk of the outbox failed");
    return r;
}

/* --- a turn --- */

/* Only when nothing that was said in time is still unheard: all has been taken in, and while this process
 * stood still, nothing was held up on its way. */
static bool may_expire(publisher_t *p)
{
    int64_t now_ms = p->loop.now_ms;
    if (p->loop.late_ms > LATE_MS && now_ms - p->awake_ms < QUIET_MS_MAX)
        p->quiet_until_ms = now_ms + QUIET_MS;
    if (now_ms < p->quiet_until_ms)
        return false;
    p->awake_ms = now_ms;
    return p->all_in;
}

static void take_in(publisher_t *p)
{
    int64_t now_ms = p->loop.now_ms;
    round_time(&p->round, now_ms, clock_us(), clock_wall_ms());
    p->all_in = consumers_receive(&p->consumers);
    clients_receive(&p->clients);
    if (!p->stuck)
        sources_fill(&p->sources, backlog_in_order(&p->backlog));
    p->may_expire = may_expire(p);
    if (p->may_expire)
        round_expire(&p->round, EXPIRE_MAX);
}

static int give_out(publisher_t *p)
{
    int64_t now_ms = p->loop.now_ms;
    int r = backlog_read(&p->backlog, READ_ROWS_MAX, p->may_expire, now_ms);
    if (r == 0 && !p->draining)
        r = consumers_deliver(&p->consumers, &p->more, now_ms);
    p->more = !p->stuck && !p->draining && (p->more || backlog_waits(&p->backlog));
    return r;
}

static void show_progress(publisher_t *p, bool final)
{
    const round_counts_t *c = &p->round.counts;
    uint64_t died = report_died(p), sum = c->published + c->acked + died;
    /* Lines are for what has changed: a publisher that waits for clients says nothing. */
    if (!p->settings.progress || (!p->progress.bar && sum == p->shown))
        return;
    int64_t last_ms = p->progress.last_ms;
    progress_show(&p->progress, c->published, c->acked, died, p->loop.now_ms, final);
    if (p->progress.last_ms != last_ms)
        p->shown = sum;
}

static void tell_room(publisher_t *p)
{
    outbox_gauges_t g;
    bool room = outbox_has_room(p->outbox);
    if (room == p->had_room)
        return;
    p->had_room = room;
    outbox_gauges(p->outbox, &g);
    if (room)
        log_limited(LOG_INFO, "there is room for new messages again");
    else if (g.bytes >= p->settings.outbox_max)
        log_limited(LOG_WARN, "no new messages are taken: the outbox has %lld bytes", (long long)g.bytes);
    else
        log_limited(LOG_WARN, "no new messages are taken: the disk of the outbox is full");
}

static void show_life(publisher_t *p)
{
    char state[HEALTH_STATE_MAX];
    if (p->loop.now_ms < health_next_ms(&p->health))
        return;
    snprintf(state, sizeof state, "%s%llu messages in the outbox%s", p->draining ? "draining, " : "",
             (unsigned long long)outbox_living(p->outbox), p->had_room ? "" : ", which is full");
    health_tell(&p->health, p->loop.now_ms, state);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t due_ms(const publisher_t *p)
{
    int64_t now_ms = p->loop.now_ms;
    if (p->more)
        return now_ms;
    int64_t due = sooner(delivery_next_ms(p->delivery), backlog_next_ms(&p->backlog));
    if (due < p->quiet_until_ms)
        due = p->quiet_until_ms;
    due = sooner(due, consumers_next_ms(&p->consumers));
    due = sooner(due, clients_next_ms(&p->clients));
    due = sooner(due, sources_next_ms(&p->sources));
    if (p->draining)
        due = sooner(due, p->drain_until_ms);
    return sooner(due, now_ms + (p->progress.bar ? PROGRESS_MS : SECOND_MS));
}

static int turn(publisher_t *p)
{
    if (p->stuck)
        poll(NULL, 0, STUCK_WAIT_MS);
    int r = loop_wait(&p->loop, due_ms(p));
    if (r < 0)
        return r;
    take_signals(p);
    take_in(p);
    r = commit(p);
    if (r == 0)
        r = give_out(p);
    if (r < 0)
        return r;
    consumers_tick(&p->consumers, p->loop.now_ms);
    clients_tick(&p->clients);
    if (!p->more && p->all_in)
        r = outbox_idle(p->outbox);
    tell_room(p);
    show_life(p);
    rate_add(&p->published_rate, p->loop.now_ms, p->round.counts.published);
    rate_add(&p->acked_rate, p->loop.now_ms, p->round.counts.acked);
    show_progress(p, false);
    report_notify(p);
    look_for_end(p);
    return r;
}

static void tell_end(publisher_t *p)
{
    report_drain_t d = report_drain(p);
    sources_summary(&p->sources);
    if (p->draining)
        log_info("stopped: of %u messages that were out %u are done, %u came back, %u are still out; %llu "
                 "stay in the "
                 "outbox",
                 p->drain_out, d.finished, d.released, d.left, (unsigned long long)outbox_living(p->outbox));
}

int publisher_run(publisher_t *p)
{
    int r = 0;
    while (!p->done && r == 0)
        r = turn(p);
    show_progress(p, true);
    if (r < 0) {
        const char *why = outbox_why(p->outbox);
        log_error("%s", why[0] ? why : strerror(-r));
        p->exit_code = 1;
    }
    tell_end(p);
    report_end(p);
    return p->exit_code;
}

/* --- opening and closing --- */

/* The bar leaves the terminal's last line before something else is written there. */
static void write_log_line(void *arg, const char *line, size_t len)
{
    publisher_t *p = arg;
    progress_hide(&p->progress);
    fprintf(stderr, "%.*s\n", (int)len, line);
}

static char *status(void *arg)
{
    return report_status(arg);
}

static int open_parts(publisher_t *p, char *why)
{
    const settings_t *s = &p->settings;
    int r = outbox_open(&p->outbox, s->outbox, s->legs, s->legs_count, s->outbox_max, why);
    if (r < 0)
        return r;
    p->dead_at_start = outbox_dead(p->outbox);
    if (outbox_living(p->outbox) > 0)
        log_info("%llu messages from earlier are in %s", (unsigned long long)outbox_living(p->outbox),
                 s->outbox);
    p->delivery = delivery_new(&s->limits, outbox_epoch(p->outbox));
    snprintf(why, WHY_BYTES, "out of memory");
    if (!p->delivery)
        return -ENOMEM;
    r = backlog_init(&p->backlog, p->outbox, p->delivery, s->limits.ack_deadline_ms, p->start_ms,
                     clock_wall_ms());
    if (r == 0)
        r = round_init(&p->round, p->outbox, p->delivery, &p->backlog, s->limits.ready_max);
    if (r == 0)
        r = sources_open(&p->sources, s, p->outbox, p->delivery, &p->round, &p->loop, why);
    if (r == 0)
        r = consumers_open(&p->consumers, s, p->outbox, p->delivery, &p->round, &p->loop, why);
    if (r == 0)
        r = clients_open(&p->clients, s, p->outbox, &p->round, &p->loop, status, p, why);
    if (r < 0)
        return r;
    r = health_open(&p->health, s->health, "publisher", p->start_ms, why);
    if (r < 0)
        return r;
    p->round.label = consumers_label;
    p->round.label_arg = &p->consumers;
    show_messages(p);
    const char *const pairs[] = {"listen", server_endpoint(p->consumers.server), "clients",
                                 server_endpoint(p->clients.server), NULL};
    r = announce_write(s->announce, pairs);
    if (r < 0)
        snprintf(why, WHY_BYTES, "%.100s: %s", s->announce, strerror(-r));
    return r;
}

int publisher_open(publisher_t **ret, const settings_t *settings, int signals_fd, char *why)
{
    publisher_t *p = calloc(1, sizeof *p);
    if (!p) {
        snprintf(why, WHY_BYTES, "out of memory");
        return -ENOMEM;
    }
    loop_init(&p->loop);
    p->settings = *settings;
    p->sources.item = -1;
    p->signals_fd = signals_fd;
    p->signals_item = loop_add_fd(&p->loop, signals_fd);
    p->had_room = true;
    p->start_ms = p->awake_ms = p->loop.now_ms;
    int r = open_parts(p, why);
    if (r < 0) {
        publisher_close(&p);
        return r;
    }
    uint64_t total = sources_total(&p->sources);
    progress_init(&p->progress, total > 0 ? total + outbox_living(p->outbox) : 0, p->loop.now_ms);
    if (p->progress.bar && settings->progress)
        log_divert(write_log_line, p);
    log_info("serving consumers at %s, clients at %s", server_endpoint(p->consumers.server),
             server_endpoint(p->clients.server));
    notify_ready();
    *ret = p;
    return 0;
}

/* Nothing is out: the next start need not wait for anybody. */
static bool is_clean(const publisher_t *p)
{
    delivery_gauges_t d;
    if (!p->delivery || !p->consumers.server)
        return false;
    delivery_gauges(p->delivery, &d);
    return d.leased == 0 && d.limbo == 0 && !backlog_in_limbo(&p->backlog);
}

int publisher_close(publisher_t **ref)
{
    publisher_t *p = *ref;
    if (!p)
        return 0;
    *ref = NULL;
    bool clean = is_clean(p);
    log_divert(NULL, NULL);
    health_close(&p->health);
    consumers_close(&p->consumers, LINGER_MS);
    clients_close(&p->clients, LINGER_MS);
    sources_close(&p->sources);
    round_done(&p->round);
    backlog_done(&p->backlog);
    delivery_destroy(&p->delivery);
    int r = p->outbox ? outbox_finish(p->outbox, clean) : 0;
    if (r < 0)
        log_error("%s", outbox_why(p->outbox));
    outbox_close(&p->outbox, false);
    free(p);
    return r;
}

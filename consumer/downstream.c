#include "consumer/downstream.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORDS_A_TURN = 4 * RECORDS_MAX,
    HOLD_MS = 20,                         /* a worker whose pipe is full is tried again after this */
    LABEL_TEXT = 4 * LABEL_BYTES_MAX + 1, /* escaped */
    WINDOW_PARTS = 8, /* so much of its window a worker gets before the others are looked at again */
};

typedef struct {
    uint32_t window;
    uint64_t given;         /* tasks, since it joined */
    uint64_t seen;          /* highest number of its RESULTS that was taken; 0: none, any may come first */
    int64_t hold_ms;        /* nothing is given to it before; 0: it may be given */
    bool spoke;             /* since the last WELCOME, which it has got then */
    char label[LABEL_TEXT]; /* for log lines */
} worker_t;

struct downstream {
    downstream_options_t options;
    server_t *server;
    buffer_t frame;
    uint32_t held_back; /* workers with hold_ms */
    result_record_t *results;
    note_record_t *notes;
    grant_record_t *grants;
    uint64_t *refs;  /* that a worker holds, or that a frame has */
    uint32_t *quota; /* by worker: to be given in this turn */
    uint32_t *aside; /* workers that may not have what waits now */
    worker_t workers[ROSTER_MAX];
};

/* --- sessions --- */

static void hold(downstream_t *d, uint32_t n, int64_t until_ms)
{
    worker_t *w = &d->workers[n];
    if (w->hold_ms != 0)
        d->held_back--;
    if (until_ms != 0)
        d->held_back++;
    w->hold_ms = until_ms;
    roster_hold(d->options.roster, n, until_ms != 0);
}

static void forget(downstream_t *d, uint32_t n, bool lost)
{
    hold(d, n, 0);
    gather_worker_gone(d->options.gather, n, lost, d->options.loop->now_ms);
    roster_leave(d->options.roster, n);
}

static void read_refs(downstream_t *d, const hello_t *h)
{
    reader_t held = h->held;
    for (uint32_t i = 0; i < h->held_count; i++)
        d->refs[i] = read_uint(&held, CODEC_INT_MAX);
}

/* It begins anew: what was on its way to it is lost, and it says what it has. */
static void take_held(downstream_t *d, uint32_t n, const hello_t *h)
{
    read_refs(d, h);
    uint32_t lost =
        gather_worker_holds(d->options.gather, n, d->refs, h->held_count, d->options.loop->now_ms);
    roster_freed(d->options.roster, n, lost);
    if (lost > 0)
        log_limited(LOG_INFO, "worker %u (%s) is back without %u of its tasks: they are given again", n,
                    d->workers[n].label, lost);
}

static unsigned join(downstream_t *d, uint32_t n, const hello_t *h, int leg, char *why)
{
    int error = roster_join(d->options.roster, n, (uint32_t)leg, h->kind, h->window);
    if (error == -EEXIST) {
        snprintf(why, WHY_BYTES, "leg %s is served by %s, not by %s", h->leg,
                 roster_kind(d->options.roster, (uint32_t)leg), h->kind);
        return ERR_KIND;
    }
    if (error != 0) {
        snprintf(why, WHY_BYTES, "there are as many workers as may be");
        return ERR_LIMIT;
    }
    worker_t *w = &d->workers[n];
    *w = (worker_t){.window = h->window};
    text_escape(h->label, strlen(h->label), w->label, sizeof w->label);
    read_refs(d, h);
    roster_had(d->options.roster, n,
               gather_worker_joined(d->options.gather, n, h->label, d->refs, h->held_count,
                                    d->options.loop->now_ms));
    log_limited(LOG_INFO, "worker %u (%s, %s) serves leg %s, window %u", n, h->kind, w->label, h->leg,
                h->window);
    return 0;
}

static unsigned on_hello(void *arg, uint32_t n, const hello_t *h, bool known, bool moved, char *why)
{
    downstream_t *d = arg;
    roster_t *roster = d->options.roster;
    int leg = legs_number(d->options.legs, h->leg);
    /* A session stays with the leg and the kind that it began with. */
    if (known && (leg < 0 || roster_leg(roster, n) != (uint32_t)leg ||
                  strcmp(roster_kind(roster, (uint32_t)leg), h->kind) != 0)) {
        forget(d, n, false);
        known = false;
    }
    if (leg < 0) {
        snprintf(why, WHY_BYTES, "more than %d legs", LEGS_MAX);
        return ERR_LIMIT;
    }
    if (!known)
        return join(d, n, h, leg, why);
    d->workers[n].window = h->window;
    roster_window(roster, n, h->window);
    /* A HELLO that was only repeated before WELCOME came knows nothing of the tasks behind that. */
    if (moved || d->workers[n].spoke) {
        hold(d, n, 0);
        take_held(d, n, h);
    } else {
        gather_worker_welcomed(d->options.gather, n, d->options.loop->now_ms);
    }
    d->workers[n].spoke = false;
    return 0;
}

static void on_gone(void *arg, uint32_t n, bool said_bye)
{
    downstream_t *d = arg;
    uint32_t tasks = roster_outstanding(d->options.roster, n);
    const char *leg = legs_name(d->options.legs, roster_leg(d->options.roster, n));
    log_limited(said_bye ? LOG_INFO : LOG_WARN, "worker %u (%s, %s) is gone: %u tasks go to others", n, leg,
                d->workers[n].label, tasks);
    forget(d, n, !said_bye);
}

static uint64_t on_seen(void *arg, uint32_t n)
{
    const downstream_t *d = arg;
    return d->workers[n].seen;
}

/* --- results --- */

static void say(downstream_t *d, uint32_t n, void (*encode)(buffer_t *b))
{
    buffer_clear(&d->frame);
    encode(&d->frame);
    server_send(d->server, n, &d->frame);
}

static void say_seen(downstream_t *d, uint32_t n)
{
    buffer_clear(&d->frame);
    encode_ping(&d->frame, d->workers[n].seen);
    server_send(d->server, n, &d->frame);
}

/* What of another leg's tasks a worker speaks, it made up. */
static bool is_of_its_leg(const downstream_t *d, uint32_t n, uint64_t ref)
{
    return gather_ref_leg(ref) == roster_leg(d->options.roster, n);
}

static int take_results(downstream_t *d, uint32_t n, const frame_t *frame)
{
    worker_t *w = &d->workers[n];
    uint64_t no;
    uint32_t freed = 0;
    int count = decode_results(frame->data, frame->len, &no, d->results);
    if (count < 0)
        return count;
    for (int i = 0; i < count; i++)
        if (!is_of_its_leg(d, n, d->results[i].ref))
            return -EPROTO;
    if (w->seen != 0 && no > w->seen + 1) {
        /* The ones before were lost: it sends them again after its HELLO. */
        say(d, n, encode_who);
        return count;
    }
    if (no > w->seen) {
        for (int i = 0; i < count; i++) {
            bool is_free;
            gather_result(d->options.gather, n, &d->results[i], d->options.loop->now_ms, NULL, &is_free);
            freed += is_free;
        }
        roster_freed(d->options.roster, n, freed);
        w->seen = no;
    }
    /* TASKS and PING tell what was seen; one that gets no more tasks is on its way out and waits for it. */
    if (w->window == 0 || no < w->seen)
        say_seen(d, n);
    return count;
}

static int take_notes(downstream_t *d, uint32_t n, const frame_t *frame)
{
    int count = decode_notes(frame->data, frame->len, d->notes);
    for (int i = 0; i < count; i++)
        if (!is_of_its_leg(d, n, d->notes[i].ref))
            return -EPROTO;
    for (int i = 0; i < count; i++)
        gather_note(d->options.gather, n, &d->notes[i], d->options.loop->now_ms);
    return count;
}

static int take_window(downstream_t *d, uint32_t n, const frame_t *frame)
{
    uint32_t window;
    int error = decode_window(frame->data, frame->len, &window);
    if (error != 0)
        return error;
    d->workers[n].window = window;
    roster_window(d->options.roster, n, window);
    return 0;
}

static int take_ping(downstream_t *d, uint32_t n, const frame_t *frame)
{
    uint64_t started;
    int error = decode_ping(frame->data, frame->len, &started);
    if (error == 0)
        gather_worker_started(d->options.gather, n, started, d->options.loop->now_ms);
    return error;
}

static int on_frame(void *arg, uint32_t n, int command, const frame_t *frame)
{
    downstream_t *d = arg;
    d->workers[n].spoke = true;
    switch (command) {
    case CMD_RESULTS:
        return take_results(d, n, frame);
    case CMD_NOTES:
        return take_notes(d, n, frame);
    case CMD_WINDOW:
        return take_window(d, n, frame);
    case CMD_PING:
        return take_ping(d, n, frame);
    default:
        return -ENOSYS;
    }
}

void downstream_receive(downstream_t *d)
{
    server_receive(d->server, RECORDS_A_TURN);
}

/* --- grants --- */

/* Where the pipe is full, or the worker is gone, they are lost: who gets none in time takes his note back. */
static void send_grants(downstream_t *d)
{
    uint32_t n;
    size_t count;
    while ((count = gather_answers(d->options.gather, &n, d->grants, RECORDS_MAX)) > 0) {
        batch_t batch;
        buffer_clear(&d->frame);
        grants_begin(&batch, &d->frame);
        for (size_t i = 0; i < count; i++)
            grants_add(&batch, &d->grants[i]);
        batch_end(&batch);
        server_send(d->server, n, &d->frame);
    }
}

/* --- tasks --- */

/* The frame could not be sent: its tasks wait again, in their order, and the worker is left alone for a
 * while. Should its connection be gone, its silence will tell. */
static void take_back(downstream_t *d, uint32_t n, uint32_t count)
{
    while (count-- > 0)
        gather_ungive(d->options.gather, d->refs[count]);
    hold(d, n, d->options.loop->now_ms + HOLD_MS);
}

/* One frame: how many tasks were sent in it. */
static uint32_t send_frame(downstream_t *d, uint32_t leg, uint32_t n, bool picky)
{
    batch_t batch;
    gather_task_t task;
    uint32_t count = 0, most = d->quota[n] < d->options.batch ? d->quota[n] : d->options.batch;
    const tasks_t head = {.seen = d->workers[n].seen,
                          .limit_ms = gather_policy_of(d->options.gather, leg)->limit_ms};
    buffer_clear(&d->frame);
    tasks_begin(&batch, &d->frame, &head);
    while (count < most && !batch_full(&batch) &&
           gather_give(d->options.gather, leg, n, picky, d->options.loop->now_ms, &task)) {
        tasks_add(&batch, &task.record);
        d->refs[count++] = task.record.ref;
    }
    batch_end(&batch);
    if (count == 0 || server_send(d->server, n, &d->frame) == 0) {
        d->workers[n].given += count;
        return count;
    }
    take_back(d, n, count);
    return 0;
}

/* False: there is something that it did not take. */
static bool send_tasks(downstream_t *d, uint32_t leg, uint32_t n, bool picky)
{
    uint32_t count = 1;
    while (d->quota[n] > 0 && count > 0) {
        count = send_frame(d, leg, n, picky);
        d->quota[n] -= count;
    }
    bool all = d->quota[n] == 0;
    roster_freed(d->options.roster, n, d->quota[n]);
    d->quota[n] = 0;
    return all;
}

/* Shares out what waits by load, in portions, so that each worker gets few frames. Returns how many have a
 * share. */
static uint32_t share_out(downstream_t *d, uint32_t leg, uint32_t touched[static ROSTER_MAX])
{
    roster_t *roster = d->options.roster;
    uint32_t waiting = gather_waiting(d->options.gather, leg);
    uint32_t touched_count = 0, n;
    while (waiting > 0 && (n = roster_pick(roster, leg)) != ROSTER_NONE) {
        uint32_t portion = waiting / roster_workers(roster, leg) + 1;
        uint32_t part = d->workers[n].window / WINDOW_PARTS + 1;
        uint32_t credit = roster_credit(roster, n);
        portion = portion < part ? portion : part;
        portion = portion < credit ? portion : credit;
        portion = portion < waiting ? portion : waiting;
        if (d->quota[n] == 0)
            touched[touched_count++] = n;
        d->quota[n] += portion;
        roster_gave(roster, n, portion);
        waiting -= portion;
    }
    return touched_count;
}

/* What a worker may not have (gather_give) goes to the others: he is put aside until they had their turn. It
 * ends when all is given, or each is full or put aside. */
static void give_round(downstream_t *d, uint32_t leg, bool picky)
{
    uint32_t touched[ROSTER_MAX];
    uint32_t touched_count, aside_count = 0;
    while ((touched_count = share_out(d, leg, touched)) > 0) {
        for (uint32_t i = 0; i < touched_count; i++) {
            if (send_tasks(d, leg, touched[i], picky) || d->workers[touched[i]].hold_ms != 0)
                continue;
            roster_hold(d->options.roster, touched[i], true);
            d->aside[aside_count++] = touched[i];
        }
    }
    while (aside_count > 0)
        roster_hold(d->options.roster, d->aside[--aside_count], false);
}

void downstream_flush(downstream_t *d)
{
    send_grants(d);
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
        if (gather_waiting(d->options.gather, leg) > 0)
            give_round(d, leg, true);
        if (gather_waiting(d->options.gather, leg) > 0)
            give_round(d, leg, false);
    }
}

/* --- time --- */

void downstream_tick(downstream_t *d)
{
    server_tick(d->server);
    if (d->held_back == 0)
        return;
    for (uint32_t n = PEER_NONE; (n = server_next_peer(d->server, n)) != PEER_NONE;)
        if (d->workers[n].hold_ms != 0 && d->workers[n].hold_ms <= d->options.loop->now_ms)
            hold(d, n, 0);
}

int64_t downstream_next_ms(const downstream_t *d)
{
    int64_t next_ms = server_next_ms(d->server);
    int64_t held_ms = d->held_back > 0 ? d->options.loop->now_ms + HOLD_MS : INT64_MAX;
    return held_ms < next_ms ? held_ms : next_ms;
}

/* --- the rest --- */

const char *downstream_endpoint(const downstream_t *d)
{
    return server_endpoint(d->server);
}

uint32_t downstream_next_worker(const downstream_t *d, uint32_t after, downstream_worker_t *ret)
{
    const roster_t *roster = d->options.roster;
    uint32_t n = server_next_peer(d->server, after);
    if (n == PEER_NONE)
        return PEER_NONE;
    const worker_t *w = &d->workers[n];
    *ret = (downstream_worker_t){.leg = roster_leg(roster, n),
                                 .label = w->label,
                                 .window = w->window,
                                 .outstanding = roster_outstanding(roster, n),
                                 .given = w->given};
    return n;
}

void downstream_counts(const downstream_t *d, server_counts_t *ret)
{
    server_counts(d->server, ret);
}

int downstream_open(downstream_t **ret, const downstream_options_t *o, char *why)
{
    snprintf(why, WHY_BYTES, "out of memory");
    downstream_t *d = calloc(1, sizeof *d);
    if (d == NULL)
        return -ENOMEM;
    d->options = *o;
    buffer_init(&d->frame);
    d->results = calloc(RECORDS_MAX, sizeof *d->results);
    d->notes = calloc(RECORDS_MAX, sizeof *d->notes);
    d->grants = calloc(RECORDS_MAX, sizeof *d->grants);
    d->refs = calloc(HELD_MAX, sizeof *d->refs);
    d->quota = calloc(ROSTER_MAX, sizeof *d->quota);
    d->aside = calloc(ROSTER_MAX, sizeof *d->aside);
    server_options_t options = {.what = "worker",
                                .endpoint = o->endpoint,
                                .sessions = true,
                                .role = ROLE_WORKER,
                                .peers_max = ROSTER_MAX,
                                .welcome = {.session = clock_random_id()}};
    server_events_t events = {
        .arg = d, .hello = on_hello, .gone = on_gone, .frame = on_frame, .seen = on_seen};
    bool memory = d->results != NULL && d->notes != NULL && d->grants != NULL && d->refs != NULL &&
                  d->quota != NULL && d->aside != NULL;
    int error = memory ? 0 : -ENOMEM;
    if (error == 0)
        error = server_open(&d->server, &options, &events, o->loop, why);
    if (error != 0) {
        downstream_close(&d, 0);
        return error;
    }
    *ret = d;
    return 0;
}

void downstream_bye(downstream_t *d, int linger_ms)
{
    server_bye(d->server, linger_ms);
}

void downstream_close(downstream_t **ref, int linger_ms)
{
    downstream_t *d = *ref;
    if (d == NULL)
        return;
    server_close(&d->server, linger_ms);
    buffer_done(&d->frame);
    free(d->results);
    free(d->notes);
    free(d->grants);
    free(d->refs);
    free(d->quota);
    free(d->aside);
    free(d);
    *ref = NULL;
}

#include "consumer/upstream.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "consumer/kept.h"
#include "consumer/say.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)DIALS_MAX == (int)SOURCES_MAX, "a dial's number is a source");

enum {
    FRAMES_A_TURN = 16,      /* from each publisher */
    RETRY_MS = 10,           /* a frame that could not be sent */
    REFUSED_DELAY_MS = 1000, /* before a message that was given back may come again */
    WINDOW_MS = 1000,        /* a small change of a window is told at the latest then */
    WINDOW_PART = 8,         /* one by more than this part of it at once */
    LEGS_MS = 1000,          /* legs without a number are looked at again */
};

typedef struct {
    bool known; /* WELCOME has told its legs */
    welcome_t welcome;
    uint8_t legs;       /* all of them, in our numbers */
    uint8_t asked;      /* of them those of new messages */
    uint8_t unnumbered; /* bits of the publisher that have no number here */
    uint8_t to_ours[256];
    uint8_t to_theirs[256];
    uint8_t bits[LEGS_MAX]; /* the publisher's for each of our numbers */
    uint32_t window;        /* as it was told */
    int64_t window_ms;      /* when */
    kept_t kept;
} publisher_t;

struct upstream {
    upstream_options_t options;
    dialer_t *dialer;
    uint32_t up; /* sessions */
    bool draining;
    int failed; /* -ENOMEM: a frame was lost */
    int64_t legs_ms;
    upstream_counts_t counts;
    uint64_t *held; /* for HELLO */
    size_t held_max;
    delivery_record_t *deliveries;
    buffer_t events; /* of a step */
    publisher_t publishers[DIALS_MAX];
};

/* --- legs --- */

static uint8_t map_bits(uint8_t mask, const int numbers[static LEGS_MAX])
{
    uint8_t ret = 0;
    for (uint32_t bit = 0; bit < LEGS_MAX; bit++)
        if ((mask >> bit & 1) && numbers[bit] >= 0)
            ret |= (uint8_t)(1u << numbers[bit]);
    return ret;
}

/* The publisher's bits and our numbers, both ways, for each mask there may be. */
static void number_legs(upstream_t *u, publisher_t *p)
{
    int ours[LEGS_MAX], theirs[LEGS_MAX];
    memset(ours, -1, sizeof ours);
    memset(theirs, -1, sizeof theirs);
    p->unnumbered = 0;
    for (uint32_t bit = 0; bit < p->welcome.legs_count; bit++) {
        ours[bit] = legs_number(u->options.legs, p->welcome.legs[bit]);
        if (ours[bit] < 0) {
            p->unnumbered |= (uint8_t)(1u << bit);
            log_limited(LOG_WARN, "more than %d legs: nothing is taken from a publisher that asks for \"%s\"",
                        LEGS_MAX, p->welcome.legs[bit]);
            continue;
        }
        theirs[ours[bit]] = (int)bit;
        p->bits[ours[bit]] = (uint8_t)bit;
        u->options.legs->asked |= (uint8_t)(1u << ours[bit]);
    }
    for (uint32_t mask = 0; mask < 256; mask++) {
        p->to_ours[mask] = map_bits((uint8_t)mask, ours);
        p->to_theirs[mask] = map_bits((uint8_t)mask, theirs);
    }
    p->legs = p->to_ours[255];
    p->asked = p->to_ours[p->welcome.asked];
}

static void collect_asked(upstream_t *u)
{
    u->options.legs->asked = 0;
    for (uint32_t n = 0; n < DIALS_MAX; n++)
        if (u->publishers[n].known)
            u->options.legs->asked |= u->publishers[n].legs;
}

/* --- windows --- */

/* The publisher's share of what the workers of its scarcest leg can take, among `up` publishers. A leg that
 * only old messages have needs no worker for new ones to be taken. */
static uint32_t window_share(const upstream_t *u, const publisher_t *p, uint32_t up)
{
    if (u->draining || !p->known || p->unnumbered != 0)
        return 0;
    uint32_t all =
        roster_consumer_window(u->options.roster, p->asked, u->options.batch, u->options.window_max);
    uint32_t share = all / up;
    return all > 0 && share == 0 ? 1 : share;
}

/* Workers change their windows often and by little. A publisher is told of what matters at once, and of the
 * rest once a second. */
static bool window_is_due(const publisher_t *p, uint32_t share, int64_t now_ms)
{
    uint32_t change = share > p->window ? share - p->window : p->window - share;
    return change > 0 && (share == 0 || p->window == 0 || change > p->window / WINDOW_PART ||
                          now_ms >= p->window_ms + WINDOW_MS);
}

static void say_window(upstream_t *u, uint32_t n, uint32_t share)
{
    publisher_t *p = &u->publishers[n];
    buffer_t frame;
    buffer_init(&frame);
    encode_window(&frame, share);
    if (dialer_send(u->dialer, n, &frame) == 0) {
        log_debug("window of %u for publisher %s", share, dialer_address(u->dialer, n));
        p->window = share;
        p->window_ms = u->options.loop->now_ms;
    }
    buffer_done(&frame);
}

/* --- sessions --- */

static void on_hello(void *arg, uint32_t n, hello_t *h, const uint64_t **ret_held)
{
    upstream_t *u = arg;
    publisher_t *p = &u->publishers[n];
    h->window = window_share(u, p, u->up + 1);
    p->window = h->window;
    p->window_ms = u->options.loop->now_ms;
    h->held_count = (uint32_t)gather_held(u->options.gather, n, u->held, u->held_max);
    *ret_held = u->held;
}

static void on_up(void *arg, uint32_t n, const welcome_t *w, bool other_server)
{
    upstream_t *u = arg;
    publisher_t *p = &u->publishers[n];
    if (!p->known)
        kept_init(&p->kept, u->options.batch);
    u->up++;
    p->known = true;
    p->welcome = *w;
    number_legs(u, p);
    collect_asked(u);
    kept_again(&p->kept);
    gather_leases(u->options.gather, n, w->ack_deadline_ms, w->lease_cap_ms);
    /* A publisher that was started anew does not know what is out: an extend in time adopts the lease. */
    if (other_server)
        gather_extend_all(u->options.gather, n, u->options.loop->now_ms);
}

static void on_down(void *arg, uint32_t n)
{
    upstream_t *u = arg;
    u->up--;
    size_t held = gather_held(u->options.gather, n, u->held, u->held_max) / 2;
    if (held > 0)
        log_warn("publisher %s is not connected: the %zu messages that it has given are kept",
                 dialer_address(u->dialer, n), held);
}

static void on_gone(void *arg, uint32_t n)
{
    upstream_t *u = arg;
    publisher_t *p = &u->publishers[n];
    gather_source_gone(u->options.gather, n);
    if (p->known)
        kept_done(&p->kept);
    *p = (publisher_t){0};
    collect_asked(u);
}

/* --- what comes in --- */

/* Back to the publisher, counting nothing. Without room for the step its lease runs out. */
static void give_back(upstream_t *u, publisher_t *p, const delivery_record_t *d)
{
    step_t step = {.id = d->id, .token = d->token, .op = OP_RELEASE, .ms = REFUSED_DELAY_MS};
    u->counts.refused++;
    if (kept_room(&p->kept) > 0 && kept_add(&p->kept, &step, (kept_step_t){.slot = UINT32_MAX}) == -ENOMEM)
        u->failed = -ENOMEM;
}

static void map_tries(const publisher_t *p, const delivery_record_t *d, gather_message_t *ret)
{
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        if (ret->legs >> leg & 1)
            ret->tries[leg] = d->tries[p->bits[leg]];
}

/* What is of a leg that the message is not delivered for does not matter. */
static void map_notes(const publisher_t *p, const delivery_record_t *d, note_t notes[static LEGS_MAX],
                      gather_message_t *ret)
{
    reader_t r;
    note_t note;
    reader_init(&r, d->notes, d->notes_len);
    ret->notes = notes;
    while (note_read(&r, &note)) {
        for (uint32_t leg = 0; leg < LEGS_MAX; leg++) {
            if ((ret->legs >> leg & 1) == 0 || p->bits[leg] != note.bit)
                continue;
            notes[ret->notes_count] = note;
            notes[ret->notes_count++].bit = (uint8_t)leg;
        }
    }
}

static int take_deliver(upstream_t *u, uint32_t n, const frame_t *frame)
{
    publisher_t *p = &u->publishers[n];
    int count = decode_deliver(frame->data, frame->len, u->deliveries);
    for (int i = 0; i < count; i++) {
        note_t notes[LEGS_MAX];
        const delivery_record_t *d = &u->deliveries[i];
        gather_message_t m = {.source = n,
                              .id = d->id,
                              .token = d->token,
                              .legs = p->to_ours[d->legs],
                              .body = d->body,
                              .body_len = d->body_len};
        map_tries(p, d, &m);
        if (d->notes_count > 0)
            map_notes(p, d, notes, &m);
        bool all_numbered = p->to_theirs[m.legs] == d->legs;
        int taken = all_numbered ? gather_deliver(u->options.gather, &m, u->options.loop->now_ms) : -ENOTSUP;
        if (taken < 0) {
            log_limited(LOG_WARN, "publisher %s delivers %s: given back", dialer_address(u->dialer, n),
                        all_numbered ? "more than its window" : "for a leg that it has not named");
            give_back(u, p, d);
        } else if (taken > 0) {
            u->counts.consumed++;
            if (u->options.log_messages)
                say_consumed(d->id, d->body, d->body_len);
        }
    }
    return count < 0 ? count : 0;
}

static void take_code(upstream_t *u, const kept_step_t *s, step_code_t code)
{
    gather_view_t view;
    if (u->options.log_messages && s->final && gather_view(u->options.gather, s->slot, s->lease, &view))
        say_settled(&view, code);
    const bool left = s->note_no != 0
                          ? gather_note_settled(u->options.gather, s->slot, s->lease, s->note_no, code)
                          : gather_settled(u->options.gather, s->slot, s->lease, s->final, code);
    if (!left)
        return;
    u->counts.acked += code == STEP_DONE;
    u->counts.dead += code == STEP_DEAD;
    u->counts.released += code == STEP_RETURNED;
}

static int take_settled(upstream_t *u, uint32_t n, const frame_t *frame)
{
    publisher_t *p = &u->publishers[n];
    uint64_t no;
    const uint8_t *codes;
    int count = decode_settled(frame->data, frame->len, &no, &codes);
    if (count < 0)
        return count;
    const kept_frame_t *f = kept_find(&p->kept, no);
    if (f == NULL)
        return 0; /* sent twice, answered twice */
    if (f->count != (uint32_t)count)
        return -EPROTO;
    for (int i = 0; i < count; i++)
        take_code(u, &f->steps[i], (step_code_t)codes[i]);
    kept_settled(&p->kept, no);
    return 0;
}

static int on_frame(void *arg, uint32_t n, int command, const frame_t *frame)
{
    uint64_t seen;
    switch (command) {
    case CMD_DELIVER:
        return take_deliver(arg, n, frame);
    case CMD_SETTLED:
        return take_settled(arg, n, frame);
    case CMD_PING:
        return decode_ping(frame->data, frame->len, &seen);
    default:
        return -ENOSYS;
    }
}

void upstream_receive(upstream_t *u)
{
    dialer_receive(u->dialer, FRAMES_A_TURN);
}

/* --- what goes out --- */

/* The step's tries as the publisher keeps them: in its bits, and by the wall clock. */
static int write_tries(upstream_t *u, const publisher_t *p, const gather_step_t *s, step_t *ret)
{
    const int64_t wall_ms = clock_wall_ms() - u->options.loop->now_ms;
    const gather_try_t *t = s->tries;
    buffer_clear(&u->events);
    for (uint32_t i = 0; i < s->tries_count; i++, t = t->next) {
        const int64_t since_ms = wall_ms + t->since_ms;
        event_t e = {.bit = p->bits[t->leg],
                     .no = t->no,
                     .label = t->label,
                     .since_ms = since_ms > 0 ? (uint64_t)since_ms : 0,
                     .took_ms = t->took_ms,
                     .how = t->how,
                     .text = t->text};
        event_write(&u->events, &e);
    }
    if (u->events.failed)
        return -ENOMEM;
    ret->events = u->events.data;
    ret->events_len = (uint32_t)u->events.len;
    ret->events_count = s->tries_count;
    return 0;
}

static int take_steps(upstream_t *u, uint32_t n)
{
    publisher_t *p = &u->publishers[n];
    gather_step_t steps[KEPT_ROOM_MAX];
    size_t count, max;
    do {
        max = kept_room(&p->kept);
        count = gather_steps(u->options.gather, n, u->options.loop->now_ms, steps, max);
        for (size_t i = 0; i < count; i++) {
            const gather_step_t *s = &steps[i];
            step_t step = {.id = s->id,
                           .token = s->token,
                           .done = p->to_theirs[s->done],
                           .bad = p->to_theirs[s->bad],
                           .op = s->op,
                           .ms = s->ms,
                           .text = s->text,
                           .note = s->note};
            if (s->op == OP_NOTE)
                step.note.bit = p->bits[s->note.bit];
            int error = s->tries_count > 0 ? write_tries(u, p, s, &step) : 0;
            if (s->op == OP_EXTEND && u->options.log_messages)
                say_extended(s->id, s->ms);
            if (error == 0)
                error = kept_add(&p->kept, &step, (kept_step_t){s->slot, s->lease, s->note_no, s->final});
            if (error != 0)
                return error;
        }
    } while (count > 0 && count == max);
    return kept_end(&p->kept);
}

static void send_kept(upstream_t *u, uint32_t n)
{
    publisher_t *p = &u->publishers[n];
    const buffer_t *frame;
    if (kept_again_ms(&p->kept) <= u->options.loop->now_ms)
        kept_again(&p->kept);
    while ((frame = kept_unsent(&p->kept)) != NULL && dialer_send(u->dialer, n, frame) == 0)
        kept_sent(&p->kept, u->options.loop->now_ms);
}

int upstream_flush(upstream_t *u)
{
    uint32_t left = u->up;
    for (uint32_t n = 0; left > 0; n++) {
        publisher_t *p = &u->publishers[n];
        if (!dialer_up(u->dialer, n))
            continue;
        left--;
        int error = take_steps(u, n);
        if (error != 0)
            return error;
        send_kept(u, n);
        uint32_t share = window_share(u, p, u->up);
        if (window_is_due(p, share, u->options.loop->now_ms))
            say_window(u, n, share);
    }
    return u->failed;
}

/* --- time --- */

/* A number may have come free since. */
static void number_again(upstream_t *u)
{
    u->legs_ms = u->options.loop->now_ms + LEGS_MS;
    for (uint32_t n = 0; n < DIALS_MAX; n++)
        if (u->publishers[n].known && u->publishers[n].unnumbered != 0)
            number_legs(u, &u->publishers[n]);
}

void upstream_tick(upstream_t *u)
{
    dialer_tick(u->dialer);
    if (u->options.loop->now_ms >= u->legs_ms)
        number_again(u);
}

int64_t upstream_next_ms(const upstream_t *u)
{
    int64_t next_ms = dialer_next_ms(u->dialer);
    uint32_t left = u->up;
    for (uint32_t n = 0; left > 0; n++) {
        const publisher_t *p = &u->publishers[n];
        if (!dialer_up(u->dialer, n))
            continue;
        left--;
        int64_t due_ms[] = {
            kept_room(&p->kept) > 0 ? gather_steps_ms(u->options.gather, n) : INT64_MAX,
            kept_again_ms(&p->kept),
            kept_unsent(&p->kept) != NULL ? u->options.loop->now_ms + RETRY_MS : INT64_MAX,
        };
        for (size_t i = 0; i < sizeof due_ms / sizeof due_ms[0]; i++)
            if (due_ms[i] < next_ms)
                next_ms = due_ms[i];
    }
    return next_ms;
}

/* --- the rest --- */

void upstream_drain(upstream_t *u)
{
    u->draining = true;
}

bool upstream_settled(const upstream_t *u)
{
    for (uint32_t n = 0; n < DIALS_MAX; n++)
        if (u->publishers[n].known && !kept_empty(&u->publishers[n].kept))
            return false;
    return true;
}

void upstream_counts(const upstream_t *u, upstream_counts_t *ret)
{
    *ret = u->counts;
    ret->window = 0;
    for (uint32_t n = 0; n < DIALS_MAX; n++)
        if (dialer_up(u->dialer, n))
            ret->window += u->publishers[n].window;
    dialer_counts(u->dialer, &ret->dialer);
}

void upstream_options(upstream_t *u, uint32_t window_max, bool log_messages)
{
    u->options.window_max = window_max;
    u->options.log_messages = log_messages;
}

typedef struct {
    upstream_t *upstream;
    bool answered[DIALS_MAX];
    uint32_t left;
} goodbye_t;

/* What its publisher knows of a message: its end, when that was told, else that it is held here no more. */
static void count_held(void *arg, const gather_view_t *view)
{
    goodbye_t *g = arg;
    upstream_t *u = g->upstream;
    if (!g->answered[view->source]) {
        g->left++;
        return;
    }
    bool told =
        (view->done | view->bad) == view->legs && kept_unsent(&u->publishers[view->source].kept) == NULL;
    u->counts.acked += told && view->bad == 0;
    u->counts.dead += told && view->bad != 0;
    u->counts.released += !told;
}

uint32_t upstream_bye(upstream_t *u, int linger_ms)
{
    goodbye_t g = {.upstream = u};
    dialer_bye(u->dialer, linger_ms, g.answered);
    gather_each(u->options.gather, count_held, &g);
    return g.left;
}

int upstream_open(upstream_t **ret, const upstream_options_t *o, char *why)
{
    upstream_t *u = calloc(1, sizeof *u);
    if (u == NULL) {
        snprintf(why, WHY_BYTES, "out of memory");
        return -ENOMEM;
    }
    u->options = *o;
    buffer_init(&u->events);
    u->held_max = HELD_MAX;
    u->held = calloc(u->held_max, sizeof *u->held);
    u->deliveries = calloc(RECORDS_MAX, sizeof *u->deliveries);
    dialer_options_t options = {.what = "publisher",
                                .role = ROLE_CONSUMER,
                                .kind = "",
                                .leg = "",
                                .label = o->label,
                                .endpoints = o->publishers,
                                .endpoints_count = o->publishers_count};
    dialer_events_t events = {
        .arg = u, .hello = on_hello, .up = on_up, .down = on_down, .gone = on_gone, .frame = on_frame};
    int error = u->held == NULL || u->deliveries == NULL ? -ENOMEM : 0;
    if (error == 0)
        error = dialer_open(&u->dialer, &options, &events, o->loop, why);
    else
        snprintf(why, WHY_BYTES, "out of memory");
    if (error != 0) {
        upstream_close(&u, 0);
        return error;
    }
    *ret = u;
    return 0;
}

void upstream_close(upstream_t **ref, int linger_ms)
{
    upstream_t *u = *ref;
    if (u == NULL)
        return;
    dialer_close(&u->dialer, linger_ms);
    for (uint32_t n = 0; n < DIALS_MAX; n++)
        if (u->publishers[n].known)
            kept_done(&u->publishers[n].kept);
    free(u->held);
    free(u->deliveries);
    buffer_done(&u->events);
    free(u);
    *ref = NULL;
}

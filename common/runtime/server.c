#include "common/runtime/server.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* Connections whose answer to BYE may not be read yet; of more in one moment some are not waited for. */
    LEAVERS_MAX = 256,
    LEAVER_MS = 2, /* between two looks whether one is gone */
};

struct server {
    server_options_t options;
    server_events_t events;
    loop_t *loop;
    int item;
    wire_t *wire;
    peers_t *peers; /* NULL without sessions */
    bool *welcomed; /* by peer: since its session began, or came on another connection */
    buffer_t frame;
    bool drained;
    bool ended;         /* BYE was said to all: nobody is answered any more */
    int64_t guard_ms;   /* when it is due */
    int64_t trusted_ms; /* before this, silence says more about this process than about a peer */
    int64_t errors_ms;  /* the second that `errors` counts */
    uint32_t errors;
    uint64_t malformed, unknown, limit;
    uint32_t leavers[LEAVERS_MAX]; /* connections that said BYE, the last ones */
    uint32_t leavers_count;        /* of all that ever did */
};

/* --- what goes out --- */

int server_send(server_t *s, uint32_t peer, const buffer_t *frame)
{
    if (s->peers == NULL)
        return wire_send(s->wire, peer, frame);
    /* It would drop what comes before WELCOME, and its next HELLO, on the same connection, tells nothing. */
    if (!s->welcomed[peer])
        return -EAGAIN;
    int error = wire_send(s->wire, peers_routing_id(s->peers, peer), frame);
    if (error == 0)
        peers_said(s->peers, peer, s->loop->now_ms);
    return error;
}

static void answer_error(server_t *s, uint32_t routing_id, unsigned code, const char *text)
{
    buffer_clear(&s->frame);
    encode_error(&s->frame, code, text);
    wire_send(s->wire, routing_id, &s->frame);
}

void server_error(server_t *s, uint32_t peer, unsigned code, const char *text)
{
    answer_error(s, s->peers == NULL ? peer : peers_routing_id(s->peers, peer), code, text);
}

static int say_bye(server_t *s, uint32_t peer)
{
    buffer_clear(&s->frame);
    encode_bye(&s->frame);
    return server_send(s, peer, &s->frame);
}

static void take_bye(server_t *s, uint32_t peer)
{
    s->leavers[s->leavers_count++ % LEAVERS_MAX] = peers_routing_id(s->peers, peer);
    peers_drop(s->peers, peer);
}

static void refuse(server_t *s, uint32_t routing_id, unsigned code, const char *why)
{
    log_limited(LOG_WARN, "%s: %s refused: %s", error_name(code), s->options.what, why);
    if (s->loop->now_ms - s->errors_ms >= 1000) {
        s->errors_ms = s->loop->now_ms;
        s->errors = 0;
    }
    if (s->errors++ < SERVER_ERRORS_PER_S)
        answer_error(s, routing_id, code, why);
}

/* --- what comes in --- */

static unsigned check_hello(const server_t *s, const hello_t *h, char *why)
{
    if (h->version_min > PROTO_VERSION || h->version_max < PROTO_VERSION) {
        snprintf(why, WHY_BYTES, "it speaks versions %llu to %llu, here it is %d",
                 (unsigned long long)h->version_min, (unsigned long long)h->version_max, PROTO_VERSION);
        return ERR_VERSION;
    }
    if (h->role != s->options.role) {
        snprintf(why, WHY_BYTES, "only a %s may connect here", s->options.what);
        return ERR_ROLE;
    }
    return 0;
}

/* A WELCOME that cannot be sent is sent when the peer says HELLO again. */
static void welcome(server_t *s, uint32_t peer, bool anew)
{
    buffer_clear(&s->frame);
    encode_welcome(&s->frame, &s->options.welcome);
    const bool before = !anew && s->welcomed[peer];
    s->welcomed[peer] = true;
    if (server_send(s, peer, &s->frame) != 0)
        s->welcomed[peer] = before;
}

static int take_hello(server_t *s, const frame_t *frame)
{
    hello_t h;
    char why[WHY_BYTES] = "";
    bool known;
    if (decode_hello(frame->data, frame->len, &h) != 0)
        return -EPROTO;
    unsigned code = check_hello(s, &h, why);
    if (code != 0) {
        refuse(s, frame->routing_id, code, why);
        return 0;
    }
    uint32_t before = peers_heard(s->peers, frame->routing_id, s->loop->now_ms);
    int64_t peer = peers_hello(s->peers, frame->routing_id, h.session, s->loop->now_ms, &known);
    if (peer < 0) {
        refuse(s, frame->routing_id, ERR_LIMIT, "there are as many peers as may be");
        return 0;
    }
    code = s->events.hello(s->events.arg, (uint32_t)peer, &h, known, known && before != peer, why);
    if (code != 0) {
        peers_drop(s->peers, (uint32_t)peer);
        refuse(s, frame->routing_id, code, why);
        return 0;
    }
    welcome(s, (uint32_t)peer, !known || before != peer);
    return (int)h.held_count;
}

static int take_error(server_t *s, const frame_t *frame)
{
    peer_error_t e;
    char text[TEXT_BYTES_MAX + 1];
    if (decode_error(frame->data, frame->len, &e) == 0)
        log_limited(LOG_WARN, "a %s says %s: %s", s->options.what, error_name(e.code),
                    text_escape(e.text.bytes, e.text.len, text, sizeof text));
    else
        s->malformed++; /* an ERROR is never answered */
    return 0;
}

static int take_frame(server_t *s, int command, const frame_t *frame)
{
    if (command == CMD_ERROR)
        return take_error(s, frame);
    if (s->peers == NULL)
        return s->events.frame(s->events.arg, frame->routing_id, command, frame);
    if (command == CMD_HELLO)
        return take_hello(s, frame);
    uint32_t peer = peers_heard(s->peers, frame->routing_id, s->loop->now_ms);
    if (peer == PEER_NONE) {
        buffer_clear(&s->frame);
        encode_who(&s->frame);
        wire_send(s->wire, frame->routing_id, &s->frame);
        return 0;
    }
    if (command == CMD_BYE) {
        say_bye(s, peer);
        s->events.gone(s->events.arg, peer, true);
        take_bye(s, peer);
        return 0;
    }
    return s->events.frame(s->events.arg, peer, command, frame);
}

/* How many records the frame had. */
static uint32_t receive_one(server_t *s, const frame_t *frame)
{
    const char *why = "a field is not as the protocol has it";
    int command = proto_command(frame->data, frame->len, &why);
    int n = command < 0 ? command : take_frame(s, command, frame);
    switch (n) {
    case -ENOSYS:
        s->unknown++;
        refuse(s, frame->routing_id, ERR_UNKNOWN, "no command of this endpoint");
        return 0;
    case -E2BIG:
        s->limit++;
        refuse(s, frame->routing_id, ERR_LIMIT, "more records than a frame may have");
        return 0;
    default:
        if (n >= 0)
            return (uint32_t)n;
        s->malformed++;
        refuse(s, frame->routing_id, ERR_MALFORMED, why);
        return 0;
    }
}

bool server_receive(server_t *s, uint32_t records_max)
{
    frame_t frame;
    uint32_t records = 0;
    s->drained = false;
    for (uint32_t frames = 0; frames < records_max && records < records_max; frames++) {
        if (wire_recv(s->wire, &frame) != 0) {
            s->drained = true;
            break;
        }
        if (s->ended)
            continue;
        records += receive_one(s, &frame) + (uint32_t)(frame.len / SERVER_RECORD_BYTES);
    }
    return s->drained;
}

/* --- what is due --- */

static void say_pings(server_t *s)
{
    uint32_t peer;
    while ((peer = peers_due_ping(s->peers, s->loop->now_ms)) != PEER_NONE) {
        buffer_clear(&s->frame);
        encode_ping(&s->frame, s->events.seen ? s->events.seen(s->events.arg, peer) : 0);
        /* A peer that cannot be reached now gets the next one: its silence will tell. */
        if (server_send(s, peer, &s->frame) != 0)
            peers_said(s->peers, peer, s->loop->now_ms);
    }
}

static void drop_dead(server_t *s)
{
    uint32_t peer;
    while ((peer = peers_dead(s->peers, s->loop->now_ms)) != PEER_NONE) {
        log_limited(LOG_WARN, "a %s has fallen silent", s->options.what);
        s->events.gone(s->events.arg, peer, false);
        peers_drop(s->peers, peer);
    }
}

void server_tick(server_t *s)
{
    int64_t now_ms = s->loop->now_ms;
    if (s->drained && now_ms >= s->guard_ms) {
        wire_guard(s->wire, now_ms);
        s->guard_ms = now_ms + SERVER_GUARD_MS;
    }
    if (s->peers == NULL)
        return;
    say_pings(s);
    /* It was this process that stood still: what peers said meanwhile may still be on its way in. */
    if (s->loop->late_ms > PING_MS)
        s->trusted_ms = now_ms + PING_MS;
    if (s->drained && now_ms >= s->trusted_ms)
        drop_dead(s);
}

int64_t server_next_ms(const server_t *s)
{
    int64_t next_ms = s->guard_ms;
    if (s->peers == NULL)
        return next_ms;
    int64_t peers_ms = peers_next_ms(s->peers);
    if (peers_ms < s->trusted_ms)
        peers_ms = s->trusted_ms;
    return peers_ms < next_ms ? peers_ms : next_ms;
}

/* --- the rest --- */

const char *server_endpoint(const server_t *s)
{
    return wire_endpoint(s->wire);
}

uint32_t server_next_peer(const server_t *s, uint32_t after)
{
    return peers_next(s->peers, after);
}

void server_counts(const server_t *s, server_counts_t *ret)
{
    *ret = (server_counts_t){
        .peers = s->peers == NULL ? 0 : peers_count(s->peers),
        .malformed = s->malformed,
        .unknown = s->unknown,
        .limit = s->limit,
    };
    wire_counts(s->wire, &ret->wire);
}

int server_open(server_t **ret, const server_options_t *o, const server_events_t *events, loop_t *loop,
                char *why)
{
    server_t *s = calloc(1, sizeof *s);
    if (s == NULL) {
        snprintf(why, WHY_BYTES, "out of memory");
        return -ENOMEM;
    }
    s->options = *o;
    s->options.welcome.version = PROTO_VERSION;
    s->events = *events;
    s->loop = loop;
    s->item = -1;
    buffer_init(&s->frame);
    s->peers = o->sessions ? peers_new(o->peers_max) : NULL;
    s->welcomed = o->sessions ? calloc(o->peers_max, sizeof *s->welcomed) : NULL;
    bool short_of_memory = o->sessions && (s->peers == NULL || s->welcomed == NULL);
    int error = short_of_memory ? -ENOMEM
                : o->sessions   ? wire_bind(&s->wire, o->endpoint, why)
                                : wire_bind_open(&s->wire, o->endpoint, why);
    if (error == 0) {
        s->item = loop_add_socket(loop, wire_socket(s->wire));
        error = s->item < 0 ? s->item : 0;
    }
    if (error != 0) {
        server_close(&s, 0);
        return error;
    }
    *ret = s;
    return 0;
}

/* What a peer says until it answers BYE. */
static void take_last(server_t *s, const frame_t *frame, bool tell)
{
    const char *why;
    const int command = proto_command(frame->data, frame->len, &why);
    const uint32_t peer = peers_heard(s->peers, frame->routing_id, s->loop->now_ms);
    if (peer == PEER_NONE || command < 0)
        return;
    if (command == CMD_BYE) {
        if (tell)
            s->events.gone(s->events.arg, peer, true);
        take_bye(s, peer);
    } else if (tell && command != CMD_HELLO && command != CMD_ERROR) {
        /* What is wrong with it is of no account any more. */
        (void)s->events.frame(s->events.arg, peer, command, frame);
    }
}

/* A peer that answers BYE has taken all that was sent before. To close without waiting for it would lose what
 * it has not read yet, when it happens to write at that moment. */
static void await_byes(server_t *s, int64_t until_ms, bool tell)
{
    for (uint32_t p = PEER_NONE; (p = peers_next(s->peers, p)) != PEER_NONE;) {
        if (say_bye(s, p) == 0)
            continue;
        if (tell)
            s->events.gone(s->events.arg, p, true);
        peers_drop(s->peers, p);
    }
    /* One frame at a time: who sends without end does not keep us here longer. */
    while (peers_count(s->peers) > 0 && wire_wait(s->wire, until_ms)) {
        frame_t frame;
        if (wire_recv(s->wire, &frame) == 0)
            take_last(s, &frame, tell);
    }
}

void server_bye(server_t *s, int linger_ms)
{
    await_byes(s, clock_ms() + linger_ms, true);
    s->ended = true;
}

/* Whose BYE was answered reads the answer as long as the connection stands, then closes it. A ROUTER tells
 * that a connection is gone only to who sends something: once more BYE, which nobody reads any more. */
static void await_leavers(server_t *s, int64_t until_ms)
{
    frame_t frame;
    buffer_clear(&s->frame);
    encode_bye(&s->frame);
    for (uint32_t i = 0; i < LEAVERS_MAX && i < s->leavers_count; i++) {
        while (clock_ms() < until_ms && wire_send(s->wire, s->leavers[i], &s->frame) != -EHOSTUNREACH) {
            if (wire_wait(s->wire, clock_ms() + LEAVER_MS))
                (void)wire_recv(s->wire, &frame);
        }
    }
}

void server_close(server_t **ref, int linger_ms)
{
    server_t *s = ref != NULL ? *ref : NULL;
    if (s == NULL)
        return;
    *ref = NULL;
    if (s->peers != NULL && s->wire != NULL) {
        const int64_t until_ms = clock_ms() + linger_ms;
        await_byes(s, until_ms, false);
        await_leavers(s, until_ms);
    }
    loop_remove(s->loop, s->item);
    wire_close(&s->wire, linger_ms);
    peers_destroy(&s->peers);
    free(s->welcomed);
    buffer_done(&s->frame);
    free(s);
}

/* The invariants of what is said on the wire: who says what to whom. */
#include "common/core/peers.h"
#include "tests/sim/check_talks.h"
#include "tests/sim/trace.h"
#include <string.h>

/* --- HELLO, WINDOW, BYE --- */

static bool holds(const hello_t *h, bool pairs, const out_t *o)
{
    reader_t held = h->held;
    for (uint32_t i = 0; i < h->held_count; i += pairs ? 2 : 1) {
        uint64_t first = read_uint(&held, CODEC_INT_MAX);
        if (!pairs && first == o->key)
            return true;
        if (pairs && read_uint(&held, CODEC_INT_MAX) == o->id.seq && first == o->id.stream)
            return true;
    }
    return false;
}

static void hello_read(conn_t *c, const void *frame, size_t len)
{
    hello_t h;
    if (decode_hello(frame, len, &h) != 0)
        return;
    process_t *server = conn_process(c, END_SERVER);
    talk_t *t = talk_find(server, h.session);
    if (t->ended)
        return;
    t->left = false;
    uint32_t record = talk_record(t);
    bool moved = t->conn != conn_id(c);
    t->conn = conn_id(c);
    *conn_record(c) = record;
    int64_t now = server_now_ms(server);
    bool forgotten = t->silent || now - t->heard_ms >= DEAD_MS;
    t->silent = false;
    for (uint32_t i = 0; i < t->out_count; i++)
        if (forgotten || (moved && !holds(&h, h.role == ROLE_CONSUMER, &t->out[i])))
            t->out[i].doubtful = true;
    t->window = h.window;
    t->heard_ms = now;
    if (forgotten)
        t->seen = 0;
    t->leg = strcmp(h.leg, sim_legs[LEG_RESTART]) == 0 ? LEG_RESTART : LEG_SAVE;
}

/* --- CONFIRM --- */

static void confirm_sent(const process_t *p, const void *frame, size_t len)
{
    static refusal_t refusals[RECORDS_MAX];
    confirm_t confirm;
    if (decode_confirm(frame, len, &confirm, refusals) < 0)
        return;
    for (uint32_t i = 0; i < confirm.stored; i++) {
        message_id_t id = {.stream = confirm.first.stream, .seq = confirm.first.seq + i};
        const message_t *m = check_message(id);
        if (m == NULL || m->publisher != p->index)
            broken("commit", "%s confirms %s before it is stored", p->name, id_text(id));
    }
}

/* --- all of them --- */

void check_sent(conn_t *c, int end, const void *frame, size_t len)
{
    const char *why;
    int command = proto_command(frame, len, &why);
    process_t *p = conn_process(c, end);
    talk_t *t = talk_of(c);
    hello_t hello;
    if (command < 0)
        broken("codec", "%s sends a frame that is malformed: %s", p->name, why);
    if (tracing)
        trace_frame(c, end, true, command, frame, len);
    bool needs_talk = command == CMD_DELIVER || command == CMD_TASKS || command == CMD_SETTLED;
    if (needs_talk && t == NULL)
        broken("session", "%s sends command %d to a connection that has not said HELLO", p->name, command);
    switch (command) {
    case CMD_HELLO:
        if (decode_hello(frame, len, &hello) == 0)
            conn_peer_check(c)->session = hello.session;
        break;
    case CMD_DELIVER:
        lease_deliver_sent(c, t, frame, len);
        break;
    case CMD_SETTLED:
        lease_settled_sent(t, frame, len);
        break;
    case CMD_WELCOME:
        if (t != NULL && p->program == PROGRAM_CONSUMER)
            tasks_started(c, t, UINT64_MAX);
        if (t != NULL)
            talk_welcomed(t);
        break;
    case CMD_TASKS:
        tasks_sent(c, t, frame, len);
        break;
    case CMD_PING:
        /* Of a peer that was silent for a time it tells whether it was forgotten. */
        if (end == END_SERVER && t != NULL && p->program == PROGRAM_CONSUMER)
            decode_ping(frame, len, &t->seen);
        break;
    case CMD_BYE:
        if (end == END_SERVER && t != NULL)
            t->ended = t->ended || !t->left;
        break;
    case CMD_PROGRESS:
        lease_progress_sent(c, frame, len);
        break;
    case CMD_RESULTS:
        if (t != NULL)
            results_sent(t, p, frame, len);
        break;
    case CMD_NOTES:
        once_notes_sent(p, t, frame, len);
        break;
    case CMD_GRANTS:
        once_grants_sent(p, frame, len);
        break;
    case CMD_CONFIRM:
        confirm_sent(p, frame, len);
        break;
    default:
        break;
    }
}

static void server_reads(conn_t *c, talk_t *t, int command, const void *frame, size_t len)
{
    int64_t now = server_now_ms(conn_process(c, END_SERVER));
    uint64_t started;
    t->silent = t->silent || now - t->heard_ms >= DEAD_MS;
    t->heard_ms = now;
    switch (command) {
    case CMD_WINDOW:
        decode_window(frame, len, &t->window);
        break;
    case CMD_BYE:
        t->left = true;
        if (conn_process(c, END_SERVER)->program == PROGRAM_CONSUMER)
            tasks_given_back(c, t);
        for (uint32_t i = 0; i < t->out_count; i++)
            t->out[i].doubtful = true;
        break;
    case CMD_PROGRESS:
        lease_progress_read(c, t, frame, len);
        break;
    case CMD_PING:
        if (decode_ping(frame, len, &started) == 0)
            tasks_started(c, t, started);
        break;
    case CMD_RESULTS:
        results_read(c, t, frame, len);
        break;
    case CMD_NOTES:
        once_notes_read(conn_process(c, END_SERVER), t, frame, len);
        break;
    default:
        break;
    }
}

void check_received(conn_t *c, int end, const void *frame, size_t len)
{
    int command = proto_command(frame, len, NULL);
    if (tracing)
        trace_frame(c, end, false, command, frame, len);
    if (end == END_SERVER) {
        if (command == CMD_HELLO)
            hello_read(c, frame, len);
        else if (*conn_record(c) > 0 && talk_of(c)->conn == conn_id(c))
            server_reads(c, talk_of(c), command, frame, len);
        return;
    }
    peer_check_t *check = conn_peer_check(c);
    switch (command) {
    case CMD_WELCOME:
        check->fresh = check->fresh || !check->up;
        check->up = true;
        break;
    case CMD_WHO:
    case CMD_BYE:
        check->up = false;
        break;
    case CMD_SETTLED:
        lease_settled_read(check, frame, len);
        break;
    case CMD_DELIVER:
        lease_deliver_read(c, frame, len);
        break;
    case CMD_GRANTS:
        once_grants_read(conn_process(c, END_PEER), frame, len);
        break;
    default:
        break;
    }
}

#include "publisher/consumers.h"
#include "common/core/notes.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCKED_MS = 50,
    /* What one turn gives out before it looks again at what has come in. */
    GIVEN_A_TURN = 2 * RECORDS_MAX,
    GIVEN_BYTES_A_TURN = 16 * FRAME_BYTES_FULL,
    /* PROGRESS frames of a round: server_receive takes no more. */
    ANSWERS_MAX = RECORDS_MAX,
};

/* The row that an id names; 0: none of ours. */
static uint64_t row_of(const consumers_t *c, message_id_t id)
{
    return id.stream == c->stream ? ((uint64_t)c->epoch << EPOCH_SHIFT) + id.seq
                                  : outbox_row_of(c->outbox, id);
}

static message_id_t id_of(const consumers_t *c, uint64_t row)
{
    return row >> EPOCH_SHIFT == c->epoch ? (message_id_t){.stream = c->stream, .seq = row & SEQ_MAX}
                                          : outbox_id(c->outbox, row);
}

/* --- sessions --- */

static int compare_rows(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* What the consumer holds goes on; what it was given and does not hold is READY again at once. */
static int take_held(consumers_t *c, uint16_t session, const hello_t *h)
{
    size_t n = 0;
    uint64_t *rows = malloc((h->held_count / 2 + 1) * sizeof *rows);
    if (!rows)
        return -ENOMEM;
    reader_t held = h->held;
    for (uint32_t i = 0; i < h->held_count / 2; i++) {
        message_id_t id = {.stream = read_uint(&held, CODEC_INT_MAX)};
        id.seq = read_uint(&held, SEQ_MAX);
        uint64_t row = row_of(c, id);
        if (row != 0)
            rows[n++] = row;
    }
    qsort(rows, n, sizeof *rows, compare_rows);
    /* The disk failing is for the round's commit to tell. */
    round_fail(c->round, backlog_claim(c->round->backlog, rows, n, c->round->now_ms));
    delivery_session_holds(c->delivery, session, rows, n);
    free(rows);
    return 0;
}

/* The names go round: 0 is nobody's. */
static void name(consumers_t *c, uint16_t session, const hello_t *h, bool known)
{
    if (!known) {
        c->sessions[session].given = 0;
        c->last_who = c->last_who == UINT32_MAX ? 1 : c->last_who + 1;
        c->sessions[session].who = c->last_who;
        delivery_session_name(c->delivery, session, c->last_who);
    }
    uint32_t who = c->sessions[session].who;
    consumer_label_t *label = &c->labels[who % LABELS_MAX];
    label->who = who;
    memcpy(label->text, h->label, sizeof label->text);
}

const char *consumers_label(void *arg, uint32_t who)
{
    const consumers_t *c = arg;
    const consumer_label_t *label = &c->labels[who % LABELS_MAX];
    return label->who == who ? label->text : "";
}

static void unblock(consumers_t *c, uint16_t session)
{
    if (!c->sessions[session].blocked)
        return;
    c->sessions[session].blocked = false;
    c->blocked_count--;
    delivery_session_window(c->delivery, session, c->sessions[session].window);
}

static void block(consumers_t *c, uint16_t session, int64_t now_ms)
{
    if (!c->sessions[session].blocked)
        c->blocked_count++;
    c->sessions[session].blocked = true;
    c->blocked_until_ms = now_ms + BLOCKED_MS;
    delivery_session_window(c->delivery, session, 0);
}

static void set_window(consumers_t *c, uint16_t session, uint32_t window)
{
    c->sessions[session].window = window;
    if (!c->sessions[session].blocked)
        delivery_session_window(c->delivery, session, window);
}

static void on_gone(void *arg, uint32_t peer, bool said_bye)
{
    consumers_t *c = arg;
    uint16_t session = (uint16_t)peer;
    /* The number may be another's before the round is committed. */
    for (uint32_t i = 0; i < c->answers_count; i++)
        if (c->answers[i].peer == peer)
            c->answers[i].peer = PEER_NONE;
    unblock(c, session);
    if (said_bye) {
        log_limited(LOG_INFO, "a consumer says goodbye, it held %u messages",
                    delivery_outstanding(c->delivery, session));
        delivery_session_holds(c->delivery, session, NULL, 0);
    }
    delivery_session_drop(c->delivery, session);
}

static unsigned on_hello(void *arg, uint32_t peer, const hello_t *h, bool known, bool moved, char *why)
{
    consumers_t *c = arg;
    uint16_t session = (uint16_t)peer;
    if (!known) {
        char label[4 * LABEL_BYTES_MAX];
        log_limited(LOG_INFO, "a consumer has connected: %s, window %u",
                    text_escape(h->label, strlen(h->label), label, sizeof label), h->window);
        delivery_session_open(c->delivery, session, h->window);
    }
    name(c, session, h, known);
    set_window(c, session, h->window);
    unblock(c, session);
    /* On one and the same connection nothing can have been lost since the last HELLO. */
    if ((known && !moved) || take_held(c, session, h) == 0)
        return 0;
    on_gone(c, peer, false);
    snprintf(why, WHY_BYTES, "out of memory");
    return ERR_LIMIT;
}

/* --- what comes in --- */

static int take_progress(consumers_t *c, uint32_t peer, const frame_t *frame)
{
    uint64_t no;
    int n = decode_progress(frame->data, frame->len, &no, c->steps);
    if (n < 0)
        return n;
    assert(c->answers_count < ANSWERS_MAX);
    progress_answer_t *answer = &c->answers[c->answers_count++];
    *answer =
        (progress_answer_t){.peer = peer, .no = no, .first = c->round->steps_count, .count = (uint32_t)n};
    for (int i = 0; i < n; i++)
        round_step(c->round, (uint16_t)peer, row_of(c, c->steps[i].id), &c->steps[i]);
    return n;
}

static int on_frame(void *arg, uint32_t peer, int command, const frame_t *frame)
{
    consumers_t *c = arg;
    uint64_t seen;
    uint32_t window;
    switch (command) {
    case CMD_PROGRESS:
        return take_progress(c, peer, frame);
    case CMD_PING:
        return decode_ping(frame->data, frame->len, &seen);
    case CMD_WINDOW:
        if (decode_window(frame->data, frame->len, &window) < 0)
            return -EPROTO;
        set_window(c, (uint16_t)peer, window);
        return 0;
    default:
        return -ENOSYS;
    }
}

bool consumers_receive(consumers_t *c)
{
    /* Steps of a round that could not be committed yet: nothing is taken, and nobody is thought dead. */
    return server_receive(c->server, c->round->steps_count == 0 && c->answers_count == 0 ? RECORDS_MAX : 0);
}

/* --- what goes out --- */

void consumers_answer(consumers_t *c)
{
    for (uint32_t i = 0; i < c->answers_count; i++) {
        const progress_answer_t *a = &c->answers[i];
        if (a->peer == PEER_NONE)
            continue;
        buffer_clear(&c->frame);
        encode_settled(&c->frame, a->no, c->round->codes + a->first, a->count);
        /* Lost, it is asked for again: the consumer says its PROGRESS once more. */
        server_send(c->server, a->peer, &c->frame);
    }
    c->answers_count = 0;
}

/* A body that is only on disk, and the tries and notes with it: a redelivery, or one that was not read yet.
 */
static int fetch(consumers_t *c, const delivery_item_t *item, delivery_record_t *record)
{
    outbox_row_t row;
    if (record->body)
        return 0;
    int r = outbox_find(c->outbox, item->id, &row);
    if (r == 0) {
        record->body = row.body;
        record->body_len = row.body_len;
        memcpy(record->tries, row.tries, sizeof record->tries);
        buffer_clear(&c->notes);
        record->notes_count = notes_of(row.notes, row.notes_len, item->open, &c->notes);
        record->notes = c->notes.data;
        record->notes_len = (uint32_t)c->notes.len;
        r = c->notes.failed ? -ENOMEM : 0;
    }
    return r;
}

/* One frame with as many of the items as it has room for: how many were given out, or -errno with none. */
static int send_items(consumers_t *c, uint16_t session, const delivery_item_t *items, size_t n)
{
    batch_t batch;
    size_t taken = 0;
    buffer_clear(&c->frame);
    deliver_begin(&batch, &c->frame);
    for (; taken < n && !batch_full(&batch); taken++) {
        const delivery_item_t *item = &items[taken];
        delivery_record_t record = {.id = id_of(c, item->id),
                                    .token = item->token,
                                    .legs = item->open,
                                    .deliveries = item->deliveries,
                                    .body = item->body,
                                    .body_len = item->body_len};
        int r = fetch(c, item, &record);
        if (r == -ENOENT)
            log_limited(LOG_ERROR, "row %llu is not in the outbox", (unsigned long long)item->id);
        else if (r < 0)
            return r;
        if (r < 0)
            continue;
        deliver_add(&batch, &record);
    }
    batch_end(&batch);
    int r = batch.count > 0 ? server_send(c->server, session, &c->frame) : 0;
    return r < 0 ? r : (int)taken;
}

static bool is_unsendable(int error)
{
    return error == -EAGAIN || error == -EHOSTUNREACH || error == -ENOMEM;
}

int consumers_deliver(consumers_t *c, bool *ret_more, int64_t now_ms)
{
    uint64_t id_max = outbox_dispatched_to(c->outbox);
    uint16_t session;
    size_t messages = 0, bytes = 0;
    while ((session = delivery_taker(c->delivery)) != DELIVERY_NO_SESSION && messages < GIVEN_A_TURN &&
           bytes < GIVEN_BYTES_A_TURN) {
        size_t n = delivery_take(c->delivery, session, id_max, c->batch, now_ms, c->items);
        if (n == 0)
            break;
        int sent = send_items(c, session, c->items, n);
        size_t given = sent > 0 ? (size_t)sent : 0;
        messages += given;
        c->sessions[session].given += given;
        bytes += c->frame.len;
        for (size_t i = 0; i < given; i++)
            c->redelivered += c->items[i].deliveries > 0;
        delivery_sent(c->delivery, c->items, given);
        delivery_untake(c->delivery, c->items + given, n - given);
        if (sent < 0 && !is_unsendable(sent))
            return sent;
        if (sent < 0)
            block(c, session, now_ms);
    }
    *ret_more = session != DELIVERY_NO_SESSION;
    return 0;
}

void consumers_tick(consumers_t *c, int64_t now_ms)
{
    server_tick(c->server);
    if (c->blocked_count > 0 && now_ms >= c->blocked_until_ms)
        for (uint32_t s = 0; s < SESSIONS_MAX && c->blocked_count > 0; s++)
            unblock(c, (uint16_t)s);
}

int64_t consumers_next_ms(const consumers_t *c)
{
    int64_t next_ms = server_next_ms(c->server);
    return c->blocked_count > 0 && c->blocked_until_ms < next_ms ? c->blocked_until_ms : next_ms;
}

int consumers_open(consumers_t *c, const settings_t *s, outbox_t *outbox, delivery_t *delivery,
                   round_t *round, loop_t *loop, char *why)
{
    const char *const *names;
    memset(c, 0, sizeof *c);
    c->outbox = outbox;
    c->delivery = delivery;
    c->round = round;
    c->batch = s->batch;
    c->epoch = outbox_epoch(outbox);
    c->stream = outbox_stream(outbox, c->epoch);
    buffer_init(&c->frame);
    buffer_init(&c->notes);
    c->steps = malloc(RECORDS_MAX * sizeof *c->steps);
    c->items = malloc(RECORDS_MAX * sizeof *c->items);
    c->answers = malloc(ANSWERS_MAX * sizeof *c->answers);
    c->labels = calloc(LABELS_MAX, sizeof *c->labels);
    if (!c->steps || !c->items || !c->answers || !c->labels)
        return -ENOMEM;
    server_options_t options = {
        .what = "consumer",
        .endpoint = s->listen,
        .sessions = true,
        .role = ROLE_CONSUMER,
        .peers_max = SESSIONS_MAX,
        .welcome = {.session = clock_random_id(),
                    .ack_deadline_ms = s->limits.ack_deadline_ms,
                    .lease_cap_ms =
                        s->limits.lease_cap_ms < DURATION_MS_MAX ? s->limits.lease_cap_ms : DURATION_MS_MAX},
    };
    options.welcome.asked = outbox_legs(outbox, &names);
    while (options.welcome.legs_count < LEGS_MAX && names[options.welcome.legs_count]) {
        strncpy(options.welcome.legs[options.welcome.legs_count], names[options.welcome.legs_count],
                NAME_BYTES_MAX);
        options.welcome.legs_count++;
    }
    server_events_t events = {.arg = c, .hello = on_hello, .gone = on_gone, .frame = on_frame};
    return server_open(&c->server, &options, &events, loop, why);
}

void consumers_close(consumers_t *c, int linger_ms)
{
    server_close(&c->server, linger_ms);
    free(c->steps);
    free(c->items);
    free(c->answers);
    free(c->labels);
    buffer_done(&c->frame);
    buffer_done(&c->notes);
    memset(c, 0, sizeof *c);
}

#include "publisher/clients.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWERS_MAX = RECORDS_MAX, /* PUBLISH frames of a round: server_receive takes no more */
    STATUS_COST = 64,          /* a STATUS is worth so many records of what one turn takes */
};

static int refuse_frame(clients_t *c, uint32_t client, unsigned code, const char *why)
{
    server_error(c->server, client, code, why);
    return 0;
}

/* Puts the good bodies into the round: how many, or -errno when the round has failed. The bad ones are
 * listed, their reasons in c->texts. A repeat only lists them again: a body is judged by itself alone. */
static int store(clients_t *c, int n, bool repeat, uint64_t *ret_first_id, uint32_t *ret_refused)
{
    char why[WHY_BYTES];
    uint32_t refused = 0;
    int stored = 0;

    buffer_clear(&c->texts);
    for (int i = 0; i < n; i++) {
        buffer_t *bodies = &c->round->bodies;
        size_t at = bodies->len;
        uint64_t id;
        if (body_normalise(c->bodies[i].bytes, c->bodies[i].len, c->domain, c->round->wall_ms, bodies, why) <
            0) {
            refusal_t *r = &c->refusals[refused++];
            *r = (refusal_t){.place = (uint32_t)i, .code = ERR_BODY, .text = {.len = (uint32_t)strlen(why)}};
            buffer_append(&c->texts, why, r->text.len);
            continue;
        }
        if (repeat) {
            bodies->len = at;
            continue;
        }
        int error = round_insert(c->round, at, &id);
        if (error < 0)
            return error;
        if (stored++ == 0)
            *ret_first_id = id;
    }
    /* The texts have their place only now: the buffer may have moved. */
    const char *text = (const char *)c->texts.data;
    for (uint32_t i = 0; i < refused; i++) {
        c->refusals[i].text.bytes = text;
        text += c->refusals[i].text.len;
    }
    *ret_refused = refused;
    return c->texts.failed ? -ENOMEM : stored;
}

/* The CONFIRM that is sent after the commit. */
static void confirm_later(clients_t *c, uint32_t client, const publish_t *p, bool repeat, uint64_t first_id,
                          uint32_t stored, uint32_t refused)
{
    confirm_t confirm = {.session = p->session, .number = p->number, .stored = stored};
    if (stored > 0)
        confirm.first =
            (message_id_t){.stream = outbox_stream(c->outbox, (uint32_t)(first_id >> EPOCH_SHIFT)),
                           .seq = first_id & SEQ_MAX};
    assert(c->answers_count < ANSWERS_MAX);
    confirm_answer_t *a = &c->answers[c->answers_count++];
    *a = (confirm_answer_t){.routing_id = client, .repeat = repeat, .at = c->confirms.len};
    encode_confirm(&c->confirms, &confirm, c->refusals, refused);
    a->len = (uint32_t)(c->confirms.len - a->at);
}

static int repeat_confirm(clients_t *c, uint32_t client, const publish_t *p, int n, uint64_t last,
                          uint64_t first_id, uint32_t stored)
{
    uint32_t refused = 0;
    if (p->number < last) {
        confirm_later(c, client, p, true, 0, 0, 0);
        return 0;
    }
    int error = store(c, n, true, &first_id, &refused);
    if (error == 0)
        confirm_later(c, client, p, true, first_id, stored, refused);
    return error;
}

static int publish_new(clients_t *c, uint32_t client, const publish_t *p, int n)
{
    uint64_t first_id = 0;
    uint32_t refused = 0;
    if (c->closed)
        return refuse_frame(c, client, ERR_DRAINING, c->closed);
    /* Of a round that is done again some pieces may be committed and others not: nothing new goes with it. */
    if (!outbox_has_room(c->outbox) || c->round->undone) {
        c->refused_full++;
        return refuse_frame(c, client, ERR_FULL, "the outbox or its disk is full");
    }
    int stored = store(c, n, false, &first_id, &refused);
    if (stored >= 0) {
        c->refused_bodies += refused;
        round_client(c->round, p->session, p->number, first_id, (uint32_t)stored);
    } else {
        round_fail(c->round, stored);
        stored = 0;
    }
    /* When the round has failed, clients_answer() says so. */
    confirm_later(c, client, p, false, first_id, (uint32_t)stored, refused);
    return 0;
}

static int take_publish(clients_t *c, uint32_t client, const frame_t *frame)
{
    publish_t p;
    uint64_t last = 0, first_id = 0;
    uint32_t stored = 0;
    int n = decode_publish(frame->data, frame->len, &p, c->bodies);
    if (n < 0)
        return n;
    if (p.version != PROTO_VERSION)
        return refuse_frame(c, client, ERR_VERSION, "only version 1 is spoken here");
    int error = outbox_client(c->outbox, p.session, &last, &first_id, &stored);
    if (error < 0 && error != -ENOENT)
        return refuse_frame(c, client, ERR_STORE, outbox_why(c->outbox));
    if (p.number > last + 1)
        return refuse_frame(c, client, ERR_GAP, "a number before this one is missing");
    error = p.number <= last ? repeat_confirm(c, client, &p, n, last, first_id, stored)
                             : publish_new(c, client, &p, n);
    if (error < 0)
        return refuse_frame(c, client, ERR_STORE, "out of memory");
    return n;
}

static int take_status(clients_t *c, uint32_t client, const frame_t *frame)
{
    uint64_t version;
    if (decode_status(frame->data, frame->len, &version) < 0)
        return -EPROTO;
    if (version != PROTO_VERSION)
        return refuse_frame(c, client, ERR_VERSION, "only version 1 is spoken here");
    char *json = c->status(c->arg);
    if (!json)
        return refuse_frame(c, client, ERR_STORE, "out of memory");
    buffer_clear(&c->frame);
    encode_report(&c->frame, json, strlen(json));
    free(json);
    server_send(c->server, client, &c->frame);
    return STATUS_COST;
}

static int on_frame(void *arg, uint32_t client, int command, const frame_t *frame)
{
    clients_t *c = arg;
    return command == CMD_PUBLISH  ? take_publish(c, client, frame)
           : command == CMD_STATUS ? take_status(c, client, frame)
           : command == CMD_DEAD   ? letters_take(&c->letters, c->server, client, frame)
                                   : -ENOSYS;
}

bool clients_receive(clients_t *c)
{
    return server_receive(c->server, RECORDS_MAX);
}

void clients_refuse(clients_t *c, const char *why, bool letters)
{
    c->closed = why;
    if (letters)
        c->letters.closed = why;
}

void clients_answer(clients_t *c, unsigned code, const char *why)
{
    letters_answer(&c->letters, c->server, code, why);
    for (uint32_t i = 0; i < c->answers_count; i++) {
        const confirm_answer_t *a = &c->answers[i];
        if (code != 0) {
            /* What a repeat was confirmed for is stored all the same: it may ask again. */
            if (!a->repeat)
                server_error(c->server, a->routing_id, code, why);
            continue;
        }
        /* Lost, it is asked for again: the client says its PUBLISH once more. */
        buffer_t confirm = {.data = c->confirms.data + a->at, .len = a->len, .failed = c->confirms.failed};
        server_send(c->server, a->routing_id, &confirm);
    }
    if (code == ERR_FULL)
        c->refused_full += c->answers_count;
    c->answers_count = 0;
    buffer_clear(&c->confirms);
}

void clients_tick(clients_t *c)
{
    server_tick(c->server);
}

int64_t clients_next_ms(const clients_t *c)
{
    return server_next_ms(c->server);
}

int clients_open(clients_t *c, const settings_t *s, outbox_t *outbox, round_t *round, loop_t *loop,
                 char *(*status)(void *arg), void *arg, char *why)
{
    memset(c, 0, sizeof *c);
    c->outbox = outbox;
    c->round = round;
    c->domain = s->domain;
    c->status = status;
    c->arg = arg;
    buffer_init(&c->frame);
    buffer_init(&c->confirms);
    buffer_init(&c->texts);
    c->bodies = malloc(RECORDS_MAX * sizeof *c->bodies);
    c->refusals = malloc(RECORDS_MAX * sizeof *c->refusals);
    c->answers = malloc(ANSWERS_MAX * sizeof *c->answers);
    int r = letters_open(&c->letters, outbox, round);
    if (r < 0 || !c->bodies || !c->refusals || !c->answers) {
        snprintf(why, WHY_BYTES, "out of memory");
        return -ENOMEM;
    }
    server_options_t options = {.what = "client", .endpoint = s->clients};
    server_events_t events = {.arg = c, .frame = on_frame};
    return server_open(&c->server, &options, &events, loop, why);
}

void clients_close(clients_t *c, int linger_ms)
{
    server_close(&c->server, linger_ms);
    letters_close(&c->letters);
    free(c->bodies);
    free(c->refusals);
    free(c->answers);
    buffer_done(&c->frame);
    buffer_done(&c->confirms);
    buffer_done(&c->texts);
    memset(c, 0, sizeof *c);
}

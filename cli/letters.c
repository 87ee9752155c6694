#include "cli/letters.h"
#include "cli/client.h"
#include "common/runtime/clock.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    dead_t question;
    int64_t send_ms, end_ms;
    uint32_t sent;
} out_t;

struct letters {
    client_t client;
    int64_t timeout_ms;
    uint64_t number; /* of the last question */
    buffer_t frame;
    uint32_t count;
    out_t out[LETTERS_OUT_MAX];
    letter_t room[LETTERS_MAX];
};

int letters_open(letters_t **ret, const char *endpoint, int64_t timeout_ms, char *why)
{
    letters_t *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    buffer_init(&l->frame);
    l->timeout_ms = timeout_ms;
    int r = client_open(&l->client, endpoint, why);
    if (r < 0) {
        letters_close(&l);
        return r;
    }
    *ret = l;
    return 0;
}

void letters_close(letters_t **l)
{
    if (!*l)
        return;
    client_close(&(*l)->client);
    buffer_done(&(*l)->frame);
    free(*l);
    *l = NULL;
}

uint32_t letters_out(const letters_t *l)
{
    return l->count;
}

void letters_put(letters_t *l, const dead_t *question)
{
    assert(l->count < LETTERS_OUT_MAX);
    out_t *o = &l->out[l->count++];
    *o = (out_t){.question = *question, .end_ms = clock_ms() + l->timeout_ms};
    o->question.version = PROTO_VERSION;
    o->question.number = ++l->number;
}

/* Sends what is due: when the next one is, or the first time-out. */
static int64_t send_due(letters_t *l, int64_t now_ms, bool *ret_overdue)
{
    int64_t next_ms = INT64_MAX;
    const bool all = client_reconnected(&l->client);
    *ret_overdue = false;
    for (uint32_t i = 0; i < l->count; i++) {
        out_t *o = &l->out[i];
        *ret_overdue = *ret_overdue || now_ms >= o->end_ms;
        if (all || now_ms >= o->send_ms) {
            buffer_clear(&l->frame);
            encode_dead(&l->frame, &o->question);
            int64_t again_ms;
            if (o->sent > 0)
                client_follow(&l->client);
            o->sent += client_send(&l->client, &l->frame, &again_ms) ? 1 : 0;
            o->send_ms = now_ms + again_ms;
        }
        int64_t due_ms = o->send_ms < o->end_ms ? o->send_ms : o->end_ms;
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    return next_ms;
}

/* True with the answer to one of the questions, which is out no more. */
static bool take_buried(letters_t *l, const frame_t *frame, answer_t *ret)
{
    buried_t buried;
    const char *fault;
    if (proto_command(frame->data, frame->len, &fault) != CMD_BURIED)
        return false;
    int n = decode_buried(frame->data, frame->len, &buried, l->room);
    for (uint32_t i = 0; n >= 0 && i < l->count; i++) {
        if (l->out[i].question.number != buried.number)
            continue;
        *ret = (answer_t){
            .question = l->out[i].question,
            .repeated = l->out[i].sent > 1,
            .buried = buried,
            .letters = l->room,
            .letters_count = (uint32_t)n,
        };
        l->out[i] = l->out[--l->count];
        l->client.not_now[0] = '\0';
        return true;
    }
    return false;
}

/* 1: an answer; 0: nothing more has come in; or an error. */
static int take_all(letters_t *l, answer_t *ret, char *why)
{
    frame_t frame;
    while (wire_recv(l->client.wire, &frame) == 0) {
        if (take_buried(l, &frame, ret))
            return 1;
        int r = client_take_error(&l->client, &frame, why);
        if (r < 0)
            return r;
        /* It does not say which one; asking those again too that were understood does no harm. */
        int64_t again_ms = clock_ms() + CLIENT_AGAIN_MS;
        for (uint32_t i = 0; r > 0 && i < l->count; i++)
            l->out[i].send_ms = again_ms;
    }
    return 0;
}

static bool readable(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&item, 1, 0) > 0;
}

int letters_wait(letters_t *l, int fd, int64_t until_ms, answer_t *ret, char *why)
{
    for (;;) {
        int r = take_all(l, ret, why);
        if (r != 0)
            return r;
        int64_t now_ms = clock_ms();
        bool overdue;
        int64_t due_ms = send_due(l, now_ms, &overdue);
        if (l->frame.failed) {
            snprintf(why, WHY_BYTES, "out of memory");
            return -ENOMEM;
        }
        if (overdue)
            return client_timed_out(&l->client, l->timeout_ms, why);
        if (now_ms >= until_ms || readable(fd))
            return 0;
        client_wait(&l->client, fd, due_ms < until_ms ? due_ms : until_ms);
    }
}

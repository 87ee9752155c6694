#include "cli/publish_client.h"
#include "common/runtime/clock.h"
#include "common/runtime/wire.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum {
    REPEAT_MS =
        1000, /* an answer takes some milliseconds; after so long it was lost, or the publisher is away */
    AGAIN_MS = 200,  /* after "not now" */
    CONNECT_MS = 20, /* until there is a connection */
};

struct publish_client {
    wire_t *wire;
    int64_t timeout_ms;
    publish_t head;
    buffer_t frame;
    batch_t batch;
    bool reached;                     /* something was sent to somebody */
    char not_now[TEXT_BYTES_MAX * 4]; /* why the publisher did not store it yet */
    char endpoint[128];
    refusal_t refusals[RECORDS_MAX];
};

int publish_client_open(publish_client_t **ret, const char *endpoint, int64_t timeout_ms, char *why)
{
    char address[1][128];
    int r = endpoint_resolve(endpoint, address, 1, why);
    if (r < 0)
        return r;
    publish_client_t *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    buffer_init(&c->frame);
    c->timeout_ms = timeout_ms;
    c->head = (publish_t){.version = PROTO_VERSION, .session = clock_random_id()};
    snprintf(c->endpoint, sizeof(c->endpoint), "%s", endpoint);
    r = wire_connect(&c->wire, address[0], why);
    if (r < 0) {
        publish_client_close(&c);
        return r;
    }
    *ret = c;
    return 0;
}

void publish_client_close(publish_client_t **c)
{
    if (!*c)
        return;
    if ((*c)->wire)
        wire_close(&(*c)->wire, 0);
    buffer_done(&(*c)->frame);
    free(*c);
    *c = NULL;
}

void publish_client_begin(publish_client_t *c)
{
    buffer_clear(&c->frame);
    c->head.number++;
    publish_begin(&c->batch, &c->frame, &c->head);
}

void publish_client_add(publish_client_t *c, const void *body, size_t len)
{
    publish_add(&c->batch, body, len);
}

bool publish_client_full(const publish_client_t *c)
{
    return batch_full(&c->batch);
}

/* What a frame was to us; or -EPROTO: the PUBLISH is refused. */
enum { FRAME_OTHER, FRAME_CONFIRM, FRAME_NOT_NOW };

static int take_error(publish_client_t *c, const frame_t *frame, char *why)
{
    peer_error_t error;
    char text[96];
    if (decode_error(frame->data, frame->len, &error) < 0)
        return FRAME_OTHER;
    text_escape(error.text.bytes, error.text.len, text, sizeof(text));
    if (error.code == ERR_FULL || error.code == ERR_DRAINING || error.code == ERR_STORE) {
        snprintf(c->not_now, sizeof(c->not_now), "%s: %s", error_name(error.code), text);
        return FRAME_NOT_NOW;
    }
    snprintf(why, WHY_BYTES, "the publisher refuses: %s: %s", error_name(error.code), text);
    return -EPROTO;
}

static int take(publish_client_t *c, const frame_t *frame, confirm_t *ret, int *ret_n, char *why)
{
    const char *fault;
    int command = proto_command(frame->data, frame->len, &fault);
    if (command == CMD_ERROR)
        return take_error(c, frame, why);
    if (command != CMD_CONFIRM)
        return FRAME_OTHER;
    confirm_t confirm;
    int n = decode_confirm(frame->data, frame->len, &confirm, c->refusals);
    if (n < 0 || confirm.session != c->head.session || confirm.number != c->head.number)
        return FRAME_OTHER; /* of a repeat before */
    *ret = confirm;
    *ret_n = n;
    return FRAME_CONFIRM;
}

static void wait_for_frame(const publish_client_t *c, int64_t until_ms)
{
    zmq_pollitem_t item = {.socket = wire_socket(c->wire), .events = ZMQ_POLLIN};
    int64_t ms = until_ms - clock_ms();
    if (ms > 0)
        zmq_poll(&item, 1, (long)ms);
}

static int timed_out(const publish_client_t *c, char *why)
{
    double s = (double)c->timeout_ms / 1000;
    if (!c->reached)
        snprintf(why, WHY_BYTES, "nobody listens at %s (tried for %g s)", c->endpoint, s);
    else if (c->not_now[0])
        snprintf(why, WHY_BYTES, "not confirmed within %g s: %.120s", s, c->not_now);
    else
        snprintf(why, WHY_BYTES, "no answer from %s within %g s", c->endpoint, s);
    return c->reached ? -ETIMEDOUT : -ECONNREFUSED;
}

int publish_client_send(publish_client_t *c, confirm_t *ret, const refusal_t **ret_refusals, int *ret_n,
                        char *why)
{
    int64_t end_ms = clock_ms() + c->timeout_ms;
    int64_t send_ms = 0;
    batch_end(&c->batch);
    if (c->frame.failed) {
        snprintf(why, WHY_BYTES, "out of memory");
        return -ENOMEM;
    }
    c->not_now[0] = '\0';
    for (int64_t now_ms = clock_ms(); now_ms < end_ms; now_ms = clock_ms()) {
        if (now_ms >= send_ms) {
            bool sent = wire_send(c->wire, 0, &c->frame) == 0;
            c->reached = c->reached || sent;
            send_ms = now_ms + (sent ? REPEAT_MS : CONNECT_MS);
        }
        wait_for_frame(c, send_ms < end_ms ? send_ms : end_ms);
        frame_t frame;
        while (wire_recv(c->wire, &frame) == 0) {
            int r = take(c, &frame, ret, ret_n, why);
            if (r < 0)
                return r;
            if (r == FRAME_CONFIRM) {
                *ret_refusals = c->refusals;
                return 0;
            }
            if (r == FRAME_NOT_NOW)
                send_ms = clock_ms() + AGAIN_MS;
        }
    }
    return timed_out(c, why);
}

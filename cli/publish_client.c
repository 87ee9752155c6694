#include "cli/publish_client.h"
#include "cli/client.h"
#include "common/runtime/clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct publish_client {
    client_t client;
    int64_t timeout_ms;
    publish_t head;
    buffer_t frame;
    batch_t batch;
    refusal_t refusals[RECORDS_MAX];
};

int publish_client_open(publish_client_t **ret, const char *endpoint, int64_t timeout_ms, char *why)
{
    publish_client_t *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    buffer_init(&c->frame);
    c->timeout_ms = timeout_ms;
    c->head = (publish_t){.version = PROTO_VERSION, .session = clock_random_id()};
    int r = client_open(&c->client, endpoint, why);
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
    client_close(&(*c)->client);
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

/* The CONFIRM of the PUBLISH that is out: true, and its parts. */
static bool take_confirm(publish_client_t *c, const frame_t *frame, confirm_t *ret, int *ret_n)
{
    confirm_t confirm;
    const char *fault;
    if (proto_command(frame->data, frame->len, &fault) != CMD_CONFIRM)
        return false;
    int n = decode_confirm(frame->data, frame->len, &confirm, c->refusals);
    if (n < 0 || confirm.session != c->head.session || confirm.number != c->head.number)
        return false; /* of a repeat before */
    *ret = confirm;
    *ret_n = n;
    return true;
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
    c->client.not_now[0] = '\0';
    for (int64_t now_ms = clock_ms(); now_ms < end_ms; now_ms = clock_ms()) {
        if (client_reconnected(&c->client) || now_ms >= send_ms) {
            int64_t again_ms;
            if (send_ms > 0)
                client_follow(&c->client);
            client_send(&c->client, &c->frame, &again_ms);
            send_ms = now_ms + again_ms;
        }
        client_wait(&c->client, -1, send_ms < end_ms ? send_ms : end_ms);
        frame_t frame;
        while (wire_recv(c->client.wire, &frame) == 0) {
            if (take_confirm(c, &frame, ret, ret_n)) {
                *ret_refusals = c->refusals;
                return 0;
            }
            int r = client_take_error(&c->client, &frame, why);
            if (r < 0)
                return r;
            if (r > 0)
                send_ms = clock_ms() + CLIENT_AGAIN_MS;
        }
    }
    return client_timed_out(&c->client, c->timeout_ms, why);
}

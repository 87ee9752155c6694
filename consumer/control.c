#include "consumer/control.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REQUESTS_A_TURN = 16,
    LINGER_MS = 100,
};

struct control {
    server_t *server;
    void (*fill)(void *arg, metrics_t *m);
    void *arg;
    buffer_t frame;
    metrics_t metrics;
};

static int on_frame(void *arg, uint32_t peer, int command, const frame_t *frame)
{
    control_t *c = arg;
    uint64_t version;
    if (command != CMD_STATUS)
        return -ENOSYS;
    int error = decode_status(frame->data, frame->len, &version);
    if (error != 0)
        return error;
    if (version != PROTO_VERSION) {
        server_error(c->server, peer, ERR_VERSION, "this is version 1");
        return 1;
    }
    metrics_init(&c->metrics);
    c->fill(c->arg, &c->metrics);
    char *json = metrics_json(&c->metrics);
    buffer_clear(&c->frame);
    if (json != NULL)
        encode_report(&c->frame, json, strlen(json));
    /* Without memory, or when the asker is gone, there is no answer: he asks again. */
    if (json != NULL)
        server_send(c->server, peer, &c->frame);
    free(json);
    return 1;
}

int control_open(control_t **ret, const char *endpoint, loop_t *loop, void (*fill)(void *arg, metrics_t *m),
                 void *arg, char *why)
{
    snprintf(why, WHY_BYTES, "out of memory");
    control_t *c = calloc(1, sizeof *c);
    if (c == NULL)
        return -ENOMEM;
    c->fill = fill;
    c->arg = arg;
    buffer_init(&c->frame);
    server_options_t options = {.what = "asker", .endpoint = endpoint};
    server_events_t events = {.arg = c, .frame = on_frame};
    int error = server_open(&c->server, &options, &events, loop, why);
    if (error != 0) {
        control_close(&c);
        return error;
    }
    *ret = c;
    return 0;
}

void control_close(control_t **ref)
{
    control_t *c = *ref;
    if (c == NULL)
        return;
    server_close(&c->server, LINGER_MS);
    buffer_done(&c->frame);
    free(c);
    *ref = NULL;
}

void control_turn(control_t *c)
{
    server_receive(c->server, REQUESTS_A_TURN);
    server_tick(c->server);
}

int64_t control_next_ms(const control_t *c)
{
    return server_next_ms(c->server);
}

const char *control_endpoint(const control_t *c)
{
    return server_endpoint(c->server);
}

void control_counts(const control_t *c, server_counts_t *ret)
{
    server_counts(c->server, ret);
}

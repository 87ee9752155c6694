#include "cli/client.h"
#include "common/runtime/clock.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

int client_open(client_t *c, const char *endpoint, char *why)
{
    char address[1][128];
    *c = (client_t){0};
    int r = endpoint_resolve(endpoint, address, 1, why);
    if (r < 0)
        return r;
    snprintf(c->endpoint, sizeof(c->endpoint), "%s", endpoint);
    memcpy(c->address, address[0], sizeof(c->address));
    c->looked_ms = clock_ms();
    return wire_connect(&c->wire, address[0], why);
}

void client_close(client_t *c)
{
    if (c->wire)
        wire_close(&c->wire, 0);
}

bool client_send(client_t *c, const buffer_t *frame, int64_t *ret_again_ms)
{
    bool sent = wire_send(c->wire, 0, frame) == 0;
    c->reached = c->reached || sent;
    *ret_again_ms = sent ? CLIENT_REPEAT_MS : CLIENT_CONNECT_MS;
    return sent;
}

void client_follow(client_t *c)
{
    char address[1][128], why[WHY_BYTES];
    wire_t *wire;
    if (clock_ms() - c->looked_ms < CLIENT_LOOK_MS)
        return;
    int r = endpoint_resolve(c->endpoint, address, 1, why);
    c->looked_ms = clock_ms();
    if (r < 0 || strcmp(address[0], c->address) == 0 || wire_connect(&wire, address[0], why) < 0)
        return;
    wire_close(&c->wire, 0);
    c->wire = wire;
    memcpy(c->address, address[0], sizeof(c->address));
}

void client_wait(const client_t *c, int fd, int64_t until_ms)
{
    zmq_pollitem_t items[] = {{.socket = wire_socket(c->wire), .events = ZMQ_POLLIN},
                              {.fd = wire_reconnected_fd(c->wire), .events = ZMQ_POLLIN},
                              {.fd = fd, .events = ZMQ_POLLIN}};
    int64_t ms = until_ms - clock_ms();
    if (ms > 0)
        zmq_poll(items, fd >= 0 ? 3 : 2, (long)ms);
}

bool client_reconnected(client_t *c)
{
    return wire_reconnected(c->wire);
}

int client_take_error(client_t *c, const frame_t *frame, char *why)
{
    peer_error_t error;
    char text[96];
    const char *fault;
    if (proto_command(frame->data, frame->len, &fault) != CMD_ERROR ||
        decode_error(frame->data, frame->len, &error) < 0)
        return 0;
    text_escape(error.text.bytes, error.text.len, text, sizeof(text));
    if (error.code == ERR_FULL || error.code == ERR_DRAINING || error.code == ERR_STORE) {
        snprintf(c->not_now, sizeof(c->not_now), "%s: %s", error_name(error.code), text);
        return 1;
    }
    snprintf(why, WHY_BYTES, "the publisher refuses: %s: %s", error_name(error.code), text);
    return -EPROTO;
}

int client_timed_out(const client_t *c, int64_t timeout_ms, char *why)
{
    double s = (double)timeout_ms / 1000;
    if (!c->reached)
        snprintf(why, WHY_BYTES, "nobody listens at %s (tried for %g s)", c->endpoint, s);
    else if (c->not_now[0])
        snprintf(why, WHY_BYTES, "not confirmed within %g s: %.120s", s, c->not_now);
    else
        snprintf(why, WHY_BYTES, "no answer from %s within %g s", c->endpoint, s);
    return c->reached ? -ETIMEDOUT : -ECONNREFUSED;
}

/* A server on a real socket, and a peer that says what it likes to it. Time is the test's. */
#ifndef TESTS_SERVER_WORLD_H
#define TESTS_SERVER_WORLD_H

#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 5000, SESSION = 77, OTHER_SESSION = 78 };

typedef struct {
    char directory[64], endpoint[96];
    loop_t loop;
    server_t *server;
    wire_t *peer;
    buffer_t frame;
    /* what the events told */
    uint32_t hellos, frames, gone, byes;
    uint32_t last_peer;
    bool known, moved;
    hello_t hello;
    int command;
    int frame_result;
    unsigned refuse_with;
} world_t;

static inline unsigned on_hello(void *arg, uint32_t peer, const hello_t *h, bool known, bool moved, char *why)
{
    world_t *w = arg;
    w->hellos++;
    w->last_peer = peer;
    w->hello = *h;
    w->known = known;
    w->moved = moved;
    snprintf(why, WHY_BYTES, "because");
    return w->refuse_with;
}

static inline void on_gone(void *arg, uint32_t peer, bool said_bye)
{
    world_t *w = arg;
    w->gone++;
    w->byes += said_bye;
    w->last_peer = peer;
}

static inline int on_frame(void *arg, uint32_t peer, int command, const frame_t *frame)
{
    world_t *w = arg;
    (void)frame;
    w->frames++;
    w->last_peer = peer;
    w->command = command;
    return w->frame_result;
}

static inline uint64_t on_seen(void *arg, uint32_t peer)
{
    (void)arg;
    return 40 + peer;
}

static inline void open_server(world_t *w, bool sessions, uint32_t peers_max)
{
    char why[WHY_BYTES];
    server_options_t o = {
        .what = "consumer",
        .endpoint = w->endpoint,
        .sessions = sessions,
        .role = ROLE_CONSUMER,
        .peers_max = peers_max,
        .welcome = {.session = 900, .ack_deadline_ms = 10000, .legs_count = 1, .legs = {"save"}},
    };
    server_events_t events = {w, on_hello, on_gone, on_frame, on_seen};
    assert_int_equal(server_open(&w->server, &o, &events, &w->loop, why), 0);
}

static inline int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    char why[WHY_BYTES];
    log_open("test", LOG_ERROR);
    snprintf(w->directory, sizeof w->directory, "/tmp/test_server.XXXXXX");
    if (mkdtemp(w->directory) == NULL)
        return -1;
    snprintf(w->endpoint, sizeof w->endpoint, "ipc://%s/s", w->directory);
    loop_init(&w->loop);
    buffer_init(&w->frame);
    open_server(w, true, 2);
    *state = w;
    return wire_connect(&w->peer, w->endpoint, why);
}

static inline int teardown(void **state)
{
    world_t *w = *state;
    wire_close(&w->peer, 0);
    server_close(&w->server, 0);
    server_close(&w->server, 0);
    buffer_done(&w->frame);
    int r = rmdir(w->directory);
    free(w);
    return r;
}

static inline void wait_readable(void *socket, short events)
{
    zmq_pollitem_t item = {.socket = socket, .events = events};
    assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
}

static inline void send_frame(wire_t *peer, const buffer_t *frame)
{
    wait_readable(wire_socket(peer), ZMQ_POLLOUT);
    assert_int_equal(wire_send(peer, 0, frame), 0);
}

/* The server takes frames until `count` has reached `n`. */
static inline void receive_until(world_t *w, const uint32_t *count, uint32_t n)
{
    int64_t now_ms = w->loop.now_ms;
    for (int tries = 0; *count < n && tries < WAIT_MS; tries++) {
        zmq_pollitem_t item = w->loop.items[0];
        zmq_poll(&item, 1, 1);
        server_receive(w->server, RECORDS_MAX);
    }
    assert_int_equal(*count, n);
    assert_int_equal(w->loop.now_ms, now_ms);
}

static inline frame_t expect(wire_t *peer, int command)
{
    frame_t frame;
    wait_readable(wire_socket(peer), ZMQ_POLLIN);
    assert_int_equal(wire_recv(peer, &frame), 0);
    assert_int_equal(proto_command(frame.data, frame.len, NULL), command);
    return frame;
}

static inline void expect_nothing(wire_t *peer)
{
    zmq_pollitem_t item = {.socket = wire_socket(peer), .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, 50), 0);
}

static inline void expect_error(world_t *w, unsigned code)
{
    peer_error_t e;
    frame_t frame = expect(w->peer, CMD_ERROR);
    assert_int_equal(decode_error(frame.data, frame.len, &e), 0);
    assert_int_equal(e.code, code);
}

static inline void say_hello(world_t *w, wire_t *peer, uint64_t session)
{
    uint32_t before = w->hellos;
    hello_t h = {.version_min = 1, .version_max = 3, .role = ROLE_CONSUMER, .session = session, .window = 50};
    buffer_clear(&w->frame);
    encode_hello(&w->frame, &h, NULL);
    send_frame(peer, &w->frame);
    receive_until(w, &w->hellos, before + 1);
}

static inline void say_ping(world_t *w, wire_t *peer)
{
    buffer_clear(&w->frame);
    encode_ping(&w->frame, 0);
    send_frame(peer, &w->frame);
}

static inline server_counts_t counts_of(const world_t *w)
{
    server_counts_t c;
    server_counts(w->server, &c);
    return c;
}

/* Until the count of a refusal is n: those have no event. */
static inline void receive_refused(world_t *w, uint64_t n)
{
    server_counts_t c = counts_of(w);
    for (int tries = 0; c.malformed + c.unknown + c.limit < n && tries < WAIT_MS; tries++) {
        zmq_pollitem_t item = w->loop.items[0];
        zmq_poll(&item, 1, 1);
        server_receive(w->server, RECORDS_MAX);
        c = counts_of(w);
    }
    assert_int_equal(c.malformed + c.unknown + c.limit, n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif

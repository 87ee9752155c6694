/* A server that a test plays in a thread: each frame that comes in is handed to `take`, which may answer over
 * wire_server.wire. What it has seen may be looked at after wire_server_over(). One at a time. */
#ifndef MANDRILL_TESTS_WIRE_SERVER_H
#define MANDRILL_TESTS_WIRE_SERVER_H

#include "common/core/message.h"
#include "common/runtime/wire.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <zmq.h>

static struct {
    wire_t *wire;
    char endpoint[128];
    void (*take)(const frame_t *frame);
    pthread_t thread;
    bool running;
    atomic_bool over;   /* the test has what it wants */
    atomic_uint handed; /* see wire_server_hand_over() */
} wire_server;

/* What was written before a frame was sent is there when it is taken, and the other way round. It is so
 * anyway; this tells ThreadSanitizer, which does not see what goes through libzmq. */
static inline void wire_server_hand_over(void)
{
    atomic_fetch_add(&wire_server.handed, 1);
}

static inline void *wire_server_run(void *arg)
{
    (void)arg;
    while (!wire_server.over) {
        zmq_pollitem_t item = {.socket = wire_socket(wire_server.wire), .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, 10);
        frame_t frame;
        while (wire_recv(wire_server.wire, &frame) == 0) {
            wire_server_hand_over();
            wire_server.take(&frame);
        }
    }
    return NULL;
}

static inline const char *wire_server_start(void (*take)(const frame_t *frame))
{
    char why[WHY_BYTES];
    wire_server.take = take;
    wire_server.over = false;
    if (wire_bind(&wire_server.wire, "tcp://127.0.0.1:0", why) < 0)
        abort();
    snprintf(wire_server.endpoint, sizeof wire_server.endpoint, "%s", wire_endpoint(wire_server.wire));
    if (pthread_create(&wire_server.thread, NULL, wire_server_run, NULL) != 0)
        abort();
    wire_server.running = true;
    return wire_server.endpoint;
}

/* From `take`, with its frame done with: the server is gone as if killed, and another is at its endpoint. */
static inline void wire_server_renew(void)
{
    char why[WHY_BYTES];
    wire_close(&wire_server.wire, 0);
    int error;
    /* A port that was closed just now is free a little later. */
    while ((error = wire_bind(&wire_server.wire, wire_server.endpoint, why)) == -EADDRINUSE)
        poll(NULL, 0, 1);
    if (error < 0)
        abort();
}

static inline void wire_server_over(void)
{
    if (!wire_server.running)
        return;
    wire_server.over = true;
    pthread_join(wire_server.thread, NULL);
    wire_server.running = false;
}

static inline void wire_server_close(void)
{
    wire_server_over();
    if (wire_server.wire)
        wire_close(&wire_server.wire, 0);
}

/* Sends a frame and frees it. What has been seen is handed over first: the test may go on before this
 * returns. */
static inline void wire_server_send(uint32_t to, buffer_t *frame)
{
    wire_server_hand_over();
    wire_send(wire_server.wire, to, frame);
    buffer_done(frame);
}

#endif

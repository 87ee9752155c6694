/* What the tests of the wire begin with: a directory for sockets, and a frame that goes or comes. */
#ifndef MANDRILL_TESTS_WIRE_FIXTURE_H
#define MANDRILL_TESTS_WIRE_FIXTURE_H

#include "common/core/message.h"
#include "common/core/proto.h"
#include "common/runtime/wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

enum { WAIT_MS = 5000 };

static char why[WHY_BYTES];
static char directory[] = "/tmp/test_wire.XXXXXX";
static char ipc_path[64], ipc_endpoint[80];

static inline int make_directory(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(ipc_path, sizeof ipc_path, "%s/wire.sock", directory);
    snprintf(ipc_endpoint, sizeof ipc_endpoint, "ipc://%s", ipc_path);
    return 0;
}

static inline int remove_directory(void **state)
{
    (void)state;
    unlink(ipc_path);
    return rmdir(directory);
}

static inline buffer_t bytes_of(const char *text)
{
    return (buffer_t){.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
}

/* Waits for a frame. */
static inline frame_t expect_frame(wire_t *w)
{
    frame_t frame = {0};
    int error;
    while ((error = wire_recv(w, &frame)) == -EAGAIN) {
        zmq_pollitem_t item = {.socket = wire_socket(w), .events = ZMQ_POLLIN};
        assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
    }
    assert_int_equal(error, 0);
    return frame;
}

/* Sends as soon as the connection is there. */
static inline void send_when_connected(wire_t *w, const buffer_t *frame)
{
    zmq_pollitem_t item = {.socket = wire_socket(w), .events = ZMQ_POLLOUT};
    assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
    assert_int_equal(wire_send(w, 0, frame), 0);
}

#endif

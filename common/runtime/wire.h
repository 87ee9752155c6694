/* Frames over ZeroMQ sockets, with every option that traps.md-like surprises need set before bind or connect:
 * linger, MAXMSGSIZE, MANDATORY, IMMEDIATE, reconnect limits, handshake time-out, TCP keepalive; ZMQ
 * heartbeats stay off.
 *
 * One wire is one socket: a ROUTER that bound (many connections, told apart by routing id) or a DEALER that
 * connected (one). Used by one thread. Ownership: a received frame is the wire's until the next wire_recv on
 * it. Errors: 0 or -errno; wire_open tells the reason in `why` (WHY_BYTES). */
#ifndef MANDRILL_WIRE_H
#define MANDRILL_WIRE_H

#include "common/core/buffer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wire wire_t;

typedef struct {
    uint32_t routing_id; /* of a ROUTER; 0 on a DEALER */
    const void *data;
    size_t len;
} frame_t;

typedef struct {
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
    uint64_t refused_parts;   /* messages of several frames, or with a routing id of the peer's own making */
    uint64_t refused_endless; /* connections closed: they sent and sent without ending a message */
    uint64_t unsendable;      /* peer gone or its pipe full */
} wire_counts_t;

/* tcp://ADDRESS:PORT (port 0 or * : any free one; * as address: all) or ipc://PATH (created 0600; a stale one
 * left by a dead process is taken over, a live one is "in use"). */
int wire_bind(wire_t **ret, const char *endpoint, char *why);
/* The same for peers that are given nothing under credit, only answered: what they do not take of it is
 * bounded here, for each peer in frames and for all of them in bytes. */
int wire_bind_open(wire_t **ret, const char *endpoint, char *why);
/* Connects; the name must be an address already (endpoint_resolve). */
int wire_connect(wire_t **ret, const char *endpoint, char *why);
/* Waits up to linger_ms for what is unsent. */
void wire_close(wire_t **w, int linger_ms);
/* Where a bound wire can be reached: the endpoint with its real port. */
const char *wire_endpoint(const wire_t *w);
void *wire_socket(const wire_t *w); /* for zmq_poll */
/* Of a connected wire. True when its connection is a new one that nothing was sent over yet, as far as can be
 * known: whoever is at its other end has not heard what was said before. Said once, of the first connection
 * too; a wire is asked for it now and then, or what it has to tell grows with each connection. */
bool wire_reconnected(wire_t *w);
/* Can be read when wire_reconnected() may have something to tell: for poll() alone, which it costs no more
 * than a descriptor. */
int wire_reconnected_fd(const wire_t *w);
/* -EAGAIN: nothing waits. Refuses (counts) what is no single frame, and goes on to the next. */
int wire_recv(wire_t *w, frame_t *ret);
/* Waits until something can be received: for the end of a program, when its loop runs no more. False when
 * until_ms has come first. */
bool wire_wait(wire_t *w, int64_t until_ms);
/* Never blocks. -EAGAIN: the peer's pipe is full, or too many answers are unsent; -EHOSTUNREACH: it is gone.
 * The buffer stays the caller's.
 */
int wire_send(wire_t *w, uint32_t routing_id, const buffer_t *frame);
/* Looks for connections that send without ever ending a message and cuts them; call at least each 100 ms
 * while the loop runs (it is cheap), with the wire drained. Only on a bound TCP wire: an ipc path is guarded
 * by its file mode, and a server that we connect to by whoever named it. */
void wire_guard(wire_t *w, int64_t now_ms);
void wire_counts(const wire_t *w, wire_counts_t *ret);

/* All numeric endpoints that a tcp://NAME:PORT stands for (ipc and numbers: itself). `ret` has room for max;
 * returns how many or -errno (-ENOENT: unknown name). */
int endpoint_resolve(const char *endpoint, char (*ret)[128], int max, char *why);
/* Syntax only: 0 or -EINVAL with why. */
int endpoint_check(const char *endpoint, char *why);

#endif

/* The guard of a bound TCP wire: finds connections that send and send without ever ending a message.
 *
 * libzmq counts a message against no high-water mark before its last frame has come, so such a peer grows our
 * memory without limit. The guard knows the file descriptor of each connection from a socket monitor, and
 * that of each delivered message from the message itself. What a connection has sent since its last delivered
 * message, at a time when everything complete had been delivered, is one unfinished message: above
 * ENDLESS_BYTES_MAX it is cut.
 *
 * For wire.c only. Used by the wire's thread. */
#ifndef MANDRILL_WIRE_GUARD_H
#define MANDRILL_WIRE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

enum {
    /* Two of the largest frames: above what any peer that keeps to the protocol has under way. */
    ENDLESS_BYTES_MAX = 4 * 1024 * 1024,
    /* How often connections are looked at; a loopback peer can send some 100 MB in this time. */
    GUARD_EVERY_MS = 50,
};

typedef struct wire_guard wire_guard_t;

/* Before the socket binds, so that no connection is missed. 0 or -errno. */
int guard_new(wire_guard_t **ret, void *context, void *socket);
/* Before the socket is closed. */
void guard_destroy(wire_guard_t **g);
/* A whole message came from this descriptor. */
void guard_delivered(wire_guard_t *g, int fd);
/* Nothing waits in the socket. */
void guard_drained(wire_guard_t *g);
/* Looks at every connection when it is time to; returns how many were cut. */
uint32_t guard_look(wire_guard_t *g, int64_t now_ms);

#endif

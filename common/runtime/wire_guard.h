/* The guard of a bound TCP wire: finds connections that send and send without ever ending a message, and cuts
 * those that have a routing id which is not theirs.
 *
 * libzmq counts a message against no high-water mark before its last frame has come, so such a peer grows our
 * memory without limit. The guard knows the file descriptor of each connection from a socket monitor, and
 * that of each delivered message from the message itself. What a connection has sent since its last delivered
 * message, at a time when everything complete had been delivered, is one unfinished message: above
 * ENDLESS_BYTES_MAX it is cut.
 *
 * libzmq gives each connection a routing id that it never uses again. A peer that chooses its own can have
 * made it look like one of these, and then takes the place of the connection that has it: the id comes from
 * another descriptor than before. Both are cut; the one that was robbed connects again.
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
/* The same message has this routing id, which looks like one of libzmq's. False: another connection has it,
 * and both are cut. */
bool guard_identify(wire_guard_t *g, int fd, uint32_t routing_id);
/* The connection has a routing id of its peer's own making: it is cut. */
void guard_refuse(wire_guard_t *g, int fd);
/* Nothing waits in the socket. */
void guard_drained(wire_guard_t *g);
/* Looks at every connection when it is time to; returns how many were cut. */
uint32_t guard_look(wire_guard_t *g, int64_t now_ms);

#endif

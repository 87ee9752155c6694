/* The peer's side of a session: a state machine for one connection to one server. Pure.
 *
 *   GREETING --WELCOME--> UP --nothing heard for DEAD_MS, WHO, a new connection--> GREETING
 *
 * Silence for DEAD_MS is also the end of a connection that only greets: it may lead one way alone, where
 * HELLO arrives and WELCOME does not. One over which nothing can be sent is not silent, the caller says so
 * with link_wait().
 *
 * The caller takes what has come in and tells of it, then sends what link_tick() asks for. A HELLO or PING is
 * asked for once; when its send fails it comes again a second later. */
#ifndef MANDRILL_LINK_H
#define MANDRILL_LINK_H

#include "common/core/peers.h"

typedef enum { LINK_GREETING, LINK_UP } link_state_t;
typedef enum { LINK_NOTHING, LINK_SEND_HELLO, LINK_SEND_PING, LINK_LOST } link_action_t;

typedef struct {
    link_state_t state;
    uint64_t session;        /* ours */
    uint64_t server_session; /* 0 before the first WELCOME */
    int64_t heard_ms, said_ms;
    int64_t hello_ms;   /* when the next HELLO is due */
    int64_t refused_ms; /* and before when none is wanted */
    uint32_t hellos;    /* since anything was heard, or the connection was new */
} link_t;

void link_init(link_t *l, uint64_t session, int64_t now_ms);
/* What to do now; LINK_LOST is returned once, when the server fell silent: the connection is of no use any
 * more (it greets again by itself after that). */
link_action_t link_tick(link_t *l, int64_t now_ms);
void link_heard(link_t *l, int64_t now_ms);
void link_said(link_t *l, int64_t now_ms);
/* WELCOME: true when the server is another process than before (not for the first one). */
bool link_welcome(link_t *l, uint64_t server_session, int64_t now_ms);
void link_who(link_t *l, int64_t now_ms);
/* The connection was made anew: nothing of the session was heard at its other end. Greets at once, but no
 * server earlier than it has told. */
void link_anew(link_t *l, int64_t now_ms);
/* Nobody is there, or not for long: greet again after `wait_ms`, or over the next connection. */
void link_wait(link_t *l, int64_t now_ms, int64_t wait_ms);
/* ERROR KIND and the like: greet again after `wait_ms`, not before. */
void link_refused(link_t *l, int64_t now_ms, int64_t wait_ms);
int64_t link_next_ms(const link_t *l);

#endif

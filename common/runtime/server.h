/* The binding side of an endpoint: one ROUTER, and the sessions of the peers on it. It answers HELLO, asks
 * WHO, sends PING, notices silence, and refuses and counts what is malformed (docs/PROTOCOL.md sections 2 and
 * 3). What is said once a session is known belongs to the caller. The other side is dialer.h.
 *
 * A peer is a number 0..peers_max-1; it stays while its session lives, also on a new connection. An endpoint
 * without sessions (clients, control) has no HELLO: there a peer is the connection itself, and only `frame`
 * of the events is used.
 *
 * Ownership: the server owns its socket; frames are good until the callback returns. Callbacks may send, and
 * must not close the server. Used by one thread. */
#ifndef MANDRILL_SERVER_H
#define MANDRILL_SERVER_H

#include "common/core/peers.h"
#include "common/runtime/loop.h"
#include "common/runtime/wire.h"

enum {
    SERVER_GUARD_MS = 100,
    SERVER_ERRORS_PER_S = 100, /* refusals are answered so often, and counted always */
    SERVER_RECORD_BYTES = 512, /* of any frame, good or not, are worth a record of what one turn takes */
};

typedef struct {
    void *arg;
    /* A HELLO with the right role and a common version. `known`: its session is here already; `moved`: it
     * comes from another connection than before, on which what was sent last may be lost. WELCOME follows;
     * nothing may be sent before. 0, or an error_code_t with `why` (WHY_BYTES): there is no session, and one
     * that was known is over, without `gone`. */
    unsigned (*hello)(void *arg, uint32_t peer, const hello_t *h, bool known, bool moved, char *why);
    /* The session is over: BYE, or nothing was heard for DEAD_MS. */
    void (*gone)(void *arg, uint32_t peer, bool said_bye);
    /* Any other command, PING and WINDOW among them: how many records it had, or was worth, or -EPROTO:
     * malformed, -E2BIG: too many records, -ENOSYS: not a command of this endpoint. */
    int (*frame)(void *arg, uint32_t peer, int command, const frame_t *frame);
    uint64_t (*seen)(void *arg, uint32_t peer); /* for PING; NULL: 0 */
} server_events_t;

typedef struct {
    const char *what; /* "consumer", "client": for log lines */
    const char *endpoint;
    bool sessions;
    /* With sessions only: */
    role_t role;
    uint32_t peers_max;
    welcome_t welcome; /* the version is filled in */
} server_options_t;

typedef struct {
    uint32_t peers;
    uint64_t malformed, unknown, limit;
    wire_counts_t wire;
} server_counts_t;

typedef struct server server_t;

/* Binds and adds the socket to the loop. 0 or -errno with `why` (WHY_BYTES). */
int server_open(server_t **ret, const server_options_t *o, const server_events_t *events, loop_t *loop,
                char *why);
/* BYE to all peers, and takes what they say until each has answered it, linger_ms at most: `gone` is called
 * as if they had said BYE first. Afterwards nobody is heard or answered. */
void server_bye(server_t *s, int linger_ms);
/* BYE to all peers, waits at most linger_ms until each has answered it, then closes. */
void server_close(server_t **ref, int linger_ms);
/* Takes what has come in until `records_max` records were taken, or as many frames. True when nothing is
 * left.
 */
bool server_receive(server_t *s, uint32_t records_max);
/* PING, silence, endless messages: once a turn, after server_receive. Nobody is dead as long as something
 * waits to be received. */
void server_tick(server_t *s);
int64_t server_next_ms(const server_t *s);
/* As wire_send. */
int server_send(server_t *s, uint32_t peer, const buffer_t *frame);
void server_error(server_t *s, uint32_t peer, unsigned code, const char *text);
const char *server_endpoint(const server_t *s);
/* Walks the peers, as peers_next. */
uint32_t server_next_peer(const server_t *s, uint32_t after);
void server_counts(const server_t *s, server_counts_t *ret);

#endif

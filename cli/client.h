/* What every client of a publisher does (docs/PROTOCOL.md section 6): one connection to its client endpoint,
 * where a request is sent again until it is answered, at once over a new connection, and the same words when
 * it is not. Embedded; used by publish_client and letters. */
#ifndef MANDRILL_CLIENT_H
#define MANDRILL_CLIENT_H

#include "common/core/proto.h"
#include "common/runtime/wire.h"

enum {
    /* An answer takes some milliseconds; after so long it was lost, or the publisher is away. */
    CLIENT_REPEAT_MS = 1000,
    CLIENT_AGAIN_MS = 200,  /* after "not now" */
    CLIENT_CONNECT_MS = 20, /* until there is a connection */
    CLIENT_LOOK_MS = 3000,  /* between two looks whether a name has another address */
};

typedef struct {
    wire_t *wire;
    char endpoint[128];
    char address[128]; /* where that was found */
    int64_t looked_ms;
    bool reached;      /* something was sent to somebody */
    char not_now[160]; /* why the publisher does not do it yet; "" : it did not say so */
} client_t;

/* 0 or -errno with `why` (WHY_BYTES). A client that was not opened is all zero, and may be closed. */
int client_open(client_t *c, const char *endpoint, char *why);
void client_close(client_t *c);
/* False: it can't be sent now. *ret_again_ms: after how long it is to be sent again if no answer comes. */
bool client_send(client_t *c, const buffer_t *frame, int64_t *ret_again_ms);
/* Before a request is sent again: a publisher that moved is looked for where its name points to now. A lookup
 * may take its time. */
void client_follow(client_t *c);
/* Waits for a frame or a new connection, or until `fd` (-1: none) can be read. */
void client_wait(const client_t *c, int fd, int64_t until_ms);
/* True when the connection is a new one: what was sent and not answered is to be sent again, now. */
bool client_reconnected(client_t *c);
/* An ERROR frame: 1: not now (c->not_now says why), 0: it is none; -EPROTO with `why`: refused for good. */
int client_take_error(client_t *c, const frame_t *frame, char *why);
/* -ECONNREFUSED (nobody was ever reached) or -ETIMEDOUT, with `why`. */
int client_timed_out(const client_t *c, int64_t timeout_ms, char *why);

#endif

/* The connecting side of a hop: one DEALER and one session (core/link.h) to every server behind a list of
 * endpoints. It greets, over each new connection at once, answers WHO, sends PING, notices silence, drops the
 * second connection to one server and follows the names as they resolve (docs/PROTOCOL.md section 3). What is
 * said once a session is up belongs to the caller.
 *
 * A dial is one address, by number 0..DIALS_MAX-1. The number stays while the address is there, whoever
 * answers on it. Sockets and the lookup are added to the caller's loop. Used by one thread.
 *
 * Ownership: the dialer owns its sockets; frames are good until the callback returns. Callbacks must not
 * close the dialer, and may send. */
#ifndef MANDRILL_DIALER_H
#define MANDRILL_DIALER_H

#include "common/core/proto.h"
#include "common/runtime/loop.h"
#include "common/runtime/wire.h"

enum {
    DIALS_MAX = 64,
    DIAL_RETRY_MS = 5000,   /* after a refusal, or a socket that could not be opened */
    DIAL_FORGET_MS = 30000, /* an address that no name has any more and nobody answers on */
};

typedef struct {
    void *arg;
    /* A HELLO is about to be sent. Set the window and, when something is held, held_count and *ret_held (the
     * caller's memory, good until the next hello). Everything else is filled in. */
    void (*hello)(void *arg, uint32_t dial, hello_t *h, const uint64_t **ret_held);
    /* WELCOME: send again what was not answered. other_server: another process than the last time. */
    void (*up)(void *arg, uint32_t dial, const welcome_t *w, bool other_server);
    /* The session is not up any more; the dialer goes on trying. */
    void (*down)(void *arg, uint32_t dial);
    /* The address is no longer there: the number may be given to another. */
    void (*gone)(void *arg, uint32_t dial);
    /* A frame of a session that is up, PING among them; the dialer keeps the rest of section 3 to itself. 0,
     * -EPROTO: malformed, -ENOSYS: not a command of this hop. */
    int (*frame)(void *arg, uint32_t dial, int command, const frame_t *frame);
    /* What PING tells this server; NULL: 0. */
    uint64_t (*count)(void *arg, uint32_t dial);
    /* A second WELCOME while up, for a HELLO that was repeated before the first came: what the server counts
     * since WELCOME begins anew. NULL: nothing hangs on it. */
    void (*again)(void *arg, uint32_t dial);
    /* After `down`: the server said BYE, so whoever answers next is another. NULL: `up` tells in time. */
    void (*bye)(void *arg, uint32_t dial);
} dialer_events_t;

typedef struct {
    const char *what; /* "publisher": for log lines */
    role_t role;
    const char *kind, *leg; /* "" for a consumer */
    const char *label;      /* for people: which process this is; NULL: HOST:PID */
    const char *const *endpoints;
    size_t endpoints_count;
} dialer_options_t;

typedef struct {
    uint32_t dials, up;
    uint64_t malformed, unknown;
    wire_counts_t wires; /* of all, closed ones too */
} dialer_counts_t;

typedef struct dialer dialer_t;

/* Strings of the options but the endpoints stay the caller's and must outlive the dialer. */
int dialer_open(dialer_t **ret, const dialer_options_t *o, const dialer_events_t *events, loop_t *loop,
                char *why);
/* BYE to all that are up, and takes what they say until each has answered it, linger_ms at most. No session
 * is up afterwards and `down` is not called; ret_answered, by dial: it was up, and has taken all that was
 * said to it. Nothing but dialer_close may follow. */
void dialer_bye(dialer_t *d, int linger_ms, bool ret_answered[static DIALS_MAX]);
/* dialer_bye, then closes. */
void dialer_close(dialer_t **ref, int linger_ms);
/* Takes what has come in, at most `frames_max` from each dial; what is left makes the next wait end at once.
 */
void dialer_receive(dialer_t *d, uint32_t frames_max);
/* HELLO, PING, silence, new addresses: once a turn, after dialer_receive. */
void dialer_tick(dialer_t *d);
int64_t dialer_next_ms(const dialer_t *d);
/* As wire_send; -ENOTCONN while the session is not up. */
int dialer_send(dialer_t *d, uint32_t dial, const buffer_t *frame);
bool dialer_up(const dialer_t *d, uint32_t dial);
const char *dialer_address(const dialer_t *d, uint32_t dial); /* NULL: no such dial */
void dialer_counts(const dialer_t *d, dialer_counts_t *ret);

#endif

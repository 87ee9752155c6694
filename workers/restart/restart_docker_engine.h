/* A Docker Engine behind its socket: what workers/http/client.h does, for one engine.
 *
 * Ownership: a request is the engine's, and gone when its end has been told or it was aborted. An answer is
 * good until the call that tells it returns. */
#ifndef MANDRILL_RESTART_DOCKER_ENGINE_H
#define MANDRILL_RESTART_DOCKER_ENGINE_H

#include "common/core/message.h"

enum {
    ENGINE_BODY_BYTES_MAX = 1 << 20, /* of an answer */
    ENGINE_CHECK_MS = 5000,
};

typedef enum {
    ENGINE_ANSWERED,
    ENGINE_AWAY, /* nobody listens at the socket: nothing was sent */
    ENGINE_LOST, /* no answer, or none that is one; what was asked for may be done or not */
} engine_end_t;

typedef struct {
    engine_end_t end;
    int status;      /* of HTTP, when it is ANSWERED */
    int error;       /* errno, when it is AWAY; 0: not known */
    const char *why; /* for people, escaped, unless it is ANSWERED */
    const char *body;
    size_t len;
} engine_answer_t;

typedef struct engine engine_t;
typedef struct http_request engine_request_t; /* as the client has it */
/* How the request of this number ended. It may ask anew. */
typedef void (*engine_done_t)(void *arg, uint32_t number, const engine_answer_t *answer);

/* 0, or -errno with `why`. The path is the caller's and stays. */
int engine_new(engine_t **ret, const char *socket_path, engine_done_t done, void *arg, char *why);
void engine_destroy(engine_t **e);
/* Whether an engine answers there: 0, or -EIO with `why`. Waits up to ENGINE_CHECK_MS. */
int engine_check(const char *socket_path, char *why);

typedef enum { ENGINE_GET, ENGINE_POST } engine_method_t;
/* Begins a request without a body. `path` begins with '/' and is written as it goes out. A POST is sent once,
 * over a connection of its own: libcurl sends again what it had sent over an old one that turned out to be
 * closed. NULL: no memory. */
engine_request_t *engine_ask(engine_t *e, engine_method_t method, const char *path, int64_t timeout_ms,
                             uint32_t number);
/* It is told no more; the engine (the other one) may do what it was asked for all the same. */
void engine_abort(engine_t *e, engine_request_t **r);

/* In every turn: takes what has come and tells what has ended. */
void engine_go_on(engine_t *e);
/* Can be read from when there is something to do. */
int engine_fd(const engine_t *e);
/* When there is something to do without that, as clock_ms() counts; INT64_MAX: never. */
int64_t engine_due_ms(const engine_t *e);

#endif

/* HTTP as a client: any number of requests at once, in the thread of the loop. libcurl says what it waits for
 * (its multi_socket interface); an epoll gathers that, and it is the one descriptor that the loop has to
 * watch. Names are looked up by threads of libcurl's own.
 *
 * What a server says is believed only over http and https, from the address that the URL names: no redirect
 * is followed, no proxy of the environment asked, no certificate taken that does not hold.
 *
 * Ownership: a request is the client's, and gone when its end has been told or it was aborted. An answer is
 * good until the call that tells it returns. */
#ifndef MANDRILL_HTTP_CLIENT_H
#define MANDRILL_HTTP_CLIENT_H

#include "common/core/message.h"

enum {
    HTTP_HEAD_BYTES_MAX = 64 << 10, /* of an answer */
    /* That have no connection yet: more wait for their turn, so that thousands neither flood a server's
       backlog nor start a thread each for the name. */
    HTTP_CONNECTING_MAX = 256,
};

typedef struct {
    const char *socket_path; /* all requests go to this socket; NULL: to where their URLs say */
    const char *ca_file;     /* of those that certificates may be signed by; NULL: the system's */
    int64_t connect_ms;    /* at most, for the name, the connection and TLS; 0: as long as the request has */
    size_t body_bytes_max; /* of an answer: what is more is not read */
} http_options_t;

typedef enum {
    HTTP_ANSWERED,
    HTTP_NOT_REACHED, /* nothing of the request was sent; of one that does nothing, at least not to an end */
    HTTP_LOST,        /* no answer, or none that is one; what was asked for may be done or not */
} http_end_t;

typedef struct {
    http_end_t end;
    int status;       /* when it is ANSWERED */
    bool cut;         /* ANSWERED: the body is longer than it may be; its beginning is here */
    int64_t retry_ms; /* what Retry-After asks for; 0: it does not */
    int error;        /* errno, when it is NOT_REACHED; 0: not known */
    const char *why;  /* for people, escaped, unless it is ANSWERED */
    const char *body;
    size_t len;
} http_answer_t;

/* Texts are copied. */
typedef struct {
    const char *method; /* "GET"; NULL: only to see whether a server is there, and its certificate holds */
    const char *url;
    const char *const *headers; /* "Name: value"; "Name:" leaves one of libcurl's own out */
    size_t headers_count;
    const void *body; /* NULL: none */
    size_t body_len;
    /* It does something: it is sent once, over a connection of its own, and not after `until_ms`. Without,
       libcurl sends again what it had sent over an old connection that turned out to be closed. */
    bool once;
    int64_t until_ms; /* given up then, as clock_ms() counts */
} http_ask_t;

typedef struct http_client http_client_t;
typedef struct http_request http_request_t;
/* How the request of this number ended. It may ask anew. */
typedef void (*http_done_t)(void *arg, uint32_t number, const http_answer_t *answer);

/* 0, or -errno with `why` (a file of certificates that cannot be read, no memory). The options' texts are the
 * caller's and stay. */
int http_client_new(http_client_t **ret, const http_options_t *options, http_done_t done, void *arg,
                    char *why);
void http_client_destroy(http_client_t **c);
/* NULL: no memory. */
http_request_t *http_ask(http_client_t *c, const http_ask_t *ask, uint32_t number);
/* It is told no more; the server may do what it was asked for all the same. */
void http_abort(http_client_t *c, http_request_t **r);
/* One request, waited for; `done` is not called. `why` (WHY_BYTES) is what the answer points to. -ENOMEM, or
 * 0 and the answer without its body. */
int http_ask_and_wait(http_client_t *c, const http_ask_t *ask, http_answer_t *ret, char *why);

/* In every turn: takes what has come and tells what has ended. */
void http_go_on(http_client_t *c);
/* Can be read from when there is something to do. */
int http_fd(const http_client_t *c);
/* When there is something to do without that, as clock_ms() counts; INT64_MAX: never. */
int64_t http_due_ms(const http_client_t *c);

/* Whether libcurl takes it for a URL, of http or https: 0, or -EINVAL with `why`, which does not repeat it.
 */
int http_url_check(const char *url, char *why);

#endif

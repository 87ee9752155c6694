/* Inside the client: one request as libcurl has it (client_request.c), and all of them (client.c). Users
 * include client.h only. */
#ifndef MANDRILL_HTTP_CLIENT_INTERNAL_H
#define MANDRILL_HTTP_CLIENT_INTERNAL_H

#include "workers/http/client.h"

#include <curl/curl.h>

typedef enum { STATE_WAITING, STATE_CONNECTING, STATE_SENT } state_t;

struct http_request {
    http_client_t *client;
    CURL *easy;
    uint32_t number;
    state_t state;
    bool once, connects; /* as it was asked for */
    int64_t until_ms;
    struct curl_slist *headers;
    buffer_t body;
    size_t head_bytes;
    bool head_ended;     /* by its empty line; libcurl takes one that was cut off before that for whole */
    const char *refused; /* why its answer was not taken; NULL: it was */
    bool cut;
    char error[CURL_ERROR_SIZE];
    http_request_t *previous, *next; /* of its list; idle ones have `next` alone */
};

/* A list from both ends. */
typedef struct {
    http_request_t *first, *last;
} list_t;

struct http_client {
    CURLM *multi;
    int epoll;
    int64_t due_ms; /* as libcurl wants it */
    http_options_t options;
    http_done_t done;
    void *arg;
    list_t waiting, at_work;
    uint32_t waiting_count;
    int64_t look_ms;     /* at those that wait */
    uint32_t connecting; /* of those at work */
    http_request_t *idle;
    uint32_t idle_count;
};

/* With what all requests of the client have in common; NULL: no memory. */
http_request_t *request_new(http_client_t *c);
void request_free(http_request_t *r); /* NULL: nothing */
/* What it is to ask. Each: 0 or -ENOMEM. */
int request_fill(http_request_t *r, const http_ask_t *ask);
/* Its time runs, from before it had its turn. */
int request_set_times(http_request_t *r, int64_t now_ms);
/* What has come of it; `why` is what the answer points to. */
void request_read_end(const http_request_t *r, CURLcode code, http_answer_t *ret, char why[static WHY_BYTES]);

#endif

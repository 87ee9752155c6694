#include "workers/restart/restart_docker_engine.h"

#include "common/runtime/clock.h"
#include "workers/http/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { URL_BYTES = 4096 };

struct engine {
    http_client_t *http;
    engine_done_t done;
    void *arg;
};

static void read_answer(const http_answer_t *a, engine_answer_t *ret)
{
    *ret = (engine_answer_t){.end = a->end == HTTP_ANSWERED      ? ENGINE_ANSWERED
                                    : a->end == HTTP_NOT_REACHED ? ENGINE_AWAY
                                                                 : ENGINE_LOST,
                             .status = a->status,
                             .error = a->error,
                             .why = a->why,
                             .body = a->body,
                             .len = a->len};
    if (a->cut) {
        ret->end = ENGINE_LOST;
        ret->why = "an answer of more than 1 MB";
    }
}

static void done(void *arg, uint32_t number, const http_answer_t *a)
{
    const engine_t *e = arg;
    engine_answer_t answer;
    read_answer(a, &answer);
    e->done(e->arg, number, &answer);
}

/* 0 or -ENAMETOOLONG. */
static int make_ask(engine_method_t method, const char *path, int64_t timeout_ms, char url[static URL_BYTES],
                    http_ask_t *ret)
{
    if (snprintf(url, URL_BYTES, "http://docker%s", path) >= URL_BYTES)
        return -ENAMETOOLONG;
    *ret = (http_ask_t){.method = method == ENGINE_POST ? "POST" : "GET",
                        .url = url,
                        .once = method == ENGINE_POST,
                        .until_ms = clock_ms() + timeout_ms};
    return 0;
}

engine_request_t *engine_ask(engine_t *e, engine_method_t method, const char *path, int64_t timeout_ms,
                             uint32_t number)
{
    char url[URL_BYTES];
    http_ask_t ask;
    if (make_ask(method, path, timeout_ms, url, &ask) != 0)
        return NULL;
    return http_ask(e->http, &ask, number);
}

void engine_abort(engine_t *e, engine_request_t **r)
{
    http_abort(e->http, r);
}

void engine_go_on(engine_t *e)
{
    http_go_on(e->http);
}

int engine_fd(const engine_t *e)
{
    return http_fd(e->http);
}

int64_t engine_due_ms(const engine_t *e)
{
    return http_due_ms(e->http);
}

int engine_new(engine_t **ret, const char *socket_path, engine_done_t told, void *arg, char *why)
{
    const http_options_t options = {.socket_path = socket_path, .body_bytes_max = ENGINE_BODY_BYTES_MAX};
    engine_t *e = calloc(1, sizeof *e);
    int error = -ENOMEM;
    if (e == NULL)
        snprintf(why, WHY_BYTES, "no memory");
    else
        error = http_client_new(&e->http, &options, done, e, why);
    if (error != 0) {
        free(e);
        return error;
    }
    e->done = told;
    e->arg = arg;
    *ret = e;
    return 0;
}

void engine_destroy(engine_t **engine)
{
    engine_t *e = *engine;
    if (e == NULL)
        return;
    http_client_destroy(&e->http);
    free(e);
    *engine = NULL;
}

int engine_check(const char *socket_path, char *why)
{
    char url[URL_BYTES];
    engine_t *e;
    http_ask_t ask;
    http_answer_t answer;
    int error = engine_new(&e, socket_path, NULL, NULL, why);
    if (error != 0)
        return error;
    error = make_ask(ENGINE_GET, "/_ping", ENGINE_CHECK_MS, url, &ask);
    if (error == 0)
        error = http_ask_and_wait(e->http, &ask, &answer, why);
    if (error != 0)
        snprintf(why, WHY_BYTES, "no memory");
    else if (answer.end != HTTP_ANSWERED || answer.status != 200)
        error = -EIO;
    if (error == -EIO && answer.end == HTTP_ANSWERED)
        snprintf(why, WHY_BYTES, "%d to /_ping", answer.status);
    engine_destroy(&e);
    return error;
}

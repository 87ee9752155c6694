#include "workers/restart/restart_docker_engine.h"

#include "common/runtime/clock.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS = 64,
    ROUNDS_A_TURN = 8,      /* what is left then makes the next turn begin at once */
    IDLE_REQUESTS_MAX = 64, /* kept for the next ones, with their memory */
    IDLE_BODY_BYTES_MAX = 64 << 10,
    IDLE_CONNECTIONS_MAX = 64,
    URL_BYTES = 4096,
};

struct engine_request {
    engine_t *engine;
    CURL *easy;
    uint32_t number;
    buffer_t body;
    size_t head_bytes;
    const char *refused; /* why its answer was not taken; NULL: it was */
    char error[CURL_ERROR_SIZE];
    engine_request_t *previous, *next; /* at work; idle ones have `next` alone */
};

struct engine {
    CURLM *multi;
    int epoll;
    int64_t due_ms; /* as libcurl wants it */
    const char *socket_path;
    struct curl_slist *headers;
    engine_done_t done;
    void *arg;
    engine_request_t *at_work, *idle;
    unsigned idle_count;
};

/* --- what libcurl asks for --- */

static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    engine_t *e = arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(e->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    struct epoll_event event = {.data.fd = fd};
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (epoll_ctl(e->epoll, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0)
        return -1; /* the request fails */
    curl_multi_assign(e->multi, fd, e);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    engine_t *e = arg;
    (void)multi;
    e->due_ms = ms < 0 ? INT64_MAX : clock_ms() + ms;
    return 0;
}

static size_t take_head(char *bytes, size_t size, size_t n, void *arg)
{
    engine_request_t *r = arg;
    (void)bytes;
    r->head_bytes += size * n;
    if (r->head_bytes <= ENGINE_HEAD_BYTES_MAX)
        return size * n;
    r->refused = "an answer with more than 64 kB of headers";
    return 0;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *arg)
{
    engine_request_t *r = arg;
    if (r->body.len + size * n > ENGINE_BODY_BYTES_MAX) {
        r->refused = "an answer of more than 1 MB";
        return 0;
    }
    buffer_append(&r->body, bytes, size * n);
    if (r->body.failed)
        r->refused = "an answer that there is no memory for";
    return r->body.failed ? 0 : size * n;
}

/* --- requests --- */

static void free_request(engine_request_t *r)
{
    if (r == NULL)
        return;
    curl_easy_cleanup(r->easy);
    buffer_done(&r->body);
    free(r);
}

static int set_up(engine_request_t *r)
{
    const engine_t *e = r->engine;
    CURL *c = r->easy;
    CURLcode bad = curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, e->socket_path);
    bad |= curl_easy_setopt(c, CURLOPT_PRIVATE, r);
    bad |= curl_easy_setopt(c, CURLOPT_ERRORBUFFER, r->error);
    bad |= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http");
    bad |= curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |= curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    /* Whatever the environment says. */
    bad |= curl_easy_setopt(c, CURLOPT_PROXY, "");
    bad |= curl_easy_setopt(c, CURLOPT_HTTPHEADER, e->headers);
    bad |= curl_easy_setopt(c, CURLOPT_USERAGENT, "mandrill/" MANDRILL_VERSION);
    bad |= curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_head);
    bad |= curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
    bad |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
    bad |= curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    return bad == CURLE_OK ? 0 : -ENOMEM;
}

static engine_request_t *make_request(engine_t *e)
{
    engine_request_t *r = e->idle;
    if (r != NULL) {
        e->idle = r->next;
        e->idle_count--;
        return r;
    }
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->engine = e;
    buffer_init(&r->body);
    r->easy = curl_easy_init();
    if (r->easy != NULL && set_up(r) == 0)
        return r;
    free_request(r);
    return NULL;
}

static void keep_or_free(engine_t *e, engine_request_t *r)
{
    if (e->idle_count >= IDLE_REQUESTS_MAX || r->body.failed || r->body.cap > IDLE_BODY_BYTES_MAX) {
        free_request(r);
        return;
    }
    r->next = e->idle;
    e->idle = r;
    e->idle_count++;
}

static void add_at_work(engine_t *e, engine_request_t *r)
{
    r->previous = NULL;
    r->next = e->at_work;
    if (r->next != NULL)
        r->next->previous = r;
    e->at_work = r;
}

static void end_work(engine_t *e, engine_request_t *r)
{
    curl_multi_remove_handle(e->multi, r->easy);
    if (r->previous != NULL)
        r->previous->next = r->next;
    else
        e->at_work = r->next;
    if (r->next != NULL)
        r->next->previous = r->previous;
}

static int begin(engine_request_t *r, engine_method_t method, const char *path, int64_t timeout_ms)
{
    char url[URL_BYTES];
    CURL *c = r->easy;
    buffer_clear(&r->body);
    r->head_bytes = 0;
    r->refused = NULL;
    r->error[0] = '\0';
    if (snprintf(url, sizeof url, "http://docker%s", path) >= (int)sizeof url)
        return -ENAMETOOLONG;
    CURLcode bad = curl_easy_setopt(c, CURLOPT_URL, url);
    bad |= curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    bad |= curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, method == ENGINE_POST ? 1L : 0L);
    if (method == ENGINE_POST) {
        bad |= curl_easy_setopt(c, CURLOPT_POST, 1L);
        bad |= curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, 0L);
        bad |= curl_easy_setopt(c, CURLOPT_POSTFIELDS, "");
    } else {
        bad |= curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
    }
    return bad == CURLE_OK ? 0 : -ENOMEM;
}

engine_request_t *engine_ask(engine_t *e, engine_method_t method, const char *path, int64_t timeout_ms,
                             uint32_t number)
{
    engine_request_t *r = make_request(e);
    if (r == NULL)
        return NULL;
    r->number = number;
    if (begin(r, method, path, timeout_ms) != 0 || curl_multi_add_handle(e->multi, r->easy) != CURLM_OK) {
        free_request(r);
        return NULL;
    }
    add_at_work(e, r);
    return r;
}

void engine_abort(engine_t *e, engine_request_t **r)
{
    if (*r == NULL)
        return;
    end_work(e, *r);
    keep_or_free(e, *r);
    *r = NULL;
}

/* --- ends --- */

static void read_end(const engine_request_t *r, CURLcode code, engine_answer_t *ret,
                     char why[static WHY_BYTES])
{
    long status = 0, error = 0;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &error);
    *ret = (engine_answer_t){.end = ENGINE_ANSWERED,
                             .status = (int)status,
                             .body = (const char *)r->body.data,
                             .len = r->body.len,
                             .why = why};
    const char *text = "";
    if (code == CURLE_COULDNT_CONNECT) {
        ret->end = ENGINE_AWAY;
        ret->error = (int)error;
        text = error != 0 ? strerror((int)error) : "could not connect";
    } else if (code != CURLE_OK || status == 0) {
        ret->end = ENGINE_LOST;
        text = code == CURLE_OK      ? "an answer without a status"
               : r->refused != NULL  ? r->refused
               : r->error[0] != '\0' ? r->error
                                     : curl_easy_strerror(code);
    }
    text_escape(text, strlen(text), why, WHY_BYTES);
}

/* Whether there was any. */
static bool tell_ended(engine_t *e)
{
    int left;
    bool any = false;
    for (CURLMsg *m; (m = curl_multi_info_read(e->multi, &left)) != NULL; any = true) {
        char why[WHY_BYTES];
        engine_answer_t answer;
        engine_request_t *r = NULL;
        const CURLcode code = m->data.result; /* gone with the handle */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r);
        read_end(r, code, &answer, why);
        end_work(e, r);
        e->done(e->arg, r->number, &answer);
        keep_or_free(e, r);
    }
    return any;
}

void engine_go_on(engine_t *e)
{
    int running;
    bool more = true;
    for (int round = 0; more && round < ROUNDS_A_TURN; round++) {
        struct epoll_event events[EVENTS];
        const int n = epoll_wait(e->epoll, events, EVENTS, 0);
        for (int i = 0; i < n; i++) {
            const uint32_t ready = events[i].events;
            const int what = (ready & EPOLLIN ? CURL_CSELECT_IN : 0) |
                             (ready & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                             (ready & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
            curl_multi_socket_action(e->multi, events[i].data.fd, what, &running);
        }
        const bool due = e->due_ms <= clock_ms();
        if (due) {
            e->due_ms = INT64_MAX;
            curl_multi_socket_action(e->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        more = tell_ended(e) || n > 0 || due;
    }
}

int engine_fd(const engine_t *e)
{
    return e->epoll;
}

int64_t engine_due_ms(const engine_t *e)
{
    return e->due_ms;
}

/* --- an engine --- */

static int open_multi(engine_t *e)
{
    e->multi = curl_multi_init();
    /* Without it curl sends a body's type, of a body that there is not. */
    e->headers = curl_slist_append(NULL, "Content-Type:");
    if (e->multi == NULL || e->headers == NULL)
        return -ENOMEM;
    CURLMcode bad = curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, watch);
    bad |= curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
    bad |= curl_multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    bad |= curl_multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
    bad |= curl_multi_setopt(e->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    bad |= curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    return bad == CURLM_OK ? 0 : -ENOMEM;
}

int engine_new(engine_t **ret, const char *socket_path, engine_done_t done, void *arg, char *why)
{
    engine_t *e = calloc(1, sizeof *e);
    int error = e != NULL && curl_global_init(CURL_GLOBAL_NOTHING) == CURLE_OK ? 0 : -ENOMEM;
    if (error != 0) {
        free(e);
        snprintf(why, WHY_BYTES, "no memory");
        return error;
    }
    *e = (engine_t){.socket_path = socket_path, .done = done, .arg = arg, .due_ms = INT64_MAX, .epoll = -1};
    error = open_multi(e);
    if (error == 0) {
        e->epoll = epoll_create1(EPOLL_CLOEXEC);
        error = e->epoll < 0 ? -errno : 0;
    }
    if (error != 0) {
        engine_destroy(&e);
        snprintf(why, WHY_BYTES, "cannot wait for an engine: %s", strerror(-error));
        return error;
    }
    *ret = e;
    return 0;
}

/* At work or idle. */
static void free_requests(const engine_t *e, engine_request_t *first)
{
    for (engine_request_t *r = first, *next; r != NULL; r = next) {
        next = r->next;
        curl_multi_remove_handle(e->multi, r->easy);
        free_request(r);
    }
}

void engine_destroy(engine_t **engine)
{
    engine_t *e = *engine;
    if (e == NULL)
        return;
    free_requests(e, e->at_work);
    free_requests(e, e->idle);
    curl_multi_cleanup(e->multi);
    curl_slist_free_all(e->headers);
    if (e->epoll >= 0)
        close(e->epoll);
    free(e);
    curl_global_cleanup();
    *engine = NULL;
}

int engine_check(const char *socket_path, char *why)
{
    engine_t *e;
    engine_answer_t answer;
    int error = engine_new(&e, socket_path, NULL, NULL, why);
    if (error != 0)
        return error;
    engine_request_t *r = make_request(e);
    if (r == NULL || begin(r, ENGINE_GET, "/_ping", ENGINE_CHECK_MS) != 0) {
        error = -ENOMEM;
        snprintf(why, WHY_BYTES, "no memory");
    } else {
        read_end(r, curl_easy_perform(r->easy), &answer, why);
        error = answer.end == ENGINE_ANSWERED && answer.status == 200 ? 0 : -EIO;
        if (answer.end == ENGINE_ANSWERED)
            snprintf(why, WHY_BYTES, "%d to /_ping", answer.status);
    }
    free_request(r);
    engine_destroy(&e);
    return error;
}

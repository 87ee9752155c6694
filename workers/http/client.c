#include "workers/http/client_internal.h"

#include "common/runtime/clock.h"
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
    WAITING_LOOK_MS = 50, /* how often it is looked whose time is over before its turn came */
};

/* --- what libcurl asks for --- */

static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    http_client_t *c = arg;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(c->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    struct epoll_event event = {.data.fd = fd};
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (epoll_ctl(c->epoll, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0)
        return -1; /* the request fails */
    curl_multi_assign(c->multi, fd, c);
    return 0;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
    http_client_t *c = arg;
    (void)multi;
    c->due_ms = ms < 0 ? INT64_MAX : clock_ms() + ms;
    return 0;
}

/* --- requests --- */

static http_request_t *make_request(http_client_t *c)
{
    http_request_t *r = c->idle;
    if (r == NULL)
        return request_new(c);
    c->idle = r->next;
    c->idle_count--;
    return r;
}

static void keep_or_free(http_client_t *c, http_request_t *r)
{
    if (c->idle_count >= IDLE_REQUESTS_MAX || r->body.failed || r->body.cap > IDLE_BODY_BYTES_MAX) {
        request_free(r);
        return;
    }
    r->next = c->idle;
    c->idle = r;
    c->idle_count++;
}

static void append_to(list_t *l, http_request_t *r)
{
    r->next = NULL;
    r->previous = l->last;
    if (l->last != NULL)
        l->last->next = r;
    else
        l->first = r;
    l->last = r;
}

static void remove_from(list_t *l, http_request_t *r)
{
    if (r->previous != NULL)
        r->previous->next = r->next;
    else
        l->first = r->next;
    if (r->next != NULL)
        r->next->previous = r->previous;
    else
        l->last = r->previous;
}

http_request_t *http_ask(http_client_t *c, const http_ask_t *ask, uint32_t number)
{
    http_request_t *r = make_request(c);
    if (r == NULL)
        return NULL;
    r->number = number;
    r->state = STATE_WAITING;
    if (request_fill(r, ask) != 0) {
        request_free(r);
        return NULL;
    }
    if (c->waiting.first == NULL)
        c->look_ms = 0; /* in the next turn */
    append_to(&c->waiting, r);
    c->waiting_count++;
    return r;
}

static void end_work(http_client_t *c, http_request_t *r)
{
    if (r->state == STATE_WAITING) {
        remove_from(&c->waiting, r);
        c->waiting_count--;
        return;
    }
    if (r->state == STATE_CONNECTING)
        c->connecting--;
    curl_multi_remove_handle(c->multi, r->easy);
    remove_from(&c->at_work, r);
}

void http_abort(http_client_t *c, http_request_t **r)
{
    if (*r == NULL)
        return;
    end_work(c, *r);
    keep_or_free(c, *r);
    *r = NULL;
}

/* --- turns --- */

/* Whether there was any. */
static bool tell_ended(http_client_t *c)
{
    int left;
    bool any = false;
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left)) != NULL; any = true) {
        char why[WHY_BYTES];
        http_answer_t answer;
        http_request_t *r = NULL;
        const CURLcode code = m->data.result; /* gone with the handle */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r);
        request_read_end(r, code, &answer, why);
        end_work(c, r);
        c->done(c->arg, r->number, &answer);
        keep_or_free(c, r);
    }
    return any;
}

static void tell_not_begun(http_client_t *c, http_request_t *r, const char *why)
{
    const http_answer_t answer = {.end = HTTP_NOT_REACHED, .why = why};
    end_work(c, r);
    c->done(c->arg, r->number, &answer);
    keep_or_free(c, r);
}

static http_request_t *find_overdue(const http_client_t *c, int64_t now_ms)
{
    http_request_t *r = c->waiting.first;
    while (r != NULL && r->until_ms > now_ms)
        r = r->next;
    return r;
}

/* Those whose turn never came end, too. From the first on each time: who is told may abort others, and ask
 * anew. */
static void end_overdue(http_client_t *c, int64_t now_ms)
{
    http_request_t *r;
    for (uint32_t n = c->waiting_count; n > 0 && (r = find_overdue(c, now_ms)) != NULL; n--)
        tell_not_begun(c, r, "its time was over before there was room for another connection");
}

/* Whether there was any. */
static bool begin_waiting(http_client_t *c)
{
    const int64_t now_ms = clock_ms();
    bool any = false;
    if (c->waiting.first == NULL || (c->connecting >= HTTP_CONNECTING_MAX && now_ms < c->look_ms))
        return false;
    end_overdue(c, now_ms);
    http_request_t *r;
    for (uint32_t n = c->waiting_count; n > 0 && c->connecting < HTTP_CONNECTING_MAX; n--) {
        if ((r = c->waiting.first) == NULL)
            break;
        if (request_set_times(r, now_ms) != 0 || curl_multi_add_handle(c->multi, r->easy) != CURLM_OK) {
            tell_not_begun(c, r, "out of memory");
            continue;
        }
        remove_from(&c->waiting, r);
        c->waiting_count--;
        append_to(&c->at_work, r);
        r->state = STATE_CONNECTING;
        c->connecting++;
        any = true;
    }
    c->look_ms = now_ms + WAITING_LOOK_MS;
    return any;
}

void http_go_on(http_client_t *c)
{
    int running;
    bool more = true;
    for (int round = 0; more && round < ROUNDS_A_TURN; round++) {
        struct epoll_event events[EVENTS];
        const bool begun = begin_waiting(c);
        const int n = epoll_wait(c->epoll, events, EVENTS, 0);
        for (int i = 0; i < n; i++) {
            const uint32_t ready = events[i].events;
            const int what = (ready & EPOLLIN ? CURL_CSELECT_IN : 0) |
                             (ready & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                             (ready & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
            curl_multi_socket_action(c->multi, events[i].data.fd, what, &running);
        }
        const bool due = c->due_ms <= clock_ms();
        if (due) {
            c->due_ms = INT64_MAX;
            curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        more = tell_ended(c) || begun || n > 0 || due;
    }
}

int http_fd(const http_client_t *c)
{
    return c->epoll;
}

int64_t http_due_ms(const http_client_t *c)
{
    if (c->waiting.first == NULL)
        return c->due_ms;
    const int64_t look_ms = c->connecting < HTTP_CONNECTING_MAX ? 0 : c->look_ms;
    return look_ms < c->due_ms ? look_ms : c->due_ms;
}

/* --- a client --- */

static int open_multi(http_client_t *c)
{
    c->multi = curl_multi_init();
    if (c->multi == NULL)
        return -ENOMEM;
    CURLMcode bad = curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, watch);
    bad |= curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    bad |= curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    bad |= curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    bad |= curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    bad |= curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    return bad == CURLM_OK ? 0 : -ENOMEM;
}

int http_client_new(http_client_t **ret, const http_options_t *options, http_done_t done, void *arg,
                    char *why)
{
    if (options->ca_file != NULL && access(options->ca_file, R_OK) != 0) {
        const int error = errno;
        char shown[80];
        snprintf(why, WHY_BYTES, "cannot read %s: %s",
                 text_escape(options->ca_file, strlen(options->ca_file), shown, sizeof shown),
                 strerror(error));
        return -error;
    }
    http_client_t *c = calloc(1, sizeof *c);
    int error = c != NULL && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -ENOMEM;
    if (error != 0) {
        free(c);
        snprintf(why, WHY_BYTES, "no memory");
        return error;
    }
    *c = (http_client_t){.options = *options, .done = done, .arg = arg, .due_ms = INT64_MAX, .epoll = -1};
    error = open_multi(c);
    if (error == 0) {
        c->epoll = epoll_create1(EPOLL_CLOEXEC);
        error = c->epoll < 0 ? -errno : 0;
    }
    if (error != 0) {
        http_client_destroy(&c);
        snprintf(why, WHY_BYTES, "cannot wait for a server: %s", strerror(-error));
        return error;
    }
    *ret = c;
    return 0;
}

void http_client_destroy(http_client_t **client)
{
    http_client_t *c = *client;
    if (c == NULL)
        return;
    while (c->at_work.first != NULL) {
        http_request_t *r = c->at_work.first;
        end_work(c, r);
        request_free(r);
    }
    while (c->waiting.first != NULL) {
        http_request_t *r = c->waiting.first;
        end_work(c, r);
        request_free(r);
    }
    for (http_request_t *r = c->idle, *next; r != NULL; r = next) {
        next = r->next;
        request_free(r);
    }
    curl_multi_cleanup(c->multi);
    if (c->epoll >= 0)
        close(c->epoll);
    free(c);
    curl_global_cleanup();
    *client = NULL;
}

int http_ask_and_wait(http_client_t *c, const http_ask_t *ask, http_answer_t *ret, char *why)
{
    http_request_t *r = make_request(c);
    if (r == NULL)
        return -ENOMEM;
    r->state = STATE_WAITING;
    const int error = request_fill(r, ask) == 0 && request_set_times(r, clock_ms()) == 0 ? 0 : -ENOMEM;
    if (error == 0) {
        request_read_end(r, curl_easy_perform(r->easy), ret, why);
        ret->body = NULL;
        ret->len = 0;
    }
    request_free(r);
    return error;
}

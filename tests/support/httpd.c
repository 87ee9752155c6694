#include "tests/support/httpd.h"

#include "tests/support/httpd_tls.h"
#include "tests/support/wait.h"

#include "common/core/buffer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    EVENTS = 256,
    BACKLOG = 4096,
    REQUEST_BYTES_MAX = 64 << 10,
    HEADERS_BYTES = 1 << 20,
    HOSTS_MAX = 20000,
    NAME_BYTES = 64,
    SEEN_MAX = 4096, /* requests that are kept for httpd_saw() */
    LOOK_MS = 5,     /* how often it is looked which answers are due */
    URLS = 8,
};

typedef struct connection {
    int fd;
    SSL *tls;
    buffer_t in, out;
    size_t sent;
    int64_t due_ms; /* what there is to send goes out then; INT64_MAX: never */
    bool closes;    /* when all is sent */
    struct connection *previous, *next;
} connection_t;

typedef struct {
    char name[NAME_BYTES];
    unsigned restarts;
    int64_t since_ms;
} host_t;

typedef struct {
    httpd_fault_t fault;
    long value;
    unsigned times;
} plan_t;

struct httpd {
    int port, listener, epoll;
    SSL_CTX *tls;
    pthread_t thread;
    pthread_mutex_t lock;
    bool stopping, runs, remembers;
    connection_t *connections;
    unsigned connections_count, connections_most;
    plan_t plans[HTTPD_CALLS];
    unsigned calls[HTTPD_CALLS];
    char header[128], text[1024];
    host_t *hosts;
    unsigned hosts_count;
    char *keys[HOSTS_MAX];
    unsigned keys_count;
    char *seen[SEEN_MAX];
    unsigned seen_count;
};

/* Since when a host is up that nobody has restarted. */
#define OLD_MS INT64_C(630720000000)

/* --- hosts --- */

static host_t *find_host(httpd_t *h, const char *name, size_t len)
{
    for (unsigned i = 0; i < h->hosts_count; i++)
        if (strlen(h->hosts[i].name) == len && memcmp(h->hosts[i].name, name, len) == 0)
            return &h->hosts[i];
    if (h->hosts_count == HOSTS_MAX || len >= NAME_BYTES)
        abort();
    host_t *host = &h->hosts[h->hosts_count++];
    *host = (host_t){.since_ms = test_now_ms() - OLD_MS};
    memcpy(host->name, name, len);
    return host;
}

/* Whether it was done for an earlier request with the same key; it is known from now on. */
static bool knows_key(httpd_t *h, const char *request)
{
    const char *key = strstr(request, "\r\nIdempotency-Key: ");
    if (!h->remembers || key == NULL)
        return false;
    const size_t len = 2 + strcspn(key + 2, "\r");
    for (unsigned i = 0; i < h->keys_count; i++)
        if (strlen(h->keys[i]) == len && memcmp(h->keys[i], key, len) == 0)
            return true;
    if (h->keys_count < HOSTS_MAX)
        h->keys[h->keys_count++] = strndup(key, len);
    return false;
}

static void boot(host_t *host)
{
    host->restarts++;
    host->since_ms = test_now_ms();
}

static void restart(httpd_t *h, host_t *host, const char *request)
{
    char now[32];
    const char *wanted = strstr(request, "?boot=");
    snprintf(now, sizeof now, "boot-%u ", host->restarts);
    if ((wanted != NULL && strncmp(wanted + 6, now, strlen(now)) != 0) || knows_key(h, request))
        return;
    boot(host);
}

/* --- answers --- */

static void put(buffer_t *b, const char *text)
{
    buffer_append(b, text, strlen(text));
}

static void put_answer(const httpd_t *h, connection_t *c, long status, const char *body, size_t len)
{
    char head[512];
    snprintf(head, sizeof head,
             "HTTP/1.1 %ld Planned\r\nContent-Type: text/plain\r\n%s%sContent-Length: %zu\r\n\r\n", status,
             h->header, h->header[0] != '\0' ? "\r\n" : "", len);
    put(&c->out, head);
    buffer_append(&c->out, body, len);
}

static void put_large(const httpd_t *h, connection_t *c, size_t len)
{
    char *body = malloc(len);
    if (body == NULL)
        abort();
    memset(body, 'x', len);
    put_answer(h, c, 200, body, len);
    free(body);
}

static void answer(httpd_t *h, connection_t *c, const plan_t *p, const char *body)
{
    switch (p->fault) {
    case HTTPD_DONE_HALF:
        put(&c->out, "HTTP/1.1 20");
        c->closes = true;
        break;
    case HTTPD_DONE_HEADLESS:
        put(&c->out, "HTTP/1.1 200 OK\r\nContent-Len");
        c->closes = true;
        break;
    case HTTPD_DONE_SHORT:
        put_answer(h, c, 200, "ok and more", 11);
        c->out.len -= 6;
        c->closes = true;
        break;
    case HTTPD_NO_HTTP:
        put(&c->out, "220 mail.example.net ESMTP\r\n");
        c->closes = true;
        break;
    case HTTPD_HEADERS:
        put(&c->out, "HTTP/1.1 200 OK\r\n");
        while (c->out.len < HEADERS_BYTES)
            put(&c->out, "X-Header: more and more\r\n");
        break;
    case HTTPD_LARGE:
        put_large(h, c, (size_t)p->value);
        break;
    case HTTPD_STATUS:
    case HTTPD_DONE_STATUS:
        put_answer(h, c, p->value, "planned \a", 9);
        break;
    case HTTPD_TEXT:
        put_answer(h, c, 200, h->text, strlen(h->text));
        break;
    default:
        put_answer(h, c, 200, body, strlen(body));
    }
}

static httpd_call_t call_of(const char *request)
{
    const size_t line = strcspn(request, "\r");
    const char *boot = strstr(request, "/boot");
    if (strncmp(request, "GET ", 4) != 0)
        return HTTPD_ACT;
    return boot != NULL && (size_t)(boot - request) < line ? HTTPD_LOOK : HTTPD_GET;
}

/* False: the connection is to be reset. */
static bool serve_request(httpd_t *h, connection_t *c, const plan_t *p)
{
    static const char hosts[] = " /hosts/";
    const char *request = (const char *)c->in.data, *name = strstr(request, hosts);
    const httpd_call_t call = call_of(request);
    const bool untouched = p->fault == HTTPD_STATUS || p->fault == HTTPD_RESET ||
                           p->fault == HTTPD_UNTOUCHED || p->fault == HTTPD_TEXT;
    char body[64] = "ok\n";
    if (name != NULL && name < strchr(request, '\r')) {
        name += sizeof hosts - 1;
        host_t *host = find_host(h, name, strcspn(name, "/? "));
        if (call == HTTPD_ACT && !untouched)
            restart(h, host, request);
        if (call == HTTPD_LOOK)
            snprintf(body, sizeof body, "boot-%u %" PRId64 "\n", host->restarts,
                     (test_now_ms() - host->since_ms) / 1000);
    }
    if (p->fault != HTTPD_RESET && p->fault != HTTPD_DONE_RESET)
        answer(h, c, p, body);
    buffer_clear(&c->in);
    return p->fault != HTTPD_RESET && p->fault != HTTPD_DONE_RESET;
}

/* A whole request is there. False: the connection is to be reset. */
static bool take_request(httpd_t *h, connection_t *c)
{
    static const plan_t fine = {HTTPD_FINE, 0, 0};
    const httpd_call_t call = call_of((const char *)c->in.data);
    plan_t plan = fine;
    h->calls[call]++;
    if (h->plans[call].times > 0) {
        h->plans[call].times--;
        plan = h->plans[call];
    }
    if (h->seen_count < SEEN_MAX)
        h->seen[h->seen_count++] = strdup((const char *)c->in.data);
    c->due_ms = plan.fault == HTTPD_SILENT ? INT64_MAX
                : plan.fault == HTTPD_SLOW ? test_now_ms() + plan.value
                                           : 0;
    if (plan.fault == HTTPD_SILENT) {
        buffer_clear(&c->in);
        return true;
    }
    return serve_request(h, c, &plan);
}

/* --- connections --- */

static void drop(httpd_t *h, connection_t *c, bool reset)
{
    const struct linger at_once = {1, 0};
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    *(c->previous != NULL ? &c->previous->next : &h->connections) = c->next;
    if (c->next != NULL)
        c->next->previous = c->previous;
    SSL_free(c->tls);
    close(c->fd);
    buffer_done(&c->in);
    buffer_done(&c->out);
    free(c);
    h->connections_count--;
}

static ssize_t as_recv(const connection_t *c, int n)
{
    const int error = SSL_get_error(c->tls, n);
    if (n > 0)
        return n;
    errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
    return -1;
}

static ssize_t receive_some(connection_t *c, void *bytes, size_t size)
{
    return c->tls != NULL ? as_recv(c, SSL_read(c->tls, bytes, (int)size))
                          : recv(c->fd, bytes, size, MSG_DONTWAIT);
}

static ssize_t send_some(connection_t *c, const void *bytes, size_t size)
{
    return c->tls != NULL ? as_recv(c, SSL_write(c->tls, bytes, (int)size))
                          : send(c->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* How many bytes the request has, as far as it is there; SIZE_MAX: its headers are not whole. */
static size_t request_size(const char *request)
{
    const char *end = strstr(request, "\r\n\r\n"), *length = strstr(request, "\r\nContent-Length: ");
    if (end == NULL)
        return SIZE_MAX;
    return (size_t)(end + 4 - request) +
           (length != NULL && length < end ? strtoul(length + 18, NULL, 10) : 0);
}

/* False: it is at its end. */
static bool receive(httpd_t *h, connection_t *c, bool *ret_reset)
{
    char bytes[4096];
    for (ssize_t n; (n = receive_some(c, bytes, sizeof bytes)) != 0;) {
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0 || c->in.len + (size_t)n > REQUEST_BYTES_MAX)
            return false;
        buffer_append(&c->in, bytes, (size_t)n);
        buffer_append(&c->in, "", 1);
        c->in.len--;
        if (request_size((const char *)c->in.data) <= c->in.len && !take_request(h, c)) {
            *ret_reset = true;
            return false;
        }
    }
    return false;
}

static bool send_out(connection_t *c)
{
    if (c->due_ms > test_now_ms())
        return true;
    c->due_ms = 0;
    while (c->sent < c->out.len) {
        const ssize_t n = send_some(c, c->out.data + c->sent, c->out.len - c->sent);
        if (n < 0)
            return errno == EAGAIN;
        c->sent += (size_t)n;
    }
    if (c->closes)
        return false;
    buffer_clear(&c->out);
    c->sent = 0;
    return true;
}

static void accept_all(httpd_t *h)
{
    int fd;
    while ((fd = accept(h->listener, NULL, NULL)) >= 0) {
        connection_t *c = calloc(1, sizeof *c);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        if (c == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
            abort();
        c->fd = fd;
        buffer_init(&c->in);
        buffer_init(&c->out);
        if (h->tls != NULL) {
            c->tls = SSL_new(h->tls);
            SSL_set_fd(c->tls, fd);
            SSL_set_accept_state(c->tls);
        }
        c->next = h->connections;
        if (c->next != NULL)
            c->next->previous = c;
        h->connections = c;
        if (++h->connections_count > h->connections_most)
            h->connections_most = h->connections_count;
        if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            abort();
    }
}

static void send_due(httpd_t *h)
{
    for (connection_t *c = h->connections, *next; c != NULL; c = next) {
        next = c->next;
        if (c->due_ms > 0 && c->due_ms <= test_now_ms() && !send_out(c))
            drop(h, c, false);
    }
}

static void *serve(void *arg)
{
    httpd_t *h = arg;
    struct epoll_event events[EVENTS];
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL); /* OpenSSL writes to those who have gone */
    pthread_mutex_lock(&h->lock);
    while (!h->stopping) {
        pthread_mutex_unlock(&h->lock);
        const int n = epoll_wait(h->epoll, events, EVENTS, LOOK_MS);
        pthread_mutex_lock(&h->lock);
        for (int i = 0; i < n; i++) {
            connection_t *c = events[i].data.ptr;
            bool reset = false;
            if (c == NULL)
                accept_all(h);
            else if (!receive(h, c, &reset) && (reset || !send_out(c) || c->out.len == 0))
                drop(h, c, reset);
            else if (!send_out(c))
                drop(h, c, false);
        }
        send_due(h);
    }
    for (connection_t *c = h->connections, *next; c != NULL; c = next) {
        next = c->next;
        drop(h, c, true);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* --- in the hands of a test --- */

void httpd_start(httpd_t *h)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)h->port)};
    struct epoll_event event = {.events = EPOLLIN};
    const int one = 1;
    socklen_t len = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    h->stopping = false;
    h->listener = socket(AF_INET, SOCK_STREAM, 0);
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (h->listener < 0 || h->epoll < 0 || fcntl(h->listener, F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(h->listener, F_SETFD, FD_CLOEXEC) != 0 ||
        setsockopt(h->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(h->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(h->listener, (struct sockaddr *)&address, &len) != 0 ||
        listen(h->listener, BACKLOG) != 0 || epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->listener, &event) != 0 ||
        pthread_create(&h->thread, NULL, serve, h) != 0)
        fail_msg("cannot listen: %s", strerror(errno));
    h->port = ntohs(address.sin_port);
    h->runs = true;
}

void httpd_stop(httpd_t *h)
{
    if (!h->runs)
        return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    close(h->listener);
    close(h->epoll);
    h->runs = false;
}

httpd_t *httpd_open(const httpd_certificate_t *tls)
{
    httpd_t *h = calloc(1, sizeof *h);
    if (h == NULL || (h->hosts = calloc(HOSTS_MAX, sizeof *h->hosts)) == NULL)
        abort();
    pthread_mutex_init(&h->lock, NULL);
    h->tls = tls != NULL ? httpd_tls_new(tls) : NULL;
    httpd_start(h);
    return h;
}

void httpd_close(httpd_t *h)
{
    if (h == NULL)
        return;
    httpd_stop(h);
    for (unsigned i = 0; i < h->seen_count; i++)
        free(h->seen[i]);
    for (unsigned i = 0; i < h->keys_count; i++)
        free(h->keys[i]);
    pthread_mutex_destroy(&h->lock);
    SSL_CTX_free(h->tls);
    free(h->hosts);
    free(h);
}

const char *httpd_url(const httpd_t *h, const char *path)
{
    static char urls[URLS][512];
    static unsigned next;
    char *url = urls[next++ % URLS];
    snprintf(url, sizeof urls[0], "%s://127.0.0.1:%d%s", h->tls != NULL ? "https" : "http", h->port, path);
    return url;
}

void httpd_plan(httpd_t *h, httpd_call_t call, httpd_fault_t fault, long value, unsigned times)
{
    pthread_mutex_lock(&h->lock);
    h->plans[call] = (plan_t){fault, value, times};
    pthread_mutex_unlock(&h->lock);
}

void httpd_header(httpd_t *h, const char *line)
{
    pthread_mutex_lock(&h->lock);
    snprintf(h->header, sizeof h->header, "%s", line);
    pthread_mutex_unlock(&h->lock);
}

void httpd_text(httpd_t *h, const char *text)
{
    pthread_mutex_lock(&h->lock);
    snprintf(h->text, sizeof h->text, "%s", text);
    pthread_mutex_unlock(&h->lock);
}

void httpd_remember(httpd_t *h)
{
    pthread_mutex_lock(&h->lock);
    h->remembers = true;
    pthread_mutex_unlock(&h->lock);
}

void httpd_restart(httpd_t *h, const char *host)
{
    pthread_mutex_lock(&h->lock);
    boot(find_host(h, host, strlen(host)));
    pthread_mutex_unlock(&h->lock);
}

unsigned httpd_restarts(httpd_t *h, const char *host)
{
    pthread_mutex_lock(&h->lock);
    const unsigned restarts = find_host(h, host, strlen(host))->restarts;
    pthread_mutex_unlock(&h->lock);
    return restarts;
}

static unsigned get(httpd_t *h, const unsigned *number)
{
    pthread_mutex_lock(&h->lock);
    const unsigned value = *number;
    pthread_mutex_unlock(&h->lock);
    return value;
}

unsigned httpd_calls(httpd_t *h, httpd_call_t call)
{
    return get(h, &h->calls[call]);
}

unsigned httpd_connections(httpd_t *h)
{
    return get(h, &h->connections_count);
}

unsigned httpd_most_connections(httpd_t *h)
{
    return get(h, &h->connections_most);
}

unsigned httpd_saw(httpd_t *h, const char *text)
{
    unsigned count = 0;
    pthread_mutex_lock(&h->lock);
    for (unsigned i = 0; i < h->seen_count; i++)
        count += strstr(h->seen[i], text) != NULL;
    pthread_mutex_unlock(&h->lock);
    return count;
}

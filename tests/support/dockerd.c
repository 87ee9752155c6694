#include "tests/support/dockerd.h"

#include "tests/support/dockerd_store.h"
#include "tests/support/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 4096,
    REQUEST_BYTES_MAX = 8192,
    HEADERS_BYTES = 1 << 20,
    SEEN_MAX = 64, /* first lines that are kept for dockerd_saw() */
};

typedef struct {
    int fd;
    char in[REQUEST_BYTES_MAX];
    size_t in_len;
    buffer_t out;
    size_t sent;
    int64_t due_ms;                  /* when it is answered; INT64_MAX: never; 0: at once */
    char waiting[REQUEST_BYTES_MAX]; /* the first line of what is answered then */
    bool closes;                     /* when all is sent */
} connection_t;

typedef struct {
    dockerd_fault_t fault;
    long value;
    unsigned times;
} plan_t;

struct dockerd {
    char path[108];
    int listener, wake;
    pthread_t thread;
    pthread_mutex_t lock;
    bool stopping, runs;
    dockerd_store_t store;
    struct pollfd fds[CONNECTIONS_MAX + 2];
    connection_t *connections[CONNECTIONS_MAX];
    unsigned connections_count, connections_made;
    plan_t plans[CALLS];
    unsigned calls[CALLS];
    char *seen[SEEN_MAX];
    unsigned seen_count;
};

/* --- answers --- */

static void answer(connection_t *c, int status, const plan_t *p, const buffer_t *body)
{
    const size_t whole = body->len;
    dockerd_print(&c->out, "HTTP/1.1 %d Planned\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n",
                  status);
    if (p->fault == DOCKERD_CHUNKED) {
        dockerd_print(&c->out, "Transfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0; at < whole; at += (size_t)p->value) {
            const size_t n = whole - at < (size_t)p->value ? whole - at : (size_t)p->value;
            dockerd_print(&c->out, "%zx\r\n", n);
            buffer_append(&c->out, body->data + at, n);
            dockerd_print(&c->out, "\r\n");
        }
        dockerd_print(&c->out, "0\r\n\r\n");
        return;
    }
    c->closes = p->fault == DOCKERD_RESET;
    const size_t told = p->fault == DOCKERD_NO_JSON ? whole / 2 : whole;
    if (status == 204 && c->closes)
        c->out.len = strlen("HTTP/1.1 20");
    else if (status == 204)
        dockerd_print(&c->out, "\r\n");
    else
        dockerd_print(&c->out, "Content-Length: %zu\r\n\r\n", told);
    if (whole > 0)
        buffer_append(&c->out, body->data, c->closes ? whole / 2 : told);
}

static void answer_oddly(connection_t *c, const plan_t *p)
{
    if (p->fault == DOCKERD_NO_HTTP) {
        dockerd_print(&c->out, "220 mail.example.net ESMTP\r\n");
        c->closes = true;
    } else if (p->fault == DOCKERD_HEADERS) {
        dockerd_print(&c->out, "HTTP/1.1 200 OK\r\n");
        while (c->out.len < HEADERS_BYTES)
            dockerd_print(&c->out, "X-Header: more\r\n");
    } else {
        dockerd_print(&c->out, "HTTP/1.1 200 OK\r\nContent-Length: %ld\r\n\r\n", p->value);
        buffer_reserve(&c->out, (size_t)p->value);
        for (long i = 0; i < p->value; i++)
            buffer_append(&c->out, " ", 1);
    }
}

static dockerd_call_t call_of(const char *line)
{
    return strncmp(line, "POST ", 5) == 0                   ? CALL_RESTART
           : strncmp(line, "GET /_ping", 10) == 0           ? CALL_PING
           : strncmp(line, "GET /containers/json", 20) == 0 ? CALL_LIST
                                                            : CALL_INSPECT;
}

static void act(dockerd_t *d, connection_t *c, const char *line, const plan_t *p)
{
    const dockerd_call_t call = call_of(line);
    const char *name = strstr(line, "/containers/");
    buffer_t body;
    int status = 200;
    buffer_init(&body);
    if (p->fault == DOCKERD_STATUS) {
        status = (int)p->value;
        dockerd_print(&body, "{\"message\":\"planned \\u0007\"}\n");
    } else if (call == CALL_PING) {
        dockerd_print(&body, "OK");
    } else if (call == CALL_LIST) {
        dockerd_print_list(&d->store, line, &body);
    } else {
        name = name != NULL ? name + 12 : line;
        const uint32_t i = dockerd_store_find(&d->store, name, strcspn(name, "/ "));
        status = i == DOCKERD_NOBODY ? 404 : call == CALL_RESTART ? 204 : 200;
        if (i == DOCKERD_NOBODY)
            dockerd_print(&body, "{\"message\":\"No such container\"}\n");
        else if (call == CALL_RESTART)
            dockerd_store_restart(&d->store.containers[i], p->fault);
        else
            dockerd_print_container(&d->store, i, &body);
    }
    if (p->fault == DOCKERD_CLOSE)
        c->closes = true;
    else if (p->fault == DOCKERD_NO_HTTP || p->fault == DOCKERD_HEADERS || p->fault == DOCKERD_LARGE)
        answer_oddly(c, p);
    else
        answer(c, status, p, &body);
    buffer_done(&body);
}

static void take_request(dockerd_t *d, connection_t *c, const char *line)
{
    static const plan_t fine = {DOCKERD_FINE, 0, 0};
    const dockerd_call_t call = call_of(line);
    plan_t plan = fine;
    d->calls[call]++;
    if (d->plans[call].times > 0) {
        d->plans[call].times--;
        plan = d->plans[call];
    }
    if (d->seen_count < SEEN_MAX)
        d->seen[d->seen_count++] = strdup(line);
    if (plan.fault == DOCKERD_SILENT || plan.fault == DOCKERD_SLOW) {
        c->due_ms = plan.fault == DOCKERD_SILENT ? INT64_MAX : test_now_ms() + plan.value;
        snprintf(c->waiting, sizeof c->waiting, "%s", line);
        return;
    }
    act(d, c, line, &plan);
}

/* --- connections --- */

static void drop(dockerd_t *d, unsigned n)
{
    connection_t *c = d->connections[n];
    close(c->fd);
    buffer_done(&c->out);
    free(c);
    d->connections[n] = d->connections[--d->connections_count];
}

/* False: it is at its end. */
static bool receive(dockerd_t *d, connection_t *c)
{
    const ssize_t n = recv(c->fd, c->in + c->in_len, sizeof c->in - 1 - c->in_len, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->in_len += (size_t)n;
    c->in[c->in_len] = '\0';
    char *end = strstr(c->in, "\r\n\r\n");
    if (end == NULL)
        return c->in_len < sizeof c->in - 1;
    char line[REQUEST_BYTES_MAX];
    snprintf(line, sizeof line, "%.*s", (int)strcspn(c->in, "\r"), c->in);
    c->in_len = 0; /* one at a time: nobody sends the next before the answer */
    take_request(d, c, line);
    return true;
}

static bool send_out(connection_t *c)
{
    while (c->sent < c->out.len) {
        const ssize_t n =
            send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        c->sent += (size_t)n;
    }
    buffer_clear(&c->out);
    c->sent = 0;
    return !c->closes;
}

static void accept_all(dockerd_t *d)
{
    int fd;
    while (d->connections_count < CONNECTIONS_MAX && (fd = accept(d->listener, NULL, NULL)) >= 0) {
        connection_t *c = calloc(1, sizeof *c);
        if (c == NULL)
            abort();
        c->fd = fd;
        buffer_init(&c->out);
        d->connections[d->connections_count++] = c;
        d->connections_made++;
    }
}

/* One turn for all of them; how long nothing is due. */
static int serve_all(dockerd_t *d, const struct pollfd *fds, unsigned polled)
{
    static const plan_t fine = {DOCKERD_FINE, 0, 0};
    int64_t first_ms = INT64_MAX;
    const int64_t now_ms = test_now_ms();
    for (unsigned n = polled; n-- > 0;) {
        connection_t *c = d->connections[n];
        bool good = fds[n + 2].revents == 0 || (fds[n + 2].revents & (POLLIN | POLLHUP | POLLERR)) == 0 ||
                    receive(d, c);
        if (good && c->due_ms > 0 && c->due_ms <= now_ms) {
            c->due_ms = 0;
            act(d, c, c->waiting, &fine);
        }
        good = good && send_out(c);
        if (good && c->due_ms > 0 && c->due_ms < first_ms)
            first_ms = c->due_ms;
        if (!good)
            drop(d, n);
    }
    accept_all(d);
    return first_ms == INT64_MAX ? -1 : first_ms <= now_ms ? 0 : (int)(first_ms - now_ms);
}

static void *serve(void *arg)
{
    dockerd_t *d = arg;
    struct pollfd *fds = d->fds;
    int timeout_ms = -1;
    pthread_mutex_lock(&d->lock);
    while (!d->stopping) {
        const unsigned polled = d->connections_count;
        fds[0] = (struct pollfd){.fd = d->wake, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = d->listener, .events = POLLIN};
        for (unsigned n = 0; n < polled; n++) {
            const connection_t *c = d->connections[n];
            fds[n + 2] = (struct pollfd){.fd = c->fd, .events = c->out.len > 0 ? POLLIN | POLLOUT : POLLIN};
        }
        pthread_mutex_unlock(&d->lock);
        poll(fds, polled + 2, timeout_ms);
        pthread_mutex_lock(&d->lock);
        timeout_ms = serve_all(d, fds, polled);
    }
    while (d->connections_count > 0)
        drop(d, d->connections_count - 1);
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* --- in the hands of a test --- */

void dockerd_start(dockerd_t *d)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, d->path, sizeof d->path);
    unlink(d->path);
    d->stopping = false;
    d->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    d->wake = eventfd(0, EFD_CLOEXEC);
    if (d->listener < 0 || d->wake < 0 || fcntl(d->listener, F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(d->listener, F_SETFD, FD_CLOEXEC) != 0 ||
        bind(d->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(d->listener, CONNECTIONS_MAX) != 0 || pthread_create(&d->thread, NULL, serve, d) != 0)
        fail_msg("cannot listen at %s: %s", d->path, strerror(errno));
    d->runs = true;
}

void dockerd_stop(dockerd_t *d)
{
    const uint64_t one = 1;
    if (!d->runs)
        return;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    pthread_mutex_unlock(&d->lock);
    (void)!write(d->wake, &one, sizeof one);
    pthread_join(d->thread, NULL);
    close(d->listener);
    close(d->wake);
    unlink(d->path);
    d->runs = false;
}

dockerd_t *dockerd_open(const char *path)
{
    dockerd_t *d = calloc(1, sizeof *d);
    if (d == NULL)
        abort();
    if (strlen(path) >= sizeof d->path)
        fail_msg("too long a path: %s", path);
    snprintf(d->path, sizeof d->path, "%s", path);
    dockerd_store_init(&d->store);
    pthread_mutex_init(&d->lock, NULL);
    dockerd_start(d);
    return d;
}

void dockerd_close(dockerd_t *d)
{
    if (d == NULL)
        return;
    dockerd_stop(d);
    for (unsigned i = 0; i < d->seen_count; i++)
        free(d->seen[i]);
    pthread_mutex_destroy(&d->lock);
    dockerd_store_done(&d->store);
    free(d);
}

void dockerd_add(dockerd_t *d, const char *name, const char *label)
{
    pthread_mutex_lock(&d->lock);
    d->store.any = false;
    dockerd_store_add(&d->store, name, strlen(name), label);
    pthread_mutex_unlock(&d->lock);
}

void dockerd_plan(dockerd_t *d, dockerd_call_t call, dockerd_fault_t fault, long value, unsigned times)
{
    pthread_mutex_lock(&d->lock);
    d->plans[call] = (plan_t){fault, value, times};
    pthread_mutex_unlock(&d->lock);
}

unsigned dockerd_restarts(dockerd_t *d, const char *name)
{
    pthread_mutex_lock(&d->lock);
    const uint32_t i = dockerd_store_by_name(&d->store, name, strlen(name));
    const unsigned restarts = i != DOCKERD_NOBODY ? d->store.containers[i].restarts : 0;
    pthread_mutex_unlock(&d->lock);
    return restarts;
}

static unsigned get(dockerd_t *d, const unsigned *number)
{
    pthread_mutex_lock(&d->lock);
    const unsigned value = *number;
    pthread_mutex_unlock(&d->lock);
    return value;
}

unsigned dockerd_calls(dockerd_t *d, dockerd_call_t call)
{
    return get(d, &d->calls[call]);
}

unsigned dockerd_connections(dockerd_t *d)
{
    return get(d, &d->connections_count);
}

unsigned dockerd_connections_made(dockerd_t *d)
{
    return get(d, &d->connections_made);
}

unsigned dockerd_saw(dockerd_t *d, const char *text)
{
    unsigned count = 0;
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < d->seen_count; i++)
        count += strstr(d->seen[i], text) != NULL;
    pthread_mutex_unlock(&d->lock);
    return count;
}

#include "tests/support/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 512, CHUNK_BYTES = 65536, QUEUED_BYTES_MAX = 4 * 1024 * 1024, BACKLOG = 128 };
enum { UP, DOWN, WAYS };

typedef struct chunk {
    struct chunk *next;
    int64_t due_ms;
    size_t len, written;
    uint8_t bytes[];
} chunk_t;

/* One way of a connection. */
typedef struct {
    chunk_t *first, **last;
    size_t queued;
    bool ended; /* its sender has closed; told to the other end when the queue is empty */
    bool lost;  /* bytes were dropped: nothing goes this way any more */
} way_t;

/* fd[UP] is the end of who was connected to, fd[DOWN] that of who connected; -1: closed. way[UP] leads to
 * fd[UP].
 */
typedef struct {
    bool used;
    int fd[WAYS];
    way_t way[WAYS];
} pair_t;

struct proxy {
    pthread_t thread;
    pthread_mutex_t lock;
    int wake[2];
    int listener; /* -1: refuses */
    struct sockaddr_in own, target;
    bool stop;
    proxy_mode_t mode[WAYS];
    int delay_ms;
    uint64_t passed;
    pair_t pairs[CONNECTIONS_MAX];
};

static struct sockaddr_in address_of(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');

    assert_int_equal(strncmp(endpoint, "tcp://127.0.0.1:", 16), 0);
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void prepare(int fd)
{
    const int one = 1;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* -1: the port is not free, or the socket could not be had. */
static int listen_at(const struct sockaddr_in *address)
{
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    prepare(fd);
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    close(fd);
    return -1;
}

/* --- one connection --- */

static void way_clear(way_t *w)
{
    while (w->first != NULL) {
        chunk_t *c = w->first;
        w->first = c->next;
        free(c);
    }
    w->last = &w->first;
    w->queued = 0;
}

static void end_close(pair_t *pair, int end, bool reset)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (pair->fd[end] < 0)
        return;
    if (reset)
        setsockopt(pair->fd[end], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(pair->fd[end]);
    pair->fd[end] = -1;
    way_clear(&pair->way[end]);
    if (pair->fd[UP] < 0 && pair->fd[DOWN] < 0) {
        way_clear(&pair->way[!end]);
        pair->used = false;
    }
}

/* Reads what has come for the way; what is beyond the room stays with the kernel. */
static void way_read(proxy_t *p, pair_t *pair, int way, int64_t now_ms)
{
    way_t *w = &pair->way[way];

    while (w->queued < QUEUED_BYTES_MAX) {
        chunk_t *c = malloc(sizeof *c + CHUNK_BYTES);
        if (c == NULL)
            return;
        ssize_t n = read(pair->fd[!way], c->bytes, CHUNK_BYTES);
        if (n <= 0) {
            free(c);
            if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
            w->ended = true;
            return;
        }
        if (w->lost || pair->fd[way] < 0 || p->mode[way] == PROXY_DROP) {
            w->lost = true;
            way_clear(w);
            free(c);
            continue;
        }
        *c = (chunk_t){.due_ms = now_ms + p->delay_ms, .len = (size_t)n};
        *w->last = c;
        w->last = &c->next;
        w->queued += c->len;
    }
}

/* Writes what is due; when the next is, or INT64_MAX. */
static int64_t way_write(proxy_t *p, pair_t *pair, int way, int64_t now_ms)
{
    way_t *w = &pair->way[way];

    while (w->first != NULL && p->mode[way] == PROXY_PASS && !w->lost) {
        chunk_t *c = w->first;
        if (c->due_ms > now_ms)
            return c->due_ms;
        ssize_t n = send(pair->fd[way], c->bytes + c->written, c->len - c->written, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR)
                way_clear(w);
            return INT64_MAX;
        }
        p->passed += (uint64_t)n;
        c->written += (size_t)n;
        if (c->written < c->len)
            continue;
        w->first = c->next;
        if (w->first == NULL)
            w->last = &w->first;
        w->queued -= c->len;
        free(c);
    }
    return INT64_MAX;
}

/* An end that has closed is told to the other, if the way leads there. */
static void pair_end(proxy_t *p, pair_t *pair)
{
    for (int way = 0; way < WAYS && pair->used; way++) {
        way_t *w = &pair->way[way];
        if (!w->ended)
            continue;
        if (w->lost || p->mode[way] == PROXY_DROP) {
            w->lost = true;
            end_close(pair, !way, false);
        } else if (w->first == NULL && p->mode[way] == PROXY_PASS) {
            end_close(pair, UP, false);
            end_close(pair, DOWN, false);
        }
    }
}

static void pair_open(proxy_t *p)
{
    int client = accept(p->listener, NULL, NULL);

    if (client < 0)
        return;
    int server = socket(AF_INET, SOCK_STREAM, 0);
    pair_t *pair = p->pairs;
    while (pair < p->pairs + CONNECTIONS_MAX && pair->used)
        pair++;
    /* Over the loopback a connection is there at once or refused. */
    if (pair == p->pairs + CONNECTIONS_MAX || server < 0 ||
        connect(server, (const struct sockaddr *)&p->target, sizeof p->target) != 0) {
        close(client);
        if (server >= 0)
            close(server);
        return;
    }
    prepare(client);
    prepare(server);
    *pair = (pair_t){.used = true, .fd = {[UP] = server, [DOWN] = client}};
    pair->way[UP].last = &pair->way[UP].first;
    pair->way[DOWN].last = &pair->way[DOWN].first;
}

/* --- the thread --- */

static short wanted(const proxy_t *p, const pair_t *pair, int end)
{
    const way_t *in = &pair->way[!end], *out = &pair->way[end];
    short events = 0;

    if (pair->fd[end] < 0)
        return 0;
    if (!in->ended && in->queued < QUEUED_BYTES_MAX)
        events |= POLLIN;
    if (out->first != NULL && out->first->written > 0 && p->mode[end] == PROXY_PASS && !out->lost)
        events |= POLLOUT;
    return events;
}

/* What there is to do for all connections; when the next chunk is due. */
static int64_t proxy_turn(proxy_t *p)
{
    int64_t now_ms = test_now_ms(), next_ms = INT64_MAX;

    for (pair_t *pair = p->pairs; pair < p->pairs + CONNECTIONS_MAX; pair++) {
        if (!pair->used)
            continue;
        for (int way = 0; way < WAYS; way++) {
            if (pair->fd[!way] >= 0 && !pair->way[way].ended)
                way_read(p, pair, way, now_ms);
            if (pair->fd[way] < 0)
                continue;
            int64_t due_ms = way_write(p, pair, way, now_ms);
            if (due_ms < next_ms)
                next_ms = due_ms;
        }
        pair_end(p, pair);
    }
    return next_ms;
}

static void *proxy_run(void *arg)
{
    static const int WAKE_MS = 1000;
    proxy_t *p = arg;
    struct pollfd fds[2 + WAYS * CONNECTIONS_MAX];
    char woken[64];

    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        int64_t due_ms = proxy_turn(p);
        nfds_t n = 2;
        fds[0] = (struct pollfd){.fd = p->wake[0], .events = POLLIN};
        fds[1] = (struct pollfd){.fd = p->listener, .events = POLLIN};
        for (pair_t *pair = p->pairs; pair < p->pairs + CONNECTIONS_MAX; pair++)
            for (int end = 0; pair->used && end < WAYS; end++) {
                short events = wanted(p, pair, end);
                /* Not asked for anything, poll() would still tell of a hangup, again and again. */
                fds[n++] = (struct pollfd){.fd = events != 0 ? pair->fd[end] : -1, .events = events};
            }
        int64_t wait_ms = due_ms == INT64_MAX ? WAKE_MS : due_ms - test_now_ms();
        pthread_mutex_unlock(&p->lock);
        poll(fds, n, wait_ms < 0 ? 0 : wait_ms > WAKE_MS ? WAKE_MS : (int)wait_ms);
        pthread_mutex_lock(&p->lock);
        if (fds[0].revents != 0 && read(p->wake[0], woken, sizeof woken) < 0)
            continue;
        if (fds[1].revents != 0 && p->listener == fds[1].fd)
            pair_open(p);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* --- what a test does --- */

static void change(proxy_t *p)
{
    pthread_mutex_lock(&p->lock);
}

static void changed(proxy_t *p)
{
    const char byte = 0;

    pthread_mutex_unlock(&p->lock);
    while (write(p->wake[1], &byte, 1) < 0 && errno == EINTR)
        ;
}

static void proxy_close(void *arg)
{
    proxy_t *p = arg;

    change(p);
    p->stop = true;
    changed(p);
    pthread_join(p->thread, NULL);
    for (pair_t *pair = p->pairs; pair < p->pairs + CONNECTIONS_MAX; pair++)
        for (int end = 0; pair->used && end < WAYS; end++)
            end_close(pair, end, false);
    if (p->listener >= 0)
        close(p->listener);
    close(p->wake[0]);
    close(p->wake[1]);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

proxy_t *proxy_open(rig_t *rig, const char *endpoint_name)
{
    char name[PROCESS_NAME_MAX];
    proxy_t *p = calloc(1, sizeof *p);

    assert_non_null(p);
    snprintf(name, sizeof name, "proxy-%s", endpoint_name);
    p->own = address_of(rig_endpoint(rig, name));
    p->target = address_of(rig_endpoint(rig, endpoint_name));
    p->listener = listen_at(&p->own);
    assert_true(p->listener >= 0);
    assert_int_equal(pipe(p->wake), 0);
    for (int i = 0; i < 2; i++)
        prepare(p->wake[i]);
    assert_int_equal(pthread_mutex_init(&p->lock, NULL), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, proxy_run, p), 0);
    rig_defer(rig, proxy_close, p);
    rig_detour(rig, endpoint_name, rig_endpoint(rig, name));
    return p;
}

void proxy_set(proxy_t *p, proxy_ways_t ways, proxy_mode_t mode)
{
    change(p);
    for (int way = 0; way < WAYS; way++)
        if ((ways & (way == UP ? PROXY_UP : PROXY_DOWN)) != 0)
            p->mode[way] = mode;
    changed(p);
}

void proxy_delay(proxy_t *p, int ms)
{
    change(p);
    p->delay_ms = ms;
    changed(p);
}

void proxy_refuse(proxy_t *p, bool refuse)
{
    change(p);
    if (refuse && p->listener >= 0)
        close(p->listener);
    p->listener = refuse ? -1 : p->listener >= 0 ? p->listener : listen_at(&p->own);
    bool done = refuse || p->listener >= 0;
    changed(p);
    assert_true(done);
}

unsigned proxy_reset(proxy_t *p, proxy_ways_t ends)
{
    unsigned n = 0;

    change(p);
    for (pair_t *pair = p->pairs; pair < p->pairs + CONNECTIONS_MAX; pair++) {
        if (!pair->used || pair->fd[UP] < 0 || pair->fd[DOWN] < 0)
            continue;
        n++;
        pair->way[UP].lost = pair->way[DOWN].lost = true;
        if ((ends & PROXY_UP) != 0)
            end_close(pair, UP, true);
        if ((ends & PROXY_DOWN) != 0)
            end_close(pair, DOWN, true);
    }
    changed(p);
    return n;
}

unsigned proxy_connections(proxy_t *p)
{
    unsigned n = 0;

    change(p);
    for (pair_t *pair = p->pairs; pair < p->pairs + CONNECTIONS_MAX; pair++)
        n += pair->used && pair->fd[UP] >= 0 && pair->fd[DOWN] >= 0;
    changed(p);
    return n;
}

uint64_t proxy_passed(proxy_t *p)
{
    change(p);
    uint64_t n = p->passed;
    changed(p);
    return n;
}

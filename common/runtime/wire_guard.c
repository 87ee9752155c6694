#include "common/runtime/wire_guard.h"

#include "common/runtime/wire_monitor.h"
#include <assert.h>
#include <errno.h>
#include <linux/tcp.h> /* tcpi_bytes_received, which netinet/tcp.h lacks */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <zmq.h>

/* Messages are taken from the connections in turn, so after this many plus two for each connection every one
 * that had a complete message was served, though the socket was never seen empty. libzmq takes note of
 * connections that became readable once in 100 messages. */
enum { ROUND_MESSAGES = 256 };

typedef struct {
    struct sockaddr_in peer; /* sin_family 0: no connection of ours has this descriptor */
    bool delivered;          /* since the last look, maybe before the connection was known here */
    bool identified;         /* it has delivered, and routing_id is what it was known by */
    uint32_t routing_id;
    uint64_t base;        /* bytes that had come when the last delivered message was seen */
    uint64_t mark;        /* bytes that had come at the last look */
    uint64_t mark_rounds; /* rounds that had ended then */
} connection_t;

struct wire_guard {
    void *socket;
    void *monitor;
    connection_t *by_fd;
    size_t size;
    uint32_t open;
    uint64_t rounds;         /* rises by two when everything complete has been delivered */
    uint32_t round_messages; /* in the current round */
    int64_t due_ms;
};

int guard_new(wire_guard_t **ret, void *context, void *socket)
{
    wire_guard_t *g = calloc(1, sizeof *g);
    if (g == NULL)
        return -ENOMEM;
    g->socket = socket;

    const int error = monitor_open(&g->monitor, context, socket, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED);
    if (error != 0) {
        guard_destroy(&g);
        return error;
    }
    *ret = g;
    return 0;
}

void guard_destroy(wire_guard_t **g)
{
    if (*g == NULL)
        return;
    monitor_close(&(*g)->monitor, (*g)->socket);
    free((*g)->by_fd);
    free(*g);
    *g = NULL;
}

/* NULL when the table cannot hold it: the connection goes unguarded. */
static connection_t *connection_at(wire_guard_t *g, int fd)
{
    if (fd < 0)
        return NULL;
    if ((size_t)fd >= g->size) {
        size_t size = g->size == 0 ? 64 : g->size;
        while (size <= (size_t)fd)
            size *= 2;
        connection_t *grown = realloc(g->by_fd, size * sizeof *grown);
        if (grown == NULL)
            return NULL;
        memset(grown + g->size, 0, (size - g->size) * sizeof *grown);
        g->by_fd = grown;
        g->size = size;
    }
    return &g->by_fd[fd];
}

static void connection_close(wire_guard_t *g, connection_t *c)
{
    if (c->peer.sin_family != 0)
        g->open--;
    /* The descriptor's next connection may have delivered already: events are taken later than messages. */
    *c = (connection_t){.delivered = c->delivered, .identified = c->identified, .routing_id = c->routing_id};
}

static bool peer_of(int fd, struct sockaddr_in *ret)
{
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0 || peer.sin_family != AF_INET)
        return false;
    *ret = peer;
    return true;
}

static void connection_open(wire_guard_t *g, int fd)
{
    connection_t *c = connection_at(g, fd);
    if (c == NULL)
        return;
    connection_close(g, c);
    /* Gone again already: its DISCONNECTED follows. */
    if (!peer_of(fd, &c->peer))
        return;
    c->mark_rounds = g->rounds;
    g->open++;
}

static void take_events(wire_guard_t *g)
{
    monitor_event_t e;
    while (monitor_next(g->monitor, &e)) {
        if (e.event == ZMQ_EVENT_DISCONNECTED) {
            connection_t *c = connection_at(g, e.value);
            if (c != NULL)
                connection_close(g, c);
        } else {
            connection_open(g, e.value);
        }
    }
}

void guard_delivered(wire_guard_t *g, int fd)
{
    connection_t *c = connection_at(g, fd);
    if (c != NULL)
        c->delivered = true;
    if (++g->round_messages >= ROUND_MESSAGES + 2 * g->open) {
        g->round_messages = 0;
        g->rounds++;
    }
}

void guard_drained(wire_guard_t *g)
{
    g->rounds += 2;
    g->round_messages = 0;
}

/* What libzmq has read from the connection; what waits in the kernel is not counted. */
static bool bytes_taken(int fd, uint64_t *ret)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    int waiting = 0;
    /* In this order: bytes that come in between make the result smaller, never larger. */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 || ioctl(fd, FIONREAD, &waiting) != 0)
        return false;
    *ret = info.tcpi_bytes_received > (uint64_t)waiting ? info.tcpi_bytes_received - (uint64_t)waiting : 0;
    return true;
}

/* What the peer has not sent yet does not come any more; the messages that are here already do. */
static bool cut(wire_guard_t *g, int fd)
{
    connection_t *c = &g->by_fd[fd];
    struct sockaddr_in now;
    /* The descriptor may have been closed and given to another connection since the last event. */
    const bool same = peer_of(fd, &now) && now.sin_port == c->peer.sin_port &&
                      now.sin_addr.s_addr == c->peer.sin_addr.s_addr;
    connection_close(g, c);
    /* The peer gets a reset: what it has queued is not waited for. */
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    return same && setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none) == 0 &&
           shutdown(fd, SHUT_RDWR) == 0;
}

void guard_refuse(wire_guard_t *g, int fd)
{
    take_events(g);
    connection_t *c = connection_at(g, fd);
    if (c != NULL && c->peer.sin_family != 0)
        cut(g, fd);
}

/* The descriptor of another connection that is known by this id, or -1. */
static int other_with(const wire_guard_t *g, int fd, uint32_t routing_id)
{
    for (size_t other = 0; other < g->size; other++) {
        const connection_t *o = &g->by_fd[other];
        if (o->identified && o->routing_id == routing_id && (int)other != fd)
            return (int)other;
    }
    return -1;
}

bool guard_identify(wire_guard_t *g, int fd, uint32_t routing_id)
{
    connection_t *c = connection_at(g, fd);
    if (c == NULL || (c->identified && c->routing_id == routing_id))
        return true;
    /* A connection keeps its id. With another one it is a new connection, that got the descriptor of the
     * last. */
    const int robbed = other_with(g, fd, routing_id);
    c->identified = robbed < 0;
    c->routing_id = routing_id;
    if (robbed >= 0) {
        guard_refuse(g, robbed);
        guard_refuse(g, fd);
    }
    return robbed < 0;
}

static bool socket_is_empty(const wire_guard_t *g)
{
    int events = 0;
    size_t len = sizeof events;
    return zmq_getsockopt(g->socket, ZMQ_EVENTS, &events, &len) == 0 && (events & ZMQ_POLLIN) == 0;
}

/* Notes what the connection has sent; true when it has to be cut. */
static bool is_endless(wire_guard_t *g, int fd)
{
    connection_t *c = &g->by_fd[fd];
    uint64_t taken;
    if (!bytes_taken(fd, &taken))
        return false;
    if (c->delivered) {
        c->delivered = false;
        c->base = taken;
    }
    /* All that was complete at the mark has been delivered since, and none of it came from here. */
    if (c->mark > c->base + ENDLESS_BYTES_MAX && g->rounds >= c->mark_rounds + 2)
        return true;
    if (c->mark <= c->base + ENDLESS_BYTES_MAX || g->rounds >= c->mark_rounds + 2) {
        c->mark = taken;
        c->mark_rounds = g->rounds;
    }
    return taken > c->base + ENDLESS_BYTES_MAX && socket_is_empty(g);
}

uint32_t guard_look(wire_guard_t *g, int64_t now_ms)
{
    if (now_ms < g->due_ms)
        return 0;
    g->due_ms = now_ms + GUARD_EVERY_MS;
    take_events(g);
    uint32_t cuts = 0;
    for (size_t fd = 0; fd < g->size; fd++)
        if (g->by_fd[fd].peer.sin_family != 0 && is_endless(g, (int)fd) && cut(g, (int)fd))
            cuts++;
    return cuts;
}

#include "common/runtime/wire.h"

#include "common/core/message.h"
#include "common/core/proto.h"
#include "common/runtime/clock.h"
#include "common/runtime/wire_guard.h"
#include "common/runtime/wire_ipc.h"
#include "common/runtime/wire_monitor.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum {
    /* Frames queued for one peer. Credit bounds what is really there; the limit only has to be so far away
       that it is never the one that counts. */
    HIGH_WATER_FRAMES = 100000,
    /* What a server has not read yet of one peer: 64 MB of the largest frames. The rest waits in the peer's
       kernel and queue: nobody who sends faster than he is read fills our memory. */
    UNREAD_FRAMES_MAX = 32,
    /* Answers to a peer that has no credit to bound them: so many frames for each, */
    ANSWERS_FRAMES_MAX = 1000,
    /* and of those that are no small ones so many bytes for all of them together. */
    ANSWERS_BYTES_MAX = 32 * 1024 * 1024,
    ANSWER_SMALL_BYTES = 4096,
    HANDSHAKE_MS = 3000,
    RECONNECT_MS = 100,
    RECONNECT_MS_MAX = 2000,
    /* The kernel asks an address that does not answer after 1, 3, 7, 15, 31 s: a host that was cut off would
       be found only after about as long again. */
    CONNECT_MS = 2000,
    /* A connection that acknowledges nothing for so long is given up: the kernel would try for 15 minutes. */
    UNACKNOWLEDGED_MS = 5000,
    KEEPALIVE_IDLE_S = 10,
    KEEPALIVE_INTERVAL_S = 5,
    KEEPALIVE_COUNT = 3,
    BACKLOG = 1024,
    SOCKETS_MAX = 16384,
    /* The ids that ROUTER makes itself: a zero and four bytes. */
    ROUTING_ID_BYTES = 5,
    /* One call refuses so many messages before it lets the caller go on. */
    REFUSED_PER_CALL_MAX = 256,
    ENDPOINT_BYTES = 128,
};

struct wire {
    void *socket;
    bool router;
    bool answers_only;   /* bound by wire_bind_open */
    wire_guard_t *guard; /* of a wire that is bound to a TCP port, else NULL */
    ipc_file_t file;     /* of a wire that is bound to a path */
    void *monitor;       /* of a wire that connects */
    bool was_connected;
    zmq_msg_t body; /* of the frame that was received last */
    char endpoint[ENDPOINT_BYTES];
    wire_counts_t counts;
};

/* One context for the process, while there are wires. */
static pthread_mutex_t context_lock = PTHREAD_MUTEX_INITIALIZER;
static void *context;
static uint32_t context_users;

static void *context_get(void)
{
    pthread_mutex_lock(&context_lock);
    if (context == NULL) {
        context = zmq_ctx_new();
        if (context != NULL)
            zmq_ctx_set(context, ZMQ_MAX_SOCKETS, SOCKETS_MAX);
    }
    void *const got = context;
    if (got != NULL)
        context_users++;
    pthread_mutex_unlock(&context_lock);
    return got;
}

/* The last one waits for what lingers. */
static void context_put(void)
{
    void *last = NULL;
    pthread_mutex_lock(&context_lock);
    if (--context_users == 0) {
        last = context;
        context = NULL;
    }
    pthread_mutex_unlock(&context_lock);
    while (last != NULL && zmq_ctx_term(last) != 0 && zmq_errno() == EINTR)
        ;
}

static int set_options(void *socket, bool router, int unsent_max)
{
    const struct {
        int option;
        int value;
    } options[] = {
        {ZMQ_SNDTIMEO, 0},
        {ZMQ_LINGER, 0},
        {ZMQ_SNDHWM, unsent_max},
        {ZMQ_RCVHWM, router ? UNREAD_FRAMES_MAX : HIGH_WATER_FRAMES},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
        {ZMQ_CONNECT_TIMEOUT, CONNECT_MS},
        {ZMQ_RECONNECT_IVL, RECONNECT_MS},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX},
        {ZMQ_TCP_MAXRT, UNACKNOWLEDGED_MS},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S},
        {ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_INTERVAL_S},
        {ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT},
        {ZMQ_IPV6, 0},
        {ZMQ_BACKLOG, BACKLOG},
        {router ? ZMQ_ROUTER_MANDATORY : ZMQ_IMMEDIATE, 1},
        /* Of two connections with one id of the peers' making the newer is read, so that it can be refused.
           Else it is not, and what came of it stays in memory for good. */
        {router ? ZMQ_ROUTER_HANDOVER : ZMQ_IMMEDIATE, 1},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (zmq_setsockopt(socket, options[i].option, &options[i].value, sizeof options[i].value) != 0)
            return -zmq_errno();
    const int64_t frame_bytes_max = FRAME_BYTES_MAX;
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &frame_bytes_max, sizeof frame_bytes_max) != 0)
        return -zmq_errno();
    return 0;
}

static int wire_new(wire_t **ret, bool router, bool guarded, int unsent_max)
{
    void *ctx = context_get();
    if (ctx == NULL)
        return -ENOMEM;
    int error = 0;
    wire_t *w = calloc(1, sizeof *w);
    if (w == NULL) {
        context_put();
        return -ENOMEM;
    }
    w->router = router;
    zmq_msg_init(&w->body);
    w->socket = zmq_socket(ctx, router ? ZMQ_ROUTER : ZMQ_DEALER);
    if (w->socket == NULL)
        error = -zmq_errno();
    if (error == 0)
        error = set_options(w->socket, router, unsent_max);
    if (error == 0 && guarded)
        error = guard_new(&w->guard, ctx, w->socket);
    if (error == 0 && !router)
        error = monitor_open(&w->monitor, ctx, w->socket, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    if (error != 0) {
        wire_close(&w, 0);
        return error;
    }
    *ret = w;
    return 0;
}

static int bind_tcp(const wire_t *w, const char *endpoint, char *why)
{
    char numeric[1][ENDPOINT_BYTES];
    const int n = endpoint_resolve(endpoint, numeric, 1, why);
    if (n < 0)
        return n;
    if (zmq_bind(w->socket, numeric[0]) == 0)
        return 0;
    const int error = zmq_errno();
    if (error == EADDRINUSE)
        snprintf(why, WHY_BYTES, "%.100s is in use by another process", endpoint);
    else
        snprintf(why, WHY_BYTES, "cannot listen on %.100s: %s", endpoint, zmq_strerror(error));
    return -error;
}

static int bind_new(wire_t **ret, const char *endpoint, bool answers_only, char *why)
{
    int error = endpoint_check(endpoint, why);
    if (error != 0)
        return error;
    const bool tcp = strncmp(endpoint, "tcp:", 4) == 0;
    wire_t *w = NULL;
    error = wire_new(&w, true, tcp, answers_only ? ANSWERS_FRAMES_MAX : HIGH_WATER_FRAMES);
    if (error != 0) {
        snprintf(why, WHY_BYTES, "cannot open a socket: %s", zmq_strerror(-error));
        return error;
    }
    w->answers_only = answers_only;
    error = tcp ? bind_tcp(w, endpoint, why) : ipc_bind(w->socket, endpoint, &w->file, why);
    size_t len = sizeof w->endpoint;
    if (error == 0 && zmq_getsockopt(w->socket, ZMQ_LAST_ENDPOINT, w->endpoint, &len) != 0) {
        error = -zmq_errno();
        snprintf(why, WHY_BYTES, "%.100s: %s", endpoint, zmq_strerror(-error));
    }
    if (error != 0) {
        wire_close(&w, 0);
        return error;
    }
    *ret = w;
    return 0;
}

int wire_bind(wire_t **ret, const char *endpoint, char *why)
{
    return bind_new(ret, endpoint, false, why);
}

int wire_bind_open(wire_t **ret, const char *endpoint, char *why)
{
    return bind_new(ret, endpoint, true, why);
}

int wire_connect(wire_t **ret, const char *endpoint, char *why)
{
    int error = endpoint_check(endpoint, why);
    if (error != 0)
        return error;
    wire_t *w = NULL;
    error = wire_new(&w, false, false, HIGH_WATER_FRAMES);
    if (error == 0 && zmq_connect(w->socket, endpoint) != 0)
        error = -zmq_errno();
    if (error != 0) {
        snprintf(why, WHY_BYTES, "cannot connect to %.100s: %s", endpoint, zmq_strerror(-error));
        wire_close(&w, 0);
        return error;
    }
    snprintf(w->endpoint, sizeof w->endpoint, "%s", endpoint);
    *ret = w;
    return 0;
}

void wire_close(wire_t **wire, int linger_ms)
{
    wire_t *w = *wire;
    if (w == NULL)
        return;
    guard_destroy(&w->guard);
    monitor_close(&w->monitor, w->socket);
    if (w->router)
        ipc_unlink(&w->file, w->endpoint);
    if (w->socket != NULL) {
        zmq_setsockopt(w->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
        zmq_close(w->socket);
    }
    zmq_msg_close(&w->body);
    free(w);
    *wire = NULL;
    context_put();
}

const char *wire_endpoint(const wire_t *w)
{
    return w->endpoint;
}

void *wire_socket(const wire_t *w)
{
    return w->socket;
}

bool wire_reconnected(wire_t *w)
{
    uint32_t connections = 0;
    monitor_event_t e;
    while (monitor_next(w->monitor, &e))
        connections++;
    if (connections == 0)
        return false;
    /* The first can be used a moment before it is told of. Of a later one what was sent might have gone over
       the one before it. */
    const bool said_over_it = !w->was_connected && connections == 1 && w->counts.frames_out > 0;
    w->was_connected = true;
    return !said_over_it;
}

int wire_reconnected_fd(const wire_t *w)
{
    return monitor_fd(w->monitor);
}

static int recv_part(const wire_t *w, zmq_msg_t *part)
{
    while (zmq_msg_recv(part, w->socket, ZMQ_DONTWAIT) < 0)
        if (zmq_errno() != EINTR)
            return -zmq_errno();
    return 0;
}

/* The connection's number, or false when the peer chose an id itself and did not make it look like ours. */
static bool read_routing_id(wire_t *w, uint32_t *ret)
{
    const uint8_t *id = zmq_msg_data(&w->body);
    if (zmq_msg_size(&w->body) != ROUTING_ID_BYTES || id[0] != 0)
        return false;
    *ret = (uint32_t)id[1] << 24 | (uint32_t)id[2] << 16 | (uint32_t)id[3] << 8 | id[4];
    return true;
}

/* Takes the rest of a message whose first part is here: all of it is, or libzmq had not shown the first. True
 * when it is one frame. */
static bool recv_rest(wire_t *w)
{
    bool single = true;
    if (w->router) {
        single = zmq_msg_more(&w->body);
        if (single && recv_part(w, &w->body) != 0)
            return false;
    }
    while (zmq_msg_more(&w->body)) {
        single = false;
        if (recv_part(w, &w->body) != 0)
            return false;
    }
    return single;
}

/* Tells the guard where the message came from; false when it must not be taken. */
static bool ask_guard(wire_t *w, bool id_is_ours, uint32_t routing_id)
{
    /* Asked of the last part: the routing id has no descriptor when poll() has looked at it before. */
    const int fd = zmq_msg_get(&w->body, ZMQ_SRCFD);
    guard_delivered(w->guard, fd);
    if (id_is_ours)
        return guard_identify(w->guard, fd, routing_id);
    guard_refuse(w->guard, fd);
    return false;
}

int wire_recv(wire_t *w, frame_t *ret)
{
    for (int refused = 0; refused < REFUSED_PER_CALL_MAX; refused++) {
        const int error = recv_part(w, &w->body);
        if (error == -EAGAIN && w->guard != NULL)
            guard_drained(w->guard);
        if (error != 0)
            return error;
        uint32_t routing_id = 0;
        const bool id_is_ours = !w->router || read_routing_id(w, &routing_id);
        bool good = recv_rest(w) && id_is_ours;
        if (w->guard != NULL)
            good = ask_guard(w, id_is_ours, routing_id) && good;
        if (good) {
            *ret = (frame_t){routing_id, zmq_msg_data(&w->body), zmq_msg_size(&w->body)};
            w->counts.frames_in++;
            w->counts.bytes_in += ret->len;
            return 0;
        }
        w->counts.refused_parts++;
    }
    return -EAGAIN;
}

bool wire_wait(wire_t *w, int64_t until_ms)
{
    zmq_pollitem_t item = {.socket = w->socket, .events = ZMQ_POLLIN};
    int64_t left_ms;
    while ((left_ms = until_ms - clock_ms()) > 0) {
        const int n = zmq_poll(&item, 1, (long)left_ms);
        if (n > 0)
            return true;
        if (n < 0 && zmq_errno() != EINTR)
            return false;
    }
    return false;
}

static int send_routing_id(const wire_t *w, uint32_t routing_id)
{
    const uint8_t id[ROUTING_ID_BYTES] = {0, (uint8_t)(routing_id >> 24), (uint8_t)(routing_id >> 16),
                                          (uint8_t)(routing_id >> 8), (uint8_t)routing_id};
    while (zmq_send(w->socket, id, sizeof id, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        if (zmq_errno() != EINTR)
            return -zmq_errno();
    return 0;
}

/* Answers that are no small ones, until libzmq has sent them or dropped them with their peer: its thread says
 * so. */
static atomic_size_t unsent_answers_bytes;

static void answer_is_gone(void *bytes, void *len)
{
    atomic_fetch_sub(&unsent_answers_bytes, (uintptr_t)len);
    free(bytes);
}

static int answer_new(zmq_msg_t *ret, size_t len)
{
    if (atomic_load(&unsent_answers_bytes) + len > ANSWERS_BYTES_MAX)
        return -EAGAIN;
    void *bytes = malloc(len);
    if (bytes == NULL)
        return -ENOMEM;
    atomic_fetch_add(&unsent_answers_bytes, len);
    if (zmq_msg_init_data(ret, bytes, len, answer_is_gone, (void *)(uintptr_t)len) == 0)
        return 0;
    answer_is_gone(bytes, (void *)(uintptr_t)len);
    return -ENOMEM;
}

static int message_new(const wire_t *w, zmq_msg_t *ret, const buffer_t *frame)
{
    int error = 0;
    if (frame->failed)
        return -ENOMEM;
    if (w->answers_only && frame->len > ANSWER_SMALL_BYTES)
        error = answer_new(ret, frame->len);
    else if (zmq_msg_init_size(ret, frame->len) != 0)
        error = -ENOMEM;
    if (error == 0 && frame->len > 0)
        memcpy(zmq_msg_data(ret), frame->data, frame->len);
    return error;
}

int wire_send(wire_t *w, uint32_t routing_id, const buffer_t *frame)
{
    assert(frame->len <= FRAME_BYTES_MAX);
    zmq_msg_t message;
    /* Before the routing id is sent: behind it there is no way back. */
    int error = message_new(w, &message, frame);
    if (error != 0) {
        w->counts.unsendable += error == -EAGAIN;
        return error;
    }
    error = w->router ? send_routing_id(w, routing_id) : 0;
    while (error == 0 && zmq_msg_send(&message, w->socket, ZMQ_DONTWAIT) < 0)
        if (zmq_errno() != EINTR)
            error = -zmq_errno();
    if (error != 0) {
        zmq_msg_close(&message);
        w->counts.unsendable++;
        return error;
    }
    w->counts.frames_out++;
    w->counts.bytes_out += frame->len;
    return 0;
}

void wire_guard(wire_t *w, int64_t now_ms)
{
    if (w->guard != NULL)
        w->counts.refused_endless += guard_look(w->guard, now_ms);
}

void wire_counts(const wire_t *w, wire_counts_t *ret)
{
    *ret = w->counts;
}

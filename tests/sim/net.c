#include "tests/sim/net.h"
#include "common/core/proto.h"
#include "common/runtime/clock.h"
#include "tests/sim/check.h"
#include "tests/sim/trace.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIRES_MAX = 256,
    CONNS_MAX = 64, /* of a wire */
    RECONNECT_US = 100000,
    RECONNECT_US_MAX = 5000000,
    /* A connection can be used, and only so much later it is told of. */
    TELL_US_MAX = 100,
    /* A peer whose machine is gone is given up after this; one whose process is gone is told at once. */
    UNACKNOWLEDGED_US = 5000000,
    PARTITIONS_MAX = 8,
};

typedef struct packet {
    struct packet *next;
    int64_t arrives_us;
    uint32_t len;
    uint8_t bytes[];
} packet_t;

/* What is on its way to one end, or lies there unread. */
typedef struct {
    packet_t *first, *last;
    uint32_t count;
    int64_t stopped_until_us;
} pipe_t;

struct conn {
    uint32_t id;
    uint32_t routing_id;
    wire_t *ends[ENDS]; /* NULL: closed */
    bool known[ENDS];   /* the end takes it for a living connection */
    bool broken;        /* nothing more gets through */
    pipe_t in[ENDS];
    uint32_t record;
};

struct wire {
    uint32_t id;
    bool bound;
    process_t *process;
    char endpoint[128];
    conn_t *conns[CONNS_MAX];
    uint32_t conns_count;
    uint32_t next_routing_id;
    int64_t retry_us;
    uint32_t untold;   /* connections that were made, and the program was not told of */
    int64_t untold_us; /* when the last of them can be told of */
    bool was_connected;
    packet_t *reading;
    wire_counts_t counts;
    peer_check_t check;
};

typedef struct {
    const process_t *a, *b;
    int64_t until_us;
} partition_t;

static wire_t *wires[WIRES_MAX];
static uint32_t wires_end, last_id;
static partition_t partitions[PARTITIONS_MAX];
static uint32_t partitions_count; /* ever; the oldest gives way */

/* --- connections --- */

process_t *conn_process(const conn_t *c, int end)
{
    return c->ends[end] != NULL ? c->ends[end]->process : NULL;
}

peer_check_t *conn_peer_check(const conn_t *c)
{
    return &c->ends[END_PEER]->check;
}

uint32_t *conn_record(conn_t *c)
{
    return &c->record;
}

uint32_t conn_id(const conn_t *c)
{
    return c->id;
}

static wire_t *wire_by_id(uint64_t id)
{
    for (uint32_t i = 0; i < wires_end; i++)
        if (wires[i] != NULL && wires[i]->id == id)
            return wires[i];
    return NULL;
}

static packet_t *pipe_pop(pipe_t *p)
{
    packet_t *first = p->first;
    p->first = first->next;
    if (p->first == NULL)
        p->last = NULL;
    p->count--;
    return first;
}

/* All but the first `kept`. */
static void pipe_lose(pipe_t *p, uint32_t kept)
{
    packet_t *keep = NULL;
    for (uint32_t i = 0; i < kept; i++)
        keep = keep == NULL ? p->first : keep->next;
    packet_t *lost = keep == NULL ? p->first : keep->next;
    if (keep == NULL)
        p->first = NULL;
    else
        keep->next = NULL;
    p->last = keep;
    p->count = kept;
    while (lost != NULL) {
        packet_t *next = lost->next;
        keep_free(lost);
        lost = next;
    }
}

static void wire_forget(wire_t *w, const conn_t *c)
{
    for (uint32_t i = 0; i < w->conns_count; i++)
        if (w->conns[i] == c)
            w->conns[i--] = w->conns[--w->conns_count];
}

/* It goes when neither end knows of it and nothing is left to be read. */
static void conn_review(conn_t *c)
{
    for (int end = 0; end < ENDS; end++)
        if (c->ends[end] != NULL && (c->known[end] || c->in[end].count > 0))
            return;
    for (int end = 0; end < ENDS; end++) {
        if (c->ends[end] != NULL)
            wire_forget(c->ends[end], c);
        pipe_lose(&c->in[end], 0);
    }
    keep_free(c);
}

static conn_t *conn_by_id(uint64_t id)
{
    for (uint32_t i = 0; i < wires_end; i++)
        for (uint32_t k = 0; wires[i] != NULL && k < wires[i]->conns_count; k++)
            if (wires[i]->conns[k]->id == id)
                return wires[i]->conns[k];
    return NULL;
}

/* --- connecting --- */

static int64_t partition_us(const process_t *a, const process_t *b)
{
    int64_t until_us = 0;
    for (int i = 0; i < PARTITIONS_MAX; i++) {
        const partition_t *p = &partitions[i];
        bool hit = (p->a == a && p->b == b) || (p->a == b && p->b == a);
        if (hit && p->until_us > world.now_us && p->until_us > until_us)
            until_us = p->until_us;
    }
    return until_us;
}

static wire_t *listener_at(const char *endpoint)
{
    for (uint32_t i = 0; i < wires_end; i++)
        if (wires[i] != NULL && wires[i]->bound && strcmp(wires[i]->endpoint, endpoint) == 0)
            return wires[i];
    return NULL;
}

static int64_t latency_us(void)
{
    const plan_t *p = &world.plan;
    if (world.faults && chance(p->spikes))
        return chance_between(0, p->spike_us);
    return chance_between(1, p->latency_us);
}

static void connect_again(uint64_t wire_id, uint64_t unused);

static void connect_later(wire_t *w)
{
    world_at(world.now_us + chance_between(w->retry_us / 2, w->retry_us), connect_again, w->id, 0);
    w->retry_us = 2 * w->retry_us < RECONNECT_US_MAX ? 2 * w->retry_us : RECONNECT_US_MAX;
}

static void connect_again(uint64_t wire_id, uint64_t unused)
{
    (void)unused;
    wire_t *w = wire_by_id(wire_id);
    if (w == NULL)
        return;
    wire_t *listener = listener_at(w->endpoint);
    bool stopped = w->process->stopped_until_us > world.now_us;
    if (listener == NULL || stopped || listener->process->stopped_until_us > world.now_us ||
        partition_us(w->process, listener->process) > 0 || listener->conns_count == CONNS_MAX ||
        w->conns_count == CONNS_MAX) {
        connect_later(w);
        return;
    }
    w->retry_us = RECONNECT_US;
    conn_t *c = keep_alloc(sizeof *c);
    *c = (conn_t){.id = ++last_id,
                  .routing_id = ++listener->next_routing_id,
                  .ends = {[END_PEER] = w, [END_SERVER] = listener},
                  .known = {true, true}};
    w->conns[w->conns_count++] = c;
    listener->conns[listener->conns_count++] = c;
    w->untold++;
    w->untold_us = world.now_us + chance_between(0, TELL_US_MAX);
    process_notify(w->process, w->untold_us);
    trace("connection %u: %s to %s", c->id, w->process->name, listener->process->name);
}

/* --- the end of a connection --- */

static void notice(uint64_t conn_id, uint64_t end)
{
    conn_t *c = conn_by_id(conn_id);
    if (c == NULL || !c->known[end])
        return;
    trace("connection %u: the end of it is seen by %s", c->id,
          c->ends[end] != NULL ? c->ends[end]->process->name : "nobody");
    c->known[end] = false;
    if (end == END_PEER && c->ends[end] != NULL)
        connect_later(c->ends[end]);
    conn_review(c);
}

/* What was under way may have got there, from the first to any. */
static void conn_break(conn_t *c, int64_t notice_us)
{
    if (c->broken)
        return;
    c->broken = true;
    for (int end = 0; end < ENDS; end++) {
        pipe_lose(&c->in[end], (uint32_t)chance_below(c->in[end].count + 1));
        int64_t last_us = c->in[end].last != NULL ? c->in[end].last->arrives_us : 0;
        int64_t at_us = world.now_us + chance_between(1, notice_us);
        world_at(at_us > last_us ? at_us : last_us, notice, c->id, (uint64_t)end);
    }
}

/* One end closes its socket: what it has sent arrives as far as `keep` says. */
static void conn_close_end(conn_t *c, int end, bool keep)
{
    int other = 1 - end;
    c->ends[end] = NULL;
    c->known[end] = false;
    pipe_lose(&c->in[end], 0);
    if (!c->broken) {
        c->broken = true;
        if (!keep)
            pipe_lose(&c->in[other], (uint32_t)chance_below(c->in[other].count + 1));
        int64_t last_us = c->in[other].last != NULL ? c->in[other].last->arrives_us : world.now_us;
        int64_t at_us = (last_us > world.now_us ? last_us : world.now_us) + latency_us();
        world_at(at_us, notice, c->id, (uint64_t)other);
    }
    conn_review(c);
}

/* --- common/runtime/wire.h --- */

static int wire_new(wire_t **ret, const char *endpoint, bool bound)
{
    uint32_t place = 0;
    while (place < wires_end && wires[place] != NULL)
        place++;
    if (place == WIRES_MAX)
        broken("bounds", "more than %d sockets", WIRES_MAX);
    if (place == wires_end)
        wires_end++;
    wire_t *w = keep_alloc(sizeof *w);
    *w = (wire_t){.id = ++last_id,
                  .bound = bound,
                  .process = world.current,
                  .next_routing_id = (uint32_t)clock_random_id(),
                  .retry_us = RECONNECT_US};
    snprintf(w->endpoint, sizeof w->endpoint, "%s", endpoint);
    wires[place] = w;
    *ret = w;
    return 0;
}

int wire_bind(wire_t **ret, const char *endpoint, char *why)
{
    if (listener_at(endpoint) != NULL) {
        snprintf(why, WHY_BYTES, "%s is in use by another process", endpoint);
        return -EADDRINUSE;
    }
    return wire_new(ret, endpoint, true);
}

int wire_bind_open(wire_t **ret, const char *endpoint, char *why)
{
    return wire_bind(ret, endpoint, why);
}

int wire_connect(wire_t **ret, const char *endpoint, char *why)
{
    (void)why;
    wire_new(ret, endpoint, false);
    world_at(world.now_us + latency_us(), connect_again, (*ret)->id, 0);
    return 0;
}

static void wire_drop(wire_t *w, bool keep)
{
    while (w->conns_count > 0) {
        conn_t *c = w->conns[--w->conns_count];
        conn_close_end(c, w->bound ? END_SERVER : END_PEER, keep);
    }
    for (uint32_t i = 0; i < wires_end; i++)
        if (wires[i] == w)
            wires[i] = NULL;
    keep_free(w->reading);
    keep_free(w);
}

void wire_close(wire_t **ref, int linger_ms)
{
    if (*ref == NULL)
        return;
    world_step();
    wire_drop(*ref, linger_ms > 0);
    *ref = NULL;
}

const char *wire_endpoint(const wire_t *w)
{
    return w->endpoint;
}

void *wire_socket(const wire_t *w)
{
    return wire_by_id(w->id);
}

static uint32_t place_of(const wire_t *w)
{
    uint32_t place = 0;
    while (wires[place] != w)
        place++;
    return place;
}

int wire_reconnected_fd(const wire_t *w)
{
    return WIRE_FD_FIRST + (int)place_of(w);
}

int64_t net_reconnected_us(int fd)
{
    const wire_t *w = wires[fd - WIRE_FD_FIRST];
    return w != NULL && w->untold > 0 ? w->untold_us : INT64_MAX;
}

bool wire_reconnected(wire_t *w)
{
    world_step();
    if (w->untold == 0 || w->untold_us > world.now_us)
        return false;
    const bool said_over_it = !w->was_connected && w->untold == 1 && w->counts.frames_out > 0;
    w->was_connected = true;
    w->untold = 0;
    /* The program takes its session for one that is not up, as the dialer does. */
    w->check.up = w->check.up && said_over_it;
    return !said_over_it;
}

int64_t net_readable_us(const void *wire)
{
    const wire_t *w = wire;
    int end = w->bound ? END_SERVER : END_PEER;
    int64_t first_us = INT64_MAX;
    for (uint32_t i = 0; i < w->conns_count; i++) {
        const packet_t *p = w->conns[i]->in[end].first;
        if (p != NULL && p->arrives_us < first_us)
            first_us = p->arrives_us;
    }
    return first_us;
}

/* Any connection that something has come from: who is read first is a matter of threads. */
static conn_t *readable(const wire_t *w, int end)
{
    uint32_t from = w->conns_count > 1 ? (uint32_t)chance_below(w->conns_count) : 0;
    for (uint32_t i = 0; i < w->conns_count; i++) {
        conn_t *c = w->conns[(from + i) % w->conns_count];
        if (c->in[end].first != NULL && c->in[end].first->arrives_us <= world.now_us)
            return c;
    }
    return NULL;
}

int wire_recv(wire_t *w, frame_t *ret)
{
    int end = w->bound ? END_SERVER : END_PEER;
    world_step();
    conn_t *c = readable(w, end);
    if (c == NULL)
        return -EAGAIN;
    keep_free(w->reading);
    w->reading = pipe_pop(&c->in[end]);
    *ret = (frame_t){w->bound ? c->routing_id : 0, w->reading->bytes, w->reading->len};
    w->counts.frames_in++;
    w->counts.bytes_in += ret->len;
    check_received(c, end, ret->data, ret->len);
    conn_review(c);
    return 0;
}

bool wire_wait(wire_t *w, int64_t until_ms)
{
    process_t *p = world.current;
    world_step();
    const int64_t until_us = until_ms * 1000;
    int64_t at_us;
    while ((at_us = net_readable_us(w)) > world.now_us && world.now_us < until_us) {
        p->polls = true;
        process_wait(at_us < until_us ? at_us : until_us);
        p->polls = false;
    }
    return at_us <= world.now_us;
}

static conn_t *conn_to_send_on(const wire_t *w, uint32_t routing_id)
{
    int end = w->bound ? END_SERVER : END_PEER;
    for (uint32_t i = 0; i < w->conns_count; i++)
        if (w->conns[i]->known[end] && (!w->bound || w->conns[i]->routing_id == routing_id))
            return w->conns[i];
    return NULL;
}

static void put(conn_t *c, int to, const buffer_t *frame)
{
    pipe_t *in = &c->in[to];
    packet_t *p = keep_alloc(sizeof *p + frame->len);
    int64_t at_us = world.now_us + latency_us();
    if (at_us < in->stopped_until_us)
        at_us = in->stopped_until_us;
    if (in->last != NULL && at_us < in->last->arrives_us)
        at_us = in->last->arrives_us;
    p->arrives_us = at_us;
    p->len = (uint32_t)frame->len;
    memcpy(p->bytes, frame->data, frame->len);
    if (in->last != NULL)
        in->last->next = p;
    else
        in->first = p;
    in->last = p;
    in->count++;
    process_notify(c->ends[to]->process, at_us);
}

/* TASKS are not among them: a worker does each task that it is given. */
static bool comes_twice(const buffer_t *frame)
{
    return world.faults && chance(world.plan.duplicates) &&
           proto_command(frame->data, frame->len, NULL) != CMD_TASKS;
}

int wire_send(wire_t *w, uint32_t routing_id, const buffer_t *frame)
{
    int to = w->bound ? END_PEER : END_SERVER;
    assert(!frame->failed && frame->len <= FRAME_BYTES_MAX);
    world_step();
    conn_t *c = conn_to_send_on(w, routing_id);
    if (c == NULL || c->in[to].count >= world.plan.pipe_frames) {
        w->counts.unsendable++;
        return c == NULL && w->bound ? -EHOSTUNREACH : -EAGAIN;
    }
    w->counts.frames_out++;
    w->counts.bytes_out += frame->len;
    check_sent(c, 1 - to, frame->data, frame->len);
    if (!c->broken) {
        put(c, to, frame);
        if (comes_twice(frame))
            put(c, to, frame);
    }
    world_step();
    return 0;
}

void wire_guard(wire_t *w, int64_t now_ms)
{
    (void)w, (void)now_ms;
}

void wire_counts(const wire_t *w, wire_counts_t *ret)
{
    *ret = w->counts;
}

/* --- faults --- */

void net_process_gone(process_t *p, bool killed)
{
    for (uint32_t i = 0; i < wires_end; i++) {
        if (wires[i] == NULL || wires[i]->process != p)
            continue;
        if (!killed)
            broken("memory", "%s ended and left the socket %s open", p->name, wires[i]->endpoint);
        wire_drop(wires[i], false);
    }
}

void net_cut_any(void)
{
    uint32_t n = 0;
    conn_t *picked = NULL;
    for (uint32_t i = 0; i < wires_end; i++)
        for (uint32_t k = 0; wires[i] != NULL && wires[i]->bound && k < wires[i]->conns_count; k++)
            if (!wires[i]->conns[k]->broken && chance_below(++n) == 0)
                picked = wires[i]->conns[k];
    if (picked == NULL)
        return;
    trace("connection %u is cut", picked->id);
    conn_break(picked, chance(500) ? 1000 : UNACKNOWLEDGED_US);
}

static void stop_pipe(pipe_t *p, int64_t until_us)
{
    p->stopped_until_us = until_us;
    for (packet_t *k = p->first; k != NULL; k = k->next)
        if (k->arrives_us > world.now_us && k->arrives_us < until_us)
            k->arrives_us = until_us;
}

static bool is_between(const conn_t *c, const process_t *a, const process_t *b)
{
    const process_t *peer = conn_process(c, END_PEER), *server = conn_process(c, END_SERVER);
    return (peer == a && server == b) || (peer == b && server == a);
}

void net_partition(const process_t *a, const process_t *b, int64_t us)
{
    trace("nothing passes between %s and %s for %.3f s", a->name, b->name, (double)us / 1e6);
    partitions[partitions_count++ % PARTITIONS_MAX] = (partition_t){a, b, world.now_us + us};
    for (uint32_t i = 0; i < wires_end; i++) {
        for (uint32_t k = 0; wires[i] != NULL && wires[i]->bound && k < wires[i]->conns_count; k++) {
            conn_t *c = wires[i]->conns[k];
            if (!is_between(c, a, b) || c->broken)
                continue;
            if (us > UNACKNOWLEDGED_US)
                conn_break(c, UNACKNOWLEDGED_US);
            else
                for (int end = 0; end < ENDS; end++)
                    stop_pipe(&c->in[end], world.now_us + us);
        }
    }
}

void net_heal(void)
{
    memset(partitions, 0, sizeof partitions);
    partitions_count = 0;
}

void net_open(void)
{
    last_id = 0;
    net_heal();
}

void net_close(void)
{
    wires_end = 0;
}

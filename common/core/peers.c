#include "common/core/peers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "common/core/heap.h"
#include "common/core/index.h"

typedef struct {
    uint64_t session; /* 0: the number is free */
    uint32_t routing_id;
} peer_t;

struct peers {
    peer_t *table;
    uint32_t max;
    uint32_t count;
    uint32_t end; /* no number from here on is in use: walks stop there */
    index_t connections;
    index_t sessions;
    heap_t silent; /* when each is dead */
    heap_t idle;   /* when each is due a PING */
};

peers_t *peers_new(uint32_t max)
{
    peers_t *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    p->max = max;
    p->table = calloc(max, sizeof *p->table);
    if (p->table == NULL || index_init(&p->connections, max) < 0 || index_init(&p->sessions, max) < 0 ||
        heap_init(&p->silent, max) < 0 || heap_init(&p->idle, max) < 0) {
        peers_destroy(&p);
    }
    return p;
}

void peers_destroy(peers_t **p)
{
    if (p == NULL || *p == NULL) {
        return;
    }
    free((*p)->table);
    index_done(&(*p)->connections);
    index_done(&(*p)->sessions);
    heap_done(&(*p)->silent);
    heap_done(&(*p)->idle);
    free(*p);
    *p = NULL;
}

static uint32_t find(const index_t *x, uint64_t key)
{
    uint32_t cursor;
    uint32_t peer = index_find(x, key, &cursor);
    return peer == INDEX_NONE ? PEER_NONE : peer;
}

uint32_t peers_heard(peers_t *p, uint32_t routing_id, int64_t now_ms)
{
    uint32_t peer = find(&p->connections, routing_id);
    if (peer != PEER_NONE) {
        heap_set(&p->silent, peer, now_ms + DEAD_MS);
    }
    return peer;
}

/* The session is on this connection from now on. */
static int attach(peers_t *p, uint32_t peer, uint32_t routing_id)
{
    uint32_t before = find(&p->connections, routing_id);
    if (before == peer) {
        return 0;
    }
    int rc = index_put(&p->connections, routing_id, peer);
    if (rc < 0) {
        return rc;
    }
    if (before != PEER_NONE) {
        /* Whoever spoke here has begun another session: the earlier one cannot be reached any more. */
        index_remove(&p->connections, routing_id, before);
        heap_set(&p->silent, before, INT64_MIN);
        heap_remove(&p->idle, before);
    }
    /* The same number when it takes back the connection that it had lost. */
    if (p->table[peer].routing_id != routing_id) {
        index_remove(&p->connections, p->table[peer].routing_id, peer);
        p->table[peer].routing_id = routing_id;
    }
    return 0;
}

static uint32_t free_number(const peers_t *p)
{
    uint32_t peer = 0;
    while (peer < p->end && p->table[peer].session != 0) {
        peer++;
    }
    return peer;
}

/* A new session: its number, or -errno. */
static int64_t enter(peers_t *p, uint32_t routing_id, uint64_t session)
{
    if (p->count == p->max) {
        return -ENOSPC;
    }
    uint32_t peer = free_number(p);
    int rc = index_put(&p->sessions, session, peer);
    if (rc < 0) {
        return rc;
    }
    rc = attach(p, peer, routing_id);
    if (rc < 0) {
        index_remove(&p->sessions, session, peer);
        return rc;
    }
    p->table[peer] = (peer_t){.session = session, .routing_id = routing_id};
    p->count++;
    if (peer == p->end) {
        p->end++;
    }
    return peer;
}

int64_t peers_hello(peers_t *p, uint32_t routing_id, uint64_t session, int64_t now_ms, bool *ret_known)
{
    assert(session != 0);
    uint32_t known = find(&p->sessions, session);
    int64_t peer = known;
    if (known == PEER_NONE) {
        peer = enter(p, routing_id, session);
    } else {
        int rc = attach(p, known, routing_id);
        peer = rc < 0 ? rc : peer;
    }
    if (peer < 0) {
        return peer;
    }
    heap_set(&p->silent, (uint32_t)peer, now_ms + DEAD_MS);
    heap_set(&p->idle, (uint32_t)peer, now_ms + PING_MS);
    *ret_known = known != PEER_NONE;
    return peer;
}

static bool in_use(const peers_t *p, uint32_t peer)
{
    return peer < p->end && p->table[peer].session != 0;
}

void peers_drop(peers_t *p, uint32_t peer)
{
    assert(in_use(p, peer));
    index_remove(&p->connections, p->table[peer].routing_id, peer);
    index_remove(&p->sessions, p->table[peer].session, peer);
    heap_remove(&p->silent, peer);
    heap_remove(&p->idle, peer);
    p->table[peer] = (peer_t){0};
    p->count--;
    while (p->end > 0 && p->table[p->end - 1].session == 0) {
        p->end--;
    }
}

uint32_t peers_routing_id(const peers_t *p, uint32_t peer)
{
    assert(in_use(p, peer));
    return p->table[peer].routing_id;
}

uint64_t peers_session(const peers_t *p, uint32_t peer)
{
    assert(in_use(p, peer));
    return p->table[peer].session;
}

void peers_said(peers_t *p, uint32_t peer, int64_t now_ms)
{
    /* One that lost its connection to another session is in use but gets no PING. */
    if (heap_has(&p->idle, peer)) {
        heap_set(&p->idle, peer, now_ms + PING_MS);
    }
}

uint32_t peers_dead(peers_t *p, int64_t now_ms)
{
    return heap_first_key(&p->silent) <= now_ms ? heap_first(&p->silent) : PEER_NONE;
}

uint32_t peers_due_ping(peers_t *p, int64_t now_ms)
{
    return heap_first_key(&p->idle) <= now_ms ? heap_first(&p->idle) : PEER_NONE;
}

int64_t peers_next_ms(const peers_t *p)
{
    int64_t dead_ms = heap_first_key(&p->silent);
    int64_t ping_ms = heap_first_key(&p->idle);
    return dead_ms < ping_ms ? dead_ms : ping_ms;
}

uint32_t peers_count(const peers_t *p)
{
    return p->count;
}

uint32_t peers_next(const peers_t *p, uint32_t after)
{
    for (uint32_t peer = after == PEER_NONE ? 0 : after + 1; peer < p->end; peer++) {
        if (p->table[peer].session != 0) {
            return peer;
        }
    }
    return PEER_NONE;
}

/* A server's peers: connections (routing ids) and the sessions they carry, with liveness. Pure.
 *
 * A peer's number (0..max-1) is stable while its session lives, also when it moves to a new connection. */
#ifndef MANDRILL_PEERS_H
#define MANDRILL_PEERS_H

#include "common/core/proto.h"

#define PEER_NONE UINT32_MAX
enum { PING_MS = 1000, DEAD_MS = 3000 };

typedef struct peers peers_t;

peers_t *peers_new(uint32_t max);
void peers_destroy(peers_t **p);
/* The peer that speaks on the connection, or PEER_NONE: answer WHO. Notes that it was heard. */
uint32_t peers_heard(peers_t *p, uint32_t routing_id, int64_t now_ms);
/* HELLO: the peer's number; *ret_known tells whether the session was known. -ENOSPC when full. A session
 * whose connection begins another one is the next that peers_dead() returns. */
int64_t peers_hello(peers_t *p, uint32_t routing_id, uint64_t session, int64_t now_ms, bool *ret_known);
void peers_drop(peers_t *p, uint32_t peer);
uint32_t peers_routing_id(const peers_t *p, uint32_t peer);
uint64_t peers_session(const peers_t *p, uint32_t peer);
void peers_said(peers_t *p, uint32_t peer, int64_t now_ms);
/* One peer that has not been heard for DEAD_MS, or PEER_NONE. The caller drops it and asks again. Take what
 * has come in first: after a stall of one's own everybody seems silent. */
uint32_t peers_dead(peers_t *p, int64_t now_ms);
/* One peer that is due a PING, or PEER_NONE; the caller sends it and says so by peers_said. */
uint32_t peers_due_ping(peers_t *p, int64_t now_ms);
int64_t peers_next_ms(const peers_t *p); /* INT64_MAX for never */
uint32_t peers_count(const peers_t *p);
/* Walks the peers: start with PEER_NONE; returns PEER_NONE at the end. */
uint32_t peers_next(const peers_t *p, uint32_t after);

#endif

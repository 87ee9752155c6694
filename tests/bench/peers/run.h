/* One run of a peer: its processes from start to end, and the report. */
#ifndef MANDRILL_PEERS_RUN_H
#define MANDRILL_PEERS_RUN_H

#include "tests/bench/peers/peer.h"
#include "tests/bench/peers/server.h"

typedef enum { ROLE_SERVER, ROLE_PUBLISHER, ROLE_SAVE, ROLE_NOTHING, ROLES } role_t;

typedef struct {
    usage_t roles[ROLES];
    uint64_t rows; /* in the database at the end */
} run_result_t;

/* 0 when every message was acked by both groups and is saved; else it has been told what went wrong. */
int run_peer(const peer_t *peer, peer_run_t *run, run_result_t *ret);
/* In the form of `mandrill bench --json`: one line. */
void run_report(const peer_t *peer, const peer_run_t *run, const run_result_t *result, FILE *out);

#endif

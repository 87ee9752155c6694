/* Another system that does the work of Mandrill: what each brings, and what is given to it.
 *
 * A run is a server, a publisher and two groups of one consumer each, every one a process of its own. The
 * publisher hands over `count` messages; the group "save" commits each batch to SQLite before it acks, the
 * group "nothing" acks what it gets. Messages have numbers 1..count, which stand at the start of their
 * bodies.
 *
 * Every function returns 0 or -errno, and has told what is wrong. */
#ifndef MANDRILL_PEERS_PEER_H
#define MANDRILL_PEERS_PEER_H

#include "common/runtime/config.h"
#include "tests/bench/peers/tally.h"
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    /* As in Mandrill. */
    BATCH_MAX = 1024,
    /* Messages between the first that is not acked and the last that is published. Without a bound the
     * server's memory would be what is measured. */
    IN_FLIGHT_MAX = 65536,
    SERVER_ARGS_MAX = 64,
    BODY_MIN = 8,
    BODY_MAX = 65536,
};

typedef struct {
    const config_t *config;
    tally_t *tally;
    char dir[PATH_MAX - 64]; /* the run's own */
    int port;                /* on 127.0.0.1, free a moment ago */
    bool ipc;
    uint64_t count;
    double rate; /* 0: as fast as it can */
    uint32_t size_bytes;
    /* Messages between the first that is not acked and the last that is published. Without a bound the
     * server's memory would be what is measured. */
    uint32_t in_flight;
    char args[SERVER_ARGS_MAX][PATH_MAX];
    uint32_t args_count;
} peer_run_t;

typedef struct {
    config_program_t program;
    /* Adds the words of the server's command line. */
    int (*server)(peer_run_t *run);
    /* Once the server answers, makes what publishing needs; -EAGAIN, and tells nothing: not yet. */
    int (*prepare)(peer_run_t *run);
    int (*publish)(peer_run_t *run);
    int (*consume)(peer_run_t *run, group_t group);
    /* Members of a JSON object, each with a comma behind it. */
    void (*settings)(const peer_run_t *run, FILE *out);
} peer_t;

/* The whole program. */
int peer_main(const peer_t *peer, int argc, char **argv);

/* For `server`. */
void peer_arg(peer_run_t *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- for publishers */

/* Waits until messages behind `next` may be published, by the rate and by what is in flight; how
 * many, 1..BATCH_MAX. Notes them as published. 0: all are. */
uint32_t peer_next(peer_run_t *run, uint64_t next);
/* The body of a message, `size_bytes` long, in memory that the next call overwrites. */
const char *peer_body(const peer_run_t *run, uint64_t number);

/* --- for consumers */

typedef struct peer_batch peer_batch_t;
/* Opens what the group needs; says that it is ready when `peer_batch_ready` is called. */
int peer_batch_new(peer_batch_t **ret, peer_run_t *run, group_t group);
void peer_batch_destroy(peer_batch_t **b);
void peer_batch_ready(peer_batch_t *b);
/* One message, as it came; checked. */
int peer_batch_add(peer_batch_t *b, const char *body, size_t len);
uint32_t peer_batch_count(const peer_batch_t *b);
uint64_t peer_batch_number(const peer_batch_t *b, uint32_t i);
/* Does the group's work with what was added. */
int peer_batch_work(peer_batch_t *b);
/* The peer has taken the acks: the batch is empty again. */
void peer_batch_acked(peer_batch_t *b);

#endif

/* The network: what common/runtime/wire.h promises, between processes of one world. A connection keeps its
 * order and loses only what was not read when it is cut; between connections anything may overtake anything.
 *
 * A cut is seen by each end in its own time; till then what it sends goes nowhere. */
#ifndef MANDRILL_SIM_NET_H
#define MANDRILL_SIM_NET_H

#include "common/runtime/wire.h"
#include "tests/sim/world.h"

enum { END_PEER, END_SERVER, ENDS }; /* who connected, who bound */

enum { WIRE_FD_FIRST = 100 }; /* descriptors from here on are those of wires */

/* What the checks remember of a peer's socket, whose session goes on over its connections. */
typedef struct {
    uint64_t session; /* as said in HELLO; 0: not yet */
    bool up;          /* WELCOME was read */
    bool fresh;       /* and no PROGRESS was sent since */
} peer_check_t;

typedef struct conn conn_t;

void net_open(void);
void net_close(void);
void net_process_gone(process_t *p, bool killed);
/* When a frame can be read from the wire; INT64_MAX: none is on its way. */
int64_t net_readable_us(const void *wire);
/* When the wire of wire_reconnected_fd() has something to tell; INT64_MAX: it has not. */
int64_t net_reconnected_us(int fd);
/* Faults. */
void net_cut_any(void);
void net_partition(const process_t *a, const process_t *b, int64_t us);
void net_heal(void);

process_t *conn_process(const conn_t *c, int end); /* NULL: its socket is closed */
peer_check_t *conn_peer_check(const conn_t *c);
/* What the checks remember of a connection, for its server: 0 at first. */
uint32_t *conn_record(conn_t *c);
uint32_t conn_id(const conn_t *c);

#endif

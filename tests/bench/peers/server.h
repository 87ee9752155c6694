/* The peer's server: a process that this one starts, looks at and stops by its id. */
#ifndef MANDRILL_PEERS_SERVER_H
#define MANDRILL_PEERS_SERVER_H

#include "tests/bench/peers/peer.h"
#include <sys/types.h>

typedef struct {
    int64_t cpu_us, rss_kb; /* with the children it has waited for; the peak */
} usage_t;

/* A TCP port of 127.0.0.1 that is free now: > 0 or -errno. */
int server_free_port(void);
/* Starts the words of run->args, in run->dir, its output in run->dir/server.log. It dies with this process.
 */
int server_start(const peer_run_t *run, pid_t *ret);
/* -ESRCH when it has ended. */
int server_usage(pid_t pid, usage_t *ret);
bool server_has_ended(pid_t pid);
/* Asks it to end, and after some seconds makes it. */
void server_stop(pid_t pid);
/* The end of its log, to stderr. */
void server_show_log(const peer_run_t *run);

#endif

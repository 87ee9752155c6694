/* What every program's loop shares: waiting for sockets and signals, and watching itself.
 *
 *   while (loop_wait(&loop, timeout_ms) >= 0) { ... }
 *
 * Watchdog: a turn that takes more than LOOP_STALL_MS between two waits is logged (rate-limited) with the
 * turn's length. The service manager's watchdog (notify.h) is told of turns that ended. */
#ifndef MANDRILL_LOOP_H
#define MANDRILL_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

enum { LOOP_STALL_MS = 50, LOOP_ITEMS_MAX = 160 };

typedef struct {
    zmq_pollitem_t items[LOOP_ITEMS_MAX];
    int count;
    int64_t now_ms;   /* read once a turn, after the wait */
    int64_t late_ms;  /* how much later than due this turn began, plus what the last turn took: a stop or a
                         stall */
    int64_t due_ms;   /* when the wait was to end */
    int64_t turn_ms;  /* when the last wait ended */
    int64_t stall_ms; /* LOOP_STALL_MS; more for a loop that nobody waits for */
    uint64_t stalls;  /* turns of more than that */
} loop_t;

void loop_init(loop_t *l);
/* Returns the item's number, or -ENOSPC. */
int loop_add_socket(loop_t *l, void *socket);
int loop_add_fd(loop_t *l, int fd);
/* Whether the item is ready, too, when it can be written to. */
void loop_watch_writes(loop_t *l, int item, bool writes);
void loop_remove(loop_t *l, int item); /* the numbers of others stay */
bool loop_ready(const loop_t *l, int item);
/* Waits until something is ready or the time is up (due_ms: absolute; INT64_MAX: at most 1 s; sooner when the
 * service manager wants to hear of it). 0 or -errno (EINTR is not an error). */
int loop_wait(loop_t *l, int64_t due_ms);

#endif

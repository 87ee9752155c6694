/* What libzmq tells of a socket's connections as they come and go: its socket monitor, read by the wire's
 * thread. For wire.c and wire_guard.c only. */
#ifndef MANDRILL_WIRE_MONITOR_H
#define MANDRILL_WIRE_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint16_t event; /* ZMQ_EVENT_... */
    int32_t value;  /* a file descriptor, with most of them */
} monitor_event_t;

/* Before the socket binds or connects, so that no connection is missed. `events`: those that are wanted. They
 * queue without a limit until they are read. 0 or -errno. */
int monitor_open(void **ret, void *context, void *socket, int events);
/* Before the socket is closed. */
void monitor_close(void **monitor, void *socket);
/* Can be read (by poll alone) when there may be an event; it stays so until monitor_next() was false. */
int monitor_fd(void *monitor);
/* False: nothing has happened since. */
bool monitor_next(void *monitor, monitor_event_t *ret);

#endif

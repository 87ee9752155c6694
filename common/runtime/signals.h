/* Signals by signalfd: block them before any thread starts, read them in the loop. Keeps czmq from installing
 * handlers. */
#ifndef MANDRILL_SIGNALS_H
#define MANDRILL_SIGNALS_H

#include <stdint.h>

typedef enum {
    SIGNALS_NONE,
    SIGNALS_STOP,
    SIGNALS_STOP_NOW,
    SIGNALS_DUMP,
    SIGNALS_RELOAD,
    SIGNALS_CHILD
} signals_event_t;

/* Call first in main: blocks SIGINT, SIGTERM, SIGUSR1, SIGHUP, SIGCHLD, ignores SIGPIPE, turns czmq's handler
 * off, raises RLIMIT_NOFILE to its hard limit, and, when MANDRILL_SUPERVISOR=<pid> is set, asks the kernel
 * for SIGTERM at that parent's death (exits 1 when it is dead already). Returns the signalfd, or -errno. */
int signals_open(void);
/* The next event: the first SIGINT or SIGTERM is STOP, any further one STOP_NOW. NONE when nothing waits. */
signals_event_t signals_read(int fd);

#endif

/* What a service manager is told, by the protocol of sd_notify(3): lines in a datagram to the socket that
 * NOTIFY_SOCKET names. Without that variable nothing is ever sent and every call is cheap.
 *
 *   notify_open(); ... notify_ready(); while (loop_wait(...) >= 0) { ... } ... notify_stopping(drain_ms);
 *
 * Written here and not taken from libsystemd: the protocol is stable and meant to be written anew, it is a
 * page, and this one never blocks. What could not be sent is sent again from the loop.
 *
 * A process has one manager, so this is one for the process. Only for the thread of the loop. */
#ifndef MANDRILL_NOTIFY_H
#define MANDRILL_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: what this process starts is not
 * what the manager asked for. A bad value is logged and counts as none. */
void notify_open(void);
void notify_close(void);

/* Once, when others may count on this process: the moment of --announce. */
void notify_ready(void);
/* Around a reload. Before READY, and after STOPPING, nothing is told: either would be taken for READY. */
void notify_reloading(void);
void notify_reloaded(void);
/* A drain begins that may take `within_ms`: the manager waits for longer than that, whatever its own time-out
 * is. */
void notify_stopping(int64_t within_ms);

/* One line for people. True when it is time for another: every NOTIFY_STATUS_MS, at once after READY and
 * STOPPING, and never without a manager. What has not changed is not sent. */
enum { NOTIFY_STATUS_MS = 5000 };
bool notify_status_due(int64_t now_ms);
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* By the loop, once a turn: the manager's watchdog hears that turns come to their end, as often as it wants
 * to. A loop that stands still says nothing. */
void notify_alive(int64_t now_ms);
/* When notify_alive() is to be called at the latest; INT64_MAX: nobody waits for it. */
int64_t notify_next_ms(void);

#endif

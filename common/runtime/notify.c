#include "common/runtime/notify.h"
#include "common/core/message.h"
#include "common/runtime/clock.h"
#include "common/runtime/config.h"
#include "common/runtime/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    STATE_BYTES = 128,
    STATUS_BYTES = 256,
    SHOWN_BYTES = 256,
    AGAIN_MS = 100,   /* before what could not be sent is tried again */
    GRACE_MS = 15000, /* after a drain: last answers, closing what is on disk */
    WITHIN_MS_MAX = 1000000000,
};

static struct {
    int fd; /* only when `open` */
    bool open;
    struct sockaddr_un address;
    socklen_t address_len;
    bool ready, stopping;
    char state[STATE_BYTES]; /* the last one, until it has been sent */
    int64_t state_ms;        /* not before */
    bool told;               /* that nothing can be sent */
    char status[STATUS_BYTES];
    int64_t status_ms;   /* the next is due */
    int64_t watchdog_ms; /* between two of them; 0: there is no watchdog */
    int64_t alive_ms;    /* the next is due */
} manager;

/* 0 or -errno; never waits. */
static int send_text(const char *text)
{
    ssize_t n = sendto(manager.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                       (const struct sockaddr *)&manager.address, manager.address_len);
    if (n >= 0) {
        manager.told = false;
        return 0;
    }
    int r = -errno;
    if (!manager.told)
        log_warn("the service manager cannot be told: %s", strerror(-r));
    manager.told = true;
    return r;
}

static void send_state(int64_t now_ms)
{
    if (send_text(manager.state) == 0)
        manager.state[0] = '\0';
    else
        manager.state_ms = now_ms + AGAIN_MS;
}

/* Of two that could not be sent only the later one is true. */
static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(manager.state, sizeof manager.state, format, args);
    va_end(args);
    send_state(clock_ms());
}

/* --- the environment --- */

/* False: told. */
static bool take_address(const char *text)
{
    char shown[SHOWN_BYTES];
    size_t len = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof manager.address.sun_path) {
        log_warn("NOTIFY_SOCKET is \"%s\", expected a path or @NAME of at most %zu bytes: the service "
                 "manager is told nothing",
                 text_escape(text, len, shown, sizeof shown), sizeof manager.address.sun_path - 1);
        return false;
    }
    manager.address.sun_family = AF_UNIX;
    memcpy(manager.address.sun_path, text, len);
    /* Abstract: a NUL in front, and none behind, for there it would be part of the name. */
    if (text[0] == '@')
        manager.address.sun_path[0] = '\0';
    else
        len++;
    manager.address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return true;
}

/* Twice as often as asked for, as sd_watchdog_enabled(3) wants it. */
static void take_watchdog(const char *usec_text, const char *pid_text)
{
    char shown[SHOWN_BYTES];
    int64_t usec, pid;
    if (!usec_text)
        return;
    if (pid_text && (config_parse_int(pid_text, &pid) < 0 || pid != getpid()))
        return; /* another's */
    if (config_parse_int(usec_text, &usec) < 0 || usec < 2000) {
        log_warn("WATCHDOG_USEC is \"%s\", expected microseconds from 2000 on: there is no watchdog",
                 text_escape(usec_text, strlen(usec_text), shown, sizeof shown));
        return;
    }
    manager.watchdog_ms = usec / 2000;
}

void notify_open(void)
{
    const char *address = getenv("NOTIFY_SOCKET");
    notify_close();
    if (address && *address && take_address(address)) {
        manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        manager.open = manager.fd >= 0;
        if (!manager.open)
            log_warn("the service manager cannot be told: %s", strerror(errno));
    }
    if (manager.open)
        take_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_close(void)
{
    if (manager.open)
        close(manager.fd);
    memset(&manager, 0, sizeof manager);
}

/* --- states --- */

void notify_ready(void)
{
    if (!manager.open || manager.ready || manager.stopping)
        return;
    manager.ready = true;
    manager.status_ms = 0; /* what was said while it waited is over */
    tell("READY=1");
}

void notify_reloading(void)
{
    /* The time lets a manager tell this reload from an earlier one. */
    if (manager.open && manager.ready && !manager.stopping)
        tell("RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_us());
}

void notify_reloaded(void)
{
    if (manager.open && manager.ready && !manager.stopping)
        tell("READY=1");
}

void notify_stopping(int64_t within_ms)
{
    if (!manager.open || manager.stopping)
        return;
    manager.stopping = true;
    manager.status_ms = 0;
    if (within_ms > WITHIN_MS_MAX)
        within_ms = WITHIN_MS_MAX;
    tell("STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64, (within_ms + GRACE_MS) * 1000);
}

/* --- now and then --- */

bool notify_status_due(int64_t now_ms)
{
    if (!manager.open || now_ms < manager.status_ms)
        return false;
    manager.status_ms = now_ms + NOTIFY_STATUS_MS;
    return true;
}

void notify_status(const char *format, ...)
{
    static const char key[] = "STATUS=";
    char text[STATUS_BYTES];
    va_list args;
    if (!manager.open)
        return;
    memcpy(text, key, sizeof key);
    va_start(args, format);
    vsnprintf(text + sizeof key - 1, sizeof text - sizeof key + 1, format, args);
    va_end(args);
    if (strcmp(text, manager.status) != 0 && send_text(text) == 0)
        memcpy(manager.status, text, sizeof text);
}

void notify_alive(int64_t now_ms)
{
    if (!manager.open)
        return;
    if (manager.state[0] && now_ms >= manager.state_ms)
        send_state(now_ms);
    if (manager.watchdog_ms == 0 || now_ms < manager.alive_ms)
        return;
    bool sent = send_text("WATCHDOG=1") == 0;
    manager.alive_ms = now_ms + (sent || manager.watchdog_ms < AGAIN_MS ? manager.watchdog_ms : AGAIN_MS);
}

int64_t notify_next_ms(void)
{
    int64_t next_ms = INT64_MAX;
    if (manager.open && manager.watchdog_ms > 0)
        next_ms = manager.alive_ms;
    if (manager.open && manager.state[0] && manager.state_ms < next_ms)
        next_ms = manager.state_ms;
    return next_ms;
}

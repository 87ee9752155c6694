/* A service manager played by a test: it owns the socket of NOTIFY_SOCKET and counts what it is told. */
#ifndef MANDRILL_TEST_MANAGER_H
#define MANDRILL_TEST_MANAGER_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { MANAGER_TEXT_BYTES = 512 };

typedef struct {
    int fd;
    char text[MANAGER_TEXT_BYTES]; /* the last datagram */
    unsigned ready, reloading, stopping, watchdog;
    char status[MANAGER_TEXT_BYTES]; /* the last one, with STATUS= */
} manager_t;

/* Binds `name` (a path, or @ and an abstract name) and puts it into the environment, for whoever is started
 * next. False: errno. */
static inline bool manager_open(manager_t *m, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = strlen(name) + (name[0] == '/');
    *m = (manager_t){.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    memcpy(a.sun_path, name, len);
    if (name[0] == '@')
        a.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return m->fd >= 0 && bind(m->fd, (const struct sockaddr *)&a, size) == 0 &&
           setenv("NOTIFY_SOCKET", name, 1) == 0;
}

/* The next datagram; "" when there is none. */
static inline const char *manager_heard(manager_t *m)
{
    ssize_t n = recv(m->fd, m->text, sizeof m->text - 1, 0);
    m->text[n > 0 ? n : 0] = '\0';
    m->ready += strcmp(m->text, "READY=1") == 0;
    m->reloading += strncmp(m->text, "RELOADING=1\n", 12) == 0;
    m->stopping += strncmp(m->text, "STOPPING=1\n", 11) == 0;
    m->watchdog += strcmp(m->text, "WATCHDOG=1") == 0;
    if (strncmp(m->text, "STATUS=", 7) == 0)
        memcpy(m->status, m->text, sizeof m->status);
    return m->text;
}

#endif

#include "common/runtime/wire_monitor.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

enum { EVENT_BYTES = sizeof(uint16_t) + sizeof(int32_t) };

int monitor_open(void **ret, void *context, void *socket, int events)
{
    char name[64];
    snprintf(name, sizeof name, "inproc://wire-monitor-%p", socket);
    void *monitor = zmq_socket(context, ZMQ_PAIR);
    if (monitor == NULL)
        return -zmq_errno();
    int error = 0;
    /* Without a limit: with one, a full monitor would stop the thread that does all I/O. */
    const int no_limit = 0;
    if (zmq_setsockopt(monitor, ZMQ_RCVHWM, &no_limit, sizeof no_limit) != 0)
        error = -zmq_errno();
    if (error == 0 && zmq_socket_monitor(socket, name, events) != 0)
        error = -zmq_errno();
    if (error == 0 && zmq_connect(monitor, name) != 0)
        error = -zmq_errno();
    if (error != 0) {
        monitor_close(&monitor, socket);
        return error;
    }
    /* The descriptor tells of what comes after a read that found nothing. */
    monitor_event_t none;
    monitor_next(monitor, &none);
    *ret = monitor;
    return 0;
}

void monitor_close(void **monitor, void *socket)
{
    if (*monitor == NULL)
        return;
    zmq_socket_monitor(socket, NULL, 0);
    zmq_close(*monitor);
    *monitor = NULL;
}

int monitor_fd(void *monitor)
{
    int fd = -1;
    size_t len = sizeof fd;
    zmq_getsockopt(monitor, ZMQ_FD, &fd, &len);
    assert(fd >= 0);
    return fd;
}

bool monitor_next(void *monitor, monitor_event_t *ret)
{
    uint8_t bytes[EVENT_BYTES];
    int len;
    while ((len = zmq_recv(monitor, bytes, sizeof bytes, ZMQ_DONTWAIT)) != EVENT_BYTES)
        if (len < 0 && zmq_errno() != EINTR)
            return false;
    zmq_recv(monitor, NULL, 0, ZMQ_DONTWAIT); /* the address: our own end, of no use */
    memcpy(&ret->event, bytes, sizeof ret->event);
    memcpy(&ret->value, bytes + sizeof ret->event, sizeof ret->value);
    return true;
}

/* What the programs take for their machine: clocks, random ids, signals, poll. */
#include "common/core/backoff.h"
#include "common/core/message.h"
#include "common/runtime/clock.h"
#include "common/runtime/signals.h"
#include "tests/sim/net.h"
#include "tests/sim/trace.h"
#include "tests/sim/world.h"
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
#include <zmq.h>

enum {
    TURN_US_MAX = 100, /* what a turn costs the processor */
    SIGNALS_FD = 3,
};

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
pid_t __wrap_getpid(void);
int __wrap_gethostname(char *name, size_t len);

int64_t clock_us(void)
{
    return world.now_us;
}

int64_t clock_ms(void)
{
    return world.now_us / 1000;
}

int64_t clock_wall_ms(void)
{
    int64_t off_us = world.current != NULL ? world.current->wall_us : 0;
    return WALL_START_S * INT64_C(1000) + (world.now_us + off_us) / 1000;
}

uint64_t clock_random_id(void)
{
    uint64_t id;
    do {
        id = random_next(&world.ids) >> 1;
    } while (id == 0);
    return id;
}

/* --- signals: SIGTERM is all there is --- */

int signals_open(void)
{
    return SIGNALS_FD;
}

signals_event_t signals_read(int fd)
{
    process_t *p = world.current;
    assert(fd == SIGNALS_FD);
    if (p->terms == 0)
        return SIGNALS_NONE;
    p->terms--;
    bool first = !p->termed;
    p->termed = true;
    return first ? SIGNALS_STOP : SIGNALS_STOP_NOW;
}

/* --- waiting --- */

static int64_t item_us(const process_t *p, const zmq_pollitem_t *item)
{
    if (item->socket != NULL)
        return net_readable_us(item->socket);
    if (item->fd >= WIRE_FD_FIRST)
        return net_reconnected_us(item->fd);
    return item->fd == SIGNALS_FD && p->terms > 0 ? world.now_us : INT64_MAX;
}

int zmq_poll(zmq_pollitem_t *items, int n, long timeout_ms)
{
    process_t *p = world.current;
    const plan_t *plan = &world.plan;
    world_step();
    int64_t begins_us = world.now_us + chance_between(1, TURN_US_MAX);
    int64_t until_us = timeout_ms < 0 ? INT64_MAX : begins_us + timeout_ms * 1000;
    for (int i = 0; i < n; i++) {
        int64_t at_us = item_us(p, &items[i]);
        until_us = at_us < until_us ? at_us : until_us;
    }
    p->polls = true;
    process_wait(until_us > begins_us ? until_us : begins_us);
    p->polls = false;
    /* It may be late. Not while nothing else goes wrong: that ends some time. */
    if (world.faults && chance(plan->stalls))
        process_sleep(chance_between(0, plan->stall_us));
    int ready = 0;
    for (int i = 0; i < n; i++) {
        items[i].revents = item_us(p, &items[i]) <= world.now_us ? items[i].events : 0;
        ready += items[i].revents != 0;
    }
    return ready;
}

int zmq_errno(void)
{
    return 0;
}

/* A program that only waits. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    assert(fds == NULL && n == 0);
    (void)fds, (void)n;
    process_sleep((int64_t)timeout_ms * 1000);
    return 0;
}

/* They stand in labels, whose length must not depend on who runs this, and where. */
pid_t __wrap_getpid(void)
{
    return 1000 + (pid_t)(world.current != NULL ? world.current->index : 0);
}

int __wrap_gethostname(char *name, size_t len)
{
    snprintf(name, len, "%s", world.current != NULL ? world.current->name : "sim");
    return 0;
}

#include "common/runtime/loop.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/notify.h"
#include <errno.h>
#include <string.h>

enum { IDLE_MS = 1000, WAIT_MS_MAX = 3600000 };

void loop_init(loop_t *l)
{
    memset(l, 0, sizeof(*l));
    l->now_ms = clock_ms();
    l->stall_ms = LOOP_STALL_MS;
}

/* A slot that nothing waits for: poll() skips negative descriptors. */
static void clear(zmq_pollitem_t *item)
{
    *item = (zmq_pollitem_t){.fd = -1};
}

static bool is_clear(const zmq_pollitem_t *item)
{
    return !item->socket && item->fd < 0;
}

static int add(loop_t *l, void *socket, int fd)
{
    int i = 0;
    while (i < l->count && !is_clear(&l->items[i]))
        i++;
    if (i == LOOP_ITEMS_MAX)
        return -ENOSPC;
    if (i == l->count)
        l->count++;
    l->items[i] = (zmq_pollitem_t){.socket = socket, .fd = fd, .events = ZMQ_POLLIN};
    return i;
}

int loop_add_socket(loop_t *l, void *socket)
{
    return add(l, socket, -1);
}

int loop_add_fd(loop_t *l, int fd)
{
    return add(l, NULL, fd);
}

void loop_watch_writes(loop_t *l, int item, bool writes)
{
    if (item >= 0 && item < l->count)
        l->items[item].events = (short)(ZMQ_POLLIN | (writes ? ZMQ_POLLOUT : 0));
}

void loop_remove(loop_t *l, int item)
{
    if (item < 0 || item >= l->count)
        return;
    clear(&l->items[item]);
    while (l->count > 0 && is_clear(&l->items[l->count - 1]))
        l->count--;
}

bool loop_ready(const loop_t *l, int item)
{
    return item >= 0 && item < l->count && l->items[item].revents != 0;
}

int loop_wait(loop_t *l, int64_t due_ms)
{
    int64_t before_ms = clock_ms();
    int64_t turn_took_ms = l->turn_ms > 0 ? before_ms - l->turn_ms : 0; /* the first has no beginning */
    if (turn_took_ms > l->stall_ms) {
        l->stalls++;
        log_limited(LOG_WARN, "a turn of the loop took %lld ms", (long long)turn_took_ms);
    }
    notify_alive(before_ms);
    if (notify_next_ms() < due_ms)
        due_ms = notify_next_ms();
    int64_t wait_ms = IDLE_MS;
    if (due_ms != INT64_MAX)
        wait_ms = due_ms <= before_ms                ? 0
                  : due_ms - before_ms < WAIT_MS_MAX ? due_ms - before_ms
                                                     : WAIT_MS_MAX;
    l->due_ms = before_ms + wait_ms;
    int n = zmq_poll(l->items, l->count, (long)wait_ms);
    int r = n < 0 && zmq_errno() != EINTR ? -zmq_errno() : 0;
    for (int i = 0; n < 0 && i < l->count; i++)
        l->items[i].revents = 0;
    l->now_ms = l->turn_ms = clock_ms();
    int64_t overslept_ms = l->now_ms > l->due_ms ? l->now_ms - l->due_ms : 0;
    l->late_ms = overslept_ms + turn_took_ms;
    return r;
}

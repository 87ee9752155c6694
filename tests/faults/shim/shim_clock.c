/* A wall clock that somebody has set. Durations are nobody's to set. */
#define _DEFAULT_SOURCE /* syscall(): the real clock */
#include "tests/faults/shim/shim.h"

#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MS_PER_S = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000, NS_PER_US = 1000 };

static int read_clock(clockid_t id, struct timespec *ret)
{
    const shim_control_t *c = shim_control();
    int rc = (int)syscall(SYS_clock_gettime, id, ret);

    if (rc != 0 || c == NULL || (id != CLOCK_REALTIME && id != 5 /* CLOCK_REALTIME_COARSE */))
        return rc;
    int64_t ms = atomic_load(&c->wall_ms);
    ret->tv_sec += ms / MS_PER_S;
    ret->tv_nsec += ms % MS_PER_S * NS_PER_MS;
    if (ret->tv_nsec < 0) {
        ret->tv_sec--;
        ret->tv_nsec += NS_PER_S;
    } else if (ret->tv_nsec >= NS_PER_S) {
        ret->tv_sec++;
        ret->tv_nsec -= NS_PER_S;
    }
    return rc;
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
    return read_clock(id, ret);
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec t;

    (void)zone;
    if (read_clock(CLOCK_REALTIME, &t) != 0)
        return -1;
    *ret = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / NS_PER_US};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec t;

    if (read_clock(CLOCK_REALTIME, &t) != 0)
        return (time_t)-1;
    if (ret != NULL)
        *ret = t.tv_sec;
    return t.tv_sec;
}

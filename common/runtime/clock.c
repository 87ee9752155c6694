#include "common/runtime/clock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

void clock_wall_text(int64_t wall_ms, char text[static WALL_TEXT])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    char date[24];
    if (wall_ms < 0 || !gmtime_r(&seconds, &utc) ||
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc) == 0)
        snprintf(text, WALL_TEXT, "%" PRId64, wall_ms);
    else
        snprintf(text, WALL_TEXT, "%s.%03dZ", date, (int)(wall_ms % 1000));
}

uint64_t clock_random_id(void)
{
    uint64_t id = 0;
    while (id == 0) {
        ssize_t n = getrandom(&id, sizeof(id), 0);
        /* Without random ids two sessions could be taken for one: nothing sensible can be done then. */
        if (n < 0 && errno != EINTR)
            abort();
        id = n == (ssize_t)sizeof(id) ? id >> 1 : 0;
    }
    return id;
}

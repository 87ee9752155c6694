#include "cli/restarts.h"
#include "common/core/backoff.h"

void restarts_init(restarts_t *r)
{
    *r = (restarts_t){0};
}

bool restarts_allow(restarts_t *r, int64_t now_ms)
{
    /* When the ring is full, `next` is the oldest of the last RESTARTS_MAX. */
    if (r->count == RESTARTS_MAX && now_ms - r->at_ms[r->next] < RESTARTS_WINDOW_MS)
        return false;
    r->at_ms[r->next] = now_ms;
    r->next = (r->next + 1) % RESTARTS_MAX;
    if (r->count < RESTARTS_MAX)
        r->count++;
    return true;
}

int64_t restarts_wait_ms(uint32_t n)
{
    static const backoff_t backoff = {.base_ms = 100, .factor = 2, .cap_ms = 2000};
    return backoff_limit_ms(&backoff, n);
}

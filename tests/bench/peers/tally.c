#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "tests/bench/peers/tally.h"
#include <errno.h>
#include <sys/mman.h>

int tally_new(tally_t **ret, uint64_t count)
{
    const uint64_t each = sizeof(int64_t) + sizeof(uint8_t);
    const size_t bytes = sizeof(tally_t) + (count + 1) * each;
    tally_t *t = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (t == MAP_FAILED)
        return -errno;
    t->count = count;
    t->bytes = bytes;
    /* At the same address in all: they are forked. */
    t->published_us = (_Atomic int64_t *)(t + 1);
    t->groups = (_Atomic uint8_t *)(t->published_us + count + 1);
    *ret = t;
    return 0;
}

void tally_destroy(tally_t **t)
{
    if (*t)
        munmap(*t, (*t)->bytes);
    *t = NULL;
}

void tally_published(tally_t *t, uint64_t first, uint32_t n, int64_t now_us)
{
    if (first == 1)
        t->started_us = now_us;
    for (uint32_t i = 0; i < n; i++)
        atomic_store_explicit(&t->published_us[first + i], now_us, memory_order_release);
    t->published = first + n - 1;
}

int tally_received(tally_t *t, group_t group, uint64_t number)
{
    if (number < 1 || number > t->published)
        return -EINVAL;
    atomic_fetch_add_explicit(&t->received[group], 1, memory_order_relaxed);
    return 0;
}

void tally_acked(tally_t *t, group_t group, uint64_t number, int64_t now_us)
{
    const uint8_t own = (uint8_t)(1U << group);
    const uint8_t before = atomic_fetch_or(&t->groups[number], own);
    if (before & own)
        return;
    if (before)
        histogram_add(&t->latency[group],
                      now_us - atomic_load_explicit(&t->published_us[number], memory_order_acquire));
    t->ended_us[group] = now_us;
    t->acked[group]++;
}

int tally_is_done(const tally_t *t, group_t group)
{
    return t->acked[group] == t->count;
}

uint64_t tally_finished(const tally_t *t)
{
    const uint64_t save = t->acked[GROUP_SAVE], nothing = t->acked[GROUP_NOTHING];
    return save < nothing ? save : nothing;
}

uint64_t tally_in_flight(const tally_t *t)
{
    return t->published - tally_finished(t);
}

uint64_t tally_duplicates(const tally_t *t)
{
    return t->received[GROUP_SAVE] - t->acked[GROUP_SAVE] + t->received[GROUP_NOTHING] -
           t->acked[GROUP_NOTHING];
}

double tally_seconds(const tally_t *t)
{
    const int64_t save_us = t->ended_us[GROUP_SAVE], nothing_us = t->ended_us[GROUP_NOTHING];
    return (double)((save_us > nothing_us ? save_us : nothing_us) - t->started_us) / 1e6;
}

void tally_latency(const tally_t *t, histogram_t *ret)
{
    histogram_init(ret);
    for (group_t group = 0; group < GROUPS; group++) {
        const histogram_t *h = &t->latency[group];
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
            ret->counts[i] += h->counts[i];
        ret->total += h->total;
        if (h->max_us > ret->max_us)
            ret->max_us = h->max_us;
    }
}

/* What publishers and consumers of all peers have in common. */
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "tests/bench/peers/peer.h"
#include "tests/bench/peers/saver.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    /* How often the rate is looked at: as Mandrill's publisher does. */
    RATE_TICK_US = 1000,
    FULL_WAIT_US = 200,
    READY_WAIT_US = 1000,
};

/* --- publishing */

static void wait_us(int64_t us)
{
    const struct timespec t = {.tv_nsec = us * 1000};
    nanosleep(&t, NULL);
}

/* How many the rate allows by now, in all. */
static uint64_t due(const peer_run_t *run, int64_t started_us, int64_t now_us)
{
    const double n = (double)(now_us - started_us) * run->rate / 1e6 + 1;
    return run->rate <= 0 || n > (double)run->count ? run->count : (uint64_t)n;
}

uint32_t peer_next(peer_run_t *run, uint64_t next)
{
    tally_t *t = run->tally;
    if (next > run->count)
        return 0;
    while (!t->ready[GROUP_SAVE] || !t->ready[GROUP_NOTHING])
        wait_us(READY_WAIT_US);
    for (;;) {
        const int64_t now_us = clock_us();
        const uint64_t allowed = due(run, next == 1 ? now_us : t->started_us, now_us);
        const uint64_t room = run->in_flight - tally_in_flight(t);
        uint64_t n = allowed >= next ? allowed - next + 1 : 0;
        if (n > room)
            n = room;
        if (n > BATCH_MAX)
            n = BATCH_MAX;
        if (n > 0) {
            tally_published(t, next, (uint32_t)n, now_us);
            return (uint32_t)n;
        }
        wait_us(room > 0 ? RATE_TICK_US : FULL_WAIT_US);
    }
}

const char *peer_body(const peer_run_t *run, uint64_t number)
{
    static char body[BODY_MAX];
    if (number == 1)
        memset(body, 'x', sizeof(body));
    memcpy(body, &number, sizeof(number));
    (void)run;
    return body;
}

/* --- consuming */

struct peer_batch {
    tally_t *tally;
    group_t group;
    saver_t *saver; /* of the group "save" */
    uint32_t size_bytes, count;
    uint64_t numbers[BATCH_MAX];
    char *bodies;
};

int peer_batch_new(peer_batch_t **ret, peer_run_t *run, group_t group)
{
    char path[PATH_MAX];
    peer_batch_t *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->tally = run->tally;
    b->group = group;
    b->size_bytes = run->size_bytes;
    b->bodies = malloc((size_t)BATCH_MAX * run->size_bytes);
    snprintf(path, sizeof(path), "%s/saved.db", run->dir);
    int r = b->bodies ? 0 : -ENOMEM;
    if (r == 0 && group == GROUP_SAVE)
        r = saver_open(&b->saver, path);
    if (r < 0) {
        peer_batch_destroy(&b);
        return r;
    }
    *ret = b;
    return 0;
}

void peer_batch_destroy(peer_batch_t **b)
{
    if (*b) {
        saver_close(&(*b)->saver);
        free((*b)->bodies);
    }
    free(*b);
    *b = NULL;
}

void peer_batch_ready(peer_batch_t *b)
{
    b->tally->ready[b->group] = 1;
}

int peer_batch_add(peer_batch_t *b, const char *body, size_t len)
{
    uint64_t number = 0;
    if (len == b->size_bytes)
        memcpy(&number, body, sizeof(number));
    if (len != b->size_bytes || b->count == BATCH_MAX || tally_received(b->tally, b->group, number) < 0) {
        log_error("a message of %zu bytes with the number %" PRIu64 " was not published", len, number);
        return -EINVAL;
    }
    b->numbers[b->count] = number;
    if (b->saver)
        memcpy(b->bodies + (size_t)b->count * b->size_bytes, body, len);
    b->count++;
    return 0;
}

uint32_t peer_batch_count(const peer_batch_t *b)
{
    return b->count;
}

uint64_t peer_batch_number(const peer_batch_t *b, uint32_t i)
{
    return b->numbers[i];
}

int peer_batch_work(peer_batch_t *b)
{
    if (!b->saver || b->count == 0)
        return 0;
    int r = saver_begin(b->saver);
    for (uint32_t i = 0; r == 0 && i < b->count; i++)
        r = saver_add(b->saver, b->numbers[i], b->bodies + (size_t)i * b->size_bytes, b->size_bytes);
    return r == 0 ? saver_commit(b->saver) : r;
}

void peer_batch_acked(peer_batch_t *b)
{
    const int64_t now_us = clock_us();
    for (uint32_t i = 0; i < b->count; i++)
        tally_acked(b->tally, b->group, b->numbers[i], now_us);
    b->count = 0;
}

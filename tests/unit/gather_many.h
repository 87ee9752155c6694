/* What the tests of the gather begin with that need many messages, and a hard limit. */
#ifndef MANDRILL_GATHER_MANY_H
#define MANDRILL_GATHER_MANY_H

#include "common/core/gather_internal.h"
#include "tests/unit/gather_fixture.h"

enum { LIMIT_MS = 5000, MANY = 64 };

static inline int setup_many(void **state)
{
    gather_limits_t limits = {.messages_max = MANY,
                              .extend_ms = EXTEND_MS,
                              .extend_every_ms = 1000 * EVERY_MS,
                              .report_after_ms = REPORT_MS,
                              .policy = {.max_tries = 5,
                                         .backoff = {.base_ms = 200, .factor = 2, .cap_ms = 30000},
                                         .limit_hard_ms = LIMIT_MS},
                              .seed = 1};
    *state = gather_new(&limits);
    return 0;
}

static inline void deliver_many(gather_t *g, uint64_t first, uint64_t last)
{
    for (uint64_t seq = first; seq <= last; seq++)
        deliver(g, seq, seq, 1, 0);
}

/* How many the worker may have now, and keeps. */
static inline uint32_t give_all(gather_t *g, uint32_t worker)
{
    gather_task_t task;
    uint32_t n = 0;
    while (gather_give(g, SAVE, worker, false, 0, &task))
        n++;
    return n;
}

static inline uint8_t failures(const gather_t *g, uint64_t seq)
{
    uint32_t slot = gather_table_find(g, (message_id_t){900, seq});
    assert_true(slot != INDEX_NONE);
    return g->tasks[slot * LEGS_MAX + SAVE].failures;
}

static inline uint32_t outstanding(const gather_t *g, uint32_t worker)
{
    return g->workers[worker].running.count + g->workers[worker].strays.count;
}

#define MANY_TEST(name) cmocka_unit_test_setup_teardown(name, setup_many, teardown)

#endif

/* Large messages that die, or are redriven, by the hundred in one round: no commit is larger than what a full
 * disk keeps room for. */
#define _DEFAULT_SOURCE     /* see disk_faults.h */
#define _LARGEFILE64_SOURCE /* see disk_faults.h */
#include "tests/unit/disk_faults.h"
#include "tests/unit/round_fixture.h"

enum {
    LARGE = 60000,
    MANY = 256,
    /* What one commit may find in the log, and what it may add. */
    LOG_BYTES = 2 * ROUND_BYTES_MAX + ROUND_BYTES_MAX,
    EXPIRE_MAX = 4096,
};

static int setup(void **state)
{
    write_errno = sync_errno = writes_left = 0;
    log_bytes_max = 0;
    if (world_open(state) < 0)
        return -1;
    world_t *w = *state;
    close_world(w, true);
    w->limits.max_deliveries = 2;
    w->limits.ready_max = 1024;
    w->limits.ready_bytes_max = 64 << 20;
    open_world(w);
    return 0;
}

/* So many large ones that are out; from now on the log is full when a commit takes too much of it. */
static void lease_large(world_t *w, unsigned n)
{
    static char body[LARGE];
    delivery_session_open(w->delivery, SESSION, 1000);
    for (unsigned i = 0; i < n; i++) {
        size_t at = w->round.bodies.len;
        buffer_append(&w->round.bodies, body, sizeof body);
        assert_int_equal(round_insert(&w->round, at, NULL), 0);
        if (!round_takes_more(&w->round))
            commit(w);
    }
    size_t out = 0;
    for (size_t more = 1; more > 0; out += more) {
        commit(w);
        more = delivery_take(w->delivery, SESSION, outbox_dispatched_to(w->outbox), n - out, w->now_ms,
                             w->items + out);
        delivery_sent(w->delivery, w->items + out, more);
    }
    assert_int_equal(out, n);
    log_bytes_max = LOG_BYTES;
    write_errno = ENOSPC;
}

static void fail_item(world_t *w, unsigned item, uint32_t *ret_place)
{
    const step_t s = {.token = w->items[item].token, .bad = BOTH, .text = {"no power", 8}};
    *ret_place = round_step(&w->round, SESSION, w->items[item].id, &s);
}

static void many_that_fail_go_in_pieces(void **state)
{
    world_t *w = *state;
    uint32_t places[MANY];
    lease_large(w, MANY);
    for (unsigned i = 0; i < MANY; i++)
        fail_item(w, i, &places[i]);
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.steps_count, MANY); /* all answers are still to be given */
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(w->round.codes[places[i]], STEP_DEAD);
    round_end(&w->round);
    assert_int_equal(outbox_dead(w->outbox), MANY);
    assert_int_equal(outbox_living(w->outbox), 0);
    assert_int_equal(w->round.counts.died, MANY);
    assert_int_equal(gauges(w).total, 0);
}

/* Small ones are one commit, as they were. */
static void few_that_fail_are_one_commit(void **state)
{
    world_t *w = *state;
    uint32_t place;
    lease_large(w, ROUND_BYTES_MAX / LARGE);
    unsigned before = syncs;
    for (unsigned i = 0; i < ROUND_BYTES_MAX / LARGE; i++)
        fail_item(w, i, &place);
    assert_int_equal(syncs, before);
    log_bytes_max = 0;
    write_errno = 0;
    commit(w);
    assert_in_range(syncs, before + 1, before + 4); /* a checkpoint */
    assert_int_equal(outbox_dead(w->outbox), ROUND_BYTES_MAX / LARGE);
}

/* What was committed stays, the others are done again, and each dies once. */
static void a_disk_that_fills_up_among_them(void **state)
{
    world_t *w = *state;
    uint32_t places[MANY];
    lease_large(w, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        if (i == MANY / 2) {
            log_bytes_max = 0;
            writes_left = 0;
        }
        fail_item(w, i, &places[i]);
    }
    assert_int_equal(round_commit(&w->round), -ENOSPC);
    uint64_t before = outbox_dead(w->outbox);
    assert_in_range(before, 1, MANY / 2);
    assert_int_equal(w->round.counts.died, before);
    assert_int_equal(gauges(w).leased, MANY - before);
    assert_int_equal(round_again(&w->round), -ENOSPC);
    log_bytes_max = LOG_BYTES;
    assert_int_equal(round_again(&w->round), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(w->round.codes[places[i]], STEP_DEAD);
    round_end(&w->round);
    assert_int_equal(outbox_dead(w->outbox), MANY);
    assert_int_equal(w->round.counts.died, MANY);
    assert_int_equal(gauges(w).total, 0);
}

static void a_disk_that_fails_among_them(void **state)
{
    world_t *w = *state;
    uint32_t place;
    lease_large(w, MANY);
    sync_errno = EIO;
    for (unsigned i = 0; i < MANY; i++)
        fail_item(w, i, &place);
    assert_int_equal(round_commit(&w->round), -EIO);
    sync_errno = 0;
    assert_int_equal(outbox_dead(w->outbox), 0);
    assert_int_equal(gauges(w).leased, MANY);
    assert_int_equal(round_again(&w->round), -EIO);
}

static void time_goes_on(world_t *w, int64_t ms)
{
    w->now_ms += ms;
    round_time(&w->round, w->now_ms, w->now_ms * 1000, clock_wall_ms());
}

/* Leases that run out together, twice: the second time they die. */
static void many_that_expire_go_in_rounds(void **state)
{
    world_t *w = *state;
    lease_large(w, MANY);
    unsigned rounds = 0;
    for (int life = 0; life < 2; life++) {
        time_goes_on(w, 20000);
        while (gauges(w).leased > 0) {
            assert_true(round_expire(&w->round, EXPIRE_MAX) > 0);
            commit(w);
            assert_true(++rounds < MANY);
        }
        if (life == 0) {
            assert_int_equal(rounds, 1); /* no body moves */
            size_t n = delivery_take(w->delivery, SESSION, UINT64_MAX, MANY, w->now_ms, w->items);
            delivery_sent(w->delivery, w->items, n);
            assert_int_equal(n, MANY);
        }
    }
    assert_int_equal(outbox_dead(w->outbox), MANY);
    assert_in_range(rounds, 1 + MANY * LARGE / (2 * ROUND_BYTES_MAX), 2 + MANY * LARGE / ROUND_BYTES_MAX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(many_that_fail_go_in_pieces),     TEST(few_that_fail_are_one_commit),
        TEST(a_disk_that_fills_up_among_them), TEST(a_disk_that_fails_among_them),
        TEST(many_that_expire_go_in_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

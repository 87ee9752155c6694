/* A round over a real outbox: nothing is true before the commit, and everything after it. */
#define _DEFAULT_SOURCE     /* see disk_faults.h */
#define _LARGEFILE64_SOURCE /* see disk_faults.h */
#include "tests/unit/disk_faults.h"
#include "tests/unit/round_fixture.h"

static int setup(void **state)
{
    write_errno = sync_errno = writes_left = 0;
    return world_open(state);
}

static void new_messages_are_ready_after_the_commit(void **state)
{
    world_t *w = *state;
    insert(w, 3);
    assert_int_equal(gauges(w).total, 0);
    assert_int_equal(w->round.counts.published, 0);
    commit(w);
    assert_int_equal(gauges(w).ready, 3);
    assert_int_equal(w->round.counts.published, 3);
    assert_int_equal(outbox_living(w->outbox), 3);
}

static void done_messages_leave(void **state)
{
    world_t *w = *state;
    lease(w, 4);
    step_item(w, 0, BOTH, OP_NONE);
    step_item(w, 1, SAVE, OP_EXTEND);
    step_item(w, 2, 0, OP_RELEASE);
    uint32_t stranger = step(w, TEST_EPOCH(1, 999), 5, BOTH, OP_NONE, "");
    uint32_t unknown = step(w, 0, 5, BOTH, OP_NONE, "");
    assert_int_equal(gauges(w).total, 4);
    assert_int_equal(outbox_living(w->outbox), 4);
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[0], STEP_DONE);
    assert_int_equal(w->round.codes[1], STEP_KEPT);
    assert_int_equal(w->round.codes[2], STEP_RETURNED);
    assert_int_equal(w->round.codes[stranger], STEP_GONE);
    assert_int_equal(w->round.codes[unknown], STEP_GONE);
    round_end(&w->round);
    assert_int_equal(outbox_living(w->outbox), 3);
    assert_int_equal(w->round.counts.acked, 1);
    assert_int_equal(w->round.counts.legs_done[0], 2);
    assert_int_equal(w->round.counts.legs_done[1], 1);
    assert_int_equal(w->round.counts.latency.total, 1);
    /* The other leg later: nothing is counted twice. */
    step_item(w, 1, BOTH, OP_NONE);
    commit(w);
    assert_int_equal(w->round.counts.legs_done[0], 2);
    assert_int_equal(w->round.counts.legs_done[1], 2);
}

static void extensions_alone_need_no_disk(void **state)
{
    world_t *w = *state;
    lease(w, 2);
    unsigned before = syncs;
    step_item(w, 0, 0, OP_EXTEND);
    commit(w);
    assert_int_equal(syncs, before);
    assert_int_equal(gauges(w).extended, 1);
}

/* --- failures --- */

static void a_full_disk_keeps_the_steps(void **state)
{
    world_t *w = *state;
    lease(w, 3);
    insert(w, 5);
    assert_int_equal(round_client(&w->round, 77, 1, TEST_EPOCH(1, 4), 5), 0);
    step_item(w, 0, BOTH, OP_NONE);
    step_item(w, 1, 0, OP_NACK);
    write_errno = ENOSPC;
    assert_int_equal(round_commit(&w->round), -ENOSPC);
    assert_int_equal(gauges(w).leased, 3);
    assert_int_equal(gauges(w).ready, 0);
    assert_int_equal(outbox_living(w->outbox), 3);
    assert_int_equal(w->round.counts.acked, 0);
    assert_int_equal(w->round.counts.published, 3);
    assert_int_equal(round_again(&w->round), -ENOSPC); /* still full */
    assert_int_equal(gauges(w).leased, 3);
    write_errno = 0;
    assert_int_equal(round_again(&w->round), 0);
    assert_int_equal(w->round.codes[0], STEP_DONE);
    assert_int_equal(w->round.codes[1], STEP_RETURNED);
    round_end(&w->round);
    assert_int_equal(outbox_living(w->outbox), 2); /* what was new is gone */
    assert_int_equal(w->round.counts.acked, 1);
    uint64_t number, first;
    uint32_t stored;
    assert_int_equal(outbox_client(w->outbox, 77, &number, &first, &stored), -ENOENT);
    insert(w, 1);
    commit(w);
    assert_int_equal(gauges(w).ready, 1);
    assert_int_equal(scan_all(w->outbox).ids[2], TEST_EPOCH(1, 4));
}

/* What has counted without the disk does not count again, and is answered as it was. */
static void a_round_again_extends_and_releases_once(void **state)
{
    world_t *w = *state;
    lease(w, 3);
    step_item(w, 0, BOTH, OP_NONE);
    step_item(w, 1, SAVE, OP_EXTEND);
    step_item(w, 2, 0, OP_RELEASE);
    write_errno = ENOSPC;
    assert_int_equal(round_commit(&w->round), -ENOSPC);
    assert_int_equal(round_again(&w->round), -ENOSPC);
    write_errno = 0;
    assert_int_equal(round_again(&w->round), 0);
    assert_int_equal(w->round.codes[0], STEP_DONE);
    assert_int_equal(w->round.codes[1], STEP_KEPT);
    assert_int_equal(w->round.codes[2], STEP_RETURNED);
    round_end(&w->round);
    assert_int_equal(gauges(w).extended, 1);
    assert_int_equal(gauges(w).leased, 1);
    assert_int_equal(gauges(w).total, 2);
    assert_int_equal(w->round.counts.legs_done[0], 2);
}

/* Done again, a round goes in pieces: what fits is committed, and is not done a second time. */
static void a_round_again_goes_in_pieces(void **state)
{
    enum { STEPS = 600 };
    world_t *w = *state;
    close_world(w, true);
    w->limits.ready_max = 1024;
    open_world(w);
    lease(w, STEPS);
    for (unsigned i = 0; i < STEPS; i++)
        step_item(w, i, BOTH, OP_NONE);
    write_errno = ENOSPC;
    assert_int_equal(round_commit(&w->round), -ENOSPC);
    int r = -ENOSPC;
    unsigned partly = 0;
    for (int left = 0; r < 0; left++) {
        writes_left = left;
        r = round_again(&w->round);
        uint64_t done = w->round.counts.acked;
        assert_true(done == 0 || done == 256 || done == 512 || done == STEPS);
        assert_int_equal(outbox_living(w->outbox), STEPS - done);
        partly += r < 0 && done > 0;
    }
    write_errno = 0;
    assert_int_equal(r, 0);
    assert_true(partly > 0);
    for (unsigned i = 0; i < STEPS; i++)
        assert_int_equal(w->round.codes[i], STEP_DONE);
    assert_int_equal(w->round.counts.acked, STEPS);
    round_end(&w->round);
    assert_int_equal(gauges(w).total, 0);
}

/* Something has failed before the commit. */
static void a_failed_round_is_undone(void **state)
{
    world_t *w = *state;
    lease(w, 2);
    insert(w, 5);
    step_item(w, 0, BOTH, OP_NONE);
    assert_int_equal(round_fail(&w->round, 0), 0);
    assert_int_equal(round_fail(&w->round, -ENOSPC), -ENOSPC);
    insert(w, 1);
    assert_int_equal(round_commit(&w->round), -ENOSPC);
    assert_int_equal(round_again(&w->round), 0);
    round_end(&w->round);
    assert_int_equal(scan_all(w->outbox).count, 1);
    assert_int_equal(gauges(w).ready, 0);
    insert(w, 1);
    commit(w);
    assert_int_equal(gauges(w).ready, 1);
}

/* Wherever in the round the disk fills up, all or nothing. */
static void a_full_disk_at_any_write(void **state)
{
    world_t *w = *state;
    unsigned failed = 0;
    lease(w, 30);
    for (unsigned i = 0; i < 30; i++) {
        uint64_t living = outbox_living(w->outbox), acked = w->round.counts.acked;
        write_errno = ENOSPC;
        writes_left = (int)i;
        insert(w, 2);
        step_item(w, i, BOTH, OP_NONE);
        int r = round_commit(&w->round);
        write_errno = 0;
        if (r == 0) {
            assert_int_equal(outbox_living(w->outbox), living + 1);
        } else {
            failed++;
            assert_int_equal(r, -ENOSPC);
            assert_int_equal(outbox_living(w->outbox), living);
            assert_int_equal(w->round.counts.acked, acked);
            assert_int_equal(round_again(&w->round), 0);
            assert_int_equal(outbox_living(w->outbox), living - 1);
        }
        assert_int_equal(w->round.codes[0], STEP_DONE);
        assert_int_equal(w->round.counts.acked, acked + 1);
        round_end(&w->round);
    }
    assert_in_range(failed, 2, 29);
}

static void a_failed_fsync_is_the_end(void **state)
{
    world_t *w = *state;
    lease(w, 2);
    insert(w, 1);
    step_item(w, 0, BOTH, OP_NONE);
    sync_errno = EIO;
    assert_int_equal(round_commit(&w->round), -EIO);
    sync_errno = 0;
    assert_int_equal(gauges(w).leased, 2);
    assert_int_equal(gauges(w).ready, 0);
    assert_int_equal(w->round.counts.acked, 0);
    assert_int_equal(round_again(&w->round), -EIO);
}

/* --- dispatched_to --- */

static void dispatched_to_runs_ahead_in_blocks(void **state)
{
    world_t *w = *state;
    insert(w, 3);
    commit(w);
    assert_int_equal(outbox_dispatched_to(w->outbox), 0); /* nobody is there */
    assert_int_equal(take(w, 10), 0);
    delivery_session_open(w->delivery, SESSION, 1000);
    unsigned before = syncs;
    commit(w);
    assert_int_equal(syncs, before + 1);
    assert_int_equal(outbox_dispatched_to(w->outbox), TEST_EPOCH(1, 1 + AHEAD));
    assert_int_equal(take(w, 10), 3);
    /* Until half of the block is left, nothing of it is written; then in passing. */
    before = syncs;
    for (int i = 0; i < 47; i++) {
        insert(w, 1);
        commit(w);
        assert_int_equal(take(w, 10), 1);
    }
    assert_int_equal(outbox_dispatched_to(w->outbox), TEST_EPOCH(1, 1 + AHEAD));
    insert(w, 1);
    commit(w);
    assert_int_equal(outbox_dispatched_to(w->outbox), TEST_EPOCH(1, 1 + AHEAD));
    assert_int_equal(take(w, 10), 1);
    insert(w, 1);
    commit(w);
    assert_int_equal(outbox_dispatched_to(w->outbox), TEST_EPOCH(1, 52 + AHEAD));
    assert_int_equal(syncs, before + 49);
    commit(w);
    assert_int_equal(syncs, before + 49);
}

/* --- the backlog --- */

static void what_has_no_room_waits_on_disk_in_order(void **state)
{
    world_t *w = *state;
    insert(w, 100);
    commit(w);
    assert_int_equal(gauges(w).ready, 64);
    assert_false(backlog_in_order(&w->backlog));
    assert_false(backlog_waits(&w->backlog));
    delivery_session_open(w->delivery, SESSION, 1000);
    commit(w);
    assert_int_equal(take(w, 20), 20);
    assert_true(backlog_waits(&w->backlog));
    /* A new one does not overtake those on disk. */
    insert(w, 1);
    commit(w);
    assert_int_equal(gauges(w).ready, 44);
    read_backlog(w);
    assert_int_equal(gauges(w).ready, 64);
    uint64_t expected = TEST_EPOCH(1, 21);
    for (size_t n; (n = take(w, 50)) > 0; read_backlog(w))
        for (size_t i = 0; i < n; i++)
            assert_int_equal(w->items[i].id, expected++);
    assert_int_equal(expected, TEST_EPOCH(1, 102));
    assert_true(backlog_in_order(&w->backlog));
    insert(w, 1);
    commit(w);
    assert_int_equal(gauges(w).ready, 1);
}

static void what_waits_on_disk_is_measured_too(void **state)
{
    world_t *w = *state;
    delivery_session_open(w->delivery, SESSION, 1000);
    insert(w, 65);
    commit(w);
    take(w, 64);
    read_backlog(w);
    assert_int_equal(take(w, 64), 1);
    step_item(w, 0, BOTH, OP_NONE);
    commit(w);
    assert_int_equal(w->round.counts.latency.total, 1);
    assert_true(w->round.counts.latency.max_us > 0);
}

static void earlier_rows_come_with_the_next_start(void **state)
{
    world_t *w = *state;
    lease(w, 5);
    step_item(w, 0, 0, OP_RELEASE);
    step_item(w, 1, SAVE, OP_NACK);
    for (unsigned i = 2; i < 5; i++)
        step_item(w, i, 0, OP_RELEASE);
    commit(w);
    close_world(w, true);
    open_world(w);
    assert_false(backlog_in_limbo(&w->backlog));
    read_backlog(w);
    assert_true(backlog_in_order(&w->backlog));
    /* Their delays go on. */
    assert_int_equal(gauges(w).parked, 5);
}

/* --- after a crash --- */

static void what_may_be_out_waits(void **state)
{
    world_t *w = *state;
    lease(w, 3);
    uint64_t token = w->items[0].token;
    crash(w);
    delivery_session_open(w->delivery, SESSION, 1000);
    insert(w, 2);
    commit(w);
    read_backlog(w);
    assert_true(backlog_in_limbo(&w->backlog));
    assert_int_equal(gauges(w).total, 2); /* new ones go at once */
    assert_int_equal(take(w, 10), 2);

    /* Claimed, reported done, and left alone. */
    uint32_t extend = step(w, TEST_EPOCH(1, 1), token, 0, OP_EXTEND, "");
    uint32_t done = step(w, TEST_EPOCH(1, 2), token + 1, BOTH, OP_NONE, "");
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[extend], STEP_KEPT);
    assert_int_equal(w->round.codes[done], STEP_DONE);
    round_end(&w->round);
    w->now_ms += 9999;
    round_time(&w->round, w->now_ms, w->now_ms * 1000, clock_wall_ms());
    read_backlog(w);
    assert_int_equal(gauges(w).ready, 0);
    w->now_ms += 1;
    assert_int_equal(backlog_next_ms(&w->backlog), w->now_ms);
    assert_int_equal(backlog_read(&w->backlog, 1000, false, w->now_ms),
                     0); /* not while steps may be on their way */
    assert_true(backlog_in_limbo(&w->backlog));
    read_backlog(w);
    assert_false(backlog_in_limbo(&w->backlog));
    assert_int_equal(gauges(w).ready, 1);
    assert_int_equal(take(w, 10), 1);
    assert_int_equal(w->items[0].id, TEST_EPOCH(1, 3));
}

static void what_had_not_gone_out_goes_at_once(void **state)
{
    world_t *w = *state;
    delivery_session_open(w->delivery, SESSION, 1000);
    insert(w, 1);
    commit(w);
    assert_int_equal(outbox_dispatched_to(w->outbox), TEST_EPOCH(1, 1 + AHEAD));
    delivery_session_drop(w->delivery, SESSION);
    insert(w, 150);
    commit(w);
    crash(w);
    read_backlog(w);
    assert_int_equal(gauges(w).ready, 151 - (1 + AHEAD));
}

static void a_step_finds_its_message_on_disk(void **state)
{
    world_t *w = *state;
    insert(w, 70);
    commit(w);
    /* Not read yet, and dead. */
    uint32_t waiting = step(w, TEST_EPOCH(1, 70), 1, SAVE, OP_NONE, "");
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[waiting], STEP_STALE);
    round_end(&w->round);
    change_one(w->outbox, &(delivery_change_t){.id = TEST_EPOCH(1, 69), .kind = CHANGE_BURY, .bad = 2}, 0);
    uint32_t dead = step(w, TEST_EPOCH(1, 69), 1, BOTH, OP_NONE, "");
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[dead], STEP_DONE);
    round_end(&w->round);
    assert_int_equal(outbox_living(w->outbox), 69);
    assert_int_equal(outbox_dead(w->outbox), 0);
    outbox_row_t row;
    assert_int_equal(outbox_find(w->outbox, TEST_EPOCH(1, 70), &row), 0);
    assert_int_equal(row.done, SAVE);
}

/* The table has no place left: what is done is done all the same. */
static void facts_do_not_need_a_place_in_memory(void **state)
{
    world_t *w = *state;
    close_world(w, true);
    w->limits.table_max = 16;
    w->limits.ready_max = 16;
    open_world(w);
    insert(w, 40);
    commit(w);
    uint32_t last = 0;
    for (uint64_t seq = 20; seq < 40; seq++) /* fills what is left of the table, and goes on */
        last = step(w, TEST_EPOCH(2, seq), 1, SAVE, OP_NONE, "");
    uint32_t both = step(w, TEST_EPOCH(2, 40), 1, BOTH, OP_NONE, "");
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(gauges(w).total, 16);
    assert_int_equal(w->round.codes[last], STEP_STALE);
    assert_int_equal(w->round.codes[both], STEP_DONE);
    round_end(&w->round);
    assert_int_equal(outbox_living(w->outbox), 39);
    assert_int_equal(w->round.counts.acked, 1);
    outbox_row_t row;
    assert_int_equal(outbox_find(w->outbox, TEST_EPOCH(2, 39), &row), 0);
    assert_int_equal(row.done, SAVE);
    assert_int_equal(outbox_find(w->outbox, TEST_EPOCH(2, 40), &row), -ENOENT);
}

/* Neither does the end that follows from them: a row of which nothing is open would never be read again. */
static void an_end_does_not_need_a_place_in_memory(void **state)
{
    world_t *w = *state;
    close_world(w, true);
    w->limits.table_max = 16;
    w->limits.ready_max = 16;
    open_world(w);
    insert(w, 40);
    commit(w);
    change_one(w->outbox, &(delivery_change_t){.id = TEST_EPOCH(2, 40), .kind = CHANGE_MARK, .bad = SAVE}, 0);
    for (uint64_t seq = 20; seq < 40; seq++)
        step(w, TEST_EPOCH(2, seq), 1, SAVE, OP_NONE, "");
    uint32_t last = step(w, TEST_EPOCH(2, 40), 1, RESTART, OP_NONE, "");
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[last], STEP_DEAD);
    round_end(&w->round);
    assert_int_equal(outbox_living(w->outbox), 39);
    assert_int_equal(outbox_dead(w->outbox), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_messages_are_ready_after_the_commit),
        TEST(done_messages_leave),
        TEST(extensions_alone_need_no_disk),
        TEST(a_full_disk_keeps_the_steps),
        TEST(a_round_again_extends_and_releases_once),
        TEST(a_round_again_goes_in_pieces),
        TEST(a_failed_round_is_undone),
        TEST(a_full_disk_at_any_write),
        TEST(a_failed_fsync_is_the_end),
        TEST(dispatched_to_runs_ahead_in_blocks),
        TEST(what_has_no_room_waits_on_disk_in_order),
        TEST(what_waits_on_disk_is_measured_too),
        TEST(earlier_rows_come_with_the_next_start),
        TEST(what_may_be_out_waits),
        TEST(what_had_not_gone_out_goes_at_once),
        TEST(a_step_finds_its_message_on_disk),
        TEST(facts_do_not_need_a_place_in_memory),
        TEST(an_end_does_not_need_a_place_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

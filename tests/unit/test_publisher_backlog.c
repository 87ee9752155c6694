/* Which rows are in memory after a crash, and as what. */
#include "common/runtime/clock.h"
#include "publisher/backlog.h"
#include "tests/unit/outbox_fixture.h"

enum { ACK_MS = 10000, DELAY_MS = 60000, NOW_MS = 1000000, SAVE = 1 };

/* Three messages of epoch 1, all of which may be out; the second has a delay. Opened again after a crash. */
static outbox_t *crashed_outbox(fixture_t *f)
{
    outbox_t *o = open_outbox(f);
    insert_messages(o, 3);
    assert_int_equal(outbox_begin(o), 0);
    assert_int_equal(
        outbox_change(o,
                      &(delivery_change_t){
                          .id = TEST_EPOCH(1, 2), .kind = CHANGE_MARK, .deliveries = 1, .wait_ms = DELAY_MS},
                      clock_wall_ms()),
        0);
    assert_int_equal(outbox_dispatch(o, TEST_EPOCH(1, 100)), 0);
    assert_int_equal(outbox_commit(o), 0);
    outbox_close(&o, false);
    return open_outbox(f);
}

typedef struct {
    outbox_t *outbox;
    delivery_t *delivery;
    backlog_t backlog;
} world_t;

static world_t open_world(fixture_t *f, uint32_t table_max)
{
    const delivery_limits_t limits = {.table_max = table_max,
                                      .ready_max = 16,
                                      .ready_bytes_max = 1 << 16,
                                      .ack_deadline_ms = ACK_MS,
                                      .lease_cap_ms = 3600000,
                                      .max_deliveries = 5};
    world_t w = {.outbox = crashed_outbox(f)};
    w.delivery = delivery_new(&limits, outbox_epoch(w.outbox));
    assert_int_equal(backlog_init(&w.backlog, w.outbox, w.delivery, ACK_MS, NOW_MS, clock_wall_ms()), 0);
    return w;
}

static void close_world(world_t *w)
{
    backlog_done(&w->backlog);
    delivery_destroy(&w->delivery);
    outbox_close(&w->outbox, false);
}

static delivery_gauges_t gauges(const world_t *w)
{
    delivery_gauges_t g;
    delivery_gauges(w->delivery, &g);
    return g;
}

/* It was given back before the crash: a step that comes late neither ends nor loses its delay. */
static void a_delay_outlives_a_late_step(void **state)
{
    world_t w = open_world(*state, 16);
    outbox_row_t row;
    size_t n;
    const delivery_step_t step = {.id = TEST_EPOCH(1, 2), .token = 1, .done = SAVE};
    assert_int_equal(backlog_find(&w.backlog, step.id, &row, NOW_MS), 0);
    assert_int_equal(gauges(&w).parked, 1);
    assert_int_equal(gauges(&w).limbo, 0);
    assert_int_equal(delivery_progress(w.delivery, 0, &step, NOW_MS), STEP_STALE);
    const delivery_change_t *changes = delivery_staged(w.delivery, &n);
    assert_int_equal(n, 1);
    assert_int_equal(changes[0].done, SAVE);
    assert_in_range(changes[0].wait_ms, DELAY_MS - 5000, DELAY_MS);
    delivery_commit(w.delivery, NOW_MS, 0, NULL);
    delivery_expire(w.delivery, NOW_MS + ACK_MS, 10);
    assert_int_equal(gauges(&w).parked, 1);
    close_world(&w);
}

static void what_is_claimed_is_outstanding(void **state)
{
    world_t w = open_world(*state, 16);
    const uint64_t held[] = {TEST_EPOCH(1, 1), TEST_EPOCH(1, 2), TEST_EPOCH(1, 3), TEST_EPOCH(1, 4),
                             TEST_EPOCH(2, 1)};
    delivery_session_open(w.delivery, 7, 10);
    assert_int_equal(backlog_claim(&w.backlog, held, 5, NOW_MS), 0);
    assert_int_equal(backlog_claim(&w.backlog, held, 5, NOW_MS), 0);
    delivery_session_holds(w.delivery, 7, held, 5);
    /* The second has been given back, the others are not there. */
    assert_int_equal(delivery_outstanding(w.delivery, 7), 2);
    assert_int_equal(gauges(&w).total, 3);
    close_world(&w);
}

static void a_full_table_claims_what_it_can(void **state)
{
    world_t w = open_world(*state, 1);
    const uint64_t held[] = {TEST_EPOCH(1, 1), TEST_EPOCH(1, 3)};
    assert_int_equal(backlog_claim(&w.backlog, held, 2, NOW_MS), 0);
    assert_int_equal(gauges(&w).limbo, 1);
    close_world(&w);
}

static void nothing_is_claimed_after_limbo(void **state)
{
    world_t w = open_world(*state, 16);
    const uint64_t held[] = {TEST_EPOCH(1, 1)};
    assert_int_equal(backlog_read(&w.backlog, 10, true, NOW_MS + ACK_MS), 0);
    uint32_t before = gauges(&w).total;
    assert_int_equal(backlog_claim(&w.backlog, held, 1, NOW_MS + ACK_MS), 0);
    assert_int_equal(gauges(&w).total, before);
    assert_int_equal(gauges(&w).limbo, 0);
    close_world(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_delay_outlives_a_late_step),
        TEST(what_is_claimed_is_outstanding),
        TEST(a_full_table_claims_what_it_can),
        TEST(nothing_is_claimed_after_limbo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

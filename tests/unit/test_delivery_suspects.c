/* Suspects: messages that have lost two leases or more (docs/PROTOCOL.md section 4, rule 6). */
#include "delivery_fixture.h"

enum { TABLE = 4096, WIDE = 2000, LOSSES_MAX = 5 };

static delivery_t *table_new(uint32_t window)
{
    const delivery_limits_t limits = {
        .table_max = TABLE,
        .ready_max = 100,
        .ready_bytes_max = 1 << 20,
        .ack_deadline_ms = ACK_MS,
        .lease_cap_ms = CAP_MS,
        .max_deliveries = LOSSES_MAX,
    };
    delivery_t *d = delivery_new(&limits, EPOCH);
    assert_non_null(d);
    delivery_session_open(d, 0, window);
    return d;
}

/* n READY messages from seq on, each of which has lost so many leases. */
static void add_lost(delivery_t *d, uint64_t seq, unsigned n, uint32_t losses)
{
    for (unsigned i = 0; i < n; i++) {
        const delivery_message_t m = {.id = ID(seq + i), .legs = BOTH, .deliveries = losses};
        assert_int_equal(delivery_add(d, &m, 0), 0);
    }
}

static size_t take(delivery_t *d, uint16_t session, delivery_item_t *ret)
{
    size_t n = delivery_take(d, session, UINT64_MAX, WIDE, 0, ret);
    delivery_sent(d, ret, n);
    return n;
}

static void finish(delivery_t *d, const delivery_item_t *item)
{
    const delivery_step_t s = {.id = item->id, .token = item->token, .done = BOTH};
    assert_int_equal(delivery_progress(d, 0, &s, 0), STEP_DONE);
    commit(d, 0);
}

static void test_so_many_of_each_level(void **state)
{
    static const struct {
        uint32_t losses, most;
    } levels[] = {{2, 64}, {3, 8}, {4, 1}, {5, 1}, {UINT32_MAX, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        delivery_item_t items[WIDE];
        delivery_t *d = table_new(WIDE);
        add_lost(d, 1, levels[i].most + 2, levels[i].losses);
        assert_int_equal(take(d, 0, items), levels[i].most);
        assert_true(items[0].id == ID(1));
        assert_int_equal(take(d, 0, items + levels[i].most), 0);
        assert_int_equal(delivery_taker(d), DELIVERY_NO_SESSION);
        finish(d, &items[0]);
        assert_int_equal(delivery_taker(d), 0);
        assert_int_equal(take(d, 0, items), 1);
        assert_true(items[0].id == ID(levels[i].most + 1));
        /* Each session may have as many. */
        delivery_session_open(d, 1, WIDE);
        assert_int_equal(delivery_taker(d), 1);
        assert_int_equal(take(d, 1, items), 1);
        delivery_gauges_t g;
        delivery_gauges(d, &g);
        assert_int_equal(g.suspects, levels[i].most + 1);
        delivery_destroy(&d);
    }
}

static void test_one_loss_is_no_suspicion(void **state)
{
    (void)state;
    delivery_item_t items[WIDE];
    delivery_t *d = table_new(WIDE);
    add_lost(d, 1, 500, 1);
    assert_int_equal(take(d, 0, items), 500);
    delivery_destroy(&d);
}

static void test_the_window_counts_too(void **state)
{
    (void)state;
    delivery_item_t items[WIDE];
    delivery_t *d = table_new(5);
    add_lost(d, 1, 70, 2);
    assert_int_equal(take(d, 0, items), 5);
    delivery_destroy(&d);
}

static void test_others_are_not_kept_waiting(void **state)
{
    (void)state;
    delivery_item_t items[WIDE];
    delivery_t *d = table_new(WIDE);
    assert_int_equal(delivery_room(d), 100);
    add_lost(d, 1, 1000, 3);
    assert_int_equal(delivery_room(d), 100); /* nor on disk */
    add_lost(d, 2001, 100, 0);
    assert_int_equal(delivery_room(d), 0);
    assert_int_equal(take(d, 0, items), 108);
    for (int i = 0; i < 108; i++) {
        assert_int_equal(items[i].deliveries, i < 8 ? 3 : 0);
    }
    delivery_destroy(&d);
}

/* A consumer that dies takes no suspect with it that is less suspicious, or more. */
static void test_one_level_at_a_time_the_highest_first(void **state)
{
    (void)state;
    delivery_item_t items[WIDE];
    delivery_t *d = table_new(WIDE);
    add_lost(d, 1, 3, 2);
    add_lost(d, 11, 3, 3);
    add_lost(d, 21, 2, 7);
    assert_int_equal(take(d, 0, items), 1);
    assert_int_equal(items[0].deliveries, 7);
    assert_int_equal(take(d, 0, items + 1), 0);
    finish(d, &items[0]);
    assert_int_equal(take(d, 0, items), 1);
    assert_true(items[0].id == ID(22));
    finish(d, &items[0]);
    assert_int_equal(take(d, 0, items), 3);
    assert_int_equal(items[0].deliveries, 3);
    /* What has two waits for all of these, though not with somebody else. */
    finish(d, &items[0]);
    finish(d, &items[1]);
    assert_int_equal(take(d, 0, items), 0);
    delivery_session_open(d, 1, 1);
    assert_int_equal(take(d, 1, items), 1);
    assert_int_equal(items[0].deliveries, 2);
    /* A higher one that comes meanwhile goes before the next of those. */
    add_lost(d, 31, 1, 4);
    delivery_session_window(d, 1, WIDE);
    assert_int_equal(take(d, 1, items + 1), 0);
    finish(d, &items[0]);
    assert_int_equal(take(d, 1, items), 1);
    assert_int_equal(items[0].deliveries, 4);
    delivery_destroy(&d);
}

static void expire_all(delivery_t *d, size_t expected)
{
    assert_int_equal(delivery_expire(d, ACK_MS, WIDE), expected);
}

static void expect_lost(delivery_t *d, uint64_t seq, uint32_t deliveries, lease_end_t end, uint32_t who)
{
    size_t n;
    const delivery_change_t *c = delivery_staged(d, &n);
    for (size_t i = 0; i < n; i++) {
        if (c[i].id == ID(seq)) {
            delivery_lease_t lease;
            delivery_staged_lease(d, i, ACK_MS, &lease);
            assert_int_equal(c[i].deliveries, deliveries);
            assert_int_equal(c[i].lease_end, end);
            assert_int_equal(lease.who, who);
            assert_int_equal(lease.age_ms, ACK_MS);
            return;
        }
    }
    fail_msg("%u is not staged", (unsigned)seq);
}

/* Two suspects that have lost so many, and two that are none. */
static void lose_beside_suspects(uint32_t losses, uint32_t suspects_after)
{
    delivery_item_t items[WIDE];
    delivery_t *d = table_new(WIDE);
    delivery_session_name(d, 0, 17);
    add_lost(d, 1, 1, 0);
    add_lost(d, 2, 1, 1);
    add_lost(d, 3, 2, losses);
    assert_int_equal(take(d, 0, items), 4);
    delivery_session_drop(d, 0);
    delivery_session_open(d, 0, 0); /* somebody else, under the same number */
    delivery_session_name(d, 0, 18);
    expire_all(d, 4);
    expect_lost(d, 1, 0, LEASE_SPARED, 17);
    expect_lost(d, 2, 1, LEASE_SPARED, 17);
    expect_lost(d, 3, losses + 1, LEASE_LOST, 17);
    expect_lost(d, 4, losses + 1, LEASE_LOST, 17);
    commit(d, ACK_MS);
    expect_gauges(d, 4, 0, 0, 0);
    delivery_gauges_t g;
    delivery_gauges(d, &g);
    assert_int_equal(g.expired, 4);
    assert_int_equal(g.suspects, suspects_after);
    delivery_destroy(&d);
}

static void test_a_holder_of_suspects_is_lost(void **state)
{
    (void)state;
    lose_beside_suspects(2, 3); /* what was spared after a loss too */
    lose_beside_suspects(3, 4); /* all: another time beside these would be too much for them */
}

static void test_a_holder_of_none_is_lost(void **state)
{
    (void)state;
    delivery_item_t items[WIDE];
    delivery_t *d = table_new(WIDE);
    delivery_session_name(d, 0, 17);
    add_lost(d, 1, 1, 0);
    add_lost(d, 2, 1, 1);
    assert_int_equal(take(d, 0, items), 2);
    delivery_session_drop(d, 0);
    expire_all(d, 2);
    expect_lost(d, 1, 1, LEASE_LOST, 17);
    expect_lost(d, 2, 2, LEASE_LOST, 17);
    commit(d, ACK_MS);
    /* The second is a suspect now. */
    delivery_session_open(d, 0, WIDE);
    add_lost(d, 3, 64, 2);
    assert_int_equal(take(d, 0, items), 65);
    delivery_destroy(&d);
}

/* What the holder of suspects let run out while it lived was not lost with it. */
static void test_a_lease_that_runs_out_counts(void **state)
{
    (void)state;
    delivery_item_t items[WIDE];
    delivery_t *d = table_new(WIDE);
    add_lost(d, 1, 1, 0);
    add_lost(d, 2, 1, 2);
    assert_int_equal(take(d, 0, items), 2);
    expire_all(d, 2);
    expect_lost(d, 1, 1, LEASE_LOST, 0);
    expect_lost(d, 2, 3, LEASE_LOST, 0);
    delivery_destroy(&d);
}

/* Who was thought lost and says that it holds its messages is not lost. */
static void test_a_holder_that_comes_back_is_spared_nothing(void **state)
{
    (void)state;
    const uint64_t held[] = {ID(1), ID(2)};
    delivery_item_t items[WIDE];
    delivery_t *d = table_new(WIDE);
    add_lost(d, 1, 1, 0);
    add_lost(d, 2, 1, 2);
    assert_int_equal(take(d, 0, items), 2);
    delivery_session_drop(d, 0);
    delivery_session_open(d, 3, WIDE);
    delivery_session_name(d, 3, 9);
    delivery_session_holds(d, 3, held, 2);
    add_lost(d, 5, 1, 4);
    assert_int_equal(take(d, 3, items), 0); /* its suspect is out with this session */
    expire_all(d, 2);
    expect_lost(d, 1, 1, LEASE_LOST, 9);
    expect_lost(d, 2, 3, LEASE_LOST, 9);
    delivery_destroy(&d);
}

static void test_bye_counts_nothing(void **state)
{
    (void)state;
    delivery_item_t items[WIDE];
    delivery_t *d = table_new(WIDE);
    add_lost(d, 1, 2, 4);
    add_lost(d, 3, 2, 0);
    assert_int_equal(take(d, 0, items), 3);
    delivery_session_holds(d, 0, NULL, 0);
    delivery_session_drop(d, 0);
    expect_gauges(d, 4, 0, 0, 0);
    assert_int_equal(staged(d), 0);
    delivery_session_open(d, 0, WIDE);
    assert_int_equal(take(d, 0, items), 3);
    delivery_destroy(&d);
}

typedef struct {
    unsigned dead, finished, kills;
} ends_t;

/* One consumer after the other, each of which is given what there is, and killed by what is a poison: those
 * up to this seq, which alone may die. Until all have ended, or so many were killed. */
static ends_t play(delivery_t *d, uint64_t poisons, unsigned messages, unsigned kills_max)
{
    delivery_item_t items[WIDE];
    ends_t ret = {0};
    for (int64_t now_ms = 0; ret.dead + ret.finished < messages && ret.kills < kills_max;
         now_ms += 2 * ACK_MS) {
        delivery_session_open(d, 0, 500);
        size_t n = delivery_take(d, 0, UINT64_MAX, WIDE, now_ms, items);
        delivery_sent(d, items, n);
        bool killed = false;
        for (size_t i = 0; i < n; i++) {
            killed |= items[i].id <= ID(poisons);
        }
        if (killed) {
            ret.kills++;
            delivery_session_drop(d, 0);
        }
        for (size_t i = 0; i < n && !killed; i++, ret.finished++) {
            const delivery_step_t s = {.id = items[i].id, .token = items[i].token, .done = BOTH};
            assert_int_equal(delivery_progress(d, 0, &s, now_ms), STEP_DONE);
        }
        delivery_expire(d, now_ms + ACK_MS, WIDE);
        size_t changes;
        const delivery_change_t *c = delivery_staged(d, &changes);
        for (size_t i = 0; i < changes; i++) {
            assert_true(c[i].kind != CHANGE_BURY || c[i].id <= ID(poisons));
            ret.dead += c[i].kind == CHANGE_BURY;
        }
        commit(d, now_ms + ACK_MS);
    }
    print_message("%u dead of %u poisons, %u finished, %u kills\n", ret.dead, (unsigned)poisons, ret.finished,
                  ret.kills);
    return ret;
}

/* A poison among many: it dies, and none of the others. A lost consumer's window is full of them each time.
 */
static void test_the_poison_dies_alone(void **state)
{
    enum { MESSAGES = 1000, POISONS = 3, KILLS_MAX = 200 };
    (void)state;
    delivery_t *d = table_new(0);
    add_lost(d, 1, MESSAGES, 0);
    const ends_t ends = play(d, POISONS, MESSAGES, KILLS_MAX);
    assert_int_equal(ends.dead, POISONS);
    assert_int_equal(ends.finished, MESSAGES - POISONS);
    delivery_destroy(&d);
}

/* A new poison beside suspects that are innocent: a consumer was lost twice for reasons of its own. The
 * poison is spared beside them, but not for ever, or they would die in its place one after the other. */
static void test_a_poison_beside_suspects(void **state)
{
    enum { MESSAGES = 300, KILLS_MAX = 1000 };
    (void)state;
    for (uint32_t lost = 2; lost <= 3; lost++) {
        delivery_t *d = table_new(0);
        add_lost(d, 2, MESSAGES, lost);
        add_lost(d, 1, 1, 0);
        const ends_t ends = play(d, 1, MESSAGES + 1, KILLS_MAX);
        assert_int_equal(ends.dead, 1);
        assert_int_equal(ends.finished, MESSAGES);
        assert_in_range(ends.kills, LOSSES_MAX, LOSSES_MAX + SUSPECT_LOSSES);
        delivery_destroy(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_many_of_each_level),
        cmocka_unit_test(test_one_loss_is_no_suspicion),
        cmocka_unit_test(test_the_window_counts_too),
        cmocka_unit_test(test_others_are_not_kept_waiting),
        cmocka_unit_test(test_one_level_at_a_time_the_highest_first),
        cmocka_unit_test(test_a_holder_of_suspects_is_lost),
        cmocka_unit_test(test_a_holder_of_none_is_lost),
        cmocka_unit_test(test_a_lease_that_runs_out_counts),
        cmocka_unit_test(test_a_holder_that_comes_back_is_spared_nothing),
        cmocka_unit_test(test_bye_counts_nothing),
        cmocka_unit_test(test_the_poison_dies_alone),
        cmocka_unit_test(test_a_poison_beside_suspects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

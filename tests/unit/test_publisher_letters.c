/* Requests for dead letters, over a real outbox: what they cost a turn, and ages when the clock is set. */
#include "publisher/letters.h"
#include "tests/unit/round_fixture.h"

enum { CLIENT = 1, DAY_MS = 86400000 };

static letters_t letters;
static server_t *server;
static loop_t loop;
static const int64_t WALL_MS = INT64_C(1700000000000);

static int setup(void **state)
{
    char endpoint[128], why[WHY_BYTES];
    if (world_open(state) < 0)
        return -1;
    world_t *w = *state;
    snprintf(endpoint, sizeof endpoint, "ipc://%s/clients", w->f->dir);
    loop_init(&loop);
    server_options_t options = {.what = "client", .endpoint = endpoint};
    server_events_t events = {0};
    return server_open(&server, &options, &events, &loop, why) < 0 ||
                   letters_open(&letters, w->outbox, &w->round) < 0
               ? -1
               : 0;
}

static int teardown(void **state)
{
    letters_close(&letters);
    server_close(&server, 0);
    return world_close(state);
}

/* n more letters, which died at that time; the first one's row. */
static uint64_t bury(world_t *w, uint32_t n, int64_t died_ms)
{
    uint64_t first = insert_messages(w->outbox, n);
    assert_int_equal(outbox_begin(w->outbox), 0);
    for (uint32_t i = 0; i < n; i++) {
        const delivery_change_t c = {.id = first + i, .kind = CHANGE_BURY, .bad = RESTART};
        assert_int_equal(outbox_change(w->outbox, &c, died_ms), 0);
    }
    assert_int_equal(outbox_commit(w->outbox), 0);
    return first;
}

/* What it cost; *ret_count: of how many BURIED tells. */
static int ask(world_t *w, dead_t d, uint32_t *ret_count)
{
    static letter_t found[LETTERS_MAX];
    buffer_t b;
    buried_t buried;
    d.version = PROTO_VERSION;
    d.max = LETTERS_MAX;
    buffer_init(&b);
    encode_dead(&b, &d);
    int cost = letters_take(&letters, server, CLIENT, &(frame_t){CLIENT, b.data, b.len});
    buffer_done(&b);
    assert_true(decode_buried(letters.frame.data, letters.frame.len, &buried, found) >= 0);
    commit(w);
    letters_answer(&letters, server, 0, NULL);
    *ret_count = buried.count;
    return cost;
}

static uint32_t count(world_t *w, act_t act, uint64_t older_ms, uint64_t newer_ms)
{
    uint32_t n;
    ask(w, (dead_t){.act = act, .filter = {.older_ms = older_ms, .newer_ms = newer_ms}}, &n);
    return n;
}

static void time_is(world_t *w, int64_t now_ms, int64_t wall_ms)
{
    w->now_ms = now_ms;
    round_time(&w->round, now_ms, now_ms * 1000, wall_ms);
}

static void one_letter_costs_less_than_a_thousand(void **state)
{
    world_t *w = *state;
    uint32_t n;
    uint64_t first = bury(w, 1000, WALL_MS);
    time_is(w, 1000, WALL_MS);
    assert_int_equal(ask(w, (dead_t){.act = ACT_COUNT}, &n), LETTERS_COST_MAX);
    assert_int_equal(n, 1000);
    for (uint32_t i = 0; i < 2; i++) {
        const act_t act = i == 0 ? ACT_REDRIVE : ACT_PURGE;
        int one = ask(w, (dead_t){.act = act, .filter = {.id = outbox_id(w->outbox, first + i)}}, &n);
        assert_int_equal(n, 1);
        assert_in_range(one, LETTERS_COST_MIN, LETTERS_COST_MIN + 1);
    }
    /* A pattern that is long costs its time also where it looks at one letter. */
    char stars[1024];
    memset(stars, '*', sizeof stars);
    const letter_filter_t slow = {.id = outbox_id(w->outbox, first + 2), .host = {stars, 253}};
    assert_true(ask(w, (dead_t){.act = ACT_COUNT, .filter = slow}, &n) > LETTERS_COST_MIN + 1);
}

/* As many of the cheapest as one turn takes. */
static void a_round_has_room_for_all_its_answers(void **state)
{
    world_t *w = *state;
    buffer_t b;
    uint64_t first = bury(w, 100, WALL_MS);
    time_is(w, 1000, WALL_MS);
    buffer_init(&b);
    uint32_t asked = 0;
    for (int records = 0; records < RECORDS_MAX; asked++) {
        const dead_t d = {.version = PROTO_VERSION,
                          .act = ACT_REDRIVE,
                          .filter = {.id = outbox_id(w->outbox, first + asked)},
                          .max = 1};
        buffer_clear(&b);
        encode_dead(&b, &d);
        int cost = letters_take(&letters, server, CLIENT, &(frame_t){CLIENT, b.data, b.len});
        assert_true(cost > 0);
        records += cost;
    }
    buffer_done(&b);
    assert_in_range(asked, 50, LETTERS_ANSWERS_MAX);
    commit(w);
    letters_answer(&letters, server, 0, NULL);
    assert_int_equal(w->round.counts.redriven, asked);
}

/* `mandrill dead purge` asks for all that had died when it counted, so and so many milliseconds ago. */
static void a_clock_that_was_set_back_hides_no_letter(void **state)
{
    world_t *w = *state;
    bury(w, 3, WALL_MS);
    time_is(w, 1000, WALL_MS - DAY_MS);
    assert_int_equal(count(w, ACT_COUNT, 0, 0), 3);
    time_is(w, 1500, WALL_MS - DAY_MS + 500);
    bury(w, 2, WALL_MS - DAY_MS + 400); /* since then */
    assert_int_equal(count(w, ACT_COUNT, 0, 0), 5);
    assert_int_equal(count(w, ACT_PURGE, 600000, 0), 0); /* who knows how old they are? */
    assert_int_equal(count(w, ACT_PURGE, 500, 0), 3);
    assert_int_equal(count(w, ACT_COUNT, 0, 0), 2);
}

/* The same of one that is set while the publisher runs. */
static void a_clock_that_is_set_back_hides_no_letter(void **state)
{
    world_t *w = *state;
    time_is(w, 1000, WALL_MS);
    assert_int_equal(count(w, ACT_COUNT, 0, 0), 0);
    bury(w, 3, WALL_MS + 4000);
    time_is(w, 6000, WALL_MS + 5000 - DAY_MS);
    assert_int_equal(count(w, ACT_COUNT, 0, 0), 3);
    time_is(w, 6700, WALL_MS + 5700 - DAY_MS);
    assert_int_equal(count(w, ACT_COUNT, 1000, 0), 0);
    assert_int_equal(count(w, ACT_COUNT, 0, 1000), 3);
    assert_int_equal(count(w, ACT_PURGE, 700, 0), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_letter_costs_less_than_a_thousand),
        TEST(a_round_has_room_for_all_its_answers),
        TEST(a_clock_that_was_set_back_hides_no_letter),
        TEST(a_clock_that_is_set_back_hides_no_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

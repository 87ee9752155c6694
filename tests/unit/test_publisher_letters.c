/* Requests for dead letters, over a real outbox: what they cost a turn, and ages when the clock is set. */
#include "publisher/letters.h"
#include "tests/unit/outbox_sql.h"
#include "tests/unit/round_fixture.h"

enum { CLIENT = 1, DAY_MS = 86400000 };

static letters_t letters;
static server_t *server;
static loop_t loop;
static const int64_t WALL_MS = INT64_C(1700000000000);

static int open_all(world_t *w)
{
    char endpoint[128], why[WHY_BYTES];
    open_world(w);
    snprintf(endpoint, sizeof endpoint, "ipc://%s/clients", w->f->dir);
    loop_init(&loop);
    server_options_t options = {.what = "client", .endpoint = endpoint};
    server_events_t events = {0};
    return server_open(&server, &options, &events, &loop, why) < 0 ||
                   letters_open(&letters, w->outbox, &w->round) < 0
               ? -1
               : 0;
}

static void close_all(world_t *w)
{
    letters_close(&letters);
    server_close(&server, 0);
    close_world(w, true);
}

static int setup(void **state)
{
    if (world_open(state) < 0)
        return -1;
    close_world(*state, true);
    return open_all(*state);
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

/* What is redriven is written: of the largest as much in one turn as a commit may be. */
static void large_letters_are_redriven_in_several_turns(void **state)
{
    enum { LARGE = 60000, MANY = 100 };
    static char body[LARGE];
    world_t *w = *state;
    uint32_t n;
    uint64_t id;
    assert_int_equal(outbox_begin(w->outbox), 0);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(outbox_insert(w->outbox, BOTH, body, sizeof body, &id), 0);
    assert_int_equal(outbox_commit(w->outbox), 0);
    assert_int_equal(outbox_begin(w->outbox), 0);
    for (uint32_t i = 0; i < MANY; i++) {
        const delivery_change_t c = {.id = id - i, .kind = CHANGE_BURY, .bad = RESTART};
        assert_int_equal(outbox_change(w->outbox, &c, WALL_MS), 0);
    }
    assert_int_equal(outbox_commit(w->outbox), 0);
    time_is(w, 1000, WALL_MS);
    assert_int_equal(ask(w, (dead_t){.act = ACT_COUNT}, &n), LETTERS_COST_MAX);
    assert_int_equal(ask(w, (dead_t){.act = ACT_REDRIVE}, &n), RECORDS_MAX);
    assert_in_range(n * LARGE, ROUND_BYTES_MAX, ROUND_BYTES_MAX + LARGE);
    /* One of them takes its share of a turn. */
    const letter_filter_t one = {.id = outbox_id(w->outbox, id)};
    assert_in_range(ask(w, (dead_t){.act = ACT_REDRIVE, .filter = one}, &n), LARGE / 1024,
                    LARGE / 512 + LETTERS_COST_MIN);
    assert_int_equal(n, 1);
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

/* All letters, as a client gets them page by page: how many there were. */
static uint32_t list_all(world_t *w, act_t act, uint32_t max, letter_t *ret, buffer_t *pages)
{
    dead_t d = {.version = PROTO_VERSION, .act = act, .max = max};
    uint32_t n = 0;
    buffer_t b;
    buried_t buried = {.more = true};
    buffer_init(&b);
    buffer_reserve(pages, 1 << 20); /* nothing moves from here on */
    for (uint32_t page = 0; buried.more; page++) {
        assert_true(page < 100);
        buffer_clear(&b);
        encode_dead(&b, &d);
        assert_true(letters_take(&letters, server, CLIENT, &(frame_t){CLIENT, b.data, b.len}) > 0);
        commit(w);
        letters_answer(&letters, server, 0, NULL);
        const uint8_t *frame = pages->data + pages->len;
        buffer_append(pages, letters.frame.data, letters.frame.len);
        assert_true(decode_buried(frame, letters.frame.len, &buried, ret + n) >= 0);
        n += buried.count;
        d.after = buried.looked_to;
    }
    buffer_done(&b);
    return n;
}

/* What is wrong with one row costs that row alone. */
static void a_damaged_letter_takes_no_other_with_it(void **state)
{
    static const char *const damages[] = {
        "died_ms = -5",    "body = zeroblob(70000)",           "body = 'text'", "history = zeroblob(5000)",
        "history = x'c1'", "reason = x'ff' || zeroblob(3000)", "legs = 4711",   "deliveries = -1",
        "done = 'x'",
    };
    enum { DAMAGES = sizeof damages / sizeof *damages, LETTERS = DAMAGES + 2 };
    static letter_t found[LETTERS_MAX];
    world_t *w = *state;
    buffer_t pages;
    uint64_t first = bury(w, LETTERS, WALL_MS);
    close_all(w);
    for (uint32_t i = 0; i < DAMAGES; i++) {
        char sql[160];
        snprintf(sql, sizeof sql, "UPDATE dead SET %s WHERE id = %lld", damages[i],
                 (long long)(first + 1 + i));
        run_sql(w->f->path, sql);
    }
    open_all(w);
    time_is(w, 1000, WALL_MS + 1000);
    buffer_init(&pages);
    for (uint32_t max = 1; max <= LETTERS_MAX; max += LETTERS_MAX - 1) {
        buffer_clear(&pages);
        assert_int_equal(list_all(w, ACT_LIST, max, found, &pages), LETTERS);
        for (uint32_t i = 0; i < LETTERS; i++) {
            bool damaged = i > 0 && i <= DAMAGES;
            assert_int_equal(found[i].id.seq, (first & SEQ_MAX) + i);
            assert_int_equal(found[i].reason.len > 7 && memcmp(found[i].reason.bytes, "damaged", 7) == 0,
                             damaged);
            assert_int_equal(found[i].body_len, i == 2 || i == 3 ? 0 : 4);
        }
    }
    /* A message without a body is none: these two stay, and may be purged. */
    assert_int_equal(list_all(w, ACT_REDRIVE, LETTERS_MAX, found, &pages), LETTERS - 2);
    assert_int_equal(outbox_dead(w->outbox), 2);
    assert_int_equal(list_all(w, ACT_PURGE, LETTERS_MAX, found, &pages), 2);
    buffer_done(&pages);
}

/* Rows under ids that no start of this outbox has given have no name to be asked for. */
static void letters_without_a_name_are_left_out(void **state)
{
    static letter_t found[LETTERS_MAX];
    world_t *w = *state;
    buffer_t pages;
    uint64_t first = bury(w, 12, WALL_MS);
    const uint64_t nowhere[] = {7, (first >> EPOCH_SHIFT) << EPOCH_SHIFT, UINT64_C(77) << EPOCH_SHIFT | 5,
                                (UINT64_C(1) << 62) + 3};
    close_all(w);
    for (uint32_t i = 0; i < 12; i++) {
        char sql[160];
        snprintf(sql, sizeof sql, "UPDATE dead SET id = %lld WHERE id = %lld",
                 (long long)(i < 8 ? nowhere[i % 4] + (i % 4 == 1 ? 0 : i / 4) : first + i),
                 (long long)(first + i));
        if (i != 5)
            run_sql(w->f->path, sql);
    }
    open_all(w);
    time_is(w, 1000, WALL_MS + 1000);
    buffer_init(&pages);
    for (uint32_t max = 1; max <= 4; max += 3) {
        buffer_clear(&pages);
        assert_int_equal(list_all(w, ACT_LIST, max, found, &pages), 5);
        for (uint32_t i = 0; i < 5; i++)
            assert_int_equal(found[i].id.seq, (first & SEQ_MAX) + (i == 0 ? 5 : 7 + i));
    }
    assert_int_equal(list_all(w, ACT_PURGE, LETTERS_MAX, found, &pages), 5);
    assert_int_equal(outbox_dead(w->outbox), 7);
    buffer_done(&pages);
}

static uint32_t resolve(world_t *w, uint64_t row, uint8_t legs)
{
    uint32_t n;
    const letter_filter_t one = {.id = row > 0 ? outbox_id(w->outbox, row) : (message_id_t){0}};
    assert_true(ask(w, (dead_t){.act = ACT_DONE, .filter = one, .legs = legs}, &n) > 0);
    return n;
}

/* `mandrill dead done`: a person has looked, and says that it was done. */
static void legs_that_ended_badly_are_called_done(void **state)
{
    world_t *w = *state;
    uint64_t first = bury(w, 3, WALL_MS); /* restart is bad, save was never told of */
    uint64_t both = insert_messages(w->outbox, 2);
    time_is(w, 1000, WALL_MS);
    const delivery_change_t deaths[] = {
        {.id = both, .kind = CHANGE_BURY, .bad = BOTH},
        {.id = both + 1, .kind = CHANGE_BURY, .done = SAVE, .bad = RESTART},
    };
    for (int i = 0; i < 2; i++)
        change_one(w->outbox, &deaths[i], WALL_MS);
    assert_int_equal(resolve(w, both + 1, SAVE), 0); /* that one did not end badly */
    assert_int_equal(resolve(w, both + 1, 0), 1);
    assert_int_equal(outbox_dead(w->outbox), 4);
    assert_int_equal(resolve(w, both + 1, 0), 0); /* said again */
    assert_int_equal(w->round.counts.acked, 1);
    assert_int_equal(w->round.counts.resolved, 1);
    assert_int_equal(resolve(w, both, RESTART), 1);
    assert_int_equal(resolve(w, both, RESTART), 0);
    assert_int_equal(outbox_dead(w->outbox), 4);
    /* All there are: of three a leg is still open, and they stay. */
    assert_int_equal(resolve(w, 0, 0), 4);
    assert_int_equal(outbox_dead(w->outbox), 3);
    assert_int_equal(resolve(w, 0, 0), 0);
    assert_int_equal(w->round.counts.acked, 2);
    assert_int_equal(w->round.counts.resolved, 6);
    assert_int_equal(w->round.counts.legs_done[0], 1);
    assert_int_equal(w->round.counts.legs_done[1], 5);
    outbox_row_t row;
    assert_int_equal(outbox_find(w->outbox, first, &row), 0);
    assert_true(row.dead);
    assert_int_equal(row.done, RESTART);
    /* And when that leg is done, too, it has every leg done. */
    step(w, first, 77, SAVE, OP_NONE, "");
    commit(w);
    assert_int_equal(outbox_dead(w->outbox), 2);
    assert_int_equal(w->round.counts.acked, 3);
}

/* A letter that a consumer has just told something of is left for the next request. */
static void a_letter_that_a_step_names_is_asked_for_again(void **state)
{
    static letter_t found[LETTERS_MAX];
    world_t *w = *state;
    buffer_t b;
    buried_t buried;
    uint64_t id = bury(w, 1, WALL_MS);
    time_is(w, 1000, WALL_MS);
    step(w, id, 77, 0, OP_NONE, "");
    const dead_t d = {.version = PROTO_VERSION, .act = ACT_DONE, .max = 1};
    buffer_init(&b);
    encode_dead(&b, &d);
    assert_true(letters_take(&letters, server, CLIENT, &(frame_t){CLIENT, b.data, b.len}) > 0);
    assert_true(decode_buried(letters.frame.data, letters.frame.len, &buried, found) >= 0);
    assert_int_equal(buried.count, 0);
    assert_true(buried.more);
    commit(w);
    letters_answer(&letters, server, 0, NULL);
    buffer_done(&b);
    assert_int_equal(resolve(w, id, 0), 1);
}

/* What was undone has not happened. */
static void what_is_undone_counts_nothing(void **state)
{
    world_t *w = *state;
    uint64_t id = bury(w, 1, WALL_MS);
    assert_int_equal(round_resolve(&w->round, id, 255), 0);
    round_fail(&w->round, -ENOSPC);
    assert_int_equal(round_commit(&w->round), -ENOSPC);
    round_end(&w->round);
    assert_int_equal(w->round.counts.resolved, 0);
    commit(w);
    assert_int_equal(w->round.counts.resolved, 0);
    assert_int_equal(w->round.counts.legs_done[1], 0);
    assert_int_equal(outbox_dead(w->outbox), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_letter_costs_less_than_a_thousand),
        TEST(large_letters_are_redriven_in_several_turns),
        TEST(a_round_has_room_for_all_its_answers),
        TEST(a_clock_that_was_set_back_hides_no_letter),
        TEST(a_clock_that_is_set_back_hides_no_letter),
        TEST(a_damaged_letter_takes_no_other_with_it),
        TEST(letters_without_a_name_are_left_out),
        TEST(legs_that_ended_badly_are_called_done),
        TEST(a_letter_that_a_step_names_is_asked_for_again),
        TEST(what_is_undone_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

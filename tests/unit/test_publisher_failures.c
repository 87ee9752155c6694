/* What becomes of messages that fail, over a real outbox: tries and histories, long delays, dead letters. */
#define _DEFAULT_SOURCE     /* see disk_faults.h */
#define _LARGEFILE64_SOURCE /* see disk_faults.h */
#include "tests/unit/disk_faults.h"
#include "tests/unit/event_fixture.h"
#include "tests/unit/round_fixture.h"

static int setup(void **state)
{
    write_errno = sync_errno = writes_left = 0;
    log_bytes_max = 0;
    return world_open(state);
}

/* n messages that are out, each given back for so long in one round. */
static void release_for(world_t *w, unsigned n, int64_t ms)
{
    for (unsigned i = 0; i < n; i++) {
        const step_t s = {.token = w->items[i].token, .op = OP_RELEASE, .ms = ms + i};
        round_step(&w->round, SESSION, w->items[i].id, &s);
    }
    commit(w);
}

static bool see_letter(void *arg, const outbox_letter_t *letter)
{
    *(const char **)arg = history_text(letter->events, letter->events_len);
    return false;
}

/* What its dead letter tells: the message is buried for it. */
static const char *buried_history(world_t *w, uint64_t id)
{
    const char *text = "no such letter";
    outbox_row_t row;
    assert_int_equal(outbox_find(w->outbox, id, &row), 0);
    if (!row.dead)
        change_one(w->outbox, &(delivery_change_t){.id = id, .kind = CHANGE_BURY, .bad = 1}, 0);
    assert_int_equal(outbox_letters(w->outbox, id - 1, id, 1, see_letter, &text), 0);
    return text;
}

static void a_nack_leaves_its_reason(void **state)
{
    world_t *w = *state;
    lease(w, 2);
    step(w, w->items[0].id, w->items[0].token, 0, OP_NACK, "no power");
    step(w, w->items[1].id, 12345, 0, OP_NACK, "stale"); /* is not taken, and explains nothing */
    const step_t bad = {.token = 12345, .bad = BOTH, .text = {"stale", 5}};
    round_step(&w->round, SESSION, w->items[1].id, &bad);
    commit(w);
    outbox_row_t row;
    assert_int_equal(outbox_find(w->outbox, w->items[0].id, &row), 0);
    assert_int_equal(row.deliveries, 1);
    assert_string_equal(buried_history(w, w->items[0].id), "8.1 NACKED no power");
    assert_string_equal(buried_history(w, w->items[1].id), "");
}

/* Steps say all that has ended, each time, and a PROGRESS that was not answered comes again: a leg that ended
 * without a record of its tries leaves one, and no more. */
static void a_leg_that_ended_badly_is_told_once(void **state)
{
    world_t *w = *state;
    lease(w, 1);
    uint64_t id = w->items[0].id;
    step_t s = {
        .token = w->items[0].token, .bad = RESTART | 4, .op = OP_EXTEND, .ms = 1000, .text = {"no power", 8}};
    for (int i = 0; i < 4; i++) {
        round_time(&w->round, w->now_ms, w->now_ms * 1000, clock_wall_ms() + i);
        round_step(&w->round, SESSION, id, &s);
        if (i % 2)
            commit(w);
    }
    s.op = OP_NONE;
    s.bad = BOTH;
    s.text = (text_t){"no disk", 7};
    for (int i = 0; i < 2; i++) {
        round_time(&w->round, w->now_ms, w->now_ms * 1000, clock_wall_ms() + 10 + i);
        round_step(&w->round, SESSION, id, &s);
        commit(w);
    }
    assert_string_equal(buried_history(w, id), "1.1 PERMANENT no power; 0.1 PERMANENT no disk");
}

/* --- long delays --- */

static void open_narrow(world_t *w, uint32_t table_max, uint32_t parked_max)
{
    close_world(w, true);
    w->limits.table_max = table_max;
    w->limits.parked_max = parked_max;
    open_world(w);
}

static void pass(world_t *w, int64_t ms)
{
    w->now_ms += ms;
    round_time(&w->round, w->now_ms, w->now_ms * 1000, clock_wall_ms());
    delivery_expire(w->delivery, w->now_ms, SIZE_MAX);
    commit(w);
    read_backlog(w);
}

/* Beyond parked_max they leave memory, and come back when they are due, in that order, before what is new. */
static void long_delays_wait_on_disk(void **state)
{
    enum { MESSAGES = 50, PARKED = 20 };
    world_t *w = *state;
    open_narrow(w, 1024, PARKED);
    lease(w, MESSAGES);
    assert_true(backlog_next_ms(&w->backlog) == INT64_MAX);
    release_for(w, MESSAGES, 60000);
    read_backlog(w);
    assert_int_equal(gauges(w).parked, PARKED);
    assert_int_equal(gauges(w).total, PARKED);
    assert_int_equal(backlog_next_ms(&w->backlog), w->now_ms + 60000); /* the first on disk of all of them */
    uint64_t out = w->items[0].id;
    insert(w, 1);
    commit(w);
    pass(w, 59999);
    assert_int_equal(gauges(w).ready, 1);
    for (unsigned i = 0; i < MESSAGES; i++) {
        pass(w, 1);
        assert_int_equal(take(w, 1), 1);
        assert_int_equal(w->items[0].id, out + i);
    }
    pass(w, 1);
    assert_true(backlog_next_ms(&w->backlog) == INT64_MAX); /* nothing sleeps any more */
    assert_int_equal(take(w, 10), 1);
    assert_int_equal(w->items[0].id, out + MESSAGES);
}

static void short_delays_stay_in_memory(void **state)
{
    world_t *w = *state;
    open_narrow(w, 1024, 1);
    lease(w, 10);
    release_for(w, 10, 900);
    assert_int_equal(gauges(w).parked, 10);
}

/* All that is due at once comes back as there is room, and keeps the rest from none. */
static void what_is_due_waits_for_room(void **state)
{
    enum { MESSAGES = 60, WINDOW = 30 };
    world_t *w = *state;
    open_narrow(w, 1024, 1);
    lease(w, MESSAGES);
    uint64_t out = w->items[0].id;
    release_for(w, MESSAGES, 2000);
    close_world(w, true);
    w->limits.table_max = 64;
    w->limits.ready_max = WINDOW;
    open_world(w);
    delivery_session_open(w->delivery, SESSION, 1000);
    /* A start reads no more of them than it has room for, but it reads past them. */
    insert(w, 1);
    commit(w);
    while (backlog_waits(&w->backlog))
        read_backlog(w);
    assert_true(backlog_in_order(&w->backlog));
    assert_int_equal(gauges(w).parked, 1);
    assert_int_equal(gauges(w).ready, 1);
    pass(w, 5000);
    assert_int_equal(gauges(w).ready, WINDOW);
    bool seen[MESSAGES + 1] = {false};
    for (size_t n, total = 0; total <= MESSAGES; total += n) {
        commit(w);
        n = take(w, 7);
        assert_true(n > 0);
        for (size_t i = 0; i < n; i++) {
            size_t place = w->items[i].id - out < MESSAGES ? w->items[i].id - out : MESSAGES;
            assert_false(seen[place]);
            seen[place] = true;
            step_item(w, (unsigned)i, BOTH, OP_NONE);
        }
        pass(w, 0);
    }
    assert_int_equal(outbox_living(w->outbox), 0);
}

/* A step for one that waits on disk is taken, and its delay goes on. */
static void a_step_for_a_delay_on_disk(void **state)
{
    world_t *w = *state;
    open_narrow(w, 1024, 1);
    lease(w, 3);
    delivery_item_t last = w->items[2];
    release_for(w, 3, 60000);
    read_backlog(w);
    assert_int_equal(gauges(w).total, 1);
    uint32_t place = step(w, last.id, last.token, SAVE, OP_NONE, "");
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[place], STEP_STALE);
    round_end(&w->round);
    outbox_row_t row;
    assert_int_equal(outbox_find(w->outbox, last.id, &row), 0);
    assert_int_equal(row.done, SAVE);
    pass(w, 60001);
    assert_int_equal(take(w, 10), 2);
    pass(w, 1);
    assert_int_equal(take(w, 10), 1);
    assert_int_equal(w->items[0].id, last.id);
    assert_int_equal(w->items[0].open, RESTART);
}

/* --- dead letters --- */

static void a_redriven_letter_comes_from_disk(void **state)
{
    world_t *w = *state;
    lease(w, 2);
    uint64_t id = w->items[0].id;
    step_t bad = {.token = w->items[0].token, .done = SAVE, .bad = RESTART, .text = {"no power", 8}};
    round_step(&w->round, SESSION, id, &bad);
    commit(w);
    assert_string_equal(buried_history(w, id), "1.1 PERMANENT no power");
    assert_int_equal(outbox_died(w->outbox), 1);
    assert_int_equal(round_redrive(&w->round, id, 0), 0);
    assert_int_equal(round_redrive(&w->round, id, 0), 0); /* twice in one round: it is no letter any more */
    assert_int_equal(w->round.counts.redriven, 0);
    commit(w);
    assert_int_equal(w->round.counts.redriven, 1);
    assert_int_equal(outbox_died(w->outbox), 0);
    pass(w, 1);
    assert_int_equal(take(w, 10), 1);
    assert_int_equal(w->items[0].id, id);
    assert_int_equal(w->items[0].open, RESTART);
    step_item(w, 0, RESTART, OP_NONE);
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[0], STEP_DONE);
    round_end(&w->round);
}

/* What a step of the same round has named is left alone: it may be done with this very commit. */
static void letters_that_a_step_names_wait(void **state)
{
    world_t *w = *state;
    lease(w, 1);
    uint64_t id = w->items[0].id;
    change_one(w->outbox, &(delivery_change_t){.id = id, .kind = CHANGE_BURY, .bad = BOTH}, 0);
    delivery_session_holds(w->delivery, SESSION, NULL, 0);
    close_world(w, true);
    open_world(w);
    step(w, id, 1, SAVE, OP_NONE, "");
    assert_int_equal(round_redrive(&w->round, id, 0), -EAGAIN);
    assert_int_equal(round_purge(&w->round, id), -EAGAIN);
    commit(w);
    assert_int_equal(round_purge(&w->round, id), 0);
    commit(w);
    assert_int_equal(w->round.counts.purged, 1);
    assert_int_equal(outbox_dead(w->outbox), 0);
}

static void a_redrive_on_a_full_disk_is_undone(void **state)
{
    world_t *w = *state;
    lease(w, 1);
    uint64_t id = w->items[0].id;
    step_t bad = {.token = w->items[0].token, .bad = BOTH};
    round_step(&w->round, SESSION, id, &bad);
    commit(w);
    assert_int_equal(round_redrive(&w->round, id, 0), 0);
    write_errno = ENOSPC;
    assert_int_equal(round_commit(&w->round), -ENOSPC);
    write_errno = 0;
    assert_int_equal(round_again(&w->round), 0);
    round_end(&w->round);
    assert_int_equal(w->round.counts.redriven, 0);
    assert_int_equal(outbox_dead(w->outbox), 1);
    assert_int_equal(outbox_died(w->outbox), 1);
    pass(w, 1);
    assert_int_equal(gauges(w).total, 0);
}

/* A message that dies takes its body along: what has room on a full disk may be less than a piece. */
static void large_letters_find_room_one_by_one(void **state)
{
    enum { MESSAGES = 40, BODY = 60000 };
    static const char body[BODY];
    world_t *w = *state;
    w->limits.ready_bytes_max = 1 << 26;
    close_world(w, true);
    open_world(w);
    for (unsigned i = 0; i < MESSAGES; i++) {
        size_t at = w->round.bodies.len;
        buffer_append(&w->round.bodies, body, BODY);
        round_insert(&w->round, at, NULL);
    }
    delivery_session_open(w->delivery, SESSION, 1000);
    commit(w);
    commit(w);
    assert_int_equal(take(w, MESSAGES), MESSAGES);
    for (unsigned i = 0; i < MESSAGES; i++) {
        const step_t s = {.token = w->items[i].token, .bad = BOTH, .text = {"no power", 8}};
        round_step(&w->round, SESSION, w->items[i].id, &s);
    }
    write_errno = ENOSPC;
    log_bytes_max = 512 * 1024;
    assert_int_equal(round_commit(&w->round), -ENOSPC);
    assert_int_equal(outbox_dead(w->outbox), 0);
    assert_int_equal(round_again(&w->round), 0);
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(w->round.codes[i], STEP_DEAD);
    round_end(&w->round);
    assert_int_equal(outbox_dead(w->outbox), MESSAGES);
    write_errno = 0;
    assert_string_equal(buried_history(w, w->items[0].id), "0.1 PERMANENT no power; 1.1 PERMANENT no power");
}

/* --- tries --- */

static step_code_t try_step(world_t *w, uint64_t id, uint64_t token, step_op_t op, event_t e)
{
    buffer_t b;
    buffer_init(&b);
    event_write(&b, &e);
    const step_t s = {
        .token = token, .op = op, .events = b.data, .events_len = (uint32_t)b.len, .events_count = 1};
    uint32_t place = round_step(&w->round, SESSION, id, &s);
    buffer_done(&b);
    assert_int_equal(round_commit(&w->round), 0);
    step_code_t code = (step_code_t)w->round.codes[place];
    round_end(&w->round);
    return code;
}

static unsigned tries_of(world_t *w, uint64_t id)
{
    outbox_row_t row;
    assert_int_equal(outbox_find(w->outbox, id, &row), 0);
    return row.tries[1];
}

/* With the current token or in limbo; kept in any case. */
static void which_tries_count(void **state)
{
    world_t *w = *state;
    lease(w, 2);
    uint64_t id = w->items[0].id, token = w->items[0].token, other = w->items[1].id;
    unsigned before = syncs;
    assert_int_equal(try_step(w, id, token, OP_EXTEND, a_try(1, 1, HOW_TRANSIENT, "a")), STEP_KEPT);
    assert_int_equal(syncs, before + 1);
    assert_int_equal(tries_of(w, id), 1);
    assert_int_equal(try_step(w, id, token, OP_NONE, a_try(1, 1, HOW_TRANSIENT, "a")), STEP_KEPT);
    assert_int_equal(syncs, before + 1); /* nothing is new */
    assert_int_equal(try_step(w, id, token + 99, OP_NONE, a_try(1, 7, HOW_LOST, "b")), STEP_STALE);
    assert_int_equal(tries_of(w, id), 1);
    crash(w);
    delivery_session_open(w->delivery, SESSION, 1000);
    assert_int_equal(try_step(w, id, token, OP_RELEASE, a_try(1, 2, HOW_TIMEOUT, "c")), STEP_STALE);
    assert_int_equal(tries_of(w, id), 2);
    /* One that is read with its body leaves it on disk: the tries are there. */
    assert_int_equal(try_step(w, other, token + 1, OP_RELEASE, a_try(1, 3, HOW_LOST, "d")), STEP_STALE);
    close_world(w, true);
    open_world(w);
    delivery_session_open(w->delivery, SESSION, 1000);
    commit(w);
    pass(w, 10000);
    assert_int_equal(take(w, 10), 2);
    assert_null(w->items[0].body);
    assert_string_equal(buried_history(w, id), "1.1 TRANSIENT a; 1.7 LOST b; 1.2 TIMEOUT c");
}

/* The tries of a redriven message begin anew, also when what was told before its death is told again. */
static void a_try_that_is_told_again_does_not_count(void **state)
{
    world_t *w = *state;
    lease(w, 1);
    uint64_t id = w->items[0].id, token = w->items[0].token;
    const event_t e = a_try(1, 5, HOW_TRANSIENT, "no power");
    assert_int_equal(try_step(w, id, token, OP_EXTEND, e), STEP_KEPT);
    const step_t bad = {.token = token, .done = SAVE, .bad = RESTART};
    round_step(&w->round, SESSION, id, &bad);
    commit(w);
    assert_int_equal(round_redrive(&w->round, id, 0), 0);
    commit(w);
    crash(w);
    assert_int_equal(try_step(w, id, token, OP_NONE, e), STEP_STALE);
    assert_int_equal(tries_of(w, id), 0);
}

typedef struct {
    outbox_letter_t letter;
    char bytes[512];
} copy_t;

static bool copy_letter(void *arg, const outbox_letter_t *l)
{
    copy_t *c = arg;
    c->letter = *l;
    assert_true(l->events_len <= sizeof c->bytes);
    memcpy(c->bytes, l->events, l->events_len);
    return false;
}

static const char *label(void *arg, uint32_t who)
{
    assert_non_null(arg);
    assert_int_equal(who, 5);
    return "web-7:4242";
}

/* How each lease ended, and with whom. */
static void ends_of_leases_are_told(void **state)
{
    world_t *w = *state;
    w->round.label = label;
    w->round.label_arg = w;
    lease(w, 3);
    delivery_session_name(w->delivery, SESSION, 5);
    uint64_t id = w->items[0].id;
    pass(w, 4000);
    step(w, id, w->items[0].token, 0, OP_NACK, "no power");
    pass(w, 6000);
    assert_string_equal(buried_history(w, id), "8.1 NACKED no power");
    assert_string_equal(buried_history(w, id + 1), "8.1 LEASE LOST");
    copy_t c;
    assert_int_equal(outbox_letters(w->outbox, id, id + 1, 1, copy_letter, &c), 0);
    event_t e = nth_event(c.bytes, c.letter.events_len, 0);
    assert_int_equal(e.took_ms, 10000);
    assert_int_equal(e.label.len, 10);
    assert_true(e.since_ms > 0);
}

/* --- suspects --- */

/* One that waits for its turn, far behind in the order of ids, holds up nothing that is new. */
static void suspects_hold_up_nothing_new(void **state)
{
    enum { MESSAGES = 60 };
    world_t *w = *state;
    lease(w, 2);
    for (unsigned i = 0; i < 2; i++)
        change_one(w->outbox,
                   &(delivery_change_t){.id = w->items[i].id, .kind = CHANGE_MARK, .deliveries = 5}, 0);
    insert(w, AHEAD + MESSAGES);
    commit(w);
    delivery_session_drop(w->delivery, SESSION);
    close_world(w, true);
    open_world(w);
    delivery_session_open(w->delivery, SESSION, 1000);
    read_backlog(w);
    commit(w);
    /* One suspect is out and stays there, the other waits. */
    unsigned given = 0;
    for (size_t n = 1; n > 0; given += n) {
        commit(w);
        n = take(w, 1000);
        read_backlog(w);
    }
    assert_int_equal(gauges(w).suspects, 2);
    assert_int_equal(given, 1 + AHEAD + MESSAGES);
    assert_int_equal(delivery_taker(w->delivery), DELIVERY_NO_SESSION);
}

/* Their bodies stay on disk: what is new needs the room. */
static void suspects_take_no_room_for_bodies(void **state)
{
    enum { SUSPECTS = 40 };
    world_t *w = *state;
    lease(w, SUSPECTS);
    for (unsigned i = 0; i < SUSPECTS; i++)
        change_one(w->outbox,
                   &(delivery_change_t){.id = w->items[i].id, .kind = CHANGE_MARK, .deliveries = 5}, 0);
    delivery_session_drop(w->delivery, SESSION);
    close_world(w, true);
    open_world(w);
    read_backlog(w);
    assert_int_equal(gauges(w).suspects, SUSPECTS);
    assert_int_equal(gauges(w).ready_bytes, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(long_delays_wait_on_disk),
        TEST(short_delays_stay_in_memory),
        TEST(what_is_due_waits_for_room),
        TEST(a_step_for_a_delay_on_disk),
        TEST(a_redriven_letter_comes_from_disk),
        TEST(letters_that_a_step_names_wait),
        TEST(a_redrive_on_a_full_disk_is_undone),
        TEST(large_letters_find_room_one_by_one),
        TEST(which_tries_count),
        TEST(a_try_that_is_told_again_does_not_count),
        TEST(ends_of_leases_are_told),
        TEST(a_nack_leaves_its_reason),
        TEST(a_leg_that_ended_badly_is_told_once),
        TEST(suspects_hold_up_nothing_new),
        TEST(suspects_take_no_room_for_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

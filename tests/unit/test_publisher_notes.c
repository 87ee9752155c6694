/* Notes on their way through rounds: on disk before GRANTED is said, also when the round is done again, and
 * over a crash. */
#define _DEFAULT_SOURCE     /* see disk_faults.h */
#define _LARGEFILE64_SOURCE /* see disk_faults.h */
#include "common/core/notes.h"
#include "tests/unit/disk_faults.h"
#include "tests/unit/round_fixture.h"

enum { SAVE_BIT = 0, RESTART_BIT = 1, MANY = 600 };

static int setup(void **state)
{
    write_errno = sync_errno = writes_left = 0;
    log_bytes_max = 0;
    if (world_open(state) < 0)
        return -1;
    world_t *w = *state;
    close_world(w, true);
    w->limits.ready_max = MANY;
    open_world(w);
    return 0;
}

static uint32_t say(world_t *w, uint64_t id, uint64_t token, uint8_t bit, const char *text, int64_t ms)
{
    const step_t s = {.token = token,
                      .op = OP_NOTE,
                      .ms = ms,
                      .text = {"", 0},
                      .note = {.bit = bit, .bytes = text, .len = (uint32_t)strlen(text)}};
    return round_step(&w->round, SESSION, id, &s);
}

static uint32_t note_item(world_t *w, unsigned item, const char *text)
{
    return say(w, w->items[item].id, w->items[item].token, RESTART_BIT, text, 20000);
}

static const char *note_on_disk(world_t *w, uint64_t id)
{
    static char text[NOTE_BYTES_MAX + 1];
    outbox_row_t row;
    buffer_t b;
    reader_t r;
    note_t n = {.len = 0};
    buffer_init(&b);
    assert_int_equal(outbox_find(w->outbox, id, &row), 0);
    notes_of(row.notes, row.notes_len, RESTART, &b);
    reader_init(&r, b.data, b.len);
    note_read(&r, &n);
    snprintf(text, sizeof text, "%.*s", (int)n.len, n.len > 0 ? (const char *)n.bytes : "");
    buffer_done(&b);
    return text;
}

static void a_granted_note_is_on_disk(void **state)
{
    world_t *w = *state;
    lease(w, 2);
    uint64_t id = w->items[0].id, other = w->items[1].id;
    uint32_t first = note_item(w, 0, "first"), second = note_item(w, 0, "second");
    uint32_t stale = say(w, other, w->items[1].token + 9, RESTART_BIT, "stale", 0);
    uint32_t refused = say(w, other, w->items[1].token, 5, "no such leg", 0);
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[first], STEP_GRANTED);
    assert_int_equal(w->round.codes[second], STEP_GRANTED);
    assert_int_equal(w->round.codes[stale], STEP_STALE);
    assert_int_equal(w->round.codes[refused], STEP_KEPT);
    round_end(&w->round);
    assert_string_equal(note_on_disk(w, id), "second");
    assert_string_equal(note_on_disk(w, other), "");
    assert_int_equal(w->round.counts.noted, 2);
    note_item(w, 0, "");
    commit(w);
    assert_string_equal(note_on_disk(w, id), "");
}

/* Of legs that have ended in the same round, and of messages that have. */
static void what_ends_takes_its_note_along(void **state)
{
    world_t *w = *state;
    lease(w, 2);
    uint64_t dead = w->items[0].id, done = w->items[1].id;
    note_item(w, 0, "intent");
    const step_t bad = {.token = w->items[0].token, .done = SAVE, .bad = RESTART, .text = {"no", 2}};
    round_step(&w->round, SESSION, dead, &bad);
    note_item(w, 1, "intent");
    step_item(w, 1, BOTH, OP_NONE);
    commit(w);
    assert_int_equal(outbox_dead(w->outbox), 1);
    assert_int_equal(outbox_living(w->outbox), 0);
    assert_int_equal(round_redrive(&w->round, dead, 0), 0);
    commit(w);
    assert_string_equal(note_on_disk(w, dead), "");
    outbox_row_t row;
    assert_int_equal(outbox_find(w->outbox, done, &row), -ENOENT);
}

/* The disk has no room, and then it has: what was granted in the round that was undone is granted again, in
 * pieces, with its notes; and its time is given once. */
static void a_round_that_is_done_again_writes_them_again(void **state)
{
    world_t *w = *state;
    static uint32_t places[MANY];
    static char long_note[NOTE_BYTES_MAX + 1];
    memset(long_note, 'x', NOTE_BYTES_MAX);
    lease(w, MANY);
    for (unsigned i = 0; i < MANY; i++)
        places[i] = note_item(w, i, long_note);
    /* Given back behind its note: not before that is on the disk. */
    uint32_t back = step_item(w, 0, 0, OP_RELEASE);
    write_errno = ENOSPC;
    assert_int_equal(round_commit(&w->round), -ENOSPC);
    assert_int_equal(w->round.counts.noted, 0);
    assert_int_equal(gauges(w).leased, MANY);
    write_errno = 0;
    w->now_ms += 5000;
    round_time(&w->round, w->now_ms, w->now_ms * 1000, clock_wall_ms());
    assert_int_equal(round_again(&w->round), 0);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(w->round.codes[places[i]], STEP_GRANTED);
        assert_string_equal(note_on_disk(w, w->items[i].id), long_note);
    }
    assert_int_equal(w->round.codes[back], STEP_RETURNED);
    assert_int_equal(w->round.counts.noted, MANY);
    round_end(&w->round);
    w->now_ms = 1000 + 20000;
    round_time(&w->round, w->now_ms, w->now_ms * 1000, clock_wall_ms());
    assert_int_equal(round_expire(&w->round, MANY), MANY); /* and the delay of the one that went back */
}

static void a_disk_that_fails_grants_nothing(void **state)
{
    world_t *w = *state;
    lease(w, 1);
    note_item(w, 0, "intent");
    sync_errno = EIO;
    assert_int_equal(round_commit(&w->round), -EIO);
    sync_errno = 0;
    assert_int_equal(w->round.counts.noted, 0);
}

/* The first had the message before it was lost; the second recorded a note under its own lease. Behind a
 * crash only the second may go on, and what waits for neither of them is read from disk when it goes out. */
static void who_has_not_seen_a_note_does_not_adopt(void **state)
{
    world_t *w = *state;
    lease(w, 2);
    const delivery_item_t first = w->items[0], plain = w->items[1];
    assert_int_equal(gauges(w).leased, 2);
    for (int i = 0; i < 2; i++) {
        const step_t nack = {.token = w->items[i].token, .op = OP_NACK, .text = {"", 0}};
        round_step(&w->round, SESSION, w->items[i].id, &nack);
    }
    commit(w);
    assert_int_equal(take(w, 10), 2);
    const delivery_item_t second = w->items[0];
    assert_true(second.id == first.id && second.token > first.token);
    assert_null(second.body);
    note_item(w, 0, "intent");
    commit(w);
    crash(w);
    delivery_session_open(w->delivery, SESSION, 1000);
    uint32_t late = say(w, first.id, first.token, RESTART_BIT, "late", 20000);
    uint32_t extend = step(w, first.id, first.token, 0, OP_EXTEND, "");
    uint32_t other = say(w, plain.id, plain.token, RESTART_BIT, "of none", 20000);
    uint32_t right = say(w, second.id, second.token, RESTART_BIT, "again", 20000);
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[late], STEP_STALE);
    assert_int_equal(w->round.codes[extend], STEP_STALE);
    assert_int_equal(w->round.codes[other], STEP_GRANTED);
    assert_int_equal(w->round.codes[right], STEP_GRANTED);
    round_end(&w->round);
    assert_string_equal(note_on_disk(w, first.id), "again");
    assert_string_equal(note_on_disk(w, plain.id), "of none");
    /* Nobody comes: they go out again, and not with a body from memory. */
    crash(w);
    delivery_session_open(w->delivery, SESSION, 1000);
    w->now_ms += 20000;
    round_time(&w->round, w->now_ms, w->now_ms * 1000, clock_wall_ms());
    read_backlog(w);
    read_backlog(w);
    assert_int_equal(take(w, 10), 2);
    assert_null(w->items[0].body);
    assert_null(w->items[1].body);
}

/* Two have the message when the publisher dies. The one that had it first comes back first, records a note
 * and acts; the publisher dies again before the other has said a word. */
static void a_note_of_an_adopted_lease_counts_behind_the_next_crash(void **state)
{
    world_t *w = *state;
    lease(w, 1);
    const delivery_item_t first = w->items[0];
    const step_t nack = {.token = first.token, .op = OP_NACK, .text = {"", 0}};
    round_step(&w->round, SESSION, first.id, &nack);
    commit(w);
    assert_int_equal(take(w, 10), 1);
    const delivery_item_t second = w->items[0];
    assert_true(second.id == first.id && second.token > first.token);
    crash(w);
    delivery_session_open(w->delivery, SESSION, 1000);
    uint32_t adopts = say(w, first.id, first.token, RESTART_BIT, "first acts", 20000);
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[adopts], STEP_GRANTED);
    round_end(&w->round);
    crash(w);
    delivery_session_open(w->delivery, SESSION, 1000);
    uint32_t blind = say(w, second.id, second.token, RESTART_BIT, "second acts", 20000);
    uint32_t extend = step(w, second.id, second.token, 0, OP_EXTEND, "");
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[blind], STEP_STALE);
    assert_int_equal(w->round.codes[extend], STEP_STALE);
    round_end(&w->round);
    assert_string_equal(note_on_disk(w, first.id), "first acts");
}

static void a_message_that_is_gone_is_not_noted(void **state)
{
    world_t *w = *state;
    lease(w, 1);
    change_one(w->outbox, &(delivery_change_t){.id = w->items[0].id, .kind = CHANGE_DELETE}, 0);
    uint32_t place = note_item(w, 0, "intent");
    assert_int_equal(round_commit(&w->round), 0);
    assert_int_equal(w->round.codes[place], STEP_GONE);
    assert_int_equal(w->round.counts.noted, 0);
    round_end(&w->round);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_granted_note_is_on_disk),
        TEST(what_ends_takes_its_note_along),
        TEST(a_round_that_is_done_again_writes_them_again),
        TEST(a_disk_that_fails_grants_nothing),
        TEST(who_has_not_seen_a_note_does_not_adopt),
        TEST(a_note_of_an_adopted_lease_counts_behind_the_next_crash),
        TEST(a_message_that_is_gone_is_not_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Notes as a publisher keeps them: a consumer that the test plays records them, is given them again, and
 * finds them behind a kill. And letters of which nobody can tell whether they were done. */
#include "tests/support/fake.h"
#include "tests/support/pipeline.h"
#include "tests/unit/event_fixture.h"

#include <stdio.h>
#include <string.h>

enum { SAVE = 1, RESTART = 2, BOTH = 3, SAVE_BIT = 0, RESTART_BIT = 1 };

typedef struct {
    process_t *publisher;
    fake_t consumer;
    delivery_record_t d[8];
    char notes[512]; /* of the last message that was taken: "1:intent 0:save " */
} world_t;

static void take(world_t *w, unsigned place)
{
    reader_t r;
    note_t n;

    fake_take(&w->consumer, &w->d[place], 1);
    reader_init(&r, w->d[place].notes, w->d[place].notes_len);
    w->notes[0] = '\0';
    while (note_read(&r, &n))
        snprintf(w->notes + strlen(w->notes), sizeof w->notes - strlen(w->notes), "%u:%.*s ", n.bit,
                 (int)n.len, (const char *)n.bytes);
}

static void open_world(rig_t *rig, world_t *w, unsigned n, const char *const *args)
{
    w->publisher = start_publisher(rig, 0, args);
    publish_hosts(rig, 0, "web", n);
    fake_consumer(&w->consumer, rig, rig_endpoint(rig, "leases-0"), 100);
    fake_take(&w->consumer, w->d, n);
}

static step_code_t note(world_t *w, const delivery_record_t *d, uint8_t bit, const char *text, int64_t ms)
{
    const step_t step = {.id = d->id,
                         .token = d->token,
                         .op = OP_NOTE,
                         .ms = ms,
                         .text = {"", 0},
                         .note = {.bit = bit, .bytes = text, .len = (uint32_t)strlen(text)}};

    return fake_say(&w->consumer, &step);
}

static void test_the_next_delivery_brings_them(void **state)
{
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 1, NO_ARGS);
    assert_int_equal(w.d[0].notes_count, 0);
    assert_int_equal(note(&w, &w.d[0], RESTART_BIT, "intent", 20000), STEP_GRANTED);
    assert_int_equal(note(&w, &w.d[0], SAVE_BIT, "save", 0), STEP_GRANTED);
    assert_int_equal(note(&w, &w.d[0], 5, "no such leg", 0), STEP_KEPT);
    assert_int_equal(note(&w, &w.d[0], RESTART_BIT, "for too long", DURATION_MS_MAX), STEP_KEPT);
    delivery_record_t old = w.d[0];
    assert_int_equal(fake_step(&w.consumer, &w.d[0], 0, 0, OP_RELEASE, 0), STEP_RETURNED);
    take(&w, 0);
    assert_string_equal(w.notes, "1:intent 0:save ");
    assert_int_equal(w.d[0].notes_count, 2);
    assert_int_equal(note(&w, &old, RESTART_BIT, "late", 0), STEP_STALE);
    /* Of a leg that is done nobody needs it, and one that is void is none. */
    assert_int_equal(fake_step(&w.consumer, &w.d[0], SAVE, 0, OP_RELEASE, 0), STEP_RETURNED);
    take(&w, 0);
    assert_string_equal(w.notes, "1:intent ");
    assert_int_equal(note(&w, &w.d[0], SAVE_BIT, "again", 0), STEP_KEPT);
    assert_int_equal(note(&w, &w.d[0], RESTART_BIT, "", 0), STEP_GRANTED);
    assert_int_equal(fake_step(&w.consumer, &w.d[0], 0, 0, OP_RELEASE, 0), STEP_RETURNED);
    take(&w, 0);
    assert_string_equal(w.notes, "");
    assert_int_equal(w.d[0].notes_count, 0);
    assert_int_equal(status_number(rig, "clients-0", "noted"), 3);
    assert_int_equal(fake_step(&w.consumer, &w.d[0], BOTH, 0, OP_NONE, 0), STEP_DONE);
    rig_passed(rig);
}

/* The lease is the sender's alone for as long as was granted, however short the ack deadline. */
static void test_a_grant_is_longer_than_the_ack_deadline(void **state)
{
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 2, ARGS("--ack-deadline", "100ms"));
    assert_int_equal(note(&w, &w.d[0], RESTART_BIT, "intent", 60000), STEP_GRANTED);
    uint64_t held = w.d[0].id.seq;
    /* The other one is lost again and again until it is dead; this one is not. */
    WAIT(status_number(rig, "clients-0", STATUS_DEAD) == 1);
    assert_int_equal(status_number(rig, "clients-0", "leased"), 1);
    while (w.consumer.deliveries_count > 0) {
        take(&w, 1);
        assert_int_not_equal(w.d[1].id.seq, held);
    }
    assert_int_equal(fake_step(&w.consumer, &w.d[0], BOTH, 0, OP_NONE, 0), STEP_DONE);
    rig_passed(rig);
}

/* What was granted is on the disk: the next start has it, and only who had the message last goes on. */
static void test_notes_outlive_a_kill(void **state)
{
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 2, ARGS("--ack-deadline", "2s"));
    delivery_record_t first = w.d[0];
    assert_int_equal(fake_step(&w.consumer, &first, 0, 0, OP_RELEASE, 0), STEP_RETURNED);
    take(&w, 0);
    assert_int_equal(note(&w, &w.d[0], RESTART_BIT, "intent", 0), STEP_GRANTED);
    assert_int_equal(note(&w, &w.d[1], RESTART_BIT, "other", 0), STEP_GRANTED);
    process_kill(w.publisher);
    process_start(w.publisher);
    fake_again(&w.consumer);
    assert_int_equal(note(&w, &first, RESTART_BIT, "late", 0), STEP_STALE);
    assert_int_equal(note(&w, &w.d[0], RESTART_BIT, "second", 60000), STEP_GRANTED);
    /* The other one was not claimed. */
    take(&w, 2);
    assert_int_equal(w.d[2].id.seq, w.d[1].id.seq);
    assert_string_equal(w.notes, "1:other ");
    assert_int_equal(fake_step(&w.consumer, &w.d[2], BOTH, 0, OP_NONE, 0), STEP_DONE);
    fake_step(&w.consumer, &w.d[0], 0, 0, OP_RELEASE, 0);
    take(&w, 0);
    assert_string_equal(w.notes, "1:second ");
    rig_passed(rig);
}

/* A message whose restart ends with UNKNOWN. */
static void nobody_knows(world_t *w, const delivery_record_t *d)
{
    buffer_t b;
    const event_t e = a_try(RESTART_BIT, 1, HOW_UNKNOWN, "web-0 cannot be looked at");

    buffer_init(&b);
    event_write(&b, &e);
    assert_int_equal(note(w, d, RESTART_BIT, "intent", 0), STEP_GRANTED);
    const step_t step = {.id = d->id,
                         .token = d->token,
                         .done = SAVE,
                         .bad = RESTART,
                         .text = {"", 0},
                         .events = b.data,
                         .events_len = (uint32_t)b.len,
                         .events_count = 1};
    assert_int_equal(fake_say(&w->consumer, &step), STEP_DEAD);
    buffer_done(&b);
}

static void test_what_nobody_knows_is_for_people(void **state)
{
    rig_t *rig = *state;
    world_t w;
    process_t *p;
    const char *clients;

    open_world(rig, &w, 4, NO_ARGS);
    clients = rig_way_to(rig, "clients-0");
    for (unsigned i = 0; i < 3; i++)
        nobody_knows(&w, &w.d[i]);
    assert_int_equal(fake_step(&w.consumer, &w.d[3], SAVE, RESTART, OP_NONE, 0), STEP_DEAD);
    p = SPAWN(rig, "list", "mandrill", "dead", "--clients", clients, "list", "--reason", "unknown: web-?*");
    assert_int_equal(process_wait(p, WAIT_MS), 0);
    assert_int_equal(process_out_count(p, "\n"), 1 + 3);
    assert_int_equal(process_out_count(p, "unknown: web-0 cannot be looked at"), 3);
    /* Two were restarted, as somebody has seen. */
    p = SPAWN(rig, "done", "mandrill", "dead", "--clients", clients, "done", "--yes", "--leg", "restart",
              "--reason", "unknown:*", "--limit", "2");
    assert_int_equal(process_wait(p, WAIT_MS), 0);
    assert_int_equal(process_out_count(p, "2 of 2 dead letters marked as done"), 1);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 2);
    assert_int_equal(status_number(rig, "clients-0", "acked"), 2);
    assert_int_equal(status_number(rig, "clients-0", "resolved"), 2);
    assert_int_equal(status_number(rig, "clients-0", "legs.restart.done"), 2);
    /* The third was not: it is wanted again, from the start and without its note. */
    p = SPAWN(rig, "redrive", "mandrill", "dead", "--clients", clients, "redrive", "--reason", "unknown:*");
    assert_int_equal(process_wait(p, WAIT_MS), 0);
    take(&w, 0);
    assert_int_equal(w.d[0].legs, RESTART);
    assert_string_equal(w.notes, "");
    assert_int_equal(fake_step(&w.consumer, &w.d[0], RESTART, 0, OP_NONE, 0), STEP_DONE);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 1);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_the_next_delivery_brings_them),
        RIG_TESTS(test_a_grant_is_longer_than_the_ack_deadline),
        RIG_TESTS(test_notes_outlive_a_kill),
        RIG_TESTS(test_what_nobody_knows_is_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Failures as the publisher keeps them, and its dead letters as docs/PROTOCOL.md section 6 has them: a
 * consumer and a client that the test plays. */
#include "tests/support/fake.h"
#include "tests/support/pipeline.h"
#include "tests/unit/event_fixture.h"

#include <signal.h>
#include <string.h>

enum { SAVE = 1, RESTART = 2, BOTH = 3, MANY = 1000 };

typedef struct {
    process_t *publisher;
    fake_t consumer, client;
    delivery_record_t d[20];
    letter_t *letters;
    buried_t buried;
} world_t;

static void open_client(rig_t *rig, world_t *w)
{
    fake_raw(&w->client, rig, rig_endpoint(rig, "clients-0"));
    w->letters = rig_alloc(rig, LETTERS_MAX * sizeof *w->letters);
}

/* n messages for web-0 and so on, taken by the consumer. */
static void open_world(rig_t *rig, world_t *w, unsigned n, const char *const *args)
{
    w->publisher = start_publisher(rig, 0, args);
    publish_hosts(rig, 0, "web", n);
    fake_consumer(&w->consumer, rig, rig_endpoint(rig, "leases-0"), 100);
    fake_take(&w->consumer, w->d, n);
    open_client(rig, w);
}

/* Another publisher over the same outbox and endpoints, when the first has ended. */
static process_t *start_over(rig_t *rig, const char *flag, const char *value)
{
    char outbox[TEST_PATH_MAX], announce[TEST_PATH_MAX], clients[TEST_PATH_MAX];

    process_t *p = SPAWN(
        rig, "publisher-again", "mandrill-publisher", "--outbox", rig_path(rig, "outbox-0.db", outbox),
        "--listen", rig_endpoint(rig, "leases-0"), "--clients", rig_endpoint(rig, "clients-0"), "--announce",
        rig_path(rig, "publisher-again.announce", announce), "--report", "json", flag, value);
    process_announced(p, "clients", clients);
    return p;
}

static int ask(world_t *w, act_t act, const char *host, const char *reason, uint32_t max)
{
    const dead_t d = {
        .act = act,
        .filter = {.host = {host, (uint32_t)strlen(host)}, .reason = {reason, (uint32_t)strlen(reason)}},
        .max = max};
    return fake_dead(&w->client, &d, &w->buried, w->letters);
}

/* A step with one try that has ended. */
static step_code_t say(world_t *w, const delivery_record_t *d, step_t step, event_t e)
{
    buffer_t b;

    buffer_init(&b);
    event_write(&b, &e);
    step.id = d->id;
    step.token = d->token;
    step.events = b.data;
    step.events_len = (uint32_t)b.len;
    step.events_count = 1;
    step_code_t code = fake_say(&w->consumer, &step);
    buffer_done(&b);
    return code;
}

/* The d-th message dies of its restart, with a reason. */
static void kill_message(world_t *w, unsigned d, const char *reason)
{
    assert_int_equal(
        say(w, &w->d[d], (step_t){.done = SAVE, .bad = RESTART}, a_try(1, 1, HOW_PERMANENT, reason)),
        STEP_DEAD);
}

static const char *letter_history(const world_t *w, unsigned n)
{
    return history_text(w->letters[n].events, w->letters[n].events_len);
}

static bool has_reason(const letter_t *l, const char *reason)
{
    return l->reason.len == strlen(reason) && memcmp(l->reason.bytes, reason, l->reason.len) == 0;
}

static void test_a_dead_letter_tells_everything(void **state)
{
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 1, NO_ARGS);
    /* Its restart fails twice, here and after a release, and then for good. */
    assert_int_equal(say(&w, &w.d[0], (step_t){.done = SAVE, .op = OP_RELEASE, .ms = 50},
                         a_try(1, 1, HOW_TRANSIENT, "busy")),
                     STEP_RETURNED);
    fake_take(&w.consumer, w.d, 1);
    assert_int_equal(w.d[0].legs, RESTART);
    assert_int_equal(w.d[0].tries[0], 0);
    assert_int_equal(w.d[0].tries[1], 1);
    assert_int_equal(w.d[0].deliveries, 0);
    assert_int_equal(say(&w, &w.d[0], (step_t){.op = OP_NACK}, a_try(1, 2, HOW_TIMEOUT, "")), STEP_RETURNED);
    fake_take(&w.consumer, w.d, 1);
    assert_int_equal(w.d[0].tries[1], 2);
    assert_int_equal(w.d[0].deliveries, 1);
    assert_int_equal(ask(&w, ACT_LIST, "", "", MANY), 0);
    kill_message(&w, 0, "no such host");
    /* Over a kill of the publisher. */
    process_kill(w.publisher);
    process_start(w.publisher);
    assert_int_equal(ask(&w, ACT_LIST, "", "", MANY), 1);
    assert_int_equal(w.buried.count, 1);
    assert_false(w.buried.more);
    assert_int_equal(w.buried.legs_count, 2);
    assert_string_equal(w.buried.legs[1], "restart");
    const letter_t *l = &w.letters[0];
    body_t body;
    assert_true(l->id.stream == w.d[0].id.stream && l->id.seq == w.d[0].id.seq);
    assert_int_equal(l->legs, BOTH);
    assert_int_equal(l->done, SAVE);
    assert_int_equal(l->bad, RESTART);
    assert_int_equal(l->deliveries, 1);
    assert_true(l->died_ms > 0);
    assert_true(has_reason(l, "permanent: no such host"));
    assert_int_equal(body_parse(l->body, l->body_len, &body), 0);
    assert_int_equal(strncmp(body.host, "web-0.example.net", body.host_len), 0);
    assert_string_equal(letter_history(&w, 0),
                        "1.1 TRANSIENT busy; 1.2 TIMEOUT; 8.1 NACKED; 1.1 PERMANENT no such host");
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 1);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    rig_passed(rig);
}

static void test_lost_leases_are_told_with_who_had_them(void **state)
{
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 1, ARGS("--ack-deadline", "50ms", "--max-deliveries", "2"));
    fake_take(&w.consumer, w.d, 1); /* once more */
    assert_int_equal(w.d[0].deliveries, 1);
    WAIT(ask(&w, ACT_LIST, "", "", MANY) == 1);
    assert_true(has_reason(&w.letters[0], "deliveries: 2 leases lost"));
    assert_string_equal(letter_history(&w, 0), "8.1 LEASE LOST; 8.2 LEASE LOST");
    event_t e = nth_event(w.letters[0].events, w.letters[0].events_len, 0);
    assert_int_equal(e.label.len, strlen(FAKE_LABEL));
    assert_memory_equal(e.label.bytes, FAKE_LABEL, e.label.len);
    assert_true(e.took_ms >= 50);
    assert_true(e.since_ms > 0);
    rig_passed(rig);
}

/* What kills its consumers ends among the dead letters; what was out with it each time does not. */
static void test_a_poison_dies_alone(void **state)
{
    enum { MESSAGES = 8, POISON = 4, DELIVERIES_MAX = 5 };
    rig_t *rig = *state;
    world_t w;
    unsigned done = 0, killed = 0;

    open_world(rig, &w, MESSAGES, ARGS("--ack-deadline", "300ms"));
    uint64_t poison = w.d[POISON].id.seq;
    for (unsigned n = MESSAGES; done < MESSAGES - 1 || killed < DELIVERIES_MAX; n = 1) {
        bool dies = false;
        for (unsigned i = 0; i < n; i++)
            dies |= w.d[i].id.seq == poison;
        if (dies) {
            killed++;
            fake_again(&w.consumer);
        } else {
            /* On a slow machine a lease may run out before this is heard, and is here twice. */
            for (unsigned i = 0; i < n; i++)
                done += fake_step(&w.consumer, &w.d[i], BOTH, 0, OP_NONE, 0) == STEP_DONE;
        }
        if (done < MESSAGES - 1 || killed < DELIVERIES_MAX)
            fake_take(&w.consumer, w.d, 1);
    }
    WAIT(ask(&w, ACT_LIST, "", "", MANY) == 1);
    assert_int_equal(w.letters[0].id.seq, poison);
    assert_true(has_reason(&w.letters[0], "deliveries: 5 leases lost"));
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    assert_int_equal(status_number(rig, "clients-0", "acked"), MESSAGES - 1);
    rig_passed(rig);
}

/* Of another's delivery: kept, but it is not this one's number of tries. */
static void test_a_late_try_is_kept_and_does_not_count(void **state)
{
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 1, NO_ARGS);
    delivery_record_t old = w.d[0];
    assert_int_equal(fake_step(&w.consumer, &old, 0, 0, OP_RELEASE, 0), STEP_RETURNED);
    fake_take(&w.consumer, w.d, 1);
    assert_int_equal(say(&w, &old, (step_t){.op = OP_RELEASE}, a_try(1, 9, HOW_LOST, "late")), STEP_STALE);
    assert_int_equal(fake_step(&w.consumer, &w.d[0], 0, 0, OP_RELEASE, 0), STEP_RETURNED);
    fake_take(&w.consumer, w.d, 1);
    assert_int_equal(w.d[0].tries[1], 0);
    kill_message(&w, 0, "x");
    assert_int_equal(say(&w, &old, (step_t){.op = OP_NONE}, a_try(1, 10, HOW_LOST, "later")), STEP_DEAD);
    assert_int_equal(ask(&w, ACT_LIST, "", "", MANY), 1);
    assert_string_equal(letter_history(&w, 0), "1.9 LOST late; 1.1 PERMANENT x; 1.10 LOST later");
    rig_passed(rig);
}

static void test_letters_are_found_by_filter_and_in_pages(void **state)
{
    static const char *const REASONS[] = {"no route", "no power", "no route", "gone", "no power"};
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 5, NO_ARGS);
    for (unsigned i = 0; i < 5; i++)
        kill_message(&w, i, REASONS[i]);
    assert_int_equal(ask(&w, ACT_LIST, "", "permanent: no*", MANY), 4);
    assert_int_equal(ask(&w, ACT_LIST, "web-3.*", "", MANY), 1);
    assert_int_equal(w.letters[0].id.seq, w.d[3].id.seq);
    assert_int_equal(ask(&w, ACT_LIST, "web-?.example.net", "*route", MANY), 2);
    assert_int_equal(ask(&w, ACT_LIST, "web-?", "", MANY), 0);
    assert_int_equal(ask(&w, ACT_COUNT, "*", "*power", MANY), 0);
    assert_int_equal(w.buried.count, 2);
    /* By its id, and by age. */
    dead_t d = {.act = ACT_LIST, .filter.id = w.d[2].id, .max = MANY};
    assert_int_equal(fake_dead(&w.client, &d, &w.buried, w.letters), 1);
    assert_int_equal(w.letters[0].id.seq, w.d[2].id.seq);
    d.filter.id = (message_id_t){.stream = 12345, .seq = 1};
    assert_int_equal(fake_dead(&w.client, &d, &w.buried, w.letters), 0);
    d = (dead_t){.act = ACT_LIST, .filter.older_ms = 3600000, .max = MANY};
    assert_int_equal(fake_dead(&w.client, &d, &w.buried, w.letters), 0);
    d = (dead_t){.act = ACT_LIST, .filter.newer_ms = 3600000, .max = MANY};
    assert_int_equal(fake_dead(&w.client, &d, &w.buried, w.letters), 5);
    /* The last may have died in this millisecond. */
    d = (dead_t){.act = ACT_LIST, .filter.newer_ms = CODEC_INT_MAX, .filter.older_ms = 1, .max = MANY};
    WAIT(fake_dead(&w.client, &d, &w.buried, w.letters) == 5);
    /* Two at a time. */
    d = (dead_t){.act = ACT_LIST, .max = 2};
    unsigned seen = 0;
    do {
        int n = fake_dead(&w.client, &d, &w.buried, w.letters);
        assert_int_equal(n, w.buried.more ? 2 : 1);
        for (int i = 0; i < n; i++)
            assert_int_equal(w.letters[i].id.seq, w.d[seen++].id.seq);
        d.after = w.buried.looked_to;
    } while (w.buried.more);
    assert_int_equal(seen, 5);
    rig_passed(rig);
}

/* A pattern for which each letter takes long is tried on few of them at a time. */
static void test_a_costly_pattern_is_answered_in_pieces(void **state)
{
    enum { LETTERS = 20 };
    rig_t *rig = *state;
    world_t w;
    char reason[TEXT_BYTES_MAX], pattern[TEXT_BYTES_MAX];
    dead_t d = {.act = ACT_COUNT, .max = MANY};
    unsigned pieces = 0;

    memset(reason, 'a', sizeof reason);
    reason[sizeof reason - 1] = '\0';
    memset(pattern, 'a', sizeof pattern);
    pattern[0] = '*';
    pattern[sizeof pattern - 1] = 'b';
    open_world(rig, &w, LETTERS, NO_ARGS);
    for (unsigned i = 0; i < LETTERS; i++)
        kill_message(&w, i, reason);
    d.filter.reason = (text_t){pattern, sizeof pattern};
    do {
        fake_dead(&w.client, &d, &w.buried, w.letters);
        assert_int_equal(w.buried.count, 0);
        assert_true(++pieces < LETTERS);
        d.after = w.buried.looked_to;
    } while (w.buried.more);
    assert_int_equal(d.after.seq, w.d[LETTERS - 1].id.seq);
    assert_true(pieces > 1);
    rig_passed(rig);
}

static void test_a_redriven_letter_goes_out_again(void **state)
{
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 3, NO_ARGS);
    assert_int_equal(
        say(&w, &w.d[1], (step_t){.done = SAVE, .op = OP_NACK}, a_try(1, 3, HOW_TRANSIENT, "busy")),
        STEP_RETURNED);
    fake_take(&w.consumer, &w.d[1], 1);
    for (unsigned i = 0; i < 3; i++)
        kill_message(&w, i, "no power");
    assert_int_equal(ask(&w, ACT_REDRIVE, "web-1.*", "", MANY), 0);
    assert_int_equal(w.buried.count, 1);
    assert_false(w.buried.more);
    delivery_record_t old = w.d[1];
    fake_take(&w.consumer, &w.d[1], 1);
    assert_true(w.d[1].id.seq == old.id.seq && w.d[1].token != old.token);
    assert_int_equal(w.d[1].legs, RESTART);
    assert_int_equal(w.d[1].deliveries, 0);
    assert_int_equal(w.d[1].tries[1], 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 2);
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 1);
    /* Again, and no harm is done. */
    assert_int_equal(ask(&w, ACT_REDRIVE, "web-1.*", "", MANY), 0);
    assert_int_equal(w.buried.count, 0);
    kill_message(&w, 1, "no power yet");
    assert_int_equal(ask(&w, ACT_LIST, "web-1.*", "", MANY), 1);
    assert_string_equal(letter_history(&w, 0),
                        "1.3 TRANSIENT busy; 8.1 NACKED; 1.1 PERMANENT no power; 8.1 REDRIVEN; "
                        "1.1 PERMANENT no power yet");
    /* All of them, one at a time, and over a kill. */
    assert_int_equal(ask(&w, ACT_REDRIVE, "", "", 1), 0);
    assert_int_equal(w.buried.count, 1);
    assert_true(w.buried.more);
    process_kill(w.publisher);
    process_start(w.publisher);
    assert_int_equal(ask(&w, ACT_REDRIVE, "", "", MANY), 0);
    assert_int_equal(w.buried.count, 2);
    /* The first may have been out when it was killed, and comes an ack deadline later: the others are not
     * kept for so long, or they would come again. */
    for (unsigned taken = 0, n = 2; taken < 3; taken += n, n = 1) {
        fake_take(&w.consumer, w.d, n);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(fake_step(&w.consumer, &w.d[i], BOTH, 0, OP_NONE, 0), STEP_DONE);
    }
    assert_int_equal(status_number(rig, "clients-0", STATUS_BACKLOG), 0);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    rig_passed(rig);
}

static void test_a_leg_done_late_takes_a_letter_away(void **state)
{
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 2, NO_ARGS);
    kill_message(&w, 0, "no power");
    kill_message(&w, 1, "no power");
    assert_int_equal(fake_step(&w.consumer, &w.d[0], BOTH, 0, OP_NONE, 0), STEP_DONE);
    assert_int_equal(fake_step(&w.consumer, &w.d[0], BOTH, 0, OP_NONE, 0), STEP_GONE);
    assert_int_equal(ask(&w, ACT_LIST, "", "", MANY), 1);
    assert_int_equal(ask(&w, ACT_PURGE, "", "", MANY), 0);
    assert_int_equal(w.buried.count, 1);
    assert_int_equal(fake_step(&w.consumer, &w.d[1], BOTH, 0, OP_NONE, 0), STEP_GONE);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 0);
    rig_passed(rig);
}

/* A dead letter of an earlier start that turns out well does not make up for a new one. */
static void test_the_exit_code_is_that_of_this_start(void **state)
{
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 2, NO_ARGS);
    kill_message(&w, 0, "no power");
    assert_int_equal(process_stop(w.publisher), 0);
    fake_close(&w.consumer);
    process_t *again = start_over(rig, "--load", "1");
    fake_consumer(&w.consumer, rig, rig_endpoint(rig, "leases-0"), 100);
    delivery_record_t old = w.d[0];
    fake_take(&w.consumer, w.d, 2);
    assert_int_equal(fake_step(&w.consumer, &old, BOTH, 0, OP_NONE, 0), STEP_DONE);
    assert_int_equal(fake_step(&w.consumer, &w.d[0], BOTH, 0, OP_NONE, 0), STEP_DONE);
    kill_message(&w, 1, "no power");
    assert_int_equal(process_wait(again, WAIT_MS), 1);
    assert_int_equal(report_number(again, "dead"), 1);
    assert_int_equal(report_number(again, "acked"), 2);
    assert_int_equal(report_number(again, "dead_at_start"), 1);
    rig_passed(rig);
}

static void test_a_stopping_publisher_only_shows_letters(void **state)
{
    rig_t *rig = *state;
    world_t w;

    open_world(rig, &w, 2, ARGS("--drain-timeout", "60s"));
    kill_message(&w, 0, "no power");
    process_signal(w.publisher, SIGTERM);
    WAIT(status_number(rig, "clients-0", "draining") == 1);
    assert_int_equal(ask(&w, ACT_LIST, "", "", MANY), 1);
    for (act_t act = ACT_REDRIVE; act <= ACT_PURGE; act++) {
        const dead_t d = {.version = PROTO_VERSION, .number = 1, .act = act, .max = 1};
        buffer_t b;
        buffer_init(&b);
        encode_dead(&b, &d);
        fake_send_buffer(&w.client, &b);
        assert_int_equal(fake_recv_error(&w.client), ERR_DRAINING);
        buffer_done(&b);
    }
    assert_int_equal(fake_step(&w.consumer, &w.d[1], BOTH, 0, OP_NONE, 0), STEP_DONE);
    assert_int_equal(process_wait(w.publisher, WAIT_MS), 0);
    rig_passed(rig);
}

/* While no publisher runs: letters are looked at, redriven and purged, and the next start gives out. */
static void test_an_idle_outbox_is_maintained(void **state)
{
    rig_t *rig = *state;
    world_t w;
    confirm_t confirm;

    open_world(rig, &w, 3, NO_ARGS);
    for (unsigned i = 0; i < 3; i++)
        kill_message(&w, i, "no power");
    assert_int_equal(process_stop(w.publisher), 0);
    process_t *idle = start_over(rig, "--maintain", NULL);
    assert_int_equal(status_number(rig, "clients-0", STATUS_DEAD), 3);
    assert_int_equal(ask(&w, ACT_LIST, "", "", MANY), 3);
    assert_int_equal(ask(&w, ACT_PURGE, "web-0.*", "", MANY), 0);
    assert_int_equal(ask(&w, ACT_REDRIVE, "web-1.*", "", MANY), 0);
    assert_int_equal(w.buried.count, 1);
    fake_publish(&w.client, 7, 1, "new", 1);
    assert_int_equal(fake_recv_error(&w.client), ERR_DRAINING);
    /* Nobody else meanwhile. */
    assert_int_equal(status_number(rig, "clients-0", "epoch"), 1);
    assert_int_equal(process_stop(idle), 0);
    process_start(w.publisher);
    fake_take(&w.consumer, w.d, 1);
    assert_int_equal(w.d[0].legs, RESTART);
    assert_int_equal(ask(&w, ACT_COUNT, "", "", MANY), 0);
    assert_int_equal(w.buried.count, 1);
    fake_publish(&w.client, 7, 1, "new", 1);
    fake_confirm(&w.client, &confirm);
    assert_int_equal(confirm.stored, 1);
    rig_passed(rig);
}

/* The tutorial's own bug: its consumer gathered with return_exceptions=True, so a restart that had failed was
 * acked all the same. */
static void test_a_failed_message_is_not_acked(void **state)
{
    enum { COUNT = 20 };
    rig_t *rig = *state;
    world_t w;

    process_t *publisher = start_publisher(rig, 0, ARGS("--load", "20", "--await-consumer"));
    process_t *consumer =
        start_consumer(rig, 0, 1, ARGS("--max-tries", "2", "--backoff", "10ms", "--log-messages"));
    start_save(rig, 0, 1, NO_ARGS);
    start_restart(rig, 0, 1, ARGS("--simulate", "0..0", "--fail", "1"));
    assert_int_equal(process_wait(publisher, WAIT_MS), 1);
    assert_int_equal(report_number(publisher, "acked"), 0);
    assert_int_equal(report_number(publisher, "dead"), COUNT);
    assert_int_equal(report_number(publisher, "legs.save.done"), COUNT);
    assert_int_equal(report_number(publisher, "legs.restart.done"), 0);
    assert_int_equal(process_log_count(consumer, "Acked"), 0);
    /* All of them are there, and what was done is not asked for again. */
    process_t *idle = start_over(rig, "--maintain", NULL);
    open_client(rig, &w);
    assert_int_equal(ask(&w, ACT_LIST, "cattle-*", "", MANY), COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(w.letters[i].done, SAVE);
        assert_int_equal(w.letters[i].bad, RESTART);
    }
    assert_int_equal(process_stop(idle), 0);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_a_dead_letter_tells_everything),
        RIG_TESTS(test_lost_leases_are_told_with_who_had_them),
        RIG_TESTS(test_a_poison_dies_alone),
        RIG_TESTS(test_a_late_try_is_kept_and_does_not_count),
        RIG_TESTS(test_letters_are_found_by_filter_and_in_pages),
        RIG_TESTS(test_a_costly_pattern_is_answered_in_pieces),
        RIG_TESTS(test_a_redriven_letter_goes_out_again),
        RIG_TESTS(test_a_leg_done_late_takes_a_letter_away),
        RIG_TESTS(test_the_exit_code_is_that_of_this_start),
        RIG_TESTS(test_a_stopping_publisher_only_shows_letters),
        RIG_TESTS(test_an_idle_outbox_is_maintained),
        RIG_TESTS(test_a_failed_message_is_not_acked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Notes and grants over the real programs: a worker of tests/contract/odd_kinds.c, a consumer, and a
 * publisher that the test plays. */
#include "tests/contract/odd_kinds.h"
#include "tests/support/pipeline.h"

#include "common/runtime/clock.h"
#include "common/runtime/server.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NOTES_MAX = 16, TRIES_KEPT = 16, STREAM = 900, LEG = 1 };

typedef struct {
    server_t *server;
    process_t *worker;
    loop_t loop;
    uint32_t peer; /* PEER_NONE: no consumer */
    uint32_t window;
    bool silent;        /* PROGRESS is kept for later */
    step_code_t answer; /* to a note */
    struct {
        char text[NOTE_BYTES_MAX + 1];
        int64_t ms;
        uint64_t token;
    } notes[NOTES_MAX];
    size_t notes_count;
    struct {
        how_t how;
        char text[TEXT_BYTES_MAX + 1];
    } tries[TRIES_KEPT];
    size_t tries_count;
    uint8_t done, bad;
} publisher_t;

static unsigned on_hello(void *arg, uint32_t peer, const hello_t *h, bool known, bool moved, char *why)
{
    publisher_t *p = arg;

    (void)known, (void)moved, (void)why;
    p->peer = peer;
    p->window = h->window;
    return 0;
}

static void on_gone(void *arg, uint32_t peer, bool said_bye)
{
    publisher_t *p = arg;

    (void)peer, (void)said_bye;
    p->peer = PEER_NONE;
}

static step_code_t take_step(publisher_t *p, const step_t *s)
{
    reader_t r;
    event_t e;

    reader_init(&r, s->events, s->events_len);
    for (; event_read(&r, &e); p->tries_count++) {
        assert_true(p->tries_count < TRIES_KEPT);
        p->tries[p->tries_count].how = e.how;
        snprintf(p->tries[p->tries_count].text, TEXT_BYTES_MAX + 1, "%.*s", (int)e.text.len, e.text.bytes);
    }
    p->done |= s->done;
    p->bad |= s->bad;
    if (s->op != OP_NOTE)
        return s->done != 0 ? STEP_DONE : s->bad != 0 ? STEP_DEAD : STEP_KEPT;
    assert_true(p->notes_count < NOTES_MAX);
    assert_int_equal(s->note.bit, 0);
    snprintf(p->notes[p->notes_count].text, NOTE_BYTES_MAX + 1, "%.*s", (int)s->note.len,
             (const char *)s->note.bytes);
    p->notes[p->notes_count].token = s->token;
    p->notes[p->notes_count++].ms = s->ms;
    return p->answer;
}

static int on_frame(void *arg, uint32_t peer, int command, const frame_t *frame)
{
    static step_t steps[RECORDS_MAX];
    publisher_t *p = arg;
    uint8_t codes[RECORDS_MAX];
    uint64_t no;
    buffer_t b;

    if (command == CMD_WINDOW)
        return decode_window(frame->data, frame->len, &p->window);
    if (command != CMD_PROGRESS || p->silent)
        return command == CMD_PING || command == CMD_PROGRESS ? 0 : -ENOSYS;
    const int n = decode_progress(frame->data, frame->len, &no, steps);
    assert_true(n > 0);
    for (int i = 0; i < n; i++)
        codes[i] = (uint8_t)take_step(p, &steps[i]);
    buffer_init(&b);
    encode_settled(&b, no, codes, (uint32_t)n);
    assert_int_equal(server_send(p->server, peer, &b), 0);
    buffer_done(&b);
    return n;
}

static void turn(publisher_t *p)
{
    loop_wait(&p->loop, clock_ms() + 10);
    server_receive(p->server, RECORDS_MAX);
    server_tick(p->server);
}

#define UNTIL(publisher, condition)                                                                          \
    do {                                                                                                     \
        const int64_t until_ms_ = test_now_ms() + WAIT_MS;                                                   \
        while (!(condition)) {                                                                               \
            if (test_now_ms() > until_ms_)                                                                   \
                fail_msg("waited %d ms for: %s", (int)WAIT_MS, #condition);                                  \
            turn(publisher);                                                                                 \
        }                                                                                                    \
    } while (0)

static void close_publisher(void *arg)
{
    publisher_t *p = arg;

    server_close(&p->server, 0);
}

/* The publisher, a consumer and a worker, all connected. */
static publisher_t *start(rig_t *rig)
{
    publisher_t *p = rig_alloc(rig, sizeof *p);
    char why[WHY_BYTES];
    server_options_t o = {
        .what = "consumer",
        .endpoint = rig_endpoint(rig, "leases-0"),
        .sessions = true,
        .role = ROLE_CONSUMER,
        .peers_max = 4,
        .welcome = {.session = STREAM, .ack_deadline_ms = 10000, .lease_cap_ms = 3600000, .legs_count = 1}};
    const server_events_t events = {.arg = p, .hello = on_hello, .gone = on_gone, .frame = on_frame};

    memset(p, 0, sizeof *p);
    p->peer = PEER_NONE;
    p->answer = STEP_GRANTED;
    snprintf(o.welcome.legs[0], sizeof o.welcome.legs[0], "odd");
    o.welcome.asked = LEG;
    loop_init(&p->loop);
    if (server_open(&p->server, &o, &events, &p->loop, why) != 0)
        fail_msg("%s", why);
    rig_defer(rig, close_publisher, p);
    start_consumer(rig, 0, 1, ARGS("--backoff", "20ms"));
    p->worker = SPAWN(rig, "worker", "mandrill-worker-odd", "--kind", "odd-loop", "--consumer",
                      rig_endpoint(rig, "tasks-0"));
    UNTIL(p, p->window > 0);
    return p;
}

static void deliver(publisher_t *p, uint64_t token, const char *name, const char *note)
{
    buffer_t b, body, notes;
    batch_t batch;
    char why[WHY_BYTES];

    buffer_init(&b);
    buffer_init(&body);
    buffer_init(&notes);
    assert_int_equal(body_make(name, strlen(name), "example.net", 0, 0, &body, why), 0);
    if (note != NULL)
        note_write(&notes, &(note_t){.bytes = note, .len = (uint32_t)strlen(note)});
    deliver_begin(&batch, &b);
    deliver_add(&batch, &(delivery_record_t){.id = {STREAM, 1},
                                             .token = token,
                                             .legs = LEG,
                                             .body = body.data,
                                             .body_len = (uint32_t)body.len,
                                             .notes = notes.data,
                                             .notes_len = (uint32_t)notes.len,
                                             .notes_count = note != NULL});
    batch_end(&batch);
    assert_int_equal(server_send(p->server, p->peer, &b), 0);
    buffer_done(&b);
    buffer_done(&body);
    buffer_done(&notes);
}

static void test_granted(void **state)
{
    rig_t *rig = *state;
    publisher_t *p = start(rig);

    deliver(p, 5, "asks-1", NULL);
    UNTIL(p, p->done == LEG);
    assert_int_equal(p->notes_count, 1);
    assert_string_equal(p->notes[0].text, "intent");
    assert_int_equal(p->notes[0].token, 5);
    assert_in_range(p->notes[0].ms, 1, ODD_GRANT_MS);
    /* What the worker says of its success is told, though nothing has failed. */
    assert_int_equal(p->tries_count, 1);
    assert_int_equal(p->tries[0].how, HOW_OK);
    assert_string_equal(p->tries[0].text, "granted");
    rig_passed(rig);
}

static void test_refused(void **state)
{
    rig_t *rig = *state;
    publisher_t *p = start(rig);

    p->answer = STEP_KEPT;
    deliver(p, 5, "asks-1", NULL);
    UNTIL(p, p->notes_count == 2); /* by the second try */
    p->answer = STEP_GRANTED;
    UNTIL(p, p->done == LEG);
    assert_int_equal(p->tries[0].how, HOW_TRANSIENT);
    assert_string_equal(p->tries[0].text, "refused");
    assert_int_equal(p->tries[p->tries_count - 1].how, HOW_OK);
    rig_passed(rig);
}

/* Others have the message: the worker is told that it must not, and it is tried no more here. */
static void test_the_lease_is_lost(void **state)
{
    rig_t *rig = *state;
    publisher_t *p = start(rig);

    p->answer = STEP_STALE;
    deliver(p, 5, "asks-1", NULL);
    UNTIL(p, p->notes_count == 1);
    UNTIL(p, process_log_count(p->worker, "a grant has come") == 1);
    UNTIL(p, status_number(rig, "control-0", "held") == 0);
    assert_int_equal(status_number(rig, "control-0", "notes.refused"), 1);
    /* It comes again, with what others have recorded; the worker says what it was given. */
    p->answer = STEP_GRANTED;
    deliver(p, 6, "tells-1", "theirs");
    UNTIL(p, p->bad == LEG || p->done == LEG);
    UNTIL(p, p->tries_count > 0);
    assert_int_equal(p->done, 0);
    assert_string_equal(p->tries[p->tries_count - 1].text, "note: theirs");
    rig_passed(rig);
}

/* The answer does not come: the worker takes its note back, in order behind the first. */
static void test_no_answer(void **state)
{
    rig_t *rig = *state;
    publisher_t *p = start(rig);

    p->silent = true;
    deliver(p, 5, "asks-1", NULL);
    const int64_t until_ms = test_now_ms() + 2 * ODD_GRANT_MS;
    UNTIL(p, test_now_ms() > until_ms);
    p->silent = false;
    UNTIL(p, p->done == LEG);
    assert_string_equal(p->notes[0].text, "intent");
    assert_string_equal(p->notes[p->notes_count - 1].text, "intent");
    assert_true(p->notes[p->notes_count - 1].ms > 0);
    assert_int_equal(p->bad, 0);
    rig_passed(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TESTS(test_granted),
        RIG_TESTS(test_refused),
        RIG_TESTS(test_the_lease_is_lost),
        RIG_TESTS(test_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

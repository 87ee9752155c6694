/* A whole consumer in the test's own thread, turn by turn, between publishers and workers that the test
 * plays. */
#ifndef MANDRILL_CONSUMER_WORLD_H
#define MANDRILL_CONSUMER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/server.h"
#include "consumer/consumer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAIT_MS = 10000,
    PUBLISHERS = 2,
    WORKERS = 3,
    STEPS_MAX = 8192,
    TASKS_MAX = 8192,
    TEXT_MAX = 8192,
    TOLD_MAX = 32,
    GRANTS_MAX = 8
};

/* A try as it was told. */
typedef struct {
    event_t event; /* without its strings */
    char label[LABEL_BYTES_MAX + 1], text[TEXT_BYTES_MAX + 1];
} told_t;

typedef struct {
    server_t *server;
    loop_t loop;
    char endpoint[128];
    uint32_t peer; /* PEER_NONE: no consumer */
    uint32_t hellos, window;
    uint64_t held[64];
    uint32_t held_count;
    step_t steps[STEPS_MAX]; /* without their texts and tries */
    uint32_t steps_count;
    told_t told[TOLD_MAX];
    uint32_t told_count;
    uint64_t last_no;
    uint32_t frames;
    bool mute;                     /* PROGRESS is not answered */
    step_code_t answer;            /* to a step whose legs have not all ended */
    step_code_t note_answer;       /* to one with a note */
    char note[NOTE_BYTES_MAX + 1]; /* the last one that was told */
    const char *brings;            /* a note of the leg of bit 1 that deliver() brings; NULL: none */
    uint8_t legs;                  /* all of them: done means DONE */
    uint8_t old_legs;              /* set before publisher_start: of old messages only */
    uint8_t tries[LEGS_MAX];       /* what deliver() says of each message */
} publisher_world_t;

typedef struct {
    wire_t *wire;
    hello_t hello;
    bool welcome, who;
    unsigned error;
    uint64_t seen;
    int64_t limit_ms;               /* of the last TASKS */
    task_record_t tasks[TASKS_MAX]; /* without their bodies */
    uint32_t tasks_count, frames;
    char note[NOTE_BYTES_MAX + 1]; /* of the last task */
    grant_record_t grants[GRANTS_MAX];
    uint32_t grants_count;
} worker_world_t;

typedef struct {
    char dir[64];
    consumer_t consumer;
    consumer_options_t options;
    const char *endpoints[PUBLISHERS];
    publisher_world_t publishers[PUBLISHERS];
    worker_world_t workers[WORKERS];
    wire_t *asker;
    char report[TEXT_MAX];
    int failed; /* of a turn */
} world_t;

/* --- a publisher --- */

static unsigned world_on_hello(void *arg, uint32_t peer, const hello_t *h, bool known, bool moved, char *why)
{
    publisher_world_t *p = arg;
    reader_t held = h->held;
    (void)known, (void)moved, (void)why;
    p->peer = peer;
    p->hellos++;
    p->window = h->window;
    p->held_count = h->held_count;
    for (uint32_t i = 0; i < h->held_count && i < 64; i++)
        p->held[i] = read_uint(&held, CODEC_INT_MAX);
    return 0;
}

static void world_on_gone(void *arg, uint32_t peer, bool said_bye)
{
    publisher_world_t *p = arg;
    (void)peer, (void)said_bye;
    p->peer = PEER_NONE;
}

static void world_on_tries(publisher_world_t *p, const step_t *s)
{
    reader_t r;
    event_t e;
    reader_init(&r, s->events, s->events_len);
    while (p->told_count < TOLD_MAX && event_read(&r, &e)) {
        told_t *t = &p->told[p->told_count++];
        t->event = e;
        snprintf(t->label, sizeof t->label, "%.*s", (int)e.label.len, e.label.bytes);
        snprintf(t->text, sizeof t->text, "%.*s", (int)e.text.len, e.text.bytes);
    }
}

static int world_on_progress(publisher_world_t *p, const frame_t *frame)
{
    static step_t steps[RECORDS_MAX];
    uint8_t codes[RECORDS_MAX];
    uint64_t no;
    int n = decode_progress(frame->data, frame->len, &no, steps);
    assert_true(n > 0);
    p->last_no = no;
    p->frames++;
    for (int i = 0; i < n; i++) {
        codes[i] = (uint8_t)(steps[i].done == p->legs                              ? STEP_DONE
                             : (uint8_t)(steps[i].done | steps[i].bad) == p->legs  ? STEP_DEAD
                             : steps[i].op == OP_RELEASE || steps[i].op == OP_NACK ? STEP_RETURNED
                             : steps[i].op == OP_NOTE                              ? p->note_answer
                                                                                   : p->answer);
        if (p->steps_count < STEPS_MAX)
            p->steps[p->steps_count++] = steps[i];
        world_on_tries(p, &steps[i]);
        if (steps[i].op == OP_NOTE)
            snprintf(p->note, sizeof p->note, "%.*s", (int)steps[i].note.len,
                     (const char *)steps[i].note.bytes);
    }
    if (!p->mute) {
        buffer_t b;
        buffer_init(&b);
        encode_settled(&b, no, codes, (uint32_t)n);
        assert_int_equal(server_send(p->server, p->peer, &b), 0);
        buffer_done(&b);
    }
    return n;
}

static int world_on_publisher_frame(void *arg, uint32_t peer, int command, const frame_t *frame)
{
    publisher_world_t *p = arg;
    (void)peer;
    if (command == CMD_PROGRESS)
        return world_on_progress(p, frame);
    if (command == CMD_WINDOW)
        return decode_window(frame->data, frame->len, &p->window);
    return command == CMD_PING ? 0 : -ENOSYS;
}

static inline void publisher_start(world_t *w, uint32_t n, const char *first, const char *second)
{
    publisher_world_t *p = &w->publishers[n];
    char why[WHY_BYTES];
    server_options_t o = {
        .what = "consumer",
        .endpoint = p->endpoint,
        .sessions = true,
        .role = ROLE_CONSUMER,
        .peers_max = 4,
        .welcome = {.session = clock_random_id(), .ack_deadline_ms = 10000, .lease_cap_ms = 3600000}};
    server_events_t events = {
        .arg = p, .hello = world_on_hello, .gone = world_on_gone, .frame = world_on_publisher_frame};
    const char *names[] = {first, second};
    for (int i = 0; i < 2 && names[i] != NULL; i++)
        snprintf(o.welcome.legs[o.welcome.legs_count++], NAME_BYTES_MAX + 1, "%s", names[i]);
    p->legs = (uint8_t)((1u << o.welcome.legs_count) - 1);
    o.welcome.asked = p->legs & (uint8_t)~p->old_legs;
    p->peer = PEER_NONE;
    p->note_answer = STEP_GRANTED;
    loop_init(&p->loop);
    assert_int_equal(server_open(&p->server, &o, &events, &p->loop, why), 0);
}

static inline void publisher_stop(world_t *w, uint32_t n)
{
    /* Nobody answers its BYE before the next pump; it has to be out by then, or only silence tells. */
    server_close(&w->publishers[n].server, 100);
    w->publishers[n].peer = PEER_NONE;
}

/* Messages first..last, with the token of the same number plus `token`. */
static inline void deliver(world_t *w, uint32_t n, uint64_t first, uint64_t last, uint64_t token,
                           uint8_t legs)
{
    publisher_world_t *p = &w->publishers[n];
    buffer_t b, body, notes;
    batch_t batch;
    char why[WHY_BYTES];
    buffer_init(&b);
    buffer_init(&body);
    buffer_init(&notes);
    if (p->brings != NULL)
        note_write(&notes, &(note_t){.bit = 1, .bytes = p->brings, .len = (uint32_t)strlen(p->brings)});
    assert_int_equal(body_make("web-1", 5, "example.net", 0, 0, &body, why), 0);
    deliver_begin(&batch, &b);
    for (uint64_t seq = first; seq <= last; seq++) {
        delivery_record_t d = {.id = {.stream = 900 + n, .seq = seq},
                               .token = seq + token,
                               .legs = legs,
                               .body = body.data,
                               .body_len = (uint32_t)body.len,
                               .notes = notes.data,
                               .notes_len = (uint32_t)notes.len,
                               .notes_count = p->brings != NULL};
        memcpy(d.tries, p->tries, sizeof d.tries);
        deliver_add(&batch, &d);
    }
    batch_end(&batch);
    assert_int_equal(server_send(p->server, p->peer, &b), 0);
    buffer_done(&b);
    buffer_done(&body);
    buffer_done(&notes);
}

/* --- a worker --- */

static inline void worker_send(worker_world_t *k, buffer_t *b)
{
    int64_t until_ms = clock_ms() + WAIT_MS;
    while (wire_send(k->wire, 0, b) != 0)
        assert_true(clock_ms() < until_ms); /* the connection is being made */
    buffer_done(b);
}

static inline void worker_hello(worker_world_t *k, const uint64_t *held, uint32_t held_count)
{
    buffer_t b;
    buffer_init(&b);
    k->hello.held_count = held_count;
    k->welcome = k->who = false;
    encode_hello(&b, &k->hello, held);
    worker_send(k, &b);
}

static inline void worker_connect(world_t *w, uint32_t n)
{
    char why[WHY_BYTES];
    assert_int_equal(wire_connect(&w->workers[n].wire, w->options.listen, why), 0);
}

static inline void worker_start(world_t *w, uint32_t n, const char *kind, const char *leg, uint32_t window)
{
    worker_world_t *k = &w->workers[n];
    wire_close(&k->wire, 0);
    memset(k, 0, sizeof *k);
    k->hello = (hello_t){.version_min = 1,
                         .version_max = 1,
                         .role = ROLE_WORKER,
                         .session = clock_random_id(),
                         .window = window};
    snprintf(k->hello.kind, sizeof k->hello.kind, "%s", kind);
    snprintf(k->hello.leg, sizeof k->hello.leg, "%s", leg);
    snprintf(k->hello.label, sizeof k->hello.label, "worker-%u", n);
    worker_connect(w, n);
    worker_hello(k, NULL, 0);
}

/* Gone without a word. */
static inline void worker_cut(world_t *w, uint32_t n)
{
    wire_close(&w->workers[n].wire, 0);
}

static inline void worker_window(worker_world_t *k, uint32_t window)
{
    buffer_t b;
    buffer_init(&b);
    encode_window(&b, window);
    worker_send(k, &b);
}

static inline void worker_bye(worker_world_t *k)
{
    buffer_t b;
    buffer_init(&b);
    encode_bye(&b);
    worker_send(k, &b);
}

static inline void worker_ping(worker_world_t *k, uint64_t started)
{
    buffer_t b;
    buffer_init(&b);
    encode_ping(&b, started);
    worker_send(k, &b);
}

/* RESULTS number `no`: one outcome for its tasks first..last, as they came. */
static inline void worker_results(worker_world_t *k, uint64_t no, uint32_t first, uint32_t last,
                                  outcome_t outcome)
{
    buffer_t b;
    batch_t batch;
    buffer_init(&b);
    results_begin(&batch, &b, no);
    for (uint32_t i = first; i <= last; i++) {
        result_record_t r = {.ref = k->tasks[i].ref, .try_no = k->tasks[i].try_no, .outcome = outcome};
        results_add(&batch, &r);
    }
    batch_end(&batch);
    worker_send(k, &b);
}

/* A note for one of its tasks, as they came. */
static inline void worker_note(worker_world_t *k, uint32_t task, int64_t grant_ms, const char *text)
{
    buffer_t b;
    batch_t batch;
    note_record_t n = {.ref = k->tasks[task].ref,
                       .try_no = k->tasks[task].try_no,
                       .grant_ms = grant_ms,
                       .bytes = text,
                       .len = (uint32_t)strlen(text)};
    buffer_init(&b);
    notes_begin(&batch, &b);
    notes_add(&batch, &n);
    batch_end(&batch);
    worker_send(k, &b);
}

static void world_worker_frame(worker_world_t *k, const frame_t *f)
{
    tasks_t head;
    static task_record_t tasks[RECORDS_MAX];
    static grant_record_t grants[RECORDS_MAX];
    peer_error_t error;
    int n;
    switch (proto_command(f->data, f->len, NULL)) {
    case CMD_WELCOME:
        k->welcome = true;
        break;
    case CMD_WHO:
        k->who = true;
        break;
    case CMD_ERROR:
        assert_int_equal(decode_error(f->data, f->len, &error), 0);
        k->error = error.code;
        break;
    case CMD_PING:
        assert_int_equal(decode_ping(f->data, f->len, &k->seen), 0);
        break;
    case CMD_TASKS:
        n = decode_tasks(f->data, f->len, &head, tasks);
        assert_true(n > 0);
        k->seen = head.seen;
        k->limit_ms = head.limit_ms;
        k->frames++;
        for (int i = 0; i < n && k->tasks_count < TASKS_MAX; i++)
            k->tasks[k->tasks_count++] = tasks[i];
        snprintf(k->note, sizeof k->note, "%.*s", (int)tasks[n - 1].note_len,
                 (const char *)tasks[n - 1].note);
        break;
    case CMD_GRANTS:
        n = decode_grants(f->data, f->len, grants);
        assert_true(n > 0);
        for (int i = 0; i < n && k->grants_count < GRANTS_MAX; i++)
            k->grants[k->grants_count++] = grants[i];
        break;
    case CMD_BYE:
        k->welcome = false;
        break;
    default:
        fail_msg("a frame that no worker should get");
    }
}

/* --- all of it --- */

static inline void status_ask(world_t *w)
{
    char why[WHY_BYTES];
    buffer_t b;
    if (w->asker == NULL)
        assert_int_equal(wire_connect(&w->asker, w->options.control, why), 0);
    buffer_init(&b);
    encode_status(&b);
    int64_t until_ms = clock_ms() + WAIT_MS;
    while (wire_send(w->asker, 0, &b) != 0)
        assert_true(clock_ms() < until_ms);
    buffer_done(&b);
    w->report[0] = '\0';
}

static inline void pump(world_t *w)
{
    frame_t f;
    for (uint32_t n = 0; n < PUBLISHERS; n++) {
        publisher_world_t *p = &w->publishers[n];
        if (p->server == NULL)
            continue;
        loop_wait(&p->loop, 0);
        server_receive(p->server, RECORDS_MAX);
        server_tick(p->server);
    }
    for (uint32_t n = 0; n < WORKERS; n++)
        while (w->workers[n].wire != NULL && wire_recv(w->workers[n].wire, &f) == 0)
            world_worker_frame(&w->workers[n], &f);
    while (w->asker != NULL && wire_recv(w->asker, &f) == 0) {
        text_t json;
        assert_int_equal(decode_report(f.data, f.len, &json), 0);
        snprintf(w->report, sizeof w->report, "%.*s", (int)json.len, json.bytes);
    }
    /* As consumer_run() has it, but never waiting longer than the others can. */
    int64_t due_ms = clock_ms() + 1;
    loop_wait(&w->consumer.loop, consumer_due_ms(&w->consumer) < due_ms ? 0 : due_ms);
    w->failed = consumer_turn(&w->consumer);
    assert_int_equal(w->failed, 0);
}

#define PUMP_UNTIL(world, condition)                                                                         \
    do {                                                                                                     \
        int64_t until_ms_ = clock_ms() + WAIT_MS;                                                            \
        while (!(condition)) {                                                                               \
            if (clock_ms() > until_ms_)                                                                      \
                fail_msg("waited in vain for: %s", #condition);                                              \
            pump(world);                                                                                     \
        }                                                                                                    \
    } while (0)

/* Long enough that what should not happen would have. */
static inline void pump_ms(world_t *w, int64_t ms)
{
    for (int64_t until_ms = clock_ms() + ms; clock_ms() < until_ms;)
        pump(w);
}

static inline gather_gauges_t held(const world_t *w)
{
    gather_gauges_t g;
    gather_gauges(w->consumer.gather, &g);
    return g;
}

static inline upstream_counts_t counts(const world_t *w)
{
    upstream_counts_t c;
    upstream_counts(w->consumer.upstream, &c);
    return c;
}

static inline char *in_dir(const world_t *w, const char *name, char *path)
{
    snprintf(path, 128, "ipc://%s/%s", w->dir, name);
    return path;
}

static inline int world_setup(void **state)
{
    static char listen[128], control[128];
    world_t *w = calloc(1, sizeof *w);
    assert_non_null(w);
    snprintf(w->dir, sizeof w->dir, "/tmp/mandrill-consumer-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    log_open("test", LOG_ERROR);
    for (uint32_t n = 0; n < PUBLISHERS; n++) {
        char name[16];
        snprintf(name, sizeof name, "publisher-%u", n);
        w->endpoints[n] = in_dir(w, name, w->publishers[n].endpoint);
    }
    w->options = (consumer_options_t){
        .publishers = w->endpoints,
        .publishers_count = 1,
        .listen = in_dir(w, "tasks", listen),
        .control = in_dir(w, "control", control),
        .report = "none",
        .window_max = 1000,
        .batch = 100,
        .drain_ms = 5000,
        .gather = {.messages_max = 2000,
                   .extend_ms = 3000,
                   .extend_every_ms = 2000,
                   .report_after_ms = 50,
                   .policy = {.max_tries = 5, .backoff = {.base_ms = 20, .factor = 2, .cap_ms = 100}},
                   .seed = 1},
    };
    w->options.policies.others = w->options.gather.policy;
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    world_t *w = *state;
    for (uint32_t n = 0; n < WORKERS; n++)
        wire_close(&w->workers[n].wire, 0);
    wire_close(&w->asker, 0);
    /* Before the consumer, which would wait for their answer to its BYE. */
    for (uint32_t n = 0; n < PUBLISHERS; n++)
        server_close(&w->publishers[n].server, 0);
    consumer_close(&w->consumer);
    rmdir(w->dir);
    free(w);
    return 0;
}

static inline void consumer_start(world_t *w)
{
    assert_int_equal(consumer_open(&w->consumer, &w->options, -1), 0);
}

/* One publisher with save and restart, a worker of each with the window given, all connected. */
static inline void world_start(world_t *w, uint32_t save, uint32_t restart)
{
    publisher_start(w, 0, "save", "restart");
    consumer_start(w);
    worker_start(w, 0, "save-sqlite", "save", save);
    worker_start(w, 1, "restart-simulate", "restart", restart);
    PUMP_UNTIL(w, w->publishers[0].window > 0);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

#endif

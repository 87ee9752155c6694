#include "tests/contract/boss.h"

#include "common/runtime/clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PING_EVERY_MS = 500, RESULTS_MIN = 1024 };

static void listen_at(boss_t *b)
{
    char why[WHY_BYTES];

    if (wire_bind(&b->wire, b->endpoint, why) != 0)
        fail_msg("%s", why);
}

void boss_open(boss_t *b, const char *endpoint)
{
    memset(b, 0, sizeof *b);
    snprintf(b->endpoint, sizeof b->endpoint, "%s", endpoint);
    b->session = clock_random_id();
    b->next_ref = UINT64_C(1) << 32;
    buffer_init(&b->frame);
    listen_at(b);
}

void boss_dismiss(boss_t *b)
{
    for (unsigned i = 0; i < b->workers_count; i++)
        free(b->workers[i].held);
    memset(b->workers, 0, sizeof b->workers);
    b->workers_count = 0;
}

void boss_close(boss_t *b)
{
    boss_dismiss(b);
    wire_close(&b->wire, 0);
    buffer_done(&b->frame);
    free(b->results);
    b->results = NULL;
    free(b->intents);
    b->intents = NULL;
}

void boss_cut(boss_t *b)
{
    wire_close(&b->wire, 0);
    listen_at(b);
}

void boss_send(boss_t *b, unsigned worker, const buffer_t *frame)
{
    assert_true(worker < b->workers_count);
    assert_false(frame->failed);
    const int error = wire_send(b->wire, b->workers[worker].routing_id, frame);
    /* What was BYE by chance has the worker close its connection, and come again. */
    if (!b->lax || error != -EHOSTUNREACH)
        assert_int_equal(error, 0);
}

void boss_send_bytes(boss_t *b, unsigned worker, const void *bytes, size_t len)
{
    buffer_clear(&b->frame);
    buffer_append(&b->frame, bytes, len);
    boss_send(b, worker, &b->frame);
}

/* --- what workers say --- */

static boss_worker_t *worker_of(boss_t *b, uint32_t routing_id)
{
    for (unsigned i = 0; i < b->workers_count; i++)
        if (b->workers[i].routing_id == routing_id)
            return &b->workers[i];
    return NULL;
}

static boss_worker_t *worker_of_session(boss_t *b, uint64_t session)
{
    for (unsigned i = 0; i < b->workers_count; i++)
        if (b->workers[i].hello.session == session)
            return &b->workers[i];
    assert_true(b->workers_count < BOSS_WORKERS_MAX);
    return &b->workers[b->workers_count++];
}

static void take_hello(boss_t *b, const frame_t *frame)
{
    hello_t hello;

    assert_int_equal(decode_hello(frame->data, frame->len, &hello), 0);
    boss_worker_t *w = worker_of_session(b, hello.session);
    w->hello = hello;
    w->routing_id = frame->routing_id;
    w->window = hello.window;
    w->hellos++;
    w->started = 0;
    free(w->held);
    w->held = calloc(hello.held_count + 1, sizeof *w->held);
    assert_non_null(w->held);
    for (uint32_t i = 0; i < hello.held_count; i++)
        w->held[i] = read_uint(&hello.held, CODEC_INT_MAX);
    if (b->silent)
        return;
    const welcome_t welcome = {.version = PROTO_VERSION, .session = b->session};
    buffer_clear(&b->frame);
    encode_welcome(&b->frame, &welcome);
    assert_int_equal(wire_send(b->wire, w->routing_id, &b->frame), 0);
    w->welcomed = true;
}

static void keep_result(boss_t *b, const result_record_t *r, uint64_t no)
{
    if (b->results_count == b->results_room) {
        b->results_room = b->results_room == 0 ? RESULTS_MIN : b->results_room * 2;
        b->results = realloc(b->results, b->results_room * sizeof *b->results);
        assert_non_null(b->results);
    }
    boss_result_t *kept = &b->results[b->results_count++];
    *kept = (boss_result_t){.ref = r->ref,
                            .try_no = r->try_no,
                            .outcome = r->outcome,
                            .ms = r->ms,
                            .text_len = r->text.len,
                            .no = no,
                            .at_ms = test_now_ms()};
    snprintf(kept->text, sizeof kept->text, "%.*s", (int)r->text.len, r->text.bytes);
    b->outcomes[r->outcome]++;
}

static void take_results(boss_t *b, boss_worker_t *w, const frame_t *frame)
{
    uint64_t no;
    const int n = decode_results(frame->data, frame->len, &no, b->records);

    assert_true(n > 0);
    /* Sent again: taken already. */
    if (no <= w->seen && !b->blind)
        return;
    assert_true(w->outstanding >= (uint32_t)n || b->blind || b->lax);
    w->outstanding -= w->outstanding < (uint32_t)n ? w->outstanding : (uint32_t)n;
    if (!b->blind)
        w->seen = no;
    for (int i = 0; i < n; i++)
        keep_result(b, &b->records[i], no);
}

static boss_intent_t *intent_of(const boss_t *b, uint64_t ref)
{
    for (size_t i = b->intents_count; i-- > 0;)
        if (b->intents[i].ref == ref)
            return &b->intents[i];
    return NULL;
}

static boss_intent_t *add_intent(boss_t *b, uint64_t ref)
{
    if (b->intents_count == b->intents_room) {
        b->intents_room = b->intents_room == 0 ? RESULTS_MIN : b->intents_room * 2;
        b->intents = realloc(b->intents, b->intents_room * sizeof *b->intents);
        assert_non_null(b->intents);
    }
    boss_intent_t *n = &b->intents[b->intents_count++];
    *n = (boss_intent_t){.ref = ref};
    return n;
}

static void keep_intent(boss_t *b, const note_record_t *r)
{
    boss_intent_t *n = intent_of(b, r->ref);

    n = n != NULL ? n : add_intent(b, r->ref);
    n->try_no = r->try_no;
    n->grant_ms = r->grant_ms;
    n->len = r->len;
    if (r->len > 0)
        memcpy(n->bytes, r->bytes, r->len);
    n->count++;
    n->voids += r->len == 0;
}

static void take_notes(boss_t *b, const boss_worker_t *w, const frame_t *frame)
{
    static note_record_t records[RECORDS_MAX];
    const int n = decode_notes(frame->data, frame->len, records);

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        const note_record_t *r = &records[i];
        if (b->notes_count < BOSS_NOTES_MAX) {
            boss_note_t *kept = &b->notes[b->notes_count++];
            *kept = (boss_note_t){.ref = r->ref,
                                  .try_no = r->try_no,
                                  .grant_ms = r->grant_ms,
                                  .results_before = b->results_count};
            snprintf(kept->text, sizeof kept->text, "%.*s", (int)r->len, (const char *)r->bytes);
        }
        keep_intent(b, r);
        if (r->grant_ms > 0 && b->grants != BOSS_SAYS_NOTHING)
            boss_answer(b, (unsigned)(w - b->workers), r->ref, b->grants == BOSS_GRANTS);
    }
}

static void take_frame(boss_t *b, const frame_t *frame)
{
    const char *why;
    const int command = proto_command(frame->data, frame->len, &why);
    boss_worker_t *w = worker_of(b, frame->routing_id);
    peer_error_t error;
    uint64_t started;

    if (command == CMD_HELLO) {
        take_hello(b, frame);
        return;
    }
    if (w == NULL) { /* of a connection that was cut */
        buffer_clear(&b->frame);
        encode_who(&b->frame);
        wire_send(b->wire, frame->routing_id, &b->frame);
        return;
    }
    switch (command) {
    case CMD_PING:
        assert_int_equal(decode_ping(frame->data, frame->len, &started), 0);
        assert_true(started >= w->started);
        w->started = started;
        w->pings++;
        break;
    case CMD_BYE:
        w->byes++;
        break;
    case CMD_WINDOW:
        assert_int_equal(decode_window(frame->data, frame->len, &w->window), 0);
        w->windows++;
        break;
    case CMD_RESULTS:
        take_results(b, w, frame);
        break;
    case CMD_NOTES:
        take_notes(b, w, frame);
        break;
    case CMD_ERROR:
        assert_int_equal(decode_error(frame->data, frame->len, &error), 0);
        w->error_code = error.code;
        w->errors++;
        break;
    default:
        fail_msg("a worker sends command %d", command);
    }
}

void boss_turn(boss_t *b, int timeout_ms)
{
    zmq_pollitem_t item = {.socket = wire_socket(b->wire), .events = ZMQ_POLLIN};
    frame_t frame;

    zmq_poll(&item, 1, timeout_ms);
    while (wire_recv(b->wire, &frame) == 0)
        take_frame(b, &frame);
    if (test_now_ms() < b->ping_ms)
        return;
    b->ping_ms = test_now_ms() + PING_EVERY_MS;
    for (unsigned i = 0; i < b->workers_count; i++) {
        boss_worker_t *w = &b->workers[i];
        if (!w->welcomed)
            continue;
        buffer_clear(&b->frame);
        encode_ping(&b->frame, w->seen);
        wire_send(b->wire, w->routing_id, &b->frame);
    }
}

/* --- what they are given --- */

void boss_body(buffer_t *body, const char *name)
{
    char why[WHY_BYTES];

    if (body_make(name, strlen(name), "example.net", 1700000000000, 0, body, why) != 0)
        fail_msg("%s", why);
}

uint64_t boss_give(boss_t *b, unsigned worker, uint64_t seq, uint32_t try_no, const void *body, size_t len)
{
    return boss_give_noted(b, worker, seq, try_no, body, len, b->note,
                           b->note != NULL ? (uint32_t)strlen(b->note) : 0);
}

uint64_t boss_give_noted(boss_t *b, unsigned worker, uint64_t seq, uint32_t try_no, const void *body,
                         size_t len, const void *note, uint32_t note_len)
{
    boss_worker_t *w = &b->workers[worker];
    const task_record_t record = {.ref = b->next_ref++,
                                  .try_no = try_no,
                                  .id = {BOSS_STREAM, seq},
                                  .body = body,
                                  .body_len = (uint32_t)len,
                                  .note = note,
                                  .note_len = note_len};
    batch_t batch;

    buffer_clear(&b->frame);
    tasks_begin(&batch, &b->frame, &(tasks_t){.seen = w->seen, .limit_ms = b->limit_ms});
    tasks_add(&batch, &record);
    batch_end(&batch);
    boss_send(b, worker, &b->frame);
    w->outstanding++;
    return record.ref;
}

uint64_t boss_ask(boss_t *b, unsigned worker, uint64_t seq, uint32_t try_no, const char *name)
{
    buffer_t body;

    buffer_init(&body);
    boss_body(&body, name);
    const uint64_t ref = boss_give(b, worker, seq, try_no, body.data, body.len);
    buffer_done(&body);
    return ref;
}

/* One frame of tasks, until so many are outstanding; how many went in. */
static uint32_t give_some(boss_t *b, unsigned worker, const char *name, uint64_t first_seq, uint32_t n,
                          uint32_t window)
{
    boss_worker_t *w = &b->workers[worker];
    buffer_t body;
    batch_t batch;
    uint32_t given = 0;

    buffer_init(&body);
    buffer_clear(&b->frame);
    tasks_begin(&batch, &b->frame, &(tasks_t){.seen = w->seen, .limit_ms = b->limit_ms});
    for (; given < n && w->outstanding < window && !batch_full(&batch); given++) {
        char host[HOST_BYTES_MAX + 1];
        snprintf(host, sizeof host, "%s-%llu", name, (unsigned long long)(first_seq + given));
        buffer_clear(&body);
        boss_body(&body, host);
        const task_record_t record = {.ref = b->next_ref++,
                                      .try_no = 1,
                                      .id = {BOSS_STREAM, first_seq + given},
                                      .body = body.data,
                                      .body_len = (uint32_t)body.len};
        tasks_add(&batch, &record);
        w->outstanding++;
    }
    batch_end(&batch);
    if (given > 0)
        boss_send(b, worker, &b->frame);
    buffer_done(&body);
    return given;
}

void boss_give_many(boss_t *b, unsigned worker, const char *name, uint64_t first_seq, uint32_t n)
{
    for (uint32_t done = 0; done < n;) {
        boss_worker_t *w = &b->workers[worker];
        if (w->outstanding >= w->window)
            BOSS_UNTIL(b, w->outstanding < w->window);
        done += give_some(b, worker, name, first_seq + done, n - done, w->window);
    }
}

void boss_flood(boss_t *b, unsigned worker, const char *name, uint64_t first_seq, uint32_t n)
{
    assert_int_equal(give_some(b, worker, name, first_seq, n, UINT32_MAX), n);
}

void boss_grant(boss_t *b, unsigned worker, uint64_t ref, uint32_t try_no, bool granted)
{
    batch_t batch;

    buffer_clear(&b->frame);
    grants_begin(&batch, &b->frame);
    grants_add(&batch, &(grant_record_t){.ref = ref, .try_no = try_no, .granted = granted});
    batch_end(&batch);
    boss_send(b, worker, &b->frame);
}

const boss_intent_t *boss_intent(const boss_t *b, uint64_t ref)
{
    return intent_of(b, ref);
}

void boss_answer(boss_t *b, unsigned worker, uint64_t ref, bool granted)
{
    const boss_intent_t *n = intent_of(b, ref);

    assert_non_null(n);
    boss_grant(b, worker, ref, n->try_no, granted);
}

void boss_who(boss_t *b, unsigned worker)
{
    buffer_clear(&b->frame);
    encode_who(&b->frame);
    boss_send(b, worker, &b->frame);
}

void boss_forget(boss_t *b, unsigned worker)
{
    b->workers[worker].routing_id = 0;
    b->workers[worker].welcomed = false;
}

const boss_result_t *boss_result(const boss_t *b, uint64_t ref)
{
    const boss_result_t *found = NULL;

    for (size_t i = 0; i < b->results_count; i++)
        if (b->results[i].ref == ref) {
            if (found != NULL)
                fail_msg("two results for the task %llu", (unsigned long long)ref);
            found = &b->results[i];
        }
    return found;
}

void boss_expect_each_once(const boss_t *b, uint64_t first, uint32_t n)
{
    uint8_t *counts = calloc(n, 1);

    assert_non_null(counts);
    for (size_t i = 0; i < b->results_count; i++) {
        const uint64_t ref = b->results[i].ref;
        if (ref >= first && ref - first < n)
            assert_int_equal(++counts[ref - first], 1);
    }
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(counts[i], 1);
    free(counts);
}

bool boss_held(const boss_t *b, unsigned worker, uint64_t ref)
{
    const boss_worker_t *w = &b->workers[worker];

    for (uint32_t i = 0; i < w->hello.held_count; i++)
        if (w->held[i] == ref)
            return true;
    return false;
}

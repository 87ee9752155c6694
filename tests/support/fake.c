#include "tests/support/fake.h"

#include "common/runtime/clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAY_EVERY_MS = 500 };

void fake_raw(fake_t *f, rig_t *rig, const char *endpoint)
{
    *f = (fake_t){.rig = rig, .socket = rig_dealer(rig, endpoint), .next_no = 1};
    f->room = rig_alloc(rig, sizeof *f->room);
}

static void say_hello(fake_t *f)
{
    buffer_t b;

    buffer_init(&b);
    encode_hello(&b, &f->hello, f->held);
    fake_send_buffer(f, &b);
    buffer_done(&b);
}

static void greet(fake_t *f, role_t role, uint32_t window)
{
    f->hello.version_min = f->hello.version_max = PROTO_VERSION;
    f->hello.role = role;
    f->hello.session = clock_random_id();
    f->hello.window = window;
    snprintf(f->hello.label, sizeof f->hello.label, FAKE_LABEL);
    say_hello(f);
    fake_recv(f, CMD_WELCOME);
}

void fake_consumer(fake_t *f, rig_t *rig, const char *endpoint, uint32_t window)
{
    fake_raw(f, rig, endpoint);
    greet(f, ROLE_CONSUMER, window);
}

void fake_worker(fake_t *f, rig_t *rig, const char *endpoint, const char *kind, const char *leg,
                 uint32_t window)
{
    fake_raw(f, rig, endpoint);
    snprintf(f->hello.kind, sizeof f->hello.kind, "%s", kind);
    snprintf(f->hello.leg, sizeof f->hello.leg, "%s", leg);
    greet(f, ROLE_WORKER, window);
}

void fake_again(fake_t *f)
{
    f->deliveries_count = f->tasks_count = 0;
    f->welcomed = false;
    f->next_no = 1;
    greet(f, f->hello.role, f->hello.window);
}

void fake_close(fake_t *f)
{
    rig_close(f->rig, f->socket);
    rig_free(f->rig, f->room);
    f->socket = NULL;
    f->room = NULL;
}

void fake_bye(fake_t *f)
{
    buffer_t b;

    buffer_init(&b);
    encode_bye(&b);
    fake_send_buffer(f, &b);
    buffer_done(&b);
}

void fake_send(fake_t *f, const void *frame, size_t len)
{
    assert_int_equal(zmq_send(f->socket, frame, len, 0), (int)len);
    f->said_ms = test_now_ms();
}

void fake_send_buffer(fake_t *f, buffer_t *frame)
{
    assert_false(frame->failed);
    fake_send(f, frame->data, frame->len);
    buffer_clear(frame);
}

/* What keeps a session alive while the test is busy with other things: a PING, or HELLO until there is one.
 */
static void keep_alive(fake_t *f)
{
    buffer_t b;

    if (f->hello.session == 0 || test_now_ms() < f->said_ms + SAY_EVERY_MS)
        return;
    if (!f->welcomed) {
        say_hello(f);
        return;
    }
    buffer_init(&b);
    encode_ping(&b, 0);
    fake_send_buffer(f, &b);
    buffer_done(&b);
}

/* Lists what it was given; their bodies go with the frame. */
static void keep_given(fake_t *f, int command)
{
    tasks_t head;
    int n;

    if (command == CMD_DELIVER) {
        assert_true(f->deliveries_count + RECORDS_MAX <= FAKE_GIVEN_MAX);
        n = decode_deliver(f->room->frame, f->len, f->room->deliveries + f->deliveries_count);
        assert_true(n >= 0);
        f->deliveries_count += (size_t)n;
    } else if (command == CMD_TASKS) {
        assert_true(f->tasks_count + RECORDS_MAX <= FAKE_GIVEN_MAX);
        n = decode_tasks(f->room->frame, f->len, &head, f->room->tasks + f->tasks_count);
        assert_true(n >= 0);
        f->tasks_count += (size_t)n;
    }
}

int fake_recv_any(fake_t *f, int timeout_ms)
{
    int64_t until_ms = test_now_ms() + timeout_ms;
    const char *why = "";

    for (;;) {
        zmq_pollitem_t item = {.socket = f->socket, .events = ZMQ_POLLIN};
        int64_t left_ms = until_ms - test_now_ms();

        keep_alive(f);
        int got = zmq_recv(f->socket, f->room->frame, sizeof f->room->frame, ZMQ_DONTWAIT);
        if (got >= 0) {
            assert_true((size_t)got <= sizeof f->room->frame);
            f->len = (size_t)got;
            break;
        }
        if (left_ms <= 0)
            return -1;
        zmq_poll(&item, 1, left_ms < 100 ? left_ms : 100);
    }
    int command = proto_command(f->room->frame, f->len, &why);
    if (command < 0)
        fail_msg("a program sent a malformed frame: %s", why);
    if (command == CMD_WHO && f->hello.session != 0)
        say_hello(f);
    if (command == CMD_WELCOME) {
        assert_int_equal(decode_welcome(f->room->frame, f->len, &f->welcome), 0);
        f->welcomed = true;
    }
    keep_given(f, command);
    return command;
}

bool fake_recv_within(fake_t *f, command_t command, int timeout_ms)
{
    int64_t until_ms = test_now_ms() + timeout_ms;

    for (;;) {
        int64_t left_ms = until_ms - test_now_ms();
        int got = fake_recv_any(f, left_ms > 0 ? (int)left_ms : 0);

        if (got == (int)command)
            return true;
        if (got < 0)
            return false;
    }
}

void fake_recv(fake_t *f, command_t command)
{
    if (!fake_recv_within(f, command, WAIT_MS))
        fail_msg("no frame with command %d came", (int)command);
}

unsigned fake_recv_error(fake_t *f)
{
    peer_error_t e;

    fake_recv(f, CMD_ERROR);
    assert_int_equal(decode_error(f->room->frame, f->len, &e), 0);
    return e.code;
}

bool fake_given(fake_t *f, int timeout_ms)
{
    return f->deliveries_count > 0 || fake_recv_within(f, CMD_DELIVER, timeout_ms);
}

void fake_take(fake_t *f, delivery_record_t *ret, unsigned n)
{
    while (f->deliveries_count < n)
        fake_recv(f, CMD_DELIVER);
    memcpy(ret, f->room->deliveries, n * sizeof *ret);
    f->deliveries_count -= n;
    memmove(f->room->deliveries, f->room->deliveries + n, f->deliveries_count * sizeof *ret);
}

step_code_t fake_step(fake_t *f, const delivery_record_t *d, uint8_t done, uint8_t bad, step_op_t op,
                      int64_t ms)
{
    return fake_say(f,
                    &(step_t){.id = d->id, .token = d->token, .done = done, .bad = bad, .op = op, .ms = ms});
}

step_code_t fake_say(fake_t *f, const step_t *step)
{
    const uint8_t *codes = NULL;
    uint64_t no = f->next_no++, settled = 0;
    buffer_t b;
    batch_t batch;

    buffer_init(&b);
    progress_begin(&batch, &b, no);
    progress_add(&batch, step);
    batch_end(&batch);
    fake_send_buffer(f, &b);
    buffer_done(&b);
    do {
        fake_recv(f, CMD_SETTLED);
        assert_int_equal(decode_settled(f->room->frame, f->len, &settled, &codes), 1);
    } while (settled != no);
    return codes[0];
}

bool fake_tasked(fake_t *f, int timeout_ms)
{
    return f->tasks_count > 0 || fake_recv_within(f, CMD_TASKS, timeout_ms);
}

void fake_take_tasks(fake_t *f, task_record_t *ret, unsigned n)
{
    while (f->tasks_count < n)
        fake_recv(f, CMD_TASKS);
    memcpy(ret, f->room->tasks, n * sizeof *ret);
    f->tasks_count -= n;
    memmove(f->room->tasks, f->room->tasks + n, f->tasks_count * sizeof *ret);
}

void fake_result(fake_t *f, const task_record_t *t, outcome_t outcome)
{
    const result_record_t result = {.ref = t->ref, .try_no = t->try_no, .outcome = outcome};
    buffer_t b;
    batch_t batch;

    buffer_init(&b);
    results_begin(&batch, &b, f->next_no++);
    results_add(&batch, &result);
    batch_end(&batch);
    fake_send_buffer(f, &b);
    buffer_done(&b);
}

void fake_body(buffer_t *b, const char *name)
{
    write_map(b, 1);
    write_str(b, "instance", strlen("instance"));
    write_str(b, name, strlen(name));
}

void fake_publish(fake_t *f, uint64_t session, uint64_t number, const char *prefix, unsigned n)
{
    const publish_t publish = {.version = PROTO_VERSION, .session = session, .number = number};
    buffer_t b, body;
    batch_t batch;

    buffer_init(&b);
    buffer_init(&body);
    publish_begin(&batch, &b, &publish);
    for (unsigned i = 0; i < n; i++) {
        char name[INSTANCE_BYTES_MAX + 1];

        snprintf(name, sizeof name, "%s-%u", prefix, i);
        buffer_clear(&body);
        fake_body(&body, name);
        publish_add(&batch, body.data, body.len);
    }
    batch_end(&batch);
    fake_send_buffer(f, &b);
    buffer_done(&body);
    buffer_done(&b);
}

int fake_dead(fake_t *f, const dead_t *d, buried_t *ret, letter_t ret_letters[static LETTERS_MAX])
{
    dead_t dead = *d;
    buffer_t b;

    dead.version = PROTO_VERSION;
    dead.number = f->next_no++;
    buffer_init(&b);
    encode_dead(&b, &dead);
    fake_send_buffer(f, &b);
    buffer_done(&b);
    fake_recv(f, CMD_BURIED);
    int n = decode_buried(f->room->frame, f->len, ret, ret_letters);
    assert_true(n >= 0);
    assert_int_equal(ret->number, dead.number);
    return n;
}

void fake_confirm(fake_t *f, confirm_t *ret)
{
    refusal_t *refusals = malloc(RECORDS_MAX * sizeof *refusals);

    assert_non_null(refusals);
    fake_recv(f, CMD_CONFIRM);
    int rc = decode_confirm(f->room->frame, f->len, ret, refusals);
    free(refusals);
    assert_true(rc >= 0);
}

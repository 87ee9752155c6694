/* The binding side, spoken to over real sockets by a peer that says what it likes. Time is the test's. */
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include "common/runtime/server.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_MS = 5000, SESSION = 77, OTHER_SESSION = 78 };

typedef struct {
    char directory[64], endpoint[96];
    loop_t loop;
    server_t *server;
    wire_t *peer;
    buffer_t frame;
    /* what the events told */
    uint32_t hellos, frames, gone, byes;
    uint32_t last_peer;
    bool known, moved;
    hello_t hello;
    int command;
    int frame_result;
    unsigned refuse_with;
} world_t;

static unsigned on_hello(void *arg, uint32_t peer, const hello_t *h, bool known, bool moved, char *why)
{
    world_t *w = arg;
    w->hellos++;
    w->last_peer = peer;
    w->hello = *h;
    w->known = known;
    w->moved = moved;
    snprintf(why, WHY_BYTES, "because");
    return w->refuse_with;
}

static void on_gone(void *arg, uint32_t peer, bool said_bye)
{
    world_t *w = arg;
    w->gone++;
    w->byes += said_bye;
    w->last_peer = peer;
}

static int on_frame(void *arg, uint32_t peer, int command, const frame_t *frame)
{
    world_t *w = arg;
    (void)frame;
    w->frames++;
    w->last_peer = peer;
    w->command = command;
    return w->frame_result;
}

static uint64_t on_seen(void *arg, uint32_t peer)
{
    (void)arg;
    return 40 + peer;
}

static void open_server(world_t *w, bool sessions, uint32_t peers_max)
{
    char why[WHY_BYTES];
    server_options_t o = {
        .what = "consumer",
        .endpoint = w->endpoint,
        .sessions = sessions,
        .role = ROLE_CONSUMER,
        .peers_max = peers_max,
        .welcome = {.session = 900, .ack_deadline_ms = 10000, .legs_count = 1, .legs = {"save"}},
    };
    server_events_t events = {w, on_hello, on_gone, on_frame, on_seen};
    assert_int_equal(server_open(&w->server, &o, &events, &w->loop, why), 0);
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    char why[WHY_BYTES];
    log_open("test", LOG_ERROR);
    snprintf(w->directory, sizeof w->directory, "/tmp/test_server.XXXXXX");
    if (mkdtemp(w->directory) == NULL)
        return -1;
    snprintf(w->endpoint, sizeof w->endpoint, "ipc://%s/s", w->directory);
    loop_init(&w->loop);
    buffer_init(&w->frame);
    open_server(w, true, 2);
    *state = w;
    return wire_connect(&w->peer, w->endpoint, why);
}

static int teardown(void **state)
{
    world_t *w = *state;
    wire_close(&w->peer, 0);
    server_close(&w->server, 0);
    server_close(&w->server, 0);
    buffer_done(&w->frame);
    int r = rmdir(w->directory);
    free(w);
    return r;
}

static void wait_readable(void *socket, short events)
{
    zmq_pollitem_t item = {.socket = socket, .events = events};
    assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
}

static void send_frame(wire_t *peer, const buffer_t *frame)
{
    wait_readable(wire_socket(peer), ZMQ_POLLOUT);
    assert_int_equal(wire_send(peer, 0, frame), 0);
}

/* The server takes frames until `count` has reached `n`. */
static void receive_until(world_t *w, const uint32_t *count, uint32_t n)
{
    int64_t now_ms = w->loop.now_ms;
    for (int tries = 0; *count < n && tries < WAIT_MS; tries++) {
        zmq_pollitem_t item = w->loop.items[0];
        zmq_poll(&item, 1, 1);
        server_receive(w->server, RECORDS_MAX);
    }
    assert_int_equal(*count, n);
    assert_int_equal(w->loop.now_ms, now_ms);
}

static frame_t expect(wire_t *peer, int command)
{
    frame_t frame;
    wait_readable(wire_socket(peer), ZMQ_POLLIN);
    assert_int_equal(wire_recv(peer, &frame), 0);
    assert_int_equal(proto_command(frame.data, frame.len, NULL), command);
    return frame;
}

static void expect_nothing(wire_t *peer)
{
    zmq_pollitem_t item = {.socket = wire_socket(peer), .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, 50), 0);
}

static void expect_error(world_t *w, unsigned code)
{
    error_t e;
    frame_t frame = expect(w->peer, CMD_ERROR);
    assert_int_equal(decode_error(frame.data, frame.len, &e), 0);
    assert_int_equal(e.code, code);
}

static void say_hello(world_t *w, wire_t *peer, uint64_t session)
{
    uint32_t before = w->hellos;
    hello_t h = {.version_min = 1, .version_max = 3, .role = ROLE_CONSUMER, .session = session, .window = 50};
    buffer_clear(&w->frame);
    encode_hello(&w->frame, &h, NULL);
    send_frame(peer, &w->frame);
    receive_until(w, &w->hellos, before + 1);
}

static void say_ping(world_t *w, wire_t *peer)
{
    buffer_clear(&w->frame);
    encode_ping(&w->frame, 0);
    send_frame(peer, &w->frame);
}

static server_counts_t counts_of(const world_t *w)
{
    server_counts_t c;
    server_counts(w->server, &c);
    return c;
}

/* Until the count of a refusal is n: those have no event. */
static void receive_refused(world_t *w, uint64_t n)
{
    server_counts_t c = counts_of(w);
    for (int tries = 0; c.malformed + c.unknown + c.limit < n && tries < WAIT_MS; tries++) {
        zmq_pollitem_t item = w->loop.items[0];
        zmq_poll(&item, 1, 1);
        server_receive(w->server, RECORDS_MAX);
        c = counts_of(w);
    }
    assert_int_equal(c.malformed + c.unknown + c.limit, n);
}

static void hello_is_welcomed(void **state)
{
    world_t *w = *state;
    welcome_t welcome;
    say_hello(w, w->peer, SESSION);
    assert_false(w->known);
    assert_false(w->moved);
    assert_int_equal(w->hello.window, 50);
    frame_t frame = expect(w->peer, CMD_WELCOME);
    assert_int_equal(decode_welcome(frame.data, frame.len, &welcome), 0);
    assert_int_equal(welcome.version, 1);
    assert_int_equal(welcome.session, 900);
    assert_int_equal(welcome.ack_deadline_ms, 10000);
    assert_string_equal(welcome.legs[0], "save");
    assert_int_equal(counts_of(w).peers, 1);
    assert_int_equal(server_next_peer(w->server, PEER_NONE), w->last_peer);

    /* Said again on the same connection, nothing was lost in between. */
    say_hello(w, w->peer, SESSION);
    assert_true(w->known);
    assert_false(w->moved);
    expect(w->peer, CMD_WELCOME);
}

static void session_moves_to_another_connection(void **state)
{
    world_t *w = *state;
    wire_t *second = NULL;
    char why[WHY_BYTES];
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    uint32_t number = w->last_peer;
    assert_int_equal(wire_connect(&second, w->endpoint, why), 0);
    say_hello(w, second, SESSION);
    assert_true(w->known);
    assert_true(w->moved);
    assert_int_equal(w->last_peer, number);
    expect(second, CMD_WELCOME);
    buffer_clear(&w->frame);
    encode_window(&w->frame, 1);
    assert_int_equal(server_send(w->server, number, &w->frame), 0);
    expect(second, CMD_WINDOW);
    /* The old connection is nobody's now. */
    say_ping(w, w->peer);
    zmq_pollitem_t item = {.socket = wire_socket(w->peer), .events = ZMQ_POLLIN};
    for (int tries = 0; tries < WAIT_MS && zmq_poll(&item, 1, 1) == 0; tries++)
        server_receive(w->server, 10);
    expect(w->peer, CMD_WHO);
    wire_close(&second, 0);
}

static void strangers_are_asked_who(void **state)
{
    world_t *w = *state;
    say_ping(w, w->peer);
    zmq_pollitem_t item = {.socket = wire_socket(w->peer), .events = ZMQ_POLLIN};
    for (int tries = 0; tries < WAIT_MS && zmq_poll(&item, 1, 1) == 0; tries++)
        server_receive(w->server, 10);
    expect(w->peer, CMD_WHO);
    assert_int_equal(w->frames, 0);
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    say_ping(w, w->peer);
    receive_until(w, &w->frames, 1);
    assert_int_equal(w->command, CMD_PING);
}

static void hello_that_does_not_fit(void **state)
{
    world_t *w = *state;
    hello_t h = {.version_min = 2, .version_max = 9, .role = ROLE_CONSUMER, .session = SESSION};
    encode_hello(&w->frame, &h, NULL);
    send_frame(w->peer, &w->frame);
    h = (hello_t){.version_min = 1, .version_max = 1, .role = ROLE_WORKER, .session = SESSION};
    strcpy(h.kind, "k");
    strcpy(h.leg, "l");
    buffer_clear(&w->frame);
    encode_hello(&w->frame, &h, NULL);
    send_frame(w->peer, &w->frame);
    for (uint64_t before = 0; before < 2; before = counts_of(w).wire.frames_in)
        server_receive(w->server, 10);
    expect_error(w, ERR_VERSION);
    expect_error(w, ERR_ROLE);
    assert_int_equal(w->hellos, 0);
    w->refuse_with = ERR_KIND;
    say_hello(w, w->peer, SESSION);
    expect_error(w, ERR_KIND);
    assert_int_equal(counts_of(w).peers, 0);
    assert_int_equal(w->gone, 0);
}

static void more_peers_than_may_be(void **state)
{
    world_t *w = *state;
    wire_t *more[2] = {NULL};
    char why[WHY_BYTES];
    say_hello(w, w->peer, 1);
    expect(w->peer, CMD_WELCOME);
    for (int i = 0; i < 2; i++)
        assert_int_equal(wire_connect(&more[i], w->endpoint, why), 0);
    say_hello(w, more[0], 2);
    hello_t h = {.version_min = 1, .version_max = 1, .role = ROLE_CONSUMER, .session = 3};
    buffer_clear(&w->frame);
    encode_hello(&w->frame, &h, NULL);
    send_frame(more[1], &w->frame);
    for (int tries = 0; tries < WAIT_MS && counts_of(w).wire.frames_in < 3; tries++) {
        zmq_poll(w->loop.items, 1, 1);
        server_receive(w->server, 10);
    }
    error_t e;
    frame_t frame = expect(more[1], CMD_ERROR);
    assert_int_equal(decode_error(frame.data, frame.len, &e), 0);
    assert_int_equal(e.code, ERR_LIMIT);
    for (int i = 0; i < 2; i++)
        wire_close(&more[i], 0);
}

static void bye_and_silence_end_a_session(void **state)
{
    world_t *w = *state;
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    buffer_clear(&w->frame);
    encode_bye(&w->frame);
    send_frame(w->peer, &w->frame);
    receive_until(w, &w->byes, 1);
    expect(w->peer, CMD_BYE);
    assert_int_equal(counts_of(w).peers, 0);

    say_hello(w, w->peer, OTHER_SESSION);
    expect(w->peer, CMD_WELCOME);
    w->loop.now_ms += DEAD_MS - 1;
    server_receive(w->server, 10);
    server_tick(w->server);
    assert_int_equal(w->gone, 1);
    w->loop.now_ms += 1;
    assert_true(server_next_ms(w->server) <= w->loop.now_ms);
    server_tick(w->server);
    assert_int_equal(w->gone, 2);
    assert_int_equal(w->byes, 1);
    assert_int_equal(counts_of(w).peers, 0);
}

/* This process stood still: the peer's PINGs may still be on their way. */
static void own_stall_kills_nobody(void **state)
{
    world_t *w = *state;
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    server_receive(w->server, 10);
    w->loop.now_ms += 10000;
    w->loop.late_ms = 10000;
    server_tick(w->server);
    assert_int_equal(w->gone, 0);
    w->loop.late_ms = 0;
    w->loop.now_ms += PING_MS - 1;
    server_tick(w->server);
    assert_int_equal(w->gone, 0);
    w->loop.now_ms += 1;
    server_tick(w->server);
    assert_int_equal(w->gone, 1);
}

static void nobody_is_dead_while_something_waits(void **state)
{
    world_t *w = *state;
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    for (int i = 0; i < 5; i++)
        say_ping(w, w->peer);
    zmq_poll(w->loop.items, 1, WAIT_MS);
    w->loop.now_ms += DEAD_MS;
    assert_false(server_receive(w->server, 0));
    server_tick(w->server);
    assert_int_equal(w->gone, 0);
    receive_until(w, &w->frames, 5);
    assert_true(server_receive(w->server, 10));
    server_tick(w->server);
    assert_int_equal(w->gone, 0);
}

static void receiving_is_bounded_by_records(void **state)
{
    enum { PINGS = 1000 };
    world_t *w = *state;
    say_hello(w, w->peer, SESSION);
    for (int i = 0; i < PINGS; i++)
        say_ping(w, w->peer);
    w->frame_result = 100;
    while (w->frames < PINGS) {
        uint32_t before = w->frames;
        zmq_poll(w->loop.items, 1, WAIT_MS);
        server_receive(w->server, 150);
        assert_in_range(w->frames - before, 0, 2);
    }
}

static void idle_peers_are_pinged(void **state)
{
    world_t *w = *state;
    uint64_t seen = 0;
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    w->loop.now_ms += PING_MS;
    server_tick(w->server);
    frame_t frame = expect(w->peer, CMD_PING);
    assert_int_equal(decode_ping(frame.data, frame.len, &seen), 0);
    assert_int_equal(seen, 40 + w->last_peer);
    server_tick(w->server);
    expect_nothing(w->peer);
}

static void bad_frames_are_refused(void **state)
{
    world_t *w = *state;
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    send_frame(w->peer, &(buffer_t){.data = (uint8_t *)(uintptr_t) "\xc1", .len = 1});
    receive_refused(w, 1);
    expect_error(w, ERR_MALFORMED);
    w->frame_result = -EPROTO;
    say_ping(w, w->peer);
    receive_refused(w, 2);
    expect_error(w, ERR_MALFORMED);
    w->frame_result = -ENOSYS;
    say_ping(w, w->peer);
    receive_refused(w, 3);
    expect_error(w, ERR_UNKNOWN);
    w->frame_result = -E2BIG;
    say_ping(w, w->peer);
    receive_refused(w, 4);
    expect_error(w, ERR_LIMIT);
    server_counts_t c = counts_of(w);
    assert_int_equal(c.malformed, 2);
    assert_int_equal(c.unknown, 1);
    assert_int_equal(c.limit, 1);

    /* An ERROR is never answered, be it good or bad. */
    buffer_clear(&w->frame);
    encode_error(&w->frame, ERR_FULL, "so there");
    send_frame(w->peer, &w->frame);
    send_frame(w->peer, &(buffer_t){.data = (uint8_t *)(uintptr_t) "\x93\x06\x00\xa0", .len = 4});
    receive_refused(w, 5);
    expect_nothing(w->peer);
}

static void many_refusals_are_counted_and_not_all_answered(void **state)
{
    world_t *w = *state;
    frame_t frame;
    for (int i = 0; i < SERVER_ERRORS_PER_S + 50; i++)
        send_frame(w->peer, &(buffer_t){.data = (uint8_t *)(uintptr_t) "\xc1", .len = 1});
    receive_refused(w, SERVER_ERRORS_PER_S + 50);
    for (int i = 0; i < SERVER_ERRORS_PER_S; i++)
        expect_error(w, ERR_MALFORMED);
    expect_nothing(w->peer);
    w->loop.now_ms += 1000;
    send_frame(w->peer, &(buffer_t){.data = (uint8_t *)(uintptr_t) "\xc1", .len = 1});
    receive_refused(w, SERVER_ERRORS_PER_S + 51);
    expect_error(w, ERR_MALFORMED);
    assert_int_equal(wire_recv(w->peer, &frame), -EAGAIN);
}

static void endpoint_without_sessions(void **state)
{
    world_t *w = *state;
    wire_close(&w->peer, 0);
    server_close(&w->server, 0);
    open_server(w, false, 0);
    char why[WHY_BYTES];
    assert_int_equal(wire_connect(&w->peer, w->endpoint, why), 0);
    buffer_clear(&w->frame);
    encode_status(&w->frame);
    send_frame(w->peer, &w->frame);
    receive_until(w, &w->frames, 1);
    assert_int_equal(w->command, CMD_STATUS);
    buffer_clear(&w->frame);
    encode_report(&w->frame, "{}", 2);
    assert_int_equal(server_send(w->server, w->last_peer, &w->frame), 0);
    expect(w->peer, CMD_REPORT);
    server_error(w->server, w->last_peer, ERR_FULL, "full");
    expect_error(w, ERR_FULL);
    w->loop.now_ms += 10000;
    server_tick(w->server);
    expect_nothing(w->peer);
}

/* A wire drops what has come but was not read when its connection goes (ZMQ_IMMEDIATE): the reason for
 * waiting for the answer. Here nobody answers in time, so a plain socket listens, which keeps what has come.
 */
static void closing_says_bye(void **state)
{
    world_t *w = *state;
    char frame[256];
    void *context = zmq_ctx_new();
    void *plain = zmq_socket(context, ZMQ_DEALER);
    hello_t h = {.version_min = 1, .version_max = 1, .role = ROLE_CONSUMER, .session = SESSION, .window = 50};
    encode_hello(&w->frame, &h, NULL);
    assert_int_equal(zmq_connect(plain, w->endpoint), 0);
    assert_int_equal(zmq_send(plain, w->frame.data, w->frame.len, 0), w->frame.len);
    receive_until(w, &w->hellos, 1);
    server_close(&w->server, 100);
    const int said[] = {CMD_WELCOME, CMD_BYE};
    for (size_t i = 0; i < 2; i++) {
        wait_readable(plain, ZMQ_POLLIN);
        int len = zmq_recv(plain, frame, sizeof frame, 0);
        assert_int_equal(proto_command(frame, (size_t)len, NULL), said[i]);
    }
    zmq_close(plain);
    zmq_ctx_term(context);
}

/* A peer that answers: the close does not wait for its time to pass. */
static void *answer_bye(void *arg)
{
    wire_t *peer = arg;
    buffer_t b;
    buffer_init(&b);
    encode_bye(&b);
    expect(peer, CMD_BYE);
    send_frame(peer, &b);
    buffer_done(&b);
    return NULL;
}

static void closing_waits_for_the_answer(void **state)
{
    world_t *w = *state;
    pthread_t thread;
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    assert_int_equal(pthread_create(&thread, NULL, answer_bye, w->peer), 0);
    const int64_t start_ms = clock_ms();
    server_close(&w->server, 2 * WAIT_MS);
    assert_true(clock_ms() - start_ms < 2 * WAIT_MS);
    pthread_join(thread, NULL);
}

static void port_in_use(void **state)
{
    world_t *w = *state;
    server_t *second = NULL;
    char why[WHY_BYTES] = "";
    server_options_t o = {.what = "consumer", .endpoint = w->endpoint, .sessions = true, .peers_max = 2};
    server_events_t events = {w, on_hello, on_gone, on_frame, NULL};
    assert_int_equal(server_open(&second, &o, &events, &w->loop, why), -EADDRINUSE);
    assert_null(second);
    assert_string_not_equal(why, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hello_is_welcomed),
        TEST(session_moves_to_another_connection),
        TEST(strangers_are_asked_who),
        TEST(hello_that_does_not_fit),
        TEST(more_peers_than_may_be),
        TEST(bye_and_silence_end_a_session),
        TEST(own_stall_kills_nobody),
        TEST(nobody_is_dead_while_something_waits),
        TEST(receiving_is_bounded_by_records),
        TEST(idle_peers_are_pinged),
        TEST(bad_frames_are_refused),
        TEST(many_refusals_are_counted_and_not_all_answered),
        TEST(endpoint_without_sessions),
        TEST(closing_says_bye),
        TEST(closing_waits_for_the_answer),
        TEST(port_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The binding side, spoken to over real sockets by a peer that says what it likes. */
#include "tests/unit/server_world.h"

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
    h = (hello_t){
        .version_min = 1, .version_max = 1, .role = ROLE_WORKER, .session = SESSION, .kind = "k", .leg = "l"};
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
    peer_error_t e;
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

/* Also of frames that are refused. */
static void receiving_is_bounded_by_bytes(void **state)
{
    enum { FRAMES = 300, FRAME_BYTES = 100 * SERVER_RECORD_BYTES };
    world_t *w = *state;
    say_hello(w, w->peer, SESSION);
    buffer_clear(&w->frame);
    for (int i = 0; i < FRAME_BYTES; i++)
        buffer_append(&w->frame, "\xc1", 1);
    for (int i = 0; i < FRAMES; i++)
        send_frame(w->peer, &w->frame);
    while (counts_of(w).malformed < FRAMES) {
        uint64_t before = counts_of(w).malformed;
        zmq_poll(w->loop.items, 1, WAIT_MS);
        server_receive(w->server, 150);
        assert_in_range(counts_of(w).malformed - before, 0, 2);
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
        TEST(receiving_is_bounded_by_bytes),
        TEST(idle_peers_are_pinged),
        TEST(bad_frames_are_refused),
        TEST(many_refusals_are_counted_and_not_all_answered),
        TEST(endpoint_without_sessions),
        TEST(port_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

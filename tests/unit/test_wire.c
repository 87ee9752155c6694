/* The wire: frames that go, come, are refused, or have nowhere to go. */
#include "tests/unit/wire_fixture.h"

#include <poll.h>

static wire_counts_t counts_of(const wire_t *w)
{
    wire_counts_t counts;
    wire_counts(w, &counts);
    return counts;
}

static void frames_go_both_ways(const char *endpoint)
{
    wire_t *server = NULL, *peer = NULL, *other = NULL;
    assert_int_equal(wire_bind(&server, endpoint, why), 0);
    assert_int_equal(wire_connect(&peer, wire_endpoint(server), why), 0);
    assert_int_equal(wire_connect(&other, wire_endpoint(server), why), 0);

    const buffer_t ping = bytes_of("ping"), pong = bytes_of("pong");
    send_when_connected(peer, &ping);
    const frame_t first = expect_frame(server);
    assert_int_equal(first.len, 4);
    assert_memory_equal(first.data, "ping", 4);
    send_when_connected(other, &ping);
    const frame_t second = expect_frame(server);
    assert_int_not_equal(first.routing_id, second.routing_id);

    assert_int_equal(wire_send(server, first.routing_id, &pong), 0);
    const frame_t answer = expect_frame(peer);
    assert_int_equal(answer.routing_id, 0);
    assert_memory_equal(answer.data, "pong", 4);
    frame_t none;
    assert_int_equal(wire_recv(other, &none), -EAGAIN);

    const wire_counts_t counts = counts_of(server);
    assert_int_equal(counts.frames_in, 2);
    assert_int_equal(counts.bytes_in, 8);
    assert_int_equal(counts.frames_out, 1);
    assert_int_equal(counts.bytes_out, 4);
    assert_int_equal(counts.refused_parts, 0);
    wire_close(&peer, 0);
    wire_close(&other, 0);
    wire_close(&server, 0);
    assert_null(server);
}

static void frames_go_both_ways_over_tcp(void **state)
{
    (void)state;
    frames_go_both_ways("tcp://127.0.0.1:0");
}

static void frames_go_both_ways_over_ipc(void **state)
{
    (void)state;
    frames_go_both_ways(ipc_endpoint);
}

static void sending_to_nobody_is_told(void **state)
{
    (void)state;
    wire_t *server = NULL, *peer = NULL;
    const buffer_t ping = bytes_of("ping");
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    assert_int_equal(wire_send(server, 12345, &ping), -EHOSTUNREACH);
    assert_int_equal(counts_of(server).unsendable, 1);

    /* Nothing is queued for a server that is not there. */
    assert_int_equal(wire_connect(&peer, "tcp://127.0.0.1:1", why), 0);
    assert_int_equal(wire_send(peer, 0, &ping), -EAGAIN);
    wire_close(&peer, 0);
    wire_close(&server, 0);
}

static void a_peer_that_went_away_is_unreachable(void **state)
{
    (void)state;
    wire_t *server = NULL, *peer = NULL;
    const buffer_t ping = bytes_of("ping");
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    assert_int_equal(wire_connect(&peer, wire_endpoint(server), why), 0);
    send_when_connected(peer, &ping);
    const uint32_t routing_id = expect_frame(server).routing_id;
    wire_close(&peer, 0);
    int error = 0;
    for (int i = 0; i < WAIT_MS && error == 0; i++) {
        error = wire_send(server, routing_id, &ping);
        poll(NULL, 0, 1);
    }
    assert_int_equal(error, -EHOSTUNREACH);
    wire_close(&server, 0);
}

/* Whether a program that waits for it alone is woken. */
static bool is_woken(const wire_t *w, int timeout_ms)
{
    struct pollfd item = {.fd = wire_reconnected_fd(w), .events = POLLIN};
    return poll(&item, 1, timeout_ms) == 1;
}

static void expect_reconnected(wire_t *w)
{
    do
        assert_true(is_woken(w, WAIT_MS));
    while (!wire_reconnected(w));
    assert_false(wire_reconnected(w)); /* it is said once */
    assert_false(is_woken(w, 0));
}

static void bind_again(wire_t **server)
{
    char endpoint[128];
    snprintf(endpoint, sizeof endpoint, "%s", wire_endpoint(*server));
    wire_close(server, 0);
    int error = -EADDRINUSE;
    for (int i = 0; i < WAIT_MS && error == -EADDRINUSE; i++) {
        error = wire_bind(server, endpoint, why);
        poll(NULL, 0, error == 0 ? 0 : 1);
    }
    assert_int_equal(error, 0);
}

static void each_new_connection_is_told(const char *endpoint)
{
    wire_t *server = NULL, *peer = NULL;
    const buffer_t ping = bytes_of("ping");
    assert_int_equal(wire_bind(&server, endpoint, why), 0);
    assert_int_equal(wire_connect(&peer, wire_endpoint(server), why), 0);
    expect_reconnected(peer);
    for (int i = 0; i < 3; i++) {
        send_when_connected(peer, &ping);
        expect_frame(server);
        assert_false(wire_reconnected(peer));
        bind_again(&server);
        expect_reconnected(peer);
    }
    wire_close(&peer, 0);
    wire_close(&server, 0);
}

static void each_new_connection_is_told_over_tcp(void **state)
{
    (void)state;
    each_new_connection_is_told("tcp://127.0.0.1:0");
}

static void each_new_connection_is_told_over_ipc(void **state)
{
    (void)state;
    each_new_connection_is_told(ipc_endpoint);
}

/* What was sent before the first is told of has gone over it. */
static void the_first_connection_is_no_news_when_it_was_used(void **state)
{
    (void)state;
    wire_t *server = NULL, *peer = NULL;
    const buffer_t ping = bytes_of("ping");
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    assert_int_equal(wire_connect(&peer, wire_endpoint(server), why), 0);
    send_when_connected(peer, &ping);
    expect_frame(server);
    assert_true(is_woken(peer, WAIT_MS));
    assert_false(wire_reconnected(peer));
    bind_again(&server);
    expect_reconnected(peer);
    wire_close(&peer, 0);
    wire_close(&server, 0);
}

/* The rest stays with who sent it, whatever he wants. */
static void what_nobody_reads_is_bounded(void **state)
{
    (void)state;
    enum { FRAMES = 200, FRAME_BYTES = 1000000, STUCK_MS = 300, FRAMES_IN_MEMORY = 50 };
    static uint8_t bytes[FRAME_BYTES];
    wire_t *server = NULL;
    const int one = 1, stuck_ms = STUCK_MS, at_once = 0;
    void *context = zmq_ctx_new();
    void *peer = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(peer, ZMQ_SNDHWM, &one, sizeof one);
    zmq_setsockopt(peer, ZMQ_SNDTIMEO, &stuck_ms, sizeof stuck_ms);
    zmq_setsockopt(peer, ZMQ_LINGER, &at_once, sizeof at_once);
    assert_int_equal(wire_bind(&server, ipc_endpoint, why), 0);
    assert_int_equal(zmq_connect(peer, ipc_endpoint), 0);
    int sent = 0;
    while (sent < FRAMES && zmq_send(peer, bytes, sizeof bytes, 0) >= 0)
        sent++;
    assert_in_range(sent, 1, FRAMES_IN_MEMORY);
    for (int i = 0; i < sent; i++)
        expect_frame(server);
    zmq_close(peer);
    zmq_ctx_term(context);
    wire_close(&server, 0);
}

/* As many as a server takes in unread. What is behind them is lost with the connection when it is not read in
 * time: that is what numbers and answers are for. */
static void what_was_sent_before_closing_arrives(void **state)
{
    (void)state;
    enum { FRAMES = 30, FRAME_BYTES = 100000 }; /* far more than the kernel takes */
    wire_t *server = NULL, *peer = NULL;
    assert_int_equal(wire_bind(&server, ipc_endpoint, why), 0);
    assert_int_equal(wire_connect(&peer, ipc_endpoint, why), 0);
    const buffer_t large = {.data = calloc(1, FRAME_BYTES), .len = FRAME_BYTES};
    send_when_connected(peer, &large);
    for (int i = 1; i < FRAMES; i++)
        assert_int_equal(wire_send(peer, 0, &large), 0);
    wire_close(&peer, 1000);
    for (int i = 0; i < FRAMES; i++)
        assert_int_equal(expect_frame(server).len, FRAME_BYTES);
    wire_close(&server, 0);
    free(large.data);
}

static void the_largest_frame_passes_and_a_larger_one_does_not(void **state)
{
    (void)state;
    wire_t *server = NULL, *peer = NULL;
    assert_int_equal(wire_bind(&server, ipc_endpoint, why), 0);
    assert_int_equal(wire_connect(&peer, ipc_endpoint, why), 0);
    uint8_t *bytes = calloc(1, FRAME_BYTES_MAX + 1);
    assert_non_null(bytes);
    const buffer_t largest = {.data = bytes, .len = FRAME_BYTES_MAX};
    send_when_connected(peer, &largest);
    assert_int_equal(expect_frame(server).len, FRAME_BYTES_MAX);

    /* Past our own check, with a socket of its own. */
    void *context = zmq_ctx_new();
    void *raw = zmq_socket(context, ZMQ_DEALER);
    assert_int_equal(zmq_setsockopt(raw, ZMQ_LINGER, &(int){0}, sizeof(int)), 0);
    assert_int_equal(zmq_connect(raw, ipc_endpoint), 0);
    assert_int_equal(zmq_send(raw, "hello", 5, 0), 5);
    assert_int_equal(expect_frame(server).len, 5);
    assert_int_equal(zmq_send(raw, bytes, FRAME_BYTES_MAX + 1, 0), FRAME_BYTES_MAX + 1);
    assert_int_equal(zmq_send(raw, "behind", 6, 0), 6);
    /* Its connection was cut: what it sends next comes over a new one. */
    const buffer_t ping = bytes_of("ping");
    assert_int_equal(wire_send(peer, 0, &ping), 0);
    assert_int_equal(expect_frame(server).len, 4);
    zmq_close(raw);
    zmq_ctx_term(context);
    free(bytes);
    wire_close(&peer, 0);
    wire_close(&server, 0);
}

static void messages_of_several_frames_are_refused_and_the_next_is_taken(void **state)
{
    (void)state;
    wire_t *server = NULL;
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    void *context = zmq_ctx_new();
    void *raw = zmq_socket(context, ZMQ_DEALER);
    assert_int_equal(zmq_connect(raw, wire_endpoint(server)), 0);
    for (int i = 0; i < 1000; i++) { /* more than one call refuses at once */
        assert_int_equal(zmq_send(raw, "one", 3, ZMQ_SNDMORE), 3);
        assert_int_equal(zmq_send(raw, "two", 3, ZMQ_SNDMORE), 3);
        assert_int_equal(zmq_send(raw, "three", 5, 0), 5);
    }
    assert_int_equal(zmq_send(raw, "good", 4, 0), 4);
    assert_memory_equal(expect_frame(server).data, "good", 4);
    assert_int_equal(counts_of(server).refused_parts, 1000);
    assert_int_equal(counts_of(server).frames_in, 1);
    zmq_close(raw);
    zmq_ctx_term(context);
    wire_close(&server, 0);
}

static void a_peer_with_an_id_of_its_own_is_refused(void **state)
{
    (void)state;
    wire_t *server = NULL;
    assert_int_equal(wire_bind(&server, ipc_endpoint, why), 0);
    void *context = zmq_ctx_new();
    static const struct {
        const char *id;
        size_t len;
    } ids[] = {{"me", 2}, {"abcde", 5}, {"\0abc", 4}, {"\0", 1}};
    uint64_t refused = 0;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        void *raw = zmq_socket(context, ZMQ_DEALER);
        assert_int_equal(zmq_setsockopt(raw, ZMQ_ROUTING_ID, ids[i].id, ids[i].len), 0);
        assert_int_equal(zmq_connect(raw, ipc_endpoint), 0);
        assert_int_equal(zmq_send(raw, "bad", 3, 0), 3);
        refused++;
        frame_t frame;
        for (int t = 0; t < WAIT_MS && counts_of(server).refused_parts < refused; t++) {
            assert_int_equal(wire_recv(server, &frame), -EAGAIN);
            poll(NULL, 0, 1);
        }
        assert_int_equal(counts_of(server).refused_parts, refused);
        zmq_close(raw);
    }
    zmq_ctx_term(context);
    wire_close(&server, 0);
}

static void a_full_pipe_is_told_and_nothing_blocks(void **state)
{
    (void)state;
    wire_t *server = NULL, *peer = NULL;
    assert_int_equal(wire_bind(&server, ipc_endpoint, why), 0);
    assert_int_equal(wire_connect(&peer, ipc_endpoint, why), 0);
    const buffer_t ping = bytes_of("ping");
    send_when_connected(peer, &ping);
    const uint32_t routing_id = expect_frame(server).routing_id;
    int error = 0;
    uint32_t sent = 0;
    for (; sent < 1000000 && error == 0; sent++)
        error = wire_send(server, routing_id, &ping);
    assert_int_equal(error, -EAGAIN);
    assert_true(sent > 100000); /* far more than any window */
    wire_close(&peer, 0);
    wire_close(&server, 0);
}

/* Asks from a socket that takes next to nothing in by itself. */
static void *peer_that_asks(void *context)
{
    const int one = 1, at_once = 0;
    void *peer = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(peer, ZMQ_RCVHWM, &one, sizeof one);
    zmq_setsockopt(peer, ZMQ_LINGER, &at_once, sizeof at_once);
    assert_int_equal(zmq_connect(peer, ipc_endpoint), 0);
    assert_int_equal(zmq_send(peer, "ask", 3, 0), 3);
    return peer;
}

/* Several peers that ask and do not read fill our memory no more than one; small answers go on, and all do
 * when the peers have gone. */
static void answers_that_nobody_takes_are_bounded(void **state)
{
    (void)state;
    enum { PEERS = 3, ANSWERS = 200, ANSWER_BYTES = 1000000, ANSWERS_IN_MEMORY = 60 };
    const buffer_t large = {.data = calloc(1, ANSWER_BYTES), .len = ANSWER_BYTES};
    const buffer_t small = bytes_of("small");
    wire_t *server = NULL;
    void *context = zmq_ctx_new();
    void *peers[PEERS];
    uint32_t id = 0;
    int sent = 0;
    assert_int_equal(wire_bind_open(&server, ipc_endpoint, why), 0);
    for (int p = 0; p < PEERS; p++) {
        int error = 0;
        peers[p] = peer_that_asks(context);
        id = expect_frame(server).routing_id;
        for (int i = 0; i < ANSWERS && error == 0; i++, sent++)
            error = wire_send(server, id, &large);
        assert_int_equal(error, -EAGAIN);
    }
    assert_in_range(sent, 1, ANSWERS_IN_MEMORY);
    assert_int_equal(wire_send(server, id, &small), 0);
    for (int p = 0; p < PEERS; p++)
        zmq_close(peers[p]);

    peers[0] = peer_that_asks(context);
    id = expect_frame(server).routing_id;
    int error = -EAGAIN;
    for (int ms = 0; ms < WAIT_MS && error == -EAGAIN; ms++) {
        error = wire_send(server, id, &large);
        if (error == -EAGAIN)
            poll(NULL, 0, 1);
    }
    assert_int_equal(error, 0);
    zmq_close(peers[0]);
    zmq_ctx_term(context);
    wire_close(&server, 0);
    free(large.data);
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    wire_t *w = NULL;
    wire_close(&w, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_go_both_ways_over_tcp),
        cmocka_unit_test(frames_go_both_ways_over_ipc),
        cmocka_unit_test(sending_to_nobody_is_told),
        cmocka_unit_test(a_peer_that_went_away_is_unreachable),
        cmocka_unit_test(each_new_connection_is_told_over_tcp),
        cmocka_unit_test(each_new_connection_is_told_over_ipc),
        cmocka_unit_test(the_first_connection_is_no_news_when_it_was_used),
        cmocka_unit_test(what_nobody_reads_is_bounded),
        cmocka_unit_test(what_was_sent_before_closing_arrives),
        cmocka_unit_test(the_largest_frame_passes_and_a_larger_one_does_not),
        cmocka_unit_test(messages_of_several_frames_are_refused_and_the_next_is_taken),
        cmocka_unit_test(a_peer_with_an_id_of_its_own_is_refused),
        cmocka_unit_test(a_full_pipe_is_told_and_nothing_blocks),
        cmocka_unit_test(answers_that_nobody_takes_are_bounded),
        cmocka_unit_test(closing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}

/* How a server ends its sessions: BYE, and waiting for the answers. */
#include "tests/unit/server_world.h"

#include <poll.h>
#include <pthread.h>

enum { LATE_MS = 200 };

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

/* A peer that answers and closes: the server's close does not wait for its time to pass. */
static void *answer_bye(void *arg)
{
    world_t *w = arg;
    buffer_t b;
    buffer_init(&b);
    encode_bye(&b);
    expect(w->peer, CMD_BYE);
    send_frame(w->peer, &b);
    buffer_done(&b);
    wire_close(&w->peer, WAIT_MS);
    return NULL;
}

static void closing_waits_for_the_answer(void **state)
{
    world_t *w = *state;
    pthread_t thread;
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    assert_int_equal(pthread_create(&thread, NULL, answer_bye, w), 0);
    const int64_t start_ms = clock_ms();
    server_close(&w->server, 2 * WAIT_MS);
    assert_true(clock_ms() - start_ms < 2 * WAIT_MS);
    pthread_join(thread, NULL);
}

/* Who said BYE first and is slow to read the answer: without its connection it never would. */
static void *read_late(void *arg)
{
    world_t *w = arg;
    poll(NULL, 0, LATE_MS);
    expect(w->peer, CMD_BYE);
    wire_close(&w->peer, 0);
    return NULL;
}

static void closing_leaves_the_last_answer_to_be_read(void **state)
{
    world_t *w = *state;
    pthread_t thread;
    buffer_t b;
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    buffer_init(&b);
    encode_bye(&b);
    send_frame(w->peer, &b);
    buffer_done(&b);
    receive_until(w, &w->gone, 1);
    assert_int_equal(pthread_create(&thread, NULL, read_late, w), 0);
    const int64_t start_ms = clock_ms();
    server_close(&w->server, 2 * WAIT_MS);
    assert_in_range(clock_ms() - start_ms, 1, 2 * WAIT_MS - 1);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closing_says_bye),
        TEST(closing_waits_for_the_answer),
        TEST(closing_leaves_the_last_answer_to_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How a server ends its sessions: BYE, and waiting for the answers. */
#include "tests/unit/server_world.h"

#include <pthread.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closing_says_bye),
        TEST(closing_waits_for_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

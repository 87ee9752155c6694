/* A WELCOME that could not be sent: the peer is given nothing until one was. Sending fails when the test says
 * so, by ld --wrap. */
#include "tests/unit/server_world.h"

static bool pipe_is_full;

int __real_wire_send(wire_t *w, uint32_t routing_id, const buffer_t *frame);
int __wrap_wire_send(wire_t *w, uint32_t routing_id, const buffer_t *frame);
int __wrap_wire_send(wire_t *w, uint32_t routing_id, const buffer_t *frame)
{
    return pipe_is_full ? -EAGAIN : __real_wire_send(w, routing_id, frame);
}

/* Any frame that is no answer. */
static int give(world_t *w)
{
    buffer_clear(&w->frame);
    encode_who(&w->frame);
    return server_send(w->server, w->last_peer, &w->frame);
}

static void hello_while_the_pipe_is_full(world_t *w)
{
    hello_t h = {.version_min = 1, .version_max = 1, .role = ROLE_CONSUMER, .session = SESSION, .window = 50};
    uint32_t before = w->hellos;
    buffer_clear(&w->frame);
    encode_hello(&w->frame, &h, NULL);
    send_frame(w->peer, &w->frame);
    pipe_is_full = true;
    receive_until(w, &w->hellos, before + 1);
    pipe_is_full = false;
}

static void nothing_goes_before_welcome(void **state)
{
    world_t *w = *state;
    hello_while_the_pipe_is_full(w);
    assert_int_equal(give(w), -EAGAIN);
    hello_while_the_pipe_is_full(w);
    assert_int_equal(give(w), -EAGAIN);
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    assert_int_equal(give(w), 0);
    expect(w->peer, CMD_WHO);
}

/* It has one already. */
static void a_repeated_hello_needs_no_second_welcome(void **state)
{
    world_t *w = *state;
    say_hello(w, w->peer, SESSION);
    expect(w->peer, CMD_WELCOME);
    hello_while_the_pipe_is_full(w);
    assert_int_equal(give(w), 0);
    expect(w->peer, CMD_WHO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_goes_before_welcome),
        TEST(a_repeated_hello_needs_no_second_welcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The connecting side against real servers of the other half (server.h), in one thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/runtime/clock.h"
#include "common/runtime/dialer.h"
#include "common/runtime/log.h"
#include "common/runtime/server.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WAIT_MS = 10000, SERVERS = 2 };

typedef struct {
    server_t *server;
    loop_t loop;
    uint32_t peer;
    uint32_t hellos, gone, byes;
    uint64_t session;
    uint32_t window, held_count;
    uint64_t held;
    unsigned refuse; /* with this error code */
    int last;        /* command */
} side_t;

typedef struct {
    char dir[64];
    side_t sides[SERVERS];
    dialer_t *dialer;
    loop_t loop;
    uint32_t up, down, gone, frames;
    bool other;
    welcome_t welcome;
    uint64_t held;
    char why[WHY_BYTES];
} world_t;

static unsigned side_hello(void *arg, uint32_t peer, const hello_t *h, bool known, bool moved, char *why)
{
    side_t *s = arg;
    reader_t held = h->held;
    (void)known, (void)moved;
    s->hellos++;
    s->peer = peer;
    s->session = h->session;
    s->window = h->window;
    s->held_count = h->held_count;
    s->held = h->held_count > 0 ? read_uint(&held, CODEC_INT_MAX) : 0;
    snprintf(why, WHY_BYTES, "because");
    return s->refuse;
}

static void side_gone(void *arg, uint32_t peer, bool said_bye)
{
    side_t *s = arg;
    (void)peer;
    s->gone++;
    s->byes += said_bye;
}

static int side_frame(void *arg, uint32_t peer, int command, const frame_t *frame)
{
    side_t *s = arg;
    (void)peer, (void)frame;
    s->last = command;
    return 0;
}

static void serve(side_t *s, const char *endpoint)
{
    char why[WHY_BYTES];
    server_options_t o = {.what = "worker",
                          .endpoint = endpoint,
                          .sessions = true,
                          .role = ROLE_WORKER,
                          .peers_max = 8,
                          .welcome = {.session = clock_random_id()}};
    server_events_t events = {.arg = s, .hello = side_hello, .gone = side_gone, .frame = side_frame};
    loop_init(&s->loop);
    /* A port that was closed just now is free a little later. */
    int64_t until_ms = clock_ms() + WAIT_MS;
    int error;
    do {
        error = server_open(&s->server, &o, &events, &s->loop, why);
    } while (error == -EADDRINUSE && clock_ms() < until_ms);
    assert_int_equal(error, 0);
}

static void on_hello(void *arg, uint32_t n, hello_t *h, const uint64_t **ret_held)
{
    world_t *w = arg;
    (void)n;
    h->window = 7;
    h->held_count = 1;
    *ret_held = &w->held;
}

static void on_up(void *arg, uint32_t n, const welcome_t *welcome, bool other)
{
    world_t *w = arg;
    assert_true(dialer_up(w->dialer, n));
    w->up++;
    w->other = other;
    w->welcome = *welcome;
}

static void on_down(void *arg, uint32_t n)
{
    world_t *w = arg;
    (void)n;
    w->down++;
}

static void on_gone(void *arg, uint32_t n)
{
    world_t *w = arg;
    (void)n;
    w->gone++;
}

static int on_frame(void *arg, uint32_t n, int command, const frame_t *frame)
{
    world_t *w = arg;
    uint32_t window;
    (void)n;
    w->frames++;
    return command == CMD_PING     ? 0
           : command == CMD_WINDOW ? decode_window(frame->data, frame->len, &window)
                                   : -ENOSYS;
}

static int dial(world_t *w, const char *first, const char *second)
{
    const char *endpoints[] = {first, second};
    dialer_options_t o = {.what = "server",
                          .role = ROLE_WORKER,
                          .kind = "kind",
                          .leg = "leg",
                          .endpoints = endpoints,
                          .endpoints_count = second != NULL ? 2 : 1};
    dialer_events_t events = {
        .arg = w, .hello = on_hello, .up = on_up, .down = on_down, .gone = on_gone, .frame = on_frame};
    return dialer_open(&w->dialer, &o, &events, &w->loop, w->why);
}

static void pump(world_t *w)
{
    for (uint32_t n = 0; n < SERVERS; n++) {
        side_t *s = &w->sides[n];
        if (s->server == NULL)
            continue;
        loop_wait(&s->loop, 0);
        server_receive(s->server, 100);
        server_tick(s->server);
    }
    int64_t due_ms = clock_ms() + 1;
    loop_wait(&w->loop, dialer_next_ms(w->dialer) < due_ms ? 0 : due_ms);
    dialer_receive(w->dialer, 10);
    dialer_tick(w->dialer);
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

static void pump_ms(world_t *w, int64_t ms)
{
    for (int64_t until_ms = clock_ms() + ms; clock_ms() < until_ms;)
        pump(w);
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    assert_non_null(w);
    log_open("test", LOG_ERROR);
    snprintf(w->dir, sizeof w->dir, "/tmp/mandrill-dialer-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    loop_init(&w->loop);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    dialer_close(&w->dialer, 0);
    for (uint32_t n = 0; n < SERVERS; n++)
        server_close(&w->sides[n].server, 0);
    assert_int_equal(w->loop.count, 0); /* nothing of it is left in the loop */
    rmdir(w->dir);
    free(w);
    return 0;
}

static const char *in_dir(const world_t *w, const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "ipc://%s/%s", w->dir, name);
    return path;
}

static void say(side_t *s, const void *frame, size_t len)
{
    buffer_t b;
    buffer_init(&b);
    buffer_append(&b, frame, len);
    assert_int_equal(server_send(s->server, s->peer, &b), 0);
    buffer_done(&b);
}

/* --- sessions --- */

static void test_greets_and_is_up(void **state)
{
    world_t *w = *state;
    side_t *s = &w->sides[0];
    w->held = 4711;
    assert_int_equal(dial(w, in_dir(w, "a"), NULL), 0);
    pump_ms(w, 50); /* nobody is there yet */
    buffer_t b;
    buffer_init(&b);
    encode_window(&b, 3);
    assert_int_equal(dialer_send(w->dialer, 0, &b), -ENOTCONN);
    serve(s, in_dir(w, "a"));
    PUMP_UNTIL(w, w->up == 1);
    assert_false(w->other);
    assert_int_equal(s->window, 7);
    assert_int_equal(s->held_count, 1);
    assert_int_equal(s->held, 4711);
    assert_true(dialer_up(w->dialer, 0));
    assert_string_equal(dialer_address(w->dialer, 0), in_dir(w, "a"));
    assert_null(dialer_address(w->dialer, 1));
    assert_int_equal(dialer_send(w->dialer, 0, &b), 0);
    buffer_done(&b);
    PUMP_UNTIL(w, s->last == CMD_WINDOW);
    /* Both sides are idle: PING keeps the session up. */
    w->frames = 0;
    s->last = 0;
    pump_ms(w, 3500);
    assert_int_equal(w->up, 1);
    assert_int_equal(w->down, 0);
    assert_int_equal(s->gone, 0);
    assert_int_equal(s->last, CMD_PING);
    assert_in_range(w->frames, 2, 5);
    dialer_close(&w->dialer, 1000);
    int64_t until_ms = clock_ms() + WAIT_MS;
    while (s->byes == 0 && clock_ms() < until_ms)
        server_receive(s->server, 10);
    assert_int_equal(s->byes, 1);
    assert_int_equal(dial(w, in_dir(w, "a"), NULL), 0);
}

static void test_a_server_that_is_started_anew(void **state)
{
    world_t *w = *state;
    side_t *s = &w->sides[0];
    serve(s, in_dir(w, "a"));
    assert_int_equal(dial(w, in_dir(w, "a"), NULL), 0);
    PUMP_UNTIL(w, w->up == 1);
    uint64_t session = s->session;
    server_close(&s->server, 0); /* says BYE */
    PUMP_UNTIL(w, w->down == 1);
    serve(s, in_dir(w, "a"));
    PUMP_UNTIL(w, w->up == 2);
    assert_true(w->other);
    assert_true(s->session == session);
}

/* --- a server that is killed: no BYE, and nobody to say WHO but the next one, which is not asked first ---
 */

/* What the dialer says first over its connection to this wire. */
static int first_command(world_t *w, wire_t *server, uint32_t *ret_from, hello_t *ret)
{
    frame_t frame;
    const char *why;
    const int64_t until_ms = clock_ms() + WAIT_MS;
    while (wire_recv(server, &frame) != 0) {
        assert_true(clock_ms() < until_ms);
        pump(w);
    }
    *ret_from = frame.routing_id;
    const int command = proto_command(frame.data, frame.len, &why);
    if (command == CMD_HELLO)
        assert_int_equal(decode_hello(frame.data, frame.len, ret), 0);
    return command;
}

static void answer_welcome(wire_t *server, uint32_t to)
{
    buffer_t b;
    buffer_init(&b);
    encode_welcome(&b, &(welcome_t){.version = PROTO_VERSION, .session = clock_random_id()});
    assert_int_equal(wire_send(server, to, &b), 0);
    buffer_done(&b);
}

static void bind_wire(world_t *w, wire_t **server, const char *endpoint)
{
    const int64_t until_ms = clock_ms() + WAIT_MS;
    int error;
    do {
        error = wire_bind(server, endpoint, w->why);
    } while (error == -EADDRINUSE && clock_ms() < until_ms);
    assert_int_equal(error, 0);
}

static void killed_again_and_again(world_t *w, const char *where)
{
    wire_t *server = NULL;
    char endpoint[128];
    uint32_t from;
    hello_t hello = {0};
    bind_wire(w, &server, where);
    snprintf(endpoint, sizeof endpoint, "%s", wire_endpoint(server));
    assert_int_equal(dial(w, endpoint, NULL), 0);
    assert_int_equal(first_command(w, server, &from, &hello), CMD_HELLO);
    const uint64_t session = hello.session;
    for (uint32_t i = 1; i <= 3; i++) {
        answer_welcome(server, from);
        PUMP_UNTIL(w, w->up == i);
        assert_int_equal(w->other, i > 1);
        assert_int_equal(w->down, i - 1);
        wire_close(&server, 0);
        bind_wire(w, &server, endpoint);
        /* Not PING, to which WHO would be the answer. */
        assert_int_equal(first_command(w, server, &from, &hello), CMD_HELLO);
        assert_int_equal(w->down, i);
        assert_true(hello.session == session);
        assert_int_equal(hello.held_count, 1);
        /* And once. */
        frame_t more;
        pump_ms(w, 100);
        assert_int_equal(wire_recv(server, &more), -EAGAIN);
    }
    wire_close(&server, 0);
}

static void test_a_server_that_is_killed_over_ipc(void **state)
{
    killed_again_and_again(*state, in_dir(*state, "a"));
}

static void test_a_server_that_is_killed_over_tcp(void **state)
{
    killed_again_and_again(*state, "tcp://127.0.0.1:0");
}

static void answer_bye(wire_t *server, uint32_t to)
{
    buffer_t b;
    buffer_init(&b);
    encode_bye(&b);
    assert_int_equal(wire_send(server, to, &b), 0);
    buffer_done(&b);
}

/* Each BYE is the end of a connection, and a new one is no reason to ask again at once. */
static void test_a_server_that_only_says_bye_is_not_flooded(void **state)
{
    world_t *w = *state;
    wire_t *server = NULL;
    uint32_t from, hellos = 0;
    hello_t hello = {0};
    bind_wire(w, &server, in_dir(w, "a"));
    assert_int_equal(dial(w, in_dir(w, "a"), NULL), 0);
    for (int64_t until_ms = clock_ms() + 700; clock_ms() < until_ms; pump(w)) {
        frame_t frame;
        while (wire_recv(server, &frame) == 0) {
            hellos++;
            answer_bye(server, frame.routing_id);
        }
    }
    assert_in_range(hellos, 1, 2);
    assert_int_equal(first_command(w, server, &from, &hello), CMD_HELLO);
    answer_welcome(server, from);
    PUMP_UNTIL(w, w->up == 1);
    wire_close(&server, 0);
}

static void test_who_is_answered_by_hello(void **state)
{
    world_t *w = *state;
    side_t *s = &w->sides[0];
    serve(s, in_dir(w, "a"));
    assert_int_equal(dial(w, in_dir(w, "a"), NULL), 0);
    PUMP_UNTIL(w, w->up == 1);
    say(s, "\x91\x03", 2);
    PUMP_UNTIL(w, w->up == 2 && w->down == 1);
    assert_false(w->other);
    assert_int_equal(s->hellos, 2);
}

static void test_silence(void **state)
{
    world_t *w = *state;
    side_t *s = &w->sides[0];
    serve(s, in_dir(w, "a"));
    assert_int_equal(dial(w, in_dir(w, "a"), NULL), 0);
    PUMP_UNTIL(w, w->up == 1);
    uint64_t session = s->session;
    int64_t start_ms = clock_ms();
    while (w->down == 0) { /* the server's process stands still */
        assert_true(clock_ms() - start_ms < WAIT_MS);
        loop_wait(&w->loop, dialer_next_ms(w->dialer));
        dialer_receive(w->dialer, 10);
        dialer_tick(w->dialer);
    }
    assert_in_range(clock_ms() - start_ms, 1500, 4500);
    PUMP_UNTIL(w, w->up == 2);
    assert_true(s->session == session);
    assert_false(w->other);
}

/* The other way round: what the servers said while this process stood still counts. */
static void test_ones_own_silence(void **state)
{
    world_t *w = *state;
    side_t *s = &w->sides[0];
    serve(s, in_dir(w, "a"));
    assert_int_equal(dial(w, in_dir(w, "a"), NULL), 0);
    PUMP_UNTIL(w, w->up == 1);
    w->loop.turn_ms -= 5000; /* as if the turn had taken so long */
    loop_wait(&w->loop, 0);
    w->loop.now_ms += 5000;
    dialer_tick(w->dialer);
    assert_int_equal(w->down, 0);
}

static void test_refused(void **state)
{
    world_t *w = *state;
    side_t *s = &w->sides[0];
    s->refuse = ERR_KIND;
    serve(s, in_dir(w, "a"));
    assert_int_equal(dial(w, in_dir(w, "a"), NULL), 0);
    PUMP_UNTIL(w, s->hellos == 1);
    pump_ms(w, 1500);
    assert_int_equal(s->hellos, 1); /* not each second: in 5 s */
    assert_int_equal(w->up, 0);
    assert_in_range(dialer_next_ms(w->dialer) - clock_ms(), 2000, DIAL_RETRY_MS);
}

static void test_nonsense(void **state)
{
    world_t *w = *state;
    side_t *s = &w->sides[0];
    dialer_counts_t counts = {0};
    serve(s, in_dir(w, "a"));
    assert_int_equal(dial(w, in_dir(w, "a"), NULL), 0);
    PUMP_UNTIL(w, w->up == 1);
    say(s, "\xc1", 1);          /* no MessagePack */
    say(s, "\x92\x07\xa1x", 4); /* WINDOW of a string */
    say(s, "\x92\x02\x01", 3);  /* half a WELCOME */
    say(s, "\x91\x14", 2);      /* TASKS: not of this hop, says the caller */
    say(s, "\x91\xcc\xc8", 3);  /* command 200 */
    while (counts.malformed < 3 || counts.unknown < 2) {
        pump(w);
        dialer_counts(w->dialer, &counts);
    }
    assert_int_equal(counts.malformed, 3);
    assert_int_equal(counts.unknown, 2);
    assert_int_equal(counts.up, 1);
    assert_int_equal(w->down, 0);
}

/* --- several addresses --- */

static void test_two_servers(void **state)
{
    world_t *w = *state;
    dialer_counts_t counts;
    serve(&w->sides[0], in_dir(w, "a"));
    serve(&w->sides[1], in_dir(w, "b"));
    assert_int_equal(dial(w, in_dir(w, "a"), in_dir(w, "b")), 0);
    PUMP_UNTIL(w, w->up == 2);
    assert_true(w->sides[0].session != w->sides[1].session);
    dialer_counts(w->dialer, &counts);
    assert_int_equal(counts.dials, 2);
    assert_int_equal(counts.up, 2);
}

static void test_two_addresses_of_one_server(void **state)
{
    world_t *w = *state;
    side_t *s = &w->sides[0];
    char first[64], second[64];
    serve(s, "tcp://*:0");
    const char *port = strrchr(server_endpoint(s->server), ':');
    snprintf(first, sizeof first, "tcp://127.0.0.1%s", port);
    snprintf(second, sizeof second, "tcp://127.0.0.2%s", port);
    assert_int_equal(dial(w, first, second), 0);
    PUMP_UNTIL(w, s->byes == 1);
    pump_ms(w, 1500);
    assert_int_equal(w->up, 1);
    assert_int_equal(w->down, 0);
    assert_int_equal(s->hellos, 2);
    /* When the server comes back as another process either may be first, but only one stays. */
    snprintf(first, sizeof first, "tcp://*%s", port);
    server_close(&s->server, 0);
    PUMP_UNTIL(w, w->down == 1);
    s->byes = 0;
    serve(s, first);
    PUMP_UNTIL(w, w->up == 2 && s->byes == 1);
    dialer_counts_t counts;
    dialer_counts(w->dialer, &counts);
    assert_int_equal(counts.dials, 2);
    assert_int_equal(counts.up, 1);
}

static void test_a_name(void **state)
{
    world_t *w = *state;
    char name[64], address[64];
    serve(&w->sides[0], "tcp://127.0.0.1:0");
    const char *port = strrchr(server_endpoint(w->sides[0].server), ':');
    snprintf(name, sizeof name, "tcp://localhost%s", port);
    snprintf(address, sizeof address, "tcp://127.0.0.1%s", port);
    assert_int_equal(dial(w, name, address), 0); /* the same address twice is one dial */
    PUMP_UNTIL(w, w->up == 1);
    pump_ms(w, 100);
    dialer_counts_t counts;
    dialer_counts(w->dialer, &counts);
    assert_int_equal(counts.dials, 1);
    assert_string_equal(dialer_address(w->dialer, 0), address);
}

static void test_no_endpoint(void **state)
{
    world_t *w = *state;
    assert_int_equal(dial(w, "udp://nowhere", NULL), -EINVAL);
    assert_true(strlen(w->why) > 0);
    assert_null(w->dialer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_greets_and_is_up),
        TEST(test_a_server_that_is_started_anew),
        TEST(test_a_server_that_is_killed_over_ipc),
        TEST(test_a_server_that_is_killed_over_tcp),
        TEST(test_a_server_that_only_says_bye_is_not_flooded),
        TEST(test_who_is_answered_by_hello),
        TEST(test_silence),
        TEST(test_ones_own_silence),
        TEST(test_refused),
        TEST(test_nonsense),
        TEST(test_two_servers),
        TEST(test_two_addresses_of_one_server),
        TEST(test_a_name),
        TEST(test_no_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

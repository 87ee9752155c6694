/* The guard against peers that never end a message, with real ones: they speak ZMTP 3.0 over sockets of their
 * own. */
#include "common/core/message.h"
#include "common/core/proto.h"
#include "common/runtime/clock.h"
#include "common/runtime/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

enum { WAIT_MS = 20000, MEGABYTE = 1024 * 1024, BYTES_AT_ONCE = 256 * 1024 };
/* What an attacker may send before its end; far more than it gets through. */
#define ATTACK_BYTES_MAX (INT64_C(8) << 30)

static char why[WHY_BYTES];

typedef struct {
    int port;
    const void *frame; /* sent again and again */
    size_t frame_len;
    int64_t sent; /* bytes */
    bool cut;
    atomic_bool done;
    pthread_t thread;
} attacker_t;

static bool send_all(int fd, const void *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        const ssize_t sent = send(fd, (const char *)bytes + done, n - done, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        done += (size_t)sent;
    }
    return true;
}

/* A connection with a routing id of its own making; without one when id_len is 0. */
static int handshake(int port, const void *id, size_t id_len)
{
    static const uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    uint8_t ready[64] = "\x04\x00\x05READY\x0bSocket-Type\0\0\0\x06"
                        "DEALER\x08Identity\0\0\0";
    const size_t fixed = 43;
    ready[fixed - 1] = (uint8_t)id_len;
    memcpy(ready + fixed, id, id_len);
    ready[1] = (uint8_t)(fixed - 2 + id_len);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uint8_t answer[128];
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send_all(fd, greeting, sizeof greeting) && recv(fd, answer, 64, MSG_WAITALL) == 64 &&
        send_all(fd, ready, fixed + id_len) && recv(fd, answer, 2, MSG_WAITALL) == 2 &&
        recv(fd, answer, answer[1], MSG_WAITALL) > 0)
        return fd;
    close(fd);
    return -1;
}

static void *attack(void *arg)
{
    attacker_t *a = arg;
    const int fd = handshake(a->port, "", 0);
    if (fd < 0)
        return NULL;
    while (a->sent < ATTACK_BYTES_MAX && !a->cut) {
        if (send_all(fd, a->frame, a->frame_len))
            a->sent += (int64_t)a->frame_len;
        else
            a->cut = true;
    }
    close(fd);
    return NULL;
}

/* A run of the short frames 01 00: empty, with more to follow. What it costs us is far above its size. */
static void *make_empty_frames(size_t *ret_len)
{
    uint8_t *bytes = malloc(BYTES_AT_ONCE);
    assert_non_null(bytes);
    for (size_t i = 0; i < BYTES_AT_ONCE; i++)
        bytes[i] = i % 2 == 0;
    *ret_len = BYTES_AT_ONCE;
    return bytes;
}

/* A long frame of `size` bytes. */
static void *make_frame(bool more, size_t size, size_t *ret_len)
{
    uint8_t *bytes = calloc(1, size + 9);
    assert_non_null(bytes);
    bytes[0] = more ? 3 : 2;
    for (int i = 0; i < 8; i++)
        bytes[1 + i] = (uint8_t)((uint64_t)size >> (56 - 8 * i));
    *ret_len = size + 9;
    return bytes;
}

static long resident_kb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d %ld", &pages), 1);
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int port_of(const wire_t *w)
{
    int port = 0;
    assert_int_equal(sscanf(wire_endpoint(w), "tcp://127.0.0.1:%d", &port), 1);
    return port;
}

static uint64_t cuts_of(const wire_t *w)
{
    wire_counts_t counts;
    wire_counts(w, &counts);
    return counts.refused_endless;
}

/* One turn of a program's loop. */
static uint32_t turn(wire_t *w, int timeout_ms)
{
    zmq_pollitem_t item = {.socket = wire_socket(w), .events = ZMQ_POLLIN};
    zmq_poll(&item, 1, timeout_ms);
    uint32_t frames = 0;
    frame_t frame;
    while (frames < RECORDS_MAX && wire_recv(w, &frame) == 0)
        frames++;
    wire_guard(w, clock_ms());
    return frames;
}

/* Lets the attacker loose; a good peer talks all the while. */
static void withstand(attacker_t *a)
{
    wire_t *server = NULL, *peer = NULL;
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    assert_int_equal(wire_connect(&peer, wire_endpoint(server), why), 0);
    zmq_pollitem_t item = {.socket = wire_socket(peer), .events = ZMQ_POLLOUT};
    assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);

    const long before_kb = resident_kb();
    long most_kb = before_kb;
    a->port = port_of(server);
    assert_int_equal(pthread_create(&a->thread, NULL, attack, a), 0);
    const buffer_t ping = {.data = (uint8_t *)"ping", .len = 4};
    uint64_t said = 0, heard = 0;
    const int64_t end_ms = clock_ms() + WAIT_MS;
    while ((cuts_of(server) == 0 || heard < said) && clock_ms() < end_ms) {
        if (cuts_of(server) == 0 && wire_send(peer, 0, &ping) == 0)
            said++;
        heard += turn(server, 20);
        const long now_kb = resident_kb();
        most_kb = now_kb > most_kb ? now_kb : most_kb;
    }
    pthread_join(a->thread, NULL);
    print_message("sent %lld MB, grew by %ld MB\n", (long long)(a->sent / MEGABYTE),
                  (most_kb - before_kb) / 1024);
    assert_int_equal(cuts_of(server), 1);
    assert_true(a->cut);
    assert_true(said > 0);
    assert_int_equal(heard, said);
    /* A sanitizer keeps what was freed. */
    assert_true(TEST_SANITIZED || most_kb - before_kb < 512 * 1024);
    wire_close(&peer, 0);
    wire_close(&server, 0);
}

static void an_endless_message_of_large_frames_is_cut(void **state)
{
    (void)state;
    attacker_t a = {0};
    void *frame = make_frame(true, MEGABYTE, &a.frame_len);
    a.frame = frame;
    withstand(&a);
    free(frame);
}

static void an_endless_message_of_empty_frames_is_cut(void **state)
{
    (void)state;
    attacker_t a = {0};
    void *frames = make_empty_frames(&a.frame_len);
    a.frame = frames;
    withstand(&a);
    free(frames);
}

static uint64_t refused_by(const wire_t *w)
{
    wire_counts_t counts;
    wire_counts(w, &counts);
    return counts.refused_parts;
}

/* Whether the server has closed it, in some turns of the server. */
static bool is_closed(int fd, wire_t *server)
{
    for (int i = 0; i < WAIT_MS; i++) {
        char byte;
        if (recv(fd, &byte, 1, MSG_DONTWAIT) == 0)
            return true;
        turn(server, 1);
    }
    return false;
}

static const uint8_t short_frame[] = {0, 4, 'p', 'i', 'n', 'g'};

/* It could not be answered, for the next one with its id would get the answer. */
static void a_connection_with_an_id_of_its_own_is_refused_and_cut(void **state)
{
    (void)state;
    wire_t *server = NULL;
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    const int fd = handshake(port_of(server), "mine", 4);
    assert_true(fd >= 0);
    assert_true(send_all(fd, short_frame, sizeof short_frame));
    assert_true(is_closed(fd, server));
    assert_int_equal(refused_by(server), 1);
    close(fd);
    wire_close(&server, 0);
}

/* libzmq reads of one of them only. */
static void the_newer_of_two_connections_with_one_id_is_read(void **state)
{
    (void)state;
    wire_t *server = NULL;
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    const int first = handshake(port_of(server), "twin", 4);
    const int second = handshake(port_of(server), "twin", 4);
    assert_true(first >= 0 && second >= 0);
    assert_true(send_all(second, short_frame, sizeof short_frame));
    assert_true(is_closed(second, server));
    assert_int_equal(refused_by(server), 1);
    close(first);
    close(second);
    wire_close(&server, 0);
}

enum { TWINS = 40, TWIN_FRAMES = 16 };

/* All stay open until the last one has sent what it could. */
static void *send_as_twins(void *arg)
{
    attacker_t *a = arg;
    int fds[TWINS];
    for (int i = 0; i < TWINS; i++) {
        fds[i] = handshake(a->port, "twin", 4);
        for (int k = 0; fds[i] >= 0 && k < TWIN_FRAMES && send_all(fds[i], a->frame, a->frame_len); k++)
            a->sent += (int64_t)a->frame_len;
    }
    for (int i = 0; i < TWINS; i++)
        close(fds[i]);
    atomic_store(&a->done, true);
    return NULL;
}

static void a_flood_of_connections_with_one_id_fills_no_memory(void **state)
{
    (void)state;
    wire_t *server = NULL;
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    attacker_t a = {.port = port_of(server)};
    void *frame = make_frame(false, MEGABYTE, &a.frame_len);
    a.frame = frame;
    const long before_kb = resident_kb();
    long most_kb = before_kb;
    assert_int_equal(pthread_create(&a.thread, NULL, send_as_twins, &a), 0);
    while (!atomic_load(&a.done)) {
        turn(server, 1);
        const long now_kb = resident_kb();
        most_kb = now_kb > most_kb ? now_kb : most_kb;
    }
    pthread_join(a.thread, NULL);
    print_message("sent %lld MB, grew by %ld MB\n", (long long)(a.sent / MEGABYTE),
                  (most_kb - before_kb) / 1024);
    assert_true(refused_by(server) > 0);
    /* A sanitizer keeps what was freed. */
    assert_true(TEST_SANITIZED || most_kb - before_kb < 128 * 1024);
    free(frame);
    wire_close(&server, 0);
}

/* Receives one frame; how many were refused meanwhile does not matter. */
static uint32_t receive_from(wire_t *w, const char *expected)
{
    frame_t frame = {0};
    int error = -EAGAIN;
    for (int i = 0; i < WAIT_MS && error == -EAGAIN; i++) {
        zmq_pollitem_t item = {.socket = wire_socket(w), .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, 1);
        error = wire_recv(w, &frame);
    }
    assert_int_equal(error, 0);
    assert_int_equal(frame.len, strlen(expected));
    assert_memory_equal(frame.data, expected, frame.len);
    return frame.routing_id;
}

/* Whoever guesses an id of libzmq's gets the connection's place, and must not be heard there. The one that
 * was robbed connects again and goes on. */
static void a_forged_id_is_not_taken_for_the_one_that_has_it(void **state)
{
    (void)state;
    const buffer_t hello = {.data = (uint8_t *)"hello", .len = 5};
    wire_t *server = NULL, *peer = NULL;
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    assert_int_equal(wire_connect(&peer, wire_endpoint(server), why), 0);
    zmq_pollitem_t item = {.socket = wire_socket(peer), .events = ZMQ_POLLOUT};
    assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
    assert_int_equal(wire_send(peer, 0, &hello), 0);
    const uint32_t id = receive_from(server, "hello");

    const uint8_t forged[] = {0, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
    const int thief = handshake(port_of(server), forged, sizeof forged);
    assert_true(thief >= 0);
    const uint8_t two_frames[] = {0, 4, 'p', 'i', 'n', 'g', 0, 4, 'p', 'i', 'n', 'g'};
    assert_true(send_all(thief, two_frames, sizeof two_frames));
    assert_true(is_closed(thief, server));
    wire_counts_t counts;
    wire_counts(server, &counts);
    assert_int_equal(counts.refused_parts, 2);
    assert_int_equal(counts.frames_in, 1);

    uint32_t again = id;
    for (int i = 0; i < WAIT_MS && again == id; i++) {
        frame_t frame;
        zmq_pollitem_t in = {.socket = wire_socket(server), .events = ZMQ_POLLIN};
        wire_send(peer, 0, &hello);
        zmq_poll(&in, 1, 1);
        if (wire_recv(server, &frame) == 0)
            again = frame.routing_id;
    }
    assert_int_not_equal(again, id);
    close(thief);
    wire_close(&peer, 0);
    wire_close(&server, 0);
}
typedef struct {
    int port, frames;
    const uint8_t *frame;
    size_t frame_len;
    bool cut;
} sender_t;

static void *send_frames(void *arg)
{
    sender_t *s = arg;
    const int fd = handshake(s->port, "", 0);
    for (int i = 0; i < s->frames && !s->cut; i++)
        s->cut = fd < 0 || !send_all(fd, s->frame, s->frame_len);
    if (!s->cut)
        shutdown(fd, SHUT_WR);
    char byte;
    while (fd >= 0 && recv(fd, &byte, 1, 0) > 0)
        ;
    close(fd);
    return NULL;
}

/* A server that stalls finds far more than the limit, all of it whole messages; the guard is asked far more
 * often than frames are taken. */
static void a_burst_of_whole_messages_is_not_cut(void **state)
{
    (void)state;
    wire_t *server = NULL;
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    sender_t s = {.port = port_of(server), .frames = 48};
    void *frame = make_frame(false, FRAME_BYTES_MAX, &s.frame_len);
    s.frame = frame;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_frames, &s), 0);
    uint32_t heard = 0;
    int64_t guard_ms = clock_ms();
    const int64_t end_ms = guard_ms + WAIT_MS;
    while (heard < 48 && clock_ms() < end_ms) {
        for (int i = 0; i < 4; i++) {
            wire_guard(server, guard_ms += 100);
            poll(NULL, 0, 1);
        }
        frame_t f;
        if (wire_recv(server, &f) == 0) {
            assert_int_equal(f.len, FRAME_BYTES_MAX);
            heard++;
        }
    }
    assert_int_equal(cuts_of(server), 0);
    assert_int_equal(heard, 48);
    wire_close(&server, 0);
    pthread_join(thread, NULL);
    assert_false(s.cut);
    free(frame);
}

/* One message after the other, with nothing waiting in between. Polling makes libzmq look at each before it
 * is taken. */
static void a_peer_that_sends_much_in_many_messages_is_not_cut(void **state)
{
    (void)state;
    wire_t *server = NULL;
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    const int fd = handshake(port_of(server), "", 0);
    assert_true(fd >= 0);
    size_t frame_len;
    void *frame = make_frame(false, MEGABYTE, &frame_len);
    int64_t guard_ms = clock_ms();
    for (int i = 0; i < 16; i++) {
        assert_true(send_all(fd, frame, frame_len));
        zmq_pollitem_t item = {.socket = wire_socket(server), .events = ZMQ_POLLIN};
        assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
        frame_t f;
        assert_int_equal(wire_recv(server, &f), 0);
        for (int look = 0; look < 4; look++) {
            assert_int_equal(wire_recv(server, &f), -EAGAIN);
            wire_guard(server, guard_ms += 100);
        }
        assert_int_equal(cuts_of(server), 0);
    }
    close(fd);
    free(frame);
    wire_close(&server, 0);
}

/* All of it came and was taken before the guard looked for the first time since the connection was made. */
static void whole_messages_before_the_first_look_do_not_count(void **state)
{
    (void)state;
    wire_t *server = NULL;
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    const int fd = handshake(port_of(server), "", 0);
    assert_true(fd >= 0);
    size_t frame_len;
    void *frame = make_frame(false, MEGABYTE, &frame_len);
    frame_t f;
    for (int i = 0; i < 8; i++) {
        assert_true(send_all(fd, frame, frame_len));
        zmq_pollitem_t item = {.socket = wire_socket(server), .events = ZMQ_POLLIN};
        assert_int_equal(zmq_poll(&item, 1, WAIT_MS), 1);
        assert_int_equal(wire_recv(server, &f), 0);
    }
    assert_int_equal(wire_recv(server, &f), -EAGAIN);
    int64_t guard_ms = clock_ms();
    for (int look = 0; look < 4; look++)
        wire_guard(server, guard_ms += 100);
    assert_int_equal(cuts_of(server), 0);
    close(fd);
    free(frame);
    wire_close(&server, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_endless_message_of_large_frames_is_cut),
        cmocka_unit_test(an_endless_message_of_empty_frames_is_cut),
        cmocka_unit_test(a_connection_with_an_id_of_its_own_is_refused_and_cut),
        cmocka_unit_test(the_newer_of_two_connections_with_one_id_is_read),
        cmocka_unit_test(a_flood_of_connections_with_one_id_fills_no_memory),
        cmocka_unit_test(a_forged_id_is_not_taken_for_the_one_that_has_it),
        cmocka_unit_test(a_burst_of_whole_messages_is_not_cut),
        cmocka_unit_test(a_peer_that_sends_much_in_many_messages_is_not_cut),
        cmocka_unit_test(whole_messages_before_the_first_look_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

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
    const char *id;    /* its routing id, "" for none */
    const void *frame; /* sent again and again */
    size_t frame_len;
    int64_t sent; /* bytes */
    bool cut;
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

static int handshake(int port, const char *id)
{
    static const uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    uint8_t ready[64] = "\x04\x00\x05READY\x0bSocket-Type\0\0\0\x06"
                        "DEALER\x08Identity\0\0\0";
    const size_t fixed = 43;
    ready[fixed - 1] = (uint8_t)strlen(id);
    memcpy(ready + fixed, id, strlen(id));
    ready[1] = (uint8_t)(fixed - 2 + strlen(id));
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uint8_t answer[128];
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send_all(fd, greeting, sizeof greeting) && recv(fd, answer, 64, MSG_WAITALL) == 64 &&
        send_all(fd, ready, fixed + strlen(id)) && recv(fd, answer, 2, MSG_WAITALL) == 2 &&
        recv(fd, answer, answer[1], MSG_WAITALL) > 0)
        return fd;
    close(fd);
    return -1;
}

static void *attack(void *arg)
{
    attacker_t *a = arg;
    const int fd = handshake(a->port, a->id);
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
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which keep what was freed */
    assert_true(most_kb - before_kb < 512 * 1024);
#endif
    wire_close(&peer, 0);
    wire_close(&server, 0);
}

static void an_endless_message_of_large_frames_is_cut(void **state)
{
    (void)state;
    attacker_t a = {.id = ""};
    void *frame = make_frame(true, MEGABYTE, &a.frame_len);
    a.frame = frame;
    withstand(&a);
    free(frame);
}

static void an_endless_message_of_empty_frames_is_cut(void **state)
{
    (void)state;
    attacker_t a = {.id = ""};
    void *frames = make_empty_frames(&a.frame_len);
    a.frame = frames;
    withstand(&a);
    free(frames);
}

/* libzmq never reads from the second of two connections with one id. */
static void a_second_connection_with_the_same_id_is_cut(void **state)
{
    (void)state;
    wire_t *server = NULL;
    assert_int_equal(wire_bind(&server, "tcp://127.0.0.1:0", why), 0);
    const int first = handshake(port_of(server), "twin");
    assert_true(first >= 0);
    assert_true(send_all(first, "\0\1x", 3));
    wire_counts_t counts = {0};
    for (int i = 0; i < WAIT_MS && counts.refused_parts == 0; i++) {
        turn(server, 1);
        wire_counts(server, &counts);
    }
    assert_int_equal(counts.refused_parts, 1);

    attacker_t a = {.id = "twin", .port = port_of(server)};
    void *frame = make_frame(false, MEGABYTE, &a.frame_len);
    a.frame = frame;
    assert_int_equal(pthread_create(&a.thread, NULL, attack, &a), 0);
    for (int i = 0; i < WAIT_MS && cuts_of(server) == 0; i++)
        turn(server, 1);
    pthread_join(a.thread, NULL);
    assert_true(a.cut);
    assert_int_equal(cuts_of(server), 1);
    close(first);
    free(frame);
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
    const int fd = handshake(s->port, "");
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
    const int fd = handshake(port_of(server), "");
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
    const int fd = handshake(port_of(server), "");
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
        cmocka_unit_test(a_second_connection_with_the_same_id_is_cut),
        cmocka_unit_test(a_burst_of_whole_messages_is_not_cut),
        cmocka_unit_test(a_peer_that_sends_much_in_many_messages_is_not_cut),
        cmocka_unit_test(whole_messages_before_the_first_look_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

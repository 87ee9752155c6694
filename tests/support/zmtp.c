#include "tests/support/zmtp.h"

#include "tests/support/wait.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { GREETING_BYTES = 64, STUCK_MS = 1000 };

int stream_open(const char *endpoint)
{
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un ipc = {.sun_family = AF_UNIX};
    bool is_tcp = strncmp(endpoint, "tcp://", 6) == 0;
    int rc;

    int fd = socket(is_tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    if (is_tcp) {
        tcp.sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
        rc = connect(fd, (struct sockaddr *)&tcp, sizeof tcp);
    } else {
        snprintf(ipc.sun_path, sizeof ipc.sun_path, "%s", endpoint + strlen("ipc://"));
        rc = connect(fd, (struct sockaddr *)&ipc, sizeof ipc);
    }
    if (rc != 0)
        fail_msg("cannot connect to %s: %s", endpoint, strerror(errno));
    return fd;
}

bool stream_send(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        struct pollfd item = {.fd = fd, .events = POLLOUT};

        if (poll(&item, 1, STUCK_MS) <= 0)
            return false;
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static void receive(int fd, uint8_t *bytes, size_t len)
{
    while (len > 0) {
        struct pollfd item = {.fd = fd, .events = POLLIN};

        assert_true(poll(&item, 1, WAIT_MS) > 0);
        ssize_t n = recv(fd, bytes, len, 0);
        assert_true(n > 0);
        bytes += n;
        len -= (size_t)n;
    }
}

int zmtp_open(const char *endpoint)
{
    static const uint8_t ready[] = "\4\x29\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0";
    uint8_t greeting[GREETING_BYTES] = {0xff, [9] = 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    uint8_t theirs[256];
    int fd = stream_open(endpoint);

    assert_true(stream_send(fd, greeting, sizeof greeting));
    receive(fd, theirs, GREETING_BYTES);
    /* The string's own NUL is the last byte of Identity's length. */
    assert_true(stream_send(fd, ready, sizeof ready));
    receive(fd, theirs, 2);
    assert_int_equal(theirs[0], 4);
    receive(fd, theirs, theirs[1]);
    return fd;
}

bool zmtp_header(int fd, bool more, uint64_t len)
{
    uint8_t header[9] = {(uint8_t)(2 | (more ? 1 : 0))};

    for (int i = 0; i < 8; i++)
        header[1 + i] = (uint8_t)(len >> (56 - 8 * i));
    return stream_send(fd, header, sizeof header);
}

bool zmtp_frame(int fd, bool more, const void *bytes, size_t len)
{
    return zmtp_header(fd, more, len) && stream_send(fd, bytes, len);
}

bool stream_is_cut(int fd, int timeout_ms)
{
    int64_t until_ms = test_now_ms() + timeout_ms;
    uint8_t dropped[4096];

    for (;;) {
        struct pollfd item = {.fd = fd, .events = POLLIN};
        int64_t left_ms = until_ms - test_now_ms();

        if (left_ms <= 0 || poll(&item, 1, (int)left_ms) <= 0)
            return false;
        ssize_t n = recv(fd, dropped, sizeof dropped, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return true;
    }
}

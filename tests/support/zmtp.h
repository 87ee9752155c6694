/* ZMTP 3.0 by hand over a TCP or Unix socket: for what libzmq refuses to send. */
#ifndef MANDRILL_TEST_ZMTP_H
#define MANDRILL_TEST_ZMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A stream to a tcp:// or ipc:// endpoint; the caller closes it. Fails the test when nobody listens. */
int stream_open(const char *endpoint);
/* Greets as a DEALER and waits for the other side's READY. */
int zmtp_open(const char *endpoint);
/* Whole, or false: the other side has cut the connection, or takes nothing for a second. */
bool stream_send(int fd, const void *bytes, size_t len);
/* The header of a frame of `len` bytes, of which any number may follow. */
bool zmtp_header(int fd, bool more, uint64_t len);
bool zmtp_frame(int fd, bool more, const void *bytes, size_t len);
/* Reads and drops what comes until the other side closes; false when it does not within the time. */
bool stream_is_cut(int fd, int timeout_ms);

#endif

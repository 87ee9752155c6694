/* A disk that fails on demand: the two calls through which SQLite meets it in a commit, pwrite64() and
 * fdatasync(), are defined here and come before libc's. For the one file of a test program, which defines
 * _DEFAULT_SOURCE (syscall(): the real calls) and _LARGEFILE64_SOURCE (pwrite64) before it includes anything.
 */
#ifndef MANDRILL_TEST_DISK_FAULTS_H
#define MANDRILL_TEST_DISK_FAULTS_H

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

static int write_errno, sync_errno; /* 0: they work */
static int writes_left;             /* before write_errno counts */
static off64_t log_bytes_max; /* 0: the log may have any size; else it is full there, and with write_errno */
static unsigned syncs;

enum { FRAME_HEAD_BYTES = 24 }; /* of the log: nothing else is written in pieces of this size */

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    static int log_fd = -1;
    if (n == FRAME_HEAD_BYTES)
        log_fd = fd;
    bool fails = log_bytes_max > 0 ? fd == log_fd && at + (off64_t)n > log_bytes_max : writes_left-- <= 0;
    if (write_errno && fails) {
        errno = write_errno;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, n, at);
}

int fdatasync(int fd)
{
    syncs++;
    if (sync_errno) {
        errno = sync_errno;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

#endif

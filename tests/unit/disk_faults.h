/* A disk that fails on demand: the two calls through which SQLite meets it in a commit, pwrite64() and
 * fdatasync(), are defined here and come before libc's. For the one file of a test program, which defines
 * _DEFAULT_SOURCE (syscall(): the real calls) and _LARGEFILE64_SOURCE (pwrite64) before it includes anything.
 */
#ifndef MANDRILL_TEST_DISK_FAULTS_H
#define MANDRILL_TEST_DISK_FAULTS_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static int write_errno, sync_errno; /* 0: they work */
static int writes_left;             /* before write_errno counts */
static unsigned syncs;

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    if (write_errno && writes_left-- <= 0) {
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

/* Writes, syncs and truncations that fail. SQLite's calls end here: it reaches its files through libc's
 * pwrite64(), fdatasync() and ftruncate64(). */
#define _DEFAULT_SOURCE     /* syscall(): the real calls */
#define _LARGEFILE64_SOURCE /* the names with 64 */
#include "tests/faults/shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHIM_GOES_THROUGH = 0 };

static bool is_watched(int fd)
{
    char link[64], path[512];
    const shim_control_t *c = shim_control();

    if (c == NULL || c->file[0] == '\0')
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    return strstr(path, c->file) != NULL;
}

/* How this call on a watched file fails. */
static int fault_of(uint32_t call)
{
    shim_control_t *c = shim_control();

    if ((atomic_load(&c->calls) & call) == 0)
        return SHIM_GOES_THROUGH;
    uint64_t nth = atomic_fetch_add(&c->seen, 1) + 1, from = atomic_load(&c->from);
    int how = atomic_load(&c->how);
    if (from == 0 || nth < from || nth - from >= atomic_load(&c->times))
        return SHIM_GOES_THROUGH;
    if (how == SHIM_SHORT && call != SHIM_WRITE)
        return SHIM_GOES_THROUGH;
    atomic_fetch_add(&c->fired, 1);
    if (how == SHIM_CUT) {
        unsynced_cut(atomic_load(&c->seed));
        kill(getpid(), SIGKILL);
    }
    return how;
}

/* How many of the bytes are to be written; -1 with errno: none. */
static ssize_t admit(int fd, size_t n, off64_t at)
{
    if (!is_watched(fd))
        return (ssize_t)n;
    int how = fault_of(SHIM_WRITE);
    if (how > 0) {
        errno = how;
        return -1;
    }
    if (how == SHIM_SHORT && n > 1)
        n /= 2;
    unsynced_write(fd, at, n);
    return (ssize_t)n;
}

static ssize_t write_at(int fd, const void *bytes, size_t n, off64_t at)
{
    ssize_t some = admit(fd, n, at);

    return some < 0 ? -1 : syscall(SYS_pwrite64, fd, bytes, some, at);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    ssize_t some = admit(fd, n, lseek(fd, 0, SEEK_CUR));

    return some < 0 ? -1 : syscall(SYS_write, fd, bytes, some);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    return write_at(fd, bytes, n, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return write_at(fd, bytes, n, at);
}

static int sync_file(int fd, long number)
{
    bool watched = is_watched(fd);
    int how = watched ? fault_of(SHIM_SYNC) : SHIM_GOES_THROUGH;

    if (how > 0) {
        unsynced_drop(fd);
        errno = how;
        return -1;
    }
    int rc = (int)syscall(number, fd);
    if (watched && rc == 0)
        unsynced_forget(fd);
    return rc;
}

int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}

static int truncate_file(int fd, off64_t size)
{
    if (is_watched(fd)) {
        int how = fault_of(SHIM_TRUNCATE);
        if (how > 0) {
            errno = how;
            return -1;
        }
        unsynced_truncate(fd, size);
    }
    return (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return truncate_file(fd, size);
}

int ftruncate(int fd, off_t size)
{
    return truncate_file(fd, size);
}

static int allocate(int fd, off64_t at, off64_t n)
{
    int how = is_watched(fd) ? fault_of(SHIM_ALLOCATE) : SHIM_GOES_THROUGH;

    if (how > 0)
        return how;
    return syscall(SYS_fallocate, fd, 0, at, n) == 0 ? 0 : errno;
}

int posix_fallocate(int fd, off_t at, off_t n)
{
    return allocate(fd, at, n);
}

int posix_fallocate64(int fd, off64_t at, off64_t n)
{
    return allocate(fd, at, n);
}

#define _GNU_SOURCE /* flock, O_DIRECTORY: POSIX record locks need a file that is open for writing */
#include "common/runtime/wire_ipc.h"

#include "common/core/message.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

/* Two programs that start at once must not both find the same stale socket, so the test and the bind happen
 * under a lock on the directory. Somebody may hold that lock for a purpose of their own: it is waited for
 * only shortly. */
enum { LOCK_TRIES = 40, LOCK_WAIT_MS = 5 };

/* Returns a descriptor to close, or -errno. */
static int lock_directory_of(const char *path)
{
    char directory[sizeof((struct sockaddr_un *)0)->sun_path];
    const char *slash = strrchr(path, '/');
    const size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    if (slash == NULL)
        snprintf(directory, sizeof directory, ".");
    else
        snprintf(directory, sizeof directory, "%.*s", (int)(len == 0 ? 1 : len), path);
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (int i = 0; i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = LOCK_WAIT_MS * 1000000L}, NULL);
    return fd;
}

/* 0: nothing is there, or a socket that nobody listens on. */
static int test_owner(const struct sockaddr_un *address, char *why)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0) {
        if (errno == ENOENT)
            return 0;
        const int error = errno;
        snprintf(why, WHY_BYTES, "%.100s: %s", address->sun_path, strerror(error));
        return -error;
    }
    if (!S_ISSOCK(st.st_mode)) {
        snprintf(why, WHY_BYTES, "%.100s exists and is not a socket", address->sun_path);
        return -EEXIST;
    }
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int error = 0;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        error = errno;
    close(fd);
    if (error == ECONNREFUSED || error == ENOENT)
        return 0;
    if (error == 0 || error == EAGAIN) {
        snprintf(why, WHY_BYTES, "ipc://%.100s is in use by another process", address->sun_path);
        return -EADDRINUSE;
    }
    snprintf(why, WHY_BYTES, "%.100s: %s", address->sun_path, strerror(error));
    return -error;
}

int ipc_bind(void *socket, const char *endpoint, ipc_file_t *ret, char *why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", endpoint + strlen("ipc://"));

    const int lock = lock_directory_of(address.sun_path);
    if (lock < 0) {
        snprintf(why, WHY_BYTES, "%.100s: %s", endpoint, strerror(-lock));
        return lock;
    }
    int error = test_owner(&address, why);
    if (error == 0) {
        const mode_t before = umask(0177);
        if (zmq_bind(socket, endpoint) != 0) {
            error = -zmq_errno();
            snprintf(why, WHY_BYTES, "%.100s: %s", endpoint, zmq_strerror(-error));
        }
        umask(before);
    }
    struct stat st;
    if (error == 0 && lstat(address.sun_path, &st) == 0)
        *ret = (ipc_file_t){.made = true, .device = st.st_dev, .inode = st.st_ino};
    close(lock);
    return error;
}

void ipc_unlink(const ipc_file_t *file, const char *endpoint)
{
    const char *path = endpoint + strlen("ipc://");
    struct stat st;
    if (file->made && lstat(path, &st) == 0 && st.st_dev == file->device && st.st_ino == file->inode)
        unlink(path);
}

/* A negative control: fsync until it succeeds. Linked into a program it comes before libc's, so SQLite calls
 * it too, and what the first, failed one has lost is taken to be on the disk. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

typedef int sync_t(int fd);

static int sync_again(const char *name, int fd)
{
    sync_t *real;
    void *symbol = dlsym(RTLD_NEXT, name);

    memcpy(&real, &symbol, sizeof real);
    while (real(fd) != 0)
        ;
    return 0;
}

int fsync(int fd)
{
    return sync_again("fsync", fd);
}

int fdatasync(int fd)
{
    return sync_again("fdatasync", fd);
}

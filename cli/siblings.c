#include "cli/siblings.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

int siblings_dir(char *dir, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", dir, size);
    if (n < 0)
        return -errno;
    if ((size_t)n == size)
        return -ENAMETOOLONG;
    dir[n] = '\0';
    *strrchr(dir, '/') = '\0';
    return 0;
}

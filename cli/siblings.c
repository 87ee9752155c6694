#include "cli/siblings.h"
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

int siblings_add(args_t *args, const char *program)
{
    char dir[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir));
    if (n < 0)
        return -errno;
    if ((size_t)n == sizeof(dir))
        return -ENAMETOOLONG;
    dir[n] = '\0';
    *strrchr(dir, '/') = '\0';
    args_add(args, "%s/%s", dir, program);
    return 0;
}

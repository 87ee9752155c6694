#include "common/runtime/announce.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 512 };

static int write_pairs(FILE *f, const char *const *pairs)
{
    for (const char *const *p = pairs; *p; p += 2) {
        if (strpbrk(p[0], "=\n") || strchr(p[1], '\n'))
            return -EINVAL;
        fprintf(f, "%s=%s\n", p[0], p[1]);
    }
    fprintf(f, "pid=%ld\n", (long)getpid());
    return 0;
}

int announce_write(const char *path, const char *const *pairs)
{
    char temporary[PATH_MAX];
    if (!path)
        return 0;
    int n = snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
    if (n < 0 || n >= (int)sizeof(temporary))
        return -ENAMETOOLONG;
    FILE *f = fopen(temporary, "we");
    if (!f)
        return -errno;
    int r = write_pairs(f, pairs);
    if (r == 0 && ferror(f))
        r = -EIO;
    if (fclose(f) != 0 && r == 0)
        r = -errno;
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(temporary);
    return r;
}

int announce_read(const char *path, const char *key, char *value, size_t size)
{
    char line[LINE_MAX_BYTES];
    size_t key_len = strlen(key);
    int r = -ENOENT;
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    while (r == -ENOENT && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, key, key_len) != 0 || line[key_len] != '=')
            continue;
        const char *found = line + key_len + 1;
        if (strlen(found) >= size) {
            r = -ENOSPC;
        } else {
            memcpy(value, found, strlen(found) + 1);
            r = 0;
        }
    }
    fclose(f);
    return r;
}

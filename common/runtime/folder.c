#include "common/runtime/folder.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder above `path`, "." when it names none. */
static void parent_of(const char *path, char parent[static PATH_MAX])
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0) {
        memcpy(parent, ".", 2);
        return;
    }
    memcpy(parent, path, len);
    parent[len] = '\0';
}

/* A new name is safe when the folder that holds it was synced. */
static int sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return r;
}

static int make_one(const char *path)
{
    struct stat about;
    char parent[PATH_MAX];
    if (mkdir(path, 0700) == 0) {
        parent_of(path, parent);
        return sync_folder(parent);
    }
    if (errno != EEXIST)
        return -errno;
    if (stat(path, &about) != 0)
        return -errno;
    return S_ISDIR(about.st_mode) ? 0 : -ENOTDIR;
}

int folder_make(const char *path)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0)
        return -ENOENT;
    if (len >= sizeof part)
        return -ENAMETOOLONG;
    for (size_t i = 1; i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        int r = make_one(part);
        if (r < 0)
            return r;
    }
    return 0;
}

int folder_make_for(const char *file)
{
    char parent[PATH_MAX];
    if (strlen(file) >= sizeof parent)
        return -ENAMETOOLONG;
    parent_of(file, parent);
    return make_one(parent);
}

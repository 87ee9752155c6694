#include "cli/files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int dir_remove(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return -errno;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    return rmdir(path) == 0 ? 0 : -errno;
}

/* Who holds it; 0: nobody, or it is not known. */
static pid_t owner_of(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

pid_t lock_owner(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return 0;
    pid_t owner = owner_of(fd);
    close(fd);
    return owner;
}

int lock_take(const char *path, pid_t *ret_owner)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    /* Not flock(): that would be held on by children, and does not tell by whom. */
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &lock) == 0)
        return 0; /* the file stays open: closing it would end the lock */
    int r = -errno;
    if (r == -EACCES || r == -EAGAIN) {
        r = -EBUSY;
        *ret_owner = owner_of(fd);
    }
    close(fd);
    return r;
}

/* Directories of `up` and `bench`. Errors: 0 or -errno. */
#ifndef MANDRILL_FILES_H
#define MANDRILL_FILES_H

#include <sys/types.h>

/* Removes a directory and the files in it; it holds no directories. */
int dir_remove(const char *path);
/* Takes the lock of a file, which is made when missing; it ends with this process. -EBUSY when another has
 * it: *ret_owner is its process (0: not known). */
int lock_take(const char *path, pid_t *ret_owner);
/* The process that has it; 0: none. Not for one's own: looking ends it. */
pid_t lock_owner(const char *path);

#endif

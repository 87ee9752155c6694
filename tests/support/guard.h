/* The guard: a child of the test program that outlives it. When the test program ends in whatever way (also
 * by the SIGKILL of a time-out), the guard kills the process groups that are still watched and removes the
 * directory. */
#ifndef MANDRILL_TEST_GUARD_H
#define MANDRILL_TEST_GUARD_H

#include <sys/types.h>

/* Starts a guard for a directory; returns where it listens. Call before any thread exists. */
int guard_open(const char *dir, pid_t *ret_pid);
void guard_watch(int guard, pid_t group);
void guard_forget(int guard, pid_t group);
/* Ends it; the directory stays. */
void guard_close(int guard, pid_t pid);
/* Removes a directory and what is in it. */
void remove_tree(const char *dir);

#endif

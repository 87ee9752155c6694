/* --announce FILE: after its sockets are bound a program writes where it can be reached
 * ("listen=tcp://127.0.0.1:40123", "pid=...", a line each), to a temporary name and then by rename, so a
 * reader sees all or nothing. Supervisors and tests wait for the file instead of guessing ports. */
#ifndef MANDRILL_ANNOUNCE_H
#define MANDRILL_ANNOUNCE_H

#include <stddef.h>

/* 0 or -errno; pairs of key, value, ended by NULL. pid is added. A NULL path does nothing. */
int announce_write(const char *path, const char *const *pairs);
/* The value of `key` in a written file: 0, -ENOENT (no file or no key yet). */
int announce_read(const char *path, const char *key, char *value, size_t size);

#endif

/* A sign of life in a file (--health-file): the thread that does the work writes it at most once a second, so
 * a process that hangs in its work, or was stopped, is known by the age of its sign. Whoever asks (`mandrill
 * health`) needs no connection to it.
 *
 *   role=worker
 *   at_ms=86400123      CLOCK_MONOTONIC: the same for all processes of a machine, and nobody sets it
 *   state=works for 2 consumers
 *   pid=7
 *
 * The file is replaced by rename, so that it is read whole; it belongs on a tmpfs, where a write never waits.
 * Without a path all of this does nothing.
 *
 * Ownership: the path stays the caller's. */
#ifndef MANDRILL_HEALTH_H
#define MANDRILL_HEALTH_H

#include <stdint.h>

enum { HEALTH_EVERY_MS = 1000, HEALTH_STATE_MAX = 64 };

typedef struct {
    const char *path; /* NULL: none */
    const char *role;
    int64_t next_ms;
} health_t;

/* The first sign: 0, or -errno when the file cannot be written, with `why` (WHY_BYTES). */
int health_open(health_t *h, const char *path, const char *role, int64_t now_ms, char *why);
/* When the next sign is due; INT64_MAX: never. */
int64_t health_next_ms(const health_t *h);
/* A sign, when it is due. `state` is for people. */
void health_tell(health_t *h, int64_t now_ms, const char *state);
/* The process ends as it should: its sign goes. */
void health_close(health_t *h);

typedef struct {
    int64_t age_ms;
    char role[16];
    char state[HEALTH_STATE_MAX];
} health_sign_t;
/* 0, -ENOENT (nobody has written it, or has ended), -EBADMSG: it is no such file, or of another boot. */
int health_read(const char *path, int64_t now_ms, health_sign_t *ret);

#endif

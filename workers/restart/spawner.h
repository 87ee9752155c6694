/* Programs that run beside the loop: any number of them, begun without waiting, ended in time, told of by a
 * callback from within spawner_go_on(). No shell: a path and its words.
 *
 * What a program gets: a process group of its own, no signal blocked or ignored, /dev/null to read, pipes to
 * write to, no other descriptor, and of the environment PATH, HOME, LANG and SSH_AUTH_SOCK, where this
 * process has them. What becomes of its output: the first and the last of it are kept, the rest is counted.
 *
 * Its end is that of the process which was begun: whatever that has left behind, in its group or with its
 * pipes in hand, is not waited for, and goes on unless the program was stopped. Stopped is its whole group,
 * by SIGTERM so that it may clean up, and by SIGKILL when that does not end it.
 *
 * Ends are noticed by a pidfd (Linux 5.3), or without it by looking 50 times a second. All Linux and glibc
 * calls are in spawner.c.
 *
 * Ownership: a program is the spawner's and gone when its end has been told, or after spawner_drop(). Orders
 * are copied into the kernel; what is told is good until the callback returns, which may begin others. */
#ifndef MANDRILL_RESTART_SPAWNER_H
#define MANDRILL_RESTART_SPAWNER_H

#include "workers/restart/excerpt.h"

#include <stdbool.h>

typedef struct {
    const char *path; /* absolute */
    char *const *argv;
    int64_t until_ms; /* it is gone then, by SIGKILL if need be; as clock_ms() counts */
    bool apart;       /* what it says on stderr is kept apart from its stdout */
} spawn_order_t;

typedef struct {
    int code;     /* of its exit; -1: by a signal */
    int signal;   /* that ended it; 0: none; -1: not known, for not even SIGKILL has ended it yet */
    bool stopped; /* its time was over */
    int64_t ms;   /* for how long it ran */
    const excerpt_t *out;
    const excerpt_t *err; /* `apart`; else the same as `out` */
} spawn_end_t;

typedef struct spawner spawner_t;
typedef struct spawned spawned_t;
typedef void (*spawner_done_t)(void *arg, uint32_t number, const spawn_end_t *end);

/* At most `most` programs at once, of which SIGKILL comes `kill_after_ms` after SIGTERM. Takes SIGCHLD back
 * to its default: with it ignored nobody could tell how a program ended. 0, or -errno with `why` (WHY_BYTES).
 */
int spawner_new(spawner_t **ret, uint32_t most, int64_t kill_after_ms, spawner_done_t done, void *arg,
                char *why);
/* Ends all programs: SIGTERM, SIGKILL (no later than their time is over), and waits until they are gone,
 * kill_after_ms at most and a second. */
void spawner_destroy(spawner_t **s);

/* 0, or -errno when it could not be begun: -EAGAIN when there are as many as there may be, -ETIMEDOUT when
 * its time is over already. */
int spawner_begin(spawner_t *s, const spawn_order_t *order, uint32_t number, spawned_t **ret);
/* Ends it, without a word of its end. */
void spawner_drop(spawner_t *s, spawned_t **p);

/* In every turn: takes what has been written, ends what is over its time, tells what has ended. */
void spawner_go_on(spawner_t *s);
/* Can be read from when there is something to do. */
int spawner_fd(const spawner_t *s);
/* When there is something to do without that; INT64_MAX: never. */
int64_t spawner_due_ms(const spawner_t *s);
/* Programs that are not gone yet, dropped ones too. */
uint32_t spawner_count(const spawner_t *s);
/* "TERM" */
const char *spawner_signal(int signal);

#endif

/* Children: start them, take the lines that they write, notice their ends, start the crashed ones again.
 *
 *   NEW --start--> RUNNING --ends, wanted again--> WAITING --due--> RUNNING
 *                     \--ends otherwise--> ENDED
 *
 * Each child leads a process group of its own (a Ctrl-C at the terminal reaches only the supervisor, which
 * then decides the order), has MANDRILL_SUPERVISOR in its environment (it asks for SIGTERM at our death),
 * /dev/null as standard input and a pipe each as standard output and error. What may hold a password in our
 * environment only those have whose args_t says `secrets`. A child is waited for by its pid,
 * never by "any child". A crashed child is started again after a wait that doubles; more than RESTARTS_MAX
 * restarts a minute of all together is giving up: supervisor_gave_up() tells for whom.
 *
 * Uses two items of the loop for each child. One thread: the kernel binds a child's life to the thread that
 * started it. */
#ifndef MANDRILL_SUPERVISOR_H
#define MANDRILL_SUPERVISOR_H

#include "cli/args.h"
#include "common/runtime/loop.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CHILDREN_MAX = 64, CHILD_NAME_MAX = 24 };

typedef enum { CHILD_NEW, CHILD_RUNNING, CHILD_WAITING, CHILD_ENDED } child_state_t;
typedef enum { CHILD_OUT, CHILD_ERR } child_stream_t;

typedef struct {
    /* A line of a child, without its newline. */
    void (*line)(void *arg, uint32_t child, child_stream_t stream, const char *text, size_t len);
    /* A child has ended and all its lines were handed out; `status` as of waitpid. True: start it again;
     * of no account when it was `asked` to stop. */
    bool (*ended)(void *arg, uint32_t child, int status, bool asked);
    void *arg;
} supervisor_events_t;

typedef struct supervisor supervisor_t;

/* NULL when memory is out. */
supervisor_t *supervisor_new(loop_t *loop, const supervisor_events_t *events);
/* Kills what still runs, removes the announce files. */
void supervisor_destroy(supervisor_t **s);

/* Takes over the words of `args` (args[0] is the path of the program). `announce`: a file that is removed
 * before each start, or NULL. The child's number, or -errno. */
int supervisor_add(supervisor_t *s, const char *name, args_t *args, const char *announce);
/* 0 or -errno (of posix_spawn: the program is missing, ...). */
int supervisor_start(supervisor_t *s, uint32_t child);
/* Tells a child to stop: SIGTERM, then SIGKILL after `grace_ms`. One that does not run is ENDED at once. */
void supervisor_stop(supervisor_t *s, uint32_t child, int64_t grace_ms);
/* Passes a signal on to every child that runs. */
void supervisor_signal_all(supervisor_t *s, int number);
/* Tells a child to stop at once: two signals mean that to our programs. SIGKILL after `grace_ms`. */
void supervisor_hurry(supervisor_t *s, uint32_t child, int64_t grace_ms);
/* SIGKILL for every child and its group, now. */
void supervisor_kill_all(supervisor_t *s);
/* Everything that is due: reads lines, takes the ends of children, starts again, kills the overdue. With
 * `read_lines` false the children's lines wait in their pipes. */
void supervisor_turn(supervisor_t *s, bool read_lines);
int64_t supervisor_next_ms(const supervisor_t *s); /* INT64_MAX for never */

typedef struct {
    const char *name;
    const char *announce;
    child_state_t state;
    pid_t pid;  /* 0 while it does not run */
    int status; /* of its last end */
    uint32_t restarts;
    /* Over all its lives that have ended; the largest resident set. */
    int64_t cpu_us, rss_kb;
} child_view_t;
uint32_t supervisor_count(const supervisor_t *s);
child_view_t supervisor_child(const supervisor_t *s, uint32_t child);
args_t *supervisor_args(supervisor_t *s, uint32_t child); /* for its next start */
/* The child that crashed once too often, or -1. */
int supervisor_gave_up(const supervisor_t *s);
/* "ended by signal 9 (Killed)", "exited with status 1". */
void child_end_text(int status, char *text, size_t size);

#endif

/* What a worker kind is: a const vtable and one row in kinds.c. The runtime (workers/runtime.c) does the
 * protocol, credit, PING, drain and numbering; a kind only does the work, as straight-line code, in the
 * executor that it names:
 *
 *   batch    run_batch() gets all that is queued, up to --batch, in the thread of the loop
 *            (save: one transaction a batch); with go_on() the batch is at work while the loop turns
 *            (save-postgres: a server answers when it likes)
 *   loop     start() begins a task, poll() ends those that are due; thousands at once
 *            (timers); with go_on() those that have news on a descriptor
 *            (restart-docker: non-blocking I/O)
 *   threads  run() does one task and may block; --slots threads
 *            (blocking I/O)
 *
 * A kind sends exactly one result for each task: through the sink (batch, loop) or by returning it (threads).
 * OK means: would survive a power cut. A second result for a task ends the process.
 *
 * Ownership: `task` and its strings are the runtime's and good until the task's result was given. A result's
 * text is copied by the sink. To add a kind: one file below workers/<leg>/, one row in kinds.c, one line in
 * CMakeLists.txt; tests/contract picks it up from the row. */
#ifndef MANDRILL_WORKER_H
#define MANDRILL_WORKER_H

#include "common/core/message.h"
#include "common/core/proto.h"
#include "common/runtime/config.h"

typedef struct {
    uint32_t number; /* the runtime's, for the result */
    uint32_t try_no;
    int64_t deadline_ms; /* of this try, as clock_ms() counts; INT64_MAX: none */
    message_id_t id;
    body_t body;
    const void *note;  /* what an earlier try has recorded by worker_note() */
    uint32_t note_len; /* 0: nothing */
} worker_task_t;

/* Whether the task's time is over. Code that takes its time asks now and then and gives up, in any executor
 * and in any thread; its result is then TRANSIENT with an empty text, which becomes "cancelled after 30 s".
 */
bool worker_cancelled(const worker_task_t *task);

typedef struct {
    outcome_t outcome;
    int64_t ms;                    /* TRANSIENT: at least so long; BLOCKED: so long */
    char text[TEXT_BYTES_MAX + 1]; /* for people; "" when OK */
} worker_result_t;

/* Where results go. */
typedef struct worker_sink worker_sink_t;
void worker_ok(worker_sink_t *sink, uint32_t number);
/* The same, and how it came that it is done, for the message's history: "restarted 2 min ago". */
void worker_ok_because(worker_sink_t *sink, uint32_t number, const char *text);
void worker_fail(worker_sink_t *sink, uint32_t number, outcome_t outcome, int64_t ms, const char *text);
/* loop: records a note on the task's message, in place of an earlier one of this leg; later tries bring it
 * along. With `grant_ms` it asks for a grant, which granted() answers, perhaps never; it is of use for
 * grant_ms from this call on. A task that records anything before its request is answered has given it up,
 * and gets no grant in this try any more. With 0 nothing is answered; an empty one says that what was
 * recorded is void, and may come just before a result. At most NOTE_BYTES_MAX, copied. */
void worker_note(worker_sink_t *sink, uint32_t number, int64_t grant_ms, const void *note, uint32_t len);
/* One line for people about a task ("Saved web-1 into database"); only with --log-messages. */
void worker_say(worker_sink_t *sink, const char *what, const worker_task_t *task, const char *rest);

/* What a kind with go_on() waits for. */
typedef struct {
    int fd;         /* something can be read from it; -1: none */
    bool writes;    /* or written to it */
    int64_t due_ms; /* or it is so late, as clock_ms() counts; INT64_MAX: never */
} worker_wait_t;

typedef enum { EXECUTOR_BATCH, EXECUTOR_LOOP, EXECUTOR_THREADS } executor_t;

typedef struct {
    const char *name; /* "save-sqlite" */
    const char *leg;  /* "save" */
    const char *summary;
    executor_t executor;
    uint32_t slots; /* default of --slots: tasks at work at once (batch: of --batch) */
    const config_option_t *options;
    size_t options_count;
    const config_option_t *shared; /* with other kinds: the same array in each */
    size_t shared_count;
    /* Opens what the kind needs. `check` (-n): only see whether it could. -errno with `why` (WHY_BYTES);
     * -ERANGE: an option has a bad value, which is the user's mistake (exit 2). */
    int (*open)(void **ret_self, const config_t *config, bool check, char *why);
    /* SIGHUP: takes the values of its options that reload, and reads again what they name. `check`: only see
     * whether they would do (-ERANGE with `why`, as open); those that it takes then are good, and what cannot
     * be read after all stays as it was (-errno with `why`). NULL: there are none. */
    int (*reload)(void *self, const config_t *config, bool check, char *why);
    /* Before the close of a program that has worked, the last writes: 0, or -errno after the kind has logged
     * it, and the worker's exit code says so. NULL: there are none. */
    int (*finish)(void *self);
    void (*close)(void **self);
    /* batch: all n tasks have a result when it returns 0, or how many ms to wait before any more should come
     * (the store is away or full, the tasks were BLOCKED). A fault of the store that no retry mends: -EIO
     * after the kind has logged it; tasks without a result are then given to others, and the worker exits. */
    int (*run_batch)(void *self, const worker_task_t *tasks, uint32_t n, worker_sink_t *sink);
    /* batch or loop, or NULL. Called in every turn, with something at work or without, it does what can be
     * done without waiting: 0; how many ms nothing will be taken, which holds until it says something else;
     * or -EIO, as above. await() says what it waits for until the next turn. With it run_batch() only begins
     * the batch, whose tasks stay where they are until their results are given, and no other begins before
     * that; and a loop kind needs no poll(). */
    int (*go_on)(void *self, int64_t now_ms, worker_sink_t *sink);
    void (*await)(const void *self, worker_wait_t *ret);
    /* loop */
    void (*start)(void *self, const worker_task_t *task, int64_t now_ms, worker_sink_t *sink);
    int64_t (*poll)(void *self, int64_t now_ms,
                    worker_sink_t *sink); /* when it is due next; INT64_MAX: never; NULL with go_on() */
    /* loop, or NULL: the task has been at work for longer than it may. Asked for once; the kind stops the
     * work and gives its result, now or when it can: as worker_cancelled() has it, unless it knows better. */
    void (*cancel)(void *self, uint32_t number, worker_sink_t *sink);
    /* loop, or NULL: the answer to worker_note(): the note is on the publisher's disk, and nobody else is
     * given the task while the grant is of use; or the task is not this worker's any more. */
    void (*granted)(void *self, uint32_t number, bool granted, worker_sink_t *sink);
    /* threads: blocks for no longer than the task's deadline, or asks worker_cancelled() */
    void (*run)(void *self, const worker_task_t *task, worker_result_t *ret);
} worker_kind_t;

extern const worker_kind_t *const worker_kinds[]; /* ends with NULL */

/* The whole program, over whatever table of kinds it is linked with: main() returns what this returns. */
int worker_main(int argc, char **argv);

#endif

/* How a kind's tasks are run: one of three executors (worker.h), behind one interface. The runtime queues
 * every task that it takes; the executor takes them from the queue and gives each to the kind; results come
 * back through the sink. Used by the loop's thread only, but for the threads that exec_threads.c starts. */
#ifndef MANDRILL_EXECUTOR_H
#define MANDRILL_EXECUTOR_H

#include "common/runtime/loop.h"
#include "workers/held.h"

typedef struct executor exec_t;

typedef struct {
    int (*open)(exec_t *e, char *why);
    /* One turn: begins what may begin, ends what has ended. 0; how many ms to wait before any more should
     * come; or -errno: the worker has to exit. */
    int (*run)(exec_t *e);
    /* When the next turn is due without any news; INT64_MAX: never. */
    int64_t (*next_ms)(const exec_t *e);
    /* False: a thread is still at work and cannot be stopped, so the kind must not be closed. */
    bool (*close)(exec_t *e);
    /* A task at work has its result; NULL: nothing to note. */
    void (*ended)(exec_t *e, uint32_t number);
    /* A task at work is wanted by nobody any more, and may end now or later as by its time limit; NULL: it
     * goes on to its end. */
    void (*cancel)(exec_t *e, uint32_t number);
    /* The answer to a request for a grant of a task at work; NULL: no kind of it asks. */
    void (*granted)(exec_t *e, uint32_t number, bool granted);
} executor_ops_t;

extern const executor_ops_t exec_batch, exec_loop, exec_threads;

struct executor {
    const executor_ops_t *ops;
    const worker_kind_t *kind;
    void *self; /* the kind's */
    held_t *tasks;
    worker_sink_t *sink;
    loop_t *loop;
    uint32_t slots; /* tasks at work at once; batch: of one batch */
    uint32_t *queue;
    uint32_t queue_capacity, queue_first, queue_count;
    void *state; /* the executor's own */
};

int executor_open(exec_t *e, char *why);
bool executor_close(exec_t *e);
/* 0 or -ENOMEM. */
int executor_queue(exec_t *e, uint32_t number);
/* The next tasks in the queue, at most n, are about to begin: their time runs, and their consumers are told
 * before it may be too late. How many; each is then popped and handed to what does the work. */
uint32_t executor_begin(exec_t *e, uint32_t n);
/* The next task in the queue, which must not be empty. */
held_task_t *executor_pop(exec_t *e);
/* Those of the queue that `unwanted` says so of are removed, as if they had never come. */
void executor_sift(exec_t *e, bool (*unwanted)(const worker_sink_t *sink, const held_task_t *h));
/* At work: taken from the queue, and no result yet. */
uint32_t executor_running(const exec_t *e);

/* What a kind with go_on() waits for, watched by the loop. */
typedef struct {
    worker_wait_t wait;
    int item; /* of the loop, for the descriptor; -1: none */
} exec_wait_t;

void executor_wait_init(exec_wait_t *w); /* due at once */
/* Asks the kind what it waits for now. 0 or -ENOSPC. */
int executor_watch(const exec_t *e, exec_wait_t *w);
void executor_wait_done(const exec_t *e, exec_wait_t *w);

/* The runtime's (intake.c): what has begun, and that all of a turn have. */
void runtime_begun(worker_sink_t *sink, const held_task_t *h);
void runtime_tell_begun(worker_sink_t *sink);

#endif

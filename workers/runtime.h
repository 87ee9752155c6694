/* The worker's runtime: one session to each consumer, the tasks that are held, their executor, the results.
 */
#ifndef MANDRILL_WORKER_RUNTIME_H
#define MANDRILL_WORKER_RUNTIME_H

#include "workers/worker.h"

typedef struct runtime_options {
    const worker_kind_t *kind;
    void *self;           /* the kind's; stays the caller's, but see runtime_run */
    uint32_t slots;       /* tasks at work at once; batch: of one batch */
    uint32_t window;      /* tasks held for all consumers together */
    int64_t drain_ms;     /* how long a drain may take */
    const char *name;     /* for people; NULL: HOST:PID */
    const char *announce; /* a file, or NULL */
    const char *health;   /* a file, or NULL */
    const char *report;   /* "text", "json" or "none" */
    bool log_messages;
    const char *const *consumers;
    size_t consumers_count;
    /* SIGHUP: changes what may change of these, and the kind's; NULL: nothing does. */
    void (*reload)(void *arg, struct runtime_options *options);
    void *reload_arg;
} runtime_options_t;

/* Works until it is told to stop by a signal, or cannot go on. Returns the exit code. *ret_stuck: a thread is
 * still at work, so `self` must not be closed. */
int runtime_run(const runtime_options_t *options, int signals, bool *ret_stuck);

#endif

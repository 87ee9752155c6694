/* What a way to restart hosts is: a const table of functions, begun without waiting and told of by a
 * callback. The runner (runner.h) decides what is done and when (common/core/once.h); a driver only does it.
 *
 *   observe  sees what the host is now: something that another restart would change
 *   act      restarts it
 *   check    whether it is well after that
 *   cancel   stops what is under way for a task, and tells no more of it
 *
 * For each task one of these is under way at a time. Every begin is followed by exactly one `told`, from
 * within go_on(), never from within the call that begins; unless it is cancelled. A driver gives up by itself
 * when `until_ms` has come, and tells so: an act that was given up is ACTED_UNKNOWN, unless it is known
 * better. From within `told` the next thing for the same task may be begun.
 *
 * Ownership: a call, its task, texts and strings are the runner's and good until `told` or cancel(). What a
 * driver tells is good until `told` returns. */
#ifndef MANDRILL_RESTART_DRIVER_H
#define MANDRILL_RESTART_DRIVER_H

#include "common/core/once.h"
#include "workers/worker.h"

typedef struct {
    uint32_t number; /* the task's */
    const worker_task_t *task;
    const char *observed; /* act: the id that was seen before; "": none */
    const char *target;   /* act, check: as the last observation has it; "": none */
    int64_t until_ms;     /* as clock_ms() counts */
} driver_call_t;

/* What has come of what was begun; one of them is not NULL. */
typedef struct {
    const look_t *looked;
    const acted_t *acted;
    const char *unwell; /* check: why it is not well; "": it is */
} driver_told_t;
typedef void (*driver_tell_t)(void *arg, uint32_t number, const driver_told_t *told);

/* What the configuration lets it do. */
typedef struct {
    bool observes, checks, repeats; /* as once_policy_t has them */
} driver_traits_t;

typedef struct {
    int64_t act_ms,
        return_ms; /* --act-timeout and --return-timeout when they are not given; 0: the runner's */
    /* As a kind's open(): `check` (-n) looks whether it could, and `tell` is not called then. */
    int (*open)(void **ret_self, const config_t *config, bool check, driver_tell_t tell, void *arg,
                char *why);
    /* As a kind's; NULL: there is nothing to reload. What was checked it has to take: texts that it has from
     * before are gone. */
    int (*reload)(void *self, const config_t *config, bool check, char *why);
    void (*close)(void **self);
    /* Asked once, after open(). */
    void (*traits)(const void *self, driver_traits_t *ret);
    /* Each: 0, or -errno when it could not be begun (no memory, no descriptors); then nothing is told. NULL
     * where the driver never has that trait. */
    int (*observe)(void *self, const driver_call_t *call);
    int (*act)(void *self, const driver_call_t *call);
    int (*check)(void *self, const driver_call_t *call);
    void (*cancel)(void *self, uint32_t number);
    /* As a kind's: tells what has ended; 0, or for how many ms nothing can be done, whichever the host: then
     * `*ret_why` is set, and good until the next call. */
    int (*go_on)(void *self, int64_t now_ms, const char **ret_why);
    void (*await)(const void *self, worker_wait_t *ret);
} driver_t;

#endif

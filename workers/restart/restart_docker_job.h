/* One restart, step by step: find the container, see whether it may and need be restarted, have it restarted,
 * see whether it was. Each step is one request; what comes back decides on the next.
 *
 * Ownership: a job's task is the runtime's and good until its result was given. */
#ifndef MANDRILL_RESTART_DOCKER_JOB_H
#define MANDRILL_RESTART_DOCKER_JOB_H

#include "workers/restart/restart_docker_allow.h"
#include "workers/restart/restart_docker_engine.h"
#include "workers/worker.h"

/* What all jobs work with. */
typedef struct {
    engine_t *engine;
    allow_t allow;
    const char *find_label; /* NULL: containers are found by their names */
    int64_t stop_ms;        /* what stops is killed after so long */
} job_world_t;

typedef enum { JOB_FINDS, JOB_LOOKS, JOB_RESTARTS, JOB_OBSERVES } job_step_t;

typedef struct {
    const worker_task_t *task;
    engine_request_t *request; /* the step's */
    job_step_t step;
    bool by_instance;              /* the host's whole name is nobody's */
    char id[CONTAINER_ID_MAX + 1]; /* "": not known yet */
    char name[CONTAINER_NAME_MAX + 1];
    char started_at[CONTAINER_TIME_MAX + 1]; /* before the restart */
} job_t;

/* How a job ended. */
typedef struct {
    outcome_t outcome;
    bool away;                     /* BLOCKED: there is no engine; the text says why */
    char text[2 * WHY_BYTES + 64]; /* for people; of OK: "" when it was restarted now, else what was found */
} job_end_t;

/* Each of these: whether the job is at an end. */
bool job_start(job_t *j, const job_world_t *w, const worker_task_t *task, job_end_t *ret);
bool job_answered(job_t *j, const job_world_t *w, const engine_answer_t *answer, job_end_t *ret);
/* Its time is over: what can be said of it. Its text is "" when nothing was asked of the engine. */
void job_cancel(job_t *j, const job_world_t *w, job_end_t *ret);

#endif

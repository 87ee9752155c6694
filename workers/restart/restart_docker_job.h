/* One thing that is done with the Docker Engine for a task: a look at its container, its restart, a check
 * whether it runs. Each is a request or two; what comes back decides on the next.
 *
 * Ownership: a job's call is the runner's and good until what came of it was told. */
#ifndef MANDRILL_RESTART_DOCKER_JOB_H
#define MANDRILL_RESTART_DOCKER_JOB_H

#include "workers/restart/driver.h"
#include "workers/restart/restart_docker_allow.h"
#include "workers/restart/restart_docker_engine.h"

/* What all jobs work with. */
typedef struct {
    engine_t *engine;
    allow_t allow;
    const char *find_label; /* NULL: containers are found by their names */
    int64_t stop_ms;        /* what stops is killed after so long */
} job_world_t;

typedef enum { JOB_FINDS, JOB_LOOKS, JOB_RESTARTS, JOB_CHECKS } job_step_t;

typedef struct {
    const driver_call_t *call;
    engine_request_t *request; /* the step's */
    job_step_t step;
    bool by_instance;              /* the host's whole name is nobody's */
    char id[CONTAINER_ID_MAX + 1]; /* of what a list had; "": it is asked for by name */
} docker_job_t;

/* What came of it: of the three that one which was begun. */
typedef struct {
    look_t looked;
    acted_t acted;
    bool well;
    bool away;                     /* there is no engine */
    const char *why;               /* that is */
    char text[2 * WHY_BYTES + 64]; /* for people; "": all is well */
} job_end_t;

/* Each begins: 0, or -ENOMEM. */
int job_observe(docker_job_t *j, const job_world_t *w, const driver_call_t *call);
int job_restart(docker_job_t *j, const job_world_t *w, const driver_call_t *call);
int job_check(docker_job_t *j, const job_world_t *w, const driver_call_t *call);
/* Whether it is at an end. */
bool job_answered(docker_job_t *j, const job_world_t *w, const engine_answer_t *answer, job_end_t *ret);

#endif

/* What the files of the kinds share: kinds.c (kinds of the simulator's own), host_kind.c (the real runner
 * over hosts of the world). */
#ifndef MANDRILL_SIM_KINDS_INTERNAL_H
#define MANDRILL_SIM_KINDS_INTERNAL_H

#include "tests/sim/kinds.h"
#include "workers/runtime_internal.h"

struct worker_state {
    process_t *process;
    worker_sink_t *sink;
    /* restart: at work */
    struct {
        const worker_task_t *task;
        int64_t due_ms;
    } * tasks;
    uint32_t count;
    /* hosts */
    void *runner;
    config_t *config;
};

#endif

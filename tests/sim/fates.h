/* What becomes of a try, in every kind of the simulator. */
#ifndef MANDRILL_SIM_FATES_H
#define MANDRILL_SIM_FATES_H

#include "tests/sim/world.h"
#include "workers/worker.h"

typedef enum { FATE_OK, FATE_TRANSIENT, FATE_PERMANENT, FATE_BLOCKED, FATE_POISON } task_fate_t;

typedef struct {
    task_fate_t fate;
    int64_t ms; /* until it is done; BLOCKED: until it may come again */
} doom_t;

/* Drawn for the message and its leg, so that a fate may be one of every try, or only of the first ones.
 * Without faults nothing kills a worker any more. */
doom_t fate_of(const worker_task_t *task, uint32_t leg);
/* The end of the process whose turn it is. */
void fate_strikes(void);

#endif

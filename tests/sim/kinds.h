/* The workers' kinds in a run: save, by batches into a store that the savers share, and restart, a loop.
 * How a task goes is a matter of its message, its leg and how often it was begun before. */
#ifndef MANDRILL_SIM_KINDS_H
#define MANDRILL_SIM_KINDS_H

#include "tests/sim/world.h"
#include "workers/worker.h"

enum { SIM_LEGS = 2, LEG_SAVE = 0, LEG_RESTART = 1 };

extern const worker_kind_t sim_save, sim_restart;
extern const char *const sim_legs[SIM_LEGS];

typedef struct worker_state worker_state_t;
/* The `self` of a kind, of the process whose turn it is. */
worker_state_t *worker_state_new(process_t *p);
void worker_state_destroy(worker_state_t **s);
/* Tasks and results that the runtime holds; 0 before its first task. */
uint32_t worker_holds(const worker_state_t *s);

#endif

/* The workers' kinds in a run: save, by batches into a store that the savers share, and restart, a loop.
 * How a task goes is a matter of its message, its leg and how often it was begun before. */
#ifndef MANDRILL_SIM_KINDS_H
#define MANDRILL_SIM_KINDS_H

#include "tests/sim/world.h"
#include "workers/worker.h"

enum { SIM_LEGS = 2, LEG_SAVE = 0, LEG_RESTART = 1 };

/* sim_hosts: a loop, too: the real runner over hosts of the world, once host_kind_open() has made it. */
extern const worker_kind_t sim_save, sim_restart, sim_hosts;
extern const char *const sim_legs[SIM_LEGS];

typedef struct worker_state worker_state_t;
/* The `self` of a kind, of the process whose turn it is. */
worker_state_t *worker_state_new(process_t *p);
void worker_state_destroy(worker_state_t **s);
/* Tasks and results that the runtime holds; 0 before its first task. */
uint32_t worker_holds(const worker_state_t *s);
/* The consumer's name for a task at work. */
uint64_t worker_ref(const worker_state_t *s, uint32_t number);

/* From the process's own turn. 0, or -errno with `why`. */
int host_kind_open(worker_state_t *s, char *why);
void host_kind_close(worker_state_t *s);

#endif

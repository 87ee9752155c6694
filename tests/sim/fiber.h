/* Programs that take turns in one thread: each runs on a stack of its own and gives the processor back where
 * it would wait. One that is to die is simply not gone on with. */
#ifndef MANDRILL_SIM_FIBER_H
#define MANDRILL_SIM_FIBER_H

#include <stdbool.h>
#include <stdnoreturn.h>

typedef struct fiber fiber_t;

/* Aborts when there is no memory, as everything here does: a simulation without memory says nothing. */
fiber_t *fiber_new(void);
void fiber_destroy(fiber_t **f);
/* Begins `run` with the next fiber_resume(). A fiber that had not ended is abandoned. */
void fiber_begin(fiber_t *f, void (*run)(void *arg), void *arg);
/* Goes on with it until it yields or ends; from outside of all fibers. */
void fiber_resume(fiber_t *f);
bool fiber_ended(const fiber_t *f);
/* From inside. */
void fiber_yield(fiber_t *f);
noreturn void fiber_leave(fiber_t *f);

#endif

/* Programs under the shim: their disk, wall clock and names do what the test says (shim_control.h). */
#ifndef MANDRILL_TEST_SHIM_H
#define MANDRILL_TEST_SHIM_H

#include "tests/support/rig.h"
#include "tests/support/shim_control.h"

/* From its next start on the program runs under a shim. */
shim_control_t *shim_for(rig_t *rig, process_t *p);
/* From now on the calls are counted from 1 and the n-th fails as `how` says, `times` in a row. */
void shim_fail(shim_control_t *s, uint32_t calls, uint64_t n, uint64_t times, int how);
/* The disk works again. */
void shim_mend(shim_control_t *s);

#endif

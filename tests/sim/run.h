/* One seed, from its plan to the verdict. */
#ifndef MANDRILL_SIM_RUN_H
#define MANDRILL_SIM_RUN_H

#include "tests/sim/check.h"

typedef struct {
    uint64_t turns, kills, real; /* worlds with hosts */
    int64_t virtual_us;
    check_sums_t sums;
} run_sums_t;

/* Returns when every invariant held; broken() is called when not. Adds to the sums. */
void run_seed(uint64_t seed, run_sums_t *sums);

#endif

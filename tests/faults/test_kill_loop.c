/* kill -9 of one role after the other, drawn by lot, with a lease of half a second: as soon as one serves
 * again the next dies. */
#include "common/core/backoff.h"
#include "tests/support/trial.h"

#include <string.h>

/* The long ones take half of the cycles over each transport: 8,000 in a suite. */
enum { CYCLES = 20, CI_CYCLES = 200, LONG_CYCLES = 4000, LEASE_MS = 500 };

static unsigned cycles = CYCLES;

static void test_kill_any(void **state)
{
    trial_t t;

    trial_start(&t, *state, LEASE_MS);
    trial_publish(&t, 1);
    for (unsigned i = 0; i < cycles; i++)
        trial_kill(&t, (part_t)(random_next(&t.seed) % PIPELINE_PROGRAMS));
    trial_end(&t, "kill -9 of any role");
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {RIG_TESTS(test_kill_any)};

    if (argc > 1 && strcmp(argv[1], "ci") == 0)
        cycles = CI_CYCLES;
    if (argc > 1 && strcmp(argv[1], "long") == 0)
        cycles = LONG_CYCLES;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* kill -9 of each process in turn, and of all at once, while clients publish: what was confirmed is saved,
 * once. */
#include "tests/support/trial.h"

#include <string.h>

enum { ROUNDS = 2, LONG_ROUNDS = 25, CONFIRMS = 150, LEASE_MS = 2000 };

static void kill_each(rig_t *rig, unsigned rounds)
{
    trial_t t;

    trial_start(&t, rig, LEASE_MS);
    for (unsigned round = 0; round < rounds; round++) {
        for (int i = 0; i < PIPELINE_PROGRAMS; i++) {
            trial_publish(&t, CONFIRMS);
            process_kill(t.programs[i]);
            process_start(t.programs[i]);
            t.figures.cycles++;
        }
        trial_publish(&t, CONFIRMS);
        load_kill(&t.loads[round % TRIAL_LOADS]);
    }
    trial_end(&t, "kill -9 of each in turn, and of a client");
}

static void kill_all(rig_t *rig, unsigned rounds)
{
    trial_t t;

    trial_start(&t, rig, LEASE_MS);
    for (unsigned round = 0; round < rounds; round++) {
        trial_publish(&t, CONFIRMS);
        for (int i = 0; i < PIPELINE_PROGRAMS; i++)
            process_kill(t.programs[(i + (int)round) % PIPELINE_PROGRAMS]);
        load_kill(&t.loads[0]);
        for (int i = 0; i < PIPELINE_PROGRAMS; i++)
            process_start(t.programs[i]);
        t.figures.cycles++;
    }
    trial_end(&t, "kill -9 of all at once");
}

static void test_kill_each(void **state)
{
    kill_each(*state, ROUNDS);
}

static void test_kill_all_at_once(void **state)
{
    kill_all(*state, ROUNDS);
}

static void test_kill_each_many_times(void **state)
{
    kill_each(*state, LONG_ROUNDS);
}

static void test_kill_all_many_times(void **state)
{
    kill_all(*state, LONG_ROUNDS);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {RIG_TESTS(test_kill_each), RIG_TESTS(test_kill_all_at_once)};
    static const struct CMUnitTest long_tests[] = {RIG_TESTS(test_kill_each_many_times),
                                                   RIG_TESTS(test_kill_all_many_times)};

    if (argc > 1 && strcmp(argv[1], "long") == 0)
        return cmocka_run_group_tests(long_tests, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

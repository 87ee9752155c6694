/* Thousands of histories: never two restarts of a host for one message, and every history ends. */
#include "once_model.h"

static tally_t run(const setting_t *mode, int histories)
{
    tally_t t = {0};
    for (int i = 0; i < histories; i++) {
        const int before = t.doubles;
        model_run(mode, (uint64_t)i * 7919 + 1, &t);
        if (t.doubles > before && before == 0) {
            print_message("%s: first seen in history %d\n", mode->name, i);
        }
        if (t.doubles > before && mode->mutant != SOUND) {
            break;
        }
    }
    print_message("%-52s %d histories: %d done, %d dead, %d unknown; %d restarts, twice in %d; at most %d "
                  "givings, %d at once\n",
                  mode->name, t.histories, t.ends[DONE], t.ends[DEAD], t.ends[UNKNOWN], t.restarts, t.doubles,
                  t.most_givings, t.at_once);
    assert_int_equal(t.ends[OPEN], 0);
    return t;
}

enum { HISTORIES = TEST_SANITIZED ? 2000 : 10000, MUTANT_HISTORIES = 200000 };

static void never_twice(void **state)
{
    (void)state;
    static const setting_t modes[] = {
        {.name = "observes", .observes = true},
        {.name = "observes, knows for how long it is up", .observes = true, .up = true},
        {.name = "observes, compares, stands still before acts",
         .observes = true,
         .compares = true,
         .standstill = true},
        {.name = "observes, repeats, stands still before acts",
         .observes = true,
         .repeats = true,
         .standstill = true},
        {.name = "blind"},
        {.name = "blind, stands still before acts", .standstill = true},
        {.name = "blind, repeats, stands still before acts", .repeats = true, .standstill = true},
    };
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const tally_t t = run(&modes[i], HISTORIES);
        assert_int_equal(t.doubles, 0);
        /* And it is not for idleness. Who sees nothing, and must not ask twice, often cannot tell. */
        assert_true(t.ends[DONE] > HISTORIES / (modes[i].observes || modes[i].repeats ? 2 : 4));
        assert_true(t.restarts > HISTORIES / 2);
        assert_true(t.at_once > (modes[i].observes ? 2 : 0));
    }
}

/* What remains: a worker that stands still between the check of its grant and the act, and a target that does
 * not compare. */
static void the_gap_that_comparing_closes(void **state)
{
    (void)state;
    const tally_t t =
        run(&(setting_t){.name = "observes, stands still before acts", .observes = true, .standstill = true},
            HISTORIES);
    assert_true(t.doubles > 0);
}

/* Each part is needed: without it the model finds two restarts. */
static void without_any_part_it_is_found_out(void **state)
{
    (void)state;
    static const char *const names[MUTANTS] = {[NO_LOOK] = "mutant: no look first",
                                               [NO_WAIT] = "mutant: no wait",
                                               [NO_FENCE] = "mutant: no fence",
                                               [LATE_GRANTS] = "mutant: grants of any age",
                                               [VOIDED] = "mutant: intents void at any end"};
    for (mutant_t m = SOUND + 1; m < MUTANTS; m++) {
        const tally_t t =
            run(&(setting_t){.name = names[m], .observes = true, .mutant = m}, MUTANT_HISTORIES);
        assert_true(t.doubles > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_twice),
        cmocka_unit_test(the_gap_that_comparing_closes),
        cmocka_unit_test(without_any_part_it_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

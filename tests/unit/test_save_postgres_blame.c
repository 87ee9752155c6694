#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "workers/save/save_postgres_blame.h"

enum { NOW_MS = 1000, MINUTE_MS = 60000 };

static const message_id_t bad = {1, 7};

static void refused_inserted_refused_is_to_blame(void **state)
{
    (void)state;
    static suspects_t s;
    suspects_clear(&s);
    s.inserts = 5;
    for (int i = 0; i < 3; i++)
        assert_false(suspects_convict(&s, bad, NOW_MS + i));
    s.inserts++;
    /* What was inserted before another was refused says nothing of that one. */
    assert_false(suspects_convict(&s, (message_id_t){1, 8}, NOW_MS));
    assert_false(suspects_convict(&s, (message_id_t){2, 7}, NOW_MS));
    assert_true(suspects_convict(&s, bad, NOW_MS));
    assert_false(suspects_convict(&s, bad, NOW_MS));
}

static void what_was_long_ago_says_nothing(void **state)
{
    (void)state;
    static suspects_t s;
    suspects_clear(&s);
    assert_false(suspects_convict(&s, bad, NOW_MS));
    s.inserts++;
    assert_false(suspects_convict(&s, bad, NOW_MS + MINUTE_MS));
    s.inserts++;
    assert_true(suspects_convict(&s, bad, NOW_MS + 2 * MINUTE_MS - 1));
    assert_false(suspects_convict(&s, bad, NOW_MS));
    s.inserts++;
    suspects_clear(&s);
    assert_false(suspects_convict(&s, bad, NOW_MS));
}

static void more_than_there_is_room_for_wait(void **state)
{
    (void)state;
    static suspects_t s;
    suspects_clear(&s);
    for (uint64_t seq = 1; seq <= SUSPECTS_MAX + 2; seq++)
        assert_false(suspects_convict(&s, (message_id_t){1, seq}, NOW_MS));
    s.inserts++;
    for (uint64_t seq = 1; seq <= SUSPECTS_MAX; seq++)
        assert_true(suspects_convict(&s, (message_id_t){1, seq}, NOW_MS));
    for (uint64_t seq = SUSPECTS_MAX + 1; seq <= SUSPECTS_MAX + 2; seq++)
        assert_false(suspects_convict(&s, (message_id_t){1, seq}, NOW_MS));
}

static void errors_are_sorted_by_whose_they_can_be(void **state)
{
    (void)state;
    static const struct {
        session_fault_t fault;
        bool row, server;
    } faults[] = {
        {{.state = "23514", .constraint = true}, true, false},
        {{.state = "23514"}, false, false}, /* a partition is missing */
        {{.state = "23502"}, true, false},
        {{.state = "22P02"}, true, false},
        {{.state = "54000"}, true, false},
        {{.state = "P0001"}, true, false},
        {{.state = "P0002"}, false, false},
        {{.state = "57014"}, false, false}, /* a limit of time */
        {{.state = "57P01"}, false, true},
        {{.state = "53100"}, false, true},
        {{.state = "42501"}, false, true},
        {{.state = "42703"}, false, false}, /* in somebody's trigger */
        {{.state = ""}, false, true},
    };
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        assert_int_equal(blame_may_be_of_a_row(&faults[i].fault), faults[i].row);
        assert_int_equal(blame_is_of_the_server(&faults[i].fault), faults[i].server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_inserted_refused_is_to_blame),
        cmocka_unit_test(what_was_long_ago_says_nothing),
        cmocka_unit_test(more_than_there_is_room_for_wait),
        cmocka_unit_test(errors_are_sorted_by_whose_they_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a worker records before it acts, and the grants for it. Over the kinds of tests/contract/odd_kinds.c.
 */
#include "tests/contract/contract.h"

#include "common/runtime/clock.h"
#include <string.h>

static uint64_t next_seq = 1;

static uint64_t ask(boss_t *b, const char *name)
{
    b->grants = BOSS_SAYS_NOTHING;
    return boss_ask(b, 0, next_seq++, 1, name);
}

static const boss_result_t *await(boss_t *b, uint64_t ref)
{
    BOSS_UNTIL(b, boss_result(b, ref) != NULL);
    return boss_result(b, ref);
}

static void expect_note(const boss_note_t *n, uint64_t ref, int64_t grant_ms, const char *text)
{
    assert_true(n->ref == ref);
    assert_int_equal(n->try_no, 1);
    assert_int_equal(n->grant_ms, grant_ms);
    assert_string_equal(n->text, text);
}

static void test_a_task_brings_its_note(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;
    char longest[NOTE_BYTES_MAX + 1], expected[NOTE_BYTES_MAX + 16];

    contract_start(c, "worker", NO_ARGS);
    assert_string_equal(await(b, ask(b, "tells-1"))->text, "note: ");
    b->note = "an earlier intent";
    assert_string_equal(await(b, ask(b, "tells-2"))->text, "note: an earlier intent");
    /* The place in memory of one that had a note. */
    b->note = NULL;
    assert_string_equal(await(b, ask(b, "tells-3"))->text, "note: ");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    b->note = longest;
    const boss_result_t *r = await(b, ask(b, "tells-4"));
    snprintf(expected, sizeof expected, "note: %s", longest);
    assert_int_equal(r->text_len, strlen(expected));
    assert_memory_equal(r->text, expected, sizeof r->text - 1);
    rig_passed(c->rig);
}

static void test_ok_may_say_why(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const boss_result_t *r = await(b, ask(b, "because-1"));
    assert_int_equal(r->outcome, OUTCOME_OK);
    assert_string_equal(r->text, "it was done before");
    rig_passed(c->rig);
}

static void test_granted_and_refused(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = contract_start(c, "worker", NO_ARGS);
    const uint64_t first = ask(b, "asks-1"), second = ask(b, "asks-2");
    BOSS_UNTIL(b, b->notes_count == 2);
    expect_note(&b->notes[0], first, ODD_GRANT_MS, "intent");
    expect_note(&b->notes[1], second, ODD_GRANT_MS, "intent");
    assert_int_equal(b->results_count, 0);
    /* Another try's, nobody's. */
    boss_grant(b, 0, first, 2, true);
    boss_grant(b, 0, first + 100, 1, true);
    boss_grant(b, 0, second, 1, false);
    const boss_result_t *r = await(b, second);
    assert_int_equal(r->outcome, OUTCOME_TRANSIENT);
    assert_string_equal(r->text, "refused");
    assert_null(boss_result(b, first));
    boss_grant(b, 0, first, 1, true);
    r = await(b, first);
    assert_int_equal(r->outcome, OUTCOME_OK);
    assert_string_equal(r->text, "granted");
    WAIT(process_log_count(p, "a grant has come") == 2);
    /* The tasks have ended: their places may be those of others. */
    const uint64_t third = ask(b, "stuck-3");
    BOSS_UNTIL(b, b->workers[0].started == 3);
    boss_grant(b, 0, first, 1, true);
    boss_grant(b, 0, second, 1, true);
    boss_grant(b, 0, third, 1, true);
    assert_string_equal(await(b, ask(b, "because-4"))->text, "it was done before");
    assert_int_equal(b->notes_count, 2);
    assert_null(boss_result(b, third));
    rig_passed(c->rig);
}

/* It comes for a task that has ended. */
static void test_a_grant_for_who_has_not_waited(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const uint64_t ref = ask(b, "hasty-1");
    assert_int_equal(await(b, ref)->outcome, OUTCOME_OK);
    assert_int_equal(b->notes_count, 1);
    assert_int_equal(b->notes[0].results_before, 0);
    boss_grant(b, 0, ref, 1, true);
    assert_string_equal(await(b, ask(b, "because-2"))->text, "it was done before");
    rig_passed(c->rig);
}

/* Nobody answers: it takes its note back, and that comes before its result. */
static void test_without_an_answer(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const uint64_t ref = ask(b, "asks-1");
    const boss_result_t *r = await(b, ref);
    assert_int_equal(r->outcome, OUTCOME_BLOCKED);
    assert_int_equal(b->notes_count, 2);
    expect_note(&b->notes[1], ref, 0, "");
    assert_int_equal(b->notes[1].results_before, 0);
    /* And then it does. */
    boss_grant(b, 0, ref, 1, true);
    assert_string_equal(await(b, ask(b, "because-2"))->text, "it was done before");
    rig_passed(c->rig);
}

/* What was taken back is not granted, and who has given up a request gets no answer to the next one, as it
 * could be that to the first. */
static void test_the_last_note_counts(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", ARGS("--drain-timeout", "0"));
    const uint64_t voids = ask(b, "voids-1");
    BOSS_UNTIL(b, b->notes_count == 2);
    expect_note(&b->notes[0], voids, ODD_GRANT_MS, "intent");
    expect_note(&b->notes[1], voids, 0, "");
    boss_grant(b, 0, voids, 1, true);
    const uint64_t twice = ask(b, "askstwice-2");
    BOSS_UNTIL(b, b->notes_count == 4);
    expect_note(&b->notes[3], twice, 0, "again");
    boss_grant(b, 0, twice, 1, true);
    assert_string_equal(await(b, twice)->text, "no grant");
    rig_passed(c->rig);
}

/* The session goes on over another connection, and so does what it has asked for. */
static void test_a_lost_connection_between(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    contract_start(c, "worker", NO_ARGS);
    const uint64_t ref = ask(b, "asks-1");
    BOSS_UNTIL(b, b->notes_count == 1);
    boss_cut(b);
    BOSS_UNTIL(b, b->workers[0].hellos == 2 || boss_result(b, ref) != NULL);
    if (boss_result(b, ref) == NULL) {
        assert_true(boss_held(b, 0, ref));
        boss_grant(b, 0, ref, 1, true);
    }
    /* A slow machine may have come too late for it. */
    const boss_result_t *r = await(b, ref);
    assert_true(r->outcome == OUTCOME_OK || r->outcome == OUTCOME_BLOCKED);
    rig_passed(c->rig);
}

/* Another process, that has a task of the same name: it is not the one who was asked. */
static void test_another_consumer_in_its_place(void **state)
{
    contract_t *c = *state;
    boss_t *b = &c->boss;

    process_t *p = contract_start(c, "worker", ARGS("--drain-timeout", "0"));
    const uint64_t ref = ask(b, "asks-1");
    BOSS_UNTIL(b, b->notes_count == 1);
    b->session = clock_random_id();
    boss_cut(b);
    boss_dismiss(b);
    BOSS_UNTIL(b, b->workers_count == 1 && b->workers[0].welcomed);
    assert_int_equal(b->workers[0].hello.held_count, 1); /* before it knows who answers */
    b->lax = true;
    boss_grant(b, 0, ref, 1, true);
    const uint64_t next = ask(b, "because-2");
    assert_string_equal(await(b, next)->text, "it was done before");
    /* The first runs to its end, and nobody is told. */
    const int64_t until_ms = test_now_ms() + 2 * ODD_GRANT_MS;
    BOSS_UNTIL(b, test_now_ms() > until_ms);
    assert_null(boss_result(b, ref));
    assert_int_equal(b->notes_count, 1);
    assert_int_equal(process_log_count(p, "a grant has come"), 0);
    rig_passed(c->rig);
}

/* A frame that is no GRANTS is refused as any other, and does nothing. */
static void test_bad_grants(void **state)
{
    static const uint8_t bad[] = {0x92, 23, 0x91, 0x93, 0x01, 0x01, 0x02}; /* granted: 2 */
    contract_t *c = *state;
    boss_t *b = &c->boss;
    process_t *p = contract_start(c, "worker", ARGS("--report", "json"));

    const uint64_t ref = ask(b, "asks-1");
    BOSS_UNTIL(b, b->notes_count == 1);
    boss_send_bytes(b, 0, bad, sizeof bad);
    boss_grant(b, 0, ref, 1, true);
    assert_string_equal(await(b, ref)->text, "granted");
    assert_int_equal(contract_stop(c, p), 0);
    assert_int_equal(report_number(p, "refused"), 1);
    assert_int_equal(report_number(p, "notes"), 1);
    assert_int_equal(report_number(p, "granted"), 1);
    rig_passed(c->rig);
}

int main(void)
{
    static const row_t all[] = {{"mandrill-worker-odd", &odd_loop},
                                {"mandrill-worker-odd", &odd_threads},
                                {"mandrill-worker-odd", &odd_batch}};
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_task_brings_its_note)};
    const struct CMUnitTest loop[] = {
        cmocka_unit_test(test_ok_may_say_why),
        cmocka_unit_test(test_granted_and_refused),
        cmocka_unit_test(test_a_grant_for_who_has_not_waited),
        cmocka_unit_test(test_without_an_answer),
        cmocka_unit_test(test_the_last_note_counts),
        cmocka_unit_test(test_a_lost_connection_between),
        cmocka_unit_test(test_another_consumer_in_its_place),
        cmocka_unit_test(test_bad_grants),
    };
    const int failed = contract_run("notes", tests, 1, all, 3);
    return failed + contract_run("notes and grants", loop, sizeof loop / sizeof loop[0], all, 1);
}

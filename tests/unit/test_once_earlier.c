/* A try that finds an intent of an earlier one, edge by edge; and the note that tells of it. */
#include "once_fixture.h"

static void changed(void **state)
{
    (void)state;
    try_t *t = try_new();
    earlier_intent(t, "1");
    begin(t);
    look_up(t, "2", 1000); /* before all guards: it is this message's */
    assert_int_equal(t->step.what, ONCE_CHECK);
    assert_string_equal(t->step.target, "cafe");
    check(t, true);
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "was restarted by an earlier try");
    note_stays(t);
    begin(t);
    look(t, "2");
    t->now += RETURN;
    check(t, false);
    due(t);
    check(t, false);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT,
         "was restarted, and is not well within --return-timeout 4s: port 80 is closed");
    note_stays(t);
    t->policy.checks = false;
    begin(t);
    look(t, "2");
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "was restarted by an earlier try");
}

/* To the last look: the note's durations count, from the begin of this try, not from its first look. */
static void wait_out(try_t *t, int64_t wait_ms)
{
    const int64_t begun_ms = t->now;
    begin(t);
    t->now += 40;
    look(t, "1");
    while (t->now < begun_ms + wait_ms) {
        assert_int_equal(t->step.what, ONCE_WAIT);
        const int64_t poll_ms = t->now + POLL, limit_ms = begun_ms + wait_ms;
        assert_int_equal(t->step.until_ms, poll_ms < limit_ms ? poll_ms : limit_ms);
        due(t);
        assert_int_equal(t->step.what, ONCE_LOOK);
        if (t->now < begun_ms + wait_ms) {
            assert_true(t->step.until_ms <= begun_ms + wait_ms);
            look(t, "1");
        }
    }
}

static void unchanged_is_waited_out(void **state)
{
    (void)state;
    try_t *t = try_new();
    earlier_intent(t, "1");
    wait_out(t, EARLIER_WAIT);
    look(t, "1");
    assert_int_equal(t->step.what, ONCE_NOTE);
    note_is(t, GRANT, ACT, RETURN, false, "1");
    grant(t);
    assert_string_equal(t->step.observed, "1");
    act(t, ACTED_DONE);
    look(t, "2");
    check(t, true);
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "is back after 0 ms");
}

static void changed_while_it_waits(void **state)
{
    (void)state;
    try_t *t = try_new();
    earlier_intent(t, "1");
    wait_out(t, EARLIER_WAIT);
    look(t, "2"); /* at the last look */
    assert_int_equal(t->step.what, ONCE_CHECK);
    begin(t);
    look_not(t, LOOK_FAILED);
    waits(t, POLL);
    look(t, "2");
    check(t, true);
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "was restarted by an earlier try");
}

/* A look that began before the end does not count as the last one, whenever it was answered. */
static void a_look_across_the_end(void **state)
{
    (void)state;
    try_t *t = try_new();
    earlier_intent(t, "1");
    begin(t);
    t->now += EARLIER_WAIT + 5;
    look(t, "1");
    assert_int_equal(t->step.what, ONCE_WAIT);
    assert_int_equal(t->step.until_ms, t->now);
    due(t);
    look(t, "1");
    assert_int_equal(t->step.what, ONCE_NOTE);
}

static void a_settled_one_needs_no_wait(void **state)
{
    (void)state;
    try_t *t = try_new();
    set_note(t, &(once_note_t){.id = "1"});
    begin(t);
    look(t, "1");
    assert_int_equal(t->step.what, ONCE_NOTE);
    note_is(t, GRANT, ACT, RETURN, false, "1");
    begin(t);
    look(t, "2");
    check(t, true);
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "was restarted by an earlier try");
    /* But one that cannot be read is given the time to come up. */
    begin(t);
    for (int64_t ms = POLL; ms <= RETURN; ms += POLL) {
        look_not(t, LOOK_FAILED);
        waits(t, ms);
    }
    look_not(t, LOOK_FAILED);
    ends(t, ONCE_FAILED, OUTCOME_UNKNOWN,
         "an earlier try may have restarted it, and it cannot be looked at: no route to host");
}

static void unreadable_to_the_end(void **state)
{
    (void)state;
    try_t *t = try_new();
    earlier_intent(t, "1");
    wait_out(t, EARLIER_WAIT);
    look_not(t, LOOK_FAILED);
    ends(t, ONCE_FAILED, OUTCOME_UNKNOWN,
         "an earlier try may have restarted it, and it cannot be looked at: no route to host");
    note_stays(t);
}

static void refused_and_away(void **state)
{
    (void)state;
    try_t *t = try_new();
    earlier_intent(t, "1");
    begin(t);
    look_not(t, LOOK_REFUSED);
    ends(t, ONCE_FAILED, OUTCOME_PERMANENT, "no such host; an earlier try may have restarted it");
    note_stays(t);
    begin(t);
    look_not(t, LOOK_AWAY);
    ends(t, ONCE_FAILED, OUTCOME_BLOCKED, "no engine; an earlier try may have restarted it");
    assert_int_equal(t->step.ms, 77);
    note_stays(t);
}

static void taken_back_it_is_settled(void **state)
{
    (void)state;
    try_t *t = try_new();
    earlier_intent(t, "1");
    wait_out(t, EARLIER_WAIT);
    look(t, "1");
    due(t); /* no grant */
    ends(t, ONCE_FAILED, OUTCOME_BLOCKED, "no grant within --grant 1s: not restarted");
    note_is(t, 0, 0, 0, false, "1");
    wait_out(t, EARLIER_WAIT);
    look(t, "1");
    grant(t);
    act(t, ACTED_NOT); /* the target compared: somebody was faster, which the next look shows */
    ends(t, ONCE_FAILED, OUTCOME_PERMANENT, "exit 3");
    note_is(t, 0, 0, 0, false, "1");
    wait_out(t, EARLIER_WAIT);
    look(t, "1");
    once_cancel(&t->once, t->now, &t->step);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT, "cancelled after 9 s: not restarted");
    note_is(t, 0, 0, 0, false, "1");
    wait_out(t, EARLIER_WAIT);
    look(t, "1");
    grant(t);
    once_cancel(&t->once, t->now, &t->step);
    note_stays(t);
    wait_out(t, EARLIER_WAIT);
    once_cancel(&t->once, t->now, &t->step);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT, "cancelled after 9 s; an earlier try may have restarted it");
    note_stays(t);
}

static void guards_come_after_it(void **state)
{
    (void)state;
    try_t *t = try_new();
    t->policy.dry_run = true;
    t->task.deadline_ms = t->now;
    earlier_intent(t, "1");
    wait_out(t, EARLIER_WAIT);
    look(t, "1");
    ends(t, ONCE_SKIPPED, OUTCOME_OK, "dry run: would have been restarted");
    t->policy.dry_run = false;
    t->policy.min_uptime_ms = 2 * DAY;
    t->task.deadline_ms = INT64_MAX;
    wait_out(t, EARLIER_WAIT);
    look_up(t, "1", DAY);
    ends(t, ONCE_SKIPPED, OUTCOME_OK, "is up for 24 h, less than --min-uptime 2d");
    wait_out(t, EARLIER_WAIT);
    look(t, "1");
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT,
         "for how long it is up is not known, and --min-uptime asks for it");
    note_is(t, 0, 0, 0, false, "1");
}

static void the_limit_has_room_for_it(void **state)
{
    (void)state;
    try_t *t = try_new();
    earlier_intent(t, "1");
    t->task.deadline_ms = t->now + EARLIER_WAIT + NEED;
    wait_out(t, EARLIER_WAIT);
    t->now += 1; /* the last look took time: the next try need not wait again */
    look(t, "1");
    ends(t, ONCE_FAILED, OUTCOME_BLOCKED,
         "a try may need 7s (--grant 1s, --act-timeout 2s, --return-timeout 4s), and 6999ms are left of "
         "--limit: not begun");
    note_is(t, 0, 0, 0, false, "1");
    t->task.deadline_ms = t->now + EARLIER_WAIT + NEED - 1;
    begin(t);
    look(t, "1");
    ends(
        t, ONCE_FAILED, OUTCOME_BLOCKED,
        "a try may need 16010ms (--grant 1s, --act-timeout 2s, --return-timeout 4s, for an earlier try's act "
        "9010ms), and 16009ms are left of --limit: not begun");
    assert_true(t->step.short_limit);
    note_stays(t);
    begin(t); /* what needs no act needs no time */
    look(t, "2");
    check(t, true);
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "was restarted by an earlier try");
}

static void blind(void **state)
{
    (void)state;
    try_t *t = try_new();
    t->policy.observes = false;
    earlier_intent(t, "");
    begin(t);
    ends(t, ONCE_FAILED, OUTCOME_UNKNOWN,
         "an earlier try may have restarted it, and nothing tells whether it did");
    note_stays(t);
    t->policy.repeats = true;
    begin(t);
    note_is(t, GRANT, ACT, RETURN, false, ""); /* at once */
    due(t);
    ends(t, ONCE_FAILED, OUTCOME_BLOCKED,
         "no grant within --grant 1s: not restarted; an earlier try may have restarted it");
    note_stays(t);
    begin(t);
    grant(t);
    act(t, ACTED_NOT);
    ends(t, ONCE_FAILED, OUTCOME_PERMANENT, "exit 3; an earlier try may have restarted it");
    note_stays(t);
    t->policy.dry_run = true;
    begin(t);
    ends(t, ONCE_FAILED, OUTCOME_UNKNOWN,
         "an earlier try may have restarted it, and a dry run does not ask again");
    /* Known to be done: never again, only the check. */
    set_note(t, &(once_note_t){.done = true});
    begin(t);
    check(t, true);
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "was restarted by an earlier try");
    begin(t);
    once_cancel(&t->once, t->now, &t->step);
    note_is(t, 0, 0, 0, true, "");
}

/* A driver that looks finds an intent of one that did not. */
static void nothing_to_compare_with(void **state)
{
    (void)state;
    try_t *t = try_new();
    earlier_intent(t, "");
    begin(t);
    ends(t, ONCE_FAILED, OUTCOME_UNKNOWN,
         "an earlier try may have restarted it, and nothing tells whether it did");
    t->policy.repeats = true;
    begin(t);
    look(t, "5");
    assert_int_equal(t->step.what, ONCE_NOTE);
    begin(t);
    look_not(t, LOOK_REFUSED);
    ends(t, ONCE_FAILED, OUTCOME_PERMANENT, "no such host; an earlier try may have restarted it");
}

/* --- notes --- */

static void notes_are_read_as_written(void **state)
{
    (void)state;
    uint8_t bytes[NOTE_BYTES_MAX];
    once_note_t in = {ONCE_MS_MAX, 1, 0, true, ""}, out;
    memset(in.id, 'z', OBSERVATION_ID_MAX);
    uint32_t len = once_note_write(&in, bytes);
    assert_int_equal(once_note_read(bytes, len, &out), 0);
    assert_int_equal(out.grant_ms, in.grant_ms);
    assert_int_equal(out.act_ms, in.act_ms);
    assert_int_equal(out.return_ms, in.return_ms);
    assert_int_equal(out.done, in.done);
    assert_string_equal(out.id, in.id);
}

/* Each damaged byte is refused or another sound note; every cut one, and what stands behind, is refused. */
static void unreadable_notes_are_unknown(void **state)
{
    (void)state;
    try_t *t = try_new();
    earlier_intent(t, "boot-1");
    const uint32_t len = t->task.note_len;
    for (uint32_t cut = 1; cut < len; cut++) {
        t->task.note_len = cut;
        begin(t);
        ends(t, ONCE_FAILED, OUTCOME_UNKNOWN,
             "an earlier try may have restarted it, and its note is damaged or of another version");
        note_stays(t);
    }
    for (uint32_t i = 0; i < len; i++) {
        for (int byte = 0; byte < 256; byte++) {
            const uint8_t was = t->note[i];
            once_note_t n;
            t->note[i] = (uint8_t)byte;
            if (once_note_read(t->note, len, &n) == 0) {
                assert_true(n.id[0] == '\0' || observation_id_check(n.id));
                assert_true(n.grant_ms >= 0 && n.grant_ms <= ONCE_MS_MAX);
            } else {
                assert_int_not_equal(byte, was);
            }
            t->note[i] = was;
        }
    }
    t->task.note_len = len + 1;
    begin(t);
    assert_int_equal(t->step.outcome, OUTCOME_UNKNOWN);
    t->task.note_len = len;
    t->note[1] = 2; /* the version */
    begin(t);
    assert_int_equal(t->step.outcome, OUTCOME_UNKNOWN);
}

static void ids(void **state)
{
    (void)state;
    char longest[OBSERVATION_ID_MAX + 2] = "";
    memset(longest, 'a', OBSERVATION_ID_MAX + 1);
    assert_false(observation_id_check(longest));
    longest[OBSERVATION_ID_MAX] = '\0';
    assert_true(observation_id_check(longest));
    assert_true(observation_id_check("2026-01-01T00:00:00.000000001Z+a_b"));
    assert_false(observation_id_check(""));
    assert_false(observation_id_check("a b"));
    assert_false(observation_id_check("a\n"));
    assert_false(observation_id_check("\xc3\xa4"));
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text, *exactly;
    } cases[] = {{0, "0 ms", "0ms"},       {1999, "1999 ms", "1999ms"},
                 {2000, "2 s", "2s"},      {119999, "119 s", "119999ms"},
                 {120000, "2 min", "2m"},  {7199999, "119 min", "7199999ms"},
                 {7200000, "2 h", "2h"},   {86400000, "24 h", "1d"},
                 {172800000, "2 d", "2d"}, {INT64_MAX, "106751991167 d", "9223372036854775807ms"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[ONCE_DURATION_TEXT];
        assert_string_equal(once_duration(cases[i].ms, text), cases[i].text);
        assert_string_equal(once_exactly(cases[i].ms, text), cases[i].exactly);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed),
        cmocka_unit_test(unchanged_is_waited_out),
        cmocka_unit_test(changed_while_it_waits),
        cmocka_unit_test(a_look_across_the_end),
        cmocka_unit_test(a_settled_one_needs_no_wait),
        cmocka_unit_test(unreadable_to_the_end),
        cmocka_unit_test(refused_and_away),
        cmocka_unit_test(taken_back_it_is_settled),
        cmocka_unit_test(guards_come_after_it),
        cmocka_unit_test(the_limit_has_room_for_it),
        cmocka_unit_test(blind),
        cmocka_unit_test(nothing_to_compare_with),
        cmocka_unit_test(notes_are_read_as_written),
        cmocka_unit_test(unreadable_notes_are_unknown),
        cmocka_unit_test(ids),
        cmocka_unit_test(durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

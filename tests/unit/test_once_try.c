/* A try that finds no intent of an earlier one, edge by edge. */
#include "once_fixture.h"

static void restarted_and_back(void **state)
{
    (void)state;
    try_t *t = try_new();
    begin(t);
    assert_int_equal(t->step.what, ONCE_LOOK);
    assert_int_equal(t->step.until_ms, t->now + ACT);
    t->now += 3;
    look(t, "boot-1");
    assert_int_equal(t->step.what, ONCE_NOTE);
    assert_int_equal(t->step.until_ms, t->now + GRANT);
    assert_int_equal(t->step.grant_ms, GRANT);
    note_is(t, GRANT, ACT, RETURN, false, "boot-1");
    t->now += 2;
    grant(t);
    assert_int_equal(t->step.what, ONCE_ACT);
    assert_int_equal(t->step.until_ms, t->now + ACT);
    assert_string_equal(t->step.observed, "boot-1");
    assert_string_equal(t->step.target, "cafe");
    t->now += 100;
    act(t, ACTED_DONE);
    look(t, "boot-1");
    waits(t, 105 + POLL);
    look_not(t, LOOK_FAILED);
    waits(t, 105 + 2 * POLL);
    look(t, "boot-2");
    check(t, false);
    waits(t, 105 + 3 * POLL);
    assert_string_equal(t->step.target, "cafe");
    check(t, true);
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "is back after 1600 ms");
    note_stays(t);
}

static void without_a_check(void **state)
{
    (void)state;
    try_t *t = try_new();
    t->policy.checks = false;
    begin(t);
    look(t, "1");
    grant(t);
    act(t, ACTED_UNKNOWN); /* is looked at like DONE */
    look(t, "2");
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "is back after 0 ms");
}

static void looks_that_fail_before_anything(void **state)
{
    (void)state;
    static const struct {
        look_how_t how;
        outcome_t outcome;
        int64_t ms;
        const char *text;
    } cases[] = {{LOOK_FAILED, OUTCOME_TRANSIENT, 0, "no route to host"},
                 {LOOK_REFUSED, OUTCOME_PERMANENT, 0, "no such host"},
                 {LOOK_AWAY, OUTCOME_BLOCKED, 77, "no engine"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        try_t *t = try_new();
        begin(t);
        look_not(t, cases[i].how);
        ends(t, ONCE_FAILED, cases[i].outcome, cases[i].text);
        assert_int_equal(t->step.ms, cases[i].ms);
        note_stays(t);
    }
    try_t *t = try_new();
    begin(t);
    look(t, "not an id");
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT, "what was seen has no id to tell restarts by");
}

static void guards(void **state)
{
    (void)state;
    static const struct {
        int64_t up_ms, min_uptime_ms;
        const char *text;
    } cases[] = {
        {59999, 0, "was restarted 59 s ago, after the request"},
        {0, 7 * DAY, "was restarted 0 ms ago, after the request"},
        {2 * INT64_C(86400000), 7 * INT64_C(86400000), "is up for 2 d, less than --min-uptime 7d"},
        {7 * INT64_C(86400000) - 1, 7 * INT64_C(86400000), "is up for 6 d, less than --min-uptime 7d"},
        {720000, 90 * 60000, "is up for 12 min, less than --min-uptime 90m"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        try_t *t = try_new();
        t->policy.min_uptime_ms = cases[i].min_uptime_ms;
        begin(t);
        look_up(t, "1", cases[i].up_ms);
        ends(t, ONCE_SKIPPED, OUTCOME_OK, cases[i].text);
        note_stays(t);
    }
    /* At the bounds it is restarted. */
    try_t *t = try_new();
    begin(t);
    look_up(t, "1", 60000);
    assert_int_equal(t->step.what, ONCE_NOTE);
    t = try_new();
    t->policy.min_uptime_ms = 90000;
    begin(t);
    look_up(t, "1", 90000);
    assert_int_equal(t->step.what, ONCE_NOTE);
    /* A guard that cannot be held to is not passed. */
    t = try_new();
    t->policy.min_uptime_ms = 90000;
    begin(t);
    look(t, "1");
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT,
         "for how long it is up is not known, and --min-uptime asks for it");
}

/* The process stood still between the look and now: that made the request older, the host not younger. */
static void a_look_is_as_old_as_its_begin(void **state)
{
    (void)state;
    try_t *t = try_new();
    begin(t);
    t->now += 600000;
    look_up(t, "1", 61000);
    assert_int_equal(t->step.what, ONCE_NOTE);
}

static void dry_run(void **state)
{
    (void)state;
    try_t *t = try_new();
    t->policy.dry_run = true;
    t->task.deadline_ms = t->now; /* needs no time */
    begin(t);
    look(t, "1");
    ends(t, ONCE_SKIPPED, OUTCOME_OK, "dry run: would have been restarted");
    note_stays(t);
    t->policy.observes = false;
    begin(t);
    ends(t, ONCE_SKIPPED, OUTCOME_OK, "dry run: would have been restarted");
    t->policy.observes = true;
    begin(t);
    look_up(t, "1", 1000);
    ends(t, ONCE_SKIPPED, OUTCOME_OK, "was restarted 1000 ms ago, after the request");
    begin(t);
    look_not(t, LOOK_FAILED);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT, "no route to host");
}

static void a_limit_that_is_too_short(void **state)
{
    (void)state;
    try_t *t = try_new();
    t->task.deadline_ms = t->now + NEED + 1;
    begin(t);
    t->now += 1;
    look(t, "1");
    assert_int_equal(t->step.what, ONCE_NOTE);
    t->now += 1;
    begin(t);
    look(t, "1");
    ends(t, ONCE_FAILED, OUTCOME_BLOCKED,
         "a try may need 7s (--grant 1s, --act-timeout 2s, --return-timeout 4s), and 6999ms are left of "
         "--limit: "
         "not begun");
    assert_true(t->step.short_limit);
    assert_true(t->step.ms > 0);
    note_stays(t);
}

static void grants_that_are_no_use(void **state)
{
    (void)state;
    try_t *t = try_new();
    begin(t);
    look(t, "1");
    due(t); /* never */
    ends(t, ONCE_FAILED, OUTCOME_BLOCKED, "no grant within --grant 1s: not restarted");
    assert_true(t->step.ms > 0);
    assert_false(t->step.short_limit);
    note_void(t);
    begin(t);
    look(t, "1");
    t->now += GRANT; /* late */
    grant(t);
    ends(t, ONCE_FAILED, OUTCOME_BLOCKED, "no grant within --grant 1s: not restarted");
    note_void(t);
    begin(t);
    look(t, "1");
    t->now += GRANT - 1;
    grant(t);
    assert_int_equal(t->step.what, ONCE_ACT);
    begin(t);
    look(t, "1");
    once_granted(&t->once, false, t->now, &t->step);
    ends(t, ONCE_FAILED, OUTCOME_BLOCKED, "refused: the message is not this try's any more");
    assert_true(t->step.ms > 0);
    note_stays(t);
}

static void an_act_that_was_none(void **state)
{
    (void)state;
    try_t *t = try_new();
    begin(t);
    look(t, "1");
    grant(t);
    act(t, ACTED_NOT);
    ends(t, ONCE_FAILED, OUTCOME_PERMANENT, "exit 3");
    assert_int_equal(t->step.ms, 55);
    note_void(t);
}

/* Up to the last look after an act; returns when that time is over. */
static void until_the_last_look(try_t *t, acted_how_t how)
{
    begin(t);
    look(t, "1");
    grant(t);
    act(t, how);
    const int64_t limit_ms = t->now + RETURN;
    while (t->step.what != ONCE_LOOK || t->now < limit_ms) {
        if (t->step.what == ONCE_LOOK) {
            assert_int_equal(t->step.until_ms, t->now + ACT < limit_ms ? t->now + ACT : limit_ms);
            look_not(t, t->now % 1000 ? LOOK_REFUSED : LOOK_AWAY); /* as FAILED */
        } else {
            assert_int_equal(t->step.what, ONCE_WAIT);
            assert_true(t->step.until_ms <= limit_ms);
            due(t);
        }
    }
    assert_int_equal(t->now, limit_ms);
    assert_int_equal(t->step.until_ms, t->now + ACT);
}

static void not_back_in_time(void **state)
{
    (void)state;
    try_t *t = try_new();
    t->policy.poll_ms = 700; /* the last look is made when the time is over, whatever the interval */
    until_the_last_look(t, ACTED_DONE);
    look_not(t, LOOK_FAILED);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT,
         "was told to restart, and did not come back within --return-timeout 4s: no route to host");
    note_stays(t);
    until_the_last_look(t, ACTED_DONE);
    look(t, "1");
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT,
         "was told to restart, and showed no restart within --return-timeout 4s");
    note_is(t, 0, 0, 0, false, "1");
    until_the_last_look(t, ACTED_UNKNOWN);
    look(t, "1");
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT,
         "may have been restarted, and showed no restart within --return-timeout 4s; the act: exit 3");
    note_stays(t);
    until_the_last_look(t, ACTED_DONE);
    look(t, "2"); /* one check, however late */
    check(t, true);
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "is back after 4 s");
}

/* A look that began in time and was answered late is not the last one. */
static void a_look_across_the_end(void **state)
{
    (void)state;
    try_t *t = try_new();
    begin(t);
    look(t, "1");
    grant(t);
    act(t, ACTED_DONE);
    t->now += RETURN + 12345;
    look(t, "1");
    assert_int_equal(t->step.until_ms, t->now); /* at once */
    due(t);
    look(t, "2");
    assert_int_equal(t->step.what, ONCE_CHECK);
}

static void never_well(void **state)
{
    (void)state;
    try_t *t = try_new();
    begin(t);
    look(t, "1");
    grant(t);
    act(t, ACTED_DONE);
    look(t, "2");
    for (int64_t ms = POLL; ms <= RETURN; ms += POLL) {
        check(t, false);
        waits(t, ms);
    }
    check(t, false);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT,
         "was restarted, and is not well within --return-timeout 4s: port 80 is closed");
    note_stays(t); /* the next one sees another id, and checks */
}

static void blind(void **state)
{
    (void)state;
    try_t *t = try_new();
    t->policy.observes = false;
    t->policy.checks = false;
    begin(t);
    note_is(t, GRANT, ACT, RETURN, false, "");
    grant(t);
    assert_string_equal(t->step.observed, "");
    assert_string_equal(t->step.target, "");
    act(t, ACTED_DONE);
    ends(t, ONCE_RESTARTED, OUTCOME_OK, "");
    begin(t);
    grant(t);
    act(t, ACTED_UNKNOWN);
    ends(t, ONCE_FAILED, OUTCOME_UNKNOWN, "may have been restarted: exit 3");
    note_stays(t);
    t->policy.repeats = true;
    begin(t);
    grant(t);
    act(t, ACTED_UNKNOWN);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT, "may have been restarted: exit 3");
    note_stays(t);
    t->policy.checks = true;
    t->policy.return_ms = 0;
    begin(t);
    grant(t);
    act(t, ACTED_DONE);
    check(t, false);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT,
         "was restarted, and is not well within --return-timeout 0ms: port 80 is closed");
    note_is(t, 0, 0, 0, true, "");
}

static void cancel(try_t *t)
{
    t->now += 30000;
    once_cancel(&t->once, t->now, &t->step);
}

static void cancelled(void **state)
{
    (void)state;
    try_t *t = try_new();
    begin(t);
    cancel(t);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT, "cancelled after 30 s: not restarted");
    note_stays(t);
    begin(t);
    look(t, "1");
    cancel(t);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT, "cancelled after 30 s: not restarted");
    note_void(t);
    begin(t);
    look(t, "1");
    grant(t);
    cancel(t);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT, "cancelled after 30 s: may have been restarted");
    note_stays(t);
    begin(t);
    look(t, "1");
    grant(t);
    act(t, ACTED_UNKNOWN);
    cancel(t);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT, "cancelled after 30 s: may have been restarted");
    note_stays(t);
    begin(t);
    look(t, "1");
    grant(t);
    act(t, ACTED_DONE);
    look_not(t, LOOK_FAILED); /* and waits */
    cancel(t);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT,
         "cancelled after 30 s: was told to restart, and is not back: no route to host");
    note_stays(t);
    begin(t);
    look(t, "1");
    grant(t);
    act(t, ACTED_DONE);
    look(t, "2");
    cancel(t);
    ends(t, ONCE_FAILED, OUTCOME_TRANSIENT,
         "cancelled after 30 s: was restarted, and is not known to be well");
    note_stays(t);
    t->policy.observes = false;
    begin(t);
    grant(t);
    act(t, ACTED_DONE);
    cancel(t);
    note_is(t, 0, 0, 0, true, "");
}

/* Texts are bounded, and cut between characters. */
static void long_texts(void **state)
{
    (void)state;
    char text[ONCE_TEXT_BYTES * 2];
    for (size_t shift = 0; shift < 2; shift++) {
        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 2 < sizeof text; i += 2) {
            memcpy(text + i, "\xc3\xa4", 2);
        }
        text[sizeof text - 1] = '\0';
        try_t *t = try_new();
        t->policy.return_ms = 0;
        begin(t);
        look(t, "1");
        grant(t);
        act(t, ACTED_DONE);
        once_looked(&t->once, &(look_t){.how = LOOK_FAILED, .text = text}, t->now, &t->step);
        const size_t len = strlen(t->step.text);
        assert_in_range(len, ONCE_TEXT_BYTES / 2, ONCE_TEXT_BYTES - 1);
        assert_string_equal(t->step.text + len - 2, "\xc3\xa4");
        earlier_intent(t, "1");
        begin(t);
        once_looked(&t->once, &(look_t){.how = LOOK_REFUSED, .text = text}, t->now, &t->step);
        assert_non_null(strstr(t->step.text, "\xc3\xa4; an earlier try may have restarted it"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(restarted_and_back),
        cmocka_unit_test(without_a_check),
        cmocka_unit_test(looks_that_fail_before_anything),
        cmocka_unit_test(guards),
        cmocka_unit_test(a_look_is_as_old_as_its_begin),
        cmocka_unit_test(dry_run),
        cmocka_unit_test(a_limit_that_is_too_short),
        cmocka_unit_test(grants_that_are_no_use),
        cmocka_unit_test(an_act_that_was_none),
        cmocka_unit_test(not_back_in_time),
        cmocka_unit_test(a_look_across_the_end),
        cmocka_unit_test(never_well),
        cmocka_unit_test(blind),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The gather's notes: who may record one, how it is told, who gets a grant, and what later tries find. */
#include "common/core/gather_internal.h"
#include "tests/unit/gather_fixture.h"

enum { GRANT_MS = 5000, FAR_MS = 1000000 };

static bool note(gather_t *g, uint32_t worker, const gather_task_t *task, int64_t grant_ms, const char *text,
                 int64_t now_ms)
{
    note_record_t r = {.ref = task->record.ref,
                       .try_no = task->record.try_no,
                       .grant_ms = grant_ms,
                       .bytes = text,
                       .len = (uint32_t)strlen(text)};
    return gather_note(g, worker, &r, now_ms);
}

static void expect_note(const gather_step_t *s, uint32_t leg, const char *text)
{
    assert_int_equal(s->op, OP_NOTE);
    assert_false(s->final);
    assert_int_not_equal(s->note_no, 0);
    assert_int_equal(s->note.bit, leg);
    assert_int_equal(s->note.len, strlen(text));
    assert_memory_equal(s->note.bytes, text, s->note.len);
}

static gather_step_t note_step(gather_t *g, int64_t now_ms, const char *text)
{
    gather_step_t s = one_step(g, 0, now_ms);
    expect_note(&s, RESTART, text);
    return s;
}

static bool settle(gather_t *g, const gather_step_t *s, step_code_t code)
{
    return s->note_no != 0 ? gather_note_settled(g, s->slot, s->lease, s->note_no, code)
                           : gather_settled(g, s->slot, s->lease, s->final, code);
}

static void expect_answer(gather_t *g, uint32_t worker, const gather_task_t *task, bool granted)
{
    grant_record_t got[2];
    uint32_t whose = UINT32_MAX;
    assert_int_equal(gather_answers(g, &whose, got, 2), 1);
    assert_int_equal(whose, worker);
    assert_true(got[0].ref == task->record.ref);
    assert_int_equal(got[0].try_no, task->record.try_no);
    assert_int_equal(got[0].granted, granted);
}

static void no_answer(gather_t *g)
{
    grant_record_t got;
    uint32_t whose;
    assert_int_equal(gather_answers(g, &whose, &got, 1), 0);
}

static void expect_given(const gather_task_t *task, const char *text)
{
    assert_int_equal(task->record.note_len, strlen(text));
    assert_memory_equal(task->record.note, text, task->record.note_len);
}

static int deliver_noted(gather_t *g, uint64_t token, uint8_t legs, const char *text)
{
    note_t n = {.bit = RESTART, .bytes = text, .len = (uint32_t)strlen(text)};
    gather_message_t m = {.id = {.stream = 900, .seq = 1},
                          .token = token,
                          .legs = legs,
                          .body = "body",
                          .body_len = 4,
                          .notes = &n,
                          .notes_count = 1};
    return gather_deliver(g, &m, 0);
}

/* --- the way through --- */

static void test_a_note_is_told_and_granted(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_int_equal(task.record.note_len, 0);
    no_step(g, 10);
    assert_int_equal(gather_steps_ms(g, 0), EVERY_MS);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", 10));
    assert_true(gather_steps_ms(g, 0) == INT64_MIN);
    no_answer(g);
    gather_step_t s = note_step(g, 10, "intent");
    assert_int_equal(s.token, 7);
    assert_int_equal(s.ms, GRANT_MS);
    assert_int_equal(s.done | s.bad, 0);
    no_step(g, 11);
    no_answer(g);
    assert_false(settle(g, &s, STEP_GRANTED));
    expect_answer(g, 3, &task, true);
    /* Once, however often the frame was sent. */
    assert_false(settle(g, &s, STEP_GRANTED));
    no_answer(g);
    ok(g, 3, &task, 20);
    gather_gauges_t now = gauges(g);
    assert_int_equal(now.held, 1);
    assert_int_equal(now.notes, 1);
    assert_int_equal(now.granted, 1);
    assert_int_equal(now.refused, 0);
}

static void test_without_a_grant_nothing_is_answered(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, 0, "intent", 10));
    gather_step_t s = note_step(g, 10, "intent");
    assert_int_equal(s.ms, 0);
    settle(g, &s, STEP_GRANTED);
    no_answer(g);
}

/* What is left of the grant when the step is written is what the publisher is asked for. */
static void test_a_grant_that_comes_too_late_is_none(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, 1000, "intent", 10));
    gather_step_t s = note_step(g, 400, "intent");
    assert_int_equal(s.ms, 610);
    settle(g, &s, STEP_GRANTED);
    expect_answer(g, 3, &task, true);
    assert_true(note(g, 3, &task, 1000, "again", 500));
    s = note_step(g, 1500, "again");
    assert_int_equal(s.ms, 0);
    expect_answer(g, 3, &task, false);
    settle(g, &s, STEP_GRANTED);
    no_answer(g);
}

/* A note of RESTART comes with the next try, here as elsewhere; SAVE has none. */
static void test_the_next_try_gets_it(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", 10));
    assert_int_equal(answer(g, 3, &task, OUTCOME_BLOCKED, 0, 20, true), TAKEN_RETRY);
    gather_tick(g, 100);
    task = give(g, RESTART, 4);
    expect_given(&task, "intent");
    assert_int_equal(give(g, SAVE, 5).record.note_len, 0);
    /* It was not told before the try ended: it is now, and nobody is granted anything. */
    gather_step_t s = note_step(g, 100, "intent");
    settle(g, &s, STEP_GRANTED);
    grant_record_t got;
    uint32_t whose;
    assert_int_equal(gather_answers(g, &whose, &got, 1), 1);
    assert_false(got.granted);
    /* A longer one, and an empty one. */
    assert_true(note(g, 4, &task, 0, "an intent that is longer", 110));
    assert_int_equal(answer(g, 4, &task, OUTCOME_BLOCKED, 0, 120, true), TAKEN_RETRY);
    gather_tick(g, 200);
    task = give(g, RESTART, 3);
    expect_given(&task, "an intent that is longer");
    assert_true(note(g, 3, &task, 0, "", 210));
    assert_int_equal(answer(g, 3, &task, OUTCOME_BLOCKED, 0, 220, true), TAKEN_RETRY);
    gather_tick(g, 300);
    assert_int_equal(give(g, RESTART, 3).record.note_len, 0);
    note_step(g, 300, "");
}

static void test_a_delivery_brings_notes(void **state)
{
    gather_t *g = *state;
    assert_int_equal(deliver_noted(g, 7, BOTH, "intent"), 1);
    no_step(g, 1);
    gather_task_t task = give(g, RESTART, 3);
    expect_given(&task, "intent");
    assert_int_equal(give(g, SAVE, 4).record.note_len, 0);
    assert_true(note(g, 3, &task, 0, "", 1));
    note_step(g, 1, "");
}

/* --- who gets none --- */

static void test_refused(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t old = give(g, RESTART, 3);
    /* Not his, not that try, nobody's. */
    assert_false(note(g, 4, &old, GRANT_MS, "intent", 1));
    expect_answer(g, 4, &old, false);
    gather_task_t wrong = old;
    wrong.record.try_no++;
    assert_false(note(g, 3, &wrong, GRANT_MS, "intent", 1));
    expect_answer(g, 3, &wrong, false);
    wrong = old;
    wrong.record.ref = (UINT64_C(1) << 62) | HELD * LEGS_MAX * 1000;
    assert_false(note(g, 3, &wrong, GRANT_MS, "intent", 1));
    expect_answer(g, 3, &wrong, false);
    /* Who asks for nothing is answered nothing. */
    assert_false(note(g, 4, &old, 0, "intent", 1));
    no_answer(g);
    no_step(g, 1);
    /* Given again: the same try, another giving. */
    gather_worker_holds(g, 3, NULL, 0, 2);
    gather_task_t task = give(g, RESTART, 3);
    assert_false(note(g, 3, &old, GRANT_MS, "intent", 3));
    expect_answer(g, 3, &old, false);
    assert_int_equal(task.record.note_len, 0);
    ok(g, 3, &task, 4);
    assert_false(note(g, 3, &task, GRANT_MS, "intent", 5));
    expect_answer(g, 3, &task, false);
    assert_int_equal(gauges(g).notes, 0);
    assert_int_equal(gauges(g).refused, 5);
    assert_true(g->entries[0].notes == NULL);
}

/* The publisher says that it is not ours: who waits for a grant gets none, and what was not told is not. */
static void lose_with(gather_t *g, step_code_t code)
{
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", 10));
    gather_step_t s = note_step(g, 10, "intent");
    settle(g, &s, code);
    expect_answer(g, 3, &task, false);
    assert_false(note(g, 3, &task, GRANT_MS, "again", 20));
    expect_answer(g, 3, &task, false);
    no_step(g, FAR_MS);
    /* It runs out. */
    assert_int_equal(answer(g, 3, &task, OUTCOME_TRANSIENT, 0, 30, true), TAKEN_RETRY);
    assert_empty(g);
}

static void test_a_lost_lease_grants_nothing(void **state)
{
    lose_with(*state, STEP_STALE);
    lose_with(*state, STEP_GONE);
}

static void test_another_step_says_that_it_is_lost(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    gather_step_t extend = one_step(g, 0, EVERY_MS);
    assert_int_equal(extend.op, OP_EXTEND);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", EVERY_MS));
    settle(g, &extend, STEP_STALE);
    expect_answer(g, 3, &task, false);
    no_step(g, FAR_MS);
    assert_int_equal(g->sources[0].notes.count, 0);
}

/* KEPT: it is ours, and the note was refused. */
static void test_kept_is_no_grant(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", 10));
    gather_step_t s = note_step(g, 10, "intent");
    assert_false(settle(g, &s, STEP_KEPT));
    expect_answer(g, 3, &task, false);
    assert_true(note(g, 3, &task, GRANT_MS, "again", 20));
    s = note_step(g, 20, "again");
    settle(g, &s, STEP_GRANTED);
    expect_answer(g, 3, &task, true);
}

/* Its leg was done by a try that was over its limit: the one that asks is not to act. */
static void test_a_leg_that_is_done_meanwhile(void **state)
{
    gather_t *g = *state;
    gather_policy_t policy = *gather_policy_of(g, RESTART);
    policy.limit_hard_ms = 500;
    policy.backoff.base_ms = 1;
    gather_policy(g, RESTART, &policy);
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t slow = give_and_start(g, RESTART, 3);
    gather_tick(g, 500);
    gather_tick(g, 600);
    gather_task_t task = give(g, RESTART, 4);
    assert_true(note(g, 4, &task, GRANT_MS, "intent", 610));
    /* A late request of the one before is not the task's any more. */
    assert_false(note(g, 3, &slow, GRANT_MS, "late", 610));
    expect_answer(g, 3, &slow, false);
    ok(g, 3, &slow, 620);
    expect_answer(g, 4, &task, false);
    gather_step_t s = one_step(g, 0, 620 + REPORT_MS);
    assert_int_equal(s.op, OP_NONE);
    assert_int_equal(s.done, 1 << RESTART);
    no_step(g, 800);
    /* The same when the step is on its way. */
    deliver(g, 2, 8, BOTH, 800);
    slow = give_and_start(g, RESTART, 5);
    gather_tick(g, 1300);
    gather_tick(g, 1400);
    task = give(g, RESTART, 4);
    assert_true(note(g, 4, &task, GRANT_MS, "intent", 1400));
    gather_step_t steps[4];
    assert_int_equal(gather_steps(g, 0, 1400, steps, 4), 2);
    expect_note(&steps[0], RESTART, "intent");
    ok(g, 5, &slow, 1410);
    expect_answer(g, 4, &task, false);
    settle(g, &steps[0], STEP_GRANTED);
    no_answer(g);
}

static void test_a_worker_that_is_gone_is_not_answered(void **state)
{
    gather_t *g = *state;
    gather_task_t tasks[2];
    gather_step_t steps[2];
    for (uint32_t i = 0; i < 2; i++) {
        gather_worker_joined(g, 3 + i, "first", NULL, 0, 0);
        deliver(g, 1 + i, 7 + i, BOTH, 0);
        tasks[i] = give(g, RESTART, 3 + i);
        assert_true(note(g, 3 + i, &tasks[i], GRANT_MS, "intent", 10));
    }
    assert_int_equal(gather_steps(g, 0, 10, steps, 2), 2);
    /* The one has an answer that he has not got, the other none. */
    settle(g, &steps[0], STEP_GRANTED);
    for (uint32_t i = 0; i < 2; i++)
        gather_worker_gone(g, 3 + i, true, 20);
    no_answer(g);
    settle(g, &steps[1], STEP_GRANTED);
    no_answer(g);
    for (uint32_t i = 0; i < 2; i++) {
        gather_worker_joined(g, 3 + i, "second", NULL, 0, 30);
        tasks[i] = give(g, RESTART, 3 + i);
        expect_given(&tasks[i], "intent");
    }
    /* Nor is who has the number of one that is gone: a request is of a session. */
    assert_true(note(g, 3, &tasks[0], GRANT_MS, "intent", 40));
    gather_worker_gone(g, 3, false, 40);
    gather_worker_joined(g, 3, "third", NULL, 0, 40);
    gather_step_t s = note_step(g, 40, "intent");
    settle(g, &s, STEP_GRANTED);
    no_answer(g);
}

static void test_answers_are_taken_worker_by_worker(void **state)
{
    gather_t *g = *state;
    grant_record_t got[2];
    uint32_t whose;
    for (uint64_t i = 1; i <= 3; i++)
        note(g, 3, &(gather_task_t){.record = {.ref = i, .try_no = 1}}, GRANT_MS, "", 0);
    note(g, 4, &(gather_task_t){.record = {.ref = 4, .try_no = 1}}, GRANT_MS, "", 0);
    assert_int_equal(gather_answers(g, &whose, got, 2), 2);
    assert_int_equal(whose, 3);
    assert_true(got[0].ref == 1 && got[1].ref == 2);
    assert_int_equal(gather_answers(g, &whose, got, 2), 1);
    assert_true(whose == 3 && got[0].ref == 3);
    assert_int_equal(gather_answers(g, &whose, got, 2), 1);
    assert_true(whose == 4 && got[0].ref == 4);
    no_answer(g);
}

/* --- several --- */

/* Only one of a leg is on its way; of those that wait the last counts. */
static void test_one_on_its_way_and_one_that_waits(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "first", 10));
    assert_true(note(g, 3, &task, GRANT_MS, "second", 11));
    gather_step_t s = note_step(g, 11, "second");
    assert_true(note(g, 3, &task, GRANT_MS, "third", 12));
    assert_true(note(g, 3, &task, 0, "", 13));
    no_step(g, 14);
    assert_int_equal(gather_steps_ms(g, 0), EVERY_MS);
    settle(g, &s, STEP_GRANTED);
    /* He has taken it back since: this grant is for nothing. */
    no_answer(g);
    s = note_step(g, 15, "");
    settle(g, &s, STEP_GRANTED);
    no_answer(g);
    no_step(g, 16);
    /* Of two requests the second gets an answer, and that of its own note. */
    assert_true(note(g, 3, &task, GRANT_MS, "fourth", 17));
    s = note_step(g, 17, "fourth");
    assert_true(note(g, 3, &task, GRANT_MS, "fifth", 18));
    settle(g, &s, STEP_GRANTED);
    no_answer(g);
    s = note_step(g, 19, "fifth");
    settle(g, &s, STEP_GRANTED);
    expect_answer(g, 3, &task, true);
}

static void test_legs_have_notes_of_their_own(void **state)
{
    gather_t *g = *state;
    gather_step_t steps[4];
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t restart = give(g, RESTART, 3), save = give(g, SAVE, 4);
    assert_true(note(g, 3, &restart, GRANT_MS, "restart", 10));
    assert_true(note(g, 4, &save, GRANT_MS, "save", 10));
    /* One at a time: the rest comes with the next call. */
    assert_int_equal(gather_steps(g, 0, 10, steps, 1), 1);
    assert_true(gather_steps_ms(g, 0) == INT64_MIN);
    assert_int_equal(gather_steps(g, 0, 10, steps + 1, 3), 1);
    assert_int_equal(steps[0].note.bit + steps[1].note.bit, SAVE + RESTART);
    for (int i = 0; i < 2; i++) {
        settle(g, &steps[i], STEP_GRANTED);
        expect_answer(g, steps[i].note.bit == SAVE ? 4 : 3, steps[i].note.bit == SAVE ? &save : &restart,
                      true);
    }
}

/* --- before the message goes --- */

static void test_a_note_comes_before_the_end(void **state)
{
    gather_t *g = *state;
    gather_step_t steps[4];
    deliver(g, 1, 7, 1 << RESTART, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, 0, "", 10));
    assert_int_equal(answer(g, 3, &task, OUTCOME_PERMANENT, 0, 10, true), TAKEN_BAD);
    assert_int_equal(gather_steps(g, 0, 10, steps, 1), 1);
    expect_note(&steps[0], RESTART, "");
    /* Not the end yet, or the note would be of a leg that has ended. */
    assert_int_equal(steps[0].bad, 0);
    assert_int_equal(steps[0].text.len, 0);
    assert_int_equal(gather_steps(g, 0, 10, steps + 1, 1), 1);
    assert_true(steps[1].final);
    assert_int_equal(steps[1].bad, 1 << RESTART);
    settle(g, &steps[0], STEP_GRANTED);
    assert_true(settle(g, &steps[1], STEP_DEAD));
    assert_empty(g);
}

static void test_a_release_waits_for_the_note(void **state)
{
    gather_t *g = *state;
    gather_step_t steps[4];
    deliver(g, 1, 7, 1 << RESTART, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", 10));
    gather_step_t s = note_step(g, 10, "intent");
    assert_true(note(g, 3, &task, 0, "", 20));
    assert_int_equal(answer(g, 3, &task, OUTCOME_BLOCKED, 20 * LONG_MS, 20, true), TAKEN_RETRY);
    /* It goes back, but not before it is known to have no intent. */
    no_step(g, 30);
    settle(g, &s, STEP_GRANTED);
    assert_int_equal(gather_steps(g, 0, 40, steps, 4), 2);
    expect_note(&steps[0], RESTART, "");
    assert_int_equal(steps[1].op, OP_RELEASE);
    assert_true(steps[1].final);
    settle(g, &steps[0], STEP_GRANTED);
    assert_true(settle(g, &steps[1], STEP_RETURNED));
    no_answer(g);
    assert_empty(g);
}

/* What is done needs no note. */
static void test_a_leg_done_needs_no_note(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, 1 << RESTART, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", 10));
    gather_step_t s = note_step(g, 10, "intent");
    settle(g, &s, STEP_GRANTED);
    expect_answer(g, 3, &task, true);
    assert_true(note(g, 3, &task, 0, "done", 20));
    ok(g, 3, &task, 20);
    s = one_step(g, 0, 20);
    assert_true(s.final);
    assert_true(settle(g, &s, STEP_DONE));
    assert_empty(g);
}

static void test_a_drain_tells_it_first(void **state)
{
    gather_t *g = *state;
    gather_step_t steps[4];
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    gather_release(g);
    assert_true(note(g, 3, &task, 0, "waited out", 10));
    assert_int_equal(answer(g, 3, &task, OUTCOME_TRANSIENT, 0, 10, true), TAKEN_RETRY);
    assert_int_equal(gather_steps(g, 0, 10, steps, 4), 2);
    expect_note(&steps[0], RESTART, "waited out");
    assert_int_equal(steps[1].op, OP_RELEASE);
}

static void test_a_source_that_is_gone(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", 10));
    gather_source_gone(g, 0);
    expect_answer(g, 3, &task, false);
    no_step(g, FAR_MS);
    assert_false(note(g, 3, &task, GRANT_MS, "intent", 20));
    expect_answer(g, 3, &task, false);
}

/* --- delivered again while held --- */

/* A publisher that was started anew: the step goes out with the token that it knows now. */
static void test_what_was_not_told_is_told_with_the_new_token(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", 10));
    assert_int_equal(deliver_from(g, 1, 1, 8, BOTH, 20), 0);
    gather_step_t s = one_step(g, 1, 20);
    expect_note(&s, RESTART, "intent");
    assert_int_equal(s.token, 8);
    assert_int_equal(g->sources[0].notes.count, 0);
    settle(g, &s, STEP_GRANTED);
    expect_answer(g, 3, &task, true);
}

/* One that is on its way has the old token: whatever is said of it, the lease was lost. */
static void test_what_was_told_with_the_old_token_is_refused(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", 10));
    gather_step_t s = note_step(g, 10, "intent");
    assert_int_equal(deliver_noted(g, 8, BOTH, "intent"), 0);
    expect_answer(g, 3, &task, false);
    settle(g, &s, STEP_GRANTED);
    no_answer(g);
    /* The note is his own: he may go on. */
    assert_true(note(g, 3, &task, GRANT_MS, "again", 20));
    s = note_step(g, 20, "again");
    settle(g, &s, STEP_GRANTED);
    expect_answer(g, 3, &task, true);
}

/* Others had it meanwhile, and have recorded something: who does not know of it must not act. */
static void test_a_note_of_others_bars_who_is_at_work(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "mine", 10));
    assert_int_equal(deliver_noted(g, 8, BOTH, "theirs"), 0);
    expect_answer(g, 3, &task, false);
    assert_false(note(g, 3, &task, GRANT_MS, "mine", 20));
    expect_answer(g, 3, &task, false);
    /* Nor take back what is not his. */
    assert_false(note(g, 3, &task, 0, "", 20));
    no_step(g, 30);
    assert_int_equal(answer(g, 3, &task, OUTCOME_BLOCKED, 0, 30, true), TAKEN_RETRY);
    gather_tick(g, 100);
    task = give(g, RESTART, 3);
    expect_given(&task, "theirs");
    assert_true(note(g, 3, &task, GRANT_MS, "mine", 110));
    note_step(g, 110, "mine");
}

/* The publisher knows of none: there is none. */
static void test_a_delivery_without_it_has_none(void **state)
{
    gather_t *g = *state;
    assert_int_equal(deliver_noted(g, 7, BOTH, "intent"), 1);
    assert_int_equal(deliver(g, 1, 8, BOTH, 0), 0);
    assert_int_equal(give(g, RESTART, 3).record.note_len, 0);
}

/* The step that ended it waits for a note; then it comes again. */
static void test_delivered_again_while_the_end_waits(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, 1 << RESTART, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_true(note(g, 3, &task, GRANT_MS, "intent", 10));
    gather_step_t s = note_step(g, 10, "intent");
    assert_true(note(g, 3, &task, 0, "", 20));
    assert_int_equal(answer(g, 3, &task, OUTCOME_BLOCKED, 20 * LONG_MS, 20, true), TAKEN_RETRY);
    assert_int_equal(deliver_noted(g, 8, 1 << RESTART, "intent"), 0);
    settle(g, &s, STEP_STALE);
    no_step(g, 30);
    task = give(g, RESTART, 3);
    expect_given(&task, "intent");
}

/* --- what is said of tries --- */

static void test_ok_with_a_text_is_told(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, BOTH, 0);
    gather_task_t save = give(g, SAVE, 4), task = give(g, RESTART, 3);
    ok(g, 4, &save, 5);
    result_record_t r = {
        .ref = task.record.ref, .try_no = 1, .outcome = OUTCOME_OK, .text = {"restarted before", 16}};
    bool freed;
    assert_int_equal(gather_result(g, 3, &r, 10, NULL, &freed), TAKEN_OK);
    gather_step_t s = one_step(g, 0, 10);
    assert_true(s.final);
    assert_int_equal(s.tries_count, 1);
    assert_int_equal(s.tries->leg, RESTART);
    assert_int_equal(s.tries->how, HOW_OK);
    assert_int_equal(s.tries->no, 1);
    assert_int_equal(s.tries->text.len, 16);
    assert_memory_equal(s.tries->text.bytes, "restarted before", 16);
}

static void test_unknown_ends_the_leg(void **state)
{
    gather_t *g = *state;
    deliver(g, 1, 7, 1 << RESTART, 0);
    gather_task_t task = give(g, RESTART, 3);
    assert_int_equal(answer(g, 3, &task, OUTCOME_UNKNOWN, 0, 10, true), TAKEN_BAD);
    gather_step_t s = one_step(g, 0, 10);
    assert_true(s.final);
    assert_int_equal(s.bad, 1 << RESTART);
    assert_memory_equal(s.text.bytes, "no such host", s.text.len);
    assert_int_equal(s.tries_count, 1);
    assert_int_equal(s.tries->how, HOW_UNKNOWN);
    assert_int_equal(s.tries->no, 1);
    assert_true(settle(g, &s, STEP_DEAD));
    assert_empty(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_note_is_told_and_granted),
        TEST(test_without_a_grant_nothing_is_answered),
        TEST(test_a_grant_that_comes_too_late_is_none),
        TEST(test_the_next_try_gets_it),
        TEST(test_a_delivery_brings_notes),
        TEST(test_refused),
        TEST(test_a_lost_lease_grants_nothing),
        TEST(test_another_step_says_that_it_is_lost),
        TEST(test_kept_is_no_grant),
        TEST(test_a_leg_that_is_done_meanwhile),
        TEST(test_a_worker_that_is_gone_is_not_answered),
        TEST(test_answers_are_taken_worker_by_worker),
        TEST(test_one_on_its_way_and_one_that_waits),
        TEST(test_legs_have_notes_of_their_own),
        TEST(test_a_note_comes_before_the_end),
        TEST(test_a_release_waits_for_the_note),
        TEST(test_a_leg_done_needs_no_note),
        TEST(test_a_drain_tells_it_first),
        TEST(test_a_source_that_is_gone),
        TEST(test_what_was_not_told_is_told_with_the_new_token),
        TEST(test_what_was_told_with_the_old_token_is_refused),
        TEST(test_a_note_of_others_bars_who_is_at_work),
        TEST(test_a_delivery_without_it_has_none),
        TEST(test_delivered_again_while_the_end_waits),
        TEST(test_ok_with_a_text_is_told),
        TEST(test_unknown_ends_the_leg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

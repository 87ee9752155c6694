/* One try by hand: a policy, what is told to it, and what it wants next. */
#ifndef MANDRILL_TEST_ONCE_FIXTURE_H
#define MANDRILL_TEST_ONCE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/core/once_note.h"

enum { GRANT = 1000, ACT = 2000, RETURN = 4000, POLL = 500, NEED = GRANT + ACT + RETURN, DAY = 86400000 };

typedef struct {
    once_policy_t policy;
    once_task_t task;
    once_t once;
    once_step_t step;
    int64_t now;
    uint8_t note[NOTE_BYTES_MAX]; /* what is recorded */
} try_t;

static inline try_t *try_new(void)
{
    static try_t t;
    t = (try_t){.policy = {.observes = true,
                           .checks = true,
                           .grant_ms = GRANT,
                           .act_ms = ACT,
                           .return_ms = RETURN,
                           .poll_ms = POLL},
                .task = {.age_ms = 60000, .deadline_ms = INT64_MAX},
                .now = 100000};
    return &t;
}

static inline void set_note(try_t *t, const once_note_t *note)
{
    t->task.note_len = once_note_write(note, t->note);
    t->task.note = t->note;
}

/* An intent of an earlier try, with other durations than the policy's. */
static inline void earlier_intent(try_t *t, const char *id)
{
    once_note_t n = {.grant_ms = 10, .act_ms = 1000, .return_ms = 8000};
    snprintf(n.id, sizeof n.id, "%s", id);
    set_note(t, &n);
}
enum { EARLIER_WAIT = 9010 };

static inline void begin(try_t *t)
{
    once_begin(&t->once, &t->policy, &t->task, t->now, &t->step);
}

static inline void look_up(try_t *t, const char *id, int64_t up_ms)
{
    look_t look = {.how = LOOK_SEEN, .seen = {.up_ms = up_ms, .target = "cafe"}};
    snprintf(look.seen.id, sizeof look.seen.id, "%s", id);
    assert_int_equal(t->step.what, ONCE_LOOK);
    once_looked(&t->once, &look, t->now, &t->step);
}

static inline void look(try_t *t, const char *id)
{
    look_up(t, id, -1);
}

static inline void look_not(try_t *t, look_how_t how)
{
    static const char *const texts[] = {
        [LOOK_FAILED] = "no route to host", [LOOK_REFUSED] = "no such host", [LOOK_AWAY] = "no engine"};
    assert_int_equal(t->step.what, ONCE_LOOK);
    once_looked(&t->once, &(look_t){.how = how, .ms = 77, .text = texts[how]}, t->now, &t->step);
}

static inline void grant(try_t *t)
{
    assert_int_equal(t->step.what, ONCE_NOTE);
    once_granted(&t->once, true, t->now, &t->step);
}

static inline void act(try_t *t, acted_how_t how)
{
    assert_int_equal(t->step.what, ONCE_ACT);
    once_acted(&t->once, &(acted_t){.how = how, .outcome = OUTCOME_PERMANENT, .ms = 55, .text = "exit 3"},
               t->now, &t->step);
}

static inline void check(try_t *t, bool well)
{
    assert_int_equal(t->step.what, ONCE_CHECK);
    once_checked(&t->once, well, "port 80 is closed", t->now, &t->step);
}

static inline void due(try_t *t)
{
    t->now = t->step.until_ms;
    once_due(&t->once, t->now, &t->step);
}

/* The step is a wait until `ms` from the begin on; lets it pass. */
static inline void waits(try_t *t, int64_t ms)
{
    assert_int_equal(t->step.what, ONCE_WAIT);
    assert_int_equal(t->step.until_ms - t->once.begun_ms, ms);
    due(t);
}

#define ends(t, how, result, words)                                                                          \
    do {                                                                                                     \
        assert_int_equal((t)->step.what, ONCE_END);                                                          \
        assert_string_equal((t)->step.text, words);                                                          \
        assert_int_equal((t)->step.end, how);                                                                \
        assert_int_equal((t)->step.outcome, result);                                                         \
    } while (0)

/* What END records: nothing, that the intent is void, or a note. */
#define note_stays(t) assert_null((t)->step.note)
#define note_void(t)                                                                                         \
    do {                                                                                                     \
        assert_non_null((t)->step.note);                                                                     \
        assert_int_equal((t)->step.note_len, 0);                                                             \
    } while (0)
#define note_is(t, grant, act, back, is_done, of)                                                            \
    do {                                                                                                     \
        once_note_t is_;                                                                                     \
        assert_non_null((t)->step.note);                                                                     \
        assert_int_equal(once_note_read((t)->step.note, (t)->step.note_len, &is_), 0);                       \
        assert_int_equal(is_.grant_ms, grant);                                                               \
        assert_int_equal(is_.act_ms, act);                                                                   \
        assert_int_equal(is_.return_ms, back);                                                               \
        assert_int_equal(is_.done, is_done);                                                                 \
        assert_string_equal(is_.id, of);                                                                     \
    } while (0)

#endif

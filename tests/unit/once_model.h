/* A host, a message, its publisher, and the workers that try: what happens when they die, stand still, are
 * cut off and see nothing, all from one seed. The publisher is only what once.c rests on: it keeps the note,
 * gives the message to somebody else when its lease runs out, and refuses who has had it before. */
#ifndef MANDRILL_TEST_ONCE_MODEL_H
#define MANDRILL_TEST_ONCE_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/core/backoff.h"
#include "common/core/once_note.h"

enum { EVENTS_MAX = 512, GIVINGS_MAX = 512, TRIES = 6, LOSSES = 8 };

/* A part that does not do what it has to. */
typedef enum {
    SOUND,
    NO_LOOK,     /* tries do not see the notes of earlier ones */
    NO_WAIT,     /* an intent is not waited out */
    NO_FENCE,    /* the publisher grants to whoever asks */
    LATE_GRANTS, /* a grant is taken for good however late it comes */
    VOIDED,      /* an intent is void with any end of its try */
    MUTANTS
} mutant_t;

typedef struct {
    const char *name;
    bool observes, repeats;
    bool compares;   /* the target acts only when it is still what was seen */
    bool standstill; /* workers stand still between the check of the grant and the act, too */
    bool up;         /* the host tells for how long it has been up */
    mutant_t mutant;
} setting_t;

typedef enum { OPEN, DONE, DEAD, UNKNOWN, ENDS } fate_t;

typedef struct {
    int histories, ends[ENDS];
    int restarts, doubles;     /* histories with more than one restart for the message */
    int most_givings, at_once; /* of one message, and how many had it at the same time */
} tally_t;

enum { GRANT = 50, ACT = 100, RETURN = 200, POLL = 20, LEASE = 60, EXTEND = 20, ENDLESS_MS = 3600000 };

typedef enum {
    /* of the publisher and the host */
    GIVE,
    EXPIRE,
    RECORD,
    RESULT,
    DARK,
    ADMIN,
    EFFECT,
    SAMPLE,
    /* of a worker: nothing when it is dead, later when it stands still */
    SEEN,
    GRANTED,
    ACTED,
    CHECKED,
    DUE,
    CANCEL,
    STAY,
} kind_t;

typedef struct {
    int64_t at_ms;
    uint64_t serial;
    kind_t kind;
    int giving;
    uint32_t step_no;
    int64_t value; /* GRANTED: whether; SEEN: the boot, -1: nothing; EFFECT: the boot that it was meant for */
    int64_t up_ms;
    outcome_t outcome;
    once_end_t end;
    int64_t ms;
    bool wants;
    uint32_t note_len;
    uint8_t note[NOTE_BYTES_MAX];
} happening_t;

/* What a worker has been given: a try, and its token is its place. */
typedef struct {
    once_t once;
    once_step_t step;
    uint32_t step_no;
    bool dead, ended;
    int64_t still_ms, cut_ms; /* until then it stands still, is cut off */
    int64_t asked_ms;
    acted_how_t told; /* of its act */
} giving_t;

typedef struct {
    const setting_t *mode;
    once_policy_t policy;
    uint64_t random, serial;
    int64_t now;
    happening_t events[EVENTS_MAX];
    int events_count;
    giving_t givings[GIVINGS_MAX];
    int given; /* the last one is the current one, when it is leased */
    bool leased;
    int64_t lease_ms;
    uint8_t note[NOTE_BYTES_MAX];
    uint32_t note_len;
    int tries, losses;
    fate_t fate;
    int64_t boot, booted_ms, down_ms, dark_ms; /* it cannot be read until then */
    int restarts, others;
} world_t;

static world_t w;

static int64_t upto(int64_t most)
{
    return (int64_t)(random_next(&w.random) % (uint64_t)(most + 1));
}

static bool one_in(int64_t n)
{
    return upto(n - 1) == 0;
}

static happening_t *plan(kind_t kind, int64_t at_ms, int giving)
{
    assert_true(w.events_count < EVENTS_MAX);
    happening_t *e = &w.events[w.events_count++];
    *e = (happening_t){.at_ms = at_ms, .serial = w.serial++, .kind = kind, .giving = giving};
    if (giving >= 0) {
        e->step_no = w.givings[giving].step_no;
    }
    return e;
}

static happening_t next(void)
{
    int first = 0;
    for (int i = 1; i < w.events_count; i++) {
        const happening_t *a = &w.events[i], *b = &w.events[first];
        if (a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->serial < b->serial)) {
            first = i;
        }
    }
    happening_t e = w.events[first];
    w.events[first] = w.events[--w.events_count];
    return e;
}

/* --- a worker --- */

static void send(const giving_t *g, int giving, bool wants, const once_step_t *step)
{
    if (w.now >= g->cut_ms) {
        happening_t *e = plan(RECORD, w.now + upto(GRANT * 2 / 3), giving);
        e->wants = wants;
        e->note_len = step->note_len;
        memcpy(e->note, step->note, step->note_len);
    }
}

/* The act takes effect in a moment, or never, and what is told of it may be less than what is so. */
static void act(giving_t *g, int giving)
{
    const int64_t begin_ms = w.now + (w.mode->standstill && one_in(4) ? upto(3000) : 0);
    const int64_t tell_ms = begin_ms + upto(ACT);
    const int64_t chance = upto(99);
    g->told = chance < 65 ? ACTED_DONE : chance < 90 ? ACTED_UNKNOWN : ACTED_NOT;
    plan(ACTED, tell_ms, giving);
    if (chance >= 5 && chance < 80) {
        happening_t *e = plan(EFFECT, begin_ms + upto(ACT), giving);
        const int64_t down_until_ms = tell_ms + RETURN;
        e->value = g->step.observed[0] != '\0' ? strtoll(g->step.observed, NULL, 10) : -1;
        e->ms = e->at_ms + upto(down_until_ms - e->at_ms);
    }
}

static void finish(giving_t *g, int giving)
{
    g->ended = true;
    const once_step_t voided = {.note = "", .note_len = 0};
    if (w.mode->mutant == VOIDED) {
        send(g, giving, false, &voided);
    } else if (g->step.note != NULL) {
        send(g, giving, false, &g->step);
    }
    if (w.now < g->cut_ms || one_in(30)) {
        return; /* nobody hears of it, or it dies between the two */
    }
    happening_t *e = plan(RESULT, w.now + GRANT * 2 / 3, giving);
    e->outcome = g->step.outcome;
    e->end = g->step.end;
    e->ms = g->step.ms;
}

/* Does what the step says. */
static void go(giving_t *g, int giving)
{
    g->step_no++;
    g->asked_ms = w.now;
    switch (g->step.what) {
    case ONCE_LOOK:
        plan(SAMPLE, w.now + upto(15), giving);
        break;
    case ONCE_NOTE:
        send(g, giving, true, &g->step);
        plan(DUE, g->step.until_ms, giving);
        break;
    case ONCE_ACT:
        act(g, giving);
        break;
    case ONCE_CHECK:
        plan(CHECKED, w.now + upto(15), giving);
        break;
    case ONCE_WAIT:
        plan(DUE, g->step.until_ms, giving);
        break;
    case ONCE_END:
        finish(g, giving);
        break;
    }
}

static void seen(giving_t *g, const happening_t *e)
{
    look_t look = {.how = LOOK_FAILED, .text = "no answer"};
    if (e->value >= 0) {
        look = (look_t){.how = LOOK_SEEN, .seen = {.up_ms = w.mode->up ? e->up_ms : -1}};
        snprintf(look.seen.id, sizeof look.seen.id, "%lld", (long long)e->value);
    }
    once_looked(&g->once, &look, w.now, &g->step);
}

static void work(const happening_t *e)
{
    giving_t *g = &w.givings[e->giving];
    if (g->dead || g->ended || (e->kind < CANCEL && e->step_no != g->step_no)) {
        return;
    }
    if (one_in(60)) {
        g->dead = true;
        return;
    }
    if (w.now >= g->still_ms && one_in(40)) {
        g->still_ms = w.now + upto(2000);
    }
    if (w.now < g->still_ms) {
        w.events[w.events_count] = *e;
        w.events[w.events_count++].at_ms = g->still_ms;
        return;
    }
    if (one_in(60)) {
        g->cut_ms = w.now + upto(500);
    }
    const bool late = w.mode->mutant == LATE_GRANTS;
    switch (e->kind) {
    case SEEN:
        seen(g, e);
        break;
    case GRANTED:
        once_granted(&g->once, e->value != 0, late ? g->asked_ms : w.now, &g->step);
        break;
    case ACTED:
        once_acted(&g->once, &(acted_t){.how = g->told, .outcome = OUTCOME_TRANSIENT, .text = "as it is"},
                   w.now, &g->step);
        break;
    case CHECKED:
        once_checked(&g->once, !one_in(5), "not yet", w.now, &g->step);
        break;
    case CANCEL:
        once_cancel(&g->once, w.now, &g->step);
        break;
    case STAY:
        if (w.now >= g->cut_ms && w.leased && e->giving == w.given - 1) {
            w.lease_ms = w.now + LEASE > w.lease_ms ? w.now + LEASE : w.lease_ms;
        }
        plan(STAY, w.now + EXTEND, e->giving);
        return;
    default: /* DUE */
        if (late && g->step.what == ONCE_NOTE) {
            return; /* waits for it for ever */
        }
        once_due(&g->once, w.now, &g->step);
    }
    go(g, e->giving);
}

/* --- the publisher --- */

static void give(void)
{
    assert_true(w.given < GIVINGS_MAX);
    const int giving = w.given++;
    giving_t *g = &w.givings[giving];
    *g = (giving_t){0};
    w.leased = true;
    w.lease_ms = w.now + LEASE;
    plan(EXPIRE, w.lease_ms, -1);
    uint8_t bytes[NOTE_BYTES_MAX];
    once_task_t task = {.note = bytes, .note_len = w.note_len, .age_ms = w.now, .deadline_ms = INT64_MAX};
    once_note_t note;
    memcpy(bytes, w.note, w.note_len);
    if (w.mode->mutant == NO_LOOK) {
        task.note_len = 0;
    } else if (w.mode->mutant == NO_WAIT && w.note_len > 0 &&
               once_note_read(w.note, w.note_len, &note) == 0) {
        note.grant_ms = note.act_ms = note.return_ms = 0;
        task.note_len = once_note_write(&note, bytes);
    }
    once_begin(&g->once, &w.policy, &task, w.now, &g->step);
    memset(bytes, 0xff, sizeof bytes); /* the task's bytes are not needed any more */
    plan(STAY, w.now + EXTEND, giving);
    if (one_in(10)) {
        plan(CANCEL, w.now + upto(600), giving);
    }
    go(g, giving);
}

static bool current(int giving)
{
    return w.fate == OPEN && ((w.leased && giving == w.given - 1) || w.mode->mutant == NO_FENCE);
}

static void again(int64_t ms)
{
    w.leased = false;
    plan(GIVE, w.now + ms, -1);
}

static void expire(void)
{
    if (!w.leased || w.fate != OPEN) {
        return;
    }
    if (w.now < w.lease_ms) {
        plan(EXPIRE, w.lease_ms, -1);
        return;
    }
    if (++w.losses == LOSSES) {
        w.fate = DEAD;
        return;
    }
    again(upto(50));
}

static void record(const happening_t *e)
{
    const bool good = current(e->giving);
    if (good) {
        memcpy(w.note, e->note, e->note_len);
        w.note_len = e->note_len;
        if (e->wants && w.now + GRANT > w.lease_ms) {
            w.lease_ms = w.now + GRANT;
        }
    }
    const giving_t *g = &w.givings[e->giving];
    if (e->wants && w.now >= g->cut_ms) {
        happening_t *answer = plan(GRANTED, w.now + upto(GRANT / 2), e->giving);
        answer->step_no = e->step_no;
        answer->value = good;
    }
}

static void result(const happening_t *e)
{
    if (w.fate == OPEN && e->outcome == OUTCOME_OK) {
        /* What is told to be restarted was seen to be another one than before. */
        if (w.mode->observes && w.mode->mutant == SOUND && e->end == ONCE_RESTARTED) {
            assert_true(w.restarts + w.others > 0);
        }
        w.fate = DONE;
    } else if (current(e->giving) && w.leased && e->giving == w.given - 1) {
        if (e->outcome == OUTCOME_BLOCKED) {
            again(e->ms);
        } else if (e->outcome == OUTCOME_UNKNOWN) {
            w.fate = UNKNOWN;
        } else if (e->outcome == OUTCOME_PERMANENT || ++w.tries == TRIES) {
            w.fate = DEAD;
        } else {
            again(upto(300));
        }
    }
}

/* --- the host --- */

static void effect(const happening_t *e)
{
    giving_t *g = &w.givings[e->giving];
    if (w.mode->compares && e->value != w.boot) {
        g->told = ACTED_NOT;
        return;
    }
    if (w.mode->repeats && w.restarts > 0) {
        return;
    }
    w.restarts++;
    w.boot++;
    w.booted_ms = w.now;
    w.down_ms = e->ms > w.down_ms ? e->ms : w.down_ms;
}

static void sample(const happening_t *e)
{
    const giving_t *g = &w.givings[e->giving];
    if (g->ended || g->step_no != e->step_no) {
        return;
    }
    const bool dark = w.now < w.down_ms || w.now < w.dark_ms;
    const int64_t answer_ms = w.now + upto(5);
    happening_t *answer = plan(SEEN, answer_ms, e->giving);
    answer->value = dark ? -1 : w.boot;
    answer->up_ms = w.now - w.booted_ms;
}

static void happen(const happening_t *e)
{
    switch (e->kind) {
    case GIVE:
        if (w.fate == OPEN) {
            give();
        }
        break;
    case EXPIRE:
        expire();
        break;
    case RECORD:
        record(e);
        break;
    case RESULT:
        result(e);
        break;
    case DARK:
        w.dark_ms = w.now + upto(one_in(4) ? 2000 : 100);
        break;
    case ADMIN:
        w.boot++;
        w.booted_ms = w.now;
        w.others++;
        break;
    case EFFECT:
        effect(e);
        break;
    case SAMPLE:
        sample(e);
        break;
    default:
        work(e);
    }
}

/* --- histories --- */

static int at_once(void)
{
    int n = 0;
    for (int i = 0; i < w.given; i++) {
        n += !w.givings[i].dead && !w.givings[i].ended;
    }
    return n;
}

/* One history: adds what came of it. */
static void model_run(const setting_t *mode, uint64_t seed, tally_t *t)
{
    w.events_count = 0;
    w = (world_t){.mode = mode,
                  .random = seed,
                  .boot = 1,
                  .booted_ms = -1000000,
                  .policy = {.observes = mode->observes,
                             .repeats = mode->repeats,
                             .grant_ms = GRANT,
                             .act_ms = ACT,
                             .return_ms = RETURN,
                             .poll_ms = POLL}};
    w.policy.checks = one_in(2);
    plan(GIVE, upto(100), -1);
    for (int i = 0; i < 3; i++) {
        plan(DARK, upto(3000), -1);
    }
    if (one_in(8)) {
        plan(ADMIN, upto(1000), -1);
    }
    /* To the end of all that was begun, also by those who do not know that it is over. */
    while (w.events_count > 0) {
        const happening_t e = next();
        w.now = e.at_ms;
        assert_true(w.now < ENDLESS_MS);
        happen(&e);
        const int n = at_once();
        t->at_once = n > t->at_once ? n : t->at_once;
    }
    t->histories++;
    t->ends[w.fate]++;
    t->restarts += w.restarts;
    t->doubles += w.restarts > 1;
    t->most_givings = w.given > t->most_givings ? w.given : t->most_givings;
}

#endif

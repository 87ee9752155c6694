/* The gather among workers and publishers that do anything in any order: messages are redelivered while held,
 * workers die, leave, come back with what they had and answer late or not at all, answers to steps are late.
 * After every move the tables must be sound and every worker's credit right; a leg counts as done only when a
 * worker has said so, and is tried no more often than allowed, however often it is delivered. Workers record
 * notes, and so do those of other consumers: none may hide one that it does not know, and a grant speaks of
 * what the publisher has. In the end, when the faults stop, everything must be over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gather_sound.h"
#include <errno.h>
#include <string.h>

enum {
    MESSAGES = 40,
    LEGS = 3,
    WORKERS = 5,
    SOURCES = 2,
    TASKS_KEPT = 4096,
    STEPS_KEPT = 4096,
    ROUNDS = 30,
    MOVES = 4000,
    HELD = 24,
    TRIES = 6,
    LIMIT_MS = 3000,
    NOTES_MAX = 1 << 16,
    NOTE_PADDING = 60, /* at most */
    GRANT_MS = 2000
};

typedef struct {
    uint64_t seq;
    bool out; /* leased */
    uint64_t token;
    uint8_t open;            /* as the publisher knows */
    uint8_t worked;          /* legs that a worker has said OK to */
    uint8_t tries[LEGS_MAX]; /* as the publisher has counted those that it was told */
    uint32_t notes[LEGS];    /* recorded last; 0: nothing */
    int64_t granted_ms;      /* its lease does not run out before */
    bool over;
    uint32_t source;
} model_t;

typedef struct {
    gather_task_t task;
    uint32_t worker;
    bool current;   /* the gather counts it as the worker's */
    uint32_t knows; /* the note that it came with */
    uint32_t asks;  /* its note that waits for a grant */
    int64_t until_ms;
} given_t;

/* Where a note comes from. */
typedef struct {
    uint64_t ref;   /* 0: from another consumer */
    uint32_t knows; /* the note that its task came with */
    bool empty;
} origin_t;

typedef struct {
    gather_t *g;
    uint64_t random;
    int64_t now_ms;
    uint64_t token;
    model_t messages[MESSAGES];
    given_t given[TASKS_KEPT];
    uint32_t given_count;
    gather_step_t steps[STEPS_KEPT];
    uint8_t told[STEPS_KEPT][LEGS_MAX]; /* by each: the highest number of a try that failed */
    origin_t origins[NOTES_MAX];        /* of notes, by number */
    uint32_t notes_count;
    uint8_t bytes[LEGS][NOTE_PADDING + 4]; /* of a delivery */
    uint32_t steps_first, steps_end;
    bool calm; /* no more faults */
    uint64_t grants;
} world_t;

static uint32_t draw(world_t *w, uint32_t n)
{
    return (uint32_t)(random_next(&w->random) % n);
}

static void check(const world_t *w)
{
    check_tables(w->g);
    uint32_t current[WORKERS] = {0};
    for (uint32_t i = 0; i < w->given_count; i++)
        if (w->given[i].current)
            current[w->given[i].worker]++;
    for (uint32_t worker = 0; worker < WORKERS; worker++)
        check_worker(w->g, worker, current[worker], w->now_ms);
}

/* --- notes --- */

static uint32_t write_note(uint32_t no, uint8_t *bytes)
{
    memset(bytes, 0, NOTE_PADDING + 4);
    memcpy(bytes, &no, sizeof no);
    return 4 + no * 7 % NOTE_PADDING;
}

static uint32_t read_note(const void *bytes, uint32_t len)
{
    uint32_t no = 0;
    if (len > 0)
        memcpy(&no, bytes, sizeof no);
    return no;
}

static uint32_t new_note(world_t *w, origin_t origin)
{
    assert_true(++w->notes_count < NOTES_MAX);
    w->origins[w->notes_count] = origin;
    return w->notes_count;
}

/* An empty one has its number from who has recorded it. */
static uint32_t number_of(const world_t *w, const gather_note_t *note)
{
    if (note == NULL || note->len > 0)
        return note != NULL ? read_note(note->bytes, note->len) : 0;
    for (uint32_t no = w->notes_count; no > 0; no--)
        if (w->origins[no].empty && w->origins[no].ref == note->ref)
            return no;
    fail_msg("a note that nobody has recorded");
    return 0;
}

/* Whether those who have recorded this one have seen the other: it came with their task, or is their own, or
 * those whose note they were given have. */
static bool has_seen(const world_t *w, uint32_t no, uint32_t other)
{
    while (no != 0 && no != other && (w->origins[no].ref == 0 || w->origins[no].ref != w->origins[other].ref))
        no = w->origins[no].knows;
    return no != 0;
}

/* --- the publishers --- */

static void fill(world_t *w, model_t *m)
{
    *m = (model_t){.seq = m->seq + MESSAGES, .open = (uint8_t)(1 + draw(w, (1 << LEGS) - 1))};
}

static model_t *find(world_t *w, message_id_t id)
{
    model_t *m = &w->messages[id.seq % MESSAGES];
    return m->seq == id.seq ? m : NULL;
}

/* Another consumer may have had it since. */
static uint32_t bring_notes(world_t *w, model_t *m, note_t *ret)
{
    uint32_t n = 0;
    for (uint32_t leg = 0; leg < LEGS; leg++) {
        if ((m->open >> leg & 1) == 0)
            continue;
        if (!w->calm && !m->out && draw(w, 6) == 0)
            m->notes[leg] = new_note(w, (origin_t){.knows = m->notes[leg]});
        if (m->notes[leg] == 0)
            continue;
        uint32_t len = write_note(m->notes[leg], w->bytes[n]);
        ret[n] = (note_t){.bit = (uint8_t)leg, .bytes = w->bytes[n], .len = len};
        n++;
    }
    return n;
}

static void deliver(world_t *w)
{
    model_t *m = &w->messages[draw(w, MESSAGES)];
    if (m->over && !w->calm)
        fill(w, m);
    if (m->over || (m->out && (w->calm || draw(w, 20) != 0 || w->now_ms < m->granted_ms)))
        return;
    note_t notes[LEGS];
    uint32_t notes_count = bring_notes(w, m, notes);
    if (!w->calm && draw(w, 8) == 0)
        m->source = draw(w, SOURCES);
    gather_message_t message = {.source = m->source,
                                .id = {.stream = 7, .seq = m->seq},
                                .token = ++w->token,
                                .legs = m->open,
                                .body = "0123456789",
                                .body_len = draw(w, 11),
                                .notes = notes,
                                .notes_count = notes_count};
    memcpy(message.tries, m->tries, sizeof message.tries);
    int error = gather_deliver(w->g, &message, w->now_ms);
    assert_true(error == 0 || error == 1 || error == -ENOSPC);
    if (error >= 0) {
        m->out = true;
        m->token = w->token;
    }
}

/* note_t.len is the note's number here, as its bytes are gone. */
static step_code_t record(const world_t *w, model_t *m, const gather_step_t *s)
{
    uint32_t no = s->note.len, *at = &m->notes[s->note.bit];
    if ((m->open & ~s->bad & 1u << s->note.bit) == 0)
        return STEP_KEPT;
    assert_true(*at == 0 || has_seen(w, no, *at));
    *at = w->origins[no].empty ? 0 : no;
    if (s->ms > 0 && w->now_ms + s->ms > m->granted_ms)
        m->granted_ms = w->now_ms + s->ms;
    return STEP_GRANTED;
}

static step_code_t settle(world_t *w, const gather_step_t *s, const uint8_t *told)
{
    model_t *m = find(w, s->id);
    if (m == NULL || m->over)
        return STEP_GONE;
    for (uint32_t leg = 0; leg < LEGS_MAX; leg++)
        if (told[leg] > m->tries[leg])
            m->tries[leg] = told[leg];
    /* Never done what no worker has said. */
    assert_int_equal(s->done & ~m->worked, 0);
    m->open &= (uint8_t)~s->done;
    bool current = m->out && s->token == m->token;
    if (m->open == 0) {
        m->over = true;
        return STEP_DONE;
    }
    if (!current)
        return STEP_STALE;
    if ((m->open & ~s->bad) == 0) {
        m->over = true;
        return STEP_DEAD;
    }
    if (s->op == OP_RELEASE) {
        m->out = false;
        return STEP_RETURNED;
    }
    return s->op == OP_NOTE ? record(w, m, s) : STEP_KEPT;
}

static void answer_step(world_t *w, const gather_step_t *s, step_code_t code)
{
    if (s->op == OP_NOTE)
        gather_note_settled(w->g, s->slot, s->lease, s->note_no, code);
    else
        gather_settled(w->g, s->slot, s->lease, s->final, code);
}

static void answer_steps(world_t *w)
{
    for (uint32_t n = draw(w, 8); n > 0 && w->steps_first < w->steps_end; n--) {
        const uint8_t *told = w->told[w->steps_first % STEPS_KEPT];
        const gather_step_t step = w->steps[w->steps_first++ % STEPS_KEPT], *s = &step;
        step_code_t code = settle(w, s, told);
        if (w->calm || draw(w, 10) != 0)
            answer_step(w, s, code);
        else { /* the answer is lost: the step is sent again */
            memmove(w->told[w->steps_end % STEPS_KEPT], told, LEGS_MAX);
            w->steps[w->steps_end++ % STEPS_KEPT] = step;
        }
        if (!w->calm && draw(w, 10) == 0) /* sent twice, answered twice */
            answer_step(w, s, settle(w, s, told));
        model_t *m = find(w, s->id);
        if (s->final && code == STEP_KEPT && m != NULL)
            m->out = false;
    }
}

/* Tries come in their order and are never too many. */
static void take_tries(world_t *w, const gather_step_t *s)
{
    uint8_t *told = w->told[w->steps_end % STEPS_KEPT];
    memset(told, 0, LEGS_MAX);
    assert_true(s->tries_count <= STEP_EVENTS_MAX);
    const gather_try_t *t = s->tries;
    for (uint32_t i = 0; i < s->tries_count; i++, t = t->next) {
        assert_true(t->no >= 1 && t->leg < LEGS);
        bool counts = t->how == HOW_TRANSIENT || t->how == HOW_LOST || t->how == HOW_TIMEOUT;
        assert_true(t->no <= (counts ? TRIES : TRIES + 1) && t->no > told[t->leg]);
        if (counts)
            told[t->leg] = (uint8_t)t->no;
    }
}

/* The number of the note that the step has. */
static uint32_t told_note(const world_t *w, const gather_step_t *s)
{
    const gather_note_t *note = gather_note_of(&w->g->entries[s->slot], s->note.bit);
    assert_true(note->told_no == s->note_no);
    return number_of(w, note);
}

static void take_steps(world_t *w)
{
    uint32_t source = draw(w, SOURCES);
    uint32_t room = STEPS_KEPT - (w->steps_end - w->steps_first);
    gather_step_t steps[4];
    uint32_t max = room < 4 ? room : 4;
    size_t n = gather_steps(w->g, source, w->now_ms, steps, max);
    for (size_t i = 0; i < n; i++) {
        take_tries(w, &steps[i]);
        steps[i].note.len = steps[i].note_no; /* which it is */
        if (steps[i].op == OP_NOTE)
            steps[i].note.len = told_note(w, &steps[i]);
        w->steps[w->steps_end++ % STEPS_KEPT] = steps[i];
    }
    if (n == 0 && max > 0)
        assert_true(gather_steps_ms(w->g, source) > w->now_ms);
}

/* A lease that ran out without the gather's knowing; also how what was never answered comes back. */
static void expire(world_t *w)
{
    model_t *m = &w->messages[draw(w, MESSAGES)];
    if (draw(w, w->calm ? 4 : 50) == 0 && w->now_ms >= m->granted_ms)
        m->out = false;
}

/* --- the workers --- */

static void give(world_t *w)
{
    uint32_t leg = draw(w, LEGS), worker = draw(w, WORKERS);
    given_t *given = &w->given[w->given_count];
    if (w->given_count == TASKS_KEPT ||
        !gather_give(w->g, leg, worker, draw(w, 2) == 0, w->now_ms, &given->task))
        return;
    for (uint32_t i = w->given_count; i-- > 0;) {
        const given_t *other = &w->given[i];
        if (other->task.record.ref != given->task.record.ref)
            continue;
        /* One that has lost a task and got it again answers once. */
        if (!other->current && other->worker == worker &&
            other->task.record.try_no == given->task.record.try_no) {
            w->given[i] = w->given[w->given_count - 1];
            w->given[w->given_count - 1] = *given;
            given = &w->given[--w->given_count];
        }
    }
    given->worker = worker;
    given->current = true;
    given->asks = 0;
    const entry_t *e = &w->g->entries[gather_ref_number(given->task.record.ref) / LEGS_MAX];
    given->knows = number_of(w, gather_note_of(e, leg));
    assert_true(given->task.record.note_len == 0 ||
                given->knows == read_note(given->task.record.note, given->task.record.note_len));
    w->given_count++;
    if (!w->calm && draw(w, 30) == 0) {
        gather_ungive(w->g, given->task.record.ref);
        w->given_count--;
    }
}

static void forget(world_t *w, uint32_t i)
{
    w->given[i] = w->given[--w->given_count];
}

static void result(world_t *w)
{
    if (w->given_count == 0)
        return;
    uint32_t i = draw(w, w->given_count);
    given_t given = w->given[i];
    /* What it has lost of a task that it has another try of it does not answer. */
    if (!given.current && gather_stray_find(w->g, given.worker, given.task.record.ref) != UINT32_MAX) {
        forget(w, i);
        return;
    }
    if (!w->calm && given.task.record.id.seq % 5 == 0 && draw(w, 10) != 0)
        return; /* it hangs */
    result_record_t r = {.ref = given.task.record.ref,
                         .try_no = given.task.record.try_no,
                         .outcome = draw(w, 2) == 0 ? OUTCOME_OK : (outcome_t)draw(w, OUTCOMES),
                         .ms = draw(w, 3) * 100,
                         .text = {"why", draw(w, 4)}};
    model_t *m = find(w, given.task.record.id);
    if (r.outcome == OUTCOME_OK && m != NULL)
        m->worked |= (uint8_t)(1u << given.task.leg);
    bool freed;
    message_id_t id;
    gather_taken_t taken = gather_result(w->g, given.worker, &r, w->now_ms, &id, &freed);
    assert_int_equal(freed, given.current);
    if (taken != TAKEN_LATE)
        assert_int_equal(id.seq, given.task.record.id.seq);
    if (given.current)
        forget(w, i);
    else if (draw(w, 2) == 0)
        forget(w, i);
}

/* One that has the task or had it records something, or that it is void. */
static void take_note(world_t *w)
{
    uint8_t bytes[NOTE_PADDING + 4];
    if (w->given_count == 0 || w->calm)
        return;
    given_t *given = &w->given[draw(w, w->given_count)];
    const origin_t origin = {.ref = given->task.record.ref, .knows = given->knows, .empty = draw(w, 3) == 0};
    const uint32_t no = new_note(w, origin);
    note_record_t r = {.ref = given->task.record.ref,
                       .try_no = given->task.record.try_no,
                       .grant_ms = origin.empty || draw(w, 3) == 0 ? 0 : GRANT_MS,
                       .bytes = bytes,
                       .len = origin.empty ? 0 : write_note(no, bytes)};
    if (!gather_note(w->g, given->worker, &r, w->now_ms)) {
        w->notes_count--;
        return;
    }
    assert_true(given->current);
    given->asks = r.grant_ms > 0 ? no : 0;
    given->until_ms = w->now_ms + r.grant_ms;
}

static void take_grant(world_t *w, uint32_t worker, const grant_record_t *a)
{
    for (uint32_t i = 0; i < w->given_count; i++) {
        given_t *given = &w->given[i];
        if (given->worker != worker || given->task.record.ref != a->ref ||
            given->task.record.try_no != a->try_no)
            continue;
        assert_true(!a->granted || (given->current && given->asks != 0));
        const model_t *m = find(w, given->task.record.id);
        if (a->granted && w->now_ms < given->until_ms)
            assert_true(m != NULL && !m->over && m->notes[given->task.leg] == given->asks);
        w->grants += a->granted;
        given->asks = 0;
        return;
    }
    assert_false(a->granted);
}

static void take_grants(world_t *w)
{
    grant_record_t answers[4];
    uint32_t worker;
    size_t n;
    while ((n = gather_answers(w->g, &worker, answers, 4)) > 0)
        for (size_t i = 0; i < n; i++)
            take_grant(w, worker, &answers[i]);
}

/* Which of its tasks the worker says that it has: each try of some messages. */
static size_t choose_held(world_t *w, uint32_t worker, uint64_t *refs)
{
    size_t kept = 0;
    uint32_t part = 1 + draw(w, 4);
    for (uint32_t i = 0; i < w->given_count; i++) {
        given_t *given = &w->given[i];
        if (given->worker != worker || !given->current)
            continue;
        given->current = given->task.record.id.seq % part == 0;
        if (given->current)
            refs[kept++] = given->task.record.ref;
    }
    return kept;
}

static void lose_worker(world_t *w)
{
    static uint64_t refs[TASKS_KEPT];
    uint32_t worker = draw(w, WORKERS);
    size_t kept = choose_held(w, worker, refs);
    gather_worker_started(w->g, worker, draw(w, 10), w->now_ms);
    if (draw(w, 2) == 0) {
        gather_worker_holds(w->g, worker, refs, kept, w->now_ms);
        return;
    }
    gather_worker_gone(w->g, worker, draw(w, 4) != 0, w->now_ms);
    /* It comes back, as somebody else or with what it had. */
    uint32_t room = HELD - (w->g->strays_index.count - w->g->lost_strays.count);
    bool same = draw(w, 2) == 0 && kept <= room;
    uint32_t count = gather_worker_joined(w->g, worker, "back", refs, same ? kept : 0, w->now_ms);
    assert_int_equal(count, same ? kept : 0);
    for (uint32_t i = 0; i < w->given_count; i++)
        if (w->given[i].worker == worker && !same)
            w->given[i].current = false;
}

static void move(world_t *w)
{
    switch (draw(w, 18)) {
    case 16:
    case 17:
        take_note(w);
        break;
    case 0:
    case 1:
        deliver(w);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        give(w);
        break;
    case 6:
    case 7:
    case 8:
        result(w);
        break;
    case 9:
    case 10:
        take_steps(w);
        break;
    case 11:
    case 12:
        answer_steps(w);
        break;
    case 13:
        expire(w);
        break;
    case 14:
        w->now_ms += draw(w, 300);
        gather_tick(w->g, w->now_ms);
        assert_true(gather_next_ms(w->g) > w->now_ms);
        break;
    default:
        if (!w->calm && draw(w, 3) == 0)
            lose_worker(w);
        if (!w->calm && draw(w, 100) == 0)
            gather_extend_all(w->g, draw(w, SOURCES), w->now_ms);
        if (!w->calm && draw(w, 200) == 0)
            gather_source_gone(w->g, draw(w, SOURCES));
        break;
    }
    /* What it was answered is for the tasks that it has then. */
    take_grants(w);
    check(w);
}

static bool all_over(const world_t *w)
{
    for (uint32_t i = 0; i < MESSAGES; i++)
        if (!w->messages[i].over)
            return false;
    gather_gauges_t gauges;
    gather_gauges(w->g, &gauges);
    return gauges.held == 0 && w->given_count == 0;
}

static void run(uint64_t seed)
{
    static world_t w;
    gather_limits_t limits = {.messages_max = HELD,
                              .extend_ms = 3000,
                              .extend_every_ms = 2000,
                              .report_after_ms = 100,
                              .release_after_ms = 400,
                              .policy = {.max_tries = TRIES,
                                         .limit_hard_ms = LIMIT_MS,
                                         .backoff = {.base_ms = 50, .factor = 2, .cap_ms = 1000}},
                              .seed = seed};
    memset(&w, 0, sizeof w);
    w.g = gather_new(&limits);
    w.random = seed;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        w.messages[i].seq = i;
        fill(&w, &w.messages[i]);
    }
    for (uint32_t i = 0; i < MOVES; i++)
        move(&w);
    w.calm = true;
    for (uint32_t i = 0; i < 100 * MOVES && !all_over(&w); i++)
        move(&w);
    assert_true(all_over(&w));
    assert_true(w.grants > 0);
    gather_steps(w.g, 0, w.now_ms, NULL, 0); /* what was told last is let go */
    assert_int_equal(w.g->slab.bytes_used, 0);
    gather_destroy(&w.g);
}

static void test_everything_ends(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++)
        run(seed);
}

/* The same, but in the middle the process is told to stop: what runs is let run out, all else goes back. */
static void test_a_drain_ends(void **state)
{
    (void)state;
    static world_t w;
    for (uint64_t seed = 100; seed < 100 + ROUNDS; seed++) {
        gather_limits_t limits = {
            .messages_max = HELD,
            .extend_every_ms = 2000,
            .release_after_ms = 400,
            .policy = {.max_tries = TRIES, .limit_hard_ms = LIMIT_MS, .backoff = {50, 2, 1000}},
            .seed = seed};
        memset(&w, 0, sizeof w);
        w.g = gather_new(&limits);
        w.random = seed;
        for (uint32_t i = 0; i < MESSAGES; i++) {
            w.messages[i].seq = i;
            fill(&w, &w.messages[i]);
        }
        for (uint32_t i = 0; i < MOVES / 4; i++)
            move(&w);
        gather_release(w.g);
        check(&w);
        w.calm = true;
        gather_gauges_t gauges;
        gather_gauges(w.g, &gauges);
        for (uint32_t i = 0; i < 10 * MOVES && gauges.held > 0; i++) {
            if (draw(&w, 2) == 0)
                result(&w);
            else if (draw(&w, 2) == 0)
                take_steps(&w);
            else
                answer_steps(&w);
            w.now_ms += 10;
            take_grants(&w);
            check(&w);
            gather_gauges(w.g, &gauges);
            for (uint32_t leg = 0; leg < LEGS; leg++)
                assert_int_equal(gauges.waiting[leg] + gauges.backing_off[leg], 0);
        }
        assert_int_equal(gauges.held, 0);
        gather_destroy(&w.g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_ends),
        cmocka_unit_test(test_a_drain_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

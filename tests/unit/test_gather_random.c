/* The gather among workers and publishers that do anything in any order: messages are redelivered while held,
 * workers die, leave, come back with what they had and answer late or not at all, answers to steps are late.
 * After every move the tables must be sound and every worker's credit right; a leg counts as done only when a
 * worker has said so, and is tried no more often than allowed, however often it is delivered. In the end,
 * when the faults stop, everything must be over. */
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
    LIMIT_MS = 3000
};

typedef struct {
    uint64_t seq;
    bool out; /* leased */
    uint64_t token;
    uint8_t open;            /* as the publisher knows */
    uint8_t worked;          /* legs that a worker has said OK to */
    uint8_t tries[LEGS_MAX]; /* as the publisher has counted those that it was told */
    bool over;
    uint32_t source;
} model_t;

typedef struct {
    gather_task_t task;
    uint32_t worker;
    bool current; /* the gather counts it as the worker's */
} given_t;

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
    uint32_t steps_first, steps_end;
    bool calm; /* no more faults */
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

static void deliver(world_t *w)
{
    model_t *m = &w->messages[draw(w, MESSAGES)];
    if (m->over && !w->calm)
        fill(w, m);
    if (m->over || (m->out && (w->calm || draw(w, 20) != 0)))
        return;
    if (!w->calm && draw(w, 8) == 0)
        m->source = draw(w, SOURCES);
    gather_message_t message = {.source = m->source,
                                .id = {.stream = 7, .seq = m->seq},
                                .token = ++w->token,
                                .legs = m->open,
                                .body = "0123456789",
                                .body_len = draw(w, 11)};
    memcpy(message.tries, m->tries, sizeof message.tries);
    int error = gather_deliver(w->g, &message, w->now_ms);
    assert_true(error == 0 || error == 1 || error == -ENOSPC);
    if (error >= 0) {
        m->out = true;
        m->token = w->token;
    }
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
    return STEP_KEPT;
}

static void answer_steps(world_t *w)
{
    for (uint32_t n = draw(w, 8); n > 0 && w->steps_first < w->steps_end; n--) {
        const uint8_t *told = w->told[w->steps_first % STEPS_KEPT];
        const gather_step_t step = w->steps[w->steps_first++ % STEPS_KEPT], *s = &step;
        step_code_t code = settle(w, s, told);
        if (w->calm || draw(w, 10) != 0)
            gather_settled(w->g, s->slot, s->lease, s->final, code);
        else { /* the answer is lost: the step is sent again */
            memmove(w->told[w->steps_end % STEPS_KEPT], told, LEGS_MAX);
            w->steps[w->steps_end++ % STEPS_KEPT] = step;
        }
        if (!w->calm && draw(w, 10) == 0) /* sent twice, answered twice */
            gather_settled(w->g, s->slot, s->lease, s->final, settle(w, s, told));
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

static void take_steps(world_t *w)
{
    uint32_t source = draw(w, SOURCES);
    uint32_t room = STEPS_KEPT - (w->steps_end - w->steps_first);
    gather_step_t steps[4];
    uint32_t max = room < 4 ? room : 4;
    size_t n = gather_steps(w->g, source, w->now_ms, steps, max);
    for (size_t i = 0; i < n; i++) {
        take_tries(w, &steps[i]);
        w->steps[w->steps_end++ % STEPS_KEPT] = steps[i];
    }
    if (n == 0 && max > 0)
        assert_true(gather_steps_ms(w->g, source) > w->now_ms);
}

/* A lease that ran out without the gather's knowing; also how what was never answered comes back. */
static void expire(world_t *w)
{
    model_t *m = &w->messages[draw(w, MESSAGES)];
    if (draw(w, w->calm ? 4 : 50) == 0)
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
    switch (draw(w, 16)) {
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

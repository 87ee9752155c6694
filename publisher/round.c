#include "publisher/round.h"
#include "common/runtime/clock.h"
#include "publisher/round_events.h"
#include "publisher/round_notes.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int round_init(round_t *r, outbox_t *outbox, delivery_t *delivery, backlog_t *backlog,
               uint32_t dispatch_ahead)
{
    const char *const *names;
    *r = (round_t){
        .outbox = outbox,
        .delivery = delivery,
        .backlog = backlog,
        .legs = outbox_legs(outbox, &names),
        .dispatch_ahead = dispatch_ahead,
        .steps = malloc(ROUND_STEPS_MAX * sizeof *r->steps),
        .codes = malloc(ROUND_STEPS_MAX),
    };
    buffer_init(&r->bodies);
    buffer_init(&r->texts);
    buffer_init(&r->event);
    histogram_init(&r->counts.latency);
    return r->steps && r->codes ? 0 : -ENOMEM;
}

void round_done(round_t *r)
{
    free(r->steps);
    free(r->codes);
    free(r->inserts);
    buffer_done(&r->bodies);
    buffer_done(&r->texts);
    buffer_done(&r->event);
}

void round_time(round_t *r, int64_t now_ms, int64_t now_us, int64_t wall_ms)
{
    r->now_ms = now_ms;
    r->now_us = now_us;
    r->wall_ms = wall_ms;
}

/* The first write of a round opens it; after a failure nothing is written until the round is undone. */
static int open_round(round_t *r)
{
    if (r->failed == 0 && !r->open) {
        r->failed = outbox_begin(r->outbox);
        r->open = r->failed == 0;
    }
    return r->failed;
}

int round_fail(round_t *r, int error)
{
    if (error < 0)
        r->failed = error;
    return error;
}

/* --- what is new --- */

static int grow_inserts(round_t *r)
{
    uint32_t cap = r->inserts_cap ? r->inserts_cap * 2 : RECORDS_MAX;
    round_insert_t *grown = realloc(r->inserts, cap * sizeof *grown);
    if (!grown)
        return round_fail(r, -ENOMEM);
    r->inserts = grown;
    r->inserts_cap = cap;
    return 0;
}

bool round_takes_more(const round_t *r)
{
    return r->failed == 0 && r->bodies.len < ROUND_BYTES_MAX;
}

int round_insert(round_t *r, size_t at, uint64_t *ret_id)
{
    uint64_t id = 0;
    assert(!r->undone);
    if (r->inserts_count == r->inserts_cap && grow_inserts(r) < 0)
        return -ENOMEM;
    if (r->bodies.failed)
        return round_fail(r, -ENOMEM);
    int error = open_round(r);
    if (error == 0)
        error = outbox_insert(r->outbox, r->legs, r->bodies.data + at, r->bodies.len - at, &id);
    if (error < 0)
        return round_fail(r, error);
    r->inserts[r->inserts_count++] =
        (round_insert_t){.id = id, .at = at, .len = (uint32_t)(r->bodies.len - at)};
    if (ret_id)
        *ret_id = id;
    return 0;
}

int round_client(round_t *r, uint64_t session, uint64_t number, uint64_t first_id, uint32_t stored)
{
    if (open_round(r) < 0)
        return r->failed;
    return round_fail(r, outbox_client_set(r->outbox, session, number, first_id, stored, r->wall_ms));
}

int round_load(round_t *r, const char *load_id, uint64_t position)
{
    if (open_round(r) < 0)
        return r->failed;
    return round_fail(r, outbox_load_set(r->outbox, load_id, position));
}

/* --- dead letters --- */

int round_redrive(round_t *r, uint64_t id, uint32_t deliveries)
{
    const event_t e = {.bit = EVENT_MESSAGE,
                       .no = deliveries,
                       .label = {"", 0},
                       .since_ms = (uint64_t)r->wall_ms,
                       .how = HOW_REDRIVEN,
                       .text = {"", 0}};
    assert(!r->undone);
    if (delivery_has(r->delivery, id))
        return -EAGAIN;
    if (open_round(r) < 0)
        return r->failed;
    buffer_clear(&r->event);
    event_write(&r->event, &e);
    if (r->event.failed)
        return round_fail(r, -ENOMEM);
    /* It waits on disk for its turn: a delay that is over in a moment. */
    int64_t due_ms = backlog_wall_ms(r->backlog, r->now_ms) + 1;
    int error = outbox_redrive(r->outbox, id, r->event.data, r->event.len, due_ms);
    r->redriven += error == 0;
    return error == -ENOENT ? 0 : round_fail(r, error);
}

int round_purge(round_t *r, uint64_t id)
{
    assert(!r->undone);
    if (delivery_has(r->delivery, id))
        return -EAGAIN;
    if (open_round(r) < 0)
        return r->failed;
    int error = outbox_purge(r->outbox, id);
    r->purged += error == 0;
    return error == -ENOENT ? 0 : round_fail(r, error);
}

static void count_alone(round_t *r, uint8_t done, bool deleted)
{
    r->deleted_alone += deleted;
    for (uint32_t bit = 0; bit < LEGS_MAX; bit++)
        r->done_alone[bit] += done >> bit & 1;
}

int round_resolve(round_t *r, uint64_t id, uint8_t legs)
{
    outbox_resolved_t resolved;
    assert(!r->undone);
    if (delivery_has(r->delivery, id))
        return -EAGAIN;
    if (open_round(r) < 0)
        return r->failed;
    int error = outbox_resolve(r->outbox, id, legs, &resolved);
    if (error < 0)
        return error == -ENOENT ? 0 : round_fail(r, error);
    r->resolved++;
    count_alone(r, resolved.done, resolved.gone);
    return 0;
}

/* --- steps --- */

static int commit_steps(round_t *r, uint32_t first, uint32_t end);

/* Delays must not jump with the wall clock; when something has died is for people. */
static int64_t change_wall_ms(const round_t *r, const delivery_change_t *c)
{
    return c->kind == CHANGE_MARK ? backlog_wall_ms(r->backlog, r->now_ms) : r->wall_ms;
}

/* The table has no place even for a message that a step names, or none for one that waits so long. What the
 * step reports as done is recorded on disk all the same: it cannot be said again. */
static step_code_t settle_on_disk(round_t *r, const outbox_row_t *row, uint8_t done)
{
    delivery_change_t c = {
        .id = row->id,
        .kind = CHANGE_MARK,
        .done = row->done | (done & row->legs),
        .bad = row->bad & (uint8_t)~done,
        .deliveries = row->deliveries,
        .wait_ms = outbox_wait_ms(row, backlog_wall_ms(r->backlog, r->now_ms)),
    };
    if (c.done == row->done)
        return STEP_STALE;
    if (c.done == row->legs)
        c.kind = CHANGE_DELETE;
    else if ((c.done | c.bad) == row->legs && !row->dead)
        c.kind = CHANGE_BURY; /* its last open leg: there is nothing left to deliver */
    if (open_round(r) == 0)
        round_fail(r, outbox_change(r->outbox, &c, change_wall_ms(r, &c)));
    count_alone(r, c.done & (uint8_t)~row->done, c.kind == CHANGE_DELETE);
    r->moved_bytes += c.kind == CHANGE_BURY ? row->body_len : 0;
    return c.kind == CHANGE_DELETE ? STEP_DONE : c.kind == CHANGE_BURY ? STEP_DEAD : STEP_STALE;
}

static step_code_t progress(round_t *r, round_step_t *s)
{
    uint8_t before = s->step.bad != 0 ? delivery_bad(r->delivery, s->step.id) : 0;
    step_code_t code = delivery_progress(r->delivery, s->session, &s->step, r->now_ms);
    if (s->step.bad != 0)
        s->newly_bad = delivery_bad(r->delivery, s->step.id) & (uint8_t)~before;
    return code;
}

static step_code_t find_and_stage(round_t *r, round_step_t *s)
{
    outbox_row_t row;
    int error = backlog_find(r->backlog, s->step.id, &row, r->now_ms);
    if (error == 0)
        return progress(r, s);
    if (error == -ENOSPC || error == -EAGAIN)
        return settle_on_disk(r, &row, s->step.done);
    if (error != -ENOENT)
        round_fail(r, error);
    return STEP_GONE;
}

/* Who dies takes the body along. */
static void count_body(round_t *r, uint64_t id)
{
    outbox_row_t row;
    int error = outbox_find(r->outbox, id, &row);
    if (error == 0 && !row.dead)
        r->moved_bytes += row.body_len;
    else if (error != -ENOENT)
        round_fail(r, error);
}

static void stage(round_t *r, uint32_t place)
{
    round_step_t *s = &r->steps[place];
    step_code_t code = progress(r, s);
    if (code == STEP_GONE && s->step.id != 0)
        code = find_and_stage(r, s);
    else if (code == STEP_DEAD)
        count_body(r, s->step.id);
    r->codes[place] = (uint8_t)code;
}

/* What changes no disk has counted at once, the first time, and was not undone: an extension is not given
 * twice, nor the time of a grant, and a message that was released then is not leased any more, which is no
 * reason to call the step stale. */
static void stage_again(round_t *r, uint32_t place)
{
    delivery_step_t *s = &r->steps[place].step;
    step_code_t before = r->codes[place];

    if (s->op == OP_EXTEND && before == STEP_KEPT)
        s->op = OP_NONE;
    if (s->op == OP_NOTE && before == STEP_GRANTED)
        s->ms = 0;
    stage(r, place);
    if (s->op == OP_RELEASE && before == STEP_RETURNED && r->codes[place] == STEP_STALE)
        r->codes[place] = STEP_RETURNED;
}

/* What is staged is as large as a commit may be: it is committed before more of that kind comes. The answers
 * wait for the rest. */
static void commit_when_large(round_t *r)
{
    if (r->moved_bytes < ROUND_BYTES_MAX || r->failed < 0 || r->undone)
        return;
    int error = commit_steps(r, r->again_from, r->steps_count);
    if (error == 0)
        r->again_from = r->steps_count;
    r->undone = false;
    r->failed = error; /* told, and undone with what comes yet, by round_commit() */
}

uint32_t round_step(round_t *r, uint16_t session, uint64_t row_id, const step_t *s)
{
    assert(r->steps_count < ROUND_STEPS_MAX);
    commit_when_large(r);
    uint32_t place = r->steps_count++;
    round_step_t *step = &r->steps[place];
    *step = (round_step_t){
        .step = {.id = row_id,
                 .token = s->token,
                 .done = s->done,
                 .bad = s->bad,
                 .op = s->op,
                 .ms = s->ms,
                 .ref = place},
        .session = session,
    };
    if (s->events_count > 0 || s->text.len > 0)
        round_events_keep(r, step, s);
    if (s->op == OP_NOTE)
        round_notes_keep(r, step, s);
    stage(r, place);
    return place;
}

size_t round_expire(round_t *r, size_t max)
{
    enum { AT_ONCE = 16 };
    size_t n = 0, more, before, after;
    do {
        delivery_staged(r->delivery, &before);
        more = delivery_expire(r->delivery, r->now_ms, max - n < AT_ONCE ? max - n : AT_ONCE);
        n += more;
        const delivery_change_t *changes = delivery_staged(r->delivery, &after);
        for (size_t i = before; i < after; i++)
            if (changes[i].kind == CHANGE_BURY)
                count_body(r, changes[i].id);
    } while (more == AT_ONCE && n < max && r->moved_bytes < ROUND_BYTES_MAX);
    return n;
}

/* --- commit --- */

/* How far dispatched_to is to be raised, 0: not. It runs ahead of the deliveries in blocks: raised in passing
 * while half a block is left, and by a commit of its own only when nothing else would be committed. As long
 * as nobody takes messages it stays: what has not gone out goes out at once after a crash. */
static uint64_t dispatch_target(const round_t *r, bool writes)
{
    uint64_t head = delivery_ready_head(r->delivery);
    uint64_t to = outbox_dispatched_to(r->outbox);
    if (r->inserts_count > 0 && (head == 0 || head <= to))
        head = r->inserts[0].id;
    uint64_t margin = writes ? r->dispatch_ahead / 2 : 0;
    if (head == 0 || head + margin <= to || delivery_best_session(r->delivery) == DELIVERY_NO_SESSION)
        return 0;
    return head + r->dispatch_ahead;
}

static int write_changes(round_t *r, const delivery_change_t *changes, size_t n)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < n; i++) {
        const delivery_change_t *c = &changes[i];
        error = round_events_lease(r, i, c);
        if (error == 0)
            error = outbox_change(r->outbox, c, change_wall_ms(r, c));
        /* A row that is not there any more has nothing left to change. */
        if (error == -ENOENT)
            error = 0;
    }
    return error;
}

static void count_changes(round_t *r, const delivery_change_t *changes, size_t n)
{
    round_counts_t *c = &r->counts;
    c->acked += r->deleted_alone;
    c->redriven += r->redriven;
    c->purged += r->purged;
    c->resolved += r->resolved;
    c->noted += r->noted;
    for (uint32_t bit = 0; bit < LEGS_MAX; bit++)
        c->legs_done[bit] += r->done_alone[bit];
    for (size_t i = 0; i < n; i++) {
        c->acked += changes[i].kind == CHANGE_DELETE;
        c->died += changes[i].kind == CHANGE_BURY;
        for (uint8_t bit = 0, left = changes[i].newly_done; left != 0; bit++, left >>= 1)
            c->legs_done[bit] += left & 1;
        if (changes[i].kind == CHANGE_MARK)
            continue;
        c->last_us = r->now_us;
        if (c->first_us == 0) /* of an earlier start, before anything is new */
            c->first_us = r->now_us;
    }
}

static void take_inserts(round_t *r)
{
    if (r->inserts_count == 0)
        return;
    if (r->counts.first_us == 0)
        r->counts.first_us = r->now_us;
    r->counts.published += r->inserts_count;
    for (uint32_t i = 0; i < r->inserts_count; i++) {
        const round_insert_t *insert = &r->inserts[i];
        delivery_message_t m = {
            .id = insert->id,
            .legs = r->legs,
            .added_us = r->now_us,
            .body = r->bodies.data + insert->at,
            .body_len = insert->len,
        };
        backlog_take(r->backlog, &m, r->now_ms);
        if (r->inserted)
            r->inserted(r->arg, insert, m.body);
    }
}

static void forget_round(round_t *r)
{
    r->inserts_count = 0;
    r->deleted_alone = 0;
    memset(r->done_alone, 0, sizeof r->done_alone);
    r->redriven = r->purged = r->resolved = r->noted = 0;
    r->moved_bytes = 0;
    buffer_clear(&r->bodies);
}

static void undo(round_t *r)
{
    if (r->open)
        outbox_rollback(r->outbox);
    r->open = false;
    r->failed = 0;
    r->undone = r->steps_count > 0;
    delivery_rollback(r->delivery);
    forget_round(r);
}

/* All that is staged, with the tries and notes of the steps first..end-1, which come first: a dead letter
 * takes them along. */
static int commit_steps(round_t *r, uint32_t first, uint32_t end)
{
    size_t n;
    const delivery_change_t *changes = delivery_staged(r->delivery, &n);
    uint64_t dispatch_to = dispatch_target(r, n > 0 || r->open);
    int error = r->failed;
    bool tries = round_events_any(r, first, end);
    if (error == 0 && (n > 0 || r->open || dispatch_to > 0 || tries)) {
        error = open_round(r);
        if (error == 0 && tries)
            error = round_events_write(r, first, end);
        if (error == 0)
            error = round_notes_write(r, first, end);
        if (error == 0)
            error = write_changes(r, changes, n);
        if (error == 0 && dispatch_to > 0)
            error = outbox_dispatch(r->outbox, dispatch_to);
        if (error == 0) {
            error = outbox_commit(r->outbox);
            r->open = false;
        }
    }
    if (error < 0) {
        undo(r);
        return error;
    }
    int64_t committed_us = clock_us();
    count_changes(r, changes, n);
    if (r->redriven > 0)
        backlog_sleeps(r->backlog, r->now_ms);
    delivery_commit(r->delivery, r->now_ms, committed_us, &r->counts.latency);
    take_inserts(r);
    forget_round(r);
    return 0;
}

int round_commit(round_t *r)
{
    return commit_steps(r, r->again_from, r->steps_count);
}

int round_again(round_t *r)
{
    enum { PIECE = 256 };
    uint32_t piece = PIECE;
    int error = 0;
    bool smaller;
    if (!r->undone) /* what is staged came in since */
        return round_commit(r);
    do {
        uint32_t left = r->steps_count - r->again_from;
        uint32_t n = 0, most = left < piece ? left : piece;
        while (n < most && r->failed == 0 && r->moved_bytes < ROUND_BYTES_MAX)
            stage_again(r, r->again_from + n++);
        error = commit_steps(r, r->again_from, r->again_from + n);
        if (error == 0)
            r->again_from += n;
        /* Who dies takes the body along: a piece may be too large for what is left of the disk. */
        smaller = error == -ENOSPC && n > 1;
        if (smaller)
            piece = n / 2;
    } while ((error == 0 || smaller) && r->again_from < r->steps_count);
    return error;
}

void round_end(round_t *r)
{
    r->steps_count = r->again_from = 0;
    r->undone = false;
    buffer_clear(&r->texts);
}

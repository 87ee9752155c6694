/* The model of test_delivery_model.c: an array of messages, each with what it is and what it will be after
 * the commit, and the rules of docs/PROTOCOL.md section 4 written down as plainly as possible. */
#ifndef MANDRILL_DELIVERY_MODEL_H
#define MANDRILL_DELIVERY_MODEL_H

#include "delivery_fixture.h"

#include "common/core/backoff.h"

enum { SEQS = 70, TABLE = 48, TABLE_FOR_BODIES = 45, SESSIONS = 3, MODEL_CAP_MS = 6000 };
enum { MODEL_DELIVERIES = 5, PARKED_MOST = 6 };
enum { READY_MOST = 32, BODY_BYTES = 100, BODY_MEMORY = 128, BODIES_BYTES = 20 * BODY_MEMORY };

typedef enum { GONE, READY, LEASED, PARKED, LIMBO, DEAD, KINDS } kind_t;
typedef enum { KEEP, RETURN, BURY, DELETE } end_t;

typedef struct {
    kind_t kind;
    uint8_t legs;
    delivery_change_t now, then; /* `then` and `end` only while staged */
    end_t end;
    bool staged, expired, body, returned;
    uint32_t spared; /* of a lease without a session: what its loss is in place of a count */
    uint32_t spares; /* the sum of these */
    uint32_t who;    /* of a lease without a session */
    uint64_t token;
    uint64_t order; /* of READY ones that were never out */
    uint16_t session;
    int64_t given_ms, due_ms, extended_ms, added_us;
} message_t;

typedef struct {
    delivery_t *d;
    message_t messages[SEQS + 1];
    bool open[SESSIONS];
    uint32_t window[SESSIONS];
    uint32_t who[SESSIONS], names;
    uint64_t random, last_token, orders;
    uint64_t extended, expired, stale, measured, left;
    int64_t now_ms;
    histogram_t latency;
} model_t;

static inline uint64_t draw(model_t *m, uint64_t below)
{
    return random_next(&m->random) % below;
}

static inline uint32_t count(const model_t *m, kind_t kind)
{
    uint32_t n = 0;
    for (int seq = 1; seq <= SEQS; seq++) {
        n += m->messages[seq].kind == kind;
    }
    return n;
}

static inline uint32_t total(const model_t *m)
{
    return SEQS - count(m, GONE);
}

static inline uint32_t bodies(const model_t *m)
{
    uint32_t n = 0;
    for (int seq = 1; seq <= SEQS; seq++) {
        n += m->messages[seq].kind != GONE && m->messages[seq].body;
    }
    return n;
}

static inline uint32_t outstanding(const model_t *m, uint16_t session)
{
    uint32_t n = 0;
    for (int seq = 1; seq <= SEQS; seq++) {
        const message_t *x = &m->messages[seq];
        n += (x->kind == LEASED || x->kind == LIMBO) && x->session == session;
    }
    return n;
}

/* SUSPECT_LEVELS: none. */
static inline unsigned level_of(const message_t *x)
{
    uint32_t lost = x->now.deliveries + x->spares;
    return lost < 2 ? SUSPECT_LEVELS : lost < 4 ? lost - 2 : 2;
}

static inline uint32_t suspects_out(const model_t *m, uint16_t session, unsigned level)
{
    uint32_t n = 0;
    for (int seq = 1; seq <= SEQS; seq++) {
        const message_t *x = &m->messages[seq];
        n += (x->kind == LEASED || x->kind == LIMBO) && x->session == session && level_of(x) == level;
    }
    return n;
}

static inline uint32_t waiting(const model_t *m, unsigned level, bool staged_too)
{
    uint32_t n = 0;
    for (int seq = 1; seq <= SEQS; seq++) {
        const message_t *x = &m->messages[seq];
        n += x->kind == READY && level_of(x) == level && (staged_too || !x->staged);
    }
    return n;
}

/* The level whose turn it is, and how many of it the session may have more; SUSPECT_LEVELS: none waits. */
static inline unsigned model_level(const model_t *m, uint16_t session, uint32_t *ret_room)
{
    static const uint32_t most[] = {64, 8, 1};
    unsigned level = SUSPECT_LEVELS;
    *ret_room = 0;
    for (unsigned l = 0; l < SUSPECT_LEVELS; l++) {
        level = waiting(m, l, true) > 0 ? l : level;
    }
    for (unsigned l = 0; l < SUSPECT_LEVELS; l++) {
        if (level == SUSPECT_LEVELS || (l != level && suspects_out(m, session, l) > 0)) {
            return level;
        }
    }
    uint32_t out = suspects_out(m, session, level);
    *ret_room = out < most[level] ? most[level] - out : 0;
    return level;
}

static inline void end_lease(message_t *x, kind_t kind)
{
    x->kind = kind;
    x->token = 0;
    x->session = DELIVERY_NO_SESSION;
    x->extended_ms = 0;
    x->returned = true;
}

static inline delivery_change_t *begin(message_t *x)
{
    if (!x->staged) {
        x->staged = true;
        x->expired = false;
        x->end = KEEP;
        x->then = x->now;
        x->then.wait_ms = 0;
        x->then.lease_end = LEASE_GOES_ON;
    }
    return &x->then;
}

static inline bool model_legs(model_t *m, message_t *x, uint8_t legs_done, uint8_t legs_bad)
{
    const delivery_change_t *c = x->staged ? &x->then : &x->now;
    uint8_t all_done = c->done | (legs_done & x->legs);
    uint8_t all_bad = (c->bad | (legs_bad & x->legs)) & ~all_done;
    if (all_done == c->done && all_bad == c->bad) {
        return false;
    }
    delivery_change_t *then = begin(x);
    then->done = all_done;
    then->bad = all_bad;
    if (all_done == x->legs) {
        x->end = DELETE;
    } else if ((all_done | all_bad) == x->legs && x->kind != DEAD) {
        x->end = BURY;
        then->exhausted = false;
        then->wait_ms = 0;
    } else if (x->kind == PARKED) {
        then->wait_ms = x->due_ms > m->now_ms ? x->due_ms - m->now_ms : 0;
    }
    return true;
}

static inline step_code_t model_back(message_t *x, lease_end_t lease_end, uint32_t ref, int64_t wait_ms)
{
    delivery_change_t *then = begin(x);
    then->lease_end = lease_end;
    then->ref = ref;
    bool counts = lease_end == LEASE_LOST || lease_end == LEASE_NACKED || lease_end == LEASE_CAPPED;
    then->deliveries += counts;
    then->exhausted = counts && then->deliveries >= MODEL_DELIVERIES;
    then->wait_ms = then->exhausted ? 0 : wait_ms;
    x->end = then->exhausted ? BURY : RETURN;
    return then->exhausted ? STEP_DEAD : STEP_RETURNED;
}

static inline int ended(const message_t *x)
{
    const delivery_change_t *c = x->staged ? &x->then : &x->now;
    if (x->staged && x->end == DELETE) {
        return STEP_DONE;
    }
    bool dead = x->kind == DEAD || (x->staged && x->end == BURY);
    return dead && (c->done | c->bad) == x->legs ? STEP_DEAD : -1;
}

static inline step_code_t model_note(const model_t *m, message_t *x, uint16_t session,
                                     const delivery_step_t *s)
{
    const delivery_change_t *c = x->staged ? &x->then : &x->now;
    uint32_t open = x->legs & ~(uint32_t)(c->done | c->bad);
    int64_t due_ms = s->ms > 0 && m->now_ms + s->ms > x->due_ms ? m->now_ms + s->ms : x->due_ms;
    bool fits = due_ms == x->due_ms || x->extended_ms + due_ms - x->due_ms <= MODEL_CAP_MS;
    if ((open & 1U << s->note_bit) == 0 || !fits) {
        return STEP_KEPT;
    }
    begin(x);
    x->extended_ms += due_ms - x->due_ms;
    x->due_ms = due_ms;
    x->session = m->open[session] ? session : x->session;
    return STEP_GRANTED;
}

static inline step_code_t model_step(model_t *m, message_t *x, uint16_t session, const delivery_step_t *s)
{
    if (x->kind == GONE) {
        return STEP_GONE;
    }
    model_legs(m, x, s->done, 0);
    if (ended(x) >= 0) {
        return ended(x);
    }
    uint64_t epoch = s->token >> EPOCH_SHIFT;
    bool adopts = s->op == OP_EXTEND || s->op == OP_NOTE;
    if (x->kind == LIMBO && adopts && epoch > 0 && epoch < EPOCH && s->token >= x->token) {
        x->kind = LEASED;
        x->token = s->token;
        x->given_ms = x->due_ms - ACK_MS;
        x->spared = 0;
        x->who = 0;
    }
    if (x->kind != LEASED || x->token != s->token || (x->staged && x->end != KEEP)) {
        m->stale++;
        return STEP_STALE;
    }
    model_legs(m, x, 0, s->bad);
    if (ended(x) >= 0) {
        return ended(x);
    }
    if (s->op == OP_RELEASE && s->ms == 0 && !x->staged) {
        end_lease(x, READY);
        return STEP_RETURNED;
    }
    if (s->op == OP_NACK || s->op == OP_RELEASE) {
        return model_back(x, s->op == OP_NACK ? LEASE_NACKED : LEASE_RELEASED, s->ref, s->ms);
    }
    if (s->op == OP_NOTE) {
        return model_note(m, x, session, s);
    }
    if (s->op == OP_EXTEND) {
        if (x->extended_ms >= MODEL_CAP_MS) {
            return model_back(x, LEASE_CAPPED, s->ref, 0);
        }
        int64_t due_ms = (x->due_ms < m->now_ms ? m->now_ms : x->due_ms) + s->ms;
        due_ms = due_ms > m->now_ms + ACK_MS ? m->now_ms + ACK_MS : due_ms;
        due_ms = due_ms > x->due_ms + MODEL_CAP_MS - x->extended_ms
                     ? x->due_ms + MODEL_CAP_MS - x->extended_ms
                     : due_ms;
        due_ms = due_ms < x->due_ms ? x->due_ms : due_ms;
        x->extended_ms += due_ms - x->due_ms;
        x->due_ms = due_ms;
        x->session = m->open[session] ? session : x->session;
        m->extended++;
    }
    return STEP_KEPT;
}

#endif

/* Random operations against a model that is simple and slow. After every operation all that can be asked must
 * be as in the model: so no message is lost or in two states, no credit is exceeded, and a rollback leaves no
 * trace. */
#include "delivery_model.h"

#include <errno.h>
#include <stdlib.h>

enum { SEEDS = 16, STEPS = 5000 };

/* --- comparing
 * ---------------------------------------------------------------------------------------------- */

static void each_leased(void *arg, uint64_t id, uint16_t session, int64_t deadline_ms, uint8_t legs_done)
{
    model_t *m = arg;
    message_t *x = &m->messages[id - ID(0)];
    assert_int_equal(x->kind, LEASED);
    assert_int_equal(x->session, session);
    assert_true(x->due_ms == deadline_ms);
    assert_int_equal(x->now.done, legs_done);
}

static void compare_lease(const model_t *m, size_t place, const delivery_change_t *c, const message_t *x)
{
    delivery_lease_t lease;
    if (c->lease_end == LEASE_GOES_ON) {
        return;
    }
    delivery_staged_lease(m->d, place, m->now_ms, &lease);
    assert_int_equal(lease.who, x->session == DELIVERY_NO_SESSION ? x->who : m->who[x->session]);
    assert_int_equal(lease.age_ms, m->now_ms - x->given_ms);
    if (c->lease_end != LEASE_LOST && c->lease_end != LEASE_SPARED) {
        assert_int_equal(c->ref, x->then.ref);
    }
}

static void compare_staged(const model_t *m)
{
    size_t n, expected = 0;
    const delivery_change_t *changes = delivery_staged(m->d, &n);
    for (int seq = 1; seq <= SEQS; seq++) {
        expected += m->messages[seq].kind != GONE && m->messages[seq].staged;
    }
    assert_int_equal(n, expected);
    bool seen[SEQS + 1] = {false};
    for (size_t i = 0; i < n; i++) {
        const delivery_change_t *c = &changes[i];
        const message_t *x = &m->messages[c->id - ID(0)];
        assert_true(x->kind != GONE && x->staged && !seen[c->id - ID(0)]);
        seen[c->id - ID(0)] = true;
        assert_int_equal(c->kind, x->end == DELETE ? CHANGE_DELETE
                                  : x->end == BURY ? CHANGE_BURY
                                                   : CHANGE_MARK);
        assert_int_equal(c->done, x->then.done);
        assert_int_equal(c->newly_done, x->then.done & ~x->now.done);
        assert_int_equal(c->bad, x->then.bad);
        assert_int_equal(c->deliveries, x->then.deliveries);
        if (x->end != DELETE) {
            assert_int_equal(c->wait_ms, x->then.wait_ms);
            assert_int_equal(c->exhausted, x->then.exhausted);
            assert_int_equal(c->lease_end, x->then.lease_end);
            compare_lease(m, i, c, x);
        }
    }
}

static void compare_due(const model_t *m)
{
    int64_t due_ms = INT64_MAX;
    for (int seq = 1; seq <= SEQS; seq++) {
        const message_t *x = &m->messages[seq];
        if (x->kind != GONE && x->staged) {
            return; /* what is staged has no time until the round is over */
        }
        if ((x->kind == LEASED || x->kind == PARKED || x->kind == LIMBO) && x->due_ms < due_ms) {
            due_ms = x->due_ms;
        }
    }
    assert_true(delivery_next_ms(m->d) == due_ms);
}

/* The part of its window that is outstanding; 1 of nobody. */
static double load_of(const model_t *m, uint16_t session)
{
    return session == DELIVERY_NO_SESSION ? 1 : (double)outstanding(m, session) / m->window[session];
}

static void compare(model_t *m)
{
    delivery_gauges_t g;
    delivery_gauges(m->d, &g);
    assert_int_equal(g.ready, count(m, READY));
    assert_int_equal(g.leased, count(m, LEASED));
    assert_int_equal(g.parked, count(m, PARKED));
    assert_int_equal(g.limbo, count(m, LIMBO));
    assert_int_equal(g.total, total(m));
    assert_int_equal(g.ready + g.leased + g.parked + g.limbo + count(m, DEAD), g.total);
    assert_int_equal(g.ready_bytes, bodies(m) * BODY_MEMORY);
    assert_int_equal(g.extended, m->extended);
    assert_int_equal(g.expired, m->expired);
    assert_int_equal(g.stale, m->stale);
    assert_int_equal(g.left, m->left);
    uint32_t suspects = 0;
    for (int seq = 1; seq <= SEQS; seq++) {
        suspects += m->messages[seq].kind != GONE && level_of(&m->messages[seq]) < SUSPECT_LEVELS;
        assert_int_equal(delivery_in_limbo(m->d, ID((uint64_t)seq)), m->messages[seq].kind == LIMBO);
    }
    assert_int_equal(g.suspects, suspects);
    assert_int_equal(m->latency.total, m->measured);
    for (int seq = 1; seq <= SEQS; seq++) {
        assert_int_equal(delivery_has(m->d, ID((uint64_t)seq)), m->messages[seq].kind != GONE);
    }
    double least = 1, least_of_takers = 1; /* 1: nobody has credit */
    for (uint16_t session = 0; session < SESSIONS; session++) {
        uint32_t room, held = outstanding(m, session);
        uint32_t credit = m->open[session] && m->window[session] > held ? m->window[session] - held : 0;
        assert_int_equal(delivery_outstanding(m->d, session), held);
        assert_int_equal(delivery_credit(m->d, session), credit);
        const double load = load_of(m, credit > 0 ? session : DELIVERY_NO_SESSION);
        least = load < least ? load : least;
        model_level(m, session, &room);
        if (room > 0 || waiting(m, SUSPECT_LEVELS, true) > 0) {
            least_of_takers = load < least_of_takers ? load : least_of_takers;
        }
    }
    assert_true(load_of(m, delivery_best_session(m->d)) == least);
    assert_true(load_of(m, delivery_taker(m->d)) == least_of_takers);
    delivery_each_leased(m->d, each_leased, m);
    compare_staged(m);
    compare_due(m);
}

/* --- operations, each done to both
 * ---------------------------------------------------------------------------- */

static int expected_add(const model_t *m, const delivery_message_t *new, const message_t *x)
{
    if (new->legs == 0 || (((new->done | new->bad) & new->legs) == new->legs &&new->state != MESSAGE_DEAD)) {
        return -EINVAL;
    }
    if (x->kind != GONE) {
        return -EEXIST;
    }
    bool full =
        total(m) >= TABLE_FOR_BODIES || waiting(m, SUSPECT_LEVELS, true) >= READY_MOST || bodies(m) >= 20;
    if (new->body != NULL && full) {
        return -ENOSPC;
    }
    bool waits = new->state == MESSAGE_NEW || new->state == MESSAGE_BACK;
    if (waits && new->wait_ms > PARKED_SHORT_MS && count(m, PARKED) >= PARKED_MOST) {
        return -EAGAIN;
    }
    return total(m) >= TABLE ? -ENOSPC : 0;
}

static void op_add(model_t *m)
{
    static const char body[BODY_BYTES];
    uint64_t seq = 1 + draw(m, SEQS);
    message_t *x = &m->messages[seq];
    delivery_message_t new = {
        .id = ID(seq),
        .legs = draw(m, 8),
        .done = draw(m, 4) == 0 ? draw(m, 256) : 0,
        .bad = draw(m, 4) == 0 ? draw(m, 256) : 0,
        .deliveries = draw(m, 2) * draw(m, MODEL_DELIVERIES + 1),
        .state = draw(m, 2) == 0 ? 1 + draw(m, 3) : MESSAGE_NEW,
        .token = draw(m, 2) * ((draw(m, EPOCH) << EPOCH_SHIFT) + draw(m, 10)),
        .wait_ms = draw(m, 4) == 0 ? 1 + draw(m, 2 * ACK_MS) : 0,
        .added_us = draw(m, 2) * 1000,
        .body = draw(m, 2) == 0 ? body : NULL,
        .body_len = BODY_BYTES,
    };
    int rc = expected_add(m, &new, x);
    assert_int_equal(delivery_add(m->d, &new, m->now_ms), rc);
    if (rc < 0) {
        return;
    }
    *x = (message_t){
        .kind = new.state == MESSAGE_DEAD    ? DEAD
                : new.state == MESSAGE_LIMBO ? LIMBO
                : new.wait_ms > 0            ? PARKED
                                             : READY,
        .legs = new.legs,
        .now = {.done = new.done &new.legs,
                .bad = new.bad &new.legs & ~new.done,
                .deliveries = new.deliveries},
        .order = ++m->orders,
        .returned = new.state == MESSAGE_BACK,
        .session = DELIVERY_NO_SESSION,
        .token = new.state == MESSAGE_LIMBO ? new.token : 0,
        .due_ms = m->now_ms + (new.wait_ms > 0 ? new.wait_ms : ACK_MS),
        .added_us = new.added_us,
    };
    x->body = x->kind == READY && new.body != NULL;
}

/* Behind the suspects come those that were out, then the others in their order. */
static void check_place(const model_t *m, const message_t *x)
{
    for (int seq = 1; seq <= SEQS; seq++) {
        const message_t *other = &m->messages[seq];
        if (other->kind == READY && !other->staged && !x->returned && level_of(other) == SUSPECT_LEVELS) {
            assert_false(other->returned);
            assert_true(other->order >= x->order);
        }
    }
}

static void op_take(model_t *m)
{
    delivery_item_t items[ITEMS];
    uint16_t session = draw(m, SESSIONS);
    size_t max = draw(m, 12);
    uint64_t id_max = draw(m, 4) == 0 ? ID(draw(m, SEQS)) : UINT64_MAX;
    uint32_t credit = delivery_credit(m->d, session);
    bool left_out = false;
    for (unsigned l = 0; l <= SUSPECT_LEVELS; l++) {
        left_out |= waiting(m, l, true) > waiting(m, l, false);
    }
    uint32_t room;
    unsigned level = model_level(m, session, &room);
    size_t limit = max < credit ? max : credit;
    size_t suspects = level == SUSPECT_LEVELS ? 0 : waiting(m, level, false);
    suspects = suspects < room ? suspects : room;
    suspects = suspects < limit ? suspects : limit;
    size_t plain = waiting(m, SUSPECT_LEVELS, false);
    size_t most = suspects + (plain < limit - suspects ? plain : limit - suspects);
    size_t n = delivery_take(m->d, session, id_max, max, m->now_ms, items);
    assert_true(id_max == UINT64_MAX ? n == most : n <= most);
    /* Places that were left out are not found again by what is taken back. */
    size_t sent = left_out ? n : draw(m, n + 1);
    for (size_t i = 0; i < n; i++) {
        message_t *x = &m->messages[items[i].id - ID(0)];
        assert_true(items[i].id <= id_max);
        assert_int_equal(x->kind, READY);
        assert_false(x->staged);
        assert_int_equal(items[i].open, x->legs & ~(x->now.done | x->now.bad));
        assert_int_not_equal(items[i].open, 0);
        assert_int_equal(items[i].deliveries, x->now.deliveries);
        assert_int_equal(items[i].body != NULL, x->body);
        assert_true(items[i].token > m->last_token);
        m->last_token = items[i].token;
        if (id_max == UINT64_MAX) {
            assert_int_equal(level_of(x), i < suspects ? level : SUSPECT_LEVELS);
        }
        if (id_max == UINT64_MAX && i >= suspects) {
            check_place(m, x);
        }
        x->kind = LEASED; /* for check_place of the next */
    }
    delivery_sent(m->d, items, sent);
    delivery_untake(m->d, items + sent, n - sent);
    for (size_t i = 0; i < n; i++) {
        message_t *x = &m->messages[items[i].id - ID(0)];
        if (i >= sent) {
            x->kind = READY;
            continue;
        }
        x->token = items[i].token;
        x->session = session;
        x->body = false;
        x->given_ms = m->now_ms;
        x->due_ms = m->now_ms + ACK_MS;
    }
}

static void op_step(model_t *m)
{
    uint64_t seq = 1 + draw(m, SEQS);
    message_t *x = &m->messages[seq];
    uint16_t session = draw(m, SESSIONS);
    delivery_step_t s = {
        .id = ID(seq),
        .token = draw(m, 4) > 0 ? x->token : ((uint64_t)EPOCH << EPOCH_SHIFT) + draw(m, 500),
        .done = draw(m, 4) == 0   ? draw(m, 256)
                : draw(m, 3) == 0 ? 1U << draw(m, 3)
                                  : 0,
        .bad = draw(m, 8) == 0 ? draw(m, 256) : 0,
        .op = draw(m, 2) == 0 ? OP_EXTEND : draw(m, OP_NOTE + 1),
        .note_bit = draw(m, 4),
        .ms = draw(m, 3) * draw(m, 6000),
        .ref = draw(m, 1000),
    };
    if (x->kind == LIMBO && draw(m, 2) == 0) {
        s.token = (draw(m, EPOCH) << EPOCH_SHIFT) + 7;
    }
    assert_int_equal(delivery_progress(m->d, session, &s, m->now_ms), model_step(m, x, session, &s));
}

static void op_expire(model_t *m)
{
    size_t expected = 0;
    for (int seq = 1; seq <= SEQS; seq++) {
        message_t *x = &m->messages[seq];
        if (x->kind == GONE || x->staged || x->due_ms > m->now_ms) {
            continue;
        }
        if (x->kind == LEASED) {
            bool spared = x->session == DELIVERY_NO_SESSION && x->spared > 0;
            model_back(x, spared ? LEASE_SPARED : LEASE_LOST, 0, 0);
            x->expired = true;
            expected++;
        } else if (x->kind == PARKED || x->kind == LIMBO) {
            end_lease(x, READY);
            expected++;
        }
    }
    assert_int_equal(delivery_expire(m->d, m->now_ms, SIZE_MAX), expected);
}

static void model_commit(model_t *m, message_t *x)
{
    m->expired += x->expired;
    m->measured += x->end == DELETE && x->added_us != 0;
    x->now = x->then;
    if (x->end == DELETE || x->end == BURY) {
        x->kind = GONE;
    } else if (x->end == RETURN && x->then.wait_ms > PARKED_SHORT_MS && count(m, PARKED) >= PARKED_MOST) {
        x->kind = GONE;
        m->left++;
    } else if (x->end == RETURN) {
        x->spares += x->then.lease_end == LEASE_SPARED ? x->spared : 0;
        x->due_ms = m->now_ms + x->then.wait_ms;
        end_lease(x, x->then.wait_ms > 0 ? PARKED : READY);
    }
}

static void op_resolve(model_t *m, bool commits)
{
    size_t n;
    const delivery_change_t *changes = delivery_staged(m->d, &n);
    for (size_t i = 0; commits && i < n; i++) { /* their order decides who has a place */
        model_commit(m, &m->messages[changes[i].id - ID(0)]);
    }
    for (int seq = 1; seq <= SEQS; seq++) {
        message_t *x = &m->messages[seq];
        x->staged = false;
        if (x->kind == DEAD) {
            x->kind = GONE;
        }
    }
    if (commits) {
        delivery_commit(m->d, m->now_ms, m->now_ms * 1000, &m->latency);
    } else {
        delivery_rollback(m->d);
    }
}

static void op_hello(model_t *m)
{
    uint64_t ids[SEQS];
    size_t n = 0;
    uint16_t session = draw(m, SESSIONS);
    for (uint64_t seq = 1; seq <= SEQS; seq++) {
        message_t *x = &m->messages[seq];
        bool holds = draw(m, 4) > 0;
        if (holds) {
            ids[n++] = ID(seq);
        }
        if (!m->open[session] || (x->kind != LEASED && x->kind != LIMBO)) {
            continue;
        }
        if (holds && x->session == DELIVERY_NO_SESSION) {
            x->session = session;
        } else if (!holds && x->session == session && x->kind == LIMBO) {
            x->session = DELIVERY_NO_SESSION;
        } else if (!holds && x->session == session && (!x->staged || x->end == KEEP)) {
            end_lease(x, READY);
        }
    }
    delivery_session_holds(m->d, session, ids, n);
}

static void op_session(model_t *m)
{
    uint16_t session = draw(m, SESSIONS);
    if (m->open[session] && draw(m, 2) == 0) {
        uint32_t spares = suspects_out(m, session, 0) > 0;
        for (unsigned level = 1; level < SUSPECT_LEVELS; level++) {
            spares = suspects_out(m, session, level) > 0 ? 2 : spares;
        }
        delivery_session_drop(m->d, session);
        m->open[session] = false;
        for (int seq = 1; seq <= SEQS; seq++) {
            message_t *x = &m->messages[seq];
            if (x->kind != GONE && x->session == session) {
                x->session = DELIVERY_NO_SESSION;
                x->spared = level_of(x) == SUSPECT_LEVELS ? spares : 0;
                x->who = m->who[session];
            }
        }
        return;
    }
    m->who[session] = ++m->names;
    m->open[session] = true;
    m->window[session] = draw(m, 20);
    delivery_session_open(m->d, session, m->window[session]);
    delivery_session_name(m->d, session, m->who[session]);
}

static void op_any(model_t *m)
{
    uint64_t op = draw(m, 100);
    if (op < 25) {
        op_add(m);
    } else if (op < 45) {
        op_take(m);
    } else if (op < 80) {
        op_step(m);
    } else if (op < 84) {
        op_expire(m);
    } else if (op < 94) {
        op_resolve(m, draw(m, 4) > 0);
    } else if (op < 97) {
        op_hello(m);
    } else {
        op_session(m);
    }
    m->now_ms += draw(m, 8) == 0 ? draw(m, 3000) : 0;
}

/* All that is in the table can still be delivered and ended. */
static void drain(model_t *m)
{
    op_resolve(m, true);
    m->now_ms += DURATION_MS_MAX;
    op_expire(m);
    op_resolve(m, true);
    compare(m);
    assert_int_equal(count(m, READY), total(m));
    m->open[0] = true;
    m->window[0] = TABLE;
    delivery_session_open(m->d, 0, TABLE);
    delivery_item_t items[ITEMS];
    size_t taken = 0, n;
    while ((n = delivery_take(m->d, 0, UINT64_MAX, ITEMS, m->now_ms, items)) > 0) {
        delivery_sent(m->d, items, n);
        for (size_t i = 0; i < n; i++) {
            const delivery_step_t s = {.id = items[i].id, .token = items[i].token, .done = items[i].open};
            step_code_t code = delivery_progress(m->d, 0, &s, m->now_ms);
            assert_true(code == STEP_DONE || code == STEP_DEAD);
        }
        commit(m->d, m->now_ms);
        taken += n;
    }
    assert_int_equal(taken, total(m));
    delivery_gauges_t g;
    delivery_gauges(m->d, &g);
    assert_int_equal(g.total, 0);
    assert_int_equal(g.ready_bytes, 0);
    assert_true(delivery_next_ms(m->d) == INT64_MAX);
}

static void test_random_operations(void **state)
{
    (void)state;
    static model_t m;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("seed %u\n", (unsigned)seed);
        m = (model_t){.random = seed, .now_ms = 1000};
        const delivery_limits_t limits = {
            .table_max = TABLE,
            .ready_max = READY_MOST,
            .ready_bytes_max = BODIES_BYTES,
            .ack_deadline_ms = ACK_MS,
            .lease_cap_ms = MODEL_CAP_MS,
            .max_deliveries = MODEL_DELIVERIES,
            .parked_max = PARKED_MOST,
        };
        m.d = delivery_new(&limits, EPOCH);
        assert_non_null(m.d);
        for (int i = 0; i < STEPS; i++) {
            op_any(&m);
            compare(&m);
        }
        drain(&m);
        delivery_destroy(&m.d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

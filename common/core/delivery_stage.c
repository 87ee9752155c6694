/* What steps and deadlines mean, staged until the round's commit. A message has one stage at most: what comes
 * for it in one round is merged into that. */
#include "common/core/delivery_internal.h"

#include <assert.h>

/* The place of the message's stage, begun with nothing changed. */
static uint32_t stage(delivery_t *d, uint32_t slot)
{
    entry_t *e = &d->entries[slot];
    if (e->stage == STAGE_NONE) {
        e->stage = d->stages_count++;
        d->stages[e->stage] = (stage_t){.slot = slot, .fate = FATE_KEEP};
        d->changes[e->stage] = (delivery_change_t){
            .id = e->id, .kind = CHANGE_MARK, .done = e->done, .bad = e->bad, .deliveries = e->deliveries};
        heap_remove(&d->heap, slot);
    }
    return e->stage;
}

static void set_fate(delivery_t *d, uint32_t place, fate_t fate)
{
    static const change_kind_t kinds[] = {
        [FATE_KEEP] = CHANGE_MARK,
        [FATE_RETURN] = CHANGE_MARK,
        [FATE_BURY] = CHANGE_BURY,
        [FATE_DELETE] = CHANGE_DELETE,
    };
    d->stages[place].fate = fate;
    d->changes[place].kind = kinds[fate];
}

/* What the message will be with the commit. */
typedef struct {
    fate_t fate;
    uint8_t done, bad;
} outlook_t;

static outlook_t outlook(const delivery_t *d, const entry_t *e)
{
    if (e->stage == STAGE_NONE) {
        return (outlook_t){.fate = FATE_KEEP, .done = e->done, .bad = e->bad};
    }
    const delivery_change_t *c = &d->changes[e->stage];
    return (outlook_t){.fate = d->stages[e->stage].fate, .done = c->done, .bad = c->bad};
}

static int64_t clamp(int64_t value, int64_t min, int64_t max)
{
    return value < min ? min : value > max ? max : value;
}

/* Adds legs that have ended, and ends the message when none is open. A leg that is done is not bad, whatever
 * was said before. */
static void note_legs(delivery_t *d, uint32_t slot, uint8_t done, uint8_t bad, int64_t now_ms)
{
    const entry_t *e = &d->entries[slot];
    outlook_t before = outlook(d, e);
    done = before.done | (done & e->legs);
    bad = (before.bad | (bad & e->legs)) & (uint8_t)~done;
    if (done == before.done && bad == before.bad) {
        return;
    }
    uint32_t place = stage(d, slot);
    delivery_change_t *c = &d->changes[place];
    c->done = done;
    c->newly_done = done & (uint8_t)~e->done;
    c->bad = bad;
    if (done == e->legs) {
        set_fate(d, place, FATE_DELETE);
    } else if ((done | bad) == e->legs && e->state != ENTRY_DEAD) {
        set_fate(d, place, FATE_BURY);
        c->exhausted = false;
        c->wait_ms = 0;
    } else if (e->state == ENTRY_PARKED) {
        /* Written anew with the rest: a delay must not get lost or begin again. */
        c->wait_ms = clamp(e->due_ms - now_ms, 0, DURATION_MS_MAX);
    }
}

/* The lease ends with the commit: RETURNED after the delay, or DEAD when that was the last that it may lose.
 */
static step_code_t give_back(delivery_t *d, uint32_t slot, lease_end_t end, uint32_t ref, int64_t wait_ms)
{
    uint32_t place = stage(d, slot);
    delivery_change_t *c = &d->changes[place];
    bool counts = end != LEASE_RELEASED && end != LEASE_SPARED;
    c->lease_end = end;
    c->ref = ref;
    c->deliveries += counts;
    if (counts && c->deliveries >= d->limits.max_deliveries) {
        set_fate(d, place, FATE_BURY);
        c->exhausted = true;
        return STEP_DEAD;
    }
    set_fate(d, place, FATE_RETURN);
    c->wait_ms = wait_ms;
    return STEP_RETURNED;
}

static step_code_t release(delivery_t *d, uint32_t slot, uint32_t ref, int64_t wait_ms)
{
    if (wait_ms > 0 || d->entries[slot].stage != STAGE_NONE) {
        return give_back(d, slot, LEASE_RELEASED, ref, wait_ms);
    }
    table_release(d, slot); /* nothing for the disk */
    return STEP_RETURNED;
}

static step_code_t extend(delivery_t *d, uint32_t slot, uint16_t session, const delivery_step_t *s,
                          int64_t now_ms)
{
    entry_t *e = &d->entries[slot];
    int64_t left_ms = d->limits.lease_cap_ms - e->extended_ms;
    if (left_ms <= 0) {
        return give_back(d, slot, LEASE_CAPPED, s->ref, 0);
    }
    /* Past its deadline and not yet expired: this process stood still, which is made up for. */
    int64_t missed_ms = now_ms > e->due_ms ? now_ms - e->due_ms : 0;
    int64_t most_ms = now_ms + d->limits.ack_deadline_ms - e->due_ms;
    most_ms = most_ms < left_ms ? most_ms : left_ms;
    int64_t gain_ms = clamp(missed_ms + s->ms, 0, most_ms > 0 ? most_ms : 0);
    e->due_ms += gain_ms;
    e->extended_ms += (uint32_t)gain_ms;
    /* Who extends is who holds it, also after a new session. */
    table_assign(d, slot, d->sessions[session].is_open ? session : e->session);
    d->extended++;
    return STEP_KEPT;
}

/* A worker is about to do what cannot be undone, and for so long nobody else is to be given the message. Who
 * asks for more than the cap leaves gets nothing: a lease that ends in the middle is what the note is there
 * to prevent. */
static step_code_t grant(delivery_t *d, uint32_t slot, uint16_t session, const delivery_step_t *s,
                         int64_t now_ms)
{
    entry_t *e = &d->entries[slot];
    outlook_t o = outlook(d, e);
    uint8_t open = e->legs & (uint8_t) ~(o.done | o.bad);
    if (s->note_bit >= LEGS_MAX || (open >> s->note_bit & 1) == 0) {
        return STEP_KEPT;
    }
    int64_t ms = clamp(s->ms, 0, DURATION_MS_MAX);
    int64_t gain_ms = ms > 0 && now_ms + ms > e->due_ms ? now_ms + ms - e->due_ms : 0;
    if (gain_ms > 0 && gain_ms > d->limits.lease_cap_ms - e->extended_ms) {
        return STEP_KEPT;
    }
    stage(d, slot);
    e->due_ms += gain_ms;
    e->extended_ms += (uint32_t)gain_ms;
    table_assign(d, slot, d->sessions[session].is_open ? session : e->session);
    return STEP_GRANTED;
}

/* A token of an earlier start: this may be the lease that was out when the publisher stopped. One that is
 * older than a lease under which a note was recorded is not: whoever has it has not seen that note. */
static bool may_adopt(const delivery_t *d, const entry_t *e, const delivery_step_t *s)
{
    uint64_t epoch = s->token >> EPOCH_SHIFT;
    return e->state == ENTRY_LIMBO && (s->op == OP_EXTEND || s->op == OP_NOTE) && epoch != 0 &&
           epoch < d->epoch && s->token >= e->token;
}

static void adopt(delivery_t *d, uint32_t slot, uint64_t token)
{
    table_leave(d, slot);
    entry_t *e = &d->entries[slot];
    e->state = ENTRY_LEASED;
    e->token = token;
    e->timed = true;
    d->orphans[slot] = (orphan_t){0};
    table_enter(d, slot);
}

/* The message has ended in this round, or before. */
static bool has_ended(const delivery_t *d, const entry_t *e, step_code_t *ret_code)
{
    outlook_t o = outlook(d, e);
    if (o.fate == FATE_DELETE) {
        *ret_code = STEP_DONE;
        return true;
    }
    bool dead = o.fate == FATE_BURY || e->state == ENTRY_DEAD;
    if (dead && (o.done | o.bad) == e->legs) {
        *ret_code = STEP_DEAD;
        return true;
    }
    return false;
}

step_code_t delivery_progress(delivery_t *d, uint16_t session, const delivery_step_t *s, int64_t now_ms)
{
    assert(session < SESSIONS_MAX);
    uint32_t slot = table_find(d, s->id);
    if (slot == FIFO_NONE) {
        return STEP_GONE;
    }
    const entry_t *e = &d->entries[slot];
    step_code_t code;
    note_legs(d, slot, s->done, 0, now_ms);
    if (has_ended(d, e, &code)) {
        return code;
    }
    if (may_adopt(d, e, s)) {
        adopt(d, slot, s->token);
    }
    if (e->state != ENTRY_LEASED || e->token != s->token || outlook(d, e).fate != FATE_KEEP) {
        d->stale++;
        return STEP_STALE;
    }
    note_legs(d, slot, 0, s->bad, now_ms);
    if (has_ended(d, e, &code)) {
        return code;
    }
    switch (s->op) {
    case OP_EXTEND:
        return extend(d, slot, session, s, now_ms);
    case OP_NACK:
        return give_back(d, slot, LEASE_NACKED, s->ref, clamp(s->ms, 0, DURATION_MS_MAX));
    case OP_RELEASE:
        return release(d, slot, s->ref, clamp(s->ms, 0, DURATION_MS_MAX));
    case OP_NOTE:
        return grant(d, slot, session, s, now_ms);
    case OP_NONE:
        break;
    }
    return STEP_KEPT;
}

uint64_t delivery_note_token(const delivery_t *d, uint64_t token)
{
    const uint64_t first = (uint64_t)d->epoch << EPOCH_SHIFT;
    return token > first ? token : first;
}

uint8_t delivery_bad(const delivery_t *d, uint64_t id)
{
    uint32_t slot = table_find(d, id);
    return slot == FIFO_NONE ? 0 : outlook(d, &d->entries[slot]).bad;
}

static void expire(delivery_t *d, uint32_t slot)
{
    const entry_t *e = &d->entries[slot];
    if (e->state != ENTRY_LEASED) {
        /* A delay or limbo: over, and nothing on disk says otherwise. */
        table_release(d, slot);
        return;
    }
    bool spared = e->session == DELIVERY_NO_SESSION && d->orphans[slot].spared > 0;
    give_back(d, slot, spared ? LEASE_SPARED : LEASE_LOST, 0, 0);
    d->stages[stage(d, slot)].expired = true;
}

size_t delivery_expire(delivery_t *d, int64_t now_ms, size_t max)
{
    size_t n = 0;
    for (; n < max && heap_first_key(&d->heap) <= now_ms; n++) {
        expire(d, heap_first(&d->heap));
    }
    for (uint16_t i = 0; i < d->open_count; i++) {
        uint32_t slot = d->sessions[d->open[i]].first.first;
        for (; n < max && slot != FIFO_NONE && d->entries[slot].due_ms <= now_ms;
             slot = d->links.next[slot]) {
            if (d->entries[slot].stage == STAGE_NONE) {
                expire(d, slot);
                n++;
            }
        }
    }
    return n;
}

int64_t delivery_next_ms(const delivery_t *d)
{
    int64_t next_ms = heap_first_key(&d->heap);
    for (uint16_t i = 0; i < d->open_count; i++) {
        uint32_t slot = d->sessions[d->open[i]].first.first;
        if (slot != FIFO_NONE && d->entries[slot].due_ms < next_ms) {
            next_ms = d->entries[slot].due_ms;
        }
    }
    return next_ms;
}

const delivery_change_t *delivery_staged(const delivery_t *d, size_t *ret_n)
{
    *ret_n = d->stages_count;
    return d->changes;
}

void delivery_staged_lease(const delivery_t *d, size_t i, int64_t now_ms, delivery_lease_t *ret)
{
    assert(i < d->stages_count && d->changes[i].lease_end != LEASE_GOES_ON);
    uint32_t slot = d->stages[i].slot;
    const entry_t *e = &d->entries[slot];
    int64_t given_ms = e->due_ms - e->extended_ms - d->limits.ack_deadline_ms;
    *ret = (delivery_lease_t){
        .who = e->session == DELIVERY_NO_SESSION ? d->orphans[slot].who : d->sessions[e->session].who,
        .age_ms = clamp(now_ms - given_ms, 0, DURATION_MS_MAX),
    };
}

static void give_back_now(delivery_t *d, uint32_t slot, const delivery_change_t *c, int64_t now_ms)
{
    if (!table_may_park(d, c->wait_ms)) {
        table_remove(d, slot);
        d->left++;
        return;
    }
    uint8_t spared = d->entries[slot].spared;
    spared += c->lease_end == LEASE_SPARED ? d->orphans[slot].spared : 0;
    table_return(d, slot, c->deliveries, spared, c->wait_ms > 0 ? now_ms + c->wait_ms : 0);
}

static void apply(delivery_t *d, const stage_t *s, const delivery_change_t *c, int64_t now_ms)
{
    entry_t *e = &d->entries[s->slot];
    e->done = c->done;
    e->bad = c->bad;
    switch (s->fate) {
    case FATE_KEEP:
        table_arm(d, s->slot);
        break;
    case FATE_RETURN:
        give_back_now(d, s->slot, c, now_ms);
        break;
    case FATE_BURY:
    case FATE_DELETE:
        table_remove(d, s->slot);
        break;
    }
}

/* Dead letters are in memory only for the round that names them. */
static void finish_round(delivery_t *d)
{
    d->stages_count = 0;
    while (d->dead.first != FIFO_NONE) {
        table_remove(d, d->dead.first);
    }
}

void delivery_commit(delivery_t *d, int64_t now_ms, int64_t now_us, histogram_t *latency)
{
    for (uint32_t i = 0; i < d->stages_count; i++) {
        const stage_t *s = &d->stages[i];
        entry_t *e = &d->entries[s->slot];
        e->stage = STAGE_NONE;
        if (s->fate == FATE_DELETE && latency != NULL && e->added_us != 0) {
            histogram_add(latency, now_us - e->added_us);
        }
        d->expired += s->expired;
        apply(d, s, &d->changes[i], now_ms);
    }
    finish_round(d);
}

void delivery_rollback(delivery_t *d)
{
    for (uint32_t i = 0; i < d->stages_count; i++) {
        uint32_t slot = d->stages[i].slot;
        d->entries[slot].stage = STAGE_NONE;
        table_arm(d, slot);
    }
    finish_round(d);
}

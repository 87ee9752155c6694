#include "common/core/delivery_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* This part of the table is not for messages that come with a body: a step must find room for the message
 * that it names, or what it reports is lost. */
enum { RESERVE_DIVISOR = 16 };

void delivery_limits(delivery_t *d, int64_t lease_cap_ms, uint32_t max_deliveries)
{
    /* What an entry can count: 49 days. */
    d->limits.lease_cap_ms = lease_cap_ms < UINT32_MAX ? lease_cap_ms : UINT32_MAX;
    d->limits.max_deliveries = max_deliveries;
}

delivery_t *delivery_new(const delivery_limits_t *limits, uint32_t epoch)
{
    assert(limits->table_max > 0 && limits->table_max < FIFO_OUT && epoch > 0);
    delivery_t *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->limits = *limits;
    delivery_limits(d, limits->lease_cap_ms, limits->max_deliveries);
    d->epoch = epoch;
    if (table_init(d) < 0) {
        delivery_destroy(&d);
    }
    return d;
}

void delivery_destroy(delivery_t **d)
{
    if (d == NULL || *d == NULL) {
        return;
    }
    table_done(*d);
    free(*d);
    *d = NULL;
}

static uint32_t total(const delivery_t *d)
{
    return d->index.count;
}

size_t delivery_room(const delivery_t *d)
{
    const delivery_limits_t *l = &d->limits;
    uint32_t table_max = l->table_max - l->table_max / RESERVE_DIVISOR;
    /* Suspects that wait for their turn keep nothing else waiting. */
    uint32_t ready = d->returned.count + d->fresh.count;
    if (ready >= l->ready_max || total(d) >= table_max || d->bodies.bytes_used >= l->ready_bytes_max) {
        return 0;
    }
    uint32_t in_ready = l->ready_max - ready;
    uint32_t in_table = table_max - total(d);
    return in_ready < in_table ? in_ready : in_table;
}

static int fill(delivery_t *d, entry_t *e, const delivery_message_t *m, int64_t now_ms)
{
    e->legs = m->legs;
    e->done = m->done & m->legs;
    e->bad = m->bad & m->legs & (uint8_t)~m->done;
    e->deliveries = m->deliveries;
    e->added_us = m->added_us;
    switch (m->state) {
    case MESSAGE_LIMBO:
        e->state = ENTRY_LIMBO;
        e->token = m->token;
        e->due_ms = now_ms + (m->wait_ms > 0 ? m->wait_ms : d->limits.ack_deadline_ms);
        return 0;
    case MESSAGE_DEAD:
        e->state = ENTRY_DEAD;
        return 0;
    case MESSAGE_BACK:
        e->returned = true;
        break;
    case MESSAGE_NEW:
        break;
    }
    if (m->wait_ms > 0) {
        e->state = ENTRY_PARKED;
        e->due_ms = now_ms + m->wait_ms;
        return 0;
    }
    e->state = ENTRY_READY;
    if (m->body != NULL) {
        e->body = slab_get(&d->bodies, m->body_len);
        if (e->body == NULL) {
            return -ENOMEM;
        }
        memcpy(e->body, m->body, m->body_len);
        e->body_len = m->body_len;
    }
    return 0;
}

int delivery_add(delivery_t *d, const delivery_message_t *m, int64_t now_ms)
{
    bool ended = ((m->done | m->bad) & m->legs) == m->legs;
    if (m->legs == 0 || (ended && m->state != MESSAGE_DEAD) || m->body_len > BODY_BYTES_MAX) {
        return -EINVAL;
    }
    if (delivery_has(d, m->id)) {
        return -EEXIST;
    }
    if (m->body != NULL && delivery_room(d) == 0) {
        return -ENOSPC;
    }
    bool waits = m->state == MESSAGE_NEW || m->state == MESSAGE_BACK;
    if (waits && !table_may_park(d, m->wait_ms)) {
        return -EAGAIN;
    }
    uint32_t slot;
    int rc = table_insert(d, m->id, &slot);
    if (rc < 0) {
        return rc;
    }
    rc = fill(d, &d->entries[slot], m, now_ms);
    table_enter(d, slot);
    if (rc < 0) {
        table_remove(d, slot);
    }
    return rc;
}

bool delivery_has(const delivery_t *d, uint64_t id)
{
    return table_find(d, id) != FIFO_NONE;
}

bool delivery_in_limbo(const delivery_t *d, uint64_t id)
{
    uint32_t slot = table_find(d, id);
    return slot != FIFO_NONE && d->entries[slot].state == ENTRY_LIMBO;
}

static session_t *session_of(delivery_t *d, uint16_t session)
{
    assert(session < SESSIONS_MAX);
    return &d->sessions[session];
}

void delivery_session_open(delivery_t *d, uint16_t session, uint32_t window)
{
    session_t *s = session_of(d, session);
    if (!s->is_open) {
        fifo_init(&s->first);
        fifo_init(&s->timed);
        s->is_open = true;
        s->place = d->open_count;
        d->open[d->open_count++] = session;
    }
    s->window = window;
}

void delivery_session_window(delivery_t *d, uint16_t session, uint32_t window)
{
    session_of(d, session)->window = window;
}

void delivery_session_name(delivery_t *d, uint16_t session, uint32_t who)
{
    session_of(d, session)->who = who;
}

uint32_t delivery_outstanding(const delivery_t *d, uint16_t session)
{
    assert(session < SESSIONS_MAX);
    const session_t *s = &d->sessions[session];
    return s->first.count + s->timed.count;
}

uint32_t delivery_credit(const delivery_t *d, uint16_t session)
{
    uint32_t outstanding = delivery_outstanding(d, session);
    const session_t *s = &d->sessions[session];
    return s->is_open && s->window > outstanding ? s->window - outstanding : 0;
}

/* What the loss of a session makes those of its messages suspected for that are no suspects: as one lost
 * lease beside suspects, and at once as those when the suspects have few leases left to lose: a poison would
 * be beside them again the next time, and they would die of it. 0: it has no suspects, and every lease
 * counts. */
static uint8_t spares(const session_t *s)
{
    for (unsigned level = SUSPECT_LEVELS - 1; level > 0; level--) {
        if (s->suspects[level] > 0) {
            return SUSPECT_LOSSES;
        }
    }
    return s->suspects[0] > 0;
}

static void orphan_all(delivery_t *d, const session_t *s, const fifo_t *list, uint8_t spared)
{
    while (list->first != FIFO_NONE) {
        uint32_t slot = list->first;
        bool suspect = suspect_level(&d->entries[slot]) < SUSPECT_LEVELS;
        d->orphans[slot] = (orphan_t){.who = s->who, .spared = suspect ? 0 : spared};
        table_assign(d, slot, DELIVERY_NO_SESSION);
    }
}

void delivery_session_drop(delivery_t *d, uint16_t session)
{
    session_t *s = session_of(d, session);
    if (!s->is_open) {
        return;
    }
    uint8_t spared = spares(s);
    orphan_all(d, s, &s->first, spared);
    orphan_all(d, s, &s->timed, spared);
    d->open[s->place] = d->open[--d->open_count];
    d->sessions[d->open[s->place]].place = s->place;
    *s = (session_t){0};
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* What is in the list and not among the ids goes back. */
static void take_back(delivery_t *d, const fifo_t *list, const uint64_t *ids, size_t n)
{
    uint32_t next;
    for (uint32_t slot = list->first; slot != FIFO_NONE; slot = next) {
        next = d->links.next[slot];
        const entry_t *e = &d->entries[slot];
        if (n > 0 && bsearch(&e->id, ids, n, sizeof *ids, compare_ids) != NULL) {
            continue;
        }
        if (e->state == ENTRY_LIMBO) {
            table_assign(d, slot, DELIVERY_NO_SESSION);
        } else if (e->stage == STAGE_NONE || d->stages[e->stage].fate == FATE_KEEP) {
            table_release(d, slot);
        }
    }
}

void delivery_session_holds(delivery_t *d, uint16_t session, const uint64_t *ids, size_t n)
{
    const session_t *s = session_of(d, session);
    if (!s->is_open) {
        return;
    }
    take_back(d, &s->first, ids, n);
    take_back(d, &s->timed, ids, n);
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = table_find(d, ids[i]);
        if (slot == FIFO_NONE) {
            continue;
        }
        const entry_t *e = &d->entries[slot];
        if ((e->state == ENTRY_LEASED || e->state == ENTRY_LIMBO) && e->session == DELIVERY_NO_SESSION) {
            table_assign(d, slot, session);
        }
    }
}

/* How many suspects the session may be given now, and of which level: of the highest that waits, and only
 * while it has none of another. */
static uint32_t suspects_room(const delivery_t *d, const session_t *s, unsigned *ret_level)
{
    unsigned level = SUSPECT_LEVELS;
    while (level > 0 && d->suspects[level - 1].count == 0) {
        level--;
    }
    if (level-- == 0) {
        return 0;
    }
    for (unsigned other = 0; other < SUSPECT_LEVELS; other++) {
        if (other != level && s->suspects[other] > 0) {
            return 0;
        }
    }
    *ret_level = level;
    return s->suspects[level] < suspects_max[level] ? suspects_max[level] - s->suspects[level] : 0;
}

static bool would_take(const delivery_t *d, uint16_t session)
{
    unsigned level;
    return d->returned.count + d->fresh.count > 0 || suspects_room(d, &d->sessions[session], &level) > 0;
}

/* By the part of the window that is taken, not by the room that is left: windows differ by more than a fleet
 * with little to do has outstanding, and all of it would go to the widest. */
static bool less_loaded(const delivery_t *d, uint16_t a, uint16_t b)
{
    const uint64_t left = (uint64_t)delivery_outstanding(d, a) * d->sessions[b].window;
    const uint64_t right = (uint64_t)delivery_outstanding(d, b) * d->sessions[a].window;
    return left != right ? left < right : d->sessions[a].window > d->sessions[b].window;
}

static uint16_t least_loaded(const delivery_t *d, bool takers_only)
{
    uint16_t best = DELIVERY_NO_SESSION;
    for (uint16_t i = 0; i < d->open_count; i++) {
        const uint16_t session = d->open[i];
        if (delivery_credit(d, session) == 0 || (takers_only && !would_take(d, session))) {
            continue;
        }
        if (best == DELIVERY_NO_SESSION || less_loaded(d, session, best)) {
            best = session;
        }
    }
    return best;
}

uint16_t delivery_best_session(const delivery_t *d)
{
    return least_loaded(d, false);
}

uint16_t delivery_taker(const delivery_t *d)
{
    return d->counts[ENTRY_READY] > 0 ? least_loaded(d, true) : DELIVERY_NO_SESSION;
}

static void lease(delivery_t *d, uint32_t slot, uint16_t session, int64_t now_ms, delivery_item_t *ret)
{
    entry_t *e = &d->entries[slot];
    table_leave(d, slot);
    e->state = ENTRY_LEASED;
    e->session = session;
    e->token = (uint64_t)d->epoch << EPOCH_SHIFT | ++d->counter;
    e->due_ms = now_ms + d->limits.ack_deadline_ms;
    table_enter(d, slot);
    *ret = (delivery_item_t){
        .slot = slot,
        .id = e->id,
        .token = e->token,
        .open = e->legs & (uint8_t) ~(e->done | e->bad),
        .deliveries = e->deliveries,
        .body = e->body,
        .body_len = e->body_len,
    };
}

static size_t take_from(delivery_t *d, const fifo_t *list, uint16_t session, uint64_t id_max, size_t max,
                        int64_t now_ms, delivery_item_t *ret)
{
    size_t n = 0;
    uint32_t next;
    for (uint32_t slot = list->first; slot != FIFO_NONE && n < max; slot = next) {
        next = d->links.next[slot];
        const entry_t *e = &d->entries[slot];
        if (e->id > id_max) {
            break;
        }
        /* What the round is about to change waits for its commit. */
        if (e->stage == STAGE_NONE) {
            lease(d, slot, session, now_ms, &ret[n++]);
        }
    }
    return n;
}

size_t delivery_take(delivery_t *d, uint16_t session, uint64_t id_max, size_t max, int64_t now_ms,
                     delivery_item_t *ret)
{
    uint32_t credit = delivery_credit(d, session);
    if (max > credit) {
        max = credit;
    }
    unsigned level;
    size_t room = suspects_room(d, &d->sessions[session], &level);
    size_t n = 0;
    if (room > 0) {
        n = take_from(d, &d->suspects[level], session, id_max, room < max ? room : max, now_ms, ret);
    }
    n += take_from(d, &d->returned, session, id_max, max - n, now_ms, ret + n);
    return n + take_from(d, &d->fresh, session, id_max, max - n, now_ms, ret + n);
}

/* Still the lease that take() made? A step or a HELLO in between may have ended it. */
static bool is_current(const delivery_t *d, const delivery_item_t *item)
{
    const entry_t *e = &d->entries[item->slot];
    return e->state == ENTRY_LEASED && e->token == item->token;
}

void delivery_sent(delivery_t *d, const delivery_item_t *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_current(d, &items[i])) {
            table_drop_body(d, items[i].slot);
        }
    }
}

void delivery_untake(delivery_t *d, const delivery_item_t *items, size_t n)
{
    for (size_t i = n; i > 0; i--) {
        if (is_current(d, &items[i - 1])) {
            table_untake(d, items[i - 1].slot);
        }
    }
}

/* The id at the head of the list when it is the greater one. */
static uint64_t later_head(const delivery_t *d, const fifo_t *list, uint64_t head)
{
    uint64_t id = list->first == FIFO_NONE ? 0 : d->entries[list->first].id;
    return id > head ? id : head;
}

uint64_t delivery_ready_head(const delivery_t *d)
{
    uint64_t head = later_head(d, &d->fresh, later_head(d, &d->returned, 0));
    for (unsigned level = 0; level < SUSPECT_LEVELS; level++) {
        head = later_head(d, &d->suspects[level], head);
    }
    return head;
}

void delivery_gauges(const delivery_t *d, delivery_gauges_t *ret)
{
    *ret = (delivery_gauges_t){
        .ready = d->counts[ENTRY_READY],
        .leased = d->counts[ENTRY_LEASED],
        .parked = d->counts[ENTRY_PARKED],
        .limbo = d->counts[ENTRY_LIMBO],
        .total = total(d),
        .suspects = d->suspects_count,
        .ready_bytes = d->bodies.bytes_used,
        .extended = d->extended,
        .expired = d->expired,
        .stale = d->stale,
        .left = d->left,
    };
}

void delivery_each_leased(const delivery_t *d,
                          void (*each)(void *arg, uint64_t id, uint16_t session, int64_t deadline_ms,
                                       uint8_t done),
                          void *arg)
{
    for (uint32_t slot = 0; slot < d->used; slot++) {
        const entry_t *e = &d->entries[slot];
        if (e->state == ENTRY_LEASED) {
            each(arg, e->id, e->session, e->due_ms, e->done);
        }
    }
}

#include "common/core/index.h"
#include "tests/sim/check_talks.h"
#include "tests/sim/memory.h"
#include "tests/sim/programs.h"
#include "tests/sim/trace.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_EVERY = 8 /* turns of a publisher, into its table of leases at their end */ };

static message_t *messages;
static uint32_t messages_count, messages_cap;
static index_t by_row;
static uint64_t inserted, deleted, buried, redelivered, acts;

const char *id_text(message_id_t id)
{
    static char texts[4][MESSAGE_ID_TEXT];
    static uint32_t next;
    char *text = texts[next++ % 4];
    message_id_format(id, text);
    return text;
}

uint64_t check_hash(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

message_t *check_message_at(uint32_t publisher, uint64_t row)
{
    uint32_t cursor;
    uint64_t key = index_mix(publisher + 1, row);
    uint32_t n = index_find(&by_row, key, &cursor);
    while (n != INDEX_NONE && (messages[n].row != row || messages[n].publisher != publisher))
        n = index_find_next(&by_row, key, &cursor);
    return n == INDEX_NONE ? NULL : &messages[n];
}

message_t *check_message(message_id_t id)
{
    uint64_t row;
    for (uint32_t i = 0; i < world.plan.publishers; i++)
        if (disk_row_id(i, id, &row))
            return check_message_at(i, row);
    return NULL;
}

const disk_row_t *check_row(const message_t *m)
{
    return disk_find(m->publisher, m->row);
}

/* --- the outbox --- */

void check_insert(uint32_t publisher, const disk_row_t *row)
{
    if (check_message_at(publisher, row->id) != NULL)
        broken("identity", "row %" PRIu64 " of publisher-%u is stored twice", row->id, publisher);
    if (messages_count == messages_cap) {
        messages_cap = messages_cap > 0 ? 2 * messages_cap : 256;
        messages = keep_grow(messages, messages_cap * sizeof *messages);
    }
    message_t *m = &messages[messages_count];
    memset(m, 0, sizeof *m);
    m->id = disk_id(publisher, row->id);
    m->publisher = publisher;
    m->row = row->id;
    /* The commit that is looked at runs in the publisher's memory. */
    memory_t *committer = memory_enter(NULL);
    if (index_put(&by_row, index_mix(publisher + 1, row->id), messages_count) != 0)
        abort();
    memory_enter(committer);
    messages_count++;
    inserted++;
}

bool check_is_done(const message_t *m, uint32_t leg)
{
    return m->legs[leg].acted > 0 || m->legs[leg].excused;
}

static void check_done_legs(const message_t *m, uint8_t done, const char *what)
{
    for (uint32_t leg = 0; leg < SIM_LEGS; leg++)
        if ((done >> leg & 1) && !check_is_done(m, leg))
            broken("durable", "%s %s, and leg %s was not done", id_text(m->id), what, sim_legs[leg]);
}

/* Why a message may be buried: every leg has ended, the bad ones for a reason; or it has lost too many
 * leases, which check_count() has looked at one by one. */
static void check_bury(const message_t *m, const disk_row_t *row, const delivery_change_t *c)
{
    if (c->exhausted) {
        if (c->deliveries < world.plan.delivery.max_deliveries)
            broken("dead", "%s dies of %u lost leases", id_text(m->id), c->deliveries);
        return;
    }
    if ((c->done | c->bad) != row->legs || c->bad == 0)
        broken("dead", "%s dies with legs done %x, bad %x of %x", id_text(m->id), c->done, c->bad, row->legs);
    for (uint32_t leg = 0; leg < SIM_LEGS; leg++) {
        const leg_state_t *l = &m->legs[leg];
        if ((c->bad >> leg & 1) && l->permanent == 0 && l->given < world.plan.gather.policy.max_tries)
            broken("dead", "%s dies of leg %s, which was tried %u times", id_text(m->id), sim_legs[leg],
                   l->given);
    }
}

/* A lost lease is counted: it was out, and its time was over. */
static void check_count(message_t *m, const disk_row_t *row, const delivery_change_t *c)
{
    if (c->deliveries == row->deliveries)
        return;
    const publisher_t *p = program_publisher(world.current);
    int64_t now_ms = p->loop.now_ms;
    if (c->deliveries != row->deliveries + 1)
        broken("deliveries", "%s: %u become %u", id_text(m->id), row->deliveries, c->deliveries);
    bool capped = m->extended_ms >= world.plan.delivery.lease_cap_ms;
    if (!m->leased || (now_ms < m->deadline_min_ms && !m->nacked && !capped))
        broken("deliveries",
               "%s: a lease is counted as lost that %s (at %" PRId64 " ms, due %" PRId64
               ", extended by %" PRId64 ")",
               id_text(m->id), m->leased ? "runs" : "nobody had", now_ms, m->deadline_min_ms, m->extended_ms);
    m->leased = false;
    redelivered++;
    check_not_out(m);
}

void check_change(uint32_t publisher, const disk_row_t *row, const delivery_change_t *c)
{
    message_t *m = check_message_at(publisher, row->id);
    if (row->done & ~c->done)
        broken("forgotten", "%s: legs done %x become %x", id_text(m->id), row->done, c->done);
    check_done_legs(m, c->done & (uint8_t)~row->done, "is noted as done");
    check_count(m, row, c);
    switch (c->kind) {
    case CHANGE_DELETE:
        if (c->done != row->legs)
            broken("lost", "%s leaves the outbox with legs %x of %x done", id_text(m->id), c->done,
                   row->legs);
        check_done_legs(m, row->legs, "leaves the outbox");
        m->deleted = true;
        m->leased = false;
        deleted++;
        check_not_out(m);
        break;
    case CHANGE_BURY:
        check_bury(m, row, c);
        m->leased = false;
        buried++;
        check_not_out(m);
        break;
    case CHANGE_MARK:
        if (c->done == row->legs)
            broken("settled", "%s has every leg done, and stays", id_text(m->id));
        if (c->deliveries > row->deliveries && c->deliveries >= world.plan.delivery.max_deliveries)
            broken("dead", "%s lives on after %u lost leases", id_text(m->id), c->deliveries);
        break;
    }
}

void check_redriven(uint32_t publisher, const disk_row_t *row)
{
    message_t *m = check_message_at(publisher, row->id);
    for (uint32_t leg = 0; leg < SIM_LEGS; leg++) {
        m->legs[leg].permanent = m->legs[leg].given = 0;
        memset(m->legs[leg].at, 0, sizeof m->legs[leg].at);
    }
}

void check_purged(uint32_t publisher, const disk_row_t *row)
{
    message_t *m = check_message_at(publisher, row->id);
    m->deleted = true;
    deleted++;
}

/* What was out when it died may be adopted, and waits that long for it. */
void check_opened(process_t *p)
{
    const publisher_t *publisher = program_publisher(p);
    int64_t due_ms = publisher->start_ms + world.plan.delivery.ack_deadline_ms;
    for (uint32_t i = 0; i < messages_count; i++) {
        message_t *m = &messages[i];
        if (m->publisher != p->index || m->deleted)
            continue;
        m->deadline_min_ms = m->deadline_max_ms = due_ms;
        m->extended_ms = 0;
    }
}

/* --- workers --- */

static message_t *message_at_work(message_id_t id)
{
    message_t *m = check_message(id);
    if (m == NULL)
        broken("commit", "%s is at work, and was never stored", id_text(id));
    return m;
}

void check_begin(message_id_t id, uint32_t leg)
{
    message_at_work(id)->legs[leg].begun++;
}

uint32_t check_begun(message_id_t id, uint32_t leg)
{
    return message_at_work(id)->legs[leg].begun;
}

void check_act(message_id_t id, uint32_t leg)
{
    trace("%s: %s is done", id_text(id), sim_legs[leg]);
    message_at_work(id)->legs[leg].acted++;
    acts++;
}

void check_permanent(message_id_t id, uint32_t leg)
{
    message_at_work(id)->legs[leg].permanent++;
}

/* --- clients --- */

void check_confirmed(uint32_t publisher, message_id_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        message_id_t id = {.stream = first.stream, .seq = first.seq + i};
        const message_t *m = check_message(id);
        if (m == NULL || m->publisher != publisher || (!m->deleted && check_row(m) == NULL))
            broken("lost", "%s was confirmed and is not in the outbox", id_text(id));
    }
}

/* --- after each turn --- */

static void check_lease(void *arg, uint64_t id, uint16_t session, int64_t deadline_ms, uint8_t done)
{
    const process_t *p = arg;
    const message_t *m = check_message_at(p->index, id);
    (void)session, (void)done;
    if (m == NULL)
        broken("commit", "publisher-%u has leased row %" PRIu64 ", which is not stored", p->index, id);
    int64_t max_ms = m->deadline_max_ms;
    /* A round that is done again extends again. */
    const int64_t again_ms = world.now_us / 1000 + world.plan.delivery.ack_deadline_ms;
    if (disk_refusals(p->index) > 0 && again_ms > max_ms)
        max_ms = again_ms;
    if (deadline_ms > max_ms)
        broken("stale",
               "the lease of %s lasts until %" PRId64 " ms, and its holder has not extended it beyond "
               "%" PRId64,
               id_text(m->id), deadline_ms, max_ms);
}

static void check_publisher(process_t *p)
{
    const publisher_t *publisher = program_publisher(p);
    if (publisher == NULL)
        return;
    delivery_gauges_t g;
    delivery_gauges(publisher->delivery, &g);
    if (g.total > world.plan.delivery.table_max)
        broken("bounds", "publisher-%u has %u messages in memory", p->index, g.total);
    if (p->polls && world.steps % LOOK_EVERY == 0)
        delivery_each_leased(publisher->delivery, check_lease, p);
}

void check_turn(process_t *p)
{
    if (p->memory.bytes_max > PROCESS_BYTES_MAX)
        broken("bounds", "%s has taken %zu bytes", p->name, p->memory.bytes_max);
    check_publisher(p);
}

/* --- the beginning and the end --- */

void check_open(void)
{
    messages_count = 0;
    inserted = deleted = buried = redelivered = acts = 0;
    if (index_init(&by_row, 256) != 0)
        abort();
    talks_open();
    once_open();
}

void check_close(void)
{
    index_done(&by_row);
    talks_close();
}

void check_end(void)
{
    uint64_t on_disk = 0;
    for (uint32_t i = 0; i < world.plan.publishers; i++)
        on_disk += disk_rows(i);
    if (inserted != deleted + on_disk)
        broken("lost", "%" PRIu64 " messages were stored, %" PRIu64 " are done, %" PRIu64 " on disk",
               inserted, deleted, on_disk);
    for (uint32_t i = 0; i < messages_count; i++) {
        const message_t *m = &messages[i];
        const disk_row_t *row = check_row(m);
        if (!m->deleted && (row == NULL || !row->dead))
            broken("lost", "%s is neither done nor dead", id_text(m->id));
    }
}

uint64_t check_ended(void)
{
    return deleted + buried;
}

void check_sums(check_sums_t *ret)
{
    *ret = (check_sums_t){.messages = inserted,
                          .done = deleted,
                          .dead = inserted - deleted,
                          .acts = acts,
                          .redelivered = redelivered};
    once_sums(ret);
}

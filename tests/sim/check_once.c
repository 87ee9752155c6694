/* The invariants of what cannot be undone: notes, grants, and that a host is restarted once for a message. */
#include "tests/sim/check_talks.h"
#include "tests/sim/hosts.h"
#include "tests/sim/memory.h"
#include "tests/sim/trace.h"
#include <inttypes.h>
#include <string.h>

/* What a worker was or may be allowed to do for a task that it has. */
typedef struct {
    uint64_t ref;
    message_id_t id;
    const process_t *worker;
    uint32_t life;
    int64_t until_us; /* as the worker counts, at most */
    uint64_t note;
    bool granted; /* and it knows */
} permit_t;

static permit_t *permits;
static uint32_t count, cap;
static uint64_t restarts, skipped, unknown, late, doubles;

uint64_t once_hash(const void *note, uint32_t len)
{
    return len > 0 ? check_hash(note, len) | 1 : NOTE_NONE;
}

uint64_t once_note_of(const void *notes, uint32_t len, uint32_t leg)
{
    reader_t r;
    note_t note;
    if (len == 0)
        return NOTE_NONE;
    reader_init(&r, notes, len);
    while (note_read(&r, &note))
        if (note.bit == leg)
            return once_hash(note.bytes, note.len);
    return NOTE_NONE;
}

uint64_t once_note_on_disk(const message_t *m, uint32_t leg)
{
    const disk_row_t *row = check_row(m);
    return row != NULL ? once_note_of(row->notes, row->notes_len, leg) : NOTE_NONE;
}

void check_noted(const disk_row_t *row, uint64_t token)
{
    if (token < row->noted)
        broken("stale", "row %" PRIu64 " gets a note by a lease that is older than that of its last one",
               row->id);
}

/* Nobody waits for others where hosts cannot be looked at, and know the messages that they were restarted
 * for: each that acts for one asks for the same act. */
static bool acts_alone(void)
{
    return world.plan.hosts.observes || !world.plan.hosts.repeats;
}

/* --- permits --- */

static bool is_over(const permit_t *p)
{
    return p->until_us < world.now_us || !p->worker->alive || p->worker->life != p->life;
}

static permit_t *permit_of(uint64_t ref)
{
    for (uint32_t i = count; i > 0; i--)
        if (permits[i - 1].ref == ref)
            return &permits[i - 1];
    return NULL;
}

static void permit_end(uint64_t ref)
{
    permit_t *p = permit_of(ref);
    if (p != NULL)
        *p = permits[--count];
}

static permit_t *permit_new(void)
{
    for (uint32_t i = 0; i < count && count == cap; i++)
        if (!permits[i].worker->alive || permits[i].worker->life != permits[i].life)
            permits[i--] = permits[--count];
    if (count == cap) {
        cap = cap > 0 ? 2 * cap : 64;
        permits = keep_grow(permits, cap * sizeof *permits);
    }
    return &permits[count++];
}

static bool is_same(message_id_t a, message_id_t b)
{
    return a.stream == b.stream && a.seq == b.seq;
}

/* --- on the wire --- */

void once_notes_sent(const process_t *worker, talk_t *t, const void *frame, size_t len)
{
    static note_record_t records[RECORDS_MAX];
    int n = decode_notes(frame, len, records);
    if (n < 0)
        broken("codec", "%s sends NOTES that cannot be read", worker->name);
    for (int i = 0; i < n; i++) {
        const note_record_t *r = &records[i];
        const out_t *o = t != NULL ? talk_out(t, r->ref) : NULL;
        message_t *m = o != NULL ? check_message(o->id) : NULL;
        permit_end(r->ref);
        if (r->grant_ms == 0 || m == NULL)
            continue;
        m->legs[LEG_RESTART].noted++;
        permit_t *p = permit_new();
        *p = (permit_t){.ref = r->ref,
                        .id = m->id,
                        .worker = worker,
                        .life = worker->life,
                        .until_us = world.now_us + r->grant_ms * 1000,
                        .note = once_hash(r->bytes, r->len)};
    }
}

void once_grants_sent(const process_t *consumer, const void *frame, size_t len)
{
    static grant_record_t records[RECORDS_MAX];
    int n = decode_grants(frame, len, records);
    for (int i = 0; i < n; i++) {
        const permit_t *p = records[i].granted ? permit_of(records[i].ref) : NULL;
        const message_t *m = p != NULL && !is_over(p) ? check_message(p->id) : NULL;
        if (m != NULL && acts_alone() && once_note_on_disk(m, LEG_RESTART) != p->note)
            broken("commit", "%s grants %s, and the note is not on disk", consumer->name, id_text(m->id));
        const given_t *given = m != NULL ? &m->legs[LEG_RESTART].at[consumer->index] : NULL;
        if (given != NULL && (given->life != consumer->life || given->ref != records[i].ref))
            broken("grant", "%s grants %s to a try that is not the last", consumer->name, id_text(m->id));
    }
}

/* Nobody else may act while a grant can be used. */
void once_grants_read(const process_t *worker, const void *frame, size_t len)
{
    static grant_record_t records[RECORDS_MAX];
    int n = decode_grants(frame, len, records);
    for (int i = 0; i < n; i++) {
        permit_t *p = records[i].granted ? permit_of(records[i].ref) : NULL;
        if (p == NULL || p->worker != worker || is_over(p))
            continue;
        p->granted = true;
        for (uint32_t k = 0; k < count && acts_alone(); k++) {
            const permit_t *other = &permits[k];
            if (other != p && other->granted && is_same(other->id, p->id) && !is_over(other))
                broken("grant", "%s and %s may both act for %s", worker->name, other->worker->name,
                       id_text(p->id));
        }
    }
}

/* --- what a consumer knows --- */

void once_delivered(message_t *m, const process_t *consumer, const delivery_record_t *d)
{
    m->asked[consumer->index].notes[0] = once_note_of(d->notes, d->notes_len, LEG_RESTART);
}

void once_notes_read(const process_t *consumer, const talk_t *t, const void *frame, size_t len)
{
    static note_record_t records[RECORDS_MAX];
    int n = decode_notes(frame, len, records);
    for (int i = 0; i < n; i++) {
        const out_t *o = talk_out(t, records[i].ref);
        message_t *m = o != NULL ? check_message(o->id) : NULL;
        if (m == NULL)
            continue;
        uint64_t *notes = m->asked[consumer->index].notes;
        notes[2] = notes[1];
        notes[1] = once_hash(records[i].bytes, records[i].len);
    }
}

void once_passed_on(const message_t *m, const process_t *consumer, const note_t *note)
{
    if (note->bit != LEG_RESTART)
        broken("note", "%s passes on a note of %s for %s", consumer->name,
               note->bit < SIM_LEGS ? sim_legs[note->bit] : "no leg", id_text(m->id));
}

/* What was noted goes with the task: the last that is on disk, or one that may be. */
void once_task_sent(const process_t *consumer, const message_t *m, uint32_t leg, const task_record_t *r)
{
    const uint64_t *notes = m->asked[consumer->index].notes;
    const uint64_t note = once_hash(r->note, r->note_len);
    if (m->asked[consumer->index].token != m->token || note == once_note_on_disk(m, leg))
        return;
    if (leg != LEG_RESTART || (note != notes[0] && note != notes[1] && note != notes[2]))
        broken("note", "%s gives out %s of %s without what was noted last", consumer->name, sim_legs[leg],
               id_text(m->id));
}

/* --- results --- */

static body_t body_of(const disk_row_t *row)
{
    body_t body;
    if (body_parse(row->body, row->body_len, &body) != 0)
        broken("codec", "row %" PRIu64 " has a body that cannot be read", row->id);
    return body;
}

/* As the world counts; a clock that was set is a day off. */
static int64_t published_us(const body_t *body)
{
    return (body->published_ms - INT64_C(1000) * WALL_START_S) * 1000;
}

static bool is_denied(const message_t *m)
{
    const disk_row_t *row = check_row(m);
    if (!world.plan.hosts.denies || row == NULL)
        return false;
    const body_t body = body_of(row);
    return body.instance[body.instance_len - 1] == '7';
}

bool once_may_be_skipped(const message_t *m)
{
    const plan_hosts_t *plan = &world.plan.hosts;
    const disk_row_t *row = check_row(m);
    if (!plan->real)
        return false;
    if (plan->dry_run || row == NULL)
        return true;
    if (!plan->observes)
        return false;
    const body_t body = body_of(row);
    const int64_t up_since_us = host_up_since_us(host_of(body.host, body.host_len));
    /* Whose clock was set knows nothing of what was since. */
    return up_since_us >= published_us(&body) - 1000 || world.plan.gap_us[FAULT_WALL] > 0 ||
           m->legs[LEG_RESTART].young;
}

void once_result(const process_t *worker, message_t *m, const result_record_t *r)
{
    permit_end(r->ref);
    if (!world.plan.hosts.real)
        return;
    if (r->outcome == OUTCOME_UNKNOWN || (r->outcome == OUTCOME_PERMANENT && is_denied(m)))
        m->legs[LEG_RESTART].permanent++;
    if (r->outcome == OUTCOME_OK && world.plan.hosts.observes && m->legs[LEG_RESTART].back_us > world.now_us)
        broken("durable", "%s says that %s is done, and its host is not back", worker->name, id_text(m->id));
    skipped += r->outcome == OUTCOME_OK && m->legs[LEG_RESTART].acted == 0;
    unknown += r->outcome == OUTCOME_UNKNOWN;
    if (r->outcome == OUTCOME_UNKNOWN && m->legs[LEG_RESTART].noted == 0)
        broken("unknown", "%s does not know whether %s was done, and nobody has noted that he would do it",
               worker->name, id_text(m->id));
}

/* --- acts --- */

static message_t *message_to_act(const process_t *worker, message_id_t id)
{
    message_t *m = check_message(id);
    if (m == NULL)
        broken("commit", "%s acts for %s, which was never stored", worker->name, id_text(id));
    return m;
}

void check_looked(message_id_t id, int64_t up_us)
{
    message_t *m = check_message(id);
    if (m != NULL && up_us < world.plan.hosts.min_uptime_ms * 1000)
        m->legs[LEG_RESTART].young = true;
}

void check_act_begins(const process_t *worker, uint32_t number, message_id_t id)
{
    const message_t *m = message_to_act(worker, id);
    const permit_t *p = permit_of(worker_ref(worker->self, number));
    if (world.plan.hosts.dry_run || is_denied(m))
        broken("once", "%s acts for %s in a dry run, or for a host that is denied", worker->name,
               id_text(id));
    if (p == NULL || !p->granted || !is_same(p->id, id))
        broken("grant", "%s acts for %s without a grant", worker->name, id_text(id));
    if (is_over(p))
        broken("grant", "%s acts for %s %" PRId64 " ms after its grant was over", worker->name, id_text(id),
               (world.now_us - p->until_us) / 1000);
    /* Another try may have seen that its host was restarted by somebody else, and left it at that. */
    const disk_row_t *row = check_row(m);
    const bool is_done = row == NULL || (row->done >> LEG_RESTART & 1);
    if (acts_alone() && !is_done && once_note_on_disk(m, LEG_RESTART) != p->note &&
        m->legs[LEG_RESTART].late == 0)
        broken("note", "%s acts for %s, and what it has noted is not on disk", worker->name, id_text(id));
}

void check_acts(const process_t *worker, uint32_t number, message_id_t id)
{
    message_t *m = message_to_act(worker, id);
    const permit_t *p = permit_of(worker_ref(worker->self, number));
    const bool is_late = p == NULL || is_over(p);
    if (is_late)
        trace("it was stopped, and acts for %s after its grant was over", id_text(id));
    m->legs[LEG_RESTART].late += is_late;
    late += is_late;
}

void check_restarted(message_id_t id, bool compares, int64_t up_since_us, int64_t back_us)
{
    message_t *m = check_message(id);
    leg_state_t *l = &m->legs[LEG_RESTART];
    l->acted++;
    restarts++;
    trace("%s: its host is restarted", id_text(id));
    if (l->acted == 1) {
        const disk_row_t *row = check_row(m);
        if (row != NULL && world.plan.gap_us[FAULT_WALL] == 0) {
            const body_t body = body_of(row);
            l->back_us = up_since_us < published_us(&body) ? back_us : 0;
        }
        return;
    }
    if (compares || !world.plan.hosts.observes || l->late == 0)
        broken("once", "the host of %s is restarted %u times for it%s", id_text(id), l->acted,
               compares ? ", and compares what was observed" : "");
    doubles++;
}

/* --- the beginning and the end --- */

void once_open(void)
{
    count = 0;
    restarts = skipped = unknown = late = doubles = 0;
}

void once_sums(check_sums_t *ret)
{
    ret->restarts = restarts;
    ret->skipped = skipped;
    ret->unknown = unknown;
    ret->late = late;
    ret->doubles = doubles;
}

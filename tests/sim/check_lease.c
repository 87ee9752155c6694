/* The invariants of the lease hop: DELIVER, PROGRESS, SETTLED. */
#include "tests/sim/check_talks.h"
#include "tests/sim/trace.h"
#include <inttypes.h>
#include <string.h>

/* --- PROGRESS and SETTLED --- */

/* Kept until it is settled, and after a WELCOME sent again from the first one that is not. True: this one is
 * new. */
static bool check_numbers(conn_t *c, uint64_t no, const void *frame, size_t len)
{
    peer_check_t *check = conn_peer_check(c);
    voice_t *v = voice_find(check->session);
    const char *name = conn_process(c, END_PEER)->name;
    uint64_t lowest = v->sent_count > 0 ? v->sent[0].no : v->last_no + 1;
    if (check->fresh && no > lowest)
        broken("kept", "%s begins anew with PROGRESS %" PRIu64 ", and %" PRIu64 " is not settled", name, no,
               lowest);
    check->fresh = false;
    if (no > v->last_no + 1)
        broken("kept", "%s sends PROGRESS %" PRIu64 " after %" PRIu64, name, no, v->last_no);
    uint64_t hash = check_hash(frame, len);
    if (no == v->last_no + 1) {
        if (v->sent_count == v->sent_cap) {
            v->sent_cap = v->sent_cap > 0 ? 2 * v->sent_cap : 16;
            v->sent = keep_grow(v->sent, v->sent_cap * sizeof *v->sent);
        }
        v->sent[v->sent_count++] = (sent_t){no, hash};
        v->last_no = no;
        return true;
    }
    for (uint32_t i = 0; i < v->sent_count; i++)
        if (v->sent[i].no == no && v->sent[i].hash != hash)
            broken("kept", "%s sends another PROGRESS %" PRIu64 " than before", name, no);
    if (no < lowest)
        broken("kept", "%s sends PROGRESS %" PRIu64 ", which is settled", name, no);
    return false;
}

void lease_settled_read(const peer_check_t *check, const void *frame, size_t len)
{
    uint64_t no;
    const uint8_t *codes;
    if (!check->up || decode_settled(frame, len, &no, &codes) < 0)
        return;
    voice_t *v = voice_find(check->session);
    for (uint32_t i = 0; i < v->sent_count; i++) {
        if (v->sent[i].no != no)
            continue;
        memmove(&v->sent[i], &v->sent[i + 1], (v->sent_count - i - 1) * sizeof *v->sent);
        v->sent_count--;
        return;
    }
}

/* A leg has ended badly here: by the try that this consumer waits for, and not by an older one. */
static void check_bad(const process_t *p, const message_t *m, uint8_t bad)
{
    for (uint32_t leg = 0; leg < SIM_LEGS; leg++) {
        if ((bad >> leg & 1) == 0)
            continue;
        const given_t *g = &m->legs[leg].at[p->index];
        bool tried = g->life == p->life && g->ref != 0;
        uint32_t tries = tried ? g->try_no : 0;
        /* Those of others count too, also besides the one that runs here. */
        uint32_t before = m->asked[p->index].tries[leg] + (tried ? 1u : 0);
        tries = tries > before ? tries : before;
        if (tries < world.plan.gather.policy.max_tries && !(tried && g->permanent))
            broken("tries", "%s says that %s of %s has ended badly, after %u tries", p->name, sim_legs[leg],
                   id_text(m->id), tries);
    }
}

void lease_progress_sent(conn_t *c, const void *frame, size_t len)
{
    static step_t steps[RECORDS_MAX];
    const process_t *p = conn_process(c, END_PEER);
    uint64_t no;
    int n = decode_progress(frame, len, &no, steps);
    if (n < 0)
        broken("codec", "%s sends a PROGRESS that cannot be read", p->name);
    if (!check_numbers(c, no, frame, len))
        return;
    for (int i = 0; i < n; i++) {
        message_t *m = check_message(steps[i].id);
        if (m == NULL)
            broken("commit", "%s reports %s, which was never stored", p->name, id_text(steps[i].id));
        for (uint32_t leg = 0; leg < SIM_LEGS; leg++)
            if ((steps[i].done >> leg & 1) && !check_is_done(m, leg))
                broken("durable", "%s says that %s of %s is done, and it is not", p->name, sim_legs[leg],
                       id_text(m->id));
        /* One that was written for a delivery before the last has waited for its connection. */
        if (steps[i].token != m->asked[p->index].token)
            continue;
        check_bad(p, m, steps[i].bad);
        if (steps[i].op == OP_NOTE)
            once_passed_on(m, p, &steps[i].note);
    }
}

/* Where the deadline is behind a step that moves it. */
static int64_t step_due_ms(const step_t *s, int64_t deadline_ms, int64_t now)
{
    int64_t most_ms = now + world.plan.delivery.ack_deadline_ms;
    int64_t due_ms = (deadline_ms > now ? deadline_ms : now) + s->ms;
    if (s->op == OP_NOTE)
        return s->ms > 0 ? now + s->ms : deadline_ms;
    return due_ms < most_ms ? due_ms : most_ms;
}

/* What an extension or a grant can do at most: of the lease that is out, or of one from before a restart. */
static void extend_read(message_t *m, const step_t *s, int64_t now)
{
    uint64_t epoch = disk_epoch(m->publisher);
    const disk_row_t *row = check_row(m);
    bool adopts = row == NULL || s->token >= row->noted;
    if (adopts && s->token >> EPOCH_SHIFT < epoch && m->token >> EPOCH_SHIFT < epoch) {
        m->leased = true;
        m->token = s->token;
        /* Limbo is over, and nothing has ended it yet: it may count as ending now or, as missed, before. */
        if (m->deadline_max_ms <= now) {
            m->extended_ms += now + 1 - m->deadline_max_ms;
            m->deadline_max_ms = now + 1;
        }
    }
    if (!m->leased || s->token != m->token)
        return;
    int64_t due_ms = step_due_ms(s, m->deadline_max_ms, now);
    if (due_ms > m->deadline_max_ms) {
        m->extended_ms += due_ms - m->deadline_max_ms;
        m->deadline_max_ms = due_ms;
    }
}

void lease_progress_read(conn_t *c, talk_t *t, const void *frame, size_t len)
{
    static step_t steps[RECORDS_MAX];
    uint64_t no;
    int n = decode_progress(frame, len, &no, steps);
    if (n < 0)
        return;
    said_t *said = keep_alloc(sizeof *said + (size_t)n * sizeof *said->steps);
    *said = (said_t){.next = t->said, .no = no, .count = (uint32_t)n};
    t->said = said;
    int64_t now = server_now_ms(conn_process(c, END_SERVER));
    for (int i = 0; i < n; i++) {
        const step_t *s = &steps[i];
        said->steps[i] = (said_step_t){.step = *s, .read_ms = now};
        message_t *m = check_message(s->id);
        if (m == NULL)
            continue;
        if (s->op == OP_EXTEND || s->op == OP_NOTE)
            extend_read(m, s, now);
        if (s->op == OP_NOTE && s->note.bit < SIM_LEGS) {
            said->steps[i].note = once_hash(s->note.bytes, s->note.len);
            said->steps[i].note_no = ++m->legs[s->note.bit].notes_read;
        }
        bool current = s->token == m->token;
        if (current && s->op == OP_NACK)
            m->nacked = true;
        const disk_row_t *row = check_row(m);
        uint8_t ended = row != NULL ? row->done | row->bad | s->done | s->bad : 0xff;
        if (current &&
            (s->op == OP_NACK || s->op == OP_RELEASE || row == NULL || (ended & row->legs) == row->legs))
            talk_out_remove(t, m->row);
    }
}

/* The note is on disk, unless another is behind it; and nobody else has the message. */
static void check_granted(const message_t *m, const said_step_t *said)
{
    const step_t *s = &said->step;
    const disk_row_t *row = check_row(m);
    /* Of several leases from before a start the first that is heard of may be taken for the last. */
    const uint64_t epoch = disk_epoch(m->publisher);
    const bool before = s->token >> EPOCH_SHIFT < epoch && m->token >> EPOCH_SHIFT < epoch;
    if (s->token != m->token && !before)
        broken("stale", "publisher-%u takes a note for %s by a token that is not the last", m->publisher,
               id_text(m->id));
    bool last = said->note_no == m->legs[s->note.bit].notes_read;
    if (row != NULL && last && once_note_on_disk(m, s->note.bit) != said->note)
        broken("commit", "publisher-%u answers that it has a note for %s, and it is not on disk",
               m->publisher, id_text(m->id));
}

/* What the answer says is true on disk now. */
static void check_code(const message_t *m, const said_step_t *said, step_code_t code)
{
    const step_t *s = &said->step;
    const disk_row_t *row = check_row(m);
    bool good = true;
    switch (code) {
    case STEP_DONE:
        good = row == NULL && m->deleted;
        break;
    case STEP_DEAD: /* or done after all, by a step behind this one */
        good = row == NULL ? m->deleted : row->dead;
        break;
    case STEP_GONE:
        good = row == NULL;
        break;
    case STEP_GRANTED:
        check_granted(m, said);
        break;
    case STEP_KEPT:
        good = row == NULL || (row->bad & s->bad & ~row->done) == (s->bad & ~row->done);
        break;
    case STEP_RETURNED:
    case STEP_STALE:
    case STEP_CODES:
        break;
    }
    if (!good || (row != NULL && (s->done & row->legs & ~row->done) != 0))
        broken("commit", "publisher-%u answers %d for %s (done %x, bad %x), and on disk it is %s, done %x",
               m->publisher, code, id_text(m->id), s->done, s->bad,
               row == NULL ? "not there"
               : row->dead ? "dead"
                           : "alive",
               row != NULL ? row->done : 0);
}

static void settle(message_t *m, const said_step_t *said, step_code_t code)
{
    const step_t *s = &said->step;
    const delivery_limits_t *limits = &world.plan.delivery;
    if (s->token != m->token)
        return;
    if (code == STEP_RETURNED || code == STEP_DONE || code == STEP_DEAD)
        m->leased = false;
    bool moved = code == (s->op == OP_NOTE ? STEP_GRANTED : STEP_KEPT);
    if (!moved || (s->op != OP_EXTEND && s->op != OP_NOTE) || m->extended_ms >= limits->lease_cap_ms)
        return;
    int64_t due_ms = step_due_ms(s, m->deadline_min_ms, said->read_ms);
    if (due_ms > m->deadline_min_ms)
        m->deadline_min_ms = due_ms;
}

void lease_settled_sent(talk_t *t, const void *frame, size_t len)
{
    uint64_t no;
    const uint8_t *codes;
    int n = decode_settled(frame, len, &no, &codes);
    said_t **link = &t->said;
    while (*link != NULL && (*link)->no != no)
        link = &(*link)->next;
    said_t *said = *link;
    if (said == NULL || n != (int)said->count)
        broken("settled", "%s answers PROGRESS %" PRIu64 ", which it was not told", t->server->name, no);
    for (int i = 0; i < n; i++) {
        message_t *m = check_message(said->steps[i].step.id);
        if (m == NULL)
            continue;
        check_code(m, &said->steps[i], (step_code_t)codes[i]);
        settle(m, &said->steps[i], (step_code_t)codes[i]);
    }
    *link = said->next;
    keep_free(said);
}

/* --- DELIVER --- */

void lease_deliver_sent(conn_t *c, talk_t *t, const void *frame, size_t len)
{
    static delivery_record_t records[RECORDS_MAX];
    process_t *p = conn_process(c, END_SERVER);
    int n = decode_deliver(frame, len, records);
    for (int i = 0; i < n; i++) {
        const delivery_record_t *d = &records[i];
        message_t *m = check_message(d->id);
        const disk_row_t *row = m != NULL ? check_row(m) : NULL;
        if (row == NULL || row->dead)
            broken("commit", "%s delivers %s, which is %s", p->name, id_text(d->id),
                   m == NULL     ? "not stored"
                   : row == NULL ? "done"
                                 : "dead");
        if ((d->legs & (row->done | row->bad)) != 0 || (d->legs & ~row->legs) != 0 || d->legs == 0)
            broken("forgotten", "%s delivers legs %x of %s, of which %x are done and %x bad", p->name,
                   d->legs, id_text(d->id), row->done, row->bad);
        for (uint32_t leg = 0; leg < SIM_LEGS; leg++)
            if ((d->legs >> leg & 1) &&
                once_note_of(d->notes, d->notes_len, leg) != once_note_on_disk(m, leg))
                broken("note", "%s delivers %s without what was noted for %s last", p->name, id_text(d->id),
                       sim_legs[leg]);
        for (uint32_t leg = 0; leg < SIM_LEGS; leg++)
            if (d->tries[leg] > m->legs[leg].given)
                broken("tries", "%s delivers %s and says that %s was tried %u times; it was %u", p->name,
                       id_text(d->id), sim_legs[leg], d->tries[leg], m->legs[leg].given);
        if (d->token <= m->token)
            broken("token", "%s delivers %s with a token that is not new", p->name, id_text(d->id));
        if (m->row > disk_dispatched_to(m->publisher))
            broken("commit", "%s delivers %s beyond what it has committed to deliver", p->name,
                   id_text(d->id));
        check_not_out(m);
        talk_out_add(t, m->row, m->id);
        m->leased = true;
        m->nacked = false;
        m->token = d->token;
        m->extended_ms = 0;
        m->deadline_min_ms = m->deadline_max_ms = server_now_ms(p) + world.plan.delivery.ack_deadline_ms;
    }
    talk_check_window(t, "messages");
}

void lease_deliver_read(conn_t *c, const void *frame, size_t len)
{
    static delivery_record_t records[RECORDS_MAX];
    process_t *p = conn_process(c, END_PEER);
    int n = decode_deliver(frame, len, records);
    for (int i = 0; i < n; i++) {
        message_t *m = check_message(records[i].id);
        if (m == NULL)
            continue;
        if (m->asked[p->index].life == p->life && records[i].token < m->asked[p->index].token)
            continue;
        if (m->asked[p->index].life != p->life) {
            m->asked[p->index].first_ms = server_now_ms(p);
            memset(m->asked[p->index].notes, 0, sizeof m->asked[p->index].notes);
        }
        m->asked[p->index].life = p->life;
        m->asked[p->index].token = records[i].token;
        m->asked[p->index].legs = records[i].legs;
        memcpy(m->asked[p->index].tries, records[i].tries, LEGS_MAX);
        once_delivered(m, p, &records[i]);
    }
}

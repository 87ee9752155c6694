/* The invariants of what is said on the wire. A talk is one session as its server knows it; a voice is one as
 * its peer does. */
#include "common/core/proto.h"
#include "tests/sim/check_internal.h"
#include "tests/sim/programs.h"
#include "tests/sim/trace.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Outstanding with a session: a message (by row), or a task (by ref). */
typedef struct {
    uint64_t key;
    message_id_t id;
    bool doubtful; /* the server may have taken it back */
} out_t;

typedef struct {
    step_t step; /* without its text and events */
    int64_t read_ms;
} said_step_t;

/* A PROGRESS that a publisher has read and not answered. */
typedef struct said {
    struct said *next;
    uint64_t no;
    uint32_t count;
    said_step_t steps[];
} said_t;

typedef struct {
    uint64_t session; /* the peer's */
    const process_t *server;
    uint32_t life; /* the server's */
    uint32_t conn; /* where its HELLO came from last: on others it is not known */
    uint32_t leg;  /* of a worker */
    uint32_t window;
    int64_t heard_ms;
    bool silent;   /* it was for so long that it may have been forgotten */
    uint64_t seen; /* RESULTS */
    out_t *out;
    uint32_t out_count, out_cap;
    said_t *said;
} talk_t;

/* A PROGRESS that a consumer has sent and that is not settled. */
typedef struct {
    uint64_t no;
    uint64_t hash;
} sent_t;

typedef struct {
    uint64_t session;
    uint64_t last_no;
    sent_t *sent;
    uint32_t sent_count, sent_cap;
} voice_t;

static talk_t *talks;
static uint32_t talks_count, talks_cap;
static voice_t *voices;
static uint32_t voices_count, voices_cap;

/* --- talks and voices --- */

static talk_t *talk_of(conn_t *c)
{
    uint32_t record = *conn_record(c);
    return record > 0 ? &talks[record - 1] : NULL;
}

static talk_t *talk_find(const process_t *server, uint64_t session)
{
    for (uint32_t i = talks_count; i > 0; i--)
        if (talks[i - 1].session == session && talks[i - 1].server == server &&
            talks[i - 1].life == server->life)
            return &talks[i - 1];
    if (talks_count == talks_cap) {
        talks_cap = talks_cap > 0 ? 2 * talks_cap : 64;
        talks = keep_grow(talks, talks_cap * sizeof *talks);
    }
    talks[talks_count] = (talk_t){.session = session, .server = server, .life = server->life};
    return &talks[talks_count++];
}

static voice_t *voice_find(uint64_t session)
{
    for (uint32_t i = voices_count; i > 0; i--)
        if (voices[i - 1].session == session)
            return &voices[i - 1];
    if (voices_count == voices_cap) {
        voices_cap = voices_cap > 0 ? 2 * voices_cap : 64;
        voices = keep_grow(voices, voices_cap * sizeof *voices);
    }
    voices[voices_count] = (voice_t){.session = session};
    return &voices[voices_count++];
}

static int64_t now_ms(process_t *p)
{
    if (p->self == NULL)
        return world.now_us / 1000;
    return p->program == PROGRAM_PUBLISHER ? program_publisher(p)->loop.now_ms : consumer_now_ms(p);
}

static out_t *out_find(const talk_t *t, uint64_t key)
{
    for (uint32_t i = 0; i < t->out_count; i++)
        if (t->out[i].key == key)
            return &t->out[i];
    return NULL;
}

static void out_add(talk_t *t, uint64_t key, message_id_t id)
{
    if (t->out_count == t->out_cap) {
        t->out_cap = t->out_cap > 0 ? 2 * t->out_cap : 16;
        t->out = keep_grow(t->out, t->out_cap * sizeof *t->out);
    }
    t->out[t->out_count++] = (out_t){.key = key, .id = id};
}

static void out_remove(talk_t *t, uint64_t key)
{
    out_t *o = out_find(t, key);
    if (o != NULL)
        *o = t->out[--t->out_count];
}

void check_not_out(const message_t *m)
{
    for (uint32_t i = 0; i < talks_count; i++)
        if (talks[i].server->program == PROGRAM_PUBLISHER && talks[i].server->index == m->publisher)
            out_remove(&talks[i], m->row);
}

static void check_window(const talk_t *t, const char *what)
{
    uint32_t out = 0;
    for (uint32_t i = 0; i < t->out_count; i++)
        out += !t->out[i].doubtful;
    if (out > t->window)
        broken("window", "%s has %u %s out with a window of %u", t->server->name, out, what, t->window);
}

/* --- HELLO, WINDOW, BYE --- */

static bool holds(const hello_t *h, bool pairs, const out_t *o)
{
    reader_t held = h->held;
    for (uint32_t i = 0; i < h->held_count; i += pairs ? 2 : 1) {
        uint64_t first = read_uint(&held, CODEC_INT_MAX);
        if (!pairs && first == o->key)
            return true;
        if (pairs && read_uint(&held, CODEC_INT_MAX) == o->id.seq && first == o->id.stream)
            return true;
    }
    return false;
}

static void hello_read(conn_t *c, const void *frame, size_t len)
{
    hello_t h;
    if (decode_hello(frame, len, &h) != 0)
        return;
    process_t *server = conn_process(c, END_SERVER);
    talk_t *t = talk_find(server, h.session);
    uint32_t record = (uint32_t)(t - talks) + 1;
    bool moved = t->conn != conn_id(c);
    t->conn = conn_id(c);
    *conn_record(c) = record;
    int64_t now = now_ms(server);
    bool forgotten = t->silent || now - t->heard_ms >= DEAD_MS;
    t->silent = false;
    for (uint32_t i = 0; i < t->out_count; i++)
        if (forgotten || (moved && !holds(&h, h.role == ROLE_CONSUMER, &t->out[i])))
            t->out[i].doubtful = true;
    t->window = h.window;
    t->heard_ms = now;
    if (forgotten)
        t->seen = 0;
    t->leg = strcmp(h.leg, sim_legs[LEG_RESTART]) == 0 ? LEG_RESTART : LEG_SAVE;
}

/* --- PROGRESS and SETTLED --- */

static uint64_t hash_of(const uint8_t *bytes, size_t len)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

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
    uint64_t hash = hash_of(frame, len);
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

static void settled_read(const peer_check_t *check, const void *frame, size_t len)
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

static void progress_sent(conn_t *c, const void *frame, size_t len)
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
        const message_t *m = check_message(steps[i].id);
        if (m == NULL)
            broken("commit", "%s reports %s, which was never stored", p->name, id_text(steps[i].id));
        for (uint32_t leg = 0; leg < SIM_LEGS; leg++)
            if ((steps[i].done >> leg & 1) && m->legs[leg].acted == 0)
                broken("durable", "%s says that %s of %s is done, and it is not", p->name, sim_legs[leg],
                       id_text(m->id));
        check_bad(p, m, steps[i].bad);
    }
}

/* What an extension can do at most: of the lease that is out, or of one from before a restart. */
static void extend_read(message_t *m, const step_t *s, int64_t now)
{
    int64_t most_ms = now + world.plan.delivery.ack_deadline_ms;
    uint64_t epoch = disk_epoch(m->publisher);
    if (s->token >> EPOCH_SHIFT < epoch && m->token >> EPOCH_SHIFT < epoch) {
        m->leased = true;
        m->token = s->token;
        /* Limbo is over, and nothing has ended it yet. */
        if (m->deadline_max_ms <= now)
            m->deadline_max_ms = now + 1;
    }
    if (!m->leased || s->token != m->token)
        return;
    int64_t from_ms = m->deadline_max_ms > now ? m->deadline_max_ms : now;
    int64_t due_ms = from_ms + s->ms < most_ms ? from_ms + s->ms : most_ms;
    if (due_ms > m->deadline_max_ms) {
        m->extended_ms += due_ms - m->deadline_max_ms;
        m->deadline_max_ms = due_ms;
    }
}

static void progress_read(conn_t *c, talk_t *t, const void *frame, size_t len)
{
    static step_t steps[RECORDS_MAX];
    uint64_t no;
    int n = decode_progress(frame, len, &no, steps);
    if (n < 0)
        return;
    said_t *said = keep_alloc(sizeof *said + (size_t)n * sizeof *said->steps);
    *said = (said_t){.next = t->said, .no = no, .count = (uint32_t)n};
    t->said = said;
    int64_t now = now_ms(conn_process(c, END_SERVER));
    for (int i = 0; i < n; i++) {
        const step_t *s = &steps[i];
        said->steps[i] = (said_step_t){.step = *s, .read_ms = now};
        message_t *m = check_message(s->id);
        if (m == NULL)
            continue;
        if (s->op == OP_EXTEND)
            extend_read(m, s, now);
        bool current = s->token == m->token;
        if (current && s->op == OP_NACK)
            m->nacked = true;
        const disk_row_t *row = check_row(m);
        uint8_t ended = row != NULL ? row->done | row->bad | s->done | s->bad : 0xff;
        if (current &&
            (s->op == OP_NACK || s->op == OP_RELEASE || row == NULL || (ended & row->legs) == row->legs))
            out_remove(t, m->row);
    }
}

/* What the answer says is true on disk now. */
static void check_code(const message_t *m, const step_t *s, step_code_t code)
{
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
    if (code != STEP_KEPT || s->op != OP_EXTEND || m->extended_ms >= limits->lease_cap_ms)
        return;
    int64_t most_ms = said->read_ms + limits->ack_deadline_ms;
    int64_t from_ms = m->deadline_min_ms > said->read_ms ? m->deadline_min_ms : said->read_ms;
    int64_t due_ms = from_ms + s->ms < most_ms ? from_ms + s->ms : most_ms;
    if (due_ms > m->deadline_min_ms)
        m->deadline_min_ms = due_ms;
}

static void settled_sent(talk_t *t, const void *frame, size_t len)
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
        check_code(m, &said->steps[i].step, (step_code_t)codes[i]);
        settle(m, &said->steps[i], (step_code_t)codes[i]);
    }
    *link = said->next;
    keep_free(said);
}

/* --- DELIVER --- */

static void deliver_sent(conn_t *c, talk_t *t, const void *frame, size_t len)
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
            if (d->tries[leg] > m->legs[leg].given)
                broken("tries", "%s delivers %s and says that %s was tried %u times; it was %u", p->name,
                       id_text(d->id), sim_legs[leg], d->tries[leg], m->legs[leg].given);
        if (d->token <= m->token)
            broken("token", "%s delivers %s with a token that is not new", p->name, id_text(d->id));
        if (m->row > disk_dispatched_to(m->publisher))
            broken("commit", "%s delivers %s beyond what it has committed to deliver", p->name,
                   id_text(d->id));
        check_not_out(m);
        out_add(t, m->row, m->id);
        m->leased = true;
        m->nacked = false;
        m->token = d->token;
        m->extended_ms = 0;
        m->deadline_min_ms = m->deadline_max_ms = now_ms(p) + world.plan.delivery.ack_deadline_ms;
    }
    check_window(t, "messages");
}

static void deliver_read(conn_t *c, const void *frame, size_t len)
{
    static delivery_record_t records[RECORDS_MAX];
    const process_t *p = conn_process(c, END_PEER);
    int n = decode_deliver(frame, len, records);
    for (int i = 0; i < n; i++) {
        message_t *m = check_message(records[i].id);
        if (m == NULL)
            continue;
        if (m->asked[p->index].life == p->life && records[i].token < m->asked[p->index].token)
            continue;
        m->asked[p->index].life = p->life;
        m->asked[p->index].token = records[i].token;
        m->asked[p->index].legs = records[i].legs;
        memcpy(m->asked[p->index].tries, records[i].tries, LEGS_MAX);
    }
}

/* --- TASKS and RESULTS --- */

static void check_task(const process_t *p, talk_t *t, const task_record_t *r)
{
    message_t *m = check_message(r->id);
    if (m == NULL || m->asked[p->index].life != p->life)
        broken("asked", "%s gives out %s, which it was not given", p->name, id_text(r->id));
    if ((m->asked[p->index].legs >> t->leg & 1) == 0)
        broken("forgotten", "%s gives out %s of %s, which the last delivery does not ask for", p->name,
               sim_legs[t->leg], id_text(r->id));
    given_t *g = &m->legs[t->leg].at[p->index];
    if (g->life != p->life || g->ref >> 32 != r->ref >> 32)
        *g = (given_t){.life = p->life};
    if (r->try_no <= g->failed_try || r->try_no > world.plan.gather.policy.max_tries)
        broken("tries", "%s gives out try %u of %s of %s; %u have failed, and there are to be %u", p->name,
               r->try_no, sim_legs[t->leg], id_text(r->id), g->failed_try,
               world.plan.gather.policy.max_tries);
    g->ref = r->ref;
    g->session = t->session;
    g->try_no = r->try_no;
    g->permanent = false;
    m->legs[t->leg].given++;
    out_add(t, r->ref, r->id);
}

static void tasks_sent(conn_t *c, talk_t *t, const void *frame, size_t len)
{
    static task_record_t records[RECORDS_MAX];
    const process_t *p = conn_process(c, END_SERVER);
    tasks_t head;
    int n = decode_tasks(frame, len, &head, records);
    for (int i = 0; i < n; i++)
        check_task(p, t, &records[i]);
    check_window(t, "tasks");
}

static void results_sent(const talk_t *t, const process_t *worker, const void *frame, size_t len)
{
    static result_record_t records[RECORDS_MAX];
    uint64_t no;
    int n = decode_results(frame, len, &no, records);
    for (int i = 0; i < n; i++) {
        const out_t *o = out_find(t, records[i].ref);
        const message_t *m = o != NULL ? check_message(o->id) : NULL;
        if (m != NULL && records[i].outcome == OUTCOME_OK && m->legs[t->leg].acted == 0)
            broken("durable", "%s says that %s is done, and it is not", worker->name, id_text(m->id));
    }
}

static void result_read(const process_t *p, talk_t *t, const result_record_t *r)
{
    const out_t *o = out_find(t, r->ref);
    message_t *m = o != NULL ? check_message(o->id) : NULL;
    bool counts = o != NULL && !o->doubtful && !t->silent;
    out_remove(t, r->ref);
    if (m == NULL)
        return;
    given_t *g = &m->legs[t->leg].at[p->index];
    if (g->life != p->life || g->ref != r->ref || g->session != t->session || g->try_no != r->try_no)
        return;
    if (r->outcome == OUTCOME_TRANSIENT && counts)
        g->failed_try = r->try_no;
    if (r->outcome == OUTCOME_PERMANENT)
        g->permanent = true;
}

static void results_read(conn_t *c, talk_t *t, const void *frame, size_t len)
{
    static result_record_t records[RECORDS_MAX];
    const process_t *p = conn_process(c, END_SERVER);
    uint64_t no;
    int n = decode_results(frame, len, &no, records);
    if (n < 0 || no <= t->seen || (t->seen != 0 && no > t->seen + 1))
        return;
    t->seen = no;
    for (int i = 0; i < n; i++)
        result_read(p, t, &records[i]);
}

/* --- CONFIRM --- */

static void confirm_sent(const process_t *p, const void *frame, size_t len)
{
    static refusal_t refusals[RECORDS_MAX];
    confirm_t confirm;
    if (decode_confirm(frame, len, &confirm, refusals) < 0)
        return;
    for (uint32_t i = 0; i < confirm.stored; i++) {
        message_id_t id = {.stream = confirm.first.stream, .seq = confirm.first.seq + i};
        const message_t *m = check_message(id);
        if (m == NULL || m->publisher != p->index)
            broken("commit", "%s confirms %s before it is stored", p->name, id_text(id));
    }
}

/* --- all of them --- */

void check_sent(conn_t *c, int end, const void *frame, size_t len)
{
    const char *why;
    int command = proto_command(frame, len, &why);
    process_t *p = conn_process(c, end);
    talk_t *t = talk_of(c);
    hello_t hello;
    if (command < 0)
        broken("codec", "%s sends a frame that is malformed: %s", p->name, why);
    if (tracing)
        trace_frame(c, end, true, command, frame, len);
    bool needs_talk = command == CMD_DELIVER || command == CMD_TASKS || command == CMD_SETTLED;
    if (needs_talk && t == NULL)
        broken("session", "%s sends command %d to a connection that has not said HELLO", p->name, command);
    switch (command) {
    case CMD_HELLO:
        if (decode_hello(frame, len, &hello) == 0)
            conn_peer_check(c)->session = hello.session;
        break;
    case CMD_DELIVER:
        deliver_sent(c, t, frame, len);
        break;
    case CMD_SETTLED:
        settled_sent(t, frame, len);
        break;
    case CMD_TASKS:
        tasks_sent(c, t, frame, len);
        break;
    case CMD_PROGRESS:
        progress_sent(c, frame, len);
        break;
    case CMD_RESULTS:
        if (t != NULL)
            results_sent(t, p, frame, len);
        break;
    case CMD_CONFIRM:
        confirm_sent(p, frame, len);
        break;
    default:
        break;
    }
}

static void server_reads(conn_t *c, talk_t *t, int command, const void *frame, size_t len)
{
    int64_t now = now_ms(conn_process(c, END_SERVER));
    t->silent = t->silent || now - t->heard_ms >= DEAD_MS;
    t->heard_ms = now;
    switch (command) {
    case CMD_WINDOW:
        decode_window(frame, len, &t->window);
        break;
    case CMD_BYE:
        for (uint32_t i = 0; i < t->out_count; i++)
            t->out[i].doubtful = true;
        break;
    case CMD_PROGRESS:
        progress_read(c, t, frame, len);
        break;
    case CMD_RESULTS:
        results_read(c, t, frame, len);
        break;
    default:
        break;
    }
}

void check_received(conn_t *c, int end, const void *frame, size_t len)
{
    int command = proto_command(frame, len, NULL);
    if (tracing)
        trace_frame(c, end, false, command, frame, len);
    if (end == END_SERVER) {
        if (command == CMD_HELLO)
            hello_read(c, frame, len);
        else if (*conn_record(c) > 0 && talk_of(c)->conn == conn_id(c))
            server_reads(c, talk_of(c), command, frame, len);
        return;
    }
    peer_check_t *check = conn_peer_check(c);
    switch (command) {
    case CMD_WELCOME:
        check->fresh = check->fresh || !check->up;
        check->up = true;
        break;
    case CMD_WHO:
    case CMD_BYE:
        check->up = false;
        break;
    case CMD_SETTLED:
        settled_read(check, frame, len);
        break;
    case CMD_DELIVER:
        deliver_read(c, frame, len);
        break;
    default:
        break;
    }
}

void check_frames_open(void)
{
    talks_count = voices_count = 0;
}

void check_frames_close(void)
{
    for (uint32_t i = 0; i < talks_count; i++) {
        while (talks[i].said != NULL) {
            said_t *said = talks[i].said;
            talks[i].said = said->next;
            keep_free(said);
        }
        keep_free(talks[i].out);
    }
    for (uint32_t i = 0; i < voices_count; i++)
        keep_free(voices[i].sent);
}

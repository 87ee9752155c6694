/* The invariants of the task hop: TASKS, RESULTS. */
#include "tests/sim/check_talks.h"
#include "tests/sim/trace.h"

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
    if (g->back_try > 0 && r->try_no > g->back_try && m->asked[p->index].tries[t->leg] < g->back_try)
        broken("tries", "%s gives out try %u of %s of %s; try %u was given back", p->name, r->try_no,
               sim_legs[t->leg], id_text(r->id), g->back_try);
    once_task_sent(p, m, t->leg, r);
    g->back_try = 0;
    g->ref = r->ref;
    g->session = t->session;
    g->try_no = r->try_no;
    g->permanent = false;
    m->legs[t->leg].given++;
    talk_out_add(t, r->ref, r->id);
}

void tasks_sent(conn_t *c, talk_t *t, const void *frame, size_t len)
{
    static task_record_t records[RECORDS_MAX];
    const process_t *p = conn_process(c, END_SERVER);
    tasks_t head;
    int n = decode_tasks(frame, len, &head, records);
    if (n >= 0)
        t->seen = head.seen;
    for (int i = 0; i < n; i++)
        check_task(p, t, &records[i]);
    talk_check_window(t, "tasks");
}

static void result_sent(const process_t *worker, message_t *m, uint32_t leg, const result_record_t *r)
{
    leg_state_t *l = &m->legs[leg];
    if (leg == LEG_RESTART)
        once_result(worker, m, r);
    if (r->outcome == OUTCOME_OK && !check_is_done(m, leg))
        l->excused = leg == LEG_RESTART && once_may_be_skipped(m);
    if (r->outcome == OUTCOME_OK && !check_is_done(m, leg))
        broken("durable", "%s says that %s is done, and it is not", worker->name, id_text(m->id));
}

void results_sent(const talk_t *t, const process_t *worker, const void *frame, size_t len)
{
    static result_record_t records[RECORDS_MAX];
    uint64_t no;
    int n = decode_results(frame, len, &no, records);
    for (int i = 0; i < n; i++) {
        const out_t *o = talk_out(t, records[i].ref);
        message_t *m = o != NULL ? check_message(o->id) : NULL;
        if (m != NULL)
            result_sent(worker, m, t->leg, &records[i]);
    }
}

/* What lies untouched at a worker for so long may have been let go, and its failure means nothing then. */
static bool may_be_let_go(process_t *p, const talk_t *t, const out_t *o)
{
    const message_t *m = check_message(o->id);
    return o->place > t->started && m != NULL &&
           server_now_ms(p) - m->asked[p->index].first_ms >= world.plan.delivery.lease_cap_ms / 2;
}

void tasks_started(conn_t *c, talk_t *t, uint64_t started)
{
    for (uint32_t i = 0; i < t->out_count; i++)
        if (t->out[i].place <= started)
            t->out[i].let_go |= may_be_let_go(conn_process(c, END_SERVER), t, &t->out[i]);
    if (started > t->started)
        t->started = started;
}

static void result_read(process_t *p, talk_t *t, const result_record_t *r)
{
    const out_t *o = talk_out(t, r->ref);
    message_t *m = o != NULL ? check_message(o->id) : NULL;
    bool counts = m != NULL && !o->doubtful && !t->silent && !o->let_go && !may_be_let_go(p, t, o);
    talk_out_remove(t, r->ref);
    if (m == NULL)
        return;
    given_t *g = &m->legs[t->leg].at[p->index];
    if (g->life != p->life || g->ref != r->ref || g->session != t->session || g->try_no != r->try_no)
        return;
    if (r->outcome == OUTCOME_TRANSIENT && counts)
        g->failed_try = r->try_no;
    if (r->outcome == OUTCOME_PERMANENT || r->outcome == OUTCOME_UNKNOWN)
        g->permanent = true;
}

void results_read(conn_t *c, talk_t *t, const void *frame, size_t len)
{
    static result_record_t records[RECORDS_MAX];
    process_t *p = conn_process(c, END_SERVER);
    uint64_t no;
    int n = decode_results(frame, len, &no, records);
    if (n < 0 || no <= t->seen || (t->seen != 0 && no > t->seen + 1))
        return;
    t->seen = no;
    for (int i = 0; i < n; i++)
        result_read(p, t, &records[i]);
}

/* BYE of a worker: what it had costs no try. One over its hard limit had failed before. */
void tasks_given_back(conn_t *c, const talk_t *t)
{
    const process_t *p = conn_process(c, END_SERVER);
    if (t->silent || world.plan.gather.policy.limit_hard_ms > 0)
        return;
    for (uint32_t i = 0; i < t->out_count; i++) {
        message_t *m = t->out[i].doubtful ? NULL : check_message(t->out[i].id);
        given_t *g = m != NULL ? &m->legs[t->leg].at[p->index] : NULL;
        if (g != NULL && g->life == p->life && g->ref == t->out[i].key && g->session == t->session)
            g->back_try = g->try_no;
    }
}

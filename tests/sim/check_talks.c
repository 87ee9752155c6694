#include "tests/sim/check_talks.h"
#include "tests/sim/programs.h"
#include "tests/sim/trace.h"
#include <string.h>

static talk_t *talks;
static uint32_t talks_count, talks_cap;
static voice_t *voices;
static uint32_t voices_count, voices_cap;

talk_t *talk_of(conn_t *c)
{
    uint32_t record = *conn_record(c);
    return record > 0 ? &talks[record - 1] : NULL;
}

talk_t *talk_find(const process_t *server, uint64_t session)
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

voice_t *voice_find(uint64_t session)
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

int64_t server_now_ms(process_t *p)
{
    if (p->self == NULL)
        return world.now_us / 1000;
    return p->program == PROGRAM_PUBLISHER ? program_publisher(p)->loop.now_ms : consumer_now_ms(p);
}

out_t *talk_out(const talk_t *t, uint64_t key)
{
    for (uint32_t i = 0; i < t->out_count; i++)
        if (t->out[i].key == key)
            return &t->out[i];
    return NULL;
}

void talk_out_add(talk_t *t, uint64_t key, message_id_t id)
{
    if (t->out_count == t->out_cap) {
        t->out_cap = t->out_cap > 0 ? 2 * t->out_cap : 16;
        t->out = keep_grow(t->out, t->out_cap * sizeof *t->out);
    }
    t->out[t->out_count++] = (out_t){.key = key, .id = id, .place = ++t->given};
}

void talk_welcomed(talk_t *t)
{
    t->given = t->started = 0;
    for (uint32_t i = 0; i < t->out_count; i++)
        t->out[i].place = 0;
}

void talk_out_remove(talk_t *t, uint64_t key)
{
    out_t *o = talk_out(t, key);
    if (o != NULL)
        *o = t->out[--t->out_count];
}

void check_not_out(const message_t *m)
{
    for (uint32_t i = 0; i < talks_count; i++)
        if (talks[i].server->program == PROGRAM_PUBLISHER && talks[i].server->index == m->publisher)
            talk_out_remove(&talks[i], m->row);
}

void talk_check_window(const talk_t *t, const char *what)
{
    uint32_t out = 0;
    for (uint32_t i = 0; i < t->out_count; i++)
        out += !t->out[i].doubtful;
    if (out > t->window)
        broken("window", "%s has %u %s out with a window of %u", t->server->name, out, what, t->window);
}

uint32_t talk_record(const talk_t *t)
{
    return (uint32_t)(t - talks) + 1;
}

void talks_open(void)
{
    talks_count = voices_count = 0;
}

void talks_close(void)
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

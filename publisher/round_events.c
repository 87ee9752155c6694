#include "publisher/round_events.h"
#include <errno.h>
#include <string.h>

static text_t label_of(const round_t *r, uint32_t who)
{
    const char *label = r->label && who != 0 ? r->label(r->label_arg, who) : "";
    return (text_t){label, (uint32_t)strlen(label)};
}

static text_t text_of(const round_t *r, const round_step_t *s)
{
    return (text_t){(const char *)r->texts.data + s->text_at, s->text_len};
}

void round_events_keep(round_t *r, round_step_t *step, const step_t *s)
{
    step->events_at = (uint32_t)r->texts.len;
    step->events_len = s->events_len;
    if (s->events_len > 0)
        buffer_append(&r->texts, s->events, s->events_len);
    step->text_at = (uint32_t)r->texts.len;
    step->text_len = (uint16_t)s->text.len;
    if (s->text.len > 0)
        buffer_append(&r->texts, s->text.bytes, s->text.len);
}

/* A leg that has ended badly without a record of its tries leaves one all the same: its reason. */
static bool is_assumed(const round_step_t *s)
{
    return s->events_len == 0 && s->newly_bad != 0 && s->text_len > 0;
}

/* A try is a fact, as a leg done is: it is kept whatever the token. */
static bool adds(const round_t *r, uint32_t place)
{
    const round_step_t *s = &r->steps[place];
    step_code_t code = (step_code_t)r->codes[place];
    return (s->events_len > 0 || is_assumed(s)) && code != STEP_GONE && code != STEP_DONE;
}

bool round_events_any(const round_t *r, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; r->texts.len > 0 && i < end; i++)
        if (adds(r, i))
            return true;
    return false;
}

static int write_told(round_t *r, uint32_t place)
{
    const round_step_t *s = &r->steps[place];
    /* In the number of tries it counts with the current token, or while nobody knows which that is. */
    bool counts = r->codes[place] != STEP_STALE || backlog_may_be_out(r->backlog, s->step.id);
    return outbox_history(r->outbox, s->step.id, r->texts.data + s->events_at, s->events_len, counts);
}

static int write_assumed(round_t *r, const round_step_t *s)
{
    buffer_clear(&r->event);
    for (unsigned bit = 0; bit < LEGS_MAX; bit++) {
        const event_t e = {.bit = (uint8_t)bit,
                           .no = 1,
                           .label = {"", 0},
                           .since_ms = (uint64_t)r->wall_ms,
                           .how = HOW_PERMANENT,
                           .text = text_of(r, s)};
        if (s->newly_bad >> bit & 1)
            event_write(&r->event, &e);
    }
    return r->event.failed ? -ENOMEM
                           : outbox_history(r->outbox, s->step.id, r->event.data, r->event.len, false);
}

int round_events_write(round_t *r, uint32_t first, uint32_t end)
{
    if (r->texts.failed)
        return -ENOMEM;
    for (uint32_t i = first; i < end; i++) {
        if (!adds(r, i))
            continue;
        int error = is_assumed(&r->steps[i]) ? write_assumed(r, &r->steps[i]) : write_told(r, i);
        if (error < 0 && error != -ENOENT)
            return error;
    }
    return 0;
}

/* How the lease ended, when that is worth telling. */
static bool lease_event(round_t *r, size_t i, const delivery_change_t *c, event_t *ret)
{
    static const char capped[] = "it was extended for as long as the lease cap allows";
    static const char spared[] = "not counted: its consumer held messages that may be what it died of";
    const round_step_t *s = &r->steps[c->ref];
    delivery_lease_t lease;
    if (c->kind == CHANGE_DELETE || c->lease_end == LEASE_GOES_ON || c->lease_end == LEASE_RELEASED)
        return false;
    delivery_staged_lease(r->delivery, i, r->now_ms, &lease);
    *ret = (event_t){
        .bit = EVENT_MESSAGE,
        .no = c->deliveries,
        .label = label_of(r, lease.who),
        .since_ms = (uint64_t)(r->wall_ms > lease.age_ms ? r->wall_ms - lease.age_ms : 0),
        .took_ms = lease.age_ms,
        .how = c->lease_end == LEASE_LOST || c->lease_end == LEASE_SPARED ? HOW_LEASE_LOST : HOW_NACKED,
        .text = {"", 0},
    };
    if (c->lease_end == LEASE_NACKED && s->text_len > 0)
        ret->text = text_of(r, s);
    if (c->lease_end == LEASE_CAPPED)
        ret->text = (text_t){capped, sizeof capped - 1};
    if (c->lease_end == LEASE_SPARED)
        ret->text = (text_t){spared, sizeof spared - 1};
    return true;
}

int round_events_lease(round_t *r, size_t i, const delivery_change_t *c)
{
    event_t e;
    if (!lease_event(r, i, c, &e))
        return 0;
    buffer_clear(&r->event);
    event_write(&r->event, &e);
    return r->event.failed ? -ENOMEM : outbox_history(r->outbox, c->id, r->event.data, r->event.len, false);
}

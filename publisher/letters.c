#include "publisher/letters.h"
#include "common/core/glob.h"
#include "common/core/history.h"
#include "common/core/utf8.h"
#include "common/runtime/log.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOK_MAX = LETTERS_MAX,           /* at so many letters for one request, */
    LOOK_BYTES_MAX = 4 * 1024 * 1024, /* or so many bytes of them; */
    GLOB_STEPS_A_BYTE = 4,            /* a pattern may cost its length times the text's (core/glob.h) */
    BYTES_A_RECORD = LOOK_BYTES_MAX / LETTERS_COST_MAX,
    REDRIVEN_A_RECORD = ROUND_BYTES_MAX / RECORDS_MAX, /* they are written: as much as one commit may be */
    SET_BACK_MS = 100, /* what two clocks that are read one after the other may differ by */
};

struct letters_pick {
    uint64_t id;
    uint32_t deliveries;
};

/* One request on its way through the letters. */
typedef struct {
    letters_t *letters;
    const dead_t *dead;
    int64_t oldest_ms, newest_ms; /* when what is asked for may have died */
    int64_t now_ms, future_ms;    /* the wall clock; when letters from behind it died at the latest */
    batch_t batch;
    uint32_t looked, taken;
    size_t bytes, redriven_bytes;
    uint64_t last; /* looked at; as it was asked for when there is none */
    uint64_t
        skip_to; /* behind which row it goes on when it was stopped at one without a name; 0: it was not */
    bool more;
} look_t;

static bool matches(const text_t *glob, const char *text, size_t len)
{
    return glob->len == 0 || glob_match(glob->bytes, glob->len, text, len);
}

static bool is_asked_for(const look_t *look, const outbox_letter_t *l)
{
    const letter_filter_t *f = &look->dead->filter;
    body_t body;
    int64_t died_ms = l->died_ms <= look->now_ms ? l->died_ms : look->future_ms;
    if (died_ms < look->oldest_ms || died_ms > look->newest_ms ||
        !matches(&f->reason, l->reason.bytes, l->reason.len))
        return false;
    return f->host.len == 0 ||
           (body_parse(l->body, l->body_len, &body) == 0 && matches(&f->host, body.host, body.host_len));
}

static size_t glob_bytes(const look_t *look, const outbox_letter_t *l)
{
    const letter_filter_t *f = &look->dead->filter;
    return ((size_t)f->reason.len * l->reason.len + (size_t)f->host.len * HOST_BYTES_MAX) / GLOB_STEPS_A_BYTE;
}

/* The row is not as it was written: what can be read of it is told, and that it is so. */
static text_t damaged_reason(const outbox_letter_t *l, char text[static TEXT_BYTES_MAX])
{
    static const char damaged[] = "damaged in the outbox: ";
    const uint32_t at = sizeof damaged - 1, room = TEXT_BYTES_MAX - at;
    const uint32_t len = l->reason.len < room ? l->reason.len : room;
    memcpy(text, damaged, at);
    if (len > 0)
        memcpy(text + at, l->reason.bytes, len);
    return (text_t){text, at + len};
}

static void add_letter(look_t *look, const outbox_letter_t *l)
{
    char text[TEXT_BYTES_MAX];
    int events = events_count(l->events, l->events_len);
    bool damaged = l->damaged || events < 0 || l->reason.len > REASON_BYTES_MAX ||
                   utf8_prefix(l->reason.bytes, l->reason.len) != l->reason.len;
    buried_add(&look->batch, &(letter_t){.id = outbox_id(look->letters->outbox, l->id),
                                         .died_ms = (uint64_t)l->died_ms,
                                         .legs = l->legs,
                                         .done = l->done,
                                         .bad = l->bad,
                                         .deliveries = l->deliveries,
                                         .reason = damaged ? damaged_reason(l, text) : l->reason,
                                         .body = l->body,
                                         .body_len = l->body_len,
                                         /* A damaged one must not take the others with it. */
                                         .events = events < 0 ? NULL : l->events,
                                         .events_len = events < 0 ? 0 : l->events_len,
                                         .events_count = events < 0 ? 0 : (uint32_t)events});
}

/* Of a letter that is to be called done. */
static uint8_t legs_of(const dead_t *d)
{
    return d->legs != 0 ? d->legs : UINT8_MAX;
}

/* Behind which row it goes on when this one has no name: 0 when it has one. */
static uint64_t skip_from(const outbox_t *o, uint64_t row)
{
    message_id_t id = outbox_id(o, row);
    if (id.stream == 0 || id.stream > INT64_MAX)
        return outbox_next_start(o, row);
    return id.seq == 0 ? row : 0;
}

/* Without its body it is no message that could go out, and what has not ended badly is not called done. */
static bool is_usable(const dead_t *d, const outbox_letter_t *l)
{
    if (d->act == ACT_REDRIVE)
        return l->body_len > 0;
    return d->act != ACT_DONE || (l->bad & l->legs & (uint8_t)~l->done & legs_of(d)) != 0;
}

static bool look_at(void *arg, const outbox_letter_t *l)
{
    look_t *look = arg;
    look->skip_to = skip_from(look->letters->outbox, l->id);
    if (look->skip_to > 0)
        return false;
    look->last = l->id;
    look->bytes += l->body_len + l->events_len + glob_bytes(look, l);
    if (is_usable(look->dead, l) && is_asked_for(look, l)) {
        if (look->dead->act == ACT_REDRIVE)
            look->redriven_bytes += l->body_len;
        if (look->dead->act == ACT_LIST)
            add_letter(look, l);
        else
            look->letters->picks[look->taken] = (struct letters_pick){l->id, l->deliveries};
        look->taken++;
    }
    look->more = ++look->looked == LOOK_MAX || look->bytes >= LOOK_BYTES_MAX ||
                 look->taken == look->dead->max || batch_full(&look->batch);
    return !look->more;
}

static int change_one(const letters_t *l, const dead_t *d, const struct letters_pick *pick)
{
    switch (d->act) {
    case ACT_REDRIVE:
        return round_redrive(l->round, pick->id, pick->deliveries);
    case ACT_PURGE:
        return round_purge(l->round, pick->id);
    case ACT_DONE:
        return round_resolve(l->round, pick->id, legs_of(d));
    default:
        return 0;
    }
}

static bool writes(const dead_t *d)
{
    return d->act == ACT_REDRIVE || d->act == ACT_PURGE || d->act == ACT_DONE;
}

/* What was found is redriven, purged or done: 0, or the error with which the round has failed. */
static int change(look_t *look, uint64_t after)
{
    const letters_t *l = look->letters;
    for (uint32_t i = 0; i < look->taken; i++) {
        int r = change_one(l, look->dead, &l->picks[i]);
        if (r == -EAGAIN) {
            /* A consumer has just said something of it: it is asked for again from here. */
            look->last = i > 0 ? l->picks[i - 1].id : after;
            look->taken = i;
            look->more = true;
            break;
        }
        if (r < 0)
            return r;
    }
    return 0;
}

/* So long ago; -1: before there was a clock. */
static int64_t ago(int64_t now_ms, uint64_t ms)
{
    return ms < (uint64_t)now_ms ? now_ms - (int64_t)ms : -1;
}

/* A letter that died later than it is now died before the clock was set back, which was no later than it was
 * seen here first. On the clock of now. */
static int64_t steady_since(letters_t *l)
{
    const round_t *now = l->round;
    int64_t ahead_ms = now->wall_ms - now->now_ms;
    if (!l->timed || ahead_ms < l->ahead_ms - SET_BACK_MS) {
        l->steady_ms = now->now_ms;
        l->ahead_ms = ahead_ms;
        l->timed = true;
    }
    if (ahead_ms > l->ahead_ms)
        l->ahead_ms = ahead_ms;
    return l->steady_ms + now->wall_ms - now->now_ms;
}

/* In records of what one turn takes. */
static int cost(const look_t *look)
{
    size_t records = LETTERS_COST_MIN + look->looked + look->bytes / BYTES_A_RECORD;
    size_t written = LETTERS_COST_MIN + look->redriven_bytes / REDRIVEN_A_RECORD;
    records = records < LETTERS_COST_MAX ? records : LETTERS_COST_MAX;
    written = written < RECORDS_MAX ? written : RECORDS_MAX;
    return (int)(records > written ? records : written);
}

static void end_answer(look_t *look, buried_t *rest)
{
    const char *const *names;
    outbox_legs(look->letters->outbox, &names);
    for (; rest->legs_count < LEGS_MAX && names[rest->legs_count]; rest->legs_count++)
        strncpy(rest->legs[rest->legs_count], names[rest->legs_count], NAME_BYTES_MAX);
    buried_end(&look->batch, rest);
}

/* All letters behind `after`, but for those without a name: rows of starts that this outbox does not know. */
static int look_through(look_t *look, uint64_t after)
{
    int r;
    do {
        look->skip_to = 0;
        r = outbox_letters(look->letters->outbox, after, UINT64_MAX, LOOK_MAX - look->looked, look_at, look);
        if (look->skip_to > 0)
            log_limited(LOG_WARN,
                        "dead letters under ids that no start of this outbox has given are left out");
        after = look->skip_to;
    } while (r == 0 && after > 0 && after != UINT64_MAX);
    return r;
}

/* What it cost, or -errno, with everything that BURIED says in l->frame. */
static int do_what_is_asked(letters_t *l, const dead_t *d)
{
    const letter_filter_t *f = &d->filter;
    int64_t now_ms = l->round->wall_ms;
    bool one = f->id.stream != 0;
    uint64_t after = outbox_row_of(l->outbox, d->after), only = outbox_row_of(l->outbox, f->id);
    look_t look = {
        .letters = l,
        .dead = d,
        .oldest_ms = f->newer_ms == 0 ? 0 : ago(now_ms, f->newer_ms),
        .newest_ms = f->older_ms == 0 ? INT64_MAX : ago(now_ms, f->older_ms),
        .now_ms = now_ms,
        .future_ms = steady_since(l),
        .last = after,
    };
    int r = 0;
    buffer_clear(&l->frame);
    buried_begin(&look.batch, &l->frame, d->number);
    if (!one)
        r = look_through(&look, after);
    else if (only > after)
        r = outbox_letters(l->outbox, only - 1, only, 1, look_at, &look);
    if (one)
        look.more = false;
    if (r == 0 && writes(d))
        r = change(&look, after);
    if (r < 0)
        return r;
    end_answer(&look,
               &(buried_t){.number = d->number,
                           .count = look.taken,
                           .looked_to = look.last == 0 ? (message_id_t){0} : outbox_id(l->outbox, look.last),
                           .more = look.more});
    return l->frame.failed ? -ENOMEM : cost(&look);
}

static void answer_later(letters_t *l, uint32_t client)
{
    assert(l->answers_count < LETTERS_ANSWERS_MAX);
    letters_answer_t *a = &l->answers[l->answers_count++];
    *a = (letters_answer_t){.routing_id = client, .at = l->answers_bytes.len, .len = (uint32_t)l->frame.len};
    buffer_append(&l->answers_bytes, l->frame.data, l->frame.len);
}

static int refuse(server_t *server, uint32_t client, unsigned code, const char *why)
{
    server_error(server, client, code, why);
    return LETTERS_COST_MIN;
}

int letters_take(letters_t *l, server_t *server, uint32_t client, const frame_t *frame)
{
    dead_t d;
    int r = decode_dead(frame->data, frame->len, &d);
    if (r < 0)
        return r;
    if (d.version != PROTO_VERSION)
        return refuse(server, client, ERR_VERSION, "only version 1 is spoken here");
    if (writes(&d) && l->closed)
        return refuse(server, client, ERR_DRAINING, l->closed);
    if ((writes(&d) && l->round->undone) || (d.act == ACT_REDRIVE && !outbox_has_room(l->outbox)))
        return refuse(server, client, ERR_FULL, "the outbox or its disk is full");
    r = do_what_is_asked(l, &d);
    /* A round that has failed answers for itself, below. */
    if (r < 0 && !(writes(&d) && l->round->failed < 0))
        return refuse(server, client, ERR_STORE, r == -ENOMEM ? "out of memory" : outbox_why(l->outbox));
    if (writes(&d))
        answer_later(l, client);
    else
        server_send(server, client, &l->frame);
    return r < 0 ? LETTERS_COST_MIN : r;
}

void letters_answer(letters_t *l, server_t *server, unsigned code, const char *why)
{
    for (uint32_t i = 0; i < l->answers_count; i++) {
        const letters_answer_t *a = &l->answers[i];
        buffer_t frame = {
            .data = l->answers_bytes.data + a->at, .len = a->len, .failed = l->answers_bytes.failed};
        if (code != 0)
            server_error(server, a->routing_id, code, why);
        else
            server_send(server, a->routing_id, &frame); /* lost, it is asked for again */
    }
    l->answers_count = 0;
    buffer_clear(&l->answers_bytes);
}

int letters_open(letters_t *l, outbox_t *outbox, round_t *round)
{
    *l = (letters_t){.outbox = outbox, .round = round, .picks = malloc(LETTERS_MAX * sizeof *l->picks)};
    buffer_init(&l->frame);
    buffer_init(&l->answers_bytes);
    return l->picks ? 0 : -ENOMEM;
}

void letters_close(letters_t *l)
{
    free(l->picks);
    buffer_done(&l->frame);
    buffer_done(&l->answers_bytes);
    *l = (letters_t){0};
}

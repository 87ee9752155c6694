#include "publisher/sources.h"
#include "common/core/backoff.h"
#include "common/runtime/body_line.h"
#include "common/runtime/clock.h"
#include "common/runtime/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    RATE_BEHIND_US = 1000000, /* a load that fell behind further does not make up for it */
    RANDOM_WAIT_US = 1000000,
    REFUSED_TOLD_MAX = 1000,
    FULL_WAIT_MS = 100,
};

/* --- a load --- */

/* "cattle-" and four random lower-case letters or digits. */
static void make_name(uint64_t *random, char name[static 12])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint64_t drawn = random_next(random) >> 16;
    memcpy(name, "cattle-", 7);
    for (int i = 7; i < 11; i++) {
        name[i] = letters[drawn % 36];
        drawn /= 36;
    }
    name[11] = '\0';
}

static int64_t rated_due_us(const sources_t *s, uint64_t position)
{
    return s->rate_us + (int64_t)((double)(position + 1 - s->rate_position) / s->settings->rate * 1e6);
}

/* How many messages are due by the rate. */
static uint64_t due_by_rate(sources_t *s, int64_t now_us)
{
    if (s->settings->rate_random)
        return now_us >= s->random_due_us ? 1 : 0;
    if (now_us - rated_due_us(s, s->position) > RATE_BEHIND_US) {
        s->rate_us = now_us - RATE_BEHIND_US;
        s->rate_position = s->position;
    }
    double due = (double)(now_us - s->rate_us) * s->settings->rate / 1e6 + (double)s->rate_position;
    return due > (double)s->position ? (uint64_t)(due - (double)s->position) : 0;
}

static bool is_rated(const sources_t *s)
{
    return s->settings->rate_random || s->settings->rate > 0;
}

static int64_t next_rated_ms(const sources_t *s)
{
    int64_t due_us = s->settings->rate_random ? s->random_due_us : rated_due_us(s, s->position);
    return (due_us + 999) / 1000;
}

static void fill_load(sources_t *s, bool in_order)
{
    char name[12], why[WHY_BYTES];
    int64_t now_us = s->round->now_us;
    uint64_t n = s->settings->batch, room = delivery_room(s->delivery);

    if (is_rated(s)) {
        uint64_t due = due_by_rate(s, now_us);
        n = due < n ? due : n;
    } else if (!in_order) {
        n = 0;
    } else if (room < n) {
        n = room;
    }
    if (s->total - s->position < n)
        n = s->total - s->position;
    for (uint64_t i = 0; i < n && round_takes_more(s->round); i++) {
        size_t at = s->round->bodies.len;
        make_name(&s->random, name);
        if (body_make(name, 11, s->settings->domain, s->round->wall_ms, s->settings->pad, &s->round->bodies,
                      why) < 0)
            round_fail(s->round, -ENOMEM);
        else if (round_insert(s->round, at, NULL) == 0)
            s->position++;
    }
    if (n > 0 && s->settings->rate_random)
        s->random_due_us = now_us + (int64_t)(random_next(&s->random) % RANDOM_WAIT_US);
    if (n > 0 && s->settings->load_id)
        round_load(s->round, s->settings->load_id, s->position);
    if (is_rated(s))
        s->again_ms = next_rated_ms(s);
    else if (n > 0)
        s->again_ms = s->round->now_ms;
}

/* --- lines --- */

static void refuse_line(sources_t *s, const char *why)
{
    if (s->lines.number <= s->told_to) /* it was told when the round that was undone met it */
        return;
    s->told_to = s->lines.number;
    s->refused++;
    if (s->refused <= REFUSED_TOLD_MAX)
        log_warn("line %llu: %s", (unsigned long long)s->lines.number, why);
    if (s->refused == REFUSED_TOLD_MAX)
        log_warn("further lines that are refused are only counted");
}

static void take_line(sources_t *s, const char *line, size_t len)
{
    char why[WHY_BYTES];
    size_t at = s->round->bodies.len;
    if (len == 0) {
        refuse_line(s, "it is empty");
        return;
    }
    buffer_clear(&s->given);
    int r = body_from_line(line, len, &s->given, NULL, why);
    if (r == 0)
        r = body_normalise(s->given.data, s->given.len, s->settings->domain, s->round->wall_ms,
                           &s->round->bodies, why);
    if (r == -ENOMEM)
        round_fail(s->round, r);
    else if (r < 0)
        refuse_line(s, why);
    else if (round_insert(s->round, at, NULL) == 0)
        s->last_good_staged = s->lines.number;
}

static void fill_lines(sources_t *s)
{
    const char *line;
    size_t len;
    uint64_t before = s->lines.number;
    line_reader_more(&s->lines);
    for (uint32_t i = 0; i < s->settings->batch && round_takes_more(s->round); i++) {
        int r = line_reader_next(&s->lines, &line, &len);
        if (r == 0)
            break;
        if (s->lines.number <= s->position) /* of an earlier start, under this --load-id */
            continue;
        if (r < 0)
            refuse_line(s, "it is too long");
        else
            take_line(s, line, len);
    }
    if (s->lines.number > s->position)
        s->position = s->lines.number;
    if (s->settings->load_id && s->position > s->committed)
        round_load(s->round, s->settings->load_id, s->position);
    if (s->lines.number != before || (s->lines.regular && !line_reader_ended(&s->lines)))
        s->again_ms = s->round->now_ms;
}

/* Waits for input only while it would be taken: else the loop would spin. */
static void wait_for_lines(sources_t *s, bool wanted)
{
    int fd = wanted ? line_reader_fd(&s->lines) : -1;
    if (fd >= 0 && s->item < 0)
        s->item = loop_add_fd(s->loop, fd);
    if (fd < 0 && s->item >= 0) {
        loop_remove(s->loop, s->item);
        s->item = -1;
    }
}

/* --- both --- */

static bool has_begun(sources_t *s)
{
    if (!s->begun && delivery_best_session(s->delivery) != DELIVERY_NO_SESSION) {
        s->begun = true;
        s->rate_us = s->random_due_us = s->round->now_us;
    }
    return s->begun;
}

void sources_fill(sources_t *s, bool in_order)
{
    s->again_ms = INT64_MAX;
    if (s->kind == SOURCE_NONE || s->stopped || s->finished || !has_begun(s))
        return;
    bool room = outbox_has_room(s->outbox);
    if (!room)
        s->again_ms = s->round->now_ms + FULL_WAIT_MS;
    else if (s->kind == SOURCE_LOAD)
        fill_load(s, in_order);
    else
        fill_lines(s);
    if (s->kind == SOURCE_LINES)
        wait_for_lines(s, room && s->again_ms == INT64_MAX);
}

void sources_committed(sources_t *s)
{
    s->committed = s->position;
    if (s->kind == SOURCE_LOAD) {
        s->finished = s->committed == s->total;
    } else if (s->kind == SOURCE_LINES) {
        line_reader_keep(&s->lines);
        s->last_good = s->last_good_staged;
        s->finished = line_reader_ended(&s->lines) && s->again_ms == INT64_MAX;
    }
}

void sources_undone(sources_t *s)
{
    s->position = s->committed;
    if (s->kind == SOURCE_LINES) {
        line_reader_again(&s->lines);
        s->last_good_staged = s->last_good;
    }
    s->again_ms = s->round->now_ms + FULL_WAIT_MS;
}

void sources_stop(sources_t *s)
{
    s->stopped = true;
    s->again_ms = INT64_MAX;
    if (s->kind == SOURCE_LINES)
        wait_for_lines(s, false);
}

int64_t sources_next_ms(const sources_t *s)
{
    return s->stopped || s->finished ? INT64_MAX : s->again_ms;
}

bool sources_finished(const sources_t *s)
{
    return s->finished;
}

uint64_t sources_total(const sources_t *s)
{
    return s->kind == SOURCE_LOAD && s->total != LOAD_FOREVER ? s->total - s->first : 0;
}

bool sources_failed(const sources_t *s)
{
    return s->kind == SOURCE_LINES && s->lines.failed < 0;
}

void sources_summary(const sources_t *s)
{
    if (s->kind != SOURCE_LINES)
        return;
    unsigned long long good = (unsigned long long)s->last_good;
    if (s->lines.failed < 0)
        log_error("reading %s failed: %s; the last confirmed line is %llu", s->settings->from,
                  strerror(-s->lines.failed), good);
    else if (!s->finished)
        log_warn("%s was not read to its end; the last confirmed line is %llu", s->settings->from, good);
    if (s->refused > 0)
        log_warn("%llu of %llu lines were refused", (unsigned long long)s->refused,
                 (unsigned long long)s->lines.number_kept);
}

int sources_open(sources_t *s, const settings_t *settings, outbox_t *outbox, delivery_t *delivery,
                 round_t *round, loop_t *loop, char *why)
{
    *s = (sources_t){
        .kind = settings->load > 0 ? SOURCE_LOAD
                : settings->from   ? SOURCE_LINES
                                   : SOURCE_NONE,
        .settings = settings,
        .outbox = outbox,
        .delivery = delivery,
        .round = round,
        .loop = loop,
        .total = settings->load,
        .random = clock_random_id(),
        .rate_us = clock_us(),
        .random_due_us = clock_us(),
        .begun = !settings->await_consumer,
        .lines = {.fd = -1},
        .item = -1,
        .again_ms = INT64_MAX,
    };
    buffer_init(&s->given);
    int r = s->kind == SOURCE_LINES ? line_reader_open(&s->lines, settings->from, why) : 0;
    if (r == 0 && settings->load_id) {
        r = outbox_load(outbox, settings->load_id, &s->position);
        if (r == -ENOENT)
            r = 0;
        else if (r < 0)
            snprintf(why, WHY_BYTES, "%s", outbox_why(outbox));
        else
            log_info("%s goes on behind %llu", settings->load_id, (unsigned long long)s->position);
    }
    /* Also when fewer are asked for now than were made then. */
    if (s->kind == SOURCE_LOAD && s->position > s->total)
        s->total = s->position;
    s->finished = s->kind == SOURCE_LOAD && s->position == s->total;
    s->first = s->committed = s->rate_position = s->position;
    return r;
}

void sources_rate(sources_t *s, int64_t now_us)
{
    s->rate_us = s->random_due_us = now_us;
    s->rate_position = s->position;
}

void sources_close(sources_t *s)
{
    if (s->item >= 0)
        loop_remove(s->loop, s->item);
    if (s->kind == SOURCE_LINES)
        line_reader_close(&s->lines);
    buffer_done(&s->given);
}

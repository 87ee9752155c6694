/* The publisher's own input: a load (--load) or lines (--from). Puts bodies into the round as far as there is
 * room, and remembers how far it is committed. */
#ifndef MANDRILL_SOURCES_H
#define MANDRILL_SOURCES_H

#include "common/runtime/loop.h"
#include "publisher/line_reader.h"
#include "publisher/round.h"
#include "publisher/settings.h"

typedef enum { SOURCE_NONE, SOURCE_LOAD, SOURCE_LINES } source_kind_t;

typedef struct {
    source_kind_t kind;
    const settings_t *settings;
    outbox_t *outbox;
    delivery_t *delivery;
    round_t *round;
    loop_t *loop;
    bool stopped; /* by a drain */
    bool finished;
    bool begun; /* a consumer is there, if it was to be waited for */

    /* Messages of a load, lines of a file: in this round too, and committed. */
    uint64_t position, committed;
    uint64_t total; /* of a load */
    uint64_t first; /* position of this start */
    int64_t again_ms;

    uint64_t random;
    /* The rate counts from here. */
    int64_t rate_us;
    uint64_t rate_position;
    int64_t random_due_us;

    line_reader_t lines;
    int item;           /* of the loop; -1: not waited for */
    uint64_t told_to;   /* lines up to here were told if they were bad */
    uint64_t last_good; /* the last line that was committed as a message */
    uint64_t last_good_staged;
    uint64_t refused;
    buffer_t given;
} sources_t;

/* 0, or -errno with `why`. */
int sources_open(sources_t *s, const settings_t *settings, outbox_t *outbox, delivery_t *delivery,
                 round_t *round, loop_t *loop, char *why);
void sources_close(sources_t *s);
/* Puts what is due and has room into the round. `in_order`: everything on disk is in memory, so a load that
 * goes as fast as it can may add to it. */
void sources_fill(sources_t *s, bool in_order);
void sources_committed(sources_t *s);
void sources_undone(sources_t *s);
/* The settings have another rate: it counts from here. */
void sources_rate(sources_t *s, int64_t now_us);
/* Nothing more is taken. */
void sources_stop(sources_t *s);
/* When the next message of a load is due; INT64_MAX: something else will wake the loop, or never. */
int64_t sources_next_ms(const sources_t *s);
/* All of it is committed. */
bool sources_finished(const sources_t *s);
/* Messages that this source will have made in all; 0: not known, or without end. */
uint64_t sources_total(const sources_t *s);
/* The input was cut off by a failure. */
bool sources_failed(const sources_t *s);
/* What a person should know at the end: refused lines, and where the input stopped. */
void sources_summary(const sources_t *s);

#endif

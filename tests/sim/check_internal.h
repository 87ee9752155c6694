/* What check.c (messages) and check_frames.c (what is said of them) share. */
#ifndef MANDRILL_SIM_CHECK_INTERNAL_H
#define MANDRILL_SIM_CHECK_INTERNAL_H

#include "common/core/proto.h"
#include "tests/sim/check.h"

enum { CONSUMERS_MAX = 3, MESSAGE_UNKNOWN = -1 };

/* What one consumer was told to do about a leg, and heard of it. */
typedef struct {
    uint32_t life;       /* of the consumer: all else is of this one */
    uint64_t ref;        /* of the last task, 0: none was given; its upper half is the message's */
    uint64_t session;    /* to whom */
    uint32_t try_no;     /* and which try it is */
    uint32_t failed_try; /* the last that is known to have failed in time */
    uint32_t back_try;   /* that one was given back with a goodbye, which is no failure; 0: none */
    bool permanent;      /* a current result said so */
} given_t;

typedef struct {
    uint32_t begun, acted, permanent, given;
    /* Of a restart: workers that began it when their grant was over, as they were stopped between the two;
     * intents that were noted; it may be done without an act, as its host was restarted since. */
    uint32_t late, noted;
    bool excused;
    bool young;      /* its host was seen to be up for less than --min-uptime */
    int64_t back_us; /* when the host is up again; of one that has restarted since the request before: 0 */
    uint32_t notes_read; /* by the publisher */
    given_t at[CONSUMERS_MAX];
} leg_state_t;

typedef struct {
    message_id_t id;
    uint32_t publisher;
    uint64_t row;
    bool deleted;
    /* The lease, as the wire tells it. */
    bool leased, nacked;
    uint64_t token;
    int64_t deadline_min_ms; /* it is not over before */
    int64_t deadline_max_ms; /* and nobody has extended it beyond */
    int64_t extended_ms;     /* at most */
    /* Legs that each consumer was last asked for, and by which token. */
    struct {
        uint32_t life;
        uint64_t token;
        uint8_t legs;
        uint8_t tries[LEGS_MAX];
        /* Of the restart, by its hash: as it came, as the consumer heard of it last, and before that. */
        uint64_t notes[3];
        int64_t first_ms; /* when it had heard of it first */
    } asked[CONSUMERS_MAX];
    leg_state_t legs[SIM_LEGS];
} message_t;

message_t *check_message(message_id_t id); /* NULL: no such message was ever stored */
message_t *check_message_at(uint32_t publisher, uint64_t row);
const disk_row_t *check_row(const message_t *m); /* NULL: not on disk */
/* The lease of the message has run out, or it is gone: nobody has it outstanding. */
void check_not_out(const message_t *m);
const char *id_text(message_id_t id); /* good until the next call but three */
uint64_t check_hash(const void *data, size_t len);
/* The leg is done: it was acted, or needs no act. */
bool check_is_done(const message_t *m, uint32_t leg);

/* check_once.c */
void once_open(void);
void once_sums(check_sums_t *ret);
/* The restart may be done though nobody has acted. */
bool once_may_be_skipped(const message_t *m);
/* A task of the worker has its result. */
void once_result(const process_t *worker, message_t *m, const result_record_t *r);
void once_grants_sent(const process_t *consumer, const void *frame, size_t len);
void once_grants_read(const process_t *worker, const void *frame, size_t len);
/* What the disk has for the leg, by its hash; NOTE_NONE: nothing. */
enum { NOTE_NONE = 0 };
uint64_t once_hash(const void *note, uint32_t len);
uint64_t once_note_on_disk(const message_t *m, uint32_t leg);
/* Of notes as note_write() has them. */
uint64_t once_note_of(const void *notes, uint32_t len, uint32_t leg);

/* trace_frames.c */
void trace_frame(const conn_t *c, int end, bool sends, int command, const void *frame, size_t len);

#endif

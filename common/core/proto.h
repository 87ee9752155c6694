/* The commands of docs/PROTOCOL.md as C: one encoder and one decoder for each.
 *
 * A decoder gets the whole frame and fills records, all of it or nothing: the frame was checked
 * (proto_command) and every field is in range when it returns 0. Strings and bodies point into the frame.
 * Encoders append to a buffer; records are added one by one between begin and end, so that a frame is built
 * while work goes on. Errors: -EPROTO for what the peer sent; -E2BIG when there are more records than
 * RECORDS_MAX (ERR_LIMIT). Results are untouched then, but for arrays of records, whose contents are of no
 * use. */
#ifndef MANDRILL_PROTO_H
#define MANDRILL_PROTO_H

#include "common/core/codec.h"
#include "common/core/message.h"

enum {
    PROTO_VERSION = 1,
    FRAME_BYTES_MAX = 2 * 1024 * 1024,
    RECORDS_MAX = 4096,
    WINDOW_MAX = 65536,
    HELD_MAX = 131072,
    DURATION_MS_MAX = 86400000,
    LABEL_BYTES_MAX = 64,
    TRIES_MAX = 255,
    STEP_EVENTS_MAX = 64,
    HISTORY_BYTES_MAX = 4096,
    NOTE_BYTES_MAX = 256,
    LETTERS_MAX = 1000,
    /* A frame under construction is closed when it passes this: room for one more body stays below
       FRAME_BYTES_MAX. */
    FRAME_BYTES_FULL = 1024 * 1024,
};

typedef enum {
    CMD_HELLO = 1,
    CMD_WELCOME = 2,
    CMD_WHO = 3,
    CMD_PING = 4,
    CMD_BYE = 5,
    CMD_ERROR = 6,
    CMD_WINDOW = 7,
    CMD_DELIVER = 10,
    CMD_PROGRESS = 11,
    CMD_SETTLED = 12,
    CMD_TASKS = 20,
    CMD_RESULTS = 21,
    CMD_NOTES = 22,
    CMD_GRANTS = 23,
    CMD_PUBLISH = 30,
    CMD_CONFIRM = 31,
    CMD_STATUS = 40,
    CMD_REPORT = 41,
    CMD_DEAD = 42,
    CMD_BURIED = 43,
} command_t;

typedef enum {
    ERR_MALFORMED = 1,
    ERR_VERSION,
    ERR_UNKNOWN,
    ERR_ROLE,
    ERR_KIND,
    ERR_LIMIT,
    ERR_FULL,
    ERR_BODY,
    ERR_GAP,
    ERR_DRAINING,
    ERR_STORE,
} error_code_t;
const char *error_name(unsigned code);

/* Checks the whole frame (codec_check, size, array, command number): the command, or -EPROTO with *ret_why. A
 * number that is not listed above is returned as it is (at most INT_MAX): the caller answers ERR_UNKNOWN. */
int proto_command(const void *frame, size_t len, const char **ret_why);

typedef struct {
    const char *bytes;
    uint32_t len;
} text_t;

/* --- sessions
 * ------------------------------------------------------------------------------------------------------------
 */
typedef enum { ROLE_CONSUMER, ROLE_WORKER } role_t;

typedef struct {
    uint64_t version_min, version_max;
    role_t role;
    uint64_t session;
    uint32_t window;
    char kind[NAME_BYTES_MAX + 1]; /* "" for a consumer */
    char leg[NAME_BYTES_MAX + 1];
    uint32_t held_count;             /* numbers: pairs of stream, seq for a consumer; refs for a worker */
    reader_t held;                   /* at the first of them; read with read_uint */
    char label[LABEL_BYTES_MAX + 1]; /* for people: which process this is */
} hello_t;

typedef struct {
    uint64_t version;
    uint64_t session;
    int64_t ack_deadline_ms, lease_cap_ms;
    uint32_t legs_count;
    char legs[LEGS_MAX][NAME_BYTES_MAX + 1];
    uint8_t asked; /* legs of new messages */
} welcome_t;

/* ERROR as a frame. (error_t is a name of glibc.) */
typedef struct {
    unsigned code;
    text_t text;
} peer_error_t;

void encode_hello(buffer_t *b, const hello_t *h, const uint64_t *held); /* h->held is not used */
int decode_hello(const void *frame, size_t len, hello_t *ret);
void encode_welcome(buffer_t *b, const welcome_t *w);
int decode_welcome(const void *frame, size_t len, welcome_t *ret);
void encode_who(buffer_t *b);
void encode_bye(buffer_t *b);
void encode_ping(buffer_t *b, uint64_t count); /* RESULTS seen, tasks started, or 0 */
int decode_ping(const void *frame, size_t len, uint64_t *ret_count);
/* Here and in records: a text that is too long is cut, bytes that are not UTF-8 become '?'. */
void encode_error(buffer_t *b, unsigned code, const char *text);
int decode_error(const void *frame, size_t len, peer_error_t *ret);
void encode_window(buffer_t *b, uint32_t window);
int decode_window(const void *frame, size_t len, uint32_t *ret_window);

/* --- lease hop
 * -----------------------------------------------------------------------------------------------------------
 */
typedef struct {
    message_id_t id;
    uint64_t token;
    uint8_t legs; /* still open, publisher's bits */
    uint32_t deliveries;
    uint8_t tries[LEGS_MAX]; /* failed so far, by bit */
    const void *body;
    uint32_t body_len;
    const void *notes; /* as note_write() has them */
    uint32_t notes_len;
    uint32_t notes_count; /* at most one for each leg */
} delivery_record_t;

/* What happened to a message: one try of a leg, or something of the whole message (bit EVENT_MESSAGE). */
typedef enum {
    HOW_OK,
    HOW_TRANSIENT,
    HOW_PERMANENT,
    HOW_UNKNOWN, /* nobody can tell whether it was done */
    HOW_LOST,    /* the worker was lost while at work */
    HOW_TIMEOUT, /* no result within the hard time limit */
    /* From here on of the message: */
    HOW_LEASE_LOST,
    HOW_NACKED,
    HOW_REDRIVEN,
    HOW_OMITTED, /* `no` earlier events are left out */
    HOWS,
} how_t;
enum { EVENT_MESSAGE = 8 };
const char *how_name(unsigned how);

typedef struct {
    uint8_t bit;       /* the leg, or EVENT_MESSAGE */
    uint32_t no;       /* of the try, 1..TRIES_MAX; of the message: which delivery, or how many events */
    text_t label;      /* the worker, or the consumer */
    uint64_t since_ms; /* wall clock, for people */
    int64_t took_ms;
    how_t how;
    text_t text;
} event_t;

/* One event behind the other, without a count: as a history is kept on disk. */
void event_write(buffer_t *b, const event_t *e);
/* The next event; false at the end, or when the bytes are not events. */
bool event_read(reader_t *r, event_t *ret);
/* How many there are; -EPROTO when the bytes are anything but events. */
int events_count(const void *events, size_t len);

/* What a worker recorded for a leg before it did what cannot be undone: bytes that mean something to workers
 * alone. */
typedef struct {
    uint8_t bit;
    const void *bytes;
    uint32_t len; /* at most NOTE_BYTES_MAX; 0: what was recorded is void */
} note_t;

/* One note behind the other, without a count: as they are kept on disk. */
void note_write(buffer_t *b, const note_t *note);
/* The next note; false at the end, or when the bytes are not notes. */
bool note_read(reader_t *r, note_t *ret);

typedef enum { OP_NONE, OP_EXTEND, OP_NACK, OP_RELEASE, OP_NOTE } step_op_t;

typedef struct {
    message_id_t id;
    uint64_t token;
    uint8_t done, bad;
    step_op_t op;
    int64_t ms;
    text_t text;
    const void *events; /* tries that have ended, by event_write(); a message's own are not for steps */
    uint32_t events_len;
    uint32_t events_count; /* at most STEP_EVENTS_MAX */
    note_t note;           /* OP_NOTE */
} step_t;

typedef enum {
    STEP_KEPT,
    STEP_DONE,
    STEP_DEAD,
    STEP_RETURNED,
    STEP_STALE,
    STEP_GONE,
    STEP_GRANTED,
    STEP_CODES
} step_code_t;

/* A frame of records being built: begin, add*, end. */
typedef struct {
    buffer_t *buffer;
    size_t place; /* of the record array */
    uint32_t count;
} batch_t;
/* No more should be added: RECORDS_MAX or FRAME_BYTES_FULL reached. */
bool batch_full(const batch_t *batch);
void batch_end(batch_t *batch);

void deliver_begin(batch_t *batch, buffer_t *b);
void deliver_add(batch_t *batch, const delivery_record_t *d);
/* `ret` has room for RECORDS_MAX; returns how many, or the error. */
int decode_deliver(const void *frame, size_t len, delivery_record_t *ret);

void progress_begin(batch_t *batch, buffer_t *b, uint64_t no);
void progress_add(batch_t *batch, const step_t *s);
int decode_progress(const void *frame, size_t len, uint64_t *ret_no, step_t *ret);

void encode_settled(buffer_t *b, uint64_t no, const uint8_t *codes, uint32_t n);
int decode_settled(const void *frame, size_t len, uint64_t *ret_no, const uint8_t **ret_codes);

/* --- task hop
 * ------------------------------------------------------------------------------------------------------------
 */
typedef struct {
    uint64_t ref;
    uint32_t try_no;
    message_id_t id;
    const void *body;
    uint32_t body_len;
    const void *note;  /* what an earlier try recorded */
    uint32_t note_len; /* 0: nothing */
} task_record_t;

typedef enum {
    OUTCOME_OK,
    OUTCOME_TRANSIENT,
    OUTCOME_PERMANENT,
    OUTCOME_BLOCKED,
    OUTCOME_UNKNOWN,
    OUTCOMES
} outcome_t;

typedef struct {
    uint64_t ref;
    uint32_t try_no;
    outcome_t outcome;
    int64_t ms;
    text_t text;
} result_record_t;

typedef struct {
    uint64_t seen;    /* RESULTS, by number */
    int64_t limit_ms; /* for each of these tasks; 0: none */
} tasks_t;

/* A worker records a note for its leg. */
typedef struct {
    uint64_t ref;
    uint32_t try_no;
    int64_t grant_ms;  /* and asks for a grant of so long; 0: it asks for none */
    const void *bytes; /* as note_t has them */
    uint32_t len;
} note_record_t;

typedef struct {
    uint64_t ref;
    uint32_t try_no;
    bool granted;
} grant_record_t;

void tasks_begin(batch_t *batch, buffer_t *b, const tasks_t *head);
void tasks_add(batch_t *batch, const task_record_t *t);
int decode_tasks(const void *frame, size_t len, tasks_t *ret_head, task_record_t *ret);
void results_begin(batch_t *batch, buffer_t *b, uint64_t no);
void results_add(batch_t *batch, const result_record_t *r);
int decode_results(const void *frame, size_t len, uint64_t *ret_no, result_record_t *ret);
void notes_begin(batch_t *batch, buffer_t *b);
void notes_add(batch_t *batch, const note_record_t *n);
int decode_notes(const void *frame, size_t len, note_record_t *ret);
void grants_begin(batch_t *batch, buffer_t *b);
void grants_add(batch_t *batch, const grant_record_t *g);
int decode_grants(const void *frame, size_t len, grant_record_t *ret);

/* --- clients
 * -------------------------------------------------------------------------------------------------------------
 */
typedef struct {
    uint64_t version;
    uint64_t session;
    uint64_t number;
} publish_t;

typedef struct {
    uint64_t session;
    uint64_t number;
    message_id_t first; /* 0-0: confirmed before, the ids are no longer known */
    uint32_t stored;
} confirm_t;

typedef struct {
    uint32_t place;
    unsigned code;
    text_t text;
} refusal_t;

void publish_begin(batch_t *batch, buffer_t *b, const publish_t *p);
void publish_add(batch_t *batch, const void *body, size_t len);
/* Bodies that are longer than BODY_BYTES_MAX are returned too: they are refused one by one. */
int decode_publish(const void *frame, size_t len, publish_t *ret, text_t *ret_bodies);
void encode_confirm(buffer_t *b, const confirm_t *c, const refusal_t *refusals, uint32_t n);
int decode_confirm(const void *frame, size_t len, confirm_t *ret, refusal_t *ret_refusals);
void encode_status(buffer_t *b);
int decode_status(const void *frame, size_t len, uint64_t *ret_version);
void encode_report(buffer_t *b, const char *json, size_t len);
int decode_report(const void *frame, size_t len, text_t *ret_json);

/* --- dead letters
 * --------------------------------------------------------------------------------------------------------
 */
typedef enum { ACT_LIST, ACT_COUNT, ACT_REDRIVE, ACT_PURGE, ACT_DONE, ACTS } act_t;

typedef struct {
    message_id_t id;             /* 0-0: any */
    text_t host, reason;         /* globs (core/glob.h); empty: any */
    uint64_t older_ms, newer_ms; /* 0: any */
} letter_filter_t;

typedef struct {
    uint64_t version;
    uint64_t number; /* the client's, comes back in BURIED */
    act_t act;
    letter_filter_t filter;
    message_id_t after; /* 0-0: from the first on */
    uint32_t max;       /* 1..LETTERS_MAX */
    uint8_t legs;       /* ACT_DONE: which of the legs that have ended badly are done; 0: all of them */
} dead_t;

typedef struct {
    message_id_t id;
    uint64_t died_ms; /* wall clock */
    uint8_t legs, done, bad;
    uint32_t deliveries;
    text_t reason;
    const void *body;
    uint32_t body_len;
    const void *events; /* as event_write() has them; when decoded: the bytes of all events of the letter */
    uint32_t events_len;
    uint32_t events_count;
} letter_t;

typedef struct {
    uint64_t number;
    uint32_t count;
    message_id_t looked_to; /* 0-0: at none */
    bool more;
    uint32_t legs_count;
    char legs[LEGS_MAX][NAME_BYTES_MAX + 1];
} buried_t;

void encode_dead(buffer_t *b, const dead_t *d);
int decode_dead(const void *frame, size_t len, dead_t *ret);
/* The rest comes behind the letters: how many there are is known only then. */
void buried_begin(batch_t *batch, buffer_t *b, uint64_t number);
void buried_add(batch_t *batch, const letter_t *letter);
void buried_end(batch_t *batch, const buried_t *rest);
/* `ret_letters` has room for LETTERS_MAX; returns how many, or the error. */
int decode_buried(const void *frame, size_t len, buried_t *ret, letter_t *ret_letters);

#endif

/* A consumer that a test plays itself, for real workers: it binds, welcomes them (unless told not to), keeps
 * what they say, and counts what each has outstanding. Everything happens within boss_turn(), which belongs
 * into every wait.
 *
 * Errors: whatever a worker says that the protocol does not allow fails the test. */
#ifndef MANDRILL_TEST_BOSS_H
#define MANDRILL_TEST_BOSS_H

#include "common/core/proto.h"
#include "common/runtime/wire.h"
#include "tests/support/rig.h"

enum { BOSS_WORKERS_MAX = 4, BOSS_NOTES_MAX = 64 /* the first of them are kept */ };

typedef struct {
    uint64_t ref;
    uint32_t try_no;
    outcome_t outcome;
    int64_t ms;
    char text[160]; /* cut */
    uint32_t text_len;
    uint64_t no;   /* of the RESULTS that it came in */
    int64_t at_ms; /* when it came */
} boss_result_t;

typedef struct {
    uint64_t ref;
    uint32_t try_no;
    int64_t grant_ms;
    char text[NOTE_BYTES_MAX + 1];
    size_t results_before; /* how many results had come when it came */
} boss_note_t;

/* What was recorded for a task last, of any number of tasks. */
typedef struct {
    uint64_t ref;
    uint32_t try_no;
    uint8_t bytes[NOTE_BYTES_MAX];
    uint32_t len;
    int64_t grant_ms;
    unsigned count; /* notes of the task */
    unsigned voids; /* of them, empty */
} boss_intent_t;

/* What becomes of a request for a grant. */
typedef enum { BOSS_GRANTS, BOSS_REFUSES, BOSS_SAYS_NOTHING } boss_grants_t;

typedef struct {
    uint32_t routing_id;
    hello_t hello; /* the last one */
    uint64_t *held;
    unsigned hellos, pings, byes, errors, windows;
    uint64_t started;    /* tasks, as its last PING says; 0 again with each HELLO */
    unsigned error_code; /* of the last ERROR */
    uint32_t window;
    uint32_t outstanding;
    uint64_t seen; /* the highest number of RESULTS that was taken */
    bool welcomed;
} boss_worker_t;

typedef struct {
    char endpoint[RIG_ENDPOINT_MAX];
    wire_t *wire;
    uint64_t session;
    bool silent;      /* HELLO is not answered */
    bool blind;       /* RESULTS are taken again and again, and never said to be seen */
    bool lax;         /* tasks were given past the count: results may be of anything */
    int64_t limit_ms; /* of all tasks from now on; 0: none */
    boss_worker_t workers[BOSS_WORKERS_MAX];
    unsigned workers_count;
    boss_result_t *results;
    size_t results_count, results_room;
    uint64_t outcomes[OUTCOMES];
    boss_note_t notes[BOSS_NOTES_MAX];
    size_t notes_count;
    boss_intent_t *intents;
    size_t intents_count, intents_room;
    boss_grants_t grants; /* from now on */
    const char *note;     /* that tasks bring from now on; NULL: none */
    int64_t ping_ms;
    uint64_t next_ref;
    buffer_t frame;
    result_record_t records[RECORDS_MAX];
} boss_t;

void boss_open(boss_t *b, const char *endpoint);
void boss_close(boss_t *b);
/* The same process again, behind a new socket. Its workers find it by themselves. */
void boss_cut(boss_t *b);
/* Takes what has come, waiting up to timeout_ms for it; PINGs each second. */
void boss_turn(boss_t *b, int timeout_ms);

#define BOSS_UNTIL(boss, condition)                                                                          \
    do {                                                                                                     \
        int64_t boss_until_ms_ = test_now_ms() + WAIT_MS;                                                    \
        while (!(condition)) {                                                                               \
            if (test_now_ms() > boss_until_ms_)                                                              \
                fail_msg("waited %d ms for: %s", (int)WAIT_MS, #condition);                                  \
            boss_turn(boss, 10);                                                                             \
        }                                                                                                    \
    } while (0)

/* The body of "<name>.example.net" and nothing else. */
void boss_body(buffer_t *body, const char *name);
/* One task, of whatever body: a fresh ref, counted as outstanding. Returns the ref. */
uint64_t boss_give(boss_t *b, unsigned worker, uint64_t seq, uint32_t try_no, const void *body, size_t len);
/* The same for the body of boss_body(name). */
uint64_t boss_ask(boss_t *b, unsigned worker, uint64_t seq, uint32_t try_no, const char *name);
/* The same as boss_give, with what was recorded for an earlier try. */
uint64_t boss_give_noted(boss_t *b, unsigned worker, uint64_t seq, uint32_t try_no, const void *body,
                         size_t len, const void *note, uint32_t note_len);
/* n tasks "<name>-<seq>" from first_seq on, in as few frames as possible; waits for the window where it has
 * to. */
void boss_give_many(boss_t *b, unsigned worker, const char *name, uint64_t first_seq, uint32_t n);
/* n such tasks in one frame, whatever the window. */
void boss_flood(boss_t *b, unsigned worker, const char *name, uint64_t first_seq, uint32_t n);
/* The answer to a note that has asked. */
void boss_grant(boss_t *b, unsigned worker, uint64_t ref, uint32_t try_no, bool granted);
/* What was recorded for the ref; NULL when nothing was yet. */
const boss_intent_t *boss_intent(const boss_t *b, uint64_t ref);
/* Answers its request, which was not answered by itself. */
void boss_answer(boss_t *b, unsigned worker, uint64_t ref, bool granted);
void boss_who(boss_t *b, unsigned worker);
/* Takes it for dead: whatever it says next is answered WHO. */
void boss_forget(boss_t *b, unsigned worker);
/* Knows no worker any more: makes room for others. */
void boss_dismiss(boss_t *b);
void boss_send(boss_t *b, unsigned worker, const buffer_t *frame);
void boss_send_bytes(boss_t *b, unsigned worker, const void *bytes, size_t len);
/* The only result for the ref; fails the test when there are several, NULL when there is none yet. */
const boss_result_t *boss_result(const boss_t *b, uint64_t ref);
/* Each of the `n` refs from `first` on has exactly one result. */
void boss_expect_each_once(const boss_t *b, uint64_t first, uint32_t n);
/* Whether the worker's last HELLO named the ref. */
bool boss_held(const boss_t *b, unsigned worker, uint64_t ref);
/* The stream of all messages of a boss. */
#define BOSS_STREAM UINT64_C(0x5d1e9a0c44f3b210)

#endif

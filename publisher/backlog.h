/* Which rows of the outbox are in memory, and how the others get there: in order while there is room, alone
 * when a step names one, those that wait out a long delay on disk when it is over, and after a crash those
 * that may be out only once they have had an ack deadline to be claimed (limbo; docs/ARCHITECTURE.md, "After
 * a crash").
 *
 * Delays end on the wall clock of the outbox's rows, which must not jump while a publisher runs: it is this
 * process's start on the wall clock, and from there on the monotonic one. */
#ifndef MANDRILL_BACKLOG_H
#define MANDRILL_BACKLOG_H

#include "publisher/outbox.h"
#include "publisher/stamps.h"

typedef struct {
    uint64_t cursor; /* read up to here */
    uint64_t end;
} backlog_range_t;

typedef struct {
    outbox_t *outbox;
    delivery_t *delivery;
    stamps_t stamps;
    backlog_range_t maybe_out; /* read after limbo */
    backlog_range_t rest;
    int64_t limbo_until_ms; /* 0: over */
    int64_t wall_ms;        /* at the monotonic clock's 0 */
    /* Rows whose delay ended up to here have been looked at. */
    int64_t due_ms;
    uint64_t due_id;
    bool asleep;     /* rows may be waiting behind that which are not in memory */
    int64_t wake_ms; /* the next of them, monotonic; INT64_MIN: not known */
    uint64_t left;   /* of the gauges: at the last look */
} backlog_t;

int backlog_init(backlog_t *b, outbox_t *outbox, delivery_t *delivery, int64_t ack_deadline_ms,
                 int64_t now_ms, int64_t wall_ms);
void backlog_done(backlog_t *b);
/* A message that was committed just now, ids ascending. */
void backlog_take(backlog_t *b, const delivery_message_t *m, int64_t now_ms);
/* Now, for the ends of delays. */
int64_t backlog_wall_ms(const backlog_t *b, int64_t now_ms);
/* A row was committed that waits for the end of its delay and is not in memory. */
void backlog_sleeps(backlog_t *b, int64_t now_ms);
/* Reads on while there is room, at most `max` rows; 0 or -errno. `may_end_limbo`: false while this process
 * has reason to think that steps are still on their way in. */
int backlog_read(backlog_t *b, size_t max, bool may_end_limbo, int64_t now_ms);
/* What is on disk and may go out is in memory: a new message goes there too. */
bool backlog_in_order(const backlog_t *b);
/* More could be read at once. */
bool backlog_waits(const backlog_t *b);
/* Brings the row into memory, whatever its place: 0, -ENOENT, -ENOSPC (the table is full), -EAGAIN (it waits
 * on disk), or what the outbox fails with. ret_row is good for -ENOSPC and -EAGAIN too. */
int backlog_find(backlog_t *b, uint64_t id, outbox_row_t *ret_row, int64_t now_ms);
/* The message may be out since before a crash. */
bool backlog_may_be_out(const backlog_t *b, uint64_t id);
/* Rows that a consumer says it holds: brings those into memory that may be out since before a crash, so that
 * they take their place in its window. Those that the table has no room for are left out. 0, or what the
 * outbox fails with. */
int backlog_claim(backlog_t *b, const uint64_t *ids, size_t n, int64_t now_ms);
int64_t backlog_next_ms(const backlog_t *b);
bool backlog_in_limbo(const backlog_t *b);

#endif

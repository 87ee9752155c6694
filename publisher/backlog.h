/* Which rows of the outbox are in memory, and how the others get there: in order while there is room, alone
 * when a step names one, and after a crash those that may be out only once they have had an ack deadline to
 * be claimed (limbo; docs/ARCHITECTURE.md, "After a crash"). */
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
} backlog_t;

int backlog_init(backlog_t *b, outbox_t *outbox, delivery_t *delivery, int64_t ack_deadline_ms,
                 int64_t now_ms);
void backlog_done(backlog_t *b);
/* A message that was committed just now, ids ascending. */
void backlog_take(backlog_t *b, const delivery_message_t *m, int64_t now_ms);
/* Reads on while there is room, at most `max` rows; 0 or -errno. `may_end_limbo`: false while this process
 * has reason to think that steps are still on their way in. */
int backlog_read(backlog_t *b, size_t max, bool may_end_limbo, int64_t now_ms);
/* What is on disk and may go out is in memory: a new message goes there too. */
bool backlog_in_order(const backlog_t *b);
/* More could be read at once. */
bool backlog_waits(const backlog_t *b);
/* Brings the row into memory, whatever its place: 0, -ENOENT, -ENOSPC (the table is full), or what the outbox
 * fails with. ret_row is good for -ENOSPC too. */
int backlog_find(backlog_t *b, uint64_t id, outbox_row_t *ret_row, int64_t now_ms);
/* Rows that a consumer says it holds: brings those into memory that may be out since before a crash, so that
 * they take their place in its window. Those that the table has no room for are left out. 0, or what the
 * outbox fails with. */
int backlog_claim(backlog_t *b, const uint64_t *ids, size_t n, int64_t now_ms);
int64_t backlog_next_ms(const backlog_t *b);
bool backlog_in_limbo(const backlog_t *b);

#endif

/* The publisher's outbox: every message from before its confirm until every leg is done, in one SQLite file.
 * Its files are the only ones here that include sqlite3.h.
 *
 * One connection, one thread. WAL with locking_mode=EXCLUSIVE (no -shm; a second opener gets -EBUSY),
 * synchronous FULL, secure_delete OFF; all pragmas are read back. A round is one transaction: begin, any of
 * the writes, commit. Nothing in a round is true before outbox_commit() has returned 0.
 *
 * Row ids are epoch * 2^40 + seq. Tables: messages(id, legs, body) the hot one; states(id, ...) sparse, what
 * deliveries left behind, with the history and the notes; dead(id, ...) the dead letters; meta, one row:
 * epoch, dispatched_to, how many rows; streams(epoch, stream); legs(bit, name); clients(session, ...);
 * loads(id, position).
 *
 * Errors: 0 or -errno: -EBUSY locked by another process, -EINVAL not an outbox or another version, -ENOSPC
 * disk full, -EIO the disk failed (do not go on: see ARCHITECTURE.md), -ENOENT no such row. outbox_why()
 * tells the last one in words. */
#ifndef MANDRILL_OUTBOX_H
#define MANDRILL_OUTBOX_H

#include "common/core/delivery.h"

/* Bodies of one round: who fills one stops about here, so that a reserve of the disk can be large enough. */
enum { ROUND_BYTES_MAX = 4 * 1024 * 1024 };

typedef struct outbox outbox_t;

typedef struct {
    uint64_t id;
    uint8_t legs, done, bad;
    uint8_t tries[LEGS_MAX]; /* that have failed, by bit */
    uint32_t deliveries;
    int64_t not_before_ms; /* the end of its delay on the wall clock; 0: none */
    int64_t delay_ms;      /* as it was given */
    bool dead;
    const void *body; /* good until the next call */
    uint32_t body_len;
    const void *notes; /* core/notes.h; as long as the body */
    uint32_t notes_len;
    uint64_t noted; /* no older token has seen the last of them; 0: none was recorded */
} outbox_row_t;
/* What is left of the delay. The wall clock may have been set: never more than was given. */
int64_t outbox_wait_ms(const outbox_row_t *row, int64_t wall_ms);

typedef struct {
    uint64_t id;
    uint8_t legs, done, bad;
    uint32_t deliveries;
    int64_t died_ms; /* wall clock */
    text_t reason;
    const void *events, *body; /* good until the callback returns */
    uint32_t events_len, body_len;
    bool damaged; /* not as it was written: what cannot be is left out, a body also when it is too long */
} outbox_letter_t;

/* Opens or creates, takes the lock, commits epoch + 1 with a fresh stream, and enters the legs (names get
 * their bits for ever; more than LEGS_MAX is -EINVAL). `legs_count` 0: an idle look (status, dead): no new
 * epoch. */
int outbox_open(outbox_t **ret, const char *path, const char *const *legs, size_t legs_count,
                int64_t max_bytes, char *why);
/* The last writes: the WAL goes into the file, and of a clean outbox, of which nothing is out, no row waits
 * at the next start. 0, also for want of space, or when the disk had failed before; -EIO when it does now.
 * Lost is nothing either way. */
int outbox_finish(outbox_t *o, bool clean);
/* Finishes a clean one itself. */
void outbox_close(outbox_t **o, bool clean);

uint32_t outbox_epoch(const outbox_t *o);
uint64_t outbox_stream(const outbox_t *o, uint32_t epoch);        /* 0: no such epoch */
uint32_t outbox_stream_epoch(const outbox_t *o, uint64_t stream); /* 0: not ours */
/* The id of a row, and the row of an id; 0: none of ours. */
static inline message_id_t outbox_id(const outbox_t *o, uint64_t row)
{
    return (message_id_t){.stream = outbox_stream(o, (uint32_t)(row >> EPOCH_SHIFT)), .seq = row & SEQ_MAX};
}
static inline uint64_t outbox_row_of(const outbox_t *o, message_id_t id)
{
    uint32_t epoch = id.stream == 0 ? 0 : outbox_stream_epoch(o, id.stream);
    return epoch == 0 ? 0 : ((uint64_t)epoch << EPOCH_SHIFT) + id.seq;
}
/* The row before the first that the next start has named, of those that are known; UINT64_MAX: none is. */
uint64_t outbox_next_start(const outbox_t *o, uint64_t row);
uint8_t outbox_legs(const outbox_t *o,
                    const char *const **ret_names); /* mask of what new messages get; names by bit */
uint64_t outbox_dispatched_to(const outbox_t *o);   /* as committed */
const char *outbox_why(const outbox_t *o);

int outbox_begin(outbox_t *o);
/* Copies the body. Ids count up by one within an epoch. The row is there for others after the commit, which
 * may be what writes it: until then nothing finds or changes it. */
int outbox_insert(outbox_t *o, uint8_t legs, const void *body, size_t len, uint64_t *ret_id);
/* What delivery_staged() says. Deletions are carried out by the commit: until then a find still sees the row.
 * A dead letter takes the history along and has its reason from it. */
int outbox_change(outbox_t *o, const delivery_change_t *c, int64_t wall_ms);
/* Adds events (event_write) to the row's history, also a dead letter's (core/history.h). `counts`: the tries
 * among them are counted in `tries`. -EPROTO: these are no events. */
int outbox_history(outbox_t *o, uint64_t id, const void *events, size_t len, bool counts);
/* Keeps the note in place of an earlier one of its leg; an empty one in place of none. -ENOENT: no message.
 */
int outbox_note(outbox_t *o, uint64_t id, const note_t *note, uint64_t token);
/* The dead letter is a message again, its bad legs open, tries and deliveries 0, without notes, with these
 * events in its history and a delay that ends at `wall_ms`. */
int outbox_redrive(outbox_t *o, uint64_t id, const void *events, size_t len, int64_t wall_ms);
int outbox_purge(outbox_t *o, uint64_t id);
/* Those of the legs that the dead letter has as bad are done after all; it is gone when there is no other
 * leg. -ENOENT: there is no such letter, or none of them is bad. */
typedef struct {
    uint8_t done; /* legs that were bad */
    bool gone;
} outbox_resolved_t;
int outbox_resolve(outbox_t *o, uint64_t id, uint8_t legs, outbox_resolved_t *ret);
int outbox_dispatch(outbox_t *o, uint64_t id); /* raises dispatched_to */
int outbox_client_set(outbox_t *o, uint64_t session, uint64_t number, uint64_t first_id, uint32_t stored,
                      int64_t wall_ms);
int outbox_load_set(outbox_t *o, const char *load_id, uint64_t position);
int outbox_commit(outbox_t *o);
void outbox_rollback(outbox_t *o);

/* Rows above `after` that are not dead, in order; `each` returns false to stop. Not within a round that
 * wrote. */
int outbox_scan(outbox_t *o, uint64_t after, uint64_t up_to, size_t max,
                bool (*each)(void *arg, const outbox_row_t *row), void *arg);
int outbox_find(outbox_t *o, uint64_t id, outbox_row_t *ret);
/* Rows (without their bodies) whose delay ends behind after_ms, or at after_ms with an id above after_id, and
 * at up_to_ms at the latest, in the order of these ends. */
int outbox_due(outbox_t *o, int64_t after_ms, uint64_t after_id, int64_t up_to_ms, size_t max,
               bool (*each)(void *arg, const outbox_row_t *row), void *arg);
/* When the first of those ends, whenever that is; -ENOENT: there is none. */
int outbox_next_due(outbox_t *o, int64_t after_ms, uint64_t after_id, int64_t *ret_ms);
/* Dead letters above `after`, in order. */
int outbox_letters(outbox_t *o, uint64_t after, uint64_t up_to, size_t max,
                   bool (*each)(void *arg, const outbox_letter_t *letter), void *arg);
int outbox_client(outbox_t *o, uint64_t session, uint64_t *ret_number, uint64_t *ret_first_id,
                  uint32_t *ret_stored); /* -ENOENT: new */
int outbox_load(outbox_t *o, const char *load_id, uint64_t *ret_position);

typedef struct {
    uint64_t rows; /* all, dead ones too */
    uint64_t dead;
    int64_t bytes;     /* in use, freed pages not counted */
    int64_t oldest_ms; /* published_at of the oldest that is not dead; 0 none */
    uint64_t oldest;   /* its row; 0 none */
} outbox_gauges_t;
void outbox_gauges(outbox_t *o, outbox_gauges_t *ret);
/* The same counts at no cost: rows that are not dead, and dead ones. */
uint64_t outbox_living(const outbox_t *o);
uint64_t outbox_dead(const outbox_t *o);
/* Of the messages that died since this start, those that were neither done nor redriven after all. */
uint64_t outbox_died(const outbox_t *o);
/* Room for more: false when outbox-max is reached or the disk was full and no probe has succeeded since. */
bool outbox_has_room(outbox_t *o);
/* Another outbox-max from now on. */
void outbox_limit(outbox_t *o, int64_t max_bytes);
/* Housekeeping while idle: small checkpoints. Returns at once when there is nothing to do. 0, or -EIO when
 * the disk has failed, now or in a read before: nothing will be committed any more. */
int outbox_idle(outbox_t *o);

#endif

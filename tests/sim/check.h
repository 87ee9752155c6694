/* The invariants of the design (docs/ARCHITECTURE.md, "Simulator"), looked at from outside: at every frame
 * that is sent or read, every commit, every act of a worker, and after every turn. It remembers of each
 * message what is true on disks and in the world, of each session what was said on the wire, and nothing that
 * a program thinks. broken() ends the run. */
#ifndef MANDRILL_SIM_CHECK_H
#define MANDRILL_SIM_CHECK_H

#include "tests/sim/disk.h"
#include "tests/sim/kinds.h"
#include "tests/sim/net.h"

void check_open(void);
void check_close(void);
/* When all has settled: nothing is lost, nothing is left. */
void check_end(void);
/* How often a message has come to an end. */
uint64_t check_ended(void);
typedef struct {
    uint64_t messages, done, dead, acts, redelivered;
    uint64_t restarts, skipped, unknown; /* of hosts */
    uint64_t late, doubles;              /* acts after the grant was over, and restarts that came of these */
} check_sums_t;
void check_sums(check_sums_t *ret);

/* Frames: `end` is who sends, or who has read. */
void check_sent(conn_t *c, int end, const void *frame, size_t len);
void check_received(conn_t *c, int end, const void *frame, size_t len);

/* The publisher's disk: a row, or a change of it, is committed now. */
void check_insert(uint32_t publisher, const disk_row_t *row);
void check_change(uint32_t publisher, const disk_row_t *row, const delivery_change_t *c);
/* A dead letter is a message again, or is deleted by an operator. */
void check_redriven(uint32_t publisher, const disk_row_t *row);
void check_noted(const disk_row_t *row, uint64_t token);
void check_purged(uint32_t publisher, const disk_row_t *row);
/* A publisher is open again. */
void check_opened(process_t *p);

/* Workers: a task is begun (how often, with this time), has done what it is there for, will never succeed. */
void check_begin(message_id_t id, uint32_t leg);
uint32_t check_begun(message_id_t id, uint32_t leg);
void check_act(message_id_t id, uint32_t leg);
void check_permanent(message_id_t id, uint32_t leg);
/* Hosts: one was seen to be up for so long; a worker is about to have one restarted for its task of this
 * number, and a moment later does so, which is late when it was stopped in between; a host restarts for the
 * message, which was up since then, and is back at that time. */
void check_looked(message_id_t id, int64_t up_us);
void check_act_begins(const process_t *worker, uint32_t number, message_id_t id);
void check_acts(const process_t *worker, uint32_t number, message_id_t id);
void check_restarted(message_id_t id, bool compares, int64_t up_since_us, int64_t back_us);
/* A client was told that they are stored. */
void check_confirmed(uint32_t publisher, message_id_t first, uint32_t n);

void check_turn(process_t *p);

#endif

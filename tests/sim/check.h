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
void check_purged(uint32_t publisher, const disk_row_t *row);
/* A publisher is open again. */
void check_opened(process_t *p);

/* Workers: a task is begun (how often, with this time), has done what it is there for, will never succeed. */
void check_begin(message_id_t id, uint32_t leg);
uint32_t check_begun(message_id_t id, uint32_t leg);
void check_act(message_id_t id, uint32_t leg);
void check_permanent(message_id_t id, uint32_t leg);
/* A client was told that they are stored. */
void check_confirmed(uint32_t publisher, message_id_t first, uint32_t n);

void check_turn(process_t *p);

#endif

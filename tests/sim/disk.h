/* The disks with the publishers' outboxes, as publisher/outbox.h promises them. What was committed is there
 * after any crash; of a commit that was under way when its process died, or whose fsync failed, nobody knows
 * until the next start. */
#ifndef MANDRILL_SIM_DISK_H
#define MANDRILL_SIM_DISK_H

#include "publisher/outbox.h"
#include "tests/sim/world.h"

void disk_open(void);
void disk_close(void);
void disk_process_gone(const process_t *p);
/* Faults. */
void disk_full(uint32_t publisher, int64_t us);
void disk_fail(uint32_t publisher); /* the next write or commit is EIO */
void disk_heal(void);               /* all of them */

/* What lies on a publisher's disk, committed. */
typedef struct {
    uint64_t id;
    uint8_t legs, done, bad;
    uint8_t tries[LEGS_MAX];
    uint32_t deliveries;
    int64_t not_before_ms, delay_ms;
    bool dead, exhausted;
    void *body;
    uint32_t body_len;
    void *notes; /* core/notes.h */
    uint32_t notes_len;
    uint64_t noted; /* the token of the last one */
} disk_row_t;

uint32_t disk_rows(uint32_t publisher); /* living and dead */
uint32_t disk_living(uint32_t publisher);
uint64_t disk_first_living(uint32_t publisher); /* its row; there must be one */
uint64_t disk_load_position(uint32_t publisher);
uint32_t disk_epoch(uint32_t publisher);
/* How often it was found full: rounds that were done again. */
uint32_t disk_refusals(uint32_t publisher);
uint64_t disk_dispatched_to(uint32_t publisher);
/* A message that the publisher's streams name: true when it is one of its own. */
bool disk_row_id(uint32_t publisher, message_id_t id, uint64_t *ret_row);
message_id_t disk_id(uint32_t publisher, uint64_t row);
const disk_row_t *disk_find(uint32_t publisher, uint64_t row); /* NULL: not there */

#endif

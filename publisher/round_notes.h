/* The notes that a round records: those of steps that were granted. A part of round.c. */
#ifndef MANDRILL_ROUND_NOTES_H
#define MANDRILL_ROUND_NOTES_H

#include "publisher/round.h"

/* Keeps the step's note until the round is over. */
void round_notes_keep(round_t *r, round_step_t *step, const step_t *s);
/* Writes those of the steps first..end-1, whose codes are known; in their order, so the last one stays.
 * Before the changes: a dead letter takes them along. 0 or -errno. */
int round_notes_write(round_t *r, uint32_t first, uint32_t end);

#endif

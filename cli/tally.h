/* What a run has done, from what its publishers said: each life of a publisher counts from 0, so the lives
 * are added up. Pure. */
#ifndef MANDRILL_TALLY_H
#define MANDRILL_TALLY_H

#include <stdbool.h>
#include <stdint.h>

/* Counts of one life, or sums of several. */
typedef struct {
    uint64_t published, acked, dead, saved, restarted;
} counts_t;

/* What else a publisher says. */
typedef struct {
    uint64_t backlog;       /* not done and not dead */
    uint64_t dead_at_start; /* dead letters in the outbox when this life began */
} stock_t;

typedef struct {
    counts_t before;      /* lives that have ended */
    counts_t now;         /* the present one */
    stock_t stock;        /* as last heard */
    uint64_t leftover;    /* the backlog that the run began with */
    uint64_t dead_before; /* the dead letters that it began with */
    bool begun;           /* the above is known */
    uint32_t lives;       /* that have ended */
} tally_t;

void tally_init(tally_t *t);
/* What the present publisher says. */
void tally_heard(tally_t *t, const counts_t *now, const stock_t *stock);
/* It is gone. What it did after it was last heard is missing. */
void tally_publisher_gone(tally_t *t);
/* The last publisher has told how it ended. What earlier lives did between their last word and their crash is
 * made good as far as it shows in what is left; `load` (0: none) were published at least. */
void tally_settle(tally_t *t, uint64_t load);
counts_t tally_sum(const tally_t *t);

#endif

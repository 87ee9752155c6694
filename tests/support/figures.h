/* What a fault test saw, as one row of the table in docs/RELIABILITY.md. `tests/faults/table.sh` runs the
 * suite and puts the heading above the rows. */
#ifndef MANDRILL_TEST_FIGURES_H
#define MANDRILL_TEST_FIGURES_H

#include <stdint.h>

enum { FIGURES_RECOVERIES_MAX = 10000 };

typedef struct {
    uint64_t cycles;              /* faults that were made */
    uint64_t messages, confirmed; /* requests, and how many of them were answered with an id */
    uint64_t lost, duplicates;    /* the checker's; what nobody asked for counts as a duplicate */
    uint64_t double_work; /* tasks that were done again: saves that found their row, second restarts */
    uint32_t recoveries;
    int32_t recovery_ms[FIGURES_RECOVERIES_MAX]; /* from the fault to the first message that is done again */
} figures_t;

/* What is beyond the room is not kept; the cycles say how many there were. */
void figures_recovered(figures_t *f, int64_t ms);
/* The middle one (percent 50) or the longest (100); -1: none was measured. Sorts them. */
int64_t figures_recovery_ms(figures_t *f, unsigned percent);
/* One line on stdout, and at the end of the file that MANDRILL_FIGURES names. `fault` holds no '|'. */
void figures_row(const char *fault, figures_t *f);

#endif

/* What benches share: figures of several runs, what a program takes of the machine, rows of a Markdown table.
 *
 * A run that cannot be measured ends the bench: it is an error of the programs or of the machine, and the
 * guard of the rig takes away what is left. */
#ifndef MANDRILL_BENCH_MEASURE_H
#define MANDRILL_BENCH_MEASURE_H

#include "tests/support/rig.h"

enum { RUNS_MAX = 64 };

/* Of each run one figure. */
typedef struct {
    double values[RUNS_MAX];
    unsigned count;
} figure_t;

void figure_add(figure_t *f, double value);
/* 0, 50 or 100 percent of the way from the smallest to the largest; 0 of none. */
double figure_at(const figure_t *f, unsigned percent);
/* "min / median / max", with so many digits behind the point, in a buffer of 96. */
char *figure_text(const figure_t *f, int digits, char text[static 96]);

int64_t measure_now_us(void);
/* CPU that a program which runs has used, user and system. */
int64_t measure_cpu_us(const process_t *p);
/* What it has in memory, or had at most. */
double measure_rss_mb(const process_t *p, bool peak);

/* A whole number from `min` to `max` behind a flag; ends the program with 2 when it is none. */
unsigned long measure_number(const char *flag, const char *text, unsigned long min, unsigned long max);

/* A rig for one run; it ends with measure_end(), or with the program. */
rig_t *measure_begin(const char *transport);
void measure_end(rig_t *rig);

#endif

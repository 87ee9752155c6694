/* Parts of the programs alone, in one thread: what an operation costs. A row is one operation, measured in
 * stretches of many, some of them in each run. */
#ifndef MANDRILL_BENCH_MICRO_H
#define MANDRILL_BENCH_MICRO_H

#include "tests/bench/measure.h"

enum { MICRO_BATCH = 1024, MICRO_BODY_BYTES = 100 };

typedef struct {
    const char *name;
    uint64_t count; /* operations of a run */
    int64_t ns;     /* of this run so far */
    uint64_t done;  /* operations of it */
    figure_t per_operation;
} micro_row_t;

/* As assert_true(), without its call: it stands in what is measured. */
#define EXPECT(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            fail_msg("not so: %s", #condition);                                                              \
    } while (0)

/* Room for what a part needs; the end when there is none. */
void *micro_room(size_t bytes);
int64_t micro_now_ns(void);
/* So many operations since then took what has passed; `from_ns` is now. */
void micro_lap(micro_row_t *row, uint64_t operations, int64_t *from_ns);
/* The run is over. */
void micro_end(micro_row_t *rows, size_t count);
void micro_print(const char *title, const micro_row_t *rows, size_t count);
/* A body as a load has them, of MICRO_BODY_BYTES. */
const void *micro_body(void);

void micro_codec(unsigned runs);
void micro_delivery(unsigned runs);
void micro_gather(unsigned runs);
void micro_outbox(unsigned runs);

#endif

/* The result of `mandrill bench` as JSON and as a table for people. */
#ifndef MANDRILL_BENCH_REPORT_H
#define MANDRILL_BENCH_REPORT_H

#include "cli/pipeline.h"
#include <stdio.h>

typedef struct {
    uint64_t count, acked, dead;
    uint64_t executions; /* of legs, as the workers report them */
    uint32_t legs;       /* of each message */
    double seconds;      /* from the first message handed to the outbox to the last settled */
    struct {
        double p50, p90, p99, max;
    } latency_ms;
    struct {
        int64_t cpu_us, rss_kb;
    } parts[PARTS];
    /* Settings. */
    double rate; /* 0: as fast as possible */
    int64_t size_bytes;
    const char *store;             /* "sqlite" or "postgres" */
    uint32_t save, restart, slots; /* slots 0: the worker's default */
    const char *transport;
    const char *data_dir; /* NULL: a temporary one */
} bench_result_t;

/* Leg executions beyond one for each leg of each message. */
uint64_t bench_duplicates(const bench_result_t *b);
/* One line, to be freed by the caller; NULL when memory is out. */
char *bench_json(const bench_result_t *b);
void bench_table(const bench_result_t *b, FILE *out);

#endif

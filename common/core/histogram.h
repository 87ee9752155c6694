/* Latencies in microseconds: log-linear buckets, 64 to each power of two (error < 1.6 %), 1 us to 2^40 us.
 * Every value counts. */
#ifndef MANDRILL_HISTOGRAM_H
#define MANDRILL_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 64 * 36 };

typedef struct {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max_us;
} histogram_t;

void histogram_init(histogram_t *h);
void histogram_add(histogram_t *h, int64_t us); /* below 0 counts as 0 */
/* The upper edge of the bucket that holds the quantile 0..1, never above the largest value; 0 when empty. */
uint64_t histogram_quantile(const histogram_t *h, double q);

#endif

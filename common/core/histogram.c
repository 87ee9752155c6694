#include "common/core/histogram.h"

/* Values below 64 have a bucket each. Above, a value keeps its seven highest bits: it is shifted right until
 * it lies in 64..127, and each shift has 64 buckets of its own. */
enum { STEPS = 64 };

static unsigned shift_of(uint64_t v)
{
    unsigned shift = 0;
    while (v >> shift >= UINT64_C(2) * STEPS) {
        shift++;
    }
    return shift;
}

static unsigned bucket_of(uint64_t v)
{
    unsigned shift = shift_of(v);
    uint64_t bucket = STEPS * (uint64_t)shift + (v >> shift);
    return bucket < HISTOGRAM_BUCKETS ? (unsigned)bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t bucket_upper(unsigned bucket)
{
    unsigned shift = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
    return ((uint64_t)(bucket - STEPS * shift + 1) << shift) - 1;
}

void histogram_init(histogram_t *h)
{
    *h = (histogram_t){0};
}

void histogram_add(histogram_t *h, int64_t us)
{
    uint64_t v = us > 0 ? (uint64_t)us : 0;
    h->counts[bucket_of(v)]++;
    h->total++;
    if (v > h->max_us) {
        h->max_us = v;
    }
}

uint64_t histogram_quantile(const histogram_t *h, double q)
{
    double exact = q > 0 ? q * (double)h->total : 0;
    uint64_t rank = exact < (double)h->total ? (uint64_t)exact : h->total;
    if ((double)rank < exact && rank < h->total) {
        rank++; /* rounded up: half of three values are two */
    }
    if (rank == 0) {
        rank = 1;
    }
    uint64_t below = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        below += h->counts[i];
        if (below >= rank) {
            return bucket_upper(i) < h->max_us ? bucket_upper(i) : h->max_us;
        }
    }
    return h->max_us; /* the last bucket has no upper edge; 0 when nothing was added */
}

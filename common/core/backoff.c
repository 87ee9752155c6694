#include "common/core/backoff.h"

int64_t backoff_limit_ms(const backoff_t *b, uint32_t n)
{
    if (b->base_ms <= 0) {
        return 0;
    }
    /* By squaring, so that a large n takes no longer than a small one; too large a power ends as infinity,
     * which is above the cap like any other. */
    double limit = (double)b->base_ms;
    double power = b->factor;
    for (uint32_t exponent = n > 0 ? n - 1 : 0; exponent > 0; exponent >>= 1) {
        if (exponent & 1) {
            limit *= power;
        }
        power *= power;
    }
    return limit < (double)b->cap_ms ? (int64_t)limit : b->cap_ms;
}

int64_t backoff_ms(const backoff_t *b, uint32_t n, uint64_t random)
{
    return (int64_t)(random % ((uint64_t)backoff_limit_ms(b, n) + 1));
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

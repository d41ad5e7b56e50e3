#include "data/permutation.h"

#include "base/rng.h"
#include "base/status.h"

enum { ROUNDS = 6 };

int64_t permutation_at(uint64_t seed, uint64_t stream, int64_t index, int64_t count)
{
    ASSERT(index >= 0 && index < count);
    /* 2 h bits hold every index; more than a quarter of them are images below count, so walks are
     * short */
    int half = 1;
    while (half < 31 && ((int64_t)1 << 2 * half) < count) half++;
    uint64_t mask = (UINT64_C(1) << half) - 1, at = (uint64_t)index;
    ASSERT(count <= (int64_t)1 << 62);
    do {
        uint64_t left = at >> half, right = at & mask;
        for (uint64_t round = 0; round < ROUNDS; round++) {
            rng_block f = rng_at(seed, RNG_ORDER, stream, round << 32 | right);
            uint64_t next = left ^ (f.word[0] & mask);
            left = right;
            right = next;
        }
        at = left << half | right;
    } while (at >= (uint64_t)count);
    return (int64_t)at;
}

#include "base/rng.h"

#include <math.h>

rng_block rng_philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (rng_block){{c0, c1, c2, c3}};
}

rng_block rng_at(uint64_t seed, rng_purpose purpose, uint64_t stream, uint64_t index)
{
    /* index fills two counter words, stream one and a half; purpose tops the last */
    return rng_philox(seed, (uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream,
                      ((uint32_t)(stream >> 32) & 0xFFFFFFu) | ((uint32_t)purpose << 24));
}

double rng_unit(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 12;
    return ((double)bits + 0.5) * 0x1p-52;
}

double rng_uniform(uint64_t seed, rng_purpose purpose, uint64_t stream, uint64_t index)
{
    rng_block b = rng_at(seed, purpose, stream, index);
    return rng_unit(b.word[0], b.word[1]);
}

void rng_normal2(uint64_t seed, rng_purpose purpose, uint64_t stream, uint64_t index, double out[2])
{
    rng_block b = rng_at(seed, purpose, stream, index);
    double radius = sqrt(-2.0 * log(rng_unit(b.word[0], b.word[1])));
    double angle = 6.283185307179586476925 * rng_unit(b.word[2], b.word[3]);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

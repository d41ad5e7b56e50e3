/* rng.h — counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random
 * numbers: as easy as 1, 2, 3"). A number is a pure function of (seed, counter), so no rank, thread
 * or order of calls can change it. Counters are (tensor index, element) or (global sample index,
 * step, purpose); never the rank.                                                               */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

/* What a random number is for; keeps streams apart. */
typedef enum rng_purpose {
    RNG_INIT = 1,   /* weights: counter (tensor index, element)          */
    RNG_ORDER = 2,  /* sample permutation: counter (epoch, round, value) */
    RNG_SAMPLE = 3, /* text generation                                   */
    RNG_SYNTH = 4,  /* synthetic data                                    */
    RNG_TEST = 5,
    RNG_FIT = 6,    /* resamples and starts of a fit: counter (replicate, draw) */
} rng_purpose;

typedef struct rng_block {
    uint32_t word[4];
} rng_block;

/* The 128-bit block for a 64-bit key and a 128-bit counter (c0 is the lowest word). */
rng_block rng_philox(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3);
/* Block number `index` of `stream` for this seed and purpose. */
rng_block rng_at(uint64_t seed, rng_purpose purpose, uint64_t stream, uint64_t index);
/* 64 bits -> (0, 1): odd multiples of 2^-53, so never 0 or 1. */
double rng_unit(uint32_t high, uint32_t low);
/* Uniform in (0, 1). */
double rng_uniform(uint64_t seed, rng_purpose purpose, uint64_t stream, uint64_t index);
/* Two independent standard normals (Box-Muller) from one block. */
void rng_normal2(uint64_t seed, rng_purpose purpose, uint64_t stream, uint64_t index,
                 double out[2]);

#endif

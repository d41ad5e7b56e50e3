#include "base/rng.h"

#include <criterion/criterion.h>
#include <math.h>

/* known answers of Random123 (Salmon et al. 2011), kat_vectors, philox4x32 10 */
static void expect_philox(const uint32_t c[4], const uint32_t k[2], const uint32_t expected[4])
{
    rng_block b = rng_philox((uint64_t)k[1] << 32 | k[0], c[0], c[1], c[2], c[3]);
    for (int i = 0; i < 4; i++)
        cr_expect(b.word[i] == expected[i], "word %d is %08x", i, b.word[i]);
}

Test(rng, philox_gives_the_published_answers)
{
    const uint32_t zero[4] = {0}, ones[4] = {~0u, ~0u, ~0u, ~0u};
    const uint32_t pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    expect_philox(zero, zero, (uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    expect_philox(ones, ones, (uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    expect_philox(pi, (uint32_t[]){0xa4093822, 0x299f31d0},
                  (uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

Test(rng, every_part_of_the_counter_counts)
{
    rng_block b = rng_at(1, RNG_INIT, 2, 3);
    const rng_block others[] = {rng_at(2, RNG_INIT, 2, 3),
                                rng_at(1, RNG_ORDER, 2, 3),
                                rng_at(1, RNG_INIT, 3, 3),
                                rng_at(1, RNG_INIT, 2, 4),
                                rng_at(1, RNG_INIT, 2 + ((uint64_t)1 << 32), 3),
                                rng_at(1, RNG_INIT, 2, 3 + ((uint64_t)1 << 32)),
                                rng_at(1 + ((uint64_t)1 << 32), RNG_INIT, 2, 3)};
    for (int i = 0; i < 7; i++) {
        int same = 0;
        for (int w = 0; w < 4; w++) same += b.word[w] == others[i].word[w];
        cr_expect(same == 0, "variant %d shares %d words", i, same);
    }
    cr_expect(rng_at(1, RNG_INIT, 2, 3).word[0] == b.word[0]);
}

/* means within five standard errors of what they should be */
Test(rng, uniforms_have_the_moments_of_a_uniform)
{
    enum { N = 100000 };
    double sum = 0, square = 0;
    for (uint64_t i = 0; i < N; i++) {
        double u = rng_uniform(5, RNG_TEST, 0, i);
        cr_assert(u > 0 && u < 1);
        sum += u;
        square += u * u;
    }
    cr_expect(fabs(sum / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
    cr_expect(fabs(square / N - 1.0 / 3) < 5 * sqrt(4.0 / 45 / N));
}

Test(rng, normals_have_the_moments_of_a_normal_and_come_in_independent_pairs)
{
    enum { N = 100000 };
    double sum[2] = {0}, square[2] = {0}, fourth[2] = {0}, product = 0;
    for (uint64_t i = 0; i < N; i++) {
        double z[2];
        rng_normal2(5, RNG_TEST, 0, i, z);
        for (int k = 0; k < 2; k++)
            sum[k] += z[k], square[k] += z[k] * z[k], fourth[k] += pow(z[k], 4);
        product += z[0] * z[1];
    }
    for (int k = 0; k < 2; k++) {
        cr_expect(fabs(sum[k] / N) < 5 * sqrt(1.0 / N));
        cr_expect(fabs(square[k] / N - 1) < 5 * sqrt(2.0 / N));
        cr_expect(fabs(fourth[k] / N - 3) < 5 * sqrt(96.0 / N));
    }
    cr_expect(fabs(product / N) < 5 * sqrt(1.0 / N));
}

/* the extreme bit patterns must stay inside (0, 1): 1.0 would index one past an end */
Test(rng, uniform_is_never_zero_or_one)
{
    cr_expect(rng_unit(0, 0) > 0.0);
    cr_expect(rng_unit(0xffffffffu, 0xffffffffu) < 1.0);
    cr_expect_float_eq(rng_unit(0x80000000u, 0), 0.5, 1e-15);
}

/* vector.h — exp and log without branches, for loops that the compiler turns into vectors.
 * Written so that every instruction set rounds alike (no contraction in this folder): a fit has the
 * same bits on every machine. Both are within 2 ulp.
 * Flow: -> law_chinchilla.c, objective.c                                                         */
#ifndef LAW_VECTOR_H
#define LAW_VECTOR_H

#include <stdint.h>
#include <string.h>

enum { LANES = 8 }; /* columns of points are padded to a multiple of it */

/* Compiles the function below once per instruction set; the loader picks. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PER_MACHINE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define PER_MACHINE
#endif
#define IN_LOOPS static inline __attribute__((always_inline))

IN_LOOPS uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

IN_LOOPS double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x > y ? x : y; anything not a number in x gives y */
IN_LOOPS double larger(double x, double y) { return x > y ? x : y; }

/* e^x for x <= 0; below -708 as at -708 */
IN_LOOPS double exp_negative(double in)
{
    const double x = larger(in, -708), magic = 0x1.8p52; /* x / ln 2, rounded, in the low bits */
    const double shifted = x * 0x1.71547652b82fep0 + magic, k = shifted - magic;
    const double r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
    /* Taylor: |r| < 0.347, the first term left out is below 5e-18 */
    double p = 1.0 / 6227020800;
    p = p * r + 1.0 / 479001600;
    p = p * r + 1.0 / 39916800;
    p = p * r + 1.0 / 3628800;
    p = p * r + 1.0 / 362880;
    p = p * r + 1.0 / 40320;
    p = p * r + 1.0 / 5040;
    p = p * r + 1.0 / 720;
    p = p * r + 1.0 / 120;
    p = p * r + 1.0 / 24;
    p = p * r + 1.0 / 6;
    p = p * r + 0.5;
    p = p * r + 1;
    p = p * r + 1;
    return double_of(bits_of(p) + (bits_of(shifted) << 52));
}

/* ln x for normal x >= 1 */
IN_LOOPS double log_above_1(double x)
{
    /* x = 2^k m, m in [sqrt(1/2), sqrt(2)) */
    const uint64_t above = bits_of(x) - UINT64_C(0x3fe6a09e667f3bcd) + (UINT64_C(1) << 52);
    const uint64_t power = above >> 52;
    const double k = double_of(power | UINT64_C(0x4330000000000000)) - (0x1p52 + 1);
    const double m = double_of(bits_of(x) - (power << 52) + (UINT64_C(1) << 52));
    /* ln m = 2 atanh(s), |s| < 0.1716 */
    const double s = (m - 1) / (m + 1), q = s * s;
    double p = 1.0 / 23;
    p = p * q + 1.0 / 21;
    p = p * q + 1.0 / 19;
    p = p * q + 1.0 / 17;
    p = p * q + 1.0 / 15;
    p = p * q + 1.0 / 13;
    p = p * q + 1.0 / 11;
    p = p * q + 1.0 / 9;
    p = p * q + 1.0 / 7;
    p = p * q + 1.0 / 5;
    p = p * q + 1.0 / 3;
    return k * 0x1.62e42feep-1 + (k * 0x1.a39ef35793c76p-33 + (2 * s + 2 * s * q * p));
}

#endif

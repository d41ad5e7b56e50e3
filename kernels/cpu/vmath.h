/* vmath.h — exp, sigmoid, gelu and their derivatives on vectors. Polynomials, no tables, no
 * library: a path gives the same bits on every machine. Relative error of vf_exp below 2e-7. */
#ifndef CPU_VMATH_H
#define CPU_VMATH_H

#include "kernels/cpu/simd.h"

#include <math.h>

/* exp(x); 0 below -87.3, at most exp(88) */
INLINE vf vf_exp(vf x)
{
    vf in = vf_min(vf_set(88.f), vf_max(vf_set(-87.3f), x)); /* NaN stays: it is the second one */
    vf n = vf_round(vf_mul(in, vf_set(1.44269504f)));
    vf r = vf_fnma(n, vf_set(0.693359375f), in);
    r = vf_fnma(n, vf_set(-2.12194440e-4f), r);
    vf p = vf_set(1.9875691500e-4f);
    p = vf_fma(p, r, vf_set(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set(5.0000001201e-1f));
    p = vf_fma(p, vf_mul(r, r), vf_add(r, vf_set(1.f)));
    return vf_where_lt(x, vf_set(-87.3f), vf_set(0.f), vf_scale(p, n));
}

/* log(x) for normal x > 0, relative error below 2e-7; what is not a positive number stays or gives
 * NaN (libm's logf is left out: its bits differ between versions and processors) */
INLINE float log_f32(float x)
{
    if (!(x > 0.f) || x > 3.4e38f) return x > 0.f ? x : x == 0.f ? -INFINITY : NAN;
    uint32_t bits;
    memcpy(&bits, &x, 4);
    /* x = m 2^e with m in [sqrt(1/2), sqrt(2)) */
    const int32_t e = (int32_t)(bits - 0x3f3504f3u) >> 23;
    bits -= (uint32_t)e << 23;
    float m;
    memcpy(&m, &bits, 4);
    const double r = (double)m - 1, s = r / (2 + r), z = s * s; // log(m) = 2 atanh(s)
    const double series =
        1 + z * (1.0 / 3 + z * (1.0 / 5 + z * (1.0 / 7 + z * (1.0 / 9 + z * (1.0 / 11)))));
    return (float)(2 * s * series + (double)e * 0.69314718055994530942);
}

/* exp(x) of one number */
INLINE float exp_f32(float x)
{
    float out[VL];
    vf_store(out, vf_exp(vf_set(x)));
    return out[0];
}

/* 1 / (1 + exp(-x)) */
INLINE vf vf_sigmoid(vf x)
{
    return vf_div(vf_set(1.f), vf_add(vf_set(1.f), vf_exp(vf_sub(vf_set(0.f), x))));
}

#define GELU_A 0.7978845608f /* sqrt(2 / pi) */
#define GELU_B 0.044715f

/* tanh form: x/2 (1 + tanh(u)) = x sigmoid(2u), u = A (x + B x^3) */
INLINE vf vf_gelu(vf x)
{
    vf u = vf_mul(x, vf_fma(vf_mul(x, x), vf_set(2 * GELU_A * GELU_B), vf_set(2 * GELU_A)));
    return vf_mul(x, vf_sigmoid(u));
}
/* s + x s (1 - s) 2u' */
INLINE vf vf_gelu_grad(vf x)
{
    vf xx = vf_mul(x, x);
    vf u = vf_mul(x, vf_fma(xx, vf_set(2 * GELU_A * GELU_B), vf_set(2 * GELU_A)));
    vf du = vf_fma(xx, vf_set(6 * GELU_A * GELU_B), vf_set(2 * GELU_A));
    vf s = vf_sigmoid(u);
    vf slope = vf_mul(vf_mul(x, s), vf_sub(vf_set(1.f), s));
    return vf_fma(slope, du, s);
}

#endif

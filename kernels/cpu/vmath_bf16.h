/* vmath_bf16.h — exp2 and gelu for results that are rounded to bf16 (2^-9): relative error of the power of two
 * below 8e-5 (fast) or 3e-6, of gelu below 2e-4. AVX-512 only; rcp14 is the same on every CPU with AMX. */
#ifndef CPU_VMATH_BF16_H
#define CPU_VMATH_BF16_H

#include "kernels/cpu/simd.h"

/* 2^x, x <= 127; below -126 it goes to 0 */
INLINE vf vf_exp2_fast(vf x)
{
    const vf r = _mm512_reduce_ps(x, 0); // x - round(x)
    vf p = vf_fma(vf_set(0.0551714794f), r, vf_set(0.24261131f));
    p = vf_fma(p, r, vf_set(0.693261025f));
    p = vf_fma(p, r, vf_set(0.999928063f));
    return vf_scale(p, vf_sub(x, r));
}
INLINE vf vf_exp2_bf16(vf x)
{
    const vf r = _mm512_reduce_ps(x, 0);
    vf p = vf_fma(vf_set(0.00957009713f), r, vf_set(0.0559179049f));
    p = vf_fma(p, r, vf_set(0.240247453f));
    p = vf_fma(p, r, vf_set(0.693121809f));
    p = vf_fma(p, r, vf_set(0.999999261f));
    return vf_scale(p, vf_sub(x, r));
}

/* sqrt(2/pi) and its product with 0.044715, times -2 log2(e): gelu(x) = x / (1 + 2^(x (G1 + G3 x^2))) */
#define GELU_G1 (-2.302208198f)
#define GELU_G3 (-0.102943239f)

INLINE vf vf_gelu_bf16(vf x)
{
    const vf u = vf_mul(x, vf_fma(vf_mul(x, x), vf_set(GELU_G3), vf_set(GELU_G1)));
    const vf below = vf_add(vf_set(1.f), vf_exp2_fast(vf_min(vf_set(126.f), u)));
    return vf_mul(x, _mm512_rcp14_ps(below));
}
/* s + x s (1 - s) 2u' with s = 1 / (1 + 2^u) */
INLINE vf vf_gelu_grad_bf16(vf x)
{
    const vf xx = vf_mul(x, x);
    const vf u = vf_mul(x, vf_fma(xx, vf_set(GELU_G3), vf_set(GELU_G1)));
    const vf e = vf_exp2_fast(vf_min(vf_set(126.f), u));
    const vf s = _mm512_rcp14_ps(vf_add(vf_set(1.f), e));
    // 2u' from the constants of the exponential form
    const vf du = vf_fma(xx, vf_set(0.2140644488f), vf_set(1.5957691216f));
    return vf_fma(vf_mul(vf_mul(x, du), s), vf_mul(s, e), s); // 1 - s = s e
}

#endif

/* vmath_bf16.h — powers of two and gelu for results that are rounded to bf16 (2^-9). AVX-512 only;
 * rcp14 is the same on every CPU with AMX. scalef takes the whole part of the exponent itself
 * (floor).          */
#ifndef CPU_VMATH_BF16_H
#define CPU_VMATH_BF16_H

#include "kernels/cpu/simd.h"

/* x - floor(x) */
INLINE vf vf_fraction(vf x) { return _mm512_reduce_ps(x, 1); }

/* 2^x for x < 128, 0 far below; exact for whole x. Relative error 9e-5, 3e-6, 2e-7. */
INLINE vf vf_exp2_rough(vf x)
{
    const vf r = vf_fraction(x);
    vf p = vf_fma(vf_set(0.0770673901f), r, vf_set(0.227644607f));
    p = vf_fma(p, r, vf_set(0.695116878f));
    p = vf_fma(p, r, vf_set(1.f));
    return _mm512_scalef_ps(p, x);
}
INLINE vf vf_exp2_bf16(vf x)
{
    const vf r = vf_fraction(x);
    vf p = vf_fma(vf_set(0.013426736f), r, vf_set(0.0522423908f));
    p = vf_fma(p, r, vf_set(0.241280243f));
    p = vf_fma(p, r, vf_set(0.693044841f));
    p = vf_fma(p, r, vf_set(1.f));
    return _mm512_scalef_ps(p, x);
}
INLINE vf vf_exp2_f32(vf x)
{
    const vf r = vf_fraction(x);
    vf p = vf_fma(vf_set(0.0018671354f), r, vf_set(0.00901701953f));
    p = vf_fma(p, r, vf_set(0.0557999201f));
    p = vf_fma(p, r, vf_set(0.240164444f));
    p = vf_fma(p, r, vf_set(0.693151295f));
    p = vf_fma(p, r, vf_set(1.f));
    return _mm512_scalef_ps(p, x);
}

/* sqrt(2/pi) and its product with 0.044715, times -2 log2(e): gelu(x) = x / (1 + 2^(x (G1 + G3
 * x^2))) */
#define GELU_G1 (-2.302208198f)
#define GELU_G3 (-0.102943239f)

INLINE vf vf_gelu_bf16(vf x)
{
    const vf u = vf_mul(x, vf_fma(vf_mul(x, x), vf_set(GELU_G3), vf_set(GELU_G1)));
    const vf below = vf_add(vf_set(1.f), vf_exp2_rough(vf_min(vf_set(126.f), u)));
    return vf_mul(x, _mm512_rcp14_ps(below));
}
/* s + x s (1 - s) 2u' with s = 1 / (1 + 2^u) */
INLINE vf vf_gelu_grad_bf16(vf x)
{
    const vf xx = vf_mul(x, x);
    const vf u = vf_mul(x, vf_fma(xx, vf_set(GELU_G3), vf_set(GELU_G1)));
    const vf e = vf_exp2_rough(vf_min(vf_set(126.f), u));
    const vf s = _mm512_rcp14_ps(vf_add(vf_set(1.f), e));
    /* 2u' from the constants of the exponential form */
    const vf du = vf_fma(xx, vf_set(0.2140644488f), vf_set(1.5957691216f));
    return vf_fma(vf_mul(vf_mul(x, du), s), vf_mul(s, e), s); // 1 - s = s e
}

#endif

/* simd_avx512.h — 16 lanes. bf16 is rounded with the hardware instruction on the amx path (which
 * always has it) and with integers elsewhere, so that one path gives one result on every machine.
 */
#ifndef CPU_SIMD_AVX512_H
#define CPU_SIMD_AVX512_H

#include <immintrin.h>

enum { VL = 16 };
typedef __m512 vf;

INLINE __mmask16 vf_mask(int64_t n) { return (__mmask16)((1u << n) - 1u); }
INLINE vf vf_set(float a) { return _mm512_set1_ps(a); }
INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE vf vf_load_n(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(vf_mask(n), p); }
INLINE void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
INLINE void vf_store_n(float *p, vf a, int64_t n) { _mm512_mask_storeu_ps(p, vf_mask(n), a); }
/* the first n lanes of a, the others 0 */
INLINE vf vf_first(vf a, int64_t n) { return _mm512_maskz_mov_ps(vf_mask(n), a); }
/* the first n lanes of a, the others of b */
INLINE vf vf_blend_n(vf a, vf b, int64_t n) { return _mm512_mask_mov_ps(b, vf_mask(n), a); }
INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
INLINE vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }   /* a*b + c  */
INLINE vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a*b  */
INLINE vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }
INLINE vf vf_round(vf a) { return _mm512_roundscale_ps(a, 8); }
/* a * 2^e for whole e; e below -126 gives 0 or less than the smallest normal number */
INLINE vf vf_scale(vf a, vf e) { return _mm512_scalef_ps(a, e); }
/* where a < b: x, else y */
INLINE vf vf_where_lt(vf a, vf b, vf x, vf y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
INLINE float vf_sum(vf a) { return _mm512_reduce_add_ps(a); }
INLINE float vf_top(vf a) { return _mm512_reduce_max_ps(a); }

INLINE vf vf_from_bf16x16(__m256i b)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16));
}
/* round to nearest even; NaN stays a quiet NaN */
INLINE __m256i bf16x16_exact(vf a)
{
    __m512i bits = _mm512_castps_si512(a);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    up = _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16));
}
INLINE __m256i bf16x16_from_vf(vf a)
{
#if defined(CPU_AMX)
    return (__m256i)_mm512_cvtneps_pbh(a);
#else
    return bf16x16_exact(a);
#endif
}
INLINE vf vf_load_bf16(const uint16_t *p)
{
    return vf_from_bf16x16(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
INLINE vf vf_load_bf16_n(const uint16_t *p, int64_t n)
{
    return vf_from_bf16x16(_mm256_maskz_loadu_epi16(vf_mask(n), p));
}
INLINE void vf_store_bf16(uint16_t *p, vf a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, bf16x16_from_vf(a));
}
INLINE void vf_store_bf16_n(uint16_t *p, vf a, int64_t n)
{
    _mm256_mask_storeu_epi16(p, vf_mask(n), bf16x16_from_vf(a));
}
/* stored weights: exact also for numbers below the smallest normal one */
INLINE void vf_store_bf16_exact_n(uint16_t *p, vf a, int64_t n)
{
    _mm256_mask_storeu_epi16(p, vf_mask(n), bf16x16_exact(a));
}

#endif

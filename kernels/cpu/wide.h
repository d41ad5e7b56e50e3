/* wide.h — the few operations on doubles and 64-bit integers the exact reduction needs.
 * Exactly rounded, so every path gives the bits of the plain loops.                        */
#ifndef CPU_WIDE_H
#define CPU_WIDE_H

#include "kernels/cpu/simd.h"
#include "kernels/ops.h"

#include <math.h>

#define EXACT_LIMIT                                                                                \
    0x1p62 /* one micro-batch's scaled value must stay below, unless the call says less */

/* *sum (+)= rint(value * 2^44); true if it cannot be represented, and then nothing is added */
INLINE bool exact_add(int64_t *sum, float value, bool first, double limit)
{
    const double scaled = (double)value * EXACT_SCALE;
    const bool fits = fabs(scaled) < limit; // false for NaN
    const int64_t add = fits ? (int64_t)nearbyint(scaled) : 0;
    int64_t out;
    const bool leaves = __builtin_add_overflow(first ? 0 : *sum, add, &out);
    *sum = leaves ? *sum : out;
    return !fits || leaves;
}

enum {
    WIDE = 8,
    AHEAD = 4096,         /* bytes: a page on, where the processor's own prefetching stops */
    PAST_CACHES = 1 << 20 /* sums of a call that no core's cache will still hold           */
};

#if defined(CPU_AVX512)

INLINE bool wide_accumulate(int64_t *sum, const float *gradient, bool first, bool past_caches,
                            double limit)
{
    _mm_prefetch((const char *)gradient + AHEAD, _MM_HINT_T0);
    const __m512d scaled =
        _mm512_mul_pd(_mm512_cvtps_pd(_mm256_loadu_ps(gradient)), _mm512_set1_pd(EXACT_SCALE));
    const __mmask8 fits =
        _mm512_cmp_pd_mask(_mm512_abs_pd(scaled), _mm512_set1_pd(limit), _CMP_LT_OQ);
    const __m512i add =
        _mm512_maskz_cvt_roundpd_epi64(fits, scaled, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    if (first) {
        if (past_caches && ((uintptr_t)sum & 63) == 0)
            _mm512_stream_si512((__m512i *)sum, add);
        else
            _mm512_storeu_si512(sum, add);
        return fits != 0xff;
    }
    const __m512i old = _mm512_loadu_si512(sum), now = _mm512_add_epi64(old, add);
    /* a sum left int64 where both addends have the other sign */
    const __mmask8 leaves = _mm512_movepi64_mask(
        _mm512_and_si512(_mm512_xor_si512(old, now), _mm512_xor_si512(add, now)));
    _mm512_storeu_si512(sum, _mm512_mask_mov_epi64(now, leaves, old));
    return fits != 0xff || leaves;
}

/* What was streamed past the caches is there for other ranks. */
INLINE void wide_fence(void) { _mm_sfence(); }

INLINE int64_t wide_squares_i64(double *lanes, const int64_t *values, int64_t n)
{
    __m512d part[4];
    const __m512d scale = _mm512_set1_pd(1 / EXACT_SCALE);
    UNROLL
    for (int j = 0; j < 4; j++) part[j] = _mm512_setzero_pd();
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) UNROLL
    for (int j = 0; j < 4; j++) {
        _mm_prefetch((const char *)(values + i + 8 * j) + AHEAD, _MM_HINT_T0);
        const __m512d v =
            _mm512_mul_pd(_mm512_cvtepi64_pd(_mm512_loadu_si512(values + i + 8 * j)), scale);
        part[j] = _mm512_add_pd(part[j], _mm512_mul_pd(v, v));
    }
    for (int j = 0; j < 4; j++) _mm512_storeu_pd(lanes + 8 * j, part[j]);
    return i;
}

INLINE int64_t wide_squares_f32(double *lanes, const float *values, int64_t n)
{
    __m512d part[4];
    UNROLL
    for (int j = 0; j < 4; j++) part[j] = _mm512_setzero_pd();
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) UNROLL
    for (int j = 0; j < 4; j++) {
        const __m512d v = _mm512_cvtps_pd(_mm256_loadu_ps(values + i + 8 * j));
        part[j] = _mm512_add_pd(part[j], _mm512_mul_pd(v, v));
    }
    for (int j = 0; j < 4; j++) _mm512_storeu_pd(lanes + 8 * j, part[j]);
    return i;
}

/* values * scale, rounded to floats */
INLINE vf vf_from_i64_n(const int64_t *values, int64_t n, double scale)
{
    const __mmask16 mask = vf_mask(n);
    const __m512d lo = _mm512_cvtepi64_pd(_mm512_maskz_loadu_epi64((__mmask8)mask, values));
    const __m512d hi =
        _mm512_cvtepi64_pd(_mm512_maskz_loadu_epi64((__mmask8)(mask >> 8), values + 8));
    const __m256 a = _mm512_cvtpd_ps(_mm512_mul_pd(lo, _mm512_set1_pd(scale)));
    const __m256 b = _mm512_cvtpd_ps(_mm512_mul_pd(hi, _mm512_set1_pd(scale)));
    return _mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1);
}
INLINE vf vf_from_f32_scaled_n(const float *values, int64_t n, double scale)
{
    const __m512 v = vf_load_n(values, n);
    const __m512d lo = _mm512_cvtps_pd(_mm512_castps512_ps256(v));
    const __m512d hi = _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
    const __m256 a = _mm512_cvtpd_ps(_mm512_mul_pd(lo, _mm512_set1_pd(scale)));
    const __m256 b = _mm512_cvtpd_ps(_mm512_mul_pd(hi, _mm512_set1_pd(scale)));
    return _mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1);
}

#else

INLINE bool wide_accumulate(int64_t *sum, const float *gradient, bool first, bool past_caches,
                            double limit)
{
    (void)past_caches;
    bool bad = false;
    for (int i = 0; i < WIDE; i++) bad |= exact_add(sum + i, gradient[i], first, limit);
    return bad;
}

INLINE void wide_fence(void) {}

INLINE int64_t wide_squares_i64(double *lanes, const int64_t *values, int64_t n)
{
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (int j = 0; j < 32; j++) {
            const double v = (double)values[i + j] * (1 / EXACT_SCALE);
            lanes[j] += v * v;
        }
    return i;
}

INLINE int64_t wide_squares_f32(double *lanes, const float *values, int64_t n)
{
    int64_t i = 0;
    for (; i + 32 <= n; i += 32)
        for (int j = 0; j < 32; j++) lanes[j] += (double)values[i + j] * (double)values[i + j];
    return i;
}

INLINE vf vf_from_i64_n(const int64_t *values, int64_t n, double scale)
{
    float out[VL] = {0};
    for (int64_t i = 0; i < n; i++) out[i] = (float)((double)values[i] * scale);
    return vf_load(out);
}
INLINE vf vf_from_f32_scaled_n(const float *values, int64_t n, double scale)
{
    float out[VL] = {0};
    for (int64_t i = 0; i < n; i++) out[i] = (float)((double)values[i] * scale);
    return vf_load(out);
}

#endif
#endif

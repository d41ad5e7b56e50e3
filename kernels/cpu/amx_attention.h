/* amx_attention.h — what the forward and backward pass of attention share. Tiles of scores are
 * (key, query): a query is a vector lane, so a softmax over keys needs no sums across lanes, and
 * two rows of probabilities are already the pairs the right operand of the next product wants. */
#ifndef CPU_AMX_ATTENTION_H
#define CPU_AMX_ATTENTION_H

#include "kernels/cpu/amx_gemm.h"

#define MASKED (-1e30f)

/* rows k and k + 1 of 16 columns, rounded, as pairs of a right operand */
INLINE __m512i amx_pairs(vf even, vf odd)
{
    const __m512i v = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
    const __m512i order =
        _mm512_set_epi8(63, 62, 31, 30, 61, 60, 29, 28, 59, 58, 27, 26, 57, 56, 25, 24, 55, 54, 23,
                        22, 53, 52, 21, 20, 51, 50, 19, 18, 49, 48, 17, 16, 47, 46, 15, 14, 45, 44,
                        13, 12, 43, 42, 11, 10, 41, 40, 9, 8, 39, 38, 7, 6, 37, 36, 5, 4, 35, 34, 3,
                        2, 33, 32, 1, 0);
    return _mm512_permutexvar_epi8(order, v);
}

/* (32, 32) sums of rows d and columns q, times one factor per column, to bf16 rows q of the stride
 * ld; only the first `rows` of them and the first `columns` elements of each */
INLINE void amx_store_turned(uint16_t *to, int64_t ld, const float *sums, int64_t stride, vf low,
                             vf high, int64_t rows, int64_t columns)
{
    const __mmask32 mask = columns < STEP ? (1u << columns) - 1u : 0xffffffffu;
    for (int half = 0; half < 2; half++) {
        const vf factor = half ? high : low;
        __m512i r[16];
        UNROLL
        for (int i = 0; i < 16; i++)
            r[i] = amx_pairs(vf_mul(vf_load(sums + 2 * i * stride + half * 16), factor),
                             vf_mul(vf_load(sums + (2 * i + 1) * stride + half * 16), factor));
        amx_transpose(r);
        for (int i = 0; i < 16 && half * 16 + i < rows; i++)
            _mm512_mask_storeu_epi16(to + (half * 16 + i) * ld, mask, r[i]);
    }
}

/* which of the 16 lanes hold queries that see key k of a tile on the diagonal; half: lanes 16-31 */
INLINE __mmask16 sees(int k, int half)
{
    const int first = k - 16 * half; // the first lane that may look
    return (__mmask16)(first <= 0 ? 0xffffu : first >= 16 ? 0u : 0xffffu << first);
}

#endif

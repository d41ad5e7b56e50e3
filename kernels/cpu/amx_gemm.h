/* amx_gemm.h — blocks of 32 x 32 sums and what is done with them. While the unit works on one
 * block, the vector units finish the one before it: a few rows after each step. */
#ifndef CPU_AMX_GEMM_H
#define CPU_AMX_GEMM_H

#include "kernels/cpu/amx_pack.h"
#include "kernels/cpu/vmath_bf16.h"

typedef enum amx_finish {
    FINISH_F32,       /* out f32 = sums + bias                               */
    FINISH_BF16,      /* out = sums + bias                                   */
    FINISH_GELU,      /* pre = sums + bias, out = gelu(sums + bias)          */
    FINISH_GELU_GRAD, /* out = sums * gelu'(pre)                             */
} amx_finish;

/* A block whose products are done. */
typedef struct amx_pending {
    float *sums; /* (32, 32)                                              */
    void *out;   /* its first element; bf16 or f32                        */
    uint16_t *pre;
    const float *bias; /* of its 32 columns                                     */
    int64_t ld;        /* of out and pre                                        */
    int64_t rows;      /* 0: nothing to do                                      */
    __mmask32 columns; /* which of the 32 exist                                 */
} amx_pending;

INLINE __m512i bf16x32(vf lo, vf hi) { return (__m512i)_mm512_cvtne2ps_pbh(hi, lo); }
INLINE vf low_half(__m512i v) { return vf_from_bf16x16(_mm512_castsi512_si256(v)); }
INLINE vf high_half(__m512i v) { return vf_from_bf16x16(_mm512_extracti64x4_epi64(v, 1)); }

INLINE void store_row(uint16_t *to, __m512i v, __mmask32 columns)
{
    if (columns == 0xffffffffu)
        _mm512_storeu_si512(to, v);
    else
        _mm512_mask_storeu_epi16(to, columns, v);
}

INLINE void amx_finish_row(const amx_pending *p, int64_t row, const amx_finish kind)
{
    vf lo = vf_load(p->sums + row * STEP), hi = vf_load(p->sums + row * STEP + 16);
    if (kind != FINISH_GELU_GRAD) {
        lo = vf_add(lo, vf_load(p->bias));
        hi = vf_add(hi, vf_load(p->bias + 16));
    }
    if (kind == FINISH_F32) {
        float *out = (float *)p->out + row * p->ld;
        _mm512_mask_storeu_ps(out, (__mmask16)p->columns, lo);
        _mm512_mask_storeu_ps(out + 16, (__mmask16)(p->columns >> 16), hi);
        return;
    }
    if (kind == FINISH_GELU) {
        store_row(p->pre + row * p->ld, bf16x32(lo, hi), p->columns);
        lo = vf_gelu_bf16(lo);
        hi = vf_gelu_bf16(hi);
    }
    if (kind == FINISH_GELU_GRAD) {
        const __m512i pre = _mm512_maskz_loadu_epi16(p->columns, p->pre + row * p->ld);
        lo = vf_mul(lo, vf_gelu_grad_bf16(low_half(pre)));
        hi = vf_mul(hi, vf_gelu_grad_bf16(high_half(pre)));
    }
    store_row((uint16_t *)p->out + row * p->ld, bf16x32(lo, hi), p->columns);
}

/* A left panel: two tile rows with a stride inside a tile and a distance between steps. */
typedef struct amx_left {
    const char *first, *second;
    int64_t stride, step;
} amx_left;

/* Rows of results are far apart, so nothing fetches their lines ahead of the stores but this. */
INLINE void amx_expect(const amx_pending *next, int64_t row, int64_t end, const amx_finish kind)
{
    for (; row < end; row++) {
        if (kind == FINISH_F32) {
            _mm_prefetch((const char *)((const float *)next->out + row * next->ld), _MM_HINT_ET0);
            _mm_prefetch((const char *)((const float *)next->out + row * next->ld + 16),
                         _MM_HINT_ET0);
            continue;
        }
        _mm_prefetch((const char *)((const uint16_t *)next->out + row * next->ld), _MM_HINT_ET0);
        if (kind == FINISH_GELU)
            _mm_prefetch((const char *)(next->pre + row * next->ld), _MM_HINT_ET0);
        if (kind == FINISH_GELU_GRAD)
            _mm_prefetch((const char *)(next->pre + row * next->ld), _MM_HINT_T0);
    }
}

/* next->sums = left panel by right panel over `steps`, finishing the block before meanwhile */
INLINE void amx_block(const amx_pending *next, amx_left a, const char *b, const int64_t steps,
                      const amx_pending *p, const amx_finish kind)
{
    const int64_t share = (STEP + steps - 1) / steps;
    int64_t row = 0, expected = 0;
    amx_zero_sums();
    for (int64_t k = 0; k < steps; k++) {
        amx_step(a.first + k * a.step, a.second + k * a.step, a.stride, b + k * 2 * TILE_BYTES,
                 b + k * 2 * TILE_BYTES + TILE_BYTES);
        const int64_t ahead = expected + share < next->rows ? expected + share : next->rows;
        amx_expect(next, expected, ahead, kind);
        expected = ahead;
        for (int64_t end = row + share < p->rows ? row + share : p->rows; row < end; row++)
            amx_finish_row(p, row, kind);
    }
    amx_store_sums(next->sums, STEP * 4);
}

/* sums (32, 32) = left panel by right panel */
INLINE void amx_scores(float *to, const char *left, const char *right, int64_t steps)
{
    amx_zero_sums();
    for (int64_t k = 0; k < steps; k++) {
        const int64_t at = k * 2 * TILE_BYTES;
        amx_step(left + at, left + at + TILE_BYTES, 64, right + at, right + at + TILE_BYTES);
    }
    amx_store_sums(to, STEP * 4);
}

/* to (32, 32), rows of ld floats, = or += left panel by right panel */
INLINE void amx_add_product(float *to, int64_t ld, const uint16_t *left, const uint16_t *right,
                            int64_t steps, bool add)
{
    const char *a = (const char *)left, *b = (const char *)right;
    if (add)
        amx_load_sums(to, ld * 4);
    else
        amx_zero_sums();
    for (int64_t k = 0; k < steps; k++) {
        amx_step(a, a + TILE_BYTES, 64, b, b + TILE_BYTES);
        a += 2 * TILE_BYTES;
        b += 2 * TILE_BYTES;
    }
    amx_store_sums(to, ld * 4);
}

/* The same for the first rows and columns, where the matrix may end inside the block. */
INLINE void amx_add_product_edge(float *to, int64_t ld, int64_t rows, int64_t columns,
                                 const uint16_t *left, const uint16_t *right, int64_t steps,
                                 bool add)
{
    if (rows >= STEP && columns >= STEP) {
        amx_add_product(to, ld, left, right, steps, add);
        return;
    }
    float edge[STEP * STEP] __attribute__((aligned(64)));
    const int64_t high = rows < STEP ? rows : STEP;
    const size_t wide = (size_t)(columns < STEP ? columns : STEP) * 4;
    for (int64_t i = 0; i < high && add; i++) memcpy(edge + i * STEP, to + i * ld, wide);
    amx_add_product(edge, STEP, left, right, steps, add);
    for (int64_t i = 0; i < high; i++) memcpy(to + i * ld, edge + i * STEP, wide);
}

#endif

/* amx_pack.h — bf16 matrices to tiles. A panel is 32 rows of the left or 32 columns of the right
 * operand over the whole reduction: for each step of 32, two tiles. What lies outside the matrix is
 * filled with zeros. */
#ifndef CPU_AMX_PACK_H
#define CPU_AMX_PACK_H

#include "kernels/cpu/amx.h"

/* A rectangle of a row-major bf16 matrix. */
typedef struct amx_rect {
    const uint16_t *data; /* its first element            */
    int64_t ld;           /* elements between rows         */
    int64_t rows, columns;
} amx_rect;

/* All make panels along one axis of the rectangle; the reduction is along the other. Columns are
 * padded to 32, rows to padded_rows, a multiple of 32. left_rows:     left operand, panels of rows
 * (x of x w^T) left_columns:  left operand, panels of columns     (dy of dy^T x); adds each
 * column's sum to sums (optional, padded to 32) in an order that amx_order_sums turns into that of
 * the columns right_rows:    right operand, panels of rows       (w of x w^T) right_columns: right
 * operand, panels of columns    (w of dy w, x of dy^T x)                       */
void amx_pack_left_rows(uint16_t *to, amx_rect r, int64_t padded_rows);
void amx_pack_left_columns(uint16_t *to, amx_rect r, int64_t padded_rows, float *sums);
void amx_pack_right_rows(uint16_t *to, amx_rect r, int64_t padded_rows);
void amx_pack_right_columns(uint16_t *to, amx_rect r, int64_t padded_rows);
void amx_order_sums(float *to, const float *sums, int64_t columns);

/* 16 rows of 16 dwords, transposed in registers */
INLINE void amx_transpose(__m512i r[16])
{
    __m512i t[16];
    UNROLL
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    UNROLL
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

/* rows 2r and 2r + 1 of 32 columns as pairs: columns 0-15 to lo, 16-31 to hi */
INLINE void amx_interleave(__m512i even, __m512i odd, __m512i *lo, __m512i *hi)
{
    const __m512i first =
        _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6,
                         37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
    *lo = _mm512_permutex2var_epi16(even, first, odd);
    *hi = _mm512_permutex2var_epi16(even, second, odd);
}

#endif

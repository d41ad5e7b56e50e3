/* amx_pack.c — see amx_pack.h. Sources are walked in strips of 32 rows, in memory order, one tile
 * of 32 x 32 at a time; tiles that lie inside the rectangle, nearly all, are read without masks. */
#include "kernels/cpu/amx_pack.h"

/* A tile of 32 x 32 elements of a rectangle. */
typedef struct tile_view {
    const uint16_t *at;
    int64_t ld, rows;  /* rows that exist, may be < 1           */
    __mmask32 columns; /* which of the 32 exist                 */
} tile_view;

INLINE tile_view view_of(amx_rect r, int64_t row, int64_t column)
{
    const int64_t wide = r.columns - column;
    return (tile_view){r.data + row * r.ld + column, r.ld, r.rows - row,
                       wide >= STEP ? 0xffffffffu : (1u << wide) - 1u};
}
INLINE bool is_whole(tile_view v) { return v.rows >= STEP && v.columns == 0xffffffffu; }

INLINE __m512i tile_row(tile_view v, int64_t row, const bool whole)
{
    if (whole) return _mm512_loadu_si512(v.at + row * v.ld);
    if (row >= v.rows) return _mm512_setzero_si512();
    return _mm512_maskz_loadu_epi16(v.columns, v.at + row * v.ld);
}

INLINE void copy_tile(uint16_t *to, tile_view v, const bool whole)
{
    UNROLL
    for (int i = 0; i < STEP; i++) _mm512_storeu_si512(to + i * STEP, tile_row(v, i, whole));
}

void amx_pack_left_rows(uint16_t *to, amx_rect r, int64_t padded_rows)
{
    const int64_t depth = amx_pad(r.columns);
    for (int64_t i = 0; i < padded_rows; i += STEP)
        for (int64_t k = 0; k < depth; k += STEP) {
            const tile_view v = view_of(r, i, k);
            if (is_whole(v))
                copy_tile(to + i * depth + k * STEP, v, true);
            else
                copy_tile(to + i * depth + k * STEP, v, false);
        }
}

/* 16 columns of the operand, each 16 pairs along K, become 16 pairs of 16 columns */
INLINE void turn_half(uint16_t *to, tile_view v, int first, const bool whole)
{
    __m512i block[16];
    UNROLL
    for (int j = 0; j < 16; j++) block[j] = tile_row(v, first + j, whole);
    amx_transpose(block);
    UNROLL
    for (int j = 0; j < 16; j++) _mm512_storeu_si512(to + j * STEP, block[j]);
}

void amx_pack_right_rows(uint16_t *to, amx_rect r, int64_t padded_rows)
{
    const int64_t depth = amx_pad(r.columns);
    for (int64_t i = 0; i < padded_rows; i += STEP)
        for (int64_t k = 0; k < depth; k += STEP) {
            uint16_t *out = to + i * depth + k * STEP;
            const tile_view v = view_of(r, i, k);
            for (int half = 0; half < 2; half++)
                if (is_whole(v))
                    turn_half(out + half * 512, v, 16 * half, true);
                else
                    turn_half(out + half * 512, v, 16 * half, false);
        }
}

INLINE void pair_tile(uint16_t *to, tile_view v, const bool whole)
{
    UNROLL
    for (int i = 0; i < 16; i++) {
        __m512i lo, hi;
        amx_interleave(tile_row(v, 2 * i, whole), tile_row(v, 2 * i + 1, whole), &lo, &hi);
        _mm512_storeu_si512(to + i * STEP, lo);
        _mm512_storeu_si512(to + 512 + i * STEP, hi);
    }
}

void amx_pack_right_columns(uint16_t *to, amx_rect r, int64_t padded_rows)
{
    const int64_t columns = amx_pad(r.columns);
    for (int64_t k = 0; k < padded_rows; k += STEP)
        for (int64_t j = 0; j < columns; j += STEP) {
            const tile_view v = view_of(r, k, j);
            if (is_whole(v))
                pair_tile(to + j * padded_rows + k * STEP, v, true);
            else
                pair_tile(to + j * padded_rows + k * STEP, v, false);
        }
}

INLINE __m512 even_half(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
INLINE __m512 odd_half(__m512i pairs)
{
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000)));
}

/* adds the sums of 16 pairs of rows to sums of their 16 columns */
INLINE void add_sums(float *sums, const __m512i pairs[16])
{
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    UNROLL
    for (int i = 0; i < 16; i++) {
        even = _mm512_add_ps(even, even_half(pairs[i]));
        odd = _mm512_add_ps(odd, odd_half(pairs[i]));
    }
    _mm512_storeu_ps(sums, _mm512_add_ps(_mm512_loadu_ps(sums), _mm512_add_ps(even, odd)));
}

/* In-lane unpacking takes one cheap step where whole pairs take three, but gives columns in the
 * order 0-3, 8-11, 16-19, 24-27 (low) and 4-7, 12-15, ... (high); after the transposition that is
 * only an order of rows. */
INLINE void turn_tile(uint16_t *to, tile_view v, float *sums, const bool whole)
{
    for (int high = 0; high < 2; high++) {
        __m512i block[16];
        UNROLL
        for (int i = 0; i < 16; i++) {
            const __m512i even = tile_row(v, 2 * i, whole), odd = tile_row(v, 2 * i + 1, whole);
            block[i] = high ? _mm512_unpackhi_epi16(even, odd) : _mm512_unpacklo_epi16(even, odd);
        }
        if (sums) add_sums(sums + 16 * high, block);
        amx_transpose(block);
        UNROLL
        for (int i = 0; i < 16; i++)
            _mm512_storeu_si512(to + (i / 4 * 8 + i % 4 + 4 * high) * STEP, block[i]);
    }
}

/* sums of 32 columns in the order of turn_tile, to their own order */
INLINE void order_sums(float *to, const float *from, int64_t columns)
{
    for (int64_t c = 0; c < columns && c < STEP; c++)
        to[c] = from[c / 8 * 4 + c % 4 + c / 4 % 2 * 16];
}

void amx_pack_left_columns(uint16_t *to, amx_rect r, int64_t padded_rows, float *sums)
{
    const int64_t columns = amx_pad(r.columns);
    for (int64_t k = 0; k < padded_rows; k += STEP)
        for (int64_t j = 0; j < columns; j += STEP) {
            const tile_view v = view_of(r, k, j);
            float *tile_sums = sums ? sums + j : NULL;
            if (is_whole(v))
                turn_tile(to + j * padded_rows + k * STEP, v, tile_sums, true);
            else
                turn_tile(to + j * padded_rows + k * STEP, v, tile_sums, false);
        }
}

void amx_order_sums(float *to, const float *sums, int64_t columns)
{
    for (int64_t j = 0; j < columns; j += STEP) order_sums(to + j, sums + j, columns - j);
}

/* amx_pack.c — see amx_pack.h. Sources are walked in strips of 32 rows, in memory order. */
#include "kernels/cpu/amx_pack.h"

/* up to 32 elements, the others 0 */
INLINE __m512i load_row(const uint16_t *p, int64_t n)
{
    if (n >= STEP) return _mm512_loadu_si512(p);
    return n <= 0 ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi16((1u << n) - 1u, p);
}

/* row i of a strip, or zeros where the strip ends */
INLINE __m512i strip_row(amx_rect r, int64_t row, int64_t column)
{
    if (row >= r.rows) return _mm512_setzero_si512();
    return load_row(r.data + row * r.ld + column, r.columns - column);
}

void amx_pack_left_rows(uint16_t *to, amx_rect r, int64_t padded_rows)
{
    const int64_t depth = amx_pad(r.columns);
    for (int64_t i = 0; i < padded_rows; i += STEP)
        for (int64_t k = 0; k < depth; k += STEP) {
            uint16_t *out = to + i * depth + k * STEP;
            for (int64_t row = 0; row < STEP; row++)
                _mm512_storeu_si512(out + row * STEP, strip_row(r, i + row, k));
        }
}

void amx_pack_right_rows(uint16_t *to, amx_rect r, int64_t padded_rows)
{
    const int64_t depth = amx_pad(r.columns);
    for (int64_t i = 0; i < padded_rows; i += 16)
        for (int64_t k = 0; k < depth; k += STEP) {
            // 16 columns of the operand, each 16 pairs along K, become 16 pairs of 16 columns
            uint16_t *out = to + i / STEP * STEP * depth + k * STEP + i % STEP / 16 * 512;
            __m512i block[16];
            UNROLL
            for (int j = 0; j < 16; j++) block[j] = strip_row(r, i + j, k);
            amx_transpose(block);
            UNROLL
            for (int j = 0; j < 16; j++) _mm512_storeu_si512(out + j * STEP, block[j]);
        }
}

void amx_pack_right_columns(uint16_t *to, amx_rect r, int64_t padded_rows)
{
    const int64_t depth = padded_rows, columns = amx_pad(r.columns);
    for (int64_t k = 0; k < depth; k += 2)
        for (int64_t j = 0; j < columns; j += STEP) {
            uint16_t *out = to + j * depth + k / STEP * (STEP * STEP) + k % STEP / 2 * STEP;
            __m512i lo, hi;
            amx_interleave(strip_row(r, k, j), strip_row(r, k + 1, j), &lo, &hi);
            _mm512_storeu_si512(out, lo);
            _mm512_storeu_si512(out + 512, hi);
        }
}

INLINE __m512 even_half(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
INLINE __m512 odd_half(__m512i pairs)
{
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000)));
}

/* adds the sums of 16 x 16 pairs to sums of their 16 columns */
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

void amx_pack_left_columns(uint16_t *to, amx_rect r, int64_t padded_rows, float *sums)
{
    const int64_t depth = padded_rows, columns = amx_pad(r.columns);
    for (int64_t k = 0; k < depth; k += STEP)
        for (int64_t j = 0; j < columns; j += STEP) {
            uint16_t *out = to + j * depth + k * STEP;
            __m512i lo[16], hi[16];
            UNROLL
            for (int i = 0; i < 16; i++)
                amx_interleave(strip_row(r, k + 2 * i, j), strip_row(r, k + 2 * i + 1, j), &lo[i], &hi[i]);
            if (sums) {
                add_sums(sums + j, lo);
                add_sums(sums + j + 16, hi);
            }
            amx_transpose(lo);
            amx_transpose(hi);
            UNROLL
            for (int i = 0; i < 16; i++) {
                _mm512_storeu_si512(out + i * STEP, lo[i]);
                _mm512_storeu_si512(out + 512 + i * STEP, hi[i]);
            }
        }
}

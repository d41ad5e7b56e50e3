/* amx.h — tiles of the AMX unit: 16 rows of 64 bytes, eight of them. One step multiplies 32 rows of
 * A by 32 columns of B over 32 products: four tiles of sums (0-3), two of A (4, 5), two of B (6,
 * 7). A tile: row i holds 32 bf16 along K. B tile: row r holds for 16 columns the pair (2r, 2r + 1)
 * along K. The unit rounds sums to nearest even, flushes denormals, and ignores MXCSR. */
#ifndef CPU_AMX_H
#define CPU_AMX_H

#include "kernels/cpu/kernels.h"

enum {
    TILE_BYTES = 1024,
    STEP = 32
}; /* STEP: products along K in one step; also rows, columns of a block */

/* Sets the shape of all tiles. Needed before tiles are used by this thread. */
INLINE void amx_begin(void)
{
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    /* gcc 12 takes only the first bytes of the operand for an input: it would drop the stores */
    __asm__ volatile("" ::"r"(&config) : "memory");
    _tile_loadconfig(&config);
}
/* Marks the tiles unused, so that switching threads stays cheap. */
INLINE void amx_end(void) { _tile_release(); }

INLINE void amx_zero_sums(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}
/* sums to (32, 32) floats with a row stride in bytes */
INLINE void amx_store_sums(float *to, int64_t stride)
{
    char *at = (char *)to;
    _tile_stored(0, at, stride);
    _tile_stored(1, at + 64, stride);
    _tile_stored(2, at + 16 * stride, stride);
    _tile_stored(3, at + 16 * stride + 64, stride);
}
INLINE void amx_load_sums(const float *from, int64_t stride)
{
    const char *at = (const char *)from;
    _tile_loadd(0, at, stride);
    _tile_loadd(1, at + 64, stride);
    _tile_loadd(2, at + 16 * stride, stride);
    _tile_loadd(3, at + 16 * stride + 64, stride);
}
/* one step: a0, a1 with a row stride, b0, b1 packed */
INLINE void amx_step(const char *a0, const char *a1, int64_t stride, const char *b0, const char *b1)
{
    _tile_loadd(4, a0, stride);
    _tile_loadd(6, b0, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b1, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a1, stride);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

INLINE int64_t amx_pad(int64_t n) { return (n + STEP - 1) / STEP * STEP; }

#endif

/* amx_weight.c — weight gradients dw = dy^T x on the AMX unit. Both operands are packed, dy with 16 x 16
 * transposes, in blocks of tokens and columns that stay in L2 together.                            */
#include "kernels/cpu/amx_pack.h"
#include "kernels/cpu/amx_ops.h"

enum { TOKENS = 1024, LEFT_COLUMNS = 256, RIGHT_COLUMNS = 384 };

/* one (32, 32) block of dw; resume adds to what is there */
INLINE void weight_block(float *dw, int64_t ld, int64_t rows, int64_t columns, const char *left,
                         const char *right, int64_t steps, bool resume)
{
    float edge[STEP * STEP] __attribute__((aligned(64)));
    const bool whole = rows >= STEP && columns >= STEP;
    float *sums = whole ? dw : edge;
    const int64_t stride = whole ? ld : STEP;
    if (!whole && resume)
        for (int64_t i = 0; i < rows && i < STEP; i++)
            memcpy(edge + i * STEP, dw + i * ld, (size_t)(columns < STEP ? columns : STEP) * 4);
    if (resume)
        amx_load_sums(sums, stride * 4);
    else
        amx_zero_sums();
    for (int64_t k = 0; k < steps; k++) {
        const int64_t at = k * 2 * TILE_BYTES;
        amx_step(left + at, left + at + TILE_BYTES, 64, right + at, right + at + TILE_BYTES);
    }
    amx_store_sums(sums, stride * 4);
    if (!whole)
        for (int64_t i = 0; i < rows && i < STEP; i++)
            memcpy(dw + i * ld, edge + i * STEP, (size_t)(columns < STEP ? columns : STEP) * 4);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

void amx_linear_backward_weight(cpu_scratch s, const linear_backward_weight_args *a)
{
    const int64_t M = a->dy.dim[0], N = a->dy.dim[1], K = a->x.dim[1];
    const uint16_t *dy = a->dy.data, *x = a->x.data;
    float *dw = a->dw.data;
    uint16_t *left = scratch_take(&s, TOKENS * LEFT_COLUMNS * 2);
    uint16_t *right = scratch_take(&s, TOKENS * RIGHT_COLUMNS * 2);
    float *sums = scratch_take(&s, amx_pad(N) * 4);
    memset(sums, 0, (size_t)amx_pad(N) * 4);
    amx_begin();
    for (int64_t m0 = 0; m0 < M; m0 += TOKENS) {
        const int64_t tokens = least(M - m0, TOKENS), depth = amx_pad(tokens);
        for (int64_t k0 = 0; k0 < K; k0 += RIGHT_COLUMNS) {
            const int64_t wide = least(K - k0, RIGHT_COLUMNS);
            amx_pack_right_columns(right, (amx_rect){x + m0 * K + k0, K, tokens, wide}, depth);
            for (int64_t n0 = 0; n0 < N; n0 += LEFT_COLUMNS) {
                const int64_t high = least(N - n0, LEFT_COLUMNS);
                amx_pack_left_columns(left, (amx_rect){dy + m0 * N + n0, N, tokens, high}, depth,
                                      k0 == 0 ? sums + n0 : NULL);
                for (int64_t n = 0; n < high; n += STEP)
                    for (int64_t k = 0; k < wide; k += STEP)
                        weight_block(dw + (n0 + n) * K + k0 + k, K, high - n, wide - k,
                                     (const char *)(left + n * depth), (const char *)(right + k * depth),
                                     depth / STEP, m0 > 0);
            }
        }
    }
    amx_end();
    if (a->dbias.data) memcpy(a->dbias.data, sums, (size_t)N * 4);
}

int64_t amx_weight_bytes(int64_t N)
{
    return cpu_piece(TOKENS * LEFT_COLUMNS * 2) + cpu_piece(TOKENS * RIGHT_COLUMNS * 2) +
           cpu_piece(amx_pad(N) * 4);
}

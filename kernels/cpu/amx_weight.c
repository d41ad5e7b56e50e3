/* amx_weight.c — weight gradients dw = dy^T x on the AMX unit. Both operands are packed, dy with 16
 * x 16 transposes, in blocks of tokens and columns that stay in L2 together. */
#include "kernels/cpu/amx_gemm.h"
#include "kernels/cpu/amx_ops.h"

enum { TOKENS = 1024, LEFT_COLUMNS = 256, RIGHT_COLUMNS = 384 };

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
    if (M == 0) memset(dw, 0, (size_t)(N * K) * 4);
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
                        amx_add_product_edge(dw + (n0 + n) * K + k0 + k, K, high - n, wide - k,
                                             left + n * depth, right + k * depth, depth / STEP,
                                             m0 > 0);
            }
        }
    }
    amx_end();
    if (a->dbias.data) amx_order_sums(a->dbias.data, sums, N);
}

int64_t amx_weight_bytes(int64_t N)
{
    return cpu_piece(TOKENS * LEFT_COLUMNS * 2) + cpu_piece(TOKENS * RIGHT_COLUMNS * 2) +
           cpu_piece(amx_pad(N) * 4);
}

/* attention.h — tiles of attention in shared memory, and products of them by one warp.
 *
 * A warp holds R blocks of 16 rows of a result, each row of width 8 C: float x[R][C][4], laid out
 * as d in ptx.h: with g = lane / 4, t = lane % 4, x[r][c][i] is row 16 r + g + (i > 1 ? 8 : 0),
 * column 8 c + 2 t + i % 2. bf16 products run on the tensor cores, f32 ones on the plain units;
 * both leave the same layout, so the kernels are written once.
 * DH is the head width rounded up to a size there is; what lies behind HS is zeros.            */
#ifndef KERNELS_CUDA_ATTENTION_H
#define KERNELS_CUDA_ATTENTION_H

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/vector.h"

#define ATTENTION_LOG2_E 1.44269504088896340736f
#define ATTENTION_LN_2   0.69314718055994530942f

struct attention_shape {
    int T, NH, NKV, HS;
    int64_t W;           /* of a row of qkv                                                     */
    float scale, scale2; /* 1/sqrt(HS); the same times log2(e), for powers of two              */
    bool wide;           /* rows are whole 16-byte pieces                                       */
};

/* elements from row to row of a tile: 16 more bytes, so that equal columns of eight neighbours lie
 * in different banks */
template <class A> __host__ __device__ constexpr int tile_stride(int DH)
{
    return DH + 16 / (int)sizeof(A);
}
template <class A> __host__ __device__ constexpr int tile_bytes(int rows, int DH)
{
    return rows * tile_stride<A>(DH) * (int)sizeof(A);
}

/* tile (ROWS, DH) = rows of `from`, `stride` apart; zeros from row `valid` and column HS on. The
 * whole block takes part; the caller waits for the copies. */
template <class A, int ROWS, int DH>
DEVICE void tile_load(A *tile, const A *from, int64_t stride, int valid, const attention_shape &s)
{
    constexpr int PIECE = 16 / (int)sizeof(A), PIECES = DH / PIECE;
    const int limit = valid > ROWS ? ROWS : valid;
    if (s.wide) {
        for (int i = threadIdx.x; i < ROWS * PIECES; i += blockDim.x) {
            const int r = i / PIECES, c = i % PIECES * PIECE;
            const bool inside = r < limit && c < s.HS;
            copy_async(tile + r * tile_stride<A>(DH) + c, inside ? from + r * stride + c : from,
                       inside ? 16 : 0);
        }
        return;
    }
    for (int i = threadIdx.x; i < ROWS * DH; i += blockDim.x) {
        const int r = i / DH, c = i % DH;
        float v = 0;
        if (r < limit && c < s.HS) v = to_float(from[r * stride + c]);
        from_float(tile + r * tile_stride<A>(DH) + c, v);
    }
}

/* stage 0 or 1 of the tiles of keys and values = their rows from `key` on; what was asked for since
 * the last commit arrives with them */
template <class A, int KEYS, int DH>
DEVICE void tile_load_keys(A *keys, A *values, const A *k, const A *v, int key, int stage,
                           const attention_shape &s)
{
    const int there = stage * KEYS * tile_stride<A>(DH);
    tile_load<A, KEYS, DH>(keys + there, k + key * s.W, s.W, s.T - key, s);
    tile_load<A, KEYS, DH>(values + there, v + key * s.W, s.W, s.T - key, s);
    copy_commit();
}

/* rows of `to`, `stride` apart = 16 R rows (R, DH/8 columns of 8) of a warp times scale, by way of
 * the warp's own rows of a tile */
template <class A, int R, int DH>
DEVICE void tile_store(A *to, int64_t stride, int valid, A *own, const float (&x)[R][DH / 8][4],
                       const float (&scale)[R][2], const attention_shape &s)
{
    constexpr int PIECE = 16 / (int)sizeof(A), PIECES = DH / PIECE, LD = tile_stride<A>(DH);
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    __syncwarp(); // the rows may still be read
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int c = 0; c < DH / 8; c++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                from_float(own + (16 * r + g + i / 2 * 8) * LD + 8 * c + 2 * t + i % 2,
                           x[r][c][i] * scale[r][i / 2]);
    __syncwarp();
    for (int i = lane; i < 16 * R * PIECES; i += 32) {
        const int r = i / PIECES, c = i % PIECES * PIECE;
        if (r >= valid || c >= s.HS) continue;
        if (s.wide)
            *reinterpret_cast<uint4 *>(to + r * stride + c) =
                *reinterpret_cast<const uint4 *>(own + r * LD + c);
        else
            for (int k = 0; k < PIECE && c + k < s.HS; k++)
                to[r * stride + c + k] = own[r * LD + c + k];
    }
}

/* --- x += a (16 R rows, DH) @ b (8 C rows, DH)^T
 * --------------------------------------------------
 */

template <int R, int C, int DH>
DEVICE void tile_product_nt(float (&x)[R][C][4], const bf16 *a, const bf16 *b)
{
    constexpr int LD = tile_stride<bf16>(DH);
    const int lane = threadIdx.x % 32;
    const bf16 *a_row = a + lane % 16 * LD + lane / 16 * 8;
    const bf16 *b_row = b + (lane / 16 * 8 + lane % 8) * LD + lane / 8 % 2 * 8;
#pragma unroll
    for (int k = 0; k < DH; k += 16) {
        uint32_t fa[R][4], fb[4];
#pragma unroll
        for (int r = 0; r < R; r++) ldmatrix(fa[r], a_row + 16 * r * LD + k);
#pragma unroll
        for (int c = 0; c < C; c += 2) {
            ldmatrix(fb, b_row + 8 * c * LD + k);
#pragma unroll
            for (int r = 0; r < R; r++) {
                mma_bf16(x[r][c], fa[r], fb);
                mma_bf16(x[r][c + 1], fa[r], fb + 2);
            }
        }
    }
}

DEVICE void add_dot(float &sum, const float (&a)[4], const float (&b)[4])
{
#pragma unroll
    for (int k = 0; k < 4; k++) sum += a[k] * b[k];
}

template <int R, int C, int DH>
DEVICE void tile_product_nt(float (&x)[R][C][4], const float *a, const float *b)
{
    constexpr int LD = tile_stride<float>(DH);
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll 2
    for (int k = 0; k < DH; k += 4) {
        float fa[R][2][4], fb[2][4];
#pragma unroll
        for (int r = 0; r < R; r++) {
            load<4>(fa[r][0], a + (16 * r + g) * LD + k);
            load<4>(fa[r][1], a + (16 * r + g + 8) * LD + k);
        }
#pragma unroll
        for (int c = 0; c < C; c++) {
            load<4>(fb[0], b + (8 * c + 2 * t) * LD + k);
            load<4>(fb[1], b + (8 * c + 2 * t + 1) * LD + k);
#pragma unroll
            for (int r = 0; r < R; r++)
#pragma unroll
                for (int i = 0; i < 4; i++) add_dot(x[r][c][i], fa[r][i / 2], fb[i % 2]);
        }
    }
}

/* --- x += p (16 R rows, 8 P wide, in registers) @ b (8 P rows, DH)
 * ---------------------------------
 */

template <int R, int P, int DH>
DEVICE void tile_product_pn(float (&x)[R][DH / 8][4], const float (&p)[R][P][4], const bf16 *b)
{
    constexpr int LD = tile_stride<bf16>(DH);
    const int lane = threadIdx.x % 32;
    const bf16 *b_row = b + (lane / 8 % 2 * 8 + lane % 8) * LD + lane / 16 * 8;
#pragma unroll
    for (int k = 0; k < P; k += 2) {
        uint32_t fa[R][4], fb[4];
        /* the layout of two neighbouring results is that of one operand */
#pragma unroll
        for (int r = 0; r < R; r++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                fa[r][i] = pair_bf16(p[r][k + i / 2][i % 2 * 2], p[r][k + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int c = 0; c < DH / 8; c += 2) {
            ldmatrix_transposed(fb, b_row + 8 * k * LD + 8 * c);
#pragma unroll
            for (int r = 0; r < R; r++) {
                mma_bf16(x[r][c], fa[r], fb);
                mma_bf16(x[r][c + 1], fa[r], fb + 2);
            }
        }
    }
}

template <int R, int P, int DH>
DEVICE void tile_product_pn(float (&x)[R][DH / 8][4], const float (&p)[R][P][4], const float *b)
{
    constexpr int LD = tile_stride<float>(DH);
    const int lane = threadIdx.x % 32, t = lane % 4;
#pragma unroll
    for (int k = 0; k < P; k++)
#pragma unroll
        for (int j = 0; j < 8; j++) {
            /* column 8 k + j of p is with the lane j / 2 of each four */
            float low[R], high[R];
#pragma unroll
            for (int r = 0; r < R; r++) {
                const int from = (lane & ~3) | (j / 2);
                low[r] = __shfl_sync((unsigned)WARP_ALL, p[r][k][j % 2], from);
                high[r] = __shfl_sync((unsigned)WARP_ALL, p[r][k][2 + j % 2], from);
            }
#pragma unroll
            for (int c = 0; c < DH / 8; c++) {
                const float *at = b + (8 * k + j) * LD + 8 * c + 2 * t;
                const float b0 = at[0], b1 = at[1];
#pragma unroll
                for (int r = 0; r < R; r++) {
                    x[r][c][0] += low[r] * b0, x[r][c][1] += low[r] * b1;
                    x[r][c][2] += high[r] * b0, x[r][c][3] += high[r] * b1;
                }
            }
        }
}

/* --- over the four lanes of a row ----------------------------------------- */

DEVICE float quad_sum(float v)
{
    v += __shfl_xor_sync((unsigned)WARP_ALL, v, 1);
    return v + __shfl_xor_sync((unsigned)WARP_ALL, v, 2);
}
DEVICE float quad_max(float v)
{
    v = fmaxf(v, __shfl_xor_sync((unsigned)WARP_ALL, v, 1));
    return fmaxf(v, __shfl_xor_sync((unsigned)WARP_ALL, v, 2));
}

/* --- at the launch -------------------------------------------------------- */

enum { ATTENTION_WIDTH_MAX = 128 };

static inline attention_shape attention_shape_of(int64_t T, int64_t NH, int64_t NKV, int64_t HS,
                                                 const tensor *const *t, int count)
{
    const float scale = 1.f / sqrtf((float)HS);
    const int piece = t[0]->type == DTYPE_BF16 ? 8 : 4;
    return attention_shape{(int)T,
                           (int)NH,
                           (int)NKV,
                           (int)HS,
                           (NH + 2 * NKV) * HS,
                           scale,
                           scale * ATTENTION_LOG2_E,
                           wide_rows(piece, HS, t, count)};
}

#endif

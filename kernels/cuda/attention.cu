/* attention.cu — causal softmax attention in tiles (Dao 2023, "FlashAttention-2"): a block takes
 * some queries of one head and goes over the keys up to them, with running maxima and sums, so
 * scores never leave the registers. */
#include "kernels/cuda/attention.h"

namespace
{
enum { ATTEND_WARPS = 4 };

struct attend_pointers {
    void *out;
    float *lse;
    const void *qkv;
};

/* what a warp keeps for its 16 R queries */
template <int R, int DH> struct attend_state {
    float out[R][DH / 8][4];
    float highest[R][2], total[R][2]; /* of rows g and g + 8; totals of this lane's columns    */
};

/* scores of a tile of keys -> weights; what has been summed so far is scaled to the new maxima */
template <int R, int C, int DH>
DEVICE void attend_weigh(float (&x)[R][C][4], attend_state<R, DH> &s, int query, int key,
                         float scale2, bool masked)
{
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float highest = s.highest[r][h], sum = 0;
#pragma unroll
            for (int c = 0; c < C; c++)
#pragma unroll
                for (int i = 2 * h; i < 2 * h + 2; i++) {
                    const bool hidden =
                        masked && key + 8 * c + 2 * t + i % 2 > query + 16 * r + 8 * h;
                    x[r][c][i] = hidden ? -INFINITY : x[r][c][i] * scale2;
                    highest = fmaxf(highest, x[r][c][i]);
                }
            highest = quad_max(highest);
            const float shrink = exp2_fast(s.highest[r][h] - highest);
#pragma unroll
            for (int c = 0; c < C; c++)
#pragma unroll
                for (int i = 2 * h; i < 2 * h + 2; i++)
                    sum += x[r][c][i] = exp2_fast(x[r][c][i] - highest);
            s.highest[r][h] = highest;
            s.total[r][h] = s.total[r][h] * shrink + sum;
#pragma unroll
            for (int c = 0; c < DH / 8; c++)
                s.out[r][c][2 * h] *= shrink, s.out[r][c][2 * h + 1] *= shrink;
        }
}

template <class A, int R, int DH>
DEVICE void attend_store(attend_state<R, DH> &s, A *own, int query, int valid, int h, int b,
                         const attend_pointers &p, const attention_shape &sh)
{
    const int64_t width = (int64_t)sh.NH * sh.HS, n = (int64_t)b * sh.T + query;
    const int lane = threadIdx.x % 32, g = lane / 4;
    float inverse[R][2];
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const float total = quad_sum(s.total[r][k]);
            const int row = 16 * r + g + 8 * k;
            inverse[r][k] = __fdiv_rn(1.f, total);
            if (lane % 4 == 0 && row < valid)
                p.lse[((int64_t)b * sh.NH + h) * sh.T + query + row] =
                    s.highest[r][k] * ATTENTION_LN_2 + logf(total);
        }
    tile_store<A, R, DH>((A *)p.out + n * width + h * sh.HS, width, valid, own, s.out, inverse, sh);
}

/* grid: tiles of queries (the longest first), heads, sequences */
template <class A, int R, int C, int DH>
__global__ void __launch_bounds__(32 * ATTEND_WARPS)
    attend(const attend_pointers p, const attention_shape sh)
{
    constexpr int QUERIES = 16 * R * ATTEND_WARPS, KEYS = 8 * C, LD = tile_stride<A>(DH);
    DYN_SHARED(A, queries);
    A *keys = queries + QUERIES * LD, *values = keys + 2 * KEYS * LD; // two tiles of each
    const int h = blockIdx.y, b = blockIdx.z, warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4;
    const int first = (int)(gridDim.x - 1 - blockIdx.x) * QUERIES;
    const int query = first + warp * 16 * R; // of this warp
    const A *q = (const A *)p.qkv + b * sh.T * sh.W + h * sh.HS;
    const A *k = q + (sh.NH - h + h / (sh.NH / sh.NKV)) * sh.HS, *v = k + sh.NKV * sh.HS;
    const int end = first + QUERIES < sh.T ? first + QUERIES : sh.T;
    attend_state<R, DH> s = {};
#pragma unroll
    for (int r = 0; r < R; r++) s.highest[r][0] = s.highest[r][1] = -INFINITY;

    tile_load<A, QUERIES, DH>(queries, q + first * sh.W, sh.W, sh.T - first, sh);
    tile_load_keys<A, KEYS, DH>(keys, values, k, v, 0, 0, sh);
    for (int key = 0, stage = 0; key < end; key += KEYS, stage ^= 1) {
        copy_wait<0>();
        __syncthreads(); // this tile is there, and nobody reads the one before it
        if (key + KEYS < end)
            tile_load_keys<A, KEYS, DH>(keys, values, k, v, key + KEYS, stage ^ 1, sh);
        /* none of these keys, or no query */
        if (key > query + 16 * R - 1 || query >= sh.T) continue;
        float x[R][C][4] = {};
        tile_product_nt<R, C, DH>(x, queries + warp * 16 * R * LD, keys + stage * KEYS * LD);
        attend_weigh<R, C, DH>(x, s, query + g, key, sh.scale2, key + KEYS - 1 > query);
        tile_product_pn<R, C, DH>(s.out, x, values + stage * KEYS * LD);
    }
    if (query < sh.T)
        attend_store<A, R, DH>(s, queries + warp * 16 * R * LD, query, sh.T - query, h, b, p, sh);
}

template <class A, int R, int C, int DH>
cudaError_t attend_launch(const cuda_call *call, const attention_args *a)
{
    constexpr int QUERIES = 16 * R * ATTEND_WARPS, KEYS = 8 * C;
    const tensor *const all[] = {&a->qkv, &a->out};
    const attention_shape sh = attention_shape_of(a->T, a->NH, a->NKV, a->HS, all, 2);
    const attend_pointers p = {a->out.data, (float *)a->lse.data, a->qkv.data};
    const dim3 grid((unsigned)((a->T + QUERIES - 1) / QUERIES), (unsigned)a->NH, (unsigned)a->B);
    const size_t shared = (size_t)tile_bytes<A>(QUERIES + 4 * KEYS, DH);
    return CUDA_LAUNCH((attend<A, R, C, DH>), grid, 32 * ATTEND_WARPS, shared, call->stream, p, sh);
}
} // namespace

cudaError_t cuda_launch_attention(const cuda_call *call, const attention_args *a)
{
    if (a->B * a->T * a->NH == 0) return cudaSuccess;
    if (a->HS > ATTENTION_WIDTH_MAX) return cudaErrorInvalidValue;
    if (a->qkv.type == DTYPE_BF16)
        return a->HS <= 32   ? attend_launch<bf16, 2, 8, 32>(call, a)
               : a->HS <= 64 ? attend_launch<bf16, 2, 8, 64>(call, a)
                             : attend_launch<bf16, 2, 4, 128>(call, a);
    return a->HS <= 32   ? attend_launch<float, 1, 4, 32>(call, a)
           : a->HS <= 64 ? attend_launch<float, 1, 4, 64>(call, a)
                         : attend_launch<float, 1, 4, 128>(call, a);
}

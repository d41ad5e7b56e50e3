/* attention_backward.cu — gradients of attention in tiles, with scores made anew from lse (Dao et
 * al. 2022, "FlashAttention", algorithm 4): P = exp(S - lse), dV = P^T dO, dP = dO V^T, dS = P (dP
 * - rowsum(dO O)), dQ = dS K, dK = dS^T Q. One kernel owns keys and goes over the queries that see
 * them, another owns queries and goes over their keys: each result has one writer and one order, so
 * no atomics, for two products more. */
#include "kernels/cuda/attention.h"

namespace
{
enum { BACK_WARPS = 4, DELTA_WARPS = 8 };

struct attend_back_pointers {
    void *dqkv;
    const void *qkv, *dout, *out;
    const float *lse;
    float *delta; /* (B, NH, T): rowsum(dO O)                                                  */
};

/* one warp per token and head */
template <class A>
__global__ void __launch_bounds__(32 * DELTA_WARPS)
    attend_delta(const attend_back_pointers p, const attention_shape sh, int64_t rows)
{
    const int64_t row = (int64_t)blockIdx.x * DELTA_WARPS + threadIdx.x / 32;
    if (row >= rows) return;
    const int64_t n = flat_row(row, sh.NH), h = row - n * sh.NH;
    const int64_t b = flat_row(n, sh.T), t = n - b * sh.T;
    const A *dout = (const A *)p.dout + row * sh.HS, *out = (const A *)p.out + row * sh.HS;
    float sum = 0;
    for (int c = threadIdx.x % 32; c < sh.HS; c += 32) sum += to_float(dout[c]) * to_float(out[c]);
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) p.delta[(b * sh.NH + h) * sh.T + t] = sum;
}

/* --- keys and values ------------------------------------------------------ */

/* what belongs to a tile of queries: q and dO rows, and per query lse (in powers of two) and delta
 */
template <class A, int QUERIES, int DH> struct query_stage {
    A *q, *dout;
    float *lse2, *delta;
};
template <class A, int QUERIES, int DH> __host__ __device__ constexpr int query_stage_bytes()
{
    return tile_bytes<A>(2 * QUERIES, DH) + 2 * QUERIES * (int)sizeof(float);
}
template <class A, int QUERIES, int DH>
DEVICE query_stage<A, QUERIES, DH> query_stage_at(A *base, int index)
{
    unsigned char *at = (unsigned char *)base + index * query_stage_bytes<A, QUERIES, DH>();
    A *q = (A *)at, *dout = q + QUERIES * tile_stride<A>(DH);
    float *lse2 = (float *)(at + tile_bytes<A>(2 * QUERIES, DH));
    return {q, dout, lse2, lse2 + QUERIES};
}

template <class A, int QUERIES, int DH>
DEVICE void query_load(const query_stage<A, QUERIES, DH> &stage, int first, int h, int b,
                       const attend_back_pointers &p, const attention_shape &sh)
{
    const int64_t width = (int64_t)sh.NH * sh.HS, n = (int64_t)b * sh.T + first;
    const int valid = sh.T - first;
    tile_load<A, QUERIES, DH>(stage.q, (const A *)p.qkv + n * sh.W + h * sh.HS, sh.W, valid, sh);
    tile_load<A, QUERIES, DH>(stage.dout, (const A *)p.dout + n * width + h * sh.HS, width, valid,
                              sh);
    copy_commit();
    /* behind the last query weights are 2^-inf */
    for (int i = threadIdx.x; i < QUERIES; i += blockDim.x) {
        const int64_t at = ((int64_t)b * sh.NH + h) * sh.T + first + i;
        stage.lse2[i] = i < valid ? p.lse[at] * ATTENTION_LOG2_E : INFINITY;
        stage.delta[i] = i < valid ? p.delta[at] : 0.f;
    }
}

/* transposed scores (16 keys, 8 C queries) and dP -> weights and dS */
template <class A, int C, int DH>
DEVICE void keys_weigh(float (&x)[1][C][4], float (&dx)[1][C][4],
                       const query_stage<A, 8 * C, DH> &stage, int first, int key, float scale2)
{
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int c = 0; c < C; c++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int q = 8 * c + 2 * t + i % 2;
            const bool hidden = first + q < key + i / 2 * 8;
            const float w = exp2_fast(x[0][c][i] * scale2 - stage.lse2[q]);
            x[0][c][i] = hidden ? 0.f : w;
            dx[0][c][i] = hidden ? 0.f : w * (dx[0][c][i] - stage.delta[q]);
        }
}

/* grid: tiles of keys, key heads, sequences; the query heads of a key head one after another */
template <class A, int C, int DH>
__global__ void __launch_bounds__(32 * BACK_WARPS)
    attend_back_keys(const attend_back_pointers p, const attention_shape sh)
{
    constexpr int KEYS = 16 * BACK_WARPS, QUERIES = 8 * C, LD = tile_stride<A>(DH);
    DYN_SHARED(A, keys);
    A *values = keys + KEYS * LD, *stages = values + KEYS * LD;
    const int first = blockIdx.x * KEYS, kv = blockIdx.y, b = blockIdx.z;
    const int warp = threadIdx.x / 32, key = first + warp * 16, group = sh.NH / sh.NKV;
    const int64_t at = ((int64_t)b * sh.T + first) * sh.W + (sh.NH + kv) * sh.HS;
    tile_load<A, KEYS, DH>(keys, (const A *)p.qkv + at, sh.W, sh.T - first, sh);
    tile_load<A, KEYS, DH>(values, (const A *)p.qkv + at + sh.NKV * sh.HS, sh.W, sh.T - first, sh);

    /* tiles of queries from the one with the first key on, head by head */
    const int start = first / QUERIES * QUERIES, last = kv * group + group - 1;
    float dk[1][DH / 8][4] = {}, dv[1][DH / 8][4] = {};
    int head = kv * group, query = start, turn = 0;
    query_load(query_stage_at<A, QUERIES, DH>(stages, 0), query, head, b, p, sh);
    while (head <= last) {
        const query_stage<A, QUERIES, DH> now = query_stage_at<A, QUERIES, DH>(stages, turn);
        const int here = query;
        copy_wait<0>();
        __syncthreads(); // this tile is there, and nobody reads the one before it
        turn ^= 1;
        query += QUERIES;
        if (query >= sh.T) query = start, head++;
        if (head <= last)
            query_load(query_stage_at<A, QUERIES, DH>(stages, turn), query, head, b, p, sh);
        /* none of these keys is seen, or no key */
        if (here + QUERIES - 1 < key || key >= sh.T) continue;
        float x[1][C][4] = {}, dx[1][C][4] = {};
        tile_product_nt<1, C, DH>(x, keys + warp * 16 * LD, now.q);
        tile_product_nt<1, C, DH>(dx, values + warp * 16 * LD, now.dout);
        keys_weigh<A, C, DH>(x, dx, now, here, key + threadIdx.x % 32 / 4, sh.scale2);
        tile_product_pn<1, C, DH>(dv, x, now.dout);
        tile_product_pn<1, C, DH>(dk, dx, now.q);
    }
    if (key >= sh.T) return;
    const float scale[1][2] = {{sh.scale, sh.scale}}, one[1][2] = {{1.f, 1.f}};
    A *to = (A *)p.dqkv + at + warp * 16 * sh.W, *own = keys + warp * 16 * LD;
    tile_store<A, 1, DH>(to, sh.W, sh.T - key, own, dk, scale, sh);
    tile_store<A, 1, DH>(to + sh.NKV * sh.HS, sh.W, sh.T - key, own, dv, one, sh);
}

/* --- queries -------------------------------------------------------------- */

/* scores and dP (16 queries, 8 C keys) -> dS in dx */
template <int C>
DEVICE void queries_weigh(const float (&x)[1][C][4], float (&dx)[1][C][4], const float (&lse2)[2],
                          const float (&delta)[2], int query, int key, float scale2)
{
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int c = 0; c < C; c++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const bool hidden = key + 8 * c + 2 * t + i % 2 > query + i / 2 * 8;
            const float w = exp2_fast(x[0][c][i] * scale2 - lse2[i / 2]);
            dx[0][c][i] = hidden ? 0.f : w * (dx[0][c][i] - delta[i / 2]);
        }
}

/* grid: tiles of queries (the longest first), heads, sequences */
template <class A, int C, int DH>
__global__ void __launch_bounds__(32 * BACK_WARPS)
    attend_back_queries(const attend_back_pointers p, const attention_shape sh)
{
    constexpr int QUERIES = 16 * BACK_WARPS, KEYS = 8 * C, LD = tile_stride<A>(DH);
    DYN_SHARED(A, queries);
    A *dout = queries + QUERIES * LD, *keys = dout + QUERIES * LD, *values = keys + 2 * KEYS * LD;
    const int h = blockIdx.y, b = blockIdx.z, warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4;
    const int first = (int)(gridDim.x - 1 - blockIdx.x) * QUERIES;
    const int query = first + warp * 16; // of this warp
    const int64_t width = (int64_t)sh.NH * sh.HS, n = (int64_t)b * sh.T;
    const int64_t at = (n + first) * sh.W + h * sh.HS;
    const A *k = (const A *)p.qkv + n * sh.W + (sh.NH + h / (sh.NH / sh.NKV)) * sh.HS;
    const A *v = k + sh.NKV * sh.HS;
    const int end = first + QUERIES < sh.T ? first + QUERIES : sh.T;
    float dq[1][DH / 8][4] = {}, lse2[2], delta[2];
    for (int i = 0; i < 2; i++) {
        const int row = query + g + 8 * i;
        const int64_t stat = ((int64_t)b * sh.NH + h) * sh.T + row;
        lse2[i] = row < sh.T ? p.lse[stat] * ATTENTION_LOG2_E : INFINITY;
        delta[i] = row < sh.T ? p.delta[stat] : 0.f;
    }

    tile_load<A, QUERIES, DH>(queries, (const A *)p.qkv + at, sh.W, sh.T - first, sh);
    tile_load<A, QUERIES, DH>(dout, (const A *)p.dout + (n + first) * width + h * sh.HS, width,
                              sh.T - first, sh);
    tile_load_keys<A, KEYS, DH>(keys, values, k, v, 0, 0, sh);
    for (int key = 0, stage = 0; key < end; key += KEYS, stage ^= 1) {
        copy_wait<0>();
        __syncthreads(); // this tile is there, and nobody reads the one before it
        if (key + KEYS < end)
            tile_load_keys<A, KEYS, DH>(keys, values, k, v, key + KEYS, stage ^ 1, sh);
        if (key > query + 15 || query >= sh.T) continue;
        float x[1][C][4] = {}, dx[1][C][4] = {};
        tile_product_nt<1, C, DH>(x, queries + warp * 16 * LD, keys + stage * KEYS * LD);
        tile_product_nt<1, C, DH>(dx, dout + warp * 16 * LD, values + stage * KEYS * LD);
        queries_weigh<C>(x, dx, lse2, delta, query + g, key, sh.scale2);
        tile_product_pn<1, C, DH>(dq, dx, keys + stage * KEYS * LD);
    }
    if (query >= sh.T) return;
    const float scale[1][2] = {{sh.scale, sh.scale}};
    tile_store<A, 1, DH>((A *)p.dqkv + at + warp * 16 * sh.W, sh.W, sh.T - query,
                         queries + warp * 16 * LD, dq, scale, sh);
}

template <class A, int C, int DH>
cudaError_t attend_back_launch(const cuda_call *call, const attention_backward_args *a)
{
    constexpr int ROWS = 16 * BACK_WARPS, TILE = 8 * C;
    const tensor *const all[] = {&a->qkv, &a->dqkv, &a->dout};
    const attention_shape sh = attention_shape_of(a->T, a->NH, a->NKV, a->HS, all, 3);
    const attend_back_pointers p = {a->dqkv.data,
                                    a->qkv.data,
                                    a->dout.data,
                                    a->out.data,
                                    (const float *)a->lse.data,
                                    (float *)call->workspace};
    const int64_t rows = a->B * a->T * a->NH;
    if (!flat_fits(rows)) return cudaErrorInvalidValue;
    const unsigned tiles = (unsigned)((a->T + ROWS - 1) / ROWS);
    const size_t keys_shared =
        (size_t)(tile_bytes<A>(2 * ROWS, DH) + 2 * query_stage_bytes<A, TILE, DH>());
    const size_t queries_shared = (size_t)tile_bytes<A>(2 * ROWS + 4 * TILE, DH);
    cudaError_t e =
        CUDA_LAUNCH((attend_delta<A>), dim3((unsigned)((rows + DELTA_WARPS - 1) / DELTA_WARPS)),
                    32 * DELTA_WARPS, 0, call->stream, p, sh, rows);
    if (e == cudaSuccess)
        e = CUDA_LAUNCH((attend_back_keys<A, C, DH>), dim3(tiles, (unsigned)a->NKV, (unsigned)a->B),
                        32 * BACK_WARPS, keys_shared, call->stream, p, sh);
    if (e == cudaSuccess)
        e = CUDA_LAUNCH((attend_back_queries<A, C, DH>),
                        dim3(tiles, (unsigned)a->NH, (unsigned)a->B), 32 * BACK_WARPS,
                        queries_shared, call->stream, p, sh);
    return e;
}
} // namespace

cudaError_t cuda_launch_attention_backward(const cuda_call *call, const attention_backward_args *a)
{
    if (a->B * a->T * a->NH == 0) return cudaSuccess;
    if (a->HS > ATTENTION_WIDTH_MAX) return cudaErrorInvalidValue;
    if (a->qkv.type == DTYPE_BF16)
        return a->HS <= 32   ? attend_back_launch<bf16, 8, 32>(call, a)
               : a->HS <= 64 ? attend_back_launch<bf16, 8, 64>(call, a)
                             : attend_back_launch<bf16, 4, 128>(call, a);
    return a->HS <= 32   ? attend_back_launch<float, 4, 32>(call, a)
           : a->HS <= 64 ? attend_back_launch<float, 4, 64>(call, a)
                         : attend_back_launch<float, 2, 128>(call, a);
}

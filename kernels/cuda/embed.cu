/* embed.cu — rows of the token and position tables, and their gradients. Backwards the tokens are
 * brought into the order (token, place) by counting, for each, those before it; then one warp adds
 * up the rows of a token in their order. No atomics, so always the same bits. */
#include "kernels/cuda/fault.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/vector.h"

namespace
{
enum { ORDER_THREADS = 256, GATHER_WARPS = 4 };

struct embed_pointers {
    float *out;
    const void *table, *positions;
    const int32_t *tokens;
    cuda_fault *fault;
    int64_t C, V, T, packs;
};

template <class A, int K>
__global__ void __launch_bounds__(FLAT_THREADS) embed_rows(const embed_pointers p)
{
    const int64_t pack = flat_index(), i = pack * K;
    if (pack >= p.packs) return;
    const int64_t n = flat_row(pack, p.C / K), c = i - n * p.C;
    const int32_t token = p.tokens[n];
    float v[K] = {}, w[K];
    if (token >= 0 && token < p.V)
        load<K>(v, (const A *)p.table + token * p.C + c);
    else if (c == 0)
        report_fault(p.fault, CUDA_FAULT_EMBED, token, n, p.V);
    if (p.positions) {
        load<K>(w, (const A *)p.positions + (n - flat_row(n, p.T) * p.T) * p.C + c);
        for (int k = 0; k < K; k++) v[k] += w[k];
    }
    store<K>(p.out + i, v);
}

/* order[rank of n] = n; the rank counts smaller tokens, and equal ones at earlier places. What is
 * outside the table sorts behind it. */
__global__ void __launch_bounds__(ORDER_THREADS)
    embed_order(int32_t *order, const int32_t *tokens, cuda_fault *fault, int32_t N, int32_t V)
{
    __shared__ int32_t tile[ORDER_THREADS];
    const int32_t n = (int32_t)(blockIdx.x * ORDER_THREADS + threadIdx.x);
    int32_t token = n < N ? tokens[n] : V, rank = 0;
    if (token < 0 || token >= V) {
        if (n < N) report_fault(fault, CUDA_FAULT_EMBED_BACKWARD, token, n, V);
        token = V;
    }
    for (int32_t first = 0; first < N; first += ORDER_THREADS) {
        const int32_t m = first + (int32_t)threadIdx.x;
        int32_t other = m < N ? tokens[m] : V;
        if (other < 0 || other > V) other = V;
        __syncthreads(); // the tile may still be read
        tile[threadIdx.x] = other;
        __syncthreads();
        const int32_t count = N - first < ORDER_THREADS ? N - first : ORDER_THREADS;
#pragma unroll 8
        for (int32_t j = 0; j < count; j++) rank += tile[j] < token + (first + j < n);
    }
    if (n < N) order[rank] = n;
}

struct gather_pointers {
    float *dtable;
    const float *dout;
    const int32_t *order, *tokens;
    int64_t N, C, V;
};

/* How many of the 32 places from j on hold this token; *place: this lane's. */
__device__ __forceinline__ int run_length(int32_t *place, const gather_pointers &p, int64_t j,
                                          int32_t token)
{
    const int lane = threadIdx.x % 32;
    const bool inside = j + lane < p.N;
    *place = inside ? p.order[j + lane] : 0;
    const unsigned same = __ballot_sync((unsigned)WARP_ALL, inside && p.tokens[*place] == token);
    /* the lowest lane with another one */
    return same == (unsigned)WARP_ALL ? 32 : __ffs((int)~same) - 1;
}

/* the warp whose place in the order is the first of its token adds up that token's rows */
template <int K>
__global__ void __launch_bounds__(32 * GATHER_WARPS) embed_gather(const gather_pointers p)
{
    const int lane = threadIdx.x % 32;
    const int64_t first = (int64_t)blockIdx.x * GATHER_WARPS + threadIdx.x / 32;
    const int64_t c = ((int64_t)blockIdx.y * 32 + lane) * K;
    if (first >= p.N) return;
    const int32_t token = p.tokens[p.order[first]];
    if (token < 0 || token >= p.V) return;
    if (first > 0 && p.tokens[p.order[first - 1]] == token) return;
    float v[K] = {};
    double sum[K];
    float *to = p.dtable + token * p.C + c;
    if (c < p.C) load<K>(v, to);
    for (int k = 0; k < K; k++) sum[k] = (double)v[k];
    for (int64_t j = first;; j += 32) {
        int32_t place;
        const int count = run_length(&place, p, j, token);
#pragma unroll 4
        for (int i = 0; i < count; i++) {
            const int32_t n = __shfl_sync((unsigned)WARP_ALL, place, i);
            if (c < p.C) load<K>(v, p.dout + n * p.C + c);
            for (int k = 0; k < K; k++) sum[k] += (double)v[k];
        }
        if (count < 32) break;
    }
    for (int k = 0; k < K; k++) v[k] = (float)sum[k];
    if (c < p.C) store<K>(to, v);
}

/* dpositions[t] = sum over sequences; rows from T on have none */
template <int K>
__global__ void __launch_bounds__(FLAT_THREADS)
    embed_positions(float *dpositions, const float *dout, int64_t N, int64_t T, int64_t C,
                    int64_t packs)
{
    const int64_t pack = flat_index(), i = pack * K;
    if (pack >= packs) return;
    const int64_t t = flat_row(pack, C / K), c = i - t * C;
    double sum[K] = {};
    float v[K];
    for (int64_t n = t; n < N && t < T; n += T) {
        load<K>(v, dout + n * C + c);
        for (int k = 0; k < K; k++) sum[k] += (double)v[k];
    }
    for (int k = 0; k < K; k++) v[k] = (float)sum[k];
    store<K>(dpositions + i, v);
}

template <class A, int K> cudaError_t embed_launch(const cuda_call *call, const embed_args *a)
{
    const embed_pointers p = {(float *)a->out.data,
                              a->table.data,
                              a->positions.data,
                              (const int32_t *)a->tokens.data,
                              call->fault,
                              a->table.dim[1],
                              a->table.dim[0],
                              a->T,
                              tensor_count(a->out) / K};
    if (p.packs == 0) return cudaSuccess;
    if (!flat_fits(p.packs)) return cudaErrorInvalidValue;
    return CUDA_LAUNCH((embed_rows<A, K>), flat_blocks(p.packs), FLAT_THREADS, 0, call->stream, p);
}

template <int K>
cudaError_t gather_launch(const cuda_call *call, const embed_backward_args *a, const int32_t *order)
{
    const int64_t N = tensor_count(a->tokens), C = a->dtable.dim[1];
    const int64_t packs = tensor_count(a->dpositions) / K;
    const float *dout = (const float *)a->dout.data;
    const gather_pointers p = {
        (float *)a->dtable.data, dout, order, (const int32_t *)a->tokens.data, N, C,
        a->dtable.dim[0]};
    const dim3 grid((unsigned)((N + GATHER_WARPS - 1) / GATHER_WARPS),
                    (unsigned)((C + 32 * K - 1) / (32 * K)));
    cudaError_t e = cudaSuccess;
    if (N > 0) e = CUDA_LAUNCH((embed_gather<K>), grid, 32 * GATHER_WARPS, 0, call->stream, p);
    if (!a->dpositions.data || e != cudaSuccess) return e;
    if (!flat_fits(packs)) return cudaErrorInvalidValue;
    return CUDA_LAUNCH((embed_positions<K>), flat_blocks(packs), FLAT_THREADS, 0, call->stream,
                       (float *)a->dpositions.data, dout, N, a->T, C, packs);
}
} // namespace

cudaError_t cuda_launch_embed(const cuda_call *call, const embed_args *a)
{
    const tensor *const all[] = {&a->out, &a->table, &a->positions};
    const bool wide = wide_rows(8, a->table.dim[1], all, 3);
    if (a->table.type == DTYPE_BF16)
        return wide ? embed_launch<bf16, 8>(call, a) : embed_launch<bf16, 1>(call, a);
    return wide ? embed_launch<float, 8>(call, a) : embed_launch<float, 1>(call, a);
}

cudaError_t cuda_launch_embed_backward(const cuda_call *call, const embed_backward_args *a)
{
    const tensor *const all[] = {&a->dtable, &a->dpositions, &a->dout};
    const int64_t N = tensor_count(a->tokens), V = a->dtable.dim[0];
    int32_t *order = (int32_t *)call->workspace;
    const bool wide = wide_rows(4, a->dtable.dim[1], all, 3);
    if (N > INT32_MAX || V >= INT32_MAX) return cudaErrorInvalidValue;
    if (N > 0) {
        const dim3 grid((unsigned)((N + ORDER_THREADS - 1) / ORDER_THREADS));
        const cudaError_t e =
            CUDA_LAUNCH(embed_order, grid, ORDER_THREADS, 0, call->stream, order,
                        (const int32_t *)a->tokens.data, call->fault, (int32_t)N, (int32_t)V);
        if (e != cudaSuccess) return e;
    }
    return wide ? gather_launch<4>(call, a, order) : gather_launch<1>(call, a, order);
}

/* burst.cu — products that touch registers alone: what the plain units, or mma.sync, reach at this
 * moment; and factors for a product that does not. */
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/vector.h"

namespace
{
enum { BURST_THREADS = 256, BURST_BLOCKS = 4, BURST_WIDE = 8 }; /* BURST_WIDE independent results */

/* multiplying by `one` keeps every value; only a value that cannot be is written */
__global__ void __launch_bounds__(BURST_THREADS) burst_mma(float *out, int64_t rounds, float one)
{
    float d[BURST_WIDE][4] = {};
    const uint32_t pair = pair_bf16(one, 0.f);
    uint32_t a[4] = {pair, pair, pair, pair}, b[2] = {pair, pair};
    for (int64_t r = 0; r < rounds; r++)
#pragma unroll
        for (int i = 0; i < BURST_WIDE; i++) mma_bf16(d[i], a, b);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < BURST_WIDE; i++) sum += d[i][0] + d[i][1] + d[i][2] + d[i][3];
    if (sum < 0) *out = sum;
}

__global__ void __launch_bounds__(BURST_THREADS) burst_fma(float *out, int64_t rounds, float one)
{
    float d[BURST_WIDE];
#pragma unroll
    for (int i = 0; i < BURST_WIDE; i++) d[i] = one;
        /* so long that counting the rounds costs 2 % of the instructions */
#pragma unroll 32
    for (int64_t r = 0; r < rounds; r++)
#pragma unroll
        for (int i = 0; i < BURST_WIDE; i++) d[i] = __fmaf_rn(d[i], one, one);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < BURST_WIDE; i++) sum += d[i];
    if (sum < 0) *out = sum;
}

/* two values of either sign in [0.5, 2), as good as random */
__device__ __forceinline__ uint32_t some_pair(uint32_t i)
{
    uint32_t x = (i + 1) * 0x9E3779B9u;
    x = (x ^ x >> 15) * 0x85EBCA6Bu;
    x ^= x >> 13;
    return (x & 0x80ff80ffu) | 0x3f003f00u;
}

__global__ void __launch_bounds__(FLAT_THREADS) burst_fill(uint4 *out, int64_t packs)
{
    const int64_t i = flat_index();
    if (i >= packs) return;
    const uint32_t first = 4 * (uint32_t)i;
    out[i] = make_uint4(some_pair(first), some_pair(first + 1), some_pair(first + 2),
                        some_pair(first + 3));
}
} // namespace

cudaError_t cuda_launch_burst_fill(const cuda_call *call, tensor out)
{
    const int64_t packs = tensor_count(out) / 8;
    if (packs == 0) return cudaSuccess;
    return CUDA_LAUNCH(burst_fill, flat_blocks(packs), FLAT_THREADS, 0, call->stream,
                       (uint4 *)out.data, packs);
}

cudaError_t cuda_launch_burst(const cuda_call *call, dtype type, int32_t multiprocessors,
                              int64_t rounds, double *flops)
{
    const unsigned blocks = (unsigned)(multiprocessors * BURST_BLOCKS);
    const double threads = (double)blocks * BURST_THREADS, work = threads * BURST_WIDE;
    float *out = (float *)call->workspace;
    if (type == DTYPE_BF16) {
        /* 2 * 16 * 8 * 16 by the 32 lanes of a warp */
        *flops = work / 32 * 4096 * (double)rounds;
        return CUDA_LAUNCH(burst_mma, dim3(blocks), BURST_THREADS, 0, call->stream, out, rounds,
                           1.f);
    }
    *flops = work * 2 * (double)rounds;
    return CUDA_LAUNCH(burst_fma, dim3(blocks), BURST_THREADS, 0, call->stream, out, rounds, 1.f);
}

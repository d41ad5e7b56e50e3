/* burst.cu — products that touch registers alone: what the plain units, or mma.sync, reach at this
 * moment. */
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
    for (int64_t r = 0; r < rounds; r++)
#pragma unroll
        for (int i = 0; i < BURST_WIDE; i++) d[i] = __fmaf_rn(d[i], one, one);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < BURST_WIDE; i++) sum += d[i];
    if (sum < 0) *out = sum;
}
} // namespace

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

/* loss.cu — softmax cross-entropy of rows of logits and its gradient in their place. One block per
 * row goes over the logits once for the running maximum and sum (Milakov & Gimelshein 2018), and,
 * while the row is still in the second-level cache, once more for the gradient. */
#include "kernels/cuda/fault.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/vector.h"

#include <float.h>

namespace
{
enum { LOSS_THREADS = 512, PACKS = 4 }; /* PACKS of 4 logits in the registers of a thread */

const float LOG2_E = 1.44269504088896340736f;

struct row_sum {
    float highest, total; /* total of exp(logit - highest)                                     */
};

__device__ __forceinline__ row_sum row_scan(const float *logits, int64_t V, float *part)
{
    float highest = -FLT_MAX, total = 0, v[4];
    for (int64_t i = 4 * (int64_t)threadIdx.x; i < V; i += 4 * (int64_t)blockDim.x) {
        load<4>(v, logits + i);
        float here = highest;
        for (int k = 0; k < 4; k++)
            if (i + k < V) here = fmaxf(here, v[k]);
        total *= exp2_fast((highest - here) * LOG2_E);
        for (int k = 0; k < 4; k++)
            if (i + k < V) total += exp2_fast((v[k] - here) * LOG2_E);
        highest = here;
    }
    const float top = block_max(highest, part);
    total *= exp2_fast((highest - top) * LOG2_E);
    return {top, block_sum(total, part)};
}

/* scale softmax - onehot / N, in place: what a tile of the row becomes lies below what it was, so a
 * tile is read by the whole block before any of it is written */
template <class A>
__device__ __forceinline__ void row_gradient(float *logits, const cuda_loss_args &a, row_sum sum,
                                             int32_t target, float scale, float one)
{
    const int64_t tile = 4 * PACKS * (int64_t)blockDim.x;
    const float inverse = __fdiv_rn(scale, sum.total);
    A *out = reinterpret_cast<A *>(logits);
    float v[PACKS][4];
    for (int64_t start = 0; start < a.stride; start += tile) {
        const int64_t first = start + 4 * (int64_t)threadIdx.x;
        for (int p = 0; p < PACKS; p++) {
            const int64_t i = first + p * 4 * (int64_t)blockDim.x;
            if (i >= a.stride) continue;
            load<4>(v[p], logits + i);
            for (int k = 0; k < 4; k++) {
                const float g = exp2_fast((v[p][k] - sum.highest) * LOG2_E) * inverse;
                v[p][k] = i + k >= a.V ? 0.f : i + k == target ? g - one : g;
            }
        }
        if (sizeof(A) < sizeof(float)) __syncthreads();
        for (int p = 0; p < PACKS; p++) {
            const int64_t i = first + p * 4 * (int64_t)blockDim.x;
            if (i < a.stride) store<4>(out + i, v[p]);
        }
    }
}

template <class A>
__global__ void __launch_bounds__(LOSS_THREADS) loss_row(const cuda_loss_args a, cuda_fault *fault)
{
    __shared__ float part[WARPS_MAX];
    const int64_t row = blockIdx.x;
    float *logits = a.logits + row * a.stride;
    const int32_t target = a.targets[row];
    const bool inside = target >= 0 && target < a.V;
    const row_sum sum = row_scan(logits, a.V, part);
    const float log_total = logf(sum.total), lse = sum.highest + log_total;
    if (threadIdx.x == 0) {
        /* the two large terms first: their difference is exact where it is small */
        a.losses[row] = inside ? (sum.highest - logits[target]) + log_total : 0.f;
        if (!inside) report_fault(fault, CUDA_FAULT_HEAD, target, a.first + row, a.V);
    }
    if (!a.gradient) return;
    __syncthreads(); // the target's logit has been read
    const float one = inside ? __fdiv_rn(1.f, (float)a.N) : 0.f;
    row_gradient<A>(logits, a, sum, target, one * (1.f + 2.f * a.z_loss * lse), one);
}
} // namespace

cudaError_t cuda_launch_loss(const cuda_call *call, const cuda_loss_args *a)
{
    const unsigned threads = row_threads(a->stride, 4, LOSS_THREADS);
    if (a->rows == 0) return cudaSuccess;
    if (a->stride % 4 || a->stride < a->V || (uintptr_t)a->logits % 16)
        return cudaErrorInvalidValue;
    if (a->act == DTYPE_BF16)
        return CUDA_LAUNCH((loss_row<bf16>), dim3((unsigned)a->rows), threads, 0, call->stream, *a,
                           call->fault);
    return CUDA_LAUNCH((loss_row<float>), dim3((unsigned)a->rows), threads, 0, call->stream, *a,
                       call->fault);
}

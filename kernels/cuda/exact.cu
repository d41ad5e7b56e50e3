/* exact.cu — gradients as scaled integers, sums of squares by a fixed pattern, digests, and what
 * clipping makes of them. Roundings are spelled out, so no compiler fuses them. */
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/vector.h"

namespace
{
enum { CHUNK_WARPS = 4, DIGEST_THREADS = 256, CLIP_THREADS = 256 };

/* --- accumulate ----------------------------------------------------------- */

/* rint(gradient * 2^44) added to *sum; false, and *sum as it was, where that cannot be */
__device__ __forceinline__ bool add_exact(int64_t *sum, float gradient, double limit)
{
    const double value = rint((double)gradient * EXACT_SCALE);
    if (!(fabs(value) < limit)) return false;
    const int64_t step = (int64_t)value;
    const int64_t after = (int64_t)((uint64_t)*sum + (uint64_t)step);
    /* both of one sign and the sum of the other: it left int64 */
    if (((*sum ^ after) & (step ^ after)) < 0) return false;
    *sum = after;
    return true;
}

template <int K>
__global__ void __launch_bounds__(FLAT_THREADS)
    accumulate_exact(int64_t *sum, const float *gradient, int32_t *flag, bool first, double limit,
                     int64_t packs)
{
    const int64_t i = flat_index() * K;
    if (i >= packs * K) return;
    integers<K> s = {};
    float g[K];
    bool good = true;
    if (!first) s = *reinterpret_cast<const integers<K> *>(sum + i);
    load<K>(g, gradient + i);
    for (int k = 0; k < K; k++) good = add_exact(&s.v[k], g[k], limit) && good;
    *reinterpret_cast<integers<K> *>(sum + i) = s;
    /* whoever writes writes the same */
    if (!good) *flag = 1;
}

template <int K>
__global__ void __launch_bounds__(FLAT_THREADS)
    accumulate_fast(float *sum, const float *gradient, int32_t *flag, bool first, int64_t packs)
{
    const int64_t i = flat_index() * K;
    if (i >= packs * K) return;
    float g[K], s[K];
    float bad = 0; // x - x is NaN where x is not finite, else 0
    load<K>(g, gradient + i);
    if (!first) load<K>(s, sum + i);
    for (int k = 0; k < K; k++) {
        s[k] = first ? g[k] : __fadd_rn(s[k], g[k]);
        bad += g[k] - g[k];
    }
    store<K>(sum + i, s);
    if (bad != 0.f) *flag = 1;
}

template <int K>
cudaError_t accumulate_launch(cudaStream_t stream, const accumulate_args *a, int64_t first,
                              int64_t packs)
{
    const float *gradient = (const float *)a->gradient.data + first;
    const double limit = a->limit > 0 ? a->limit : 0x1p62;
    if (packs == 0) return cudaSuccess;
    if (a->kind == REDUCTION_EXACT)
        return CUDA_LAUNCH((accumulate_exact<K>), flat_blocks(packs), FLAT_THREADS, 0, stream,
                           (int64_t *)a->sum.data + first, gradient, a->flag, a->first, limit,
                           packs);
    return CUDA_LAUNCH((accumulate_fast<K>), flat_blocks(packs), FLAT_THREADS, 0, stream,
                       (float *)a->sum.data + first, gradient, a->flag, a->first, packs);
}

/* --- sums of squares: element i of a chunk in lane i % 32, lanes added by halves --- */

__device__ __forceinline__ double square_of(int64_t v)
{
    const double x = __dmul_rn((double)v, 1 / EXACT_SCALE);
    return __dmul_rn(x, x);
}
__device__ __forceinline__ double square_of(float v) { return __dmul_rn((double)v, (double)v); }

/* one warp per chunk */
template <class T>
__global__ void __launch_bounds__(32 * CHUNK_WARPS)
    chunk_squares(double *out, const T *values, int64_t n)
{
    const int lane = threadIdx.x % 32;
    const int64_t chunk = (int64_t)blockIdx.x * CHUNK_WARPS + threadIdx.x / 32;
    const int64_t end = (chunk + 1) * CHUNK < n ? (chunk + 1) * CHUNK : n;
    double sum = 0;
    if (chunk * CHUNK >= n) return;
#pragma unroll 8
    for (int64_t i = chunk * CHUNK + lane; i < end; i += 32)
        sum = __dadd_rn(sum, square_of(values[i]));
    for (int width = 16; width; width /= 2)
        sum = __dadd_rn(sum, __shfl_xor_sync((unsigned)WARP_ALL, sum, width));
    if (lane == 0) out[chunk] = sum;
}

/* --- digest: integer sums, any order -------------------------------------- */

__device__ __forceinline__ uint32_t digest_key(uint32_t j)
{
    return ((j + 1) * 0x9E3779B9u) ^ ((j >> 3) * 0x85EBCA6Bu);
}

__global__ void __launch_bounds__(DIGEST_THREADS)
    chunk_digest(uint64_t *out, const uint32_t *values, int64_t n)
{
    __shared__ uint64_t part[WARPS_MAX];
    const int64_t first = (int64_t)blockIdx.x * CHUNK;
    const int count = n - first < CHUNK ? (int)(n - first) : CHUNK;
    uint64_t sum = 0;
#pragma unroll 4
    for (int j = 2 * (int)threadIdx.x; j < count; j += 2 * DIGEST_THREADS) {
        const uint32_t a = values[first + j], b = j + 1 < count ? values[first + j + 1] : 0;
        sum += (uint64_t)(a + digest_key((uint32_t)j)) * (b + digest_key((uint32_t)j + 1));
    }
    sum = block_sum(sum, part);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

/* --- clip ----------------------------------------------------------------- */

/* the squares in order: the block brings them near, one thread adds */
__global__ void __launch_bounds__(CLIP_THREADS)
    clip(step_scalars *s, const double *squares, int64_t count, const int32_t *flag, bool exact)
{
    __shared__ double near[CLIP_THREADS];
    double total = 0;
    for (int64_t first = 0; first < count; first += CLIP_THREADS) {
        const int64_t i = first + threadIdx.x;
        __syncthreads(); // the last ones may still be read
        near[threadIdx.x] = i < count ? squares[i] : 0;
        __syncthreads();
        /* a square is never -0, so the zeros at the end change nothing */
        for (int k = 0; k < CLIP_THREADS && threadIdx.x == 0; k++)
            total = __dadd_rn(total, near[k]);
    }
    if (threadIdx.x != 0) return;
    const double norm = __dmul_rn(s->mean_scale, sqrt(total)), limit = (double)s->clip;
    double scale = s->mean_scale * (exact ? 1 / EXACT_SCALE : 1);
    if (limit > 0 && norm > limit) scale = __dmul_rn(scale, limit / norm);
    s->grad_norm = norm;
    s->gradient_scale = scale;
    s->skip = *flag != 0 || !isfinite(norm);
}
} // namespace

cudaError_t cuda_launch_accumulate(const cuda_call *call, const accumulate_args *a)
{
    const int64_t n = tensor_count(a->gradient);
    const bool aligned = ((uintptr_t)a->sum.data | (uintptr_t)a->gradient.data) % 16 == 0;
    const int64_t packs = aligned ? n / 4 : 0;
    const cudaError_t e = accumulate_launch<4>(call->stream, a, 0, packs);
    return e != cudaSuccess ? e : accumulate_launch<1>(call->stream, a, packs * 4, n - packs * 4);
}

cudaError_t cuda_launch_sum_squares(const cuda_call *call, const sum_squares_args *a)
{
    const int64_t n = tensor_count(a->values), chunks = (n + CHUNK - 1) / CHUNK;
    const dim3 grid((unsigned)((chunks + CHUNK_WARPS - 1) / CHUNK_WARPS));
    double *out = (double *)a->out.data;
    if (n == 0) return cudaSuccess;
    if (a->values.type == DTYPE_I64)
        return CUDA_LAUNCH((chunk_squares<int64_t>), grid, 32 * CHUNK_WARPS, 0, call->stream, out,
                           (const int64_t *)a->values.data, n);
    return CUDA_LAUNCH((chunk_squares<float>), grid, 32 * CHUNK_WARPS, 0, call->stream, out,
                       (const float *)a->values.data, n);
}

cudaError_t cuda_launch_digest(const cuda_call *call, const digest_args *a)
{
    const int64_t n = tensor_count(a->values);
    if (n == 0) return cudaSuccess;
    return CUDA_LAUNCH(chunk_digest, dim3((unsigned)((n + CHUNK - 1) / CHUNK)), DIGEST_THREADS, 0,
                       call->stream, (uint64_t *)a->out.data, (const uint32_t *)a->values.data, n);
}

cudaError_t cuda_launch_clip_scalars(const cuda_call *call, const clip_args *a)
{
    return CUDA_LAUNCH(clip, dim3(1), CLIP_THREADS, 0, call->stream, a->scalars,
                       (const double *)a->squares.data, tensor_count(a->squares), a->flag,
                       a->kind == REDUCTION_EXACT);
}

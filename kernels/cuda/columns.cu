/* columns.cu — sums over the rows of a matrix: first over parts of the rows, then over the parts. A
 * block takes 32 K columns; its 8 warps take every eighth row, and their sums are added in order.
 */
#include "kernels/cuda/columns.h"
#include "kernels/cuda/vector.h"

namespace
{
enum { SUM_WARPS = 8, PART_ROWS = 64 };

struct rows_shape {
    int64_t M, N, stride;
    int64_t part_rows; /* rows of one part: blockIdx.y                                         */
};

/* out (parts, N) */
template <class A, int K>
__global__ void __launch_bounds__(32 * SUM_WARPS)
    sum_rows(float *out, const A *in, const rows_shape s)
{
    __shared__ float part[SUM_WARPS][32][K];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int64_t c = ((int64_t)blockIdx.x * 32 + lane) * K;
    const int64_t first = (int64_t)blockIdx.y * s.part_rows;
    const int64_t end = first + s.part_rows < s.M ? first + s.part_rows : s.M;
    float sum[K] = {}, v[K];
#pragma unroll 4
    for (int64_t r = first + warp; r < end; r += SUM_WARPS) {
        if (c >= s.N) break;
        load<K>(v, in + r * s.stride + c);
        for (int k = 0; k < K; k++) sum[k] += v[k];
    }
    for (int k = 0; k < K; k++) part[warp][lane][k] = sum[k];
    __syncthreads();
    if (warp > 0 || c >= s.N) return;
    for (int w = 1; w < SUM_WARPS; w++)
        for (int k = 0; k < K; k++) sum[k] += part[w][lane][k];
    store<K>(out + blockIdx.y * s.N + c, sum);
}

template <class A, int K>
cudaError_t sum_rows_launch(cudaStream_t stream, float *out, const A *in, rows_shape s)
{
    /* no rows: one part of nothing, so that the sums become 0 */
    const int64_t parts = s.M > 0 ? (s.M + s.part_rows - 1) / s.part_rows : 1;
    if (s.N == 0) return cudaSuccess;
    const dim3 grid((unsigned)((s.N + 32 * K - 1) / (32 * K)), (unsigned)parts);
    return CUDA_LAUNCH((sum_rows<A, K>), grid, 32 * SUM_WARPS, 0, stream, out, in, s);
}

template <class A>
cudaError_t sum_rows_wide(cudaStream_t stream, float *out, const A *in, rows_shape s)
{
    const bool wide =
        s.N % 4 == 0 && s.stride % 4 == 0 && ((uintptr_t)out | (uintptr_t)in) % 16 == 0;
    return wide ? sum_rows_launch<A, 4>(stream, out, in, s)
                : sum_rows_launch<A, 1>(stream, out, in, s);
}

template <class A>
cudaError_t column_sums(const cuda_call *call, float *out, const A *in, int64_t M, int64_t N)
{
    const int64_t at_least = (M + COLUMN_PARTS_MAX - 1) / COLUMN_PARTS_MAX;
    rows_shape s = {M, N, N, at_least > PART_ROWS ? at_least : (int64_t)PART_ROWS};
    if (M <= s.part_rows) return sum_rows_wide(call->stream, out, in, s);
    float *parts = (float *)call->workspace;
    cudaError_t e = sum_rows_wide(call->stream, parts, in, s);
    if (e != cudaSuccess) return e;
    return columns_of_parts(call->stream, out, parts, (M + s.part_rows - 1) / s.part_rows, N, N);
}
} // namespace

cudaError_t columns_of_parts(cudaStream_t stream, float *out, const float *in, int64_t M, int64_t N,
                             int64_t stride)
{
    const rows_shape s = {M, N, stride, M > 0 ? M : 1};
    return sum_rows_wide(stream, out, in, s);
}

cudaError_t cuda_launch_column_sums(const cuda_call *call, tensor out, tensor in)
{
    const int64_t M = in.dim[0], N = in.dim[1];
    if (in.type == DTYPE_BF16)
        return column_sums(call, (float *)out.data, (const bf16 *)in.data, M, N);
    return column_sums(call, (float *)out.data, (const float *)in.data, M, N);
}

/* the largest of what the ops keep there: parts of sums, an order of tokens, a sum per row of
 * attention */
int64_t cuda_launch_workspace(const op_shapes *shapes)
{
    const int64_t heads = (shapes->NH + 2 * shapes->NKV) * shapes->HS, up = 2 * shapes->F;
    const int64_t tokens = shapes->B * shapes->T;
    int64_t widest = 2 * shapes->C;
    if (up > widest) widest = up;
    if (heads > widest) widest = heads;
    int64_t most = COLUMN_PARTS_MAX * widest;
    if (tokens > most) most = tokens;
    if (tokens * shapes->NH > most) most = tokens * shapes->NH;
    return most * 4;
}

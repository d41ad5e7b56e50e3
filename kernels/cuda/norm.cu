/* norm.cu — rms and layer norm with the residual addition before them, and their gradients. One
 * block per row forwards; backwards a block takes a run of rows and keeps its part of the gain's
 * and bias's gradients in shared memory. */
#include "kernels/cuda/columns.h"
#include "kernels/cuda/reduce.h"
#include "kernels/cuda/vector.h"

namespace
{
enum { NORM_THREADS = 512, ROWS_PER_PART = 16 };

struct norm_pointers {
    void *out;
    float *sum, *mean, *rstd;
    const float *x;
    const void *delta, *gain, *bias;
    int64_t C;
    float eps;
};

/* the summed row stays in shared memory, each element with the thread that made it */
template <class A, int K, bool layer>
__global__ void __launch_bounds__(NORM_THREADS) norm_row(const norm_pointers p)
{
    DYN_SHARED(float, row);
    __shared__ float part[WARPS_MAX];
    const int64_t C = p.C, at = blockIdx.x * C;
    const int64_t first = (int64_t)threadIdx.x * K, step = (int64_t)blockDim.x * K;
    const A *delta = (const A *)p.delta, *gain = (const A *)p.gain, *bias = (const A *)p.bias;
    float v[K], w[K], total = 0, square = 0, mean = 0;
    for (int64_t c = first; c < C; c += step) {
        load<K>(v, p.x + at + c);
        if (delta) load<K>(w, delta + at + c);
        for (int k = 0; k < K; k++) {
            if (delta) v[k] += w[k];
            total += v[k];
        }
        store<K>(row + c, v);
        if (p.sum) store<K>(p.sum + at + c, v);
    }
    if (layer) mean = block_sum(total, part) / (float)C;
    for (int64_t c = first; c < C; c += step) {
        load<K>(v, row + c);
        for (int k = 0; k < K; k++) square += (v[k] - mean) * (v[k] - mean);
    }
    const float rstd = __fdiv_rn(1.f, __fsqrt_rn(block_sum(square, part) / (float)C + p.eps));
    for (int64_t c = first; c < C; c += step) {
        load<K>(v, row + c);
        load<K>(w, gain + c);
        for (int k = 0; k < K; k++) v[k] = (v[k] - mean) * rstd * w[k];
        if (bias) {
            load<K>(w, bias + c);
            for (int k = 0; k < K; k++) v[k] += w[k];
        }
        store<K>((A *)p.out + at + c, v);
    }
    if (threadIdx.x != 0) return;
    if (p.mean) p.mean[blockIdx.x] = mean;
    if (p.rstd) p.rstd[blockIdx.x] = rstd;
}

struct norm_back_pointers {
    float *dx, *parts; /* parts (blocks, 2, C): of dgain, of dbias                             */
    void *dx_act;
    const void *dout, *gain;
    const float *x, *mean, *rstd;
    int64_t N, C, part_rows;
};

/* mean over the row of g and of g * xhat */
template <class A, int K, bool layer>
__device__ __forceinline__ void row_means(float *mean_g, float *mean_gx, int64_t at, float mean,
                                          float rstd, float *part, const norm_back_pointers &p)
{
    float d[K], x[K], w[K], g = 0, gx = 0;
    for (int64_t c = (int64_t)threadIdx.x * K; c < p.C; c += (int64_t)blockDim.x * K) {
        load<K>(d, (const A *)p.dout + at + c);
        load<K>(x, p.x + at + c);
        load<K>(w, (const A *)p.gain + c);
        for (int k = 0; k < K; k++) {
            const float slope = d[k] * w[k];
            g += slope;
            gx += slope * ((x[k] - mean) * rstd);
        }
    }
    *mean_g = layer ? block_sum(g, part) / (float)p.C : 0;
    *mean_gx = block_sum(gx, part) / (float)p.C;
}

template <class A, int K, bool layer>
__global__ void __launch_bounds__(NORM_THREADS) norm_rows_back(const norm_back_pointers p)
{
    DYN_SHARED(float, dgain);
    __shared__ float part[WARPS_MAX];
    float *dbias = dgain + p.C, d[K], x[K], w[K], out[K], dg[K], db[K], mean_g, mean_gx;
    const int64_t first = (int64_t)threadIdx.x * K, step = (int64_t)blockDim.x * K;
    const int64_t row = blockIdx.x * p.part_rows;
    const int64_t end = row + p.part_rows < p.N ? row + p.part_rows : p.N;
    /* every element of the parts has one thread */
    for (int k = 0; k < K; k++) d[k] = 0;
    for (int64_t c = first; c < p.C; c += step) {
        store<K>(dgain + c, d);
        store<K>(dbias + c, d);
    }
    for (int64_t n = row; n < end; n++) {
        const float mean = layer ? p.mean[n] : 0, rstd = p.rstd[n];
        const int64_t at = n * p.C;
        row_means<A, K, layer>(&mean_g, &mean_gx, at, mean, rstd, part, p);
        for (int64_t c = first; c < p.C; c += step) {
            load<K>(d, (const A *)p.dout + at + c);
            load<K>(x, p.x + at + c);
            load<K>(w, (const A *)p.gain + c);
            load<K>(out, p.dx + at + c);
            load<K>(dg, dgain + c);
            load<K>(db, dbias + c);
            for (int k = 0; k < K; k++) {
                const float xhat = (x[k] - mean) * rstd;
                dg[k] += d[k] * xhat;
                db[k] += d[k];
                out[k] += rstd * (d[k] * w[k] - mean_g - xhat * mean_gx);
            }
            store<K>(dgain + c, dg);
            store<K>(dbias + c, db);
            store<K>(p.dx + at + c, out);
            if (p.dx_act) store<K>((A *)p.dx_act + at + c, out);
        }
    }
    float *to = p.parts + blockIdx.x * 2 * p.C;
    for (int64_t c = first; c < p.C; c += step) {
        load<K>(dg, dgain + c);
        load<K>(db, dbias + c);
        store<K>(to + c, dg);
        store<K>(to + p.C + c, db);
    }
}

template <class A, int K> cudaError_t norm_launch(cudaStream_t stream, const norm_args *a)
{
    const int64_t N = a->x.dim[0], C = a->x.dim[1];
    const norm_pointers p = {a->out.data,
                             (float *)a->sum.data,
                             (float *)a->mean.data,
                             (float *)a->rstd.data,
                             (const float *)a->x.data,
                             a->delta.data,
                             a->gain.data,
                             a->bias.data,
                             C,
                             a->eps};
    const size_t shared = (size_t)C * sizeof(float);
    const unsigned threads = row_threads(C, K, NORM_THREADS);
    if (N == 0) return cudaSuccess;
    return a->kind == NORM_LAYER
               ? CUDA_LAUNCH((norm_row<A, K, true>), dim3((unsigned)N), threads, shared, stream, p)
               : CUDA_LAUNCH((norm_row<A, K, false>), dim3((unsigned)N), threads, shared, stream,
                             p);
}

template <class A, int K>
cudaError_t norm_backward_launch(cudaStream_t stream, const norm_back_pointers &p, norm_kind kind,
                                 int64_t parts)
{
    const size_t shared = 2 * (size_t)p.C * sizeof(float);
    const unsigned threads = row_threads(p.C, K, NORM_THREADS);
    if (parts == 0) return cudaSuccess;
    return kind == NORM_LAYER ? CUDA_LAUNCH((norm_rows_back<A, K, true>), dim3((unsigned)parts),
                                            threads, shared, stream, p)
                              : CUDA_LAUNCH((norm_rows_back<A, K, false>), dim3((unsigned)parts),
                                            threads, shared, stream, p);
}
} // namespace

cudaError_t cuda_launch_norm(const cuda_call *call, const norm_args *a)
{
    const tensor *const all[] = {&a->out, &a->sum, &a->x, &a->delta, &a->gain, &a->bias};
    const bool wide = wide_rows(8, a->x.dim[1], all, 6);
    if (a->out.type == DTYPE_BF16)
        return wide ? norm_launch<bf16, 8>(call->stream, a) : norm_launch<bf16, 1>(call->stream, a);
    return wide ? norm_launch<float, 8>(call->stream, a) : norm_launch<float, 1>(call->stream, a);
}

cudaError_t cuda_launch_norm_backward(const cuda_call *call, const norm_backward_args *a)
{
    const tensor *const all[] = {&a->dx, &a->dx_act, &a->dout, &a->x, &a->gain};
    const int64_t N = a->x.dim[0], C = a->x.dim[1];
    const bool wide = wide_rows(8, C, all, 5);
    const int64_t at_least = (N + COLUMN_PARTS_MAX - 1) / COLUMN_PARTS_MAX;
    const int64_t part_rows = at_least > ROWS_PER_PART ? at_least : (int64_t)ROWS_PER_PART;
    const int64_t parts = (N + part_rows - 1) / part_rows;
    const norm_back_pointers p = {(float *)a->dx.data,
                                  (float *)call->workspace,
                                  a->dx_act.data,
                                  a->dout.data,
                                  a->gain.data,
                                  (const float *)a->x.data,
                                  (const float *)a->mean.data,
                                  (const float *)a->rstd.data,
                                  N,
                                  C,
                                  part_rows};
    cudaError_t e;
    if (a->dout.type == DTYPE_BF16)
        e = wide ? norm_backward_launch<bf16, 8>(call->stream, p, a->kind, parts)
                 : norm_backward_launch<bf16, 1>(call->stream, p, a->kind, parts);
    else
        e = wide ? norm_backward_launch<float, 8>(call->stream, p, a->kind, parts)
                 : norm_backward_launch<float, 1>(call->stream, p, a->kind, parts);
    if (e == cudaSuccess)
        e = columns_of_parts(call->stream, (float *)a->dgain.data, p.parts, parts, C, 2 * C);
    if (e == cudaSuccess && a->dbias.data)
        e = columns_of_parts(call->stream, (float *)a->dbias.data, p.parts + C, parts, C, 2 * C);
    return e;
}

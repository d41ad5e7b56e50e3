/* optim.cu — AdamW over a range of parameters, in one pass over seven streams. What changes from
 * step to step is read from device memory. */
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/vector.h"

namespace
{
struct adamw_pointers {
    float *weights, *m, *v;
    bf16 *copy;
    const void *gradient;
    const step_scalars *scalars;
    float rate;
    bool decay;
};

__device__ __forceinline__ float gradient_of(int64_t sum, double scale)
{
    return (float)__dmul_rn((double)sum, scale);
}
__device__ __forceinline__ float gradient_of(float sum, double scale)
{
    return (float)__dmul_rn((double)sum, scale);
}

template <int K>
__device__ __forceinline__ void load_gradient(float (&g)[K], const int64_t *p, double scale)
{
    const integers<K> sum = *reinterpret_cast<const integers<K> *>(p);
    for (int k = 0; k < K; k++) g[k] = gradient_of(sum.v[k], scale);
}
template <int K>
__device__ __forceinline__ void load_gradient(float (&g)[K], const float *p, double scale)
{
    load<K>(g, p);
    for (int k = 0; k < K; k++) g[k] = gradient_of(g[k], scale);
}

template <class G, int K>
__global__ void __launch_bounds__(FLAT_THREADS) adamw_range(const adamw_pointers p, int64_t packs)
{
    const int64_t i = flat_index() * K;
    const step_scalars *s = p.scalars;
    if (i >= packs * K || s->skip) return;
    const float beta1 = s->beta1, beta2 = s->beta2, rate = s->learning_rate, eps = s->eps;
    const float rest1 = 1.f - beta1, rest2 = 1.f - beta2;
    const float inverse1 = __fdiv_rn(1.f, s->bias1), inverse2 = __fdiv_rn(1.f, s->bias2);
    const float share = __fmul_rn(p.rate, inverse1), decay = p.decay ? s->weight_decay : 0.f;
    float w[K], m[K], v[K], g[K];
    load_gradient<K>(g, (const G *)p.gradient + i, s->gradient_scale);
    load<K>(w, p.weights + i);
    load<K>(m, p.m + i);
    load<K>(v, p.v + i);
    for (int k = 0; k < K; k++) {
        m[k] = __fmaf_rn(beta1, m[k], __fmul_rn(rest1, g[k]));
        v[k] = __fmaf_rn(beta2, v[k], __fmul_rn(__fmul_rn(rest2, g[k]), g[k]));
        const float below = __fadd_rn(__fsqrt_rn(__fmul_rn(v[k], inverse2)), eps);
        const float step = __fmaf_rn(decay, w[k], __fdiv_rn(__fmul_rn(m[k], share), below));
        w[k] = __fmaf_rn(-rate, step, w[k]);
    }
    store<K>(p.m + i, m);
    store<K>(p.v + i, v);
    store<K>(p.weights + i, w);
    if (p.copy) store<K>(p.copy + i, w);
}

template <class G, int K>
cudaError_t adamw_launch(cudaStream_t stream, const adamw_args *a, int64_t first, int64_t packs)
{
    const adamw_pointers p = {(float *)a->weights.data + first,
                              (float *)a->m.data + first,
                              (float *)a->v.data + first,
                              a->copy.data ? (bf16 *)a->copy.data + first : NULL,
                              (const G *)a->gradient.data + first,
                              a->scalars,
                              a->rate,
                              a->decay};
    if (packs == 0) return cudaSuccess;
    return CUDA_LAUNCH((adamw_range<G, K>), flat_blocks(packs), FLAT_THREADS, 0, stream, p, packs);
}

/* four at a time as far as that goes, then one by one */
template <class G> cudaError_t adamw_all(cudaStream_t stream, const adamw_args *a)
{
    const tensor *const all[] = {&a->weights, &a->copy, &a->m, &a->v, &a->gradient};
    const int64_t n = tensor_count(a->weights), packs = wide_rows(1, n, all, 5) ? n / 4 : 0;
    const cudaError_t e = adamw_launch<G, 4>(stream, a, 0, packs);
    return e != cudaSuccess ? e : adamw_launch<G, 1>(stream, a, packs * 4, n - packs * 4);
}
} // namespace

cudaError_t cuda_launch_adamw(const cuda_call *call, const adamw_args *a)
{
    return a->gradient.type == DTYPE_I64 ? adamw_all<int64_t>(call->stream, a)
                                         : adamw_all<float>(call->stream, a);
}

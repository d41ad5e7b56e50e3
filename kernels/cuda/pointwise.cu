/* pointwise.cu — one value in, one value out: gated and plain activations, rotary positions,
 * conversion. Memory-bound: K neighbours per thread. */
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/vector.h"

namespace
{
const float LOG2_E = 1.44269504088896340736f;

/* s = 1 / (1 + e^-x), and 1 - s without cancellation */
struct logistic {
    float s, rest;
};
__device__ __forceinline__ logistic logistic_of(float x)
{
    const float t = exp2_fast(-fabsf(x) * LOG2_E);
    const float big = __fdividef(1.f, 1.f + t), small = t * big;
    return x >= 0 ? logistic{big, small} : logistic{small, big};
}

/* --- swiglu --------------------------------------------------------------- */

template <class A, int K>
__global__ void __launch_bounds__(FLAT_THREADS)
    swiglu_forward(A *out, const A *gate_up, int64_t F, int64_t packs)
{
    const int64_t pack = flat_index(), i = pack * K;
    if (pack >= packs) return;
    const int64_t gate_at = i + flat_row(pack, F / K) * F;
    float gate[K], up[K], v[K];
    load<K>(gate, gate_up + gate_at);
    load<K>(up, gate_up + gate_at + F);
    for (int k = 0; k < K; k++) v[k] = gate[k] * logistic_of(gate[k]).s * up[k];
    store<K>(out + i, v);
}

/* silu' = s (1 + x (1 - s)) */
template <class A, int K>
__global__ void __launch_bounds__(FLAT_THREADS)
    swiglu_back(A *dgate_up, const A *dout, const A *gate_up, int64_t F, int64_t packs)
{
    const int64_t pack = flat_index(), i = pack * K;
    if (pack >= packs) return;
    const int64_t gate_at = i + flat_row(pack, F / K) * F;
    float gate[K], up[K], d[K], dgate[K], dup[K];
    load<K>(gate, gate_up + gate_at);
    load<K>(up, gate_up + gate_at + F);
    load<K>(d, dout + i);
    for (int k = 0; k < K; k++) {
        const logistic l = logistic_of(gate[k]);
        dgate[k] = d[k] * up[k] * l.s * (1.f + gate[k] * l.rest);
        dup[k] = d[k] * gate[k] * l.s;
    }
    store<K>(dgate_up + gate_at, dgate);
    store<K>(dgate_up + gate_at + F, dup);
}

/* --- gelu, tanh form: x/2 (1 + tanh(u)) = x s(2u), u = sqrt(2/pi) (x + 0.044715 x^3)
 * --------------
 */

const float GELU_SCALE = 0.79788456080286535588f, GELU_CUBE = 0.044715f;

__device__ __forceinline__ float gelu(float x)
{
    const float u = GELU_SCALE * (x + GELU_CUBE * x * x * x);
    return x * logistic_of(2.f * u).s;
}
__device__ __forceinline__ float gelu_slope(float x)
{
    const float u = GELU_SCALE * (x + GELU_CUBE * x * x * x);
    const float du = GELU_SCALE * (1.f + 3.f * GELU_CUBE * x * x);
    const logistic l = logistic_of(2.f * u);
    /* far out s (1 - s) is 0 and du may be infinite */
    const float bend = l.s * l.rest;
    return bend > 0.f || bend != bend ? l.s + 2.f * x * bend * du : l.s;
}

template <class I, class A, int K>
__global__ void __launch_bounds__(FLAT_THREADS)
    activate(A *out, A *pre, const I *in, const A *bias, bool with_gelu, int64_t N, int64_t packs)
{
    const int64_t pack = flat_index(), i = pack * K;
    if (pack >= packs) return;
    float v[K], b[K];
    load<K>(v, in + i);
    if (bias) {
        load<K>(b, bias + i - flat_row(pack, N / K) * N);
        for (int k = 0; k < K; k++) v[k] += b[k];
    }
    if (pre) store<K>(pre + i, v);
    for (int k = 0; k < K && with_gelu; k++) v[k] = gelu(v[k]);
    store<K>(out + i, v);
}

template <class I, class A, int K>
__global__ void __launch_bounds__(FLAT_THREADS)
    activate_back(A *dx, const I *in, const A *pre, int64_t packs)
{
    const int64_t pack = flat_index(), i = pack * K;
    if (pack >= packs) return;
    float d[K], x[K];
    load<K>(d, in + i);
    load<K>(x, pre + i);
    for (int k = 0; k < K; k++) d[k] *= gelu_slope(x[k]);
    store<K>(dx + i, d);
}

/* --- rope ----------------------------------------------------------------- */

struct rope_shape {
    int64_t T, heads, W, packs; /* heads: those that turn; W: width of a row of qkv */
    int half;
    float sign;
};

/* a thread turns K pairs (x[i], x[i + half]) of one head */
template <class A, int K>
__global__ void __launch_bounds__(FLAT_THREADS)
    rope_turn(A *qkv, const float *table, const rope_shape s)
{
    const int64_t pack = flat_index();
    if (pack >= s.packs) return;
    const int64_t per_head = s.half / K, head = flat_row(pack, per_head);
    const int64_t n = flat_row(head, s.heads), h = head - n * s.heads;
    const int64_t at = (pack - head * per_head) * K, t = n - flat_row(n, s.T) * s.T;
    A *x = qkv + n * s.W + h * 2 * s.half + at;
    const float *angle = table + (t * s.half + at) * 2;
    float a[K], b[K], left[K], right[K];
    load<K>(a, x);
    load<K>(b, x + s.half);
    for (int k = 0; k < K; k++) {
        const float c = angle[2 * k], d = s.sign * angle[2 * k + 1];
        left[k] = a[k] * c - b[k] * d;
        right[k] = b[k] * c + a[k] * d;
    }
    store<K>(x, left);
    store<K>(x + s.half, right);
}

/* --- conversion; the K = 1 twin also takes the elements after the last pack --- */

template <class O, class I, int K>
__global__ void __launch_bounds__(FLAT_THREADS) convert_all(O *to, const I *from, int64_t packs)
{
    const int64_t pack = flat_index(), i = pack * K;
    if (pack >= packs) return;
    float v[K];
    load<K>(v, from + i);
    store<K>(to + i, v);
}

template <class A, int K> cudaError_t swiglu_launch(cudaStream_t stream, const swiglu_args *a)
{
    const int64_t packs = tensor_count(a->out) / K;
    if (packs == 0) return cudaSuccess;
    if (!flat_fits(packs)) return cudaErrorInvalidValue;
    return CUDA_LAUNCH((swiglu_forward<A, K>), flat_blocks(packs), FLAT_THREADS, 0, stream,
                       (A *)a->out.data, (const A *)a->gate_up.data, a->out.dim[1], packs);
}

template <class A, int K>
cudaError_t swiglu_backward_launch(cudaStream_t stream, const swiglu_backward_args *a)
{
    const int64_t packs = tensor_count(a->dout) / K;
    if (packs == 0) return cudaSuccess;
    if (!flat_fits(packs)) return cudaErrorInvalidValue;
    return CUDA_LAUNCH((swiglu_back<A, K>), flat_blocks(packs), FLAT_THREADS, 0, stream,
                       (A *)a->dgate_up.data, (const A *)a->dout.data, (const A *)a->gate_up.data,
                       a->dout.dim[1], packs);
}

template <class A, int K> cudaError_t rope_launch(cudaStream_t stream, const rope_args *a)
{
    const int64_t N = a->qkv.dim[0], heads = a->NH + a->NKV;
    const int half = (int)(a->HS / 2);
    const rope_shape s = {a->T,
                          heads,
                          (a->NH + 2 * a->NKV) * a->HS,
                          N * heads * (half / K),
                          half,
                          a->inverse ? -1.f : 1.f};
    if (s.packs == 0) return cudaSuccess;
    if (!flat_fits(s.packs)) return cudaErrorInvalidValue;
    return CUDA_LAUNCH((rope_turn<A, K>), flat_blocks(s.packs), FLAT_THREADS, 0, stream,
                       (A *)a->qkv.data, (const float *)a->table.data, s);
}

template <class I, class A, int K>
cudaError_t activation_launch(cudaStream_t stream, const cuda_activation_args *a)
{
    const int64_t packs = tensor_count(a->out) / K;
    if (packs == 0) return cudaSuccess;
    if (!flat_fits(packs)) return cudaErrorInvalidValue;
    return CUDA_LAUNCH((activate<I, A, K>), flat_blocks(packs), FLAT_THREADS, 0, stream,
                       (A *)a->out.data, (A *)a->pre.data, (const I *)a->in.data,
                       (const A *)a->bias.data, a->act == ACT_GELU, a->out.dim[1], packs);
}

template <class I, class A>
cudaError_t activation_backward_launch(cudaStream_t stream, tensor dx, tensor in, tensor pre)
{
    const tensor *const all[] = {&dx, &in, &pre};
    const bool wide = wide_rows(8, dx.dim[1], all, 3);
    const int64_t n = tensor_count(dx), packs = wide ? n / 8 : n;
    if (n == 0) return cudaSuccess;
    return wide ? CUDA_LAUNCH((activate_back<I, A, 8>), flat_blocks(packs), FLAT_THREADS, 0, stream,
                              (A *)dx.data, (const I *)in.data, (const A *)pre.data, packs)
                : CUDA_LAUNCH((activate_back<I, A, 1>), flat_blocks(packs), FLAT_THREADS, 0, stream,
                              (A *)dx.data, (const I *)in.data, (const A *)pre.data, packs);
}

template <class O, class I> cudaError_t convert_launch(cudaStream_t stream, tensor to, tensor from)
{
    const tensor *const both[] = {&to, &from};
    O *out = (O *)to.data;
    const I *in = (const I *)from.data;
    const int64_t n = tensor_count(to), packs = wide_rows(1, n, both, 2) ? n / 8 : 0;
    const int64_t rest = n - packs * 8;
    cudaError_t e = cudaSuccess;
    if (packs)
        e = CUDA_LAUNCH((convert_all<O, I, 8>), flat_blocks(packs), FLAT_THREADS, 0, stream, out,
                        in, packs);
    if (rest && e == cudaSuccess)
        e = CUDA_LAUNCH((convert_all<O, I, 1>), flat_blocks(rest), FLAT_THREADS, 0, stream,
                        out + packs * 8, in + packs * 8, rest);
    return e;
}
} // namespace

/* a template instance by activation type and by whether 8 at a time are possible */
#define BY_TYPE_AND_WIDTH(type, wide, f, ...)                                                      \
    ((type) == DTYPE_BF16 ? (wide) ? f<bf16, 8>(__VA_ARGS__) : f<bf16, 1>(__VA_ARGS__)             \
     : (wide) ? f<float, 8>(__VA_ARGS__)                                                           \
                          : f<float, 1>(__VA_ARGS__))

cudaError_t cuda_launch_swiglu(const cuda_call *call, const swiglu_args *a)
{
    const tensor *const all[] = {&a->out, &a->gate_up};
    const bool wide = wide_rows(8, a->out.dim[1], all, 2);
    return BY_TYPE_AND_WIDTH(a->out.type, wide, swiglu_launch, call->stream, a);
}

cudaError_t cuda_launch_swiglu_backward(const cuda_call *call, const swiglu_backward_args *a)
{
    const tensor *const all[] = {&a->dgate_up, &a->dout, &a->gate_up};
    const bool wide = wide_rows(8, a->dout.dim[1], all, 3);
    return BY_TYPE_AND_WIDTH(a->dout.type, wide, swiglu_backward_launch, call->stream, a);
}

cudaError_t cuda_launch_rope(const cuda_call *call, const rope_args *a)
{
    const tensor *const all[] = {&a->qkv};
    const bool wide = a->HS % 2 == 0 && wide_rows(8, a->HS / 2, all, 1);
    return BY_TYPE_AND_WIDTH(a->qkv.type, wide, rope_launch, call->stream, a);
}

cudaError_t cuda_launch_activation(const cuda_call *call, const cuda_activation_args *a)
{
    const tensor *const all[] = {&a->out, &a->pre, &a->in, &a->bias};
    const bool wide = wide_rows(8, a->out.dim[1], all, 4);
    if (a->in.type == DTYPE_F32 && a->out.type == DTYPE_BF16)
        return wide ? activation_launch<float, bf16, 8>(call->stream, a)
                    : activation_launch<float, bf16, 1>(call->stream, a);
    if (a->in.type == DTYPE_F32)
        return wide ? activation_launch<float, float, 8>(call->stream, a)
                    : activation_launch<float, float, 1>(call->stream, a);
    return wide ? activation_launch<bf16, bf16, 8>(call->stream, a)
                : activation_launch<bf16, bf16, 1>(call->stream, a);
}

cudaError_t cuda_launch_activation_backward(const cuda_call *call, tensor dx, tensor in, tensor pre,
                                            activation act)
{
    if (act != ACT_GELU) return cudaErrorInvalidValue;
    if (dx.type == DTYPE_F32)
        return activation_backward_launch<float, float>(call->stream, dx, in, pre);
    return in.type == DTYPE_F32 ? activation_backward_launch<float, bf16>(call->stream, dx, in, pre)
                                : activation_backward_launch<bf16, bf16>(call->stream, dx, in, pre);
}

cudaError_t cuda_launch_convert(const cuda_call *call, tensor to, tensor from)
{
    if (to.type == DTYPE_BF16 && from.type == DTYPE_F32)
        return convert_launch<bf16, float>(call->stream, to, from);
    if (to.type == DTYPE_F32 && from.type == DTYPE_BF16)
        return convert_launch<float, bf16>(call->stream, to, from);
    return cudaErrorInvalidValue;
}

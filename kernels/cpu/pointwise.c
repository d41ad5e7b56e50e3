/* pointwise.c — gated activation, rotary positions, type conversion. */
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/vmath.h"

INLINE void swiglu_rows(const swiglu_args *a, const bool bf16)
{
    const int64_t N = a->out.dim[0], F = a->out.dim[1];
    for (int64_t n = 0; n < N; n++)
        for (int64_t f = 0; f < F; f += VL) {
            const int64_t left = lanes_at(f, F);
            const vf gate = act_load_n(a->gate_up.data, 2 * n * F + f, left, bf16);
            const vf up = act_load_n(a->gate_up.data, (2 * n + 1) * F + f, left, bf16);
            act_store_n(a->out.data, n * F + f, vf_mul(vf_mul(gate, vf_sigmoid(gate)), up), left,
                        bf16);
        }
}

void CPU_FN(swiglu)(const swiglu_args *a)
{
    if (a->out.type == DTYPE_BF16)
        swiglu_rows(a, true);
    else
        swiglu_rows(a, false);
}

/* dgate = dout up (s + gate s (1 - s)), dup = dout gate s, s = sigmoid(gate) */
INLINE void swiglu_backward_rows(const swiglu_backward_args *a, const bool bf16)
{
    const int64_t N = a->dout.dim[0], F = a->dout.dim[1];
    for (int64_t n = 0; n < N; n++)
        for (int64_t f = 0; f < F; f += VL) {
            const int64_t left = lanes_at(f, F), at = 2 * n * F + f;
            const vf gate = act_load_n(a->gate_up.data, at, left, bf16);
            const vf up = act_load_n(a->gate_up.data, at + F, left, bf16);
            const vf dout = act_load_n(a->dout.data, n * F + f, left, bf16);
            const vf s = vf_sigmoid(gate), silu = vf_mul(gate, s);
            const vf slope = vf_fma(silu, vf_sub(vf_set(1.f), s), s);
            act_store_n(a->dgate_up.data, at, vf_mul(vf_mul(dout, up), slope), left, bf16);
            act_store_n(a->dgate_up.data, at + F, vf_mul(dout, silu), left, bf16);
        }
}

void CPU_FN(swiglu_backward)(const swiglu_backward_args *a)
{
    if (a->dout.type == DTYPE_BF16)
        swiglu_backward_rows(a, true);
    else
        swiglu_backward_rows(a, false);
}

INLINE void rope_rows(const rope_args *a, const bool bf16)
{
    const int64_t width = (a->NH + 2 * a->NKV) * a->HS, half = a->HS / 2, N = a->qkv.dim[0];
    const float sign = a->inverse ? -1.f : 1.f;
    float cosines[ROPE_HALF_MAX], sines[ROPE_HALF_MAX];
    for (int64_t n = 0; n < N; n++) {
        const float *row = (const float *)a->table.data + n % a->T * a->HS;
        for (int64_t i = 0; i < half; i++) {
            cosines[i] = row[2 * i];
            sines[i] = sign * row[2 * i + 1];
        }
        for (int64_t h = 0; h < a->NH + a->NKV; h++) {
            const int64_t at = n * width + h * a->HS;
            for (int64_t i = 0; i < half; i += VL) {
                const int64_t left = lanes_at(i, half);
                const vf c = vf_load_n(cosines + i, left), s = vf_load_n(sines + i, left);
                const vf x = act_load_n(a->qkv.data, at + i, left, bf16);
                const vf y = act_load_n(a->qkv.data, at + half + i, left, bf16);
                act_store_n(a->qkv.data, at + i, vf_fnma(y, s, vf_mul(x, c)), left, bf16);
                act_store_n(a->qkv.data, at + half + i, vf_fma(x, s, vf_mul(y, c)), left, bf16);
            }
        }
    }
}

void CPU_FN(rope)(const rope_args *a)
{
    if (a->qkv.type == DTYPE_BF16)
        rope_rows(a, true);
    else
        rope_rows(a, false);
}

void CPU_FN(convert)(tensor to, tensor from)
{
    const int64_t count = tensor_count(from);
    for (int64_t i = 0; i < count; i += VL) {
        const int64_t left = lanes_at(i, count);
        const vf v = act_load_n(from.data, i, left, from.type == DTYPE_BF16);
        if (to.type == DTYPE_BF16)
            vf_store_bf16_exact_n((uint16_t *)to.data + i, v, left);
        else
            vf_store_n((float *)to.data + i, v, left);
    }
}

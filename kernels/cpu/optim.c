/* optim.c — AdamW over a range of parameters, in one pass over seven streams. */
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/wide.h"

typedef struct adam_constants {
    vf beta1, rest1, beta2, rest2, inverse1, inverse2, eps, rate, decay;
    double gradient_scale;
} adam_constants;

INLINE void adamw_lanes(const adamw_args *a, int64_t i, int64_t left, const adam_constants *k)
{
    float *weights = a->weights.data, *m = a->m.data, *v = a->v.data;
    const vf g =
        a->gradient.type == DTYPE_I64
            ? vf_from_i64_n((const int64_t *)a->gradient.data + i, left, k->gradient_scale)
            : vf_from_f32_scaled_n((const float *)a->gradient.data + i, left, k->gradient_scale);
    const vf w = vf_load_n(weights + i, left);
    const vf m1 = vf_fma(k->beta1, vf_load_n(m + i, left), vf_mul(k->rest1, g));
    const vf v1 = vf_fma(k->beta2, vf_load_n(v + i, left), vf_mul(vf_mul(k->rest2, g), g));
    const vf below = vf_add(vf_sqrt(vf_mul(v1, k->inverse2)), k->eps);
    const vf step = vf_fma(k->decay, w, vf_div(vf_mul(m1, k->inverse1), below));
    const vf out = vf_fnma(k->rate, step, w);
    vf_store_n(m + i, m1, left);
    vf_store_n(v + i, v1, left);
    vf_store_n(weights + i, out, left);
    if (a->copy.data) vf_store_bf16_exact_n((uint16_t *)a->copy.data + i, out, left);
}

void CPU_FN(adamw)(const adamw_args *a)
{
    const step_scalars *s = a->scalars;
    if (s->skip) return;
    const adam_constants k = {
        .beta1 = vf_set(s->beta1),
        .rest1 = vf_set(1.f - s->beta1),
        .beta2 = vf_set(s->beta2),
        .rest2 = vf_set(1.f - s->beta2),
        .inverse1 = vf_set(a->rate * (1.f / s->bias1)),
        .inverse2 = vf_set(1.f / s->bias2),
        .eps = vf_set(s->eps),
        .rate = vf_set(s->learning_rate),
        .decay = vf_set(a->decay ? s->weight_decay : 0.f),
        .gradient_scale = s->gradient_scale,
    };
    const int64_t count = tensor_count(a->weights);
    int64_t i = 0;
    for (; i + VL <= count; i += VL) adamw_lanes(a, i, VL, &k);
    if (i < count) adamw_lanes(a, i, count - i, &k);
}

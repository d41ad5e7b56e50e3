#include "kernels/ref/ref.h"

/* rint(gradient * 2^44) added to *sum, or *flag set and *sum as it was (0 when first) */
static void add_exact(int64_t *sum, float gradient, bool first, double limit, int32_t *flag)
{
    double value = rint((double)gradient * EXACT_SCALE);
    int64_t before = first ? 0 : *sum;
    if (!(fabs(value) < limit)) {
        *flag = 1;
        value = 0;
    }
    if (__builtin_add_overflow(before, (int64_t)value, sum)) {
        *flag = 1;
        *sum = before;
    }
}

status ref_accumulate(device *d, const accumulate_args *a)
{
    (void)d;
    int64_t n = tensor_count(a->gradient);
    const float *gradient = a->gradient.data;
    ASSERT(tensor_count(a->sum) == n && a->gradient.type == DTYPE_F32);
    ASSERT(a->sum.type == (a->kind == REDUCTION_EXACT ? DTYPE_I64 : DTYPE_F32));
    for (int64_t i = 0; i < n; i++) {
        if (a->kind == REDUCTION_EXACT) {
            add_exact((int64_t *)a->sum.data + i, gradient[i], a->first,
                      a->limit > 0 ? a->limit : 0x1p62, a->flag);
            continue;
        }
        float *sum = (float *)a->sum.data + i;
        *sum = a->first ? gradient[i] : *sum + gradient[i];
        if (!isfinite(gradient[i])) *a->flag = 1;
    }
    return OK;
}

status ref_sum_squares(device *d, const sum_squares_args *a)
{
    (void)d;
    int64_t n = tensor_count(a->values);
    double scale = a->values.type == DTYPE_I64 ? 1 / EXACT_SCALE : 1;
    ASSERT(tensor_count(a->out) == (n + CHUNK - 1) / CHUNK && a->out.type == DTYPE_F64);
    for (int64_t c = 0; c * CHUNK < n; c++) {
        double sum = 0;
        for (int64_t i = c * CHUNK; i < n && i < (c + 1) * CHUNK; i++) {
            double value = load(a->values, i) * scale;
            sum += value * value;
        }
        store(a->out, c, sum);
    }
    return OK;
}

status ref_clip_scalars(device *d, const clip_args *a)
{
    (void)d;
    step_scalars *s = a->scalars;
    double total = 0, clip = (double)s->clip;
    for (int64_t c = 0; c < tensor_count(a->squares); c++) total += load(a->squares, c);
    s->grad_norm = s->mean_scale * sqrt(total);
    s->gradient_scale = s->mean_scale;
    if (clip > 0 && s->grad_norm > clip) s->gradient_scale *= clip / s->grad_norm;
    if (a->kind == REDUCTION_EXACT) s->gradient_scale *= 1 / EXACT_SCALE;
    s->skip = *a->flag != 0 || !isfinite(s->grad_norm);
    return OK;
}

status ref_adamw(device *d, const adamw_args *a)
{
    (void)d;
    const step_scalars *s = a->scalars;
    int64_t n = tensor_count(a->weights);
    ASSERT(tensor_count(a->m) == n && tensor_count(a->v) == n && tensor_count(a->gradient) == n);
    ASSERT(none_or_count(a->copy, n));
    if (s->skip) return OK;
    double beta1 = (double)s->beta1, beta2 = (double)s->beta2, rate = (double)s->learning_rate;
    double decay = a->decay ? (double)s->weight_decay : 0;
    for (int64_t i = 0; i < n; i++) {
        double g = load(a->gradient, i) * s->gradient_scale, w = load(a->weights, i);
        double m = beta1 * load(a->m, i) + (1 - beta1) * g;
        double v = beta2 * load(a->v, i) + (1 - beta2) * g * g;
        double step = m / (double)s->bias1 / (sqrt(v / (double)s->bias2) + (double)s->eps);
        step *= (double)a->rate;
        store(a->m, i, m);
        store(a->v, i, v);
        store(a->weights, i, w - rate * (step + decay * w));
        if (some(a->copy)) store(a->copy, i, load(a->weights, i));
    }
    return OK;
}

static uint32_t digest_key(uint32_t j)
{
    return ((j + 1) * 0x9E3779B9u) ^ ((j >> 3) * 0x85EBCA6Bu);
}

status ref_digest(device *d, const digest_args *a)
{
    (void)d;
    int64_t n = tensor_count(a->values);
    const float *values = a->values.data;
    uint64_t *out = a->out.data;
    ASSERT(tensor_count(a->out) == (n + CHUNK - 1) / CHUNK);
    ASSERT(a->values.type == DTYPE_F32 && a->out.type == DTYPE_U64);
    for (int64_t c = 0; c * CHUNK < n; c++) {
        out[c] = 0;
        /* j counts from the start of the chunk, so a chunk's digest does not depend on its place */
        for (int64_t j = 0; j < CHUNK && c * CHUNK + j < n; j += 2) {
            uint32_t x[2] = {0, 0};
            int64_t left = n - c * CHUNK - j;
            memcpy(x, values + c * CHUNK + j, left > 1 ? 8 : 4);
            x[0] += digest_key((uint32_t)j);
            x[1] += digest_key((uint32_t)j + 1);
            out[c] += (uint64_t)x[0] * x[1];
        }
    }
    return OK;
}

status ref_convert(device *d, tensor to, tensor from)
{
    (void)d;
    ASSERT(tensor_count(to) == tensor_count(from));
    for (int64_t i = 0; i < tensor_count(to); i++) store(to, i, load(from, i));
    return OK;
}

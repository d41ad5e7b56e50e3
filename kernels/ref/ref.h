/* ref.h — inside of the ref backend: plain loops, double accumulation, one thread, at once.
 * What these functions compute is the meaning of each op in ops.h; other backends are compared
 * with them. Elements are read and written through load and store, so every floating tensor may be
 * f32, bf16 or f64 (f64 is used by the gradient tests only).                                  */
#ifndef KERNELS_REF_REF_H
#define KERNELS_REF_REF_H

#include "kernels/ops.h"

#include <math.h>

struct device {
    char *workspace; /* the caller's; NULL before reserve */
    int64_t workspace_bytes;
};

/* The first `count` doubles of the workspace. Asking for more than was reserved is a bug. */
double *ref_scratch(const device *d, int64_t count);

static inline double load(tensor t, int64_t i)
{
    switch (t.type) {
    case DTYPE_F32:
        return (double)((const float *)t.data)[i];
    case DTYPE_BF16:
        return (double)f32_from_bf16(((const uint16_t *)t.data)[i]);
    case DTYPE_F64:
        return ((const double *)t.data)[i];
    case DTYPE_I64:
        return (double)((const int64_t *)t.data)[i];
    default:
        assert_failed(__FILE__, __LINE__, "an element type of the arithmetic");
        return 0;
    }
}

/* Rounds once, to nearest even. bf16 goes by way of f32, as on every other backend. */
static inline void store(tensor t, int64_t i, double value)
{
    switch (t.type) {
    case DTYPE_F32:
        ((float *)t.data)[i] = (float)value;
        break;
    case DTYPE_BF16:
        ((uint16_t *)t.data)[i] = bf16_from_f32((float)value);
        break;
    case DTYPE_F64:
        ((double *)t.data)[i] = value;
        break;
    default:
        assert_failed(__FILE__, __LINE__, "an element type of the arithmetic");
    }
}

static inline bool some(tensor t) { return t.data != NULL; }
/* Length of the last axis, and how many rows of it there are. */
static inline int64_t width(tensor t) { return t.dim[t.axes - 1]; }
static inline int64_t rows(tensor t)
{
    int64_t n = 1;
    for (int32_t i = 0; i + 1 < t.axes; i++) n *= t.dim[i];
    return n;
}
/* t is n rows of m; none passes where the field is optional. */
static inline bool shaped(tensor t, int64_t n, int64_t m)
{
    return t.axes == 1 ? n == 1 && t.dim[0] == m : rows(t) == n && width(t) == m;
}
static inline bool none_or(tensor t, int64_t n, int64_t m) { return !some(t) || shaped(t, n, m); }
static inline bool none_or_count(tensor t, int64_t n) { return !some(t) || tensor_count(t) == n; }

/* sum_i a[at_a + i] * b[at_b + i] */
double ref_dot(tensor a, int64_t at_a, tensor b, int64_t at_b, int64_t count);
/* acc[i] += scale * b[at + i] */
void ref_add_scaled(double *acc, double scale, tensor b, int64_t at, int64_t count);
/* t[at + i] = acc[i] */
void ref_store_row(tensor t, int64_t at, const double *acc, int64_t count);

status ref_embed(device *d, const embed_args *a);
status ref_embed_backward(device *d, const embed_backward_args *a);
status ref_norm(device *d, const norm_args *a);
status ref_norm_backward(device *d, const norm_backward_args *a);
status ref_linear(device *d, const linear_args *a);
status ref_linear_backward_input(device *d, const linear_backward_input_args *a);
status ref_linear_backward_weight(device *d, const linear_backward_weight_args *a);
status ref_swiglu(device *d, const swiglu_args *a);
status ref_swiglu_backward(device *d, const swiglu_backward_args *a);
status ref_rope(device *d, const rope_args *a);
status ref_attention(device *d, const attention_args *a);
status ref_attention_backward(device *d, const attention_backward_args *a);
status ref_head(device *d, const head_args *a);
status ref_accumulate(device *d, const accumulate_args *a);
status ref_sum_squares(device *d, const sum_squares_args *a);
status ref_clip_scalars(device *d, const clip_args *a);
status ref_adamw(device *d, const adamw_args *a);
status ref_digest(device *d, const digest_args *a);
status ref_convert(device *d, tensor to, tensor from);

#endif

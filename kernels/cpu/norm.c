/* norm.c — rms and layer norm with the residual addition in front, forward and backward. */
#include "kernels/cpu/kernels.h"

enum { NORM_ROWS = 256 }; /* rows whose gain gradients are summed apart, then added in order */

typedef struct row_moments {
    float mean, rstd;
} row_moments;

/* Writes x + delta, and the moments of it; two passes, so that a large mean costs no digits. */
INLINE row_moments norm_sum(const norm_args *a, const float *x, int64_t at, int64_t C, float *sum,
                            const bool bf16)
{
    vf total = vf_set(0), squares = vf_set(0);
    for (int64_t c = 0; c < C; c += VL) {
        const int64_t left = lanes_at(c, C);
        vf v = vf_load_n(x + c, left);
        if (a->delta.data) v = vf_add(v, act_load_n(a->delta.data, at + c, left, bf16));
        if (sum) vf_store_n(sum + c, v, left);
        total = vf_add(total, v);
        squares = vf_fma(v, v, squares);
    }
    if (a->kind == NORM_RMS)
        return (row_moments){0, 1.f / sqrtf(vf_sum(squares) / (float)C + a->eps)};
    const float mean = vf_sum(total) / (float)C;
    const float *from = sum ? sum : x;
    squares = vf_set(0);
    for (int64_t c = 0; c < C; c += VL) {
        const int64_t left = lanes_at(c, C);
        /* lanes past the row are read as the mean, so they add nothing */
        vf v = vf_sub(vf_load_n(from + c, left), vf_set(mean));
        if (left < VL) v = vf_first(v, left);
        squares = vf_fma(v, v, squares);
    }
    return (row_moments){mean, 1.f / sqrtf(vf_sum(squares) / (float)C + a->eps)};
}

INLINE void norm_rows(const norm_args *a, const bool bf16)
{
    const int64_t N = a->x.dim[0], C = a->x.dim[1];
    for (int64_t n = 0; n < N; n++) {
        const float *x = (const float *)a->x.data + n * C;
        float *sum = a->sum.data ? (float *)a->sum.data + n * C : NULL;
        const row_moments m = norm_sum(a, x, n * C, C, sum, bf16);
        if (a->mean.data) ((float *)a->mean.data)[n] = m.mean;
        ((float *)a->rstd.data)[n] = m.rstd;
        const float *from = sum ? sum : x;
        const vf scale = vf_set(m.rstd), mean = vf_set(m.mean);
        for (int64_t c = 0; c < C; c += VL) {
            const int64_t left = lanes_at(c, C);
            vf v = vf_mul(vf_sub(vf_load_n(from + c, left), mean), scale);
            v = vf_mul(v, act_load_n(a->gain.data, c, left, bf16));
            if (a->bias.data) v = vf_add(v, act_load_n(a->bias.data, c, left, bf16));
            act_store_n(a->out.data, n * C + c, v, left, bf16);
        }
    }
}

void CPU_FN(norm)(const norm_args *a)
{
    if (a->out.type == DTYPE_BF16)
        norm_rows(a, true);
    else
        norm_rows(a, false);
}

/* dx += rstd * (g - mean(g) - xhat * mean(g * xhat)), g = dout * gain; adds to dgain and dbias */
INLINE void norm_backward_row(const norm_backward_args *a, int64_t n, int64_t C, float *dgain,
                              float *dbias, const bool bf16)
{
    const float *x = (const float *)a->x.data + n * C;
    float *dx = (float *)a->dx.data + n * C;
    const bool layer = a->kind == NORM_LAYER;
    const vf rstd = vf_set(((const float *)a->rstd.data)[n]);
    const vf mean = vf_set(layer ? ((const float *)a->mean.data)[n] : 0.f);
    vf sum_g = vf_set(0), sum_gx = vf_set(0);
    for (int64_t c = 0; c < C; c += VL) {
        const int64_t left = lanes_at(c, C);
        const vf dout = act_load_n(a->dout.data, n * C + c, left, bf16);
        const vf xhat = vf_mul(vf_sub(vf_load_n(x + c, left), mean), rstd);
        const vf g = vf_mul(dout, act_load_n(a->gain.data, c, left, bf16));
        sum_g = vf_add(sum_g, g);
        sum_gx = vf_fma(g, xhat, sum_gx);
        vf_store_n(dgain + c, vf_fma(dout, xhat, vf_load_n(dgain + c, left)), left);
        if (dbias) vf_store_n(dbias + c, vf_add(dout, vf_load_n(dbias + c, left)), left);
    }
    const vf mean_g = vf_set(layer ? vf_sum(sum_g) / (float)C : 0.f);
    const vf mean_gx = vf_set(vf_sum(sum_gx) / (float)C);
    for (int64_t c = 0; c < C; c += VL) {
        const int64_t left = lanes_at(c, C);
        const vf dout = act_load_n(a->dout.data, n * C + c, left, bf16);
        const vf xhat = vf_mul(vf_sub(vf_load_n(x + c, left), mean), rstd);
        const vf g = vf_mul(dout, act_load_n(a->gain.data, c, left, bf16));
        const vf inner = vf_fnma(xhat, mean_gx, vf_sub(g, mean_g));
        const vf out = vf_fma(rstd, inner, vf_load_n(dx + c, left));
        vf_store_n(dx + c, out, left);
        if (a->dx_act.data) act_store_n(a->dx_act.data, n * C + c, out, left, bf16);
    }
}

INLINE void add_into(float *to, const float *from, int64_t C)
{
    for (int64_t c = 0; c < C; c += VL) {
        const int64_t left = lanes_at(c, C);
        vf_store_n(to + c, vf_add(vf_load_n(to + c, left), vf_load_n(from + c, left)), left);
    }
}

INLINE void norm_backward_rows(cpu_scratch s, const norm_backward_args *a, const bool bf16)
{
    const int64_t N = a->x.dim[0], C = a->x.dim[1];
    float *part_gain = scratch_take(&s, C * 4), *part_bias = scratch_take(&s, C * 4);
    memset(a->dgain.data, 0, (size_t)C * 4);
    if (a->dbias.data) memset(a->dbias.data, 0, (size_t)C * 4);
    for (int64_t first = 0; first < N; first += NORM_ROWS) {
        memset(part_gain, 0, (size_t)C * 4);
        memset(part_bias, 0, (size_t)C * 4);
        const int64_t end = first + NORM_ROWS < N ? first + NORM_ROWS : N;
        for (int64_t n = first; n < end; n++)
            norm_backward_row(a, n, C, part_gain, a->dbias.data ? part_bias : NULL, bf16);
        add_into(a->dgain.data, part_gain, C);
        if (a->dbias.data) add_into(a->dbias.data, part_bias, C);
    }
}

void CPU_FN(norm_backward)(cpu_scratch s, const norm_backward_args *a)
{
    if (a->dout.type == DTYPE_BF16)
        norm_backward_rows(s, a, true);
    else
        norm_backward_rows(s, a, false);
}

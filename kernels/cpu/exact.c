/* exact.c — gradients as scaled integers, and sums of squares by a fixed pattern. */
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/wide.h"

enum { SQUARE_LANES = 32 }; /* partial sums of a chunk; element i goes to i % 32 on every path */

static void accumulate_exact(const accumulate_args *a)
{
    const int64_t count = tensor_count(a->gradient);
    const float *gradient = a->gradient.data;
    int64_t *sum = a->sum.data;
    const double limit = a->limit > 0 ? a->limit : EXACT_LIMIT;
    const bool past_caches = count > PAST_CACHES;
    bool bad = false;
    int64_t i = 0;
    for (; i + WIDE <= count; i += WIDE)
        bad |= wide_accumulate(sum + i, gradient + i, a->first, past_caches, limit);
    for (; i < count; i++) bad |= exact_add(sum + i, gradient[i], a->first, limit);
    if (past_caches) wide_fence();
    if (bad) *a->flag = 1;
}

static void accumulate_fast(const accumulate_args *a)
{
    const int64_t count = tensor_count(a->gradient);
    const float *gradient = a->gradient.data;
    float *sum = a->sum.data;
    vf bad = vf_set(0); // x - x is NaN where x is not finite, else 0
    for (int64_t i = 0; i < count; i += VL) {
        const int64_t left = lanes_at(i, count);
        const vf g = vf_load_n(gradient + i, left);
        bad = vf_add(bad, vf_sub(g, g));
        vf_store_n(sum + i, a->first ? g : vf_add(vf_load_n(sum + i, left), g), left);
    }
    if (vf_sum(bad) != 0.f) *a->flag = 1;
}

void CPU_FN(accumulate)(const accumulate_args *a)
{
    if (a->kind == REDUCTION_EXACT)
        accumulate_exact(a);
    else
        accumulate_fast(a);
}

/* the 32 partial sums, halved until one is left */
static double squares_fold(double *lanes)
{
    for (int width = SQUARE_LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

void CPU_FN(sum_squares)(const sum_squares_args *a)
{
    const int64_t count = tensor_count(a->values);
    const bool whole = a->values.type == DTYPE_I64;
    double *out = a->out.data;
    for (int64_t chunk = 0; chunk * CHUNK < count; chunk++) {
        const int64_t first = chunk * CHUNK;
        const int64_t n = count - first < CHUNK ? count - first : CHUNK;
        double lanes[SQUARE_LANES] = {0};
        int64_t i;
        if (whole)
            i = wide_squares_i64(lanes, (const int64_t *)a->values.data + first, n);
        else
            i = wide_squares_f32(lanes, (const float *)a->values.data + first, n);
        for (; i < n; i++) {
            const double v =
                whole ? (double)((const int64_t *)a->values.data)[first + i] / EXACT_SCALE
                      : (double)((const float *)a->values.data)[first + i];
            lanes[i % SQUARE_LANES] += v * v;
        }
        out[chunk] = squares_fold(lanes);
    }
}

#include "kernels/ref/ref.h"

static void norm_row(const norm_args *a, int64_t n, int64_t C)
{
    tensor x = some(a->sum) ? a->sum : a->x;
    double mean = 0, square = 0;
    /* mean (layer only), then the mean square around it */
    if (a->kind == NORM_LAYER) {
        for (int64_t c = 0; c < C; c++) mean += load(x, n * C + c);
        mean /= (double)C;
    }
    for (int64_t c = 0; c < C; c++) {
        double centred = load(x, n * C + c) - mean;
        square += centred * centred;
    }
    double rstd = 1 / sqrt(square / (double)C + (double)a->eps);
    for (int64_t c = 0; c < C; c++) {
        double value = (load(x, n * C + c) - mean) * rstd * load(a->gain, c);
        if (some(a->bias)) value += load(a->bias, c);
        store(a->out, n * C + c, value);
    }
    if (some(a->mean)) store(a->mean, n, mean);
    if (some(a->rstd)) store(a->rstd, n, rstd);
}

status ref_norm(device *d, const norm_args *a)
{
    (void)d;
    int64_t N = rows(a->x), C = width(a->x);
    ASSERT(shaped(a->out, N, C) && none_or(a->sum, N, C) && none_or(a->delta, N, C));
    ASSERT(tensor_count(a->gain) == C && none_or_count(a->bias, C));
    ASSERT(none_or_count(a->mean, N) && none_or_count(a->rstd, N));
    ASSERT(some(a->sum) || !some(a->delta));
    for (int64_t n = 0; n < N; n++) {
        /* the stream as it will be read from now on, rounded to its type */
        for (int64_t i = n * C; some(a->sum) && i < (n + 1) * C; i++)
            store(a->sum, i, load(a->x, i) + (some(a->delta) ? load(a->delta, i) : 0));
        norm_row(a, n, C);
    }
    return OK;
}

static void norm_backward_row(const norm_backward_args *a, double *dgain, double *dbias, int64_t n,
                              int64_t C)
{
    double mean = a->kind == NORM_LAYER ? load(a->mean, n) : 0, rstd = load(a->rstd, n);
    double mean_g = 0, mean_gx = 0;
    for (int64_t c = 0; c < C; c++) {
        double dout = load(a->dout, n * C + c), xhat = (load(a->x, n * C + c) - mean) * rstd;
        dgain[c] += dout * xhat;
        dbias[c] += dout;
        mean_g += dout * load(a->gain, c) / (double)C;
        mean_gx += dout * load(a->gain, c) * xhat / (double)C;
    }
    if (a->kind == NORM_RMS) mean_g = 0;
    for (int64_t c = 0; c < C; c++) {
        int64_t i = n * C + c;
        double g = load(a->dout, i) * load(a->gain, c), xhat = (load(a->x, i) - mean) * rstd;
        store(a->dx, i, load(a->dx, i) + rstd * (g - mean_g - xhat * mean_gx));
        if (some(a->dx_act)) store(a->dx_act, i, load(a->dx, i));
    }
}

status ref_norm_backward(device *d, const norm_backward_args *a)
{
    int64_t N = rows(a->x), C = width(a->x);
    double *dgain = ref_scratch(d, 2 * C), *dbias = dgain + C;
    ASSERT(shaped(a->dx, N, C) && none_or(a->dx_act, N, C) && shaped(a->dout, N, C));
    ASSERT(tensor_count(a->gain) == C && tensor_count(a->dgain) == C && none_or_count(a->dbias, C));
    ASSERT(tensor_count(a->rstd) == N && (a->kind == NORM_RMS || tensor_count(a->mean) == N));
    for (int64_t c = 0; c < C; c++) dgain[c] = dbias[c] = 0;
    for (int64_t n = 0; n < N; n++) norm_backward_row(a, dgain, dbias, n, C);
    ref_store_row(a->dgain, 0, dgain, C);
    if (some(a->dbias)) ref_store_row(a->dbias, 0, dbias, C);
    return OK;
}

#include "kernels/ref/ref.h"

/* gelu, tanh form (Hendrycks & Gimpel 2016): x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
static const double GELU_SCALE = 0.79788456080286535588, GELU_CUBE = 0.044715;

static double activation_of(activation act, double x)
{
    if (act == ACT_NONE) return x;
    ASSERT(act == ACT_GELU);
    return 0.5 * x * (1 + tanh(GELU_SCALE * (x + GELU_CUBE * x * x * x)));
}

static double activation_slope(activation act, double x)
{
    if (act == ACT_NONE) return 1;
    ASSERT(act == ACT_GELU);
    double t = tanh(GELU_SCALE * (x + GELU_CUBE * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * GELU_SCALE * (1 + 3 * GELU_CUBE * x * x);
}

status ref_linear(device *d, const linear_args *a)
{
    (void)d;
    int64_t M = rows(a->x), K = width(a->x), N = rows(a->w);
    ASSERT(width(a->w) == K && shaped(a->out, M, N) && none_or_count(a->bias, N));
    ASSERT(a->act == ACT_NONE ? !some(a->pre) : shaped(a->pre, M, N));
    for (int64_t m = 0; m < M; m++)
        for (int64_t n = 0; n < N; n++) {
            double pre = ref_dot(a->x, m * K, a->w, n * K, K);
            if (some(a->bias)) pre += load(a->bias, n);
            if (some(a->pre)) store(a->pre, m * N + n, pre);
            store(a->out, m * N + n, activation_of(a->act, pre));
        }
    return OK;
}

status ref_linear_backward_input(device *d, const linear_backward_input_args *a)
{
    int64_t M = rows(a->dy), N = width(a->dy), K = width(a->w);
    double *acc = ref_scratch(d, K);
    ASSERT(rows(a->w) == N && shaped(a->dx, M, K));
    ASSERT(a->act == ACT_NONE || shaped(a->pre, M, K));
    for (int64_t m = 0; m < M; m++) {
        for (int64_t k = 0; k < K; k++) acc[k] = 0;
        for (int64_t n = 0; n < N; n++) ref_add_scaled(acc, load(a->dy, m * N + n), a->w, n * K, K);
        for (int64_t k = 0; k < K && a->act != ACT_NONE; k++)
            acc[k] *= activation_slope(a->act, load(a->pre, m * K + k));
        ref_store_row(a->dx, m * K, acc, K);
    }
    return OK;
}

status ref_linear_backward_weight(device *d, const linear_backward_weight_args *a)
{
    int64_t M = rows(a->dy), N = width(a->dy), K = width(a->x);
    double *acc = ref_scratch(d, K);
    ASSERT(rows(a->x) == M && shaped(a->dw, N, K) && none_or_count(a->dbias, N));
    for (int64_t n = 0; n < N; n++) {
        double bias = 0;
        for (int64_t k = 0; k < K; k++) acc[k] = 0;
        for (int64_t m = 0; m < M; m++) {
            double dy = load(a->dy, m * N + n);
            ref_add_scaled(acc, dy, a->x, m * K, K);
            bias += dy;
        }
        ref_store_row(a->dw, n * K, acc, K);
        if (some(a->dbias)) store(a->dbias, n, bias);
    }
    return OK;
}

static double logistic(double x) { return 1 / (1 + exp(-x)); }

status ref_swiglu(device *d, const swiglu_args *a)
{
    (void)d;
    int64_t N = rows(a->out), F = width(a->out);
    ASSERT(shaped(a->gate_up, N, 2 * F));
    for (int64_t n = 0; n < N; n++)
        for (int64_t f = 0; f < F; f++) {
            double gate = load(a->gate_up, n * 2 * F + f),
                   up = load(a->gate_up, (n * 2 + 1) * F + f);
            store(a->out, n * F + f, gate * logistic(gate) * up);
        }
    return OK;
}

status ref_swiglu_backward(device *d, const swiglu_backward_args *a)
{
    (void)d;
    int64_t N = rows(a->dout), F = width(a->dout);
    ASSERT(shaped(a->gate_up, N, 2 * F) && shaped(a->dgate_up, N, 2 * F));
    for (int64_t n = 0; n < N; n++)
        for (int64_t f = 0; f < F; f++) {
            int64_t g = n * 2 * F + f, u = g + F;
            double gate = load(a->gate_up, g), up = load(a->gate_up, u);
            double dout = load(a->dout, n * F + f), s = logistic(gate);
            /* silu' = s (1 + x (1 - s)) */
            store(a->dgate_up, g, dout * up * s * (1 + gate * (1 - s)));
            store(a->dgate_up, u, dout * gate * s);
        }
    return OK;
}

#include "kernels/ref/ref.h"

/* logits (V) of token n and their log sum exp */
static double head_row(const head_args *a, int64_t n, double *logits, int64_t V, int64_t C)
{
    double highest = -INFINITY, total = 0;
    for (int64_t v = 0; v < V; v++) {
        logits[v] = ref_dot(a->x, n * C, a->w, v * C, C);
        if (logits[v] > highest) highest = logits[v];
    }
    for (int64_t v = 0; v < V; v++) total += exp(logits[v] - highest);
    return highest + log(total);
}

/* d loss / d logit, of mean(loss) + z_loss mean(lse^2) */
static double head_slope(const head_args *a, double logit, double lse, bool target, int64_t N)
{
    double p = exp(logit - lse);
    return ((1 + 2 * (double)a->z_loss * lse) * p - (target ? 1 : 0)) / (double)N;
}

status ref_head(device *d, const head_args *a)
{
    int64_t N = tensor_count(a->targets), C = width(a->w), V = rows(a->w);
    const int32_t *targets = a->targets.data;
    double *lse = ref_scratch(d, N + V + C), *logits = lse + N, *acc = logits + V;
    ASSERT(shaped(a->x, N, C) && tensor_count(a->losses) == N && a->targets.type == DTYPE_I32);
    ASSERT(some(a->dx) == some(a->dw) && none_or(a->dx, N, C) && none_or(a->dw, V, C));
    for (int64_t n = 0; n < N; n++) {
        REQUIRE(targets[n] >= 0 && targets[n] < V, ERR_INTERNAL,
                "head: target %d at %lld is outside [0, %lld)", targets[n], (long long)n,
                (long long)V);
        lse[n] = head_row(a, n, logits, V, C);
        store(a->losses, n, lse[n] - logits[targets[n]]);
        if (!some(a->dx)) continue;
        for (int64_t c = 0; c < C; c++) acc[c] = 0;
        for (int64_t v = 0; v < V; v++)
            ref_add_scaled(acc, head_slope(a, logits[v], lse[n], v == targets[n], N), a->w, v * C,
                           C);
        ref_store_row(a->dx, n * C, acc, C);
    }
    /* the logits once more, by columns: (N, V) is never held */
    for (int64_t v = 0; v < V && some(a->dw); v++) {
        for (int64_t c = 0; c < C; c++) acc[c] = 0;
        for (int64_t n = 0; n < N; n++) {
            double logit = ref_dot(a->x, n * C, a->w, v * C, C);
            ref_add_scaled(acc, head_slope(a, logit, lse[n], v == targets[n], N), a->x, n * C, C);
        }
        ref_store_row(a->dw, v * C, acc, C);
    }
    return OK;
}

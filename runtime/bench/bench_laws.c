#include "bench/bench_laws.h"

#include <math.h>

double scaling_amdahl(double serial, double ranks)
{
    return 1.0 / (serial + (1.0 - serial) / ranks);
}

double scaling_usl(double sigma, double kappa, double ranks)
{
    return ranks / (1.0 + sigma * (ranks - 1.0) + kappa * ranks * (ranks - 1.0));
}

/* 1 / S - 1 / n = s (1 - 1 / n): a line through zero */
static double fit_amdahl(const double *n, const double *speedup, int32_t count)
{
    double xx = 0.0, xy = 0.0;
    for (int32_t i = 0; i < count; i++) {
        double x = 1.0 - 1.0 / n[i], y = 1.0 / speedup[i] - 1.0 / n[i];
        xx += x * x, xy += x * y;
    }
    return xx > 0 ? fmin(1.0, fmax(0.0, xy / xx)) : 0.0;
}

/* (n / S - 1) / (n - 1) = sigma + kappa n: a line with neither coefficient negative */
static void fit_usl(double *sigma, double *kappa, const double *n, const double *speedup,
                    int32_t count)
{
    double s1 = 0, sx = 0, sxx = 0, sy = 0, sxy = 0;
    for (int32_t i = 0; i < count; i++) {
        if (n[i] <= 1) continue;
        double y = (n[i] / speedup[i] - 1.0) / (n[i] - 1.0);
        s1 += 1, sx += n[i], sxx += n[i] * n[i], sy += y, sxy += n[i] * y;
    }
    double d = s1 * sxx - sx * sx;
    *kappa = d > 0 ? (s1 * sxy - sx * sy) / d : 0.0;
    *sigma = (sy - *kappa * sx) / s1;
    if (*kappa < 0) {
        *kappa = 0.0;
        *sigma = fmax(0.0, sy / s1);
    } else if (*sigma < 0) {
        *sigma = 0.0;
        *kappa = fmax(0.0, sxy / sxx);
    }
}

void scaling_fit(scaling_laws *out, const double *ranks, const double *speedup, int32_t count)
{
    int32_t above = 0;
    *out = (scaling_laws){.best_ranks = INFINITY};
    for (int32_t i = 0; i < count; i++) above += ranks[i] > 1;
    out->amdahl_known = above >= 1;
    out->usl_known = above >= 2;
    if (out->amdahl_known) out->serial = fit_amdahl(ranks, speedup, count);
    if (!out->usl_known) return;
    fit_usl(&out->sigma, &out->kappa, ranks, speedup, count);
    if (out->kappa > 0) out->best_ranks = sqrt(fmax(1.0, (1.0 - out->sigma) / out->kappa));
}

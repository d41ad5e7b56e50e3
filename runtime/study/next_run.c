#include "study/next_run.h"

#include <math.h>

/* d ln N_opt / d parameter, by central differences. */
static bool optimum_slope(const fit_result *r, double flops, double *slope)
{
    static const double step = 1e-4;
    const law *form = r->options.form;
    for (int32_t k = 0; k < form->constants; k++) {
        double value[2];
        for (int side = 0; side < 2; side++) {
            double parameter[LAW_CONSTANTS], constant[LAW_CONSTANTS];
            law_frontier f;
            for (int32_t i = 0; i < form->constants; i++) parameter[i] = r->parameter[i];
            parameter[k] += side ? step : -step;
            law_to_constants(form, parameter, constant);
            if (!law_frontier_of(&f, form, constant)) return false;
            value[side] = log(law_frontier_params(&f, flops));
        }
        slope[k] = (value[1] - value[0]) / (2 * step);
    }
    return true;
}

double next_run_gain(const fit_result *r, double flops, law_case at)
{
    const law *form = r->options.form;
    const int32_t n = form->constants;
    double optimum[LAW_CONSTANTS], loss[LAW_CONSTANTS], constant[LAW_CONSTANTS];
    double through[LAW_CONSTANTS] = {0}, before = 0, across = 0, seen = 0;
    if (r->options.bootstrap == 0 || !optimum_slope(r, flops, optimum)) return 0;
    law_to_constants(form, r->parameter, constant);
    (void)law_loss(form, constant, at, loss);
    /* covariance times the slope of the new observation */
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < n; k++) through[i] += r->covariance[i * n + k] * loss[k];
    for (int32_t i = 0; i < n; i++) {
        for (int32_t k = 0; k < n; k++)
            before += optimum[i] * r->covariance[i * n + k] * optimum[k];
        across += optimum[i] * through[i];
        seen += loss[i] * through[i];
    }
    const double noise = r->residual_sd * r->residual_sd;
    const double gain = across * across / ((noise + seen) * before);
    return isfinite(gain) ? fmin(fmax(gain, 0), 1) : 0;
}

#include "law/next_run.h"

#include <math.h>
#include <stdio.h>

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

/* The worth of one more run with these parameters and tokens, kept when it is the best so far. */
static void consider(next_run *out, const fit_result *r, double params, double tokens, double flops)
{
    const law_case here = {.params = params, .tokens = tokens};
    const double gain = next_run_gain(r, out->budget, here);
    if (gain <= 0 || (out->gain > 0 && gain / flops <= out->gain / out->flops)) return;
    out->params = params, out->tokens = tokens, out->flops = flops, out->gain = gain;
}

void next_run_best(next_run *out, const fit_result *r, const points *p)
{
    const law *form = r->options.form;
    double low = INFINITY;
    *out = (next_run){.params = (double)NAN, .tokens = (double)NAN, .flops = (double)NAN};
    for (int32_t i = 0; i < p->count; i++) {
        low = fmin(low, points_flops(&p->row[i]));
        out->budget = fmax(out->budget, points_flops(&p->row[i]));
    }
    /* an exponent that left the reasonable says that the law is not known yet, so no slope is */
    for (int32_t k = 0; k < form->constants; k++) {
        if (form->logarithm[k] || (r->parameter[k] > 0.01 && r->parameter[k] < 2)) continue;
        (void)snprintf(out->reason, sizeof out->reason,
                       "%s = %.3g says that these runs do not determine the law", form->constant[k],
                       r->parameter[k]);
        return;
    }
    for (int32_t i = 0; i < p->count; i++) {
        const fit_point *row = &p->row[i];
        const double flops = points_flops(row), per_token = flops / row->tokens;
        const double params = r->options.nonemb ? row->params_nonemb : row->params;
        consider(out, r, params, row->tokens, flops);
        consider(out, r, params, low / 2 / per_token, low / 2);
        consider(out, r, params, 2 * out->budget / per_token, 2 * out->budget);
    }
    if (!(out->gain > 0))
        (void)snprintf(out->reason, sizeof out->reason, "%s",
                       r->options.bootstrap ? "no run among those considered would narrow it"
                                            : "the fit has no intervals");
}

#include "law/optima.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void optima_warn(optima *o, const char *format, ...)
{
    if (o->warnings == OPTIMA_WARNINGS) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(o->warning[o->warnings++], FIT_WARNING_LENGTH, format, arguments);
    va_end(arguments);
}

void optima_deinit(optima *o)
{
    free(o->budget);
    free(o->replicate);
    o->budget = NULL;
    o->replicate = NULL;
}

bool optima_straight(double out[2], const double *x, const double *y, int32_t count)
{
    double mx = 0, my = 0, xx = 0, xy = 0;
    for (int32_t i = 0; i < count; i++) mx += x[i] / count, my += y[i] / count;
    for (int32_t i = 0; i < count; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        xy += (x[i] - mx) * (y[i] - my);
    }
    if (!(xx > 1e-12)) return false;
    out[1] = xy / xx;
    out[0] = my - out[1] * mx;
    return true;
}

/* A function of the line over its replicates. */
typedef double (*line_quantity)(const double line[OPTIMA_LINE], const void *context);

static fit_value value_of(const optima *o, const double *line, line_quantity quantity,
                          const void *context)
{
    const fit_interval unknown = {NAN, NAN, NAN, NAN};
    fit_value out = {quantity(line, context), NAN, unknown};
    double *sample = o->bootstrap > 1 ? calloc((size_t)o->bootstrap, sizeof *sample) : NULL;
    if (!sample) return out;
    double mean = 0, square = 0;
    for (int32_t k = 0; k < o->bootstrap; k++) {
        sample[k] = quantity(o->replicate + (ptrdiff_t)k * OPTIMA_LINE, context);
        mean += sample[k] / o->bootstrap;
    }
    for (int32_t k = 0; k < o->bootstrap; k++) square += (sample[k] - mean) * (sample[k] - mean);
    out.standard_error = sqrt(square / (o->bootstrap - 1));
    out.interval = fit_interval_of(sample, o->bootstrap);
    free(sample);
    return out;
}

static double part(const double *line, const void *which)
{
    const int32_t k = *(const int32_t *)which;
    return k % 2 ? line[k] : exp(line[k]);
}

void optima_set_line(optima *o, const double line[OPTIMA_LINE])
{
    fit_value *const out[OPTIMA_LINE] = {&o->params_factor, &o->a, &o->tokens_factor, &o->b};
    for (int32_t k = 0; k < OPTIMA_LINE; k++) *out[k] = value_of(o, line, part, &k);
}

static double params_at(const double *line, const void *flops)
{
    return exp(line[0] + line[1] * log(*(const double *)flops));
}

static double tokens_at(const double *line, const void *flops)
{
    return exp(line[2] + line[3] * log(*(const double *)flops));
}

void optima_at(const optima *o, double flops, fit_value *params, fit_value *tokens)
{
    const double line[OPTIMA_LINE] = {log(o->params_factor.value), o->a.value,
                                      log(o->tokens_factor.value), o->b.value};
    *params = value_of(o, line, params_at, &flops);
    *tokens = value_of(o, line, tokens_at, &flops);
}

#include "law/objective.h"

#include "law/vector.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

status objective_init(objective *out, const law *form, const law_points *points, fit_loss loss,
                      double delta)
{
    const size_t padded = (size_t)points->padded;
    *out = (objective){.form = form, .points = points, .loss = loss, .delta = delta};
    out->value = calloc(padded, sizeof(double));
    out->slope = calloc(padded * (size_t)form->constants, sizeof(double));
    out->rho = calloc(padded, sizeof(double));
    if (out->value && out->slope && out->rho) return OK;
    objective_deinit(out);
    FAIL(ERR_MEMORY, "no memory for the residuals of %d points", points->count);
}

void objective_deinit(objective *o)
{
    free(o->value);
    free(o->slope);
    free(o->rho);
    o->value = o->slope = o->rho = NULL;
}

void objective_residuals(const objective *o, const double *parameter)
{
    o->form->log_loss(o->form, o->points, parameter, o->value, o->slope);
    for (int32_t i = 0; i < o->points->padded; i++) o->value[i] -= o->points->log_loss[i];
}

/* Eight partial sums: the same order from every instruction set. */
PER_MACHINE static double dot(const double *restrict x, const double *restrict y, int32_t count)
{
    double t[LANES] = {0};
    for (int32_t i = 0; i < count; i += LANES)
        for (int32_t j = 0; j < LANES; j++) t[j] += x[i + j] * y[i + j];
    return ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]));
}

/* residual r = value - log_loss; rho(r) into rho, w rho'(r) into value */
PER_MACHINE static void losses(double *restrict value, double *restrict rho, const law_points *p,
                               fit_loss loss, double delta)
{
    const double *restrict observed = p->log_loss, *restrict w = p->weight;
    const int32_t count = p->padded;
    if (loss == FIT_HUBER) {
        for (int32_t i = 0; i < count; i++) {
            const double r = value[i] - observed[i], size = larger(r, -r);
            const double inside = size > delta ? delta : size;
            rho[i] = inside * (size - 0.5 * inside);
            value[i] = w[i] * (r > 0 ? inside : -inside);
        }
    } else if (loss == FIT_LAD) {
        for (int32_t i = 0; i < count; i++) {
            const double r = value[i] - observed[i];
            rho[i] = larger(r, -r);
            value[i] = w[i] * ((r > 0 ? 1.0 : 0.0) - (r < 0 ? 1.0 : 0.0));
        }
    } else {
        for (int32_t i = 0; i < count; i++) {
            const double r = value[i] - observed[i];
            rho[i] = r * r;
            value[i] = w[i] * (2 * r);
        }
    }
}

double objective_at(const objective *o, const double *parameter, double *gradient)
{
    const law_points *p = o->points;
    o->form->log_loss(o->form, p, parameter, o->value, gradient ? o->slope : NULL);
    losses(o->value, o->rho, p, o->loss, o->delta);
    const double sum = dot(o->rho, p->weight, p->padded);
    for (int32_t k = 0; gradient && k < o->form->constants; k++)
        gradient[k] = dot(o->value, o->slope + (ptrdiff_t)k * p->padded, p->padded);
    return sum;
}

const char *fit_loss_name(fit_loss loss)
{
    static const char *const names[] = {"huber", "lad", "mse"};
    return names[loss];
}

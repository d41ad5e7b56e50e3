/* objective.h — how far a law is from points: a sum (never a mean) over r = ln L_law - ln
 * L_observed. huber: r^2 / 2 inside delta, delta (|r| - delta / 2) outside; lad: |r|; mse: r^2.
 * Flow: laws.h, points.h -> minimize.h, fit.h                                                   */
#ifndef LAW_OBJECTIVE_H
#define LAW_OBJECTIVE_H

#include "law/laws.h"

typedef enum fit_loss { FIT_HUBER, FIT_LAD, FIT_MSE } fit_loss;

typedef struct objective {
    const law *form;
    const law_points *points; /* borrowed */
    fit_loss loss;
    double delta;
    double *value; /* scratch: padded */
    double *rho;   /* scratch: padded */
    double *slope; /* scratch: constants x padded */
} objective;

/* Takes scratch memory; ERR_MEMORY. The caller deinits. */
status objective_init(objective *out, const law *form, const law_points *points, fit_loss loss,
                      double delta);
void objective_deinit(objective *o);
/* The sum at these parameters; gradient may be NULL. Not finite where the law is not defined. */
double objective_at(const objective *o, const double *parameter, double *gradient);
/* Leaves ln L_law - ln L_observed in o->value, and the slopes in o->slope. */
void objective_residuals(const objective *o, const double *parameter);
const char *fit_loss_name(fit_loss loss);

#endif

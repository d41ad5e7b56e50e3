/* next_run.h — which further run would teach most about the best size, for its FLOPs.
 * Pure. To first order: a run at (N, D) adds an observation of ln L with the residuals' spread; the
 * covariance of the constants shrinks by it, and with it the variance of ln N_opt at a budget.
 * Flow: fit.h -> next_run -> study, report                                                       */
#ifndef LAW_NEXT_RUN_H
#define LAW_NEXT_RUN_H

#include "law/fit.h"

typedef struct next_run {
    double params, tokens, flops; /* of the run; not a number: none is named            */
    double gain;                  /* part of the variance of ln N_opt that it removes */
    double budget;                /* whose N_opt: the highest FLOPs of the points       */
    char reason[120];             /* why none is named; "": one is                    */
} next_run;

/* Part of the variance of ln N_opt(flops) that one run at `at` removes, in [0, 1); 0 where the fit
 * has no covariance or no frontier. */
double next_run_gain(const fit_result *r, double flops, law_case at);
/* The most gain per FLOP among the cells of p (once more) and the sizes of p at half the lowest and
 * twice the highest FLOPs. A law that the points do not determine names none. */
void next_run_best(next_run *out, const fit_result *r, const points *p);

#endif

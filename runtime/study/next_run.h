/* next_run.h — which further run would teach most about the best size, for its FLOPs.
 * Pure. To first order: a run at (N, D) adds an observation of ln L with the residuals' spread; the
 * covariance of the constants shrinks by it, and with it the variance of ln N_opt at a budget.
 * Flow: law/fit.h -> next_run -> cmd_study.c                                                     */
#ifndef STUDY_NEXT_RUN_H
#define STUDY_NEXT_RUN_H

#include "law/fit.h"

/* Part of the variance of ln N_opt(flops) that one run at `at` removes, in [0, 1); 0 where the fit
 * has no covariance or no frontier. */
double next_run_gain(const fit_result *r, double flops, law_case at);

#endif

/* plan_predict_print.h — predictions as text of 100 columns and as JSON.
 * Flow: plan_predict.c -> plan_predict_print -> stdout */
#ifndef LAUNCHER_PLAN_PREDICT_PRINT_H
#define LAUNCHER_PLAN_PREDICT_PRINT_H

#include "plan/predict.h"

#include <jansson.h>

/* One number of ranks, answered. */
typedef struct predict_case {
    prediction p;
    run_cost run;      /* of `tokens` tokens; only with tokens > 0 */
    double efficiency; /* tokens/s per rank against those of base_ranks */
} predict_case;

/* The answer to --deadline, --budget, --efficiency. */
typedef struct predict_answer {
    bool asked, met;
    double deadline_hours, budget, efficiency; /* 0: not asked  */
    int32_t chosen;                            /* which case    */
} predict_answer;

/* All that is printed. */
typedef struct predict_report {
    const char *model;
    const config *cfg;
    const cluster *hw;
    predict_sharding sharding;
    double tokens;          /* of the run; 0: not said                      */
    int32_t base_ranks;     /* the fewest of 1, 2, 4, ... on which it fits */
    bool weak;              /* the batch grows with the ranks               */
    bool list;              /* --scale was given: the cases are the answer  */
    int64_t critical_ranks; /* that the critical batch keeps at work; 0: not said */
    bool cut;               /* the list ends there, before what was asked         */
    const predict_case *cases;
    int32_t count;
    predict_answer answer;
    bool has_largest; /* the case shown does not fit, and this would  */
    model_config largest;
} predict_report;

void predict_print_text(const predict_report *r);
status predict_print_json(const predict_report *r);
/* The object of one case. The caller owns it. */
json_t *predict_case_json(const predict_report *r, const predict_case *c);

#endif

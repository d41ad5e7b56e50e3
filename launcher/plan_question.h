/* plan_question.h — what plan was asked: the options as text, and as numbers that agree.
 * Flow: cmd_plan.c -> plan_question -> plan_answer.h                                            */
#ifndef LAUNCHER_PLAN_QUESTION_H
#define LAUNCHER_PLAN_QUESTION_H

#include "plan/allocate.h"
#include "plan_predict.h"

/* As typed; NULL: not given. */
typedef struct plan_options {
    const char *flops, *params, *tokens, *loss; /* what is given             */
    const char *gpus, *hours, *mfu, *budget;    /* ... as machines and money */
    const char *unique_tokens, *inference_tokens, *tokens_per_param, *law, *data;
    const char *emit, *chart;
    bool systems;
    plan_predict_options predict; /* --model, --cluster, --ranks, ... and --json */
} plan_options;

typedef struct plan_question {
    allocate_question ask; /* flops is set later where machines or money are given */
    double gpus, seconds;  /* --gpus and --hours; NaN: not given                    */
    double mfu;            /* NaN: modelled                                         */
    double money;          /* --budget; NaN: not given                              */
    bool machine;          /* the budget comes from --gpus or --budget              */
    bool asked;            /* some question was asked                               */
} plan_question;

/* ERR_CONFIG names the option. */
status plan_question_read(plan_question *out, const plan_options *o);

#endif

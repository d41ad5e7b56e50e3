/* plan_predict.h — plan's question "what does this model do on this cluster?": one prediction, or
 * one per number of ranks, as text of 100 columns or JSON.
 * cmd_plan.c parses the options and calls plan_predict; texts are as the user typed them.
 * Flow: plan/predict.h, plan/cluster.h -> plan_predict -> stdout */
#ifndef LAUNCHER_PLAN_PREDICT_H
#define LAUNCHER_PLAN_PREDICT_H

#include "plan/predict.h"

/* NULL: not given. */
typedef struct plan_predict_options {
    const char *model;       /* --model: a row of configs/models, or a run config (its train keys
                                are the defaults of the options below)                            */
    const char *cluster;     /* --cluster: file or name                                           */
    const char *ranks;       /* --ranks: default all of the cluster                               */
    const char *micro_batch; /* --micro-batch: sequences, default 1                               */
    const char *accumulate;  /* --accumulate: micro-batches per rank and step, default 1          */
    const char *batch_tokens; /* --batch-tokens: fixed for every number of ranks (strong scaling),
                                 instead of --accumulate (weak scaling)                           */
    const char *sequence;  /* --sequence: context; default the model's                            */
    const char *sharding;  /* --sharding none|zero1|full, default zero1                           */
    const char *recompute; /* --recompute none|mlp|block, default none                            */
    const char *precision; /* --precision bf16|fp32, default bf16                                 */
    const char *reduction; /* --reduction exact|fast, default exact; full: fast                   */
    const char *tokens;    /* --tokens: of the whole run, for hours, energy, cost                 */
    const char *scale;     /* --scale 1..4096 (powers of two and the end) or 1,2,8                */
    const char *deadline;  /* --deadline 3d: the fewest ranks that end --tokens in time           */
    const char *efficiency; /* --efficiency 0.9: the most ranks that keep it                      */
    const char *budget; /* --budget MONEY: the most ranks whose run of --tokens costs no more  */
    const char *critical_batch; /* --critical-batch TOKENS: the batch does not grow beyond        */
    bool json;
} plan_predict_options;

/* Scratch of this build's kernels where the cluster has their kind; -1 where they are not here to
 * be asked. */
status plan_workspace(int64_t *bytes, const config *cfg, const cluster *hw);
/* What a rank's GPU holds besides the arenas, as one line; "" where ranks are cores. */
void plan_parts(char *text, size_t bytes, const config *cfg, const cluster *hw, int32_t ranks);
/* How a step is held and computed: --sharding, --recompute, --precision, --reduction; what is not
 * given stays as cfg's train says. */
status plan_choices(predict_sharding *sharding, config *cfg, const plan_predict_options *o);
/* Prints to stdout. ERR_CONFIG names the option. */
status plan_predict(const plan_predict_options *o);

#endif

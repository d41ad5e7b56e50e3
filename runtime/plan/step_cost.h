/* step_cost.h — seconds of one micro-batch of a model on one rank: which operations, how large.
 * Pure. The bytes are those of the arrays of model/activations.h that each operation reads and
 * writes.
 * Flow: config.h, cost.h -> step_cost -> predict.c                                               */
#ifndef PLAN_STEP_COST_H
#define PLAN_STEP_COST_H

#include "config/config.h"
#include "plan/cost.h"

/* Seconds by part, and how many operations were started. */
typedef struct pass_cost {
    double products_s, attention_s, memory_s, operations;
} pass_cost;

typedef struct micro_cost {
    pass_cost layer_forward, layer_backward; /* one layer; backward with what is computed again */
    pass_cost head;                          /* final norm, logits, loss and their backward      */
    pass_cost embed;                         /* forward and backward                             */
} micro_cost;

/* How the work is done: what this runtime does, or what frameworks with full sharding do. */
typedef struct work_style {
    double traffic;    /* bytes of memory-bound operations / those of fused ones       */
    bool skips;        /* attention leaves out the blocks above the diagonal            */
    double operations; /* operations started / those of fused ones                  */
} work_style;
extern const work_style style_fused, style_framework;

void step_cost_micro(micro_cost *out, const machine *hw, const config *cfg, const work_style *w);
double pass_seconds(const pass_cost *p);

#endif

/* predict.h — what one optimizer step of a config costs on a cluster: seconds by part, bytes by
 * kind, and from them hours, joules, CO2 and money of a run.
 * Pure: no files, no devices. Bytes are memory.h's own for what the runtime does; time is a model
 * (cost.h) whose constants come from the cluster.
 * Flow: config.h, cluster.h, memory.h -> predict -> launcher/plan_predict.h */
#ifndef PLAN_PREDICT_H
#define PLAN_PREDICT_H

#include "plan/cluster.h"
#include "plan/memory.h"

/* FULL: weights, gradients and state all sharded. The model knows it, train does not run it. */
typedef enum predict_sharding { PREDICT_NONE, PREDICT_ZERO1, PREDICT_FULL } predict_sharding;

typedef struct predict_question {
    const config *cfg; /* model (context = sequence), train.{batch_tokens, micro_batch, precision,
                          reduction, recompute}, checkpoint.asynchronous, evaluate are read      */
    predict_sharding sharding; /* this one counts, not cfg's */
    int32_t ranks;
    int64_t workspace_bytes; /* scratch of the backend (ops->workspace_bytes); -1: modelled */
    int64_t eval_windows; /* windows of the evaluation set; 0: none                             */
} predict_question;

/* The parts of a step; they sum to step_time_s. */
typedef enum step_part {
    PART_PRODUCTS,      /* matrix products, recomputed ones too                            */
    PART_ATTENTION,     /* fused attention, forward and backward                           */
    PART_MEMORY,        /* memory-bound operations: norms, activations, residuals, loss, sums */
    PART_COMMUNICATION, /* reductions and gathers that nothing hides                       */
    PART_OPTIMIZER,     /* norm, clip, update of the own part                              */
    PART_LAUNCH,        /* starting operations faster than they run                        */
    PART_SLOWEST,       /* waiting for the slowest rank                                    */
    STEP_PARTS
} step_part;

typedef struct prediction {
    int32_t ranks, nodes;
    int64_t micro_batches; /* M of the step, over all ranks                    */
    int64_t accumulate;    /* of the rank that has most                        */
    double batch_tokens;
    double step_time_s, part_s[STEP_PARTS];
    double hidden_communication_s; /* beside the parts: done while something else ran */
    double tokens_per_s, tokens_per_s_per_rank;
    double mfu;             /* PaLM count over peak_flops of the precision      */
    double flops_per_token; /* the `model` count                                */
    memory_plan memory;     /* bytes of the fullest rank by kind                */
    int64_t held_bytes;     /* of them in the rank's own memory: all, or those not on the host */
    bool memory_exact;      /* these are the runtime's own counts               */
    bool fits;              /* held_bytes <= memory_bytes                       */
    bool beyond;            /* more ranks than the cluster file has             */
} prediction;

/* ERR_CONFIG: more ranks than micro-batches (names the most ranks that have work), a precision
 * whose peak is unknown, a link the ranks need and the file does not give. Not fitting is no error.
 */
status predict_step(prediction *out, const predict_question *q, const cluster *hw);
const char *step_part_name(step_part part);
const char *predict_sharding_name(predict_sharding s);
/* What train.sharding says. */
predict_sharding predict_sharding_of(const config *cfg);

/* A whole run. NaN where the cluster does not know. */
typedef struct run_cost {
    double steps, hours; /* without failures and checkpoints */
    double rank_hours, energy_j, co2_g, money;
    /* with failures (goodput.h); NaN without mtbf_hours */
    double mtbf_hours;            /* of all nodes together                                */
    double checkpoint_s;          /* seconds training stands still for one checkpoint     */
    double checkpoint_write_s;    /* seconds until it is on disk, beside training or not  */
    double restart_s;             /* seconds from a failure to training again             */
    double checkpoint_interval_s; /* Daly's                                               */
    double goodput;               /* useful time / wall time                              */
    double wall_hours;            /* hours / goodput                                      */
} run_cost;
/* tokens: of the whole run, > 0. */
void predict_run(run_cost *out, const prediction *p, const predict_question *q, const cluster *hw,
                 double tokens);
/* Joules, grams and money of rank_hours on this cluster: watts x PUE, grid, price. */
double cluster_energy_j(const cluster *hw, double rank_hours);
double cluster_co2_g(const cluster *hw, double energy_j);
double cluster_money(const cluster *hw, double rank_hours);

/* The largest model of the question's shape (width / layers and head width kept) that fits: its
 * shape and parameters. False when not even one layer does. */
bool predict_largest(model_config *out, const predict_question *q, const cluster *hw);

#endif

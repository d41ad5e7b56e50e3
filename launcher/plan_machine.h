/* plan_machine.h — the plan on a cluster: ranks, memory, time, energy, cost, and what would fit.
 * Flow: plan_answer.c -> plan_machine -> plan/predict.h                                          */
#ifndef LAUNCHER_PLAN_MACHINE_H
#define LAUNCHER_PLAN_MACHINE_H

#include "plan_answer.h"

/* Reads --cluster and --sharding. */
status plan_machine_read(plan_answer *a);
/* Predicts a->cfg; may choose a smaller micro-batch so that all ranks work or the run fits. */
status plan_machine_predict(plan_answer *a);
/* The ranks that were asked for are more than a step of the plan can be cut into. */
bool plan_machine_idle(const plan_answer *a);
/* Ranks the plan asks for: --ranks, --gpus, else the cluster's. */
status plan_machine_ranks(int32_t *out, const plan_answer *a);

#endif

/* plan_emit.h — a plan as files that run: DIR/config.yaml for train, DIR/run.sbatch for Slurm (or
 * bash).
 * Flow: plan_answer.h, plan_config.h -> plan_emit -> files                                       */
#ifndef LAUNCHER_PLAN_EMIT_H
#define LAUNCHER_PLAN_EMIT_H

#include "plan_answer.h"

/* ERR_CONFIG for what does not fit or train would refuse; nothing is written then. */
status plan_emit(const plan_answer *a, const char *folder);

#endif

/* plan_config.h — the run config of a plan, as text with comments and as the structs train reads.
 * The text is parsed back before anything else uses it, so what is predicted is what is emitted.
 * Flow: plan_answer.h -> plan_config -> plan_machine.h, plan_emit.h                              */
#ifndef LAUNCHER_PLAN_CONFIG_H
#define LAUNCHER_PLAN_CONFIG_H

#include "plan_answer.h"

/* The YAML of the run; with the forecast when `graded`. The caller frees. ERR_MEMORY. */
status plan_config_text(char **out, const plan_answer *a, bool graded);
/* The same parsed into a->cfg. ERR_CONFIG for what train would refuse as a config. */
status plan_config_build(plan_answer *a);

#endif

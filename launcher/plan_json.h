/* plan_json.h — the answer of plan as one JSON object (DESIGN: commands). What a law does not say
 * is null. Every interval carries its level. Flow: plan_answer.h -> plan_json -> stdout */
#ifndef LAUNCHER_PLAN_JSON_H
#define LAUNCHER_PLAN_JSON_H

#include "plan_answer.h"

/* emitted: the folder written by --emit, or NULL. */
status plan_json_print(const plan_answer *a, const char *emitted);

#endif

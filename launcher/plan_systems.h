/* plan_systems.h — the systems of the literature as a table or JSON: size, tokens, compute, cost,
 * and the loss each law predicts for them on its own data. Flow: plan/systems.h, law/published.h ->
 * plan_systems -> stdout                                */
#ifndef LAUNCHER_PLAN_SYSTEMS_H
#define LAUNCHER_PLAN_SYSTEMS_H

#include "plan/systems.h"

status plan_systems(bool json);

#endif

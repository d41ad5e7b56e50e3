/* plan_forecast.h — the loss of the very run that is planned, where a law of one's own allows it.
 * Flow: plan_answer.c -> plan_forecast -> law/law_file.h, data/samples.h                         */
#ifndef LAUNCHER_PLAN_FORECAST_H
#define LAUNCHER_PLAN_FORECAST_H

#include "plan_answer.h"

/* Sets a->forecast: known, or why not. ERR_* only where the data cannot be opened. */
status plan_forecast_build(plan_answer *a);

#endif

/* footprint.h — bytes of the fullest rank by kind, also for what the runtime does not do yet.
 * What it does is memory.h's own count, exactly; full sharding, recomputation and a scratch nobody
 * asked the backend for are modelled on the same lists of arrays.
 * Flow: memory.h, activations.h -> footprint -> predict.h                                        */
#ifndef PLAN_FOOTPRINT_H
#define PLAN_FOOTPRINT_H

#include "plan/predict.h"

/* *exact: every kind is the runtime's own count. */
void footprint_build(memory_plan *out, bool *exact, const predict_question *q, const layout *l);

#endif

/* footprint.h — bytes of the fullest rank by kind, also for what the runtime does not do yet.
 * What it does is memory.h's own count, exactly; full sharding and a scratch nobody asked the
 * backend for are modelled on the same lists of arrays.
 *
 * Flow: memory.h, activations.h -> footprint -> predict.h                                        */
#ifndef PLAN_FOOTPRINT_H
#define PLAN_FOOTPRINT_H

#include "plan/predict.h"

/* *exact: every kind is the runtime's own count. on_device: ranks have a memory of their own beside
 * the host's. */
void footprint_build(memory_plan *out, bool *exact, const predict_question *q, const layout *l,
                     bool on_device);
/* The bytes that must fit into a rank's memory: all, or those on the device. */
int64_t footprint_bytes(const memory_plan *p, bool on_device);

#endif

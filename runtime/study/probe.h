/* probe.h — how fast this machine trains a config right now: a few seconds of real steps.
 * Flow: expand.h, execute.h -> probe -> the choice of a scale, times of a dry run */
#ifndef STUDY_PROBE_H
#define STUDY_PROBE_H

#include "comm/world.h"
#include "config/config.h"

/* FLOP/s (`model` count) of all ranks of w together, over at least one step after a first one that
 * is not timed, until `seconds` are over. COLLECTIVE. */
status probe_rate(double *flops_per_s, world *w, const config *cfg, double seconds);

#endif

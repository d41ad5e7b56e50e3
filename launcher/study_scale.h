/* study_scale.h — which of a study's scales is trained: the one that its folder remembers, or the
 * largest that fits the minutes at the speed of a few real steps.
 * Flow: study_session.h, study/probe.h -> the runs of one scale */
#ifndef LAUNCHER_STUDY_SCALE_H
#define LAUNCHER_STUDY_SCALE_H

#include "study_session.h"

/* Tries the scales from the smallest on; leaves the runs of the largest that fits. COLLECTIVE */
status study_scale_choose(study_session *x);
/* Speed of the slowest kind of run in FLOP/s, on all ranks at once as the study will use them,
 * measured for about `seconds`.
 * COLLECTIVE */
status study_scale_rate(study_session *x, double seconds, double *flops_per_s);
/* Notes the scale in the study's folder, where there is one. */
status study_scale_remember(const study_session *x);

#endif

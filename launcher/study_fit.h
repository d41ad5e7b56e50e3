/* study_fit.h — what follows a study: Approaches 2 and 3 over its points, LAW.json, the exact
 * entropy beside the fitted one, and the run that would teach most.
 * Flow: study/results.h, run directories -> report/run_points.h -> law -> LAW.json, terminal */
#ifndef LAUNCHER_STUDY_FIT_H
#define LAUNCHER_STUDY_FIT_H

#include "study/results.h"

#include <jansson.h>

/* Fits every variant of the study by itself and prints what came out; DIR/LAW.json, or
 * DIR/LAW-VARIANT.json. What the points do not allow is said, not an error. Appends to fits one
 * {variant, approach_2, approach_2_without_embedding, law, law_file, entropy, next_run} for each
 * variant, without what the points do not allow; reason, approach_2_reason, law_reason say why. */
status study_fit(json_t *fits, const char *folder, const study *s, const study_runs *runs,
                 const result *r);

#endif

/* study_json.h — a study as one JSON object: what would run, or what came out.
 * Flow: study_print.h, study.json -> cmd_study.c                                                 */
#ifndef LAUNCHER_STUDY_JSON_H
#define LAUNCHER_STUDY_JSON_H

#include "study_print.h"

#include <jansson.h>

/* {name, runs [], flops, groups, ranks_per_run, flops_per_s, time_s, energy_j, energy_source};
 * new reference. */
status study_json_plan(json_t **out, const study *s, const study_runs *runs,
                       const study_forecast *f);
/* DIR/study.json with `execution` beside it: groups, what is done, failed and left, and how long
 * the groups were busy; new reference. */
status study_json_results(json_t **out, const char *folder, const execute_report *e);

#endif

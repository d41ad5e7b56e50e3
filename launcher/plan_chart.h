/* plan_chart.h — parameters against tokens: the systems of the literature, lines of equal compute,
 * compute-optimal lines, and the user's plan and runs among them. gnuplot draws; its script stays
 * beside the picture.
 * Flow: plan/systems.h, law/published.h, summary.json of runs -> plan_chart -> FILE.svg          */
#ifndef LAUNCHER_PLAN_CHART_H
#define LAUNCHER_PLAN_CHART_H

#include "plan_answer.h"

/* plan NULL: none. runs: run directories. Says on stderr where gnuplot is missing: the script is
 * written all the same. */
status plan_chart(const char *path, const plan_answer *plan, const char *const *runs,
                  int32_t run_count);

#endif

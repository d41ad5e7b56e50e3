/* report.h — what runs, a study or a comparison have to say, as a page.
 * From records alone: no run is repeated, nothing on the page depends on the machine or the day the
 * report is made, and host names and paths in the records do not reach it.
 * Flow: run_set.h, law -> report -> page.h -> launcher                                          */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "plan/cluster.h"
#include "report/page.h"
#include "report/run_set.h"

typedef struct report_options {
    const cluster *machine; /* watts and prices where no meter was; NULL: absent stays absent */
    int32_t bootstrap;      /* replicates of fits                                            */
} report_options;

/* All sections that these runs have something for. title: what they are. The caller deinits. */
status report_build(page *out, const run_set *set, const char *title,
                    const report_options *options);
/* Two runs, or two sets of runs paired by seed. */
status compare_build(page *out, const run_set *a, const run_set *b);

#endif

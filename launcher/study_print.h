/* study_print.h — a study for people: what will run, what runs, what came out.
 * Flow: study/expand.h, study/results.h -> cmd_study.c */
#ifndef LAUNCHER_STUDY_PRINT_H
#define LAUNCHER_STUDY_PRINT_H

#include "law/law_file.h"
#include "plan/cluster.h"
#include "study/execute.h"
#include "study/results.h"

/* What a dry run knows beside the runs. */
typedef struct study_forecast {
    const law_file *law;  /* NULL: no predicted losses                       */
    const double *unique; /* (runs) unique training tokens; 0 unlimited      */
    const int64_t *bytes; /* (runs) per rank, as the planner counts          */
    double flops_per_s;   /* of one group, measured; 0 unknown               */
    int32_t groups;
    const cluster *machine; /* watts where there is no meter; NULL unknown      */
    double repeat_scale;    /* R_D of Muennighoff et al. 2023; not a number: not at hand */
} study_forecast;

/* How often run i reads its data, at most 1 for fresh tokens; and what its tokens are worth as
 * fresh ones: U (1 + R_D (1 - exp(-(D / U - 1) / R_D))), D where nothing repeats. */
typedef struct study_repeat {
    double epochs, fresh_tokens;
} study_repeat;
study_repeat study_repeats(const study_run *run, const study_forecast *f, int32_t i);

/* What the law says of run i; false without a law. low and high may be no numbers. */
bool study_predict(law_forecast *out, const study_run *run, const study_forecast *f, int32_t i);
/* Joules of all groups for so long, by the machine's watts; not a number where they are not known.
 */
double study_energy(const study *s, const study_forecast *f, double time_s);

/* The runs, their FLOPs, predicted losses and the time. */
void study_print_plan(const study *s, const study_runs *runs, const study_forecast *f);
/* Seconds until all runs are over, taken longest first by `groups` groups at this speed. */
double study_duration(const study_runs *runs, int32_t groups, double flops_per_s);

/* One line when a run begins and ends; a message of a run. */
void study_print_begin(const study_run *run, int32_t count);
void study_print_end(const study_run *run, status s, const outcome *o, double busy_s);
void study_print_message(const study_run *run, const char *text);

/* Everything that the runs gave: failures, sweeps, the comparison, trunks, known entropies.
 * machine: watts of runs without a meter; NULL unknown. */
void study_print_results(const study *s, const study_runs *runs, const result *r,
                         const cluster *machine);
/* What the law said of every cell, and what came out: means over the seeds that finished. */
void study_print_forecasts(const study_runs *runs, const result *r, const study_forecast *f);
void study_print_report(const execute_report *e, const study_runs *runs);

#endif

/* run_points.h — runs as points of a fit, and as loss curves.
 * A point is a run to its end: unfinished and diverged runs, runs whose learning rate has not
 * decayed and runs that repeat their data are left out and listed. Runs of another setting (data,
 * tokenizer, validation set, context, optimizer, precision, schedule) are refused: one law, one
 * setting.
 * Flow: run_record.h -> law/points.h, law/optima.h -> fit, report                               */
#ifndef REPORT_RUN_POINTS_H
#define REPORT_RUN_POINTS_H

#include "law/law_file.h"
#include "law/optima.h"
#include "report/run_record.h"

/* What may go into a fit beside whole runs of one setting; all of it must be asked for. */
typedef struct run_points_rules {
    bool repeated;     /* runs that repeat their data                    */
    bool undecayed;    /* runs whose learning rate stayed up             */
    bool any_schedule; /* cosine and wsd and others together             */
} run_points_rules;

/* One line per run left out: "RUN: reason"; owned. */
typedef struct left_out {
    char **line;
    int32_t count;
} left_out;

/* Points of these runs, numbered by line from 1 in the order of the runs. origin: what all of them
 * were trained on. ERR_CONFIG when settings differ or no run is a point. The caller deinits both,
 * also after a failure. */
status run_points_of(points *out, left_out *left, law_origin *origin, const run_record *run,
                     int32_t runs, run_points_rules rules);
void left_out_deinit(left_out *left);
/* FLOPs of the points by the count that their study's budgets are in, else by the model count. */
void run_points_count(points *p, const run_record *run, bool by_budget);
/* What one run was trained on. */
void run_points_origin(law_origin *out, const run_record *r);
/* ERR_CONFIG naming the first setting in which b differs from a. */
status run_points_same_setting(const run_record *a, const run_record *b, run_points_rules rules);

/* Loss curves of runs, finished or not; owned columns. */
typedef struct run_curves {
    loss_curve *curve;
    int32_t count;
    double *column;
} run_curves;
status run_curves_of(run_curves *out, const run_record *run, int32_t runs);
void run_curves_deinit(run_curves *c);

#endif

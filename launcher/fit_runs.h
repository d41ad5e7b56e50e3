/* fit_runs.h — run directories as points of a fit: summary.json and the header of record.jsonl.
 * Unfinished and diverged runs, and runs that repeat their data (unless the law is about that), are
 * left out and listed; runs whose validation data, tokenizer, context, precision, optimizer or
 * schedule differ from the first one's are refused.
 * Flow: run directories -> points.h -> cmd_fit.c                                                */
#ifndef LAUNCHER_FIT_RUNS_H
#define LAUNCHER_FIT_RUNS_H

#include "law/law_file.h"

/* One line per run left out: "RUN: reason"; owned. */
typedef struct fit_left_out {
    char **line;
    int32_t count;
} fit_left_out;

/* The caller deinits both. origin: what all these runs were trained on. */
status fit_runs_read(points *out, fit_left_out *left, law_origin *origin,
                     const char *const *folders, int32_t count, bool repeated);
void fit_left_out_deinit(fit_left_out *left);

#endif

/* grade.h — what was forecast of a run, beside what came out: loss, time, memory, energy.
 * The forecast is the config's section of that name, which plan --emit writes. A run of another
 * size, length or validation set is not graded, time and energy only on the planned ranks.
 * Flow: config, run summary -> grade -> summary.json, the last lines of train                    */
#ifndef TRAIN_GRADE_H
#define TRAIN_GRADE_H

#include "train/describe.h"

/* One quantity; NaN: not forecast, or not measured. */
typedef struct grade_value {
    double predicted, got;
} grade_value;

typedef struct grade {
    bool forecast;  /* the config has one                           */
    bool other_run; /* ... about another run than this one          */
    bool has_loss;  /* a loss was forecast                          */
    bool graded;    /* ... and there is one to compare              */
    bool inside;    /* low <= loss <= high                          */
    double loss, low, high, got, level;
    grade_value time_s, bytes_per_rank, energy_j;
} grade;

void grade_run(grade *out, const run *r, const run_summary *s);

#endif

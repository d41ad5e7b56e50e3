/* loop.h — a training run from its directory to its summary: open or resume, steps, evaluations,
 * checkpoints, record. Prints nothing: what a person should see goes through the hooks, which are
 * called on rank 0 only.          */
#ifndef TRAIN_LOOP_H
#define TRAIN_LOOP_H

#include "train/describe.h"
#include "train/run.h"

typedef struct step_view {
    step_result step;
    double tokens_per_s; /* of the last steps */
    double mfu;          /* NaN unknown       */
    double left_s;       /* estimated seconds to the end */
} step_view;

/* Every hook may be NULL. */
typedef struct train_hooks {
    void *context;
    void (*opened)(void *context, const run *r); /* plan and data are known, no memory taken yet */
    void (*started)(void *context, const run *r,
                    double peak_flops); /* about to take the first step */
    void (*step)(void *context, const run *r, const step_view *view);
    void (*evaluated)(void *context, const run *r, const evaluation *e);
    void (*message)(void *context, const char *text);
    void (*finished)(void *context, const run *r, const run_summary *s);
    bool (*stop)(void *context); /* asked after every step, on every rank */
} train_hooks;

typedef struct train_options {
    const char *folder; /* the run directory */
    bool resume, accept_other_arithmetic;
    const char *command; /* command line, for the record */
    double time_limit_s; /* write a checkpoint and leave in time for this; 0 = no limit */
} train_options;

/* COLLECTIVE. INTERRUPTED after a stop with a checkpoint written; ERR_* else. */
status train_loop(world *w, const config *cfg, const train_options *options,
                  const train_hooks *hooks);

#endif

/* execute.h — the runs of a study on the ranks at hand.
 * The ranks are split into groups of ranks_per_run, each a world of its own; the groups take runs
 * from the ledger, longest first, until none is left. A run that fails by its config, by memory, by
 * its numbers or by a file ends alone; a lost peer or device ends the job, which resumes. Results
 * do not depend on how many groups there are or which group trained what. Flow: expand.h, ledger.h
 * -> execute -> run directories, ledger -> table.h                      */
#ifndef STUDY_EXECUTE_H
#define STUDY_EXECUTE_H

#include "comm/world.h"
#include "study/expand.h"
#include "study/outcome.h"

typedef struct executor executor;

/* Called on the first rank of the group that trains the run; each may be NULL but stop. */
typedef struct execute_hooks {
    void *context;
    void (*begin)(void *context, const study_run *run, int32_t group, int64_t from_step);
    void (*end)(void *context, const study_run *run, status s, const outcome *o, double busy_s);
    void (*message)(void *context, const study_run *run, const char *text);
    bool (*stop)(void *context); /* on every rank: a signal asked to leave */
} execute_hooks;

typedef struct execute_options {
    const char *folder; /* of the study                              */
    const char *test;   /* test tokens; "" none                      */
    const char *command;
    int32_t ranks_per_run;
    bool retry; /* also runs that failed by their own fault  */
    bool accept_other_arithmetic;
} execute_options;

typedef struct execute_report {
    int32_t groups, done, failed, left;
    double wall_s, busy_s;               /* of this call; busy summed over groups        */
    double utilisation;                  /* busy_s / (groups x wall_s)                   */
    int32_t damaged_lines, damaged_from; /* of the ledger, when it was opened; 0 none */
} execute_report;

/* Splits the world, opens the ledger and recovers it. ERR_CONFIG when the ranks do not make whole
 * groups. COLLECTIVE. The caller closes. w, options and hooks are borrowed. */
status execute_open(executor **out, world *w, const execute_options *options,
                    const execute_hooks *hooks);
/* Runs all that are open. mine: (count) which ones this job does; NULL all. INTERRUPTED when it was
 * asked to stop. COLLECTIVE. */
status execute_runs(executor *x, const study_runs *runs, const bool *mine, execute_report *report);
/* NULL is a no-op. COLLECTIVE. */
void execute_close(executor *x);

#endif

/* expand.h — a study as the list of its runs: names, resolved configs, costs.
 * Pure but for reading the base config and the models files. Every run is one config of
 * runtime/config, so a value that a single run would refuse is refused here, before any run.
 * Flow: study.h -> expand -> ledger.h, execute.h, table.h                                       */
#ifndef STUDY_EXPAND_H
#define STUDY_EXPAND_H

#include "config/config.h"
#include "study/study.h"

enum { STUDY_RUNS_MAX = 4096 };

/* What the run is in the study beside its own numbers. */
typedef enum run_role {
    RUN_POINT,   /* counts in tables and fits                                     */
    RUN_SWEEP,   /* chooses a learning rate, and counts when it is the chosen one */
    RUN_BRACKET, /* the same cell at another learning rate, to show what it does  */
    RUN_TRUNK,   /* a stretch of constant learning rate that others branch from   */
    RUN_TWIN     /* a cosine run beside a branched one                            */
} run_role;

typedef struct study_run {
    char name[96]; /* of the run and of its folder                */
    char cell[96]; /* the name without seed and factor            */
    char arm[STUDY_NAME], row[STUDY_NAME], scale[STUDY_NAME], variant[STUDY_NAME];
    char also[STUDY_NAME]; /* a second row it is an arm of */
    run_role role;
    int32_t cell_index; /* runs that differ in seed or factor share it */
    int32_t parent;     /* it goes on from this run's end; -1 none     */
    int32_t trunk;      /* runs of one trunk share it; -1 none         */
    int64_t seed;
    double factor;      /* of the learning rate                        */
    double budget;      /* isoflop: what was asked for; 0 none         */
    int32_t flop_count; /* isoflop: the count of the budget, for expand_flops */
    int64_t params, params_without_embedding;
    double flops;     /* all its tokens, `model` count               */
    double own_flops; /* without those of its parent                 */
    config cfg;
} study_run;

typedef struct study_runs {
    study_run *run; /* owned */
    int32_t count, capacity;
} study_runs;

/* All runs of the study; of a sweep only the first stage (every factor at the first seed).
 * ERR_CONFIG with file and line. The caller deinits. */
status expand_study(study_runs *out, const study *s);
/* Second stage of a sweep: the other seeds of cell `like` at its factor. */
status expand_seeds(study_runs *runs, const study *s, int32_t like);
void expand_deinit(study_runs *r);
/* FLOPs of a token by the count-th name: model, six_nd, six_nd_nonemb, hoffmann_a4. */
enum { FLOP_COUNTS = 4 };
double expand_flops(const config *cfg, int32_t count);
const char *expand_flops_name(int32_t count);
/* Whole steps of a config, and the tokens they take. */
int64_t expand_steps(const config *cfg);

#endif

/* study.h — a study file: which runs answer a question.
 * Keys with one value come from the field list below. The others: `data` (a folder that prepare
 * wrote, or {train, validation, test}), `set` (keys of the run config for every run), `seeds`,
 * `compare`, `variants`, `models`, and exactly one of
 *   runs     a list of {name, arm, row, also, scale, and keys of the run config}
 *   grid     keys of the run config, each with a list of values: every combination
 *   isoflop  {budgets, models, flop_count, bracket, tokens_per_param}: tokens from the budget
 *   tokens   a list of token counts; with schedule.name wsd: one trunk with branched cool-downs
 * Each run is the base config with overrides, so the reader of run configs checks every value.
 * Flow: study file -> study -> expand.h                                                         */
#ifndef STUDY_STUDY_H
#define STUDY_STUDY_H

#include "base/status.h"
#include "study/tree.h"

#include <stdbool.h>
#include <stdint.h>

// clang-format off
#define STUDY_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                        \
    TEXT(name,  64,  ((const char *)0), "name of the study; its directory defaults to runs/NAME")                        \
    TEXT(base,  768, ((const char *)0), "run config that every run starts from")                                         \
    TEXT(scale, 32,  "",                "which runs of the list: those of this scale; \"\" = all")                         \
    TEXT(note,  512, "",                "printed under the tables: what a reader must know")                             \
    I64(ranks_per_run, 1, 1000000, "1", "ranks of a group, which train one run together")                                \
    F64(warmup_ratio, 0, 0.9, "0",      "warm-up as a part of each run's tokens; 0 = as the config says")                \
    F64(warmup_per_param, 0, 1000, "0", "warm-up in tokens for each parameter; 0 = as the config says")                  \
    F64(decay_ratio,  0.01, 0.95, "0.2", "wsd: cool-down as a part of each run's tokens")                                \
    ENUM(learning_rate_rule, "fixed|size|sweep|mup", "fixed",                                                            \
         "fixed: as the config says; size: x (N / N of the base)^(-1/3); sweep: the best of learning_rate_factors; "     \
         "mup: fixed, with parametrisation mup")                                                                         \
    ENUM(parametrisation, "standard|mup", "standard",                                                                    \
         "mup: learning rate and init_std of every width are the base's (model.base_width)")                             \
    ENUM(fit,   "auto|none", "auto",    "fit laws afterwards, where the runs allow it")                                  \
    BOOL(cosine_twins, "false",         "wsd tokens: also a separate cosine run for each count of the first model")
// clang-format on

#define STUDY_I64(name, ...)         int64_t name;
#define STUDY_F64(name, ...)         double name;
#define STUDY_TEXT(name, bytes, ...) char name[bytes];
#define STUDY_ENUM(name, ...)        int32_t name;
#define STUDY_BOOL(name, ...)        bool name;
typedef struct study_keys {
    STUDY_FIELDS(STUDY_I64, STUDY_F64, STUDY_TEXT, STUDY_ENUM, STUDY_BOOL)
} study_keys;
enum { RATE_FIXED, RATE_SIZE, RATE_SWEEP, RATE_MUP };
enum { STUDY_STANDARD, STUDY_MUP };
enum { STUDY_FIT_AUTO, STUDY_FIT_NONE };

enum { STUDY_SEEDS = 64, STUDY_FACTORS = 16, STUDY_NAME = 32, STUDY_BYTES_MAX = 1 << 20 };
typedef enum study_mode { STUDY_RUNS, STUDY_GRID, STUDY_ISOFLOP, STUDY_TOKENS } study_mode;

typedef struct study {
    char path[1024];
    study_keys keys;
    tree *root;       /* owned; the free parts are read from it by expand */
    const tree *part; /* of the mode                                      */
    study_mode mode;
    int64_t seeds[STUDY_SEEDS];
    int32_t seed_count;
    double factors[STUDY_FACTORS]; /* learning_rate_factors, ascending     */
    int32_t factor_count;
    char train[768], validation[768], test[768]; /* "" : as the base says  */
    char arms[2][STUDY_NAME]; /* compare: the first one minus the second; "" none */
    const tree *equal_flops;  /* compare: rows whose arms cost the same; NULL none */
} study;

/* Reads one of the keys of STUDY_FIELDS. ERR_CONFIG with file, line and key. */
status study_set(study *s, const tree *t);
/* Finds the file as config_find does. ERR_CONFIG with file, line and key. The caller deinits. */
status study_load(study *out, const char *name);
status study_parse(study *out, const char *path, const char *bytes, int64_t size);
void study_deinit(study *s);

#endif

/* expand_cell.h — one cell of a study's expansion: its config, its name and its runs. Private to
 * runtime/study.
 * Flow: study.h, settings.h -> expand_cell -> expand.c, expand_ladder.c, expand_tokens.c */
#ifndef STUDY_EXPAND_CELL_H
#define STUDY_EXPAND_CELL_H

#include "study/expand.h"
#include "study/settings.h"

/* Where in the file a cell comes from, and what it is called. */
typedef struct cell {
    int32_t line;
    char name[96], arm[STUDY_NAME], row[STUDY_NAME], also[STUDY_NAME], scale[STUDY_NAME];
    run_role role;
    double budget;
    int32_t flop_count;
    int32_t parent, trunk;
} cell;

typedef struct expansion {
    const study *s;
    study_runs *out;
    settings set;
    const char *variant; /* "" none */
    const tree *count;   /* of the FLOPs, as the variant says; NULL as the ladder does */
    int32_t cells, trunks;
    double base_params; /* of the base's model; 0 not asked yet */
    model_config base;  /* mup: the model whose rate is the base's; width 0 else */
    int32_t shared;     /* settings that base was read under                     */
    config_models models;
} expansion;

/* The base under the settings as they are now, and under mup as a width of e->base. ERR_CONFIG with
 * the line in the study file of the override at fault, else `line`. */
status expand_cell_config(config *cfg, expansion *e, int32_t line);
/* The same where only what all cells share is asked for: a trunk names its decay_tokens itself, so
 * wsd without them is no error. */
status expand_shared_config(config *cfg, expansion *e, int32_t line);
/* Sets the keys that depend on other keys, whole steps each. */
status expand_cell_ratios(expansion *e, const config *cfg, double tokens);
/* The learning rate by the study's rule. */
status expand_cell_rate(const expansion *e, const config *cfg, double *rate);
/* Appends one run of the cell. */
status expand_cell_run(expansion *e, const cell *c, const config *cfg, int64_t seed, double factor);
/* Loads the config that the settings describe and appends the cell's runs: one for each seed, in a
 * sweep one for each factor. */
status expand_cell_runs(expansion *e, cell *c);
/* Keeps only what is safe in a file name on every system. */
void expand_cell_clean(char *name);
/* 1e12 -> "1e12", 2500000 -> "2.5M" */
void expand_cell_count(char out[24], double value);
/* The list `key` of a mapping, which must be a list of single values. */
status expand_cell_values(const expansion *e, const tree *map, const char *key, const tree **out);

/* The modes with a file of their own. */
status expand_ladder(expansion *e);
status expand_tokens(expansion *e);

#endif

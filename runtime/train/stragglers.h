/* stragglers.h — how long each part of each step took on every rank, and which rank is slow.
 * Every rank keeps the last steps; at the end they meet and the first rank gets the table. */
#ifndef TRAIN_STRAGGLERS_H
#define TRAIN_STRAGGLERS_H

#include "train/run.h"

#include <jansson.h>

enum { STRAGGLERS_STEPS = 1024, STRAGGLERS_PARTS = 6, STRAGGLERS_HOST_BYTES = 64 };

typedef struct stragglers {
    float (*s)[STRAGGLERS_PARTS]; /* (STRAGGLERS_STEPS) ring, seconds; owned */
    int64_t count;                /* steps noted                              */
    run_times before;
} stragglers;

/* One part over all ranks. */
typedef struct straggler_part {
    double median_s;    /* of the ranks' medians                               */
    double worst_s;     /* the largest of them ...                             */
    int32_t worst_rank; /* ... and whose it is                                 */
    double longest_s;   /* the longest of any step on any rank                 */
    double spread;      /* sd / mean over the steps of a rank, median of ranks */
} straggler_part;

typedef struct straggler_row {
    int32_t rank;
    char host[STRAGGLERS_HOST_BYTES];
    double median_s[STRAGGLERS_PARTS], longest_s[STRAGGLERS_PARTS], spread[STRAGGLERS_PARTS];
} straggler_row;

typedef struct straggler_table {
    int64_t steps;
    int32_t ranks;
    straggler_part part[STRAGGLERS_PARTS];
    straggler_row *rows; /* (ranks) by rank; owned */
} straggler_table;

status stragglers_init(stragglers *out);
void stragglers_deinit(stragglers *s);
/* After a step that took step_s; now: the run's times so far. */
void stragglers_add(stragglers *s, const run_times *now, double step_s);
/* The same table on every rank; deinit frees. COLLECTIVE */
status straggler_table_init(straggler_table *out, const stragglers *s, world *w);
void straggler_table_deinit(straggler_table *t);
/* The rank whose own work (compute, data) takes at least 1.1 times the median of the ranks; -1 when
 * there is none. *ratio and *part say by how much and in what. */
int32_t straggler_slowest(const straggler_table *t, double *ratio, const char **part);
/* summary.json's "stragglers": parts over all ranks and of each rank, medians of a step. null when
 * no step was noted. */
json_t *straggler_table_json(const straggler_table *t);

#endif

/* points.h — runs as points: (params, tokens, loss) and what else is known of each.
 * A table has a header line with at least params,tokens,loss; flops, unique_tokens, params_nonemb
 * and group are used where present, other columns ignored; lines that open with # are comments.
 * Commas, semicolons or tabs divide the cells (csv.h).
 * Flow: CSV files, records -> objective.h, fit.h                                                */
#ifndef LAW_POINTS_H
#define LAW_POINTS_H

#include "law/laws.h"

typedef struct fit_point {
    double params, tokens, loss; /* final validation loss, nats per token             */
    double flops;                /* 0: not given; then 6 params tokens                */
    double unique;               /* unique tokens; 0: not given                       */
    double params_nonemb;        /* without embeddings; 0: not given                  */
    int32_t group;               /* runs that share a trunk; own number otherwise     */
    int32_t line;                /* in the file                                       */
} fit_point;

typedef struct points {
    fit_point *row;
    int32_t count, capacity;
    bool has_flops, has_unique, has_nonemb;
} points;

/* columns: what the table calls them where not by these names, "params=N,loss=Final loss"; or NULL.
 * ERR_CONFIG names file, line and column of what is wrong; ERR_IO when it cannot be read. The
 * caller deinits. */
status points_read(points *out, const char *path, const char *columns);
/* Adds a copy. ERR_MEMORY. */
status points_add(points *p, const fit_point *row);
/* Leaves out the count highest losses (all that reach the lowest of them). */
void points_drop_highest(points *p, int32_t count);
void points_deinit(points *p);

/* The variable of laws of one variable. */
typedef enum points_x { X_PARAMS, X_TOKENS, X_FLOPS } points_x;
/* Logarithms by column, weights 1. nonemb: N without embeddings. ERR_MEMORY; deinit frees. */
status points_columns(law_points *out, const points *p, points_x x, bool nonemb);
void points_columns_deinit(law_points *columns);
double points_flops(const fit_point *p);

#endif

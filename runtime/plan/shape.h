/* shape.h — a model that can be built and trained, near a number of parameters.
 * Geometry (layers, width, heads, ffn) from Table A9 of Hoffmann et al. or the Gopher family where
 * a row is near, else by a rule; the rest as in a model that is named, or else rotary positions,
 * layernorm, gelu, biases and a tied embedding for all, so that train runs it. Counts are exact:
 * block.h. Flow: config.h (rows of configs/models), block.h -> shape -> launcher/plan_answer.h */
#ifndef PLAN_SHAPE_H
#define PLAN_SHAPE_H

#include "model/block.h"

typedef struct shape_question {
    double params;          /* wanted                                     */
    bool without_embedding; /* ... counted without embeddings             */
    int64_t vocab, context;
    const model_config *like; /* norm, positions, mlp, biases as in this; or NULL */
} shape_question;

typedef struct shape {
    model_config model; /* resolved */
    int64_t params, params_without_embedding;
    flop_counts flops; /* of a token           */
    char origin[96];   /* "a9-2639m: layers, width and heads of that row" or the rule in words  */
    double off;        /* counted / wanted - 1 */
} shape;

/* Geometry of Table A9 and the Gopher family, read once from configs/models. */
enum { SHAPE_ROWS_MAX = 128 };
typedef struct shape_rows {
    struct {
        char name[48];
        int64_t layers, width, heads, head_width, ffn;
    } row[SHAPE_ROWS_MAX];
    int32_t count;
} shape_rows;
/* ERR_CONFIG: a row that cannot be read, or more than SHAPE_ROWS_MAX. */
status shape_rows_read(shape_rows *out);

/* Wanted and built differ by less than this where a row of a table is taken. */
#define SHAPE_NEAR 0.03

/* ERR_CONFIG when nothing that small can be built with this vocabulary: names the smallest. */
status shape_near(shape *out, const shape_question *q, const shape_rows *rows);
/* The counts of a model that is given. */
void shape_of(shape *out, const model_config *m, const char *origin, double wanted,
              bool without_embedding);

#endif

/* published.h — the laws of the literature: rows of configs/laws/published.yaml, and a law of one's
 * own seen in the same way.
 * A loss of such a row belongs to the data it was fitted on and to no other; its N counts
 * parameters with or without embeddings, as the row says.
 * Flow: config/rows.h, laws.h, law_file.h -> plan                                                */
#ifndef LAW_PUBLISHED_H
#define LAW_PUBLISHED_H

#include "law/law_file.h"

/* amount = factor (FLOPs / unit)^exponent; factor NaN: the row does not say. */
typedef struct published_line {
    double factor, exponent, unit;
} published_line;

typedef struct published_law {
    char name[48];    /* "besiroglu"                                             */
    char source[200]; /* paper and place                                         */
    char data[96];    /* what the losses belong to                               */
    char note[200];   /* what a reader must know; "" none                        */
    const law *form;  /* row of laws[]; NULL: an allocation without a loss       */
    double constant[LAW_CONSTANTS];
    published_line params, tokens; /* where the allocation is stated as lines      */
    bool without_embedding;        /* N leaves embeddings out                      */
    bool per_token;       /* N is a sixth of the FLOPs per token, which attention adds to */
    bool pair;            /* params and tokens spend the budget together  */
    char flop_count[24];  /* "six_nd", "six_nd_nonemb", "model"           */
    points_x x;           /* variable of a form of one variable           */
    double a_interval[2]; /* of the exponent of N, as printed; NaN: none  */
    double range_params[2], range_tokens[2], range_flops[2]; /* NaN: not stated    */
    bool fitted;   /* from a law file: its loss may be the reader's own            */
    law_file file; /* covariance and spread, for intervals; has_covariance tells   */
} published_law;

typedef struct published {
    published_law *row; /* owned */
    int32_t count, capacity;
} published;

/* The laws of the configs. ERR_CONFIG names file, line and field. The caller deinits. */
status published_read(published *out);
/* The same from bytes; path is for messages. */
status published_parse(published *out, const char *path, const char *bytes, int64_t size);
/* Adds the law of a file, called `name`. */
status published_add(published *p, const char *name, const law_file *file);
void published_deinit(published *p);
/* Puts other constants into a row, in the order of row->file.form. */
void published_set(published_law *row, const double *constant);
/* NULL where there is none of this name. */
const published_law *published_find(const published *p, const char *name);

/* The compute-optimal params and tokens of a budget; not a number where the row does not say. */
typedef struct published_optimum {
    double params, tokens;
    bool inside; /* the range the row was fitted on, as far as it is stated */
} published_optimum;
published_optimum published_optimum_of(const published_law *row, double flops);
/* The range the row was fitted on holds these, as far as both are known. */
bool published_inside(const published_law *row, double params, double tokens, double flops);
/* Loss of a run on fresh tokens (unique 0) or repeated ones; not a number without a form of N and
 * D, or of compute (at.x). */
double published_loss(const published_law *row, law_case at);

#endif

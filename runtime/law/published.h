/* published.h — the laws of the literature as rows: constants, source, range, what they count.
 * A loss of such a row belongs to the data it was fitted on and to no other; its N counts
 * parameters with or without embeddings, as the row says. Flow: laws.h -> plan */
#ifndef LAW_PUBLISHED_H
#define LAW_PUBLISHED_H

#include "law/laws.h"

/* amount = factor (FLOPs / unit)^exponent; factor 0: the row does not say. */
typedef struct published_line {
    double factor, exponent, unit;
} published_line;

typedef struct published_law {
    const char *name;   /* "besiroglu"                                             */
    const char *source; /* paper and place                                         */
    const char *data;   /* what the losses belong to                               */
    const char *form;   /* row of laws.h; NULL: an allocation without a loss       */
    double constant[LAW_CONSTANTS];
    published_line params, tokens; /* where the allocation is stated as lines      */
    bool without_embedding;        /* N leaves embeddings out                      */
    bool no_pair;                  /* params and tokens do not spend the budget together */
    const char *flop_count;        /* "six_nd", "six_nd_nonemb", "model"           */
    double a_interval[2];          /* of the exponent of N, as printed; 0: none    */
    double range_params[2], range_tokens[2], range_flops[2]; /* 0: not stated      */
    const char *note; /* what a reader must know; "" none             */
} published_law;

extern const published_law published_laws[];
extern const int32_t published_laws_count;
/* NULL where there is none of this name. */
const published_law *published_find(const char *name);
/* The compute-optimal params and tokens of a budget; not a number where the row does not say. */
typedef struct published_optimum {
    double params, tokens;
    bool inside; /* the range the row was fitted on, as far as it is stated */
} published_optimum;
published_optimum published_optimum_of(const published_law *row, double flops);
/* Loss of a run on fresh tokens (unique 0) or repeated ones; not a number without a form. */
double published_loss(const published_law *row, law_case at);

#endif

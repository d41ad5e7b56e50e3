/* allocate.h — what a law says about a budget: parameters, tokens, compute, loss, with intervals.
 * Pure. Two of C, N and D give the third by C = 6 N D, in the law's own count of parameters; one of
 * them is followed along the compute-optimal line. A surface of N and D is minimised; lines are
 * evaluated. What a law does not say is not a number.
 * Flow: law/published.h -> allocate -> launcher/plan_answer.h                                    */
#ifndef PLAN_ALLOCATE_H
#define PLAN_ALLOCATE_H

#include "law/published.h"

/* What is given; NaN: not given. At most two of flops, params and tokens, or loss alone. */
typedef struct allocate_question {
    double flops, params, tokens, loss;
    double tokens_per_param; /* R: D = R N instead of the optimum             */
    double unique;           /* U: tokens beyond are repeats (Muennighoff)    */
    double inference;        /* T: tokens to be served: 2 N T more (Sardana)  */
} allocate_question;

typedef struct allocate_range {
    double low, high; /* NaN: none */
} allocate_range;

typedef struct allocation {
    double params, tokens, flops, loss; /* NaN: the law does not say               */
    double lifetime_flops;              /* 6 N D + 2 N T; NaN without inference    */
    bool inside;                        /* the range the law was fitted on         */
    bool knows_repeats;                 /* the law tells repeated from fresh data  */
    /* 80 % intervals from the covariance of the constants; none where it is not published */
    allocate_range params_range, tokens_range, flops_range;
    allocate_range loss_range; /* of a new run on the law's own data: spread of runs included */
    const char *why;           /* static text: why the law says nothing; NULL when it does    */
} allocation;

enum { ALLOCATE_LEVEL = 80 };

allocate_question allocate_nothing(void); /* all NaN */
void allocate(allocation *out, const published_law *row, const allocate_question *q);
/* Loss of exactly this run; NaN where the law has none. unique NaN or 0: all tokens are fresh. */
double allocate_loss(const published_law *row, double params, double tokens, double unique);
/* What a loss is above the best of the same budget, which a search finds but for its last digits:
 * never less than nothing; NaN stays. */
static inline double allocate_above(double loss, double best)
{
    return loss < best ? 0.0 : loss - best;
}

/* How flat the optimum is: N that stay within a share of the best loss of the same budget, and what
 * half or twice the parameters cost. */
enum { FLATNESS_LEVELS = 3 };
typedef struct flatness {
    double share[FLATNESS_LEVELS]; /* 0.001, 0.005, 0.01 */
    allocate_range params[FLATNESS_LEVELS];
    double half_loss, twice_loss;   /* nats above the optimum                                */
    double half_flops, twice_flops; /* compute that reaches the optimum's loss, / the budget */
} flatness;
/* False for laws without a loss of N and D. */
bool allocate_flatness(flatness *out, const published_law *row, double flops, double unique);

#endif

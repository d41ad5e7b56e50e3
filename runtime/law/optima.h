/* optima.h — Approaches 1 and 2 of Hoffmann et al. 2022: the best size at a budget, read off the
 * runs themselves, and the power laws through those optima, N = kN C^a and D = kD C^b.
 * Approach 2: at each budget a parabola of the loss over ln N (and one over ln D), and its lowest
 * point. Approach 1: the run with the lowest smoothed loss at each of many budgets.
 * No law of the loss comes out, so no forecast; law "chinchilla" of fit.h is Approach 3.
 * The lines can be kept: law_file_of_optima of law_file.h.
 * Flow: points.h, loss curves -> launcher, report                                               */
#ifndef LAW_OPTIMA_H
#define LAW_OPTIMA_H

#include "law/fit.h"

enum { OPTIMA_WARNINGS = 48, OPTIMA_CURVE = 3, OPTIMA_LINE = 4 };

/* One budget of Approach 2. Not used: what stands in reason, and no minimum. */
typedef struct optimum {
    double flops;                /* as asked for, else the geometric mean of its points     */
    int32_t points, sizes;       /* sizes: different params                                 */
    double params, tokens, loss; /* at the lowest point                                     */
    fit_interval params_interval, tokens_interval;
    double center;              /* mean ln N of its points                                 */
    double curve[OPTIMA_CURVE]; /* loss = curve[0] + curve[1] x + curve[2] x^2, x = ln N - center */
    double range_params[2];
    bool used;
    char reason[80];
} optimum;

typedef struct optima {
    int32_t approach; /* 1 or 2: row approach - 1 of law_lines                           */
    optimum *budget;  /* Approach 2, by rising flops; owned                              */
    int32_t budgets, used;
    int32_t points, bootstrap;
    double residual_sd;                           /* of the loss about its parabolas         */
    fit_value a, b, params_factor, tokens_factor; /* N = params_factor C^a                */
    double range_flops[2], range_params[2], range_tokens[2]; /* behind the line        */
    double *replicate; /* (bootstrap, OPTIMA_LINE): ln kN, a, ln kD, b; owned             */
    int32_t warnings;
    char warning[OPTIMA_WARNINGS][FIT_WARNING_LENGTH];
} optima;

typedef struct optima_options {
    const double *budget; /* the budgets to look at; NULL: those found among the points  */
    int32_t budgets;
    bool nonemb;       /* N without embeddings                                           */
    int32_t bootstrap; /* replicates; 0: none                                            */
    uint64_t seed;
} optima_options;

/* Approach 2. ERR_CONFIG when fewer than two budgets have a minimum. The caller deinits. */
status optima_of_parabolas(optima *out, const points *p, optima_options options);

/* The loss of one run while it trained; columns of count numbers, borrowed. */
typedef struct loss_curve {
    double params, params_nonemb;
    int32_t count;
    const double *tokens, *flops, *loss; /* rising tokens; training loss, nats per token */
} loss_curve;

/* Approach 1. ERR_CONFIG when fewer than two sizes are best somewhere in between. */
status optima_of_curves(optima *out, const loss_curve *curve, int32_t curves,
                        optima_options options);
void optima_deinit(optima *o);

/* The best size and its tokens at a budget, with intervals. */
void optima_at(const optima *o, double flops, fit_value *params, fit_value *tokens);
void optima_warn(optima *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Shared by both: sets a, b and the factors from line[] and the replicates. */
void optima_set_line(optima *o, const double line[OPTIMA_LINE]);
/* Straight line y = out[0] + out[1] x; false with fewer than two different x. */
bool optima_straight(double out[2], const double *x, const double *y, int32_t count);

#endif

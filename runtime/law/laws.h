/* laws.h — the forms of scaling laws, one row each. The fitter and the planner know none by name.
 * Pure functions of numbers; no files. Fits work on parameters: a constant itself, or its logarithm
 * where the row says so; everything below is of the logarithm of the loss.
 * Flow: -> published.h (rows of constants), objective.h, fit.h, law_file.h, plan                 */
#ifndef LAW_LAWS_H
#define LAW_LAWS_H

#include "base/status.h"

#include <stdint.h>

enum { LAW_CONSTANTS = 12 };

/* What a law is a function of. */
enum { LAW_OF_PARAMS = 1, LAW_OF_TOKENS = 2, LAW_OF_X = 4, LAW_OF_UNIQUE = 8 };

/* Columns of points; all logarithms. Rows count..padded repeat the last point with weight 0. */
typedef struct law_points {
    int32_t count;
    int32_t padded;     /* count, up to a multiple of LANES             */
    double *log_params; /* N                                            */
    double *log_tokens; /* D                                            */
    double *log_unique; /* U, unique tokens; equal to D where not given */
    double *log_x;      /* the variable of laws of one variable         */
    double *log_loss;   /* observed                                     */
    double *weight;     /* 1; in a resample: how often it was drawn     */
} law_points;

typedef struct law law;
struct law {
    const char *name;    /* "chinchilla"                                 */
    const char *formula; /* for people                                   */
    int32_t constants;
    uint32_t needs;                      /* LAW_OF_ bits                                 */
    const char *constant[LAW_CONSTANTS]; /* their names, in order                        */
    bool logarithm[LAW_CONSTANTS];       /* the parameter is ln of the constant          */
    /* value[i] = ln L of point i; slope[k padded + i] = d value[i] / d parameter k, unless NULL */
    void (*log_loss)(const law *self, const law_points *p, const double *parameter,
                     double *restrict value, double *restrict slope);
    /* Start number index of the search; false beyond the last one. */
    bool (*start)(const law *self, const law_points *p, int32_t index, double *parameter);
};

extern const law laws[];
extern const int32_t laws_count;
/* Best sizes without a loss, N = kN C^a and D = kD C^b (optima.h); log_loss and start are NULL. */
enum { LAW_LINES = 2 };
extern const law law_lines[LAW_LINES];
/* NULL where there is none of this name. */
const law *law_find(const char *name);
const law *law_lines_find(const char *name);
/* Index of the constant; -1 where the law has none of this name. */
int32_t law_constant(const law *form, const char *name);
void law_to_parameters(const law *form, const double *constant, double *parameter);
void law_to_constants(const law *form, const double *parameter, double *constant);
/* Loss of params N and tokens D (x: the variable of a law of one variable; unique: U, 0 = all
 * tokens are fresh). slope, unless NULL, receives d ln L / d parameter. */
typedef struct law_case {
    double params, tokens, unique, x;
} law_case;
double law_loss(const law *form, const double *constant, law_case at, double *slope);

/* The compute-optimal line of a law with constants E, A, B, alpha, beta: N = G (C/6)^a,
 * D = (C/6)^b / G. */
typedef struct law_frontier {
    double a, b, G;
} law_frontier;
/* False for laws without such a line. */
bool law_frontier_of(law_frontier *out, const law *form, const double *constant);
double law_frontier_params(const law_frontier *f, double flops);
double law_frontier_tokens(const law_frontier *f, double flops);

/* the forms, by file */
void chinchilla_log_loss(const law *, const law_points *, const double *, double *, double *);
bool chinchilla_start(const law *, const law_points *, int32_t, double *);
void constrained_log_loss(const law *, const law_points *, const double *, double *, double *);
bool constrained_start(const law *, const law_points *, int32_t, double *);
void kaplan_log_loss(const law *, const law_points *, const double *, double *, double *);
bool kaplan_start(const law *, const law_points *, int32_t, double *);
void power_log_loss(const law *, const law_points *, const double *, double *, double *);
bool power_start(const law *, const law_points *, int32_t, double *);
void bnsl_log_loss(const law *, const law_points *, const double *, double *, double *);
bool bnsl_start(const law *, const law_points *, int32_t, double *);

#endif

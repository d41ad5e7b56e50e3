/* fit.h — a law fitted to points: constants, how sure they are, and what is wrong with them.
 * The fitter knows no law by name: it works on a row of laws.h. Uncertainty comes from the
 * bootstrap: points drawn with replacement (all seeds of a size and token count together, or all
 * points that share a trunk), counters of Philox, so a seed gives the same intervals everywhere.
 * Flow: points.h, search.h -> law_file.h, launcher                                              */
#ifndef LAW_FIT_H
#define LAW_FIT_H

#include "law/laws.h"
#include "law/objective.h"
#include "law/points.h"

enum { FIT_WARNINGS = 24, FIT_WARNING_LENGTH = 320 };

typedef struct fit_options {
    const law *form;
    fit_loss loss;
    double delta;      /* Huber threshold                       */
    int32_t bootstrap; /* replicates; 0: none                   */
    uint64_t seed;
    points_x x;  /* variable of a law of one variable     */
    bool nonemb; /* N without embeddings                  */
    /* told of the starts, the best of them, the bootstrap and the checks, and the share of that
     * which is done; or NULL */
    void (*progress)(void *context, const char *stage, double done);
    void *context;
} fit_options;

/* Percentiles. */
typedef struct fit_interval {
    double p2_5, p10, p90, p97_5;
} fit_interval;

/* One number with its uncertainty; the error is not a number without a bootstrap. */
typedef struct fit_value {
    double value, standard_error;
    fit_interval interval;
} fit_value;

typedef struct fit_result {
    fit_options options;
    int32_t points;
    double objective; /* a sum over the points                        */
    int32_t starts, starts_at_best;
    double parameter[LAW_CONSTANTS]; /* what the search works on            */
    fit_value constant[LAW_CONSTANTS];
    bool has_frontier; /* false too where a constant is not above 0    */
    fit_value a, b, G; /* of the compute-optimal line                  */
    double covariance[LAW_CONSTANTS * LAW_CONSTANTS]; /* of the parameters  */
    double calibration; /* of intervals: what the spread of replicates is multiplied by */
    double residual_sd; /* of ln loss, n - constants degrees of freedom */
    double seed_sd;     /* of ln loss among runs of equal params and tokens; NaN: none are */
    int32_t seed_freedom;
    double range_params[2], range_tokens[2], range_flops[2];
    double *replicate; /* (bootstrap, constants) parameters; owned     */
    double *residual;  /* (points) ln L_law - ln L_observed; owned     */
    int32_t warnings;
    char warning[FIT_WARNINGS][FIT_WARNING_LENGTH];
} fit_result;

/* Fits and checks. ERR_CONFIG when these points cannot determine this law. The caller deinits. */
status fit_run(fit_result *out, const points *p, fit_options options);
void fit_deinit(fit_result *r);

/* A quantity over the replicates, e.g. the optimum for a budget; context is handed through. */
typedef double (*fit_quantity)(const law *form, const double *constant, const void *context);
fit_value fit_value_of(const fit_result *r, fit_quantity quantity, const void *context);

/* Constants of replicate k, its distance from the fit as intervals use it. */
void fit_replicate(double *constant, const fit_result *r, int32_t k);

/* Percentiles of a sample, which is sorted. */
fit_interval fit_interval_of(double *sample, int32_t count);

/* Loss of a new run: value and interval of the surface, and of the run itself, which adds the
 * spread of the residuals. */
typedef struct fit_forecast {
    fit_value surface;
    fit_interval run;
    bool inside; /* the fitted range */
} fit_forecast;
status fit_predict(fit_forecast *out, const fit_result *r, law_case at);

/* Adds a line to the warnings, printf-style; the last place says that there were more. */
void fit_warn(fit_result *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What is suspicious about a fit, in words (fit_check.c). */
status fit_check(fit_result *r, const points *p, law_points *columns);

#endif

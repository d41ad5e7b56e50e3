/* minimize.h — minima of a function of a few variables, smooth or with kinks.
 * BFGS with the weak Wolfe line search of Lewis and Overton (2013), which is sound on functions
 * with kinks, and the simplex of Nelder and Mead to end where gradients do not help. Nothing here
 * allocates.
 * Flow: objective.h -> fit.h                                                                    */
#ifndef LAW_MINIMIZE_H
#define LAW_MINIMIZE_H

#include <stdbool.h>
#include <stdint.h>

enum { MINIMIZE_MAX = 12 };

/* The function to minimise; gradient may be NULL. Anything not finite counts as infinite. */
typedef struct minimize_problem {
    int32_t count; /* variables, at most MINIMIZE_MAX */
    double (*function)(void *context, const double *x, double *gradient);
    void *context;
} minimize_problem;

/* When to stop: a step gains less than `gain` of the value twice running; or after `iterations`. */
typedef struct minimize_stop {
    double gain;
    int32_t iterations;
} minimize_stop;

/* What BFGS learned: the inverse of the curvature, row by row. */
typedef struct minimize_shape {
    double inverse[MINIMIZE_MAX * MINIMIZE_MAX];
} minimize_shape;

/* Moves x downhill; returns the value there. shape, unless NULL, receives the last inverse. */
double minimize_bfgs(const minimize_problem *p, double *x, minimize_stop stop,
                     minimize_shape *shape);
/* Simplex whose edges are size times the columns of a square root of shape. Returns the value. */
double minimize_simplex(const minimize_problem *p, double *x, const minimize_shape *shape,
                        double size, minimize_stop stop);
/* Solves a (n, n) x = b in place by elimination with pivots; false when a is singular. */
bool minimize_solve(double *a, double *b, int32_t n);

#endif

/* bench_laws.h — speed-up as a function of ranks. Pure.
 * Amdahl 1967: S(n) = 1 / (s + (1 - s) / n), s the serial share.
 * Universal scalability law (Gunther 1993): S(n) = n / (1 + sigma (n - 1) + kappa n (n - 1)), sigma
 * contention, kappa the price of agreement between pairs. Fitted by least squares to the points'
 * slowdown, with sigma and kappa not negative; ranks 1 (speed-up 1) is always a point. */
#ifndef BENCH_BENCH_LAWS_H
#define BENCH_BENCH_LAWS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct scaling_laws {
    bool amdahl_known; /* at least one point above one rank          */
    double serial;     /* s, in [0, 1]                               */
    bool usl_known;    /* at least two points above one rank         */
    double sigma, kappa;
    double best_ranks; /* where the USL turns down; infinite without kappa */
} scaling_laws;

/* speedup[i] on ranks[i]; entries of one rank are left out. */
void scaling_fit(scaling_laws *out, const double *ranks, const double *speedup, int32_t count);
double scaling_amdahl(double serial, double ranks);
double scaling_usl(double sigma, double kappa, double ranks);

#endif

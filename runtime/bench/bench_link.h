/* bench_link.h — latency and bandwidth of the links behind collectives, from their times.
 * A reduce-scatter or all-gather of n bytes over R ranks takes R - 1 steps and moves (R - 1) / R n
 * bytes through a rank's link: t = (R - 1) latency + (R - 1) / R n / bandwidth, as plan/cost.h
 * predicts it; an all-reduce is both. */
#ifndef BENCH_BENCH_LINK_H
#define BENCH_BENCH_LINK_H

#include "bench/bench.h"

enum { LINK_POINTS_MAX = 64 };

typedef struct link_fit {
    double x[LINK_POINTS_MAX], y[LINK_POINTS_MAX]; /* bytes through the link, seconds */
    int32_t count;
    double latency_s, bandwidth; /* NaN: not known */
    double residual;             /* median |relative| of the fit */
} link_fit;

/* bus: 1 (one phase) or 2 (all-reduce), as nccl-tests' factors bus (R - 1) / R. */
void link_add(link_fit *f, double bytes, double seconds, double bus, int32_t ranks);
void link_solve(link_fit *f, int32_t ranks);

#endif

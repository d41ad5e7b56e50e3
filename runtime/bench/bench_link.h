/* bench_link.h — latency and bandwidth of the links behind collectives, from their times.
 * The same formulas as plan/cost.h, solved for the link. A ring of R ranks takes R - 1 steps and
 * moves (R - 1) / R of the bytes; ranks of a node that share a window do all at once; between nodes
 * of L ranks a rank's link carries (nodes - 1) / nodes of an L-th of the bytes in nodes - 1 steps:
 * the bandwidth is a rank's when all of its node send. */
#ifndef BENCH_BENCH_LINK_H
#define BENCH_BENCH_LINK_H

#include "bench/bench.h"
#include "plan/cost.h"

enum { LINK_POINTS_MAX = 64 };

typedef struct link_fit {
    double x[LINK_POINTS_MAX], y[LINK_POINTS_MAX]; /* bytes through the link, seconds */
    int32_t count;
    double latency_s, bandwidth; /* NaN: not known */
    double residual;             /* median |relative|, of messages near the longest */
} link_fit;

/* Where the ranks are, and what is known of the level below: NULL inside a node. */
typedef struct link_place {
    int32_t ranks, nodes;
    const struct link_fit *inside; /* between the ranks of a node                              */
    bool staged; /* cores: first in the nodes, through a window, then between them; else both at
                    once, as one ring */
} link_place;

/* One phase over `bytes`, the whole array. Between nodes the seconds that the nodes themselves take
 * are left out. */
void link_add(link_fit *f, cost_phase phase, double bytes, double seconds, const link_place *at);
void link_solve(link_fit *f, const link_place *at);

#endif

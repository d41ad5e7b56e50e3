#include "bench/bench_link.h"

#include <math.h>

void link_add(link_fit *f, double bytes, double seconds, double bus, int32_t ranks)
{
    if (f->count == LINK_POINTS_MAX || ranks < 2 || !(seconds > 0)) return;
    /* an all-reduce as two phases of half its time */
    f->x[f->count] = bytes * (ranks - 1) / ranks;
    f->y[f->count++] = seconds / bus;
}

void link_solve(link_fit *f, int32_t ranks)
{
    double a, b;
    f->latency_s = f->bandwidth = f->residual = NAN;
    if (f->count < 2) return;
    f->residual = bench_line(&a, &b, f->x, f->y, f->count);
    f->latency_s = a / (ranks - 1);
    f->bandwidth = b > 0 ? 1.0 / b : NAN;
}

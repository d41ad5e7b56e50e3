#include "bench/bench_link.h"

#include <math.h>

/* what the phase takes inside the nodes */
static double inside_s(const link_place *at, cost_phase phase, double bytes, double local)
{
    const link_fit *in = at->inside;
    if (!in || local < 2 || !isfinite(in->bandwidth)) return 0.0;
    if (!at->staged) return (at->ranks - at->nodes) * in->latency_s;
    return in->latency_s + cost_window_bytes(phase, bytes, local) / in->bandwidth;
}

void link_add(link_fit *f, cost_phase phase, double bytes, double seconds, const link_place *at)
{
    const double nodes = at->nodes, ranks = at->ranks, local = ranks / nodes;
    if (f->count == LINK_POINTS_MAX || at->ranks < 2 || !(seconds > 0)) return;
    const double link_s = seconds - (nodes > 1 ? inside_s(at, phase, bytes, local) : 0.0);
    if (!(link_s > 0)) return;
    f->x[f->count] = nodes > 1    ? bytes / local * (nodes - 1.0) / nodes
                     : at->staged ? cost_window_bytes(phase, bytes, ranks)
                                  : bytes * (ranks - 1.0) / ranks;
    f->y[f->count++] = link_s;
}

/* Bandwidth is what long messages get, latency what short ones take beyond it: a fit of both at
 * once lets the protocols and buffers of the sizes between bend either. */
void link_solve(link_fit *f, const link_place *at)
{
    double a = 0.0, b = 0.0, longest = 0.0;
    f->latency_s = f->bandwidth = f->residual = NAN;
    if (f->count < 2) return;
    for (int32_t i = 0; i < f->count; i++) longest = fmax(longest, f->x[i]);
    link_fit some = {0};
    for (int32_t i = 0; i < f->count; i++) {
        if (f->x[i] < longest / 64.0) continue;
        some.x[some.count] = f->x[i];
        some.y[some.count++] = f->y[i];
    }
    f->residual = bench_line(&a, &b, some.x, some.y, some.count);
    bench_times waits = {.count = 0};
    for (int32_t i = 0; i < f->count; i++)
        if (f->x[i] <= longest / 64.0) waits.s[waits.count++] = fmax(0.0, f->y[i] - b * f->x[i]);
    bench_sort(&waits);
    if (waits.count > 0) a = bench_quantile(&waits, 0.5);
    f->latency_s = a / (at->nodes > 1 ? at->nodes - 1 : at->staged ? 1 : at->ranks - 1);
    f->bandwidth = b > 0 ? 1.0 / b : NAN;
}

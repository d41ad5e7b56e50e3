#include "law/vertex.h"

#include "law/minimize.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { NEWTON_STEPS = 5, WALK_STEPS = 200, SQUARE = LAW_CONSTANTS * LAW_CONSTANTS };

/* A vertex: the points whose residuals vanish there. */
typedef struct vertex {
    int32_t zero[LAW_CONSTANTS];
    double parameter[LAW_CONSTANTS], f;
} vertex;

static double slope_at(const objective *o, int32_t point, int32_t k)
{
    return o->slope[(ptrdiff_t)k * o->points->padded + point];
}

static bool is_zero(const vertex *v, int32_t n, int32_t point)
{
    for (int32_t i = 0; i < n; i++)
        if (v->zero[i] == point) return true;
    return false;
}

/* The n points nearest to the surface. */
static bool nearest(const objective *o, vertex *v)
{
    const int32_t n = o->form->constants;
    double size[LAW_CONSTANTS];
    int32_t count = 0;
    objective_residuals(o, v->parameter);
    for (int32_t i = 0; i < o->points->count; i++) {
        if (!(o->points->weight[i] > 0)) continue;
        const double r = fabs(o->value[i]);
        int32_t at = count < n ? count++ : n;
        for (; at > 0 && size[at - 1] > r; at--)
            if (at < n) size[at] = size[at - 1], v->zero[at] = v->zero[at - 1];
        if (at < n) size[at] = r, v->zero[at] = i;
    }
    return count == n;
}

/* Newton's method on the residuals that shall vanish; false when it does not converge. */
static bool settle(const objective *o, vertex *v)
{
    const int32_t n = o->form->constants;
    double a[SQUARE], b[LAW_CONSTANTS];
    for (int step = 0; step < NEWTON_STEPS; step++) {
        objective_residuals(o, v->parameter);
        double size = 0;
        for (int32_t i = 0; i < n; i++) {
            for (int32_t k = 0; k < n; k++) a[i * n + k] = slope_at(o, v->zero[i], k);
            b[i] = -o->value[v->zero[i]];
            size = fmax(size, fabs(b[i]));
        }
        if (step > 0 && size < 1e-15) break;
        if (!minimize_solve(a, b, n)) return false;
        for (int32_t k = 0; k < n; k++) v->parameter[k] += b[k];
    }
    v->f = objective_at(o, v->parameter, NULL);
    return isfinite(v->f);
}

/* The zero residual to let go, and how much the sum falls per unit of it; -1: this is a minimum. */
static int32_t leaving(const objective *o, const vertex *v, double *multiplier)
{
    const int32_t n = o->form->constants;
    const double *w = o->points->weight;
    double a[SQUARE], b[LAW_CONSTANTS] = {0};
    for (int32_t i = 0; i < o->points->count; i++) {
        if (!(w[i] > 0) || is_zero(v, n, i)) continue;
        const double pull = o->value[i] > 0 ? w[i] : -w[i];
        for (int32_t k = 0; k < n; k++) b[k] -= pull * slope_at(o, i, k);
    }
    for (int32_t k = 0; k < n; k++)
        for (int32_t i = 0; i < n; i++) a[k * n + i] = slope_at(o, v->zero[i], k);
    if (!minimize_solve(a, b, n)) return -1;
    int32_t worst = -1;
    double excess = 1e-9;
    for (int32_t i = 0; i < n; i++)
        if (fabs(b[i]) - w[v->zero[i]] > excess) {
            excess = fabs(b[i]) - w[v->zero[i]];
            worst = i;
        }
    if (worst >= 0) *multiplier = b[worst];
    return worst;
}

/* The point whose residual vanishes where the sum stops falling along the edge; -1: none. */
static int32_t entering(const objective *o, const vertex *v, int32_t out, double multiplier)
{
    const int32_t n = o->form->constants;
    const law_points *p = o->points;
    double a[SQUARE], d[LAW_CONSTANTS] = {0};
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < n; k++) a[i * n + k] = slope_at(o, v->zero[i], k);
    d[out] = multiplier > 0 ? 1 : -1;
    if (!minimize_solve(a, d, n)) return -1;
    /* breakpoints in order until the slope of the sum turns */
    double fall = fabs(multiplier) - p->weight[v->zero[out]], past = 0;
    for (;;) {
        int32_t next = -1;
        double nearest_t = INFINITY, nearest_rate = 0;
        for (int32_t i = 0; i < p->count; i++) {
            if (!(p->weight[i] > 0) || is_zero(v, n, i)) continue;
            double rate = 0;
            for (int32_t k = 0; k < n; k++) rate += slope_at(o, i, k) * d[k];
            const double t = -o->value[i] / rate;
            if (t > past && t < nearest_t) next = i, nearest_t = t, nearest_rate = rate;
        }
        if (next < 0) return -1;
        fall -= 2 * p->weight[next] * fabs(nearest_rate);
        if (fall <= 0) return next;
        past = nearest_t;
    }
}

double vertex_walk(const objective *o, double *parameter, double f)
{
    const int32_t n = o->form->constants;
    vertex here, next;
    memcpy(here.parameter, parameter, sizeof(double) * (size_t)n);
    if (!nearest(o, &here) || !settle(o, &here)) return f;
    for (int step = 0; step < WALK_STEPS; step++) {
        double multiplier = 0;
        objective_residuals(o, here.parameter);
        const int32_t out = leaving(o, &here, &multiplier);
        if (out < 0) break;
        const int32_t in = entering(o, &here, out, multiplier);
        if (in < 0) break;
        next = here;
        next.zero[out] = in;
        if (!settle(o, &next) || !(next.f < here.f)) break;
        here = next;
    }
    if (!(here.f < f)) return f;
    memcpy(parameter, here.parameter, sizeof(double) * (size_t)n);
    return here.f;
}

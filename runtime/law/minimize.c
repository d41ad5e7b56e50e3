#include "law/minimize.h"

#include <math.h>
#include <string.h>

#define ARMIJO 1e-4 /* least share of the predicted gain   */
#define WOLFE  0.9  /* largest share of the slope left over */

enum { SEARCH_STEPS = 40 };

static double value_at(const minimize_problem *p, const double *x, double *gradient)
{
    const double f = p->function(p->context, x, gradient);
    return isfinite(f) ? f : INFINITY;
}

static double product(const double *a, const double *b, int32_t n)
{
    double sum = 0;
    for (int32_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static void set_identity(double *h, int32_t n, double scale)
{
    memset(h, 0, sizeof(double) * (size_t)(n * n));
    for (int32_t i = 0; i < n; i++) h[i * n + i] = scale;
}

/* One point of the descent. */
typedef struct place {
    double x[MINIMIZE_MAX], gradient[MINIMIZE_MAX], f;
} place;

/* Doubling and bisection until both Wolfe conditions hold (Lewis and Overton, algorithm 2.6).
 * False when no step lowers the value. */
static bool search(const minimize_problem *p, const place *from, const double *direction, place *to)
{
    const double slope = product(from->gradient, direction, p->count);
    if (!(slope < 0)) return false;
    double low = 0, high = INFINITY, step = 1;
    place lowest = *from;
    for (int i = 0; i < SEARCH_STEPS; i++) {
        for (int32_t k = 0; k < p->count; k++) to->x[k] = from->x[k] + step * direction[k];
        to->f = value_at(p, to->x, to->gradient);
        if (to->f < lowest.f) lowest = *to;
        if (!(to->f <= from->f + ARMIJO * step * slope)) {
            high = step;
        } else if (product(to->gradient, direction, p->count) < WOLFE * slope) {
            low = step;
        } else {
            return to->f < from->f;
        }
        step = isfinite(high) ? 0.5 * (low + high) : 2 * low;
    }
    *to = lowest;
    return to->f < from->f;
}

/* H <- (I - r s y') H (I - r y s') + r s s', r = 1 / s'y (Nocedal and Wright, eq. 6.17) */
static void update(double *h, int32_t n, const double *s, const double *y)
{
    const double sy = product(s, y, n);
    if (!(sy > 1e-300)) return;
    double hy[MINIMIZE_MAX];
    for (int32_t i = 0; i < n; i++) hy[i] = product(h + i * n, y, n);
    const double factor = (1 + product(y, hy, n) / sy) / sy;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++)
            h[i * n + j] += factor * s[i] * s[j] - (hy[i] * s[j] + s[i] * hy[j]) / sy;
}

double minimize_bfgs(const minimize_problem *p, double *x, minimize_stop stop,
                     minimize_shape *shape)
{
    const int32_t n = p->count;
    double h[MINIMIZE_MAX * MINIMIZE_MAX], direction[MINIMIZE_MAX];
    double s[MINIMIZE_MAX], y[MINIMIZE_MAX];
    place here, next;
    memcpy(here.x, x, sizeof(double) * (size_t)n);
    here.f = value_at(p, here.x, here.gradient);
    bool fresh = true;
    for (int32_t i = 0, idle = 0; i < stop.iterations && isfinite(here.f) && idle < 2; i++) {
        const double size = sqrt(product(here.gradient, here.gradient, n));
        if (!(size > 0) || !isfinite(size)) break;
        if (fresh) set_identity(h, n, 0.5 / size);
        for (int32_t k = 0; k < n; k++) direction[k] = -product(h + k * n, here.gradient, n);
        if (!search(p, &here, direction, &next)) {
            /* a stale shape gets one more try along the plain gradient */
            if (fresh) break;
            fresh = true;
            idle++;
            continue;
        }
        for (int32_t k = 0; k < n; k++) {
            s[k] = next.x[k] - here.x[k];
            y[k] = next.gradient[k] - here.gradient[k];
        }
        if (fresh && product(s, y, n) > 0) set_identity(h, n, product(s, y, n) / product(y, y, n));
        fresh = false;
        update(h, n, s, y);
        idle = here.f - next.f <= stop.gain * fabs(here.f) ? idle + 1 : 0;
        here = next;
    }
    memcpy(x, here.x, sizeof(double) * (size_t)n);
    if (shape) {
        if (fresh) set_identity(h, n, 1e-6);
        memcpy(shape->inverse, h, sizeof(double) * (size_t)(n * n));
    }
    return here.f;
}

/* Lower triangular root of h (Cholesky); columns that are not positive get a small diagonal. */
static void root_of(double *root, const double *h, int32_t n)
{
    memset(root, 0, sizeof(double) * (size_t)(n * n));
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j <= i; j++) {
            const double rest = h[i * n + j] - product(root + i * n, root + j * n, j);
            if (i == j)
                root[i * n + i] = rest > 0 ? sqrt(rest) : 1e-6;
            else
                root[i * n + j] = rest / root[j * n + j];
        }
}

/* a + t (b - a) */
static void towards(double *out, const double *a, const double *b, double t, int32_t n)
{
    for (int32_t k = 0; k < n; k++) out[k] = a[k] + t * (b[k] - a[k]);
}

/* The simplex: n + 1 corners, kept in order, best first. */
typedef struct simplex {
    double x[MINIMIZE_MAX + 1][MINIMIZE_MAX], f[MINIMIZE_MAX + 1];
} simplex;

static void insert(simplex *s, int32_t last, const double *x, double f, int32_t n)
{
    int32_t at = last;
    for (; at > 0 && s->f[at - 1] > f; at--) {
        s->f[at] = s->f[at - 1];
        memcpy(s->x[at], s->x[at - 1], sizeof s->x[at]);
    }
    s->f[at] = f;
    memcpy(s->x[at], x, sizeof(double) * (size_t)n);
}

/* One move of the worst corner; false when the simplex had to shrink. */
static bool move_worst(const minimize_problem *p, simplex *s)
{
    const int32_t n = p->count;
    double centre[MINIMIZE_MAX] = {0}, reflected[MINIMIZE_MAX], other[MINIMIZE_MAX];
    for (int32_t i = 0; i < n; i++)
        for (int32_t k = 0; k < n; k++) centre[k] += s->x[i][k] / n;
    /* coefficients that adapt to the number of variables (Gao and Han 2012) */
    const double grow = 1 + 2.0 / n, inside = 0.75 - 0.5 / n, shrink = 1 - 1.0 / n;
    towards(reflected, centre, s->x[n], -1, n);
    const double f = value_at(p, reflected, NULL);
    if (f < s->f[0]) {
        towards(other, centre, s->x[n], -grow, n);
        const double g = value_at(p, other, NULL);
        insert(s, n, g < f ? other : reflected, fmin(f, g), n);
        return true;
    }
    if (f < s->f[n - 1]) {
        insert(s, n, reflected, f, n);
        return true;
    }
    towards(other, centre, s->x[n], f < s->f[n] ? -inside : inside, n);
    const double g = value_at(p, other, NULL);
    if (g < fmin(f, s->f[n])) {
        insert(s, n, other, g, n);
        return true;
    }
    simplex old = *s;
    for (int32_t i = 1; i <= n; i++) {
        towards(other, old.x[0], old.x[i], shrink, n);
        insert(s, i, other, value_at(p, other, NULL), n);
    }
    return false;
}

double minimize_simplex(const minimize_problem *p, double *x, const minimize_shape *shape,
                        double size, minimize_stop stop)
{
    const int32_t n = p->count;
    double root[MINIMIZE_MAX * MINIMIZE_MAX], corner[MINIMIZE_MAX];
    simplex s;
    root_of(root, shape->inverse, n);
    insert(&s, 0, x, value_at(p, x, NULL), n);
    for (int32_t j = 0; j < n; j++) {
        for (int32_t k = 0; k < n; k++) corner[k] = x[k] + size * root[k * n + j];
        insert(&s, j + 1, corner, value_at(p, corner, NULL), n);
    }
    for (int32_t i = 0; i < stop.iterations; i++) {
        (void)move_worst(p, &s);
        if (!(s.f[n] - s.f[0] > stop.gain * fabs(s.f[0]))) break;
    }
    memcpy(x, s.x[0], sizeof(double) * (size_t)n);
    return s.f[0];
}

bool minimize_solve(double *a, double *b, int32_t n)
{
    for (int32_t c = 0; c < n; c++) {
        int32_t pivot = c;
        for (int32_t r = c + 1; r < n; r++)
            if (fabs(a[r * n + c]) > fabs(a[pivot * n + c])) pivot = r;
        if (!(fabs(a[pivot * n + c]) > 0) || !isfinite(a[pivot * n + c])) return false;
        for (int32_t k = 0; k < n; k++) {
            const double swap = a[c * n + k];
            a[c * n + k] = a[pivot * n + k], a[pivot * n + k] = swap;
        }
        const double swap = b[c];
        b[c] = b[pivot], b[pivot] = swap;
        for (int32_t r = 0; r < n; r++) {
            if (r == c) continue;
            const double factor = a[r * n + c] / a[c * n + c];
            for (int32_t k = c; k < n; k++) a[r * n + k] -= factor * a[c * n + k];
            b[r] -= factor * b[c];
        }
    }
    for (int32_t c = 0; c < n; c++) b[c] /= a[c * n + c];
    return true;
}

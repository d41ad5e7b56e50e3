#include "law/search.h"

#include "law/vertex.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POLISHED = 8, ROUNDS = 12 };

#define SHARP 1e-4 /* Huber threshold of a descent that ends at a vertex */

static const minimize_stop coarse = {1e-6, 150}, near = {1e-10, 200};
static const minimize_stop fine = {1e-16, 400}, last = {1e-16, 2000};

static double objective_of(void *context, const double *x, double *gradient)
{
    const objective *o = context;
    return objective_at(o, x, gradient);
}

/* One descent. A sum of |r| is descended as a Huber sum with a small threshold, then exactly. */
static double descend(const objective *o, double *parameter, minimize_stop stop,
                      minimize_shape *shape)
{
    objective smooth = *o;
    if (o->loss == FIT_LAD) smooth.loss = FIT_HUBER;
    const minimize_problem p = {o->form->constants, objective_of, &smooth};
    const double f = minimize_bfgs(&p, parameter, stop, shape);
    return o->loss == FIT_LAD ? objective_at(o, parameter, NULL) : f;
}

double search_near(const objective *o, double *parameter)
{
    objective sharp = *o;
    if (o->loss != FIT_LAD) return descend(o, parameter, near, NULL);
    sharp.delta = SHARP;
    return vertex_walk(o, parameter, descend(&sharp, parameter, near, NULL));
}

/* Descent, vertices and simplex in turn until nothing is gained. */
static double polish(const objective *o, double *parameter, int rounds)
{
    objective itself = *o;
    const minimize_problem p = {o->form->constants, objective_of, &itself};
    minimize_shape shape;
    double f = descend(o, parameter, fine, &shape);
    for (int round = 0; round < rounds; round++) {
        double x[LAW_CONSTANTS];
        memcpy(x, parameter, sizeof x);
        double g = search_near(o, x);
        if (g < f) memcpy(parameter, x, sizeof x);
        g = minimize_simplex(&p, parameter, &shape, sqrt(fabs(f)) * pow(0.1, round % 4), last);
        g = fmin(g, minimize_bfgs(&p, parameter, fine, NULL));
        if (o->loss == FIT_LAD) g = vertex_walk(o, parameter, g);
        const bool done = f - g <= 1e-15 * fabs(f);
        f = fmin(f, g);
        if (done && round >= 2) break;
    }
    return f;
}

/* The ends of the best starts so far, best first. */
typedef struct front {
    double parameter[POLISHED][LAW_CONSTANTS], f[POLISHED];
    int32_t count;
} front;

static void keep(front *k, const double *parameter, double f)
{
    /* ends of the same value are the same end */
    for (int32_t i = 0; i < k->count; i++)
        if (fabs(f - k->f[i]) <= 1e-5 * fabs(f)) {
            if (f >= k->f[i]) return;
            memmove(k->f + i, k->f + i + 1, sizeof k->f[0] * (size_t)(k->count - i - 1));
            memmove(k->parameter + i, k->parameter + i + 1,
                    sizeof k->parameter[0] * (size_t)(k->count - i - 1));
            k->count--;
            break;
        }
    int32_t at = k->count < POLISHED ? k->count++ : POLISHED;
    for (; at > 0 && k->f[at - 1] > f; at--) {
        if (at == POLISHED) continue;
        k->f[at] = k->f[at - 1];
        memcpy(k->parameter[at], k->parameter[at - 1], sizeof k->parameter[0]);
    }
    if (at == POLISHED) return;
    k->f[at] = f;
    memcpy(k->parameter[at], parameter, sizeof k->parameter[0]);
}

void search_tell(search_watch watch, const char *stage, int32_t done, int32_t count)
{
    if (watch.progress) watch.progress(watch.context, stage, (double)done / count);
}

status search_all(search_result *out, const objective *o, search_watch watch)
{
    front ends = {.count = 0};
    double x[LAW_CONSTANTS] = {0};
    int32_t starts = 0;
    while (o->form->start(o->form, o->points, starts, x)) starts++;
    double *reached = calloc((size_t)starts, sizeof *reached);
    REQUIRE(reached, ERR_MEMORY, "no memory for %d starts", starts);
    for (int32_t i = 0; i < starts; i++) {
        (void)o->form->start(o->form, o->points, i, x);
        reached[i] = descend(o, x, coarse, NULL);
        if (isfinite(reached[i])) keep(&ends, x, reached[i]);
        search_tell(watch, "starts", i + 1, starts);
    }
    *out = (search_result){.objective = INFINITY, .starts = starts};
    for (int32_t i = 0; i < ends.count; i++) {
        search_tell(watch, "best starts", i, ends.count);
        if (i > 0 && ends.f[i] > 1.5 * ends.f[0]) break;
        const double f = polish(o, ends.parameter[i], ROUNDS);
        if (!(f < out->objective)) continue;
        out->objective = f;
        memcpy(out->parameter, ends.parameter[i], sizeof out->parameter);
    }
    for (int32_t i = 0; i < starts; i++) out->starts_at_best += reached[i] <= out->objective + 1e-8;
    free(reached);
    REQUIRE(isfinite(out->objective), ERR_NUMERIC,
            "%s: no start out of %d ends at a finite objective on these points", o->form->name,
            starts);
    return OK;
}

/* What is suspicious about a fit, in words: each check adds at most a line or two of warnings. */
#include "law/fit.h"
#include "law/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAVE_OUT_MAX = 2000 };

/* What the checks share. */
typedef struct checks {
    fit_result *r;
    const points *p;
    law_points *c;
    objective o;
} checks;

static int32_t index_of(const checks *k, const char *name)
{
    return law_constant(k->r->options.form, name);
}

static void check_limit(const checks *k)
{
    const int32_t e = index_of(k, "E");
    if (e < 0) return;
    const double limit = k->r->constant[e].value;
    int32_t below = 0, lowest = 0;
    for (int32_t i = 0; i < k->p->count; i++) {
        below += k->p->row[i].loss < limit;
        if (k->p->row[i].loss < k->p->row[lowest].loss) lowest = i;
    }
    if (below)
        fit_warn(k->r, "E = %.4f lies above %d observed losses (lowest: %.4f, line %d)", limit,
                 below, k->p->row[lowest].loss, k->p->row[lowest].line);
}

/* The starts of a law span a box; an optimum on its edge or outside was not expected there. */
static void check_boundary(const checks *k)
{
    const law *form = k->r->options.form;
    double low[LAW_CONSTANTS], high[LAW_CONSTANTS], x[LAW_CONSTANTS] = {0};
    for (int32_t i = 0; form->start(form, k->c, i, x); i++)
        for (int32_t j = 0; j < form->constants; j++) {
            low[j] = i ? fmin(low[j], x[j]) : x[j];
            high[j] = i ? fmax(high[j], x[j]) : x[j];
        }
    for (int32_t j = 0; j < form->constants; j++) {
        const double at = k->r->parameter[j], edge = 1e-3 * (high[j] - low[j]);
        if (at > low[j] + edge && at < high[j] - edge) continue;
        fit_warn(k->r, "%s%s = %.4g sits on or beyond the boundary of the starts, %.4g to %.4g",
                 form->logarithm[j] ? "ln " : "", form->constant[j], at, low[j], high[j]);
    }
}

/* A factor that the data fix only to a multiple of itself, and the line it moves along. */
static void check_ridge(const checks *k)
{
    const law *form = k->r->options.form;
    const int32_t n = form->constants;
    if (!k->r->replicate) return;
    for (int32_t i = 0; i < n; i++) {
        const double variance = k->r->covariance[i * n + i];
        if (!form->logarithm[i] || !(variance > log(2) * log(2))) continue;
        /* the exponent that goes with it */
        int32_t with = -1;
        double strongest = 0;
        for (int32_t j = 0; j < n; j++) {
            const double other = k->r->covariance[j * n + j];
            const double together = fabs(k->r->covariance[i * n + j]) / sqrt(variance * other);
            if (j != i && !form->logarithm[j] && together > strongest)
                strongest = together, with = j;
        }
        if (with < 0) continue;
        const double slope = k->r->covariance[i * n + with] / k->r->covariance[with * n + with];
        const double error = sqrt(variance); /* of a logarithm, whose number may be too large */
        fit_warn(k->r,
                 "ridge: the data fix %s only to a factor of %s%.3g (one standard error); the "
                 "objective is nearly flat along ln %s = %.4g + %.4g (%s - %.4g)",
                 form->constant[i], error < 700 ? "" : "e^", error < 700 ? exp(error) : error,
                 form->constant[i], k->r->parameter[i], slope, form->constant[with],
                 k->r->parameter[with]);
    }
}

/* Do N and D vary apart from each other, and is each term larger than the noise? */
static void check_terms(const checks *k)
{
    const int32_t n = k->c->count, A = index_of(k, "A"), B = index_of(k, "B");
    if (A < 0 || B < 0) return;
    double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (int32_t i = 0; i < n; i++) x += k->c->log_params[i] / n, y += k->c->log_tokens[i] / n;
    for (int32_t i = 0; i < n; i++) {
        const double u = k->c->log_params[i] - x, v = k->c->log_tokens[i] - y;
        xx += u * u, yy += v * v, xy += u * v;
    }
    const double correlation = xy / sqrt(xx * yy);
    if (fabs(correlation) > 0.98)
        fit_warn(k->r,
                 "the data cannot separate the terms: ln params and ln tokens move together "
                 "(correlation %.3f)",
                 correlation);
    objective_residuals(&k->o, k->r->parameter);
    const int32_t at[2] = {A, B};
    for (int term = 0; term < 2; term++) {
        /* the slope of ln L by ln A is the share of the term in the loss */
        double least = 1, most = 0;
        for (int32_t i = 0; i < n; i++) {
            const double share = k->o.slope[(ptrdiff_t)at[term] * k->c->padded + i];
            least = fmin(least, share), most = fmax(most, share);
        }
        if (most - least < 2 * k->r->residual_sd)
            fit_warn(k->r,
                     "the data cannot separate the term of %s: it changes by %.2g of the loss over "
                     "the points, the residuals spread by %.2g",
                     k->r->options.form->constant[at[term]], most - least, k->r->residual_sd);
    }
}

/* Refits with the weights as they stand; a, or not a number. */
static double refit(const checks *k, double *constant)
{
    const law *form = k->r->options.form;
    double x[LAW_CONSTANTS];
    law_frontier f;
    memcpy(x, k->r->parameter, sizeof x);
    (void)search_near(&k->o, x);
    law_to_constants(form, x, constant);
    return law_frontier_of(&f, form, constant) ? f.a : NAN;
}

static bool moves(double value, const fit_value *of)
{
    return isfinite(value) && (value < of->interval.p10 || value > of->interval.p90);
}

/* One point that decides the answer: without it a (or a constant) leaves its 80 % interval. */
static void check_leave_one_out(const checks *k)
{
    const law *form = k->r->options.form;
    const search_watch watch = {k->r->options.progress, k->r->options.context};
    if (!k->r->replicate || k->c->count > LEAVE_OUT_MAX) return;
    int32_t decisive = 0, first = -1, which = -1;
    double there = 0, constant[LAW_CONSTANTS];
    for (int32_t i = 0; i < k->c->count; i++) {
        search_tell(watch, "without one point each", i, k->c->count);
        k->c->weight[i] = 0;
        const double a = refit(k, constant);
        k->c->weight[i] = 1;
        int32_t moved = k->r->has_frontier && moves(a, &k->r->a) ? form->constants : -1;
        for (int32_t j = 0; !k->r->has_frontier && j < form->constants && moved < 0; j++)
            if (moves(constant[j], &k->r->constant[j])) moved = j;
        if (moved < 0) continue;
        if (decisive++ == 0)
            first = i, which = moved, there = moved < form->constants ? constant[moved] : a;
    }
    if (!decisive) return;
    const bool frontier = which == form->constants;
    const fit_value *v = frontier ? &k->r->a : &k->r->constant[which];
    fit_warn(k->r,
             "one point decides the answer: without line %d %s = %.4g instead of %.4g, outside "
             "its 80 %% interval%s",
             k->p->row[first].line, frontier ? "a" : form->constant[which], there, v->value,
             decisive > 1 ? " (so for other points)" : "");
}

static void restore(const checks *k)
{
    for (int32_t i = 0; i < k->c->count; i++) k->c->weight[i] = 1;
}

/* Runs with at least as many parameters as tokens: said whenever there are any. */
static void check_wide(const checks *k)
{
    if (!k->r->has_frontier) return;
    int32_t wide = 0;
    double constant[LAW_CONSTANTS];
    for (int32_t i = 0; i < k->c->count; i++)
        if (k->c->log_params[i] >= k->c->log_tokens[i]) k->c->weight[i] = 0, wide++;
    if (wide && k->c->count - wide > k->r->options.form->constants) {
        const double a = refit(k, constant);
        fit_warn(
            k->r,
            "%d point%s params >= tokens; without %s (%d points) a = %.4f instead of %.4f, E = "
            "%.4f instead of %.4f%s",
            wide, wide == 1 ? " has" : "s have", wide == 1 ? "it" : "them", k->c->count - wide, a,
            k->r->a.value, constant[0], k->r->constant[0].value,
            moves(a, &k->r->a) ? "; a leaves its 80 % interval" : "");
    }
    restore(k);
}

/* The five largest residuals: said when they change the exponent. */
static void check_outliers(const checks *k)
{
    enum { OUT = 5 };
    if (!k->r->has_frontier || k->c->count < 4 * OUT) return;
    double constant[LAW_CONSTANTS];
    for (int round = 0; round < OUT; round++) {
        int32_t worst = -1;
        for (int32_t i = 0; i < k->c->count; i++)
            if (k->c->weight[i] > 0 &&
                (worst < 0 || fabs(k->r->residual[i]) > fabs(k->r->residual[worst])))
                worst = i;
        k->c->weight[worst] = 0;
    }
    const double a = refit(k, constant);
    if (moves(a, &k->r->a))
        fit_warn(k->r,
                 "outliers decide the exponent: without the %d largest residuals a = %.4f instead "
                 "of %.4f, outside its 80 %% interval",
                 OUT, a, k->r->a.value);
    restore(k);
}

/* The exponent under the other count of parameters, where the points have both. */
static status check_other_count(const checks *k)
{
    const fit_options *w = &k->r->options;
    if (!k->r->has_frontier) return OK;
    bool differ = false;
    for (int32_t i = 0; i < k->p->count; i++) {
        if (!(k->p->row[i].params_nonemb > 0)) return OK;
        differ = differ || k->p->row[i].params_nonemb != k->p->row[i].params;
    }
    if (!differ) return OK;
    law_points columns;
    objective o;
    search_result found;
    law_frontier f;
    double constant[LAW_CONSTANTS];
    TRY(points_columns(&columns, k->p, w->x, !w->nonemb));
    status s = objective_init(&o, w->form, &columns, w->loss, w->delta);
    if (s == OK) {
        s = search_all(&found, &o, (search_watch){w->progress, w->context});
        objective_deinit(&o);
    }
    points_columns_deinit(&columns);
    TRY(s);
    law_to_constants(w->form, found.parameter, constant);
    if (law_frontier_of(&f, w->form, constant))
        fit_warn(k->r,
                 "with N counted %s embeddings a = %.4f instead of %.4f (%s = %.4g, %s = %.4g)%s",
                 w->nonemb ? "with" : "without", f.a, k->r->a.value, w->form->constant[3],
                 constant[3], w->form->constant[4], constant[4],
                 moves(f.a, &k->r->a) ? "; a leaves its 80 % interval" : "");
    return OK;
}

status fit_check(fit_result *r, const points *p, law_points *columns)
{
    checks k = {r, p, columns, {0}};
    TRY(objective_init(&k.o, r->options.form, columns, r->options.loss, r->options.delta));
    check_limit(&k);
    check_boundary(&k);
    check_ridge(&k);
    check_terms(&k);
    check_wide(&k);
    check_outliers(&k);
    check_leave_one_out(&k);
    objective_deinit(&k.o);
    return check_other_count(&k);
}

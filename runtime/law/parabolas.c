/* Approach 2: budgets among the points, a parabola at each, the line through the lowest points. */
#include "law/optima.h"

#include "base/rng.h"
#include "law/minimize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A budget's points lie within NEAR of it in ln C. Its parabola is a local one: the points within
 * WINDOW of the best one in ln N, and at least the LEAST nearest sizes. */
#define NEAR   0.12
#define WINDOW 1.2
enum { LEAST = 5, BUDGETS_MAX = 256 };

/* One budget's points and what belongs to each. */
typedef struct group {
    int32_t count;
    double *n, *d, *loss;  /* ln N, ln D, loss                      */
    double *fitted, *draw; /* the parabola there; a resampled loss  */
    double center_n, center_d;
} group;

/* What the search works on. */
typedef struct parabolas {
    optima *o;
    optima_options options;
    const points *p;
    double *x; /* ln C of every point */
    group *g;  /* one per budget      */
    double *residual;
    int32_t residuals;
} parabolas;

static double size_of(const parabolas *w, int32_t i)
{
    const fit_point *row = &w->p->row[i];
    return w->options.nonemb ? row->params_nonemb : row->params;
}

static int upwards(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* --- budgets -------------------------------------------------------------- */

/* Different sizes among the free points within NEAR of ln C = at. */
static int32_t sizes_near(const parabolas *w, const bool *taken, double at)
{
    int32_t found = 0;
    for (int32_t i = 0; i < w->p->count; i++) {
        bool counts = !taken[i] && fabs(w->x[i] - at) <= NEAR;
        for (int32_t j = 0; j < i && counts; j++)
            counts = taken[j] || fabs(w->x[j] - at) > NEAR || size_of(w, j) != size_of(w, i);
        found += counts;
    }
    return found;
}

/* The densest places of ln C, each with at least a third of the sizes of the densest. */
static int32_t find_budgets(const parabolas *w, double *budget)
{
    bool *taken = calloc((size_t)w->p->count, sizeof *taken);
    int32_t count = 0, most = 0;
    ASSERT(taken);
    while (count < BUDGETS_MAX) {
        int32_t best = -1, sizes = 2;
        for (int32_t i = 0; i < w->p->count; i++) {
            if (taken[i]) continue;
            const int32_t here = sizes_near(w, taken, w->x[i]);
            if (here > sizes) best = i, sizes = here;
        }
        if (best < 0 || 3 * sizes < most) break;
        if (!count) most = sizes;
        budget[count++] = w->x[best];
        for (int32_t i = 0; i < w->p->count; i++)
            taken[i] = taken[i] || fabs(w->x[i] - budget[count - 1]) <= NEAR;
    }
    free(taken);
    qsort(budget, (size_t)count, sizeof *budget, upwards);
    return count;
}

/* --- one budget ----------------------------------------------------------- */

/* Least squares of y over 1, x, x^2; false when the points do not determine it. */
static bool parabola(double curve[OPTIMA_CURVE], const double *x, double center, const double *y,
                     int32_t count)
{
    double normal[9] = {0};
    memset(curve, 0, OPTIMA_CURVE * sizeof *curve);
    for (int32_t i = 0; i < count; i++) {
        const double t = x[i] - center, power[OPTIMA_CURVE] = {1, t, t * t};
        for (int j = 0; j < 3; j++) {
            curve[j] += power[j] * y[i];
            for (int k = 0; k < 3; k++) normal[3 * j + k] += power[j] * power[k];
        }
    }
    return minimize_solve(normal, curve, OPTIMA_CURVE);
}

/* Lowest point of the parabola, in ln; not a number when it opens downwards. */
static double lowest(const double curve[OPTIMA_CURVE], double center)
{
    return curve[2] > 0 ? center - curve[1] / (2 * curve[2]) : NAN;
}

/* Distance in ln N from the best point within which the parabola is fitted. */
static double window_of(const double *n, const bool *here, int32_t count, double best)
{
    double away[LEAST];
    int32_t known = 0;
    for (int32_t i = 0; i < count; i++) {
        double d = fabs(n[i] - best);
        bool seen = !here[i];
        for (int32_t j = 0; j < i && !seen; j++) seen = here[j] && n[j] == n[i];
        /* the LEAST smallest distances, rising */
        for (int32_t j = 0; j < LEAST && !seen; j++) {
            if (j == known) {
                away[known++] = d;
                break;
            }
            const double other = away[j];
            if (d < other) away[j] = d, d = other;
        }
    }
    return known ? fmax(WINDOW, away[known - 1]) : WINDOW;
}

/* The points near ln C = at into a group; sets what is known of the budget before its fit. */
static status gather(parabolas *w, group *g, optimum *b, double at)
{
    const int32_t count = w->p->count;
    double *all = calloc(6 * (size_t)count, sizeof *all), sum = 0, best = 0, lowest_loss = INFINITY;
    bool *here = calloc((size_t)count, sizeof *here);
    REQUIRE(all && here, ERR_MEMORY, "no memory for %d points", count);
    double *const size = all + 5 * (size_t)count;
    *g = (group){.n = all,
                 .d = all + count,
                 .loss = all + 2 * (size_t)count,
                 .fitted = all + 3 * (size_t)count,
                 .draw = all + 4 * (size_t)count};
    for (int32_t i = 0; i < count; i++) {
        here[i] = fabs(w->x[i] - at) <= NEAR;
        size[i] = log(size_of(w, i));
        if (here[i] && w->p->row[i].loss < lowest_loss)
            lowest_loss = w->p->row[i].loss, best = size[i];
    }
    const double window = window_of(size, here, count, best);
    for (int32_t i = 0; i < count; i++) {
        if (!here[i] || fabs(size[i] - best) > window) continue;
        bool seen = false;
        for (int32_t j = 0; j < g->count && !seen; j++) seen = g->n[j] == size[i];
        b->sizes += !seen;
        g->n[g->count] = size[i];
        g->d[g->count] = log(w->p->row[i].tokens);
        g->loss[g->count++] = w->p->row[i].loss;
        sum += w->x[i];
    }
    free(here);
    for (int32_t i = 0; i < g->count; i++) {
        g->center_n += g->n[i] / g->count, g->center_d += g->d[i] / g->count;
        b->range_params[0] = i ? fmin(b->range_params[0], exp(g->n[i])) : exp(g->n[i]);
        b->range_params[1] = i ? fmax(b->range_params[1], exp(g->n[i])) : exp(g->n[i]);
    }
    b->flops = g->count && !w->options.budgets ? exp(sum / g->count) : exp(at);
    b->points = g->count;
    b->center = g->center_n;
    return OK;
}

/* The parabola and its lowest point; a budget that has none says why. */
static void fit_budget(group *g, optimum *b)
{
    double tokens_curve[OPTIMA_CURVE];
    b->params = b->tokens = b->loss = NAN;
    b->params_interval = b->tokens_interval = (fit_interval){NAN, NAN, NAN, NAN};
    const char *reason = NULL;
    if (b->sizes < 3)
        reason = "fewer than 3 sizes";
    else if (!parabola(b->curve, g->n, g->center_n, g->loss, g->count) ||
             !parabola(tokens_curve, g->d, g->center_d, g->loss, g->count))
        reason = "its sizes do not determine a parabola";
    else if (!(b->curve[2] > 0 && tokens_curve[2] > 0))
        reason = "its parabola opens downwards";
    if (!reason) {
        const double n = lowest(b->curve, b->center), d = lowest(tokens_curve, g->center_d);
        b->params = exp(n), b->tokens = exp(d);
        b->loss = b->curve[0] + 0.5 * b->curve[1] * (n - b->center);
        if (!(b->params > b->range_params[0] && b->params < b->range_params[1]))
            reason = b->params <= b->range_params[0] ? "its minimum lies below the smallest size"
                                                     : "its minimum lies above the largest size";
    }
    b->used = !reason;
    if (reason) (void)snprintf(b->reason, sizeof b->reason, "%s", reason);
}

/* --- the line and its uncertainty ----------------------------------------- */

/* The lines through the minima of losses y (fitted or drawn); false without two minima. */
static bool lines(const parabolas *w, double line[OPTIMA_LINE], bool drawn, double *minimum)
{
    double x[BUDGETS_MAX], n[BUDGETS_MAX], d[BUDGETS_MAX], curve[OPTIMA_CURVE];
    int32_t count = 0;
    for (int32_t k = 0; k < w->o->budgets; k++) {
        const group *g = &w->g[k];
        const double *y = drawn ? g->draw : g->loss;
        if (minimum) minimum[2 * k] = minimum[2 * k + 1] = NAN;
        if (!w->o->budget[k].used) continue;
        if (!parabola(curve, g->n, g->center_n, y, g->count)) continue;
        n[count] = lowest(curve, g->center_n);
        if (!parabola(curve, g->d, g->center_d, y, g->count)) continue;
        d[count] = lowest(curve, g->center_d);
        /* a drawn minimum far outside its sizes is no minimum */
        if (!(fabs(n[count] - g->center_n) < 5) || !(fabs(d[count] - g->center_d) < 5)) continue;
        if (minimum) minimum[2 * k] = exp(n[count]), minimum[2 * k + 1] = exp(d[count]);
        x[count++] = log(w->o->budget[k].flops);
    }
    return optima_straight(line, x, n, count) && optima_straight(line + 2, x, d, count);
}

/* Residuals of all budgets together, made as large as the noise: a parabola takes up 3 of them. */
static status set_residuals(parabolas *w)
{
    optima *o = w->o;
    int32_t count = 0, freedom = 0;
    double square = 0;
    for (int32_t k = 0; k < o->budgets; k++) count += w->g[k].count;
    w->residual = calloc((size_t)count + 1, sizeof *w->residual);
    REQUIRE(w->residual, ERR_MEMORY, "no memory for %d residuals", count);
    for (int32_t k = 0; k < o->budgets; k++) {
        const optimum *b = &o->budget[k];
        group *g = &w->g[k];
        if (!b->used) continue;
        freedom += g->count - OPTIMA_CURVE;
        for (int32_t i = 0; i < g->count; i++) {
            const double t = g->n[i] - b->center;
            g->fitted[i] = b->curve[0] + t * (b->curve[1] + t * b->curve[2]);
            w->residual[w->residuals] = g->loss[i] - g->fitted[i];
            square += w->residual[w->residuals] * w->residual[w->residuals];
            w->residuals++;
        }
    }
    o->residual_sd = freedom > 0 ? sqrt(square / freedom) : NAN;
    const double widen = freedom > 0 ? sqrt((double)w->residuals / freedom) : NAN;
    for (int32_t i = 0; i < w->residuals; i++) w->residual[i] *= widen;
    return OK;
}

/* Each replicate: every loss is its parabola plus a residual drawn from all of them. */
static status resample(parabolas *w)
{
    optima *o = w->o;
    const int32_t count = w->options.bootstrap;
    double *minimum = calloc(2 * (size_t)o->budgets * (size_t)count, sizeof *minimum);
    o->replicate = calloc((size_t)count * OPTIMA_LINE, sizeof *o->replicate);
    REQUIRE(minimum && o->replicate, ERR_MEMORY, "no memory for %d replicates", count);
    int32_t kept = 0;
    for (int32_t r = 0; r < count; r++) {
        uint64_t drawn = 0;
        for (int32_t k = 0; k < o->budgets; k++)
            for (int32_t i = 0; i < w->g[k].count; i++) {
                const double u = rng_uniform(w->options.seed, RNG_FIT, (uint64_t)r + 1, drawn++);
                w->g[k].draw[i] = w->g[k].fitted[i] + w->residual[(int32_t)(u * w->residuals)];
            }
        kept += lines(w, o->replicate + (ptrdiff_t)kept * OPTIMA_LINE, true,
                      minimum + 2 * (ptrdiff_t)o->budgets * kept);
    }
    o->bootstrap = kept;
    if (kept < count)
        optima_warn(o, "%d of %d resamples have fewer than two minima and are left out",
                    count - kept, count);
    /* intervals of each minimum; a resample without it is beyond every interval */
    double *sample = calloc((size_t)count, sizeof *sample);
    REQUIRE(sample, ERR_MEMORY, "no memory for %d replicates", count);
    for (int32_t k = 0; k < 2 * o->budgets; k++) {
        int32_t known = 0;
        for (int32_t r = 0; r < kept; r++) {
            const double at = minimum[2 * (ptrdiff_t)o->budgets * r + k];
            if (isfinite(at)) sample[known++] = at;
        }
        if (known < 2) continue;
        optimum *b = &o->budget[k / 2];
        *(k % 2 ? &b->tokens_interval : &b->params_interval) = fit_interval_of(sample, known);
    }
    free(sample);
    free(minimum);
    return OK;
}

/* --- all of it ------------------------------------------------------------ */

static status prepare(parabolas *w)
{
    const points *p = w->p;
    double budget[BUDGETS_MAX];
    w->x = calloc((size_t)p->count, sizeof *w->x);
    REQUIRE(w->x, ERR_MEMORY, "no memory for %d points", p->count);
    for (int32_t i = 0; i < p->count; i++) w->x[i] = log(points_flops(&p->row[i]));
    int32_t count = w->options.budgets;
    REQUIRE(count <= BUDGETS_MAX, ERR_CONFIG, "%d budgets; at most %d", count, BUDGETS_MAX);
    for (int32_t k = 0; k < count; k++) budget[k] = log(w->options.budget[k]);
    if (!count) count = find_budgets(w, budget);
    qsort(budget, (size_t)count, sizeof *budget, upwards);
    REQUIRE(count > 0, ERR_CONFIG,
            "no budget has 3 sizes (points within %.0f %% of it in FLOPs): Approach 2 needs runs "
            "of several sizes at equal FLOPs",
            100 * NEAR);
    w->g = calloc((size_t)count, sizeof *w->g);
    w->o->budget = calloc((size_t)count, sizeof *w->o->budget);
    REQUIRE(w->g && w->o->budget, ERR_MEMORY, "no memory for %d budgets", count);
    for (int32_t k = 0; k < count; k++) {
        TRY(gather(w, &w->g[k], &w->o->budget[k], budget[k]));
        w->o->budgets = k + 1;
        fit_budget(&w->g[k], &w->o->budget[k]);
    }
    return OK;
}

static void warn_about(optima *o)
{
    for (int32_t k = 0; k < o->budgets; k++) {
        const optimum *b = &o->budget[k];
        if (!b->used)
            optima_warn(o, "budget %.3g left out: %s", b->flops, b->reason);
        else if (b->sizes < 5)
            optima_warn(o, "budget %.3g has %d sizes; its minimum rests on few points", b->flops,
                        b->sizes);
    }
    if (o->used == 2) optima_warn(o, "two budgets only: the line through them has no residual");
}

/* The runs of a budget that counts are behind the line. */
static void widen(optima *o, const group *g)
{
    for (int32_t i = 0; i < g->count; i++) {
        const bool first = o->used == 0 && i == 0;
        const double n = exp(g->n[i]), d = exp(g->d[i]);
        o->range_params[0] = first ? n : fmin(o->range_params[0], n);
        o->range_params[1] = first ? n : fmax(o->range_params[1], n);
        o->range_tokens[0] = first ? d : fmin(o->range_tokens[0], d);
        o->range_tokens[1] = first ? d : fmax(o->range_tokens[1], d);
    }
}

static status run(parabolas *w)
{
    optima *o = w->o;
    TRY(prepare(w));
    for (int32_t k = 0; k < o->budgets; k++) {
        optimum *b = &o->budget[k];
        if (!b->used) continue;
        o->range_flops[0] = o->used ? fmin(o->range_flops[0], b->flops) : b->flops;
        o->range_flops[1] = fmax(o->range_flops[1], b->flops);
        widen(o, &w->g[k]);
        o->points += b->points;
        o->used++;
    }
    warn_about(o);
    double line[OPTIMA_LINE];
    REQUIRE(o->used >= 2 && lines(w, line, false, NULL), ERR_CONFIG,
            "%d of %d budgets have a minimum between their sizes; Approach 2 needs 2 (%s)", o->used,
            o->budgets, o->warnings ? o->warning[0] : "one budget");
    TRY(set_residuals(w));
    if (w->options.bootstrap > 1 && isfinite(o->residual_sd)) TRY(resample(w));
    if (w->options.bootstrap > 1 && !isfinite(o->residual_sd))
        optima_warn(o, "3 sizes at every budget leave no residual: no intervals");
    optima_set_line(o, line);
    return OK;
}

status optima_of_parabolas(optima *out, const points *p, optima_options options)
{
    *out = (optima){.approach = 2};
    parabolas w = {.o = out, .options = options, .p = p};
    const status s = run(&w);
    for (int32_t k = 0; w.g && k < out->budgets; k++) free(w.g[k].n);
    free(w.g);
    free(w.x);
    free(w.residual);
    if (s != OK) optima_deinit(out);
    return s;
}

/* Approach 1: the lowest of all loss curves at each of many budgets, the line through its sizes. */
#include "law/optima.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The published recipe: a Gaussian over 10 steps, 1500 budgets spaced evenly in ln C. */
enum { SMOOTH = 10, GRID = 1500 };

/* One curve on the grid: smoothed loss and ln tokens; not a number beyond its ends. */
typedef struct row {
    double *loss, *log_tokens; /* (GRID) */
    double log_params;
} row;

typedef struct envelope {
    row *rows;
    int32_t count;
    double log_flops[GRID];
} envelope;

/* Gaussian mean around point i, cut off at three windows. */
static double smoothed(const loss_curve *c, int32_t i)
{
    double sum = 0, weight = 0;
    const int32_t reach = 3 * SMOOTH;
    const int32_t first = i < reach ? 0 : i - reach;
    const int32_t last = i + reach < c->count ? i + reach : c->count - 1;
    for (int32_t j = first; j <= last; j++) {
        const double t = (double)(j - i) / SMOOTH, g = exp(-0.5 * t * t);
        if (!isfinite(c->loss[j])) continue;
        sum += g * c->loss[j];
        weight += g;
    }
    return weight > 0 ? sum / weight : NAN;
}

/* One curve onto the grid, linear in ln C between its steps. */
static status place(row *r, const loss_curve *c, const double *log_flops)
{
    double *smooth = calloc((size_t)c->count, sizeof *smooth);
    r->loss = calloc(2 * (size_t)GRID, sizeof *r->loss);
    if (!smooth || !r->loss) {
        free(smooth);
        FAIL(ERR_MEMORY, "no memory for %d steps", c->count);
    }
    r->log_tokens = r->loss + GRID;
    for (int32_t i = 0; i < c->count; i++) smooth[i] = smoothed(c, i);
    int32_t at = 0;
    for (int32_t k = 0; k < GRID; k++) {
        const double x = log_flops[k];
        r->loss[k] = r->log_tokens[k] = NAN;
        if (x < log(c->flops[0]) || x > log(c->flops[c->count - 1]) * (1 + 1e-12)) continue;
        while (at + 2 < c->count && log(c->flops[at + 1]) < x) at++;
        const double low = log(c->flops[at]), high = log(c->flops[at + 1]);
        const double part = fmin((x - low) / (high - low), 1);
        r->loss[k] = smooth[at] + part * (smooth[at + 1] - smooth[at]);
        r->log_tokens[k] = log(c->tokens[at]) + part * log(c->tokens[at + 1] / c->tokens[at]);
    }
    free(smooth);
    return OK;
}

/* From the lowest to the highest of what a line goes through. */
typedef struct extent {
    double flops[2], params[2], tokens[2];
} extent;

static extent extent_of(const double *x, const double *n, const double *d, int32_t count)
{
    extent out = {{x[0], x[count - 1]}, {n[0], n[0]}, {d[0], d[0]}};
    for (int32_t k = 1; k < count; k++) {
        out.params[0] = fmin(out.params[0], n[k]), out.params[1] = fmax(out.params[1], n[k]);
        out.tokens[0] = fmin(out.tokens[0], d[k]), out.tokens[1] = fmax(out.tokens[1], d[k]);
    }
    for (int end = 0; end < 2; end++) {
        out.flops[end] = exp(out.flops[end]);
        out.params[end] = exp(out.params[end]);
        out.tokens[end] = exp(out.tokens[end]);
    }
    return out;
}

/* Lines through the lowest curves; drawn[i]: how often curve i takes part. Where the smallest or
 * the largest size is lowest the best size lies beyond, so those budgets say nothing. The sizes
 * that remain must be two. shares: budgets that count, and those that an end size wins. */
static bool lines(const envelope *e, const int32_t *drawn, double line[OPTIMA_LINE], extent *range,
                  int32_t shares[2])
{
    double x[GRID], n[GRID], d[GRID], smallest = INFINITY, largest = -INFINITY;
    int32_t count = 0, ends = 0;
    for (int32_t i = 0; i < e->count; i++) {
        if (!drawn[i]) continue;
        smallest = fmin(smallest, e->rows[i].log_params);
        largest = fmax(largest, e->rows[i].log_params);
    }
    bool two = false;
    for (int32_t k = 0; k < GRID; k++) {
        const row *best = NULL;
        for (int32_t i = 0; i < e->count; i++) {
            const row *r = &e->rows[i];
            if (drawn[i] && isfinite(r->loss[k]) && (!best || r->loss[k] < best->loss[k])) best = r;
        }
        if (!best) continue;
        if (best->log_params == smallest || best->log_params == largest) {
            ends++;
            continue;
        }
        x[count] = e->log_flops[k];
        n[count] = best->log_params;
        d[count] = best->log_tokens[k];
        two = two || n[count] != n[0];
        count++;
    }
    shares[0] = count, shares[1] = ends;
    if (!two) return false;
    *range = extent_of(x, n, d, count);
    return optima_straight(line, x, n, count) && optima_straight(line + 2, x, d, count);
}

static status resample(optima *o, const envelope *e, optima_options options)
{
    int32_t *drawn = calloc((size_t)e->count, sizeof *drawn), kept = 0, shares[2];
    extent range;
    o->replicate = calloc((size_t)options.bootstrap * OPTIMA_LINE, sizeof *o->replicate);
    if (!drawn || !o->replicate) {
        free(drawn);
        FAIL(ERR_MEMORY, "no memory for %d replicates", options.bootstrap);
    }
    for (int32_t r = 0; r < options.bootstrap; r++) {
        for (int32_t i = 0; i < e->count; i++) drawn[i] = 0;
        for (int32_t i = 0; i < e->count; i++) {
            const double u = rng_uniform(options.seed, RNG_FIT, (uint64_t)r + 1, (uint64_t)i);
            drawn[(int32_t)(u * e->count)]++;
        }
        kept += lines(e, drawn, o->replicate + (ptrdiff_t)kept * OPTIMA_LINE, &range, shares);
    }
    free(drawn);
    o->bootstrap = kept > 1 ? kept : 0;
    if (kept < options.bootstrap)
        optima_warn(o,
                    "%d of %d resamples of the runs have fewer than two best sizes and are left "
                    "out: intervals are too narrow",
                    options.bootstrap - kept, options.bootstrap);
    return OK;
}

static status set_grid(envelope *e, const loss_curve *curve, int32_t curves)
{
    double low = INFINITY, high = 0;
    for (int32_t i = 0; i < curves; i++) {
        const loss_curve *c = &curve[i];
        REQUIRE(c->count >= 2 && c->flops[0] > 0, ERR_CONFIG,
                "run %d of %d has fewer than two steps on record", i + 1, curves);
        low = fmin(low, log(c->flops[0])), high = fmax(high, log(c->flops[c->count - 1]));
    }
    for (int32_t k = 0; k < GRID; k++) e->log_flops[k] = low + (high - low) * k / (GRID - 1);
    e->rows = calloc((size_t)curves, sizeof *e->rows);
    REQUIRE(e->rows, ERR_MEMORY, "no memory for %d curves", curves);
    return OK;
}

static status run(optima *o, envelope *e, const loss_curve *curve, int32_t curves,
                  optima_options options)
{
    REQUIRE(curves > 0, ERR_CONFIG, "no loss curves: Approach 1 needs runs with steps on record");
    TRY(set_grid(e, curve, curves));
    for (int32_t i = 0; i < curves; i++) {
        TRY(place(&e->rows[i], &curve[i], e->log_flops));
        e->rows[i].log_params = log(options.nonemb ? curve[i].params_nonemb : curve[i].params);
        e->count = i + 1;
    }
    int32_t *all = calloc((size_t)e->count, sizeof *all), shares[2];
    REQUIRE(all, ERR_MEMORY, "no memory for %d curves", curves);
    for (int32_t i = 0; i < e->count; i++) all[i] = 1;
    double line[OPTIMA_LINE];
    extent range;
    const bool found = lines(e, all, line, &range, shares);
    free(all);
    REQUIRE(found, ERR_CONFIG,
            "fewer than two sizes between the smallest and the largest are best at some budget; "
            "Approach 1 needs curves of at least 4 sizes that cross");
    o->points = shares[0];
    memcpy(o->range_flops, range.flops, sizeof o->range_flops);
    memcpy(o->range_params, range.params, sizeof o->range_params);
    memcpy(o->range_tokens, range.tokens, sizeof o->range_tokens);
    if (shares[1] > shares[0])
        optima_warn(o,
                    "at %d of %d budgets the smallest or the largest size has the lowest loss; "
                    "they are left out",
                    shares[1], shares[0] + shares[1]);
    if (options.bootstrap > 1) TRY(resample(o, e, options));
    optima_set_line(o, line);
    return OK;
}

status optima_of_curves(optima *out, const loss_curve *curve, int32_t curves,
                        optima_options options)
{
    *out = (optima){.approach = 1, .residual_sd = NAN};
    envelope *e = calloc(1, sizeof *e);
    REQUIRE(e, ERR_MEMORY, "no memory for %d curves", curves);
    const status s = run(out, e, curve, curves, options);
    for (int32_t i = 0; e->rows && i < curves; i++) free(e->rows[i].loss);
    free(e->rows);
    free(e);
    if (s != OK) optima_deinit(out);
    return s;
}

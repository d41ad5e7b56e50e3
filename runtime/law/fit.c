#include "law/fit.h"

#include "base/rng.h"
#include "law/search.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fit_warn(fit_result *r, const char *format, ...)
{
    if (r->warnings == FIT_WARNINGS) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(r->warning[r->warnings++], FIT_WARNING_LENGTH, format, arguments);
    va_end(arguments);
}

void fit_deinit(fit_result *r)
{
    free(r->replicate);
    free(r->residual);
    r->replicate = r->residual = NULL;
}

/* --- can these points determine this law? --------------------------------- */

/* Number of different values, at most limit. */
static int32_t different(const double *x, int32_t count, int32_t limit)
{
    int32_t found = 0;
    for (int32_t i = 0; i < count && found < limit; i++) {
        bool seen = false;
        for (int32_t j = 0; j < i && !seen; j++) seen = x[i] == x[j];
        found += !seen;
    }
    return found;
}

static int32_t different_cases(const law *form, const law_points *c)
{
    int32_t found = 0;
    for (int32_t i = 0; i < c->count && found <= form->constants; i++) {
        bool seen = false;
        for (int32_t j = 0; j < i && !seen; j++)
            seen = (form->needs & LAW_OF_X ? c->log_x[i] == c->log_x[j]
                                           : (!(form->needs & LAW_OF_PARAMS) ||
                                              c->log_params[i] == c->log_params[j]) &&
                                                 (!(form->needs & LAW_OF_TOKENS) ||
                                                  c->log_tokens[i] == c->log_tokens[j])) &&
                   c->log_loss[i] == c->log_loss[j];
        found += !seen;
    }
    return found;
}

static status require_points(const law *form, const points *p, const law_points *c)
{
    const int32_t cases = different_cases(form, c), least = form->constants + 1;
    REQUIRE(p->count > 1, ERR_CONFIG, "one point: %s has %d constants and needs at least %d points",
            form->name, form->constants, least);
    REQUIRE(cases > 1, ERR_CONFIG, "all %d points are equal; %s needs at least %d different ones",
            p->count, form->name, least);
    REQUIRE(cases >= least, ERR_CONFIG,
            "%d different points: %s has %d constants and needs at least %d", cases, form->name,
            form->constants, least);
    const double *const column[] = {c->log_params, c->log_tokens, c->log_x};
    static const char *const name[] = {"params", "tokens", "the variable of the law"};
    for (int k = 0; k < 3; k++)
        REQUIRE(!(form->needs & (1u << k)) || different(column[k], c->count, 3) > 1, ERR_CONFIG,
                "%s is the same in all points; %s cannot be fitted to them", name[k], form->name);
    REQUIRE(different(c->log_loss, c->count, 3) > 1, ERR_CONFIG,
            "loss is the same in all points; there is nothing to fit");
    if ((form->needs & (LAW_OF_PARAMS | LAW_OF_TOKENS)) != (LAW_OF_PARAMS | LAW_OF_TOKENS))
        return OK;
    int32_t wide = 0;
    for (int32_t i = 0; i < p->count; i++) wide += p->row[i].params >= p->row[i].tokens;
    REQUIRE(wide < p->count, ERR_CONFIG,
            "every point has at least as many parameters as tokens; %s needs runs with params "
            "below tokens (are the columns exchanged?)",
            form->name);
    return OK;
}

/* --- the bootstrap -------------------------------------------------------- */

/* What is drawn as one, by number: points that share a group (a trunk), and of the others runs of
 * equal params and tokens. Seeds of one cell share what the law gets wrong there, so they travel
 * together; drawing them again inside a cell would count their spread twice. */
typedef struct units {
    int32_t *of; /* (points) */
    int32_t count;
} units;

static bool shares_group(const points *p, int32_t i)
{
    for (int32_t j = 0; j < p->count; j++)
        if (j != i && p->row[j].group == p->row[i].group) return true;
    return false;
}

static status units_init(units *u, const points *p)
{
    bool *shared = calloc((size_t)p->count, sizeof *shared);
    *u = (units){calloc((size_t)p->count, sizeof(int32_t)), 0};
    if (!shared || !u->of) {
        free(shared);
        free(u->of);
        FAIL(ERR_MEMORY, "no memory for %d points", p->count);
    }
    for (int32_t i = 0; i < p->count; i++) {
        const fit_point *a = &p->row[i];
        int32_t j = 0;
        shared[i] = shares_group(p, i);
        for (; j < i; j++) {
            const fit_point *b = &p->row[j];
            const bool cell = a->params == b->params && a->tokens == b->tokens;
            if (a->group == b->group || (cell && !shared[i] && !shared[j])) break;
        }
        u->of[i] = j == i ? u->count++ : u->of[j];
    }
    free(shared);
    return OK;
}

/* Draws as many units as there are, with replacement: weights count the draws. */
static void draw_weights(law_points *c, const units *u, uint64_t seed, int32_t replicate)
{
    for (int32_t i = 0; i < c->count; i++) c->weight[i] = 0;
    for (int32_t k = 0; k < u->count; k++) {
        const double at = rng_uniform(seed, RNG_FIT, (uint64_t)replicate + 1, (uint64_t)k);
        const int32_t drawn = (int32_t)(at * u->count);
        if (u->count == c->count) {
            c->weight[drawn] += 1;
            continue;
        }
        for (int32_t i = 0; i < c->count; i++) c->weight[i] += u->of[i] == drawn;
    }
}

/* Spread of ln loss among runs that differ in their seed alone. */
static void set_seed_spread(fit_result *r, const points *p)
{
    double square = 0;
    for (int32_t i = 0; i < p->count; i++) {
        double sum = 0;
        int32_t count = 0, first = -1;
        for (int32_t j = 0; j < p->count; j++) {
            if (p->row[j].params != p->row[i].params || p->row[j].tokens != p->row[i].tokens)
                continue;
            if (first < 0) first = j;
            sum += log(p->row[j].loss), count++;
        }
        if (count < 2) continue;
        const double away = log(p->row[i].loss) - sum / count;
        square += away * away;
        r->seed_freedom += first != i;
    }
    r->seed_sd = r->seed_freedom ? sqrt(square / r->seed_freedom) : NAN;
}

/* What the spread of resamples is multiplied by for intervals. Resampled sums of squares spread too
 * little, by the degrees of freedom that a fit uses up; resampled medians, the pull of residuals
 * beyond delta, too much: without the second factor the 80 % intervals of 400 planted sets of 40
 * points held 82 to 90 % of what was planted. */
static void set_calibration(fit_result *r, int32_t drawn)
{
    const double n = r->options.form->constants, points_count = r->points;
    /* too few to tell: as many as can be */
    const double count = fmax(drawn, n + 1);
    double inside = r->options.loss == FIT_MSE;
    for (int32_t i = 0; i < r->points && r->options.loss == FIT_HUBER; i++)
        inside += (fabs(r->residual[i]) < r->options.delta) / points_count;
    r->calibration = inside * sqrt(count / (count - n)) + (1 - inside) * (count - n) / count;
}

/* Constants of replicate k, its distance from the fit multiplied by scale. */
static void replicate_constants(double *constant, const fit_result *r, int32_t k, double scale)
{
    const int32_t n = r->options.form->constants;
    double x[LAW_CONSTANTS];
    for (int32_t i = 0; i < n; i++)
        x[i] = r->parameter[i] + scale * (r->replicate[(ptrdiff_t)k * n + i] - r->parameter[i]);
    law_to_constants(r->options.form, x, constant);
}

void fit_replicate(double *constant, const fit_result *r, int32_t k)
{
    replicate_constants(constant, r, k, r->calibration);
}

static void set_covariance(fit_result *r)
{
    const int32_t n = r->options.form->constants, count = r->options.bootstrap;
    double mean[LAW_CONSTANTS] = {0};
    for (int32_t k = 0; k < count; k++)
        for (int32_t i = 0; i < n; i++) mean[i] += r->replicate[(ptrdiff_t)k * n + i] / count;
    for (int32_t k = 0; k < count; k++)
        for (int32_t i = 0; i < n; i++)
            for (int32_t j = 0; j < n; j++)
                r->covariance[i * n + j] += (r->replicate[(ptrdiff_t)k * n + i] - mean[i]) *
                                            (r->replicate[(ptrdiff_t)k * n + j] - mean[j]) /
                                            (count - 1);
}

static status bootstrap(fit_result *r, const points *p, law_points *c, const objective *o)
{
    const int32_t n = r->options.form->constants, count = r->options.bootstrap;
    const search_watch watch = {r->options.progress, r->options.context};
    units u;
    TRY(units_init(&u, p));
    r->replicate = calloc((size_t)count * (size_t)n, sizeof *r->replicate);
    if (!r->replicate) {
        free(u.of);
        FAIL(ERR_MEMORY, "no memory for %d bootstrap replicates", count);
    }
    for (int32_t k = 0; k < count; k++) {
        double *x = r->replicate + (ptrdiff_t)k * n;
        draw_weights(c, &u, r->options.seed, k);
        memcpy(x, r->parameter, sizeof(double) * (size_t)n);
        (void)search_near(o, x);
        search_tell(watch, "bootstrap", k + 1, count);
    }
    for (int32_t i = 0; i < p->count; i++) c->weight[i] = 1;
    free(u.of);
    if (u.count < p->count && u.count < 2 * n)
        fit_warn(r,
                 "%d points, of which only %d are independent (others share a trunk or differ "
                 "in their seed alone): intervals from so few are too narrow",
                 p->count, u.count);
    set_calibration(r, u.count);
    set_covariance(r);
    return OK;
}

/* --- numbers with their uncertainty --------------------------------------- */

static int upwards(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear between the order statistics. */
static double percentile(const double *sorted, int32_t count, double share)
{
    const double at = share * (count - 1);
    const int32_t low = (int32_t)at;
    if (low + 1 >= count || sorted[low] == sorted[low + 1]) return sorted[low];
    return sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]);
}

static const fit_interval unknown = {NAN, NAN, NAN, NAN};

fit_interval fit_interval_of(double *sample, int32_t count)
{
    for (int32_t k = 0; k < count; k++)
        if (isnan(sample[k])) return unknown;
    qsort(sample, (size_t)count, sizeof *sample, upwards);
    return (fit_interval){percentile(sample, count, 0.025), percentile(sample, count, 0.1),
                          percentile(sample, count, 0.9), percentile(sample, count, 0.975)};
}

fit_value fit_value_of(const fit_result *r, fit_quantity quantity, const void *context)
{
    const law *form = r->options.form;
    const int32_t count = r->options.bootstrap;
    double constant[LAW_CONSTANTS];
    law_to_constants(form, r->parameter, constant);
    fit_value out = {quantity(form, constant, context), NAN, unknown};
    double *sample = count > 1 ? calloc((size_t)count, sizeof *sample) : NULL;
    if (!sample || !r->replicate) {
        free(sample);
        return out;
    }
    double mean = 0, square = 0;
    for (int32_t k = 0; k < count; k++) {
        replicate_constants(constant, r, k, 1);
        sample[k] = quantity(form, constant, context);
        mean += sample[k] / count;
    }
    for (int32_t k = 0; k < count; k++) square += (sample[k] - mean) * (sample[k] - mean);
    out.standard_error = sqrt(square / (count - 1));
    for (int32_t k = 0; k < count; k++) {
        replicate_constants(constant, r, k, r->calibration);
        sample[k] = quantity(form, constant, context);
    }
    out.interval = fit_interval_of(sample, count);
    free(sample);
    return out;
}

static double constant_of(const law *form, const double *constant, const void *context)
{
    (void)form;
    return constant[*(const int32_t *)context];
}

static double frontier_of(const law *form, const double *constant, const void *context)
{
    law_frontier f;
    if (!law_frontier_of(&f, form, constant)) return NAN;
    const int32_t which = *(const int32_t *)context;
    return which == 0 ? f.a : which == 1 ? f.b : f.G;
}

static void set_values(fit_result *r)
{
    const law *form = r->options.form;
    for (int32_t k = 0; k < form->constants; k++) r->constant[k] = fit_value_of(r, constant_of, &k);
    fit_value *const frontier[] = {&r->a, &r->b, &r->G};
    for (int32_t k = 0; k < 3; k++) *frontier[k] = fit_value_of(r, frontier_of, &k);
    r->has_frontier = isfinite(r->a.value) && isfinite(r->G.value);
}

static double surface_of(const law *form, const double *constant, const void *context)
{
    return law_loss(form, constant, *(const law_case *)context, NULL);
}

static bool within(double x, const double *range)
{
    return x >= range[0] * (1 - 1e-9) && x <= range[1] * (1 + 1e-9);
}

status fit_predict(fit_forecast *out, const fit_result *r, law_case at)
{
    enum { DRAWS = 8 };
    const law *form = r->options.form;
    const int32_t count = r->options.bootstrap, n = form->constants;
    out->surface = fit_value_of(r, surface_of, &at);
    out->run = unknown;
    out->inside = (!(form->needs & LAW_OF_PARAMS) || within(at.params, r->range_params)) &&
                  (!(form->needs & LAW_OF_TOKENS) || within(at.tokens, r->range_tokens));
    if (!r->replicate) return OK;
    double *sample = calloc((size_t)count * DRAWS, sizeof *sample), constant[LAW_CONSTANTS];
    REQUIRE(sample, ERR_MEMORY, "no memory for a forecast");
    /* residuals of a fit are too small: it has used up n degrees of freedom */
    const double widen = sqrt((double)r->points / (r->points - n));
    for (int32_t k = 0; k < count; k++) {
        replicate_constants(constant, r, k, r->calibration);
        const double loss = law_loss(form, constant, at, NULL);
        for (int32_t d = 0; d < DRAWS; d++) {
            const uint64_t stream = (uint64_t)k + (UINT64_C(1) << 32);
            const double u = rng_uniform(r->options.seed, RNG_FIT, stream, (uint64_t)d);
            const double residual = r->residual[(int32_t)(u * r->points)];
            sample[(ptrdiff_t)k * DRAWS + d] = loss * exp(-widen * residual);
        }
    }
    out->run = fit_interval_of(sample, count * DRAWS);
    free(sample);
    return OK;
}

/* --- the fit -------------------------------------------------------------- */

static void set_ranges(fit_result *r, const points *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        const fit_point *at = &p->row[i];
        const double v[3] = {r->options.nonemb ? at->params_nonemb : at->params, at->tokens,
                             points_flops(at)};
        double *const range[3] = {r->range_params, r->range_tokens, r->range_flops};
        for (int k = 0; k < 3; k++) {
            range[k][0] = i ? fmin(range[k][0], v[k]) : v[k];
            range[k][1] = i ? fmax(range[k][1], v[k]) : v[k];
        }
    }
}

static status set_residuals(fit_result *r, const objective *o)
{
    r->residual = calloc((size_t)r->points, sizeof *r->residual);
    REQUIRE(r->residual, ERR_MEMORY, "no memory for %d residuals", r->points);
    objective_residuals(o, r->parameter);
    double square = 0;
    for (int32_t i = 0; i < r->points; i++) {
        r->residual[i] = o->value[i];
        square += o->value[i] * o->value[i];
    }
    r->residual_sd = sqrt(square / (r->points - o->form->constants));
    return OK;
}

static status fit_columns(fit_result *r, const points *p, law_points *c)
{
    const fit_options *w = &r->options;
    TRY(require_points(w->form, p, c));
    set_ranges(r, p);
    objective o;
    TRY(objective_init(&o, w->form, c, w->loss, w->delta));
    search_result found;
    status s = search_all(&found, &o, (search_watch){w->progress, w->context});
    if (s == OK) {
        memcpy(r->parameter, found.parameter, sizeof r->parameter);
        r->objective = found.objective;
        r->starts = found.starts;
        r->starts_at_best = found.starts_at_best;
        s = set_residuals(r, &o);
    }
    if (s == OK) set_seed_spread(r, p);
    if (s == OK && w->bootstrap > 0) s = bootstrap(r, p, c, &o);
    objective_deinit(&o);
    TRY(s);
    set_values(r);
    return fit_check(r, p, c);
}

status fit_run(fit_result *out, const points *p, fit_options options)
{
    *out = (fit_result){.options = options, .points = p->count};
    law_points columns;
    TRY(points_columns(&columns, p, options.x, options.nonemb));
    const status s = fit_columns(out, p, &columns);
    points_columns_deinit(&columns);
    if (s != OK) fit_deinit(out);
    return s;
}

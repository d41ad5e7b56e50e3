#include "plan/allocate.h"

#include <math.h>
#include <string.h>

/* Budgets that are searched, ln FLOPs. */
#define LOWEST  (4 * M_LN10)
#define HIGHEST (34 * M_LN10)

enum { BISECTIONS = 200 };

allocate_question allocate_nothing(void)
{
    return (allocate_question){NAN, NAN, NAN, NAN, NAN, NAN, NAN};
}

static bool given(double x) { return isfinite(x); }

static bool has_surface(const published_law *row)
{
    const uint32_t both = LAW_OF_PARAMS | LAW_OF_TOKENS;
    return row->form && (row->form->needs & both) == both;
}

static bool knows_repeats(const published_law *row)
{
    return row->form && (row->form->needs & LAW_OF_UNIQUE);
}

/* Fewer tokens than are unique are all fresh. */
static law_case run_of(const published_law *row, double params, double tokens, double unique)
{
    const bool repeats = knows_repeats(row) && given(unique) && unique > 0 && tokens > unique;
    return (law_case){.params = params, .tokens = tokens, .unique = repeats ? unique : 0};
}

double allocate_loss(const published_law *row, double params, double tokens, double unique)
{
    return published_loss(row, run_of(row, params, tokens, unique));
}

/* Along a budget: params with the least loss, by golden section in ln N. */
static double least_loss_params(const published_law *row, double flops, double start, double unique)
{
    const double golden = 0.6180339887498949;
    double low = log(start) - 6, high = log(start) + 6;
    double x1 = high - golden * (high - low), x2 = low + golden * (high - low);
    double f1 = allocate_loss(row, exp(x1), flops / 6 / exp(x1), unique);
    double f2 = allocate_loss(row, exp(x2), flops / 6 / exp(x2), unique);
    for (int i = 0; i < 80; i++) {
        if (f1 < f2) {
            high = x2, x2 = x1, f2 = f1, x1 = high - golden * (high - low);
            f1 = allocate_loss(row, exp(x1), flops / 6 / exp(x1), unique);
        } else {
            low = x1, x1 = x2, f1 = f2, x2 = low + golden * (high - low);
            f2 = allocate_loss(row, exp(x2), flops / 6 / exp(x2), unique);
        }
    }
    return exp((low + high) / 2);
}

/* N and D of a budget: on the compute-optimal line, or where D = R N. */
static void spend(const published_law *row, double flops, const allocate_question *q,
                  double *params, double *tokens)
{
    if (given(q->tokens_per_param)) {
        *params = sqrt(flops / (6 * q->tokens_per_param));
        *tokens = q->tokens_per_param * *params;
        return;
    }
    const published_optimum o = published_optimum_of(row, flops);
    *params = o.params;
    *tokens = o.tokens;
    if (knows_repeats(row) && given(q->unique) && o.tokens > q->unique) {
        *params = least_loss_params(row, flops, o.params, q->unique);
        *tokens = flops / 6 / *params;
    }
}

/* Which of the results a search aims at. */
typedef enum aim { AIM_PARAMS, AIM_TOKENS, AIM_LOSS } aim;

static double aimed(const published_law *row, double flops, const allocate_question *q, aim what)
{
    double params, tokens;
    spend(row, flops, q, &params, &tokens);
    if (what == AIM_PARAMS) return params;
    if (what == AIM_TOKENS) return tokens;
    return -allocate_loss(row, params, tokens, q->unique);
}

/* The budget whose result is the target; results grow with the budget. NaN: none does. */
static double budget_for(const published_law *row, const allocate_question *q, aim what,
                         double target)
{
    double low = LOWEST, high = HIGHEST;
    if (!(aimed(row, exp(low), q, what) <= target) || !(aimed(row, exp(high), q, what) >= target))
        return NAN;
    for (int i = 0; i < BISECTIONS && high - low > 1e-15 * high; i++) {
        const double middle = (low + high) / 2;
        if (aimed(row, exp(middle), q, what) < target)
            low = middle;
        else
            high = middle;
    }
    return exp((low + high) / 2);
}

/* Sardana et al. 2024: the least 6 N D + 2 N T of this loss. Along the curve of equal loss
 * (alpha A / N^alpha) / (beta B / D^beta) = 1 + T / (3 D); the left side is 1 at the optimum of
 * training alone and grows as N falls. */
static bool serve(const published_law *row, double inference, double *params, double *tokens)
{
    law_frontier f;
    if (!row->form || !law_frontier_of(&f, row->form, row->constant)) return false;
    const double *c = row->constant;
    const double A = c[law_constant(row->form, "A")];
    const double B = c[law_constant(row->form, "B")], x = c[law_constant(row->form, "alpha")];
    const double y = c[law_constant(row->form, "beta")];
    const double reducible = A * pow(*params, -x) + B * pow(*tokens, -y);
    /* at low the term of N alone is the whole loss */
    double low = log(A / reducible) / x, high = log(*params), d = *tokens;
    for (int i = 0; i < BISECTIONS; i++) {
        const double n = (low + high) / 2, of_n = A * exp(-x * n), of_d = reducible - of_n;
        d = pow(B / of_d, 1 / y);
        if (!(of_d > 0) || x * of_n / (y * of_d) > 1 + inference / (3 * d))
            low = n;
        else
            high = n;
    }
    *params = exp(high);
    *tokens = pow(B / (reducible - A * exp(-x * high)), 1 / y);
    return isfinite(*tokens);
}

static void answer_pair(allocation *out, const allocate_question *q)
{
    out->params = given(q->params) ? q->params : q->flops / 6 / q->tokens;
    out->tokens = given(q->tokens) ? q->tokens : q->flops / 6 / q->params;
    out->flops = 6 * out->params * out->tokens;
}

/* One quantity is given; the law's line gives the others. */
static void answer_line(allocation *out, const published_law *row, const allocate_question *q)
{
    const double ratio = q->tokens_per_param;
    if (given(q->flops)) {
        out->flops = q->flops;
    } else if (given(q->loss)) {
        out->flops = has_surface(row) && row->pair ? budget_for(row, q, AIM_LOSS, -q->loss) : NAN;
        if (!has_surface(row) || !row->pair)
            out->why = "has no loss of N and D on a budget";
        else if (!isfinite(out->flops))
            out->why = "does not reach this loss on its data with any budget";
    } else if (given(ratio)) {
        const double n = given(q->params) ? q->params : q->tokens / ratio;
        out->flops = 6 * ratio * n * n;
    } else {
        out->flops = given(q->params) ? budget_for(row, q, AIM_PARAMS, q->params)
                                      : budget_for(row, q, AIM_TOKENS, q->tokens);
    }
    spend(row, out->flops, q, &out->params, &out->tokens);
    if (!isfinite(out->params) && !isfinite(out->tokens)) return;
    if (given(q->params)) out->params = q->params;
    if (given(q->tokens)) out->tokens = q->tokens;
}

static void answer(allocation *out, const published_law *row, const allocate_question *q)
{
    const int32_t parts = given(q->flops) + given(q->params) + given(q->tokens);
    *out = (allocation){NAN, NAN, NAN, NAN, NAN, .knows_repeats = knows_repeats(row)};
    if (parts == 2)
        answer_pair(out, q);
    else
        answer_line(out, row, q);
    /* lines that are no pair: tokens beside params would claim to spend the budget together */
    const bool alone = !row->pair && parts < 2 && !given(q->tokens_per_param);
    if (alone && !given(q->tokens)) out->tokens = NAN;
    if (alone && given(q->tokens)) out->params = NAN;
    if (given(q->inference)) {
        if (!isfinite(out->params) || !serve(row, q->inference, &out->params, &out->tokens)) {
            out->params = out->tokens = out->flops = NAN;
            out->why = "has no loss of N and D to keep equal";
        } else {
            out->flops = 6 * out->params * out->tokens;
            out->lifetime_flops = out->flops + 2 * out->params * q->inference;
        }
    }
    if (row->form && (row->form->needs & LAW_OF_X))
        out->loss = published_loss(row, (law_case){out->params, out->tokens, 0, out->flops});
    else if (isfinite(out->params) && isfinite(out->tokens))
        out->loss = allocate_loss(row, out->params, out->tokens, q->unique);
    out->inside = published_inside(row, out->params, out->tokens, out->flops);
    if (!out->why && !isfinite(out->params) && !isfinite(out->tokens) && !isfinite(out->loss))
        out->why = "does not say";
}

/* 80 % around a positive value whose logarithm has this variance. */
static allocate_range around(double value, double variance)
{
    const double wide = 1.2815515655446004 * sqrt(variance);
    if (!isfinite(value) || !(variance > 0)) return (allocate_range){NAN, NAN};
    return (allocate_range){value * exp(-wide), value * exp(wide)};
}

static void add_loss_range(allocation *out, const published_law *row, const allocate_question *q)
{
    law_forecast forecast;
    law_case run = run_of(row, out->params, out->tokens, q->unique);
    run.x = out->flops;
    if (isfinite(out->loss) && !given(q->loss) &&
        law_file_predict(&forecast, &row->file, run, ALLOCATE_LEVEL / 100.0))
        out->loss_range = (allocate_range){forecast.low, forecast.high};
}

/* 80 % of what the replicates answer; none where too few of them do, or for what is given. */
static allocate_range range_of(double *sample, int32_t count, int32_t asked)
{
    if (10 * count < 9 * asked) return (allocate_range){NAN, NAN};
    const fit_interval i = fit_interval_of(sample, count);
    if (!(i.p90 > i.p10 * (1 + 1e-6))) return (allocate_range){NAN, NAN};
    return (allocate_range){i.p10, i.p90};
}

static void add_replicate_ranges(allocation *out, const published_law *row,
                                 const allocate_question *q)
{
    const law_file *f = &row->file;
    double sample[3][LAW_FILE_REPLICATES];
    int32_t count[3] = {0};
    published_law near = *row;
    for (int32_t k = 0; k < f->replicates; k++) {
        allocation at;
        published_set(&near, f->replicate + (ptrdiff_t)k * f->form->constants);
        answer(&at, &near, q);
        const double value[3] = {at.params, at.tokens, at.flops};
        for (int what = 0; what < 3; what++)
            if (isfinite(value[what])) sample[what][count[what]++] = value[what];
    }
    out->params_range = range_of(sample[0], count[0], f->replicates);
    out->tokens_range = range_of(sample[1], count[1], f->replicates);
    out->flops_range = range_of(sample[2], count[2], f->replicates);
}

/* Slopes of ln N, ln D and ln C in the parameters by differences, then the covariance: what is
 * given has no slope. */
static void add_ranges(allocation *out, const published_law *row, const allocate_question *q)
{
    const law_file *f = &row->file;
    const law *form = f->form;
    const int32_t n = form ? form->constants : 0;
    double slope[3][LAW_CONSTANTS], parameter[LAW_CONSTANTS], variance[3] = {0, 0, 0};
    out->params_range = out->tokens_range = out->flops_range = (allocate_range){NAN, NAN};
    out->loss_range = (allocate_range){NAN, NAN};
    if (!form || !f->has_covariance) return;
    add_loss_range(out, row, q);
    if (f->replicates > 1) {
        add_replicate_ranges(out, row, q);
        return;
    }
    law_to_parameters(form, f->constant, parameter);
    for (int32_t k = 0; k < n; k++) {
        double moved[LAW_CONSTANTS], constant[LAW_CONSTANTS];
        const double step = 1e-5 * fmax(1, fabs(parameter[k]));
        allocation at[2];
        for (int side = 0; side < 2; side++) {
            published_law near = *row;
            memcpy(moved, parameter, sizeof moved);
            moved[k] += side ? step : -step;
            law_to_constants(form, moved, constant);
            published_set(&near, constant);
            answer(&at[side], &near, q);
        }
        slope[0][k] = (log(at[1].params) - log(at[0].params)) / (2 * step);
        slope[1][k] = (log(at[1].tokens) - log(at[0].tokens)) / (2 * step);
        slope[2][k] = (log(at[1].flops) - log(at[0].flops)) / (2 * step);
    }
    for (int what = 0; what < 3; what++)
        for (int32_t i = 0; i < n; i++)
            for (int32_t j = 0; j < n; j++)
                variance[what] += slope[what][i] * f->covariance[i * n + j] * slope[what][j];
    /* a given quantity moves by rounding alone */
    for (int what = 0; what < 3; what++)
        if (variance[what] < 1e-12) variance[what] = NAN;
    out->params_range = around(out->params, variance[0]);
    out->tokens_range = around(out->tokens, variance[1]);
    out->flops_range = around(out->flops, variance[2]);
}

void allocate(allocation *out, const published_law *row, const allocate_question *q)
{
    answer(out, row, q);
    add_ranges(out, row, q);
}

/* --- how flat the optimum is ---------------------------------------------- */

/* On this budget, the N on one side of the best whose loss is the limit. */
static double border(const published_law *row, double flops, double best, double limit,
                     double unique, double side)
{
    double near = log(best), far = near + side * 12;
    for (int i = 0; i < 100; i++) {
        const double n = (near + far) / 2;
        const double loss = allocate_loss(row, exp(n), flops / 6 / exp(n), unique);
        if (loss <= limit)
            near = n;
        else
            far = n;
    }
    return exp((near + far) / 2);
}

/* Compute with this number of parameters that reaches the loss, over the budget; infinite: none. */
static double compute_for(const published_law *row, double params, double loss, double flops,
                          double unique)
{
    double low = log(flops) - 1, high = log(flops) + 12;
    if (!(allocate_loss(row, params, exp(high) / 6 / params, unique) <= loss)) return INFINITY;
    for (int i = 0; i < 100; i++) {
        const double middle = (low + high) / 2;
        if (allocate_loss(row, params, exp(middle) / 6 / params, unique) > loss)
            low = middle;
        else
            high = middle;
    }
    return exp((low + high) / 2) / flops;
}

bool allocate_flatness(flatness *out, const published_law *row, double flops, double unique)
{
    if (!has_surface(row) || !isfinite(flops)) return false;
    allocate_question q = allocate_nothing();
    q.flops = flops;
    q.unique = unique;
    double n = NAN, d = NAN;
    spend(row, flops, &q, &n, &d);
    if (!isfinite(n)) return false;
    /* a form whose lines are not its own minimum */
    law_frontier f;
    if (!law_frontier_of(&f, row->form, row->constant))
        n = least_loss_params(row, flops, n, unique);
    const double best = allocate_loss(row, n, flops / 6 / n, unique);
    static const double shares[FLATNESS_LEVELS] = {0.001, 0.005, 0.01};
    for (int i = 0; i < FLATNESS_LEVELS; i++) {
        out->share[i] = shares[i];
        out->params[i].low = border(row, flops, n, best * (1 + shares[i]), unique, -1);
        out->params[i].high = border(row, flops, n, best * (1 + shares[i]), unique, 1);
    }
    out->half_loss = allocate_above(allocate_loss(row, n / 2, flops / 6 / (n / 2), unique), best);
    out->twice_loss = allocate_above(allocate_loss(row, n * 2, flops / 6 / (n * 2), unique), best);
    out->half_flops = compute_for(row, n / 2, best, flops, unique);
    out->twice_flops = compute_for(row, n * 2, best, flops, unique);
    return true;
}

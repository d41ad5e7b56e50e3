#include "fit_print.h"

#include "base/json.h"
#include "cli.h"
#include "plan_print.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

static double budget_params(const law *form, const double *constant, const void *flops)
{
    law_frontier f;
    if (!law_frontier_of(&f, form, constant)) return NAN;
    return law_frontier_params(&f, *(const double *)flops);
}

static double budget_tokens(const law *form, const double *constant, const void *flops)
{
    law_frontier f;
    if (!law_frontier_of(&f, form, constant)) return NAN;
    return law_frontier_tokens(&f, *(const double *)flops);
}

/* --- text ----------------------------------------------------------------- */

/* "1.7764", or a dash for what is no number */
static cli_text digits_of(double x, int count)
{
    cli_text out = {"-"};
    if (isfinite(x)) (void)snprintf(out.text, sizeof out.text, "%.*g", count, x);
    return out;
}

static void print_value(const char *name, const fit_value *v)
{
    const fit_interval *i = &v->interval;
    printf("  %-8s %12s", name, digits_of(v->value, 6).text);
    if (isfinite(v->standard_error))
        printf("  %10.3g   %10s .. %-10s %10s .. %-10s", v->standard_error,
               digits_of(i->p10, 5).text, digits_of(i->p90, 5).text, digits_of(i->p2_5, 5).text,
               digits_of(i->p97_5, 5).text);
    printf("\n");
}

static void print_budget(const fit_result *r, double flops)
{
    const fit_value n = fit_value_of(r, budget_params, &flops);
    const fit_value d = fit_value_of(r, budget_tokens, &flops);
    printf("\noptimum of %.4g FLOPs (6 N D): %s parameters on %s tokens, %.1f tokens each%s\n",
           flops, cli_count(n.value).text, cli_count(d.value).text, d.value / n.value,
           flops > r->range_flops[1] || flops < r->range_flops[0]
               ? "\n  outside the fitted range: extrapolated"
               : "");
    print_value("N_opt", &n);
    print_value("D_opt", &d);
}

static status print_forecast(const fit_result *r, law_case at)
{
    fit_forecast f;
    TRY(fit_predict(&f, r, at));
    printf("\nloss of %s parameters on %s tokens: %s%s\n", cli_count(at.params).text,
           cli_count(at.tokens).text, digits_of(f.surface.value, 5).text,
           f.inside ? "" : "; outside the fitted range: extrapolated");
    if (isfinite(f.run.p10))
        printf("  a new run: 80 %% %s .. %s, 95 %% %s .. %s\n", digits_of(f.run.p10, 5).text,
               digits_of(f.run.p90, 5).text, digits_of(f.run.p2_5, 5).text,
               digits_of(f.run.p97_5, 5).text);
    return OK;
}

status fit_print_text(const fit_result *r, const fit_question *q)
{
    const law *form = r->options.form;
    printf("%s: %s\n", form->name, form->formula);
    printf("%d points; params %s .. %s, tokens %s .. %s\n", r->points,
           cli_count(r->range_params[0]).text, cli_count(r->range_params[1]).text,
           cli_count(r->range_tokens[0]).text, cli_count(r->range_tokens[1]).text);
    printf("%s objective %.12g; ", fit_loss_name(r->options.loss), r->objective);
    if (r->starts_at_best)
        printf("%d of %d starts end there\n", r->starts_at_best, r->starts);
    else
        printf("polished from the best of %d starts\n", r->starts);
    printf("residuals of ln loss spread by %.3g\n", r->residual_sd);
    if (r->seed_freedom)
        printf("seeds alone spread ln loss by %.3g (%d degrees of freedom)\n", r->seed_sd,
               r->seed_freedom);
    printf("\n");
    if (r->replicate)
        printf("  %-8s %12s  %10s   %-25s %s\n", "", "value", "error", "80 % interval",
               "95 % interval");
    for (int32_t k = 0; k < form->constants; k++) print_value(form->constant[k], &r->constant[k]);
    if (r->has_frontier) {
        printf("\ncompute-optimal: N = G (C / 6)^a, D = (C / 6)^b / G\n");
        print_value("a", &r->a);
        print_value("b", &r->b);
        print_value("G", &r->G);
    } else if (isfinite(r->a.value)) {
        printf("\ncompute-optimal: none, since one of A, B, alpha, beta is not above 0\n");
    }
    if (q->flops > 0) print_budget(r, q->flops);
    if (q->at.params > 0) TRY(print_forecast(r, q->at));
    if (r->warnings) (void)putchar('\n');
    for (int32_t i = 0; i < r->warnings; i++) plan_print_wrapped("warning:", r->warning[i]);
    return OK;
}

/* --- JSON ----------------------------------------------------------------- */

static json_t *pair(double low, double high)
{
    return json_pack("[o,o]", json_finite(low), json_finite(high));
}

static json_t *interval(const fit_interval *i)
{
    return json_pack("{s:o,s:o,s:o,s:o}", "p2_5", json_finite(i->p2_5), "p10", json_finite(i->p10),
                     "p90", json_finite(i->p90), "p97_5", json_finite(i->p97_5));
}

/* One quantity into the three objects that hold values, errors and intervals by name. */
static void put(json_t *values, json_t *errors, json_t *intervals, const char *name,
                const fit_value *v)
{
    json_object_set_new(values, name, json_finite(v->value));
    json_object_set_new(errors, name, json_finite(v->standard_error));
    json_object_set_new(intervals, name, interval(&v->interval));
}

static json_t *budget(const fit_result *r, double flops)
{
    const fit_value n = fit_value_of(r, budget_params, &flops);
    const fit_value d = fit_value_of(r, budget_tokens, &flops);
    return json_pack("{s:f,s:o,s:o,s:o,s:o,s:b}", "flops", flops, "params", json_finite(n.value),
                     "params_interval", interval(&n.interval), "tokens", json_finite(d.value),
                     "tokens_interval", interval(&d.interval), "extrapolated",
                     flops > r->range_flops[1] || flops < r->range_flops[0]);
}

static json_t *interval_at(const fit_interval *i)
{
    return json_pack("{s:f,s:o,s:o}", "level", 0.8, "low", json_finite(i->p10), "high",
                     json_finite(i->p90));
}

static status forecast(json_t **out, const fit_result *r, law_case at)
{
    fit_forecast f;
    TRY(fit_predict(&f, r, at));
    *out = json_pack("{s:f,s:f,s:o,s:o,s:o,s:o,s:b}", "params", at.params, "tokens", at.tokens,
                     "loss", json_finite(f.surface.value), "confidence_interval",
                     interval_at(&f.surface.interval), "prediction_interval", interval_at(&f.run),
                     "percentiles", interval(&f.run), "extrapolated", !f.inside);
    return OK;
}

status fit_json(json_t **out, const fit_result *r, const fit_question *q)
{
    const law *form = r->options.form;
    json_t *constants = json_object(), *errors = json_object(), *intervals = json_object();
    json_t *frontier = r->has_frontier ? json_object() : json_null(), *warnings = json_array();
    for (int32_t k = 0; k < form->constants; k++)
        put(constants, errors, intervals, form->constant[k], &r->constant[k]);
    if (r->has_frontier) {
        put(frontier, errors, intervals, "a", &r->a);
        put(frontier, errors, intervals, "b", &r->b);
        put(frontier, errors, intervals, "G", &r->G);
    }
    for (int32_t i = 0; i < r->warnings; i++)
        json_array_append_new(warnings, json_string(r->warning[i]));
    json_t *root =
        json_pack("{s:s,s:f,s:i,s:o,s:o,s:o,s:o,s:o}", "law", form->name, "objective", r->objective,
                  "points", r->points, "constants", constants, "standard_errors", errors,
                  "intervals", intervals, "frontier", frontier, "warnings", warnings);
    REQUIRE(root, ERR_MEMORY, "no memory");
    json_object_set_new(root, "loss", json_string(fit_loss_name(r->options.loss)));
    json_object_set_new(root, "delta",
                        r->options.loss == FIT_HUBER ? json_real(r->options.delta) : json_null());
    json_object_set_new(root, "bootstrap", json_integer(r->options.bootstrap));
    json_object_set_new(root, "seed", json_integer((json_int_t)r->options.seed));
    json_object_set_new(root, "starts", json_integer(r->starts));
    json_object_set_new(root, "starts_at_best", json_integer(r->starts_at_best));
    json_object_set_new(root, "residual_sd", json_finite(r->residual_sd));
    json_object_set_new(root, "seed_sd", json_finite(r->seed_sd));
    json_object_set_new(root, "parameter_count",
                        json_string(r->options.nonemb ? "without_embedding" : "total"));
    json_object_set_new(root, "range",
                        json_pack("{s:o,s:o}", "params",
                                  pair(r->range_params[0], r->range_params[1]), "tokens",
                                  pair(r->range_tokens[0], r->range_tokens[1])));
    json_t *run = NULL;
    status s = OK;
    if (q->flops > 0) json_object_set_new(root, "optimum", budget(r, q->flops));
    if (q->at.params > 0) s = forecast(&run, r, q->at);
    if (run) json_object_set_new(root, "prediction", run);
    if (s == OK)
        *out = root;
    else
        json_decref(root);
    return s;
}

status fit_print_json(const fit_result *r, const fit_question *q)
{
    json_t *root;
    TRY(fit_json(&root, r, q));
    return cli_json(root);
}

/* --- approaches 1 and 2 --------------------------------------------------- */

/* The line at a budget, if there is one. */
static void print_optimum(const optima *o, double flops)
{
    fit_value n, d;
    optima_at(o, flops, &n, &d);
    printf("\noptimum of %.4g FLOPs: %s parameters on %s tokens, %.1f tokens each%s\n", flops,
           cli_count(n.value).text, cli_count(d.value).text, d.value / n.value,
           flops > o->range_flops[1] || flops < o->range_flops[0]
               ? "\n  outside the range of the budgets: extrapolated"
               : "");
    print_value("N_opt", &n);
    print_value("D_opt", &d);
}

static void print_budgets(const optima *o)
{
    printf("%10s %6s %6s  %10s %10s %8s  %s\n", "budget", "runs", "sizes", "params", "tokens",
           "loss", "80 % interval of params");
    for (int32_t k = 0; k < o->budgets; k++) {
        const optimum *b = &o->budget[k];
        printf("%10.3g %6d %6d  ", b->flops, b->points, b->sizes);
        if (!b->used) {
            printf("%s\n", b->reason);
            continue;
        }
        printf("%10s %10s %8.4f", cli_count(b->params).text, cli_count(b->tokens).text, b->loss);
        if (isfinite(b->params_interval.p10))
            printf("  %s .. %s", cli_count(b->params_interval.p10).text,
                   cli_count(b->params_interval.p90).text);
        printf("\n");
    }
    printf("\n");
}

status fit_print_optima_text(const optima *o, double flops)
{
    if (o->approach == 2) {
        printf("approach-2: a parabola of the loss over ln N at each budget\n");
        print_budgets(o);
    } else
        printf("approach-1: the lowest smoothed loss curve at %d budgets, %.3g to %.3g FLOPs\n\n",
               o->points, o->range_flops[0], o->range_flops[1]);
    printf("compute-optimal: N = kN C^a, D = kD C^b\n");
    print_value("a", &o->a);
    print_value("b", &o->b);
    print_value("kN", &o->params_factor);
    print_value("kD", &o->tokens_factor);
    if (flops > 0) print_optimum(o, flops);
    if (o->warnings) (void)putchar('\n');
    for (int32_t i = 0; i < o->warnings; i++) plan_print_wrapped("warning:", o->warning[i]);
    return OK;
}

static json_t *optimum_object(const optimum *b)
{
    return json_pack("{s:f,s:i,s:i,s:o,s:o,s:o,s:o,s:o,s:b,s:o}", "flops", b->flops, "points",
                     b->points, "sizes", b->sizes, "params", json_finite(b->params),
                     "params_interval", interval(&b->params_interval), "tokens",
                     json_finite(b->tokens), "tokens_interval", interval(&b->tokens_interval),
                     "loss", json_finite(b->loss), "used", b->used, "reason",
                     b->used ? json_null() : json_string(b->reason));
}

static json_t *optimum_at(const optima *o, double flops)
{
    fit_value n, d;
    optima_at(o, flops, &n, &d);
    return json_pack("{s:f,s:o,s:o,s:o,s:o,s:b}", "flops", flops, "params", json_finite(n.value),
                     "params_interval", interval(&n.interval), "tokens", json_finite(d.value),
                     "tokens_interval", interval(&d.interval), "extrapolated",
                     flops > o->range_flops[1] || flops < o->range_flops[0]);
}

status fit_optima_json(json_t **out, const optima *o, double flops)
{
    json_t *values = json_object(), *errors = json_object(), *intervals = json_object();
    json_t *budgets = json_array(), *warnings = json_array();
    put(values, errors, intervals, "a", &o->a);
    put(values, errors, intervals, "b", &o->b);
    put(values, errors, intervals, "kN", &o->params_factor);
    put(values, errors, intervals, "kD", &o->tokens_factor);
    json_object_set_new(values, "G", json_finite(o->params_factor.value * pow(6, o->a.value)));
    for (int32_t k = 0; k < o->budgets; k++)
        json_array_append_new(budgets, optimum_object(&o->budget[k]));
    for (int32_t i = 0; i < o->warnings; i++)
        json_array_append_new(warnings, json_string(o->warning[i]));
    json_t *root = json_pack("{s:s,s:i,s:o,s:o,s:o,s:o,s:o,s:o,s:i}", "law",
                             o->approach == 2 ? "approach-2" : "approach-1", "points", o->points,
                             "frontier", values, "standard_errors", errors, "intervals", intervals,
                             "budgets", budgets, "residual_sd", json_finite(o->residual_sd),
                             "warnings", warnings, "bootstrap", o->bootstrap);
    REQUIRE(root, ERR_MEMORY, "no memory");
    if (flops > 0) json_object_set_new(root, "optimum", optimum_at(o, flops));
    *out = root;
    return OK;
}

status fit_print_optima_json(const optima *o, double flops)
{
    json_t *root;
    TRY(fit_optima_json(&root, o, flops));
    return cli_json(root);
}

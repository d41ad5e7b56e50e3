/* Approaches 1 and 2: best sizes read off planted runs, and off the published points. */
#include "law/optima.h"

#include "base/rng.h"
#include "law/laws.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const optima_options plain = {.bootstrap = 0, .seed = 1};

static void add(points *p, double params, double flops, double loss)
{
    const fit_point row = {.params = params,
                           .tokens = flops / 6 / params,
                           .loss = loss,
                           .flops = flops,
                           .group = p->count,
                           .line = p->count + 1};
    cr_assert(points_add(p, &row) == OK);
}

/* The published points after the documented filter; a of another program's parabolas. */
Test(optima, published_points_give_the_exponent_of_an_independent_program)
{
    static const double budget[] = {6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21};
    points p;
    optima *o = calloc(1, sizeof *o);
    fit_value n, d;
    cr_assert(points_read(&p, POINTS, NULL) == OK, "%s", status_message());
    points_drop_highest(&p, 5);
    cr_assert(optima_of_parabolas(o, &p, (optima_options){budget, 9, false, 200, 1}) == OK, "%s",
              status_message());
    cr_expect(o->used == 9);
    cr_expect(fabs(o->a.value - 0.5127) < 5e-5, "a is %.5f", o->a.value);
    cr_expect(fabs(o->a.value + o->b.value - 1) < 0.02, "b is %.5f", o->b.value);
    optima_at(o, 1e21, &n, &d);
    cr_expect(fabs(n.value / 2.806e9 - 1) < 1e-3, "N is %.4g", n.value);
    cr_expect(fabs(o->budget[7].params / 2.77e9 - 1) < 2e-3, "N is %.4g", o->budget[7].params);
    cr_expect(o->a.interval.p10 < 0.5127 && o->a.interval.p90 > 0.5127);
    optima_deinit(o);
    free(o);
    points_deinit(&p);
}

/* Budgets 1e16 to 1e18, sizes around 0.1 C^0.5, two seeds; loss a parabola in ln N. */
enum { BUDGETS = 5, SIZES = 5, SEEDS = 2, SETS = 200 };
static void plant(points *p, uint64_t set, double noise)
{
    for (int b = 0; b < BUDGETS; b++)
        for (int s = 0; s < SIZES; s++)
            for (int seed = 0; seed < SEEDS; seed++) {
                const double flops = 1e16 * pow(10, 0.5 * b), best = 0.1 * sqrt(flops);
                const double x = (s - 2) * log(2) + 0.2 * (b - 2);
                double z[2];
                rng_normal2(3, RNG_TEST, set, (uint64_t)p->count, z);
                add(p, best * exp(x), flops, 3 - 0.2 * b + 0.05 * x * x + noise * z[0]);
            }
}

Test(optima, planted_budgets_and_their_minima_are_found)
{
    points p = {0};
    optima *o = calloc(1, sizeof *o);
    plant(&p, 0, 0);
    cr_assert(optima_of_parabolas(o, &p, plain) == OK, "%s", status_message());
    cr_assert(o->budgets == BUDGETS && o->used == BUDGETS);
    for (int b = 0; b < BUDGETS; b++) {
        const optimum *at = &o->budget[b];
        const double flops = 1e16 * pow(10, 0.5 * b);
        cr_expect(fabs(at->flops / flops - 1) < 1e-9 && at->points == SIZES * SEEDS &&
                  at->sizes == SIZES);
        cr_expect(fabs(at->params / (0.1 * sqrt(flops)) - 1) < 1e-6, "%g", at->params);
        cr_expect(fabs(6 * at->params * at->tokens / flops - 1) < 1e-6);
        cr_expect(fabs(at->loss - (3 - 0.2 * b)) < 1e-9);
    }
    cr_expect(fabs(o->a.value - 0.5) < 1e-7 && fabs(o->b.value - 0.5) < 1e-7);
    cr_expect(fabs(o->params_factor.value - 0.1) < 1e-6 && isnan(o->a.interval.p10));
    optima_deinit(o);
    free(o);
    points_deinit(&p);
}

Test(optima, intervals_hold_the_planted_exponent_and_optimum)
{
    int a80 = 0, a95 = 0, n80 = 0;
    for (uint64_t set = 1; set <= SETS; set++) {
        points p = {0};
        optima *o = calloc(1, sizeof *o);
        fit_value n, d;
        plant(&p, set, 0.01);
        cr_assert(optima_of_parabolas(o, &p, (optima_options){NULL, 0, false, 200, set}) == OK,
                  "%s", status_message());
        a80 += o->a.interval.p10 < 0.5 && o->a.interval.p90 > 0.5;
        a95 += o->a.interval.p2_5 < 0.5 && o->a.interval.p97_5 > 0.5;
        optima_at(o, 1e19, &n, &d);
        const double best = 0.1 * sqrt(1e19);
        n80 += n.interval.p10 < best && n.interval.p90 > best;
        optima_deinit(o);
        free(o);
        points_deinit(&p);
    }
    (void)printf("of %d: a in 80 %% %d, in 95 %% %d; N_opt beyond the budgets in 80 %% %d\n", SETS,
                 a80, a95, n80);
    cr_expect(a80 > 0.72 * SETS && a80 < 0.90 * SETS, "%d", a80);
    cr_expect(a95 > 0.90 * SETS, "%d", a95);
    cr_expect(n80 > 0.72 * SETS && n80 < 0.90 * SETS, "%d", n80);
}

static bool said(const optima *o, const char *text)
{
    for (int32_t i = 0; i < o->warnings; i++)
        if (strstr(o->warning[i], text)) return true;
    return false;
}

Test(optima, budgets_without_a_minimum_between_their_sizes_are_left_out_and_said)
{
    points p = {0};
    optima *o = calloc(1, sizeof *o);
    plant(&p, 0, 0);
    for (int s = 0; s < 4; s++) {
        add(&p, 1e7 * pow(2, s), 1e20, 2 - 0.1 * s + 0.01 * s * s); // falls to its largest size
        add(&p, 1e7 * pow(2, s), 1e21, 2 - 0.02 * (s - 1.4) * (s - 1.6)); // opens downwards
    }
    cr_assert(optima_of_parabolas(o, &p, plain) == OK, "%s", status_message());
    cr_expect(o->budgets == BUDGETS + 2 && o->used == BUDGETS);
    cr_expect(said(o, "1e+20 left out: its minimum lies above the largest size"));
    cr_expect(said(o, "1e+21 left out: its parabola opens downwards"));
    cr_expect(fabs(o->a.value - 0.5) < 1e-7);
    optima_deinit(o);
    free(o);
    points_deinit(&p);
}

Test(optima, points_without_two_minima_are_refused)
{
    points p = {0};
    optima o;
    for (int i = 0; i < 20; i++) add(&p, 1e6 * pow(1.5, i), 1e16 * pow(1.5, i), 3 - 0.01 * i);
    cr_expect(optima_of_parabolas(&o, &p, plain) == ERR_CONFIG &&
                  strstr(status_message(), "several sizes at equal FLOPs"),
              "%s", status_message());
    p.count = 0;
    for (int s = 0; s < 5; s++) add(&p, 1e6 * pow(2, s), 1e16, 3 + 0.1 * (s - 2) * (s - 2));
    cr_expect(optima_of_parabolas(&o, &p, plain) == ERR_CONFIG &&
                  strstr(status_message(), "1 of 1 budgets"),
              "%s", status_message());
    points_deinit(&p);
}

/* --- approach 1 ----------------------------------------------------------- */

enum { STEPS = 400, CURVES = 9 };

/* Runs of one learning rate: the loss is that of a law at every step. a = beta / (alpha + beta). */
static void curves_of(loss_curve *curve, double *column, const double *constant)
{
    for (int i = 0; i < CURVES; i++) {
        const double params = 1e6 * pow(2, i);
        double *tokens = column + 3 * STEPS * i, *flops = tokens + STEPS, *loss = flops + STEPS;
        for (int k = 0; k < STEPS; k++) {
            tokens[k] = 1e7 * pow(1e6, (k + 1.0) / STEPS);
            flops[k] = 6 * params * tokens[k];
            loss[k] = law_loss(law_find("chinchilla"), constant,
                               (law_case){params, tokens[k], 0, 0}, NULL);
        }
        curve[i] = (loss_curve){params, params, STEPS, tokens, flops, loss};
    }
}

Test(optima, the_envelope_of_planted_curves_has_the_planted_exponent)
{
    static const double constant[] = {1.8, 480, 2000, 0.35, 0.30};
    loss_curve curve[CURVES];
    double *column = calloc(3 * STEPS * CURVES, sizeof *column);
    optima *o = calloc(1, sizeof *o);
    curves_of(curve, column, constant);
    cr_assert(optima_of_curves(o, curve, CURVES, plain) == OK, "%s", status_message());
    cr_expect(fabs(o->a.value - 0.30 / 0.65) < 0.02, "a is %.4f", o->a.value);
    cr_expect(fabs(o->a.value + o->b.value - 1) < 1e-3, "b is %.4f", o->b.value);
    cr_expect(o->points > 300, "%d", o->points);
    optima_deinit(o);
    cr_assert(optima_of_curves(o, curve, CURVES, (optima_options){NULL, 0, false, 100, 1}) == OK);
    cr_expect(o->a.interval.p10 < o->a.value && o->a.interval.p90 > o->a.value);
    optima_deinit(o);
    free(o);
    free(column);
}

Test(optima, curves_that_do_not_cross_are_refused)
{
    static const double constant[] = {1.8, 480, 2000, 0.35, 0.30};
    loss_curve curve[CURVES];
    double *column = calloc(3 * STEPS * CURVES, sizeof *column);
    optima o;
    curves_of(curve, column, constant);
    cr_expect(optima_of_curves(&o, curve, 2, plain) == ERR_CONFIG &&
                  strstr(status_message(), "at least 4 sizes that cross"),
              "%s", status_message());
    curve[1].count = 1;
    cr_expect(optima_of_curves(&o, curve, 4, plain) == ERR_CONFIG &&
                  strstr(status_message(), "fewer than two steps"),
              "%s", status_message());
    free(column);
}

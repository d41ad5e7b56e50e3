/* Do intervals hold what they promise? Sets of 40 noisy points of a known law, fitted one by one.
 */
#include "base/rng.h"
#include "law/law_file.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef SETS
#define SETS 400
#endif
enum { POINTS_PER_SET = 40, REPLICATES = 300, QUANTITIES = 8 };
#define NOISE 0.005

/* Percent that a share may lie farther from its promise: few sets say less. */
static const double slack = SETS < 25 ? 100 : SETS < 400 ? 6 : 0;

static const double truth[] = {1.82, 482, 2085, 0.348, 0.366};
static const char *const names[QUANTITIES] = {"E",    "A", "B",         "alpha",
                                              "beta", "a", "a new run", "by the file"};

static double uniform(uint64_t set, uint64_t index)
{
    return rng_uniform(99, RNG_TEST, set, index);
}

static double loss_of(law_case at, uint64_t set, uint64_t index)
{
    double z[2];
    rng_normal2(7, RNG_TEST, set, index, z);
    return law_loss(law_find("chinchilla"), truth, at, NULL) * exp(NOISE * z[0]);
}

/* 50M to 10B parameters, 1e19 to 3e21 FLOPs, fewer parameters than tokens */
static void plant(points *p, uint64_t set)
{
    for (uint64_t i = 0; i < POINTS_PER_SET; i++) {
        law_case at = {.params = 5e7 * pow(200, uniform(set, 2 * i))};
        at.tokens = 1e19 * pow(300, uniform(set, 2 * i + 1)) / 6 / at.params;
        at.tokens = fmin(fmax(at.tokens, 1.5 * at.params), 2e12);
        const fit_point row = {.params = at.params,
                               .tokens = at.tokens,
                               .loss = loss_of(at, set, i),
                               .group = (int32_t)i};
        cr_assert(points_add(p, &row) == OK);
    }
}

/* what was counted: sets whose interval holds the truth, widths of the 80 % interval */
typedef struct coverage {
    int hit80, hit95;
    double width[SETS];
} coverage;

static void count(coverage *c, int set, double value, const fit_interval *i)
{
    c->hit80 += value >= i->p10 && value <= i->p90;
    c->hit95 += value >= i->p2_5 && value <= i->p97_5;
    c->width[set] = i->p90 - i->p10;
}

static void fit_set(coverage *c, int set)
{
    points p = {0};
    fit_result *r = calloc(1, sizeof *r);
    plant(&p, (uint64_t)set);
    fit_options w = {law_find("chinchilla"),
                     FIT_HUBER,
                     1e-3,
                     REPLICATES,
                     (uint64_t)set + 1,
                     X_FLOPS,
                     false,
                     NULL,
                     NULL};
    cr_assert(fit_run(r, &p, w) == OK, "%s", status_message());
    law_frontier f;
    cr_assert(law_frontier_of(&f, w.form, truth));
    for (int k = 0; k < 5; k++) count(&c[k], set, truth[k], &r->constant[k].interval);
    count(&c[5], set, f.a, &r->a.interval);
    const uint64_t other = (uint64_t)set + 100000;
    law_case at = {.params = 1e8 * pow(50, uniform(other, 0)),
                   .tokens = 2e9 * pow(50, uniform(other, 1))};
    at.tokens = fmax(at.tokens, 2 * at.params);
    fit_forecast forecast;
    cr_assert(fit_predict(&forecast, r, at) == OK);
    const double outcome = loss_of(at, other, 0);
    count(&c[6], set, outcome, &forecast.run);
    static law_file file;
    law_forecast likely, sure;
    law_file_of(&file, r, &(law_origin){0});
    cr_assert(law_file_predict(&likely, &file, at, 0.8));
    cr_assert(law_file_predict(&sure, &file, at, 0.95));
    const fit_interval by_file = {sure.low, likely.low, likely.high, sure.high};
    count(&c[7], set, outcome, &by_file);
    fit_deinit(r);
    free(r);
    points_deinit(&p);
}

static int upwards(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

Test(coverage, intervals_hold_planted_constants_and_new_runs)
{
    static coverage c[QUANTITIES];
    for (int set = 0; set < SETS; set++) fit_set(c, set);
    for (int k = 0; k < QUANTITIES; k++) {
        const double share80 = 100.0 * c[k].hit80 / SETS, share95 = 100.0 * c[k].hit95 / SETS;
        qsort(c[k].width, SETS, sizeof(double), upwards);
        (void)printf("%-10s 80 %%: %.1f   95 %%: %.1f   median width %.4g\n", names[k], share80,
                     share95, c[k].width[SETS / 2]);
        cr_expect(share80 >= 74 - slack && share80 <= 88 + slack, "%s: %.1f of 80", names[k],
                  share80);
        cr_expect(share95 >= 92 - slack && share95 <= 99 + slack, "%s: %.1f of 95", names[k],
                  share95);
    }
}

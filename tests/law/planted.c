/* Planted laws of every form are found again from noisy points. */
#include "base/rng.h"
#include "law/fit.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double noise(double sd, uint64_t index)
{
    double z[2];
    rng_normal2(7, RNG_TEST, 1, index, z);
    return exp(sd * z[0]);
}

/* Fits the form to points of 1M to 10B parameters and 0.1B to 1T tokens; every constant must come
 * back within `tolerance` of itself. */
static void expect_found(const char *name, const double *truth, uint64_t points_count,
                         fit_loss loss, double tolerance)
{
    const law *form = law_find(name);
    points p = {0};
    for (uint64_t i = 0; i < points_count; i++) {
        const double params = 1e6 * pow(1e4, rng_uniform(5, RNG_TEST, 1, 2 * i));
        const double tokens = 1e8 * pow(1e4, rng_uniform(5, RNG_TEST, 1, 2 * i + 1));
        const double unique = i % 3 ? tokens * exp(-3.5 * rng_uniform(5, RNG_TEST, 2, i)) : tokens;
        const law_case at = {params, tokens, form->needs & LAW_OF_UNIQUE ? unique : 0, tokens};
        const fit_point row = {.params = params,
                               .tokens = tokens,
                               .unique = unique,
                               .loss = law_loss(form, truth, at, NULL) * noise(0.001, i),
                               .group = (int32_t)i,
                               .line = (int32_t)i};
        cr_assert(points_add(&p, &row) == OK);
    }
    fit_result *r = calloc(1, sizeof *r);
    const fit_options w = {form, loss, 1e-3, 0, 1, X_TOKENS, false, NULL, NULL};
    cr_assert(fit_run(r, &p, w) == OK, "%s", status_message());
    for (int32_t k = 0; k < form->constants; k++) {
        const double error = form->logarithm[k] ? fabs(log(r->constant[k].value / truth[k]))
                                                : fabs(r->constant[k].value / truth[k] - 1);
        cr_expect(error < tolerance, "%s: %s is %g, planted %g", name, form->constant[k],
                  r->constant[k].value, truth[k]);
    }
    fit_deinit(r);
    free(r);
    points_deinit(&p);
}

Test(planted, kaplan_laws_are_found)
{
    expect_found("kaplan", (double[]){6.4e13, 1.8e13, 0.076, 0.103}, 60, FIT_HUBER, 0.1);
    expect_found("kaplan-params", (double[]){8.8e13, 0.076}, 40, FIT_LAD, 0.1);
    expect_found("kaplan-tokens", (double[]){5.4e13, 0.095}, 40, FIT_MSE, 0.1);
}

Test(planted, power_laws_with_and_without_offset_are_found)
{
    expect_found("power", (double[]){5.4e13, 0.095}, 40, FIT_HUBER, 0.05);
    expect_found("power-offset", (double[]){1e9, 0.3, 1.7}, 40, FIT_HUBER, 0.05);
}

Test(planted, a_law_of_repeated_data_is_found)
{
    expect_found("data-constrained", (double[]){1.87, 520, 1487, 0.35, 0.36, 5.3, 15.4}, 120,
                 FIT_HUBER, 0.1);
}

Test(planted, a_break_is_found)
{
    expect_found("bnsl", (double[]){0.5, 40, 0.12, 0.25, 1e10, 0.3}, 100, FIT_MSE, 0.1);
}

/* --- how far it is -------------------------------------------------------- */

typedef struct heard {
    const char *stage[8];
    double done;
    int32_t stages, calls[8];
} heard;

static void hear(void *context, const char *stage, double done)
{
    heard *h = context;
    if (h->stages == 0 || strcmp(h->stage[h->stages - 1], stage) != 0) {
        cr_assert(h->stages < 8);
        h->stage[h->stages++] = stage;
        h->done = 0;
    }
    h->calls[h->stages - 1]++;
    cr_expect(done >= h->done && done <= 1, "%s: %g after %g", stage, done, h->done);
    h->done = done;
}

Test(planted, a_fit_tells_how_far_each_of_its_long_parts_is)
{
    static const char *const stages[] = {"starts", "best starts", "bootstrap",
                                         "without one point each"};
    enum { POINTS = 12, REPLICATES = 5 };
    points p = {0};
    for (int32_t i = 0; i < POINTS; i++) {
        const double tokens = 1e8 * pow(2, i);
        const fit_point row = {.params = 1e6,
                               .tokens = tokens,
                               .loss = 100 * pow(tokens, -0.1) * noise(0.01, (uint64_t)i),
                               .group = i,
                               .line = i};
        cr_assert(points_add(&p, &row) == OK);
    }
    heard h = {.stages = 0};
    fit_result r;
    const fit_options w = {law_find("bnsl"), FIT_HUBER, 1e-3, REPLICATES, 1,
                           X_TOKENS,         false,     hear, &h};
    cr_assert(fit_run(&r, &p, w) == OK, "%s", status_message());
    cr_assert_eq(h.stages, 4);
    for (int32_t i = 0; i < 4; i++) cr_expect_str_eq(h.stage[i], stages[i]);
    cr_expect(h.calls[0] == r.starts && h.calls[1] > 0, "%d of %d", h.calls[0], r.starts);
    cr_expect(h.calls[2] == REPLICATES && h.calls[3] == POINTS);
    fit_deinit(&r);
    points_deinit(&p);
}

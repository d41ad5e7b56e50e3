/* The run that would teach most: it teaches, and more per FLOP than the others. */
#include "base/rng.h"
#include "law/next_run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static const double truth[] = {1.8, 480, 2000, 0.35, 0.37}; /* E, A, B, alpha, beta */

static void add_run(points *p, double params, double tokens, uint64_t index)
{
    double z[2];
    rng_normal2(7, RNG_TEST, 1, index, z);
    const law_case at = {.params = params, .tokens = tokens};
    const fit_point row = {.params = params,
                           .tokens = tokens,
                           .loss = law_loss(law_find("chinchilla"), truth, at, NULL) *
                                   exp(0.003 * z[0]),
                           .group = p->count,
                           .line = p->count + 1};
    cr_assert(points_add(p, &row) == OK);
}

/* An IsoFLOP ladder of three budgets and five sizes. */
static void ladder(points *p)
{
    for (int budget = 0; budget < 3; budget++)
        for (int size = -2; size <= 2; size++) {
            const double flops = 1e17 * pow(4, budget);
            const double params = 0.1 * sqrt(flops / 6) * pow(2, size);
            add_run(p, params, flops / 6 / params, (uint64_t)p->count);
        }
}

static fit_result *fit(const points *p, int32_t bootstrap)
{
    fit_result *r = calloc(1, sizeof *r);
    const fit_options w = {
        law_find("chinchilla"), FIT_HUBER, 1e-3, bootstrap, 1, X_FLOPS, false, NULL, NULL};
    cr_assert(r && fit_run(r, p, w) == OK, "%s", status_message());
    return r;
}

static void done(fit_result *r, points *p)
{
    fit_deinit(r);
    free(r);
    points_deinit(p);
}

static double gain_of(const fit_result *r, double budget, const fit_point *row)
{
    const law_case at = {.params = row->params, .tokens = row->tokens};
    return next_run_gain(r, budget, at);
}

Test(next_run, no_cell_of_the_study_gives_more_for_its_flops)
{
    points p = {0};
    ladder(&p);
    fit_result *r = fit(&p, 100);
    next_run best;
    next_run_best(&best, r, &p);
    cr_assert(best.reason[0] == '\0', "%s", best.reason);
    cr_expect(best.gain > 0 && best.gain < 1 && best.flops > 0);
    for (int32_t i = 0; i < p.count; i++)
        cr_expect(gain_of(r, best.budget, &p.row[i]) / points_flops(&p.row[i]) <=
                  best.gain / best.flops * (1 + 1e-12));
    done(r, &p);
}

/* Four more of what it names, against four more of the cell that it values least. */
Test(next_run, what_it_names_narrows_the_optimum_more_than_what_it_values_least)
{
    points p = {0};
    ladder(&p);
    fit_result *r = fit(&p, 100);
    next_run best;
    next_run_best(&best, r, &p);
    const fit_point named = {.params = best.params, .tokens = best.tokens};
    const fit_point *worst = p.row;
    for (int32_t i = 1; i < p.count; i++)
        if (gain_of(r, best.budget, &p.row[i]) < gain_of(r, best.budget, worst)) worst = &p.row[i];
    const fit_point *cells[] = {&named, worst};
    double gain[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
        points more = {0};
        ladder(&more);
        for (uint64_t i = 0; i < 4; i++)
            add_run(&more, cells[k]->params, cells[k]->tokens, 100 + i);
        fit_result *again = fit(&more, 100);
        /* what a further run there would still remove */
        gain[k] = gain_of(again, best.budget, &named);
        done(again, &more);
    }
    cr_expect(gain[0] < gain[1], "left to learn there: %g after it, %g after the other", gain[0],
              gain[1]);
    done(r, &p);
}

Test(next_run, a_fit_without_intervals_names_none)
{
    points p = {0};
    ladder(&p);
    fit_result *r = fit(&p, 0);
    next_run best;
    next_run_best(&best, r, &p);
    cr_expect(best.reason[0] != '\0' && !isfinite(best.params));
    done(r, &p);
}

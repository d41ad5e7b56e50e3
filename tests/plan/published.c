/* Predicted against published throughput. Even rows are those the constants of configs/clusters and
 * cost.c were fitted on, odd rows are left out of the fit and graded. No row has constants of its
 * own: a row names a public model, a public machine and the options of `plan`. */
#include "published_rows.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static config config_of(const published_row *r)
{
    config cfg = {0};
    cr_assert(config_model_row(&cfg.model, r->model) == OK, "%s", status_message());
    cfg.model.context = r->sequence;
    cfg.train.micro_batch = r->micro_batch;
    cfg.train.batch_tokens = r->ranks * r->accumulate * r->micro_batch * r->sequence;
    cfg.train.precision = PRECISION_BF16;
    cfg.train.reduction = CONFIG_FAST;
    cfg.train.recompute = r->recompute;
    return cfg;
}

static double measured(const published_row *r, const config *cfg)
{
    flop_counts flops;
    block_flops(&flops, &cfg->model);
    return r->tflops > 0 ? r->tflops * 1e12 / flops.palm : r->tokens_per_s_per_rank;
}

/* Signed relative error of the prediction of one row. */
static double error_of(const published_row *r, const cluster *hw, prediction *p)
{
    const config cfg = config_of(r);
    const predict_question q = {.cfg = &cfg,
                                .sharding = r->sharding,
                                .ranks = r->ranks,
                                .workspace_bytes = -1};
    cr_assert(predict_step(p, &q, hw) == OK, "%s", status_message());
    return p->tokens_per_s_per_rank / measured(r, &cfg) - 1.0;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_size);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2.0;
}

Test(published, shapes_of_mpt_have_the_published_parameters)
{
    for (int i = 0; i < PUBLISHED_ROWS; i++) {
        const published_row *r = &published_rows[i];
        if (r->params == 0) continue;
        const config cfg = config_of(r);
        cr_expect(block_param_count(&cfg.model) == r->params, "%s at %lld: %lld, published %lld",
                  r->model, (long long)r->sequence, (long long)block_param_count(&cfg.model),
                  (long long)r->params);
    }
}

Test(published, rows_left_out_of_the_fit_are_predicted_within_a_tenth)
{
    double error[2][PUBLISHED_ROWS];
    int count[2] = {0, 0};
    printf("%-13s %-13s %-16s %4s %6s %3s %3s %-5s %9s %9s %6s  %s\n", "source", "model", "cluster",
           "GPUs", "T", "B", "A", "again", "measured", "predicted", "error", "half");
    for (int i = 0; i < PUBLISHED_ROWS; i++) {
        const published_row *r = &published_rows[i];
        cluster hw;
        prediction p;
        cr_assert(cluster_load(&hw, r->cluster) == OK, "%s", status_message());
        const double e = error_of(r, &hw, &p);
        error[i % 2][count[i % 2]++] = fabs(e);
        printf("%-13s %-13s %-16s %4d %6lld %3lld %3lld %-5s %9.0f %9.0f %+5.1f%%  %s%s\n",
               r->group, r->model, r->cluster, (int)r->ranks, (long long)r->sequence,
               (long long)r->micro_batch, (long long)r->accumulate,
               config_choice("train", "recompute", r->recompute),
               p.tokens_per_s_per_rank / (1.0 + e), p.tokens_per_s_per_rank, 100.0 * e,
               i % 2 ? "tested" : "fitted", p.fits ? "" : ", does not fit");
    }
    const double fitted = median(error[0], count[0]), tested = median(error[1], count[1]);
    printf("median error: fitted half %.1f %%, tested half %.1f %%; largest tested %.1f %%\n",
           100.0 * fitted, 100.0 * tested, 100.0 * error[1][count[1] - 1]);
    cr_expect(tested <= 0.10, "median error of the tested half is %.3g", tested);
    cr_expect(error[1][count[1] - 1] <= 0.35, "largest error of the tested half");
}

/* Mean of |ln(predicted / published)| over the fitted half, constants of one chip scaled. */
static double misfit(const char *chip, double products, double attention, double overlap)
{
    double sum = 0;
    int n = 0;
    for (int i = 0; i < PUBLISHED_ROWS; i += 2) {
        const published_row *r = &published_rows[i];
        cluster hw;
        prediction p;
        if (!strstr(r->cluster, chip)) continue;
        cr_assert(cluster_load(&hw, r->cluster) == OK, "%s", status_message());
        hw.products.value *= products;
        hw.attention.value *= attention;
        hw.overlap.value += overlap;
        sum += fabs(log1p(error_of(r, &hw, &p)));
        n++;
    }
    return sum / n;
}

/* The constants in configs/clusters are where the fit ends, to their printed digits. */
Test(published, no_fitted_constant_can_move_and_fit_better)
{
    static const char *const chips[] = {"8xh100", "8xa100"};
    for (int c = 0; c < 2; c++) {
        const double best = misfit(chips[c], 1, 1, 0);
        for (int up = 0; up < 2; up++) {
            const double scale = up ? 1.08 : 0.92;
            cr_expect(misfit(chips[c], scale, 1, 0) > best, "%s: products x %g", chips[c], scale);
            if (c == 0) cr_expect(misfit(chips[c], 1, scale, 0) > best, "%s: attention", chips[c]);
        }
        if (c == 0) cr_expect(misfit(chips[c], 1, 1, 0.5) > best, "%s: overlap", chips[c]);
        printf("%s: mean error of the fitted half %.2f %%\n", chips[c], 100.0 * best);
    }
}

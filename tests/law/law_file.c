#include "base/file.h"
#include "law/law_file.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fit_points(fit_result *r, int32_t replicates)
{
    points p;
    cr_assert(points_read(&p, POINTS, NULL) == OK);
    points_drop_highest(&p, 5);
    cr_assert(fit_run(r, &p,
                      (fit_options){law_find("chinchilla"), FIT_HUBER, 1e-3, replicates, 1, X_FLOPS,
                                    false, NULL, NULL}) == OK);
    points_deinit(&p);
}

/* *back: what is read of the file that *f was written to */
static void write_and_read(law_file *back, const law_file *f)
{
    char path[] = "/tmp/isoflop-law-XXXXXX";
    (void)close(mkstemp(path));
    cr_assert(law_file_write(f, path) == OK, "%s", status_message());
    cr_assert(law_file_read(back, path) == OK, "%s", status_message());
    (void)unlink(path);
}

Test(law_file, what_is_written_is_read_back_to_the_bit)
{
    fit_result r;
    law_file f, g;
    fit_points(&r, 20);
    law_origin origin = {.data = "MassiveText", .context = 2048, .flop_count = "six_nd"};
    origin.recipe = (law_recipe){1e-3, 1e8, -1.0 / 3, 5e5, NAN, 0.8, 0.95, 0.1, 64, 16};
    origin.architecture = (law_architecture){"rmsnorm", "rope", "gelu", false, true, false, true};
    law_file_of(&f, &r, &origin);
    write_and_read(&g, &f);
    cr_expect(memcmp(&g.origin.architecture, &origin.architecture, sizeof origin.architecture) ==
              0);
    cr_expect(g.form == f.form && g.points == 240 && strcmp(g.origin.data, "MassiveText") == 0);
    cr_expect(g.origin.context == 2048 && strcmp(g.loss, "huber") == 0);
    cr_expect(memcmp(g.constant, f.constant, 5 * sizeof(double)) == 0);
    cr_expect(memcmp(g.interval, f.interval, 5 * sizeof(fit_interval)) == 0);
    cr_expect(memcmp(g.covariance, f.covariance, 25 * sizeof(double)) == 0);
    const law_recipe *how = &g.origin.recipe;
    cr_expect(how->rate == 1e-3 && how->params == 1e8 && how->exponent == -1.0 / 3);
    cr_expect(how->batch_tokens == 5e5 && isnan(how->warmup_ratio) && how->init_scale == 0.8);
    cr_expect(how->base_width == 64 && how->base_head_width == 16);
    cr_expect(g.replicates == 20 && f.replicates == 20);
    cr_expect(memcmp(g.replicate, f.replicate, sizeof f.replicate) == 0);
    cr_expect(g.residual_sd == f.residual_sd && g.range_params[1] == f.range_params[1]);
    fit_deinit(&r);
}

/* As a ladder of a few steps may have it: the best E is none. */
Test(law_file, a_law_without_a_floor_is_written_so_that_it_is_read)
{
    fit_result r;
    law_file f, g;
    fit_points(&r, 20);
    const law_origin origin = {.data = "few"};
    cr_assert_str_eq(r.options.form->constant[0], "E");
    r.constant[0].value = 0;
    for (int32_t k = 0; k < 20; k++) r.replicate[k * r.options.form->constants] = -1e6;
    law_file_of(&f, &r, &origin);
    write_and_read(&g, &f);
    cr_expect(g.constant[0] > 0 && g.constant[0] < 1e-300);
    cr_expect(g.replicate[0] > 0 && g.replicate[0] < 1e-300);
    fit_deinit(&r);
}

Test(law_file, the_range_ends_at_points_as_they_were_given)
{
    points p = {0};
    fit_result r;
    for (int i = 0; i < 12; i++) {
        const double n = 1e6 * (1 + i), d = 1e7 * (1 + i % 5);
        const fit_point row = {.params = n,
                               .tokens = d,
                               .loss = 2 + 400 * pow(n, -0.4) + 300 * pow(d, -0.3)};
        cr_assert(points_add(&p, &row) == OK);
    }
    const fit_options plain = {
        law_find("chinchilla"), FIT_HUBER, 1e-3, 0, 1, X_FLOPS, false, NULL, NULL};
    cr_assert(fit_run(&r, &p, plain) == OK, "%s", status_message());
    cr_expect(r.range_params[0] == 1e6 && r.range_params[1] == 12e6);
    cr_expect(r.range_tokens[0] == 1e7 && r.range_tokens[1] == 5e7);
    points_deinit(&p);
    fit_deinit(&r);
}

Test(law_file, best_sizes_are_kept_without_a_loss)
{
    static const double budgets[] = {6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21};
    optima *o = calloc(1, sizeof *o);
    points p;
    law_file f, g;
    char path[] = "/tmp/isoflop-law-XXXXXX";
    (void)close(mkstemp(path));
    cr_assert(o && points_read(&p, POINTS, NULL) == OK);
    points_drop_highest(&p, 5);
    cr_assert(optima_of_parabolas(o, &p, (optima_options){budgets, 9, false, 200, 1}) == OK, "%s",
              status_message());
    law_file_of_optima(&f, o, &(law_origin){.data = "MassiveText", .flop_count = "six_nd"});
    cr_assert(law_file_write(&f, path) == OK && law_file_read(&g, path) == OK, "%s",
              status_message());
    cr_expect(g.form == f.form && strcmp(g.form->name, "approach-2") == 0 && !g.form->log_loss);
    cr_expect(g.points == o->points && g.loss[0] == '\0' && isnan(g.residual_sd));
    cr_expect(memcmp(g.constant, f.constant, 4 * sizeof(double)) == 0);
    cr_expect(g.constant[1] == o->a.value && g.constant[3] == o->b.value);
    cr_expect(memcmp(g.covariance, f.covariance, 16 * sizeof(double)) == 0);
    cr_expect(fabs(sqrt(g.covariance[5]) / o->a.standard_error - 1) < 1e-9, "error of a");
    cr_expect(fabs(g.range_flops[0] / 6e18 - 1) < 1e-12 && g.range_params[1] > 1e10);
    law_forecast x;
    cr_expect(!law_file_predict(&x, &g, (law_case){.params = 1e9, .tokens = 2e10}, 0.8));
    cr_expect(isnan(x.loss), "a loss of a law that has none: %g", x.loss);
    points_deinit(&p);
    optima_deinit(o);
    free(o);
    (void)unlink(path);
}

/* the interval from covariance and spread agrees with the one from the replicates */
Test(law_file, a_forecast_grows_outside_the_range)
{
    fit_result r;
    law_file f;
    fit_points(&r, 300);
    law_file_of(&f, &r, &(law_origin){0});
    const law_case inside = {.params = 1e9, .tokens = 2e10},
                   beyond = {.params = 1e12, .tokens = 2e13};
    law_forecast x, y;
    fit_forecast z;
    cr_expect(law_file_predict(&x, &f, inside, 0.8) && x.inside);
    cr_expect(law_file_predict(&y, &f, beyond, 0.8) && !y.inside);
    cr_expect((y.high - y.low) / y.loss > (x.high - x.low) / x.loss);
    cr_assert(fit_predict(&z, &r, inside) == OK);
    const double width = z.run.p97_5 - z.run.p2_5;
    cr_expect(law_file_predict(&x, &f, inside, 0.95));
    cr_expect(fabs((x.high - x.low) / width - 1) < 0.25, "%g, %g", x.high - x.low, width);
    fit_deinit(&r);
}

/* A short ladder fixes E, A and alpha only together: far from its points the file must promise what
 * the replicates do, though a covariance promises much more. */
Test(law_file, a_ridge_does_not_widen_the_forecasts_of_a_file)
{
    static const double truth[] = {1.5, 1500, 600, 0.85, 0.55};
    points p = {0};
    fit_result r;
    law_file f;
    for (int32_t i = 0; i < 20; i++) {
        law_case at = {.params = 2e4 * pow(1.8, i % 5)};
        at.tokens = 4.5e11 * pow(2, i / 5) / 6 / at.params;
        const double noise = 0.03 * sin(12.9898 * (i + 1)) * cos(78.233 * (i + 1));
        const fit_point row = {.params = at.params,
                               .tokens = at.tokens,
                               .loss =
                                   law_loss(law_find("chinchilla"), truth, at, NULL) * exp(noise),
                               .group = i};
        cr_assert(points_add(&p, &row) == OK);
    }
    cr_assert(fit_run(&r, &p,
                      (fit_options){law_find("chinchilla"), FIT_HUBER, 1e-3, 300, 1, X_FLOPS, false,
                                    NULL, NULL}) == OK);
    law_file_of(&f, &r, &(law_origin){0});
    for (int k = 0; k < 3; k++) {
        const law_case at = {.params = 1e5 * pow(4, k), .tokens = 3e6 * pow(4, k)};
        law_forecast x;
        fit_forecast z;
        cr_assert(fit_predict(&z, &r, at) == OK);
        cr_expect(law_file_predict(&x, &f, at, 0.8));
        cr_expect(fabs(log((x.high - x.low) / (z.run.p90 - z.run.p10))) < 0.25,
                  "%g parameters: [%g, %g] by the file, [%g, %g] by the replicates", at.params,
                  x.low, x.high, z.run.p10, z.run.p90);
    }
    fit_deinit(&r);
    points_deinit(&p);
}

static void expect_refused(const char *text, const char *reason)
{
    char path[] = "/tmp/isoflop-law-XXXXXX";
    law_file f;
    (void)close(mkstemp(path));
    cr_assert(file_write_text(path, text, (int64_t)strlen(text)) == OK);
    const status s = law_file_read(&f, path);
    cr_expect(s == ERR_CONFIG && strstr(status_message(), reason), "'%s' for '%s'",
              s == OK ? "accepted" : status_message(), reason);
    (void)unlink(path);
}

#define HEAD  "{\"schema\":1,\"law\":\"chinchilla\",\"points\":9,\"parameter_count\":\"total\","
#define RANGE "\"range\":{\"params\":[1,2],\"tokens\":[3,4]}"

Test(law_file, wrong_files_are_refused_by_key)
{
    expect_refused("{", "not JSON");
    expect_refused("[]", "not an object");
    expect_refused("{\"schema\":2}", "schema 2");
    expect_refused("{\"schema\":1}", "law is missing");
    expect_refused("{\"schema\":1,\"law\":\"zipf\"}", "'zipf' is not known");
    expect_refused("{\"schema\":1,\"alpha\":2}", "unknown key alpha");
    expect_refused(HEAD RANGE "}", "constants is missing");
    expect_refused(HEAD RANGE ",\"constants\":{\"E\":1,\"A\":2,\"B\":3,\"alpha\":0.3}}",
                   "beta is missing");
    expect_refused(HEAD RANGE
                   ",\"constants\":{\"E\":1,\"A\":2,\"B\":3,\"alpha\":\"x\",\"beta\":1}}",
                   "alpha is not a number");
#define RECIPE                                                                                     \
    ",\"recipe\":{\"learning_rate\":1,\"params\":1,\"exponent\":0,\"batch_tokens\":1,\"beta2\":0," \
    "\"weight_decay\":0,\"warmup_ratio\":null,\"init_scale\":null,"
#define GOOD ",\"constants\":{\"E\":1,\"A\":2,\"B\":3,\"alpha\":0.3,\"beta\":0.3}"
    expect_refused(HEAD RANGE GOOD ",\"replicates\":{\"rows\":[[1,2,3,0.3]]}}", "needs 5 numbers");
    expect_refused(HEAD RANGE GOOD ",\"replicates\":{\"rows\":[[1,-2,3,0.3,0.3]]}}", "above 0");
    expect_refused(HEAD RANGE GOOD ",\"replicates\":[]}", "replicates.rows must be");
    expect_refused(HEAD RANGE GOOD ",\"recipe\":{\"learning_rate\":-1}}", "recipe.learning_rate");
    expect_refused(HEAD RANGE GOOD ",\"recipe\":{\"learning_rate\":1}}", "params is missing");
    expect_refused(HEAD RANGE GOOD RECIPE "\"base_width\":-1}}", "recipe.base_width is -1");
    expect_refused(HEAD RANGE GOOD RECIPE "\"base_width\":15.5}}",
                   "recipe.base_width is 15.5; allowed: 0 to 65536, whole");
    expect_refused(HEAD RANGE GOOD RECIPE "\"base_head_width\":8}}",
                   "recipe.base_head_width is 8 without base_width");
    expect_refused(HEAD RANGE GOOD ",\"architecture\":{\"norm\":1}}", "architecture.norm");
    expect_refused(HEAD RANGE ",\"constants\":{\"E\":-1,\"A\":2,\"B\":3,\"alpha\":1,\"beta\":1}}",
                   "constants.E is -1");
    expect_refused(HEAD RANGE ",\"constants\":{\"E\":1,\"A\":2,\"B\":3,\"alpha\":1,\"beta\":1,"
                              "\"gamma\":1}}",
                   "unknown key constants.gamma");
    expect_refused("{\"schema\":1,\"law\":\"approach-2\",\"points\":9,"
                   "\"parameter_count\":\"total\"," RANGE
                   ",\"constants\":{\"kN\":1,\"a\":0.5,\"kD\":1,\"b\":0.5}}",
                   "range.flops");
    expect_refused(HEAD "\"constants\":{\"E\":1,\"A\":2,\"B\":3,\"alpha\":1,\"beta\":1}}",
                   "range.params");
}

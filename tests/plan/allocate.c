/* Laws of allocate.h, rules.h, shape.h and systems.h: the published answers, and what follows. */
#include "plan/allocate.h"
#include "plan/rules.h"
#include "plan/shape.h"
#include "plan/systems.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static published known;

static void open_laws(void) { cr_assert(published_read(&known) == OK, "%s", status_message()); }
static void close_laws(void) { published_deinit(&known); }
TestSuite(allocate, .init = open_laws, .fini = close_laws);

static const published_law *law_called(const char *name)
{
    const published_law *row = published_find(&known, name);
    cr_assert(row, "%s", name);
    return row;
}

static bool near(double got, double expected, double share)
{
    return fabs(got / expected - 1) <= share;
}

/* Muennighoff et al.: 1e22 FLOPs, 25e9 unique tokens. Their search tries 500 sizes, so its answer
 * is that near the minimum and no better. */
Test(allocate, repeated_tokens_give_the_published_allocation)
{
    const published_law *row = law_called("muennighoff-repeated");
    allocate_question q = allocate_nothing();
    allocation a;
    q.flops = 1e22;
    q.unique = 25e9;
    allocate(&a, row, &q);
    cr_expect(near(a.tokens, 237336955477.55, 0.005), "%.12g tokens", a.tokens);
    cr_expect(near(a.params, 7022364735.88, 0.005), "%.12g params", a.params);
    cr_expect(near(6 * a.params * a.tokens, 1e22, 1e-12));
    const double theirs = allocate_loss(row, 7022364735.88, 237336955477.55, 25e9);
    cr_expect(a.loss <= theirs && theirs - a.loss < 1e-6, "%.9f against %.9f", a.loss, theirs);
    /* fresh tokens in plenty: the plain law */
    q.unique = 1e15;
    allocate(&a, row, &q);
    allocation plain;
    allocate(&plain, law_called("muennighoff"), &q);
    cr_expect(near(a.params, plain.params, 1e-9) && near(a.loss, plain.loss, 1e-12));
}

/* Sardana et al. 2024 with the constants before rounding: quality of a 7B model, 1e11 tokens served
 */
Test(allocate, tokens_to_be_served_give_the_published_smaller_model)
{
    const published_law *row = law_called("hoffmann-3");
    allocate_question q = allocate_nothing();
    allocation plain, served;
    q.params = 7e9;
    allocate(&plain, row, &q);
    q.inference = 1e11;
    allocate(&served, row, &q);
    cr_expect(near(served.params, 6.0547e9, 1e-4), "%.6g", served.params);
    cr_expect(near(served.tokens, 3.4397e11, 1e-4), "%.6g", served.tokens);
    cr_expect(near(served.tokens / plain.tokens, 1.164, 5e-4));
    cr_expect(near(served.loss, plain.loss, 1e-12), "the quality stays");
    /* cheaper over its life than the model that is optimal for training alone */
    cr_expect(served.lifetime_flops < 6 * plain.params * plain.tokens + 2 * plain.params * 1e11);
    /* no law without a loss answers */
    allocate(&served, law_called("llama3"), &q);
    cr_expect(isnan(served.params) && served.why);
}

/* One question from each side leads to the same point on the line. */
Test(allocate, all_questions_meet_on_the_same_line)
{
    static const char *const names[] = {"besiroglu", "hoffmann-3", "hoffmann-1", "llama3",
                                        "muennighoff-repeated"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const published_law *row = law_called(names[i]);
        allocate_question q = allocate_nothing();
        allocation from_flops, back;
        q.flops = 3e21;
        allocate(&from_flops, row, &q);
        q = allocate_nothing();
        q.params = from_flops.params;
        allocate(&back, row, &q);
        cr_expect(near(back.flops, 3e21, 1e-9) && near(back.tokens, from_flops.tokens, 1e-9),
                  "%s from params", names[i]);
        q = allocate_nothing();
        q.tokens = from_flops.tokens;
        allocate(&back, row, &q);
        cr_expect(near(back.flops, 3e21, 1e-9) && near(back.params, from_flops.params, 1e-9),
                  "%s from tokens", names[i]);
        if (!isfinite(from_flops.loss)) continue;
        q = allocate_nothing();
        q.loss = from_flops.loss;
        allocate(&back, row, &q);
        cr_expect(near(back.flops, 3e21, 1e-8), "%s from loss: %g", names[i], back.flops);
    }
}

Test(allocate, no_other_size_of_the_same_budget_is_better)
{
    for (int32_t i = 0; i < known.count; i++) {
        const published_law *row = &known.row[i];
        allocate_question q = allocate_nothing();
        allocation a;
        q.flops = 1e21;
        allocate(&a, row, &q);
        if (!row->pair || !isfinite(a.loss) || !isfinite(a.params)) continue;
        for (double k = 0.25; k < 4.1; k *= 1.1) {
            const double n = a.params * k;
            cr_expect(allocate_loss(row, n, 1e21 / 6 / n, NAN) >= a.loss * (1 - 1e-14), "%s at %g",
                      row->name, k);
        }
        flatness f;
        cr_assert(allocate_flatness(&f, row, 1e21, NAN));
        for (int l = 0; l < FLATNESS_LEVELS; l++) {
            const double limit = a.loss * (1 + f.share[l]);
            for (int side = 0; side < 2; side++) {
                const double n = side ? f.params[l].high : f.params[l].low;
                cr_expect(near(allocate_loss(row, n, 1e21 / 6 / n, NAN), limit, 1e-9));
            }
        }
        cr_expect(f.half_loss > 0 && f.twice_loss > 0);
        /* the stated compute makes the half-sized model as good */
        const double n = a.params / 2;
        cr_expect(near(allocate_loss(row, n, 1e21 * f.half_flops / 6 / n, NAN), a.loss, 1e-9));
    }
}

/* Intervals come from a covariance or not at all; what was asked for has none. */
Test(allocate, intervals_stand_only_where_a_covariance_is)
{
    for (int32_t i = 0; i < known.count; i++) {
        const published_law *row = &known.row[i];
        const bool has = row->file.has_covariance;
        allocate_question q = allocate_nothing();
        allocation a;
        q.flops = 1e21;
        allocate(&a, row, &q);
        cr_expect(isfinite(a.params_range.low) == has, "%s", row->name);
        cr_expect(isfinite(a.loss_range.low) == has, "%s", row->name);
        cr_expect(isnan(a.flops_range.low), "%s", row->name);
        if (!has) continue;
        cr_expect(a.params_range.low < a.params && a.params < a.params_range.high);
        cr_expect(a.loss_range.low < a.loss && a.loss < a.loss_range.high);
        /* on a fixed budget N up is D down */
        cr_expect(near(a.params_range.high / a.params, a.tokens / a.tokens_range.low, 1e-3));
        allocation far;
        q.flops = 1e25;
        allocate(&far, row, &q);
        cr_expect(far.params_range.high / far.params > a.params_range.high / a.params,
                  "wider where it extrapolates");
    }
    cr_expect(law_called("besiroglu")->file.has_covariance);
}

/* Lines of one's own: the answer is on them, and its interval is what their covariance says. */
Test(allocate, lines_of_a_law_file_allocate_with_an_interval)
{
    const double sd = 0.1, C = 1e21, lnC = log(C);
    law_file f = {.form = law_lines_find("approach-2"),
                  .constant = {0.1, 0.5, 5.0 / 3, 0.5},
                  .has_covariance = true,
                  .residual_sd = NAN,
                  .range_params = {1e7, 1e10},
                  .range_tokens = {1e8, 1e11},
                  .range_flops = {1e17, 1e20},
                  .origin = {.flop_count = "model"}};
    /* ln N at C is uncertain by sd: from ln kN and a, which move against each other */
    f.covariance[0] = sd * sd + 1e-4 * lnC * lnC;
    f.covariance[5] = 1e-4;
    f.covariance[1] = f.covariance[4] = -1e-4 * lnC;
    cr_assert(published_add(&known, "mine/lines.json", &f) == OK);
    const published_law *row = law_called("lines.json");
    allocate_question q = allocate_nothing();
    allocation a;
    q.flops = C;
    allocate(&a, row, &q);
    cr_expect(near(a.params, 0.1 * sqrt(C), 1e-12) && near(a.tokens, 5.0 / 3 * sqrt(C), 1e-12));
    cr_expect(isnan(a.loss) && strcmp(row->flop_count, "model") == 0);
    cr_expect(!a.inside, "1e21 is beyond the budgets of the fit");
    cr_expect(near(log(a.params_range.high / a.params), 1.2815515655 * sd, 1e-4), "%g to %g",
              a.params_range.low, a.params_range.high);
    cr_expect(isnan(a.tokens_range.low), "an interval of D without a variance");
    q.flops = 1e19;
    allocate(&a, row, &q);
    cr_expect(a.inside);
}

Test(allocate, kaplan_s_lines_are_not_printed_as_a_pair)
{
    allocate_question q = allocate_nothing();
    allocation a;
    q.flops = 1e21;
    allocate(&a, law_called("kaplan"), &q);
    cr_expect(near(a.params, 7.77e9, 0.005) && isnan(a.tokens) && isnan(a.loss));
}

Test(allocate, a_ratio_of_tokens_costs_loss)
{
    const published_law *row = law_called("besiroglu");
    allocate_question q = allocate_nothing();
    allocation best, over;
    q.flops = 1e21;
    allocate(&best, row, &q);
    q.tokens_per_param = 200;
    allocate(&over, row, &q);
    cr_expect(near(over.tokens / over.params, 200, 1e-12));
    cr_expect(near(6 * over.params * over.tokens, 1e21, 1e-12));
    cr_expect(over.loss > best.loss && over.params < best.params);
}

Test(allocate, a_loss_below_what_data_allows_is_answered_by_no_budget)
{
    allocate_question q = allocate_nothing();
    allocation a;
    q.loss = 1.5; // below E of this law
    allocate(&a, law_called("besiroglu"), &q);
    cr_expect(isnan(a.flops) && isnan(a.params) && a.why);
}

/* --- shapes --------------------------------------------------------------- */

static shape_rows shapes;

static void open_shapes(void)
{
    cr_assert(shape_rows_read(&shapes) == OK, "%s", status_message());
    cr_assert(shapes.count > 50, "%d rows", shapes.count);
}
TestSuite(shape, .init = open_shapes);

Test(shape, every_size_can_be_built_and_trained)
{
    for (double n = 1e6; n < 1e12; n *= 1.37) {
        const shape_question q = {.params = n, .vocab = n < 1e8 ? 512 : 32000, .context = 2048};
        shape s;
        cr_assert(shape_near(&s, &q, &shapes) == OK, "%g: %s", n, status_message());
        cr_expect(fabs(s.off) < 0.05, "%g parameters wanted, %+.1f %%", n, 100 * s.off);
        cr_expect(s.params == block_param_count(&s.model));
        cr_expect(s.model.width % s.model.head_width == 0 || s.model.layers > 0);
        cr_expect(config_check_model(&s.model, "planned") == OK, "%s", status_message());
        config c = {.model = s.model};
        cr_expect(config_check_trainable(&c) == OK, "%s", status_message());
    }
}

Test(shape, a_row_of_table_a9_is_taken_where_it_is_near)
{
    shape s;
    const shape_question q = {.params = 2.78e9, .vocab = 32000, .context = 2048};
    cr_assert(shape_near(&s, &q, &shapes) == OK);
    cr_expect(strstr(s.origin, "a9-2980m"), "%s", s.origin);
    cr_expect(s.model.layers == 34 && s.model.width == 2560 && s.model.heads == 20);
}

Test(shape, rows_beyond_the_most_are_refused_not_dropped)
{
    char root[] = "/tmp/plan_shapes_XXXXXX", path[128];
    cr_assert_not_null(mkdtemp(root));
    (void)snprintf(path, sizeof path, "%s/models", root);
    cr_assert_eq(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/models/own.yaml", root);
    const int32_t room = SHAPE_ROWS_MAX - shapes.count; /* beside the source's own */
    for (int32_t rows = room; rows <= room + 1; rows++) {
        FILE *out = fopen(path, "w");
        cr_assert_not_null(out);
        (void)fputs("defaults: {vocab: 300, context: 8, positions: relative}\nrows:\n", out);
        for (int32_t k = 0; k < rows; k++)
            (void)fprintf(out, "  a9-own-%d: {layers: 1, width: 8, heads: 2}\n", k);
        cr_assert_eq(fclose(out), 0);
        cr_assert_eq(setenv("ISOFLOP_CONFIGS", root, 1), 0);
        const status s = shape_rows_read(&shapes);
        cr_expect(s == (rows > room ? ERR_CONFIG : OK), "%d rows: %s", rows, status_message());
        cr_expect(s == OK || strstr(status_message(), "at most 128"), "%s", status_message());
    }
}

Test(shape, what_cannot_be_built_is_refused_with_the_nearest)
{
    shape s;
    const shape_question q = {.params = 1e5, .vocab = 32000, .context = 2048};
    cr_expect(shape_near(&s, &q, &shapes) == ERR_CONFIG);
    cr_expect(strstr(status_message(), "the nearest has"), "%s", status_message());
}

/* --- rules ---------------------------------------------------------------- */

Test(rules, each_rule_gives_its_published_numbers_and_says_where_it_holds)
{
    rules r;
    const rule_case at = {1.08e8, 1.08e8, 2.16e9, 6 * 1.08e8 * 2.16e9};
    cr_assert(rules_ask(&r, &at) == OK, "%s", status_message());
    int seen = 0;
    for (int32_t i = 0; i < r.count; i++) {
        const rule_answer *a = &r.row[i];
        cr_expect(a->source[0] && a->status[0] && a->range[0], "%s", a->name);
        if (strcmp(a->name, "porian") == 0) {
            cr_expect(near(a->learning_rate, 0.0047, 1e-9) && near(a->batch_tokens, 327680, 1e-9));
            cr_expect(a->inside == (at.flops <= 2.56e19));
            seen++;
        }
        if (strcmp(a->name, "steplaw") == 0) {
            cr_expect(
                near(a->learning_rate, 1.79 * pow(1.08e8, -0.713) * pow(2.16e9, 0.307), 1e-9));
            cr_expect(a->inside);
            seen++;
        }
        if (strcmp(a->name, "deepseek") == 0) {
            cr_expect(near(a->batch_tokens, 0.2920 * pow(at.flops, 0.3271), 1e-9));
            seen++;
        }
        if (strcmp(a->name, "power-lines") == 0) {
            cr_expect(isnan(a->learning_rate));
            cr_expect(near(a->batch_tokens, 2048 * 0.0306 * pow(2.16e9, 0.383), 1e-4));
            seen++;
        }
    }
    cr_expect(seen == 4, "%d", seen);
    cr_expect(r.row[r.chosen].inside);
    cr_expect(near(r.bracket[2], 4 * r.bracket[0], 1e-12));
}

Test(rules, far_from_every_fit_all_rules_are_marked)
{
    rules r;
    const rule_case at = {1e4, 1e4, 1e5, 6e9};
    cr_assert(rules_ask(&r, &at) == OK);
    for (int32_t i = 0; i < r.count; i++)
        cr_expect(!r.row[i].inside || strcmp(r.row[i].name, "kaplan") == 0, "%s", r.row[i].name);
}

static const rule_answer *rule_of(const rules *r, const char *name)
{
    for (int32_t i = 0; i < r->count; i++)
        if (strcmp(r->row[i].name, name) == 0) return &r->row[i];
    cr_assert_fail("no rule %s", name);
    return NULL;
}

/* Step Law of a thousandth of its smallest model would be 0.1, which trains nothing. */
Test(rules, outside_its_range_a_rule_never_gives_more_than_at_the_nearest_point_of_it)
{
    rules r;
    const double edge = 1.79 * pow(60e6, -0.713) * pow(2e9, 0.307);
    for (double n = 1e4; n < 1e13; n *= 3)
        for (double ratio = 0.1; ratio < 1e5; ratio *= 10) {
            const rule_case at = {n, n, n * ratio, 6 * n * n * ratio};
            cr_assert(rules_ask(&r, &at) == OK);
            const rule_answer *a = rule_of(&r, "steplaw");
            const double d = fmin(fmax(at.tokens, 2e9), 1e11), m = fmin(fmax(n, 60e6), 1e9);
            const double most = 1.79 * pow(m, -0.713) * pow(d, 0.307);
            cr_expect(a->learning_rate <= most * (1 + 1e-9));
            cr_expect(a->capped == (a->learning_rate < a->beyond) && !(a->capped && a->inside));
            if (!a->capped)
                cr_expect(
                    near(a->learning_rate, 1.79 * pow(n, -0.713) * pow(at.tokens, 0.307), 1e-9));
        }
    const rule_case million = {1e6, 1e6, 20e6, 1.2e14}, large = {70e9, 70e9, 1.4e12, 5.9e23};
    cr_assert(rules_ask(&r, &million) == OK);
    cr_expect(strcmp(r.row[r.chosen].name, "steplaw") == 0 && r.row[r.chosen].capped);
    cr_expect(near(r.row[r.chosen].learning_rate, edge, 1e-9) && near(r.bracket[1], edge, 1e-9));
    cr_assert(rules_ask(&r, &large) == OK);
    cr_expect(!rule_of(&r, "steplaw")->capped, "it falls there, and goes on");
    /* models as narrow as were studied here are trained as those were */
    const rule_case narrow = {66517, 50000, 2e6, 8e11};
    cr_assert(rules_ask(&r, &narrow) == OK);
    cr_expect_str_eq(r.row[r.chosen].name, "narrow");
    cr_expect(near(r.row[r.chosen].learning_rate, 5.4e-3, 1e-9) &&
              near(r.row[r.chosen].batch_tokens, 512, 1e-9));
}

Test(shape, narrow_models_begin_with_the_spread_that_the_studies_found)
{
    shape s;
    for (double params = 3e4; params < 1e9; params *= 2) {
        const shape_question q = {.params = params, .vocab = 257, .context = 256};
        cr_assert(shape_near(&s, &q, &shapes) == OK, "%s", status_message());
        const double width = (double)s.model.width, found = 0.8 / sqrt(width);
        cr_expect(width > 192 ? s.model.init_std == 0.02 : fabs(s.model.init_std - found) < 5.1e-3,
                  "width %g: %g", width, s.model.init_std);
    }
}

/* --- systems -------------------------------------------------------------- */

TestSuite(systems, .init = open_laws, .fini = close_laws);

Test(systems, all_named_systems_are_there_with_sources)
{
    static const char *const names[] = {"gpt-3",     "gopher",    "chinchilla",   "palm-8b",
                                        "palm-62b",  "palm-540b", "minerva-540b", "llama-13b",
                                        "llama-65b", "bloom",     "lamda",        "retro",
                                        "glam"};
    systems s;
    cr_assert(systems_read(&s) == OK, "%s", status_message());
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const system_row *row = NULL;
        for (int32_t k = 0; k < s.count; k++)
            if (strcmp(s.row[k].name, names[i]) == 0) row = &s.row[k];
        cr_assert(row, "%s", names[i]);
        for (int q = 0; q < SYSTEM_QUANTITIES; q++)
            cr_expect(isnan(row->of[q].value) || (row->of[q].value > 0 && row->of[q].source[0]));
        const bool silent = strcmp(names[i], "glam") == 0 || strcmp(names[i], "retro") == 0 ||
                            strcmp(names[i], "lamda") == 0;
        cr_expect(isnan(system_loss(row, law_called("besiroglu"))) == silent, "%s", names[i]);
    }
    systems_deinit(&s);
}

/* Gopher and Chinchilla under the constants that agree with their own paper */
Test(systems, losses_are_the_reference_answers)
{
    static const struct {
        const char *name;
        double loss;
    } rows[] = {{"gopher", 1.99907},    {"chinchilla", 1.97341}, {"gpt-3", 2.00800},
                {"palm-540b", 1.94988}, {"llama-13b", 2.04809},  {"llama-65b", 1.97544}};
    systems s;
    cr_assert(systems_read(&s) == OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int32_t k = 0; k < s.count; k++)
            if (strcmp(s.row[k].name, rows[i].name) == 0) {
                const double loss = system_loss(&s.row[k], law_called("besiroglu"));
                cr_expect(fabs(loss - rows[i].loss) < 1e-5, "%s: %.6f", rows[i].name, loss);
            }
    systems_deinit(&s);
}

/* A study as the list of its runs. */
#include "study/study_text.h"

#include "model/block.h"

#include <math.h>

static void close_all(study_runs *runs, study *s)
{
    expand_deinit(runs);
    study_deinit(s);
}
static void must_expand(study_runs *runs, study *s, const char *text)
{
    cr_assert_eq(expand_text(runs, s, text), OK, "%s", status_message());
}

Test(expand, a_grid_is_every_combination_with_every_seed)
{
    study s;
    study_runs r;
    must_expand(&r, &s,
                "seeds: [3, 5]\n"
                "grid:\n"
                "  model.width: [16, 32]\n"
                "  optimizer.learning_rate: [1e-3, 2e-3, 4e-3]\n");
    cr_assert_eq(r.count, 12);
    for (int32_t i = 0; i < r.count; i++) {
        const study_run *run = &r.run[i];
        cr_expect_eq(run->cfg.train.seed, i % 2 ? 5 : 3);
        cr_expect_eq(run->cfg.model.width, i < 6 ? 16 : 32);
        cr_expect_str_eq(run->cfg.run.name, run->name);
        cr_expect_eq(run->cell_index, i / 2);
    }
    close_all(&r, &s);
}

Test(expand, a_ladder_spends_each_budget_to_the_nearest_whole_step)
{
    study s;
    study_runs r;
    must_expand(&r, &s,
                "isoflop: {budgets: [3e9, 1e10], models: [byte-test, byte-w64-l2]}\n"
                "set: {data.synthetic: zipf_facts, train.micro_batch: 2,\n"
                "  train.batch_tokens: 512, schedule.warmup_tokens: 512}\n");
    cr_assert_eq(r.count, 4);
    for (int32_t i = 0; i < r.count; i++) {
        flop_counts f;
        block_flops(&f, &r.run[i].cfg.model);
        const double tokens = (double)r.run[i].cfg.train.tokens;
        cr_expect_eq(r.run[i].cfg.train.tokens % 512, 0);
        cr_expect_leq(fabs(tokens * f.model - r.run[i].budget), 0.5 * 512 * f.model * 1.000001,
                      "%s", r.run[i].name);
        cr_expect_float_eq(r.run[i].flops, tokens * f.model, 1);
    }
    close_all(&r, &s);
}

/* As in the ladder of Kaplan's exponent: other counts, other warm-up, other rates. */
Test(expand, a_variant_may_count_warm_up_and_rate_in_its_own_way)
{
    study s;
    study_runs r;
    must_expand(&r, &s,
                "isoflop: {budgets: [9e9], models: [byte-test, byte-w32-l2],\n"
                "  flop_count: six_nd}\n"
                "variants:\n"
                "  - {name: a, flop_count: six_nd_nonemb}\n"
                "  - {name: b, warmup_per_param: 0.25}\n"
                "  - {name: c, learning_rate_rule: size}\n"
                "set: {train.micro_batch: 2, train.batch_tokens: 1536,\n"
                "  schedule.warmup_tokens: 1536}\n");
    cr_assert_eq(r.count, 6);
    for (int32_t i = 0; i < r.count; i++) {
        const study_run *run = &r.run[i];
        const int64_t n = i < 2 ? run->params_without_embedding : run->params;
        const double step = 6.0 * (double)n * 1536;
        cr_expect_leq(fabs(6.0 * (double)n * (double)run->cfg.train.tokens - 9e9), 0.501 * step,
                      "%s", run->name);
        cr_expect_str_eq(expand_flops_name(run->flop_count), i < 2 ? "six_nd_nonemb" : "six_nd");
        const int64_t warmup = run->cfg.schedule.warmup_tokens;
        const double asked = 0.25 * (double)run->params;
        if (strcmp(run->variant, "b") == 0)
            cr_expect_leq(fabs((double)warmup - asked), 768, "%s", run->name);
        else
            cr_expect_eq(warmup, 1536, "%s", run->name);
    }
    cr_expect_float_eq(r.run[0].cfg.optimizer.learning_rate, 1e-2, 1e-12);
    cr_expect_gt(r.run[4].cfg.optimizer.learning_rate, r.run[5].cfg.optimizer.learning_rate);
    close_all(&r, &s);
}

Test(expand, cells_far_from_any_optimum_can_be_left_out)
{
    study s;
    study_runs r;
    must_expand(&r, &s,
                "isoflop: {budgets: [6e9, 3e10], models: [byte-test, byte-w64-l2],\n"
                "  flop_count: six_nd, tokens_per_param: [1, 10], bracket: [2]}\n"
                "set: {train.micro_batch: 2, train.batch_tokens: 1536,\n"
                "  schedule.warmup_tokens: 1536}\n");
    for (int32_t i = 0; i < r.count; i++) {
        const double ratio = r.run[i].budget / 6 / pow((double)r.run[i].params, 2);
        cr_expect(ratio >= 1 && ratio <= 10, "%s: %g tokens for each parameter", r.run[i].name,
                  ratio);
    }
    close_all(&r, &s);
}

Test(expand, a_trunk_needs_no_decay_of_its_own)
{
    study s;
    study_runs r;
    must_expand(&r, &s,
                "set: {schedule.name: wsd}\nlearning_rate_rule: size\n"
                "tokens: [9216, 18432]\n");
    cr_expect_eq(r.count, 4);
    for (int32_t i = 0; i < r.count; i++)
        cr_expect_eq(r.run[i].cfg.schedule.decay_tokens > 0, r.run[i].role == RUN_POINT);
    close_all(&r, &s);
}

Test(expand, a_trunk_is_paid_for_once)
{
    study s;
    study_runs r;
    must_expand(&r, &s,
                "set: {schedule.name: wsd, schedule.decay_tokens: 1536}\n"
                "decay_ratio: 0.2\n"
                "tokens: [9216, 18432, 36864]\n");
    cr_assert_eq(r.count, 6);
    double own = 0, longest = 0;
    for (int32_t i = 0; i < r.count; i++) {
        const study_run *run = &r.run[i];
        own += run->own_flops;
        longest = fmax(longest, run->flops);
        cr_expect_eq(run->trunk, 0);
        if (run->role != RUN_POINT) continue;
        /* it goes on from where its own cool-down begins */
        cr_assert_geq(run->parent, 0);
        cr_expect_eq(run->cfg.train.tokens - run->cfg.schedule.decay_tokens,
                     r.run[run->parent].cfg.train.tokens);
        cr_expect_eq(run->cfg.schedule.name, SCHEDULE_WSD);
        cr_expect_eq(r.run[run->parent].cfg.schedule.name, SCHEDULE_CONSTANT);
    }
    cr_expect_lt(own, 1.5 * longest);
    close_all(&r, &s);
}

Test(expand, a_sweep_tries_every_factor_at_the_first_seed_and_adds_the_others_later)
{
    study s;
    study_runs r;
    must_expand(&r, &s,
                "seeds: [1, 2, 3]\n"
                "learning_rate_rule: sweep\n"
                "learning_rate_factors: [0.5, 1, 2]\n"
                "runs: [{arm: a, model.width: 16}, {arm: b}]\n");
    cr_assert_eq(r.count, 6);
    for (int32_t i = 0; i < 6; i++) {
        cr_expect_eq(r.run[i].seed, 1);
        cr_expect_float_eq(r.run[i].cfg.optimizer.learning_rate, 1e-2 * s.factors[i % 3], 1e-12);
    }
    cr_assert_eq(expand_seeds(&r, &s, 5), OK);
    cr_assert_eq(r.count, 8);
    cr_expect_eq(r.run[7].seed, 3);
    cr_expect_str_eq(r.run[7].arm, "b");
    cr_expect_float_eq(r.run[7].cfg.optimizer.learning_rate, 2e-2, 1e-12);
    close_all(&r, &s);
}

Test(expand, the_size_rule_keeps_the_rate_of_the_base)
{
    study s;
    study_runs r;
    must_expand(&r, &s,
                "learning_rate_rule: size\n"
                "grid: {model.width: [32, 64]}\n");
    cr_expect_float_eq(r.run[0].cfg.optimizer.learning_rate, 1e-2, 1e-12);
    cr_expect_float_eq(r.run[1].cfg.optimizer.learning_rate,
                       1e-2 * pow((double)r.run[1].params / (double)r.run[0].params, -1.0 / 3),
                       1e-12);
    close_all(&r, &s);
}

/* Named models bring a spread of their own, cells their heads; rate and spread stay the base's. */
Test(expand, mup_gives_every_width_the_rate_and_spread_of_the_base)
{
    study s;
    study_runs r;
    must_expand(&r, &s,
                "learning_rate_rule: mup\n"
                "set: {model: byte-w32-l2, train.micro_batch: 2, train.batch_tokens: 1536}\n"
                "runs: [{name: a}, {name: b, model: byte-w64-l2},\n"
                "  {name: c, model.width: 128, model.heads: 8, model.ffn: 512}]\n");
    cr_assert_eq(r.count, 3);
    for (int32_t i = 0; i < r.count; i++) {
        const model_config *m = &r.run[i].cfg.model;
        cr_expect_eq(m->width, 32 << i);
        cr_expect_eq(m->head_width, i == 1 ? 32 : 16);
        cr_expect(m->base_width == 32 && m->base_head_width == 16);
        cr_expect_float_eq(m->init_std, 0.14, 1e-12);
        cr_expect_float_eq(r.run[i].cfg.optimizer.learning_rate, 1e-2, 1e-12);
    }
    close_all(&r, &s);
}

Test(expand, a_sweep_may_compare_the_parametrisations)
{
    study s;
    study_runs r;
    must_expand(&r, &s,
                "learning_rate_rule: sweep\nlearning_rate_factors: [0.5, 1, 2]\n"
                "variants: [{name: m, parametrisation: mup}, {name: s},\n"
                "  {name: b, parametrisation: mup, model.base_width: 8}]\n"
                "isoflop: {budgets: [9e9], models: [byte-w32-l2, byte-w64-l2]}\n"
                "set: {train.micro_batch: 2, train.batch_tokens: 1536,\n"
                "  schedule.warmup_tokens: 1536, model.ffn: 128}\n");
    cr_assert_eq(r.count, 18);
    for (int32_t i = 0; i < r.count; i++) {
        const study_run *run = &r.run[i];
        const bool mup = *run->variant != 's';
        cr_expect_eq(run->cfg.model.base_width,
                     *run->variant == 'b' ? 8
                     : mup                ? 32
                                          : 0,
                     "%s", run->name);
        if (run->cfg.model.width == 64)
            cr_expect_float_eq(run->cfg.model.init_std, mup ? 0.02 : 0.1, 1e-12, "%s", run->name);
    }
    close_all(&r, &s);
}

/* What must not start, and the words that say why. */
static const struct {
    const char *text, *says;
} refused[] = {
    {"", "no runs"},
    {"grid: {}\n", "study.yaml:3: grid: it is empty"},
    {"runs: []\n", "study.yaml:3: runs: it is empty"},
    {"grid: {model.width: []}\n", "grid.model.width"},
    {"grid: {model.width: [16, {a: 1}]}\n", "one value"},
    {"grid: {model.widht: [16]}\n", "study.yaml:3: override 'model.widht=16'"},
    {"grid: {model.width: [16]}\nruns: [{}]\n", "beside"},
    {"grid: {train.seed: [1, 1]}\n", "two runs would be called"},
    {"grid: {model.width: [16]}\nseeds: [1, 1]\n", "stands there twice"},
    {"grid: {model.width: [16]}\nseeds: []\n", "seeds"},
    {"grid: {model.width: [16]}\nseeds: [-1]\n", "below 0"},
    {"grid: {model.width: [16]}\nsedes: [1]\n", "study.yaml:4: sedes: unknown key; nearest: seeds"},
    {"grid: {model.width: [16]}\nranks_per_run: 0\n", "outside [1"},
    {"grid: {model.width: [16]}\nranks_per_run: 9\n", "fewer than ranks_per_run"},
    {"grid: {model.width: [16]}\nname: twice\n", "given twice"},
    {"isoflop: {budgets: [1e3], models: [byte-test]}\n"
     "set: {train.micro_batch: 2, train.batch_tokens: 512, schedule.warmup_tokens: 0}\n",
     "less than one step"},
    {"isoflop: {budgets: [], models: [byte-test]}\n", "budgets"},
    {"isoflop: {budgets: [1e9], models: [bite-test]}\n", "byte-test"},
    {"isoflop: {budgets: [1e9], models: [byte-test], flops: model}\n", "isoflop.flops"},
    {"isoflop: {budgets: [1e9], models: [byte-test], flop_count: mode}\n", "flop_count"},
    {"isoflop: {budgets: [1e9], models: [byte-test], tokens_per_param: [2]}\n", "[LOW, HIGH]"},
    {"isoflop: {budgets: [1e9], models: [byte-test], tokens_per_param: [2, 1]}\n", "LOW < HIGH"},
    {"isoflop: {budgets: [1e9], models: [byte-test], tokens_per_param: [1e8, 1e9]}\n"
     "set: {train.micro_batch: 2, train.batch_tokens: 512, schedule.warmup_tokens: 0}\n",
     "leaves no model"},
    {"variants: [{name: a, flop_count: model}]\nruns: [{}]\n", "belongs to isoflop"},
    {"variants: [{name: a, learning_rate_rule: sweep}]\nruns: [{}]\n", "all of them or of none"},
    {"variants: [{name: a, warmup_per_param: -1}]\nruns: [{}]\n", "warmup_per_param"},
    {"tokens: [9216]\nset: {schedule.name: cosine, schedule.decay_tokens: 512}\n", "only wsd"},
    {"tokens: [9216, 9216]\nset: {schedule.name: wsd, schedule.decay_tokens: 1536}\n",
     "further apart"},
    {"tokens: [9216]\nset: {schedule.name: wsd, schedule.decay_tokens: 512}\ndecay_ratio: 0.01\n",
     "no step of"},
    {"learning_rate_rule: sweep\nlearning_rate_factors: [1, 2]\nruns: [{}]\n", "3 to"},
    {"learning_rate_rule: sweep\nlearning_rate_factors: [1, 4, 2]\nruns: [{}]\n", "ascending"},
    {"learning_rate_factors: [1, 2, 4]\nruns: [{}]\n", "belong to learning_rate_rule"},
    {"parametrisation: mu\nruns: [{}]\n", "allowed: standard, mup"},
    {"parametrization: mup\nruns: [{}]\n", "nearest: parametrisation"},
    {"learning_rate_rule: mub\nruns: [{}]\n", "allowed: fixed, size, sweep, mup"},
    {"learning_rate_rule: mup\nruns: [{model.init_std: 0.1}]\n", "model.init_std=0.1 under"},
    {"parametrisation: mup\nlearning_rate_rule: size\nruns: [{}]\n", "beside muP"},
    {"learning_rate_rule: size\nset: {model.base_width: 16}\nruns: [{}]\n", "beside muP"},
    {"parametrisation: mup\nruns: [{model.init_std: 0.1}]\n",
     "study.yaml:4: model.init_std=0.1 under parametrisation: mup"},
    {"parametrisation: mup\nruns: [{model: {width: 64, base_width: 64, ffn: 192}}]\n",
     "model.base_width=64 under"},
    {"parametrisation: mup\nruns: [{model.width: 64}]\n",
     "width 64 with ffn 96 and 2 heads of 32; the base has 32, 96, 2 of 16; allowed: in"},
    {"compare: {arms: [a]}\nruns: [{arm: a}]\n", "arms: [A, B]"},
    {"compare: {arms: [a, b], equal_flops: [x]}\n"
     "runs: [{arm: a, row: x}, {arm: b, row: x, train.tokens: 18432}]\n",
     "apart; allowed: 1 %"},
    {"runs: [{scale: s}]\nscale: l\n", "'l' is none of the runs'"},
    {"runs: [{train: {tokens: -4}}]\n", "train.tokens"},
    {"runs: [{train: [4]}]\n", "a list"},
    {"runs: [&a {}]\n", "an anchor"},
};

Test(expand, bad_studies_are_refused_with_their_line)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        study s;
        study_runs r;
        cr_expect_eq(expand_text(&r, &s, refused[i].text), ERR_CONFIG, "%s", refused[i].text);
        cr_expect(strstr(status_message(), refused[i].says), "'%s'\n  says %s, not %s",
                  refused[i].text, status_message(), refused[i].says);
        close_all(&r, &s);
    }
}

Test(expand, more_runs_than_the_limit_are_refused)
{
    study s;
    study_runs r;
    char text[8192] = "grid:\n  optimizer.learning_rate: [";
    for (int i = 1; i <= 70; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%de-4", i > 1 ? "," : "",
                       i);
    strcat(text, "]\n  train.tokens: [");
    for (int i = 6; i <= 70; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i > 6 ? "," : "",
                       i * 1536);
    strcat(text, "]\n");
    cr_expect_eq(expand_text(&r, &s, text), ERR_CONFIG);
    cr_expect(strstr(status_message(), "more than 4096 runs"), "%s", status_message());
    close_all(&r, &s);
}

/* What is shipped must at least be a list of runs; a comparison's rows must cost what they say. */
Test(expand, every_study_of_configs_expands)
{
    static const struct {
        const char *name;
        int32_t runs;
    } shipped[] = {
        {"gopher-vs-chinchilla-cpu", 15},
        {"gopher-vs-chinchilla-sweep-cpu", 20},
        {"gopher-vs-chinchilla-gpu", 15},
        {"mup-cpu", 42},
        {"isoflop-cpu", 48},
        {"known-entropy", 50},
        {"known-entropy-small", 6},
        {"wsd-vs-cosine-cpu", 18},
        {"kaplan-vs-chinchilla-cpu", 244},
    };
    for (size_t i = 0; i < sizeof shipped / sizeof shipped[0]; i++) {
        study s;
        study_runs r = {0};
        char path[128];
        (void)snprintf(path, sizeof path, "configs/studies/%s.yaml", shipped[i].name);
        cr_assert_eq(study_load(&s, path), OK, "%s", status_message());
        cr_expect_str_eq(s.keys.name, shipped[i].name);
        cr_assert_eq(expand_study(&r, &s), OK, "%s", status_message());
        cr_expect_eq(r.count, shipped[i].runs, "%s: %d runs", path, r.count);
        close_all(&r, &s);
    }
}

Test(expand, the_scales_of_the_comparison_keep_its_ratios)
{
    static const char *const scales[] = {"small", "medium", "large"};
    for (int k = 0; k < 3; k++) {
        study s;
        study_runs r = {0};
        cr_assert_eq(study_load(&s, "configs/studies/gopher-vs-chinchilla-cpu.yaml"), OK);
        (void)snprintf(s.keys.scale, sizeof s.keys.scale, "%s", scales[k]);
        cr_assert_eq(expand_study(&r, &s), OK, "%s", status_message());
        const study_run *gopher = &r.run[0], *chinchilla = &r.run[3], *table4 = &r.run[6];
        cr_expect_float_eq((double)gopher->params / (double)chinchilla->params, 4, 0.5, "%s",
                           scales[k]);
        cr_expect_float_eq((double)table4->cfg.train.tokens / (double)chinchilla->cfg.train.tokens,
                           300.0 / 1400, 0.002);
        cr_expect_float_eq((double)chinchilla->cfg.train.tokens / (double)chinchilla->params, 20,
                           1);
        close_all(&r, &s);
    }
}

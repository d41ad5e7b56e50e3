#include "plan_config.h"

#include "cli.h"
#include "plan_model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_model(FILE *out, const plan_answer *a)
{
    (void)fprintf(out,
                  "\nmodel:                    # %" PRId64 " parameters, %" PRId64
                  " without embeddings\n",
                  a->shape.params, a->shape.params_without_embedding);
    config_write_model(&a->shape.model, a->model_given ? a->model_name : "", out);
}

static void put_data(FILE *out, const plan_answer *a)
{
    const plan_data *d = &a->data;
    (void)fputs("\ndata:\n", out);
    if (!d->given) {
        const bool wide = a->shape.model.vocab >= 80;
        (void)fputs("  synthetic: zipf_facts   # no --data was given: a source of known entropy, "
                    "to try the machine\n",
                    out);
        if (!wide) (void)fputs("  zipf_facts: {base: 2, values: 2}\n", out);
        return;
    }
    (void)fputs("  train: ", out);
    config_put_text(out, d->train);
    if (d->validation[0]) {
        (void)fputs("\n  validation: ", out);
        config_put_text(out, d->validation);
    }
    (void)fputc('\n', out);
    if (a->tokens + (double)a->batch_tokens > d->tokens)
        (void)fprintf(out, "  repeat: allow           # %.2f epochs\n", a->tokens / d->tokens);
}

/* Windows of the evaluation set in tokens; 0: all there are. */
static int64_t evaluation(const plan_answer *a)
{
    const int64_t wanted = INT64_C(1) << 20;
    if (a->data.given && !(a->data.validation_tokens > (double)wanted)) return 0;
    const int64_t few = (int64_t)(a->tokens / 20);
    const int64_t n = few < wanted ? few : wanted, T = a->shape.model.context;
    return (n + T - 1) / T * T;
}

/* Every so many tokens: a share of the run in whole steps. */
static int64_t share_of(const plan_answer *a, double share)
{
    const int64_t steps = (int64_t)ceil((double)a->steps * share);
    return steps * a->batch_tokens;
}

static void put_training(FILE *out, const plan_answer *a)
{
    const rule_answer *rule = &a->rules.row[a->rules.chosen];
    const bool evaluated = !a->data.given || a->data.validation[0];
    const plan_machine *m = &a->machine;
    (void)fprintf(out, "\ntrain:\n  tokens: %.0f\n  batch_tokens: %" PRId64 "\n", a->tokens,
                  a->batch_tokens);
    (void)fprintf(out, "  micro_batch: %" PRId64 "          # sequences: the unit of arithmetic\n",
                  a->micro_batch);
    (void)fprintf(out, "  precision: %s\n", config_choice("train", "precision", m->precision));
    if (m->reduction != CONFIG_EXACT)
        (void)fprintf(out, "  reduction: %s\n", config_choice("train", "reduction", m->reduction));
    if (m->recompute != RECOMPUTE_NONE)
        (void)fprintf(out, "  recompute: %s\n", config_choice("train", "recompute", m->recompute));
    (void)fprintf(out, "  sharding: %s\n", m->sharding == PREDICT_NONE ? "none" : "zero1");
    (void)fprintf(out, "\noptimizer:\n  learning_rate: %.3g  # %s%s\n", a->learning_rate,
                  a->based ? "of the config that was given" : rule->name,
                  a->based || rule->inside ? ""
                  : rule->capped           ? ", at the edge of its range: try half and twice too"
                                           : ", extrapolated: try half and twice too");
    const law_recipe *recipe = plan_model_recipe(a);
    if (recipe)
        (void)fprintf(out, "  beta2: %.6g\n  weight_decay: %.6g\n", recipe->beta2,
                      recipe->weight_decay);
    /* of a short run 1 % is too few steps: as our studies had it */
    const double own = a->steps < 10000 ? 0.05 : 0.01;
    const double warmup = recipe && isfinite(recipe->warmup_ratio) ? recipe->warmup_ratio : own;
    (void)fprintf(out,
                  "\nschedule:\n  name: cosine\n  warmup_tokens: %" PRId64
                  "   # %.2g %% of the run\n  final_ratio: 0.1\n",
                  share_of(a, warmup), 100 * warmup);
    (void)fprintf(out, "\nevaluate:\n  every_tokens: %" PRId64 "\n  tokens: %" PRId64 "\n",
                  evaluated ? share_of(a, 0.1) : 0, evaluation(a));
    (void)fprintf(out, "\ncheckpoint:\n  every_tokens: %" PRId64 "\n", share_of(a, 0.05));
}

/* What the run will be graded on. Zero: not forecast. */
static void put_forecast(FILE *out, const plan_answer *a)
{
    const plan_machine *m = &a->machine;
    (void)fputs("\nforecast:                 # graded at the end of the run\n", out);
    (void)fprintf(out, "  params: %" PRId64 "\n  tokens: %" PRId64 "\n", a->shape.params,
                  a->steps * a->batch_tokens);
    if (a->forecast.known) (void)fprintf(out, "  validation_set: %s\n", a->forecast.validation_set);
    if (a->forecast.known)
        (void)fprintf(out, "  law: %s\n  loss: %.6f\n  low: %.6f\n  high: %.6f\n  level: %.1f\n",
                      a->forecast.law, a->forecast.loss, a->forecast.low, a->forecast.high,
                      ALLOCATE_LEVEL / 100.0);
    else
        (void)fprintf(out, "  law: none               # %s\n", a->forecast.why);
    if (!m->given) return;
    (void)fprintf(out, "  ranks: %d\n  time_s: %.6g\n  bytes_per_rank: %" PRId64 "\n",
                  (int)m->step.ranks, m->run.hours * 3600, m->step.memory.total);
    if (isfinite(m->run.energy_j)) (void)fprintf(out, "  energy_j: %.6g\n", m->run.energy_j);
}

static void put_all(FILE *out, const plan_answer *a, bool graded)
{
    const published_law *row = a->law[a->chosen].row;
    (void)fprintf(out, "# %s parameters on %s tokens, %.3g FLOPs (6 N D).\n",
                  cli_count((double)a->shape.params).text, cli_count(a->tokens).text,
                  6 * (double)a->shape.params * a->tokens);
    (void)fprintf(out, "# Size by %s: %s\n", row->name, row->source);
    (void)fprintf(out, "name: plan-%s-%s\n", cli_count((double)a->shape.params).text,
                  cli_count(a->tokens).text);
    put_model(out, a);
    put_data(out, a);
    put_training(out, a);
    if (graded) put_forecast(out, a);
}

/* --model named a run config: all its keys, with the tokens and the data of the plan. */
static status put_based(FILE *out, const plan_answer *a, bool graded)
{
    config c = a->base;
    const plan_machine *m = &a->machine;
    const forecast_config none = {0};
    c.model = a->shape.model;
    c.train.tokens = (int64_t)llround(a->tokens);
    c.train.batch_tokens = a->batch_tokens;
    c.train.micro_batch = a->micro_batch;
    c.train.precision = m->precision;
    c.train.recompute = m->recompute;
    c.train.reduction = m->reduction;
    c.train.sharding = m->sharding == PREDICT_NONE ? SHARDING_NONE : SHARDING_ZERO1;
    c.forecast = none;
    if (a->data.given) {
        c.data.synthetic = SYNTHETIC_NONE;
        memcpy(c.data.train, a->data.train, sizeof c.data.train);
        memcpy(c.data.validation, a->data.validation, sizeof c.data.validation);
        c.data.repeat = a->tokens > a->data.tokens ? REPEAT_ALLOW : c.data.repeat;
    }
    if (graded) {
        forecast_config *f = &c.forecast;
        f->params = a->shape.params;
        f->tokens = a->steps * a->batch_tokens;
        (void)snprintf(f->validation_set, sizeof f->validation_set, "%s",
                       a->forecast.validation_set);
        f->level = ALLOCATE_LEVEL / 100.0;
        (void)snprintf(f->law, sizeof f->law, "%s", a->forecast.known ? a->forecast.law : "none");
        if (a->forecast.known) {
            f->loss = a->forecast.loss;
            f->low = a->forecast.low;
            f->high = a->forecast.high;
        }
        if (m->given) {
            f->ranks = m->step.ranks;
            f->time_s = m->run.hours * 3600;
            f->bytes_per_rank = m->step.memory.total;
            f->energy_j = isfinite(m->run.energy_j) ? m->run.energy_j : 0;
        }
    }
    return config_write(&c, out);
}

status plan_config_text(char **out, const plan_answer *a, bool graded)
{
    size_t bytes = 0;
    *out = NULL;
    FILE *memory = open_memstream(out, &bytes);
    REQUIRE(memory, ERR_MEMORY, "no memory for a config");
    status s = OK;
    if (a->based)
        s = put_based(memory, a, graded);
    else
        put_all(memory, a, graded);
    REQUIRE(fclose(memory) == 0, ERR_MEMORY, "no memory for a config");
    return s;
}

status plan_config_build(plan_answer *a)
{
    char *text;
    TRY(plan_config_text(&text, a, false));
    /* a text that nobody has: no path, and so no lines in the messages */
    const status s = config_parse(&a->cfg, "", text, (int64_t)strlen(text), 0, NULL);
    free(text);
    return s == OK ? OK : status_prefix(s, "the plan");
}

#include "plan_model.h"

#include "base/file.h"
#include "cli.h"
#include "data/token_manifest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 2048, VOCAB = 32000, STEPS_LEAST = 100, MICRO_MOST = 8 };

/* --- data ----------------------------------------------------------------- */

static status read_manifest(token_manifest *out, const char *folder)
{
    const status s = token_manifest_read(out, folder);
    return s == OK ? OK : status_prefix(s, "--data");
}

/* A folder with train and validation in it, as prepare writes; or the training tokens alone. */
static status read_data(plan_data *d, const char *folder)
{
    char path[1024];
    token_manifest m;
    d->given = true;
    REQUIRE(strlen(folder) < sizeof d->train - 16, ERR_CONFIG, "--data: the path is too long");
    (void)snprintf(path, sizeof path, "%s/train/manifest.json", folder);
    const bool both = file_exists(path);
    (void)snprintf(path, sizeof path, "%s/manifest.json", folder);
    TRY(file_reach(path));
    REQUIRE(
        both || file_exists(path), ERR_CONFIG,
        "--data %.200s: neither train/manifest.json nor manifest.json is there; isoflop prepare "
        "makes such a folder",
        folder);
    /* absolute: the config that is emitted runs from anywhere */
    char *absolute = realpath(folder, NULL);
    if (absolute && strlen(absolute) < sizeof d->train - 16) folder = absolute;
    (void)snprintf(d->train, sizeof d->train, "%.750s%s", folder, both ? "/train" : "");
    (void)snprintf(path, sizeof path, "%.750s/validation", folder);
    free(absolute);
    TRY(read_manifest(&m, d->train));
    (void)snprintf(d->tokenizer, sizeof d->tokenizer, "%s", m.tokenizer);
    d->vocab = m.vocab;
    d->tokens = (double)m.tokens;
    d->bytes_per_token = m.bytes > 0 && m.tokens > 0 ? (double)m.bytes / (double)m.tokens : NAN;
    token_manifest_deinit(&m);
    char manifest[1100];
    (void)snprintf(manifest, sizeof manifest, "%s/manifest.json", path);
    if (!both || !file_exists(manifest)) return OK;
    (void)snprintf(d->validation, sizeof d->validation, "%.767s", path);
    TRY(read_manifest(&m, d->validation));
    d->validation_tokens = (double)m.tokens;
    token_manifest_deinit(&m);
    return OK;
}

/* --- the model ------------------------------------------------------------ */

/* --model: a row of configs/models, or a run config. */
static status read_given(plan_answer *a, const char *name)
{
    model_config m;
    const bool plain = !strchr(name, '/') && strlen(name) < sizeof a->model_name;
    status s = plain ? config_model_row(&m, name) : ERR_CONFIG;
    if (s != OK) {
        char path[1024];
        if (plain && config_find(path, sizeof path, "", name) != OK) {
            (void)config_model_row(&m, name); /* its message again: the nearest row */
            return status_prefix(ERR_CONFIG, "--model");
        }
        s = config_load(&a->base, name, 0, NULL);
        if (s != OK) return status_prefix(s, "--model");
        a->based = true;
        m = a->base.model;
        const char *given = a->base.model_name[0] ? a->base.model_name : a->base.run.name;
        (void)snprintf(a->model_name, sizeof a->model_name, "%s", given);
    } else {
        (void)snprintf(a->model_name, sizeof a->model_name, "%s", name);
    }
    a->model_given = true;
    a->cfg.model = m;
    return OK;
}

static status read_word(int32_t *out, const char *file, const char *key, const char *text)
{
    const char *word;
    for (int32_t i = 0; (word = config_choice("model", key, i)); i++) {
        if (strcmp(word, text) != 0) continue;
        *out = i;
        return OK;
    }
    return status_set(ERR_CONFIG, __FILE__, __LINE__, "%s: architecture.%s '%s' is not known", file,
                      key, text);
}

/* A law of one's own holds for models like those of its runs. */
static status read_architecture(plan_answer *a, const published_law *own)
{
    const law_architecture *from = &own->file.origin.architecture;
    model_config *m = &a->like;
    if (!*from->norm) return OK;
    TRY(read_word(&m->norm, own->name, "norm", from->norm));
    TRY(read_word(&m->positions, own->name, "positions", from->positions));
    TRY(read_word(&m->mlp, own->name, "mlp", from->mlp));
    m->bias = from->bias, m->tied_embeddings = from->tied_embeddings;
    m->qk_norm = from->qk_norm, m->parallel_block = from->parallel_block;
    a->alike = true;
    return OK;
}

status plan_model_read(plan_answer *a)
{
    const plan_options *o = a->options;
    int64_t context = 0;
    TRY(shape_rows_read(&a->shapes));
    a->data = (plan_data){.vocab = VOCAB,
                          .tokens = NAN,
                          .validation_tokens = NAN,
                          .bytes_per_token = NAN};
    if (o->data) TRY(read_data(&a->data, o->data));
    TRY(cli_integer(&context, "--sequence", o->predict.sequence, 1, 1048576));
    /* a law of one's own holds at the context of its runs */
    const published_law *own = NULL;
    for (int32_t i = 0; i < a->laws.count; i++)
        if (a->laws.row[i].fitted) own = &a->laws.row[i];
    const int64_t fitted = own ? own->file.origin.context : 0;
    a->cfg.model.context = context ? context : fitted ? fitted : CONTEXT;
    if (own) TRY(read_architecture(a, own));
    if (!o->predict.model) return OK;
    TRY(read_given(a, o->predict.model));
    if (context) a->cfg.model.context = context;
    REQUIRE(!a->data.given || a->data.vocab <= a->cfg.model.vocab, ERR_CONFIG,
            "--model %s has a vocabulary of %lld, --data one of %lld", o->predict.model,
            (long long)a->cfg.model.vocab, (long long)a->data.vocab);
    a->data.vocab = a->cfg.model.vocab;
    return OK;
}

static status near(shape *out, const plan_answer *a, double params, bool without)
{
    const shape_question q = {.params = params,
                              .without_embedding = without,
                              .vocab = a->data.vocab,
                              .context = a->cfg.model.context,
                              .like = a->alike ? &a->like : NULL};
    return shape_near(out, &q, &a->shapes);
}

status plan_model_with_embedding(double *out, const plan_answer *a, double without)
{
    shape s;
    TRY(near(&s, a, without, true));
    *out = without + (double)(s.params - s.params_without_embedding);
    return OK;
}

status plan_model_without_embedding(double *out, const plan_answer *a, double with)
{
    shape s;
    TRY(near(&s, a, with, false));
    *out = with - (double)(s.params - s.params_without_embedding);
    return OK;
}

static double attention_per_token(const model_config *m)
{
    return 12.0 * (double)m->layers * (double)(m->heads * m->head_width) * (double)m->context;
}

status plan_model_per_token(double *out, const plan_answer *a, double without)
{
    shape s;
    s.model = a->cfg.model;
    if (!a->model_given) TRY(near(&s, a, without, true));
    *out = 6 * without + attention_per_token(&s.model);
    return OK;
}

status plan_model_of_per_token(double *without, const plan_answer *a, double per_token)
{
    enum { ROUNDS = 16 };
    shape s;
    if (a->model_given) {
        *without = (double)block_param_count_without_embedding(&a->cfg.model);
        return OK;
    }
    /* width hardly moves with N: each round is a tenth of the last one's error */
    double n = per_token / 6, before = 0;
    for (int i = 0; i < ROUNDS && fabs(n - before) > 1e-9 * n; i++) {
        before = n;
        TRY(near(&s, a, n, true));
        n = (per_token - attention_per_token(&s.model)) / 6;
        REQUIRE(n > 0, ERR_CONFIG, "no model does %.3g FLOPs per token at a context of %lld",
                per_token, (long long)a->cfg.model.context);
    }
    *without = n;
    return OK;
}

/* --- batch and learning rate ---------------------------------------------- */

/* The power of two of sequences nearest to a batch; not so many that few steps are left. */
static void set_batch(plan_answer *a, double wanted)
{
    const double context = (double)a->cfg.model.context;
    const double most = floor(log2(fmax(1, a->tokens / context / STEPS_LEAST)));
    const double power = fmax(0, round(log2(fmax(1, wanted / context))));
    a->batch_clamped = power > most;
    a->batch_tokens = (int64_t)(exp2(fmin(power, fmax(0, most))) * context);
}

/* 0.000686 as 0.00069 */
static double two_digits(double x)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%.1e", x);
    return strtod(text, NULL);
}

/* --batch-tokens is whole sequences, or whole micro-batches of the config that was given. */
static status whole_sequences(const plan_answer *a)
{
    const int64_t T = a->cfg.model.context, unit = T * (a->based ? a->base.train.micro_batch : 1);
    const int64_t down = a->batch_tokens / unit * unit;
    REQUIRE(down == a->batch_tokens, ERR_CONFIG,
            "--batch-tokens: %s is not a multiple of %s%lld tokens; nearest: %lld",
            a->options->predict.batch_tokens,
            a->based ? "the config's micro-batches of " : "sequences of ", (long long)unit,
            (long long)(2 * (a->batch_tokens - down) < unit && down ? down : down + unit));
    return OK;
}

const law_recipe *plan_model_recipe(const plan_answer *a)
{
    const published_law *row = a->law[a->chosen].row;
    const bool own = row->fitted && row->file.origin.recipe.rate > 0;
    return own && !a->based ? &row->file.origin.recipe : NULL;
}

/* A law of one's own forecasts runs that are trained as its runs were: their rule goes first. */
static void ask_recipe(plan_answer *a)
{
    const law_recipe *recipe = plan_model_recipe(a);
    rules *all = &a->rules;
    if (!recipe || all->count == RULES_MAX) return;
    const double n = (double)a->shape.params;
    const double *range = a->law[a->chosen].row->file.range_params;
    rule_answer *r = &all->row[all->count];
    *r = (rule_answer){.learning_rate = recipe->rate * pow(n / recipe->params, recipe->exponent),
                       .batch_tokens = recipe->batch_tokens,
                       .inside = n >= range[0] && n <= range[1]};
    (void)snprintf(r->name, sizeof r->name, "runs of the law");
    (void)snprintf(r->source, sizeof r->source, "%.100s: how its own runs were trained",
                   a->law[a->chosen].row->name);
    (void)snprintf(r->status, sizeof r->status, "fitted");
    (void)snprintf(r->range_status, sizeof r->range_status, "fitted");
    (void)snprintf(r->range, sizeof r->range, "N %s to %s", cli_count(range[0]).text,
                   cli_count(range[1]).text);
    all->chosen = all->count++;
    model_config *m = &a->shape.model;
    m->base_width = (int64_t)recipe->base_width;
    m->base_head_width = (int64_t)recipe->base_head_width;
    const double width = (double)(m->base_width > 0 ? m->base_width : m->width);
    if ((!a->model_given || m->base_width > 0) && isfinite(recipe->init_scale))
        m->init_std = recipe->init_scale / sqrt(width);
    for (int i = 0; i < RULE_BRACKET; i++) all->bracket[i] = r->learning_rate * (i == 0 ? 0.5 : i);
}

status plan_model_build(plan_answer *a)
{
    if (a->model_given)
        shape_of(&a->shape, &a->cfg.model, a->model_name, a->params, false);
    else
        TRY(near(&a->shape, a, a->params, false));
    const rule_case at = {.params = (double)a->shape.params,
                          .params_without_embedding = (double)a->shape.params_without_embedding,
                          .tokens = a->tokens,
                          .flops = 6 * (double)a->shape.params * a->tokens};
    TRY(rules_ask(&a->rules, &at));
    ask_recipe(a);
    const rule_answer *chosen = &a->rules.row[a->rules.chosen];
    a->learning_rate = two_digits(chosen->learning_rate);
    set_batch(a, chosen->batch_tokens);
    if (a->based) {
        a->learning_rate = a->base.optimizer.learning_rate;
        a->batch_tokens = a->base.train.batch_tokens;
        a->batch_clamped = false;
    }
    if (a->options->predict.batch_tokens) {
        TRY(cli_integer(&a->batch_tokens, "--batch-tokens", a->options->predict.batch_tokens, 1,
                        INT64_C(1000000000000)));
        TRY(whole_sequences(a));
        a->batch_clamped = false;
    }
    REQUIRE(a->tokens >= (double)a->batch_tokens, ERR_CONFIG,
            "%.3g tokens are less than one step of %lld tokens (context %lld); a shorter context "
            "is --sequence",
            a->tokens, (long long)a->batch_tokens, (long long)a->cfg.model.context);
    a->steps = (int64_t)ceil(a->tokens / (double)a->batch_tokens);
    /* the unit of arithmetic: as many sequences as divide the batch, at most 8 */
    const int64_t sequences = a->batch_tokens / a->cfg.model.context;
    a->micro_batch = 1;
    while (2 * a->micro_batch <= MICRO_MOST && sequences % (2 * a->micro_batch) == 0)
        a->micro_batch *= 2;
    if (a->based) a->micro_batch = a->base.train.micro_batch;
    return OK;
}

#include "plan_answer.h"

#include "plan_config.h"
#include "plan_forecast.h"
#include "plan_machine.h"
#include "plan_model.h"
#include "plan_words.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LAW  "besiroglu"
#define REPEATED_LAW "muennighoff-repeated"

enum { BISECTIONS = 16 };

/* --- laws ----------------------------------------------------------------- */

/* The published ones, and the file of --law where it is a file. */
static status read_laws(plan_answer *a)
{
    const char *name = a->options->law;
    law_file file;
    TRY(published_read(&a->laws));
    if (name && !published_find(&a->laws, name)) {
        const bool path = strchr(name, '/') || strstr(name, ".json") || file_exists(name);
        if (!path) return plan_words_unknown_law(&a->laws, name);
        const status s = law_file_read(&file, name);
        if (s != OK) {
            /* the file is a part of the question: whatever is wrong with it is wrong usage */
            (void)status_prefix(s, "--law");
            return s == ERR_MEMORY ? s : ERR_CONFIG;
        }
        TRY(published_add(&a->laws, name, &file));
    }
    a->law = calloc((size_t)a->laws.count, sizeof *a->law);
    REQUIRE(a->law, ERR_MEMORY, "no memory for the answers of the laws");
    return OK;
}

/* What is asked of one law, in its own count of parameters. */
static status question_for(allocate_question *q, const plan_answer *a, const published_law *row)
{
    *q = a->question.ask;
    if (!row->without_embedding || !isfinite(q->params)) return OK;
    if (a->model_given)
        q->params = (double)block_param_count_without_embedding(&a->cfg.model);
    else
        TRY(plan_model_without_embedding(&q->params, a, q->params));
    if (!row->per_token) return OK;
    TRY(plan_model_per_token(&q->params, a, q->params));
    q->params /= 6;
    return OK;
}

/* The answer of a law that states FLOPs per token, as parameters without embeddings. */
static void count_params(plan_law *out, const plan_answer *a)
{
    allocation *say = &out->say;
    if (!out->row->per_token || !isfinite(say->params)) return;
    out->flops_per_token = 6 * say->params;
    if (plan_model_of_per_token(&say->params, a, out->flops_per_token) == OK) return;
    say->params = NAN;
    say->why = "no model that can be built has its FLOPs per token";
}

static status ask_law(plan_law *out, const plan_answer *a, const published_law *row)
{
    allocate_question q;
    out->row = row;
    out->params_total = out->params_without_embedding = out->flops_per_token = NAN;
    TRY(question_for(&q, a, row));
    allocate(&out->say, row, &q);
    count_params(out, a);
    const double n = out->say.params;
    if (!isfinite(n)) return OK;
    const double with = a->model_given ? (double)block_param_count(&a->cfg.model) : NAN;
    const double without =
        a->model_given ? (double)block_param_count_without_embedding(&a->cfg.model) : NAN;
    out->params_total = row->without_embedding ? with : n;
    out->params_without_embedding = row->without_embedding ? n : without;
    /* models that cannot be built with this vocabulary have no exact counts */
    if (row->without_embedding && !a->model_given &&
        plan_model_with_embedding(&out->params_total, a, n) != OK)
        out->params_total = NAN;
    return OK;
}

/* The law asked for, else Besiroglu's, unless tokens run out: then the one that knows repeats. */
static status choose(plan_answer *a)
{
    const plan_options *o = a->options;
    const char *name = o->law ? o->law : DEFAULT_LAW;
    const char *slash = strrchr(name, '/');
    int32_t chosen = -1;
    for (int32_t i = 0; i < a->laws.count; i++) {
        const published_law *row = &a->laws.row[i];
        const bool named = strcmp(row->name, name) == 0 ||
                           (row->fitted && strncmp(row->name, slash ? slash + 1 : name, 47) == 0);
        if (named) chosen = i;
    }
    REQUIRE(chosen >= 0, ERR_CONFIG, "laws/published: the row '%s' is missing", name);
    const double unique = a->question.ask.unique;
    if (!o->law && isfinite(unique) && a->law[chosen].say.tokens > unique) {
        const published_law *row = published_find(&a->laws, REPEATED_LAW);
        REQUIRE(row, ERR_CONFIG, "laws/published: the row '%s' is missing", REPEATED_LAW);
        chosen = (int32_t)(row - a->laws.row);
    }
    a->chosen = chosen;
    const plan_law *own = &a->law[chosen];
    const int32_t E = own->row->form ? law_constant(own->row->form, "E") : -1;
    const double loss = a->question.ask.loss;
    REQUIRE(E < 0 || !isfinite(loss) || loss > own->row->constant[E], ERR_CONFIG,
            "--loss: %g; --law %s does not reach this loss on its data with any budget; allowed: "
            "above its E = %.4f",
            loss, own->row->name, own->row->constant[E]);
    REQUIRE(isfinite(own->say.params) || isfinite(own->say.tokens), ERR_CONFIG,
            "--law %s %s; allowed here: %s", own->row->name,
            own->say.why ? own->say.why : "has no allocation", DEFAULT_LAW);
    return OK;
}

/* --- the recommendation --------------------------------------------------- */

/* N with embeddings, D, C. A law whose N and D are no pair gives N; the budget gives the tokens. */
static status recommend(plan_answer *a)
{
    const plan_law *own = &a->law[a->chosen];
    allocation say = own->say;
    if (!isfinite(say.tokens)) say.tokens = say.flops / 6 / say.params;
    if (!isfinite(say.params)) say.params = say.flops / 6 / say.tokens;
    a->tokens = say.tokens;
    a->flops = 6 * say.params * say.tokens;
    a->params = say.params;
    if (own->row->without_embedding)
        TRY(a->model_given ? OK : plan_model_with_embedding(&a->params, a, say.params));
    if (a->model_given) a->params = (double)block_param_count(&a->cfg.model);
    REQUIRE(isfinite(a->params) && isfinite(a->tokens) && a->params <= 1e18 && a->tokens <= 9e18,
            ERR_CONFIG, "%s: %.3g parameters on %.3g tokens are beyond what can be planned",
            own->row->name, a->params, a->tokens);
    const double unique = a->question.ask.unique;
    a->has_flatness = allocate_flatness(&a->flatness, own->row, a->flops, unique);
    allocation best;
    allocate_question q = allocate_nothing();
    q.flops = a->flops;
    q.unique = unique;
    allocate(&best, own->row, &q);
    a->best_loss = best.loss;
    return OK;
}

static status answer(plan_answer *a)
{
    for (int32_t i = 0; i < a->laws.count; i++) TRY(ask_law(&a->law[i], a, &a->laws.row[i]));
    TRY(choose(a));
    TRY(recommend(a));
    TRY(plan_model_build(a));
    if (!a->machine.given) return plan_config_build(a);
    return plan_machine_predict(a);
}

/* --- machines and money as the budget ------------------------------------- */

/* Seconds of all ranks together that may be used. */
static status rank_seconds(double *out, plan_answer *a)
{
    plan_question *q = &a->question;
    const cluster *hw = &a->machine.hw;
    const double price = hw->price_per_hour.value;
    if (isfinite(q->money)) {
        REQUIRE(isfinite(price) && price > 0, ERR_CONFIG,
                "--budget: cluster %s does not know its price_per_hour; copy its file and give one",
                hw->name);
        *out = q->money / price * 3600;
        return OK;
    }
    int32_t ranks;
    TRY(plan_machine_ranks(&ranks, a));
    REQUIRE(ranks <= hw->nodes.value * hw->ranks_per_node.value, ERR_CONFIG,
            "--gpus: %s has %.0f ranks; a file of a larger cluster, or fewer", hw->name,
            hw->nodes.value * hw->ranks_per_node.value);
    *out = q->seconds * ranks;
    return OK;
}

/* The run that was predicted costs no more than was given, failures included. */
static bool affordable(const plan_answer *a)
{
    const plan_question *q = &a->question;
    const run_cost *run = &a->machine.run;
    if (isfinite(q->money)) return run->money <= q->money;
    return (isfinite(run->wall_hours) ? run->wall_hours : run->hours) * 3600 <= q->seconds;
}

/* The budget whose run takes just this long: compute follows from speed, speed from the model. */
static status answer_machine(plan_answer *a)
{
    plan_question *q = &a->question;
    const cluster *hw = &a->machine.hw;
    double seconds = 0;
    TRY(rank_seconds(&seconds, a));
    const bool fp32 = a->machine.precision == PRECISION_FP32;
    const double peak = fp32 ? hw->peak_fp32.value : hw->peak_bf16.value;
    REQUIRE(isfinite(peak), ERR_CONFIG, "cluster %s does not know its peak_flops.%s", hw->name,
            fp32 ? "fp32" : "bf16");
    a->machine.mfu_source = isfinite(q->mfu) ? "given" : "modelled";
    a->machine.mfu = isfinite(q->mfu) ? q->mfu : 0.4;
    a->machine.peak = peak;
    const double all = seconds * peak;
    q->ask.flops = all * a->machine.mfu;
    if (isfinite(q->mfu)) return answer(a);
    /* speed jumps where a micro-batch no longer fits: the largest budget that can be paid */
    double low = log(all * 1e-4), high = log(all);
    for (int i = 0; i < BISECTIONS; i++) {
        const double middle = (low + high) / 2;
        const bool last = i + 1 == BISECTIONS;
        q->ask.flops = exp(last ? low : middle);
        const status s = answer(a);
        /* a larger run has a larger batch, which may keep all ranks busy */
        const bool idle = s == ERR_CONFIG && !last && plan_machine_idle(a);
        if (!idle) TRY(s);
        if (idle || affordable(a))
            low = middle;
        else
            high = middle;
    }
    a->machine.mfu = a->machine.step.mfu;
    return OK;
}

/* --- all of it ------------------------------------------------------------ */

static status build(plan_answer *a, const plan_options *o)
{
    plan_question *q = &a->question;
    TRY(plan_question_read(q, o));
    TRY(read_laws(a));
    TRY(plan_model_read(a));
    TRY(plan_machine_read(a));
    if (a->model_given) {
        REQUIRE(!o->params, ERR_CONFIG, "--params with --model: the model has its own");
        REQUIRE(!o->loss, ERR_CONFIG, "--loss with --model: its tokens follow; give --tokens");
        REQUIRE(!o->flops || !o->tokens, ERR_CONFIG,
                "--flops and --tokens with --model: two of them give the third; leave one out");
        q->ask.params = (double)block_param_count(&a->cfg.model);
        /* a run config says its tokens */
        if (a->based && !o->flops && !o->tokens && !q->machine && !o->tokens_per_param)
            q->ask.tokens = (double)a->base.train.tokens;
        q->asked = true;
    }
    REQUIRE(q->asked, ERR_CONFIG,
            "plan needs a question: --flops, --params, --tokens, --loss, --gpus and --hours, "
            "--budget, --model or --systems (--help shows examples)");
    if (!isfinite(q->ask.unique)) q->ask.unique = a->data.tokens;
    /* tokens to be served are a question about fresh ones */
    if (isfinite(q->ask.inference)) q->ask.unique = NAN;
    TRY(q->machine ? answer_machine(a) : answer(a));
    plan_words_reason(a);
    plan_words_agreement(a);
    return plan_forecast_build(a);
}

status plan_answer_build(plan_answer *out, const plan_options *o)
{
    memset(out, 0, sizeof *out);
    out->options = o;
    return build(out, o);
}

void plan_answer_deinit(plan_answer *a)
{
    free(a->law);
    published_deinit(&a->laws);
}

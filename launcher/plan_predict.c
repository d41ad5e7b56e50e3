#include "plan_predict.h"

#include "cli.h"
#include "plan_predict_print.h"

#include "plan/cost.h"

#include "data/samples.h"
#include "kernels/ops.h"
#include "model/transformer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 256, RANKS_MAX = 10000000, DENSE = 64, BASE_MAX = 4096 };

/* Bytes that go with the tokens of a step are counted in 63 bits: 2^48 leave room for them. */
static const int64_t TOKENS_MAX = INT64_C(1) << 48;

/* What was asked, understood. */
typedef struct asked {
    config cfg;
    cluster hw;
    predict_sharding sharding;
    bool file; /* the model came with a run config */
    int64_t workspace_bytes, eval_windows;
    int64_t accumulate; /* weak scaling; 0: the batch is fixed */
    int64_t micro_most; /* most micro-batches of a step        */
    int64_t ranks_most; /* whose batch can be counted          */
    bool critical;      /* the critical batch was said         */
    int32_t ranks;      /* 0: all of the cluster               */
    int32_t list[LIST_MAX], list_count;
    bool cut; /* the list ends where the critical batch has no more work */
    double tokens;
    predict_answer answer;
    predict_case *cases; /* owned */
    int32_t base_ranks;  /* of efficiency */
} asked;

/* --- options -------------------------------------------------------------- */

/* Beyond the critical batch no rank has work: a range of --scale ends there. */
static int64_t end_of_range(asked *a, int64_t from, int64_t to)
{
    if (!a->critical || to <= a->micro_most || from > a->micro_most) return to;
    a->cut = true;
    return a->micro_most;
}

/* "1..4096": powers of two and both ends; "1,2,8"; or both, rising. */
static status parse_list(asked *a, const char *text)
{
    char copy[512];
    REQUIRE(strlen(text) < sizeof copy && *text, ERR_CONFIG,
            "--scale: empty or too long; allowed: 1..4096 or 1,2,8");
    (void)snprintf(copy, sizeof copy, "%s", text);
    char *rest = copy;
    for (char *item; (item = strsep(&rest, ",")) != NULL;) {
        int64_t from = 0, to = 0;
        char *dots = strstr(item, "..");
        if (dots) *dots = '\0';
        TRY(cli_integer(&from, "--scale", item, 1, RANKS_MAX));
        to = from;
        if (dots) TRY(cli_integer(&to, "--scale", dots + 2, 1, RANKS_MAX));
        REQUIRE(from <= to, ERR_CONFIG, "--scale: %lld..%lld falls; nearest: %lld..%lld",
                (long long)from, (long long)to, (long long)to, (long long)from);
        if (dots) to = end_of_range(a, from, to);
        for (int64_t n = from;;) {
            REQUIRE(a->list_count < LIST_MAX, ERR_CONFIG, "--scale: more than %d numbers",
                    LIST_MAX);
            REQUIRE(a->list_count == 0 || a->list[a->list_count - 1] < n, ERR_CONFIG,
                    "--scale: %lld after %d; the numbers must rise", (long long)n,
                    (int)a->list[a->list_count - 1]);
            a->list[a->list_count++] = (int32_t)n;
            if (n >= to) break;
            int64_t next = 1;
            while (next <= n) next *= 2;
            n = next < to ? next : to;
        }
    }
    return OK;
}

/* A config of this row with the smallest batch, as a file would give it. */
static status config_of_row(config *out, const char *row, int count, const char *const *overrides)
{
    char text[512];
    const int n = snprintf(text, sizeof text,
                           "name: prediction\nmodel: \"%s\"\ndata: {train: none}\n"
                           "train: {tokens: 1e18, batch_tokens: 1000000000000, micro_batch: 1}\n"
                           "optimizer: {learning_rate: 1e-3}\n",
                           row);
    ASSERT(n > 0 && n < (int)sizeof text);
    return config_parse(out, "--model", text, n, count, overrides);
}

/* --model: a row, or a file. The options that name a key of the config go in as overrides. */
static status read_model(asked *a, const plan_predict_options *o)
{
    char texts[4][96];
    const char *overrides[4];
    int count = 0;
    struct {
        const char *key, *option, *value;
    } keys[] = {{"model.context", "--sequence", o->sequence},
                {"train.micro_batch", "--micro-batch", o->micro_batch}};
    int64_t given[2] = {0, 0};
    for (int i = 0; i < 2; i++)
        if (keys[i].value) TRY(cli_integer(&given[i], keys[i].option, keys[i].value, 1, 1048576));

    REQUIRE(o->model && *o->model, ERR_CONFIG,
            "--model: not given; a row of configs/models or a config");
    model_config row;
    const bool named = !strchr(o->model, '/') && !strchr(o->model, '"') && strlen(o->model) < 96;
    const status found = named ? config_model_row(&row, o->model) : ERR_CONFIG;
    if (found == OK) {
        const int64_t T = given[0] ? given[0] : row.context, B = given[1] ? given[1] : 1;
        (void)snprintf(texts[0], sizeof texts[0], "model.context=%lld", (long long)T);
        (void)snprintf(texts[1], sizeof texts[1], "train.micro_batch=%lld", (long long)B);
        (void)snprintf(texts[2], sizeof texts[2], "train.batch_tokens=%lld", (long long)(B * T));
        for (count = 0; count < 3; count++) overrides[count] = texts[count];
        return config_of_row(&a->cfg, o->model, count, overrides);
    }
    char path[1024];
    if (named && config_find(path, sizeof path, "", o->model) != OK) {
        (void)config_model_row(&row, o->model); /* its message again: the nearest row */
        return status_prefix(ERR_CONFIG, "--model");
    }
    for (int i = 0; i < 2; i++)
        if (given[i]) {
            (void)snprintf(texts[count], sizeof texts[count], "%s=%lld", keys[i].key,
                           (long long)given[i]);
            overrides[count] = texts[count];
            count++;
        }
    a->file = true;
    return config_load(&a->cfg, o->model, count, overrides);
}

/* Micro-batches of a step: fixed, or so many per rank. */
static status read_batch(asked *a, const plan_predict_options *o)
{
    train_config *t = &a->cfg.train;
    const int64_t micro = t->micro_batch * a->cfg.model.context;
    REQUIRE(!o->accumulate || !o->batch_tokens, ERR_CONFIG,
            "--accumulate and --batch-tokens: give one of them");
    const bool file = t->batch_tokens > micro; /* a config that says it */
    a->accumulate = o->batch_tokens || (file && !o->accumulate) ? 0 : 1;
    TRY(cli_integer(&a->accumulate, "--accumulate", o->accumulate, 1, 1 << 24));
    if (o->batch_tokens) {
        TRY(cli_integer(&t->batch_tokens, "--batch-tokens", o->batch_tokens, 1, TOKENS_MAX));
        const int64_t down = t->batch_tokens / micro * micro;
        REQUIRE(down == t->batch_tokens, ERR_CONFIG,
                "--batch-tokens: %lld is not a multiple of micro-batches of %lld; nearest: %lld",
                (long long)t->batch_tokens, (long long)micro, (long long)(down ? down : micro));
    }
    a->micro_most = a->accumulate ? TOKENS_MAX / micro : t->batch_tokens / micro;
    REQUIRE(a->accumulate <= a->micro_most, ERR_CONFIG,
            "--accumulate: %lld micro-batches of %lld tokens are more tokens than can be counted; "
            "nearest: %lld",
            (long long)a->accumulate, (long long)micro, (long long)a->micro_most);
    a->ranks_most = a->accumulate ? a->micro_most / a->accumulate : RANKS_MAX;
    if (o->critical_batch) {
        int64_t critical = 0;
        TRY(cli_integer(&critical, "--critical-batch", o->critical_batch, micro, INT64_C(1) << 50));
        a->critical = critical / micro < a->micro_most;
        if (a->critical) {
            a->micro_most = critical / micro;
            a->ranks_most = RANKS_MAX;
        }
    }
    return OK;
}

status plan_choices(predict_sharding *sharding, config *cfg, const plan_predict_options *o)
{
    static const char *const shardings[] = {"none", "zero1", "full", NULL};
    static const char *const recomputes[] = {"none", "mlp", "block", NULL};
    static const char *const precisions[] = {"fp32", "bf16", NULL};
    static const char *const reductions[] = {"exact", "fast", NULL};
    train_config *t = &cfg->train;
    int32_t chosen = (int32_t)predict_sharding_of(cfg);
    TRY(cli_choice(&chosen, "--sharding", o->sharding, shardings));
    *sharding = (predict_sharding)chosen;
    TRY(cli_choice(&t->recompute, "--recompute", o->recompute, recomputes));
    TRY(cli_choice(&t->precision, "--precision", o->precision, precisions));
    /* who shards fully reduces in bf16 today; exact sums there are asked for by name */
    if (*sharding == PREDICT_FULL) t->reduction = CONFIG_FAST;
    return cli_choice(&t->reduction, "--reduction", o->reduction, reductions);
}

static status read_answer(asked *a, const plan_predict_options *o)
{
    predict_answer *w = &a->answer;
    double seconds = 0;
    TRY(cli_positive(&a->tokens, "--tokens", o->tokens, 1e24));
    TRY(cli_positive(&seconds, "--deadline", o->deadline, 1e12));
    TRY(cli_positive(&w->budget, "--budget", o->budget, 1e15));
    TRY(cli_positive(&w->efficiency, "--efficiency", o->efficiency, 1));
    w->deadline_hours = seconds / 3600.0;
    w->asked = o->deadline || o->budget || o->efficiency;
    REQUIRE(a->tokens > 0 || !(o->deadline || o->budget), ERR_CONFIG,
            "%s: needs --tokens, the length of the run", o->deadline ? "--deadline" : "--budget");
    REQUIRE(!o->budget || !isnan(a->hw.price_per_hour.value), ERR_CONFIG,
            "--budget: cluster %s does not know its price_per_hour", a->hw.name);
    return OK;
}

static op_shapes shapes_of(const config *cfg)
{
    const dtype act = cfg->train.precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
    return transformer_shapes(&cfg->model, cfg->train.micro_batch, act);
}

/* The backend of this build that computes on devices of their own; NULL: none. */
static const ops *device_backend(void)
{
    for (int i = 0; backends[i]; i++)
        if (backends[i]->parts) return backends[i];
    return NULL;
}

status plan_workspace(int64_t *bytes, const config *cfg, const cluster *hw)
{
    *bytes = -1;
    if (config_check_trainable(cfg) != OK) return OK;
    const op_shapes shapes = shapes_of(cfg);
    const ops *backend = device_backend();
    if (!cluster_of_cores(hw)) {
        /* what cuDNN wants is known when it has made its plan, on the GPU */
        if (backend && cfg->train.attention != ATTENTION_CUDNN)
            *bytes = backend->workspace_bytes(NULL, &shapes);
        return OK;
    }
    device *d;
    const char *path = getenv("ISOFLOP_CPU_PATH");
    TRY(backend_find(&backend, "cpu"));
    TRY(backend->open(&d, &(device_options){.path = path ? path : "auto"}));
    *bytes = backend->workspace_bytes(d, &shapes);
    backend->close(d);
    return OK;
}

void plan_parts(char *text, size_t bytes, const config *cfg, const cluster *hw, int32_t ranks)
{
    const ops *backend = device_backend();
    device_part parts[DEVICE_PARTS_MAX];
    text[0] = '\0';
    if (cluster_of_cores(hw)) return;
    const op_shapes shapes = shapes_of(cfg);
    const int32_t count = backend ? backend->parts(NULL, &shapes, parts) : 0;
    (void)snprintf(text, bytes, "besides, measured by train when each starts: %s",
                   count ? "" : "CUDA context, cuBLASLt");
    for (int32_t i = 0; i < count; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", parts[i].name);
        used = strlen(text);
        if (parts[i].workspace_bytes > 0)
            (void)snprintf(text + used, bytes - used, " (of the workspace %s)",
                           cli_bytes((double)parts[i].workspace_bytes).text);
    }
    const size_t used = strlen(text);
    (void)snprintf(text + used, bytes - used, "%s%s",
                   cfg->train.attention == ATTENTION_CUDNN ? ", cuDNN" : "",
                   ranks > 1 ? ", NCCL and its rounding" : "");
}

/* Windows that the run of a config file will be evaluated on, as run_open counts them; its data may
 * not be here, then those it asks for. */
static void count_windows(asked *a)
{
    if (!a->file) return;
    const config *cfg = &a->cfg;
    const int64_t T = cfg->model.context;
    const bool none = !cfg->data.validation[0] && cfg->data.synthetic == SYNTHETIC_NONE;
    a->eval_windows = none ? 0 : (cfg->evaluate.tokens + T - 1) / T;
    samples *validation;
    if (none || samples_open(&validation, cfg, SPLIT_VALIDATION) != OK) return;
    const int64_t count = samples_about(validation)->count;
    if (a->eval_windows == 0 || a->eval_windows > count) a->eval_windows = count;
    samples_close(validation);
}

static status read_all(asked *a, const plan_predict_options *o)
{
    REQUIRE(o->cluster && *o->cluster, ERR_CONFIG,
            "--cluster: not given; a file of configs/clusters, such as 8xh100");
    TRY(cluster_load(&a->hw, o->cluster));
    TRY(read_model(a, o));
    TRY(plan_choices(&a->sharding, &a->cfg, o));
    cost_complete(&a->hw, a->cfg.train.precision);
    TRY(read_batch(a, o));
    TRY(read_answer(a, o));
    int64_t ranks = 0;
    TRY(cli_integer(&ranks, "--ranks", o->ranks, 1, RANKS_MAX));
    REQUIRE(!o->ranks || !(o->scale || a->answer.asked), ERR_CONFIG,
            "--ranks: not beside --scale, --deadline, --efficiency or --budget, which ask for it");
    a->ranks = (int32_t)ranks;
    if (o->scale) TRY(parse_list(a, o->scale));
    count_windows(a);
    return plan_workspace(&a->workspace_bytes, &a->cfg, &a->hw);
}

/* --- predictions ---------------------------------------------------------- */

/* Micro-batches of a step of n ranks. */
static int64_t micro_batches(const asked *a, int32_t n)
{
    if (!a->accumulate) return a->micro_most;
    const int64_t grown = a->accumulate * n;
    return grown < a->micro_most ? grown : a->micro_most;
}

static predict_question question(const asked *a, config *cfg, int32_t n)
{
    *cfg = a->cfg;
    cfg->train.batch_tokens = micro_batches(a, n) * cfg->train.micro_batch * cfg->model.context;
    return (predict_question){.cfg = cfg,
                              .sharding = a->sharding,
                              .ranks = n,
                              .workspace_bytes = a->workspace_bytes,
                              .eval_windows = a->eval_windows};
}

static status answer_one(predict_case *out, const asked *a, int32_t n)
{
    config cfg;
    REQUIRE(n <= a->ranks_most, ERR_CONFIG,
            "--accumulate: %lld micro-batches on each of %d ranks are more tokens than can be "
            "counted; nearest: %lld ranks",
            (long long)a->accumulate, (int)n, (long long)a->ranks_most);
    const predict_question q = question(a, &cfg, n);
    TRY(predict_step(&out->p, &q, &a->hw));
    if (a->tokens > 0) predict_run(&out->run, &out->p, &q, &a->hw, a->tokens);
    return OK;
}

/* The fewest ranks (of 1, 2, 4, ...) on which the model fits: what efficiency is measured against;
 * 1 when it fits nowhere. */
static status find_base(predict_case *base, const asked *a)
{
    predict_case one;
    TRY(answer_one(base, a, 1));
    one = *base;
    const bool one_node = isnan(a->hw.network_bandwidth.value);
    const double most = one_node ? a->hw.ranks_per_node.value : BASE_MAX;
    for (int32_t n = 2; !base->p.fits && n <= most && n <= a->micro_most && n <= a->ranks_most;
         n *= 2)
        TRY(answer_one(base, a, n));
    if (!base->p.fits) *base = one;
    return OK;
}

static status answer_many(asked *a, int32_t count, const int32_t *ranks)
{
    predict_case base = {0};
    TRY(find_base(&base, a));
    a->base_ranks = base.p.ranks;
    for (int32_t i = 0; i < count; i++) {
        TRY(answer_one(&a->cases[i], a, ranks[i]));
        a->cases[i].efficiency = a->cases[i].p.tokens_per_s_per_rank / base.p.tokens_per_s_per_rank;
    }
    return OK;
}

static bool meets(const asked *a, const predict_case *c)
{
    const predict_answer *w = &a->answer;
    const double hours = isfinite(c->run.wall_hours) ? c->run.wall_hours : c->run.hours;
    return c->p.fits && (w->deadline_hours == 0 || hours <= w->deadline_hours) &&
           (w->budget == 0 || c->run.money <= w->budget) &&
           (w->efficiency == 0 || c->efficiency >= w->efficiency);
}

/* How far a case is from what was asked: 0 meets it, larger is farther. */
static double miss(const asked *a, const predict_case *c)
{
    const predict_answer *w = &a->answer;
    const double hours = isfinite(c->run.wall_hours) ? c->run.wall_hours : c->run.hours;
    double far = c->p.fits ? 0.0 : 1e6 * (double)c->p.memory.total / a->hw.memory_bytes.value;
    if (w->deadline_hours > 0) far += fmax(0.0, hours / w->deadline_hours - 1.0);
    if (w->budget > 0) far += fmax(0.0, c->run.money / w->budget - 1.0);
    if (w->efficiency > 0) far += fmax(0.0, w->efficiency / c->efficiency - 1.0);
    return far;
}

/* With a deadline the fewest ranks that meet everything, else the most; if none, the nearest. */
static void choose(predict_answer *w, const asked *a, const predict_case *cases, int32_t count)
{
    double least = INFINITY;
    for (int32_t i = 0; i < count; i++) {
        const double far = meets(a, &cases[i]) ? -1.0 : miss(a, &cases[i]);
        const bool better = far < least || (far == least && far < 0 && w->deadline_hours == 0);
        if (!better) continue;
        least = far;
        w->chosen = i;
    }
    w->met = least < 0;
}

/* Numbers of ranks worth trying: all up to a few nodes, then whole nodes, thinned. */
static int32_t candidates(int32_t *out, int32_t capacity, const asked *a)
{
    const double all = a->hw.nodes.value * a->hw.ranks_per_node.value;
    const int32_t per_node = (int32_t)a->hw.ranks_per_node.value;
    int64_t most = all < RANKS_MAX ? (int64_t)all : RANKS_MAX;
    if (a->micro_most < most) most = a->micro_most;
    if (a->ranks_most < most) most = a->ranks_most;
    int32_t count = 0;
    for (int64_t n = 1; n <= most && count < capacity;) {
        out[count++] = (int32_t)n;
        const int64_t step = n < DENSE ? 1 : n / DENSE;
        int64_t next = n + step;
        if (n < per_node && next > per_node)
            next = per_node;
        else if (next > per_node)
            next = (next + per_node - 1) / per_node * per_node;
        n = next > most && n < most ? most : next;
    }
    return count;
}

static status answer_question(predict_report *r, asked *a)
{
    enum { CANDIDATES = 1024 };
    int32_t ranks[CANDIDATES];
    const int32_t *list = a->list;
    int32_t count = a->list_count;
    if (count == 0 && a->answer.asked) {
        count = candidates(ranks, CANDIDATES, a);
        list = ranks;
    } else if (count == 0) {
        const double all = a->hw.nodes.value * a->hw.ranks_per_node.value;
        ranks[0] = a->ranks ? a->ranks : (int32_t)fmin(all, RANKS_MAX);
        list = ranks;
        count = 1;
    }
    a->cases = calloc((size_t)count, sizeof *a->cases);
    REQUIRE(a->cases, ERR_MEMORY, "no memory for %d predictions", (int)count);
    TRY(answer_many(a, count, list));
    if (a->answer.asked) choose(&a->answer, a, a->cases, count);
    r->cases = a->cases;
    r->count = count;
    r->base_ranks = a->base_ranks;
    r->answer = a->answer;
    r->weak = a->accumulate > 0;
    r->list = a->list_count > 0;
    r->critical_ranks = a->critical ? a->micro_most : 0;
    r->cut = a->cut;
    return OK;
}

static void find_largest(predict_report *r, const asked *a)
{
    const predict_case *shown = &r->cases[r->answer.asked ? r->answer.chosen : 0];
    if ((r->list && !r->answer.asked) || shown->p.fits) return;
    config cfg;
    predict_question q = question(a, &cfg, shown->p.ranks);
    q.workspace_bytes = -1; /* of other shapes */
    r->has_largest = predict_largest(&r->largest, &q, &a->hw);
}

status plan_predict(const plan_predict_options *o)
{
    asked *a = calloc(1, sizeof *a);
    REQUIRE(a, ERR_MEMORY, "no memory");
    status s = read_all(a, o);
    predict_report r = {.model = o->model, .cfg = &a->cfg, .hw = &a->hw, .sharding = a->sharding};
    r.tokens = a->tokens;
    if (s == OK) s = answer_question(&r, a);
    if (s == OK) find_largest(&r, a);
    if (s == OK && o->json)
        s = predict_print_json(&r);
    else if (s == OK)
        predict_print_text(&r);
    free(a->cases);
    free(a);
    return s;
}

#include "config/check.h"

#include <stdarg.h>
#include <string.h>

void origin_place(char out[PLACE_BYTES], const origin *o, int32_t line)
{
    if (line >= 0 && !*o->path)
        *out = '\0';
    else if (line > 0)
        (void)snprintf(out, PLACE_BYTES, "%.400s:%d: ", o->path, (int)line);
    else if (line == 0)
        (void)snprintf(out, PLACE_BYTES, "%.400s: ", o->path);
    else
        (void)snprintf(out, PLACE_BYTES, "override '%.400s': ", o->overrides[-line - 1]);
}

/* "PLACE section.key: message" */
__attribute__((format(printf, 4, 5))) static status refuse(const origin *o, const char *prefix,
                                                           const char *key, const char *format, ...)
{
    char text[512], place[PLACE_BYTES], name[NAME_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    section s;
    const bool known = table_section(&s, prefix);
    ASSERT(known);
    const int32_t index = table_field(&s, key);
    ASSERT(index >= 0);
    origin_place(place, o, o->line[s.first + index]);
    table_name(name, &s, &s.fields[index]);
    FAIL(ERR_CONFIG, "%s%s: %s", place, name, text);
}

#define RULE(cond, prefix, key, ...)                                                               \
    do {                                                                                           \
        if (!(cond)) return refuse(o, prefix, key, __VA_ARGS__);                                   \
    } while (0)

typedef long long ll; /* for printing */

/* Tokens of an evaluation set of synthetic data: seconds of sums, and a standard error of 1e-4. */
enum { SYNTHETIC_EVALUATION_MOST = 100000000 };

/* The divisor of n nearest to d. */
static int64_t nearest_divisor(int64_t n, int64_t d)
{
    for (int64_t away = 1;; away++) {
        if (d - away >= 1 && n % (d - away) == 0) return d - away;
        if (n % (d + away) == 0) return d + away;
    }
}

void config_resolve_model(model_config *m)
{
    if (m->head_width == 0 && m->heads > 0 && m->width % m->heads == 0)
        m->head_width = m->width / m->heads;
    if (m->kv_heads == 0) m->kv_heads = m->heads;
    if (m->ffn == 0) m->ffn = 4 * m->width;
    if (m->base_width > 0 && m->base_head_width == 0) m->base_head_width = m->head_width;
}

/* Values that no reader has seen (a weights file's) and resolved ones are within the limits too. */
static status check_model_limits(const model_config *m, const origin *o)
{
    section s;
    const bool known = table_section(&s, "model");
    ASSERT(known);
    for (int32_t i = 0; i < s.count; i++)
        if (table_limits(&s.fields[i], m) != OK)
            return refuse(o, "model", s.fields[i].key, "%s", status_message());
    return OK;
}

static status check_model(const model_config *m, const origin *o)
{
    TRY(check_model_limits(m, o));
    const int64_t down = m->width / m->heads * m->heads;
    RULE(m->head_width > 0 || down > 0, "model", "heads",
         "%lld heads are more than the width %lld; nearest: %lld, or give head_width", (ll)m->heads,
         (ll)m->width, (ll)m->width);
    RULE(m->head_width > 0, "model", "width",
         "%lld is not a multiple of heads (%lld); nearest: %lld and %lld, or give head_width",
         (ll)m->width, (ll)m->heads, (ll)down, (ll)(down + m->heads));
    RULE(m->kv_heads > 0, "model", "kv_heads", "0 of %lld heads", (ll)m->heads);
    RULE(m->ffn > 0, "model", "ffn", "0");
    RULE(m->kv_heads <= m->heads && m->heads % m->kv_heads == 0, "model", "kv_heads",
         "%lld does not divide heads (%lld); nearest: %lld", (ll)m->kv_heads, (ll)m->heads,
         (ll)(m->kv_heads > m->heads ? m->heads : nearest_divisor(m->heads, m->kv_heads)));
    RULE(m->positions != POSITIONS_ROPE || m->head_width % 2 == 0, "model", "head_width",
         "%lld is odd and positions is rope, which turns pairs; nearest: %lld and %lld",
         (ll)m->head_width, (ll)(m->head_width - 1), (ll)(m->head_width + 1));
    RULE(m->base_width > 0 || m->base_head_width == 0, "model", "base_head_width",
         "%lld without base_width, which it belongs to", (ll)m->base_head_width);
    RULE(m->base_width == 0 || !m->qk_norm || m->base_head_width == m->head_width, "model",
         "base_head_width", "%lld beside head_width %lld and qk_norm, which takes its effect away",
         (ll)m->base_head_width, (ll)m->head_width);
    return OK;
}

status config_check_model(const model_config *m, const char *where)
{
    const origin o = {.path = where};
    return check_model(m, &o);
}

static status check_run(const config *cfg, const origin *o)
{
    const char *name = cfg->run.name;
    RULE(*name != '\0', "", "name", "empty; it names the run directory runs/NAME");
    RULE(*name != '.' && *name != '-' && !strchr(name, '/'), "", "name",
         "'%s' cannot name the folder runs/NAME; allowed: no '/', no '.' or '-' in front", name);
    return OK;
}

static status check_data(const config *cfg, const origin *o)
{
    const data_config *d = &cfg->data;
    const zipf_config *z = &cfg->zipf;
    if (d->synthetic == SYNTHETIC_NONE) {
        RULE(*d->train != '\0', "data", "train",
             "not given; allowed: a folder that prepare wrote, a token file, or synthetic");
        RULE(*d->validation != '\0' || cfg->evaluate.every_tokens == 0, "data", "validation",
             "not given, and evaluate.every_tokens is %lld; give it, or set every_tokens to 0",
             (ll)cfg->evaluate.every_tokens);
        return OK;
    }
    RULE(*d->train == '\0', "data", "train", "'%.200s' beside synthetic data; give one of them",
         d->train);
    RULE(*d->validation == '\0', "data", "validation",
         "'%.200s' beside synthetic data, which brings its own; give one of them", d->validation);
    RULE(
        z->base + z->values <= cfg->model.vocab, "data.zipf_facts", "values",
        "base + values = %lld is more than model.vocab (%lld); nearest: %lld values, or vocab %lld",
        (ll)(z->base + z->values), (ll)cfg->model.vocab, (ll)(cfg->model.vocab - z->base),
        (ll)(z->base + z->values));
    return OK;
}

static status check_train(const config *cfg, const origin *o)
{
    const train_config *t = &cfg->train;
    const int64_t micro = t->micro_batch * cfg->model.context;
    const int64_t down = t->batch_tokens / micro * micro;
    RULE(down > 0, "train", "batch_tokens",
         "%lld is less than one micro-batch: micro_batch %lld x context %lld; nearest: %lld",
         (ll)t->batch_tokens, (ll)t->micro_batch, (ll)cfg->model.context, (ll)micro);
    RULE(down == t->batch_tokens, "train", "batch_tokens",
         "%lld is not a multiple of micro_batch %lld x context %lld = %lld; nearest: %lld and %lld",
         (ll)t->batch_tokens, (ll)t->micro_batch, (ll)cfg->model.context, (ll)micro, (ll)down,
         (ll)(down + micro));
    RULE(t->tokens >= t->batch_tokens, "train", "tokens",
         "%lld is less than one step; nearest: batch_tokens = %lld", (ll)t->tokens,
         (ll)t->batch_tokens);
    return OK;
}

static status check_schedule(const config *cfg, const origin *o)
{
    const schedule_config *s = &cfg->schedule;
    const int64_t tokens = cfg->train.tokens;
    const bool wsd = s->name == SCHEDULE_WSD;
    RULE(s->warmup_tokens <= tokens, "schedule", "warmup_tokens",
         "%lld is more than train.tokens (%lld)", (ll)s->warmup_tokens, (ll)tokens);
    RULE(wsd || s->decay_tokens == 0, "schedule", "decay_tokens",
         "%lld, and the schedule is %s; only wsd has it: set 0, or name: wsd", (ll)s->decay_tokens,
         config_choice("schedule", "name", s->name));
    RULE(!wsd || s->decay_tokens > 0, "schedule", "decay_tokens",
         "0, and the schedule is wsd; give the tokens of the decay, or name: constant");
    RULE(s->decay_tokens <= tokens - s->warmup_tokens, "schedule", "decay_tokens",
         "%lld + warmup_tokens (%lld) is more than train.tokens (%lld); nearest: %lld",
         (ll)s->decay_tokens, (ll)s->warmup_tokens, (ll)tokens, (ll)(tokens - s->warmup_tokens));
    return OK;
}

static status check_rest(const config *cfg, const origin *o)
{
    const int64_t eval = cfg->evaluate.tokens;
    RULE(eval == 0 || eval >= cfg->model.context, "evaluate", "tokens",
         "%lld is less than one window; nearest: model.context = %lld", (ll)eval,
         (ll)cfg->model.context);
    RULE(cfg->data.synthetic == SYNTHETIC_NONE || eval <= SYNTHETIC_EVALUATION_MOST, "evaluate",
         "tokens",
         "%lld; synthetic data are unlimited, and every rank sums their entropy before it "
         "begins; allowed: at most %lld",
         (ll)eval, (ll)SYNTHETIC_EVALUATION_MOST);

    const checkpoint_config *c = &cfg->checkpoint;
    RULE(c->keep_every_tokens == 0 || c->every_tokens > 0, "checkpoint", "keep_every_tokens",
         "%lld, and every_tokens is 0: there is nothing to keep; set every_tokens",
         (ll)c->keep_every_tokens);
    if (c->keep_every_tokens > 0) {
        const int64_t down = c->keep_every_tokens / c->every_tokens * c->every_tokens;
        RULE(down == c->keep_every_tokens, "checkpoint", "keep_every_tokens",
             "%lld is not a multiple of every_tokens (%lld); nearest: %lld",
             (ll)c->keep_every_tokens, (ll)c->every_tokens, (ll)(down ? down : c->every_tokens));
    }

    const forecast_config *f = &cfg->forecast;
    RULE(f->loss == 0 || (f->low <= f->loss && f->loss <= f->high), "forecast", "loss",
         "%g is outside its own interval [%g, %g]", f->loss, f->low, f->high);

    /* a model much narrower than the base learns much faster */
    const double hidden = cfg->optimizer.learning_rate * config_hidden_rate(&cfg->model);
    RULE(hidden <= 10, "model", "base_width",
         "%lld at width %lld: hidden matrices would learn at a rate of %g; allowed: at most 10",
         (ll)cfg->model.base_width, (ll)cfg->model.width, hidden);
    return OK;
}

status check_config(const config *cfg, const origin *o)
{
    TRY(check_run(cfg, o));
    TRY(check_model(&cfg->model, o));
    TRY(check_data(cfg, o));
    TRY(check_train(cfg, o));
    TRY(check_schedule(cfg, o));
    return check_rest(cfg, o);
}

/* What training runs of a key's choices; any other can be planned only. */
typedef struct trained {
    const char *section, *key;
    int32_t value[4], count;
} trained;

/* "model.positions: 'relative' can be planned, not trained yet; trained: rope, learned, none" */
static status require_trained(const trained *t, int32_t value)
{
    char all[128] = "";
    for (int32_t i = 0; i < t->count; i++) {
        if (t->value[i] == value) return OK;
        const size_t used = strlen(all);
        (void)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "",
                       config_choice(t->section, t->key, t->value[i]));
    }
    FAIL(ERR_CONFIG, "%s.%s: '%s' can be planned, not trained yet; trained: %s", t->section, t->key,
         config_choice(t->section, t->key, value), all);
}

status config_check_trainable(const config *cfg)
{
    static const trained positions = {"model",
                                      "positions",
                                      {POSITIONS_ROPE, POSITIONS_LEARNED, POSITIONS_NONE},
                                      3};
    static const trained mlp = {"model", "mlp", {MLP_GELU, MLP_SWIGLU}, 2};
    static const trained optimizer = {"optimizer", "name", {OPTIMIZER_ADAMW}, 1};
    static const trained schedule = {
        "schedule", "name", {SCHEDULE_COSINE, SCHEDULE_LINEAR, SCHEDULE_CONSTANT, SCHEDULE_WSD}, 4};
    const model_config *m = &cfg->model;
    TRY(require_trained(&schedule, cfg->schedule.name));
    TRY(require_trained(&positions, m->positions));
    TRY(require_trained(&mlp, m->mlp));
    TRY(require_trained(&optimizer, cfg->optimizer.name));
    REQUIRE(!m->qk_norm, ERR_CONFIG,
            "model.qk_norm: 'true' can be planned, not trained yet; trained: false");
    REQUIRE(!m->parallel_block, ERR_CONFIG,
            "model.parallel_block: 'true' can be planned, not trained yet; trained: false");
    return OK;
}

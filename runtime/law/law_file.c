#include "law/law_file.h"

#include "base/file.h"
#include "base/json.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 1 << 22 };

static const char *const x_names[] = {"params", "tokens", "flops"};
static const char *const percentile_names[] = {"p2_5", "p10", "p90", "p97_5"};

/* As many of the replicates as the file keeps, evenly taken. */
static int32_t sampled(int32_t bootstrap)
{
    return bootstrap < LAW_FILE_REPLICATES ? bootstrap : LAW_FILE_REPLICATES;
}

static int32_t sample_at(int32_t k, int32_t bootstrap)
{
    return (int32_t)((int64_t)k * bootstrap / sampled(bootstrap));
}

/* A fit finds ln E: what it sends to minus infinity comes out as 0, whose logarithm no reader has.
 */
static double above_zero(const law *form, int32_t k, double value)
{
    return form->logarithm[k] && value == 0 ? DBL_MIN : value;
}

void law_file_of(law_file *out, const fit_result *r, const law_origin *origin)
{
    *out = (law_file){.form = r->options.form,
                      .has_covariance = r->replicate != NULL,
                      .residual_sd = r->residual_sd,
                      .points = r->points,
                      .x = r->options.x,
                      .range_flops = {NAN, NAN},
                      .origin = *origin};
    for (int32_t k = 0; k < out->form->constants; k++) {
        out->constant[k] = above_zero(out->form, k, r->constant[k].value);
        out->interval[k] = r->constant[k].interval;
    }
    memcpy(out->covariance, r->covariance, sizeof out->covariance);
    if (r->replicate) out->replicates = sampled(r->options.bootstrap);
    for (int32_t k = 0; k < out->replicates; k++) {
        double *row = out->replicate + (ptrdiff_t)k * out->form->constants;
        fit_replicate(row, r, sample_at(k, r->options.bootstrap));
        for (int32_t i = 0; i < out->form->constants; i++)
            row[i] = above_zero(out->form, i, row[i]);
    }
    memcpy(out->range_params, r->range_params, sizeof out->range_params);
    memcpy(out->range_tokens, r->range_tokens, sizeof out->range_tokens);
    (void)snprintf(out->loss, sizeof out->loss, "%s", fit_loss_name(r->options.loss));
    out->origin.without_embedding = r->options.nonemb;
}

/* Covariance of the parameters of the lines over their replicates. */
static void covariance_of(double *out, const optima *o)
{
    double mean[OPTIMA_LINE] = {0};
    const int32_t n = o->bootstrap;
    for (int32_t r = 0; r < n; r++)
        for (int32_t i = 0; i < OPTIMA_LINE; i++)
            mean[i] += o->replicate[(ptrdiff_t)r * OPTIMA_LINE + i] / n;
    for (int32_t i = 0; i < OPTIMA_LINE; i++)
        for (int32_t j = 0; j < OPTIMA_LINE; j++) {
            double sum = 0;
            for (int32_t r = 0; r < n; r++) {
                const double *line = o->replicate + (ptrdiff_t)r * OPTIMA_LINE;
                sum += (line[i] - mean[i]) * (line[j] - mean[j]);
            }
            out[i * OPTIMA_LINE + j] = sum / (n - 1);
        }
}

void law_file_of_optima(law_file *out, const optima *o, const law_origin *origin)
{
    /* in the order of law_lines */
    const fit_value *const constant[OPTIMA_LINE] = {&o->params_factor, &o->a, &o->tokens_factor,
                                                    &o->b};
    *out = (law_file){.form = &law_lines[o->approach - 1],
                      .has_covariance = o->replicate && o->bootstrap > 1,
                      .residual_sd = NAN,
                      .points = o->points,
                      .x = X_FLOPS,
                      .origin = *origin};
    for (int32_t k = 0; k < OPTIMA_LINE; k++) {
        out->constant[k] = constant[k]->value;
        out->interval[k] = constant[k]->interval;
    }
    if (out->has_covariance) covariance_of(out->covariance, o);
    if (out->has_covariance) out->replicates = sampled(o->bootstrap);
    for (int32_t k = 0; k < out->replicates; k++)
        law_to_constants(out->form,
                         o->replicate + (ptrdiff_t)sample_at(k, o->bootstrap) * OPTIMA_LINE,
                         out->replicate + (ptrdiff_t)k * OPTIMA_LINE);
    memcpy(out->range_params, o->range_params, sizeof out->range_params);
    memcpy(out->range_tokens, o->range_tokens, sizeof out->range_tokens);
    memcpy(out->range_flops, o->range_flops, sizeof out->range_flops);
}

/* --- writing -------------------------------------------------------------- */

static json_t *text(const char *s) { return s[0] ? json_string(s) : json_null(); }

static json_t *pair(const double *x)
{
    return json_pack("[o,o]", json_finite(x[0]), json_finite(x[1]));
}

static json_t *covariance(const law_file *f)
{
    if (!f->has_covariance) return json_null();
    const int32_t n = f->form->constants;
    json_t *rows = json_array(), *names = json_array();
    for (int32_t i = 0; i < n; i++) {
        json_t *row = json_array();
        char name[64];
        for (int32_t j = 0; j < n; j++)
            json_array_append_new(row, json_finite(f->covariance[i * n + j]));
        json_array_append_new(rows, row);
        (void)snprintf(name, sizeof name, "%s%s", f->form->logarithm[i] ? "ln_" : "",
                       f->form->constant[i]);
        json_array_append_new(names, json_string(name));
    }
    return json_pack("{s:o,s:o}", "of", names, "matrix", rows);
}

static json_t *replicates(const law_file *f)
{
    if (!f->replicates) return json_null();
    const int32_t n = f->form->constants;
    json_t *rows = json_array(), *names = json_array();
    for (int32_t i = 0; i < n; i++) json_array_append_new(names, json_string(f->form->constant[i]));
    for (int32_t k = 0; k < f->replicates; k++) {
        json_t *row = json_array();
        for (int32_t i = 0; i < n; i++)
            json_array_append_new(row, json_finite(f->replicate[k * n + i]));
        json_array_append_new(rows, row);
    }
    return json_pack("{s:o,s:o}", "of", names, "rows", rows);
}

static json_t *recipe(const law_recipe *r)
{
    if (!(r->rate > 0)) return json_null();
    return json_pack("{s:f,s:f,s:f,s:f,s:o,s:o,s:f,s:f,s:f,s:f}", "learning_rate", r->rate,
                     "params", r->params, "exponent", r->exponent, "batch_tokens", r->batch_tokens,
                     "warmup_ratio", json_finite(r->warmup_ratio), "init_scale",
                     json_finite(r->init_scale), "beta2", r->beta2, "weight_decay", r->weight_decay,
                     "base_width", r->base_width, "base_head_width", r->base_head_width);
}

static json_t *architecture(const law_architecture *a)
{
    if (!*a->norm) return json_null();
    return json_pack("{s:s,s:s,s:s,s:b,s:b,s:b,s:b}", "norm", a->norm, "positions", a->positions,
                     "mlp", a->mlp, "bias", (int)a->bias, "tied_embeddings",
                     (int)a->tied_embeddings, "qk_norm", (int)a->qk_norm, "parallel_block",
                     (int)a->parallel_block);
}

static json_t *to_json(const law_file *f)
{
    json_t *constants = json_object(), *intervals = json_object();
    for (int32_t k = 0; k < f->form->constants; k++) {
        const fit_interval *i = &f->interval[k];
        json_object_set_new(constants, f->form->constant[k], json_finite(f->constant[k]));
        json_object_set_new(intervals, f->form->constant[k],
                            json_pack("{s:o,s:o,s:o,s:o}", "p2_5", json_finite(i->p2_5), "p10",
                                      json_finite(i->p10), "p90", json_finite(i->p90), "p97_5",
                                      json_finite(i->p97_5)));
    }
    const law_origin *o = &f->origin;
    json_t *root = json_pack("{s:i,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "schema", LAW_FILE_SCHEMA,
                             "law", f->form->name, "constants", constants, "intervals", intervals,
                             "covariance", covariance(f), "residual_sd",
                             json_finite(f->residual_sd), "validation_set", text(o->validation_set),
                             "context", o->context ? json_integer(o->context) : json_null(),
                             "schedule_class", text(o->schedule_class));
    json_t *range =
        json_pack("{s:o,s:o}", "params", pair(f->range_params), "tokens", pair(f->range_tokens));
    if (!f->form->log_loss) json_object_set_new(range, "flops", pair(f->range_flops));
    json_t *rest = json_pack("{s:o,s:i,s:o,s:o,s:o,s:s,s:o,s:o}", "range", range, "points",
                             f->points, "loss", text(f->loss), "tokenizer_sha256",
                             text(o->tokenizer_sha256), "data", text(o->data), "parameter_count",
                             o->without_embedding ? "without_embedding" : "total", "flop_count",
                             text(o->flop_count), "source", text(o->source));
    json_object_update(root, rest);
    json_decref(rest);
    json_object_set_new(root, "recipe", recipe(&o->recipe));
    json_object_set_new(root, "architecture", architecture(&o->architecture));
    json_object_set_new(root, "replicates", replicates(f));
    if (f->form->needs & LAW_OF_X) json_object_set_new(root, "x", json_string(x_names[f->x]));
    return root;
}

status law_file_write(const law_file *f, const char *path) { return json_write(to_json(f), path); }

/* --- reading -------------------------------------------------------------- */

static status get_number(double *out, const json_t *value, const char *path, const char *key,
                         bool nullable)
{
    if (nullable && (!value || json_is_null(value))) {
        *out = NAN;
        return OK;
    }
    REQUIRE(value, ERR_CONFIG, "%s: key %s is missing", path, key);
    REQUIRE(json_is_number(value), ERR_CONFIG, "%s: %s is not a number", path, key);
    *out = json_number_value(value);
    return OK;
}

static status get_text(char *out, const json_t *root, const char *path, const char *key)
{
    const json_t *value = json_object_get(root, key);
    out[0] = 0;
    if (!value || json_is_null(value)) return OK;
    REQUIRE(json_is_string(value), ERR_CONFIG, "%s: %s is not a text", path, key);
    REQUIRE(json_string_length(value) < LAW_FILE_TEXT, ERR_CONFIG, "%s: %s is longer than %d", path,
            key, LAW_FILE_TEXT - 1);
    (void)snprintf(out, LAW_FILE_TEXT, "%s", json_string_value(value));
    return OK;
}

static status known_keys(json_t *object, const char *const *names, const char *path,
                         const char *where)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        bool found = false;
        for (int i = 0; names[i] && !found; i++) found = strcmp(names[i], key) == 0;
        REQUIRE(found, ERR_CONFIG, "%s: unknown key %s%s", path, where, key);
    }
    return OK;
}

static status get_constants(law_file *f, const json_t *root, const char *path)
{
    json_t *constants = json_object_get(root, "constants");
    const json_t *intervals = json_object_get(root, "intervals");
    REQUIRE(json_is_object(constants), ERR_CONFIG, "%s: key constants is missing", path);
    const char *names[LAW_CONSTANTS + 1] = {0};
    for (int32_t k = 0; k < f->form->constants; k++) names[k] = f->form->constant[k];
    TRY(known_keys(constants, names, path, "constants."));
    for (int32_t k = 0; k < f->form->constants; k++) {
        TRY(get_number(&f->constant[k], json_object_get(constants, names[k]), path, names[k],
                       false));
        REQUIRE(isfinite(f->constant[k]) && (!f->form->logarithm[k] || f->constant[k] > 0),
                ERR_CONFIG, "%s: constants.%s is %g; it must be above 0", path, names[k],
                f->constant[k]);
        const json_t *interval = json_object_get(intervals, names[k]);
        double *const end[] = {&f->interval[k].p2_5, &f->interval[k].p10, &f->interval[k].p90,
                               &f->interval[k].p97_5};
        for (int i = 0; i < 4; i++)
            TRY(get_number(end[i], json_object_get(interval, percentile_names[i]), path,
                           percentile_names[i], true));
    }
    return OK;
}

static status get_covariance(law_file *f, const json_t *root, const char *path)
{
    const json_t *value = json_object_get(root, "covariance");
    const int32_t n = f->form->constants;
    f->has_covariance = json_is_object(value);
    if (!f->has_covariance) return OK;
    const json_t *rows = json_object_get(value, "matrix");
    REQUIRE(json_array_size(rows) == (size_t)n, ERR_CONFIG, "%s: covariance.matrix needs %d rows",
            path, n);
    for (int32_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, (size_t)i);
        REQUIRE(json_array_size(row) == (size_t)n, ERR_CONFIG,
                "%s: row %d of covariance.matrix needs %d numbers", path, i, n);
        for (int32_t j = 0; j < n; j++)
            TRY(get_number(&f->covariance[i * n + j], json_array_get(row, (size_t)j), path,
                           "covariance.matrix", false));
    }
    return OK;
}

static status get_replicates(law_file *f, const json_t *root, const char *path)
{
    const json_t *value = json_object_get(root, "replicates"), *row;
    const int32_t n = f->form->constants;
    size_t k;
    if (!value || json_is_null(value)) return OK;
    const json_t *rows = json_object_get(value, "rows");
    REQUIRE(json_is_array(rows) && json_array_size(rows) <= LAW_FILE_REPLICATES, ERR_CONFIG,
            "%s: replicates.rows must be a list of at most %d", path, LAW_FILE_REPLICATES);
    json_array_foreach(rows, k, row)
    {
        double *to = f->replicate + k * (size_t)n;
        REQUIRE(json_array_size(row) == (size_t)n, ERR_CONFIG,
                "%s: row %zu of replicates needs %d numbers", path, k, n);
        for (int32_t i = 0; i < n; i++) {
            TRY(get_number(&to[i], json_array_get(row, (size_t)i), path, "replicates.rows", false));
            REQUIRE(!f->form->logarithm[i] || to[i] > 0, ERR_CONFIG,
                    "%s: replicates.rows: %s of row %zu is %g; it must be above 0", path,
                    f->form->constant[i], k, to[i]);
        }
    }
    f->replicates = (int32_t)json_array_size(rows);
    return OK;
}

static status get_range(double *out, const json_t *root, const char *path, const char *key)
{
    const json_t *range = json_object_get(json_object_get(root, "range"), key);
    REQUIRE(json_array_size(range) == 2, ERR_CONFIG, "%s: range.%s must be [low, high]", path, key);
    for (size_t i = 0; i < 2; i++)
        TRY(get_number(&out[i], json_array_get(range, i), path, key, false));
    return OK;
}

static status get_recipe(law_recipe *r, const json_t *root, const char *path)
{
    const json_t *value = json_object_get(root, "recipe");
    /* LATER: a width; files of before there was muP lack it, and mean 0 */
    enum { NEEDED, NULLABLE, LATER };
    const struct {
        const char *key;
        double *to, low, high;
        int kind;
    } part[] = {{"learning_rate", &r->rate, 1e-12, 10, NEEDED},
                {"params", &r->params, 1, 1e18, NEEDED},
                {"exponent", &r->exponent, -5, 5, NEEDED},
                {"batch_tokens", &r->batch_tokens, 1, 1e12, NEEDED},
                {"beta2", &r->beta2, 0, 0.999999, NEEDED},
                {"weight_decay", &r->weight_decay, 0, 10, NEEDED},
                {"warmup_ratio", &r->warmup_ratio, 0, 1, NULLABLE},
                {"init_scale", &r->init_scale, 0, 100, NULLABLE},
                {"base_width", &r->base_width, 0, 65536, LATER},
                {"base_head_width", &r->base_head_width, 0, 1024, LATER}};
    *r = (law_recipe){0};
    if (!value || json_is_null(value)) return OK;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        const json_t *one = json_object_get(value, part[i].key);
        const bool nullable = part[i].kind == NULLABLE, later = part[i].kind == LATER;
        if (later && !one) continue;
        TRY(get_number(part[i].to, one, path, part[i].key, nullable));
        const double x = *part[i].to;
        REQUIRE((nullable && isnan(x)) ||
                    (x >= part[i].low && x <= part[i].high && (!later || x == floor(x))),
                ERR_CONFIG, "%s: recipe.%s is %g; allowed: %g to %g%s", path, part[i].key, x,
                part[i].low, part[i].high, later ? ", whole" : "");
    }
    REQUIRE(r->base_head_width == 0 || r->base_width > 0, ERR_CONFIG,
            "%s: recipe.base_head_width is %g without base_width, which it belongs to", path,
            r->base_head_width);
    return OK;
}

static status get_architecture(law_architecture *a, const json_t *root, const char *path)
{
    const json_t *value = json_object_get(root, "architecture");
    const struct {
        const char *key;
        char *to;
    } word[] = {{"norm", a->norm}, {"positions", a->positions}, {"mlp", a->mlp}};
    const struct {
        const char *key;
        bool *to;
    } flag[] = {{"bias", &a->bias},
                {"tied_embeddings", &a->tied_embeddings},
                {"qk_norm", &a->qk_norm},
                {"parallel_block", &a->parallel_block}};
    if (!value || json_is_null(value)) return OK;
    for (size_t i = 0; i < sizeof word / sizeof *word; i++) {
        const json_t *one = json_object_get(value, word[i].key);
        REQUIRE(json_string_length(one) > 0 && json_string_length(one) < sizeof a->norm, ERR_CONFIG,
                "%s: architecture.%s must be a word of a run config", path, word[i].key);
        (void)snprintf(word[i].to, sizeof a->norm, "%s", json_string_value(one));
    }
    for (size_t i = 0; i < sizeof flag / sizeof *flag; i++) {
        const json_t *one = json_object_get(value, flag[i].key);
        REQUIRE(json_is_boolean(one), ERR_CONFIG, "%s: architecture.%s must be true or false", path,
                flag[i].key);
        *flag[i].to = json_is_true(one);
    }
    return OK;
}

static status get_origin(law_file *f, const json_t *root, const char *path)
{
    law_origin *o = &f->origin;
    char count[LAW_FILE_TEXT];
    double context = NAN;
    TRY(get_text(o->data, root, path, "data"));
    TRY(get_text(o->validation_set, root, path, "validation_set"));
    TRY(get_text(o->tokenizer_sha256, root, path, "tokenizer_sha256"));
    TRY(get_text(o->schedule_class, root, path, "schedule_class"));
    TRY(get_text(o->source, root, path, "source"));
    TRY(get_text(o->flop_count, root, path, "flop_count"));
    TRY(get_text(f->loss, root, path, "loss"));
    TRY(get_recipe(&o->recipe, root, path));
    TRY(get_architecture(&o->architecture, root, path));
    TRY(get_number(&context, json_object_get(root, "context"), path, "context", true));
    o->context = isfinite(context) ? (int32_t)context : 0;
    TRY(get_text(count, root, path, "parameter_count"));
    REQUIRE(strcmp(count, "total") == 0 || strcmp(count, "without_embedding") == 0, ERR_CONFIG,
            "%s: parameter_count is '%s'; allowed: total, without_embedding", path, count);
    o->without_embedding = strcmp(count, "total") != 0;
    return OK;
}

static status from_json(law_file *f, json_t *root, const char *path)
{
    static const char *const keys[] = {"schema",      "law",
                                       "constants",   "intervals",
                                       "covariance",  "replicates",
                                       "recipe",      "architecture",
                                       "residual_sd", "validation_set",
                                       "context",     "schedule_class",
                                       "range",       "points",
                                       "loss",        "tokenizer_sha256",
                                       "data",        "parameter_count",
                                       "flop_count",  "source",
                                       "x",           NULL};
    REQUIRE(json_is_object(root), ERR_CONFIG, "%s: not an object", path);
    TRY(known_keys(root, keys, path, ""));
    double schema = 0, count = 0;
    char name[LAW_FILE_TEXT], x[LAW_FILE_TEXT];
    TRY(get_number(&schema, json_object_get(root, "schema"), path, "schema", false));
    REQUIRE((int)schema == LAW_FILE_SCHEMA, ERR_CONFIG, "%s: schema %g; this program reads %d",
            path, schema, LAW_FILE_SCHEMA);
    TRY(get_text(name, root, path, "law"));
    REQUIRE(name[0], ERR_CONFIG, "%s: key law is missing", path);
    f->form = law_find(name);
    if (!f->form) f->form = law_lines_find(name);
    REQUIRE(f->form, ERR_CONFIG, "%s: law '%s' is not known", path, name);
    TRY(get_constants(f, root, path));
    TRY(get_covariance(f, root, path));
    TRY(get_replicates(f, root, path));
    TRY(get_number(&f->residual_sd, json_object_get(root, "residual_sd"), path, "residual_sd",
                   true));
    TRY(get_range(f->range_params, root, path, "params"));
    TRY(get_range(f->range_tokens, root, path, "tokens"));
    f->range_flops[0] = f->range_flops[1] = NAN;
    if (!f->form->log_loss) TRY(get_range(f->range_flops, root, path, "flops"));
    TRY(get_number(&count, json_object_get(root, "points"), path, "points", false));
    f->points = (int32_t)count;
    TRY(get_text(x, root, path, "x"));
    for (int i = 0; i < 3; i++)
        if (strcmp(x, x_names[i]) == 0) f->x = (points_x)i;
    return get_origin(f, root, path);
}

status law_file_read(law_file *out, const char *path)
{
    char *content;
    int64_t bytes;
    TRY(file_read_text(&content, &bytes, path, LIMIT));
    json_error_t error;
    json_t *root = json_loadb(content, (size_t)bytes, JSON_REJECT_DUPLICATES, &error);
    free(content);
    REQUIRE(root, ERR_CONFIG, "%s:%d: not JSON: %s", path, error.line, error.text);
    law_file f = {0};
    const status s = from_json(&f, root, path);
    json_decref(root);
    if (s == OK) *out = f;
    return s;
}

/* --- forecasts ------------------------------------------------------------ */

/* Every replicate's loss under every residual, and the percentiles of them all. */
static bool predict_replicates(law_forecast *out, const law_file *f, law_case at, double level)
{
    /* normal quantiles 1/32, 3/32, ... of the upper half; the lower half mirrors them */
    static const double z[] = {0.0784124, 0.2372021, 0.4022501, 0.5791322,
                               0.7764218, 1.0099902, 1.3180109, 1.8627319};
    enum { HALF = sizeof z / sizeof *z };
    const int32_t n = f->form->constants;
    double sample[LAW_FILE_REPLICATES * 2 * HALF];
    int32_t count = 0;
    for (int32_t k = 0; k < f->replicates; k++) {
        const double loss = law_loss(f->form, f->replicate + (ptrdiff_t)k * n, at, NULL);
        for (int32_t i = 0; i < 2 * HALF; i++)
            sample[count++] = loss * exp(f->residual_sd * (i < HALF ? z[i] : -z[i - HALF]));
    }
    const fit_interval i = fit_interval_of(sample, count);
    out->low = level > 0.9 ? i.p2_5 : i.p10;
    out->high = level > 0.9 ? i.p97_5 : i.p90;
    return true;
}

bool law_file_predict(law_forecast *out, const law_file *f, law_case at, double level)
{
    const law *form = f->form;
    const int32_t n = form->constants;
    double slope[LAW_CONSTANTS], variance = f->residual_sd * f->residual_sd;
    *out = (law_forecast){NAN, NAN, NAN, false};
    if (!form->log_loss) return false;
    out->loss = law_loss(form, f->constant, at, slope);
    out->inside = (!(form->needs & LAW_OF_PARAMS) ||
                   (at.params >= f->range_params[0] && at.params <= f->range_params[1])) &&
                  (!(form->needs & LAW_OF_TOKENS) ||
                   (at.tokens >= f->range_tokens[0] && at.tokens <= f->range_tokens[1]));
    if (!isfinite(variance)) return false;
    if (f->replicates > 1) return predict_replicates(out, f, at, level);
    if (!f->has_covariance) return false;
    /* ln L is nearly linear in the parameters over their errors */
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < n; j++) variance += slope[i] * f->covariance[i * n + j] * slope[j];
    const double sides = level > 0.9 ? 1.959963984540054 : 1.2815515655446004;
    out->low = out->loss * exp(-sides * sqrt(variance));
    out->high = out->loss * exp(sides * sqrt(variance));
    return true;
}

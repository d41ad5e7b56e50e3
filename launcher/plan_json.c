#include "plan_json.h"

#include "base/json.h"
#include "cli.h"
#include "plan_predict_print.h"

#include <jansson.h>
#include <math.h>

static json_t *text(const char *s) { return s && s[0] ? json_string(s) : json_null(); }

static json_t *whole(int64_t x) { return json_integer((json_int_t)x); }

static json_t *interval(double low, double high)
{
    if (!isfinite(low) || !isfinite(high)) return json_null();
    return json_pack("{s:f, s:f, s:f}", "level", ALLOCATE_LEVEL / 100.0, "low", low, "high", high);
}

static json_t *range(allocate_range r) { return interval(r.low, r.high); }

static json_t *pair(const double *r)
{
    return isfinite(r[0]) && isfinite(r[1]) ? json_pack("[f, f]", r[0], r[1]) : json_null();
}

/* --- laws ----------------------------------------------------------------- */

static json_t *law_object(const plan_law *l)
{
    const published_law *row = l->row;
    const allocation *s = &l->say;
    json_t *o = json_object();
    json_object_set_new(o, "name", json_string(row->name));
    json_object_set_new(o, "source", json_string(row->source));
    json_object_set_new(o, "params", json_finite(s->params));
    json_object_set_new(o, "tokens", json_finite(s->tokens));
    json_object_set_new(o, "tokens_per_param", json_finite(s->tokens / s->params));
    json_object_set_new(o, "flops", json_finite(s->flops));
    json_object_set_new(o, "loss", json_finite(s->loss));
    json_object_set_new(o, "loss_data", json_string(row->data));
    json_object_set_new(o, "params_interval", range(s->params_range));
    json_object_set_new(o, "tokens_interval", range(s->tokens_range));
    json_object_set_new(o, "flops_interval", range(s->flops_range));
    json_object_set_new(o, "loss_interval", range(s->loss_range));
    json_object_set_new(o, "parameter_count",
                        json_string(row->without_embedding ? "without_embedding" : "total"));
    json_object_set_new(o, "params_total", json_finite(l->params_total));
    json_object_set_new(o, "params_without_embedding", json_finite(l->params_without_embedding));
    json_object_set_new(o, "flops_per_token", json_finite(l->flops_per_token));
    json_object_set_new(o, "flop_count", json_string(row->flop_count));
    json_object_set_new(o, "pair", json_boolean(row->pair));
    json_object_set_new(o, "lifetime_flops", json_finite(s->lifetime_flops));
    json_object_set_new(o, "form", row->form ? json_string(row->form->name) : json_null());
    json_object_set_new(o, "exponent_interval", pair(row->a_interval));
    json_object_set_new(o, "range",
                        json_pack("{s:o, s:o, s:o}", "params", pair(row->range_params), "tokens",
                                  pair(row->range_tokens), "flops", pair(row->range_flops)));
    json_object_set_new(o, "extrapolated", json_boolean(!s->inside));
    json_object_set_new(o, "fitted_by_you", json_boolean(row->fitted));
    json_object_set_new(o, "note", text(s->why ? s->why : row->note));
    return o;
}

static json_t *flatness_object(const plan_answer *a)
{
    const flatness *f = &a->flatness;
    if (!a->has_flatness) return json_null();
    json_t *within = json_array();
    for (int i = 0; i < FLATNESS_LEVELS; i++)
        json_array_append_new(within,
                              json_pack("{s:f, s:o}", "loss_share", f->share[i], "params",
                                        json_pack("[f, f]", f->params[i].low, f->params[i].high)));
    return json_pack("{s:o, s:{s:o, s:o}, s:{s:o, s:o}}", "within", within, "half", "loss_above",
                     json_finite(f->half_loss), "compute_ratio", json_finite(f->half_flops),
                     "twice", "loss_above", json_finite(f->twice_loss), "compute_ratio",
                     json_finite(f->twice_flops));
}

static json_t *recommendation_object(const plan_answer *a)
{
    const plan_law *own = &a->law[a->chosen];
    const bool forecast = a->forecast.known;
    json_t *o = json_object();
    json_object_set_new(o, "params", json_finite(a->params));
    json_object_set_new(o, "tokens", json_finite(a->tokens));
    json_object_set_new(o, "tokens_per_param", json_finite(a->tokens / a->params));
    json_object_set_new(o, "flops", json_finite(a->flops));
    json_object_set_new(o, "loss", json_finite(forecast ? a->forecast.loss : own->say.loss));
    json_object_set_new(o, "loss_interval",
                        forecast ? interval(a->forecast.low, a->forecast.high)
                                 : range(own->say.loss_range));
    json_object_set_new(o, "loss_data", json_string(own->row->data));
    json_object_set_new(o, "params_interval", range(own->say.params_range));
    json_object_set_new(o, "tokens_interval", range(own->say.tokens_range));
    json_object_set_new(o, "law", json_string(own->row->name));
    json_object_set_new(o, "reason", json_string(a->reason));
    json_object_set_new(o, "extrapolated", json_boolean(!own->say.inside));
    json_object_set_new(o, "loss_above_optimum",
                        json_finite(allocate_above(own->say.loss, a->best_loss)));
    json_object_set_new(o, "flatness", flatness_object(a));
    json_object_set_new(o, "agreement", text(a->agreement));
    return o;
}

/* --- model, training, data ------------------------------------------------ */

static json_t *model_object(const plan_answer *a)
{
    const shape *s = &a->shape;
    const model_config *m = &s->model;
    const double tokens = (double)(a->steps * a->batch_tokens);
    json_t *o = json_object();
    json_object_set_new(o, "layers", whole(m->layers));
    json_object_set_new(o, "width", whole(m->width));
    json_object_set_new(o, "heads", whole(m->heads));
    json_object_set_new(o, "head_width", whole(m->head_width));
    json_object_set_new(o, "kv_heads", whole(m->kv_heads));
    json_object_set_new(o, "ffn", whole(m->ffn));
    json_object_set_new(o, "vocab", whole(m->vocab));
    json_object_set_new(o, "vocab_source",
                        json_string(a->data.given    ? "data"
                                    : a->model_given ? "model"
                                                     : "assumed"));
    json_object_set_new(o, "context", whole(m->context));
    json_object_set_new(o, "params", whole(s->params));
    json_object_set_new(o, "params_without_embedding", whole(s->params_without_embedding));
    json_object_set_new(o, "flops_per_token", json_finite(s->flops.model));
    json_object_set_new(o, "flops",
                        json_pack("{s:f, s:f, s:f, s:f}", "model", s->flops.model * tokens,
                                  "six_nd", s->flops.six_nd * tokens, "six_nd_nonemb",
                                  s->flops.six_nd_nonemb * tokens, "hoffmann_a4",
                                  s->flops.hoffmann_a4 * tokens));
    json_object_set_new(o, "off", json_finite(s->off));
    json_object_set_new(o, "origin", json_string(s->origin));
    return o;
}

static json_t *bracket(double middle)
{
    return isfinite(middle) ? json_pack("[f, f, f]", middle / 2, middle, middle * 2) : json_null();
}

static json_t *training_object(const plan_answer *a)
{
    const rule_answer *chosen = &a->rules.row[a->rules.chosen];
    json_t *o = json_object(), *list = json_array();
    for (int32_t i = 0; i < a->rules.count; i++) {
        const rule_answer *r = &a->rules.row[i];
        json_t *one =
            json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:b, s:b, s:b}", "name", r->name,
                      "source", r->source, "status", r->status, "learning_rate",
                      json_finite(r->learning_rate), "batch_tokens", json_finite(r->batch_tokens),
                      "range", r->range, "range_status", r->range_status, "extrapolated",
                      (int)!r->inside, "capped", (int)r->capped, "recipe", (int)r->recipe);
        json_object_set_new(one, "bracket", r->inside ? json_null() : bracket(r->learning_rate));
        json_array_append_new(list, one);
    }
    json_object_set_new(o, "batch_tokens", whole(a->batch_tokens));
    json_object_set_new(o, "learning_rate", json_finite(a->learning_rate));
    json_object_set_new(o, "steps", whole(a->steps));
    json_object_set_new(o, "micro_batch", whole(a->micro_batch));
    json_object_set_new(o, "rule", json_string(a->based ? "config" : chosen->name));
    json_object_set_new(o, "extrapolated", json_boolean(!a->based && !chosen->inside));
    json_object_set_new(o, "bracket",
                        a->based || chosen->inside ? json_null() : bracket(chosen->learning_rate));
    json_object_set_new(o, "rules", list);
    return o;
}

static json_t *data_object(const plan_answer *a)
{
    const plan_data *d = &a->data;
    if (!d->given) return json_null();
    return json_pack("{s:s, s:s, s:I, s:f, s:o, s:o, s:f}", "train", d->train, "tokenizer",
                     d->tokenizer, "vocab", (json_int_t)d->vocab, "unique_tokens", d->tokens,
                     "bytes_per_token", json_finite(d->bytes_per_token), "bytes",
                     json_finite(a->tokens * d->bytes_per_token), "epochs", a->tokens / d->tokens);
}

/* --- machine -------------------------------------------------------------- */

static json_t *prediction_object(const plan_answer *a)
{
    const plan_machine *m = &a->machine;
    const prediction *p = &m->step;
    if (!m->given) return json_null();
    const predict_case one = {.p = *p, .run = m->run, .efficiency = NAN};
    const predict_report r = {.model = a->model_given ? a->model_name : a->cfg.run.name,
                              .cfg = &a->cfg,
                              .hw = &m->hw,
                              .sharding = m->sharding,
                              .tokens = (double)(a->steps * a->batch_tokens)};
    json_t *o = predict_case_json(&r, &one);
    /* the run's own numbers beside the step's */
    json_t *run = json_object_get(o, "run");
    json_object_update_missing(o, run);
    json_object_del(o, "run");
    json_object_set_new(o, "memory_bytes", json_finite(m->hw.memory_bytes.value));
    json_object_set_new(o, "largest_params_that_fit",
                        m->has_largest ? whole(block_param_count(&m->largest)) : json_null());
    json_object_set_new(o, "budget_mfu", m->mfu_source ? json_finite(m->mfu) : json_null());
    json_object_set_new(o, "budget_mfu_source", text(m->mfu_source));
    return o;
}

static json_t *forecast_object(const plan_answer *a)
{
    const plan_forecast *f = &a->forecast;
    if (!f->known) return json_pack("{s:n, s:n, s:s}", "law", "loss", "why", f->why);
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:o}", "law", f->law, "loss", f->loss, "low",
                     f->low, "high", f->high, "level", ALLOCATE_LEVEL / 100.0, "why", text(f->why));
}

static json_t *question_object(const plan_answer *a)
{
    const allocate_question *q = &a->question.ask;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "flops", json_finite(q->flops),
                     "params", json_finite(q->params), "tokens", json_finite(q->tokens), "loss",
                     json_finite(q->loss), "tokens_per_param", json_finite(q->tokens_per_param),
                     "unique_tokens", json_finite(q->unique), "inference_tokens",
                     json_finite(q->inference));
}

status plan_json_print(const plan_answer *a, const char *emitted)
{
    json_t *root = json_object(), *list = json_array();
    REQUIRE(root && list, ERR_MEMORY, "no memory");
    for (int32_t i = 0; i < a->laws.count; i++) json_array_append_new(list, law_object(&a->law[i]));
    json_object_set_new(root, "schema", json_integer(1));
    json_object_set_new(root, "question", question_object(a));
    json_object_set_new(root, "flops",
                        json_finite(isfinite(a->question.ask.flops) ? a->question.ask.flops
                                                                    : a->flops));
    json_object_set_new(root, "laws", list);
    json_object_set_new(root, "recommendation", recommendation_object(a));
    json_object_set_new(root, "model", model_object(a));
    json_object_set_new(root, "training", training_object(a));
    json_object_set_new(root, "data", data_object(a));
    json_object_set_new(root, "prediction", prediction_object(a));
    json_object_set_new(root, "forecast", forecast_object(a));
    json_object_set_new(root, "emitted", text(emitted));
    return cli_json(root);
}

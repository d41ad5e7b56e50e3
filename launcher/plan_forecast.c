#include "plan_forecast.h"

#include "data/samples.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NO_LAW "no law for this data and tokenizer: loss not forecast"

__attribute__((format(printf, 2, 3))) static status unknown(plan_answer *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(a->forecast.why, sizeof a->forecast.why, format, args);
    va_end(args);
    return OK;
}

/* What the law does not say of its runs, without which no run is known to be one of them. */
static const char *unsaid(const law_origin *o)
{
    return !o->data[0]             ? "training data"
           : !o->validation_set[0] ? "validation set"
           : !o->context           ? "context"
           : !o->schedule_class[0] ? "schedule"
                                   : NULL;
}

/* What the law was fitted on must be what the run is about, in every part. */
static status compare(plan_answer *a, const law_origin *o)
{
    samples *train = NULL, *validation = NULL;
    status s = samples_open(&train, &a->cfg, SPLIT_TRAIN);
    const bool evaluated = !a->data.given || a->data.validation[0];
    if (s == OK && evaluated) s = samples_open(&validation, &a->cfg, SPLIT_VALIDATION);
    if (s == OK) {
        const samples_info *t = samples_about(train);
        const samples_info *v = validation ? samples_about(validation) : NULL;
        const char *schedule = config_choice("schedule", "name", a->cfg.schedule.name);
        const char *differs = strcmp(t->identity, o->data) != 0                   ? "training data"
                              : !v || strcmp(v->identity, o->validation_set) != 0 ? "validation set"
                              : strcmp(v->tokenizer_sha256, o->tokenizer_sha256) != 0 ? "tokenizer"
                              : o->context != a->cfg.model.context                    ? "context"
                              : strcmp(schedule, o->schedule_class) != 0              ? "schedule"
                                                                                      : NULL;
        if (differs)
            s = unknown(a, NO_LAW " (%s has another %s)", a->law[a->chosen].row->name, differs);
        else
            (void)snprintf(a->forecast.validation_set, sizeof a->forecast.validation_set, "%s",
                           v->identity);
        a->forecast.known = !differs;
    }
    samples_close(train);
    samples_close(validation);
    return s;
}

status plan_forecast_build(plan_answer *a)
{
    plan_forecast *f = &a->forecast;
    const published_law *row = a->law[a->chosen].row;
    *f = (plan_forecast){.loss = NAN, .low = NAN, .high = NAN};
    if (!row->fitted) return unknown(a, NO_LAW);
    if (!row->form) return unknown(a, "%s gives best sizes, no loss: loss not forecast", row->name);
    if (!row->file.has_covariance)
        return unknown(a, "%s has no covariance: loss not forecast", row->name);
    if (unsaid(&row->file.origin))
        return unknown(a,
                       "%s does not say the %s of its runs: loss not forecast; fit --trained-as "
                       "CONFIG says it",
                       row->name, unsaid(&row->file.origin));
    TRY(compare(a, &row->file.origin));
    if (!f->known) return OK;
    const double tokens = (double)(a->steps * a->batch_tokens);
    const bool repeats = tokens > a->data.tokens, knows = row->form->needs & LAW_OF_UNIQUE;
    if (repeats && !knows) {
        f->known = false;
        return unknown(a, "%s knows no repeated data: loss not forecast", row->name);
    }
    const double n = row->without_embedding ? (double)a->shape.params_without_embedding
                                            : (double)a->shape.params;
    const double flops = a->shape.flops.model * tokens;
    const double x = row->x == X_PARAMS ? n : row->x == X_TOKENS ? tokens : flops;
    const law_case at = {n, tokens, repeats ? a->data.tokens : 0, x};
    law_forecast forecast;
    if (!law_file_predict(&forecast, &row->file, at, ALLOCATE_LEVEL / 100.0)) {
        f->known = false;
        return unknown(a, "%s gives no interval: loss not forecast", row->name);
    }
    f->loss = forecast.loss;
    f->low = forecast.low;
    f->high = forecast.high;
    (void)snprintf(f->law, sizeof f->law, "%s", row->name);
    if (!forecast.inside)
        (void)snprintf(f->why, sizeof f->why, "outside the range of %s: extrapolated", row->name);
    return OK;
}

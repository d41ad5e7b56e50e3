#include "train/grade.h"

#include <math.h>
#include <string.h>

static bool same_set(const run *r, const char *identity)
{
    return r->validation && strcmp(samples_about(r->validation)->identity, identity) == 0;
}

void grade_run(grade *out, const run *r, const run_summary *s)
{
    const forecast_config *f = &r->cfg->forecast;
    *out = (grade){.loss = NAN,
                   .low = NAN,
                   .high = NAN,
                   .got = NAN,
                   .level = f->level,
                   .time_s = {NAN, NAN},
                   .bytes_per_rank = {NAN, NAN},
                   .energy_j = {NAN, NAN}};
    out->forecast = f->law[0] || f->loss > 0 || f->ranks > 0;
    const int64_t tokens = r->steps_total * r->cfg->train.batch_tokens;
    out->other_run = (f->params && f->params != r->layout.params) ||
                     (f->tokens && f->tokens != tokens) ||
                     (f->validation_set[0] && !same_set(r, f->validation_set));
    if (!out->forecast || out->other_run) return;

    /* the loss, at the end alone */
    out->has_loss = f->loss > 0;
    if (out->has_loss) out->loss = f->loss, out->low = f->low, out->high = f->high;
    if (s->last.windows > 0) out->got = s->last.loss;
    out->graded = out->has_loss && s->finished && isfinite(out->got);
    out->inside = out->graded && out->got >= out->low && out->got <= out->high;

    /* the machine: only as many ranks as planned */
    if (f->ranks != r->layout.ranks) return;
    if (f->time_s > 0) out->time_s.predicted = f->time_s;
    if (f->bytes_per_rank > 0) out->bytes_per_rank.predicted = (double)f->bytes_per_rank;
    if (f->energy_j > 0) out->energy_j.predicted = f->energy_j;
    if (s->finished) out->time_s.got = r->at.train_time_s;
    out->bytes_per_rank.got = (double)r->plan.total;
    if (s->finished && r->at.interruptions == 0) out->energy_j.got = s->energy_j;
}

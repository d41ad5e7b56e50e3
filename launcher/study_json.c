#include "study_json.h"

#include "base/file.h"
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { RESULTS_BYTES_MAX = 1 << 28 };

static json_t *run_object(const study_run *run, const study_forecast *f, int32_t i)
{
    const int64_t steps = expand_steps(&run->cfg);
    const study_repeat r = study_repeats(run, f, i);
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:f, s:o, s:o}", "run", run->name,
                  "model", run->cfg.model_name, "params", (json_int_t)run->params, "tokens",
                  (json_int_t)(steps * run->cfg.train.batch_tokens), "steps", (json_int_t)steps,
                  "flops", run->flops, "own_flops", run->own_flops, "learning_rate",
                  run->cfg.optimizer.learning_rate, "bytes_per_rank", (json_int_t)f->bytes[i],
                  "epochs", r.epochs, "fresh_tokens", json_finite(r.fresh_tokens), "prediction",
                  json_null());
    law_forecast p;
    if (o && study_predict(&p, run, f, i))
        (void)json_object_set_new(o, "prediction",
                                  json_pack("{s:f, s:o, s:o, s:f, s:b}", "loss", p.loss, "low",
                                            json_finite(p.low), "high", json_finite(p.high),
                                            "level", 0.8, "inside_range", (int)p.inside));
    return o;
}

status study_json_plan(json_t **out, const study *s, const study_runs *runs,
                       const study_forecast *f)
{
    json_t *list = json_array();
    double flops = 0;
    for (int32_t i = 0; i < runs->count; i++) {
        flops += runs->run[i].own_flops;
        (void)json_array_append_new(list, run_object(&runs->run[i], f, i));
    }
    const double time_s = study_duration(runs, f->groups, f->flops_per_s);
    const double energy_j = study_energy(s, f, time_s);
    *out = json_pack("{s:s, s:o, s:f, s:i, s:I, s:f, s:f, s:s, s:o, s:s}", "name", s->keys.name,
                     "runs", list, "flops", flops, "groups", f->groups, "ranks_per_run",
                     (json_int_t)s->keys.ranks_per_run, "flops_per_s", f->flops_per_s, "time_s",
                     time_s, "time_source", "modelled", "energy_j", json_finite(energy_j),
                     "energy_source", isfinite(energy_j) ? "modelled" : "none");
    REQUIRE(*out, ERR_MEMORY, "no memory for a plan of %d runs", runs->count);
    return OK;
}

status study_json_results(json_t **out, const char *folder, const execute_report *e)
{
    char path[1300], *text;
    json_error_t wrong;
    (void)snprintf(path, sizeof path, "%s/study.json", folder);
    TRY(file_read_text(&text, NULL, path, RESULTS_BYTES_MAX));
    *out = json_loads(text, 0, &wrong);
    free(text);
    REQUIRE(*out, ERR_IO, "%s:%d: %s", path, wrong.line, wrong.text);
    json_t *execution =
        json_pack("{s:i, s:i, s:i, s:i, s:f, s:f, s:o}", "groups", e->groups, "done", e->done,
                  "failed", e->failed, "left", e->left, "wall_s", e->wall_s, "busy_s", e->busy_s,
                  "utilisation", e->wall_s > 1 ? json_real(e->utilisation) : json_null());
    (void)json_object_set_new(*out, "execution", execution);
    return OK;
}

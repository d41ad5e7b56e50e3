/* results_write.c — table.csv and study.json. Key names are part of what other tools read. */
#include "study/results.h"

#include "base/file.h"
#include "base/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 1300, SCHEMA = 1 };
static const char *const roles[] = {"point", "sweep", "bracket", "trunk", "twin"};

static json_t *text_or_null(const char *text) { return *text ? json_string(text) : json_null(); }

static void put_loss(json_t *o, const char *prefix, const outcome_loss *l)
{
    const char *const names[] = {"loss", "loss_se", "bits_per_byte", "entropy"};
    const double values[] = {l->loss, l->loss_se, l->bits_per_byte, l->entropy};
    for (int i = 0; i < 4; i++) {
        char key[48];
        (void)snprintf(key, sizeof key, "%s%s", prefix, names[i]);
        (void)json_object_set_new(o, key, json_finite(values[i]));
    }
}

static json_t *run_object(const study_runs *runs, int32_t i, const result *r, bool point)
{
    const study_run *run = &runs->run[i];
    const char *state = r->done ? "done" : r->failed ? "failed" : "open";
    char hash[17];
    config_hash(&run->cfg, hash);
    json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:I, s:f, s:o, s:o, s:o}",
                          "run", run->name, "cell", run->cell, "role", roles[run->role], "point",
                          (int)point, "arm", text_or_null(run->arm), "row", text_or_null(run->row),
                          "scale", text_or_null(run->scale), "variant", text_or_null(run->variant),
                          "seed", (json_int_t)run->seed, "factor", run->factor, "budget",
                          run->budget > 0 ? json_real(run->budget) : json_null(), "parent",
                          run->parent >= 0 ? json_string(runs->run[run->parent].name) : json_null(),
                          "trunk", run->trunk >= 0 ? json_integer(run->trunk) : json_null());
    if (!o) return NULL;
    json_t *more =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:s, s:i}", "model",
                  run->cfg.model_name, "config_hash", hash, "params", (json_int_t)run->params,
                  "params_without_embedding", (json_int_t)run->params_without_embedding, "tokens",
                  (json_int_t)(expand_steps(&run->cfg) * run->cfg.train.batch_tokens), "steps",
                  (json_int_t)expand_steps(&run->cfg), "batch_tokens",
                  (json_int_t)run->cfg.train.batch_tokens, "flops", run->flops, "own_flops",
                  run->own_flops, "learning_rate", run->cfg.optimizer.learning_rate, "state", state,
                  "exit", r->exit);
    (void)json_object_update(o, more);
    json_decref(more);
    (void)json_object_set_new(o, "schedule",
                              json_string(
                                  config_choice("schedule", "name", run->cfg.schedule.name)));
    if (run->budget > 0) {
        const double tokens = (double)(expand_steps(&run->cfg) * run->cfg.train.batch_tokens);
        (void)json_object_set_new(o, "flop_count", json_string(expand_flops_name(run->flop_count)));
        (void)json_object_set_new(o, "budget_flops",
                                  json_real(expand_flops(&run->cfg, run->flop_count) * tokens));
    }
    put_loss(o, "", &r->got.validation);
    put_loss(o, "test_", &r->got.test);
    (void)json_object_set_new(o, "skipped_steps", json_integer(r->got.skipped_steps));
    return o;
}

static json_t *measured_object(const study_run *run, const result *r)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:s}", "run", run->name, "tokens_per_s",
                     json_finite(r->got.tokens_per_s), "flops_per_s",
                     json_finite(r->got.tokens_per_s * run->flops /
                                 (double)(expand_steps(&run->cfg) * run->cfg.train.batch_tokens)),
                     "mfu", json_finite(r->got.mfu), "time_s", json_finite(r->got.time_s),
                     "energy_j", json_finite(r->got.energy_j), "energy_source",
                     r->got.energy_source, "arithmetic_id", r->got.arithmetic_id);
}

static json_t *arm_object(const compare_arm *a, const char *name)
{
    const study_run *run = a->like;
    if (!run) return json_null();
    return json_pack("{s:s, s:I, s:I, s:f, s:f, s:I, s:o, s:o, s:o}", "arm", name, "params",
                     (json_int_t)run->params, "tokens",
                     (json_int_t)(expand_steps(&run->cfg) * run->cfg.train.batch_tokens), "flops",
                     run->flops, "learning_rate", run->cfg.optimizer.learning_rate, "batch_tokens",
                     (json_int_t)run->cfg.train.batch_tokens, "loss", json_finite(a->loss),
                     "bits_per_byte", json_finite(a->bits_per_byte), "validation_loss",
                     json_finite(a->validation_loss));
}

static json_t *comparison_object(const study *s, const study_runs *runs, const result *r)
{
    comparison c;
    if (!*s->arms[0]) return json_null();
    results_compare(&c, s, runs, r);
    json_t *rows = json_array();
    for (int32_t k = 0; k < c.rows; k++) {
        const compare_row *w = &c.row[k];
        (void)json_array_append_new(
            rows,
            json_pack("{s:o, s:[o, o], s:{s:o, s:o, s:o, s:o, s:f, s:i}, s:o}", "row",
                      text_or_null(w->row), "arms", arm_object(&w->arm[0], s->arms[0]),
                      arm_object(&w->arm[1], s->arms[1]), "difference", "mean",
                      json_finite(w->difference.mean), "low", json_finite(w->difference.low),
                      "high", json_finite(w->difference.high), "sd", json_finite(w->difference.sd),
                      "level", w->difference.level, "pairs", w->difference.pairs, "winner",
                      w->winner < 0 ? json_null() : json_string(s->arms[w->winner])));
    }
    return json_pack("{s:[s, s], s:s, s:s, s:o, s:o}", "arms", s->arms[0], s->arms[1], "loss_of",
                     c.on_test ? "test" : "validation", "interval", "paired t over seeds", "rows",
                     rows, "winner", c.winner < 0 ? json_null() : json_string(s->arms[c.winner]));
}

static status sweep_array(json_t **out, const study_runs *runs, const result *r)
{
    sweep_choice *choice;
    int32_t cells;
    *out = json_array();
    TRY(results_choose(&choice, &cells, runs, r));
    for (int32_t k = 0; k < cells; k++) {
        if (choice[k].run < 0) continue;
        const study_run *run = &runs->run[choice[k].run];
        double flops = 0;
        for (int32_t i = 0; i < runs->count; i++)
            if (runs->run[i].cell_index == k && runs->run[i].role == RUN_SWEEP)
                flops += runs->run[i].own_flops;
        (void)json_array_append_new(*out,
                                    json_pack("{s:s, s:f, s:f, s:b, s:i, s:f}", "cell", run->cell,
                                              "factor", run->factor, "learning_rate",
                                              run->cfg.optimizer.learning_rate, "interior",
                                              (int)choice[k].interior, "open", choice[k].missing,
                                              "flops", flops));
    }
    free(choice);
    return OK;
}

static status write_json(const char *folder, json_t *root)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/study.json", folder);
    return json_write(root, path);
}

static status write_study(const char *folder, const study *s, const study_runs *runs,
                          const result *r, const bool *point, json_t *fits)
{
    json_t *list = json_array(), *measured = json_array(), *sweep;
    const trunk_costs trunks = results_trunks(runs);
    for (int32_t i = 0; i < runs->count; i++) {
        (void)json_array_append_new(list, run_object(runs, i, &r[i], point[i]));
        if (r[i].done) (void)json_array_append_new(measured, measured_object(&runs->run[i], &r[i]));
    }
    TRY(sweep_array(&sweep, runs, r));
    json_t *saved = trunks.branched > 0 ? json_pack("{s:f, s:f}", "flops", trunks.branched,
                                                    "flops_of_separate_runs", trunks.separate)
                                        : json_null();
    return write_json(folder,
                      json_pack("{s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "schema",
                                SCHEMA, "name", s->keys.name, "scale", text_or_null(s->keys.scale),
                                "note", text_or_null(s->keys.note), "runs", list, "comparison",
                                comparison_object(s, runs, r), "sweep", sweep, "trunks", saved,
                                "fits", fits ? json_incref(fits) : json_array(), "measured",
                                measured));
}

/* A double that reads back, or nothing. */
static void csv_number(FILE *out, double value)
{
    if (isfinite(value))
        (void)fprintf(out, ",%.17g", value);
    else
        (void)fputc(',', out);
}

static status write_table(const char *folder, const study_runs *runs, const result *r,
                          const bool *point)
{
    char path[PATH_BYTES], *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    REQUIRE(out, ERR_MEMORY, "no memory for table.csv");
    (void)fputs("run,cell,seed,params,params_nonemb,tokens,flops,learning_rate,group,loss,"
                "bits_per_byte,entropy,test_loss,test_bits_per_byte,test_entropy\n",
                out);
    for (int32_t i = 0; i < runs->count; i++) {
        const study_run *run = &runs->run[i];
        if (!point[i] || !r[i].done) continue;
        (void)fprintf(out, "%s,%s,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64, run->name,
                      run->cell, run->seed, run->params, run->params_without_embedding,
                      expand_steps(&run->cfg) * run->cfg.train.batch_tokens);
        csv_number(out, run->flops);
        csv_number(out, run->cfg.optimizer.learning_rate);
        /* branches of one trunk share a group; every other run is its own */
        (void)fprintf(out, ",%d", run->trunk >= 0 ? run->trunk : runs->count + i);
        const outcome_loss *losses[] = {&r[i].got.validation, &r[i].got.test};
        for (int k = 0; k < 2; k++) {
            csv_number(out, losses[k]->loss);
            csv_number(out, losses[k]->bits_per_byte);
            csv_number(out, losses[k]->entropy);
        }
        (void)fputc('\n', out);
    }
    const bool failed = fclose(out) != 0;
    (void)snprintf(path, sizeof path, "%s/table.csv", folder);
    const status s = failed ? status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for table.csv")
                            : file_write_text(path, text, (int64_t)bytes);
    free(text);
    return s;
}

status results_write(const char *folder, const study *s, const study_runs *runs, const result *r,
                     json_t *fits)
{
    bool *point;
    TRY(results_points(&point, runs, r));
    status code = write_table(folder, runs, r, point);
    if (code == OK) code = write_study(folder, s, runs, r, point, fits);
    free(point);
    return code;
}

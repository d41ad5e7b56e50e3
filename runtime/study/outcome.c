#include "study/outcome.h"

#include "base/file.h"
#include "base/json.h"
#include "train/checkpoint.h"
#include "train/describe.h"
#include "train/run.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 1200, SUMMARY_BYTES_MAX = 1 << 20 };
static const int64_t RECORD_BYTES_MAX = (int64_t)1 << 32;

/* NULL in *out where there is no such file. */
static status load(json_t **out, const char *folder, const char *name)
{
    char path[PATH_BYTES], *text;
    int64_t bytes;
    json_error_t error;
    *out = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!file_exists(path)) return OK;
    TRY(file_read_text(&text, &bytes, path, SUMMARY_BYTES_MAX));
    *out = json_loads(text, 0, &error);
    free(text);
    REQUIRE(json_is_object(*out), ERR_IO, "%s: not a JSON object: %s", path, error.text);
    return OK;
}

/* The last evaluation of the record: what summary.json leaves out. */
static status last_evaluation(json_t **out, const char *folder)
{
    static const char mark[] = "{\"type\":\"eval\"";
    char path[PATH_BYTES], *text;
    int64_t bytes;
    json_error_t error;
    *out = NULL;
    (void)snprintf(path, sizeof path, "%s/record.jsonl", folder);
    if (!file_exists(path)) return OK;
    TRY(file_read_text(&text, &bytes, path, RECORD_BYTES_MAX));
    const char *last = NULL;
    for (char *line = text; *line;) {
        char *stop = strchr(line, '\n');
        if (!stop) break;
        *stop = '\0';
        if (strncmp(line, mark, sizeof mark - 1) == 0) last = line;
        line = stop + 1;
    }
    if (last) *out = json_loads(last, 0, &error);
    free(text);
    return OK;
}

static outcome_loss loss_of(const json_t *root, const char *loss, const char *error,
                            const char *entropy)
{
    return (outcome_loss){.loss = json_number_at(root, loss),
                          .loss_se = json_number_at(root, error),
                          .bits_per_byte = json_number_at(root, "bits_per_byte"),
                          .entropy = json_number_at(root, entropy)};
}

static void copy_text(char *out, size_t bytes, const json_t *root, const char *key)
{
    const char *text = json_string_value(json_object_get(root, key));
    (void)snprintf(out, bytes, "%s", text ? text : "");
}

status outcome_read(outcome *out, const char *folder)
{
    json_t *summary = NULL, *test = NULL, *last = NULL;
    status s = load(&summary, folder, "summary.json");
    if (s == OK) s = last_evaluation(&last, folder);
    if (s == OK) s = load(&test, folder, "test.json");
    if (s == OK) {
        *out = (outcome){.finished = json_is_true(json_object_get(summary, "finished")),
                         .steps = json_integer_value(json_object_get(summary, "steps")),
                         .tokens = json_integer_value(json_object_get(summary, "tokens")),
                         .skipped_steps =
                             json_integer_value(json_object_get(summary, "skipped_steps")),
                         .validation = loss_of(summary, "val_loss", "val_loss_se", ""),
                         .test = loss_of(test, "test_loss", "test_loss_se", "test_entropy"),
                         .tokens_per_s = json_number_at(summary, "tokens_per_s"),
                         .mfu = json_number_at(summary, "mfu"),
                         .time_s = json_number_at(json_object_get(summary, "time_s"), "total"),
                         .energy_j = json_number_at(summary, "energy_j")};
        out->validation.entropy = json_number_at(last, "entropy");
        copy_text(out->energy_source, sizeof out->energy_source, summary, "energy_source");
        copy_text(out->arithmetic_id, sizeof out->arithmetic_id, summary, "arithmetic_id");
    }
    json_decref(summary);
    json_decref(test);
    json_decref(last);
    return s;
}

static status write_test(const char *folder, const run *r, const evaluation *e)
{
    char path[PATH_BYTES];
    json_t *root =
        json_pack("{s:i, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:s}", "schema", 1, "step",
                  (json_int_t)r->at.step, "test_loss", json_finite(e->loss), "test_loss_se",
                  json_finite(e->loss_se), "bits_per_byte", json_finite(e->bits_per_byte),
                  "test_entropy", json_finite(e->oracle), "windows", (json_int_t)e->windows,
                  "tokens", (json_int_t)e->tokens, "bytes", (json_int_t)e->bytes, "test_data",
                  samples_about(r->validation)->identity);
    (void)snprintf(path, sizeof path, "%s/test.json", folder);
    return json_write(root, path);
}

/* The model of the newest checkpoint, evaluated. COLLECTIVE */
static status evaluate_newest(world *w, const config *cfg, const char *folder, run **r)
{
    char checkpoints[PATH_BYTES];
    checkpoint_info from;
    evaluation e;
    (void)snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", folder);
    TRY(run_open_test(r, cfg, w));
    TRY(checkpoint_find(&from, w, checkpoints, NULL, NULL));
    REQUIRE(from.path[0], ERR_IO, "%s holds no complete checkpoint", checkpoints);
    TRY(checkpoint_load(*r, &from, false));
    TRY(run_evaluate(*r, &e));
    return world_agree(w, world_rank(w) == 0 ? write_test(folder, *r, &e) : OK);
}

status outcome_test(world *w, const config *cfg, const char *test, const char *folder)
{
    char path[PATH_BYTES];
    run *r = NULL;
    int32_t there = 0;
    (void)snprintf(path, sizeof path, "%s/test.json", folder);
    if (world_rank(w) == 0) there = file_exists(path);
    TRY(world_broadcast(w, &there, sizeof there, 0));
    if (there) return OK;
    config *with = malloc(sizeof *with);
    REQUIRE(with, ERR_MEMORY, "no memory for a config");
    *with = *cfg;
    (void)snprintf(with->data.validation, sizeof with->data.validation, "%s", test);
    const status s = evaluate_newest(w, with, folder, &r);
    run_close(r);
    free(with);
    return s;
}

#include "fit_runs.h"

#include "base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, LIMIT = 1 << 26, SAME = 7, TEXT_BYTES = 160 };

/* What must be equal in all runs: paths into the header of the record. */
static const char *const same_names[SAME] = {"training data", "validation data", "tokenizer",
                                             "context",       "precision",       "optimizer",
                                             "schedule"};
static const char *const same_paths[SAME][3] = {{"train_data", "identity"},
                                                {"validation_data", "identity"},
                                                {"validation_data", "tokenizer_sha256"},
                                                {"config", "model", "context"},
                                                {"config", "train", "precision"},
                                                {"config", "optimizer", "name"},
                                                {"config", "schedule", "name"}};

typedef struct same_texts {
    char text[SAME][TEXT_BYTES];
} same_texts;

static const json_t *at_path(const json_t *root, const char *const path[3])
{
    for (int i = 0; i < 3 && path[i]; i++) root = json_object_get(root, path[i]);
    return root;
}

static void text_at(char out[TEXT_BYTES], const json_t *root, const char *const path[3])
{
    char *text = json_dumps(at_path(root, path), JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    (void)snprintf(out, TEXT_BYTES, "%s", text ? text : "null");
    free(text);
}

/* The first line of a record, or a whole small file. */
static status load_json(json_t **out, const char *folder, const char *name, bool first_line)
{
    char path[PATH_BYTES], *text;
    int64_t bytes;
    json_error_t error;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    TRY(file_read_text(&text, &bytes, path, LIMIT));
    if (first_line) text[strcspn(text, "\n")] = 0;
    *out = json_loads(text, 0, &error);
    free(text);
    REQUIRE(*out, ERR_CONFIG, "%s: not JSON: %s", path, error.text);
    return OK;
}

static double number_at(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static status leave_out(fit_left_out *left, const char *folder, const char *reason)
{
    const size_t bytes = strlen(folder) + strlen(reason) + 3;
    left->line[left->count] = malloc(bytes);
    REQUIRE(left->line[left->count], ERR_MEMORY, "no memory");
    (void)snprintf(left->line[left->count++], bytes, "%s: %s", folder, reason);
    return OK;
}

/* NULL, or why this run is no point. */
static const char *reason_against(const json_t *summary, const fit_point *row, bool repeated)
{
    if (!json_is_true(json_object_get(summary, "finished"))) return "unfinished";
    if (!isfinite(row->loss)) return "no validation loss at the end (diverged or not evaluated)";
    if (!(row->params > 0) || !(row->tokens > 0) || !(row->loss > 0)) return "damaged summary";
    if (!repeated && row->unique > 0 && row->tokens > row->unique) return "repeats its data";
    return NULL;
}

/* Keeps texts of the first run; later ones must agree. */
static status compare(same_texts *first, const char *first_folder, const char *folder,
                      const json_t *header)
{
    char text[TEXT_BYTES];
    for (int i = 0; i < SAME; i++) {
        text_at(text, header, same_paths[i]);
        if (!first_folder) {
            (void)snprintf(first->text[i], TEXT_BYTES, "%s", text);
            continue;
        }
        REQUIRE(strcmp(first->text[i], text) == 0, ERR_CONFIG,
                "%s: %s is %.70s, in %s it is %.70s; one law needs one setting", folder,
                same_names[i], text, first_folder, first->text[i]);
    }
    return OK;
}

static void set_origin(law_origin *o, const json_t *header)
{
    const json_t *data = json_object_get(header, "train_data");
    const json_t *validation = json_object_get(header, "validation_data");
    const json_t *config = json_object_get(header, "config");
    const char *identity = json_string_value(json_object_get(data, "identity"));
    const char *set = json_string_value(json_object_get(validation, "identity"));
    const char *sha = json_string_value(json_object_get(validation, "tokenizer_sha256"));
    const char *schedule =
        json_string_value(json_object_get(json_object_get(config, "schedule"), "name"));
    const json_t *context = json_object_get(json_object_get(config, "model"), "context");
    (void)snprintf(o->data, sizeof o->data, "%s", identity ? identity : "");
    (void)snprintf(o->validation_set, sizeof o->validation_set, "%s", set ? set : "");
    (void)snprintf(o->tokenizer_sha256, sizeof o->tokenizer_sha256, "%s", sha ? sha : "");
    (void)snprintf(o->schedule_class, sizeof o->schedule_class, "%s", schedule ? schedule : "");
    (void)snprintf(o->flop_count, sizeof o->flop_count, "model");
    o->context = (int32_t)json_integer_value(context);
}

/* One run with both files at hand. */
static status add_run(points *out, fit_left_out *left, const char *folder, const json_t *summary,
                      const json_t *header, bool repeated)
{
    const double unique = number_at(json_object_get(header, "train_data"), "tokens");
    const fit_point row = {.params = number_at(summary, "params"),
                           .tokens = number_at(summary, "tokens"),
                           .loss = number_at(summary, "val_loss"),
                           .flops = number_at(json_object_get(summary, "flops"), "model"),
                           .unique = isfinite(unique) ? unique : 0,
                           .params_nonemb = number_at(summary, "params_without_embedding"),
                           .group = out->count,
                           .line = out->count + 1};
    const char *reason = reason_against(summary, &row, repeated);
    return reason ? leave_out(left, folder, reason) : points_add(out, &row);
}

status fit_runs_read(points *out, fit_left_out *left, law_origin *origin,
                     const char *const *folders, int32_t count, bool repeated)
{
    same_texts first;
    const char *first_folder = NULL;
    *out = (points){.has_flops = true, .has_unique = true, .has_nonemb = true};
    *left = (fit_left_out){calloc((size_t)count, sizeof(char *)), 0};
    REQUIRE(left->line, ERR_MEMORY, "no memory");
    for (int32_t i = 0; i < count; i++) {
        char path[PATH_BYTES];
        json_t *summary = NULL, *header = NULL;
        (void)snprintf(path, sizeof path, "%s/record.jsonl", folders[i]);
        REQUIRE(file_exists(path), ERR_CONFIG, "%s: no run directory (it has no record.jsonl)",
                folders[i]);
        (void)snprintf(path, sizeof path, "%s/summary.json", folders[i]);
        if (!file_exists(path)) {
            TRY(leave_out(left, folders[i], "unfinished"));
            continue;
        }
        status s = load_json(&summary, folders[i], "summary.json", false);
        if (s == OK) s = load_json(&header, folders[i], "record.jsonl", true);
        if (s == OK) s = compare(&first, first_folder, folders[i], header);
        if (s == OK) s = add_run(out, left, folders[i], summary, header, repeated);
        if (s == OK && !first_folder) set_origin(origin, header), first_folder = folders[i];
        json_decref(summary);
        json_decref(header);
        TRY(s);
    }
    REQUIRE(out->count > 0, ERR_CONFIG, "none of %d runs is a point: %s", count,
            left->count ? left->line[0] : "");
    return OK;
}

void fit_left_out_deinit(fit_left_out *left)
{
    for (int32_t i = 0; i < left->count; i++) free(left->line[i]);
    free(left->line);
    *left = (fit_left_out){0};
}

#include "report/run_record.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096 };
static const int64_t record_limit = INT64_C(1) << 32, summary_limit = INT64_C(1) << 24;

/* --- reading -------------------------------------------------------------- */

/* Room for one more in an array of count elements, which grows by doubling. */
static status grow(void **array, int32_t count, size_t bytes)
{
    if (count & (count - 1)) return OK;
    void *grown = realloc(*array, (count ? 2 * (size_t)count : 1) * bytes);
    REQUIRE(grown, ERR_MEMORY, "no memory for a record");
    *array = grown;
    return OK;
}

static status add_step(run_record *r, const json_t *line)
{
    TRY(grow((void **)&r->step, r->steps, sizeof *r->step));
    r->step[r->steps++] = (step_point){.step = json_number_at(line, "step"),
                                       .tokens = json_number_at(line, "tokens"),
                                       .flops = json_number_at(line, "flops"),
                                       .loss = json_number_at(line, "loss"),
                                       .learning_rate = json_number_at(line, "learning_rate"),
                                       .step_time_s = json_number_at(line, "step_time_s"),
                                       .tokens_per_s = json_number_at(line, "tokens_per_s"),
                                       .mfu = json_number_at(line, "mfu"),
                                       .energy_j = json_number_at(line, "energy_j"),
                                       .skipped = json_is_true(json_at(line, "skipped"))};
    return OK;
}

static status add_eval(run_record *r, const json_t *line)
{
    TRY(grow((void **)&r->eval, r->evals, sizeof *r->eval));
    r->eval[r->evals++] = (eval_point){.step = json_number_at(line, "step"),
                                       .tokens = json_number_at(line, "tokens"),
                                       .loss = json_number_at(line, "val_loss"),
                                       .loss_se = json_number_at(line, "val_loss_se"),
                                       .bits_per_byte = json_number_at(line, "bits_per_byte"),
                                       .entropy = json_number_at(line, "entropy")};
    return OK;
}

/* Takes over the reference to line. */
static status add_line(run_record *r, json_t *line)
{
    const char *type = json_text_at(line, "type");
    status s = OK;
    if (strcmp(type, "step") == 0) s = add_step(r, line);
    if (strcmp(type, "eval") == 0) s = add_eval(r, line);
    if (strcmp(type, "event") == 0) (void)json_array_append(r->events, line);
    json_decref(line);
    return s;
}

/* Lines up to the first that is no object; the rest is counted. A last line without its newline may
 * still be in the writing: it is left alone silently. */
static status read_lines(run_record *r, char *text, const char *path)
{
    int32_t number = 0;
    for (char *at = text, *next; at && *at; at = next) {
        next = strchr(at, '\n');
        if (!next && r->header) break;
        if (next) *next++ = 0;
        number++;
        json_t *line = r->damaged_line ? NULL : json_loads(at, 0, NULL);
        if (!r->header) {
            const bool header = line && strcmp(json_text_at(line, "type"), "header") == 0;
            if (header)
                r->header = line;
            else
                json_decref(line);
            REQUIRE(header, ERR_CONFIG, "%s:1: no header line; this is no record of a run", path);
            continue;
        }
        if (!json_is_object(line)) {
            json_decref(line);
            if (!r->damaged_line) r->damaged_line = number;
            r->lost_lines++;
            continue;
        }
        TRY(add_line(r, line));
    }
    REQUIRE(r->header, ERR_CONFIG, "%s: empty; the run has not begun", path);
    return OK;
}

static status read_record(run_record *r)
{
    char path[PATH_BYTES], *text;
    int64_t bytes;
    (void)snprintf(path, sizeof path, "%s/record.jsonl", r->folder);
    TRY(file_reach(path));
    REQUIRE(file_exists(path), ERR_CONFIG, "%s: no run directory (it has no record.jsonl)",
            r->folder);
    TRY(file_read_text(&text, &bytes, path, record_limit));
    /* a hole of zero bytes is damage of its line, not the end of the text */
    for (int64_t i = 0; i < bytes; i++)
        if (!text[i]) text[i] = 1;
    const status s = read_lines(r, text, path);
    free(text);
    return s;
}

static status read_summary(run_record *r)
{
    char path[PATH_BYTES], *text;
    int64_t bytes;
    (void)snprintf(path, sizeof path, "%s/summary.json", r->folder);
    if (!file_exists(path)) return OK;
    TRY(file_read_text(&text, &bytes, path, summary_limit));
    r->summary = json_loads(text, 0, NULL);
    free(text);
    REQUIRE(json_is_object(r->summary), ERR_CONFIG, "%s: damaged: not a JSON object", path);
    return OK;
}

bool run_record_is(const char *folder)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/record.jsonl", folder);
    return file_exists(path);
}

status run_record_read(run_record *out, const char *folder)
{
    run_record r = {.folder = strdup(folder), .events = json_array()};
    status s = r.folder && r.events ? OK : ERR_MEMORY;
    if (s != OK) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a record");
    if (s == OK) {
        /* the last part of the path, without slashes at its end */
        size_t length = strlen(r.folder);
        while (length > 1 && r.folder[length - 1] == '/') r.folder[--length] = 0;
        const char *slash = strrchr(r.folder, '/');
        r.name = slash && slash[1] ? slash + 1 : r.folder;
        s = read_record(&r);
    }
    if (s == OK) s = read_summary(&r);
    if (s == OK)
        *out = r;
    else
        run_record_deinit(&r);
    return s;
}

void run_record_deinit(run_record *r)
{
    json_decref(r->header);
    json_decref(r->summary);
    json_decref(r->events);
    json_decref(r->role);
    free(r->step);
    free(r->eval);
    free(r->folder);
    *r = (run_record){0};
}

/* --- what is asked often -------------------------------------------------- */

bool run_record_finished(const run_record *r)
{
    return json_is_true(json_at(r->summary, "finished"));
}

/* From the summary; of a run that has not ended, from its header, or (older records) its study. */
static double of_any(const run_record *r, const char *key)
{
    const double ended = json_number_at(r->summary, key), begun = json_number_at(r->header, key);
    if (isfinite(ended)) return ended;
    return isfinite(begun) ? begun : json_number_at(r->role, key);
}

double run_record_params(const run_record *r) { return of_any(r, "params"); }

double run_record_params_nonemb(const run_record *r)
{
    return of_any(r, "params_without_embedding");
}

double run_record_tokens(const run_record *r)
{
    if (run_record_finished(r)) return json_number_at(r->summary, "tokens");
    return r->steps ? r->step[r->steps - 1].tokens : NAN;
}

double run_record_flops(const run_record *r)
{
    if (run_record_finished(r)) return json_number_at(r->summary, "flops.model");
    return r->steps ? r->step[r->steps - 1].flops : NAN;
}

double run_record_val_loss(const run_record *r)
{
    if (run_record_finished(r)) return json_number_at(r->summary, "val_loss");
    return r->evals ? r->eval[r->evals - 1].loss : NAN;
}

double run_record_bits_per_byte(const run_record *r)
{
    if (run_record_finished(r)) return json_number_at(r->summary, "bits_per_byte");
    return r->evals ? r->eval[r->evals - 1].bits_per_byte : NAN;
}

double run_record_time_s(const run_record *r)
{
    double sum = 0;
    for (int32_t i = 0; i < r->steps; i++)
        if (isfinite(r->step[i].step_time_s)) sum += r->step[i].step_time_s;
    return r->steps ? sum : NAN;
}

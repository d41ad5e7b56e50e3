#include "bench/bench_compare.h"
#include "base/json.h"
#include "bench/bench_result.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 7, NAME = 160 };

/* Where rows stand, what tells them apart, and the quantity that is compared. */
typedef struct row_kind {
    const char *name, *rows; /* rows: a list, or one object that is the row */
    const char *keys[KEYS];  /* ends with NULL */
    const char *quantity;
    bool larger_is_better;
} row_kind;

static const row_kind kinds[] = {
    {"gemm", "gemm.rows", {"product", "form", "precision", "m", "n", "k", NULL}, "flops", true},
    {"memory", "memory.rows", {"stream", "ranks", "bytes", NULL}, "bytes_per_s", true},
    {"collectives",
     "collectives.rows",
     {"operation", "type", "comm", "bytes", NULL},
     "p50_s",
     false},
    {"io", "io.rows", {"what", "ranks", "bytes_per_rank", NULL}, "bytes_per_s", true},
    {"step", "step", {"ranks", "precision", "batch_tokens", NULL}, "median_s", false},
    {"strong", "scaling.strong.rows", {"ranks", "micro_batches", NULL}, "step_time_s", false},
    {"weak", "scaling.weak.rows", {"ranks", "micro_batches", NULL}, "step_time_s", false},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* a change that nothing but chance made is at most this, where a row states no spread */
static const double least_noise = 0.05;

/* "gemm qkv forward bf16 m 512 n 1152 k 384" */
static void name_row(const row_kind *k, const json_t *row, char *out)
{
    (void)snprintf(out, NAME, "%s", k->name);
    for (int i = 0; k->keys[i]; i++) {
        const json_t *value = json_object_get(row, k->keys[i]);
        const size_t used = strlen(out);
        if (json_is_string(value))
            (void)snprintf(out + used, NAME - used, " %s", json_string_value(value));
        else
            (void)snprintf(out + used, NAME - used, " %s %.0f", k->keys[i],
                           json_number_value(value));
    }
}

static double noise_of(const json_t *row)
{
    return fmax(least_noise, json_number_value(json_object_get(row, "spread")));
}

/* A kind's rows as a list; the caller owns it. */
static json_t *rows_of(const json_t *result, const row_kind *k)
{
    json_t *found = json_at(result, k->rows);
    if (json_is_array(found)) return json_incref(found);
    json_t *one = json_array();
    if (json_is_object(found)) (void)json_array_append(one, found);
    return one;
}

/* The row of this name whose quantity is a number above 0. */
static const json_t *find_row(const row_kind *k, const json_t *rows, const char *name)
{
    size_t i;
    json_t *row;
    char other[NAME];
    json_array_foreach(rows, i, row)
    {
        name_row(k, row, other);
        if (strcmp(other, name) == 0 && json_number_at(row, k->quantity) > 0) return row;
    }
    return NULL;
}

static void compare_rows(bench_change *out, const row_kind *k, const json_t *before,
                         const json_t *after)
{
    *out = (bench_change){.before = json_number_at(before, k->quantity),
                          .after = json_number_at(after, k->quantity)};
    name_row(k, before, out->what);
    out->ratio = out->after / out->before;
    out->noise = noise_of(before) + noise_of(after);
    out->changed = fabs(log(out->ratio)) > log1p(out->noise);
    out->better = (out->ratio > 1) == k->larger_is_better;
}

/* All rows of one kind; before's rows fit into out->changes. */
static void compare_kind(bench_comparison *out, const row_kind *k, const json_t *before,
                         const json_t *after)
{
    size_t i;
    char name[NAME];
    json_t *row, *a = rows_of(before, k), *b = rows_of(after, k);
    int32_t both = 0;
    json_array_foreach(a, i, row)
    {
        name_row(k, row, name);
        const json_t *mine = find_row(k, a, name), *other = find_row(k, b, name);
        if (mine != row || !other) continue;
        bench_change *c = &out->changes[out->count + both++];
        compare_rows(c, k, row, other);
        out->changed += c->changed;
    }
    out->count += both;
    out->alone[0] += (int32_t)json_array_size(a) - both;
    out->alone[1] += (int32_t)json_array_size(b) - both;
    json_decref(a);
    json_decref(b);
}

/* --- what else is not the same -------------------------------------------- */

static void add_difference(bench_comparison *out, const char *what, const char *a, const char *b)
{
    const size_t used = strlen(out->differs);
    if (strcmp(a, b) == 0) return;
    (void)snprintf(out->differs + used, sizeof out->differs - used, "%s%s '%.48s' -> '%.48s'",
                   used ? "; " : "", what, a, b);
}

/* The keys of their configs that are not the same. */
static void add_config(bench_comparison *out, const json_t *before, const json_t *after)
{
    static const char *const path = "config";
    if (strcmp(json_text_at(before, path), json_text_at(after, path)) == 0) return;
    config *both = calloc(2, sizeof *both);
    const size_t used = strlen(out->differs), bytes = sizeof out->differs;
    char keys[300] = "";
    if (both && bench_result_config(&both[0], before) == OK &&
        bench_result_config(&both[1], after) == OK)
        config_differences(keys, sizeof keys, &both[0], &both[1]);
    free(both);
    (void)snprintf(out->differs + used, bytes - used, "%sconfig: %s", used ? "; " : "",
                   keys[0] ? keys : "not the same");
}

static void add_differences(bench_comparison *out, const json_t *before, const json_t *after)
{
    static const char *const texts[] = {"version", "commit",   "backend", "device",
                                        "mpi",     "compiler", "model",   "hardware.host"};
    static const char *const counts[] = {"hardware.cores", "hardware.nodes", "hardware.ranks"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        add_difference(out, texts[i], json_text_at(before, texts[i]),
                       json_text_at(after, texts[i]));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char a[32], b[32];
        (void)snprintf(a, sizeof a, "%.0f", json_number_at(before, counts[i]));
        (void)snprintf(b, sizeof b, "%.0f", json_number_at(after, counts[i]));
        add_difference(out, counts[i], a, b);
    }
    add_config(out, before, after);
}

status bench_compare(bench_comparison *out, const json_t *before, const json_t *after)
{
    size_t most = 1;
    *out = (bench_comparison){0};
    for (int i = 0; i < KINDS; i++) {
        json_t *rows = rows_of(before, &kinds[i]);
        most += json_array_size(rows);
        json_decref(rows);
    }
    out->changes = calloc(most, sizeof *out->changes);
    REQUIRE(out->changes, ERR_MEMORY, "no memory for %zu rows", most);
    for (int i = 0; i < KINDS; i++) compare_kind(out, &kinds[i], before, after);
    add_differences(out, before, after);
    if (out->count > 0) return OK;
    bench_comparison_deinit(out);
    FAIL(ERR_CONFIG, "the two results have no row in common%s%s", out->differs[0] ? "; " : "",
         out->differs);
}

void bench_comparison_deinit(bench_comparison *c)
{
    free(c->changes);
    c->changes = NULL;
}

#include "bench/bench_compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where rows stand, what tells them apart, and the quantity that is compared. */
typedef struct row_kind {
    const char *section, *list; /* list NULL: the section itself is the row */
    const char *keys[5];        /* ends with NULL */
    const char *quantity;
    bool larger_is_better;
} row_kind;

static const row_kind kinds[] = {
    {"gemm", "rows", {"product", "form", "precision", NULL}, "flops", true},
    {"memory", "rows", {"stream", "ranks", "bytes", NULL}, "bytes_per_s", true},
    {"collectives", "rows", {"operation", "type", "comm", "bytes", NULL}, "p50_s", false},
    {"io", "rows", {"what", "ranks", NULL}, "bytes_per_s", true},
    {"step", NULL, {"ranks", "precision", NULL}, "median_s", false},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* a change that nothing but chance made is at most this, where a row states no spread */
static const double least_noise = 0.05;

/* "qkv forward bf16" */
static void name_row(const row_kind *k, const json_t *row, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%s", k->section);
    for (int i = 0; k->keys[i]; i++) {
        const json_t *value = json_object_get(row, k->keys[i]);
        size_t used = strlen(out);
        if (json_is_string(value))
            (void)snprintf(out + used, bytes - used, " %s", json_string_value(value));
        else
            (void)snprintf(out + used, bytes - used, " %s %lld", k->keys[i],
                           (long long)json_integer_value(value));
    }
}

static double noise_of(const json_t *row)
{
    double spread = json_number_value(json_object_get(row, "spread"));
    return spread > least_noise ? spread : least_noise;
}

/* the row of `rows` with this name */
static const json_t *find_row(const row_kind *k, const json_t *rows, const char *name)
{
    size_t i;
    json_t *row;
    char other[160];
    json_array_foreach(rows, i, row)
    {
        name_row(k, row, other, sizeof other);
        if (strcmp(other, name) == 0) return row;
    }
    return NULL;
}

static bool compare_rows(const row_kind *k, const json_t *before, const json_t *after,
                         bench_change *out)
{
    *out = (bench_change){0};
    name_row(k, before, out->what, sizeof out->what);
    out->before = json_number_value(json_object_get(before, k->quantity));
    out->after = json_number_value(json_object_get(after, k->quantity));
    if (!(out->before > 0) || !(out->after > 0)) return false;
    out->ratio = out->after / out->before;
    out->noise = noise_of(before) + noise_of(after);
    out->changed = fabs(log(out->ratio)) > log1p(out->noise);
    out->better = (out->ratio > 1) == k->larger_is_better;
    return true;
}

/* a section's rows; the section itself becomes a list of one */
static json_t *rows_of(const json_t *result, const row_kind *k)
{
    json_t *section = json_object_get(result, k->section);
    if (k->list) return json_incref(json_object_get(section, k->list));
    json_t *one = json_array();
    if (section) (void)json_array_append(one, section);
    return one;
}

status bench_compare(bench_change **out, int32_t *count, const json_t *before, const json_t *after)
{
    size_t most = 0;
    for (int i = 0; i < KINDS; i++) {
        json_t *rows = rows_of(before, &kinds[i]);
        most += json_array_size(rows);
        json_decref(rows);
    }
    bench_change *all = calloc(most + 1, sizeof *all);
    REQUIRE(all, ERR_MEMORY, "no memory for %zu rows", most);
    *count = 0;
    for (int i = 0; i < KINDS; i++) {
        size_t j;
        char name[160];
        json_t *row, *a = rows_of(before, &kinds[i]), *b = rows_of(after, &kinds[i]);
        json_array_foreach(a, j, row)
        {
            name_row(&kinds[i], row, name, sizeof name);
            const json_t *other = find_row(&kinds[i], b, name);
            if (other && compare_rows(&kinds[i], row, other, &all[*count])) (*count)++;
        }
        json_decref(a);
        json_decref(b);
    }
    if (*count == 0) {
        free(all);
        FAIL(ERR_CONFIG, "the two results have no row in common");
    }
    *out = all;
    return OK;
}

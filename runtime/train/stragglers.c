#include "train/stragglers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* the parts of summary.json */
static const char *const part_names[STRAGGLERS_PARTS] = {"compute", "comm",       "wait",
                                                         "data",    "checkpoint", "step"};
enum { PART_COMPUTE = 0, PART_DATA = 3 };

static const double slow_ratio = 1.1;

status stragglers_init(stragglers *out)
{
    *out = (stragglers){0};
    out->s = calloc(STRAGGLERS_STEPS, sizeof *out->s);
    REQUIRE(out->s, ERR_MEMORY, "no memory for the times of the last steps");
    return OK;
}

void stragglers_deinit(stragglers *s)
{
    free(s->s);
    s->s = NULL;
}

void stragglers_add(stragglers *s, const run_times *now, double step_s)
{
    const run_times *b = &s->before;
    const double parts[STRAGGLERS_PARTS] = {now->compute - b->compute,
                                            now->comm - b->comm,
                                            now->wait - b->wait,
                                            now->data - b->data,
                                            now->checkpoint - b->checkpoint,
                                            step_s};
    float *row = s->s[s->count++ % STRAGGLERS_STEPS];
    for (int p = 0; p < STRAGGLERS_PARTS; p++) row[p] = (float)parts[p];
    s->before = *now;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* the lower one of two: the slow one of two ranks is compared with the other */
static double median(double *values, int64_t count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[(count - 1) / 2];
}

/* own steps, part by part */
static void summarize(straggler_row *out, const stragglers *s, int64_t steps, double *scratch)
{
    for (int p = 0; p < STRAGGLERS_PARTS && steps > 0; p++) {
        double sum = 0.0, squares = 0.0;
        for (int64_t i = 0; i < steps; i++) {
            scratch[i] = (double)s->s[i][p];
            sum += scratch[i];
        }
        double mean = sum / (double)steps;
        for (int64_t i = 0; i < steps; i++) squares += (scratch[i] - mean) * (scratch[i] - mean);
        out->median_s[p] = median(scratch, steps);
        out->longest_s[p] = scratch[steps - 1];
        out->spread[p] = mean > 0 ? sqrt(squares / (double)steps) / mean : 0.0;
    }
}

/* all ranks, part by part */
static void compare(straggler_table *t, double *scratch)
{
    for (int p = 0; p < STRAGGLERS_PARTS; p++) {
        straggler_part *part = &t->part[p];
        for (int32_t r = 0; r < t->ranks; r++) {
            const straggler_row *row = &t->rows[r];
            scratch[r] = row->median_s[p];
            if (row->longest_s[p] > part->longest_s) part->longest_s = row->longest_s[p];
            if (row->median_s[p] > part->worst_s) {
                part->worst_s = row->median_s[p];
                part->worst_rank = r;
            }
        }
        part->median_s = median(scratch, t->ranks);
        for (int32_t r = 0; r < t->ranks; r++) scratch[r] = t->rows[r].spread[p];
        part->spread = median(scratch, t->ranks);
    }
}

status straggler_table_init(straggler_table *out, const stragglers *s, world *w)
{
    int32_t ranks = world_size(w);
    int64_t most = ranks > STRAGGLERS_STEPS ? ranks : STRAGGLERS_STEPS;
    straggler_row mine = {.rank = world_rank(w)};
    *out = (straggler_table){.ranks = ranks};
    out->steps = s->count < STRAGGLERS_STEPS ? s->count : STRAGGLERS_STEPS;
    out->rows = calloc((size_t)ranks, sizeof *out->rows);
    double *scratch = calloc((size_t)most, sizeof *scratch);
    status code = out->rows && scratch
                      ? OK
                      : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for the stragglers");
    code = world_agree(w, code);
    if (code == OK) {
        summarize(&mine, s, out->steps, scratch);
        if (gethostname(mine.host, sizeof mine.host - 1) != 0)
            (void)snprintf(mine.host, sizeof mine.host, "?");
        code = world_gather(w, out->rows, &mine, sizeof mine);
    }
    if (code == OK) compare(out, scratch);
    free(scratch);
    if (code != OK) straggler_table_deinit(out);
    return code;
}

void straggler_table_deinit(straggler_table *t)
{
    free(t->rows);
    t->rows = NULL;
}

int32_t straggler_slowest(const straggler_table *t, double *ratio, const char **part)
{
    const int own[] = {PART_COMPUTE, PART_DATA};
    int32_t found = -1;
    *ratio = 0.0;
    *part = "";
    if (t->steps == 0) return -1;
    for (int i = 0; i < 2; i++) {
        const straggler_part *p = &t->part[own[i]];
        /* what is a small part of the step slows nobody */
        if (p->worst_s - p->median_s < (slow_ratio - 1) * t->part[PART_COMPUTE].median_s) continue;
        if (!(p->median_s > 0 && p->worst_s >= slow_ratio * p->median_s) || found >= 0) continue;
        *ratio = p->worst_s / p->median_s;
        *part = part_names[own[i]];
        found = p->worst_rank;
    }
    return found;
}

static json_t *parts_json(const straggler_table *t)
{
    json_t *all = json_object();
    for (int p = 0; p < STRAGGLERS_PARTS; p++) {
        const straggler_part *part = &t->part[p];
        (void)json_object_set_new(all, part_names[p],
                                  json_pack("{s:f, s:f, s:i, s:s, s:f, s:f}", "median_s",
                                            part->median_s, "worst_s", part->worst_s, "worst_rank",
                                            part->worst_rank, "worst_host",
                                            t->rows[part->worst_rank].host, "longest_s",
                                            part->longest_s, "spread", part->spread));
    }
    return all;
}

json_t *straggler_table_json(const straggler_table *t)
{
    double ratio;
    const char *part;
    if (!t->rows || t->steps == 0) return json_null();
    json_t *ranks = json_array();
    for (int32_t r = 0; r < t->ranks; r++) {
        const straggler_row *row = &t->rows[r];
        json_t *o = json_pack("{s:i, s:s}", "rank", row->rank, "host", row->host);
        for (int p = 0; p < STRAGGLERS_PARTS; p++)
            (void)json_object_set_new(o, part_names[p], json_real(row->median_s[p]));
        (void)json_array_append_new(ranks, o);
    }
    int32_t slow = straggler_slowest(t, &ratio, &part);
    json_t *slowest = slow < 0 ? json_null()
                               : json_pack("{s:i, s:s, s:s, s:f}", "rank", slow, "host",
                                           t->rows[slow].host, "part", part, "ratio", ratio);
    return json_pack("{s:I, s:o, s:o, s:o}", "steps", (json_int_t)t->steps, "slowest", slowest,
                     "parts", parts_json(t), "ranks", ranks);
}

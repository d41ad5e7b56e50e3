#include "bench/bench_laws.h"

#include "base/json.h"
#include "bench/bench_series.h"
#include "measure/energy.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { POINTS_MAX = 24, WARM = 2, STEPS = 4, MICRO_BATCHES = 2 };

static void add_count(int32_t *counts, int32_t *n, int32_t count)
{
    int32_t at = 0;
    while (at < *n && counts[at] < count) at++;
    if ((at < *n && counts[at] == count) || *n == POINTS_MAX) return;
    for (int32_t i = *n; i > at; i--) counts[i] = counts[i - 1];
    counts[at] = count;
    ++*n;
}

/* Rank counts 1, 2, 4, ... and all; of several nodes also 1, 2, 4, ... of them. Rising, the same on
 * all ranks. COLLECTIVE */
static status rank_counts(world *w, int32_t *counts, int32_t *n)
{
    const int32_t ranks = world_size(w);
    int32_t local = world_local_size(w);
    TRY(world_broadcast(w, &local, sizeof local, 0));
    *n = 0;
    add_count(counts, n, ranks);
    for (int64_t r = 1; r < ranks; r *= 2) add_count(counts, n, (int32_t)r);
    if (world_nodes(w) > 1)
        for (int64_t r = local; r < ranks; r *= 2) add_count(counts, n, (int32_t)r);
    return OK;
}

/* One point: step times of repeats, sorted; what a rank's part and the meter say. */
typedef struct point {
    int32_t ranks, nodes;
    int64_t micro_batches;
    bench_times step;                    /* one median of STEPS steps per repeat */
    double part_s[SERIES_PARTS], wall_s; /* means of all steps: the parts sum to it */
    double energy_j, tokens;
} point;

static double median_wall(const series_step *steps, int32_t count)
{
    bench_times t = {.count = count};
    for (int32_t i = 0; i < count; i++) t.s[i] = steps[i].wall_s;
    bench_sort(&t);
    return bench_quantile(&t, 0.5);
}

/* the ranks of `group` take steps together */
static status take_point(bench *b, world *group, int64_t micro_batches, point *out)
{
    series s;
    series_step steps[STEPS];
    status code = series_init(&s, b->options, group, micro_batches);
    energy_meter meter;
    energy_open(&meter, NULL);
    double before_j = energy_read_j(&meter);
    for (int32_t k = 0; code == OK && k < b->options->repeats; k++) {
        code = series_take(&s, k == 0 ? WARM : 0, STEPS, steps);
        out->step.s[out->step.count++] = median_wall(steps, STEPS);
        for (int i = 0; i < STEPS; i++) {
            out->wall_s += steps[i].wall_s / (STEPS * b->options->repeats);
            for (int p = 0; p < SERIES_PARTS; p++)
                out->part_s[p] += steps[i].part_s[p] / (STEPS * b->options->repeats);
        }
    }
    /* of this node, warm-up included; several nodes' meters are not added here */
    out->energy_j = energy_read_j(&meter) - before_j;
    energy_close(&meter);
    if (code == OK)
        out->tokens = (double)s.cfg.train.batch_tokens * (STEPS * b->options->repeats + WARM);
    bench_sort(&out->step);
    series_deinit(&s);
    return code;
}

/* the first n ranks measure, the others rest at the barrier */
static status point_of(bench *b, int32_t n, int64_t micro_batches, point *out)
{
    world *group = NULL;
    bool takes_part = world_rank(b->w) < n;
    *out = (point){.ranks = n, .micro_batches = micro_batches};
    TRY(world_split(b->w, &group, takes_part ? 0 : 1));
    out->nodes = world_nodes(group);
    status s = takes_part ? take_point(b, group, micro_batches, out) : OK;
    world_close(group);
    return world_agree(b->w, s);
}

static json_t *parts_object(const point *p)
{
    json_t *o = json_object();
    for (int i = 0; i < SERIES_PARTS; i++)
        (void)json_object_set_new(o, series_parts[i], json_real(p->part_s[i]));
    return o;
}

/* times relative to the one rank's: speed-up of a fixed batch, or of batches that grow with n */
static double speedup_of(const point *one, const point *p, bool weak, double q_one, double q)
{
    double t1 = bench_quantile(&one->step, q_one), t = bench_quantile(&p->step, q);
    return (weak ? p->ranks : 1.0) * t1 / t;
}

static json_t *row_of(const bench *b, const point *one, const point *p, bool weak)
{
    double n = p->ranks, speedup = speedup_of(one, p, weak, 0.5, 0.5);
    bool metered = isfinite(p->energy_j) && world_nodes(b->w) == 1;
    return json_pack("{s:i, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:[f, f], s:b, s:o, s:o}", "ranks",
                     p->ranks, "nodes", p->nodes, "micro_batches", (json_int_t)p->micro_batches,
                     "step_time_s", bench_quantile(&p->step, 0.5), "wall_s", p->wall_s, "spread",
                     bench_spread(&p->step), "speedup", speedup, "efficiency", speedup / n,
                     "efficiency_interval", speedup_of(one, p, weak, 0.1, 0.9) / n,
                     speedup_of(one, p, weak, 0.9, 0.1) / n, "oversubscribed",
                     (int)(p->ranks > sysconf(_SC_NPROCESSORS_ONLN) * world_nodes(b->w)), "parts",
                     parts_object(p), "energy_per_token_j",
                     metered ? json_real(p->energy_j / p->tokens) : json_null());
}

static json_t *laws_object(const point *points, int32_t count, bool weak)
{
    double ranks[POINTS_MAX], speedup[POINTS_MAX];
    scaling_laws laws;
    for (int32_t i = 0; i < count; i++) {
        ranks[i] = points[i].ranks;
        speedup[i] = speedup_of(&points[0], &points[i], weak, 0.5, 0.5);
    }
    scaling_fit(&laws, ranks, speedup, count);
    json_t *amdahl =
        laws.amdahl_known && !weak ? json_pack("{s:f}", "serial_share", laws.serial) : json_null();
    json_t *usl = laws.usl_known ? json_pack("{s:f, s:f, s:o}", "sigma", laws.sigma, "kappa",
                                             laws.kappa, "best_ranks", json_finite(laws.best_ranks))
                                 : json_null();
    return json_pack("{s:o, s:o}", "amdahl", amdahl, "usl", usl);
}

static status series_of(bench *b, bool weak, json_t **out)
{
    int32_t counts[POINTS_MAX], ranks = world_size(b->w), count;
    TRY(rank_counts(b->w, counts, &count));
    point *points = calloc((size_t)count, sizeof *points);
    ASSERT(points);
    status s = OK;
    for (int32_t i = 0; s == OK && i < count; i++) {
        bench_say(b, "scaling", "%s, %d rank%s", weak ? "weak" : "strong", counts[i],
                  counts[i] == 1 ? "" : "s");
        s = point_of(b, counts[i], (int64_t)MICRO_BATCHES * (weak ? counts[i] : ranks), &points[i]);
    }
    if (s == OK && b->first) {
        json_t *rows = json_array();
        for (int32_t i = 0; i < count; i++)
            (void)json_array_append_new(rows, row_of(b, &points[0], &points[i], weak));
        *out = json_pack("{s:o, s:o}", "laws", laws_object(points, count, weak), "rows", rows);
    }
    free(points);
    return s;
}

status bench_scaling(bench *b, json_t **out)
{
    json_t *strong = NULL, *weak = NULL;
    status s = series_of(b, false, &strong);
    if (s == OK) s = series_of(b, true, &weak);
    if (s != OK) {
        json_decref(strong);
        json_decref(weak);
        return s;
    }
    energy_meter meter;
    energy_open(&meter, NULL);
    if (b->first)
        *out = json_pack("{s:i, s:s, s:o, s:o}", "repeats", b->options->repeats, "energy_source",
                         energy_source(&meter), "strong", strong, "weak", weak);
    energy_close(&meter);
    return OK;
}

#include "bench/bench_series.h"
#include "base/json.h"
#include "measure/energy.h"

#include <math.h>
#include <stdlib.h>

enum { MICRO_BATCHES = 2, WARM = 2, STEPS_LEAST = 5, STEPS_MOST = 200 };
_Static_assert((int)STEPS_MOST <= (int)BENCH_REPEATS_MAX, "room to choose among all steps");

/* One rank's means over the middle half of the undisturbed steps, so that a step in which the
 * machine did something else does not count; the parts sum to the wall time, as means do. Median
 * and spread are of all undisturbed ones. */
typedef struct means {
    double wall_s, median_s, spread, part_s[SERIES_PARTS];
    int32_t node;
} means;

typedef enum step_use { STEP_DISTURBED, STEP_COUNTS, STEP_MIDDLE } step_use;

static means mean_of(const series_step *steps, int32_t count, const step_use *use)
{
    means m = {0};
    int32_t n = 0;
    bench_times t = {0};
    for (int32_t i = 0; i < count; i++) n += use[i] == STEP_MIDDLE;
    for (int32_t i = 0; i < count; i++) {
        if (use[i] == STEP_DISTURBED) continue;
        t.s[t.count++] = steps[i].wall_s;
        if (use[i] != STEP_MIDDLE) continue;
        m.wall_s += steps[i].wall_s / n;
        for (int p = 0; p < SERIES_PARTS; p++) m.part_s[p] += steps[i].part_s[p] / n;
    }
    bench_sort(&t);
    m.median_s = bench_quantile(&t, 0.5);
    m.spread = bench_spread(&t);
    return m;
}

/* Which steps are in the middle half of the undisturbed ones, by the first rank's wall time: the
 * same for all ranks. */
static status choose_steps(bench *b, const series_step *steps, int32_t count, step_use *use)
{
    double share[STEPS_MOST];
    bool counts[STEPS_MOST];
    bench_times t = {0};
    for (int32_t i = 0; i < count; i++) share[i] = steps[i].stolen_share;
    bench_undisturbed(counts, share, count);
    for (int32_t i = 0; i < count; i++)
        if (counts[i]) {
            t.s[t.count++] = steps[i].wall_s;
            bench_count(b, steps[i].wall_s, share[i]);
        }
    bench_sort(&t);
    const double low = bench_quantile(&t, 0.25), high = bench_quantile(&t, 0.75);
    for (int32_t i = 0; i < count; i++)
        use[i] = !counts[i]                                          ? STEP_DISTURBED
                 : steps[i].wall_s >= low && steps[i].wall_s <= high ? STEP_MIDDLE
                                                                     : STEP_COUNTS;
    return world_broadcast(b->w, use, count * (int64_t)sizeof *use, 0);
}

static json_t *parts_object(const means *m)
{
    json_t *o = json_object();
    for (int p = 0; p < SERIES_PARTS; p++)
        (void)json_object_set_new(o, series_parts[p], json_real(m->part_s[p]));
    return o;
}

static means mean_of_ranks(const means *all, int32_t ranks)
{
    means m = {0};
    for (int32_t r = 0; r < ranks; r++) {
        m.wall_s += all[r].wall_s / ranks;
        m.median_s += all[r].median_s / ranks;
        m.spread += all[r].spread / ranks;
        for (int p = 0; p < SERIES_PARTS; p++) m.part_s[p] += all[r].part_s[p] / ranks;
    }
    return m;
}

/* one series: means of all ranks on every rank */
static status measure(bench *b, series *s, bool overlap, int32_t count, means *all)
{
    series_step *steps = calloc((size_t)count, sizeof *steps);
    step_use use[STEPS_MOST] = {STEP_DISTURBED};
    ASSERT(steps && count <= STEPS_MOST);
    s->r->overlap = overlap;
    status code = series_take(s, WARM, count, steps);
    if (code == OK) code = choose_steps(b, steps, count, use);
    means mine = mean_of(steps, count, use);
    mine.node = world_node(b->w);
    if (code == OK) code = world_gather(b->w, all, &mine, sizeof mine);
    free(steps);
    return code;
}

/* The rank that works longest: what a step waits for. */
static const means *longest_of(const means *all, int32_t ranks)
{
    double most = -1.0;
    const means *longest = all;
    for (int32_t r = 0; r < ranks; r++) {
        double own = 0.0;
        for (int p = 0; p <= SERIES_OPTIMIZER; p++) own += all[r].part_s[p];
        if (own > most) longest = &all[r];
        most = fmax(most, own);
    }
    return longest;
}

static json_t *report(bench *b, const series *s, const means *with, const means *without,
                      int32_t steps)
{
    int32_t ranks = world_size(b->w);
    const config *cfg = &s->cfg;
    means m = mean_of_ranks(with, ranks), plain = mean_of_ranks(without, ranks);
    json_t *rows = json_array();
    for (int32_t r = 0; r < ranks; r++)
        (void)json_array_append_new(rows,
                                    json_pack("{s:i, s:i, s:f, s:f, s:o}", "rank", r, "node",
                                              with[r].node, "wall_s", with[r].wall_s, "median_s",
                                              with[r].median_s, "parts", parts_object(&with[r])));
    /* how far the parts that have a name are from the wall time */
    double unaccounted = fabs(m.part_s[SERIES_OTHER]) / m.wall_s;
    double exposed = m.part_s[SERIES_COMMUNICATION], alone = plain.part_s[SERIES_COMMUNICATION];
    dtype type = cfg->train.precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
    bench_times burst = {.count = b->ops->burst ? 5 : 0};
    for (int i = 0; i < burst.count; i++) burst.s[i] = b->ops->burst(b->device, type);
    bench_sort(&burst);
    flop_counts f;
    block_flops(&f, &cfg->model);
    double tokens = (double)cfg->train.batch_tokens / m.median_s;
    double peak = bench_quantile(&burst, 0.5);
    return json_pack("{s:i, s:i, s:I, s:I, s:s, s:f, s:f, s:f, s:o, s:f, s:f, s:f, s:f, s:f, s:o, "
                     "s:o, s:o, s:b, s:o, s:o}",
                     "ranks", ranks, "steps", steps, "micro_batches", (json_int_t)s->r->M,
                     "batch_tokens", (json_int_t)cfg->train.batch_tokens, "precision",
                     config_choice("train", "precision", cfg->train.precision), "wall_s", m.wall_s,
                     "median_s", m.median_s, "spread", m.spread, "parts", parts_object(&m),
                     "unaccounted", unaccounted, "hidden_communication_s",
                     fmax(0.0, alone - exposed), "communication_without_overlap_s", alone,
                     "wall_without_overlap_s", plain.wall_s, "tokens_per_s", tokens,
                     "peak_flops_per_rank", json_finite(peak), "mfu",
                     json_finite(f.palm * tokens / (peak * ranks)), "by_rank", rows, "stand_in",
                     b->options->rates != NULL, "operations", bench_parts_operations(s->r->device),
                     "longest_rank", parts_object(longest_of(with, ranks)));
}

status bench_step(bench *b, json_t **out)
{
    series s;
    int32_t ranks = world_size(b->w), count = STEPS_LEAST;
    means *all = calloc((size_t)ranks * 2, sizeof *all);
    series_step first = {0};
    ASSERT(all);
    bench_say(b, "step", "opening a run of %d rank%s", ranks, ranks == 1 ? "" : "s");
    status code = series_init(&s, b->options, b->w, (int64_t)MICRO_BATCHES * ranks);
    if (code == OK) code = series_take(&s, 1, 1, &first);
    /* as many steps as the time allows, the same on all ranks */
    double fit = b->options->seconds / 2 / fmax(first.wall_s, 1e-6);
    count = fit > STEPS_MOST ? STEPS_MOST : fit > STEPS_LEAST ? (int32_t)fit : STEPS_LEAST;
    if (code == OK) code = world_broadcast(b->w, &count, sizeof count, 0);
    for (int overlap = 1; code == OK && overlap >= 0; overlap--) {
        bench_say(b, "step", "%d steps %s overlap", count, overlap ? "with" : "without");
        code = measure(b, &s, overlap, count, overlap ? all : all + ranks);
    }
    if (code == OK && b->first) *out = report(b, &s, all, all + ranks, count);
    series_deinit(&s);
    free(all);
    return code;
}

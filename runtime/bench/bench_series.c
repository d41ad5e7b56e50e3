#include "bench/bench_series.h"
#include "base/clock.h"
#include "bench/bench_result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const series_parts[SERIES_PARTS] = {"products", "attention",     "memory",  "optimizer",
                                                "data",     "communication", "slowest", "other"};

/* Any number of steps of a model, on facts made up as they are read. */
static void make_config(config *out, const config *cfg, int64_t micro_batches)
{
    *out = *cfg;
    out->data.synthetic = SYNTHETIC_ZIPF_FACTS;
    out->zipf.keys = 1000; /* large tables only take time to make */
    out->data.train[0] = out->data.validation[0] = '\0';
    out->train.batch_tokens = micro_batches * cfg->train.micro_batch * cfg->model.context;
    out->train.tokens = out->train.batch_tokens * (1 << 20);
    out->evaluate.tokens = cfg->model.context;
    out->checkpoint.asynchronous = false;
}

status series_init(series *out, const bench_options *options, world *w, int64_t micro_batches)
{
    run *r = NULL;
    out->r = NULL;
    make_config(&out->cfg, options->cfg, micro_batches);
    TRY(run_check(&r, &out->cfg, w));
    out->r = r;
    device *timed;
    const ops *table;
    TRY(world_agree(w, bench_parts_open(&timed, &table, r->ops, r->device, options->rates)));
    r->ops = table;
    r->device = timed;
    return run_start(r);
}

void series_deinit(series *s)
{
    run_close(s->r);
    s->r = NULL;
}

status series_rates(bench_rates *out, const config *cfg, const json_t *result)
{
    config *theirs = calloc(1, sizeof *theirs);
    REQUIRE(theirs, ERR_MEMORY, "no memory for a config");
    status s = bench_result_config(theirs, result);
    if (s == OK) s = config_same_identity(cfg, theirs);
    free(theirs);
    TRY(s);
    return bench_rates_read(out, json_object_get(json_object_get(result, "step"), "operations"));
}

/* what a step was made of, as far as this rank alone can tell: all that is communication or
 * waiting stands under communication */
static status take_one(series *s, series_step *out)
{
    run *r = s->r;
    step_result result;
    double before[BENCH_PARTS], sum = 0.0;
    const double *now = bench_parts_view(r->device);
    for (int p = 0; p < BENCH_PARTS; p++) before[p] = now[p];
    run_times times = r->times;
    const double start_s = clock_s(), stolen_s = clock_stolen_s();
    TRY(run_step(r, false, &result));
    *out = (series_step){.wall_s = result.time_s};
    out->stolen_share = clock_stolen_share(clock_stolen_s() - stolen_s, clock_s() - start_s);
    for (int p = 0; p < BENCH_PARTS; p++) out->part_s[p] = now[p] - before[p];
    out->part_s[SERIES_DATA] = r->times.data - times.data;
    out->part_s[SERIES_COMMUNICATION] = r->times.comm - times.comm + r->times.wait - times.wait;
    for (int p = 0; p < SERIES_OTHER; p++) sum += out->part_s[p];
    out->part_s[SERIES_OTHER] = out->wall_s - sum;
    return OK;
}

/* Seconds of own work up to where all ranks meet. */
static double busy_s(const series_step *s)
{
    return s->part_s[SERIES_PRODUCTS] + s->part_s[SERIES_ATTENTION] + s->part_s[SERIES_MEMORY] +
           s->part_s[SERIES_DATA];
}

/* What only all ranks together know. They begin a step together, since the one before ended with
 * an exchange: who works less than the longest waits for the difference, and no longer than it
 * communicated at all. */
static status find_slowest(world *w, series_step *steps, int32_t count)
{
    typedef struct told {
        double busy_s, stolen_share;
    } told;
    int32_t ranks = world_size(w);
    told *mine = malloc((size_t)count * sizeof *mine);
    told *all = malloc((size_t)count * (size_t)ranks * sizeof *all);
    ASSERT(mine && all);
    for (int32_t i = 0; i < count; i++) mine[i] = (told){busy_s(&steps[i]), steps[i].stolen_share};
    status s = world_gather(w, all, mine, count * (int64_t)sizeof *mine);
    for (int32_t i = 0; s == OK && i < count; i++) {
        double longest = 0.0, *part_s = steps[i].part_s;
        for (int32_t r = 0; r < ranks; r++) {
            const told *one = &all[r * count + i];
            longest = fmax(longest, one->busy_s);
            steps[i].stolen_share = fmax(steps[i].stolen_share, one->stolen_share);
        }
        part_s[SERIES_SLOWEST] = fmin(longest - mine[i].busy_s, part_s[SERIES_COMMUNICATION]);
        part_s[SERIES_COMMUNICATION] -= part_s[SERIES_SLOWEST];
    }
    free(all);
    free(mine);
    return s;
}

status series_take(series *s, int32_t warm, int32_t count, series_step *steps)
{
    series_step unused;
    for (int32_t i = 0; i < warm; i++) TRY(take_one(s, &unused));
    for (int32_t i = 0; i < count; i++) TRY(take_one(s, &steps[i]));
    return find_slowest(s->r->world, steps, count);
}

/* bench_series.h — optimizer steps of a run made for measuring: opened, taken, timed by part.
 * The run is synthetic, writes nothing and ends with the series. */
#ifndef BENCH_BENCH_SERIES_H
#define BENCH_BENCH_SERIES_H

#include "bench/bench.h"
#include "bench/bench_parts.h"
#include "train/run.h"

/* The parts of a step, which sum to its wall time. */
typedef enum series_part {
    SERIES_PRODUCTS,
    SERIES_ATTENTION,
    SERIES_MEMORY,
    SERIES_OPTIMIZER,
    SERIES_DATA,
    SERIES_COMMUNICATION, /* that nothing hides                                    */
    SERIES_SLOWEST,       /* waiting for the rank that computes longest            */
    SERIES_OTHER,         /* between the others: the step's own bookkeeping        */
    SERIES_PARTS
} series_part;
extern const char *const series_parts[SERIES_PARTS];

typedef struct series_step {
    double wall_s, part_s[SERIES_PARTS];
    double
        stolen_share; /* of the processors, at the machine that lost most of them; NaN: unknown */
} series_step;

typedef struct series {
    config cfg;
    run *r;
} series;

/* ranks of w share micro_batches of the config's size; with rates of the options operations only
 * rest (bench_parts.h). COLLECTIVE over w. The caller deinits. */
status series_init(series *out, const bench_options *options, world *w, int64_t micro_batches);
void series_deinit(series *s);
/* How long the operations of cfg's step took in a result. ERR_CONFIG when the result is of another
 * config, or has no section step. */
status series_rates(bench_rates *out, const config *cfg, const json_t *result);
/* Takes `count` steps (after `warm` unmeasured ones); steps: this rank's. COLLECTIVE */
status series_take(series *s, int32_t warm, int32_t count, series_step *steps);

#endif

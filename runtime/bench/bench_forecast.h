/* bench_forecast.h — what plan says of the machine a result describes, for other rank counts. */
#ifndef BENCH_BENCH_FORECAST_H
#define BENCH_BENCH_FORECAST_H

#include "bench/bench.h"
#include "plan/cluster.h"

typedef struct bench_forecast {
    config cfg;
    cluster hw;
    int32_t most_ranks; /* of which something can be said */
} bench_forecast;

/* From a result with gemm, memory, collectives and step: the cluster that --write would write, and
 * the config that was measured. ERR_CONFIG: it does not hold enough. */
status bench_forecast_init(bench_forecast *out, const json_t *result);
/* Seconds of a step of so many micro-batches over ranks; NaN where plan has no answer. */
double bench_forecast_s(const bench_forecast *f, int32_t ranks, int64_t micro_batches);

#endif

/* bench_calibrate.h — a cluster whose prediction of a measured step is that step.
 * plan's model keeps its form; the constants of a machine (shares of the peak and of the memory's
 * bandwidth, what reductions reach of a link, how much of them work hides) are set so that the
 * parts it predicts for the step are the parts that were measured. What the model then says of
 * other rank counts is a prediction: tests/bench/predict grades it.
 * Flow: bench.h, predict.h -> bench_calibrate -> bench_cluster.h                                 */
#ifndef BENCH_BENCH_CALIBRATE_H
#define BENCH_BENCH_CALIBRATE_H

#include "bench/bench.h"
#include "plan/cluster.h"

/* c: the nodes and ranks that the result's step ran on; its efficiencies and the link between the
 * ranks (of the network with several nodes) are changed. ERR_CONFIG when the result does not hold
 * its config, or plan cannot predict its step on c. */
status bench_calibrate(cluster *c, const json_t *result);

#endif

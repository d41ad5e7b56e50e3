/* bench_cluster.h — measured numbers as a cluster file, in the form `plan --cluster` reads. */
#ifndef BENCH_BENCH_CLUSTER_H
#define BENCH_BENCH_CLUSTER_H

#include "bench/bench.h"
#include "plan/cluster.h"

/* The cluster that a result of bench_run describes: what was measured with source measured, its
 * date and the program's version; what was not is unknown or left to the rules of plan. ERR_CONFIG
 * names a section that is missing (gemm, memory; collectives with several ranks). */
status bench_cluster(cluster *out, const json_t *result, const char *name);
/* Writes it to path; the name is the file's without folder and ".yaml". */
status bench_cluster_write(const json_t *result, const char *path);

#endif

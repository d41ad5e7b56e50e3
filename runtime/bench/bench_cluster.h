/* bench_cluster.h — measured numbers as a cluster file, in the form `plan --cluster` reads. */
#ifndef BENCH_BENCH_CLUSTER_H
#define BENCH_BENCH_CLUSTER_H

#include "bench/bench.h"
#include "plan/cluster.h"

/* The cluster that results of bench_run describe: what was measured with source measured, its date
 * and the program's version; what was not is unknown or left to the rules of plan. Of a section
 * that several results have the last one counts, but each level of links is taken where it was
 * measured: so ranks of one node and one rank on each of several make one file. Steps then correct
 * what they are made of (bench_calibrate.h). ERR_CONFIG names a section that no result has (gemm,
 * memory; collectives with several ranks). */
status bench_cluster(cluster *out, const json_t *const *results, int32_t count, const char *name);
/* Writes it to path; the name is the file's without folder and ".yaml". */
status bench_cluster_write(const json_t *const *results, int32_t count, const char *path);

/* A value measured by this result: its day, and who measured what. Not finite: unknown. */
cluster_value bench_measured(const json_t *result, double value, const char *what);

#endif

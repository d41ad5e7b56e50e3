/* bench_compare.h — what changed between two results of isoflop bench, beyond their spread.
 * Flow: bench_result.h -> bench_compare -> bench_page.h */
#ifndef BENCH_BENCH_COMPARE_H
#define BENCH_BENCH_COMPARE_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>

typedef struct bench_change {
    char what[160];       /* "gemm qkv forward bf16 m 512 n 1152 k 384" */
    double before, after; /* of the same quantity                        */
    double ratio;         /* after / before                              */
    double noise;         /* what the spreads of both allow, as a ratio - 1 */
    bool better;          /* meaningful with changed                     */
    bool changed;         /* |ratio - 1| beyond noise                    */
} bench_change;

/* Rows of both, matched by what they are. */
typedef struct bench_comparison {
    bench_change *changes; /* owned                                       */
    int32_t count, changed;
    int32_t alone[2];  /* rows that only the one, only the other has  */
    char differs[600]; /* "version 0.1.0 -> 0.2.0; device ...": what else is not the same; "" */
} bench_comparison;

/* ERR_CONFIG when nothing matches. */
status bench_compare(bench_comparison *out, const json_t *before, const json_t *after);
void bench_comparison_deinit(bench_comparison *c);

#endif

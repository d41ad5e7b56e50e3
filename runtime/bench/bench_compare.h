/* bench_compare.h — what changed between two results of isoflop bench, beyond their spread. */
#ifndef BENCH_BENCH_COMPARE_H
#define BENCH_BENCH_COMPARE_H

#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>

typedef struct bench_change {
    char what[160];       /* "gemm qkv forward bf16 512x1152x384: flops" */
    double before, after; /* of the same quantity                        */
    double ratio;         /* after / before                              */
    double noise;         /* what the spreads of both allow, as a ratio - 1 */
    bool better;          /* meaningful with changed                     */
    bool changed;         /* |ratio - 1| beyond noise                    */
} bench_change;

/* Rows of both, matched by what they are; *out is malloc'ed, *count its length. ERR_CONFIG when
 * nothing matches. */
status bench_compare(bench_change **out, int32_t *count, const json_t *before, const json_t *after);

#endif

/* bench_parts.h — a table of operations that times every call of another one, by part.
 * Where work is queued on a device it waits after each call: parts are then right, but nothing runs
 * beside anything, and the sum is longer than a step.
 * As a stand-in it computes nothing: each call rests for as long as its size took elsewhere. What
 * is left of a step is its schedule and its communication, also on fewer cores than ranks. */
#ifndef BENCH_BENCH_PARTS_H
#define BENCH_BENCH_PARTS_H

#include "kernels/ops.h"

#include <jansson.h>

typedef enum bench_part {
    BENCH_PRODUCTS,  /* linear layers and the output layer with its loss           */
    BENCH_ATTENTION, /* fused attention                                            */
    BENCH_MEMORY,    /* norms, activations, rotations, embeddings, sums            */
    BENCH_OPTIMIZER, /* norms of gradients, clipping, update, digests, conversions */
    BENCH_PARTS
} bench_part;

enum { BENCH_OPS_MAX = 24 };

/* Seconds that each operation takes per unit of its size; 0: not known. */
typedef struct bench_rates {
    double s[BENCH_OPS_MAX];
} bench_rates;

/* Takes over `inner` of the table `ops`; closed through (*table)->close, which closes inner too.
 * rates: a stand-in, which fails with ERR_CONFIG at an operation they do not know; NULL: computes.
 */
status bench_parts_open(device **out, const ops **table, const ops *inner_ops, device *inner,
                        const bench_rates *rates);
/* Seconds so far. Borrowed; d is from bench_parts_open. */
const double *bench_parts_view(const device *d);
/* What each operation took so far: [{operation, calls, size, seconds}]. The caller json_decrefs. */
json_t *bench_parts_operations(const device *d);
/* The rates of such rows. ERR_CONFIG when they are none. */
status bench_rates_read(bench_rates *out, const json_t *operations);

#endif

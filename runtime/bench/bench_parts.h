/* bench_parts.h — a table of operations that times every call of another one, by part.
 * Where work is queued on a device it waits after each call: parts are then right, but nothing runs
 * beside anything, and the sum is longer than a step. */
#ifndef BENCH_BENCH_PARTS_H
#define BENCH_BENCH_PARTS_H

#include "kernels/ops.h"

typedef enum bench_part {
    BENCH_PRODUCTS,  /* linear layers and the output layer with its loss           */
    BENCH_ATTENTION, /* fused attention                                            */
    BENCH_MEMORY,    /* norms, activations, rotations, embeddings, sums            */
    BENCH_OPTIMIZER, /* norms of gradients, clipping, update, digests, conversions */
    BENCH_PARTS
} bench_part;

/* Takes over `inner` of the table `ops`; closed through (*table)->close, which closes inner too. */
status bench_parts_open(device **out, const ops **table, const ops *inner_ops, device *inner);
/* Seconds so far. Borrowed; d is from bench_parts_open. */
const double *bench_parts_view(const device *d);

#endif

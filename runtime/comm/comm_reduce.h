/* comm_reduce.h — element-wise sums and maxima of several buffers, in a fixed order.
 * Pure and bound by memory: every source is read once, every result written once.              */
#ifndef COMM_COMM_REDUCE_H
#define COMM_COMM_REDUCE_H

#include "comm/comm.h"

typedef struct reduce_job {
    dtype type; /* I64 or F32 sum; I32, I64 or F64 max            */
    comm_op op;
    const void *const *in; /* (in_count) sources, combined in this order     */
    int32_t in_count;      /* >= 1                                           */
    void *const *out;      /* (out_count) all get the result; may be sources */
    int32_t out_count;
    int64_t count; /* elements                                       */
} reduce_job;

/* out[j][i] = in[0][i] op in[1][i] op ...; a NaN wins a maximum. */
void comm_reduce(const reduce_job *job);

#endif

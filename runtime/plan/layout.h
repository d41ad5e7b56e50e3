/* layout.h — where each parameter lies in memory and which rank owns which stripe.
 * Pure. CHUNK is kernels/ops.h's. The logical flat vector holds the parameters in row order without
 * gaps (checkpoints, digests, norms). The physical vector holds the same elements in buckets, each
 * padded to ranks x CHUNK elements; inside a bucket rank r owns stripe r. Bucket borders do not
 * depend on ranks; chunk c of bucket b is the same elements for every number of ranks.           */
#ifndef PLAN_LAYOUT_H
#define PLAN_LAYOUT_H

#include "model/block.h"

typedef struct bucket {
    int64_t logical;   /* first element in the logical vector                 */
    int64_t count;     /* elements without padding                            */
    int64_t physical;  /* first element in the physical vector                */
    int64_t stripe;    /* elements of one rank's stripe: padded count / ranks */
    int64_t chunk;     /* number of its first chunk, over all buckets         */
    int32_t ready_layer; /* lowest layer it holds: its gradients are complete after backward of it;
                            L: head and final norm only; -1: embeddings                          */
} bucket;

typedef struct layout {
    int32_t ranks;
    int32_t row_count, bucket_count;
    param_row *rows;      /* owned */
    bucket *buckets;      /* owned */
    int64_t params;       /* N: logical elements                  */
    int64_t physical;     /* elements incl. padding               */
    int64_t shard;        /* elements of one rank's stripes       */
    int64_t chunks;       /* chunks that hold at least one element */
} layout;

/* A run of elements of one rank's stripe that exist (padding left out). */
typedef struct stripe_range {
    int64_t logical, physical, shard; /* first element in each numbering */
    int64_t count;                    /* 0: this stripe is all padding   */
    int64_t chunk;                    /* number of its first chunk       */
} stripe_range;

/* ranks >= 1. Fails with ERR_MEMORY only. The caller deinits. */
status layout_init(layout *out, const model_config *m, int32_t ranks);
void layout_deinit(layout *l);
/* Stripe of `rank` in bucket b. */
stripe_range layout_stripe(const layout *l, int32_t b, int32_t rank);
/* Position in the physical vector of a logical element. */
int64_t layout_physical(const layout *l, int64_t logical);
/* First row of this role and layer; NULL if the architecture has none. */
const param_row *layout_row(const layout *l, param_role role, int32_t layer);

#endif

/* memory.h — bytes one rank will take, by kind, before anything is taken.
 * Pure. The run opens one arena per kind with exactly these bytes, so predicted = actual by
 * construction; a test compares both with what the system counts. */
#ifndef PLAN_MEMORY_H
#define PLAN_MEMORY_H

#include "config/config.h"
#include "model/activations.h"
#include "plan/layout.h"

typedef enum memory_kind {
    MEMORY_WEIGHTS,     /* (physical) act: what ops read; in fp32 also the masters          */
    MEMORY_GRADIENTS,   /* (physical) f32: one micro-batch                                  */
    MEMORY_SUMS,        /* (physical) i64, or f32 with fast reduction: summed gradients     */
    MEMORY_STATE,       /* first and second moments, and in bf16 the fp32 masters: own part */
    MEMORY_ACTIVATIONS, /* see model/activations.h                                          */
    MEMORY_WORKSPACE,   /* the backend's scratch                                            */
    MEMORY_EXCHANGE,    /* losses, norms, digests, verdicts between ranks; batches; scalars */
    MEMORY_SNAPSHOT,    /* own part of masters and moments while a checkpoint is written    */
    MEMORY_TWIN,        /* host copy of exchange; 0 where ops compute in host memory        */
    MEMORY_KINDS
} memory_kind;

typedef struct memory_plan {
    int64_t bytes[MEMORY_KINDS];
    int64_t total;
} memory_plan;

/* What a rank reports each step before its lists: verdicts, energy and the state of its GPU. */
enum { MEMORY_REPORT_BYTES = 112 };

/* Sizes of what ranks tell each other each step; see train/step.c. */
typedef struct exchange_sizes {
    int64_t losses;       /* doubles in one rank's slot: ceil(M / ranks)                    */
    int64_t chunks;       /* chunks of one rank's stripes (padding included)                */
    int64_t report_bytes; /* one rank's slot of the step report                             */
    int64_t digest_bytes; /* one rank's slot of digests                                     */
    int64_t eval_windows; /* doubles in one rank's slot of an evaluation                    */
    int64_t batch_bytes;  /* token ids of one micro-batch on the host                       */
} exchange_sizes;

/* eval_windows: windows of the evaluation set (0: none). */
void memory_exchange(exchange_sizes *out, const config *cfg, const layout *l, int64_t eval_windows);
/* What a training run asks activations_init for. */
void memory_activations(activations_spec *out, const config *cfg);
/* workspace_bytes: from ops->workspace_bytes. */
void memory_plan_build(memory_plan *out, const config *cfg, const layout *l,
                       int64_t workspace_bytes, int64_t eval_windows);
/* What the ranks of a node reduce and gather they read in each other's windows. The system counts
 * those pages as resident (RssShmem) in every process that reads them, though they exist once:
 * a process shows total + this. node_ranks: of the ranks, those on this rank's node. */
int64_t memory_of_peers(const memory_plan *p, const config *cfg, int32_t ranks, int32_t node_ranks);
/* Adds what a run on a device with memory of its own takes besides. */
void memory_plan_device(memory_plan *p);
/* Always host memory, also of a run on a device. */
bool memory_on_host(memory_kind kind);
const char *memory_kind_name(memory_kind kind);
/* Elements of moments (and masters) this rank keeps. */
int64_t memory_state_elements(const config *cfg, const layout *l);

#endif

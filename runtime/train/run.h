/* run.h — everything one training run owns, opened and closed in one place.
 * Flow of opening: local checks -> agree -> communicator and memory -> agree -> weights, or a
 * checkpoint -> agree. */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H

#include "base/arena.h"
#include "comm/comm.h"
#include "config/config.h"
#include "data/samples.h"
#include "kernels/ops.h"
#include "measure/energy.h"
#include "model/transformer.h"
#include "plan/memory.h"
#include "train/replay.h"

/* Wall seconds of this rank by part. */
typedef struct run_times {
    double compute, comm, wait, data, checkpoint;
} run_times;

/* Steps whose mean loss is that of the summary. */
enum { LAST_LOSSES = 20 };

/* Where the run stands: all a resume needs besides the arrays. Equal on all ranks. */
typedef struct progress {
    int64_t step;               /* optimizer steps taken, skipped ones included        */
    int64_t updates;            /* steps that were not skipped: t of the moments       */
    int64_t tokens;             /* step x batch_tokens                                 */
    int64_t nonfinite;          /* skipped steps so far                                */
    int64_t nonfinite_row;      /* ... in a row, up to now                             */
    int64_t interruptions;      /* times this run directory was resumed                */
    double train_time_s;        /* wall time of steps, over all sittings               */
    double energy_j;            /* of steps, over all sittings; NaN without meters     */
    double losses[LAST_LOSSES]; /* of step n at (n - 1) % LAST_LOSSES                  */
    run_times times;            /* of rank 0, over the sittings before this one         */
} progress;

/* What the last checkpoint cost this rank. */
typedef struct checkpoint_cost {
    int64_t step;
    double stall_s; /* training stood still: preparing, copying, publishing */
    double write_s; /* writing, syncing and reading back, perhaps beside it */
} checkpoint_cost;

/* What one step did; equal on all ranks but for times. */
typedef struct step_result {
    int64_t step, tokens; /* after it                                      */
    double loss;          /* mean over the M micro-batches, nats/token     */
    double grad_norm;     /* of the mean gradient, before clipping         */
    double learning_rate;
    double time_s;
    uint64_t digest;      /* of the weights after the step                 */
    uint64_t data_digest; /* of the sample numbers it read                 */
    bool skipped;
    bool stop;       /* some rank was asked to stop                   */
    double energy_j; /* of all nodes since the step before; NaN without meters */
    bool idle;       /* no rank is still writing a checkpoint         */
} step_result;

typedef struct evaluation {
    double loss, loss_se; /* nats/token, standard error over windows       */
    double bits_per_byte; /* NaN when the bytes are unknown                */
    double oracle;        /* exact entropy of the same tokens; NaN unknown */
    int64_t windows, tokens, bytes;
    int64_t stride; /* tokens from the start of a window to the next one's, rounded down */
} evaluation;

typedef struct run {
    const config *cfg;
    world *world; /* borrowed */
    comm *comm;
    const ops *ops;
    device *device;
    char arithmetic_id[512];
    char attention[200]; /* who computes it and why; empty: nothing to choose */
    layout layout;
    exchange_sizes exchange;
    memory_plan plan;
    device_part parts[DEVICE_PARTS_MAX]; /* what takes device memory besides the arenas      */
    int32_t part_count;
    int64_t rounded_bytes; /* that comm_alloc took beyond what it was asked for; -1: not measured */
    arena arenas[MEMORY_KINDS];
    samples *train, *validation; /* validation NULL: none given */
    split judge;                 /* what validation is: the validation or the test part */
    int64_t eval_windows, eval_bytes;
    double eval_oracle;

    params params;
    activations act;
    transformer model;
    float *masters, *m, *v; /* own part; masters NULL in fp32: the weights are the masters */
    void *sums;             /* (physical) i64 or f32                                       */
    /* what host and device both look at: device addresses in the exchange arena; see run_host */
    step_scalars *scalars;
    int32_t *flag;
    char *reports, *digests; /* (ranks) slots each                                          */
    double *window_losses;   /* (ranks) slots                                               */
    double *squares;         /* (chunks) in order                                           */
    float *losses;           /* (own micro-batches, N)                                      */
    int32_t *batch;          /* (B, T + 1) host                                             */
    comm_request *requests;  /* (buckets)                                                   */
    int32_t arriving;        /* buckets [0, arriving): their weights are not waited for yet */

    bool overlap;            /* reductions start while backward goes on; see run.c */
    replay replay;           /* micro-batches recorded once and launched whole         */
    int64_t M, first, count; /* micro-batches of a step; this rank's range */
    int64_t micro;           /* index inside this rank's range, while a step runs */
    int64_t steps_total;
    progress at;
    run_times times;      /* of this sitting; see run_times_so_far */
    energy_meter meter;   /* of the GPU, or of this node            */
    double energy_mark_j; /* it, at the last step                   */
    nvml_sample gpu;      /* as read last, at gpu_read_s            */
    double gpu_read_s;
    struct checkpoint_writer *writer; /* NULL unless one is being written */
    checkpoint_cost checkpoint;
} run;

/* The local half: config, data, counts and the memory plan are known and agreed; no memory is
 * taken, nothing is written. cfg and world are borrowed. COLLECTIVE. The caller closes. */
status run_check(run **out, const config *cfg, world *w);
/* The same for one of many runs: the data of `like`, where both read the same in the same way, is
 * taken from it, not opened, verified and counted again. Nullable: like; it is only good for being
 * closed then. */
status run_check_like(run **out, const config *cfg, world *w, run *like);
/* The other half: communicator, memory, initial weights. COLLECTIVE. */
status run_start(run *r);
/* Both. */
status run_open(run **out, const config *cfg, world *w);
/* Both, to evaluate on the test part, whose folder stands in data.validation. */
status run_open_test(run **out, const config *cfg, world *w);
void run_close(run *r); /* NULL is a no-op. COLLECTIVE */

/* The host's view of an address in the exchange arena. Where ops compute in host memory it is the
 * same address, and the two calls below do nothing. */
void *run_host(const run *r, const void *exchanged);
/* Device to host's view; waits for what is queued. */
status run_pull(run *r, const void *exchanged, int64_t bytes);
/* Host's view to device; queued, the view may change at once. */
status run_push(run *r, void *exchanged, int64_t bytes);

/* Writes logical elements [first, first + count) of some vector. */
typedef status (*run_values)(void *context, int64_t first, int64_t count, float *out);
/* Fills `to` (on the device) with those elements, piece by piece where it is not host memory. */
status run_fill(run *r, float *to, int64_t first, int64_t count, run_values values, void *context);

/* Own elements of bucket b: the stripe (zero1) or all of it (none). .shard indexes masters, m and
 * v. */
stripe_range run_owned(const run *r, int32_t b);
/* The fp32 masters of an owned range. */
float *run_masters(const run *r, stripe_range owned);
/* Waits for the weights that arrive beside a forward pass, up to a unit (transformer.needs). */
status run_weights_needed(void *run, int32_t unit);
/* After masters changed from outside (initial weights, checkpoint): act weights of the own part,
 * then gather. COLLECTIVE */
status run_publish_weights(run *r);
/* What a rank's GPU reported with the last step; the same on every rank. */
nvml_sample run_gpu(const run *r, int32_t rank);
/* Digest of all weights. COLLECTIVE */
status run_digest(run *r, uint64_t *out);

/* Of all sittings: rank 0's before this one and this rank's now. */
run_times run_times_so_far(const run *r);
/* Sample number of evaluation window w: the windows are spread evenly over the validation set,
 * since texts are often in some order. */
int64_t run_window(const run *r, int64_t w);
/* One optimizer step; see step.c. COLLECTIVE. stop: this rank was asked to stop after it. */
status run_step(run *r, bool stop, step_result *out);
/* Loss on the fixed windows of the validation set. COLLECTIVE. */
status run_evaluate(run *r, evaluation *out);

#endif

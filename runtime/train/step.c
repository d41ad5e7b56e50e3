/* step.c — one optimizer step. The file to read first.
 *
 * 1. each own micro-batch: forward, loss, backward; its gradient, alone, is rounded to int64 and
 * added to the sums
 * 2. a bucket whose last micro-batch is done is reduce-scattered while backward goes on below it
 * 3. every rank reports its losses, the squared norms of its chunks and its verdicts; all read all
 * reports
 * 4. clip factor and skip from those, in an order that does not depend on ranks
 * 5. AdamW on the own stripes
 * 6. digest of the weights, chunk by chunk
 * 7. all stripes are gathered into the weights; on a device while the next forward pass begins */
#include "base/clock.h"
#include "base/digest.h"
#include "comm/world_watch.h"
#include "train/checkpoint.h"
#include "train/run.h"
#include "train/schedule.h"

#include <math.h>

/* What a rank tells the others each step; losses[exchange.losses], then squares[exchange.chunks].
 */
typedef struct report {
    int32_t flag, stop, writing, pad;
    double energy_j; /* of this rank's GPU or of its node since the last step; see used_energy */
    nvml_sample gpu;
    double values[];
} report;
_Static_assert(sizeof(report) == MEMORY_REPORT_BYTES, "the plan counts reports");

/* For those who ask where this rank is. */
static void note(run *r, watch_phase phase) { world_watch_note(r->world, phase, r->at.step + 1); }

/* On the device; the host reads and writes host_report. */
static report *report_of(const run *r, int32_t rank)
{
    return (report *)(r->reports + rank * r->exchange.report_bytes);
}

static report *host_report(const run *r, int32_t rank) { return run_host(r, report_of(r, rank)); }

static dtype sum_type(const run *r)
{
    return r->cfg->train.reduction == CONFIG_EXACT ? DTYPE_I64 : DTYPE_F32;
}

static reduction reduction_of(const run *r)
{
    return r->cfg->train.reduction == CONFIG_EXACT ? REDUCTION_EXACT : REDUCTION_FAST;
}

static void *sums_at(const run *r, int64_t physical)
{
    return (char *)r->sums + physical * dtype_bytes(sum_type(r));
}

/* Starts the reduction of a bucket: own stripe only with a sharded optimizer, all of it otherwise.
 */
static status reduce_bucket(run *r, int32_t b)
{
    const bucket *k = &r->layout.buckets[b];
    void *sums = sums_at(r, k->physical);
    if (r->cfg->train.sharding == SHARDING_ZERO1)
        return comm_start_reduce_scatter(r->comm, &r->requests[b], sums, k->stripe, sum_type(r));
    return comm_start_all_reduce(r->comm, &r->requests[b], sums, k->stripe * r->layout.ranks,
                                 sum_type(r), COMM_SUM);
}

/* Reductions start while the backward pass of this micro-batch goes on. */
static bool reduces_beside(const run *r)
{
    return r->overlap && comm_size(r->comm) > 1 && r->micro + 1 == r->count;
}

/* Backward calls this when every gradient of bucket b is complete. */
static status bucket_done(void *context, int32_t b)
{
    run *r = context;
    const bucket *k = &r->layout.buckets[b];
    TRY(r->ops->accumulate(
        r->device,
        &(accumulate_args){.sum = tensor_1(sums_at(r, k->physical), sum_type(r), k->count),
                           .gradient =
                               tensor_1(r->params.gradients + k->physical, DTYPE_F32, k->count),
                           .flag = r->flag,
                           .kind = reduction_of(r),
                           .first = r->micro == 0,
                           .limit = 0x1p63 / (double)r->M}));
    if (!reduces_beside(r)) return OK;
    double start = clock_s();
    TRY(reduce_bucket(r, b));
    TRY(comm_progress(r->comm));
    r->times.comm += clock_s() - start;
    return OK;
}

/* Between the operations of the last backward pass: reductions under way go on. */
static status between_operations(void *context)
{
    run *r = context;
    if (!reduces_beside(r)) return OK;
    double start = clock_s();
    TRY(comm_progress(r->comm));
    r->times.comm += clock_s() - start;
    return OK;
}

/* Sample number of row b of micro-batch j of this step. */
static int64_t sample_of(const run *r, int64_t j, int64_t b)
{
    return samples_order(r->train, (r->at.step * r->M + j) * r->cfg->train.micro_batch + b);
}

static status load_batch(run *r, int64_t j)
{
    double start = clock_s();
    int64_t T = r->cfg->model.context;
    note(r, WATCH_DATA);
    for (int64_t b = 0; b < r->cfg->train.micro_batch; b++)
        TRY(samples_read(r->train, sample_of(r, j, b), r->batch + b * (T + 1)));
    TRY(transformer_load(&r->model, r->batch));
    r->times.data += clock_s() - start;
    return OK;
}

/* Mean losses of the own micro-batches, each summed in index order, and the own flag. */
static status read_losses(run *r, report *mine)
{
    int64_t N = r->act.N;
    const float *losses = run_host(r, r->losses);
    TRY(run_pull(r, r->losses, r->count * N * 4));
    TRY(run_pull(r, r->flag, 4));
    for (int64_t i = 0; i < r->count; i++) {
        double sum = 0.0;
        for (int64_t n = 0; n < N; n++) sum += (double)losses[i * N + n];
        mine->values[i] = sum / (double)N;
    }
    return OK;
}

/* No communication goes on beside this micro-batch. */
static bool stands_alone(const run *r) { return r->arriving == 0 && !reduces_beside(r); }

/* Those that stand alone are all alike, but for the first, which sets the sums that others add to.
 */
static status one_micro_batch(run *r)
{
    int64_t N = r->act.N;
    if (stands_alone(r))
        TRY(replay_train(&r->replay, &r->model, r->micro == 0 ? 0 : 1, bucket_done, r));
    else
        TRY(transformer_train(&r->model, bucket_done, r));
    return r->ops->convert(r->device, tensor_1(r->losses + r->micro * N, DTYPE_F32, N),
                           tensor_1(r->act.losses.data, DTYPE_F32, N));
}

/* Nothing here waits for a device; its losses are read when all are queued. */
static status own_micro_batches(run *r, report *mine)
{
    bool some = false;
    r->model.between = r->overlap && comm_size(r->comm) > 1 ? between_operations : NULL;
    r->model.between_context = r;
    for (r->micro = 0; r->micro < r->count; r->micro++) {
        TRY(load_batch(r, r->first + r->micro));
        double start = clock_s(), comm_before = r->times.comm;
        note(r, WATCH_COMPUTE);
        some |= stands_alone(r);
        TRY(one_micro_batch(r));
        r->times.compute += clock_s() - start - (r->times.comm - comm_before);
    }
    replay_step(&r->replay, some);
    double start = clock_s();
    TRY(read_losses(r, mine));
    r->times.compute += clock_s() - start;
    return OK;
}

/* Without overlap: all reductions after the last backward pass, in the same order. */
static status reduce_late(run *r)
{
    double start = clock_s();
    for (int32_t b = 0; b < r->layout.bucket_count; b++) TRY(reduce_bucket(r, b));
    r->times.comm += clock_s() - start;
    return OK;
}

static status wait_for_buckets(run *r)
{
    double start = clock_s();
    if (comm_size(r->comm) == 1) return OK;
    for (int32_t b = 0; b < r->layout.bucket_count; b++) TRY(comm_wait(r->comm, r->requests[b]));
    r->times.comm += clock_s() - start;
    return OK;
}

/* Squared norms of the chunks of this rank's stripes, in bucket order. */
static status stripe_squares(run *r, double *out)
{
    int64_t slot = 0;
    for (int32_t b = 0; b < r->layout.bucket_count; b++) {
        stripe_range s = layout_stripe(&r->layout, b, comm_rank(r->comm));
        int64_t chunks = (s.count + CHUNK - 1) / CHUNK;
        if (chunks > 0)
            TRY(r->ops->sum_squares(r->device,
                                    &(sum_squares_args){.out =
                                                            tensor_1(out + slot, DTYPE_F64, chunks),
                                                        .values = tensor_1(sums_at(r, s.physical),
                                                                           sum_type(r), s.count)}));
        slot += r->layout.buckets[b].stripe / CHUNK;
    }
    return OK;
}

/* Calls visit for every chunk that exists, in chunk order, with the rank and slot whose stripe
 * holds it. */
static void in_chunk_order(const run *r,
                           void (*visit)(run *, int64_t chunk, int32_t rank, int64_t slot),
                           run *context)
{
    int64_t slot = 0;
    for (int32_t b = 0; b < r->layout.bucket_count; b++) {
        for (int32_t rank = 0; rank < r->layout.ranks; rank++) {
            stripe_range s = layout_stripe(&r->layout, b, rank);
            for (int64_t c = 0; c < (s.count + CHUNK - 1) / CHUNK; c++)
                visit(context, s.chunk + c, rank, slot + c);
        }
        slot += r->layout.buckets[b].stripe / CHUNK;
    }
}

static void take_square(run *r, int64_t chunk, int32_t rank, int64_t slot)
{
    double *squares = run_host(r, r->squares);
    squares[chunk] = host_report(r, rank)->values[r->exchange.losses + slot];
}

/* Joules since the last call, on one rank per meter: a GPU's, or the first of a node; 0 on the
 * others, NaN without a meter. */
static double used_energy(run *r)
{
    double now = energy_read_j(&r->meter), used = now - r->energy_mark_j;
    r->energy_mark_j = now;
    int32_t meters = 1, rank = world_local_rank(r->world);
    if (r->meter.on_gpu) meters = r->cfg->run.share_gpu ? r->ops->present(NULL, 0) : rank + 1;
    return rank < meters ? used : 0.0;
}

/* Asking takes a while: once a second is enough. */
static nvml_sample gpu_now(run *r)
{
    if (r->meter.gpu && clock_s() - r->gpu_read_s > 1.0) {
        nvml_read(r->meter.gpu, &r->gpu);
        r->gpu_read_s = clock_s();
    }
    return r->gpu;
}

nvml_sample run_gpu(const run *r, int32_t rank) { return host_report(r, rank)->gpu; }

/* Gathers all reports; then loss, verdicts and squares are the same on every rank. */
static status exchange_reports(run *r, report *mine, bool stop, step_result *out)
{
    note(r, WATCH_REPORTS);
    report *there = report_of(r, comm_rank(r->comm));
    int32_t *flag = run_host(r, r->flag);
    TRY(stripe_squares(r, there->values + r->exchange.losses));
    mine->flag = *flag;
    mine->stop = stop;
    mine->writing = checkpoint_busy(r);
    mine->energy_j = used_energy(r);
    mine->gpu = gpu_now(r);
    out->idle = true;
    double start = clock_s();
    TRY(run_push(r, there, (int64_t)sizeof *there + r->exchange.losses * 8));
    TRY(comm_all_gather(r->comm, r->reports, r->exchange.report_bytes));
    TRY(run_pull(r, r->reports, r->layout.ranks * r->exchange.report_bytes));
    r->times.wait += clock_s() - start;

    double sum = 0.0;
    int64_t ranks = r->layout.ranks;
    for (int32_t rank = 0; rank < ranks; rank++) {
        const report *one = host_report(r, rank);
        int64_t losses = r->M / ranks + (rank < r->M % ranks);
        for (int64_t i = 0; i < losses; i++) sum += one->values[i];
        *flag |= one->flag;
        out->stop |= one->stop != 0;
        out->idle &= one->writing == 0;
        out->energy_j += one->energy_j;
    }
    out->loss = sum / (double)r->M;
    if (!isfinite(out->loss)) *flag = 1;
    in_chunk_order(r, take_square, r);
    TRY(run_push(r, r->flag, 4));
    return run_push(r, r->squares, r->layout.chunks * 8);
}

/* AdamW over one owned range; rows differ in how fast they learn and whether they decay. */
static status update_range(run *r, stripe_range own)
{
    bool bf16 = r->params.act == DTYPE_BF16;
    for (int32_t i = 0; i < r->layout.row_count; i++) {
        const param_row *row = &r->layout.rows[i];
        int64_t end = row->offset + row->dim[0] * row->dim[1], last = own.logical + own.count;
        int64_t low = row->offset > own.logical ? row->offset : own.logical,
                high = end < last ? end : last;
        if (low >= high) continue;
        int64_t at = low - own.logical, n = high - low;
        TRY(r->ops->adamw(
            r->device,
            &(adamw_args){.weights = tensor_1(run_masters(r, own) + at, DTYPE_F32, n),
                          .copy = bf16 ? tensor_1((uint16_t *)r->params.weights + own.physical + at,
                                                  DTYPE_BF16, n)
                                       : (tensor){0},
                          .m = tensor_1(r->m + own.shard + at, DTYPE_F32, n),
                          .v = tensor_1(r->v + own.shard + at, DTYPE_F32, n),
                          .gradient = tensor_1(sums_at(r, own.physical + at), sum_type(r), n),
                          .decay = row->decay,
                          .rate = (float)row->rate,
                          .scalars = r->scalars}));
    }
    return OK;
}

/* Every stripe of the weights to every rank, in the order in which a forward pass needs them. */
static status start_gathering(run *r)
{
    if (r->cfg->train.sharding != SHARDING_ZERO1 || r->layout.ranks == 1) return OK;
    int64_t width = dtype_bytes(r->params.act);
    for (int32_t b = r->layout.bucket_count - 1; b >= 0; b--) {
        const bucket *k = &r->layout.buckets[b];
        TRY(comm_start_all_gather(r->comm, &r->requests[b],
                                  (char *)r->params.weights + k->physical * width,
                                  k->stripe * width));
    }
    r->arriving = r->layout.bucket_count;
    return OK;
}

status run_weights_needed(void *context, int32_t unit)
{
    run *r = context;
    const bool some = r->arriving > 0;
    double start = clock_s();
    while (r->arriving > 0 && r->layout.buckets[r->arriving - 1].ready_layer <= unit)
        TRY(comm_wait(r->comm, r->requests[--r->arriving]));
    /* within the deadline: the host's other waits for the device have none */
    if (some && r->arriving == 0 && r->ops->native_queue)
        TRY(comm_complete(r->comm, r->requests[0]));
    r->times.comm += clock_s() - start;
    return OK;
}

static status all_weights_needed(run *r)
{
    return run_weights_needed(r, (int32_t)r->cfg->model.layers);
}

status run_publish_weights(run *r)
{
    if (r->params.act == DTYPE_BF16)
        for (int32_t b = 0; b < r->layout.bucket_count; b++) {
            stripe_range own = run_owned(r, b);
            if (own.count == 0) continue;
            TRY(r->ops->convert(r->device,
                                tensor_1((uint16_t *)r->params.weights + own.physical, DTYPE_BF16,
                                         own.count),
                                tensor_1(run_masters(r, own), DTYPE_F32, own.count)));
        }
    TRY(start_gathering(r));
    return all_weights_needed(r);
}

/* Own stripes, also when this rank holds everything: work is shared and the sums are the same. */
static status start_digest(run *r, comm_request *gathered)
{
    int32_t me = comm_rank(r->comm);
    uint64_t *mine = (uint64_t *)(void *)(r->digests + me * r->exchange.digest_bytes);
    int64_t slot = 0;
    for (int32_t b = 0; b < r->layout.bucket_count; b++) {
        stripe_range s = layout_stripe(&r->layout, b, me), own = run_owned(r, b);
        if (s.count > 0)
            TRY(r->ops->digest(r->device,
                               &(digest_args){.out = tensor_1(mine + slot, DTYPE_U64,
                                                              (s.count + CHUNK - 1) / CHUNK),
                                              .values = tensor_1(run_masters(r, own) +
                                                                     (s.logical - own.logical),
                                                                 DTYPE_F32, s.count)}));
        slot += r->layout.buckets[b].stripe / CHUNK;
    }
    return comm_start_all_gather(r->comm, gathered, r->digests, r->exchange.digest_bytes);
}

static status finish_digest(run *r, comm_request gathered, uint64_t *out)
{
    double start = clock_s();
    TRY(comm_complete(r->comm, gathered));
    r->times.wait += clock_s() - start;
    TRY(run_pull(r, r->digests, r->layout.ranks * r->exchange.digest_bytes));
    const char *all = run_host(r, r->digests);

    /* the same walk as in_chunk_order, folding */
    uint64_t h = 0;
    int64_t slot = 0;
    for (int32_t b = 0; b < r->layout.bucket_count; b++) {
        for (int32_t rank = 0; rank < r->layout.ranks; rank++) {
            stripe_range s = layout_stripe(&r->layout, b, rank);
            const uint64_t *theirs =
                (const uint64_t *)(const void *)(all + rank * r->exchange.digest_bytes);
            for (int64_t c = 0; c < (s.count + CHUNK - 1) / CHUNK; c++)
                h = digest_fold(h, theirs[slot + c]);
        }
        slot += r->layout.buckets[b].stripe / CHUNK;
    }
    *out = h;
    return OK;
}

status run_digest(run *r, uint64_t *out)
{
    comm_request gathered;
    TRY(start_digest(r, &gathered));
    return finish_digest(r, gathered, out);
}

/* Sets what ops read by pointer for this step. */
static status set_scalars(run *r)
{
    const optimizer_config *o = &r->cfg->optimizer;
    double t = (double)(r->at.updates + 1);
    *(step_scalars *)run_host(r, r->scalars) = (step_scalars){
        .learning_rate = (float)schedule_rate(&r->cfg->schedule, o->learning_rate, r->at.tokens,
                                              r->cfg->train.batch_tokens,
                                              r->steps_total * r->cfg->train.batch_tokens),
        .beta1 = (float)o->beta1,
        .beta2 = (float)o->beta2,
        .eps = (float)o->eps,
        .weight_decay = (float)o->weight_decay,
        .bias1 = (float)(1.0 - pow(o->beta1, t)),
        .bias2 = (float)(1.0 - pow(o->beta2, t)),
        .clip = (float)o->clip,
        .mean_scale = 1.0 / (double)r->M,
    };
    *(int32_t *)run_host(r, r->flag) = 0;
    TRY(run_push(r, r->scalars, sizeof *r->scalars));
    return run_push(r, r->flag, 4);
}

/* Counts the step; too many skipped in a row end the run. */
static status advance(run *r, step_result *out)
{
    for (int64_t j = 0; j < r->M; j++)
        for (int64_t b = 0; b < r->cfg->train.micro_batch; b++)
            out->data_digest = digest_fold(out->data_digest, (uint64_t)sample_of(r, j, b));
    r->at.step++;
    r->at.tokens += r->cfg->train.batch_tokens;
    r->at.updates += !out->skipped;
    r->at.nonfinite += out->skipped;
    r->at.nonfinite_row = out->skipped ? r->at.nonfinite_row + 1 : 0;
    out->step = r->at.step;
    out->tokens = r->at.tokens;
    REQUIRE(r->at.nonfinite_row < r->cfg->limits.nonfinite_in_a_row, ERR_NUMERIC,
            "step %lld: loss or gradient not finite in %lld steps in a row "
            "(limits.nonfinite_in_a_row); lower "
            "optimizer.learning_rate (%g) or lengthen schedule.warmup_tokens",
            (long long)r->at.step, (long long)r->at.nonfinite_row, r->cfg->optimizer.learning_rate);
    return OK;
}

status run_step(run *r, bool stop, step_result *out)
{
    double start = clock_s();
    report *mine = host_report(r, comm_rank(r->comm));
    *out = (step_result){0};
    TRY(set_scalars(r));
    TRY(own_micro_batches(r, mine));
    note(r, WATCH_REDUCTION);
    if (!r->overlap && comm_size(r->comm) > 1) TRY(reduce_late(r));
    TRY(wait_for_buckets(r));
    TRY(exchange_reports(r, mine, stop, out));

    double update = clock_s();
    note(r, WATCH_UPDATE);
    TRY(r->ops->clip_scalars(r->device, &(clip_args){.scalars = r->scalars,
                                                     .squares = tensor_1(r->squares, DTYPE_F64,
                                                                         r->layout.chunks),
                                                     .flag = r->flag,
                                                     .kind = reduction_of(r)}));
    for (int32_t b = 0; b < r->layout.bucket_count; b++) {
        stripe_range own = run_owned(r, b);
        if (own.count > 0) TRY(update_range(r, own));
    }
    r->times.compute += clock_s() - update;
    note(r, WATCH_WEIGHTS);
    comm_request digests;
    TRY(start_digest(r, &digests));
    TRY(start_gathering(r));
    if (!r->overlap || !r->ops->native_queue) TRY(all_weights_needed(r));
    TRY(finish_digest(r, digests, &out->digest));
    TRY(run_pull(r, r->scalars, sizeof *r->scalars));
    TRY(r->ops->sync(r->device));

    const step_scalars *scalars = run_host(r, r->scalars);
    out->skipped = scalars->skip != 0;
    out->grad_norm = scalars->grad_norm;
    out->learning_rate = (double)scalars->learning_rate;
    out->time_s = clock_s() - start;
    r->at.train_time_s += out->time_s;
    return advance(r, out);
}

/* evaluate.c — loss on the fixed windows of the validation set, the same on any number of ranks:
 * windows go in batches of B by number, batches go to ranks in contiguous ranges, losses are summed
 * in window order.      */
#include "train/run.h"

#include <math.h>

static void batch_range(int64_t batches, int64_t ranks, int64_t rank, int64_t *first,
                        int64_t *count)
{
    *first = rank * (batches / ranks) + (rank < batches % ranks ? rank : batches % ranks);
    *count = batches / ranks + (rank < batches % ranks);
}

int64_t run_window(const run *r, int64_t w)
{
    int64_t count = samples_about(r->validation)->count;
    if (count == INT64_MAX) return w;
    /* w * count / windows without overflow */
    int64_t windows = r->eval_windows, whole = count / windows, rest = count % windows;
    return w * whole + (int64_t)((double)w * (double)rest / (double)windows);
}

/* Losses of the B windows of one batch, nats summed over T; windows past the end repeat the last
 * one. */
static status score_batch(run *r, int64_t batch, double *out)
{
    int64_t B = r->act.B, T = r->act.T;
    for (int64_t b = 0; b < B; b++) {
        int64_t w = batch * B + b < r->eval_windows ? batch * B + b : r->eval_windows - 1;
        TRY(samples_read(r->validation, run_window(r, w), r->batch + b * (T + 1)));
    }
    TRY(transformer_load(&r->model, r->batch));
    TRY(transformer_losses(&r->model));
    float *losses = run_host(r, r->losses);
    TRY(r->ops->download(r->device, losses, r->act.losses.data, B * T * 4));
    for (int64_t b = 0; b < B; b++) {
        out[b] = 0.0;
        for (int64_t i = 0; i < T; i++) out[b] += (double)losses[b * T + i];
    }
    return OK;
}

/* Mean and standard error over windows from the gathered slots, in window order. */
static void summarize(const run *r, int64_t batches, evaluation *out)
{
    int64_t B = r->act.B, ranks = r->layout.ranks, w = 0;
    double sum = 0.0, squares = 0.0, T = (double)r->act.T;
    for (int64_t rank = 0; rank < ranks; rank++) {
        int64_t first, count;
        batch_range(batches, ranks, rank, &first, &count);
        const double *slot = run_host(r, r->window_losses + rank * r->exchange.eval_windows);
        for (int64_t i = 0; i < count * B && w < r->eval_windows; i++, w++) {
            sum += slot[i];
            squares += slot[i] / T * (slot[i] / T);
        }
    }
    double W = (double)r->eval_windows, mean = sum / (W * T);
    out->loss = mean;
    const double spread = (squares / W - mean * mean) / (W - 1);
    out->loss_se = W > 1 ? sqrt(spread < 0 ? 0.0 : spread) : (double)NAN; /* NaN stays */
    out->bits_per_byte = r->eval_bytes > 0 ? sum / log(2.0) / (double)r->eval_bytes : (double)NAN;
    out->oracle =
        samples_about(r->validation)->has_entropy ? r->eval_oracle / (W * T) : (double)NAN;
    int64_t available = samples_about(r->validation)->count;
    out->stride = r->act.T * (available == INT64_MAX ? 1 : available / r->eval_windows);
    out->windows = r->eval_windows;
    out->tokens = r->eval_windows * r->act.T;
    out->bytes = r->eval_bytes;
}

status run_evaluate(run *r, evaluation *out)
{
    int64_t B = r->act.B, batches = (r->eval_windows + B - 1) / B, first, count;
    int32_t rank = comm_rank(r->comm);
    REQUIRE(r->validation, ERR_CONFIG,
            "data.validation: none given, so there is nothing to evaluate on");
    batch_range(batches, r->layout.ranks, rank, &first, &count);
    double *there = r->window_losses + rank * r->exchange.eval_windows, *mine = run_host(r, there);
    int64_t bytes = r->exchange.eval_windows * 8;
    for (int64_t i = 0; i < count; i++) TRY(score_batch(r, first + i, mine + i * B));
    TRY(run_push(r, there, bytes));
    TRY(comm_all_gather(r->comm, r->window_losses, bytes));
    TRY(run_pull(r, r->window_losses, r->layout.ranks * bytes));
    summarize(r, batches, out);
    return OK;
}

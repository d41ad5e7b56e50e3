/* cuda_table.c — the CUDA backend's row of ops: checks arguments, then queues its kernels. */
#include "kernels/arguments.h"
#include "kernels/cuda/cuda_device.h"

/* --- ops of own kernels --------------------------------------------------- */

#define LAUNCH(name, ...)                                                                          \
    do {                                                                                           \
        CUDA_TRY(cuda_launch_##name(&d->call, __VA_ARGS__));                                       \
        return OK;                                                                                 \
    } while (0)

static status embed(device *d, const embed_args *a)
{
    ASSERT(is_act(a->table) && a->T > 0 &&
           has_shape(a->out, tensor_count(a->tokens), a->table.dim[1]));
    ASSERT(!a->positions.data ||
           (a->positions.dim[0] >= a->T && a->positions.type == a->table.type));
    LAUNCH(embed, a);
}

static status embed_backward(device *d, const embed_backward_args *a)
{
    ASSERT(a->T > 0 && has_shape(a->dout, tensor_count(a->tokens), a->dtable.dim[1]));
    ASSERT(!a->dpositions.data || a->dpositions.dim[0] >= a->T);
    LAUNCH(embed_backward, a);
}

static status norm(device *d, const norm_args *a)
{
    int64_t N = a->x.dim[0], C = a->x.dim[1];
    ASSERT(is_act(a->out) && has_shape(a->out, N, C) && has_count(a->rstd, N) &&
           has_count(a->gain, C));
    ASSERT(may_have_count(a->bias, C) && may_have_shape(a->delta, N, C) &&
           may_have_shape(a->sum, N, C));
    ASSERT(!a->delta.data || a->sum.data);
    LAUNCH(norm, a);
}

static status norm_backward(device *d, const norm_backward_args *a)
{
    int64_t N = a->x.dim[0], C = a->x.dim[1];
    ASSERT(is_act(a->dout) && has_shape(a->dout, N, C) && has_shape(a->dx, N, C) &&
           has_count(a->gain, C));
    ASSERT(has_count(a->rstd, N) && has_count(a->dgain, C) && may_have_count(a->dbias, C));
    ASSERT(a->kind == NORM_RMS || has_count(a->mean, N));
    LAUNCH(norm_backward, a);
}

static status swiglu(device *d, const swiglu_args *a)
{
    ASSERT(is_act(a->out) && has_shape(a->gate_up, a->out.dim[0], 2 * a->out.dim[1]));
    LAUNCH(swiglu, a);
}

static status swiglu_backward(device *d, const swiglu_backward_args *a)
{
    int64_t N = a->dout.dim[0], F = a->dout.dim[1];
    ASSERT(is_act(a->dout) && has_shape(a->gate_up, N, 2 * F) && has_shape(a->dgate_up, N, 2 * F));
    LAUNCH(swiglu_backward, a);
}

static status rope(device *d, const rope_args *a)
{
    ASSERT(is_act(a->qkv) && a->HS % 2 == 0);
    ASSERT(a->qkv.dim[1] == (a->NH + 2 * a->NKV) * a->HS && tensor_count(a->table) >= a->T * a->HS);
    LAUNCH(rope, a);
}

static status attention(device *d, const attention_args *a)
{
    int64_t N = a->B * a->T;
    ASSERT(is_act(a->qkv) && a->NKV > 0 && a->NH % a->NKV == 0 && has_count(a->lse, N * a->NH));
    ASSERT(has_shape(a->qkv, N, (a->NH + 2 * a->NKV) * a->HS) &&
           has_shape(a->out, N, a->NH * a->HS));
    if (d->dnn) return dnn_attention_forward(d->dnn, a, d->dnn_scratch);
    LAUNCH(attention, a);
}

static status attention_backward(device *d, const attention_backward_args *a)
{
    int64_t N = a->B * a->T, width = (a->NH + 2 * a->NKV) * a->HS;
    ASSERT(is_act(a->qkv) && a->NKV > 0 && a->NH % a->NKV == 0 && has_count(a->lse, N * a->NH));
    ASSERT(has_shape(a->qkv, N, width) && has_shape(a->dqkv, N, width));
    ASSERT(has_shape(a->out, N, a->NH * a->HS) && has_shape(a->dout, N, a->NH * a->HS));
    if (d->dnn) return dnn_attention_backward(d->dnn, a, d->dnn_scratch);
    LAUNCH(attention_backward, a);
}

static status accumulate(device *d, const accumulate_args *a)
{
    ASSERT(has_count(a->sum, tensor_count(a->gradient)) && a->flag &&
           a->gradient.type == DTYPE_F32);
    ASSERT(a->sum.type == (a->kind == REDUCTION_EXACT ? DTYPE_I64 : DTYPE_F32));
    LAUNCH(accumulate, a);
}

static status sum_squares(device *d, const sum_squares_args *a)
{
    ASSERT(a->values.type == DTYPE_I64 || a->values.type == DTYPE_F32);
    ASSERT(has_count(a->out, (tensor_count(a->values) + CHUNK - 1) / CHUNK));
    LAUNCH(sum_squares, a);
}

static status clip_scalars(device *d, const clip_args *a) { LAUNCH(clip_scalars, a); }

static status adamw(device *d, const adamw_args *a)
{
    int64_t n = tensor_count(a->weights);
    ASSERT(has_count(a->m, n) && has_count(a->v, n) && has_count(a->gradient, n) &&
           may_have_count(a->copy, n));
    LAUNCH(adamw, a);
}

static status digest(device *d, const digest_args *a)
{
    ASSERT(has_count(a->out, (tensor_count(a->values) + CHUNK - 1) / CHUNK));
    LAUNCH(digest, a);
}

static status convert(device *d, tensor to, tensor from)
{
    ASSERT(is_act(to) && is_act(from) && tensor_count(to) == tensor_count(from));
    if (to.type == from.type) {
        CUDA_TRY(cudaMemcpyAsync(to.data, from.data, (size_t)tensor_bytes(from),
                                 cudaMemcpyDeviceToDevice, d->call.stream));
        return OK;
    }
    LAUNCH(convert, to, from);
}

/* --- ops of products ------------------------------------------------------ */

static status linear(device *d, const linear_args *a)
{
    int64_t M = a->x.dim[0], K = a->x.dim[1], N = a->w.dim[0];
    ASSERT(is_act(a->x) && a->w.type == a->x.type && has_shape(a->w, N, K) &&
           has_shape(a->out, M, N));
    ASSERT(may_have_count(a->bias, N) && (a->act == ACT_NONE || has_shape(a->pre, M, N)));
    return cuda_linear(d, a);
}

static status linear_backward_input(device *d, const linear_backward_input_args *a)
{
    int64_t M = a->dy.dim[0], N = a->dy.dim[1], K = a->w.dim[1];
    ASSERT(is_act(a->dy) && a->w.type == a->dy.type && has_shape(a->w, N, K) &&
           has_shape(a->dx, M, K));
    ASSERT(a->act == ACT_NONE || has_shape(a->pre, M, K));
    return cuda_linear_backward_input(d, a);
}

static status linear_backward_weight(device *d, const linear_backward_weight_args *a)
{
    int64_t M = a->dy.dim[0], N = a->dy.dim[1], K = a->x.dim[1];
    ASSERT(is_act(a->dy) && a->x.type == a->dy.type && has_shape(a->x, M, K) &&
           has_shape(a->dw, N, K));
    ASSERT(may_have_count(a->dbias, N) && a->dw.type == DTYPE_F32);
    return cuda_linear_backward_weight(d, a);
}

static status head(device *d, const head_args *a)
{
    int64_t N = a->x.dim[0], C = a->x.dim[1], V = a->w.dim[0];
    ASSERT(is_act(a->x) && has_shape(a->w, V, C) && has_count(a->losses, N) &&
           has_count(a->targets, N));
    ASSERT(may_have_shape(a->dx, N, C) && may_have_shape(a->dw, V, C) &&
           !a->dx.data == !a->dw.data);
    return cuda_head(d, a);
}

/* --- the product unit ----------------------------------------------------- */

/* Queues `rounds` rounds of products: large ones through the library where the workspace has room,
 * as on Hopper no instruction of a warp reaches the peak; else in registers. */
static status queue_burst(device *d, dtype type, int64_t size, int64_t rounds, double *flops)
{
    /* the few bytes that are never written need not be a run's workspace */
    cuda_call call = {.stream = d->call.stream, .workspace = d->fault, .fault = d->fault};
    if (size == 0) {
        int32_t units = d->properties.multiProcessorCount;
        CUDA_TRY(cuda_launch_burst(&call, type, units, rounds, flops));
        return OK;
    }
    *flops = 2.0 * (double)size * (double)size * (double)size * (double)rounds;
    for (int64_t i = 0; i < rounds; i++) TRY(cuda_burst_product(d, size));
    return OK;
}

static status timed_burst(device *d, dtype type, int64_t size, int64_t rounds, double *rate)
{
    double flops = 0;
    float time_ms = 0;
    CUDA_TRY(cudaEventRecord(d->timer[0], d->call.stream));
    TRY(queue_burst(d, type, size, rounds, &flops));
    CUDA_TRY(cudaEventRecord(d->timer[1], d->call.stream));
    CUDA_TRY(cudaEventSynchronize(d->timer[1]));
    CUDA_TRY(cudaEventElapsedTime(&time_ms, d->timer[0], d->timer[1]));
    *rate = time_ms > 0 ? flops / ((double)time_ms * 1e-3) : 0;
    return OK;
}

/* A first burst loads the kernels, a second says how many rounds make about 10 ms. */
static double burst(device *d, dtype type)
{
    const int64_t size = type == DTYPE_BF16 ? cuda_burst_size(d) : 0, first = size > 0 ? 1 : 16;
    double rate = 0, flops_per_round = 0;
    if (size > 0 && cuda_burst_fill(d, size) != OK) return 0;
    if (queue_burst(d, type, size, first, &flops_per_round) != OK) return 0;
    flops_per_round /= (double)first;
    if (timed_burst(d, type, size, first, &rate) != OK) return 0;
    int64_t rounds = (int64_t)(rate * 10e-3 / flops_per_round);
    if (rounds > first && timed_burst(d, type, size, rounds, &rate) != OK) return 0;
    return rate;
}

const ops cuda_ops = {
    .name = "cuda",
    .present = cuda_present,
    .open = cuda_open,
    .close = cuda_close,
    .describe = cuda_describe,
    .choose_attention = cuda_choose_attention,
    .workspace_bytes = cuda_workspace_bytes,
    .reserve = cuda_reserve,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .upload = cuda_upload,
    .download = cuda_download,
    .zero = cuda_zero,
    .used_bytes = cuda_used_bytes,
    .parts = cuda_parts,
    .event_record = cuda_event_record,
    .queue_wait = cuda_queue_wait,
    .sync = cuda_sync,
    .graph_begin = cuda_graph_begin,
    .graph_end = cuda_graph_end,
    .graph_launch = cuda_graph_launch,
    .native_queue = cuda_native_queue,
    .bus_id = cuda_bus_id,
    .embed = embed,
    .embed_backward = embed_backward,
    .norm = norm,
    .norm_backward = norm_backward,
    .linear = linear,
    .linear_backward_input = linear_backward_input,
    .linear_backward_weight = linear_backward_weight,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .rope = rope,
    .attention = attention,
    .attention_backward = attention_backward,
    .head = head,
    .accumulate = accumulate,
    .sum_squares = sum_squares,
    .clip_scalars = clip_scalars,
    .adamw = adamw,
    .digest = digest,
    .convert = convert,
    .burst = burst,
};

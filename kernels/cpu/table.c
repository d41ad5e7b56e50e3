/* table.c — the CPU backend's row of ops: checks arguments, keeps the device, calls the kernels of
 * its path. Work runs at once, so queues and events are always complete. */
#include "kernels/cpu/cpu.h"

#include "base/arena.h"
#include "kernels/arguments.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEAD_WIDTH_MAX = 2048 };

struct device {
    cpu_path path;
    const cpu_kernels *kernels;
    cpu_scratch scratch;
};

static status cpu_open(device **out, const device_options *options)
{
    cpu_path path;
    TRY(path_choose(&path, options && options->path ? options->path : "auto"));
    device *d = calloc(1, sizeof *d);
    REQUIRE(d, ERR_MEMORY, "cpu: no memory for the device");
    d->path = path;
    d->kernels = path_kernels(path);
    *out = d;
    return OK;
}

static void cpu_close(device *d) { free(d); }

/* the families of processors are not known to agree to the last bit */
#if defined(__x86_64__)
#define PROCESSOR ""
#elif defined(__aarch64__)
#define PROCESSOR " on aarch64"
#else
#define PROCESSOR " on another processor"
#endif

static void cpu_describe(const device *d, char *text, size_t bytes)
{
    const char *bf16 = d->path == PATH_AMX ? "bf16 products" : "bf16 operands, f32 products";
    snprintf(text, bytes, "cpu %s%s, %s, kernels %d", path_name(d->path), PROCESSOR, bf16,
             CPU_KERNELS_VERSION);
}

static int64_t cpu_workspace_bytes(const device *d, const op_shapes *shapes)
{
    return d->kernels->scratch_bytes(shapes);
}

static status cpu_reserve(device *d, void *workspace, int64_t bytes, const op_shapes *shapes)
{
    const int64_t need = d->kernels->scratch_bytes(shapes);
    REQUIRE(bytes >= need, ERR_INTERNAL, "cpu: workspace of %lld bytes, these shapes need %lld",
            (long long)bytes, (long long)need);
    REQUIRE((uintptr_t)workspace % 64 == 0, ERR_INTERNAL, "cpu: workspace is not 64-byte aligned");
    REQUIRE(shapes->HS <= HEAD_WIDTH_MAX, ERR_CONFIG, "cpu: head_width %lld is above %d",
            (long long)shapes->HS, HEAD_WIDTH_MAX);
    d->scratch = (cpu_scratch){workspace, bytes};
    return OK;
}

/* 64-byte aligned zeros */
static status cpu_alloc(device *d, void **out, int64_t bytes)
{
    (void)d;
    const size_t size = (size_t)cpu_piece(bytes ? bytes : 1);
    void *memory = aligned_alloc(64, size);
    REQUIRE(memory, ERR_MEMORY, "cpu: no memory for %lld bytes", (long long)bytes);
    memset(memory, 0, size);
    *out = memory;
    return OK;
}

static void cpu_release(device *d, void *memory, int64_t bytes)
{
    (void)d, (void)bytes;
    free(memory);
}

static status cpu_copy(device *d, void *to, const void *from, int64_t bytes)
{
    (void)d;
    if (bytes) memmove(to, from, (size_t)bytes);
    return OK;
}

static status cpu_zero(device *d, void *memory, int64_t bytes)
{
    (void)d;
    if (bytes) memset(memory, 0, (size_t)bytes);
    return OK;
}

static status cpu_event_record(device *d, int32_t event, queue q)
{
    (void)d, (void)q;
    ASSERT(event >= 0 && event < EVENTS_MAX);
    return OK;
}
static status cpu_queue_wait(device *d, queue q, int32_t event)
{
    return cpu_event_record(d, event, q);
}
static status cpu_sync(device *d)
{
    (void)d;
    return OK;
}

/* Numbers below the smallest normal one count as 0 inside the arithmetic of an op: they cost a
 * hundred times more, and what the caller's thread had set must not decide the bits. The integer
 * part of the exact reduction, conversions and sums of squares run without it. */
#if defined(__x86_64__)
#include <xmmintrin.h>
enum { MXCSR_OURS = 0x9fc0 }; /* round to nearest, flush, no traps */
#define ARITHMETIC(call)                                                                           \
    do {                                                                                           \
        const unsigned before = _mm_getcsr();                                                      \
        _mm_setcsr(MXCSR_OURS);                                                                    \
        call;                                                                                      \
        _mm_setcsr(before);                                                                        \
    } while (0)
#elif defined(__aarch64__)
#define FPCR_OURS (1ULL << 24) /* the same */
#define ARITHMETIC(call)                                                                           \
    do {                                                                                           \
        unsigned long long before;                                                                 \
        __asm__ volatile("mrs %0, fpcr" : "=r"(before) : : "memory");                              \
        __asm__ volatile("msr fpcr, %0" : : "r"(FPCR_OURS) : "memory");                            \
        call;                                                                                      \
        __asm__ volatile("msr fpcr, %0" : : "r"(before) : "memory");                               \
    } while (0)
#else
#define ARITHMETIC(call) call
#endif

/* Token ids index tables: one outside would write anywhere. */
static status check_tokens(const char *op, tensor tokens, int64_t V)
{
    const int32_t *id = tokens.data;
    for (int64_t n = 0; n < tensor_count(tokens); n++)
        REQUIRE(id[n] >= 0 && id[n] < V, ERR_INTERNAL, "%s: token %d at %lld is outside [0, %lld)",
                op, (int)id[n], (long long)n, (long long)V);
    return OK;
}

static status cpu_embed(device *d, const embed_args *a)
{
    ASSERT(is_act(a->table) && a->T > 0 &&
           has_shape(a->out, tensor_count(a->tokens), a->table.dim[1]));
    ASSERT(!a->positions.data ||
           (a->positions.dim[0] >= a->T && a->positions.type == a->table.type));
    TRY(check_tokens("embed", a->tokens, a->table.dim[0]));
    d->kernels->embed(a);
    return OK;
}

static status cpu_embed_backward(device *d, const embed_backward_args *a)
{
    ASSERT(a->T > 0 && has_shape(a->dout, tensor_count(a->tokens), a->dtable.dim[1]));
    ASSERT(!a->dpositions.data || a->dpositions.dim[0] >= a->T);
    TRY(check_tokens("embed_backward", a->tokens, a->dtable.dim[0]));
    d->kernels->embed_backward(a);
    return OK;
}

static status cpu_norm(device *d, const norm_args *a)
{
    const int64_t N = a->x.dim[0], C = a->x.dim[1];
    ASSERT(is_act(a->out) && has_shape(a->out, N, C) && has_count(a->rstd, N) &&
           has_count(a->gain, C));
    ASSERT(may_have_count(a->bias, C) && may_have_shape(a->delta, N, C) &&
           may_have_shape(a->sum, N, C));
    ASSERT(!a->delta.data || a->sum.data);
    ARITHMETIC(d->kernels->norm(a));
    return OK;
}

static status cpu_norm_backward(device *d, const norm_backward_args *a)
{
    const int64_t N = a->x.dim[0], C = a->x.dim[1];
    ASSERT(is_act(a->dout) && has_shape(a->dout, N, C) && has_shape(a->dx, N, C) &&
           has_count(a->gain, C));
    ASSERT(has_count(a->rstd, N) && has_count(a->dgain, C) && may_have_count(a->dbias, C));
    ASSERT(a->kind == NORM_RMS || has_count(a->mean, N));
    ARITHMETIC(d->kernels->norm_backward(d->scratch, a));
    return OK;
}

static status cpu_linear(device *d, const linear_args *a)
{
    const int64_t M = a->x.dim[0], K = a->x.dim[1], N = a->w.dim[0];
    ASSERT(is_act(a->x) && a->w.type == a->x.type && has_shape(a->w, N, K) &&
           has_shape(a->out, M, N));
    ASSERT(may_have_count(a->bias, N) && (a->act == ACT_NONE || has_shape(a->pre, M, N)));
    ARITHMETIC(d->kernels->linear(d->scratch, a));
    return OK;
}

static status cpu_linear_backward_input(device *d, const linear_backward_input_args *a)
{
    const int64_t M = a->dy.dim[0], N = a->dy.dim[1], K = a->w.dim[1];
    ASSERT(is_act(a->dy) && a->w.type == a->dy.type && has_shape(a->w, N, K) &&
           has_shape(a->dx, M, K));
    ASSERT(a->act == ACT_NONE || has_shape(a->pre, M, K));
    ARITHMETIC(d->kernels->linear_backward_input(d->scratch, a));
    return OK;
}

static status cpu_linear_backward_weight(device *d, const linear_backward_weight_args *a)
{
    const int64_t M = a->dy.dim[0], N = a->dy.dim[1], K = a->x.dim[1];
    ASSERT(is_act(a->dy) && a->x.type == a->dy.type && has_shape(a->x, M, K) &&
           has_shape(a->dw, N, K));
    ASSERT(may_have_count(a->dbias, N) && a->dw.type == DTYPE_F32);
    ARITHMETIC(d->kernels->linear_backward_weight(d->scratch, a));
    return OK;
}

static status cpu_swiglu(device *d, const swiglu_args *a)
{
    ASSERT(is_act(a->out) && has_shape(a->gate_up, a->out.dim[0], 2 * a->out.dim[1]));
    ARITHMETIC(d->kernels->swiglu(a));
    return OK;
}

static status cpu_swiglu_backward(device *d, const swiglu_backward_args *a)
{
    const int64_t N = a->dout.dim[0], F = a->dout.dim[1];
    ASSERT(is_act(a->dout) && has_shape(a->gate_up, N, 2 * F) && has_shape(a->dgate_up, N, 2 * F));
    ARITHMETIC(d->kernels->swiglu_backward(a));
    return OK;
}

static status cpu_rope(device *d, const rope_args *a)
{
    ASSERT(is_act(a->qkv) && a->HS % 2 == 0 && a->HS <= HEAD_WIDTH_MAX);
    ASSERT(a->qkv.dim[1] == (a->NH + 2 * a->NKV) * a->HS && tensor_count(a->table) >= a->T * a->HS);
    ARITHMETIC(d->kernels->rope(a));
    return OK;
}

static status cpu_attention(device *d, const attention_args *a)
{
    const int64_t N = a->B * a->T;
    ASSERT(is_act(a->qkv) && a->NKV > 0 && a->NH % a->NKV == 0 && has_count(a->lse, N * a->NH));
    ASSERT(has_shape(a->qkv, N, (a->NH + 2 * a->NKV) * a->HS) &&
           has_shape(a->out, N, a->NH * a->HS));
    ARITHMETIC(d->kernels->attention(d->scratch, a));
    return OK;
}

static status cpu_attention_backward(device *d, const attention_backward_args *a)
{
    const int64_t N = a->B * a->T, width = (a->NH + 2 * a->NKV) * a->HS;
    ASSERT(is_act(a->qkv) && a->NKV > 0 && a->NH % a->NKV == 0 && has_count(a->lse, N * a->NH));
    ASSERT(has_shape(a->qkv, N, width) && has_shape(a->dqkv, N, width));
    ASSERT(has_shape(a->out, N, a->NH * a->HS) && has_shape(a->dout, N, a->NH * a->HS));
    ARITHMETIC(d->kernels->attention_backward(d->scratch, a));
    return OK;
}

static status cpu_head(device *d, const head_args *a)
{
    const int64_t N = a->x.dim[0], C = a->x.dim[1], V = a->w.dim[0];
    ASSERT(is_act(a->x) && has_shape(a->w, V, C) && has_count(a->losses, N) &&
           has_count(a->targets, N));
    ASSERT(may_have_shape(a->dx, N, C) && may_have_shape(a->dw, V, C) &&
           !a->dx.data == !a->dw.data);
    TRY(check_tokens("head", a->targets, V));
    ARITHMETIC(d->kernels->head(d->scratch, a));
    return OK;
}

static status cpu_accumulate(device *d, const accumulate_args *a)
{
    ASSERT(has_count(a->sum, tensor_count(a->gradient)) && a->flag &&
           a->gradient.type == DTYPE_F32);
    ASSERT(a->sum.type == (a->kind == REDUCTION_EXACT ? DTYPE_I64 : DTYPE_F32));
    d->kernels->accumulate(a);
    return OK;
}

static status cpu_sum_squares(device *d, const sum_squares_args *a)
{
    ASSERT(a->values.type == DTYPE_I64 || a->values.type == DTYPE_F32);
    ASSERT(has_count(a->out, (tensor_count(a->values) + CHUNK - 1) / CHUNK));
    d->kernels->sum_squares(a);
    return OK;
}

static status cpu_clip_scalars(device *d, const clip_args *a)
{
    (void)d;
    double sum = 0;
    for (int64_t c = 0; c < tensor_count(a->squares); c++)
        sum += ((const double *)a->squares.data)[c];
    step_scalars *s = a->scalars;
    s->grad_norm = s->mean_scale * sqrt(sum);
    s->gradient_scale = s->mean_scale * (a->kind == REDUCTION_EXACT ? 1 / EXACT_SCALE : 1);
    if (s->clip > 0 && s->grad_norm > (double)s->clip)
        s->gradient_scale *= (double)s->clip / s->grad_norm;
    s->skip = *a->flag != 0 || !isfinite(s->grad_norm);
    return OK;
}

static status cpu_adamw(device *d, const adamw_args *a)
{
    const int64_t n = tensor_count(a->weights);
    ASSERT(has_count(a->m, n) && has_count(a->v, n) && has_count(a->gradient, n) &&
           may_have_count(a->copy, n));
    ARITHMETIC(d->kernels->adamw(a));
    return OK;
}

static status cpu_digest(device *d, const digest_args *a)
{
    ASSERT(has_count(a->out, (tensor_count(a->values) + CHUNK - 1) / CHUNK));
    d->kernels->digest(a);
    return OK;
}

static status cpu_convert(device *d, tensor to, tensor from)
{
    ASSERT(is_act(to) && is_act(from) && tensor_count(to) == tensor_count(from));
    d->kernels->convert(to, from);
    return OK;
}

static double cpu_burst(device *d, dtype type) { return d->kernels->burst(type); }

const ops cpu_ops = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .workspace_bytes = cpu_workspace_bytes,
    .reserve = cpu_reserve,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_copy,
    .download = cpu_copy,
    .zero = cpu_zero,
    .event_record = cpu_event_record,
    .queue_wait = cpu_queue_wait,
    .sync = cpu_sync,
    .embed = cpu_embed,
    .embed_backward = cpu_embed_backward,
    .norm = cpu_norm,
    .norm_backward = cpu_norm_backward,
    .linear = cpu_linear,
    .linear_backward_input = cpu_linear_backward_input,
    .linear_backward_weight = cpu_linear_backward_weight,
    .swiglu = cpu_swiglu,
    .swiglu_backward = cpu_swiglu_backward,
    .rope = cpu_rope,
    .attention = cpu_attention,
    .attention_backward = cpu_attention_backward,
    .head = cpu_head,
    .accumulate = cpu_accumulate,
    .sum_squares = cpu_sum_squares,
    .clip_scalars = cpu_clip_scalars,
    .adamw = cpu_adamw,
    .digest = cpu_digest,
    .convert = cpu_convert,
    .burst = cpu_burst,
};

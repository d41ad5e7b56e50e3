#include "plan/footprint.h"

#include "base/arena.h"
#include "kernels/ops.h"

/* Scratch of an accelerator's products and loss where nobody asked the backend: a fixed pool, and
 * the logits of a slice of the micro-batch. */
enum { SCRATCH_POOL = 64 << 20, SCRATCH_LOGIT_ROWS = 8192 };

static dtype act_of(const config *cfg)
{
    return cfg->train.precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
}

/* What cuDNN 9.19 asks for (sm_90) where attention is its: one array of scores in bf16, dk and dv
 * of every head where heads share keys, and a number per row. */
static int64_t scratch_of_cudnn(const config *cfg)
{
    const model_config *m = &cfg->model;
    const int64_t T = m->context, heads = cfg->train.micro_batch * m->heads;
    if (cfg->train.attention != ATTENTION_CUDNN) return 0;
    const int64_t scores = (T + 63) / 64 * 64 * ((T + 127) / 128 * 128) * 2;
    const int64_t shared = m->heads == m->kv_heads ? 0 : 2 * T * m->head_width * 2;
    return heads * (scores + shared + T * 4);
}

static int64_t scratch_modelled(const config *cfg)
{
    const int64_t N = cfg->train.micro_batch * cfg->model.context;
    const int64_t rows = N < SCRATCH_LOGIT_ROWS ? N : SCRATCH_LOGIT_ROWS;
    return SCRATCH_POOL + rows * cfg->model.vocab * dtype_bytes(act_of(cfg)) +
           scratch_of_cudnn(cfg);
}

/* The runtime's own arrays; but frameworks that shard fully keep the residual streams of the layers
 * in the type of the activations, where here they are fp32. */
static int64_t activations_modelled(const config *cfg)
{
    const int64_t L = cfg->model.layers;
    const int64_t elements = cfg->train.micro_batch * cfg->model.context * cfg->model.width;
    const int64_t streams = cfg->train.recompute == RECOMPUTE_BLOCK ? L + 1 : 2 * L;
    activations_spec spec;
    memory_activations(&spec, cfg);
    return activations_bytes(&cfg->model, &spec) -
           streams * (arena_piece(elements * 4) - arena_piece(elements * dtype_bytes(spec.act)));
}

/* Elements of the largest bucket: what full sharding gathers at a time. */
static int64_t largest_bucket(const layout *l)
{
    int64_t most = 0;
    for (int32_t b = 0; b < l->bucket_count; b++)
        if (l->buckets[b].count > most) most = l->buckets[b].count;
    return most;
}

/* Two buckets whole (the one in use, the next one arriving), the rest as stripes. */
static void shard_fully(memory_plan *out, const config *cfg, const layout *l)
{
    const int64_t A = dtype_bytes(act_of(cfg)), two = 2 * largest_bucket(l);
    const int64_t whole = two < l->physical ? two : l->physical;
    out->bytes[MEMORY_WEIGHTS] = arena_piece(whole * A);
    out->bytes[MEMORY_GRADIENTS] = arena_piece(whole * A);
    out->bytes[MEMORY_SUMS] =
        arena_piece(l->shard * (cfg->train.reduction == CONFIG_EXACT ? 8 : 4));
}

void footprint_build(memory_plan *out, bool *exact, const predict_question *q, const layout *l,
                     bool on_device)
{
    config cfg = *q->cfg;
    cfg.train.sharding = q->sharding == PREDICT_NONE ? SHARDING_NONE : SHARDING_ZERO1;
    const bool asked = q->workspace_bytes >= 0;
    memory_plan_build(out, &cfg, l, asked ? q->workspace_bytes : scratch_modelled(&cfg),
                      q->eval_windows);
    if (on_device) memory_plan_device(out);
    if (q->sharding == PREDICT_FULL) {
        out->bytes[MEMORY_ACTIVATIONS] = activations_modelled(&cfg);
        shard_fully(out, &cfg, l);
    }
    out->total = 0;
    for (int k = 0; k < MEMORY_KINDS; k++) out->total += out->bytes[k];
    *exact = asked && q->sharding != PREDICT_FULL;
}

int64_t footprint_bytes(const memory_plan *p, bool on_device)
{
    int64_t bytes = 0;
    for (int k = 0; k < MEMORY_KINDS; k++)
        if (!on_device || !memory_on_host((memory_kind)k)) bytes += p->bytes[k];
    return bytes;
}

#include "plan/footprint.h"

#include "base/arena.h"
#include "kernels/ops.h"
#include "model/activations.h"

/* Scratch of an accelerator's products and loss where nobody asked the backend: a fixed pool, and
 * the logits of a slice of the micro-batch. */
enum { SCRATCH_POOL = 64 << 20, SCRATCH_LOGIT_ROWS = 8192 };

static dtype act_of(const config *cfg)
{
    return cfg->train.precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
}

static int64_t scratch_modelled(const config *cfg)
{
    const int64_t N = cfg->train.micro_batch * cfg->model.context;
    const int64_t rows = N < SCRATCH_LOGIT_ROWS ? N : SCRATCH_LOGIT_ROWS;
    return SCRATCH_POOL + rows * cfg->model.vocab * dtype_bytes(act_of(cfg));
}

/* Activations with `layers` layers, everything kept. */
static int64_t kept_bytes(const config *cfg, int64_t layers)
{
    model_config m = cfg->model;
    m.layers = layers;
    return activations_bytes(&m, cfg->train.micro_batch, act_of(cfg), true);
}

/* Bytes of one residual stream (N, C): fp32 here, in the type of the activations where frameworks
 * shard fully. */
static int64_t stream_bytes(const config *cfg, predict_sharding sharding)
{
    const int64_t N = cfg->train.micro_batch * cfg->model.context;
    const int64_t width = sharding == PREDICT_FULL ? dtype_bytes(act_of(cfg)) : 4;
    return arena_piece(N * cfg->model.width * width);
}

/* block: each layer keeps its input only; mlp: all but the MLP's inner arrays. What is computed
 * again has one place for all layers. */
static int64_t activations_modelled(const config *cfg, predict_sharding sharding)
{
    const model_config *m = &cfg->model;
    const int64_t N = cfg->train.micro_batch * m->context, A = dtype_bytes(act_of(cfg));
    const int64_t narrower = stream_bytes(cfg, PREDICT_NONE) - stream_bytes(cfg, sharding);
    const int64_t whole = kept_bytes(cfg, 2) - kept_bytes(cfg, 1);
    const int64_t rest = kept_bytes(cfg, 1) - whole, one = whole - 2 * narrower;
    const bool gated = m->mlp == MLP_SWIGLU || m->mlp == MLP_GEGLU;
    const int64_t inner =
        arena_piece(N * m->ffn * (gated ? 2 : 1) * A) + arena_piece(N * m->ffn * A);
    switch (cfg->train.recompute) {
    case RECOMPUTE_BLOCK:
        return rest + m->layers * stream_bytes(cfg, sharding) + one;
    case RECOMPUTE_MLP:
        return rest + m->layers * (one - inner) + inner;
    default:
        return rest + m->layers * one;
    }
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
    if (cfg.train.recompute != RECOMPUTE_NONE || q->sharding == PREDICT_FULL)
        out->bytes[MEMORY_ACTIVATIONS] = activations_modelled(&cfg, q->sharding);
    if (q->sharding == PREDICT_FULL) shard_fully(out, &cfg, l);
    out->total = 0;
    for (int k = 0; k < MEMORY_KINDS; k++) out->total += out->bytes[k];
    *exact = asked && cfg.train.recompute == RECOMPUTE_NONE && q->sharding != PREDICT_FULL;
}

int64_t footprint_bytes(const memory_plan *p, bool on_device)
{
    int64_t bytes = 0;
    for (int k = 0; k < MEMORY_KINDS; k++)
        if (!on_device || !memory_on_host((memory_kind)k)) bytes += p->bytes[k];
    return bytes;
}

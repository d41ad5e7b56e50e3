#include "plan/memory.h"
#include "base/arena.h"
#include "kernels/ops.h"

const char *memory_kind_name(memory_kind kind)
{
    static const char *const names[MEMORY_KINDS] = {"weights",  "gradients",   "sums",
                                                    "state",    "activations", "workspace",
                                                    "exchange", "snapshot",    "twin"};
    return names[kind];
}

int64_t memory_state_elements(const config *cfg, const layout *l)
{
    return cfg->train.sharding == SHARDING_ZERO1 ? l->shard : l->physical;
}

void memory_activations(activations_spec *out, const config *cfg)
{
    *out =
        (activations_spec){.B = cfg->train.micro_batch,
                           .act = cfg->train.precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32,
                           .training = true,
                           .recompute = cfg->train.recompute};
}

void memory_exchange(exchange_sizes *out, const config *cfg, const layout *l, int64_t eval_windows)
{
    int64_t M = cfg->train.batch_tokens / (cfg->train.micro_batch * cfg->model.context);
    int64_t B = cfg->train.micro_batch, batches = (eval_windows + B - 1) / B;
    out->losses = (M + l->ranks - 1) / l->ranks;
    out->chunks = l->shard / CHUNK;
    out->report_bytes = MEMORY_REPORT_BYTES + out->losses * 8 + out->chunks * 8;
    out->digest_bytes = out->chunks * 8;
    out->eval_windows = (batches + l->ranks - 1) / l->ranks * B;
    out->batch_bytes = B * (cfg->model.context + 1) * 4;
}

void memory_plan_build(memory_plan *out, const config *cfg, const layout *l,
                       int64_t workspace_bytes, int64_t eval_windows)
{
    bool bf16 = cfg->train.precision == PRECISION_BF16,
         exact = cfg->train.reduction == CONFIG_EXACT;
    activations_spec spec;
    memory_activations(&spec, cfg);
    int64_t state = memory_state_elements(cfg, l);
    exchange_sizes x;
    memory_exchange(&x, cfg, l, eval_windows);

    *out = (memory_plan){0};
    out->bytes[MEMORY_WEIGHTS] = arena_piece(l->physical * (bf16 ? 2 : 4));
    out->bytes[MEMORY_GRADIENTS] = arena_piece(l->physical * 4);
    out->bytes[MEMORY_SUMS] = arena_piece(l->physical * (exact ? 8 : 4));
    out->bytes[MEMORY_STATE] = arena_piece(state * 4) * (bf16 ? 3 : 2);
    out->bytes[MEMORY_ACTIVATIONS] = activations_bytes(&cfg->model, &spec);
    out->bytes[MEMORY_WORKSPACE] = arena_piece(workspace_bytes);
    /* ranks' slots of report, digests and evaluation; ordered copies; the host's batch; losses of
     * the own micro-batches; what ops read by pointer */
    out->bytes[MEMORY_EXCHANGE] =
        arena_piece(l->ranks * x.report_bytes) + arena_piece(l->ranks * x.digest_bytes) +
        arena_piece(l->ranks * x.eval_windows * 8) + arena_piece(l->chunks * 8) +
        arena_piece(x.batch_bytes) +
        arena_piece(x.losses * cfg->train.micro_batch * cfg->model.context * 4) +
        arena_piece(sizeof(step_scalars)) + arena_piece(4);
    /* own stripes only: with replicated state each rank still writes its stripe */
    out->bytes[MEMORY_SNAPSHOT] = cfg->checkpoint.asynchronous ? 3 * arena_piece(l->shard * 4) : 0;
    for (int k = 0; k < MEMORY_KINDS; k++) out->total += out->bytes[k];
}

void memory_plan_device(memory_plan *p)
{
    p->total += p->bytes[MEMORY_EXCHANGE] - p->bytes[MEMORY_TWIN];
    p->bytes[MEMORY_TWIN] = p->bytes[MEMORY_EXCHANGE];
}

bool memory_on_host(memory_kind kind) { return kind == MEMORY_SNAPSHOT || kind == MEMORY_TWIN; }

int64_t memory_of_peers(const memory_plan *p, const config *cfg, int32_t ranks, int32_t node_ranks)
{
    /* a rank adds 1 / node_ranks of the sums, and so touches that part of each peer's; sharded
     * state is followed by a gather of the weights, copied from the peer that made each part;
     * replicated state on several nodes by a copy of the sums */
    bool sharded = cfg->train.sharding == SHARDING_ZERO1, copied = !sharded && ranks > node_ranks;
    int64_t whole =
        p->bytes[MEMORY_SUMS] * (copied ? 2 : 1) + (sharded ? p->bytes[MEMORY_WEIGHTS] : 0);
    return whole / node_ranks * (node_ranks - 1);
}

#include "train/run.h"
#include "base/log.h"
#include "data/pool.h"
#include "train/checkpoint.h"

#include <gnu/libc-version.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

stripe_range run_owned(const run *r, int32_t b)
{
    if (r->cfg->train.sharding == SHARDING_ZERO1)
        return layout_stripe(&r->layout, b, comm_rank(r->comm));
    const bucket *k = &r->layout.buckets[b];
    return (stripe_range){.logical = k->logical,
                          .physical = k->physical,
                          .shard = k->physical,
                          .count = k->count,
                          .chunk = k->chunk};
}

float *run_masters(const run *r, stripe_range owned)
{
    return r->masters ? r->masters + owned.shard : (float *)r->params.weights + owned.physical;
}

void *run_host(const run *r, const void *exchanged)
{
    const arena *twin = &r->arenas[MEMORY_TWIN], *there = &r->arenas[MEMORY_EXCHANGE];
    int64_t at = (const char *)exchanged - there->base;
    return (twin->base ? twin->base : there->base) + at;
}

status run_pull(run *r, const void *exchanged, int64_t bytes)
{
    if (!r->arenas[MEMORY_TWIN].base) return OK;
    return r->ops->download(r->device, run_host(r, exchanged), exchanged, bytes);
}

status run_push(run *r, void *exchanged, int64_t bytes)
{
    if (!r->arenas[MEMORY_TWIN].base) return OK;
    return r->ops->upload(r->device, exchanged, run_host(r, exchanged), bytes);
}

status run_fill(run *r, float *to, int64_t first, int64_t count, run_values values, void *context)
{
    enum { PIECE = 1 << 20 };
    if (!r->ops->native_queue) return values(context, first, count, to);
    float *piece = malloc(PIECE * sizeof *piece);
    REQUIRE(piece, ERR_MEMORY, "no memory for %d values on their way to the device", PIECE);
    status s = OK;
    for (int64_t at = 0; s == OK && at < count; at += PIECE) {
        int64_t n = count - at < PIECE ? count - at : PIECE;
        s = values(context, first + at, n, piece);
        if (s == OK) s = r->ops->upload(r->device, to + at, piece, n * 4);
    }
    free(piece);
    return s;
}

/* Enough data for every step, unless epochs may repeat. */
static status check_tokens(const run *r)
{
    const samples_info *about = samples_about(r->train);
    int64_t batch = r->cfg->train.batch_tokens, T = r->cfg->model.context;
    int64_t needed = r->steps_total * (batch / T);
    if (r->cfg->data.repeat == REPEAT_ALLOW || needed <= about->count) return OK;
    FAIL(ERR_CONFIG,
         "train.tokens: %" PRId64 " tokens need %" PRId64 " samples; data.train holds %" PRId64
         " of %" PRId64 " tokens; at most train.tokens=%" PRId64 ", or data.repeat=allow",
         r->cfg->train.tokens, needed, about->count, T, about->count * T / batch * batch);
}

/* The fixed evaluation set: windows spread over the validation source, their bytes and exact
 * entropy. */
static status measure_windows(run *r)
{
    const samples_info *about = samples_about(r->validation);
    int64_t T = r->cfg->model.context, wanted = (r->cfg->evaluate.tokens + T - 1) / T;
    REQUIRE(about->count < INT64_MAX || wanted > 0, ERR_CONFIG,
            "evaluate.tokens: 0 (all) with an unlimited source; give a number of tokens");
    r->eval_windows = wanted > 0 && wanted < about->count ? wanted : about->count;
    REQUIRE(r->eval_windows > 0, ERR_IO,
            "data.validation: %" PRId64 " tokens are less than one window of %" PRId64,
            about->tokens, T + 1);
    int32_t *tokens = malloc((size_t)(T + 1) * sizeof *tokens);
    REQUIRE(tokens, ERR_MEMORY, "no memory for a window");
    status s = OK;
    for (int64_t w = 0; s == OK && w < r->eval_windows; w++) {
        double nats = 0.0;
        s = samples_read(r->validation, run_window(r, w), tokens);
        for (int64_t i = 1; s == OK && about->has_bytes && i <= T; i++)
            r->eval_bytes += samples_token_bytes(r->validation, tokens[i]);
        if (s == OK && about->has_entropy)
            s = samples_entropy(r->validation, run_window(r, w), &nats);
        r->eval_oracle += nats;
    }
    free(tokens);
    return s;
}

/* From a run that has it open, if it is what this one reads. */
static bool take_data(run *r, run *from)
{
    const config *a = r->cfg, *b = from ? from->cfg : NULL;
    if (!b || !from->train || r->judge != from->judge || a->model.context != b->model.context ||
        a->model.vocab != b->model.vocab || memcmp(&a->data, &b->data, sizeof a->data) != 0 ||
        memcmp(&a->zipf, &b->zipf, sizeof a->zipf) != 0 ||
        memcmp(&a->evaluate, &b->evaluate, sizeof a->evaluate) != 0)
        return false;
    r->train = from->train;
    r->validation = from->validation;
    r->eval_windows = from->eval_windows;
    r->eval_bytes = from->eval_bytes;
    r->eval_oracle = from->eval_oracle;
    from->train = from->validation = NULL;
    return true;
}

static status open_data(run *r, run *like)
{
    const config *cfg = r->cfg;
    if (take_data(r, like)) return check_tokens(r);
    TRY(samples_open(&r->train, cfg, SPLIT_TRAIN));
    TRY(check_tokens(r));
    if (!cfg->data.validation[0] && cfg->data.synthetic == SYNTHETIC_NONE) return OK;
    TRY(samples_open(&r->validation, cfg, r->judge));
    return measure_windows(r);
}

/* For measuring what a way of doing things is worth: the bits are the same. */
static status choose(bool *on, const char *variable)
{
    const char *text = getenv(variable);
    *on = !text || text[0] == '\0' || strcmp(text, "on") == 0;
    REQUIRE(*on || strcmp(text, "off") == 0, ERR_CONFIG, "%s: \"%s\" is not one of on, off",
            variable, text);
    return OK;
}

static status choose_attention(run *r, const op_shapes *shapes)
{
    const int32_t wanted = r->cfg->train.attention;
    if (r->ops->choose_attention)
        return r->ops->choose_attention(r->device, config_choice("train", "attention", wanted),
                                        shapes, r->attention, sizeof r->attention);
    REQUIRE(wanted != ATTENTION_CUDNN, ERR_CONFIG,
            "train.attention: cudnn belongs to backend cuda; this run computes with %s; nearest: "
            "own",
            r->ops->name);
    return OK;
}

/* Everything that needs no other rank. */
static status open_local(run *r, run *like)
{
    const config *cfg = r->cfg;
    int32_t ranks = world_size(r->world);
    TRY(config_check_trainable(cfg));
    bool graphs;
    TRY(choose(&r->overlap, "ISOFLOP_OVERLAP"));
    TRY(choose(&graphs, "ISOFLOP_GRAPHS"));
    int64_t micro_tokens = cfg->train.micro_batch * cfg->model.context;
    r->M = cfg->train.batch_tokens / micro_tokens;
    r->steps_total = (cfg->train.tokens + cfg->train.batch_tokens - 1) / cfg->train.batch_tokens;
    REQUIRE(r->M >= ranks, ERR_CONFIG,
            "train.batch_tokens: %" PRId64 " tokens are %" PRId64 " micro-batches of %" PRId64
            " x %" PRId64 ", fewer than the %d ranks; use at most %" PRId64
            " ranks or train.batch_tokens=%" PRId64,
            cfg->train.batch_tokens, r->M, cfg->train.micro_batch, cfg->model.context, ranks, r->M,
            ranks * micro_tokens);
    TRY(open_data(r, like));
    TRY(layout_init(&r->layout, &cfg->model, ranks));
    memory_exchange(&r->exchange, cfg, &r->layout, r->eval_windows);

    const char *const names[] = {"auto", "ref", "cpu", "cuda"};
    const char *path = getenv("ISOFLOP_CPU_PATH");
    TRY(backend_find(&r->ops, names[cfg->run.backend]));
    REQUIRE(!cfg->run.share_gpu || strcmp(r->ops->name, "cuda") == 0, ERR_CONFIG,
            "share_gpu (--share-gpu) belongs to backend cuda; this run computes with %s",
            r->ops->name);
    TRY(r->ops->open(&r->device, &(device_options){.local_rank = world_local_rank(r->world),
                                                   .share = cfg->run.share_gpu,
                                                   .path = path ? path : "auto"}));
    dtype act = cfg->train.precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
    op_shapes shapes = transformer_shapes(&cfg->model, cfg->train.micro_batch, act);
    TRY(choose_attention(r, &shapes));
    memory_plan_build(&r->plan, cfg, &r->layout, r->ops->workspace_bytes(r->device, &shapes),
                      r->eval_windows);
    if (r->ops->native_queue) memory_plan_device(&r->plan);
    if (r->ops->parts) r->part_count = r->ops->parts(r->device, &shapes, r->parts);
    replay_init(&r->replay, r->ops, graphs);
    r->params.act = act;

    char text[256];
    r->ops->describe(r->device, text, sizeof text);
    /* cos, log and pow of first weights, positions and schedule come from the C library */
    (void)snprintf(r->arithmetic_id, sizeof r->arithmetic_id, "%s; glibc %s; %s; reduction %s",
                   text, gnu_get_libc_version(), act == DTYPE_BF16 ? "bf16" : "fp32",
                   cfg->train.reduction == CONFIG_EXACT ? "exact 2^44" : "fast");
    if (cfg->train.reduction == CONFIG_FAST) {
        size_t used = strlen(r->arithmetic_id);
        (void)snprintf(r->arithmetic_id + used, sizeof r->arithmetic_id - used, " on %d ranks",
                       ranks);
    }
    return OK;
}

/* All ranks must compute in the same way: the same kernels, versions, reduction and precision. */
static status agree_on_arithmetic(run *r)
{
    char first[sizeof r->arithmetic_id];
    memcpy(first, r->arithmetic_id, sizeof first);
    TRY(world_broadcast(r->world, first, sizeof first, 0));
    status s = OK;
    if (strcmp(first, r->arithmetic_id) != 0)
        s = status_set(
            ERR_CONFIG, __FILE__, __LINE__,
            "this rank computes as '%s', rank 0 as '%s'; start all ranks on equal machines, or set "
            "ISOFLOP_CPU_PATH to a path all of them have",
            r->arithmetic_id, first);
    return world_agree(r->world, s);
}

/* -1: not known here */
static int64_t device_used(const run *r)
{
    return r->ops->used_bytes ? r->ops->used_bytes(r->device) : -1;
}

/* One arena from the communicator (windows, registered memory) or from the device, touched so that
 * a lack of memory shows now and not in the middle of a run. */
static status open_arena(run *r, memory_kind kind)
{
    int64_t bytes = r->plan.bytes[kind], before = device_used(r);
    void *base = NULL;
    if (memory_on_host(kind)) {
        if (bytes > 0) TRY(arena_init(&r->arenas[kind], memory_kind_name(kind), bytes));
        if (bytes > 0) memset(r->arenas[kind].base, 0, (size_t)bytes);
        return OK;
    }
    bool shared = kind == MEMORY_WEIGHTS || kind == MEMORY_SUMS || kind == MEMORY_EXCHANGE;
    if (bytes > 0)
        TRY(shared ? comm_alloc(r->comm, &base, bytes) : r->ops->alloc(r->device, &base, bytes));
    arena_view(&r->arenas[kind], memory_kind_name(kind), base, bytes);
    const int64_t grown = device_used(r) - before - bytes;
    if (shared && (before < 0 || grown < 0 || r->rounded_bytes < 0))
        r->rounded_bytes = -1;
    else if (shared)
        r->rounded_bytes += grown;
    return bytes > 0 ? r->ops->zero(r->device, base, bytes) : OK;
}

static void take_arrays(run *r)
{
    arena *a = r->arenas;
    int64_t act = dtype_bytes(r->params.act), ranks = r->layout.ranks, part;
    const train_config *t = &r->cfg->train;
    part = memory_state_elements(r->cfg, &r->layout) * 4;
    r->params.layout = &r->layout;
    r->params.weights = arena_take(&a[MEMORY_WEIGHTS], r->layout.physical * act);
    r->params.gradients = arena_take(&a[MEMORY_GRADIENTS], r->layout.physical * 4);
    r->sums =
        arena_take(&a[MEMORY_SUMS], r->layout.physical * (t->reduction == CONFIG_EXACT ? 8 : 4));
    r->m = arena_take(&a[MEMORY_STATE], part);
    r->v = arena_take(&a[MEMORY_STATE], part);
    if (act == 2) r->masters = arena_take(&a[MEMORY_STATE], part);
    r->reports = arena_take(&a[MEMORY_EXCHANGE], ranks * r->exchange.report_bytes);
    r->digests = arena_take(&a[MEMORY_EXCHANGE], ranks * r->exchange.digest_bytes);
    r->window_losses = arena_take(&a[MEMORY_EXCHANGE], ranks * r->exchange.eval_windows * 8);
    r->squares = arena_take(&a[MEMORY_EXCHANGE], r->layout.chunks * 8);
    r->batch = run_host(r, arena_take(&a[MEMORY_EXCHANGE], r->exchange.batch_bytes));
    r->losses = arena_take(&a[MEMORY_EXCHANGE],
                           r->exchange.losses * t->micro_batch * r->cfg->model.context * 4);
    r->scalars = arena_take(&a[MEMORY_EXCHANGE], sizeof(step_scalars));
    r->flag = arena_take(&a[MEMORY_EXCHANGE], 4);
    a[MEMORY_TWIN].used = a[MEMORY_TWIN].bytes;
}

static status open_memory(run *r)
{
    const config *cfg = r->cfg;
    for (memory_kind k = 0; k < MEMORY_KINDS; k++) TRY(open_arena(r, k));
    take_arrays(r);
    activations_spec spec;
    memory_activations(&spec, cfg);
    TRY(activations_init(&r->act, &r->arenas[MEMORY_ACTIVATIONS], &cfg->model, &spec));
    op_shapes shapes = transformer_shapes(&cfg->model, cfg->train.micro_batch, r->params.act);
    int64_t scratch = r->plan.bytes[MEMORY_WORKSPACE];
    TRY(r->ops->reserve(r->device, arena_take(&r->arenas[MEMORY_WORKSPACE], scratch), scratch,
                        &shapes));
    r->model = (transformer){.ops = r->ops,
                             .device = r->device,
                             .config = &cfg->model,
                             .params = &r->params,
                             .act = &r->act,
                             .z_loss = (float)cfg->optimizer.z_loss,
                             .needs = run_weights_needed,
                             .needs_context = r};
    r->requests = calloc((size_t)r->layout.bucket_count, sizeof *r->requests);
    REQUIRE(r->requests, ERR_MEMORY, "no memory for %d requests", r->layout.bucket_count);
    return transformer_prepare(&r->model);
}

/* Initial values depend on their place alone: threads take pieces of them. */
enum { INITIAL_PIECE = 1 << 14, INITIAL_THREADS = 16 };
typedef struct initial_job {
    const run *r;
    pool *threads;
    int64_t first, count;
    float *out;
} initial_job;

static void initial_piece(void *context, int32_t worker, int64_t index)
{
    const initial_job *j = context;
    const run *r = j->r;
    int64_t at = index * INITIAL_PIECE, left = j->count - at;
    (void)worker;
    params_initial(&r->layout, &r->cfg->model, (uint64_t)r->cfg->train.seed, j->first + at,
                   left < INITIAL_PIECE ? left : INITIAL_PIECE, j->out + at);
}

static status initial_values(void *context, int64_t first, int64_t count, float *out)
{
    initial_job *j = context;
    j->first = first, j->count = count, j->out = out;
    pool_start(j->threads, initial_piece, j, (count + INITIAL_PIECE - 1) / INITIAL_PIECE);
    pool_wait(j->threads);
    return OK;
}

/* Own part of the initial weights, then everybody's. */
static status initial_weights(run *r)
{
    const int32_t most = pool_processors();
    initial_job j = {.r = r};
    TRY(pool_open(&j.threads, most < INITIAL_THREADS ? most : INITIAL_THREADS));
    status s = OK;
    for (int32_t b = 0; s == OK && b < r->layout.bucket_count; b++) {
        stripe_range own = run_owned(r, b);
        s = run_fill(r, run_masters(r, own), own.logical, own.count, initial_values, &j);
    }
    pool_close(j.threads);
    TRY(s);
    return run_publish_weights(r);
}

static status check_on(run **out, const config *cfg, world *w, split judge, run *like)
{
    run *r = calloc(1, sizeof *r);
    REQUIRE(r, ERR_MEMORY, "no memory for a run");
    r->cfg = cfg;
    r->world = w;
    r->judge = judge;
    status s = world_agree(w, open_local(r, like));
    if (s == OK) s = agree_on_arithmetic(r);
    if (s != OK) {
        run_close(r);
        return s;
    }
    int64_t ranks = world_size(w), rank = world_rank(w), extra = r->M % ranks;
    r->first = rank * (r->M / ranks) + (rank < extra ? rank : extra);
    r->count = r->M / ranks + (rank < extra);
    *out = r;
    return OK;
}

status run_check(run **out, const config *cfg, world *w)
{
    return check_on(out, cfg, w, SPLIT_VALIDATION, NULL);
}

status run_check_like(run **out, const config *cfg, world *w, run *like)
{
    return check_on(out, cfg, w, SPLIT_VALIDATION, like);
}

static void add_part(run *r, device_part p)
{
    ASSERT(r->part_count < DEVICE_PARTS_MAX);
    r->parts[r->part_count++] = p;
}

/* What a communicator of its own library takes on the device: with one rank there is none. */
static status open_comm(run *r)
{
    comm_device on = {.ops = r->ops, .device = r->device, .share = r->cfg->run.share_gpu};
    const int64_t before = device_used(r);
    TRY(comm_open_device(&r->comm, r->world, &on, r->cfg->limits.collective_deadline_s));
    if (!r->ops->parts || world_size(r->world) == 1) return OK;
    const int64_t now = device_used(r);
    const int64_t grown = before < 0 || now < before ? -1 : now - before;
    add_part(r, (device_part){"NCCL", 0, grown});
    if (grown >= 0)
        log_info("train", "besides, NCCL: %.1f MiB more in use on the GPU after its start",
                 (double)grown / 1048576);
    return OK;
}

status run_start(run *r)
{
    char bus[32];
    if (r->ops->bus_id) r->ops->bus_id(r->device, bus, sizeof bus);
    energy_open(&r->meter, r->ops->bus_id ? bus : NULL);
    r->gpu_read_s = -INFINITY;
    if (r->attention[0]) log_info("train", "attention: %s", r->attention);
    TRY(open_comm(r));
    TRY(world_agree(r->world, open_memory(r)));
    /* a communicator of the device's library maps whole pages of its own size for its peers */
    if (r->ops->parts && world_size(r->world) > 1) {
        const device_part rounding = {"NCCL's rounding of its buffers", 0, r->rounded_bytes};
        add_part(r, rounding);
        if (rounding.grown_bytes >= 0)
            log_info("train", "besides, %s: %.1f MiB", rounding.name,
                     (double)rounding.grown_bytes / 1048576);
    }
    return initial_weights(r);
}

static status open_on(run **out, const config *cfg, world *w, split judge)
{
    run *r = NULL;
    TRY(check_on(&r, cfg, w, judge, NULL));
    status s = run_start(r);
    if (s != OK) {
        run_close(r);
        return s;
    }
    *out = r;
    return OK;
}

status run_open(run **out, const config *cfg, world *w)
{
    return open_on(out, cfg, w, SPLIT_VALIDATION);
}

status run_open_test(run **out, const config *cfg, world *w)
{
    return open_on(out, cfg, w, SPLIT_TEST);
}

run_times run_times_so_far(const run *r)
{
    const run_times *before = &r->at.times, *now = &r->times;
    return (run_times){.compute = before->compute + now->compute,
                       .comm = before->comm + now->comm,
                       .wait = before->wait + now->wait,
                       .data = before->data + now->data,
                       .checkpoint = before->checkpoint + now->checkpoint};
}

void run_close(run *r)
{
    if (!r) return;
    checkpoint_writer_close(r->writer);
    energy_close(&r->meter);
    activations_deinit(&r->act);
    for (memory_kind k = 0; r->ops && k < MEMORY_KINDS; k++) {
        arena *a = &r->arenas[k];
        if (memory_on_host(k))
            arena_deinit(a);
        else if (a->base && k != MEMORY_WEIGHTS && k != MEMORY_SUMS && k != MEMORY_EXCHANGE)
            r->ops->release(r->device, a->base, a->bytes);
    }
    comm_close(r->comm);
    if (r->ops) r->ops->close(r->device);
    layout_deinit(&r->layout);
    samples_close(r->train);
    samples_close(r->validation);
    free(r->requests);
    free(r);
}

#include "plan/predict.h"

#include "plan/footprint.h"
#include "plan/goodput.h"
#include "plan/step_cost.h"

#include <math.h>

const char *step_part_name(step_part part)
{
    static const char *const names[STEP_PARTS] = {"products",      "attention", "memory",
                                                  "communication", "optimizer", "launch",
                                                  "slowest"};
    return names[part];
}

const char *predict_sharding_name(predict_sharding s)
{
    static const char *const names[] = {"none", "zero1", "full"};
    return names[s];
}

predict_sharding predict_sharding_of(const config *cfg)
{
    return cfg->train.sharding == SHARDING_NONE ? PREDICT_NONE : PREDICT_ZERO1;
}

/* A step being added up. */
typedef struct stepping {
    const predict_question *q;
    const layout *l;
    machine hw;
    micro_cost micro;
    double ranks, layers, accumulate;
    double act_bytes, sum_bytes; /* of one element: weights, summed gradients */
    prediction *out;
} stepping;

static phase_cost collective(const stepping *s, cost_phase phase, double bytes)
{
    return cost_collective(&s->hw, phase, bytes, s->ranks);
}

static phase_cost both(phase_cost a, phase_cost b)
{
    return (phase_cost){a.s + b.s, a.taken_s + b.taken_s};
}

/* Communication of which `exposed` seconds have nothing beside them; the rest slows down the work
 * it runs beside by what it takes. */
static void communicate(stepping *s, phase_cost c, double exposed, double times)
{
    if (!(c.s > 0)) return;
    const double hidden = (c.s - exposed) * (1.0 - c.taken_s / c.s);
    s->out->part_s[PART_COMMUNICATION] += times * (c.s - hidden);
    s->out->hidden_communication_s += times * hidden;
}

/* --- one micro-batch after the other -------------------------------------- */

static void add_pass(prediction *p, const pass_cost *c, double times)
{
    p->part_s[PART_PRODUCTS] += times * c->products_s;
    p->part_s[PART_ATTENTION] += times * c->attention_s;
    p->part_s[PART_MEMORY] += times * c->memory_s;
}

/* Operations are started one after the other while earlier ones run: a pass lasts at least as long
 * as its starts. */
static double lasts(const stepping *s, const pass_cost *p)
{
    return fmax(pass_seconds(p), p->operations * s->hw.launch_s);
}

static void compute(stepping *s)
{
    const pass_cost *passes[] = {&s->micro.layer_forward, &s->micro.layer_backward, &s->micro.head,
                                 &s->micro.embed};
    const double times[] = {s->layers, s->layers, 1.0, 1.0};
    double launch = 0.0;
    for (int i = 0; i < 4; i++) {
        add_pass(s->out, passes[i], s->accumulate * times[i]);
        launch += times[i] * (lasts(s, passes[i]) - pass_seconds(passes[i]));
    }
    s->out->part_s[PART_LAUNCH] += s->accumulate * launch;
    /* the gradient of a micro-batch is added to the sums: read it, read and write the sum */
    const double elements =
        s->q->sharding == PREDICT_FULL ? (double)s->l->shard : (double)s->l->physical;
    const double first = 4.0 + s->sum_bytes, later = 4.0 + 2.0 * s->sum_bytes;
    const double sums = cost_stream_s(&s->hw, elements * (first + (s->accumulate - 1.0) * later));
    s->out->part_s[PART_MEMORY] += sums;
}

/* --- buckets: reduced while backward of the last micro-batch goes on ------ */

static double backward_until(const stepping *s, int32_t ready_layer)
{
    const double head = lasts(s, &s->micro.head) * 2.0 / 3.0;
    if (ready_layer < 0)
        return head + s->layers * lasts(s, &s->micro.layer_backward) +
               lasts(s, &s->micro.embed) / 2.0;
    return head + (s->layers - (double)ready_layer) * lasts(s, &s->micro.layer_backward);
}

static void reduce_buckets(stepping *s)
{
    double busy_until = 0.0;
    phase_cost total = {0};
    const bool whole = s->q->sharding == PREDICT_NONE;
    for (int32_t b = 0; b < s->l->bucket_count; b++) {
        const bucket *k = &s->l->buckets[b];
        const double bytes = (double)k->stripe * s->ranks * s->sum_bytes;
        const phase_cost one =
            whole ? cost_all_reduce(&s->hw, bytes, s->ranks) : collective(s, COST_SUM, bytes);
        busy_until = fmax(busy_until, backward_until(s, k->ready_layer)) + one.s;
        total = both(total, one);
    }
    communicate(s, total, fmin(total.s, fmax(0.0, busy_until - backward_until(s, -1))), 1.0);
}

/* Seconds of a forward pass before it needs the weights of a layer; -1: of the embedding. */
static double forward_until(const stepping *s, int32_t layer)
{
    if (layer < 0) return 0.0;
    return lasts(s, &s->micro.embed) / 2.0 + layer * lasts(s, &s->micro.layer_forward);
}

/* On a device bucket after bucket arrives while the next forward pass runs on those before it;
 * cores wait for all of them. */
static void gather_weights(stepping *s)
{
    if (s->q->sharding != PREDICT_ZERO1) return;
    phase_cost total = {0};
    double late = 0.0;
    for (int32_t b = s->l->bucket_count - 1; b >= 0; b--) {
        const bucket *k = &s->l->buckets[b];
        const double bytes = (double)k->stripe * s->ranks * s->act_bytes;
        total = both(total, collective(s, COST_GATHER, bytes));
        late = fmax(late, total.s - forward_until(s, k->ready_layer));
    }
    communicate(s, total, s->hw.staged ? total.s : late, 1.0);
}

/* --- full sharding: a layer's weights arrive while the one before it computes --- */

static void gather_layers(stepping *s)
{
    const model_config *m = &s->q->cfg->model;
    model_config two = *m, one = *m;
    two.layers = 2;
    one.layers = 1;
    const double elements = (double)(block_param_count(&two) - block_param_count(&one));
    const double rest = (double)s->l->params - elements * s->layers; /* embedding, head, norm */
    const phase_cost gather = collective(s, COST_GATHER, elements * s->act_bytes);
    const phase_cost reduce = collective(s, COST_SUM, elements * s->sum_bytes);
    const phase_cost pair = both(gather, reduce);
    const phase_cost ends = both(collective(s, COST_GATHER, rest * s->act_bytes),
                                 collective(s, COST_SUM, rest * s->sum_bytes));
    const double forward = lasts(s, &s->micro.layer_forward);
    const double backward = lasts(s, &s->micro.layer_backward);
    const double inner = s->accumulate * (s->layers - 1.0);

    /* the first gather and the last reduction of a micro-batch stand alone */
    communicate(s, gather, fmax(0.0, gather.s - forward), inner);
    communicate(s, gather, gather.s, s->accumulate);
    communicate(s, pair, fmax(0.0, pair.s - backward), inner);
    communicate(s, pair, reduce.s, s->accumulate);
    communicate(s, ends, ends.s, s->accumulate);
}

/* --- the end of a step ---------------------------------------------------- */

/* Bytes of the update per owned element: m, v and master read and written, the sum read, the act
 * copy written; per element of the own stripe: the sum read for the norm, the master for the
 * digest. */
static void update(stepping *s)
{
    const double owned =
        s->q->sharding == PREDICT_NONE ? (double)s->l->physical : (double)s->l->shard;
    const double copy = s->q->cfg->train.precision == PRECISION_BF16 ? 2.0 : 0.0;
    const bool framework = s->q->sharding == PREDICT_FULL;
    const double bytes = owned * (24.0 + s->sum_bytes + copy) +
                         (double)s->l->shard * (s->sum_bytes + (framework ? 0.0 : 4.0));
    s->out->part_s[PART_OPTIMIZER] +=
        bytes * (framework ? style_framework.traffic : 1.0) / s->hw.optimizer;
}

/* Reports and digests: two small gathers, or the norm's all-reduce. */
static void exchange(stepping *s)
{
    exchange_sizes x;
    memory_exchange(&x, s->q->cfg, s->l, 0);
    const bool full = s->q->sharding == PREDICT_FULL;
    const double report = full ? 8.0 : (double)x.report_bytes;
    const double digest = full ? 8.0 : (double)x.digest_bytes;
    const phase_cost two = both(collective(s, COST_GATHER, report * s->ranks),
                                collective(s, COST_GATHER, digest * s->ranks));
    communicate(s, two, two.s, 1.0);
}

static void wait_for_slowest(stepping *s)
{
    double own = 0.0;
    for (int p = 0; p < STEP_PARTS; p++)
        if (p != PART_COMMUNICATION) own += s->out->part_s[p];
    s->out->part_s[PART_SLOWEST] = own * s->hw.spread * goodput_largest_normal(s->ranks);
}

static void add_up(stepping *s)
{
    const config *cfg = s->q->cfg;
    const bool full = s->q->sharding == PREDICT_FULL, bf16 = cfg->train.precision == PRECISION_BF16;
    s->act_bytes = bf16 ? 2.0 : 4.0;
    /* fast sums are fp32; frameworks that shard fully reduce in the type of the activations */
    s->sum_bytes = cfg->train.reduction == CONFIG_EXACT ? 8.0 : full ? s->act_bytes : 4.0;
    step_cost_micro(&s->micro, &s->hw, cfg, full ? &style_framework : &style_fused);
    compute(s);
    if (s->ranks > 1) {
        if (full) {
            gather_layers(s);
        } else {
            reduce_buckets(s);
            gather_weights(s);
        }
        exchange(s);
    }
    update(s);
    wait_for_slowest(s);
}

static status check_links(const machine *hw, const cluster *c, const predict_question *q)
{
    const int32_t per_node = (int32_t)hw->ranks_per_node;
    REQUIRE(q->ranks <= per_node || hw->between.bandwidth > 0, ERR_CONFIG,
            "cluster %s: links.network is not given, and %d ranks are more than one node; nearest: "
            "%d ranks",
            c->name, (int)q->ranks, (int)per_node);
    REQUIRE(q->ranks == 1 || per_node == 1 || hw->in_node.bandwidth > 0, ERR_CONFIG,
            "cluster %s: links.node is not given; nearest: 1 rank", c->name);
    return OK;
}

status predict_step(prediction *out, const predict_question *q, const cluster *c)
{
    ASSERT(q->ranks >= 1);
    const config *cfg = q->cfg;
    const int64_t micro_tokens = cfg->train.micro_batch * cfg->model.context;
    const int64_t M = cfg->train.batch_tokens / micro_tokens;
    REQUIRE(M >= 1, ERR_CONFIG,
            "a batch of %lld tokens is less than one micro-batch of %lld x %lld; nearest: %lld",
            (long long)cfg->train.batch_tokens, (long long)cfg->train.micro_batch,
            (long long)cfg->model.context, (long long)micro_tokens);
    REQUIRE(M >= q->ranks, ERR_CONFIG,
            "%d ranks are more than the %lld micro-batches of a step; nearest: %lld ranks",
            (int)q->ranks, (long long)M, (long long)M);
    stepping s = {.q = q, .ranks = (double)q->ranks, .layers = (double)cfg->model.layers};
    TRY(machine_of(&s.hw, c, cfg->train.precision));
    TRY(check_links(&s.hw, c, q));
    layout l;
    TRY(layout_init(&l, &cfg->model, q->ranks));

    prediction p = {.ranks = q->ranks, .micro_batches = M};
    p.nodes = (int32_t)cost_nodes(&s.hw, s.ranks);
    p.accumulate = (M + q->ranks - 1) / q->ranks;
    p.batch_tokens = (double)(M * micro_tokens);
    s.l = &l;
    s.accumulate = (double)p.accumulate;
    s.out = &p;
    add_up(&s);
    const bool on_device = !cluster_of_cores(c);
    footprint_build(&p.memory, &p.memory_exact, q, &l, on_device);
    p.held_bytes = footprint_bytes(&p.memory, on_device);
    layout_deinit(&l);

    for (int i = 0; i < STEP_PARTS; i++) p.step_time_s += p.part_s[i];
    flop_counts flops;
    block_flops(&flops, &cfg->model);
    p.flops_per_token = flops.model;
    p.tokens_per_s = p.batch_tokens / p.step_time_s;
    p.tokens_per_s_per_rank = p.tokens_per_s / s.ranks;
    p.mfu = p.tokens_per_s_per_rank * flops.palm / s.hw.peak;
    p.fits = (double)p.held_bytes <= c->memory_bytes.value;
    p.beyond = s.ranks > c->nodes.value * c->ranks_per_node.value;
    *out = p;
    return OK;
}

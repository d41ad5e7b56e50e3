/* Laws that hold on every machine and for every model: drawn at random, GPUs and
 * cores, with and without measured shares. */
#include "base/rng.h"
#include "plan/cost.h"
#include "plan/goodput.h"
#include "plan/predict.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

enum { DRAWS = 60 };
static const double rounding = 1e-12;

typedef struct drawing {
    uint64_t stream, count;
} drawing;

static double draw(drawing *d, double low, double high)
{
    return low * pow(high / low, rng_uniform(7, RNG_TEST, d->stream, d->count++));
}

static int64_t draw_of(drawing *d, const int64_t *from, int count)
{
    return from[(int)(rng_uniform(7, RNG_TEST, d->stream, d->count++) * count)];
}

static cluster_value some(double value)
{
    return (cluster_value){.value = value, .source = SOURCE_GIVEN};
}

static void perhaps(drawing *d, cluster_value *v, double low, double high)
{
    const double x = draw(d, low, high);
    if (rng_uniform(7, RNG_TEST, d->stream, d->count++) < 0.4) *v = some(x);
}

static cluster any_machine(drawing *d)
{
    static const int64_t nodes[] = {1, 2, 4, 64, 1000}, ranks[] = {1, 2, 4, 8, 16};
    cluster c = {.name = "any", .currency = "USD"};
#define UNKNOWN(key, member, low, high, rule, meaning)                                             \
    c.member = (cluster_value){.value = NAN, .source = SOURCE_UNKNOWN};
    CLUSTER_VALUES(UNKNOWN)
    const bool gpu = draw(d, 1, 10) < 8;
    (void)snprintf(c.backend, sizeof c.backend, "%s", gpu ? "gpu" : "cpu");
    const double scale = gpu ? 1 : 1e-2;
    c.nodes = some((double)draw_of(d, nodes, 5));
    c.ranks_per_node = some((double)draw_of(d, ranks, 5));
    c.peak_fp32 = some(scale * draw(d, 1e13, 1e14));
    c.peak_bf16 = some(scale * draw(d, 1e14, 3e15));
    c.memory_bytes = some(draw(d, 1e10, 3e11));
    c.memory_bandwidth = some(scale * draw(d, 5e11, 1e13));
    c.node_latency_s = some(draw(d, 1e-7, 1e-4));
    c.node_bandwidth = some(scale * draw(d, 1e9, 1e12));
    c.network_latency_s = some(draw(d, 1e-6, 1e-3));
    c.network_bandwidth = some(draw(d, 1e8, 1e11));
    c.power_w = some(draw(d, 5, 1500));
    c.mtbf_hours = some(draw(d, 10, 1e5));
    c.products = some(draw(d, 0.05, 1)); /* given: the rule of watts follows the peak */
    perhaps(d, &c.attention, 0.05, 1);
    perhaps(d, &c.memory, 0.05, 1);
    perhaps(d, &c.optimizer, 0.05, 1);
    perhaps(d, &c.links, 0.05, 1);
    perhaps(d, &c.overlap, 0.01, 1);
    perhaps(d, &c.units, 1, 300);
    perhaps(d, &c.launch_s, 1e-5, 1e-3);
    perhaps(d, &c.step_spread, 1e-3, 0.3);
    return c;
}

/* A question to any model; q->cfg is cfg. */
static predict_question any_question(drawing *d, config *cfg, const cluster *c)
{
    static const char *const models[] = {"gpt2-small", "mpt-125m", "mpt-1b", "mpt-30b",
                                         "llama3-8b",  "gpt2-xl",  "mpt-7b", "qwen2.5-0.5b"};
    static const int64_t index[] = {0, 1, 2, 3, 4, 5, 6, 7}, micro[] = {1, 2, 4, 8, 16},
                         again[] = {1, 2, 8}, sequence[] = {512, 1024, 2048, 8192},
                         ranks[] = {1, 2, 3, 4, 8, 9, 16, 64, 512};
    *cfg = (config){0};
    cr_assert(config_model_row(&cfg->model, models[draw_of(d, index, 8)]) == OK);
    cfg->model.context = draw_of(d, sequence, 4);
    cfg->train.micro_batch = draw_of(d, micro, 5);
    cfg->train.precision = draw_of(d, index, 3) > 0 ? PRECISION_BF16 : PRECISION_FP32;
    cfg->train.reduction = draw_of(d, index, 2) > 0 ? CONFIG_FAST : CONFIG_EXACT;
    cfg->train.recompute = (int32_t)draw_of(d, index, 3);
    cfg->checkpoint.asynchronous = draw_of(d, index, 2) > 0;
    predict_question q = {.cfg = cfg, .workspace_bytes = -1};
    q.sharding = (predict_sharding)draw_of(d, index, 3);
    const double most = c->nodes.value * c->ranks_per_node.value;
    q.ranks = (int32_t)fmin((double)draw_of(d, ranks, 9), most);
    cfg->train.batch_tokens =
        q.ranks * draw_of(d, again, 3) * cfg->train.micro_batch * cfg->model.context;
    return q;
}

/* Machine and question number i of the draws; it points into itself. */
typedef struct any_case {
    cluster c;
    config cfg;
    predict_question q;
} any_case;

static void draw_case(any_case *a, uint64_t i)
{
    drawing d = {.stream = i};
    a->c = any_machine(&d);
    a->q = any_question(&d, &a->cfg, &a->c);
}

static prediction answer(const predict_question *q, const cluster *c)
{
    prediction p;
    cr_assert(predict_step(&p, q, c) == OK, "%s", status_message());
    return p;
}

Test(predict_laws, a_step_is_its_parts_and_its_rates_follow_from_it)
{
    for (uint64_t i = 0; i < DRAWS; i++) {
        any_case a;
        draw_case(&a, i);
        const prediction p = answer(&a.q, &a.c);
        double sum = 0;
        for (int k = 0; k < STEP_PARTS; k++) {
            cr_expect(p.part_s[k] >= 0, "machine %d: %s", (int)i, step_part_name((step_part)k));
            sum += p.part_s[k];
        }
        cr_expect(fabs(sum / p.step_time_s - 1) < rounding);
        cr_expect(fabs(p.tokens_per_s * p.step_time_s / p.batch_tokens - 1) < rounding);
        cr_expect(fabs(p.tokens_per_s_per_rank * a.q.ranks / p.tokens_per_s - 1) < rounding);
        /* the count has the whole square of scores, of which a causal mask needs half */
        cluster full = a.c;
        cost_complete(&full, a.cfg.train.precision);
        const double most = fmax(full.products.value, 2 * full.attention.value);
        cr_expect(p.mfu > 0 && p.mfu <= most, "machine %d: %g of %g", (int)i, p.mfu, most);
        cr_expect(p.hidden_communication_s >= 0);
    }
}

Test(predict_laws, nothing_that_is_better_makes_a_step_slower)
{
    for (uint64_t i = 0; i < DRAWS; i++) {
        any_case a;
        draw_case(&a, i);
        const double before = answer(&a.q, &a.c).step_time_s;
        cluster better[8];
        for (int k = 0; k < 8; k++) better[k] = a.c;
        better[0].peak_bf16.value *= 2;
        better[1].peak_fp32.value *= 2;
        better[2].memory_bandwidth.value *= 2;
        better[3].node_bandwidth.value *= 2;
        better[4].network_bandwidth.value *= 2;
        better[5].node_latency_s.value /= 2;
        better[6].network_latency_s.value /= 2;
        better[7].launch_s = some(0);
        for (int k = 0; k < 8; k++) {
            const double now = answer(&a.q, &better[k]).step_time_s;
            cr_expect(now <= before * (1 + rounding), "machine %d, change %d: %.9g for %.9g",
                      (int)i, k, now, before);
        }
    }
}

Test(predict_laws, computing_again_takes_time_and_saves_memory)
{
    for (uint64_t i = 0; i < DRAWS; i++) {
        any_case a;
        draw_case(&a, i);
        prediction before = {0};
        for (int32_t again = RECOMPUTE_NONE; again <= RECOMPUTE_BLOCK; again++) {
            a.cfg.train.recompute = again;
            const prediction p = answer(&a.q, &a.c);
            cr_expect(p.step_time_s >= before.step_time_s * (1 - rounding));
            cr_expect(again == RECOMPUTE_NONE || p.memory.total <= before.memory.total);
            before = p;
        }
    }
}

/* Only what shards fully gains: each rank then adds and updates less. */
Test(predict_laws, twice_the_ranks_are_at_most_twice_as_fast)
{
    for (uint64_t i = 0; i < DRAWS; i++) {
        any_case a;
        draw_case(&a, i);
        a.cfg.train.batch_tokens *= 2;
        const double one = answer(&a.q, &a.c).tokens_per_s;
        a.q.ranks *= 2;
        const double two = answer(&a.q, &a.c).tokens_per_s;
        /* whole nodes: another node half full has fewer ways out */
        const double gain = a.q.sharding == PREDICT_FULL ? 1.05 : 1.0;
        if (fmod(a.q.ranks / 2.0, a.c.ranks_per_node.value) != 0) continue;
        cr_expect(two <= 2 * one * gain * (1 + rounding), "machine %d: %g and %g", (int)i, one,
                  two);
    }
}

/* Each way from node to node carries what every link inside carries. */
Test(predict_laws, a_ring_passes_the_same_bytes_in_a_node_and_between_nodes)
{
    machine hw = {.ranks_per_node = 8, .in_node = {0, 320e9}, .between = {0, 40e9}};
    for (double ranks = 8; ranks <= 512; ranks *= 2) {
        const double s = cost_collective(&hw, COST_GATHER, 1e9, ranks).s;
        cr_expect(fabs(s / (1e9 * (ranks - 1) / ranks / 320e9) - 1) < rounding, "%g ranks", ranks);
    }
    /* nine ranks on two nodes: four of them share the narrowest way */
    const double nine = cost_collective(&hw, COST_GATHER, 1e9, 9).s;
    cr_expect(fabs(nine / (1e9 * 8 / 9 / 160e9) - 1) < rounding);
}

/* ... whichever protocol is the quickest there. */
Test(predict_laws, a_ring_takes_no_more_where_latency_falls_or_a_link_widens)
{
    for (double wide = 1e9; wide < 1e12; wide *= 4) {
        machine hw = {.ranks_per_node = 4, .overlap = 0.1, .in_node = {0, 300e9}};
        hw.between.bandwidth = wide;
        phase_cost before = {0};
        for (double latency = 1e-8; latency < 1e-2; latency *= 1.3) {
            hw.in_node.latency_s = hw.between.latency_s = latency;
            const phase_cost now = cost_collective(&hw, COST_SUM, 1e8, 512);
            cr_expect(now.s >= before.s && now.taken_s >= before.taken_s, "%g bytes/s, %g s", wide,
                      latency);
            machine wider = hw;
            wider.between.bandwidth *= 4;
            cr_expect(cost_collective(&wider, COST_SUM, 1e8, 512).s <= now.s);
            before = now;
        }
    }
}

/* Sums that every rank keeps whole go over trees of nodes where many small steps would wait. */
Test(predict_laws, an_all_reduce_is_never_slower_than_two_rings_and_waits_for_a_logarithm_of_nodes)
{
    cluster c;
    machine hw;
    cr_assert(cluster_load(&c, "8xh100") == OK && machine_of(&hw, &c, PRECISION_BF16) == OK);
    phase_cost before = {0};
    for (double ranks = 1; ranks <= 131072; ranks *= 2)
        for (double bytes = 1e3; bytes < 1e11; bytes *= 10) {
            const phase_cost all = cost_all_reduce(&hw, bytes, ranks);
            const phase_cost sum = cost_collective(&hw, COST_SUM, bytes, ranks);
            const phase_cost gather = cost_collective(&hw, COST_GATHER, bytes, ranks);
            cr_expect(all.s <= sum.s + gather.s && all.taken_s <= all.s * (1 + rounding));
            /* within a node, and where bytes are all that counts, the ring is as good */
            if (ranks <= 8) cr_expect(all.s == sum.s + gather.s);
            if (ranks <= 64 && bytes > 5e10) cr_expect(all.s == sum.s + gather.s);
        }
    /* small arrays: a step more each time the nodes double */
    double step = 0;
    for (double ranks = 64; ranks <= 131072; ranks *= 2) {
        const phase_cost now = cost_all_reduce(&hw, 8, ranks);
        if (ranks > 128)
            cr_expect(fabs((now.s - before.s) / step - 1) < 1e-3, "%g ranks: %g", ranks, now.s);
        step = now.s - before.s;
        before = now;
    }
}

Test(predict_laws, a_run_loses_what_daly_says_and_the_checkpoint_that_was_being_written)
{
    for (uint64_t i = 0; i < DRAWS; i++) {
        any_case a;
        draw_case(&a, i);
        const prediction p = answer(&a.q, &a.c);
        run_cost r;
        predict_run(&r, &p, &a.q, &a.c, 1e11);
        const double M = a.c.mtbf_hours.value * 3600 / p.nodes,
                     beside = a.cfg.checkpoint.asynchronous ? r.checkpoint_write_s : 0;
        cr_expect(fabs(r.mtbf_hours * 3600 / M - 1) < rounding);
        cr_expect(a.cfg.checkpoint.asynchronous || r.checkpoint_s == r.checkpoint_write_s);
        cr_expect(r.checkpoint_interval_s >= r.checkpoint_write_s);
        const double wall = M * exp((r.restart_s + beside) / M) *
                            expm1((r.checkpoint_interval_s + r.checkpoint_s) / M) /
                            r.checkpoint_interval_s;
        cr_expect(fabs(r.goodput * wall - 1) < 1e-9, "machine %d: %g of %g", (int)i, r.goodput,
                  1 / wall);
        /* a device's state leaves it by way of the host, at the speed of PCIe and no faster */
        const double own = 12.0 * (double)block_param_count(&a.cfg.model) / a.q.ranks;
        cr_expect(cluster_of_cores(&a.c) || !a.cfg.checkpoint.asynchronous ||
                  r.checkpoint_s >= own / 64e9);
        /* nobody knows how often: no interval and no share */
        a.c.mtbf_hours.value = NAN;
        predict_run(&r, &p, &a.q, &a.c, 1e11);
        cr_expect(isnan(r.goodput) && isnan(r.checkpoint_interval_s) && isfinite(r.hours));
    }
}

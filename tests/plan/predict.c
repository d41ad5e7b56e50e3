#include "plan/predict.h"

#include "base/clock.h"
#include "plan/cost.h"
#include "plan/layout.h"
#include "published_rows.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static config run_config_of(const char *model, int64_t micro_batch, int64_t micro_batches)
{
    config cfg = {0};
    cr_assert(config_model_row(&cfg.model, model) == OK, "%s", status_message());
    cfg.train.micro_batch = micro_batch;
    cfg.train.batch_tokens = micro_batches * micro_batch * cfg.model.context;
    cfg.train.precision = PRECISION_BF16;
    cfg.train.reduction = CONFIG_EXACT;
    cfg.checkpoint.asynchronous = true;
    return cfg;
}

static cluster load(const char *name)
{
    cluster c;
    cr_assert(cluster_load(&c, name) == OK, "%s", status_message());
    return c;
}

static prediction predict(const config *cfg, predict_sharding sharding, int32_t ranks,
                          const cluster *hw)
{
    const predict_question q = {.cfg = cfg,
                                .sharding = sharding,
                                .ranks = ranks,
                                .workspace_bytes = 12345};
    prediction p;
    cr_assert(predict_step(&p, &q, hw) == OK, "%s", status_message());
    return p;
}

static const predict_sharding shardings[] = {PREDICT_NONE, PREDICT_ZERO1, PREDICT_FULL};
static const int32_t rank_counts[] = {1, 2, 3, 8, 9, 16, 100, 512};
enum { COUNTS = sizeof rank_counts / sizeof rank_counts[0] };

Test(predict, parts_sum_to_the_step_and_none_is_negative)
{
    const cluster hw = load("8xh100");
    for (int s = 0; s < 3; s++)
        for (int r = 0; r < COUNTS; r++) {
            const config cfg = run_config_of("gpt2-xl", 4, 1024);
            const prediction p = predict(&cfg, shardings[s], rank_counts[r], &hw);
            double sum = 0;
            for (int i = 0; i < STEP_PARTS; i++) {
                cr_expect(p.part_s[i] >= 0, "%s", step_part_name((step_part)i));
                sum += p.part_s[i];
            }
            cr_expect(fabs(sum / p.step_time_s - 1) < 1e-12);
            cr_expect(fabs(p.tokens_per_s * p.step_time_s / p.batch_tokens - 1) < 1e-12);
            cr_expect(p.mfu > 0 && p.mfu < 1);
            cr_expect(p.hidden_communication_s >= 0);
        }
}

Test(predict, one_rank_waits_for_nobody)
{
    const cluster hw = load("1xh200");
    const config cfg = run_config_of("gpt2-small", 8, 4);
    const prediction p = predict(&cfg, PREDICT_ZERO1, 1, &hw);
    cr_expect(p.part_s[PART_COMMUNICATION] == 0 && p.part_s[PART_SLOWEST] == 0);
    cr_expect(p.hidden_communication_s == 0);
}

/* The planner's bytes are those from which the run opens its arenas. */
Test(predict, bytes_are_the_runtimes_own)
{
    static const char *const models[] = {"r1", "chinchilla-70m", "gpt2-small", "llama3-8b"};
    const cluster hw = load("cpu-2core");
    for (size_t m = 0; m < 4; m++)
        for (int s = 0; s < 2; s++)
            for (int32_t ranks = 1; ranks <= 2; ranks++)
                for (int reduction = CONFIG_EXACT; reduction <= CONFIG_FAST; reduction++) {
                    config cfg = run_config_of(models[m], 2, 6);
                    cfg.train.reduction = reduction;
                    cfg.train.sharding = s == 0 ? SHARDING_NONE : SHARDING_ZERO1;
                    const prediction p = predict(&cfg, shardings[s], ranks, &hw);
                    layout l;
                    memory_plan own;
                    cr_assert(layout_init(&l, &cfg.model, ranks) == OK);
                    memory_plan_build(&own, &cfg, &l, 12345, 0);
                    layout_deinit(&l);
                    cr_expect(p.memory_exact);
                    cr_expect(p.memory.total == own.total);
                    cr_expect(memcmp(&p.memory, &own, sizeof own) == 0, "%s", models[m]);
                }
}

/* A GPU's memory does not hold what lies on its host; a core's holds everything. */
Test(predict, what_lies_on_the_host_does_not_fill_a_device)
{
    const config cfg = run_config_of("gpt2-small", 2, 6);
    const cluster gpu = load("8xh100"), cores = load("cpu-2core");
    const prediction on_gpu = predict(&cfg, PREDICT_ZERO1, 2, &gpu);
    const prediction on_cores = predict(&cfg, PREDICT_ZERO1, 2, &cores);
    const int64_t *bytes = on_gpu.memory.bytes;
    cr_expect(bytes[MEMORY_TWIN] > 0 && on_cores.memory.bytes[MEMORY_TWIN] == 0);
    cr_expect(on_gpu.held_bytes ==
              on_gpu.memory.total - bytes[MEMORY_TWIN] - bytes[MEMORY_SNAPSHOT]);
    cr_expect(on_cores.held_bytes == on_cores.memory.total);
}

Test(predict, sharding_and_recomputing_take_less_memory_and_full_sharding_is_said_to_be_modelled)
{
    const cluster hw = load("8xh100");
    config cfg = run_config_of("mpt-7b", 4, 64);
    int64_t before = INT64_MAX;
    for (int s = 0; s < 3; s++) {
        const prediction p = predict(&cfg, shardings[s], 64, &hw);
        cr_expect(p.memory.total < before);
        cr_expect(p.memory_exact == (shardings[s] != PREDICT_FULL));
        before = p.memory.total;
    }
    for (int s = 0; s < 3; s++) {
        before = INT64_MAX;
        for (int again = RECOMPUTE_NONE; again <= RECOMPUTE_BLOCK; again++) {
            cfg.train.recompute = again;
            const prediction p = predict(&cfg, shardings[s], 64, &hw);
            cr_expect(p.memory.total < before);
            cr_expect(p.memory_exact == (shardings[s] != PREDICT_FULL));
            before = p.memory.total;
        }
    }
}

Test(predict, every_fully_sharded_row_that_ran_fits)
{
    for (int i = 0; i < PUBLISHED_ROWS; i++) {
        const published_row *r = &published_rows[i];
        if (strcmp(r->group, "mpt") != 0) continue;
        config cfg = run_config_of(r->model, r->micro_batch, 1);
        cfg.model.context = r->sequence;
        cfg.train.batch_tokens = r->micro_batch * r->sequence * r->ranks;
        cfg.train.recompute = r->recompute;
        cfg.train.reduction = CONFIG_FAST;
        cfg.checkpoint.asynchronous = false;
        const cluster hw = load(r->cluster);
        cr_expect(predict(&cfg, r->sharding, r->ranks, &hw).fits, "%s at %lld on %d", r->model,
                  (long long)r->sequence, (int)r->ranks);
    }
}

Test(predict, better_hardware_is_never_slower)
{
    const config cfg = run_config_of("mpt-1b", 4, 1024);
    for (int s = 0; s < 3; s++)
        for (int r = 0; r < COUNTS; r++) {
            const cluster base = load("8xh100");
            const double before = predict(&cfg, shardings[s], rank_counts[r], &base).step_time_s;
            cluster better[] = {base, base, base, base, base};
            better[0].peak_bf16.value *= 1.5;
            better[1].memory_bandwidth.value *= 1.5;
            better[2].network_bandwidth.value *= 1.5;
            better[3].network_latency_s.value /= 2;
            better[4].overlap.value = 0.9;
            for (int i = 0; i < 5; i++)
                cr_expect(predict(&cfg, shardings[s], rank_counts[r], &better[i]).step_time_s <=
                              before * (1 + 1e-12),
                          "change %d, sharding %d, %d ranks", i, s, (int)rank_counts[r]);
        }
}

Test(predict, exact_sums_cost_their_bytes)
{
    const cluster hw = load("8xh100");
    config cfg = run_config_of("gpt2-xl", 4, 64);
    const prediction exact = predict(&cfg, PREDICT_ZERO1, 64, &hw);
    cfg.train.reduction = CONFIG_FAST;
    const prediction fast = predict(&cfg, PREDICT_ZERO1, 64, &hw);
    cr_expect(exact.step_time_s > fast.step_time_s);
    cr_expect(exact.part_s[PART_PRODUCTS] == fast.part_s[PART_PRODUCTS]);
}

/* All seconds of gathering the weights of a sharded step, bucket by bucket. */
static double gather_s(const config *cfg, int32_t ranks, const cluster *hw)
{
    machine m;
    layout l;
    double sum = 0;
    cr_assert(machine_of(&m, hw, cfg->train.precision) == OK && m.overlap == 1.0);
    cr_assert(layout_init(&l, &cfg->model, ranks) == OK);
    for (int32_t b = 0; b < l.bucket_count; b++)
        sum += cost_collective(&m, COST_GATHER, 2.0 * (double)l.buckets[b].stripe * ranks, ranks).s;
    layout_deinit(&l);
    return sum;
}

Test(predict, weights_arrive_beside_the_next_forward_pass_on_devices_and_never_on_cores)
{
    const config cfg = run_config_of("gpt2-xl", 4, 64);
    static const char *const clusters[] = {"8xh100", "cpu-2core"};
    for (int cores = 0; cores < 2; cores++) {
        cluster hw = load(clusters[cores]);
        hw.overlap.value = 1.0;
        if (cores) {
            hw.core_bandwidth.value = 1e15;
            hw.network_bandwidth.value = 1e9;
            hw.network_latency_s.value = 1e-5;
        }
        const prediction p = predict(&cfg, PREDICT_ZERO1, 16, &hw);
        const double gather = gather_s(&cfg, 16, &hw), open = p.part_s[PART_COMMUNICATION];
        cr_expect(p.hidden_communication_s > 0);
        cr_expect(cores ? open >= gather : open < gather, "%s: %g s of %g s", clusters[cores], open,
                  gather);
    }
    /* what the forward pass is too short for stays: a link a thousand times slower */
    cluster slow = load("8xh100");
    slow.overlap.value = 1.0;
    slow.network_bandwidth.value /= 1000;
    const prediction p = predict(&cfg, PREDICT_ZERO1, 16, &slow);
    cr_expect(p.part_s[PART_COMMUNICATION] > gather_s(&cfg, 16, &slow) * 0.9);
}

/* What communication beside work costs is what its bytes would cost at the speed of the node's own
 * link. */
Test(predict, waiting_for_a_narrow_network_disturbs_nobody)
{
    cluster c = load("8xh100");
    machine hw;
    cr_assert(machine_of(&hw, &c, PRECISION_BF16) == OK);
    const phase_cost inside = cost_collective(&hw, COST_SUM, 1e9, 8);
    cr_expect(fabs(inside.taken_s / inside.s - (1 - hw.overlap)) < 1e-12);
    phase_cost before = cost_collective(&hw, COST_SUM, 1e9, 64);
    for (hw.between.bandwidth = 40e9; hw.between.bandwidth > 1e9; hw.between.bandwidth /= 2) {
        const phase_cost now = cost_collective(&hw, COST_SUM, 1e9, 64);
        cr_expect(now.s >= before.s && now.taken_s <= now.s);
        cr_expect(fabs(now.taken_s / before.taken_s - 1) < 0.1, "%g", now.taken_s);
        before = now;
    }
    cr_expect(before.taken_s < 0.05 * before.s, "%g of %g", before.taken_s, before.s);
}

Test(predict, cores_hide_less_of_what_goes_to_many_nodes)
{
    machine hw = {.staged = true, .overlap = 0.3, .ranks_per_node = 1, .between = {0, 1e8}};
    hw.in_node = (machine_link){0, 1e10};
    cr_expect_eq(cost_free_share(&hw, 1), 0);
    cr_expect_eq(cost_free_share(&hw, 2), 0.3);
    cr_expect_eq(cost_free_share(&hw, 4), 0.15);
    hw.ranks_per_node = 2;
    const double share = cost_free_share(&hw, 4);
    cr_expect(share > 0.3 && share < 0.3 * cost_together, "%g", share);
}

/* Bytes that the library itself asked for, of both kinds of heads (tests/cuda_emu/dnn_plans). */
Test(predict, attention_of_cudnn_takes_the_scratch_it_asks_for)
{
    const cluster hw = load("8xh100");
    for (int grouped = 0; grouped < 2; grouped++) {
        config cfg = run_config_of("gpt2-small", 4, 64);
        predict_question q = {.cfg = &cfg, .ranks = 1, .workspace_bytes = -1};
        prediction own, cudnn;
        if (grouped) cfg.model.kv_heads = 4;
        cr_assert(predict_step(&own, &q, &hw) == OK);
        cfg.train.attention = ATTENTION_CUDNN;
        cr_assert(predict_step(&cudnn, &q, &hw) == OK);
        const int64_t asked = grouped ? 113443072 : 100860160;
        const int64_t more =
            cudnn.memory.bytes[MEMORY_WORKSPACE] - own.memory.bytes[MEMORY_WORKSPACE];
        cr_expect(llabs(more - asked) <= 1024, "%lld, asked for %lld", (long long)more,
                  (long long)asked);
    }
}

Test(predict, what_cannot_run_is_refused_with_the_nearest_that_can)
{
    const config cfg = run_config_of("gpt2-small", 4, 6);
    cluster hw = load("8xh100");
    prediction p = {.ranks = -1};
    predict_question q = {.cfg = &cfg, .ranks = 7, .workspace_bytes = -1};
    cr_expect(predict_step(&p, &q, &hw) == ERR_CONFIG);
    cr_expect(strstr(status_message(), "nearest: 6 ranks") != NULL, "%s", status_message());
    cr_expect(p.ranks == -1);
    /* a second node without a network */
    const config two = run_config_of("gpt2-small", 1, 64);
    hw = load("1xh200");
    q = (predict_question){.cfg = &two, .ranks = 2, .workspace_bytes = -1};
    cr_expect(predict_step(&p, &q, &hw) == ERR_CONFIG);
    cr_expect(strstr(status_message(), "links.network") != NULL, "%s", status_message());
    /* no peak at this precision */
    hw = load("tpu-v4");
    config single = two;
    single.train.precision = PRECISION_FP32;
    q = (predict_question){.cfg = &single, .ranks = 1, .workspace_bytes = -1};
    cr_expect(predict_step(&p, &q, &hw) == ERR_CONFIG);
    cr_expect(strstr(status_message(), "peak_flops.fp32 is unknown") != NULL);
}

Test(predict, the_largest_that_fits_fits_and_one_more_layer_does_not)
{
    const cluster hw = load("8xh100");
    config cfg = run_config_of("mpt-70b", 1, 8);
    predict_question q = {.cfg = &cfg,
                          .sharding = PREDICT_ZERO1,
                          .ranks = 8,
                          .workspace_bytes = -1};
    prediction p;
    cr_assert(predict_step(&p, &q, &hw) == OK);
    cr_expect(!p.fits);
    model_config largest;
    cr_assert(predict_largest(&largest, &q, &hw));
    const double aspect = (double)largest.width / (double)largest.layers;
    cr_expect(fabs(aspect / (8192.0 / 80.0) - 1.0) < 0.05, "%lld wide, %lld layers",
              (long long)largest.width, (long long)largest.layers);
    cfg.model = largest;
    cr_assert(predict_step(&p, &q, &hw) == OK);
    cr_expect(p.fits);
    cfg.model.layers++;
    cfg.model.width += cfg.model.head_width;
    cfg.model.heads++;
    cfg.model.kv_heads++;
    cfg.model.ffn = 4 * cfg.model.width;
    cr_assert(predict_step(&p, &q, &hw) == OK);
    cr_expect(!p.fits);
    /* nothing fits in a megabyte */
    cluster tiny = hw;
    tiny.memory_bytes.value = 1e6;
    cr_expect(!predict_largest(&largest, &q, &tiny));
}

Test(predict, a_run_costs_its_hours_and_failures_make_it_longer)
{
    const cluster hw = load("8xh100");
    const config cfg = run_config_of("mpt-7b", 4, 512);
    const predict_question q = {.cfg = &cfg,
                                .sharding = PREDICT_ZERO1,
                                .ranks = 512,
                                .workspace_bytes = -1};
    const prediction p = predict(&cfg, PREDICT_ZERO1, 512, &hw);
    run_cost r;
    predict_run(&r, &p, &q, &hw, 1e12);
    cr_expect(r.steps == ceil(1e12 / p.batch_tokens));
    cr_expect(fabs(r.hours * 3600 / (r.steps * p.step_time_s) - 1) < 1e-12);
    cr_expect(r.goodput > 0.9 && r.goodput < 1 && r.wall_hours > r.hours);
    cr_expect(fabs(r.mtbf_hours - 6335.0 / 64) < 1e-9);
    cr_expect(fabs(r.money / (r.wall_hours * 512 * 3.5) - 1) < 1e-12);
    cr_expect(fabs(r.energy_j / (r.wall_hours * 512 * 3600 * 700 * 1.1) - 1) < 1e-12);
    /* an unknown rate of failures is not a rate of none */
    cluster silent = hw;
    silent.mtbf_hours = (cluster_value){.value = NAN, .source = SOURCE_UNKNOWN};
    predict_run(&r, &p, &q, &silent, 1e12);
    cr_expect(isnan(r.goodput) && isnan(r.wall_hours) && isfinite(r.money));
}

Test(predict, a_hundred_thousand_ranks_take_milliseconds)
{
    const cluster hw = load("8xh100");
    const config cfg = run_config_of("mpt-7b", 1, 100000);
    const double start = clock_cpu_s();
    const prediction p = predict(&cfg, PREDICT_ZERO1, 100000, &hw);
    cr_expect(p.nodes == 12500 && p.beyond);
    cr_expect(clock_cpu_s() - start < 0.05, "%g s", clock_cpu_s() - start);
}

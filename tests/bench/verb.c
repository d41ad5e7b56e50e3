/* What isoflop bench makes of its numbers: laws, fits, comparisons and cluster files. */
#include "base/json.h"
#include "bench/bench_calibrate.h"
#include "bench/bench_cluster.h"
#include "bench/bench_compare.h"
#include "bench/bench_laws.h"
#include "bench/bench_link.h"
#include "bench/bench_page.h"
#include "bench/bench_result.h"
#include "plan/predict.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool close_to(double a, double b, double relative)
{
    return fabs(a - b) <= relative * fabs(b);
}

Test(scaling, amdahl_recovers_a_planted_serial_share)
{
    double ranks[] = {1, 2, 4, 8}, speedup[4];
    for (int i = 0; i < 4; i++) speedup[i] = scaling_amdahl(0.07, ranks[i]);
    scaling_laws laws;
    scaling_fit(&laws, ranks, speedup, 4);
    cr_assert(laws.amdahl_known && close_to(laws.serial, 0.07, 1e-9), "%g", laws.serial);
}

Test(scaling, usl_recovers_planted_contention_and_agreement)
{
    double ranks[] = {1, 2, 4, 8, 16}, speedup[5];
    for (int i = 0; i < 5; i++) speedup[i] = scaling_usl(0.04, 0.002, ranks[i]);
    scaling_laws laws;
    scaling_fit(&laws, ranks, speedup, 5);
    cr_assert(laws.usl_known);
    cr_assert(close_to(laws.sigma, 0.04, 1e-6), "%g", laws.sigma);
    cr_assert(close_to(laws.kappa, 0.002, 1e-6), "%g", laws.kappa);
    cr_assert(close_to(laws.best_ranks, sqrt(0.96 / 0.002), 1e-6));
}

Test(scaling, superlinear_points_give_no_negative_share)
{
    double ranks[] = {1, 2, 4}, speedup[] = {1, 2.2, 4.5};
    scaling_laws laws;
    scaling_fit(&laws, ranks, speedup, 3);
    cr_assert(laws.serial >= 0 && laws.sigma >= 0 && laws.kappa >= 0);
}

Test(scaling, one_rank_says_nothing)
{
    double ranks[] = {1}, speedup[] = {1};
    scaling_laws laws;
    scaling_fit(&laws, ranks, speedup, 1);
    cr_assert(!laws.amdahl_known && !laws.usl_known);
}

static const link_place four = {.ranks = 4, .nodes = 1};

Test(link, fit_recovers_planted_latency_and_bandwidth)
{
    link_fit f = {0};
    for (double bytes = 1024; bytes < 3e8; bytes *= 4)
        link_add(&f, COST_SUM, bytes, 3 * 20e-6 + 0.75 * bytes / 2e9, &four);
    link_solve(&f, &four);
    cr_assert(close_to(f.latency_s, 20e-6, 1e-6), "%g", f.latency_s);
    cr_assert(close_to(f.bandwidth, 2e9, 1e-6), "%g", f.bandwidth);
    cr_assert(f.residual < 1e-9);
}

/* two nodes of two: half of the bytes in the node, a quarter through each rank's share of the link
 */
Test(link, between_nodes_the_time_inside_them_is_left_out)
{
    const link_fit inside = {.latency_s = 2e-6, .bandwidth = 8e9};
    const link_place at = {.ranks = 4, .nodes = 2, .inside = &inside, .staged = true};
    link_fit f = {0};
    for (double bytes = 1024; bytes < 3e8; bytes *= 4)
        link_add(&f, COST_GATHER, bytes, 2e-6 + bytes / 2 / 8e9 + 50e-6 + bytes / 4 / 1e8, &at);
    link_solve(&f, &at);
    cr_assert(close_to(f.latency_s, 50e-6, 1e-6), "%g", f.latency_s);
    cr_assert(close_to(f.bandwidth, 1e8, 1e-6), "%g", f.bandwidth);
}

Test(link, too_few_points_are_not_known)
{
    link_fit f = {0};
    /* one rank sends nothing */
    link_add(&f, COST_SUM, 1024, 1e-3, &(link_place){.ranks = 1, .nodes = 1});
    link_solve(&f, &four);
    cr_assert(isnan(f.latency_s) && isnan(f.bandwidth));
}

Test(times, quantiles_and_spread_are_of_the_sorted_values)
{
    bench_times t = {.s = {5, 1, 4, 2, 3}, .count = 5};
    bench_sort(&t);
    cr_assert_eq(bench_quantile(&t, 0.5), 3);
    cr_assert_eq(bench_quantile(&t, 0), 1);
    cr_assert_eq(bench_quantile(&t, 1), 5);
    cr_assert(close_to(bench_spread(&t), 3.2 / 3, 1e-12));
}

Test(times, repeats_that_the_host_disturbed_do_not_count)
{
    const double share[] = {0.3, 0.0, 0.01, 0.6, 0.02, 0.03, 0.0};
    bool counts[7];
    bench_undisturbed(counts, share, 7);
    const bool quiet[] = {false, true, true, false, true, false, true};
    cr_assert_arr_eq(counts, quiet, sizeof quiet);
}

Test(times, of_disturbed_repeats_the_better_half_counts)
{
    const double share[] = {0.3, 0.1, 0.5, 0.2, 0.4};
    bool counts[5];
    bench_undisturbed(counts, share, 5);
    const bool better[] = {true, true, false, true, false};
    cr_assert_arr_eq(counts, better, sizeof better);
}

Test(times, where_nothing_says_what_was_stolen_every_repeat_counts)
{
    const double share[] = {NAN, NAN, NAN};
    bool counts[3];
    bench_undisturbed(counts, share, 3);
    for (int i = 0; i < 3; i++) cr_assert(counts[i]);
    bench_undisturbed(counts, share, 0);
}

/* --- results -------------------------------------------------------------- */

static json_t *result(double step_s, double flops)
{
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:{s:i, s:i, s:i}, s:{s:f, s:f, s:s, s:i},"
                     " s:{s:{s:f, s:f}, s:{s:f}, s:[{s:s, s:s, s:s, s:f, s:f}]},"
                     " s:{s:f, s:[{s:s, s:s, s:i, s:f, s:f}]},"
                     " s:{s:[{s:s, s:{s:s, s:f, s:f}}], s:[]}}",
                     "type", "bench", "schema", BENCH_SCHEMA, "date", "2026-01-02T03:04:05Z",
                     "commit", "abc", "backend", "cpu", "hardware", "ranks", 2, "nodes", 1,
                     "ranks_on_node", 2, "step", "median_s", step_s, "spread", 0.02, "precision",
                     "bf16", "ranks", 2, "gemm", "peak_flops", "fp32", 1e11, "bf16", 2e12,
                     "best_share", "bf16", 0.5, "rows", "product", "qkv", "form", "forward",
                     "precision", "bf16", "flops", flops, "spread", 0.03, "memory",
                     "bytes_per_rank", 8e9, "rows", "stream", "adamw", "ranks", "all", "bytes",
                     1000, "bytes_per_s", 2e10, "spread", 0.01, "collectives", "comms", "comm",
                     "shared", "link", "level", "core", "latency_s", 2e-6, "bandwidth", 7e9,
                     "rows");
}

/* What a person reads of a page, which is closed. */
static char *text_of(page *p)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    cr_assert(memory);
    page_text(p, memory, 98);
    (void)fclose(memory);
    page_deinit(p);
    return text;
}

Test(compare, names_what_changed_beyond_the_spread_and_nothing_else)
{
    json_t *a = result(1.0, 1e12), *b = result(1.5, 1.04e12);
    bench_comparison c;
    cr_assert_eq(bench_compare(&c, a, b), OK);
    cr_assert_eq(c.count, 3);
    for (int32_t i = 0; i < c.count; i++) {
        if (!c.changes[i].changed) continue;
        cr_assert(strstr(c.changes[i].what, "step"), "%s", c.changes[i].what);
        cr_assert(!c.changes[i].better);
        cr_assert(close_to(c.changes[i].ratio, 1.5, 1e-12));
    }
    cr_assert_eq(c.changed, 1);
    cr_assert_eq(c.alone[0] + c.alone[1], 0);
    cr_assert_str_eq(c.differs, "");
    bench_comparison_deinit(&c);
    json_decref(a);
    json_decref(b);
}

/* Sets the value at "a.b" of a result. */
static void set(json_t *r, const char *object, const char *key, json_t *value)
{
    (void)json_object_set_new(*object ? json_object_get(r, object) : r, key, value);
}

Test(compare, says_what_was_not_the_same_and_what_stands_alone)
{
    json_t *a = result(1.0, 1e12), *b = result(1.0, 1e12);
    json_t *product = json_array_get(json_at(b, "gemm.rows"), 0);
    (void)json_object_set_new(product, "m", json_integer(2048)); /* another shape */
    set(b, "", "version", json_string("9.9.9"));
    set(b, "hardware", "ranks", json_integer(4));
    set(b, "", "config", json_string("another"));
    bench_comparison c;
    cr_assert_eq(bench_compare(&c, a, b), OK);
    cr_expect_eq(c.count, 2);
    cr_expect_eq(c.alone[0], 1);
    cr_expect_eq(c.alone[1], 1);
    cr_expect(strstr(c.differs, "version '' -> '9.9.9'"), "%s", c.differs);
    cr_expect(strstr(c.differs, "hardware.ranks '2' -> '4'"), "%s", c.differs);
    cr_expect(strstr(c.differs, "config"), "%s", c.differs);
    page p = {0};
    cr_assert_eq(bench_compare_page(&p, &c), OK);
    char *text = text_of(&p);
    cr_expect(strstr(text, "Not compared: 1 that only the first"), "%s", text);
    cr_expect(strstr(text, "What was measured is not the same: "), "%s", text);
    free(text);
    bench_comparison_deinit(&c);
    json_decref(a);
    json_decref(b);
}

Test(compare, points_of_scaling_are_compared_where_batch_and_ranks_agree)
{
    json_t *both[2];
    for (int i = 0; i < 2; i++) {
        both[i] = result(1.0, 1e12);
        (void)json_object_set_new(
            both[i], "scaling",
            json_pack("{s:{s:[{s:i, s:i, s:f, s:f}]}, s:{s:[{s:i, s:i, s:f, s:f}]}}", "strong",
                      "rows", "ranks", 2, "micro_batches", 4, "step_time_s", 1.0 + i, "spread", 0.1,
                      "weak", "rows", "ranks", 2, "micro_batches", 4 + i, "step_time_s", 1.0,
                      "spread", 0.1));
    }
    bench_comparison c;
    cr_assert_eq(bench_compare(&c, both[0], both[1]), OK);
    cr_expect_eq(c.changed, 1);
    cr_expect_str_eq(c.changes[c.count - 1].what, "strong ranks 2 micro_batches 4");
    cr_expect_eq(c.alone[0], 1);
    bench_comparison_deinit(&c);
    json_decref(both[0]);
    json_decref(both[1]);
}

Test(compare, refuses_results_of_another_version_and_other_files)
{
    static const struct {
        const char *text, *word;
    } bad[] = {{"{\"type\": \"bench\", \"schema\": 99}", "schema 99"},
               {"{\"loss\": 3}", "not a result"},
               {"{\"type\": \"bench\", \"schema\": 1}", "hardware.nodes"},
               {"{\"type\": \"bench\", \"schema\": 1, \"hardware\": {\"nodes\": 1, \"ranks\": 2.5, "
                "\"ranks_on_node\": 2}}",
                "hardware.ranks"},
               {"{\"type\": \"bench\", \"schema\": 1, \"hardware\": {\"nodes\": 1, \"ranks\": 2, "
                "\"ranks_on_node\": 2}, \"step\": {}}",
                "step.ranks"},
               {"{", "no JSON"},
               {"", "no JSON"}};
    char path[64];
    (void)snprintf(path, sizeof path, "bench-bad-%d.json", (int)getpid());
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *out = NULL;
        FILE *f = fopen(path, "w");
        cr_assert(f);
        (void)fputs(bad[i].text, f);
        (void)fclose(f);
        cr_assert_eq(bench_result_read(&out, path), ERR_CONFIG);
        cr_assert(strstr(status_message(), bad[i].word), "%s", status_message());
    }
    (void)unlink(path);
}

/* --- the page ------------------------------------------------------------- */

/* What the page says of a point of two ranks that took took_s where plan said 1 s, the share
 * `stolen` of the processors being others'. */
static char *page_of_point(double took_s, double stolen)
{
    const double work = took_s * 0.9, rest = took_s - work;
    json_t *r =
        json_pack("{s:{s:i, s:i, s:{s:f, s:f, s:f, s:f, s:f}}, s:{s:{s:{}, s:[{s:i, s:i, s:f, s:f, "
                  "s:f, s:{s:f, s:f, s:f, s:f, s:f}}]}, s:{s:{}, s:[]}}}",
                  "step", "ranks", 2, "micro_batches", 4, "parts", "products", 0.9, "attention",
                  0.0, "memory", 0.0, "communication", 0.1, "slowest", 0.0, "scaling", "strong",
                  "laws", "rows", "ranks", 2, "micro_batches", 4, "step_time_s", took_s,
                  "predicted_s", 1.0, "spread", 0.1, "parts", "products", work, "attention", 0.0,
                  "memory", 0.0, "communication", rest, "slowest", 0.0, "weak", "laws", "rows");
    cr_assert(r);
    /* a series of one point has no picture */
    json_t *rows =
        json_object_get(json_object_get(json_object_get(r, "scaling"), "strong"), "rows");
    (void)json_array_append(rows, json_array_get(rows, 0));
    (void)json_object_set_new(json_object_get(r, "scaling"), "stolen_share", json_real(stolen));
    page p = {0};
    cr_assert_eq(bench_page(&p, r, NULL), OK, "%s", status_message());
    json_decref(r);
    return text_of(&p);
}

Test(page, says_why_a_point_lies_off_the_line_and_of_no_other)
{
    char *near = page_of_point(1.08, 0), *off = page_of_point(1.5, 0);
    cr_expect(!strstr(near, "Off the line"), "%s", near);
    cr_expect(strstr(off, "Off the line: strong, 2 ranks, 1.5 s where plan says 1 s"), "%s", off);
    cr_expect(strstr(off, "the same work took 1.50"), "%s", off);
    free(near);
    free(off);
}

Test(page, says_when_the_machine_was_not_ours_alone)
{
    char *quiet = page_of_point(1.0, 0.01), *taken = page_of_point(1.0, 0.31);
    cr_expect(!strstr(quiet, "Disturbed"), "%s", quiet);
    cr_expect(strstr(taken, "Disturbed: this machine's host gave processors to others for 31 %"),
              "%s", taken);
    free(quiet);
    free(taken);
}

Test(cluster, what_is_written_is_what_plan_reads)
{
    json_t *r = result(1.0, 1e12);
    (void)json_object_del(r, "step");
    cluster c, again;
    cr_assert_eq(bench_cluster(&c, (const json_t *const[]){r}, 1, "mine"), OK, "%s",
                 status_message());
    cr_assert_eq(c.core_bandwidth.source, SOURCE_MEASURED);
    cr_assert_eq(c.core_bandwidth.value, 7e9);
    cr_assert_str_eq(c.core_bandwidth.date, "2026-01-02");
    /* by the version that measured, which may not be this one */
    set(r, "", "version", json_string("9.9.9"));
    const cluster_value v = bench_measured(r, 1, "a test");
    cr_assert_str_eq(v.from, "isoflop bench 9.9.9 (abc): a test");
    cr_assert_eq(c.power_w.source, SOURCE_UNKNOWN);
    char path[64];
    (void)snprintf(path, sizeof path, "bench-%d.yaml", (int)getpid());
    cr_assert_eq(bench_cluster_write((const json_t *const[]){r}, 1, path), OK, "%s",
                 status_message());
    cr_assert_eq(cluster_load(&again, path), OK, "%s", status_message());
    cr_assert_eq(again.peak_bf16.value, 2e12);
    cr_assert_eq(again.ranks_per_node.value, 2);
    cr_assert(isnan(again.network_bandwidth.value));
    (void)unlink(path);
    json_decref(r);
}

Test(cluster, a_missing_section_is_named)
{
    json_t *r = result(1.0, 1e12);
    cluster c;
    (void)json_object_del(r, "memory");
    cr_assert_eq(bench_cluster(&c, (const json_t *const[]){r}, 1, "mine"), ERR_CONFIG);
    cr_assert(strstr(status_message(), "memory"));
    json_decref(r);
}

/* --- a step that was measured, and the constants that predict it ---------- */

static const char step_config[] =
    "name: planted\n"
    "model: {layers: 6, width: 384, heads: 6, ffn: 1536, vocab: 4096, context: 512, mlp: gelu}\n"
    "data: {synthetic: zipf_facts}\n"
    "train: {tokens: 1M, batch_tokens: 8192, micro_batch: 4, precision: bf16}\n"
    "optimizer: {learning_rate: 1e-3}\n";

static cluster planted(double nodes, double ranks_per_node)
{
    cluster c = {.name = "planted", .backend = "cpu"};
#define NOTHING(key, member, low, high, rule, meaning)                                             \
    c.member = (cluster_value){.value = NAN, .source = SOURCE_UNKNOWN};
    CLUSTER_VALUES(NOTHING)
    c.nodes.value = nodes;
    c.ranks_per_node.value = ranks_per_node;
    c.peak_bf16.value = 1e12;
    c.memory_bytes.value = 1e10;
    c.memory_bandwidth.value = 2e10;
    c.core_latency_s.value = 5e-6;
    c.core_bandwidth.value = 4e9;
    c.network_latency_s.value = 30e-6;
    c.network_bandwidth.value = 2e8;
    c.links.value = 1.0;
    c.products.value = 0.4;
    c.attention.value = 0.15;
    c.memory.value = 0.9;
    c.optimizer.value = 0.5;
    c.overlap.value = 0.6;
    return c;
}

static prediction predicted(const cluster *c, int32_t ranks)
{
    config cfg;
    prediction p;
    cr_assert_eq(config_parse(&cfg, "test", step_config, sizeof step_config - 1, 0, NULL), OK, "%s",
                 status_message());
    cfg.train.batch_tokens = ranks * 2 * cfg.train.micro_batch * cfg.model.context;
    const predict_question q = {.cfg = &cfg,
                                .sharding = PREDICT_ZERO1,
                                .ranks = ranks,
                                .workspace_bytes = -1};
    cr_assert_eq(predict_step(&p, &q, c), OK, "%s", status_message());
    return p;
}

static json_t *step_result_of(const prediction *p)
{
    return json_pack("{s:s, s:s, s:{s:i, s:i, s:i, s:{s:f, s:f, s:f, s:f, s:f}}}", "date",
                     "2026-01-02", "config", step_config, "step", "ranks", p->ranks, "batch_tokens",
                     (int)p->batch_tokens, "micro_batches", (int)p->micro_batches, "parts",
                     "products", p->part_s[PART_PRODUCTS], "attention", p->part_s[PART_ATTENTION],
                     "memory", p->part_s[PART_MEMORY], "optimizer", p->part_s[PART_OPTIMIZER],
                     "communication", p->part_s[PART_COMMUNICATION]);
}

static void calibrates(double nodes, double ranks_per_node)
{
    const cluster truth = planted(nodes, ranks_per_node);
    cluster c = truth;
    const prediction two = predicted(&truth, 2);
    json_t *r = step_result_of(&two);
    c.products.value = 0.9, c.attention.value = NAN, c.memory.value = c.optimizer.value = 1.0;
    c.overlap.value = NAN;
    if (nodes == 1) c.core_bandwidth.value = 1e9; /* it alone shows in such a step */
    cr_assert_eq(bench_calibrate(&c, r), OK, "%s", status_message());
    /* the step itself, and what the constants say of ranks nobody measured */
    for (int32_t ranks = 2; ranks <= 4; ranks *= 2) {
        cluster more = truth, guess = c;
        cluster *both[] = {&more, &guess};
        for (int i = 0; i < 2 && ranks > 2; i++)
            *(nodes > 1 ? &both[i]->nodes.value : &both[i]->ranks_per_node.value) *= 2;
        const prediction want = predicted(&more, ranks), got = predicted(&guess, ranks);
        for (int p = 0; p <= PART_OPTIMIZER; p++)
            cr_expect(close_to(got.part_s[p], want.part_s[p], 1e-3), "%d ranks, %s: %g, not %g",
                      (int)ranks, step_part_name((step_part)p), got.part_s[p], want.part_s[p]);
    }
    json_decref(r);
}

Test(calibrate, a_step_between_two_nodes_gives_its_constants_back) { calibrates(2, 1); }
Test(calibrate, a_step_in_one_node_gives_its_constants_back) { calibrates(1, 2); }

Test(calibrate, a_result_without_its_config_is_refused)
{
    cluster c = planted(1, 2);
    json_t *r = json_pack("{s:{}}", "step");
    cr_assert_eq(bench_calibrate(&c, r), ERR_CONFIG);
    cr_assert(strstr(status_message(), "config"));
    json_decref(r);
}

/* Minutes of measuring are not thrown away because the machine was busy with others. */
Test(calibrate, what_a_disturbed_machine_measured_is_still_a_cluster)
{
    const cluster truth = planted(1, 2);
    const prediction two = predicted(&truth, 2);
    json_t *r = result(1.0, 1e12), *step = step_result_of(&two);
    set(r, "", "config", json_string(step_config));
    set(r, "", "step", json_incref(json_object_get(step, "step")));
    (void)json_object_set_new(json_at(r, "step.parts"), "slowest", json_real(50 * two.step_time_s));
    (void)json_object_set_new(json_at(r, "gemm.best_share"), "bf16", json_real(1.3));
    cluster again;
    char path[64];
    (void)snprintf(path, sizeof path, "disturbed-%d.yaml", (int)getpid());
    cr_assert_eq(bench_cluster_write((const json_t *const[]){r}, 1, path), OK, "%s",
                 status_message());
    cr_assert_eq(cluster_load(&again, path), OK, "%s", status_message());
    cr_expect(again.step_spread.value > 1, "%g", again.step_spread.value);
    /* and without a step to correct it */
    (void)json_object_del(r, "step");
    cr_assert_eq(bench_cluster_write((const json_t *const[]){r}, 1, path), OK, "%s",
                 status_message());
    (void)unlink(path);
    json_decref(step);
    json_decref(r);
}

Test(page, every_line_fits_a_hundred_columns)
{
    json_t *r = result(1.0, 1e12);
    page p = {0};
    cr_assert_eq(bench_page(&p, r, NULL), OK, "%s", status_message());
    char *text = text_of(&p), *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        size_t columns = 0;
        for (const char *c = line; *c; c++) columns += ((unsigned char)*c & 0xc0) != 0x80;
        cr_expect(columns <= 100, "%zu columns: %s", columns, line);
    }
    free(text);
    json_decref(r);
}

/* there is no half rank: left of one the laws say nothing */
Test(page, the_lines_of_scaling_begin_at_one_rank)
{
    json_t *r = json_pack("{s:{s:{s:{s:{s:f}, s:{s:f, s:f}}, s:[{s:i, s:f}, {s:i, s:f}]}, "
                          "s:{s:{}, s:[]}}}",
                          "scaling", "strong", "laws", "amdahl", "serial_share", 0.05, "usl",
                          "sigma", 0.05, "kappa", 0.0, "rows", "ranks", 1, "efficiency", 1.0,
                          "ranks", 2, "efficiency", 0.95, "weak", "laws", "rows");
    page p = {0};
    const char *from = NULL;
    cr_assert(r);
    cr_assert_eq(bench_page(&p, r, NULL), OK, "%s", status_message());
    for (int32_t i = 0; i < p.blocks; i++)
        if (p.block[i]->kind == BLOCK_FIGURE && strcmp(p.block[i]->figure.name, "efficiency") == 0)
            from = strstr(p.block[i]->figure.script, "set xrange [");
    cr_assert(from && strstr(from, "Amdahl") && strstr(from, "USL"));
    cr_expect_float_eq(strtod(from + strlen("set xrange ["), NULL), 1.0, 1e-12);
    page_deinit(&p);
    json_decref(r);
}

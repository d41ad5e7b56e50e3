/* What isoflop bench makes of its numbers: laws, fits, comparisons and cluster files. */
#include "bench/bench_cluster.h"
#include "bench/bench_compare.h"
#include "bench/bench_laws.h"
#include "bench/bench_link.h"

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

Test(link, fit_recovers_planted_latency_and_bandwidth)
{
    link_fit f = {0};
    for (double bytes = 1024; bytes < 3e8; bytes *= 4)
        link_add(&f, bytes, 3 * 20e-6 + 0.75 * bytes / 2e9, 1, 4);
    link_solve(&f, 4);
    cr_assert(close_to(f.latency_s, 20e-6, 1e-6), "%g", f.latency_s);
    cr_assert(close_to(f.bandwidth, 2e9, 1e-6), "%g", f.bandwidth);
    cr_assert(f.residual < 1e-9);
}

Test(link, too_few_points_are_not_known)
{
    link_fit f = {0};
    link_add(&f, 1024, 1e-3, 1, 1); /* one rank sends nothing */
    link_solve(&f, 4);
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

/* --- results -----------------------------------------------------------------------------------
 */

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

Test(compare, names_what_changed_beyond_the_spread_and_nothing_else)
{
    json_t *a = result(1.0, 1e12), *b = result(1.5, 1.04e12);
    bench_change *changes;
    int32_t count, changed = 0;
    cr_assert_eq(bench_compare(&changes, &count, a, b), OK);
    cr_assert_eq(count, 3);
    for (int32_t i = 0; i < count; i++) {
        changed += changes[i].changed;
        if (!changes[i].changed) continue;
        cr_assert(strstr(changes[i].what, "step"), "%s", changes[i].what);
        cr_assert(!changes[i].better);
        cr_assert(close_to(changes[i].ratio, 1.5, 1e-12));
    }
    cr_assert_eq(changed, 1);
    free(changes);
    json_decref(a);
    json_decref(b);
}

Test(compare, refuses_results_of_another_version_and_other_files)
{
    static const struct {
        const char *text, *word;
    } bad[] = {{"{\"type\": \"bench\", \"schema\": 99}", "schema 99"},
               {"{\"loss\": 3}", "not a result"},
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
        cr_assert_eq(bench_read(&out, path), ERR_CONFIG);
        cr_assert(strstr(status_message(), bad[i].word), "%s", status_message());
    }
    (void)unlink(path);
}

Test(cluster, what_is_written_is_what_plan_reads)
{
    json_t *r = result(1.0, 1e12);
    cluster c, again;
    cr_assert_eq(bench_cluster(&c, r, "mine"), OK, "%s", status_message());
    cr_assert_eq(c.core_bandwidth.source, SOURCE_MEASURED);
    cr_assert_eq(c.core_bandwidth.value, 7e9);
    cr_assert_str_eq(c.core_bandwidth.date, "2026-01-02");
    cr_assert_eq(c.power_w.source, SOURCE_UNKNOWN);
    char path[64];
    (void)snprintf(path, sizeof path, "bench-%d.yaml", (int)getpid());
    cr_assert_eq(bench_cluster_write(r, path), OK, "%s", status_message());
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
    cr_assert_eq(bench_cluster(&c, r, "mine"), ERR_CONFIG);
    cr_assert(strstr(status_message(), "memory"));
    json_decref(r);
}

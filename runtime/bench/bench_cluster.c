#include "bench/bench_cluster.h"
#include "base/json.h"
#include "base/file.h"
#include "bench/bench_calibrate.h"
#include "plan/cost.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

cluster_value bench_measured(const json_t *result, double value, const char *what)
{
    cluster_value v = {.value = value, .source = SOURCE_MEASURED};
    if (!isfinite(value)) return (cluster_value){.value = NAN, .source = SOURCE_UNKNOWN};
    (void)snprintf(v.date, sizeof v.date, "%.10s", json_text_at(result, "date"));
    (void)snprintf(v.from, sizeof v.from, "isoflop bench %s (%s): %s",
                   json_text_at(result, "version"), json_text_at(result, "commit"), what);
    return v;
}

/* the largest array of a stream, all ranks at once where there are several */
static double stream_rate(const json_t *result, const char *stream)
{
    size_t i;
    json_t *row;
    double most = 0.0, rate = NAN;
    const char *ranks = json_number_at(result, "hardware.ranks") > 1 ? "all" : "one";
    json_array_foreach(json_at(result, "memory.rows"), i, row)
    {
        const double bytes = json_number_at(row, "bytes");
        if (strcmp(json_text_at(row, "stream"), stream) != 0) continue;
        if (strcmp(json_text_at(row, "ranks"), ranks) != 0 || bytes < most) continue;
        most = bytes;
        rate = json_number_at(row, "bytes_per_s");
    }
    return rate;
}

static void take_links(cluster *out, const json_t *result)
{
    size_t i;
    json_t *one;
    static const char *const what = "fit of reduce-scatter, all-gather";
    json_array_foreach(json_at(result, "collectives.comms"), i, one)
    {
        const char *level = json_text_at(one, "link.level");
        const cluster_value latency =
            bench_measured(result, json_number_at(one, "link.latency_s"), what);
        const cluster_value bandwidth =
            bench_measured(result, json_number_at(one, "link.bandwidth"), what);
        /* a link that bytes did not show is no link */
        if (isnan(latency.value) || isnan(bandwidth.value)) continue;
        if (strcmp(level, "core") == 0)
            out->core_latency_s = latency, out->core_bandwidth = bandwidth;
        if (strcmp(level, "node") == 0)
            out->node_latency_s = latency, out->node_bandwidth = bandwidth;
        if (strcmp(level, "network") == 0)
            out->network_latency_s = latency, out->network_bandwidth = bandwidth;
        out->links = bench_measured(result, 1.0, "the links above are what collectives reach");
    }
}

static double write_rate(const json_t *result)
{
    size_t i;
    json_t *row;
    double rate = NAN;
    json_array_foreach(json_at(result, "io.rows"), i, row)
    {
        if (strcmp(json_text_at(row, "what"), "write") == 0)
            rate = json_number_at(row, "bytes_per_s");
    }
    return rate / json_number_at(result, "hardware.nodes");
}

/* which of this result's sections there are decides what it says */
static void take(cluster *c, const json_t *result)
{
    if (json_at(result, "gemm")) {
        c->peak_fp32 =
            bench_measured(result, json_number_at(result, "gemm.peak_flops.fp32"), "products");
        c->peak_bf16 =
            bench_measured(result, json_number_at(result, "gemm.peak_flops.bf16"), "products");
        /* the peak is a median of bursts: a product may have been quicker */
        const double best = json_number_at(result, "gemm.best_share.bf16");
        c->products =
            bench_measured(result, best > 1.0 ? 1.0 : best, "best product of the model, bf16");
    }
    if (json_at(result, "memory")) {
        c->memory_bytes = bench_measured(result, json_number_at(result, "memory.bytes_per_rank"),
                                         "share of a rank");
        /* the optimizer's streams say more of a step than a copy does; its share of itself is 1 */
        c->memory_bandwidth =
            bench_measured(result, stream_rate(result, "adamw"), "AdamW, all ranks at once");
        c->memory = c->optimizer =
            bench_measured(result, 1.0, "memory_bandwidth is what streams reach");
    }
    take_links(c, result);
    if (json_at(result, "io"))
        c->storage = bench_measured(result, write_rate(result), "write and sync");
    if (json_at(result, "step"))
        c->step_spread = bench_measured(result, json_number_at(result, "step.spread") / 2.56,
                                        "p10 to p90 of steps, as a normal spread");
}

static status check_sections(const json_t *const *results, int32_t count, double ranks)
{
    static const char *const needed[] = {"gemm", "memory", "collectives"};
    for (int i = 0; i < (ranks > 1 ? 3 : 2); i++) {
        bool found = false;
        for (int32_t k = 0; k < count; k++) found = found || json_at(results[k], needed[i]);
        REQUIRE(found, ERR_CONFIG,
                "--write: the section %s was not measured; a cluster file needs gemm, memory%s",
                needed[i], ranks > 1 ? " and collectives" : "");
    }
    return OK;
}

/* Steps correct what they are made of, each on the nodes it ran on. */
static status correct(cluster *c, const json_t *result)
{
    if (!json_at(result, "step")) return OK;
    cluster here = *c;
    here.nodes.value = json_number_at(result, "hardware.nodes");
    here.ranks_per_node.value = json_number_at(result, "hardware.ranks_on_node");
    TRY(bench_calibrate(&here, result));
    here.nodes = c->nodes;
    here.ranks_per_node = c->ranks_per_node;
    *c = here;
    return OK;
}

status bench_cluster(cluster *out, const json_t *const *results, int32_t count, const char *name)
{
    cluster c = {.currency = "USD"};
    double nodes = 1.0, ranks_on_node = 1.0, most = 1.0, senders = 1.0;
    const json_t *last = results[count - 1];
#define UNKNOWN(key, member, low, high, rule, meaning)                                             \
    c.member = (cluster_value){.value = NAN, .source = SOURCE_UNKNOWN};
    CLUSTER_VALUES(UNKNOWN)
    for (int32_t k = 0; k < count; k++) {
        nodes = fmax(nodes, json_number_at(results[k], "hardware.nodes"));
        const double local = json_number_at(results[k], "hardware.ranks_on_node");
        ranks_on_node = fmax(ranks_on_node, local);
        most = fmax(most, json_number_at(results[k], "hardware.ranks"));
        if (json_at(results[k], "collectives") && json_number_at(results[k], "hardware.nodes") > 1)
            senders = local;
    }
    TRY(check_sections(results, count, most));
    (void)snprintf(c.name, sizeof c.name, "%s", name);
    const bool gpu = strcmp(json_text_at(last, "backend"), "cuda") == 0;
    (void)snprintf(c.backend, sizeof c.backend, "%s", gpu ? "gpu" : "cpu");
    c.nodes = bench_measured(last, nodes, "of this job");
    c.ranks_per_node = bench_measured(last, ranks_on_node, "of this job");
    for (int32_t k = 0; k < count; k++) take(&c, results[k]);
    for (int32_t k = 0; k < count; k++) TRY(correct(&c, results[k]));
    /* a node's way out was measured with fewer ranks sending: the others share it, and send while
     * one is summing */
    c.network_bandwidth.value *= senders / ranks_on_node;
    if (senders == 1.0 && ranks_on_node > 1.0) c.network_bandwidth.value *= cost_together;
    *out = c;
    return OK;
}

status bench_cluster_write(const json_t *const *results, int32_t count, const char *path)
{
    char name[96];
    const char *slash = strrchr(path, '/');
    cluster c;
    (void)snprintf(name, sizeof name, "%s", slash ? slash + 1 : path);
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".yaml") == 0) name[n - 5] = '\0';
    TRY(bench_cluster(&c, results, count, name));
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    REQUIRE(memory, ERR_MEMORY, "no memory for %s", path);
    status s = cluster_write(&c, memory);
    (void)fclose(memory);
    /* what is written must be what plan reads */
    cluster again;
    if (s == OK) s = cluster_parse(&again, path, text, (int64_t)bytes);
    if (s == OK) s = file_write_text(path, text, (int64_t)bytes);
    free(text);
    return s;
}

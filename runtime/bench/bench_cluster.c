#include "bench/bench_cluster.h"

#include "base/json.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* of this result: its day, and who measured what */
static cluster_value measured(const json_t *result, double value, const char *what)
{
    cluster_value v = {.value = value, .source = SOURCE_MEASURED};
    if (!isfinite(value)) return (cluster_value){.value = NAN, .source = SOURCE_UNKNOWN};
    (void)snprintf(v.date, sizeof v.date, "%.10s", json_text_at(result, "date"));
    (void)snprintf(v.from, sizeof v.from, "isoflop bench %s (%s): %s", BENCH_VERSION,
                   json_text_at(result, "commit"), what);
    return v;
}

/* the largest array of a stream, all ranks at once */
static double stream_rate(const json_t *result, const char *stream)
{
    size_t i;
    json_t *row;
    double most = 0.0, rate = NAN;
    const json_t *rows = json_at(result, "memory.rows");
    const char *ranks = json_number_at(result, "hardware.ranks") > 1 ? "all" : "one";
    json_array_foreach(rows, i, row)
    {
        if (strcmp(json_text_at(row, "stream"), stream) != 0) continue;
        if (strcmp(json_text_at(row, "ranks"), ranks) != 0 || json_number_at(row, "bytes") < most)
            continue;
        most = json_number_at(row, "bytes");
        rate = json_number_at(row, "bytes_per_s");
    }
    return rate;
}

static void take_links(cluster *out, const json_t *result)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_at(result, "collectives.comms"), i, one)
    {
        const char *level = json_text_at(one, "link.level"),
                   *what = "fit of reduce-scatter, all-gather";
        cluster_value latency = measured(result, json_number_at(one, "link.latency_s"), what);
        cluster_value bandwidth = measured(result, json_number_at(one, "link.bandwidth"), what);
        if (strcmp(level, "core") == 0)
            out->core_latency_s = latency, out->core_bandwidth = bandwidth;
        if (strcmp(level, "node") == 0)
            out->node_latency_s = latency, out->node_bandwidth = bandwidth;
        if (strcmp(level, "network") == 0)
            out->network_latency_s = latency, out->network_bandwidth = bandwidth;
    }
}

static double write_rate(const json_t *result)
{
    size_t i;
    json_t *row;
    double rate = NAN, nodes = json_number_at(result, "hardware.nodes");
    json_array_foreach(json_at(result, "io.rows"), i,
                       row) if (strcmp(json_text_at(row, "what"), "write") == 0) rate =
        json_number_at(row, "bytes_per_s");
    return rate / nodes;
}

status bench_cluster(cluster *out, const json_t *result, const char *name)
{
    static const char *const needed[] = {"gemm", "memory", "collectives"};
    int count = json_number_at(result, "hardware.ranks") > 1 ? 3 : 2;
    for (int i = 0; i < count; i++)
        REQUIRE(json_at(result, needed[i]), ERR_CONFIG,
                "--write: the section %s was not measured; a cluster file needs gemm, memory%s",
                needed[i], count > 2 ? " and collectives" : "");
    cluster c = {.currency = "USD"};
#define UNKNOWN(key, member, low, high, rule, meaning)                                             \
    c.member = (cluster_value){.value = NAN, .source = SOURCE_UNKNOWN};
    CLUSTER_VALUES(UNKNOWN)
    (void)snprintf(c.name, sizeof c.name, "%s", name);
    bool gpu = strcmp(json_text_at(result, "backend"), "cuda") == 0;
    (void)snprintf(c.backend, sizeof c.backend, "%s", gpu ? "gpu" : "cpu");
    c.nodes = measured(result, json_number_at(result, "hardware.nodes"), "of this job");
    c.ranks_per_node =
        measured(result, json_number_at(result, "hardware.ranks_on_node"), "of this job");
    c.peak_fp32 = measured(result, json_number_at(result, "gemm.peak_flops.fp32"), "products");
    c.peak_bf16 = measured(result, json_number_at(result, "gemm.peak_flops.bf16"), "products");
    c.products = measured(result, json_number_at(result, "gemm.best_share.bf16"),
                          "best product of the model, bf16");
    c.memory_bytes =
        measured(result, json_number_at(result, "memory.bytes_per_rank"), "share of a rank");
    /* the optimizer's streams say more of a step than a copy does; its share of itself is 1 */
    c.memory_bandwidth = measured(result, stream_rate(result, "adamw"), "AdamW, all ranks at once");
    c.memory = measured(result, 1.0, "memory_bandwidth is what streams reach");
    take_links(&c, result);
    c.storage = measured(result, write_rate(result), "write and sync");
    c.step_spread = measured(result, json_number_at(result, "step.spread") / 2.56,
                             "p10 to p90 of steps, as a normal spread");
    *out = c;
    return OK;
}

status bench_cluster_write(const json_t *result, const char *path)
{
    char name[96];
    const char *slash = strrchr(path, '/');
    cluster c;
    (void)snprintf(name, sizeof name, "%s", slash ? slash + 1 : path);
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".yaml") == 0) name[n - 5] = '\0';
    TRY(bench_cluster(&c, result, name));
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

#include "plan/cluster.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char good[] =
    "name: small\n"
    "nodes: 4\n"
    "ranks_per_node: 2\n"
    "peak_flops: {fp32: 1e12, bf16: {value: 4T, source: measured, date: 2026-11-22}}\n"
    "memory_bytes: 16Gi\n"
    "memory_bandwidth: {value: 100e9, source: published, from: \"a \\\"sheet\\\"\"}\n"
    "links:\n"
    "  core: {latency_s: 1e-6, bandwidth: 20e9}\n"
    "  network: {latency_s: {value: 5e-6, source: modelled}, bandwidth: 1e9}\n"
    "power_w: 100\n"
    "pue: 1.2\n"
    "grid_g_per_kwh: unknown\n"
    "price_per_hour: 0.5\n"
    "mtbf_hours: 1000\n";

static status parse(cluster *out, const char *text)
{
    return cluster_parse(out, "c.yaml", text, (int64_t)strlen(text));
}

/* good with the first occurrence of `from` replaced. */
static void edited(char *out, size_t bytes, const char *from, const char *to)
{
    const char *at = strstr(good, from);
    cr_assert(at != NULL, "%s", from);
    (void)snprintf(out, bytes, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
}

static void refused(const char *from, const char *to, const char *message)
{
    char text[2048];
    cluster c = {.name = "untouched"};
    edited(text, sizeof text, from, to);
    cr_expect(parse(&c, text) == ERR_CONFIG, "accepted: %s", to);
    cr_expect(strstr(status_message(), message) != NULL, "'%s' does not say '%s'", status_message(),
              message);
    cr_expect(strchr(status_message(), '\n') == NULL);
    cr_expect_str_eq(c.name, "untouched");
}

Test(cluster, values_carry_their_source)
{
    cluster c;
    cr_assert(parse(&c, good) == OK, "%s", status_message());
    cr_expect(c.nodes.value == 4 && c.nodes.source == SOURCE_GIVEN);
    cr_expect(c.peak_bf16.value == 4e12 && c.peak_bf16.source == SOURCE_MEASURED);
    cr_expect_str_eq(c.peak_bf16.date, "2026-11-22");
    cr_expect(c.memory_bandwidth.source == SOURCE_PUBLISHED);
    cr_expect_str_eq(c.memory_bandwidth.from, "a \"sheet\"");
    cr_expect(c.network_latency_s.source == SOURCE_MODELLED);
    /* absent is absent, never 0 */
    cr_expect(isnan(c.grid_g_per_kwh.value) && c.grid_g_per_kwh.source == SOURCE_UNKNOWN);
    cr_expect(isnan(c.node_bandwidth.value) && isnan(c.products.value));
}

Test(cluster, a_missing_value_is_named)
{
    refused("nodes: 4\n", "", "nodes: not given");
    refused("ranks_per_node: 2\n", "", "ranks_per_node: not given");
    refused("fp32: 1e12, ", "", "peak_flops.fp32: not given");
    refused("memory_bytes: 16Gi\n", "", "memory_bytes: not given");
    refused("memory_bandwidth:", "#", "memory_bandwidth: not given");
    refused("latency_s: 1e-6, ", "", "links.core.latency_s: not given");
    refused(", bandwidth: 1e9}", "}", "links.network.bandwidth: not given");
    refused("  network:", "#", "links.network: not given, and there are 4 nodes");
    refused("power_w: 100\n", "", "power_w: not given");
    refused("pue: 1.2\n", "", "pue: not given");
    refused("grid_g_per_kwh: unknown\n", "", "grid_g_per_kwh: not given");
    refused("price_per_hour: 0.5\n", "", "price_per_hour: not given");
    refused("mtbf_hours: 1000\n", "", "mtbf_hours: not given");
    refused("name: small\n", "", "name: not given");
    refused("{value: 4T, source: measured, date: 2026-11-22}", "{source: measured}",
            "peak_flops.bf16.value: not given");
    refused(", source: modelled", "", "links.network.latency_s.source: not given");
}

Test(cluster, a_wrong_value_is_refused_with_its_line)
{
    refused("nodes: 4", "nodes: -4", "c.yaml:2: nodes: -4 is outside");
    refused("nodes: 4", "nodes: 2.5", "c.yaml:2: nodes: 2.5 is not whole");
    refused("nodes: 4", "nodes: unknown", "this one must be a number");
    refused("memory_bytes: 16Gi", "memory_bytes: 0", "c.yaml:5: memory_bytes: 0 is outside");
    refused("bandwidth: 20e9", "bandwidth: -20e9", "links.core.bandwidth: -2e+10 is outside");
    refused("power_w: 100", "power_w: 1e400", "power_w");
    refused("power_w: 100", "power_w: nan", "power_w");
    refused("power_w: 100", "power_w: 100W", "power_w");
    refused("pue: 1.2", "pue: 0.9", "pue: 0.9 is outside [1, 10]; nearest: 1");
    refused("pue: 1.2", "pue: 1.2\npue: 1.3", "pue: given twice");
    refused("pue: 1.2", "puu: 1.2", "puu: unknown key; nearest: pue");
    refused("source: measured", "source: guessed", "allowed: measured, published, modelled");
    refused("date: 2026", "dat: 2026", "unknown key; allowed: value, source, date, from");
    refused("links:", "links: 7\nlinkz:", "links: one value; allowed: a mapping");
    refused("pue: 1.2", "pue: [1, 2]", "a list");
    refused("pue: 1.2", "pue: {value: {value: 1}, source: measured}", "a mapping");
    refused("name: small", "name: small\nbackend: fpga", "allowed: cpu, gpu, tpu");
    refused("{fp32: 1e12, bf16: {value: 4T, source: measured, date: 2026-11-22}}",
            "{fp32: unknown, bf16: unknown}", "neither fp32 nor bf16 is known");
}

Test(cluster, what_is_written_reads_back)
{
    cluster c, again;
    cr_assert(parse(&c, good) == OK);
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    cr_assert(cluster_write(&c, out) == OK);
    (void)fclose(out);
    cr_assert(cluster_parse(&again, "again", text, (int64_t)bytes) == OK, "%s\n%s",
              status_message(), text);
    char *second = NULL;
    out = open_memstream(&second, &bytes);
    cr_assert(cluster_write(&again, out) == OK);
    (void)fclose(out);
    cr_expect_str_eq(text, second);
    cr_expect_str_eq(again.memory_bandwidth.from, "a \"sheet\"");
    cr_expect(again.network_latency_s.value == 5e-6);
    free(text);
    free(second);
}

static void has_source(void *context, const char *key, const cluster_value *v, const char *meaning)
{
    (void)meaning;
    if (strcmp(key, "nodes") == 0 || strcmp(key, "ranks_per_node") == 0) return;
    cr_expect(isnan(v->value) || v->source != SOURCE_GIVEN, "%s: %s has no source",
              (const char *)context, key);
    cr_expect(isnan(v->value) || v->from[0], "%s: %s does not say from where",
              (const char *)context, key);
}

Test(cluster, every_shipped_file_is_sound_and_says_where_its_values_come_from)
{
    DIR *folder = opendir(CLUSTERS);
    cr_assert(folder != NULL);
    int count = 0;
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        char *dot = strstr(e->d_name, ".yaml");
        if (!dot) continue;
        *dot = '\0';
        cluster c;
        cr_assert(cluster_load(&c, e->d_name) == OK, "%s", status_message());
        cr_expect_str_eq(c.name, e->d_name);
        cluster_each(&c, e->d_name, has_source);
        count++;
    }
    (void)closedir(folder);
    cr_expect(count >= 8, "%d files", count);
    cluster c;
    cr_expect(cluster_load(&c, "no-such-cluster") == ERR_CONFIG);
    cr_expect(cluster_load(&c, "") == ERR_CONFIG);
}

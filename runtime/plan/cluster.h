/* cluster.h — a machine as numbers: ranks, peaks, memory, links, watts, price; each with its
 * source. Read from configs/clusters/NAME.yaml (CONTRACTS: clusters). Plain values, so tests build
 * clusters of any kind without hardware. All values are of one rank (one GPU, chip or core) but
 * nodes, mtbf_hours (of one node) and links.network (of one rank, when all ranks of its node send).
 * Flow: cluster.yaml -> cluster -> predict.h, goodput.h                                          */
#ifndef PLAN_CLUSTER_H
#define PLAN_CLUSTER_H

#include "base/status.h"

#include <stdint.h>
#include <stdio.h>

/* Where a value comes from. A plain number in the file is `given`; `unknown` is no number (NaN). */
typedef enum value_source {
    SOURCE_GIVEN,
    SOURCE_MEASURED,
    SOURCE_PUBLISHED,
    SOURCE_MODELLED,
    SOURCE_UNKNOWN,
    VALUE_SOURCES
} value_source;

typedef struct cluster_value {
    double value; /* NaN: unknown                       */
    value_source source;
    char date[16];  /* of the measurement or publication; "" = not said */
    char from[120]; /* document, program or reason; "" = not said       */
} cluster_value;

/* Every value of the file: X(key in the file, member, lowest, highest, rule, meaning).
 * Rules: NEEDED = a number must stand there; KNOWN_OR_NOT = a number or the word unknown;
 * LINK = may be missing with its partner where no prediction needs the link;
 * MODELLED = may be missing: a rule of cost.h gives it then, and it is marked modelled.        */
// clang-format off
#define CLUSTER_VALUES(X)                                                                                                    \
    X("nodes",                  nodes,            1, 1e7,   NEEDED,       "nodes")                                           \
    X("ranks_per_node",         ranks_per_node,   1, 1e5,   NEEDED,       "ranks of a node: one per GPU, chip or core")      \
    X("peak_flops.fp32",        peak_fp32,        1, 1e20,  KNOWN_OR_NOT, "FLOP/s of dense fp32 products")                   \
    X("peak_flops.bf16",        peak_bf16,        1, 1e20,  KNOWN_OR_NOT, "FLOP/s of dense bf16 products")                   \
    X("memory_bytes",           memory_bytes,     1, 1e18,  NEEDED,       "memory a rank can use, bytes")                    \
    X("memory_bandwidth",       memory_bandwidth, 1, 1e18,  NEEDED,       "bytes/s between memory and a rank")               \
    X("links.core.latency_s",   core_latency_s,   0, 10,    LINK,         "between ranks that share a memory: seconds a step of a collective") \
    X("links.core.bandwidth",   core_bandwidth,   1, 1e18,  LINK,         "bytes/s a rank sends, and receives")              \
    X("links.node.latency_s",   node_latency_s,   0, 10,    LINK,         "between ranks of a node")                         \
    X("links.node.bandwidth",   node_bandwidth,   1, 1e18,  LINK,         "bytes/s a rank sends, and receives")              \
    X("links.network.latency_s",network_latency_s,0, 10,    LINK,         "between nodes")                                   \
    X("links.network.bandwidth",network_bandwidth,1, 1e18,  LINK,         "bytes/s a rank sends, and receives")              \
    X("power_w",                power_w,       1e-3, 1e7,   KNOWN_OR_NOT, "watts of a rank at work")                         \
    X("pue",                    pue,              1, 10,    KNOWN_OR_NOT, "energy of the building / energy of the chips")    \
    X("grid_g_per_kwh",         grid_g_per_kwh,   0, 1e5,   KNOWN_OR_NOT, "grams of CO2 per kWh")                            \
    X("price_per_hour",         price_per_hour,   0, 1e6,   KNOWN_OR_NOT, "money per rank and hour")                         \
    X("mtbf_hours",             mtbf_hours,    1e-3, 1e9,   KNOWN_OR_NOT, "mean hours between failures of one node")         \
    X("efficiency.products",    products,      1e-3, 1,     MODELLED,   "best sustained share of the peak, large products") \
    X("efficiency.attention",   attention,     1e-3, 1,     MODELLED,   "the same inside fused attention, long sequences") \
    X("efficiency.memory",      memory,        1e-3, 1,     MODELLED,   "share of memory_bandwidth that streams reach")    \
    X("efficiency.optimizer",   optimizer,     1e-3, 1,     MODELLED,   "the same for the optimizer's streams")             \
    X("efficiency.links",       links,         1e-3, 1,     MODELLED,   "share of a link that collectives reach")          \
    X("efficiency.overlap",     overlap,          0, 1,     MODELLED,   "share of eligible communication hidden by products") \
    X("efficiency.launch_s",    launch_s,         0, 1,     MODELLED,   "seconds to start one operation")                  \
    X("efficiency.units",       units,            1, 1e5,   MODELLED,   "processors that share a product: SMs, cores, arrays") \
    X("efficiency.step_spread", step_spread,      0, 1e4,   MODELLED,   "spread (sd / mean) of a rank's step time")        \
    X("storage_bandwidth",      storage,          1, 1e18,  MODELLED,   "bytes/s one node writes to storage")              \
    X("restart_s",              restart_s,        0, 1e6,   MODELLED,   "seconds from a failure to training again")
// clang-format on

#define CLUSTER_MEMBER(key, member, low, high, rule, meaning) cluster_value member;
typedef struct cluster {
    char name[96];
    char backend[16]; /* "cpu", "gpu" or "tpu": whose kernels a rank runs; "" = not said */
    char currency[8]; /* of price_per_hour; USD unless said                             */
    CLUSTER_VALUES(CLUSTER_MEMBER)
} cluster;

/* Reads bytes[0..size) of the file `path`. Writes *out only on success. ERR_CONFIG, one line:
 * "path:line: key: what; allowed or nearest"; missing and negative values are named.             */
status cluster_parse(cluster *out, const char *path, const char *bytes, int64_t size);
/* The same from a file: a path, or a name looked for in clusters/ of the folders of configs. */
status cluster_load(cluster *out, const char *name);
/* The file again, values with their sources; cluster_parse reads it back to the same values.
 * What is unknown or missing by rule (NaN and LINK or MODELLED) is left out.                   */
status cluster_write(const cluster *c, FILE *out);
/* Joules of so many ranks for so long, where no meter measured them: watts x pue x time, an unknown
 * pue as 1. Not a number without a cluster (NULL) or watts. */
double cluster_unmetered_j(const cluster *c, double ranks, double seconds);
/* "given", "measured", "published", "modelled", "unknown" */
const char *value_source_name(value_source source);
/* Calls visit for each value in file order. */
void cluster_each(const cluster *c, void *context,
                  void (*visit)(void *context, const char *key, const cluster_value *v,
                                const char *meaning));

#endif

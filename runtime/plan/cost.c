#include "plan/cost.h"

#include "config/config.h"

#include <math.h>
#include <string.h>

/* --- what a file does not say -------------------------------------------------------------------
 * Dense products of recent chips are limited by power before they reach the peak. Watts grow with
 * clock x voltage^2, so the clock a chip holds falls slower than its watts: the sustained share is
 * taken as 0.88 of the root of the watts per TFLOP/s of peak (0.74 for an H100 of 700 W, 0.63 at
 * 500 W), and 0.86 on chips with watts to spare (A100). Fused attention, bound by its exponentials
 * too, reaches 0.58 of what products do, and 0.72 on those chips (its authors: 50 to 73 % of an
 * A100's peak). Rings reach 0.8 of a link, streams 0.85 of a memory. What runs beside communication
 * is slowed by nearly as much as it hides, as long as bytes move at the speed of the node's link:
 * the two share processors, memory and watts. Fitted on the even rows of tests/plan/published.c,
 * graded there on the odd ones. Cores hide about half of what moves between nodes (two hosts at 1
 * Gbit/s: 152 ms without, 112 ms with overlap, the communication alone 77 ms). */
static const double products_of_power = 0.88, products_most = 0.86, products_default = 0.7;
static const double attention_of_products = 0.58, attention_with_watts = 0.72;
static const double stream_share = 0.85, link_share = 0.8, overlap_share = 0.1, overlap_cores = 0.5;
static const double launch_gpu_s = 5e-6, launch_cpu_s = 2e-7, spread_default = 0.01;
static const double units_gpu = 128.0, products_of_cores = 0.2;
/* What one node writes to shared storage; how long it takes to queue, start and load again. */
static const double storage_default = 2e9, restart_default_s = 300.0;

static bool known(const cluster_value *v) { return !isnan(v->value); }

bool cluster_of_cores(const cluster *c)
{
    if (c->backend[0]) return strcmp(c->backend, "cpu") == 0;
    return !(c->peak_bf16.value >= 20e12) && !(c->peak_fp32.value >= 20e12);
}

static double peak_of(const cluster *c, int32_t precision)
{
    return precision == PRECISION_BF16 ? c->peak_bf16.value : c->peak_fp32.value;
}

/* The sustained share of the peak where nobody measured it. */
static double products_by_power(const cluster *c, double peak, bool cores)
{
    if (cores) return products_of_cores;
    if (!known(&c->power_w)) return products_default;
    return fmin(products_most, products_of_power * sqrt(c->power_w.value / (peak / 1e12)));
}

static double attention_share(double by_power, bool cores)
{
    return !cores && by_power == products_most ? attention_with_watts : attention_of_products;
}

static void by_rule(cluster_value *v, double value)
{
    if (known(v) || isnan(value)) return;
    *v = (cluster_value){.value = value, .source = SOURCE_MODELLED, .from = "a rule of plan"};
}

void cost_complete(cluster *c, int32_t precision)
{
    const bool cores = cluster_of_cores(c);
    const double by_power = products_by_power(c, peak_of(c, precision), cores);
    by_rule(&c->products, by_power);
    by_rule(&c->attention, attention_share(by_power, cores) * c->products.value);
    by_rule(&c->memory, stream_share);
    by_rule(&c->optimizer, c->memory.value);
    by_rule(&c->links, link_share);
    by_rule(&c->overlap, cores ? overlap_cores : overlap_share);
    by_rule(&c->launch_s, cores ? launch_cpu_s : launch_gpu_s);
    by_rule(&c->units, cores ? 1.0 : units_gpu);
    by_rule(&c->step_spread, spread_default);
    by_rule(&c->storage, storage_default);
    by_rule(&c->restart_s, restart_default_s);
}

static machine_link link_of(const cluster_value *latency, const cluster_value *bandwidth,
                            double share)
{
    if (!known(bandwidth)) return (machine_link){0};
    return (machine_link){latency->value, bandwidth->value * share};
}

status machine_of(machine *out, const cluster *given, int32_t precision)
{
    const bool bf16 = precision == PRECISION_BF16, cores = cluster_of_cores(given);
    const double peak = peak_of(given, precision);
    REQUIRE(!isnan(peak), ERR_CONFIG, "cluster %s: peak_flops.%s is unknown; nearest: precision %s",
            given->name, bf16 ? "bf16" : "fp32", bf16 ? "fp32" : "bf16");
    cluster c = *given;
    cost_complete(&c, precision);
    *out = (machine){.peak = peak,
                     .products = c.products.value,
                     .attention = c.attention.value,
                     .stream = c.memory_bandwidth.value * c.memory.value,
                     .optimizer = c.memory_bandwidth.value * c.optimizer.value,
                     .units = c.units.value,
                     .launch_s = c.launch_s.value,
                     .overlap = c.overlap.value,
                     .spread = c.step_spread.value,
                     .ranks_per_node = c.ranks_per_node.value,
                     .staged = cores};
    const double share = c.links.value;
    out->in_node = link_of(&c.node_latency_s, &c.node_bandwidth, share);
    /* cores meet in a shared window, whatever the node's link is */
    if (out->in_node.bandwidth == 0 || (cores && known(&c.core_bandwidth)))
        out->in_node = link_of(&c.core_latency_s, &c.core_bandwidth, share);
    out->between = link_of(&c.network_latency_s, &c.network_bandwidth, share);
    return OK;
}

/* --- products -----------------------------------------------------------------------------------
 * A product is cut into tiles; each processor takes one at a time. A last round that is not full
 * costs a whole one; filling and emptying a tile costs as much as `ramp` more of k. Libraries know
 * several tiles and may split k: the best choice counts.                                         */

typedef struct tile {
    double rows, columns, share; /* share of the sustained rate it reaches */
} tile;

static const tile tiles[] = {{256, 128, 1.0}, {128, 256, 1.0}, {128, 128, 0.93}, {64, 128, 0.8}};
enum { TILES = sizeof tiles / sizeof tiles[0], SPLITS = 4 };
static const double ramp = 128.0;

double cost_product_s(const machine *hw, double m, double n, double k, double bytes)
{
    const double unit_rate = hw->peak * hw->products / hw->units;
    double best = INFINITY;
    for (int t = 0; t < TILES; t++)
        for (int s = 0; s < SPLITS; s++) {
            const double parts = (double)(1 << s), depth = k / parts;
            if (s > 0 && depth < 4.0 * ramp) break;
            const double count = ceil(m / tiles[t].rows) * ceil(n / tiles[t].columns) * parts;
            const double rounds = ceil(count / hw->units);
            const double flops = 2.0 * tiles[t].rows * tiles[t].columns * (depth + ramp);
            const double time = rounds * flops / (unit_rate * tiles[t].share) +
                                (parts - 1.0) * m * n * 8.0 / hw->stream;
            best = fmin(best, time);
        }
    return fmax(best, (m * k + k * n + m * n) * bytes / hw->stream);
}

/* --- attention ----------------------------------------------------------------------------------
 * Each score costs 2 HS operations a product, and its exponential and scaling as much as
 * `score_extra` of them. Blocks of `block` queries see the keys up to their diagonal block.      */
static const double score_extra = 128.0, block = 128.0;

double cost_attention_s(const machine *hw, double B, double T, double NH, double HS,
                        double products, bool causal)
{
    const double scores = B * NH * T * (causal ? (T + block) / 2.0 : ceil(T / block) * block);
    const double flops = scores * (2.0 * HS * products + score_extra);
    const double bytes = B * T * NH * HS * 2.0 * (products + 2.0);
    return fmax(flops / (hw->peak * hw->attention), bytes / hw->stream);
}

double cost_stream_s(const machine *hw, double bytes) { return bytes / hw->stream; }

/* --- collectives --------------------------------------------------------------------------------
 * Libraries trade bandwidth for latency by sending flags with the data; the best way counts. The
 * shares are those of NCCL's own model (its simple, 128-byte and 8-byte protocols).              */
typedef struct protocol {
    double latency, bandwidth; /* shares of the link's */
} protocol;
static const protocol protocols[] = {{1.0, 1.0}, {0.45, 0.92}, {0.2, 0.5}};
enum { PROTOCOLS = sizeof protocols / sizeof protocols[0] };

/* Two ranks on each of two hosts against one, the step of r2 without overlap and without what stays
 * in the node: 59 and 44 ms for 59 and 48 where nothing limits the link, 142 and 145 for 173 and
 * 174 at 4 Gbit/s; r1 4.8 and 3.3 for 5.3 and 3.8, 10.2 and 10.6 for 10.8 and 11.3
 * (tests/bench/predict, twice). */
const double cost_together = 1.15;

double cost_nodes(const machine *hw, double ranks) { return ceil(ranks / hw->ranks_per_node); }

double cost_window_bytes(cost_phase phase, double bytes, double ranks)
{
    /* in units of a gather's three passes: bytes (1 + 1 / ranks) against 3 bytes (1 - 1 / ranks) */
    return phase == COST_SUM ? bytes * (ranks + 1.0) / (3.0 * ranks)
                             : bytes * (ranks - 1.0) / ranks;
}

double cost_free_share(const machine *hw, double ranks)
{
    const double nodes = cost_nodes(hw, ranks), local = ceil(ranks / nodes);
    if (nodes <= 1) return 0.0;
    const double inside = local > 1 ? (local - 1.0) / local / hw->in_node.bandwidth : 0.0;
    const double outside = (nodes - 1.0) / nodes / local / hw->between.bandwidth;
    const double together = local > 1 ? cost_together : 1.0;
    return fmin(1.0, hw->overlap * together * 2.0 / nodes) * outside / (inside + outside);
}

/* All ranks of a node work at once in its window, then all nodes exchange. */
static phase_cost in_stages(const machine *hw, cost_phase phase, double bytes, double ranks)
{
    const double nodes = cost_nodes(hw, ranks), local = ceil(ranks / nodes);
    double s = 0.0;
    if (local > 1)
        s += hw->in_node.latency_s + cost_window_bytes(phase, bytes, local) / hw->in_node.bandwidth;
    if (nodes > 1)
        s += (nodes - 1.0) * hw->between.latency_s +
             bytes / local * (nodes - 1.0) / nodes / hw->between.bandwidth;
    return (phase_cost){s, s * (1.0 - cost_free_share(hw, ranks))};
}

static double best_s(double latency, double transfer)
{
    double best = INFINITY;
    for (int i = 0; i < PROTOCOLS; i++)
        best = fmin(best, latency * protocols[i].latency + transfer / protocols[i].bandwidth);
    return best;
}

/* Seconds for bytes that pass once over the links of a node and over the ways between nodes, those
 * of all ranks of the node that has fewest, with so long a latency. While they wait for a network
 * that is narrower than the node's link they disturb nobody. */
static phase_cost over_links(const machine *hw, double passed, double latency, double ranks)
{
    const double nodes = cost_nodes(hw, ranks), fewest = floor(ranks / nodes);
    const double inside = hw->in_node.bandwidth > 0 ? passed / hw->in_node.bandwidth : INFINITY;
    const double outside = nodes > 1 ? passed / fewest / hw->between.bandwidth : 0.0;
    const double narrowest = ranks > nodes ? fmax(inside, outside) : outside;
    return (phase_cost){best_s(latency, narrowest),
                        (1.0 - hw->overlap) * best_s(latency, fmin(inside, narrowest))};
}

/* One ring through all ranks: every byte passes every rank, and every way from node to node; ranks
 * - 1 steps, of which nodes - 1 leave a node. */
static phase_cost in_a_ring(const machine *hw, double bytes, double ranks)
{
    const double nodes = cost_nodes(hw, ranks);
    double latency = (ranks - nodes) * hw->in_node.latency_s;
    if (nodes > 1) latency += (nodes - 1.0) * hw->between.latency_s;
    return over_links(hw, bytes * (ranks - 1.0) / ranks, latency, ranks);
}

/* Up and down two trees of nodes, a chain of ranks in each: fewer steps, a little less bandwidth
 * (NCCL's own model again). */
static const double tree_share = 0.92;
static phase_cost in_a_tree(const machine *hw, double bytes, double ranks)
{
    const double nodes = cost_nodes(hw, ranks), local = ceil(ranks / nodes);
    const double steps = (local - 1.0) * hw->in_node.latency_s +
                         (nodes > 1 ? ceil(log2(nodes)) * hw->between.latency_s : 0.0);
    return over_links(hw, 2.0 * bytes / tree_share, 2.0 * steps, ranks);
}

phase_cost cost_collective(const machine *hw, cost_phase phase, double bytes, double ranks)
{
    if (ranks <= 1) return (phase_cost){0};
    return hw->staged ? in_stages(hw, phase, bytes, ranks) : in_a_ring(hw, bytes, ranks);
}

phase_cost cost_all_reduce(const machine *hw, double bytes, double ranks)
{
    const phase_cost sum = cost_collective(hw, COST_SUM, bytes, ranks);
    const phase_cost gather = cost_collective(hw, COST_GATHER, bytes, ranks);
    const phase_cost both = {sum.s + gather.s, sum.taken_s + gather.taken_s};
    if (hw->staged || ranks <= hw->ranks_per_node) return both;
    const phase_cost tree = in_a_tree(hw, bytes, ranks);
    return (phase_cost){fmin(both.s, tree.s), fmin(both.taken_s, tree.taken_s)};
}

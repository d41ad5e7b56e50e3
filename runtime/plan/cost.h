/* cost.h — seconds of the pieces of a training step: products, attention, streams, collectives.
 * Pure functions of shapes and a machine's constants. What is physics is here (tiles that do not
 * fill the processors, bytes through memory and links, latency of rings); what is a property of the
 * chip comes from the cluster; what is a property of software is named below, once for all chips.
 * Flow: cluster.h -> cost -> predict.h                                                           */
#ifndef PLAN_COST_H
#define PLAN_COST_H

#include "plan/cluster.h"

#include <stdbool.h>

/* One link between ranks; bandwidth 0: there is none. */
typedef struct machine_link {
    double latency_s, bandwidth;
} machine_link;

/* A cluster at one precision; what the file does not say is filled in by rule. */
typedef struct machine {
    double peak;      /* FLOP/s                                                            */
    double products;  /* share of it that a large product sustains                         */
    double attention; /* and fused attention                                               */
    double stream;    /* bytes/s that streams reach                                        */
    double units;     /* processors that share one operation                               */
    double launch_s;  /* seconds to start one operation                                    */
    double overlap;   /* share of communication beside products that costs nothing         */
    double spread;    /* sd / mean of a rank's step time                                   */
    double ranks_per_node;
    machine_link in_node, between; /* bandwidths as reached                                */
    bool staged;      /* collectives go in two stages (in the node, then between), not one ring  */
    bool inline_sums; /* ranks do the communication themselves: nothing runs beside it      */
} machine;

/* precision: PRECISION_*. ERR_CONFIG when its peak is unknown. */
status machine_of(machine *out, const cluster *c, int32_t precision);
/* True when the ranks are cores: backend cpu, or not said and a peak below 20 TFLOP/s. */
bool cluster_of_cores(const cluster *c);

/* C (m, n) = A (m, k) B (k, n), operands of `bytes` each. */
double cost_product_s(const machine *hw, double m, double n, double k, double bytes);
/* Fused attention over B sequences of T, NH heads of HS: `products` = 2 forward, 5 backward.
 * causal: blocks above the diagonal are skipped. */
double cost_attention_s(const machine *hw, double B, double T, double NH, double HS,
                        double products, bool causal);
/* bytes through memory */
double cost_stream_s(const machine *hw, double bytes);

/* Reduce-scatter or all-gather of `bytes` (the whole array) over `ranks`, node after node full. */
double cost_scatter_s(const machine *hw, double bytes, double ranks);
/* Share of it that can run beside work at all: what moves between nodes, if cores sum themselves.
 */
double cost_hideable(const machine *hw, double ranks);
/* All ranks on as few nodes as hold them. */
double cost_nodes(const machine *hw, double ranks);

#endif

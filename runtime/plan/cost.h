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
    double optimizer; /* the same, the optimizer's                                          */
    double units;     /* processors that share one operation                               */
    double launch_s;  /* seconds to start one operation                                    */
    double overlap;   /* share of communication beside products that costs nothing         */
    double spread;    /* sd / mean of a rank's step time                                   */
    double ranks_per_node;
    machine_link in_node, between; /* bandwidths as reached                                */
    bool staged; /* collectives go in two stages (in the node, then between), not one ring  */
} machine;

/* Gives every value that has a rule and that the file leaves out (CLUSTER_VALUES: MODELLED), marked
 * modelled. precision: PRECISION_*. */
void cost_complete(cluster *c, int32_t precision);
/* The same as rates and shares. ERR_CONFIG when the peak of this precision is unknown. */
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

typedef enum cost_phase { COST_SUM, COST_GATHER } cost_phase; /* reduce-scatter, all-gather */
/* A phase takes s seconds; beside work that hides it, the work loses taken_s of them. */
typedef struct phase_cost {
    double s, taken_s;
} phase_cost;
/* Of `bytes` (the whole array) on `ranks`, evenly on as few nodes as hold them. Beside work a ring
 * takes what its bytes would at the speed of the node's link, but for `overlap` of it: while they
 * wait for a network that is narrower they disturb nobody. Cores sum and copy themselves: for
 * nothing goes only what moves between nodes, of that the share cost_free_share. */
phase_cost cost_collective(const machine *hw, cost_phase phase, double bytes, double ranks);
/* Both phases at once: over several nodes of devices by two trees where they are quicker. */
phase_cost cost_all_reduce(const machine *hw, double bytes, double ranks);
/* Bytes that count for a rank in a window its node shares: of a sum it reads its part in every
 * buffer and writes it once; what it gathers it reads, and writes to lines that are read before. */
double cost_window_bytes(cost_phase phase, double bytes, double ranks);
/* Of cores: between two calls a rank's messages go as far as its buffers let them. Ranks which
 * share a node's link hide more of it; of messages to many nodes, which go in rounds, less is under
 * way. `overlap` is the share of one rank alone between two nodes. */
double cost_free_share(const machine *hw, double ranks);
/* How much more of a node's link several ranks use than one, which now sends and now sums. */
extern const double cost_together;
/* All ranks on as few nodes as hold them. */
double cost_nodes(const machine *hw, double ranks);

#endif

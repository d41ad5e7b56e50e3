/* block.h — what one transformer is made of and costs: pure functions of model_config.
 * The planner, the runtime and the tests read the same rows, so a count exists once.
 * Letters as in kernels/ops.h.                                                                   */
#ifndef MODEL_BLOCK_H
#define MODEL_BLOCK_H

#include "config/config.h"

/* How a parameter starts. */
typedef enum init_kind { INIT_ZERO, INIT_ONE, INIT_NORMAL, INIT_RESIDUAL } init_kind;

/* Which tensor of the architecture a row is; the order inside a layer is the memory order. */
typedef enum param_role {
    PARAM_NORM1_GAIN, PARAM_NORM1_BIAS,
    PARAM_Q, PARAM_K, PARAM_V, PARAM_Q_BIAS, PARAM_K_BIAS, PARAM_V_BIAS,
    PARAM_Q_GAIN, PARAM_K_GAIN,          /* qk_norm                                              */
    PARAM_RELATIVE, PARAM_RELATIVE_BIAS, /* positions: relative; biases u and v in one row       */
    PARAM_O, PARAM_O_BIAS,
    PARAM_NORM2_GAIN, PARAM_NORM2_BIAS,
    PARAM_GATE, PARAM_UP, PARAM_GATE_BIAS, PARAM_UP_BIAS, PARAM_DOWN, PARAM_DOWN_BIAS,
    PARAM_FINAL_GAIN, PARAM_FINAL_BIAS, PARAM_HEAD, PARAM_POSITIONS, PARAM_EMBED,
    PARAM_ROLES
} param_role;

/* One parameter tensor. Rows are in memory order = backward order: head, final norm, layers L-1 to
 * 0, embeddings; q, k, v (and gate, up) are adjacent, so each group is also one matrix. */
typedef struct param_row {
    char name[64];      /* as Hugging Face Llama: model.layers.3.self_attn.q_proj.weight */
    param_role role;
    int32_t layer;      /* -1 outside the layers                                         */
    int64_t dim[2];     /* (rows, columns), or (n, 1) for vectors                        */
    int32_t axes;       /* 1 or 2                                                        */
    init_kind init;
    bool decay;         /* weight decay applies: matrices                                */
    double rate;        /* factor of the learning rate; 1 unless muP                     */
    double spread;      /* factor of the initial values; 1 unless muP                    */
    int64_t offset;     /* in the logical flat vector, elements                          */
} param_row;

/* Number of rows; with rows != NULL also writes them (capacity must be >= the number). *m is
 * resolved (head_width, kv_heads and ffn are not 0), as config_parse leaves it. */
int32_t block_params(const model_config *m, param_row *rows, int32_t capacity);
/* Exact counts, including architectures that train does not run (relative positions, ...). */
int64_t block_param_count(const model_config *m);
/* As Kaplan et al. 2020: no token and position tables, no untied head; tying does not change it. */
int64_t block_param_count_without_embedding(const model_config *m);

/* FLOPs of one training token of a full context (forward + backward), by name of count. */
typedef struct flop_counts {
    double model;         /* all matrix products incl. logits, full-square attention, no look-up, no
                             recompute; relative positions are not counted (as Hoffmann et al.)   */
    double six_nd;        /* 6 N, N with embeddings                                               */
    double six_nd_nonemb; /* 6 N, N without embeddings                                            */
    double hoffmann_a4;   /* Hoffmann et al. 2022 appendix F without embedding and logit terms   */
    double palm;          /* 6 N + 12 L NH HS T, the count MFU uses (Chowdhery et al. 2022 appendix
                             B); N without tables only looked up: positions, untied tokens        */
} flop_counts;
void block_flops(flop_counts *out, const model_config *m);

#endif

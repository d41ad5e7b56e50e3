/* activations.h — every intermediate array of one micro-batch, and its bytes.
 * Pure: carving from a counting arena (arena_view with base NULL) gives the exact bytes the run
 * will use, so the plan printed before a run and the memory taken by it come from the same lines.
 * Letters as in kernels/ops.h; A = act type (f32 or bf16), D = NH HS, Q = (NH + 2 NKV) HS, U = F,
 * or 2F when gated. */
#ifndef MODEL_ACTIVATIONS_H
#define MODEL_ACTIVATIONS_H

#include "base/arena.h"
#include "base/tensor.h"
#include "config/config.h"

/* What one micro-batch needs. recompute (train.recompute) says what layers share, to be computed
 * again in backward: mlp shares pre and hidden, block everything but x1. */
typedef struct activations_spec {
    int64_t B;
    dtype act;
    bool training;     /* false: one layer's arrays serve all, none for backward */
    int32_t recompute; /* RECOMPUTE_NONE, _MLP, _BLOCK; training only            */
} activations_spec;

/* Kept from forward to backward, one per layer but for what is shared (inference: all). */
typedef struct layer_activations {
    tensor x1;           /* (N, C) f32: residual stream before attention */
    tensor h1;           /* (N, C) A: norm1 of it                        */
    tensor mean1, rstd1; /* (N) f32                                      */
    tensor qkv;          /* (N, Q) A                                     */
    tensor att;          /* (N, D) A                                     */
    tensor lse;          /* (B, NH, T) f32                               */
    tensor x2;           /* (N, C) f32: residual stream before the MLP   */
    tensor h2;           /* (N, C) A                                     */
    tensor mean2, rstd2; /* (N) f32                                      */
    tensor pre;          /* (N, U) A: before the activation              */
    tensor hidden;       /* (N, F) A: after it                           */
} layer_activations;

typedef struct activations {
    int64_t B, T, N;
    dtype act;
    int32_t kept;             /* rows of layer: L, or 1 for inference                     */
    int32_t recompute;        /* see activations_spec                                     */
    layer_activations *layer; /* (kept), owned                                            */
    tensor delta;             /* (N, C) A: output of attention or MLP on its way to x     */
    tensor x;                 /* (N, C) f32: residual stream after the last layer         */
    tensor h;                 /* (N, C) A: final norm                                     */
    tensor mean, rstd;        /* (N) f32                                                  */
    tensor losses;            /* (N) f32                                                  */
    tensor rope;              /* (T, HS/2, 2) f32; none without rope                      */
    tensor tokens, targets;   /* (N) i32                                                  */
    /* backward; none for inference */
    tensor dx;      /* (N, C) f32: gradient of the residual stream              */
    tensor dx_act;  /* (N, C) A copy; the same array as dx in fp32 runs         */
    tensor dh;      /* (N, C) A                                                 */
    tensor datt;    /* (N, D) A                                                 */
    tensor dqkv;    /* (N, Q) A                                                 */
    tensor dpre;    /* (N, U) A                                                 */
    tensor dhidden; /* (N, F) A; only when gated                                */
} activations;

/* Takes every array from the arena, in a fixed order. ERR_MEMORY only for the small table of
 * layers. */
status activations_init(activations *out, arena *from, const model_config *m,
                        const activations_spec *spec);
void activations_deinit(activations *a);
/* Exact bytes activations_init will take. */
int64_t activations_bytes(const model_config *m, const activations_spec *spec);

#endif

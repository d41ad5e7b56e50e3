/* transformer.h — the model as a list of op calls, driven by its config: forward, loss, backward.
 * Pre-norm decoder: x += attention(norm1(x)); x += mlp(norm2(x)); logits = norm(x) @ head^T. */
#ifndef MODEL_TRANSFORMER_H
#define MODEL_TRANSFORMER_H

#include "kernels/ops.h"
#include "model/activations.h"
#include "model/params.h"

/* Everything borrowed; the owner keeps all of it alive. */
typedef struct transformer {
    const ops *ops;
    device *device;
    const model_config *config;
    const params *params;
    activations *act;
    float z_loss;
    /* Called before a forward pass reads the weights of a unit, which may still be arriving: -1
     * embeddings, then layer by layer, L final norm and head; may be NULL. */
    status (*needs)(void *context, int32_t unit);
    void *needs_context;
    /* Called between the operations of a backward pass, for what goes on beside it; may be NULL. */
    status (*between)(void *context);
    void *between_context;
} transformer;

/* Called in backward when every gradient of bucket b is complete. */
typedef status (*bucket_ready)(void *context, int32_t b);

/* Writes the rotary table; once, after the activations exist. */
status transformer_prepare(const transformer *t);
/* Uploads B x (T + 1) token ids from host memory as inputs and targets. */
status transformer_load(const transformer *t, const int32_t *tokens);
/* Inputs -> final norm. */
status transformer_forward(const transformer *t);
/* forward + losses (N) in act->losses. */
status transformer_losses(const transformer *t);
/* forward + losses + every weight gradient of this micro-batch (the mean over its N tokens). */
status transformer_train(const transformer *t, bucket_ready ready, void *context);
/* After transformer_forward: logits (V) f32 of position n in [0, N), into host memory. scratch: (V)
 * f32 device memory. */
status transformer_logits(const transformer *t, int64_t n, float *logits, void *scratch);
/* Largest shapes, for ops->workspace_bytes. */
op_shapes transformer_shapes(const model_config *m, int64_t B, dtype act);

#endif

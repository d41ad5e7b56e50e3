/* inference.h — a checkpoint opened for forward passes alone: one rank, fp32, batches of one
 * sequence. */
#ifndef TRAIN_INFERENCE_H
#define TRAIN_INFERENCE_H

#include "config/config.h"

typedef struct inference inference;

/* path: a run directory (its newest complete checkpoint), a checkpoints folder, or one step-N
 * folder. Fails with ERR_IO naming what is missing or damaged. Caller closes. */
status inference_open(inference **out, const char *path, const char *backend);
void inference_close(inference *i); /* NULL is a no-op */
const model_config *inference_model(const inference *i);
const char *inference_path(const inference *i); /* the step folder used */
/* Logits (V) after tokens[0..count), 1 <= count <= T. Borrowed until the next call. ERR_NUMERIC
 * where one is not finite. */
status inference_logits(inference *i, const int32_t *tokens, int64_t count, const float **logits);
/* losses[j] = -ln p(tokens[j + 1] | tokens[0..j]) for j in [0, count), 1 <= count <= T; reads count
 * + 1 tokens. */
status inference_losses(inference *i, const int32_t *tokens, int64_t count, float *losses);

#endif

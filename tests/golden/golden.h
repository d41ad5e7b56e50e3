/* golden.h — what an independent program computed for a small model, read from its text file.
 * make_golden.py writes the files and says there how weights and tokens follow from names; the same
 * formulas are here, so that no weights need a file. */
#ifndef GOLDEN_GOLDEN_H
#define GOLDEN_GOLDEN_H

#include <stdbool.h>
#include <stdint.h>

enum { GOLDEN_TENSORS = 64, GOLDEN_STEPS = 16 };

typedef struct golden_tensor {
    char name[64];
    int64_t count, stride; /* values holds every stride-th of count elements          */
    double *values;        /* owned; NULL for weights                                 */
    double norm, dot;      /* L2 norm; dot product with golden_unit(name, i)          */
} golden_tensor;

typedef struct golden {
    int64_t layers, width, heads, head_width, kv_heads, ffn, vocab, context;
    char norm[16], positions[16], mlp[16];
    double norm_eps, rope_theta;
    int bias, tied;
    int64_t batch, steps, micro_batches;
    double learning_rate, beta1, beta2, eps, weight_decay, clip, z_loss;
    double *logits; /* (batch x context, vocab), owned: first micro-batch      */
    double loss;    /* of it, nats/token, without the z term                   */
    int tensors;
    golden_tensor gradient[GOLDEN_TENSORS]; /* of it, with the z term                 */
    golden_tensor weight[GOLDEN_TENSORS];   /* after the last step                    */
    double step_loss[GOLDEN_STEPS], step_norm[GOLDEN_STEPS];
} golden;

/* Reads folder/variant.txt; false writes the line and what was expected into text. deinit frees. */
bool golden_init(golden *out, const char *folder, const char *variant, char *text, int bytes);
void golden_deinit(golden *g);

uint32_t golden_hash(const char *name, uint32_t i);
/* In [-1, 1), exact in fp32. */
double golden_unit(const char *name, int64_t i);
/* Element i of the parameter of this name. */
float golden_weight(const char *name, bool vector, int64_t i);
/* context + 1 token ids of sample number (step x micro_batches + j) x batch + b. */
void golden_tokens(const golden *g, int64_t sample, int32_t *tokens);

#endif

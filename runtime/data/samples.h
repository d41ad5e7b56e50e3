/* samples.h — sample k of a token source, in the order of the run.
 * A source is a list of mapped token files seen as one sequence, or a synthetic generator. Sample k
 * = tokens [kT, kT + T]: T inputs and, shifted by one, T targets. The order of epoch e is a keyed
 * permutation of 0 .. count-1, so "where was I" is one integer and any rank can read any sample. */
#ifndef DATA_SAMPLES_H
#define DATA_SAMPLES_H

#include "config/config.h"

typedef struct samples samples;

typedef struct samples_info {
    int64_t count;  /* samples of one epoch; INT64_MAX for synthetic          */
    int64_t tokens; /* tokens of the source; INT64_MAX for synthetic          */
    int64_t vocab;
    bool has_bytes;     /* token -> bytes spelled is known                        */
    bool has_entropy;   /* the source knows its exact entropy (synthetic)         */
    char tokenizer[32]; /* "bytes", "bpe", "gpt2", "unknown", "zipf_facts"        */
    char tokenizer_sha256[65];
    char text_sha256[65]; /* of the text behind the tokens; "" unknown              */
    double overlap_share; /* held-out text also in the training text; not a number: unknown */
    char identity[65];    /* hash of what the samples are: goes into the arithmetic of a resume */
} samples_info;

typedef enum split { SPLIT_TRAIN, SPLIT_VALIDATION, SPLIT_TEST } split;

/* Opens the split named by cfg (a folder written by prepare, a .bin, a Megatron prefix, or
 * synthetic). SPLIT_TEST is the folder that cfg names as validation, which must then be the test
 * part. Fails with ERR_IO (truncated, foreign, tampered file: which and why) or ERR_CONFIG
 * (vocabulary). Caller closes. */
status samples_open(samples **out, const config *cfg, split which);
void samples_close(samples *s);
const samples_info *samples_about(const samples *s);
/* Global sample index -> sample number k (after epoch and permutation). Pure. */
int64_t samples_order(const samples *s, int64_t global_index);
/* Writes T + 1 token ids of sample k. ERR_IO names file and position of a token id >= vocab.
 * Thread-safe. */
status samples_read(const samples *s, int64_t k, int32_t *tokens);
/* Sum over the T targets of sample k of their exact -ln p (has_entropy only). */
status samples_entropy(const samples *s, int64_t k, double *nats);
/* Bytes spelled by a token; 0 for end-of-text (has_bytes only). */
int32_t samples_token_bytes(const samples *s, int32_t token);

/* The keyed permutation itself: position of index in [0, count) for this seed and epoch (a 4-round
 * or longer balanced Feistel network over the next power of 4, cycle-walking). Bijective. */
int64_t samples_permute(uint64_t seed, uint64_t epoch, int64_t index, int64_t count);

#endif

/* zipf_facts.h — a synthetic source with a known loss: facts whose keys are Zipf-distributed
 * (Hutter 2021, "Learning Curve Theory"; Michaud et al. 2023).
 * A record is a key k with P(k) = k^-(1+a) / Z, written as m digits in base B, then a value: the
 * fact f(k), or with probability e a value drawn uniformly of V. Digits are ids 0..B-1, values
 * B..B+V-1. Keys are permuted before their digits are taken, so the digits of a rank leak nothing.
 * Records lie back to back from the start of a sample; sample k is a pure function of (seed, split,
 * k), and a shorter window of it is a front of the longer one. Facts and permutation depend on the
 * seed alone: validation asks for the facts that train teaches. For a memoriser the excess loss
 * falls as n^-(a/(1+a)) with records seen and as n^-a with facts stored.                      */
#ifndef DATA_ZIPF_FACTS_H
#define DATA_ZIPF_FACTS_H

#include "config/config.h"

typedef struct zipf_facts zipf_facts;

/* Entropies in nats: of a record's key and value, and per token of whole records. */
typedef struct zipf_entropy {
    int32_t digits; /* m */
    double key, value, token;
} zipf_entropy;

/* Builds the tables: about 17 bytes a key. stream keeps splits apart (0 train, 1 validation; < 3).
 * ERR_CONFIG above 2^27 keys, ERR_MEMORY. Caller closes. */
status zipf_facts_open(zipf_facts **out, const zipf_config *cfg, uint64_t seed, uint64_t stream);
void zipf_facts_close(zipf_facts *z);
/* Tokens [0, count) of sample k. Thread-safe. */
void zipf_facts_read(const zipf_facts *z, int64_t k, int64_t count, int32_t *tokens);
/* Sum of -ln p of tokens 1 .. count-1, each given all tokens before it in the sample. */
double zipf_facts_nats(const zipf_facts *z, int64_t k, int64_t count);
/* -ln of the marginal probability that a record begins with this digit. */
double zipf_facts_first_nats(const zipf_facts *z, int32_t digit);
/* The closed form: E per token = (H_key + H_value) / (m + 1). */
zipf_entropy zipf_facts_entropy(const zipf_facts *z);

#endif

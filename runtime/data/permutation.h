/* permutation.h — a keyed permutation of 0 .. count-1 without a table: a balanced Feistel network
 * over the next power of four whose round function is Philox, walking cycles until the image lies
 * below count.               */
#ifndef DATA_PERMUTATION_H
#define DATA_PERMUTATION_H

#include <stdint.h>

/* Streams that are not epochs of the sample order; epochs count from 0. */
#define PERMUTE_FACTS (UINT64_C(1) << 55)

/* Image of index in [0, count); 0 <= index < count. Bijective for each (seed, stream). */
int64_t permutation_at(uint64_t seed, uint64_t stream, int64_t index, int64_t count);

#endif

/* bpe_train.h — learns byte-pair merges from counted words (Sennrich et al. 2016).
 * Begin with bytes; again and again merge the most frequent pair of neighbours, of equally frequent
 * ones that with the smaller ids (left first). The words' counts decide, not their order. Ids:
 * byte b is b, merges follow, end-of-text is last.                                            */
#ifndef DATA_BPE_TRAIN_H
#define DATA_BPE_TRAIN_H

#include "data/bpe.h"
#include "data/word_count.h"

/* A vocabulary of `vocab` tokens, 256 bytes and end-of-text among them. ERR_CONFIG, with the size
 * that is possible, when no pair is left that occurs twice. The caller closes. */
status bpe_train(bpe **out, const word_count *words, int32_t vocab);

#endif

/* bpe.h — a byte-level byte-pair vocabulary: what each token spells, and the merges in order of
 * rank. Encoding a piece: begin with its bytes; as long as some neighbours can merge, merge the
 * pair of lowest rank, the leftmost of equals. (Merging singly is what Hugging Face's tokenizers
 * do.) Constant once finished, so threads share it; a cache of pieces already seen fills up behind
 * the scenes and changes no result.                            */
#ifndef DATA_BPE_H
#define DATA_BPE_H

#include "base/status.h"

#include <stdint.h>

typedef struct bpe bpe;
typedef struct bpe_pair {
    int32_t left, right, merged;
} bpe_pair;

enum { BPE_VOCAB_MAX = 1 << 20 };

/* A vocabulary of ids [0, vocab) that all spell nothing yet. Caller closes. */
status bpe_open(bpe **out, int32_t vocab, int32_t eot);
void bpe_close(bpe *b);
/* id spells these bytes. ERR_IO if it already spells something. */
status bpe_spell(bpe *b, int32_t id, const uint8_t *bytes, int64_t count);
/* Appends the next merge: left and right become merged. ERR_IO: an id that spells nothing, or a
 * result that does not spell the two. */
status bpe_merge(bpe *b, int32_t left, int32_t right, int32_t merged);
/* Checks that every byte has a token. ERR_IO names the one that has none. */
status bpe_finish(bpe *b);

int32_t bpe_vocab(const bpe *b);
int32_t bpe_eot(const bpe *b);
int32_t bpe_merges(const bpe *b);
bpe_pair bpe_merge_at(const bpe *b, int32_t rank);
/* Bytes of a token, borrowed; NULL and 0 where it spells nothing. */
const uint8_t *bpe_bytes(const bpe *b, int32_t id, int32_t *length);
int32_t bpe_byte_id(const bpe *b, uint8_t byte);
/* Writes the ids of one piece to out (room for count of them) and their number to *made.
 * ERR_MEMORY. */
status bpe_encode(const bpe *b, const uint8_t *piece, int64_t count, int32_t *out, int64_t *made);

#endif

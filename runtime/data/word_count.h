/* word_count.h — how often each piece of text occurs: what a byte-pair trainer needs of a corpus.
 * One per worker while counting; gathered in the order of their bytes, so the result does not
 * depend on who counted what.           */
#ifndef DATA_WORD_COUNT_H
#define DATA_WORD_COUNT_H

#include "base/status.h"

#include <stdint.h>

typedef struct counted_word {
    int64_t offset, bytes, count;
} counted_word;

typedef struct word_count {
    uint8_t *text; /* of all words         */
    int64_t text_bytes, text_room;
    counted_word *word; /* (words)              */
    int64_t words, words_room;
    int64_t *slot; /* (slots) word + 1, 0: free; not kept by word_count_gather */
    int64_t slots;
} word_count;

/* Counts one more; starts from {0}. The caller deinits. */
status word_count_add(word_count *w, const uint8_t *piece, int64_t bytes, int64_t times);
/* Number of a word that was added, -1: it was not. Not after word_count_gather. */
int64_t word_count_find(const word_count *w, const uint8_t *piece, int64_t bytes);
/* All of parts[0..count), sorted by their bytes. */
status word_count_gather(word_count *out, const word_count *parts, int32_t count);
void word_count_deinit(word_count *w);

#endif

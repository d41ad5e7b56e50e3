/* bpe_json.h — vocabularies on disk: Hugging Face's tokenizer.json (read and written) and GPT-2's
 * encoder.json with vocab.bpe (read). Only byte-level BPE with GPT-2's pieces is read: normalisers,
 * other pre-tokenisers and other models would give other ids, so they are refused. End-of-text is
 * the special token <|endoftext|>, or the only special one. */
#ifndef DATA_BPE_JSON_H
#define DATA_BPE_JSON_H

#include "data/bpe.h"

/* From the text of a tokenizer.json; path is for messages. ERR_IO, ERR_CONFIG. The caller closes.
 */
status bpe_json_read(bpe **out, const char *text, int64_t bytes, const char *path);
/* From encoder.json and vocab.bpe in a folder. */
status bpe_json_read_gpt2(bpe **out, const char *folder);
/* The vocabulary as a tokenizer.json, malloc'ed: the same text for the same vocabulary. */
status bpe_json_write(const bpe *b, char **text, int64_t *bytes);

#endif

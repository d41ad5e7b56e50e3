/* tokenizer.h — text <-> token ids. Kinds: bytes (V = 257, end-of-text 256), bpe (own byte-level
 * BPE, tokenizer.json), gpt2 (encoder.json + vocab.bpe). Opening reads the files; encoding is
 * thread-safe. Text is any bytes and comes back byte for byte. Where it is not UTF-8, each such
 * byte is a token of its own; the well-formed text between gets the ids that Hugging Face's
 * tokenizers give it. Text never becomes end-of-text.   */
#ifndef DATA_TOKENIZER_H
#define DATA_TOKENIZER_H

#include "base/status.h"

#include "data/bpe.h"

#include <stdint.h>

typedef struct tokenizer tokenizer;

/* spec: "bytes", a tokenizer.json, or a folder with encoder.json and vocab.bpe ("gpt2:" before it
 * is allowed). Caller closes. */
status tokenizer_open(tokenizer **out, const char *spec);
/* From a trained vocabulary, which it owns from now on, also when it fails. */
status tokenizer_open_bpe(tokenizer **out, bpe *vocabulary);
void tokenizer_close(tokenizer *t);
const char *tokenizer_name(const tokenizer *t);   /* "bytes", "bpe", "gpt2" */
const char *tokenizer_sha256(const tokenizer *t); /* 64 hex digits: of tokenizer.json */
/* The text of its tokenizer.json, borrowed: as read, or as made from other files; NULL for "bytes".
 */
const char *tokenizer_json(const tokenizer *t, int64_t *bytes);
int32_t tokenizer_vocab(const tokenizer *t);
int32_t tokenizer_eot(const tokenizer *t);
/* Bytes of a token, borrowed; NULL and *length 0 for end-of-text and ids out of range. */
const uint8_t *tokenizer_bytes(const tokenizer *t, int32_t token, int32_t *length);
/* Ids of bytes[0..count): *ids is malloc'ed, the caller frees. */
status tokenizer_encode(const tokenizer *t, const uint8_t *bytes, int64_t count, int32_t **ids,
                        int64_t *id_count);

#endif

/* shard_writer.h — one split's token shards: llm.c files tokens-00000.bin, ... and the manifest
 * row of each. A document is followed by end-of-text, unless the next one says that it goes on
 * where this one ended. */
#ifndef DATA_SHARD_WRITER_H
#define DATA_SHARD_WRITER_H

#include "data/token_manifest.h"

typedef struct shard_writer shard_writer;

typedef struct shard_options {
    const char *folder, *split; /* borrowed until the close                */
    int64_t vocab, eot;         /* vocab <= 65536: uint16, else uint32     */
    int64_t shard_tokens;       /* tokens of a full shard, < 2^31          */
} shard_options;

/* Makes the folder. Caller closes. */
status shard_writer_open(shard_writer **out, const shard_options *options);
void shard_writer_close(shard_writer *w);
/* Appends a document: its ids and the text they spell. joined: no end-of-text between the last one
 * and this. */
status shard_writer_add(shard_writer *w, const int32_t *ids, int64_t count, const uint8_t *text,
                        int64_t bytes, bool joined);
/* Ends the last document, makes all files durable and fills tokens, bytes, documents, text_sha256,
 * split, vocab, eot and the shards of *out; the caller names the tokenizer, writes and deinits it.
 */
status shard_writer_finish(shard_writer *w, token_manifest *out);

#endif

/* corpus.h — token files as one long sequence of ids, mapped, never read whole.
 * A source is
 *   a folder written by prepare (manifest.json), or the folder that holds its train, validation;
 *   llm.c shards: a folder, a file, or "pattern*.bin", in the order of their names;
 *   Megatron: a prefix, its .bin or its .idx;
 *   nanoGPT: "nanogpt:FILE" (headerless uint16), or a headerless FILE beside a meta.pkl.
 * Any other headerless file is refused: its type cannot be seen.
 * Flow: token_file.h, token_manifest.h -> corpus -> samples.h                                 */
#ifndef DATA_CORPUS_H
#define DATA_CORPUS_H

#include "data/token_file.h"
#include "data/token_manifest.h"
#include "data/tokenizer.h"

typedef struct corpus corpus;

typedef struct corpus_info {
    int64_t tokens;
    int32_t files;
    bool has_manifest;
    token_manifest manifest;   /* of the folder, when has_manifest; shard rows borrowed */
    char folder[1024];         /* of the files: a tokenizer.json lies here or above     */
    char identity[SHA256_HEX]; /* SHA-256 of sizes and fingerprints, names left out     */
    const char *format;        /* "prepared", "llm.c", "megatron", "nanogpt"            */
} corpus_info;

/* Opens and checks: sizes and headers always; fingerprints against the manifest (of whole files up
 * to 256 MiB in all, above that of 64 blocks of 64 KiB of each). split ("train", "validation",
 * "test") picks the sub-folder, and must agree with the manifest. ERR_IO says which file and why.
 * Caller closes. */
status corpus_open(corpus **out, const char *source, const char *split);
void corpus_close(corpus *c);
const corpus_info *corpus_about(const corpus *c);
/* The folder of what a source names, with its manifest if it has one; the files may be gone. */
void corpus_folder(char *out, size_t bytes, const char *source, const char *split);
/* The tokenizer that made the tokens of a folder: bytes, where its manifest (nullable) says so,
 * else tokenizer.json in it or above it, which must be the one the manifest names (ERR_IO). *out is
 * NULL where there is none. Caller closes. */
status corpus_tokenizer(tokenizer **out, const char *folder, const token_manifest *m);
/* Ids [first, first + count) across file borders; first + count <= tokens. ERR_IO names file and
 * position of an id outside [0, vocab). Thread-safe. */
status corpus_read(const corpus *c, int64_t first, int64_t count, int64_t vocab, int32_t *ids);

#endif

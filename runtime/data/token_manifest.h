/* token_manifest.h — manifest.json beside token shards: what the tokens are, and how to see
 * damage. Written last by prepare, so a folder with a manifest is complete. Reading checks every
 * key and type; damage of the shards themselves is for corpus.h. */
#ifndef DATA_TOKEN_MANIFEST_H
#define DATA_TOKEN_MANIFEST_H

#include "base/sha256.h"
#include "base/status.h"

#include <jansson.h>
#include <stdint.h>

enum { TOKEN_MANIFEST_SCHEMA = 1, SHARD_NAME_BYTES = 64, SHARDS_MAX = 1000000 };

typedef struct shard_row {
    char name[SHARD_NAME_BYTES]; /* file name inside the folder, no path           */
    int64_t tokens, bytes;       /* of the file                                    */
    uint64_t digest;             /* digest_bytes of the whole file                 */
    uint64_t probe;              /* of spread samples of it: token_manifest_probe  */
} shard_row;

typedef struct token_manifest {
    char tokenizer[32];                /* "bytes", "bpe", "gpt2"                           */
    char tokenizer_sha256[SHA256_HEX]; /* of tokenizer.json; "bytes" has its own constant  */
    int64_t vocab, eot;
    int64_t tokens; /* of all shards                                          */
    int64_t bytes;  /* of the text, end-of-text marks not counted             */
    int64_t documents;
    char text_sha256[SHA256_HEX]; /* of the documents' bytes one after another */
    char split[16];               /* "train", "validation", "test"             */
    double overlap_share; /* of held-out text: its bytes that also stand in the training text; else
                           * not a number */
    shard_row *shard;     /* (shards), owned                           */
    int64_t shards;
} token_manifest;

/* Reads FOLDER/manifest.json; ERR_IO names the key that is missing or wrong. The caller deinits. */
status token_manifest_read(token_manifest *out, const char *folder);
/* Reads the text of one; path is for messages. */
status token_manifest_parse(token_manifest *out, const char *text, int64_t bytes, const char *path);
void token_manifest_deinit(token_manifest *m);
/* Writes FOLDER/manifest.json durably; extra (nullable, borrowed) is an object whose keys follow
 * ours. */
status token_manifest_write(const token_manifest *m, const char *folder, const json_t *extra);
/* Fingerprint of the first, the last and 62 evenly spread blocks of 64 KiB: what is checked where
 * the whole file is too large to be read at every start. */
uint64_t token_manifest_probe(const uint8_t *file, int64_t bytes);

#endif

/* token_file.h — the headers of other people's token files.
 * Pure functions of bytes in memory: nothing is opened here, every count is checked against the
 * size of the file before it is used, and whatever does not fit exactly is refused with ERR_IO and
 * the reason. All little-endian:
 *   llm.c     int32 header[256]: 20240520, 1, count, then uint16 tokens; or 20240801, 7, count,
 *             then uint32 tokens
 *   Megatron  .idx: "MMIDIDX\0\0", version 1, token type, counts, lengths, pointers, documents;
 *             .bin: bare tokens
 *   nanoGPT   bare uint16 tokens                                                               */
#ifndef DATA_TOKEN_FILE_H
#define DATA_TOKEN_FILE_H

#include "base/status.h"

#include <stdint.h>

typedef enum token_type {
    TOKEN_U8,
    TOKEN_U16,
    TOKEN_U32,
    TOKEN_I16,
    TOKEN_I32,
    TOKEN_I64
} token_type;

enum {
    LLMC_HEADER_BYTES = 1024,
    LLMC_MAGIC_U16 = 20240520, /* version 1 */
    LLMC_MAGIC_U32 = 20240801, /* version 7 */
};

/* Where the tokens of a file lie. */
typedef struct token_layout {
    token_type type;
    int64_t offset; /* of the first token, bytes */
    int64_t tokens;
} token_layout;

/* Bytes of one token: 1, 2, 4 or 8. */
int64_t token_width(token_type type);
/* True if the file starts with one of llm.c's token magics. head holds the first head_bytes of the
 * file. */
bool token_file_is_llmc(const uint8_t *head, int64_t head_bytes);
/* Reads an llm.c header; file_bytes is the size of the whole file. ERR_IO: too short, not llm.c,
 * wrong version, negative count, size != 1024 + count x width. path is for messages. */
status token_file_llmc(token_layout *out, const uint8_t *head, int64_t head_bytes,
                       int64_t file_bytes, const char *path);
/* Reads a whole .idx (idx_bytes) that describes a .bin of bin_bytes. ERR_IO also for token types
 * that hold no ids, and for sequences that do not follow each other without a gap. */
status token_file_megatron(token_layout *out, const uint8_t *idx, int64_t idx_bytes,
                           int64_t bin_bytes, const char *path);
/* A headerless file of uint16. ERR_IO: empty or odd size; begins like a damaged llm.c header. */
status token_file_nanogpt(token_layout *out, const uint8_t *head, int64_t head_bytes,
                          int64_t file_bytes, const char *path);
/* The llm.c header for this many tokens; ASSERTs tokens < 2^31 and type U16 or U32. */
void token_file_header(uint8_t out[LLMC_HEADER_BYTES], token_type type, int64_t tokens);
/* Token number index of mapped tokens; negative for a negative or larger than 31-bit id. */
int32_t token_at(const uint8_t *tokens, token_type type, int64_t index);

#endif

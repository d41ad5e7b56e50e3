#include "data/token_file.h"

#include <limits.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "token files are little-endian and are mapped as they are"
#endif

static int32_t i32_at(const uint8_t *at)
{
    int32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static int64_t i64_at(const uint8_t *at)
{
    int64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

int64_t token_width(token_type type)
{
    static const int64_t width[] = {1, 2, 4, 2, 4, 8};
    return width[type];
}

int32_t token_at(const uint8_t *tokens, token_type type, int64_t index)
{
    const uint8_t *at = tokens + index * token_width(type);
    uint16_t u16;
    int16_t i16;
    int64_t wide;
    switch (type) {
    case TOKEN_U8:
        return *at;
    case TOKEN_U16:
        memcpy(&u16, at, sizeof u16);
        return u16;
    case TOKEN_I16:
        memcpy(&i16, at, sizeof i16);
        return i16;
    case TOKEN_U32: /* ids above 2^31 come out negative: refused like any id outside the vocabulary
                     */
    case TOKEN_I32:
        return i32_at(at);
    case TOKEN_I64:
        wide = i64_at(at);
        return wide < 0 || wide > INT32_MAX ? -1 : (int32_t)wide;
    }
    return -1;
}

bool token_file_is_llmc(const uint8_t *head, int64_t head_bytes)
{
    return head_bytes >= 4 && (i32_at(head) == LLMC_MAGIC_U16 || i32_at(head) == LLMC_MAGIC_U32);
}

status token_file_llmc(token_layout *out, const uint8_t *head, int64_t head_bytes,
                       int64_t file_bytes, const char *path)
{
    REQUIRE(
        head_bytes >= LLMC_HEADER_BYTES && file_bytes >= LLMC_HEADER_BYTES, ERR_IO,
        "%s has %lld bytes: an llm.c token file has a header of 1024 (truncated or foreign file)",
        path, (long long)file_bytes);
    int32_t magic = i32_at(head), version = i32_at(head + 4), count = i32_at(head + 8);
    REQUIRE(token_file_is_llmc(head, head_bytes), ERR_IO,
            "%s starts with %d: not an llm.c token file (20240520 for uint16, 20240801 for uint32)",
            path, magic);
    int32_t wanted = magic == LLMC_MAGIC_U16 ? 1 : 7;
    REQUIRE(version == wanted, ERR_IO, "%s: version %d; an llm.c file of magic %d has version %d",
            path, version, magic, wanted);
    REQUIRE(count >= 0, ERR_IO, "%s: the header counts %d tokens", path, count);
    token_type type = magic == LLMC_MAGIC_U16 ? TOKEN_U16 : TOKEN_U32;
    int64_t expected = LLMC_HEADER_BYTES + count * token_width(type);
    REQUIRE(
        file_bytes == expected, ERR_IO,
        "%s has %lld bytes, but its header counts %d tokens of %lld bytes, which makes %lld (%s)",
        path, (long long)file_bytes, count, (long long)token_width(type), (long long)expected,
        file_bytes < expected ? "truncated" : "too long");
    *out = (token_layout){type, LLMC_HEADER_BYTES, count};
    return OK;
}

/* dtype codes of Megatron's index; 2 (int8), 6 and 7 (floats) cannot hold token ids */
static status megatron_type(token_type *out, uint8_t code, const char *path)
{
    switch (code) {
    case 1:
        *out = TOKEN_U8;
        return OK;
    case 3:
        *out = TOKEN_I16;
        return OK;
    case 4:
        *out = TOKEN_I32;
        return OK;
    case 5:
        *out = TOKEN_I64;
        return OK;
    case 8:
        *out = TOKEN_U16;
        return OK;
    default:
        FAIL(ERR_IO,
             "%s: token type code %d; read are 1 uint8, 3 int16, 4 int32, 5 int64, 8 uint16", path,
             code);
    }
}

/* every sequence begins where the one before ended, so the .bin is one run of tokens */
static status megatron_sequences(int64_t *tokens, const uint8_t *lengths, const uint8_t *pointers,
                                 int64_t count, int64_t width, const char *path)
{
    int64_t total = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t length = i32_at(lengths + 4 * i);
        int64_t pointer = i64_at(pointers + 8 * i);
        REQUIRE(length >= 0, ERR_IO, "%s: sequence %lld has length %d", path, (long long)i, length);
        REQUIRE(pointer == total * width, ERR_IO,
                "%s: sequence %lld begins at byte %lld, expected %lld (sequences with gaps or out "
                "of order are "
                "not read)",
                path, (long long)i, (long long)pointer, (long long)(total * width));
        REQUIRE(total <= INT64_MAX / 16 - length, ERR_IO, "%s: the lengths overflow", path);
        total += length;
    }
    *tokens = total;
    return OK;
}

/* the document index starts with 0, never falls and ends with the number of sequences */
static status megatron_documents(const uint8_t *documents, int64_t count, int64_t sequences,
                                 const char *path)
{
    int64_t last = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i64_at(documents + 8 * i);
        REQUIRE(at >= last && at <= sequences && (i > 0 || at == 0), ERR_IO,
                "%s: document %lld begins at sequence %lld of %lld", path, (long long)i,
                (long long)at, (long long)sequences);
        last = at;
    }
    REQUIRE(count == 0 || last == sequences, ERR_IO,
            "%s: the documents end at sequence %lld of %lld", path, (long long)last,
            (long long)sequences);
    return OK;
}

status token_file_megatron(token_layout *out, const uint8_t *idx, int64_t idx_bytes,
                           int64_t bin_bytes, const char *path)
{
    enum {
        HEAD = 34
    }; /* magic 9, version 8, dtype 1, two counts of 8; the arrays follow unaligned */
    REQUIRE(idx_bytes >= HEAD && memcmp(idx, "MMIDIDX\0\0", 9) == 0, ERR_IO,
            "%s is not a Megatron index (it does not start with MMIDIDX)", path);
    int64_t version = i64_at(idx + 9), sequences = i64_at(idx + 18), documents = i64_at(idx + 26);
    REQUIRE(version == 1, ERR_IO, "%s: version %lld; only 1 is known", path, (long long)version);
    token_type type = TOKEN_U8;
    TRY(megatron_type(&type, idx[17], path));
    /* counts first against the size, by division: they may be anything */
    int64_t room = idx_bytes - HEAD;
    REQUIRE(
        sequences >= 0 && sequences <= room / 12, ERR_IO,
        "%s counts %lld sequences, but its %lld bytes have room for %lld (truncated or damaged)",
        path, (long long)sequences, (long long)idx_bytes, (long long)(room / 12));
    room -= 12 * sequences;
    REQUIRE(documents >= 0 && documents <= room / 8, ERR_IO,
            "%s counts %lld document borders, but has room for %lld (truncated or damaged)", path,
            (long long)documents, (long long)(room / 8));
    room -= 8 * documents;
    REQUIRE(room == 0 || room == sequences, ERR_IO,
            "%s: %lld bytes follow the document borders; expected none, or one mode per sequence",
            path, (long long)room);
    const uint8_t *lengths = idx + HEAD, *pointers = lengths + 4 * sequences;
    int64_t tokens = 0;
    TRY(megatron_sequences(&tokens, lengths, pointers, sequences, token_width(type), path));
    TRY(megatron_documents(pointers + 8 * sequences, documents, sequences, path));
    REQUIRE(bin_bytes == tokens * token_width(type), ERR_IO,
            "%s describes %lld tokens of %lld bytes, but the .bin beside it has %lld bytes", path,
            (long long)tokens, (long long)token_width(type), (long long)bin_bytes);
    *out = (token_layout){type, 0, tokens};
    return OK;
}

status token_file_nanogpt(token_layout *out, const uint8_t *head, int64_t head_bytes,
                          int64_t file_bytes, const char *path)
{
    REQUIRE(file_bytes > 0, ERR_IO, "%s is empty", path);
    REQUIRE(file_bytes % 2 == 0, ERR_IO,
            "%s has %lld bytes: a file of uint16 tokens has an even number", path,
            (long long)file_bytes);
    /* 1012 zero bytes after three words are a header, not text */
    bool header = head_bytes >= LLMC_HEADER_BYTES;
    for (int64_t i = 12; header && i < LLMC_HEADER_BYTES; i++) header = head[i] == 0;
    REQUIRE(!header, ERR_IO, "%s has a header of 1024 bytes: not a headerless file of nanoGPT",
            path);
    *out = (token_layout){TOKEN_U16, 0, file_bytes / 2};
    return OK;
}

void token_file_header(uint8_t out[LLMC_HEADER_BYTES], token_type type, int64_t tokens)
{
    ASSERT(tokens >= 0 && tokens <= INT32_MAX && (type == TOKEN_U16 || type == TOKEN_U32));
    int32_t words[3] = {LLMC_MAGIC_U16, 1, (int32_t)tokens};
    if (type == TOKEN_U32) words[0] = LLMC_MAGIC_U32, words[1] = 7;
    memset(out, 0, LLMC_HEADER_BYTES);
    memcpy(out, words, sizeof words);
}

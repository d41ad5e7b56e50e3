/* Any bytes as what lies in a corpus: a token file of each kind, a manifest, a vocabulary, a
 * dictionary, a line of JSON. The first byte says which. Refused with a message, or what was read
 * stays inside the bytes and means what they say. */
#include "data/bpe_json.h"
#include "data/gcide.h"
#include "data/input.h"
#include "data/token_file.h"
#include "data/token_manifest.h"
#include "data/utf8.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void refused(status s) { ASSERT(s != OK && s != ERR_INTERNAL && *status_message() != '\0'); }

/* every token that the layout promises lies in the file */
static void check_layout(const token_layout *l, const uint8_t *file, int64_t bytes)
{
    int64_t width = token_width(l->type), sum = 0;
    ASSERT(l->tokens >= 0 && l->offset >= 0 && l->offset <= bytes);
    ASSERT(l->tokens == (bytes - l->offset) / width && (bytes - l->offset) % width == 0);
    for (int64_t i = 0; i < l->tokens; i++) sum += token_at(file + l->offset, l->type, i);
    ASSERT(sum >= -l->tokens * ((int64_t)1 << 31));
}

static void fuzz_llmc(const uint8_t *file, int64_t bytes)
{
    token_layout l;
    status s = token_file_llmc(&l, file, bytes, bytes, "f");
    if (s != OK) {
        refused(s);
        return;
    }
    check_layout(&l, file, bytes);
    ASSERT(token_file_is_llmc(file, bytes));
    uint8_t head[LLMC_HEADER_BYTES];
    token_file_header(head, l.type, l.tokens);
    ASSERT(memcmp(head, file, 12) == 0);
}

static void fuzz_nanogpt(const uint8_t *file, int64_t bytes)
{
    token_layout l;
    status s = token_file_nanogpt(&l, file, bytes, bytes, "f");
    if (s == OK)
        check_layout(&l, file, bytes);
    else
        refused(s);
}

/* the first eight bytes are the size of the .bin */
static void fuzz_megatron(const uint8_t *idx, int64_t bytes)
{
    token_layout l;
    int64_t bin;
    if (bytes < 8) return;
    memcpy(&bin, idx, 8);
    status s = token_file_megatron(&l, idx + 8, bytes - 8, bin, "f");
    if (s != OK) {
        refused(s);
        return;
    }
    ASSERT(l.offset == 0 && l.tokens >= 0 && l.tokens <= INT64_MAX / 8);
    ASSERT(l.tokens * token_width(l.type) == bin);
}

static void fuzz_manifest(const uint8_t *text, int64_t bytes)
{
    token_manifest m = {0};
    int64_t tokens = 0;
    status s = token_manifest_parse(&m, (const char *)text, bytes, "f");
    if (s != OK) {
        refused(s);
        return;
    }
    ASSERT(m.vocab > 0 && m.eot >= 0 && m.eot < m.vocab);
    for (int64_t i = 0; i < m.shards; i++) {
        tokens += m.shard[i].tokens;
        ASSERT(m.shard[i].name[0] && !strchr(m.shard[i].name, '/'));
    }
    ASSERT(tokens == m.tokens);
    token_manifest_deinit(&m);
}

/* what was read is written and read to the same again, and spells what it encodes */
static void fuzz_vocabulary(const uint8_t *text, int64_t bytes)
{
    static const uint8_t piece[] = "the quick brown fox";
    bpe *b = NULL, *again = NULL;
    char *json = NULL;
    int64_t json_bytes, made, at = 0;
    int32_t ids[sizeof piece];
    status s = bpe_json_read(&b, (const char *)text, bytes, "f");
    if (s != OK) {
        refused(s);
        return;
    }
    ASSERT(bpe_encode(b, piece, (int64_t)sizeof piece, ids, &made) == OK);
    for (int64_t i = 0; i < made; i++) {
        int32_t length;
        const uint8_t *spelled = bpe_bytes(b, ids[i], &length);
        ASSERT(length > 0 && memcmp(spelled, piece + at, (size_t)length) == 0);
        at += length;
    }
    ASSERT(at == (int64_t)sizeof piece);
    ASSERT(bpe_json_write(b, &json, &json_bytes) == OK);
    ASSERT(bpe_json_read(&again, json, json_bytes, "again") == OK);
    ASSERT(bpe_vocab(again) == bpe_vocab(b) && bpe_merges(again) == bpe_merges(b));
    free(json);
    bpe_close(b);
    bpe_close(again);
}

static void fuzz_dictionary(const uint8_t *text, int64_t bytes)
{
    gcide g = {0};
    status s = gcide_clean(&g, text, bytes);
    if (s != OK) {
        refused(s);
        return;
    }
    int64_t count = g.begin[g.entries];
    ASSERT(g.begin[0] == 0 && count <= bytes + g.entries);
    ASSERT(utf8_valid(g.text, count) == count);
    for (int64_t i = 0; i < g.entries; i++) ASSERT(g.begin[i] < g.begin[i + 1]);
    gcide_deinit(&g);
}

static void fuzz_json(const uint8_t *line, int64_t bytes)
{
    document d = {.count = bytes, .path = "f", .line = 1, .json = true};
    uint8_t *text = NULL;
    int64_t count = 0;
    status s = document_json(&text, &count, line, &d, "text");
    if (s == OK)
        ASSERT(count <= bytes && utf8_valid(text, count) == count);
    else
        refused(s);
    free(text);
}

/* pieces fill the text without a gap, whatever the rule */
static void fuzz_cut(const uint8_t *text, int64_t bytes)
{
    for (int rule = CUT_AUTO; rule <= CUT_LINE; rule++)
        for (int64_t at = 0, length; at < bytes; at += length) {
            length = document_cut((cut_rule)rule, text + at, bytes - at, true);
            ASSERT(length > 0 && length <= bytes - at);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(const uint8_t *, int64_t) = {fuzz_llmc,       fuzz_megatron,
                                                              fuzz_nanogpt,    fuzz_manifest,
                                                              fuzz_vocabulary, fuzz_dictionary,
                                                              fuzz_json,       fuzz_cut};
    if (size == 0) return 0;
    /* in memory of its own, so that reading past its end is seen */
    uint8_t *copy = malloc(size > 1 ? size - 1 : 1);
    if (!copy) return 0;
    memcpy(copy, data + 1, size - 1);
    kinds[data[0] % 8](copy, (int64_t)size - 1);
    free(copy);
    return 0;
}

#include "data/tokenizer.h"

#include "base/file.h"
#include "base/sha256.h"
#include "data/bpe_json.h"
#include "data/pretoken.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BYTES_EOT = 256, JSON_LIMIT = 256 << 20 };

struct tokenizer {
    const char *name;
    char sha256[SHA256_HEX];
    int32_t vocab, eot;
    uint8_t byte[256]; /* "bytes": what token i spells */
    bpe *bpe;          /* all others                   */
    pretoken *rules;
    char *json;
    int64_t json_bytes;
};

static void start_bytes(tokenizer *t)
{
    static const char means[] = "bytes: id i = byte i, 256 = end of text";
    t->name = "bytes";
    t->vocab = 257;
    t->eot = BYTES_EOT;
    for (int i = 0; i < 256; i++) t->byte[i] = (uint8_t)i;
    sha256_of(means, (int64_t)sizeof means - 1, t->sha256);
}

/* the rest, once the vocabulary is there */
static status start_bpe(tokenizer *t, const char *name)
{
    t->name = name;
    t->vocab = bpe_vocab(t->bpe);
    t->eot = bpe_eot(t->bpe);
    if (!t->json) TRY(bpe_json_write(t->bpe, &t->json, &t->json_bytes));
    sha256_of(t->json, t->json_bytes, t->sha256);
    return pretoken_open(&t->rules);
}

static status start_file(tokenizer *t, const char *path)
{
    TRY(file_read_text(&t->json, &t->json_bytes, path, JSON_LIMIT));
    TRY(bpe_json_read(&t->bpe, t->json, t->json_bytes, path));
    return start_bpe(t, "bpe");
}

static status start_gpt2(tokenizer *t, const char *folder)
{
    TRY(bpe_json_read_gpt2(&t->bpe, folder));
    return start_bpe(t, "gpt2");
}

static status start(tokenizer *t, const char *spec)
{
    char path[1200];
    struct stat about;
    if (strcmp(spec, "bytes") == 0) {
        start_bytes(t);
        return OK;
    }
    REQUIRE(strncmp(spec, "bpe:", 4) != 0, ERR_CONFIG,
            "tokenizer %s: trained by prepare, which writes tokenizer.json", spec);
    if (strncmp(spec, "gpt2:", 5) == 0) return start_gpt2(t, spec + 5);
    REQUIRE(stat(spec, &about) == 0, ERR_CONFIG,
            "no tokenizer \"%s\"; allowed: bytes, bpe:VOCAB (prepare trains it), a tokenizer.json, "
            "gpt2:FOLDER with encoder.json and vocab.bpe",
            spec);
    if (!S_ISDIR(about.st_mode)) return start_file(t, spec);
    (void)snprintf(path, sizeof path, "%s/tokenizer.json", spec);
    return file_exists(path) ? start_file(t, path) : start_gpt2(t, spec);
}

static status opened(tokenizer **out, tokenizer *t, status s)
{
    if (s == OK)
        *out = t;
    else
        tokenizer_close(t);
    return s;
}

status tokenizer_open(tokenizer **out, const char *spec)
{
    tokenizer *t = calloc(1, sizeof *t);
    REQUIRE(t, ERR_MEMORY, "no memory for a tokenizer");
    return opened(out, t, start(t, spec));
}

status tokenizer_open_bpe(tokenizer **out, bpe *vocabulary)
{
    tokenizer *t = calloc(1, sizeof *t);
    if (!t) bpe_close(vocabulary);
    REQUIRE(t, ERR_MEMORY, "no memory for a tokenizer");
    t->bpe = vocabulary;
    return opened(out, t, start_bpe(t, "bpe"));
}

void tokenizer_close(tokenizer *t)
{
    if (!t) return;
    bpe_close(t->bpe);
    pretoken_close(t->rules);
    free(t->json);
    free(t);
}

const char *tokenizer_name(const tokenizer *t) { return t->name; }
const char *tokenizer_sha256(const tokenizer *t) { return t->sha256; }
int32_t tokenizer_vocab(const tokenizer *t) { return t->vocab; }
int32_t tokenizer_eot(const tokenizer *t) { return t->eot; }

const char *tokenizer_json(const tokenizer *t, int64_t *bytes)
{
    *bytes = t->json_bytes;
    return t->json;
}

const uint8_t *tokenizer_bytes(const tokenizer *t, int32_t token, int32_t *length)
{
    if (t->bpe) return bpe_bytes(t->bpe, token, length);
    bool known = token >= 0 && token < BYTES_EOT;
    *length = known ? 1 : 0;
    return known ? &t->byte[token] : NULL;
}

static status encode_pieces(const tokenizer *t, const uint8_t *bytes, int64_t count, int32_t *ids,
                            int64_t *id_count)
{
    pretoken_walk walk;
    const uint8_t *piece = NULL;
    TRY(pretoken_walk_init(&walk, t->rules));
    pretoken_walk_text(&walk, bytes, count);
    status s = OK;
    int64_t made = 0, added = 0;
    for (int64_t n; s == OK && (n = pretoken_next(&walk, &piece)) > 0; made += added)
        s = bpe_encode(t->bpe, piece, n, ids + made, &added);
    pretoken_walk_deinit(&walk);
    *id_count = made;
    return s;
}

status tokenizer_encode(const tokenizer *t, const uint8_t *bytes, int64_t count, int32_t **ids,
                        int64_t *id_count)
{
    int32_t *list = malloc((size_t)(count + 1) * sizeof *list);
    REQUIRE(list, ERR_MEMORY, "no memory for %lld tokens", (long long)count);
    status s = OK;
    if (t->bpe) {
        s = encode_pieces(t, bytes, count, list, id_count);
    } else {
        for (int64_t i = 0; i < count; i++) list[i] = bytes[i];
        *id_count = count;
    }
    if (s == OK)
        *ids = list;
    else
        free(list);
    return s;
}

#include "data/tokenizer.h"

#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES_EOT = 256 };

struct tokenizer {
    const char *name;
    char sha256[SHA256_HEX];
    int32_t vocab, eot;
    uint8_t byte[256]; /* "bytes": what token i spells */
};

static void open_bytes(tokenizer *t)
{
    static const char means[] = "bytes: id i = byte i, 256 = end of text";
    t->name = "bytes";
    t->vocab = 257;
    t->eot = BYTES_EOT;
    for (int i = 0; i < 256; i++) t->byte[i] = (uint8_t)i;
    sha256_of(means, (int64_t)sizeof means - 1, t->sha256);
}

status tokenizer_open(tokenizer **out, const char *spec)
{
    tokenizer *t = calloc(1, sizeof *t);
    REQUIRE(t, ERR_MEMORY, "no memory for a tokenizer");
    status s = OK;
    if (strcmp(spec, "bytes") == 0)
        open_bytes(t);
    else
        s = status_set(ERR_CONFIG, __FILE__, __LINE__, "no tokenizer \"%s\"; allowed: bytes", spec);
    if (s != OK) {
        tokenizer_close(t);
        return s;
    }
    *out = t;
    return OK;
}

void tokenizer_close(tokenizer *t) { free(t); }
const char *tokenizer_name(const tokenizer *t) { return t->name; }
const char *tokenizer_sha256(const tokenizer *t) { return t->sha256; }
int32_t tokenizer_vocab(const tokenizer *t) { return t->vocab; }
int32_t tokenizer_eot(const tokenizer *t) { return t->eot; }

const uint8_t *tokenizer_bytes(const tokenizer *t, int32_t token, int32_t *length)
{
    bool known = token >= 0 && token < t->vocab && token != t->eot;
    *length = known ? 1 : 0;
    return known ? &t->byte[token] : NULL;
}

status tokenizer_encode(const tokenizer *t, const uint8_t *bytes, int64_t count, int32_t **ids,
                        int64_t *id_count)
{
    (void)t;
    int32_t *list = malloc((size_t)(count + 1) * sizeof *list);
    REQUIRE(list, ERR_MEMORY, "no memory for %lld tokens", (long long)count);
    for (int64_t i = 0; i < count; i++) list[i] = bytes[i];
    *ids = list;
    *id_count = count;
    return OK;
}

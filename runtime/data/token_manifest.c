#include "data/token_manifest.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 1200, TEXT_LIMIT = 256 << 20 };

uint64_t token_manifest_probe(const uint8_t *file, int64_t bytes)
{
    enum { BLOCK = 65536, BLOCKS = 64 };
    if (bytes <= (int64_t)BLOCK * BLOCKS) return digest_bytes(file, bytes);
    uint64_t h = digest_fold(0, (uint64_t)bytes);
    for (int64_t i = 0; i < BLOCKS; i++)
        h = digest_fold(h, digest_bytes(file + (bytes - BLOCK) / (BLOCKS - 1) * i, BLOCK));
    /* the division may leave the last bytes out */
    return digest_fold(h, digest_bytes(file + bytes - BLOCK, BLOCK));
}

static status take_integer(int64_t *out, const json_t *from, const char *key, int64_t min,
                           int64_t max)
{
    const json_t *value = json_object_get(from, key);
    REQUIRE(json_is_integer(value), ERR_IO, "key \"%s\" is missing or no integer", key);
    *out = json_integer_value(value);
    REQUIRE(*out >= min && *out <= max, ERR_IO, "%s: %lld is outside [%lld, %lld]", key,
            (long long)*out, (long long)min, (long long)max);
    return OK;
}

static status take_text(char *out, size_t bytes, const json_t *from, const char *key)
{
    const json_t *value = json_object_get(from, key);
    REQUIRE(json_is_string(value), ERR_IO, "key \"%s\" is missing or no text", key);
    REQUIRE(json_string_length(value) < bytes, ERR_IO, "%s: longer than %zu bytes", key, bytes - 1);
    (void)snprintf(out, bytes, "%s", json_string_value(value));
    return OK;
}

static status take_digest(uint64_t *out, const json_t *from, const char *key)
{
    char text[17] = "", *end = text;
    TRY(take_text(text, sizeof text, from, key));
    *out = strtoull(text, &end, 16);
    REQUIRE(strlen(text) == 16 && *end == '\0', ERR_IO, "%s: \"%s\" is not 16 hex digits", key,
            text);
    return OK;
}

static status take_shard(shard_row *out, const json_t *from)
{
    TRY(take_text(out->name, sizeof out->name, from, "name"));
    REQUIRE(out->name[0] != '\0' && out->name[0] != '.' && !strchr(out->name, '/'), ERR_IO,
            "shard name \"%s\" is not a plain file name", out->name);
    TRY(take_integer(&out->tokens, from, "tokens", 0, INT32_MAX));
    TRY(take_integer(&out->bytes, from, "bytes", 0, INT64_MAX));
    TRY(take_digest(&out->digest, from, "digest"));
    return take_digest(&out->probe, from, "probe");
}

static status take_shards(token_manifest *m, const json_t *root)
{
    const json_t *files = json_object_get(root, "files");
    REQUIRE(json_is_array(files) && json_array_size(files) <= SHARDS_MAX, ERR_IO,
            "key \"files\" is missing or no list of shards");
    m->shards = (int64_t)json_array_size(files);
    m->shard = calloc((size_t)m->shards + 1, sizeof *m->shard);
    REQUIRE(m->shard, ERR_MEMORY, "no memory for %lld shards", (long long)m->shards);
    int64_t total = 0;
    for (int64_t i = 0; i < m->shards; i++) {
        TRY(take_shard(&m->shard[i], json_array_get(files, (size_t)i)));
        total += m->shard[i].tokens;
    }
    REQUIRE(total == m->tokens, ERR_IO, "tokens: %lld, but the files add up to %lld",
            (long long)m->tokens, (long long)total);
    return OK;
}

static status take_manifest(token_manifest *m, const json_t *root)
{
    int64_t schema = 0;
    TRY(take_integer(&schema, root, "schema", 0, INT32_MAX));
    REQUIRE(schema == TOKEN_MANIFEST_SCHEMA, ERR_IO, "schema %lld; this build reads %d",
            (long long)schema, TOKEN_MANIFEST_SCHEMA);
    TRY(take_text(m->tokenizer, sizeof m->tokenizer, root, "tokenizer"));
    TRY(take_text(m->tokenizer_sha256, sizeof m->tokenizer_sha256, root, "tokenizer_sha256"));
    TRY(take_integer(&m->vocab, root, "vocab", 1, 1 << 20));
    TRY(take_integer(&m->eot, root, "eot", 0, m->vocab - 1));
    TRY(take_integer(&m->tokens, root, "tokens", 0, INT64_MAX));
    TRY(take_integer(&m->bytes, root, "bytes", 0, INT64_MAX));
    TRY(take_integer(&m->documents, root, "documents", 0, INT64_MAX));
    TRY(take_text(m->text_sha256, sizeof m->text_sha256, root, "text_sha256"));
    TRY(take_text(m->split, sizeof m->split, root, "split"));
    char path[64];
    (void)snprintf(path, sizeof path, "overlap.%s.share", m->split);
    m->overlap_share = json_number_at(root, path);
    return take_shards(m, root);
}

status token_manifest_parse(token_manifest *out, const char *text, int64_t bytes, const char *path)
{
    json_error_t why;
    token_manifest m = {0};
    json_t *root = json_loadb(text, (size_t)bytes, JSON_REJECT_DUPLICATES, &why);
    status s = root ? take_manifest(&m, root)
                    : status_set(ERR_IO, __FILE__, __LINE__, "line %d: %s", why.line, why.text);
    json_decref(root);
    if (s != OK) {
        token_manifest_deinit(&m);
        return status_prefix(s, "%s", path);
    }
    *out = m;
    return OK;
}

status token_manifest_read(token_manifest *out, const char *folder)
{
    char path[PATH_BYTES], *text = NULL;
    int64_t bytes = 0;
    (void)snprintf(path, sizeof path, "%s/manifest.json", folder);
    TRY(file_read_text(&text, &bytes, path, TEXT_LIMIT));
    status s = token_manifest_parse(out, text, bytes, path);
    free(text);
    return s;
}

void token_manifest_deinit(token_manifest *m)
{
    free(m->shard);
    m->shard = NULL;
    m->shards = 0;
}

static json_t *shard_list(const token_manifest *m)
{
    json_t *files = json_array();
    for (int64_t i = 0; i < m->shards; i++) {
        const shard_row *f = &m->shard[i];
        char digest[17], probe[17];
        (void)snprintf(digest, sizeof digest, "%016llx", (unsigned long long)f->digest);
        (void)snprintf(probe, sizeof probe, "%016llx", (unsigned long long)f->probe);
        (void)json_array_append_new(files, json_pack("{s:s, s:I, s:I, s:s, s:s}", "name", f->name,
                                                     "tokens", (json_int_t)f->tokens, "bytes",
                                                     (json_int_t)f->bytes, "digest", digest,
                                                     "probe", probe));
    }
    return files;
}

status token_manifest_write(const token_manifest *m, const char *folder, const json_t *extra)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/manifest.json", folder);
    json_t *root =
        json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s}", "schema",
                  TOKEN_MANIFEST_SCHEMA, "tokenizer", m->tokenizer, "tokenizer_sha256",
                  m->tokenizer_sha256, "vocab", (json_int_t)m->vocab, "eot", (json_int_t)m->eot,
                  "tokens", (json_int_t)m->tokens, "bytes", (json_int_t)m->bytes, "documents",
                  (json_int_t)m->documents, "text_sha256", m->text_sha256, "split", m->split,
                  "dtype", m->vocab <= 65536 ? "uint16" : "uint32");
    if (extra && root) (void)json_object_update_missing(root, (json_t *)(uintptr_t)extra);
    if (root) (void)json_object_set_new(root, "files", shard_list(m));
    return json_write(root, path);
}

#include "data/shard_writer.h"

#include "base/digest.h"
#include "base/file.h"
#include "data/token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 20, PATH_BYTES = 1200 };

struct shard_writer {
    shard_options options;
    char folder[1024], split[16];
    token_type type;
    token_manifest manifest; /* grows as shards end */
    sha256 text;
    bool pending;         /* the last document still wants its end-of-text */
    int fd;               /* -1: no shard is open                          */
    int64_t shard_tokens; /* of the open shard                             */
    int64_t held;         /* bytes waiting in the buffer                   */
    uint8_t buffer[BUFFER_BYTES];
};

status shard_writer_open(shard_writer **out, const shard_options *options)
{
    ASSERT(options->shard_tokens > 0 && options->shard_tokens <= INT32_MAX);
    TRY(file_make_folder(options->folder));
    shard_writer *w = calloc(1, sizeof *w);
    REQUIRE(w, ERR_MEMORY, "no memory to write shards");
    w->options = *options;
    (void)snprintf(w->folder, sizeof w->folder, "%s", options->folder);
    (void)snprintf(w->split, sizeof w->split, "%s", options->split);
    w->type = options->vocab <= 65536 ? TOKEN_U16 : TOKEN_U32;
    w->fd = -1;
    sha256_init(&w->text);
    *out = w;
    return OK;
}

void shard_writer_close(shard_writer *w)
{
    if (!w) return;
    if (w->fd >= 0) (void)close(w->fd);
    token_manifest_deinit(&w->manifest);
    free(w);
}

static void shard_path(const shard_writer *w, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%s/tokens-%05lld.bin", w->folder,
                   (long long)w->manifest.shards);
}

static status flush(shard_writer *w)
{
    char path[PATH_BYTES];
    shard_path(w, path);
    int64_t at = LLMC_HEADER_BYTES + w->shard_tokens * token_width(w->type) - w->held;
    TRY(file_write_at(w->fd, path, at, w->buffer, w->held));
    w->held = 0;
    return OK;
}

/* the fingerprints are taken from the file itself, as a reader will see it */
static status finish_row(const shard_writer *w, shard_row *row, const char *path)
{
    row->tokens = w->shard_tokens;
    row->bytes = LLMC_HEADER_BYTES + w->shard_tokens * token_width(w->type);
    void *map = mmap(NULL, (size_t)row->bytes, PROT_READ, MAP_SHARED, w->fd, 0);
    REQUIRE(map != MAP_FAILED, ERR_IO, "cannot map %s: %s", path, strerror(errno));
    row->digest = digest_bytes(map, row->bytes);
    row->probe = token_manifest_probe(map, row->bytes);
    (void)munmap(map, (size_t)row->bytes);
    (void)snprintf(row->name, sizeof row->name, "%s", strrchr(path, '/') + 1);
    return OK;
}

static status end_shard(shard_writer *w)
{
    char path[PATH_BYTES];
    uint8_t header[LLMC_HEADER_BYTES];
    shard_path(w, path);
    TRY(flush(w));
    token_file_header(header, w->type, w->shard_tokens);
    TRY(file_write_at(w->fd, path, 0, header, sizeof header));
    TRY(file_sync(w->fd, path));
    token_manifest *m = &w->manifest;
    shard_row *more = realloc(m->shard, (size_t)(m->shards + 1) * sizeof *more);
    REQUIRE(more, ERR_MEMORY, "no memory for shard %lld", (long long)m->shards);
    m->shard = more;
    TRY(finish_row(w, &m->shard[m->shards], path));
    REQUIRE(close(w->fd) == 0, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    w->fd = -1;
    m->tokens += w->shard_tokens;
    m->shards++;
    w->shard_tokens = 0;
    return OK;
}

static status begin_shard(shard_writer *w)
{
    char path[PATH_BYTES];
    shard_path(w, path);
    REQUIRE(w->manifest.shards < SHARDS_MAX, ERR_CONFIG,
            "more than %d shards; raise --shard-tokens", SHARDS_MAX);
    return file_open_write(&w->fd, path, O_TRUNC);
}

static status add_ids(shard_writer *w, const int32_t *ids, int64_t count)
{
    while (count > 0) {
        if (w->fd < 0) TRY(begin_shard(w));
        int64_t width = token_width(w->type), take = (BUFFER_BYTES - w->held) / width;
        int64_t left = w->options.shard_tokens - w->shard_tokens;
        if (take > left) take = left;
        if (take > count) take = count;
        for (int64_t i = 0; i < take; i++) {
            uint16_t narrow = (uint16_t)ids[i];
            uint32_t wide = (uint32_t)ids[i];
            memcpy(w->buffer + w->held, width == 2 ? (void *)&narrow : (void *)&wide,
                   (size_t)width);
            w->held += width;
        }
        w->shard_tokens += take, ids += take, count -= take;
        if (w->shard_tokens == w->options.shard_tokens)
            TRY(end_shard(w));
        else if (w->held == BUFFER_BYTES)
            TRY(flush(w));
    }
    return OK;
}

static status end_document(shard_writer *w)
{
    int32_t eot = (int32_t)w->options.eot;
    if (w->pending) TRY(add_ids(w, &eot, 1));
    w->pending = false;
    return OK;
}

status shard_writer_add(shard_writer *w, const int32_t *ids, int64_t count, const uint8_t *text,
                        int64_t bytes, bool joined)
{
    if (!joined || !w->pending) {
        TRY(end_document(w));
        w->manifest.documents++;
    }
    TRY(add_ids(w, ids, count));
    sha256_add(&w->text, text, bytes);
    w->manifest.bytes += bytes;
    w->pending = true;
    return OK;
}

status shard_writer_finish(shard_writer *w, token_manifest *out)
{
    uint8_t digest[SHA256_BYTES];
    TRY(end_document(w));
    if (w->fd >= 0) TRY(end_shard(w));
    TRY(file_sync_folder(w->folder));
    token_manifest *m = &w->manifest;
    sha256_end(&w->text, digest);
    sha256_hex(digest, m->text_sha256);
    (void)snprintf(m->split, sizeof m->split, "%s", w->split);
    m->vocab = w->options.vocab;
    m->eot = w->options.eot;
    *out = *m;
    *m = (token_manifest){0};
    return OK;
}

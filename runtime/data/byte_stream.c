#include "data/byte_stream.h"
#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#ifdef ISOFLOP_ZSTD
#include <zstd.h>
#endif

enum { CHUNK = 1 << 18 };
typedef enum coding { PLAIN, GZIP, ZSTD, REFUSED, CODINGS } coding;

static const struct ending {
    const char *text;
    coding kind;
} endings[] = {{".gz", GZIP}, {".dz", GZIP}, {".zst", ZSTD}, {".xz", REFUSED}, {".bz2", REFUSED}};

struct byte_stream {
    char *path;
    int fd;
    coding kind;
    bool eof;     /* the file is read                                     */
    bool between; /* not inside a compressed member: the text may end here */
    bool started; /* at least one member                                   */
    int64_t taken;
    uint8_t *chunk; /* compressed bytes [at, held) */
    int64_t at, held;
    z_stream gzip;
#ifdef ISOFLOP_ZSTD
    ZSTD_DStream *zstd;
#endif
};

static coding coding_of(const char *path, int64_t *stem)
{
    size_t n = strlen(path);
    *stem = (int64_t)n;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t m = strlen(endings[i].text);
        if (n <= m || strcmp(path + n - m, endings[i].text) != 0) continue;
        *stem = (int64_t)(n - m);
        return endings[i].kind;
    }
    return PLAIN;
}

int64_t byte_stream_stem(const char *path)
{
    int64_t stem;
    (void)coding_of(path, &stem);
    return stem;
}

static status start(byte_stream *b, const char *path)
{
    b->path = strdup(path);
    b->chunk = malloc(CHUNK);
    REQUIRE(b->path && b->chunk, ERR_MEMORY, "no memory to read %s", path);
    int64_t stem;
    b->kind = coding_of(path, &stem);
    REQUIRE(b->kind != REFUSED, ERR_CONFIG,
            "%s: this compression is not read; use .gz or .zst, or pipe it: xz -dc F | isoflop "
            "prepare -",
            path);
#ifdef ISOFLOP_ZSTD
    if (b->kind == ZSTD) {
        b->zstd = ZSTD_createDStream();
        REQUIRE(b->zstd, ERR_MEMORY, "no memory to read %s", path);
    }
#else
    REQUIRE(b->kind != ZSTD, ERR_CONFIG,
            "%s: this build has no zstd; pipe it: zstd -dc F | isoflop prepare -", path);
#endif
    /* 15 + 32: the largest window, gzip or zlib header */
    if (b->kind == GZIP)
        REQUIRE(inflateInit2(&b->gzip, 15 + 32) == Z_OK, ERR_MEMORY, "no memory to read %s", path);
    b->between = true;
    return file_open(&b->fd, path);
}

status byte_stream_open(byte_stream **out, const char *path)
{
    byte_stream *b = calloc(1, sizeof *b);
    REQUIRE(b, ERR_MEMORY, "no memory to read %s", path);
    b->fd = -1;
    status s = start(b, path);
    if (s != OK) {
        byte_stream_close(b);
        return s;
    }
    *out = b;
    return OK;
}

void byte_stream_close(byte_stream *b)
{
    if (!b) return;
    if (b->fd >= 0) (void)close(b->fd);
    if (b->kind == GZIP) (void)inflateEnd(&b->gzip);
#ifdef ISOFLOP_ZSTD
    (void)ZSTD_freeDStream(b->zstd);
#endif
    free(b->chunk);
    free(b->path);
    free(b);
}

int64_t byte_stream_taken(const byte_stream *b) { return b->taken; }

static status read_raw(byte_stream *b, uint8_t *out, int64_t room, int64_t *count)
{
    ssize_t n;
    do {
        n = read(b->fd, out, (size_t)room);
    } while (n < 0 && errno == EINTR);
    REQUIRE(n >= 0, ERR_IO, "cannot read %s: %s", b->path, strerror(errno));
    b->eof = n == 0;
    b->taken += n;
    *count = n;
    return OK;
}

/* one step of zlib: members follow each other; zeros after the last one are padding */
static status step_gzip(byte_stream *b, uint8_t *out, int64_t room, int64_t *made)
{
    if (b->between && b->started) {
        while (b->at < b->held && b->chunk[b->at] == 0) b->at++;
        if (b->at == b->held) return OK;
        (void)inflateReset(&b->gzip);
    }
    b->gzip.next_in = b->chunk + b->at;
    b->gzip.avail_in = (uInt)(b->held - b->at);
    b->gzip.next_out = out;
    b->gzip.avail_out = (uInt)(room < CHUNK ? room : CHUNK);
    uInt before = b->gzip.avail_out;
    int code = inflate(&b->gzip, Z_NO_FLUSH);
    REQUIRE(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, ERR_IO,
            "%s is damaged or no gzip file: %s", b->path,
            b->gzip.msg ? b->gzip.msg : "inflate failed");
    b->at = b->held - (int64_t)b->gzip.avail_in;
    b->between = code == Z_STREAM_END;
    b->started = true;
    *made = (int64_t)(before - b->gzip.avail_out);
    return OK;
}

static status step_zstd(byte_stream *b, uint8_t *out, int64_t room, int64_t *made)
{
#ifdef ISOFLOP_ZSTD
    ZSTD_inBuffer in = {b->chunk, (size_t)b->held, (size_t)b->at};
    ZSTD_outBuffer to = {out, (size_t)room, 0};
    size_t code = ZSTD_decompressStream(b->zstd, &to, &in);
    REQUIRE(!ZSTD_isError(code), ERR_IO, "%s is damaged or no zstd file: %s", b->path,
            ZSTD_getErrorName(code));
    /* 0: a frame is complete and flushed */
    b->between = code == 0;
    b->started = true;
    b->at = (int64_t)in.pos;
    *made = (int64_t)to.pos;
    return OK;
#else
    (void)out, (void)room, (void)made;
    FAIL(ERR_INTERNAL, "%s: zstd is not built in", b->path);
#endif
}

status byte_stream_read(byte_stream *b, uint8_t *out, int64_t room, int64_t *count)
{
    *count = 0;
    if (b->kind == PLAIN) return read_raw(b, out, room, count);
    while (*count == 0) {
        if (b->at == b->held && !b->eof) {
            b->at = 0;
            TRY(read_raw(b, b->chunk, CHUNK, &b->held));
        }
        /* the decoder may hold text back after its last input, so it is asked once more at the end
         */
        int64_t before = b->at;
        if (!b->eof || !b->between)
            TRY(b->kind == GZIP ? step_gzip(b, out, room, count) : step_zstd(b, out, room, count));
        if (*count > 0 || !b->eof || b->at != before) continue;
        REQUIRE(b->between && b->started, ERR_IO, "%s is truncated: the compressed text ends early",
                b->path);
        return OK;
    }
    return OK;
}

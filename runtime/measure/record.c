#include "measure/record.h"
#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct record {
    int fd;
    int64_t bytes;
    char path[1200];
};

status record_open(record **out, const char *path, int64_t keep_bytes)
{
    record *r = calloc(1, sizeof *r);
    REQUIRE(r, ERR_MEMORY, "no memory for a record");
    (void)snprintf(r->path, sizeof r->path, "%s", path);
    struct stat about;
    status s = file_open_write(&r->fd, path, 0);
    if (s == OK && fstat(r->fd, &about) != 0)
        s = status_set(ERR_IO, __FILE__, __LINE__, "cannot stat %s: %s", path, strerror(errno));
    else if (s == OK && about.st_size < keep_bytes)
        s = status_set(ERR_IO, __FILE__, __LINE__,
                       "%s has %lld bytes, its checkpoint was written after %" PRId64, path,
                       (long long)about.st_size, keep_bytes);
    else if (s == OK && ftruncate(r->fd, keep_bytes) != 0)
        s = status_set(ERR_IO, __FILE__, __LINE__, "cannot cut %s: %s", path, strerror(errno));
    if (s != OK) {
        record_close(r);
        return s;
    }
    r->bytes = keep_bytes;
    *out = r;
    return OK;
}

void record_close(record *r)
{
    if (!r) return;
    if (r->fd >= 0) (void)close(r->fd);
    free(r);
}

static status append(record *r, const char *text, size_t length)
{
    TRY(file_write_at(r->fd, r->path, r->bytes, text, (int64_t)length));
    r->bytes += (int64_t)length;
    return OK;
}

status record_text(record *r, const char *json)
{
    TRY(append(r, json, strlen(json)));
    return append(r, "\n", 1);
}

/* "1.25" with 17 significant digits, or "null". */
static const char *number(char out[32], double value)
{
    if (isfinite(value))
        (void)snprintf(out, 32, "%.17g", value);
    else
        (void)snprintf(out, 32, "null");
    return out;
}

status record_step(record *r, const step_line *l)
{
    char text[1024], n[8][32];
    int length =
        snprintf(text, sizeof text,
                 "{\"type\":\"step\",\"step\":%" PRId64 ",\"tokens\":%" PRId64
                 ",\"flops\":%s,\"loss\":%s,\"grad_norm\":%s,\"learning_rate\":%s,\"step_time_s\":%"
                 "s,\"tokens_per_s\":%s,"
                 "\"mfu\":%s,\"digest\":\"%016" PRIx64 "\",\"data_digest\":\"%016" PRIx64
                 "\",\"skipped\":%s,\"energy_j\":%s}\n",
                 l->step, l->tokens, number(n[0], l->flops), number(n[1], l->loss),
                 number(n[2], l->grad_norm), number(n[3], l->learning_rate),
                 number(n[4], l->step_time_s), number(n[5], l->tokens_per_s), number(n[6], l->mfu),
                 l->digest, l->data_digest, l->skipped ? "true" : "false",
                 number(n[7], l->energy_j));
    return append(r, text, (size_t)length);
}

status record_sync(record *r, int64_t *bytes)
{
    TRY(file_sync(r->fd, r->path));
    *bytes = r->bytes;
    return OK;
}

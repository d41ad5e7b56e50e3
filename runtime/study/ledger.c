#include "study/ledger.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { LINE_BYTES = 512 };
static const int64_t BYTES_MAX = (int64_t)1 << 28;
static const char *const states[] = {"started", "done", "failed"};

status ledger_open(ledger *out, const char *folder)
{
    *out = (ledger){.fd = -1, .locks = true};
    (void)snprintf(out->path, sizeof out->path, "%s/ledger.jsonl", folder);
    return file_open_write(&out->fd, out->path, O_APPEND);
}

void ledger_close(ledger *l)
{
    if (l->fd >= 0) (void)close(l->fd);
    l->fd = -1;
}

status ledger_lock(ledger *l, bool needed)
{
    int code;
    while ((code = flock(l->fd, LOCK_EX)) != 0 && errno == EINTR) continue;
    l->locks = code == 0;
    REQUIRE(code == 0 || !needed, ERR_IO,
            "%s: this file system has no file locks (%s), so groups of ranks cannot share a study "
            "on it; use another folder, or one group",
            l->path, strerror(errno));
    return OK;
}

void ledger_unlock(ledger *l)
{
    if (l->locks) (void)flock(l->fd, LOCK_UN);
}

static unsigned line_crc(const char *text, size_t bytes)
{
    return (unsigned)crc32(crc32(0, NULL, 0), (const unsigned char *)text, (unsigned)bytes);
}

status ledger_append(ledger *l, const ledger_line *line)
{
    char text[LINE_BYTES], loss[32] = "null", code[16] = "null";
    if (isfinite(line->loss)) (void)snprintf(loss, sizeof loss, "%.17g", line->loss);
    if (line->state != LEDGER_STARTED) (void)snprintf(code, sizeof code, "%d", (int)line->exit);
    int n =
        snprintf(text, sizeof text,
                 "{\"run\":\"%s\",\"state\":\"%s\",\"step\":%" PRId64 ",\"exit\":%s,\"loss\":%s",
                 line->run, states[line->state], line->step, code, loss);
    n += snprintf(text + n, sizeof text - (size_t)n, ",\"crc\":\"%08x\"}\n",
                  line_crc(text, (size_t)n));
    /* one write: whole, or cut by a crash, which the crc shows */
    ssize_t written;
    while ((written = write(l->fd, text, (size_t)n)) < 0 && errno == EINTR) continue;
    if (written == n) return file_sync(l->fd, l->path);
    int why = written < 0 ? errno : ENOSPC;
    /* half a line would end the ledger for all that follow */
    if (written > 0 && ftruncate(l->fd, lseek(l->fd, 0, SEEK_CUR) - written) != 0) why = errno;
    FAIL(ERR_IO, "cannot write %s: %s", l->path, strerror(why));
}

/* One line without its newline; false when it is damaged. */
static bool parse_line(ledger_line *out, const char *text, size_t bytes)
{
    static const char mark[] = ",\"crc\":\"";
    const size_t tail = sizeof mark - 1 + 8 + 2; /* ,"crc":"12345678"} */
    char hex[9] = "";
    if (bytes <= tail || bytes >= LINE_BYTES) return false;
    const char *at = text + bytes - tail;
    if (memcmp(at, mark, sizeof mark - 1) != 0 || memcmp(at + sizeof mark - 1 + 8, "\"}", 2) != 0)
        return false;
    (void)snprintf(hex, sizeof hex, "%08x", line_crc(text, bytes - tail));
    if (memcmp(hex, at + sizeof mark - 1, 8) != 0) return false;

    json_error_t error;
    json_t *root = json_loadb(text, bytes, 0, &error);
    const char *run = json_string_value(json_object_get(root, "run"));
    const char *state = json_string_value(json_object_get(root, "state"));
    const json_t *loss = json_object_get(root, "loss");
    int s = 0;
    while (s < 3 && (!state || strcmp(state, states[s]) != 0)) s++;
    const bool good = run && strlen(run) < sizeof out->run && s < 3;
    if (good) {
        *out = (ledger_line){.state = (ledger_state)s,
                             .step = json_integer_value(json_object_get(root, "step")),
                             .exit = (int32_t)json_integer_value(json_object_get(root, "exit")),
                             .loss = json_is_number(loss) ? json_number_value(loss) : (double)NAN};
        (void)snprintf(out->run, sizeof out->run, "%s", run);
    }
    json_decref(root);
    return good;
}

/* All bytes from `from` on. */
static status read_bytes(const ledger *l, int64_t from, char **out, int64_t *bytes)
{
    struct stat about;
    REQUIRE(fstat(l->fd, &about) == 0, ERR_IO, "cannot read %s: %s", l->path, strerror(errno));
    *bytes = about.st_size > from ? about.st_size - from : 0;
    REQUIRE(*bytes <= BYTES_MAX, ERR_IO, "%s: %" PRId64 " bytes are no ledger", l->path, *bytes);
    *out = malloc((size_t)*bytes + 1);
    REQUIRE(*out, ERR_MEMORY, "no memory for %s", l->path);
    const status s = file_read_at(l->fd, l->path, from, *out, *bytes);
    if (s != OK) free(*out);
    return s;
}

status ledger_read(const ledger *l, int64_t from, ledger_line **lines, int32_t *count, int64_t *end)
{
    char *text;
    int64_t bytes, at = 0;
    int32_t capacity = 0;
    *lines = NULL;
    *count = 0;
    TRY(read_bytes(l, from, &text, &bytes));
    status s = OK;
    while (at < bytes && s == OK) {
        const char *stop = memchr(text + at, '\n', (size_t)(bytes - at));
        ledger_line line;
        if (!stop || !parse_line(&line, text + at, (size_t)(stop - (text + at)))) break;
        if (*count == capacity) {
            capacity = 2 * capacity + 64;
            ledger_line *more = realloc(*lines, (size_t)capacity * sizeof *more);
            if (!more) {
                s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for %s", l->path);
                break;
            }
            *lines = more;
        }
        (*lines)[(*count)++] = line;
        at = stop - text + 1;
    }
    free(text);
    if (s != OK) {
        free(*lines);
        *lines = NULL;
        return s;
    }
    *end = from + at;
    return OK;
}

/* The bytes behind the last good line, kept for whoever wants to look at them. */
static status set_aside(const ledger *l, const char *bytes, int64_t count)
{
    char path[sizeof l->path + 16];
    struct stat about;
    (void)snprintf(path, sizeof path, "%s.damaged", l->path);
    int fd;
    TRY(file_open_write(&fd, path, O_APPEND));
    status s = fstat(fd, &about) == 0 ? file_write_at(fd, path, about.st_size, bytes, count) : OK;
    if (s == OK) s = file_sync(fd, path);
    (void)close(fd);
    return s;
}

status ledger_recover(ledger *l, int32_t *lost, int32_t *line)
{
    ledger_line *lines;
    int32_t count;
    int64_t end, bytes;
    char *text;
    *lost = 0;
    TRY(ledger_read(l, 0, &lines, &count, &end));
    free(lines);
    *line = count + 1;
    TRY(read_bytes(l, end, &text, &bytes));
    for (int64_t i = 0; i < bytes; i++) *lost += text[i] == '\n' || i + 1 == bytes;
    status s = bytes > 0 ? set_aside(l, text, bytes) : OK;
    free(text);
    if (s == OK && bytes > 0 && ftruncate(l->fd, end) != 0)
        s = status_set(ERR_IO, __FILE__, __LINE__, "cannot cut %s: %s", l->path, strerror(errno));
    return s == OK && bytes > 0 ? file_sync(l->fd, l->path) : s;
}

#include "base/clock.h"
#include "base/file.h"
#include "bench/bench.h"
#include "model/block.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Files of one rank's part of a checkpoint: masters and two moments, 12 bytes a parameter. */
typedef struct disk {
    bench *b;
    char path[1200], *bytes;
    int64_t count;
    bool works; /* this rank takes part */
} disk;

enum { PIECE = 4 << 20, IO_REPEATS = 3 };

/* written, and durable when it returns */
static status run_write(void *context)
{
    const disk *d = context;
    if (!d->works) return OK;
    int fd;
    TRY(file_open_write(&fd, d->path, O_TRUNC));
    status s = OK;
    for (int64_t at = 0; s == OK && at < d->count; at += PIECE) {
        int64_t n = d->count - at < PIECE ? d->count - at : PIECE;
        s = file_write_at(fd, d->path, at, d->bytes, n);
    }
    if (s == OK) s = file_sync(fd, d->path);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* so that reading reads */
    (void)close(fd);
    return s;
}

static status run_read(void *context)
{
    const disk *d = context;
    if (!d->works) return OK;
    int fd;
    TRY(file_open(&fd, d->path));
    status s = OK;
    for (int64_t at = 0; s == OK && at < d->count; at += PIECE) {
        int64_t n = d->count - at < PIECE ? d->count - at : PIECE;
        s = file_read_at(fd, d->path, at, d->bytes, n);
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
    return s;
}

/* the slowest rank's seconds of each repeat; a failure is everybody's */
static status repeat(bench_times *t, disk *d, status (*run)(void *context))
{
    t->count = 0;
    for (int i = 0; i < IO_REPEATS; i++) {
        TRY(world_barrier(d->b->w));
        double start = clock_s();
        TRY(world_agree(d->b->w, run(d)));
        t->s[t->count++] = clock_s() - start;
    }
    bench_sort(t);
    return OK;
}

static status measure(disk *d, bool together, json_t *rows)
{
    static const struct {
        const char *name;
        status (*run)(void *context);
    } kinds[] = {{"write", run_write}, {"read", run_read}};
    int32_t writers = together ? world_size(d->b->w) : 1;
    d->works = together || d->b->first;
    for (int k = 0; k < 2; k++) {
        bench_times t;
        bench_say(d->b, "io", "%s, %d rank%s", kinds[k].name, writers, writers == 1 ? "" : "s");
        TRY(repeat(&t, d, kinds[k].run));
        double bytes = (double)d->count * writers;
        if (rows)
            (void)json_array_append_new(
                rows, json_pack("{s:s, s:i, s:I, s:f, s:f, s:f}", "what", kinds[k].name, "ranks",
                                writers, "bytes_per_rank", (json_int_t)d->count, "median_s",
                                bench_quantile(&t, 0.5), "bytes_per_s",
                                bytes / bench_quantile(&t, 0.5), "spread", bench_spread(&t)));
    }
    return OK;
}

status bench_io(bench *b, json_t **out)
{
    disk d = {.b = b};
    d.count = block_param_count(&b->options->cfg->model) * 12 / world_size(b->w);
    (void)snprintf(d.path, sizeof d.path, "%s/.bench-io-%d", b->options->folder, world_rank(b->w));
    d.bytes = malloc(PIECE);
    status s = d.bytes ? OK : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a piece");
    if (s == OK) memset(d.bytes, 0x5a, PIECE);
    s = world_agree(b->w, s);
    json_t *rows = b->first ? json_array() : NULL;
    if (s == OK) s = measure(&d, false, rows);
    if (s == OK && world_size(b->w) > 1) s = measure(&d, true, rows);
    (void)unlink(d.path);
    free(d.bytes);
    if (s != OK) {
        json_decref(rows);
        return s;
    }
    if (b->first) *out = json_pack("{s:s, s:o}", "folder", b->options->folder, "rows", rows);
    return OK;
}

#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes per element: a copy reads 4 and writes 4; a triad a = b + s c reads 8 and writes 4; AdamW
 * reads master, two moments and the int64 sum, writes master, moments and the bf16 copy. */
enum { COPY_BYTES = 8, TRIAD_BYTES = 12, ADAMW_BYTES = 12 + 8 + 12 + 2 };

typedef struct streams {
    const ops *ops;
    device *device;
    int64_t count; /* elements */
    float *a, *b, *c, *d;
    uint16_t *narrow;
    step_scalars *scalars;
} streams;

static status run_copy(void *context)
{
    streams *s = context;
    memcpy(s->a, s->b, (size_t)s->count * 4);
    return OK;
}

static status run_triad(void *context)
{
    streams *s = context;
    float *restrict a = s->a;
    const float *restrict b = s->b, *restrict c = s->c;
    for (int64_t i = 0; i < s->count; i++) a[i] = b[i] + 3.0f * c[i];
    return OK;
}

static status run_adamw(void *context)
{
    streams *s = context;
    int64_t n = s->count / 2; /* the sums lie in the last two arrays */
    TRY(s->ops->adamw(s->device, &(adamw_args){.weights = tensor_1(s->a, DTYPE_F32, n),
                                               .copy = tensor_1(s->narrow, DTYPE_BF16, n),
                                               .m = tensor_1(s->b, DTYPE_F32, n),
                                               .v = tensor_1(s->c, DTYPE_F32, n),
                                               .gradient = tensor_1(s->d, DTYPE_I64, n),
                                               .decay = true,
                                               .rate = 1,
                                               .scalars = s->scalars}));
    return s->ops->sync(s->device);
}

static const struct stream_row {
    const char *name;
    status (*run)(void *context);
    int64_t bytes; /* per element of count */
    bool host;     /* works on host memory only */
} stream_rows[] = {
    {"copy", run_copy, COPY_BYTES, true},
    {"triad", run_triad, TRIAD_BYTES, true},
    {"adamw", run_adamw, ADAMW_BYTES / 2, false},
};
enum { STREAM_ROWS = sizeof stream_rows / sizeof stream_rows[0] };

static void release(streams *s)
{
    void *all[] = {s->a, s->b, s->c, s->d};
    for (int i = 0; i < 4; i++)
        if (all[i]) s->ops->release(s->device, all[i], s->count * 4);
    if (s->narrow) s->ops->release(s->device, s->narrow, s->count * 2);
    if (s->scalars) s->ops->release(s->device, s->scalars, sizeof *s->scalars);
}

/* A copy from page to page that were never written would read one page of zeros over and over. */
static status take(streams *s)
{
    float **all[] = {&s->a, &s->b, &s->c, &s->d};
    step_scalars one = {.learning_rate = 1e-3f,
                        .beta1 = 0.9f,
                        .beta2 = 0.95f,
                        .eps = 1e-8f,
                        .bias1 = 0.1f,
                        .bias2 = 0.05f,
                        .mean_scale = 1.0,
                        .gradient_scale = 1e-13};
    for (int i = 0; i < 4; i++) {
        TRY(s->ops->alloc(s->device, (void **)all[i], s->count * 4));
        TRY(s->ops->zero(s->device, *all[i], s->count * 4));
    }
    TRY(s->ops->alloc(s->device, (void **)&s->narrow, s->count * 2));
    TRY(s->ops->alloc(s->device, (void **)&s->scalars, sizeof one));
    return s->ops->upload(s->device, s->scalars, &one, sizeof one);
}

static status idle(void *context)
{
    (void)context;
    return OK;
}

/* all ranks at once, and the first one alone */
static status measure(bench *b, streams *s, json_t *rows)
{
    for (int i = 0; i < STREAM_ROWS; i++)
        for (int alone = 0; alone < 1 + (world_size(b->w) > 1); alone++) {
            bench_times t;
            bool works = !alone || b->first;
            if (stream_rows[i].host && b->ops->native_queue) continue;
            TRY(bench_time(b, &t, b->options->seconds / 10, works ? stream_rows[i].run : idle, s));
            double bytes = (double)(s->count * stream_rows[i].bytes);
            if (rows)
                (void)json_array_append_new(
                    rows, json_pack("{s:s, s:s, s:I, s:f, s:f, s:f}", "stream", stream_rows[i].name,
                                    "ranks", alone || world_size(b->w) == 1 ? "one" : "all",
                                    "bytes", (json_int_t)(s->count * 16), "median_s",
                                    bench_quantile(&t, 0.5), "bytes_per_s",
                                    bytes / bench_quantile(&t, 0.5), "spread", bench_spread(&t)));
        }
    return OK;
}

status bench_memory(bench *b, json_t **out)
{
    /* beyond every cache of a core, and inside the nearest large one */
    const int64_t sizes[] = {b->options->max_bytes, 1 << 18};
    json_t *rows = b->first ? json_array() : NULL;
    status s = OK;
    for (int i = 0; s == OK && i < 2; i++) {
        streams arrays = {.ops = b->ops, .device = b->device, .count = sizes[i] / 16 / 64 * 64};
        bench_say(b, "memory", "%lld KiB per rank", (long long)(sizes[i] >> 10));
        s = world_agree(b->w, take(&arrays));
        if (s == OK) s = measure(b, &arrays, rows);
        release(&arrays);
    }
    if (s != OK) {
        json_decref(rows);
        return s;
    }
    /* a rank's share of the host; a device's memory is not known here */
    double total = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    json_t *share = b->ops->native_queue ? json_null() : json_real(total / world_local_size(b->w));
    if (b->first)
        *out = json_pack("{s:o, s:o}", "bytes_per_rank", share, "rows", rows);
    else
        json_decref(share);
    return OK;
}

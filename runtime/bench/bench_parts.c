#include "bench/bench_parts.h"
#include "base/clock.h"

#include <stdlib.h>

struct device {
    const ops *ops;
    device *inner;
    struct ops table; /* handed out: inner's, with what is timed replaced */
    double s[BENCH_PARTS];
};

const double *bench_parts_view(const device *d) { return d->s; }

/* --- what is passed on -------------------------------------------------------------------------
 */

static void pass_close(device *d)
{
    if (!d) return;
    d->ops->close(d->inner);
    free(d);
}
static void pass_describe(const device *d, char *text, size_t bytes)
{
    d->ops->describe(d->inner, text, bytes);
}
static int64_t pass_workspace_bytes(const device *d, const op_shapes *shapes)
{
    return d->ops->workspace_bytes(d->inner, shapes);
}
static status pass_reserve(device *d, void *workspace, int64_t bytes, const op_shapes *shapes)
{
    return d->ops->reserve(d->inner, workspace, bytes, shapes);
}
static status pass_alloc(device *d, void **out, int64_t bytes)
{
    return d->ops->alloc(d->inner, out, bytes);
}
static void pass_release(device *d, void *memory, int64_t bytes)
{
    d->ops->release(d->inner, memory, bytes);
}
static status pass_upload(device *d, void *to, const void *from_host, int64_t bytes)
{
    return d->ops->upload(d->inner, to, from_host, bytes); /* a wait for data */
}
static status pass_event_record(device *d, int32_t event, queue q)
{
    return d->ops->event_record(d->inner, event, q);
}
static status pass_queue_wait(device *d, queue q, int32_t event)
{
    return d->ops->queue_wait(d->inner, q, event);
}
static status pass_sync(device *d) { return d->ops->sync(d->inner); }
static void *pass_native_queue(device *d, queue q) { return d->ops->native_queue(d->inner, q); }
static double pass_burst(device *d, dtype type) { return d->ops->burst(d->inner, type); }

/* --- what is timed -----------------------------------------------------------------------------
 */

static status note(device *d, bench_part part, double start, status s)
{
    if (s == OK && d->ops->native_queue) s = d->ops->sync(d->inner);
    d->s[part] += clock_s() - start;
    return s;
}

static status timed_download(device *d, void *to_host, const void *from, int64_t bytes)
{
    double start = clock_s();
    return note(d, BENCH_MEMORY, start, d->ops->download(d->inner, to_host, from, bytes));
}
static status timed_zero(device *d, void *memory, int64_t bytes)
{
    double start = clock_s();
    return note(d, BENCH_MEMORY, start, d->ops->zero(d->inner, memory, bytes));
}
static status timed_convert(device *d, tensor to, tensor from)
{
    double start = clock_s();
    return note(d, BENCH_OPTIMIZER, start, d->ops->convert(d->inner, to, from));
}

#define TIMED_OPS(X)                                                                               \
    X(embed, BENCH_MEMORY)                                                                         \
    X(embed_backward, BENCH_MEMORY)                                                                \
    X(norm, BENCH_MEMORY)                                                                          \
    X(norm_backward, BENCH_MEMORY)                                                                 \
    X(linear, BENCH_PRODUCTS)                                                                      \
    X(linear_backward_input, BENCH_PRODUCTS)                                                       \
    X(linear_backward_weight, BENCH_PRODUCTS)                                                      \
    X(swiglu, BENCH_MEMORY)                                                                        \
    X(swiglu_backward, BENCH_MEMORY)                                                               \
    X(rope, BENCH_MEMORY)                                                                          \
    X(attention, BENCH_ATTENTION)                                                                  \
    X(attention_backward, BENCH_ATTENTION)                                                         \
    X(head, BENCH_PRODUCTS)                                                                        \
    X(accumulate, BENCH_MEMORY)                                                                    \
    X(sum_squares, BENCH_OPTIMIZER)                                                                \
    X(adamw, BENCH_OPTIMIZER)                                                                      \
    X(digest, BENCH_OPTIMIZER)

#define TIMED(op, part)                                                                            \
    static status timed_##op(device *d, const op##_args *a)                                        \
    {                                                                                              \
        double start = clock_s();                                                                  \
        return note(d, part, start, d->ops->op(d->inner, a));                                      \
    }
TIMED_OPS(TIMED)

static status timed_clip_scalars(device *d, const clip_args *a)
{
    double start = clock_s();
    return note(d, BENCH_OPTIMIZER, start, d->ops->clip_scalars(d->inner, a));
}

status bench_parts_open(device **out, const ops **table, const ops *inner_ops, device *inner)
{
    device *d = calloc(1, sizeof *d);
    REQUIRE(d, ERR_MEMORY, "no memory for a timed device");
    d->ops = inner_ops;
    d->inner = inner;
    d->table = *inner_ops;
    struct ops *t = &d->table;
    t->open = NULL; /* it is open */
    t->close = pass_close;
    t->describe = pass_describe;
    t->workspace_bytes = pass_workspace_bytes;
    t->reserve = pass_reserve;
    t->alloc = pass_alloc;
    t->release = pass_release;
    t->upload = pass_upload;
    t->download = timed_download;
    t->zero = timed_zero;
    t->event_record = pass_event_record;
    t->queue_wait = pass_queue_wait;
    t->sync = pass_sync;
    if (t->native_queue) t->native_queue = pass_native_queue;
    if (t->burst) t->burst = pass_burst;
    /* ops are timed one by one; whoever wants the address asks the device itself */
    t->graph_begin = NULL;
    t->graph_end = NULL;
    t->graph_launch = NULL;
    t->bus_id = NULL;
    t->convert = timed_convert;
    t->clip_scalars = timed_clip_scalars;
#define REPLACE(op, part) t->op = timed_##op;
    TIMED_OPS(REPLACE)
    *out = d;
    *table = t;
    return OK;
}

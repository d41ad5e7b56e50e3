#include "bench/bench_parts.h"
#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

/* What is timed: X(operation, part, size of a call). Time grows with the size as defined here. */
#define TIMED_OPS(X)                                                                               \
    X(embed, BENCH_MEMORY, tensor_count(a->out))                                                   \
    X(embed_backward, BENCH_MEMORY, tensor_count(a->dout))                                         \
    X(norm, BENCH_MEMORY, tensor_count(a->out))                                                    \
    X(norm_backward, BENCH_MEMORY, tensor_count(a->dx))                                            \
    X(linear, BENCH_PRODUCTS, tensor_count(a->out) * a->x.dim[1])                                  \
    X(linear_backward_input, BENCH_PRODUCTS, tensor_count(a->dx) * a->dy.dim[1])                   \
    X(linear_backward_weight, BENCH_PRODUCTS, tensor_count(a->dw) * a->dy.dim[0])                  \
    X(swiglu, BENCH_MEMORY, tensor_count(a->out))                                                  \
    X(swiglu_backward, BENCH_MEMORY, tensor_count(a->dout))                                        \
    X(rope, BENCH_MEMORY, tensor_count(a->qkv))                                                    \
    X(attention, BENCH_ATTENTION, a->B * a->T * a->T * a->NH * a->HS)                              \
    X(attention_backward, BENCH_ATTENTION, a->B * a->T * a->T * a->NH * a->HS)                     \
    X(head, BENCH_PRODUCTS, tensor_count(a->x) * a->w.dim[0])                                      \
    X(accumulate, BENCH_MEMORY, tensor_count(a->gradient))                                         \
    X(sum_squares, BENCH_OPTIMIZER, tensor_count(a->values))                                       \
    X(adamw, BENCH_OPTIMIZER, tensor_count(a->weights))                                            \
    X(digest, BENCH_OPTIMIZER, tensor_count(a->values))

#define OP_INDEX(op, part, size) OP_##op,
#define OP_NAME(op, part, size)  #op,
enum { TIMED_OPS(OP_INDEX) OP_zero, OP_convert, OPS };
static const char *const op_names[OPS] = {TIMED_OPS(OP_NAME) "zero", "convert"};
_Static_assert((int)OPS <= (int)BENCH_OPS_MAX, "room for every operation");

struct device {
    const ops *ops;
    device *inner;
    struct ops table; /* handed out: inner's, with what is timed replaced */
    double s[BENCH_PARTS];
    double calls[OPS], size[OPS], op_s[OPS];
    bool rests; /* a stand-in, by these rates */
    bench_rates rates;
    double late_s; /* rested too long so far: the next rest is shorter */
};

const double *bench_parts_view(const device *d) { return d->s; }

/* --- what is passed on ---------------------------------------------------- */

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

/* --- what is timed -------------------------------------------------------- */

typedef struct timing {
    double start_s;
    bench_part part;
    int op; /* OPS: none of them */
    double size;
} timing;

static status note(device *d, const timing *t, status s)
{
    if (s == OK && d->ops->native_queue) s = d->ops->sync(d->inner);
    const double took = clock_s() - t->start_s;
    d->s[t->part] += took;
    if (t->op == OPS) return s;
    d->calls[t->op] += 1.0;
    d->size[t->op] += t->size;
    d->op_s[t->op] += took;
    return s;
}

/* A stand-in's operation counts for what it should take. Who was put aside for longer rests less
 * the next time, so that a step's rests add up. */
static status rest(device *d, const timing *t)
{
    REQUIRE(t->size == 0.0 || d->rates.s[t->op] > 0.0, ERR_CONFIG,
            "the stand-in does not know how long %s takes: its result is of another model",
            op_names[t->op]);
    const double takes = d->rates.s[t->op] * t->size, due = t->start_s + takes - d->late_s;
    double now = clock_s();
    while (now < due) {
        const double left = due - now;
        (void)nanosleep(&(struct timespec){(time_t)left, (long)(fmod(left, 1.0) * 1e9)}, NULL);
        now = clock_s();
    }
    d->late_s = now - due;
    d->s[t->part] += takes;
    return OK;
}

static status timed_download(device *d, void *to_host, const void *from, int64_t bytes)
{
    const timing t = {clock_s(), BENCH_MEMORY, OPS, 0.0};
    return note(d, &t, d->ops->download(d->inner, to_host, from, bytes));
}
static status timed_zero(device *d, void *memory, int64_t bytes)
{
    const timing t = {clock_s(), BENCH_MEMORY, OP_zero, (double)bytes};
    if (d->rests && d->rates.s[OP_zero] > 0.0) return rest(d, &t);
    return note(d, &t, d->ops->zero(d->inner, memory, bytes));
}
static status timed_convert(device *d, tensor to, tensor from)
{
    const timing t = {clock_s(), BENCH_OPTIMIZER, OP_convert, (double)tensor_count(to)};
    return note(d, &t, d->ops->convert(d->inner, to, from)); /* weights at the start, no step */
}

#define TIMED(op, part, size)                                                                      \
    static status timed_##op(device *d, const op##_args *a)                                        \
    {                                                                                              \
        const timing t = {clock_s(), part, OP_##op, (double)(size)};                               \
        if (d->rests) return rest(d, &t);                                                          \
        return note(d, &t, d->ops->op(d->inner, a));                                               \
    }
TIMED_OPS(TIMED)

static status timed_clip_scalars(device *d, const clip_args *a)
{
    const timing t = {clock_s(), BENCH_OPTIMIZER, OPS, 0.0};
    return note(d, &t, d->ops->clip_scalars(d->inner, a));
}

status bench_parts_open(device **out, const ops **table, const ops *inner_ops, device *inner,
                        const bench_rates *rates)
{
    REQUIRE(!rates || !inner_ops->native_queue, ERR_CONFIG,
            "a stand-in takes the place of cores; backend %s computes elsewhere", inner_ops->name);
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
    if (rates) {
        d->rests = true;
        d->rates = *rates;
        (void)prctl(PR_SET_TIMERSLACK, 1ul); /* rests end when they should, not up to 50 us later */
    }
#define REPLACE(op, part, size) t->op = timed_##op;
    TIMED_OPS(REPLACE)
    *out = d;
    *table = t;
    return OK;
}

/* --- what operations took ------------------------------------------------- */

json_t *bench_parts_operations(const device *d)
{
    json_t *rows = json_array();
    for (int i = 0; i < OPS; i++)
        if (d->calls[i] > 0)
            (void)json_array_append_new(rows, json_pack("{s:s, s:f, s:f, s:f}", "operation",
                                                        op_names[i], "calls", d->calls[i], "size",
                                                        d->size[i], "seconds", d->op_s[i]));
    return rows;
}

status bench_rates_read(bench_rates *out, const json_t *operations)
{
    size_t at;
    json_t *row;
    int32_t found = 0;
    *out = (bench_rates){{0}};
    json_array_foreach(operations, at, row)
    {
        const char *name = json_string_value(json_object_get(row, "operation"));
        const double size = json_number_value(json_object_get(row, "size"));
        const double seconds = json_number_value(json_object_get(row, "seconds"));
        for (int i = 0; name && i < OPS; i++) {
            if (strcmp(name, op_names[i]) != 0 || !(size > 0) || !(seconds > 0)) continue;
            out->s[i] = seconds / size;
            found++;
        }
    }
    REQUIRE(found > 0, ERR_CONFIG, "no times of operations: the section step was not measured");
    return OK;
}

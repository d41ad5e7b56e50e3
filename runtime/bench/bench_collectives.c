#include "bench/bench.h"

#include "base/json.h"
#include "bench/bench_link.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 1 << 10, STEP = 4 }; /* exact_object relies on STEP */

typedef struct traffic {
    bench *b;
    comm *c;
    char *buf;     /* from comm_alloc */
    char *host;    /* as large: what goes in, what came out */
    int64_t bytes; /* of the whole vector, now */
    int32_t calls; /* in one timing */
    const struct operation *op;
    bool control;   /* the world's broadcast too: it is the same beside every communicator */
    link_fit *link; /* of this communicator; what is known of the level below stands in place */
    link_place place;
    const char *level;
} traffic;

typedef struct operation {
    const char *name, *type;
    double bus; /* bus bytes = bus (R - 1) / R x bytes: nccl-tests' factors; broadcast 1 x bytes */
    status (*run)(const traffic *t);
    void (*fill)(const traffic *t);
    bool (*holds)(const traffic *t);
    bool fits; /* takes part in the fit of the link */
} operation;

/* --- what is sent, and what must come out --------------------------------- */

static int64_t whole(int64_t i, int32_t rank) { return i % 1000 + rank; }
static int64_t whole_sum(int64_t i, int32_t ranks)
{
    return ranks * (i % 1000) + (int64_t)ranks * (ranks - 1) / 2;
}

static void fill_i64(const traffic *t)
{
    int64_t *v = (int64_t *)(void *)t->host;
    for (int64_t i = 0; i < t->bytes / 8; i++) v[i] = whole(i, comm_rank(t->c));
}
static void fill_f32(const traffic *t)
{
    float *v = (float *)(void *)t->host;
    for (int64_t i = 0; i < t->bytes / 4; i++) v[i] = (float)whole(i, comm_rank(t->c));
}
static bool sums_i64(const traffic *t, int64_t first, int64_t count)
{
    const int64_t *v = (const int64_t *)(const void *)t->host;
    for (int64_t i = first; i < first + count; i++)
        if (v[i] != whole_sum(i, comm_size(t->c))) return false;
    return true;
}
static bool sums_f32(const traffic *t, int64_t first, int64_t count)
{
    const float *v = (const float *)(const void *)t->host;
    for (int64_t i = first; i < first + count; i++)
        if (v[i] != (float)whole_sum(i, comm_size(t->c))) return false;
    return true;
}
static bool all_i64(const traffic *t) { return sums_i64(t, 0, t->bytes / 8); }
static bool all_f32(const traffic *t) { return sums_f32(t, 0, t->bytes / 4); }
static bool own_i64(const traffic *t)
{
    int64_t stripe = t->bytes / 8 / comm_size(t->c);
    return sums_i64(t, stripe * comm_rank(t->c), stripe);
}
static bool own_f32(const traffic *t)
{
    int64_t stripe = t->bytes / 4 / comm_size(t->c);
    return sums_f32(t, stripe * comm_rank(t->c), stripe);
}

/* byte i of stripe r */
static char byte_of(int64_t i, int32_t r) { return (char)((i * 31 + r * 7 + 1) & 127); }
static void fill_stripe(const traffic *t)
{
    int64_t stripe = t->bytes / comm_size(t->c);
    memset(t->host, 0, (size_t)t->bytes);
    for (int64_t i = 0; i < stripe; i++)
        t->host[stripe * comm_rank(t->c) + i] = byte_of(i, comm_rank(t->c));
}
static bool all_stripes(const traffic *t)
{
    int64_t stripe = t->bytes / comm_size(t->c);
    for (int32_t r = 0; r < comm_size(t->c); r++)
        for (int64_t i = 0; i < stripe; i++)
            if (t->host[stripe * r + i] != byte_of(i, r)) return false;
    return true;
}
static void fill_root(const traffic *t)
{
    for (int64_t i = 0; i < t->bytes; i++) t->host[i] = comm_rank(t->c) == 0 ? byte_of(i, 0) : 0;
}
static bool from_root(const traffic *t)
{
    for (int64_t i = 0; i < t->bytes; i++)
        if (t->host[i] != byte_of(i, 0)) return false;
    return true;
}

static status reduce_scatter_i64(const traffic *t)
{
    return comm_reduce_scatter(t->c, t->buf, t->bytes / 8 / comm_size(t->c), DTYPE_I64);
}
static status reduce_scatter_f32(const traffic *t)
{
    return comm_reduce_scatter(t->c, t->buf, t->bytes / 4 / comm_size(t->c), DTYPE_F32);
}
static status all_gather(const traffic *t)
{
    return comm_all_gather(t->c, t->buf, t->bytes / comm_size(t->c));
}
static status all_reduce_i64(const traffic *t)
{
    return comm_all_reduce(t->c, t->buf, t->bytes / 8, DTYPE_I64, COMM_SUM);
}
static status all_reduce_f32(const traffic *t)
{
    return comm_all_reduce(t->c, t->buf, t->bytes / 4, DTYPE_F32, COMM_SUM);
}
static status broadcast(const traffic *t) { return world_broadcast(t->b->w, t->host, t->bytes, 0); }

static const operation operations[] = {
    {"reduce_scatter", "i64", 1, reduce_scatter_i64, fill_i64, own_i64, true},
    {"reduce_scatter", "f32", 1, reduce_scatter_f32, fill_f32, own_f32, true},
    {"all_gather", "bytes", 1, all_gather, fill_stripe, all_stripes, true},
    {"all_reduce", "i64", 2, all_reduce_i64, fill_i64, all_i64, false},
    {"all_reduce", "f32", 2, all_reduce_f32, fill_f32, all_f32, false},
    {"broadcast", "bytes", 0, broadcast, fill_root, from_root, false},
};
enum { OPERATIONS = sizeof operations / sizeof operations[0], ALL_REDUCE_I64 = 3 };

/* --- one row -------------------------------------------------------------- */

static status timed(void *context)
{
    const traffic *t = context;
    for (int32_t i = 0; i < t->calls; i++) TRY(t->op->run(t));
    return OK;
}

/* one call on known values; every rank must find what it should */
static status verify(const traffic *t, bool *holds)
{
    bool on_host = t->op->bus == 0;
    const bench *b = t->b;
    t->op->fill(t);
    if (!on_host) TRY(b->ops->upload(b->device, t->buf, t->host, t->bytes));
    TRY(t->op->run(t));
    if (!on_host) TRY(b->ops->download(b->device, t->host, t->buf, t->bytes));
    double wrong = t->op->holds(t) ? 0.0 : 1.0;
    TRY(comm_all_reduce(t->c, &wrong, 1, DTYPE_F64, COMM_MAX));
    *holds = wrong == 0.0;
    return OK;
}

static json_t *row_of(const traffic *t, const bench_times *times, bool holds)
{
    double ranks = comm_size(t->c), p50 = bench_quantile(times, 0.5) / t->calls;
    double factor = t->op->bus == 0 ? 1.0 : t->op->bus * (ranks - 1) / ranks;
    double rate = (double)t->bytes / p50;
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:b}", "operation",
                     t->op->name, "type", t->op->type, "comm",
                     t->op->bus == 0 ? "world" : comm_name(t->c), "level",
                     t->op->bus == 0 ? "control" : t->level, "bytes", (json_int_t)t->bytes, "p50_s",
                     p50, "p99_s", bench_quantile(times, 0.99) / t->calls, "min_s",
                     times->s[0] / t->calls, "algorithm_bytes_per_s", rate, "bus_bytes_per_s",
                     rate * factor, "spread", bench_spread(times), "verified", (int)holds);
}

static status measure(traffic *t, json_t *rows, double *p50_s)
{
    bool holds = false;
    TRY(verify(t, &holds));
    if (!holds)
        FAIL(ERR_INTERNAL, "%s of %" PRId64 " bytes of %s through %s gives a wrong result",
             t->op->name, t->bytes, t->op->type, comm_name(t->c));
    /* sums that grew over repeats would overflow: i64 wraps far later, f32 grows to infinity */
    memset(t->host, 0, (size_t)t->bytes);
    if (t->op->bus != 0) TRY(t->b->ops->upload(t->b->device, t->buf, t->host, t->bytes));
    bench_times *times = malloc(sizeof *times);
    ASSERT(times);
    t->calls = t->bytes <= 1 << 16 ? 20 : 1;
    status s = bench_time(t->b, times, t->b->options->seconds / 40, timed, t);
    *p50_s = bench_quantile(times, 0.5) / t->calls;
    if (s == OK && rows) (void)json_array_append_new(rows, row_of(t, times, holds));
    free(times);
    return s;
}

/* --- one communicator ----------------------------------------------------- */

static json_t *link_object(const link_fit *f, const char *level)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:i}", "level", level, "latency_s",
                     json_finite(f->latency_s), "bandwidth", json_finite(f->bandwidth), "residual",
                     json_finite(f->residual), "points", f->count);
}

/* exact sums beside fast ones of as many elements, which are half the bytes: between two sizes */
static json_t *exact_object(const double *p50_i64, const double *p50_f32, int32_t sizes)
{
    bench_times ratio = {0};
    for (int32_t i = 1; i < sizes; i++)
        ratio.s[ratio.count++] = p50_i64[i] / sqrt(p50_f32[i - 1] * p50_f32[i]);
    bench_sort(&ratio);
    return json_finite(bench_quantile(&ratio, 0.5));
}

static status copy(void *context)
{
    const traffic *t = context;
    memcpy(t->buf, t->host, (size_t)t->bytes);
    return OK;
}

/* What memory allows: all ranks copy a vector of 64 MiB at once, right after the sums of one.
 * Between two ranks a sum through the window reads and writes as many bytes as the copy. */
static status beside_copy(traffic *t, int64_t most, json_t *about)
{
    enum { SUMMED = 64 << 20 };
    bench_times *sums = calloc(2, sizeof *sums), *copies = sums + 1;
    ASSERT(sums);
    const double ranks = comm_size(t->c), seconds = t->b->options->seconds / 20;
    t->bytes = most < SUMMED ? most : SUMMED;
    t->bytes = t->bytes / (8 * comm_size(t->c)) * (8 * comm_size(t->c));
    t->calls = 1;
    t->op = &operations[ALL_REDUCE_I64];
    status s = bench_time(t->b, sums, seconds, timed, t);
    if (s == OK) s = bench_time(t->b, copies, seconds, copy, t);
    if (s == OK && about) {
        const double bus =
            2.0 * (ranks - 1.0) / ranks * (double)t->bytes / bench_quantile(sums, 0.5);
        const double copied = (double)t->bytes / bench_quantile(copies, 0.5);
        (void)json_object_set_new(about, "beside_copy",
                                  json_pack("{s:I, s:f, s:f, s:f}", "bytes", (json_int_t)t->bytes,
                                            "all_reduce_bus_bytes_per_s", bus, "copied_bytes_per_s",
                                            copied, "share", bus / copied));
    }
    free(sums);
    return s;
}

static status series(traffic *t, int64_t most, json_t *rows, json_t *about)
{
    enum { SIZES_MAX = 16 };
    double p50[OPERATIONS][SIZES_MAX] = {{0}};
    int32_t ranks = comm_size(t->c), sizes = 0;
    t->place.ranks = ranks;
    for (int64_t bytes = FIRST_BYTES; bytes <= most && sizes < SIZES_MAX; bytes *= STEP, sizes++) {
        bench_say(t->b, "collectives", "%s, %" PRId64 " KiB", t->level, bytes >> 10);
        for (int o = 0; o < OPERATIONS; o++) {
            t->op = &operations[o];
            if (t->op->bus == 0 && !t->control) continue;
            /* whole stripes of whole elements */
            t->bytes = bytes / (8 * ranks) * (8 * ranks);
            TRY(measure(t, rows, &p50[o][sizes]));
            if (t->op->fits)
                link_add(t->link, t->op->run == all_gather ? COST_GATHER : COST_SUM,
                         (double)t->bytes, p50[o][sizes], &t->place);
        }
    }
    link_solve(t->link, &t->place);
    json_t *one =
        about ? json_pack("{s:s, s:i, s:i, s:o, s:o}", "comm", comm_name(t->c), "ranks", ranks,
                          "nodes", t->place.nodes, "link", link_object(t->link, t->level),
                          "exact_over_fast", exact_object(p50[0], p50[1], sizes))
              : NULL;
    if (one) (void)json_array_append_new(about, one);
    return strcmp(t->level, "core") == 0 ? beside_copy(t, most, one) : OK;
}

/* Through the communicator of this world, or the one that is forced. */
static status through(traffic *t, const char *forced, json_t *rows, json_t *about)
{
    const bench *b = t->b;
    const char *before = getenv("ISOFLOP_COMM");
    char kept[32] = "";
    (void)snprintf(kept, sizeof kept, "%s", before ? before : "");
    if (forced) (void)setenv("ISOFLOP_COMM", forced, 1);
    comm_device on = {.ops = b->ops, .device = b->device};
    status s = comm_open_device(&t->c, b->w, &on, 60);
    if (forced && before) (void)setenv("ISOFLOP_COMM", kept, 1);
    if (forced && !before) (void)unsetenv("ISOFLOP_COMM");
    TRY(s);
    int64_t most = b->options->max_bytes;
    s = comm_alloc(t->c, (void **)&t->buf, most);
    t->host = s == OK ? calloc(1, (size_t)most) : NULL;
    if (s == OK && !t->host) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for checks");
    s = world_agree(b->w, s);
    if (s == OK) s = series(t, most, rows, about);
    free(t->host);
    comm_close(t->c);
    return s;
}

/* --- levels --------------------------------------------------------------- */

/* The ranks of this rank's node as a world; NULL when some node has one rank. */
static status world_of_node(const bench *b, world **out)
{
    const int32_t ranks = world_size(b->w);
    /* the same answer everywhere: all nodes are measured at once, or none */
    double alone = world_local_size(b->w) < 2 ? 1.0 : 0.0, *loners = calloc((size_t)ranks, 8);
    ASSERT(loners);
    const status s = world_gather(b->w, loners, &alone, sizeof alone);
    for (int32_t r = 0; s == OK && r < ranks; r++) alone = fmax(alone, loners[r]);
    free(loners);
    *out = NULL;
    if (s != OK || alone > 0) return s;
    return world_split(b->w, out, world_node(b->w));
}

/* First inside the nodes, then between them. */
static status through_nodes(bench *b, json_t *rows, json_t *about)
{
    world *node = NULL;
    link_fit inside = {0}, between = {0};
    const bool gpu = b->ops->native_queue != NULL;
    TRY(world_of_node(b, &node));
    status s = OK;
    if (node) {
        bench own = *b;
        own.w = node;
        traffic t = {.b = &own, .link = &inside, .level = gpu ? "node" : "core"};
        t.place = (link_place){.nodes = 1, .staged = !gpu};
        /* of all nodes at once; the first one reports */
        s = world_agree(b->w, through(&t, NULL, rows, about));
        b->counted_s = own.counted_s;
        b->counted_stolen_s = own.counted_stolen_s;
    }
    traffic t = {.b = b, .control = true, .link = &between, .level = "network"};
    t.place = (link_place){.nodes = world_nodes(b->w), .inside = &inside, .staged = !gpu};
    if (s == OK) s = through(&t, NULL, rows, about);
    world_close(node);
    return s;
}

static status through_one_node(bench *b, json_t *rows, json_t *about)
{
    link_fit link = {0}, messages = {0};
    const bool gpu = b->ops->native_queue != NULL;
    const char *forced = getenv("ISOFLOP_COMM");
    const bool is_mpi = forced && strncmp(forced, "mpi", 3) == 0;
    traffic t = {.b = b, .control = true, .link = &link};
    t.level = gpu ? "node" : is_mpi ? "messages" : "core";
    t.place = (link_place){.nodes = 1, .staged = !gpu && !is_mpi};
    TRY(through(&t, NULL, rows, about));
    /* also what messages between its ranks would cost */
    if (gpu || (forced && forced[0])) return OK;
    traffic sent = {.b = b, .link = &messages, .level = "messages"};
    sent.place.nodes = 1;
    return through(&sent, "mpi", rows, about);
}

status bench_collectives(bench *b, json_t **out)
{
    json_t *rows = b->first ? json_array() : NULL, *about = b->first ? json_array() : NULL;
    bool alone = world_size(b->w) == 1;
    status s = OK;
    if (alone)
        bench_say(b, "collectives", "one rank: nothing to send; start it with mpirun");
    else
        s = world_nodes(b->w) > 1 ? through_nodes(b, rows, about)
                                  : through_one_node(b, rows, about);
    if (s != OK) {
        json_decref(rows);
        json_decref(about);
        return s;
    }
    if (b->first) *out = json_pack("{s:o, s:o}", "comms", about, "rows", rows);
    return OK;
}

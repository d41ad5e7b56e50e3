#include "base/clock.h"
#include "base/json.h"
#include "bench/bench.h"
#include "model/transformer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The products of one layer and the output layer: out (M, N) from in (M, K). */
typedef struct product {
    const char *name;
    int64_t n, k;
} product;

enum { PRODUCTS = 5, FORMS = 3, PRECISIONS = 2 };
static const char *const forms[FORMS] = {"forward", "backward_input", "backward_weight"};
static const char *const precisions[PRECISIONS] = {"fp32", "bf16"};

typedef struct gemm {
    const ops *ops;
    device *device;
    dtype type;
    int64_t m;
    product p;
    int form;
    int32_t calls; /* in one timing */
    char *x, *y, *w, *dw;
} gemm;

static status one_call(const gemm *g)
{
    tensor x = tensor_2(g->x, g->type, g->m, g->p.k), y = tensor_2(g->y, g->type, g->m, g->p.n);
    tensor w = tensor_2(g->w, g->type, g->p.n, g->p.k);
    tensor dw = tensor_2(g->dw, DTYPE_F32, g->p.n, g->p.k);
    if (g->form == 0) return g->ops->linear(g->device, &(linear_args){.out = y, .x = x, .w = w});
    if (g->form == 1)
        return g->ops->linear_backward_input(g->device, &(linear_backward_input_args){.dx = x,
                                                                                      .dy = y,
                                                                                      .w = w});
    return g->ops->linear_backward_weight(g->device, &(linear_backward_weight_args){.dw = dw,
                                                                                    .dy = y,
                                                                                    .x = x});
}

static status calls(void *context)
{
    const gemm *g = context;
    for (int32_t i = 0; i < g->calls; i++) TRY(one_call(g));
    return g->ops->sync(g->device);
}

/* Small numbers that differ: power, and with it the clock of some chips, depends on them. */
static status fill(const gemm *g, char **to, dtype type, int64_t count)
{
    int64_t bytes = count * dtype_bytes(type);
    float *host = malloc((size_t)count * sizeof *host);
    REQUIRE(host, ERR_MEMORY, "no memory for %lld elements", (long long)count);
    for (int64_t i = 0; i < count; i++)
        host[i] = (float)((uint32_t)(i * 2654435761u) >> 22) / 512.0f - 1.0f;
    status s = g->ops->alloc(g->device, (void **)to, bytes);
    if (s == OK && type == DTYPE_BF16)
        for (int64_t i = 0; i < count; i++) {
            uint16_t narrow = bf16_from_f32(host[i]);
            memcpy((char *)host + 2 * i, &narrow, 2);
        }
    if (s == OK) s = g->ops->upload(g->device, *to, host, bytes);
    free(host);
    return s;
}

static void release(const gemm *g, void *memory, dtype type, int64_t count)
{
    if (memory) g->ops->release(g->device, memory, count * dtype_bytes(type));
}

static status measure(bench *b, gemm *g, double *peak, json_t *rows)
{
    double flops = 2.0 * (double)g->m * (double)g->p.n * (double)g->p.k, start = clock_s();
    bench_times *t = malloc(sizeof *t);
    REQUIRE(t, ERR_MEMORY, "no memory for times");
    g->calls = 1;
    status s = calls(g);
    if (s == OK) s = calls(g);
    /* a timing takes at least a millisecond; every rank decides alike */
    double once = (clock_s() - start) / 2;
    g->calls = once < 1e-3 ? (int32_t)(1e-3 / fmax(once, 1e-7)) + 1 : 1;
    int32_t agreed = g->calls;
    if (s == OK) s = world_broadcast(b->w, &agreed, sizeof agreed, 0);
    g->calls = agreed;
    if (s == OK)
        s = bench_time(b, t, b->options->seconds / (PRODUCTS * FORMS * PRECISIONS), calls, g);
    double median = bench_quantile(t, 0.5) / g->calls;
    if (s == OK && flops / median > *peak && !g->ops->burst) *peak = flops / median;
    if (s == OK && rows)
        (void)json_array_append_new(rows,
                                    json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:f}",
                                              "product", g->p.name, "form", forms[g->form],
                                              "precision", precisions[g->type == DTYPE_BF16], "m",
                                              (json_int_t)g->m, "n", (json_int_t)g->p.n, "k",
                                              (json_int_t)g->p.k, "median_s", median, "flops",
                                              flops / median, "spread", bench_spread(t)));
    free(t);
    return s;
}

static status product_rows(bench *b, gemm *g, double *peak, json_t *rows)
{
    int64_t nk = g->p.n * g->p.k;
    status s = fill(g, &g->x, g->type, g->m * g->p.k);
    if (s == OK) s = fill(g, &g->y, g->type, g->m * g->p.n);
    if (s == OK) s = fill(g, &g->w, g->type, nk);
    if (s == OK) s = g->ops->alloc(g->device, (void **)&g->dw, nk * 4);
    s = world_agree(b->w, s);
    for (g->form = 0; s == OK && g->form < FORMS; g->form++) s = measure(b, g, peak, rows);
    release(g, g->x, g->type, g->m * g->p.k);
    release(g, g->y, g->type, g->m * g->p.n);
    release(g, g->w, g->type, nk);
    release(g, g->dw, DTYPE_F32, nk);
    g->x = g->y = g->w = g->dw = NULL;
    return s;
}

static double burst_peak(const bench *b, dtype type)
{
    bench_times t = {.count = 5};
    if (!b->ops->burst) return 0.0;
    for (int i = 0; i < t.count; i++) t.s[i] = b->ops->burst(b->device, type);
    bench_sort(&t);
    return bench_quantile(&t, 0.5);
}

/* each product's share of the peak */
static void add_shares(json_t *rows, const double peak[PRECISIONS])
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        bool bf16 = strcmp(json_string_value(json_object_get(row, "precision")), "bf16") == 0;
        double rate = json_real_value(json_object_get(row, "flops"));
        (void)json_object_set_new(row, "share_of_peak", json_finite(rate / peak[bf16]));
    }
}

static double best_share(json_t *rows, int precision)
{
    size_t i;
    json_t *row;
    double best = NAN;
    json_array_foreach(rows, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "precision")), precisions[precision]) !=
            0)
            continue;
        double share = json_number_value(json_object_get(row, "share_of_peak"));
        if (!(share <= best)) best = share;
    }
    return best;
}

static json_t *report(json_t *rows, const double peak[PRECISIONS], bool burst)
{
    add_shares(rows, peak);
    return json_pack("{s:{s:o, s:o, s:s}, s:{s:o, s:o}, s:o}", "peak_flops", "fp32",
                     json_finite(peak[0]), "bf16", json_finite(peak[1]), "source",
                     burst ? "measured: products at their fastest, median of bursts beside the rows"
                           : "measured: the fastest of these products",
                     "best_share", "fp32", json_finite(best_share(rows, 0)), "bf16",
                     json_finite(best_share(rows, 1)), "rows", rows);
}

/* workspace for the largest product, in either precision */
static status reserve(bench *b, void **memory, int64_t *bytes)
{
    const config *c = b->options->cfg;
    op_shapes shapes = transformer_shapes(&c->model, c->train.micro_batch, DTYPE_F32);
    *bytes = 0;
    for (int p = 0; p < PRECISIONS; p++) {
        shapes.act = p ? DTYPE_BF16 : DTYPE_F32;
        int64_t need = b->ops->workspace_bytes(b->device, &shapes);
        if (need > *bytes) *bytes = need;
    }
    TRY(b->ops->alloc(b->device, memory, *bytes));
    return b->ops->reserve(b->device, *memory, *bytes, &shapes);
}

status bench_gemm(bench *b, json_t **out)
{
    const config *c = b->options->cfg;
    const model_config *m = &c->model;
    int64_t heads = m->heads * m->head_width, kv = m->kv_heads * m->head_width;
    const product products[PRODUCTS] = {
        {"qkv", heads + 2 * kv, m->width},
        {"attention_out", m->width, heads},
        {"mlp_in", config_gated(m) ? 2 * m->ffn : m->ffn, m->width},
        {"mlp_out", m->width, m->ffn},
        {"head", m->vocab, m->width},
    };
    void *workspace = NULL;
    int64_t bytes = 0;
    double peak[PRECISIONS] = {0, 0};
    json_t *rows = b->first ? json_array() : NULL;
    status s = world_agree(b->w, reserve(b, &workspace, &bytes));
    for (int p = 0; s == OK && p < PRECISIONS; p++) {
        dtype type = p ? DTYPE_BF16 : DTYPE_F32;
        bench_times bursts = {0};
        for (int i = 0; s == OK && i < PRODUCTS; i++) {
            bench_say(b, "gemm", "%s, %s", precisions[p], products[i].name);
            gemm g = {.ops = b->ops,
                      .device = b->device,
                      .type = type,
                      .p = products[i],
                      .m = c->train.micro_batch * m->context};
            bursts.s[bursts.count++] = burst_peak(b, type);
            s = product_rows(b, &g, &peak[p], rows);
            bursts.s[bursts.count++] = burst_peak(b, type);
        }
        bench_sort(&bursts);
        if (b->ops->burst) peak[p] = bench_quantile(&bursts, 0.5);
    }
    if (workspace) b->ops->release(b->device, workspace, bytes);
    if (s != OK) {
        json_decref(rows);
        return s;
    }
    if (b->first) *out = report(rows, peak, b->ops->burst != NULL);
    return OK;
}

#include "kernels/cuda/dnn_attention.h"
#include "kernels/cuda/dnn_graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct dnn_attention {
    dnn_library library;
    dnn_plan forward, backward;
    int64_t B, T, NH, NKV, HS; /* what the plans are for */
    float scale;
};

enum { WIDTH_MOST = 128, WIDTH_STEP = 8 };

/* Tensors that are named when a plan runs. */
typedef enum attention_uid {
    UID_Q = 1,
    UID_K,
    UID_V,
    UID_OUT,
    UID_LSE,
    UID_DOUT,
    UID_DQ,
    UID_DK,
    UID_DV,
    UID_SCALE,
    UID_HIDDEN,
    UID_ONE,
    UID_DELTA, /* in the workspace */
    UID_COUNT
} attention_uid;

/* --- layouts -------------------------------------------------------------- */

/* Heads of qkv (N, (NH + 2 NKV) HS): (B, heads, T, HS). */
static dnn_shape heads_of_qkv(const dnn_attention *a, int64_t heads)
{
    const int64_t W = (a->NH + 2 * a->NKV) * a->HS;
    return (dnn_shape){{a->B, heads, a->T, a->HS}, {a->T * W, a->HS, W, 1}};
}

static dnn_shape heads_of_out(const dnn_attention *a)
{
    const int64_t W = a->NH * a->HS;
    return (dnn_shape){{a->B, a->NH, a->T, a->HS}, {a->T * W, a->HS, W, 1}};
}

/* Rows and columns exchanged: the same memory. */
static dnn_shape turned(dnn_shape s)
{
    return (dnn_shape){{s.dim[0], s.dim[1], s.dim[3], s.dim[2]},
                       {s.stride[0], s.stride[1], s.stride[3], s.stride[2]}};
}

static dnn_shape scores_of(const dnn_attention *a) { return dnn_packed(a->B, a->NH, a->T, a->T); }
static dnn_shape rows_of(const dnn_attention *a) { return dnn_packed(a->B, a->NH, a->T, 1); }

/* --- parts of both graphs ------------------------------------------------- */

static const dnn_tensor none = {0};

/* y = mode(x, b) of x's shape */
static dnn_tensor apply(dnn_graph *g, cudnnPointwiseMode_t mode, dnn_tensor x, dnn_tensor b)
{
    dnn_tensor y = dnn_between(g, CUDNN_DATA_FLOAT, x.shape);
    dnn_pointwise(g, mode, y, x, b);
    return y;
}

/* x where the key is not behind the query, else minus infinity */
static dnn_tensor hide_later_keys(dnn_graph *g, dnn_tensor x)
{
    dnn_tensor query = dnn_between(g, CUDNN_DATA_INT32, x.shape);
    dnn_tensor key = dnn_between(g, CUDNN_DATA_INT32, x.shape);
    dnn_tensor seen = dnn_between(g, CUDNN_DATA_BOOLEAN, x.shape);
    dnn_tensor y = dnn_between(g, CUDNN_DATA_FLOAT, x.shape);
    dnn_place(g, query, x, 2);
    dnn_place(g, key, x, 3);
    dnn_pointwise(g, CUDNN_POINTWISE_CMP_GE, seen, query, key);
    dnn_select(g, y, x, dnn_number(g, UID_HIDDEN), seen);
    return y;
}

/* q @ k^T * scale */
static dnn_tensor scaled_scores(dnn_graph *g, const dnn_attention *a, dnn_tensor q, dnn_tensor kt,
                                dnn_tensor scale)
{
    dnn_tensor s = dnn_between(g, CUDNN_DATA_FLOAT, scores_of(a));
    dnn_product(g, s, q, kt);
    return apply(g, CUDNN_POINTWISE_MUL, s, scale);
}

/* --- forward -------------------------------------------------------------- */

/* m = max s, e = exp(s - m), l = sum e; lse = m + log l; out = e / l @ v */
static void describe_forward(dnn_graph *g, const dnn_attention *a)
{
    dnn_shape keys = heads_of_qkv(a, a->NKV);
    dnn_tensor q = dnn_bound(g, UID_Q, CUDNN_DATA_BFLOAT16, heads_of_qkv(a, a->NH));
    dnn_tensor kt = dnn_bound(g, UID_K, CUDNN_DATA_BFLOAT16, turned(keys));
    dnn_tensor v = dnn_bound(g, UID_V, CUDNN_DATA_BFLOAT16, keys);
    dnn_tensor out = dnn_bound(g, UID_OUT, CUDNN_DATA_BFLOAT16, heads_of_out(a));
    dnn_tensor lse = dnn_bound(g, UID_LSE, CUDNN_DATA_FLOAT, rows_of(a));
    dnn_tensor highest = dnn_between(g, CUDNN_DATA_FLOAT, rows_of(a));
    dnn_tensor total = dnn_between(g, CUDNN_DATA_FLOAT, rows_of(a));
    dnn_tensor weights = dnn_between(g, CUDNN_DATA_BFLOAT16, scores_of(a));

    dnn_tensor s = hide_later_keys(g, scaled_scores(g, a, q, kt, dnn_number(g, UID_SCALE)));
    dnn_reduce(g, CUDNN_REDUCE_TENSOR_MAX, highest, s);
    dnn_tensor lower = apply(g, CUDNN_POINTWISE_SUB, s, highest);
    dnn_tensor power = apply(g, CUDNN_POINTWISE_EXP, lower, none);
    dnn_reduce(g, CUDNN_REDUCE_TENSOR_ADD, total, power);
    dnn_tensor logarithm = apply(g, CUDNN_POINTWISE_LOG, total, none);
    dnn_pointwise(g, CUDNN_POINTWISE_ADD, lse, highest, logarithm);
    dnn_pointwise(g, CUDNN_POINTWISE_DIV, weights, power, total);
    dnn_product(g, out, weights, v);
}

/* --- backward ------------------------------------------------------------- */

/* The heads of q that share a head of keys are summed. */
static void product_per_key_head(dnn_graph *g, const dnn_attention *a, dnn_tensor d, dnn_tensor x,
                                 dnn_tensor y)
{
    if (a->NH == a->NKV) {
        dnn_product(g, d, x, y);
        return;
    }
    dnn_tensor all = dnn_between(g, CUDNN_DATA_BFLOAT16, dnn_packed(a->B, a->NH, a->T, a->HS));
    dnn_product(g, all, x, y);
    dnn_reduce(g, CUDNN_REDUCE_TENSOR_ADD, d, all);
}

/* x as bf16 with rows and columns exchanged */
static dnn_tensor turn(dnn_graph *g, dnn_tensor x)
{
    dnn_tensor y = dnn_between(g, CUDNN_DATA_BFLOAT16, turned(x.shape));
    dnn_reshape(g, y, x);
    return y;
}

/* delta = rowsum(dout * out); p = exp(s - lse); dv = p^T @ dout;
 * ds = p * (dout @ v^T - delta) * scale; dk = ds^T @ q; dq = ds @ k. Sums times one are what the
 * library knows: without that it keeps three arrays of scores instead of one (9.19). */
static void describe_backward(dnn_graph *g, const dnn_attention *a)
{
    dnn_shape keys = heads_of_qkv(a, a->NKV), queries = heads_of_qkv(a, a->NH);
    dnn_tensor q = dnn_bound(g, UID_Q, CUDNN_DATA_BFLOAT16, queries);
    dnn_tensor kt = dnn_bound(g, UID_K, CUDNN_DATA_BFLOAT16, turned(keys));
    dnn_tensor vt = dnn_bound(g, UID_V, CUDNN_DATA_BFLOAT16, turned(keys));
    dnn_tensor out = dnn_bound(g, UID_OUT, CUDNN_DATA_BFLOAT16, heads_of_out(a));
    dnn_tensor dout = dnn_bound(g, UID_DOUT, CUDNN_DATA_BFLOAT16, heads_of_out(a));
    dnn_tensor lse = dnn_bound(g, UID_LSE, CUDNN_DATA_FLOAT, rows_of(a));
    dnn_tensor delta = dnn_bound(g, UID_DELTA, CUDNN_DATA_FLOAT, rows_of(a));
    dnn_tensor dq = dnn_bound(g, UID_DQ, CUDNN_DATA_BFLOAT16, queries);
    dnn_tensor dk = dnn_bound(g, UID_DK, CUDNN_DATA_BFLOAT16, keys);
    dnn_tensor dv = dnn_bound(g, UID_DV, CUDNN_DATA_BFLOAT16, keys);
    dnn_tensor scale = dnn_number(g, UID_SCALE);

    dnn_tensor both = dnn_between(g, CUDNN_DATA_FLOAT, dnn_packed(a->B, a->NH, a->T, a->HS));
    dnn_tensor sums = dnn_between(g, CUDNN_DATA_FLOAT, rows_of(a));
    dnn_pointwise(g, CUDNN_POINTWISE_MUL, both, dout, out);
    dnn_reduce(g, CUDNN_REDUCE_TENSOR_ADD, sums, both);
    dnn_pointwise(g, CUDNN_POINTWISE_MUL, delta, sums, dnn_number(g, UID_ONE));

    dnn_tensor s = scaled_scores(g, a, q, kt, scale);
    dnn_tensor lower = hide_later_keys(g, apply(g, CUDNN_POINTWISE_SUB, s, lse));
    dnn_tensor p = apply(g, CUDNN_POINTWISE_EXP, lower, none);
    product_per_key_head(g, a, dv, turn(g, p), dout);

    dnn_tensor dp = dnn_between(g, CUDNN_DATA_FLOAT, scores_of(a));
    dnn_product(g, dp, dout, vt);
    dnn_tensor centred = apply(g, CUDNN_POINTWISE_SUB, dp, delta);
    dnn_tensor weighted = apply(g, CUDNN_POINTWISE_MUL, centred, p);
    dnn_tensor ds = dnn_between(g, CUDNN_DATA_BFLOAT16, scores_of(a));
    dnn_pointwise(g, CUDNN_POINTWISE_MUL, ds, weighted, scale);
    product_per_key_head(g, a, dk, turn(g, ds), q);

    dnn_tensor k = dnn_between(g, CUDNN_DATA_BFLOAT16, keys);
    dnn_reshape(g, k, kt);
    dnn_product(g, dq, ds, k);
}

/* --- plans ---------------------------------------------------------------- */

static int64_t round_256(int64_t bytes) { return (bytes + 255) / 256 * 256; }
static int64_t delta_bytes(const dnn_attention *a) { return round_256(a->B * a->NH * a->T * 4); }

int64_t dnn_attention_workspace(const dnn_attention *a)
{
    if (!a) return 0;
    const int64_t forward = a->forward.workspace_bytes;
    const int64_t backward = delta_bytes(a) + a->backward.workspace_bytes;
    return round_256(forward > backward ? forward : backward);
}

static status open_plan(dnn_plan *out, const dnn_attention *a,
                        void (*describe)(dnn_graph *g, const dnn_attention *a), const char *pass)
{
    dnn_graph g;
    char why[400], version[32];
    dnn_graph_init(&g, &a->library);
    describe(&g, a);
    if (dnn_plan_open(out, &g) == OK) return OK;
    (void)snprintf(why, sizeof why, "%s", status_message());
    dnn_library_version(&a->library, version, sizeof version);
    FAIL(ERR_CONFIG, "cuDNN %s refuses the %s pass: %s", version, pass, why);
}

static status open_all(dnn_attention *a, const op_shapes *s, cudaStream_t stream,
                       const char *properties)
{
    REQUIRE(s->act == DTYPE_BF16, ERR_CONFIG, "cuDNN has fused attention for bf16, not for fp32");
    REQUIRE(s->HS % WIDTH_STEP == 0 && s->HS <= WIDTH_MOST, ERR_CONFIG,
            "cuDNN takes heads of a multiple of %d up to %d, not %lld", WIDTH_STEP, WIDTH_MOST,
            (long long)s->HS);
    REQUIRE(s->B > 0 && s->T > 0, ERR_CONFIG, "cuDNN has no attention over nothing");
    TRY(dnn_library_open(&a->library, stream, properties));
    TRY(open_plan(&a->forward, a, describe_forward, "forward"));
    return open_plan(&a->backward, a, describe_backward, "backward");
}

status dnn_attention_open(dnn_attention **out, const op_shapes *s, cudaStream_t stream,
                          const char *properties)
{
    dnn_attention *a = malloc(sizeof *a);
    REQUIRE(a, ERR_MEMORY, "no memory for plans of attention");
    *a = (dnn_attention){.B = s->B,
                         .T = s->T,
                         .NH = s->NH,
                         .NKV = s->NKV,
                         .HS = s->HS,
                         .scale = 1.f / sqrtf((float)s->HS)};
    status code = open_all(a, s, stream, properties);
    if (code == OK)
        *out = a;
    else
        dnn_attention_close(a);
    return code;
}

void dnn_attention_close(dnn_attention *a)
{
    if (!a) return;
    dnn_plan_close(&a->forward);
    dnn_plan_close(&a->backward);
    dnn_library_close(&a->library);
    free(a);
}

void dnn_attention_version(const dnn_attention *a, char *text, size_t bytes)
{
    dnn_library_version(&a->library, text, bytes);
}

/* --- a pass --------------------------------------------------------------- */

/* Tensors and numbers by uid. */
typedef struct binding {
    int64_t uid[UID_COUNT];
    void *data[UID_COUNT];
    int64_t count;
    float scale, hidden, one; /* read by the library while it queues */
} binding;

static void bind(binding *b, attention_uid uid, void *data)
{
    b->uid[b->count] = uid;
    b->data[b->count++] = data;
}

static void bind_inputs(binding *b, const dnn_attention *a, tensor qkv)
{
    char *q = qkv.data;
    b->scale = a->scale;
    b->hidden = -INFINITY;
    b->one = 1.f;
    bind(b, UID_Q, q);
    bind(b, UID_K, q + a->NH * a->HS * 2);
    bind(b, UID_V, q + (a->NH + a->NKV) * a->HS * 2);
    bind(b, UID_SCALE, &b->scale);
    bind(b, UID_HIDDEN, &b->hidden);
}

#define REQUIRE_SHAPES(a, args)                                                                    \
    REQUIRE((a)->B == (args)->B && (a)->T == (args)->T && (a)->NH == (args)->NH &&                 \
                (a)->NKV == (args)->NKV && (a)->HS == (args)->HS,                                  \
            ERR_INTERNAL, "cuDNN was given %lld x %lld, %lld heads; its plans are for others",     \
            (long long)(args)->B, (long long)(args)->T, (long long)(args)->NH)

status dnn_attention_forward(const dnn_attention *a, const attention_args *args, void *workspace)
{
    binding b = {0};
    if (args->B == 0) return OK;
    REQUIRE_SHAPES(a, args);
    bind_inputs(&b, a, args->qkv);
    bind(&b, UID_OUT, args->out.data);
    bind(&b, UID_LSE, args->lse.data);
    return dnn_plan_run(&a->forward, b.count, b.uid, b.data, workspace);
}

status dnn_attention_backward(const dnn_attention *a, const attention_backward_args *args,
                              void *workspace)
{
    binding b = {0};
    char *dq = args->dqkv.data;
    if (args->B == 0) return OK;
    REQUIRE_SHAPES(a, args);
    bind_inputs(&b, a, args->qkv);
    bind(&b, UID_OUT, args->out.data);
    bind(&b, UID_LSE, args->lse.data);
    bind(&b, UID_DOUT, args->dout.data);
    bind(&b, UID_DQ, dq);
    bind(&b, UID_DK, dq + a->NH * a->HS * 2);
    bind(&b, UID_DV, dq + (a->NH + a->NKV) * a->HS * 2);
    bind(&b, UID_ONE, &b.one);
    bind(&b, UID_DELTA, workspace);
    return dnn_plan_run(&a->backward, b.count, b.uid, b.data, (char *)workspace + delta_bytes(a));
}

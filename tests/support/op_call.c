/* how a case becomes arguments in memory, and how they go to a device and back */
#include "base/rng.h"
#include "support/op_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void *own(op_call *call, int64_t bytes)
{
    ASSERT(call->owned_count < OP_CALL_OWNED_MAX);
    void *memory = calloc(1, (size_t)bytes + 1);
    ASSERT(memory);
    call->owned[call->owned_count++] = memory;
    return memory;
}

void op_call_free(op_call *call)
{
    for (int i = 0; i < call->owned_count; i++) free(call->owned[i]);
    call->owned_count = 0;
}

tensor op_call_tensor(op_call *call, tensor shape)
{
    shape.data = own(call, tensor_bytes(shape));
    return shape;
}

static void put(tensor t, int64_t i, double value)
{
    switch (t.type) {
    case DTYPE_F32:
        ((float *)t.data)[i] = (float)value;
        break;
    case DTYPE_BF16:
        ((uint16_t *)t.data)[i] = bf16_from_f32((float)value);
        break;
    case DTYPE_F64:
        ((double *)t.data)[i] = value;
        break;
    case DTYPE_I32:
        ((int32_t *)t.data)[i] = (int32_t)value;
        break;
    case DTYPE_I64:
        ((int64_t *)t.data)[i] = (int64_t)value;
        break;
    case DTYPE_U64:
        ((uint64_t *)t.data)[i] = (uint64_t)value;
        break;
    }
}

tensor op_call_normal(op_call *call, tensor shape, double scale)
{
    tensor t = op_call_tensor(call, shape);
    uint64_t stream = (uint64_t)call->owned_count + 64 * (uint64_t)call->op;
    for (int64_t i = 0; i < tensor_count(t); i++) {
        double pair[2];
        rng_normal2(7, RNG_TEST, stream, (uint64_t)i, pair);
        put(t, i, pair[0] * scale);
    }
    return t;
}

/* integers in [0, below) */
static tensor indices(op_call *call, int64_t n, int64_t below)
{
    tensor t = op_call_tensor(call, tensor_1(NULL, DTYPE_I32, n));
    for (int64_t i = 0; i < n; i++)
        put(t, i, floor(rng_uniform(8, RNG_TEST, call->op, (uint64_t)i) * (double)below));
    /* both ends occur */
    if (n > 0) put(t, n - 1, (double)(below - 1));
    return t;
}

/* the type of what is f32 in a run */
static dtype wide(const op_call *call) { return call->act == DTYPE_F64 ? DTYPE_F64 : DTYPE_F32; }
#define ACT(...)  tensor_of(call->act, __VA_ARGS__)
#define WIDE(...) tensor_of(wide(call), __VA_ARGS__)
static tensor tensor_of(dtype type, int64_t n, int64_t m) { return tensor_2(NULL, type, n, m); }
static tensor line(dtype type, int64_t n) { return tensor_1(NULL, type, n); }

static void build_embed(op_call *call, const op_case *c)
{
    embed_args *a = &call->args.embed;
    a->out = op_call_tensor(call, WIDE(c->B * c->T, c->C));
    a->table = op_call_normal(call, ACT(c->V, c->C), 1);
    if (c->options & OPT_POSITIONS) a->positions = op_call_normal(call, ACT(c->T, c->C), 1);
    a->tokens = indices(call, c->B * c->T, c->V);
    a->T = c->T;
}

static void build_embed_backward(op_call *call, const op_case *c)
{
    embed_backward_args *a = &call->args.embed_backward;
    a->dtable = op_call_normal(call, WIDE(c->V, c->C), 1);
    if (c->options & OPT_POSITIONS) a->dpositions = op_call_tensor(call, WIDE(c->T, c->C));
    a->dout = op_call_normal(call, WIDE(c->B * c->T, c->C), 1);
    a->tokens = indices(call, c->B * c->T, c->V);
    a->T = c->T;
}

static tensor gains(op_call *call, int64_t n)
{
    tensor t = op_call_normal(call, line(call->act, n), 1);
    for (int64_t i = 0; i < n; i++) put(t, i, 1 + 0.2 * rng_uniform(9, RNG_TEST, 0, (uint64_t)i));
    return t;
}

static void build_norm(op_call *call, const op_case *c)
{
    norm_args *a = &call->args.norm;
    int64_t N = c->B * c->T;
    a->kind = c->options & OPT_LAYER ? NORM_LAYER : NORM_RMS;
    a->eps = 1e-5f;
    a->out = op_call_tensor(call, ACT(N, c->C));
    a->x = op_call_normal(call, WIDE(N, c->C), c->options & OPT_LARGE ? 1e4 : 1);
    if (c->options & OPT_DELTA) a->delta = op_call_normal(call, ACT(N, c->C), 1);
    if (c->options & (OPT_DELTA | OPT_SUM)) a->sum = op_call_tensor(call, WIDE(N, c->C));
    if (c->options & OPT_ALIAS) a->sum = a->x;
    if (c->options & OPT_LAYER) a->mean = op_call_tensor(call, line(wide(call), N));
    a->rstd = op_call_tensor(call, line(wide(call), N));
    a->gain = gains(call, c->C);
    if (c->options & OPT_BIAS) a->bias = op_call_normal(call, line(call->act, c->C), 1);
}

/* mean and rstd of x as the forward pass leaves them */
static void build_norm_backward(op_call *call, const op_case *c)
{
    norm_backward_args *a = &call->args.norm_backward;
    int64_t N = c->B * c->T;
    a->kind = c->options & OPT_LAYER ? NORM_LAYER : NORM_RMS;
    a->dx = op_call_normal(call, WIDE(N, c->C), 1);
    if (c->options & OPT_COPY) a->dx_act = op_call_tensor(call, ACT(N, c->C));
    a->dgain = op_call_tensor(call, line(wide(call), c->C));
    if (c->options & OPT_BIAS) a->dbias = op_call_tensor(call, line(wide(call), c->C));
    a->dout = op_call_normal(call, ACT(N, c->C), 1);
    a->x = op_call_normal(call, WIDE(N, c->C), 1);
    a->gain = gains(call, c->C);
    if (a->kind == NORM_LAYER) a->mean = op_call_tensor(call, line(wide(call), N));
    a->rstd = op_call_tensor(call, line(wide(call), N));
    tensor out = op_call_tensor(call, ACT(N, c->C));
    norm_args forward = {.kind = a->kind,
                         .eps = 1e-5f,
                         .out = out,
                         .mean = a->mean,
                         .rstd = a->rstd,
                         .x = a->x,
                         .gain = a->gain};
    ASSERT(ref_ops.norm(NULL, &forward) == OK);
}

static void build_linear(op_call *call, const op_case *c)
{
    linear_args *a = &call->args.linear;
    int64_t M = c->B * c->T;
    double scale = c->options & OPT_LARGE ? 30 : 1;
    dtype out = c->options & OPT_F32_OUT ? wide(call) : call->act;
    a->out = op_call_tensor(call, tensor_of(out, M, c->F));
    a->act = c->options & OPT_GELU ? ACT_GELU : ACT_NONE;
    if (a->act) a->pre = op_call_tensor(call, ACT(M, c->F));
    a->x = op_call_normal(call, ACT(M, c->C), scale);
    a->w = op_call_normal(call, ACT(c->F, c->C), 1 / sqrt((double)c->C));
    if (c->options & OPT_BIAS) a->bias = op_call_normal(call, line(call->act, c->F), 1);
}

static void build_linear_backward_input(op_call *call, const op_case *c)
{
    linear_backward_input_args *a = &call->args.linear_backward_input;
    int64_t M = c->B * c->T;
    a->dx = op_call_tensor(call, ACT(M, c->C));
    a->dy = op_call_normal(call, ACT(M, c->F), 1);
    a->w = op_call_normal(call, ACT(c->F, c->C), 1 / sqrt((double)c->F));
    a->act = c->options & OPT_GELU ? ACT_GELU : ACT_NONE;
    if (a->act) a->pre = op_call_normal(call, ACT(M, c->C), c->options & OPT_LARGE ? 30 : 1);
}

static void build_linear_backward_weight(op_call *call, const op_case *c)
{
    linear_backward_weight_args *a = &call->args.linear_backward_weight;
    int64_t M = c->B * c->T;
    a->dw = op_call_tensor(call, WIDE(c->F, c->C));
    if (c->options & OPT_BIAS) a->dbias = op_call_tensor(call, line(wide(call), c->F));
    a->dy = op_call_normal(call, ACT(M, c->F), 1);
    a->x = op_call_normal(call, ACT(M, c->C), 1);
}

static void build_swiglu(op_call *call, const op_case *c)
{
    swiglu_args *a = &call->args.swiglu;
    int64_t N = c->B * c->T;
    a->out = op_call_tensor(call, ACT(N, c->F));
    a->gate_up = op_call_normal(call, ACT(N, 2 * c->F), c->options & OPT_LARGE ? 60 : 1);
}

static void build_swiglu_backward(op_call *call, const op_case *c)
{
    swiglu_backward_args *a = &call->args.swiglu_backward;
    int64_t N = c->B * c->T;
    a->dgate_up = op_call_tensor(call, ACT(N, 2 * c->F));
    a->dout = op_call_normal(call, ACT(N, c->F), 1);
    a->gate_up = op_call_normal(call, ACT(N, 2 * c->F), c->options & OPT_LARGE ? 60 : 1);
}

static void build_rope(op_call *call, const op_case *c)
{
    rope_args *a = &call->args.rope;
    int64_t half = c->HS / 2;
    a->qkv = op_call_normal(call, ACT(c->B * c->T, (c->NH + 2 * c->NKV) * c->HS), 1);
    a->table = op_call_tensor(call, tensor_3(NULL, wide(call), c->T, half, 2));
    for (int64_t i = 0; i < c->T * half; i++) {
        double angle = (double)(i / half) * pow(10000, -(double)(i % half) / (double)half);
        put(a->table, 2 * i, cos(angle));
        put(a->table, 2 * i + 1, sin(angle));
    }
    a->T = c->T, a->NH = c->NH, a->NKV = c->NKV, a->HS = c->HS;
    a->inverse = (c->options & OPT_INVERSE) != 0;
}

static void build_attention(op_call *call, const op_case *c)
{
    attention_args *a = &call->args.attention;
    int64_t N = c->B * c->T;
    a->out = op_call_tensor(call, ACT(N, c->NH * c->HS));
    a->lse = op_call_tensor(call, tensor_3(NULL, wide(call), c->B, c->NH, c->T));
    a->qkv =
        op_call_normal(call, ACT(N, (c->NH + 2 * c->NKV) * c->HS), c->options & OPT_LARGE ? 12 : 1);
    a->B = c->B, a->T = c->T, a->NH = c->NH, a->NKV = c->NKV, a->HS = c->HS;
}

/* out and lse as the forward pass leaves them */
static void build_attention_backward(op_call *call, const op_case *c)
{
    attention_backward_args *a = &call->args.attention_backward;
    int64_t N = c->B * c->T, W = (c->NH + 2 * c->NKV) * c->HS;
    a->dqkv = op_call_tensor(call, ACT(N, W));
    a->dout = op_call_normal(call, ACT(N, c->NH * c->HS), 1);
    a->out = op_call_tensor(call, ACT(N, c->NH * c->HS));
    a->lse = op_call_tensor(call, tensor_3(NULL, wide(call), c->B, c->NH, c->T));
    a->qkv = op_call_normal(call, ACT(N, W), c->options & OPT_LARGE ? 5 : 1);
    a->B = c->B, a->T = c->T, a->NH = c->NH, a->NKV = c->NKV, a->HS = c->HS;
    attention_args forward = {a->out, a->lse, a->qkv, c->B, c->T, c->NH, c->NKV, c->HS};
    device *d;
    ASSERT(ref_ops.open(&d, NULL) == OK);
    int64_t bytes = ref_ops.workspace_bytes(d, &call->shapes);
    ASSERT(ref_ops.reserve(d, own(call, bytes), bytes, &call->shapes) == OK);
    ASSERT(ref_ops.attention(d, &forward) == OK);
    ref_ops.close(d);
}

static void build_head(op_call *call, const op_case *c)
{
    head_args *a = &call->args.head;
    int64_t N = c->B * c->T;
    a->losses = op_call_tensor(call, line(wide(call), N));
    if (!(c->options & OPT_LOSS_ONLY)) {
        a->dx = op_call_tensor(call, ACT(N, c->C));
        a->dw = op_call_tensor(call, WIDE(c->V, c->C));
    }
    a->x = op_call_normal(call, ACT(N, c->C), c->options & OPT_LARGE ? 30 : 1);
    a->w = op_call_normal(call, ACT(c->V, c->C), 1.5 / sqrt((double)c->C));
    a->targets = indices(call, N, c->V);
    a->z_loss = c->options & OPT_Z_LOSS ? 0.125f : 0;
}

static void build_accumulate(op_call *call, const op_case *c)
{
    accumulate_args *a = &call->args.accumulate;
    int64_t n = c->B * c->T;
    bool fast = c->options & OPT_FAST;
    a->kind = fast ? REDUCTION_FAST : REDUCTION_EXACT;
    a->sum = op_call_normal(call, line(fast ? DTYPE_F32 : DTYPE_I64, n), fast ? 1 : 0x1p44);
    a->gradient = op_call_normal(call, line(DTYPE_F32, n), 1);
    a->flag = op_call_tensor(call, line(DTYPE_I32, 1)).data;
    a->first = c->options & OPT_FIRST;
    if (c->options & OPT_CLIP) a->limit = 0x1p63 / 3;
    /* what must set the flag or just not, sums at the ends of int64, and halves that round to even
     */
    static const double odd[] = {NAN,        INFINITY,      -INFINITY,
                                 0x1p18,     -0x1p18,       0x1.fffffep17,
                                 0x1p-45,    3e38,          -0x1.fffffep17,
                                 0x1.8p-44,  -0x1p-45,      0x1p-149,
                                 -0x1.8p-44, 0x1.555554p17, 0x1.555556p17};
    for (int64_t i = 0; i < n && (c->options & OPT_LARGE); i++) {
        if (i % 3 == 0) put(a->gradient, i, odd[i / 3 % 15]);
        if (!fast && i % 2 == 0)
            ((int64_t *)a->sum.data)[i] = i % 4 ? INT64_MAX - i : INT64_MIN + i;
    }
}

static void build_sum_squares(op_call *call, const op_case *c)
{
    sum_squares_args *a = &call->args.sum_squares;
    int64_t n = c->B * c->T;
    bool fast = c->options & OPT_FAST;
    a->out = op_call_tensor(call, line(DTYPE_F64, (n + CHUNK - 1) / CHUNK));
    a->values = op_call_normal(call, line(fast ? DTYPE_F32 : DTYPE_I64, n), fast ? 1 : 0x1p44);
}

static step_scalars *scalars(op_call *call)
{
    step_scalars *s = own(call, (int64_t)sizeof *s);
    *s = (step_scalars){.learning_rate = 1e-2f,
                        .beta1 = 0.9f,
                        .beta2 = 0.95f,
                        .eps = 1e-8f,
                        .weight_decay = 0.1f,
                        .bias1 = 0.271f,
                        .bias2 = 0.142625f,
                        .mean_scale = 0.125,
                        .gradient_scale = 0.125};
    return s;
}

static void build_clip_scalars(op_call *call, const op_case *c)
{
    clip_args *a = &call->args.clip_scalars;
    a->scalars = scalars(call);
    a->scalars->clip = c->options & OPT_CLIP ? 0.01f : c->options & OPT_FAST ? 0 : 1e6f;
    a->squares = op_call_normal(call, line(DTYPE_F64, c->B * c->T), 1);
    for (int64_t i = 0; i < c->B * c->T; i++)
        put(a->squares, i, pow(((double *)a->squares.data)[i], 2));
    if (c->options & OPT_LARGE) put(a->squares, 0, INFINITY);
    a->flag = op_call_tensor(call, line(DTYPE_I32, 1)).data;
    if (c->options & OPT_SKIP) memcpy(call->owned[call->owned_count - 1], &(int32_t){1}, 4);
    a->kind = c->options & OPT_FAST ? REDUCTION_FAST : REDUCTION_EXACT;
}

static void build_adamw(op_call *call, const op_case *c)
{
    adamw_args *a = &call->args.adamw;
    int64_t n = c->B * c->T;
    bool fast = c->options & OPT_FAST;
    step_scalars *s = scalars(call);
    if (!fast) s->gradient_scale *= 1 / EXACT_SCALE;
    s->skip = (c->options & OPT_SKIP) != 0;
    a->weights = op_call_normal(call, line(DTYPE_F32, n), 0.5);
    if (c->options & OPT_COPY) a->copy = op_call_tensor(call, line(DTYPE_BF16, n));
    a->m = op_call_normal(call, line(DTYPE_F32, n), 0.1);
    a->v = op_call_normal(call, line(DTYPE_F32, n), 0.1);
    for (int64_t i = 0; i < n; i++) ((float *)a->v.data)[i] *= ((float *)a->v.data)[i];
    a->gradient = op_call_normal(call, line(fast ? DTYPE_F32 : DTYPE_I64, n), fast ? 1 : 0x1p44);
    a->decay = c->options & OPT_DECAY;
    a->rate = a->decay ? 0.3f : 1;
    a->scalars = s;
}

/* values of every kind: their bits are what counts */
static void odd_bits(tensor t)
{
    static const float odd[] = {NAN,       INFINITY, -INFINITY, -0.0f,
                                0x1p-149f, 3.4e38f,  0x1.01p0f, 0x1.03p0f};
    for (int64_t i = 0; i < tensor_count(t); i += 3) put(t, i, (double)odd[i / 3 % 8]);
}

static void build_digest(op_call *call, const op_case *c)
{
    int64_t n = c->B * c->T;
    call->args.digest.out = op_call_tensor(call, line(DTYPE_U64, (n + CHUNK - 1) / CHUNK));
    call->args.digest.values = op_call_normal(call, line(DTYPE_F32, n), 1);
    if (c->options & OPT_LARGE) odd_bits(call->args.digest.values);
}

static void build_convert(op_call *call, const op_case *c)
{
    const dtype to = c->options & OPT_TO_BF16 ? DTYPE_BF16 : DTYPE_F32;
    const dtype other = to == DTYPE_F32 ? DTYPE_BF16 : DTYPE_F32;
    int64_t n = c->B * c->T;
    call->args.convert.to = op_call_tensor(call, line(to, n));
    call->args.convert.from = op_call_normal(call, line(c->options & OPT_SAME ? to : other, n), 1);
    if (c->options & OPT_LARGE) odd_bits(call->args.convert.from);
}

static int64_t at_least_one(int64_t n) { return n > 1 ? n : 1; }

void op_call_build(op_call *out, const op_case *c, dtype act)
{
    *out = (op_call){.op = c->op, .act = act};
    out->shapes = (op_shapes){.B = at_least_one(c->B),
                              .T = at_least_one(c->T),
                              .C = at_least_one(c->C),
                              .F = at_least_one(c->F),
                              .V = at_least_one(c->V),
                              .NH = at_least_one(c->NH),
                              .NKV = at_least_one(c->NKV),
                              .HS = at_least_one(c->HS),
                              .gated = c->op == OP_swiglu || c->op == OP_swiglu_backward,
                              .act = act};
    (void)snprintf(out->name, sizeof out->name,
                   "%s %s B %lld T %lld C %lld F %lld V %lld NH %lld NKV %lld HS %lld options %#x",
                   op_table[c->op].name,
                   act == DTYPE_BF16  ? "bf16"
                   : act == DTYPE_F64 ? "f64"
                                      : "f32",
                   (long long)c->B, (long long)c->T, (long long)c->C, (long long)c->F,
                   (long long)c->V, (long long)c->NH, (long long)c->NKV, (long long)c->HS,
                   (unsigned)c->options);
    switch (c->op) {
#define AS_BUILD(name)                                                                             \
    case OP_##name:                                                                                \
        build_##name(out, c);                                                                      \
        break;
        OP_LIST(AS_BUILD)
    case OP_COUNT:
        break;
    }
}

/* calls visit for every field with memory that no earlier field has */
static int first_with(op_id op, const op_args *a, int i)
{
    for (int j = 0; j < i; j++)
        if (op_field_get(op, a, j).data == op_field_get(op, a, i).data) return j;
    return i;
}

void op_call_copy(op_call *out, const op_call *from)
{
    *out = *from;
    out->owned_count = 0;
    for (int i = 0; i < op_table[from->op].fields; i++) {
        tensor t = op_field_get(from->op, &from->args, i);
        int j = first_with(from->op, &from->args, i);
        if (!t.data) continue;
        const void *data = t.data;
        t.data = j < i ? op_field_get(out->op, &out->args, j).data : own(out, tensor_bytes(t));
        if (j == i) memcpy(t.data, data, (size_t)tensor_bytes(t));
        op_field_set(out->op, &out->args, i, t);
    }
}

static status run_here(op_call *call, const op_args *here, const ops *o, device *d, void *workspace,
                       int64_t workspace_bytes)
{
    TRY(o->reserve(d, workspace, workspace_bytes, &call->shapes));
    TRY(op_run(o, d, call->op, here));
    TRY(o->sync(d));
    for (int i = 0; i < op_table[call->op].fields; i++) {
        tensor t = op_field_get(call->op, &call->args, i);
        if (t.data)
            TRY(o->download(d, t.data, op_field_get(call->op, here, i).data, tensor_bytes(t)));
    }
    return OK;
}

static status fill(const ops *o, device *d, char *memory, int64_t bytes, unsigned char dirt)
{
    char piece[65536];
    memset(piece, dirt, sizeof piece);
    for (int64_t at = 0, n; at < bytes; at += n) {
        n = bytes - at < (int64_t)sizeof piece ? bytes - at : (int64_t)sizeof piece;
        TRY(o->upload(d, memory + at, piece, n));
    }
    return OK;
}

status op_call_run(op_call *call, const ops *o, device *d, unsigned char dirt)
{
    op_args here = call->args;
    int64_t workspace_bytes = o->workspace_bytes(d, &call->shapes);
    void *workspace = NULL;
    TRY(o->alloc(d, &workspace, workspace_bytes));
    TRY(fill(o, d, workspace, workspace_bytes, dirt));
    /* fields that share memory here share it there */
    for (int i = 0; i < op_table[call->op].fields; i++) {
        tensor t = op_field_get(call->op, &call->args, i), there = t;
        int j = first_with(call->op, &call->args, i);
        if (!t.data) continue;
        if (j < i) there.data = op_field_get(call->op, &here, j).data;
        if (j == i) TRY(o->alloc(d, &there.data, at_least_one(tensor_bytes(t))));
        if (j == i) TRY(o->upload(d, there.data, t.data, tensor_bytes(t)));
        op_field_set(call->op, &here, i, there);
    }
    status s = run_here(call, &here, o, d, workspace, workspace_bytes);
    for (int i = 0; i < op_table[call->op].fields; i++) {
        tensor t = op_field_get(call->op, &here, i);
        if (t.data && first_with(call->op, &call->args, i) == i)
            o->release(d, t.data, at_least_one(tensor_bytes(t)));
    }
    o->release(d, workspace, workspace_bytes);
    return s;
}

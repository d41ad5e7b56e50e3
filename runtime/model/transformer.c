#include "model/transformer.h"

#include <math.h>
#include <stdlib.h>

static norm_kind kind_of(const transformer *t)
{
    return t->config->norm == MODEL_LAYERNORM ? NORM_LAYER : NORM_RMS;
}

static layer_activations *layer_of(const transformer *t, int32_t l)
{
    return &t->act->layer[t->act->kept == 1 ? 0 : l];
}

op_shapes transformer_shapes(const model_config *m, int64_t B, dtype act)
{
    return (op_shapes){.B = B,
                       .T = m->context,
                       .C = m->width,
                       .F = m->ffn,
                       .V = m->vocab,
                       .NH = m->heads,
                       .NKV = m->kv_heads,
                       .HS = m->head_width,
                       .gated = config_gated(m),
                       .act = act};
}

status transformer_prepare(const transformer *t)
{
    tensor table = t->act->rope;
    if (!table.data) return OK;
    float *host = malloc((size_t)tensor_bytes(table));
    REQUIRE(host, ERR_MEMORY, "cannot reserve the rotary table");
    int64_t T = table.dim[0], half = table.dim[1];
    for (int64_t p = 0; p < T; p++)
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)p * pow(t->config->rope_theta, -(double)i / (double)half);
            host[(p * half + i) * 2] = (float)cos(angle);
            host[(p * half + i) * 2 + 1] = (float)sin(angle);
        }
    status s = t->ops->upload(t->device, table.data, host, tensor_bytes(table));
    free(host);
    return s;
}

status transformer_load(const transformer *t, const int32_t *tokens)
{
    int64_t T = t->act->T;
    for (int64_t b = 0; b < t->act->B; b++) {
        const int32_t *row = tokens + b * (T + 1);
        TRY(t->ops->upload(t->device, (int32_t *)t->act->tokens.data + b * T, row, T * 4));
        TRY(t->ops->upload(t->device, (int32_t *)t->act->targets.data + b * T, row + 1, T * 4));
    }
    return OK;
}

/* sum = x + delta; out = norm(sum) with the gain and bias of this role */
static status norm_forward(const transformer *t, param_role gain, int32_t layer, tensor out,
                           tensor sum, tensor x, tensor delta, tensor mean, tensor rstd)
{
    return t->ops->norm(t->device, &(norm_args){.kind = kind_of(t),
                                                .eps = (float)t->config->norm_eps,
                                                .out = out,
                                                .sum = delta.data ? sum : (tensor){0},
                                                .mean = mean,
                                                .rstd = rstd,
                                                .x = x,
                                                .delta = delta,
                                                .gain = params_weight(t->params, gain, layer),
                                                .bias = params_weight(t->params, gain + 1, layer)});
}

static rope_args rope_of(const transformer *t, tensor qkv, bool inverse)
{
    const model_config *m = t->config;
    return (rope_args){.qkv = qkv,
                       .table = t->act->rope,
                       .T = t->act->T,
                       .NH = m->heads,
                       .NKV = m->kv_heads,
                       .HS = m->head_width,
                       .inverse = inverse};
}

/* The parameter rows of one linear layer; several adjacent ones act as one matrix. */
typedef struct linear_rows {
    param_role first, last, first_bias, last_bias;
} linear_rows;
static const linear_rows rows_qkv = {PARAM_Q, PARAM_V, PARAM_Q_BIAS, PARAM_V_BIAS};
static const linear_rows rows_o = {PARAM_O, PARAM_O, PARAM_O_BIAS, PARAM_O_BIAS};
static const linear_rows rows_up = {PARAM_UP, PARAM_UP, PARAM_UP_BIAS, PARAM_UP_BIAS};
static const linear_rows rows_gate_up = {PARAM_GATE, PARAM_UP, PARAM_GATE_BIAS, PARAM_UP_BIAS};
static const linear_rows rows_down = {PARAM_DOWN, PARAM_DOWN, PARAM_DOWN_BIAS, PARAM_DOWN_BIAS};

/* out = act(x @ w^T + bias); pre only with an activation */
static status linear_forward(const transformer *t, int32_t l, const linear_rows *r, tensor out,
                             tensor x, tensor pre)
{
    return t->ops->linear(t->device,
                          &(linear_args){.out = out,
                                         .pre = pre,
                                         .x = x,
                                         .w = params_weight_span(t->params, r->first, r->last, l),
                                         .bias = params_weight_span(t->params, r->first_bias,
                                                                    r->last_bias, l),
                                         .act = pre.data ? ACT_GELU : ACT_NONE});
}

/* h1 -> att: q, k, v; rotation; softmax */
static status attention_inner(const transformer *t, int32_t l)
{
    const model_config *m = t->config;
    layer_activations *a = layer_of(t, l);
    tensor none = {0};
    TRY(linear_forward(t, l, &rows_qkv, a->qkv, a->h1, none));
    rope_args rope = rope_of(t, a->qkv, false);
    if (rope.table.data) TRY(t->ops->rope(t->device, &rope));
    return t->ops->attention(t->device, &(attention_args){.out = a->att,
                                                          .lse = a->lse,
                                                          .qkv = a->qkv,
                                                          .B = t->act->B,
                                                          .T = t->act->T,
                                                          .NH = m->heads,
                                                          .NKV = m->kv_heads,
                                                          .HS = m->head_width});
}

/* x (+ delta) -> x1, h1; att; x2, h2 */
static status attention_forward(const transformer *t, int32_t l, tensor x, tensor delta)
{
    layer_activations *a = layer_of(t, l);
    TRY(norm_forward(t, PARAM_NORM1_GAIN, l, a->h1, a->x1, x, delta, a->mean1, a->rstd1));
    TRY(attention_inner(t, l));
    TRY(linear_forward(t, l, &rows_o, t->act->delta, a->att, (tensor){0}));
    return norm_forward(t, PARAM_NORM2_GAIN, l, a->h2, a->x2, a->x1, t->act->delta, a->mean2,
                        a->rstd2);
}

/* h2 -> pre, hidden */
static status mlp_inner(const transformer *t, int32_t l)
{
    layer_activations *a = layer_of(t, l);
    tensor none = {0};
    if (t->config->mlp == MLP_SWIGLU) {
        TRY(linear_forward(t, l, &rows_gate_up, a->pre, a->h2, none));
        return t->ops->swiglu(t->device, &(swiglu_args){.out = a->hidden, .gate_up = a->pre});
    }
    return linear_forward(t, l, &rows_up, a->hidden, a->h2, a->pre);
}

static status needs(const transformer *t, int32_t unit)
{
    return t->needs ? t->needs(t->needs_context, unit) : OK;
}

status transformer_forward(const transformer *t)
{
    activations *all = t->act;
    tensor none = {0}, x = layer_of(t, 0)->x1, delta = none;
    TRY(needs(t, -1));
    TRY(t->ops->embed(t->device,
                      &(embed_args){.out = x,
                                    .table = params_weight(t->params, PARAM_EMBED, -1),
                                    .positions = params_weight(t->params, PARAM_POSITIONS, -1),
                                    .tokens = all->tokens,
                                    .T = all->T}));
    for (int32_t l = 0; l < (int32_t)t->config->layers; l++) {
        layer_activations *a = layer_of(t, l);
        TRY(needs(t, l));
        TRY(attention_forward(t, l, x, delta));
        TRY(mlp_inner(t, l));
        TRY(linear_forward(t, l, &rows_down, all->delta, a->hidden, none));
        x = a->x2;
        delta = all->delta;
    }
    TRY(needs(t, (int32_t)t->config->layers));
    return norm_forward(t, PARAM_FINAL_GAIN, -1, all->h, all->x, x, delta, all->mean, all->rstd);
}

static tensor head_weight(const transformer *t)
{
    return params_weight(t->params, t->config->tied_embeddings ? PARAM_EMBED : PARAM_HEAD, -1);
}

/* Final norm -> losses, and with gradients -> dh and the head's dw. */
static status head(const transformer *t, bool gradients)
{
    head_args a = {.losses = t->act->losses,
                   .x = t->act->h,
                   .w = head_weight(t),
                   .targets = t->act->targets,
                   .z_loss = t->z_loss};
    if (gradients) {
        a.dx = t->act->dh;
        a.dw =
            params_gradient(t->params, t->config->tied_embeddings ? PARAM_EMBED : PARAM_HEAD, -1);
    }
    return t->ops->head(t->device, &a);
}

status transformer_losses(const transformer *t)
{
    TRY(transformer_forward(t));
    return head(t, false);
}

status transformer_logits(const transformer *t, int64_t n, float *logits, void *scratch)
{
    int64_t C = t->config->width, V = t->config->vocab;
    char *row = (char *)t->act->h.data + n * C * dtype_bytes(t->act->act);
    TRY(t->ops->linear(t->device, &(linear_args){.out = tensor_2(scratch, DTYPE_F32, 1, V),
                                                 .x = tensor_2(row, t->act->act, 1, C),
                                                 .w = head_weight(t)}));
    return t->ops->download(t->device, logits, scratch, V * 4);
}

static status between(const transformer *t)
{
    return t->between ? t->between(t->between_context) : OK;
}

/* dx += gradient through a norm whose output has gradient dh */
static status norm_backward(const transformer *t, param_role gain, int32_t layer, tensor x,
                            tensor mean, tensor rstd)
{
    activations *all = t->act;
    TRY(between(t));
    return t->ops->norm_backward(
        t->device,
        &(norm_backward_args){.kind = kind_of(t),
                              .dx = all->dx,
                              .dx_act = all->act == DTYPE_F32 ? (tensor){0} : all->dx_act,
                              .dgain = params_gradient(t->params, gain, layer),
                              .dbias = params_gradient(t->params, gain + 1, layer),
                              .dout = all->dh,
                              .x = x,
                              .mean = mean,
                              .rstd = rstd,
                              .gain = params_weight(t->params, gain, layer)});
}

typedef struct linear_flow {
    tensor dx, dy, x, pre; /* pre: x came out of a gelu of it */
} linear_flow;

/* dy -> dw, dbias and dx */
static status linear_backward(const transformer *t, int32_t l, const linear_rows *r, linear_flow f)
{
    TRY(between(t));
    TRY(t->ops->linear_backward_weight(
        t->device,
        &(linear_backward_weight_args){.dw = params_gradient_span(t->params, r->first, r->last, l),
                                       .dbias = params_gradient_span(t->params, r->first_bias,
                                                                     r->last_bias, l),
                                       .dy = f.dy,
                                       .x = f.x}));
    TRY(between(t));
    return t->ops->linear_backward_input(
        t->device,
        &(linear_backward_input_args){.dx = f.dx,
                                      .dy = f.dy,
                                      .w = params_weight_span(t->params, r->first, r->last, l),
                                      .pre = f.pre,
                                      .act = f.pre.data ? ACT_GELU : ACT_NONE});
}

static status mlp_backward(const transformer *t, int32_t l)
{
    activations *all = t->act;
    layer_activations *a = &all->layer[l];
    if (t->config->mlp == MLP_SWIGLU) {
        TRY(linear_backward(t, l, &rows_down,
                            (linear_flow){.dx = all->dhidden, .dy = all->dx_act, .x = a->hidden}));
        TRY(t->ops->swiglu_backward(t->device, &(swiglu_backward_args){.dgate_up = all->dpre,
                                                                       .dout = all->dhidden,
                                                                       .gate_up = a->pre}));
        return linear_backward(t, l, &rows_gate_up,
                               (linear_flow){.dx = all->dh, .dy = all->dpre, .x = a->h2});
    }
    TRY(linear_backward(
        t, l, &rows_down,
        (linear_flow){.dx = all->dpre, .dy = all->dx_act, .x = a->hidden, .pre = a->pre}));
    return linear_backward(t, l, &rows_up,
                           (linear_flow){.dx = all->dh, .dy = all->dpre, .x = a->h2});
}

static status attention_backward(const transformer *t, int32_t l)
{
    activations *all = t->act;
    layer_activations *a = &all->layer[l];
    const model_config *m = t->config;
    TRY(linear_backward(t, l, &rows_o,
                        (linear_flow){.dx = all->datt, .dy = all->dx_act, .x = a->att}));
    TRY(between(t));
    TRY(t->ops->attention_backward(t->device, &(attention_backward_args){.dqkv = all->dqkv,
                                                                         .dout = all->datt,
                                                                         .out = a->att,
                                                                         .lse = a->lse,
                                                                         .qkv = a->qkv,
                                                                         .B = all->B,
                                                                         .T = all->T,
                                                                         .NH = m->heads,
                                                                         .NKV = m->kv_heads,
                                                                         .HS = m->head_width}));
    rope_args rope = rope_of(t, all->dqkv, true);
    if (rope.table.data) TRY(t->ops->rope(t->device, &rope));
    return linear_backward(t, l, &rows_qkv,
                           (linear_flow){.dx = all->dh, .dy = all->dqkv, .x = a->h1});
}

/* Computes again what this layer shares with others and they have overwritten: by the same calls on
 * the same values, so the bits are the same. The last layer's is still there. */
static status restore(const transformer *t, int32_t l)
{
    int32_t level = t->act->recompute;
    if (level == RECOMPUTE_NONE || l + 1 == (int32_t)t->config->layers) return OK;
    TRY(between(t));
    if (level == RECOMPUTE_BLOCK) TRY(attention_forward(t, l, layer_of(t, l)->x1, (tensor){0}));
    TRY(between(t));
    return mlp_inner(t, l);
}

/* Announces the buckets that are complete once everything down to `layer` is done. */
static status announce(const transformer *t, int32_t layer, bucket_ready ready, void *context)
{
    for (int32_t b = 0; ready && b < t->params->layout->bucket_count; b++)
        if (t->params->layout->buckets[b].ready_layer == layer) TRY(ready(context, b));
    return OK;
}

status transformer_train(const transformer *t, bucket_ready ready, void *context)
{
    activations *all = t->act;
    ASSERT(all->dx.data && t->params->gradients);
    TRY(transformer_forward(t));
    TRY(head(t, true));
    TRY(t->ops->zero(t->device, all->dx.data, tensor_bytes(all->dx)));
    TRY(norm_backward(t, PARAM_FINAL_GAIN, -1, all->x, all->mean, all->rstd));
    for (int32_t l = (int32_t)t->config->layers - 1; l >= 0; l--) {
        layer_activations *a = &all->layer[l];
        TRY(restore(t, l));
        TRY(mlp_backward(t, l));
        TRY(norm_backward(t, PARAM_NORM2_GAIN, l, a->x2, a->mean2, a->rstd2));
        TRY(attention_backward(t, l));
        TRY(norm_backward(t, PARAM_NORM1_GAIN, l, a->x1, a->mean1, a->rstd1));
        TRY(announce(t, l, ready, context));
    }
    /* a tied table already holds the head's part; an untied one starts at zero */
    tensor dtable = params_gradient(t->params, PARAM_EMBED, -1);
    if (!t->config->tied_embeddings)
        TRY(t->ops->zero(t->device, dtable.data, tensor_bytes(dtable)));
    TRY(t->ops->embed_backward(
        t->device,
        &(embed_backward_args){.dtable = dtable,
                               .dpositions = params_gradient(t->params, PARAM_POSITIONS, -1),
                               .dout = all->dx,
                               .tokens = all->tokens,
                               .T = all->T}));
    return announce(t, -1, ready, context);
}

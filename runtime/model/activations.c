#include "model/activations.h"

#include <stdlib.h>

static tensor take_2(arena *a, dtype type, int64_t rows, int64_t columns)
{
    return tensor_2(arena_take(a, rows * columns * dtype_bytes(type)), type, rows, columns);
}

static tensor take_1(arena *a, dtype type, int64_t n)
{
    return tensor_1(arena_take(a, n * dtype_bytes(type)), type, n);
}

/* first: the layer whose arrays are shared; NULL for that one itself. */
static void take_layer(layer_activations *out, arena *a, const model_config *m,
                       const activations_spec *spec, const layer_activations *first)
{
    dtype act = spec->act;
    int64_t B = spec->B, N = B * m->context, C = m->width, D = m->heads * m->head_width,
            Q = D + 2 * m->kv_heads * m->head_width;
    int64_t U = config_gated(m) ? 2 * m->ffn : m->ffn;
    tensor x1 = take_2(a, DTYPE_F32, N, C);
    if (first && spec->recompute == RECOMPUTE_BLOCK) {
        *out = *first;
        out->x1 = x1;
        return;
    }
    *out = (layer_activations){
        .x1 = x1,
        .x2 = take_2(a, DTYPE_F32, N, C),
        .h1 = take_2(a, act, N, C),
        .h2 = take_2(a, act, N, C),
        .mean1 = take_1(a, DTYPE_F32, N),
        .rstd1 = take_1(a, DTYPE_F32, N),
        .mean2 = take_1(a, DTYPE_F32, N),
        .rstd2 = take_1(a, DTYPE_F32, N),
        .qkv = take_2(a, act, N, Q),
        .att = take_2(a, act, N, D),
        .lse = tensor_3(arena_take(a, N * m->heads * 4), DTYPE_F32, B, m->heads, m->context),
    };
    bool shared = first && spec->recompute == RECOMPUTE_MLP;
    out->pre = shared ? first->pre : take_2(a, act, N, U);
    out->hidden = shared ? first->hidden : take_2(a, act, N, m->ffn);
}

static void take_backward(activations *out, arena *a, const model_config *m)
{
    int64_t C = m->width, D = m->heads * m->head_width, Q = D + 2 * m->kv_heads * m->head_width;
    bool gated = config_gated(m);
    out->dx = take_2(a, DTYPE_F32, out->N, C);
    out->dx_act = out->act == DTYPE_F32 ? out->dx : take_2(a, out->act, out->N, C);
    out->dh = take_2(a, out->act, out->N, C);
    out->datt = take_2(a, out->act, out->N, D);
    out->dqkv = take_2(a, out->act, out->N, Q);
    out->dpre = take_2(a, out->act, out->N, gated ? 2 * m->ffn : m->ffn);
    if (gated) out->dhidden = take_2(a, out->act, out->N, m->ffn);
}

status activations_init(activations *out, arena *from, const model_config *m,
                        const activations_spec *spec)
{
    dtype act = spec->act;
    int64_t N = spec->B * m->context, C = m->width;
    *out = (activations){.B = spec->B,
                         .T = m->context,
                         .N = N,
                         .act = act,
                         .kept = spec->training ? (int32_t)m->layers : 1,
                         .recompute = spec->recompute};
    out->layer = calloc((size_t)out->kept, sizeof *out->layer);
    REQUIRE(out->layer, ERR_MEMORY, "cannot reserve the table of %d layers", out->kept);
    for (int32_t l = 0; l < out->kept; l++)
        take_layer(&out->layer[l], from, m, spec, l > 0 ? &out->layer[0] : NULL);

    out->delta = take_2(from, act, N, C);
    out->x = take_2(from, DTYPE_F32, N, C);
    out->h = take_2(from, act, N, C);
    out->mean = take_1(from, DTYPE_F32, N);
    out->rstd = take_1(from, DTYPE_F32, N);
    out->losses = take_1(from, DTYPE_F32, N);
    out->tokens = take_1(from, DTYPE_I32, N);
    out->targets = take_1(from, DTYPE_I32, N);
    if (m->positions == POSITIONS_ROPE)
        out->rope = tensor_3(arena_take(from, m->context * m->head_width * 4), DTYPE_F32,
                             m->context, m->head_width / 2, 2);
    if (spec->training) take_backward(out, from, m);
    return OK;
}

void activations_deinit(activations *a)
{
    free(a->layer);
    *a = (activations){0};
}

int64_t activations_bytes(const model_config *m, const activations_spec *spec)
{
    arena count;
    activations a;
    arena_view(&count, "activations", NULL, INT64_MAX);
    if (activations_init(&a, &count, m, spec) != OK) return -1;
    activations_deinit(&a);
    return count.used;
}

#include "model/block.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Collects rows in memory order; counts only where there is nowhere to write. */
typedef struct sink {
    param_row *rows; /* NULL: count only */
    int32_t count, capacity;
    int32_t layer;  /* of the rows now added */
    int64_t offset; /* elements so far       */
    const model_config *model;
} sink;

/* muP for Adam (Yang et al. 2022, Table 8), with width = r * base_width. A hidden matrix learns at
 * 1 / r and starts with 1 / sqrt(r) of the spread. What multiplies an activation by a constant
 * stands in the parameters in front of it, which scales their values and their rate alike: logits
 * by 1 / r in the last norm, whose gain and bias no decay touches; scores by sqrt(base_head_width /
 * head_width), which makes 1 / sqrt(head_width) 1 / head_width, in q. So no operation knows of it,
 * and weights are what any other program reads. */
static void parametrise(param_row *row, const model_config *m)
{
    const double hidden = config_hidden_rate(m);
    row->rate = row->spread = 1;
    if (m->base_width == 0) return;
    if (row->layer >= 0 && row->axes == 2) row->rate = hidden, row->spread = sqrt(hidden);
    if (row->role == PARAM_FINAL_GAIN || row->role == PARAM_FINAL_BIAS)
        row->rate = row->spread = hidden;
    if (row->role == PARAM_Q || row->role == PARAM_Q_BIAS || row->role == PARAM_RELATIVE_BIAS) {
        const double scores = sqrt((double)m->base_head_width / (double)m->head_width);
        row->rate *= scores, row->spread *= scores;
    }
}

static void add(sink *s, param_role role, const char *name, int64_t n, int64_t m, int32_t axes,
                init_kind init)
{
    if (s->rows) {
        ASSERT(s->count < s->capacity);
        param_row *row = &s->rows[s->count];
        *row = (param_row){.role = role, .layer = s->layer, .dim = {n, m}, .axes = axes};
        row->init = init;
        row->decay = axes == 2;
        row->offset = s->offset;
        parametrise(row, s->model);
        int used = s->layer < 0 ? snprintf(row->name, sizeof row->name, "%s", name)
                                : snprintf(row->name, sizeof row->name, "model.layers.%d.%s",
                                           (int)s->layer, name);
        ASSERT(used > 0 && used < (int)sizeof row->name);
    }
    s->count++;
    s->offset += n * m;
}

/* (n, m) weights, outputs first as in Hugging Face */
static void matrix(sink *s, param_role role, const char *name, int64_t n, int64_t m, init_kind init)
{
    add(s, role, name, n, m, 2, init);
}

static void vector(sink *s, param_role role, const char *name, int64_t n, init_kind init)
{
    add(s, role, name, n, 1, 1, init);
}

static bool norm_has_bias(const model_config *m) { return m->norm == MODEL_LAYERNORM && m->bias; }

static void attention_rows(sink *s, const model_config *m)
{
    const int64_t C = m->width, q = m->heads * m->head_width, kv = m->kv_heads * m->head_width;
    vector(s, PARAM_NORM1_GAIN, "input_layernorm.weight", C, INIT_ONE);
    if (norm_has_bias(m)) vector(s, PARAM_NORM1_BIAS, "input_layernorm.bias", C, INIT_ZERO);
    matrix(s, PARAM_Q, "self_attn.q_proj.weight", q, C, INIT_NORMAL);
    matrix(s, PARAM_K, "self_attn.k_proj.weight", kv, C, INIT_NORMAL);
    matrix(s, PARAM_V, "self_attn.v_proj.weight", kv, C, INIT_NORMAL);
    if (m->bias) {
        vector(s, PARAM_Q_BIAS, "self_attn.q_proj.bias", q, INIT_ZERO);
        vector(s, PARAM_K_BIAS, "self_attn.k_proj.bias", kv, INIT_ZERO);
        vector(s, PARAM_V_BIAS, "self_attn.v_proj.bias", kv, INIT_ZERO);
    }
    if (m->qk_norm) {
        vector(s, PARAM_Q_GAIN, "self_attn.q_norm.weight", m->head_width, INIT_ONE);
        vector(s, PARAM_K_GAIN, "self_attn.k_norm.weight", m->head_width, INIT_ONE);
    }
    if (m->positions == POSITIONS_RELATIVE) {
        matrix(s, PARAM_RELATIVE, "self_attn.relative_proj.weight", q, C, INIT_NORMAL);
        vector(s, PARAM_RELATIVE_BIAS, "self_attn.relative_proj.bias", 2 * q, INIT_ZERO);
    }
    matrix(s, PARAM_O, "self_attn.o_proj.weight", C, q, INIT_RESIDUAL);
    if (m->bias) vector(s, PARAM_O_BIAS, "self_attn.o_proj.bias", C, INIT_ZERO);
}

static void mlp_rows(sink *s, const model_config *m)
{
    const int64_t C = m->width, F = m->ffn;
    /* a parallel block reads the input of attention: one norm serves both */
    if (!m->parallel_block) {
        vector(s, PARAM_NORM2_GAIN, "post_attention_layernorm.weight", C, INIT_ONE);
        if (norm_has_bias(m))
            vector(s, PARAM_NORM2_BIAS, "post_attention_layernorm.bias", C, INIT_ZERO);
    }
    if (config_gated(m)) matrix(s, PARAM_GATE, "mlp.gate_proj.weight", F, C, INIT_NORMAL);
    matrix(s, PARAM_UP, "mlp.up_proj.weight", F, C, INIT_NORMAL);
    if (m->bias) {
        if (config_gated(m)) vector(s, PARAM_GATE_BIAS, "mlp.gate_proj.bias", F, INIT_ZERO);
        vector(s, PARAM_UP_BIAS, "mlp.up_proj.bias", F, INIT_ZERO);
    }
    matrix(s, PARAM_DOWN, "mlp.down_proj.weight", C, F, INIT_RESIDUAL);
    if (m->bias) vector(s, PARAM_DOWN_BIAS, "mlp.down_proj.bias", C, INIT_ZERO);
}

static void head_rows(sink *s, const model_config *m)
{
    s->layer = -1;
    if (!m->tied_embeddings)
        matrix(s, PARAM_HEAD, "lm_head.weight", m->vocab, m->width, INIT_NORMAL);
    vector(s, PARAM_FINAL_GAIN, "model.norm.weight", m->width, INIT_ONE);
    if (norm_has_bias(m)) vector(s, PARAM_FINAL_BIAS, "model.norm.bias", m->width, INIT_ZERO);
}

static void layer_rows(sink *s, const model_config *m, int32_t layer)
{
    s->layer = layer;
    attention_rows(s, m);
    mlp_rows(s, m);
}

static void embedding_rows(sink *s, const model_config *m)
{
    s->layer = -1;
    if (m->positions == POSITIONS_LEARNED)
        matrix(s, PARAM_POSITIONS, "model.embed_positions.weight", m->context, m->width,
               INIT_NORMAL);
    matrix(s, PARAM_EMBED, "model.embed_tokens.weight", m->vocab, m->width, INIT_NORMAL);
}

int32_t block_params(const model_config *m, param_row *rows, int32_t capacity)
{
    ASSERT(m->head_width > 0 && m->kv_heads > 0 && m->ffn > 0);
    sink s = {.rows = rows, .capacity = capacity, .model = m};
    head_rows(&s, m);
    for (int64_t l = m->layers - 1; l >= 0; l--) layer_rows(&s, m, (int32_t)l);
    embedding_rows(&s, m);
    return s.count;
}

/* The elements that one of the functions above adds. */
static int64_t layer_elements(const model_config *m)
{
    sink s = {0};
    layer_rows(&s, m, 0);
    return s.offset;
}

static int64_t embedding_elements(const model_config *m)
{
    sink s = {0};
    embedding_rows(&s, m);
    return s.offset;
}

static int64_t head_elements(const model_config *m)
{
    sink s = {0};
    head_rows(&s, m);
    return s.offset;
}

int64_t block_param_count(const model_config *m)
{
    return head_elements(m) + m->layers * layer_elements(m) + embedding_elements(m);
}

int64_t block_param_count_without_embedding(const model_config *m)
{
    const int64_t head = m->tied_embeddings ? 0 : m->vocab * m->width;
    return block_param_count(m) - embedding_elements(m) - head;
}

/* Multiply-adds of one token through the linear layers of one block. */
static double block_macs(const model_config *m)
{
    const double C = (double)m->width, F = (double)m->ffn, HS = (double)m->head_width;
    const double q = (double)m->heads * HS, kv = (double)m->kv_heads * HS;
    return C * (2.0 * q + 2.0 * kv) + (config_gated(m) ? 3.0 : 2.0) * C * F;
}

void block_flops(flop_counts *out, const model_config *m)
{
    const double L = (double)m->layers, C = (double)m->width, T = (double)m->context;
    const double NH = (double)m->heads, q = NH * (double)m->head_width, V = (double)m->vocab;
    const double n = (double)block_param_count(m);
    /* tables that no product reads: positions, and the tokens where the head is another matrix */
    const double looked_up =
        (m->positions == POSITIONS_LEARNED ? T * C : 0.0) + (m->tied_embeddings ? 0.0 : V * C);
    /* forward per token and layer: linear layers, then T keys and T values for every query */
    const double forward = 2.0 * block_macs(m) + 4.0 * q * T;

    out->model = 3.0 * (L * forward + 2.0 * C * V);
    out->six_nd = 6.0 * n;
    out->six_nd_nonemb = 6.0 * (double)block_param_count_without_embedding(m);
    /* appendix F counts three operations per score for the softmax */
    out->hoffmann_a4 = 3.0 * L * (forward + 3.0 * NH * T);
    out->palm = 6.0 * (n - looked_up) + 12.0 * L * q * T;
}

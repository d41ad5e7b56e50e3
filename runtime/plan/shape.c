#include "plan/shape.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Widths that are tried by the rule, and what one layer more is worth against a better aspect. */
enum { WIDTH_MAX = 65536, LAYERS_MAX = 1024 };
#define COUNT_WEIGHT 20.0

/* What all planned models share: twins of Table A9 that train runs, or those of a law. */
static model_config blank(const shape_question *q)
{
    const model_config *like = q->like;
    model_config m = {.vocab = q->vocab,
                      .context = q->context,
                      .norm = MODEL_LAYERNORM,
                      .norm_eps = 1e-5,
                      .positions = POSITIONS_ROPE,
                      .rope_theta = 10000,
                      .mlp = MLP_GELU,
                      .bias = true,
                      .tied_embeddings = true,
                      .init_std = 0.02};
    if (!like) return m;
    m.norm = like->norm, m.positions = like->positions, m.mlp = like->mlp;
    m.bias = like->bias, m.tied_embeddings = like->tied_embeddings;
    m.qk_norm = like->qk_norm, m.parallel_block = like->parallel_block;
    return m;
}

/* Inner width of as many weights as two matrices of this one: gated layers have three. */
static int64_t inner(const model_config *m, int64_t ffn)
{
    return config_gated(m) ? (2 * ffn / 3 + 7) / 8 * 8 : ffn;
}

static double count_of(const model_config *m, bool without_embedding)
{
    return (double)(without_embedding ? block_param_count_without_embedding(m)
                                      : block_param_count(m));
}

/* Width over layers of a model of these parameters, by the rule. */
static double aspect_of(double params) { return 64 * pow(params / 1e8, 0.12); }

void shape_of(shape *out, const model_config *m, const char *origin, double wanted,
              bool without_embedding)
{
    *out = (shape){.model = *m,
                   .params = block_param_count(m),
                   .params_without_embedding = block_param_count_without_embedding(m),
                   .off = count_of(m, without_embedding) / wanted - 1};
    block_flops(&out->flops, m);
    (void)snprintf(out->origin, sizeof out->origin, "%s", origin);
}

/* --- rows of the tables --------------------------------------------------- */

static void take_row(void *context, const char *name, const model_config *row)
{
    shape_rows *out = context;
    const bool named = strncmp(name, "a9-", 3) == 0 || strncmp(name, "gopher-", 7) == 0 ||
                       strncmp(name, "chinchilla-70b", 14) == 0;
    if (!named || row->positions != POSITIONS_RELATIVE) return;
    const int32_t k = out->count++;
    if (k >= SHAPE_ROWS_MAX) return; /* refused below */
    (void)snprintf(out->row[k].name, sizeof out->row[k].name, "%s", name);
    out->row[k].layers = row->layers;
    out->row[k].width = row->width;
    out->row[k].heads = row->heads;
    out->row[k].head_width = row->head_width;
    out->row[k].ffn = row->ffn;
}

status shape_rows_read(shape_rows *out)
{
    *out = (shape_rows){0};
    TRY(config_model_rows(take_row, out));
    const int32_t count = out->count;
    if (count > SHAPE_ROWS_MAX) out->count = 0;
    REQUIRE(count <= SHAPE_ROWS_MAX, ERR_CONFIG,
            "configs/models: %d rows of a9-*, gopher-* and chinchilla-70b*; at most %d", count,
            SHAPE_ROWS_MAX);
    return OK;
}

/* The row whose count is nearest, on a logarithmic scale; how far off it is. */
static double nearest_row(model_config *best, const char **name, const shape_question *q,
                          const shape_rows *rows)
{
    double least = INFINITY;
    for (int32_t k = 0; k < rows->count; k++) {
        model_config m = blank(q);
        m.layers = rows->row[k].layers;
        m.width = rows->row[k].width;
        m.heads = m.kv_heads = rows->row[k].heads;
        m.head_width = rows->row[k].head_width;
        m.ffn = inner(&m, rows->row[k].ffn);
        const double off = fabs(log(count_of(&m, q->without_embedding) / q->params));
        if (off >= least) continue;
        least = off;
        *best = m;
        *name = rows->row[k].name;
    }
    return least;
}

/* --- the rule ------------------------------------------------------------- */

/* Heads of 128 from a width of 1024, of 64 from 256, of 32 below. */
static int64_t head_width_for(int64_t width)
{
    return width >= 1024 ? 128 : width >= 256 ? 64 : 32;
}

/* The best number of layers for this width, and how far the model then is from what is wanted. */
static double fit_layers(model_config *m, const shape_question *q)
{
    m->layers = 1;
    const double one = count_of(m, q->without_embedding);
    m->layers = 2;
    const double each = count_of(m, q->without_embedding) - one;
    const double layers = round((q->params - one) / each + 1);
    m->layers = layers < 1 ? 1 : layers > LAYERS_MAX ? LAYERS_MAX : (int64_t)layers;
    const double n = count_of(m, q->without_embedding);
    const double aspect = (double)m->width / (double)m->layers;
    return COUNT_WEIGHT * fabs(log(n / q->params)) + fabs(log(aspect / aspect_of(q->params)));
}

/* Narrow models that begin with 0.02 stay at the statistics of pairs for hundreds of steps; widths
 * of 8 to 192 were studied (configs/models/isoflop.yaml). */
static double spread_for(int64_t width)
{
    return width > 192 ? 0.02 : round(80 / sqrt((double)width)) / 100;
}

static status by_rule(model_config *out, const shape_question *q)
{
    double best = INFINITY;
    for (int64_t width = 32; width <= WIDTH_MAX; width += head_width_for(width)) {
        model_config m = blank(q);
        m.width = width;
        m.head_width = head_width_for(width);
        m.heads = m.kv_heads = width / m.head_width;
        m.ffn = inner(&m, 4 * width);
        m.init_std = spread_for(width);
        if (width % m.head_width || m.heads > 1024) continue;
        const double cost = fit_layers(&m, q);
        if (cost < best) best = cost, *out = m;
    }
    const double n = count_of(out, q->without_embedding);
    REQUIRE(n <= q->params * 1.25, ERR_CONFIG,
            "no model of %.3g parameters can be built with a vocabulary of %lld; the nearest has "
            "%.3g; a smaller vocabulary (--data DIR) allows smaller models",
            q->params, (long long)q->vocab, n);
    REQUIRE(
        n >= q->params * 0.75, ERR_CONFIG,
        "no model of %.3g parameters can be described (at most %d layers); the nearest has %.3g",
        q->params, LAYERS_MAX, n);
    return OK;
}

status shape_near(shape *out, const shape_question *q, const shape_rows *rows)
{
    char origin[96];
    const char *name = "";
    model_config m = {0};
    if (nearest_row(&m, &name, q, rows) < SHAPE_NEAR) {
        (void)snprintf(origin, sizeof origin, "layers, width and heads of %.40s", name);
        shape_of(out, &m, origin, q->params, q->without_embedding);
        return OK;
    }
    TRY(by_rule(&m, q));
    (void)snprintf(origin, sizeof origin,
                   "rule: width / layers near %.0f, heads of %lld, MLP 4 x width",
                   aspect_of(q->params), (long long)m.head_width);
    shape_of(out, &m, origin, q->params, q->without_embedding);
    return OK;
}

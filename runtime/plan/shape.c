#include "plan/shape.h"

#include <math.h>
#include <string.h>

/* Widths that are tried by the rule, and what one layer more is worth against a better aspect. */
enum { WIDTH_MAX = 65536, LAYERS_MAX = 1024 };
#define COUNT_WEIGHT 20.0

/* What all planned models share: twins of Table A9 that train runs. */
static model_config blank(const shape_question *q)
{
    return (model_config){.vocab = q->vocab,
                          .context = q->context,
                          .norm = MODEL_LAYERNORM,
                          .norm_eps = 1e-5,
                          .positions = POSITIONS_ROPE,
                          .rope_theta = 10000,
                          .mlp = MLP_GELU,
                          .bias = true,
                          .tied_embeddings = true,
                          .init_std = 0.02};
}

static double count_of(const model_config *m, bool without_embedding)
{
    return (double)(without_embedding ? block_param_count_without_embedding(m)
                                      : block_param_count(m));
}

double shape_aspect(double params) { return 64 * pow(params / 1e8, 0.12); }

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

/* --- rows of the tables -------------------------------------------------------------------------
 */

typedef struct table_search {
    const shape_question *q;
    model_config best;
    char name[96];
    double off;
} table_search;

/* Table A9 and the Gopher family: geometry only. */
static void consider_row(void *context, const char *name, const model_config *row)
{
    table_search *s = context;
    const bool named = strncmp(name, "a9-", 3) == 0 || strncmp(name, "gopher-", 7) == 0 ||
                       strncmp(name, "chinchilla-70b", 14) == 0;
    if (!named || row->positions != POSITIONS_RELATIVE) return;
    model_config m = blank(s->q);
    m.layers = row->layers;
    m.width = row->width;
    m.heads = m.kv_heads = row->heads;
    m.head_width = row->head_width;
    m.ffn = row->ffn;
    const double off = fabs(log(count_of(&m, s->q->without_embedding) / s->q->params));
    if (off >= s->off) return;
    s->off = off;
    s->best = m;
    (void)snprintf(s->name, sizeof s->name, "%s", name);
}

/* --- the rule -----------------------------------------------------------------------------------
 */

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
    return COUNT_WEIGHT * fabs(log(n / q->params)) + fabs(log(aspect / shape_aspect(q->params)));
}

static status by_rule(model_config *out, const shape_question *q)
{
    double best = INFINITY;
    for (int64_t width = 32; width <= WIDTH_MAX; width += head_width_for(width)) {
        model_config m = blank(q);
        m.width = width;
        m.head_width = head_width_for(width);
        m.heads = m.kv_heads = width / m.head_width;
        m.ffn = 4 * width;
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

status shape_near(shape *out, const shape_question *q)
{
    char origin[96];
    table_search s = {.q = q, .off = INFINITY};
    TRY(config_model_rows(consider_row, &s));
    if (s.off < SHAPE_NEAR) {
        (void)snprintf(origin, sizeof origin, "layers, width and heads of %.40s", s.name);
        shape_of(out, &s.best, origin, q->params, q->without_embedding);
        return OK;
    }
    model_config m = {0};
    TRY(by_rule(&m, q));
    (void)snprintf(origin, sizeof origin,
                   "rule: width / layers near %.0f, heads of %lld, MLP 4 x width",
                   shape_aspect(q->params), (long long)m.head_width);
    shape_of(out, &m, origin, q->params, q->without_embedding);
    return OK;
}

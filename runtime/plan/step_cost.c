#include "plan/step_cost.h"

/* Frameworks that shard fully run each elementwise step by itself, and apply the mask instead of
 * skipping what it hides; their factor of traffic is fitted on the even rows of
 * tests/plan/published.c. */
const work_style style_fused = {.traffic = 1.0, .skips = true, .operations = 1.0};
const work_style style_framework = {.traffic = 3.0, .skips = false, .operations = 3.0};

double pass_seconds(const pass_cost *p) { return p->products_s + p->attention_s + p->memory_s; }

/* sum += times * p */
static void pass_add(pass_cost *sum, const pass_cost *p, double times)
{
    sum->products_s += times * p->products_s;
    sum->attention_s += times * p->attention_s;
    sum->memory_s += times * p->memory_s;
    sum->operations += times * p->operations;
}

/* The numbers that every piece below uses. */
typedef struct shape {
    const machine *hw;
    const work_style *style;
    const model_config *m;
    double B, T, N, C, D, KV, F, U, A; /* U: columns of the MLP's first product; A: bytes of act */
    bool gated;
} shape;

static double product(const shape *s, double n, double k)
{
    return cost_product_s(s->hw, s->N, n, k, s->A);
}

/* Gradients of the inputs and of the weights of a layer of n outputs and k inputs. */
static double product_backward(const shape *s, double n, double k)
{
    return cost_product_s(s->hw, s->N, k, n, s->A) + cost_product_s(s->hw, n, k, s->N, s->A);
}

static double stream(const shape *s, double bytes_per_token)
{
    return cost_stream_s(s->hw, s->N * bytes_per_token * s->style->traffic);
}

/* Norms with their residual sum: read x and delta, write x and h. */
static double norms_bytes(const shape *s) { return 2.0 * (8.0 * s->C + 2.0 * s->A * s->C); }

/* gelu comes out of the product, which writes both arrays; a gate needs a pass of its own */
static double activation_bytes(const shape *s) { return s->A * (s->gated ? s->U + s->F : s->F); }

static double rope_bytes(const shape *s)
{
    return s->m->positions == POSITIONS_ROPE ? 2.0 * s->A * (s->D + s->KV) : 0.0;
}

static pass_cost mlp_up(const shape *s)
{
    return (pass_cost){.products_s = product(s, s->U, s->C),
                       .memory_s = stream(s, activation_bytes(s)),
                       .operations = s->gated ? 2.0 : 1.0};
}

static pass_cost forward(const shape *s)
{
    pass_cost p = {.operations = 7.0};
    p.products_s =
        product(s, s->D + 2.0 * s->KV, s->C) + product(s, s->C, s->D) + product(s, s->C, s->F);
    p.attention_s = cost_attention_s(s->hw, s->B, s->T, (double)s->m->heads,
                                     (double)s->m->head_width, 2.0, s->style->skips);
    p.memory_s = stream(s, norms_bytes(s) + rope_bytes(s));
    const pass_cost up = mlp_up(s);
    pass_add(&p, &up, 1.0);
    return p;
}

static pass_cost backward(const shape *s)
{
    const double Q = s->D + 2.0 * s->KV;
    pass_cost p = {.operations = 16.0};
    p.products_s = product_backward(s, Q, s->C) + product_backward(s, s->C, s->D) +
                   product_backward(s, s->U, s->C) + product_backward(s, s->C, s->F);
    p.attention_s = cost_attention_s(s->hw, s->B, s->T, (double)s->m->heads,
                                     (double)s->m->head_width, 5.0, s->style->skips);
    /* norms: read dh and x, add to dx, write its act copy; activation: read dhidden and pre, write
     * dpre; biases: read every gradient again */
    const double norms = 2.0 * (12.0 * s->C + 2.0 * s->A * s->C);
    const double activation = s->A * (s->F + 2.0 * s->U);
    const double biases = s->m->bias ? s->A * (Q + 2.0 * s->C + s->U) : 0.0;
    p.memory_s = stream(s, norms + activation + biases + rope_bytes(s));
    return p;
}

void step_cost_micro(micro_cost *out, const machine *hw, const config *cfg, const work_style *w)
{
    const model_config *m = &cfg->model;
    shape s = {.hw = hw, .style = w, .m = m, .B = (double)cfg->train.micro_batch};
    s.T = (double)m->context;
    s.N = s.B * s.T;
    s.C = (double)m->width;
    s.D = (double)(m->heads * m->head_width);
    s.KV = (double)(m->kv_heads * m->head_width);
    s.gated = config_gated(m);
    s.F = (double)m->ffn;
    s.U = s.gated ? 2.0 * s.F : s.F;
    s.A = cfg->train.precision == PRECISION_BF16 ? 2.0 : 4.0;

    out->layer_forward = forward(&s);
    out->layer_backward = backward(&s);
    if (cfg->train.recompute == RECOMPUTE_BLOCK) {
        pass_add(&out->layer_backward, &out->layer_forward, 1.0);
    } else if (cfg->train.recompute == RECOMPUTE_MLP) {
        const pass_cost up = mlp_up(&s);
        pass_add(&out->layer_backward, &up, 1.0);
    }

    /* logits are written, read twice and overwritten by their gradient */
    const double V = (double)m->vocab;
    out->head = (pass_cost){.products_s = product(&s, V, s.C) + product_backward(&s, V, s.C),
                            .memory_s = stream(&s, 4.0 * s.A * V + 24.0 * s.C),
                            .operations = 8.0};
    out->embed = (pass_cost){.memory_s = stream(&s, 16.0 * s.C), .operations = 3.0};
}

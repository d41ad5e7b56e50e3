/* The whole model and the optimizer step against an independent program (PyTorch in float64): the
 * files beside this one, for both norms, three position kinds, both mlps, shared k/v heads, tied
 * and untied embeddings, biases on and off, with and without z-loss; on every backend and path.
 * Errors are relative to the root mean square of the expected tensor; the limits are about three
 * times what was measured (TOL_SCALE=0 prints residuals and judges nothing). */
#include "golden/golden.h"
#include "support/near.h"
#include "support/targets.h"
#include "train/run.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static const char *const variants[] = {"llama",       "gpt2",       "llama-gqa-tied",
                                       "rms-learned", "layer-rope", "layer-plain",
                                       "rms-bias",    "z-loss",     "no-positions"};
enum { VARIANTS = 9 };

/* Largest allowed error by quantity; measured: fp32 1.1e-6 1e-7 5.1e-6
 * 2.3e-6 2.2e-6 5.7e-6 1.1e-5; bf16 0.038 1.4e-3 0.087 0.023 6.5e-3 0.028 0.13 (a key bias). */
typedef struct limits {
    double logits, loss, gradient, gradient_norm, curve, curve_norm, weights;
} limits;
static const limits fp32_limits = {3e-6, 3e-7, 1.5e-5, 7e-6, 7e-6, 1.7e-5, 3e-5};
static const limits bf16_limits = {0.12, 4e-3, 0.26, 0.07, 0.02, 0.09, 0.4};

typedef struct opened {
    golden g;
    config cfg;
    world *w;
    run *r;
    const limits *limits;
} opened;

static void write_config(char *yaml, size_t bytes, const golden *g, const char *backend, bool bf16)
{
    (void)snprintf(
        yaml, bytes,
        "name: golden\nbackend: %s\n"
        "model: {layers: %" PRId64 ", width: %" PRId64 ", heads: %" PRId64 ", head_width: %" PRId64
        ", kv_heads: %" PRId64 ", ffn: %" PRId64 ", vocab: %" PRId64 ", context: %" PRId64
        ", norm: %s, norm_eps: %g, positions: %s, rope_theta: %g, mlp: %s, bias: %s, "
        "tied_embeddings: %s}\n"
        "data: {train: golden}\n"
        "train: {tokens: %" PRId64 ", batch_tokens: %" PRId64 ", micro_batch: %" PRId64
        ", precision: %s}\n"
        "optimizer: {learning_rate: %g, beta1: %g, beta2: %g, eps: %g, weight_decay: %g, clip: %g, "
        "z_loss: %g}\n"
        "schedule: {name: constant}\n",
        backend, g->layers, g->width, g->heads, g->head_width, g->kv_heads, g->ffn, g->vocab,
        g->context, g->norm, g->norm_eps, g->positions, g->rope_theta, g->mlp,
        g->bias ? "true" : "false", g->tied ? "true" : "false",
        g->steps * g->micro_batches * g->batch * g->context,
        g->micro_batches * g->batch * g->context, g->batch, bf16 ? "bf16" : "fp32",
        g->learning_rate, g->beta1, g->beta2, g->eps, g->weight_decay, g->clip, g->z_loss);
}

/* Every weight as the formula says, in place of the run's own initial weights. */
static void set_weights(opened *o)
{
    run *r = o->r;
    stripe_range own;
    for (int32_t b = 0; b < r->layout.bucket_count; b++)
        for (int32_t i = 0; i < r->layout.row_count; i++) {
            const param_row *row = &r->layout.rows[i];
            own = run_owned(r, b);
            for (int64_t e = 0; e < row->dim[0] * row->dim[1]; e++) {
                int64_t at = row->offset + e - own.logical;
                if (at >= 0 && at < own.count)
                    run_masters(r, own)[at] = golden_weight(row->name, row->axes == 1, e);
            }
        }
    cr_assert_eq(run_publish_weights(r), OK, "%s", status_message());
}

/* false: this machine lacks the path */
static bool open_variant(opened *o, int target, int variant, bool bf16)
{
    char name[64], yaml[2048], text[1200];
    bool missing;
    const ops *unused;
    device *d = NULL;
    cr_assert_eq(target_open(target, false, &unused, &d, &missing), OK, "%s", status_message());
    if (missing) return false;
    unused->close(d);

    target_name(target, name, sizeof name);
    char *path = strchr(name, ':');
    if (path) *path++ = '\0';
    cr_assert_eq(setenv("ISOFLOP_CPU_PATH", path ? path : "auto", 1), 0);
    cr_assert(golden_init(&o->g, GOLDEN_FOLDER, variants[variant], text, sizeof text), "%s", text);
    write_config(yaml, sizeof yaml, &o->g, name, bf16);
    o->limits = bf16 ? &bf16_limits : &fp32_limits;
    cr_assert_eq(config_parse(&o->cfg, "golden.yaml", yaml, (int64_t)strlen(yaml), 0, NULL), OK,
                 "%s", status_message());
    cr_assert_eq(world_open_self(&o->w), OK, "%s", status_message());
    cr_assert_eq(run_open(&o->r, &o->cfg, o->w), OK, "%s", status_message());
    set_weights(o);
    return true;
}

static void close_variant(opened *o)
{
    run_close(o->r);
    world_close(o->w);
    golden_deinit(&o->g);
}

static void judge(double error, double limit, const char *variant, int target, const char *what)
{
    char name[64];
    target_name(target, name, sizeof name);
    if (near_scale() == 0)
        (void)fprintf(stderr, "residual %s %s %s %.2g\n", what, name, variant, error);
    else
        cr_expect(error <= limit * near_scale(), "%s on %s, %s: error %.3g, allowed %.3g", variant,
                  name, what, error, limit * near_scale());
}

/* First micro-batch into the model. */
static void load_first(opened *o)
{
    int32_t tokens[64];
    for (int64_t b = 0; b < o->g.batch; b++)
        golden_tokens(&o->g, b, tokens + b * (o->g.context + 1));
    cr_assert_eq(transformer_load(&o->r->model, tokens), OK, "%s", status_message());
}

static void for_all(bool bf16, void (*check)(opened *o, int target, const char *variant))
{
    int ran = 0;
    for (int target = 0; target < target_count(); target++)
        for (int v = 0; v < VARIANTS; v++) {
            opened o = {0};
            if (!open_variant(&o, target, v, bf16)) continue;
            check(&o, target, variants[v]);
            close_variant(&o);
            ran++;
        }
    cr_assert(ran >= 2 * VARIANTS, "only %d cases ran", ran);
}

static void check_logits(opened *o, int target, const char *variant)
{
    const golden *g = &o->g;
    float got[64];
    void *scratch;
    double square = 0, worst = 0;
    int64_t N = g->batch * g->context;
    load_first(o);
    cr_assert_eq(o->r->ops->alloc(o->r->device, &scratch, g->vocab * 4), OK);
    cr_assert_eq(transformer_forward(&o->r->model), OK, "%s", status_message());
    for (int64_t n = 0; n < N; n++) {
        cr_assert_eq(transformer_logits(&o->r->model, n, got, scratch), OK, "%s", status_message());
        for (int64_t v = 0; v < g->vocab; v++) {
            double expected = g->logits[n * g->vocab + v];
            square += expected * expected;
            worst = fmax(worst, fabs((double)got[v] - expected));
        }
    }
    o->r->ops->release(o->r->device, scratch, g->vocab * 4);
    judge(worst / sqrt(square / (double)(N * g->vocab)), o->limits->logits, variant, target,
          "logits");
}

Test(golden, logits_are_those_of_an_independent_program) { for_all(false, check_logits); }

static status nothing(void *context, int32_t b)
{
    (void)context, (void)b;
    return OK;
}

static const golden_tensor *find(const golden_tensor *tensors, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(tensors[i].name, name) == 0) return &tensors[i];
    cr_assert_fail("%s is not in the golden file", name);
    return NULL;
}

static void check_gradient(const opened *o, const golden_tensor *want, const float *got, int target,
                           const char *variant)
{
    double worst = 0, square = 0, dot = 0, rms = want->norm / sqrt((double)want->count);
    for (int64_t i = 0; i < want->count; i++) {
        if (i % want->stride == 0)
            worst = fmax(worst, fabs((double)got[i] - want->values[i / want->stride]));
        square += (double)got[i] * (double)got[i];
        dot += (double)got[i] * golden_unit(want->name, i);
    }
    /* where the truth is zero (a key's bias without rotation) rounding is all there is */
    char what[96];
    double scale = fmax(rms, 1e-3);
    (void)snprintf(what, sizeof what, "gradient %s", want->name);
    judge(worst / scale, o->limits->gradient, variant, target, what);
    (void)snprintf(what, sizeof what, "gradient-norm %s", want->name);
    double n = sqrt((double)want->count);
    judge(fmax(fabs(sqrt(square) - want->norm), fabs(dot - want->dot)) / (scale * n),
          o->limits->gradient_norm, variant, target, what);
}

static void check_gradients(opened *o, int target, const char *variant)
{
    const golden *g = &o->g;
    const layout *l = &o->r->layout;
    int64_t N = g->batch * g->context;
    double loss = 0;
    float *losses = malloc((size_t)N * sizeof *losses);
    float *gradients = malloc((size_t)l->physical * sizeof *gradients);
    load_first(o);
    cr_assert_eq(transformer_train(&o->r->model, nothing, NULL), OK, "%s", status_message());
    cr_assert_eq(o->r->ops->download(o->r->device, losses, o->r->act.losses.data, N * 4), OK);
    for (int64_t n = 0; n < N; n++) loss += (double)losses[n];
    judge(fabs(loss / (double)N - g->loss), o->limits->loss, variant, target, "loss");

    cr_assert_eq(l->row_count, g->tensors, "%s: %d tensors, the golden file has %d", variant,
                 l->row_count, g->tensors);
    cr_assert_eq(o->r->ops->download(o->r->device, gradients, o->r->params.gradients,
                                     l->physical * 4),
                 OK);
    for (int32_t i = 0; i < l->row_count; i++) {
        const param_row *row = &l->rows[i];
        const golden_tensor *want = find(g->gradient, g->tensors, row->name);
        cr_assert_eq(want->count, row->dim[0] * row->dim[1], "%s", row->name);
        /* a tensor may cross a bucket border: gather it */
        float *flat = malloc((size_t)want->count * sizeof *flat);
        for (int64_t e = 0; e < want->count; e++)
            flat[e] = gradients[layout_physical(l, row->offset + e)];
        check_gradient(o, want, flat, target, variant);
        free(flat);
    }
    free(losses);
    free(gradients);
}

Test(golden, loss_and_every_gradient_are_those_of_an_independent_program)
{
    for_all(false, check_gradients);
}

/* On one rank the masters are whole, stripe after stripe. */
static double master_of(const run *r, int64_t logical)
{
    for (int32_t b = 0; b < r->layout.bucket_count; b++) {
        stripe_range own = run_owned(r, b);
        if (logical >= own.logical && logical < own.logical + own.count)
            return (double)run_masters(r, own)[logical - own.logical];
    }
    cr_assert_fail("element %" PRId64 " is nowhere", logical);
    return 0;
}

/* After the last step; a gradient that is zero in truth leaves AdamW's direction to rounding. */
static void check_final_weights(opened *o, int target, const char *variant)
{
    const golden *g = &o->g;
    const run *r = o->r;
    for (int32_t i = 0; i < r->layout.row_count; i++) {
        const param_row *row = &r->layout.rows[i];
        if (find(g->gradient, g->tensors, row->name)->norm < 1e-12) continue;
        const golden_tensor *want = find(g->weight, g->tensors, row->name);
        double square = 0, dot = 0;
        for (int64_t e = 0; e < row->dim[0] * row->dim[1]; e++) {
            double w = (double)master_of(r, row->offset + e);
            square += w * w;
            dot += w * golden_unit(row->name, e);
        }
        char what[96];
        (void)snprintf(what, sizeof what, "weight %s", row->name);
        judge(fmax(fabs(sqrt(square) - want->norm), fabs(dot - want->dot)) / want->norm,
              o->limits->weights, variant, target, what);
    }
}

static void check_curve(opened *o, int target, const char *variant)
{
    double loss = 0, norm = 0;
    for (int64_t s = 0; s < o->g.steps; s++) {
        step_result result = {0};
        cr_assert_eq(run_step(o->r, false, &result), OK, "%s", status_message());
        cr_assert(!result.skipped);
        loss = fmax(loss, fabs(result.loss - o->g.step_loss[s]));
        norm = fmax(norm, fabs(result.grad_norm / o->g.step_norm[s] - 1));
    }
    judge(loss, o->limits->curve, variant, target, "curve");
    judge(norm, o->limits->curve_norm, variant, target, "curve-norm");
    check_final_weights(o, target, variant);
}

Test(golden, ten_training_steps_are_those_of_an_independent_program)
{
    for_all(false, check_curve);
}

static void check_bf16(opened *o, int target, const char *variant)
{
    check_logits(o, target, variant);
    check_gradients(o, target, variant);
    check_curve(o, target, variant);
}

Test(golden, bf16_stays_near_an_independent_program) { for_all(true, check_bf16); }

/* Laws of muP: what a step does to a model does not depend on how wide it is. */
#include "base/file.h"
#include "train/checkpoint.h"
#include "train/inference.h"
#include "train/run.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char yaml[] =
    "name: mup\n"
    "backend: cpu\n"
    "model: {layers: 2, width: 32, heads: 2, head_width: 16, ffn: 128, vocab: 80, context: 32}\n"
    "data: {synthetic: zipf_facts, zipf_facts: {keys: 1000, values: 64, base: 16}}\n"
    "train: {tokens: 8192, batch_tokens: 512, micro_batch: 4, precision: fp32}\n"
    "optimizer: {learning_rate: 1e-2}\n"
    "schedule: {name: constant}\n"
    "evaluate: {tokens: 1000}\n"
    "checkpoint: {asynchronous: false}\n";

typedef struct opened {
    config cfg; /* the run borrows it */
    world *w;
    run *r;
} opened;

/* overrides: NULL-terminated */
static void open_run(opened *o, const char *const *overrides)
{
    int count = 0;
    while (overrides[count]) count++;
    cr_assert_eq(config_parse(&o->cfg, "mup.yaml", yaml, (int64_t)strlen(yaml), count, overrides),
                 OK, "%s", status_message());
    cr_assert_eq(world_open_self(&o->w), OK);
    cr_assert_eq(run_open(&o->r, &o->cfg, o->w), OK, "%s", status_message());
}

static void close_run(opened *o)
{
    run_close(o->r);
    world_close(o->w);
}

static uint64_t steps(run *r, int count)
{
    step_result s = {0};
    for (int i = 0; i < count; i++)
        cr_assert_eq(run_step(r, false, &s), OK, "%s", status_message());
    return s.digest;
}

/* --- where it is the standard parametrisation ----------------------------- */

Test(mup, a_model_as_wide_as_its_base_has_the_bits_of_the_standard_one)
{
    static const char *const variants[][3] = {
        {"model.tied_embeddings=true", "train.precision=fp32", "backend=cpu"},
        {"model.tied_embeddings=false", "train.precision=bf16", "model.mlp=swiglu"},
        {"model.bias=true", "model.norm=layernorm", "model.positions=learned"},
        {"backend=ref", "model.bias=true", "train.precision=bf16"}};
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        const char *const *x = variants[v];
        opened standard, same, other;
        open_run(&standard, (const char *[]){x[0], x[1], x[2], NULL});
        open_run(&same, (const char *[]){x[0], x[1], x[2], "model.base_width=32", NULL});
        open_run(&other, (const char *[]){x[0], x[1], x[2], "model.base_width=16", NULL});
        const uint64_t digest = steps(standard.r, 2);
        cr_expect_eq(steps(same.r, 2), digest, "%s %s %s: other bits", x[0], x[1], x[2]);
        cr_expect_neq(steps(other.r, 2), digest, "%s %s %s: base_width does nothing", x[0], x[1],
                      x[2]);
        close_run(&standard), close_run(&same), close_run(&other);
    }
}

/* --- the table ------------------------------------------------------------ */

/* What Table 8 of Yang et al. 2022 says of a row, for r times the base's width and s times the
 * width of its heads, with the multipliers of logits and scores in the parameters before them. */
static void table_8(const param_row *row, double r, double s, double *rate, double *spread)
{
    const bool q = strstr(row->name, "q_proj") != NULL;
    const bool hidden = strstr(row->name, "_proj.weight") != NULL;
    const bool last = strncmp(row->name, "model.norm.", 11) == 0;
    *rate = (hidden || last ? 1 / r : 1) / (q ? sqrt(s) : 1);
    *spread = (hidden ? 1 / sqrt(r) : last ? 1 / r : 1) / (q ? sqrt(s) : 1);
}

/* Adam's first step is the learning rate, whatever the gradient. */
Test(mup, tensors_start_and_learn_as_the_table_says)
{
    static const char *const tied[] = {"model.tied_embeddings=true", "model.tied_embeddings=false"};
    for (int v = 0; v < 2; v++) {
        opened o;
        open_run(&o, (const char *[]){tied[v], "model.width=128", "model.heads=4",
                                      "model.head_width=32", "model.ffn=512", "model.bias=true",
                                      "model.norm=layernorm", "model.base_width=32",
                                      "model.base_head_width=8", "optimizer.weight_decay=0",
                                      "optimizer.eps=1e-20", "optimizer.learning_rate=1e-3", NULL});
        const layout *l = &o.r->layout;
        float *before = malloc((size_t)l->physical * 4);
        cr_assert(before);
        memcpy(before, o.r->params.weights, (size_t)l->physical * 4);
        (void)steps(o.r, 1);
        for (int32_t i = 0; i < l->row_count; i++) {
            const param_row *row = &l->rows[i];
            const int64_t n = row->dim[0] * row->dim[1], at = layout_physical(l, row->offset);
            const float *a = before + at, *b = (const float *)o.r->params.weights + at;
            double rate, spread, squares = 0, moved = 0;
            table_8(row, 4, 4, &rate, &spread);
            for (int64_t k = 0; k < n; k++) {
                squares += (double)a[k] * (double)a[k] / (double)n;
                moved = fmax(moved, fabs((double)b[k] - (double)a[k]));
            }
            const double start = row->init == INIT_ZERO       ? 0
                                 : row->init == INIT_ONE      ? 1
                                 : row->init == INIT_RESIDUAL ? 0.01 /* 0.02 / sqrt(2 layers) */
                                                              : 0.02;
            cr_expect_float_eq(sqrt(squares), start * spread, 0.05 * start * spread + 1e-12,
                               "%s: starts at %g, not %g", row->name, sqrt(squares),
                               start * spread);
            cr_expect_float_eq(moved, 1e-3 * rate, 1e-3 * 1e-3 * rate + 1e-7,
                               "%s: moves by %g, not %g", row->name, moved, 1e-3 * rate);
        }
        free(before);
        close_run(&o);
    }
}

/* --- coordinate check ----------------------------------------------------- */

enum { STEPS = 5, PLACES = 8, VOCAB = 80 };

/* What the model says of some fixed tokens: logits at a few places, and its residual stream. */
static void look(run *r, float *logits, float *stream)
{
    static float scratch[VOCAB];
    int32_t tokens[4 * 33];
    for (int i = 0; i < 4 * 33; i++) tokens[i] = (i * i + 7 * i) % VOCAB;
    cr_assert_eq(transformer_load(&r->model, tokens), OK);
    cr_assert_eq(transformer_forward(&r->model), OK);
    for (int i = 0; i < PLACES; i++)
        cr_assert_eq(transformer_logits(&r->model, 5 + 15 * i, logits + i * VOCAB, scratch), OK);
    memcpy(stream, r->act.x.data, (size_t)tensor_bytes(r->act.x));
}

static double rms_change(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += pow((double)a[i] - (double)b[i], 2);
    return sqrt(sum / (double)n);
}

/* How far a few steps move logits and residual stream. heads 0: of 16 each. */
static void moves(double out[2], int64_t width, int64_t heads, bool mup, const char *also)
{
    char set[5][48];
    heads = heads ? heads : width / 16;
    (void)snprintf(set[0], sizeof set[0], "model.width=%lld", (long long)width);
    (void)snprintf(set[1], sizeof set[1], "model.ffn=%lld", (long long)(4 * width));
    (void)snprintf(set[2], sizeof set[2], "model.heads=%lld", (long long)heads);
    (void)snprintf(set[3], sizeof set[3], "model.head_width=%lld", (long long)(width / heads));
    (void)snprintf(set[4], sizeof set[4], "model.init_std=%.17g",
                   mup ? 0.14 : 0.8 / sqrt((double)width));
    opened o;
    open_run(&o, (const char *[]){set[0], set[1], set[2], set[3], set[4], also,
                                  mup ? "model.base_width=32" : NULL, "model.base_head_width=16",
                                  NULL});
    static float logits[2][PLACES * VOCAB];
    const int64_t n = o.r->act.N * width;
    float *stream = malloc((size_t)n * 2 * 4);
    cr_assert(stream);
    look(o.r, logits[0], stream);
    (void)steps(o.r, STEPS);
    look(o.r, logits[1], stream + n);
    out[0] = rms_change(logits[0], logits[1], PLACES * VOCAB);
    out[1] = rms_change(stream, stream + n, n);
    free(stream);
    close_run(&o);
}

/* Five steps at one learning rate, four times as wide: muP moves logits and stream as far as
 * before, the standard parametrisation further. Widening the heads instead of adding some is the
 * same. */
Test(mup, steps_move_a_wider_model_no_further)
{
    static const struct {
        int64_t heads;
        const char *also;
    } way[] = {{0, "model.tied_embeddings=true"}, {2, "model.tied_embeddings=false"}};
    for (int i = 0; i < 2; i++) {
        double narrow[2], wide[2];
        moves(narrow, 64, way[i].heads, true, way[i].also);
        moves(wide, 256, way[i].heads, true, way[i].also);
        for (int k = 0; k < 2; k++)
            cr_expect(wide[k] < 1.15 * narrow[k] && wide[k] > 0.7 * narrow[k],
                      "muP, %s: %s move by %g, then by %g", way[i].also,
                      k ? "activations" : "logits", narrow[k], wide[k]);
        moves(narrow, 64, way[i].heads, false, way[i].also);
        moves(wide, 256, way[i].heads, false, way[i].also);
        cr_expect(wide[0] > 1.3 * narrow[0] && wide[1] > 4 * narrow[1],
                  "standard, %s: logits move by %g, then %g, activations by %g, then %g",
                  way[i].also, narrow[0], wide[0], narrow[1], wide[1]);
    }
}

/* --- weights -------------------------------------------------------------- */

/* Takes "key": value, out of a JSON text. */
static void cut_key(char *text, const char *key)
{
    char *at = strstr(text, key);
    cr_assert(at && at[-1] == '"', "%s is not there", key);
    char *end = at + strcspn(at, ",}");
    char *start = at - 1;
    if (*end == ',')
        end++;
    else
        while (*--start != ',') {
        }
    memmove(start, end, strlen(end) + 1);
}

/* No base stands in the config.json of another program, nor in one of before there was the key. */
Test(mup, the_weights_alone_are_the_model)
{
    opened o;
    char folder[] = "/tmp/isoflop-mup-XXXXXX", path[64], *text;
    int64_t bytes;
    cr_assert(mkdtemp(folder));
    open_run(&o, (const char *[]){"model.base_width=8", "model.base_head_width=4",
                                  "model.mlp=swiglu", NULL});
    (void)steps(o.r, 3);
    cr_assert_eq(checkpoint_start(o.r, folder, 0), OK);
    cr_assert_eq(checkpoint_finish(o.r), OK, "%s", status_message());
    (void)snprintf(path, sizeof path, "%s/step-3/config.json", folder);
    cr_assert_eq(file_read_text(&text, &bytes, path, 1 << 20), OK);
    cut_key(text, "base_width");
    cut_key(text, "base_head_width");
    cr_assert_eq(file_write_text(path, text, (int64_t)strlen(text)), OK);
    free(text);
    (void)snprintf(path, sizeof path, "%s/step-3", folder);

    int32_t tokens[4 * 33];
    float losses[32];
    for (int i = 0; i < 4 * 33; i++) tokens[i] = (i * i + 7 * i) % VOCAB;
    cr_assert_eq(transformer_load(&o.r->model, tokens), OK);
    cr_assert_eq(transformer_losses(&o.r->model), OK);
    inference *in;
    cr_assert_eq(inference_open(&in, path, "cpu"), OK, "%s", status_message());
    cr_assert_eq(inference_model(in)->base_width, 0);
    for (int b = 0; b < 4; b++) {
        const float *own = (const float *)o.r->act.losses.data + b * 32;
        cr_assert_eq(inference_losses(in, tokens + b * 33, 32, losses), OK);
        for (int i = 0; i < 32; i++)
            cr_expect_float_eq(losses[i], own[i], 1e-4f, "sequence %d, token %d", b, i);
    }
    inference_close(in);
    close_run(&o);
    cr_assert_eq(file_remove_folder(folder), OK);
}

#include "golden/golden.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t golden_hash(const char *name, uint32_t i)
{
    uint32_t h = 2166136261u;
    for (const char *c = name; *c; c++) h = (h ^ (uint8_t)*c) * 16777619u;
    h += 2654435761u * (i + 1);
    for (int round = 0; round < 2; round++) h = (h ^ h >> 16) * 0x045d9f3bu;
    return h ^ h >> 16;
}

double golden_unit(const char *name, int64_t i)
{
    return (double)(golden_hash(name, (uint32_t)i) >> 8) / 0x1p23 - 1;
}

float golden_weight(const char *name, bool vector, int64_t i)
{
    size_t length = strlen(name);
    bool gain = vector && length > 6 && strcmp(name + length - 6, "weight") == 0;
    return (float)(golden_unit(name, i) / 4 + (gain ? 1 : 0));
}

void golden_tokens(const golden *g, int64_t sample, int32_t *tokens)
{
    for (int64_t t = 0; t <= g->context; t++) {
        uint32_t h = golden_hash("tokens", (uint32_t)(sample * (g->context + 1) + t));
        bool drawn = t == 0 || (h >> 8) % 4 == 0;
        tokens[t] =
            drawn ? (int32_t)(h % (uint32_t)g->vocab) : (5 * tokens[t - 1] + 3) % (int32_t)g->vocab;
    }
}

/* The rest of the line is a remark. */
static bool end_of_line(FILE *f)
{
    int c;
    while ((c = getc(f)) != EOF && c != '\n') continue;
    return c == '\n';
}

static double *read_numbers(FILE *f, int64_t count)
{
    double *out = count > 0 && count < 1 << 20 ? malloc((size_t)count * sizeof *out) : NULL;
    for (int64_t i = 0; out && i < count; i++)
        if (fscanf(f, "%lf", &out[i]) != 1) {
            free(out);
            return NULL;
        }
    return out;
}

static bool read_shape(golden *g, FILE *f)
{
    return fscanf(f,
                  " model layers %" SCNd64 " width %" SCNd64 " heads %" SCNd64
                  " head_width %" SCNd64 " kv_heads %" SCNd64 " ffn %" SCNd64 " vocab %" SCNd64
                  " context %" SCNd64
                  " norm %15s norm_eps %lf positions %15s rope_theta %lf mlp %15s bias %d tied %d",
                  &g->layers, &g->width, &g->heads, &g->head_width, &g->kv_heads, &g->ffn,
                  &g->vocab, &g->context, g->norm, &g->norm_eps, g->positions, &g->rope_theta,
                  g->mlp, &g->bias, &g->tied) == 15 &&
           fscanf(f,
                  " train batch %" SCNd64 " steps %" SCNd64 " micro_batches %" SCNd64
                  " learning_rate %lf beta1 %lf beta2 %lf eps %lf weight_decay %lf clip %lf z_loss "
                  "%lf",
                  &g->batch, &g->steps, &g->micro_batches, &g->learning_rate, &g->beta1, &g->beta2,
                  &g->eps, &g->weight_decay, &g->clip, &g->z_loss) == 10 &&
           g->steps > 0 && g->steps <= GOLDEN_STEPS;
}

static bool read_gradients(golden *g, FILE *f)
{
    if (fscanf(f, " gradients %d", &g->tensors) != 1 || !end_of_line(f)) return false;
    if (g->tensors < 1 || g->tensors > GOLDEN_TENSORS) return false;
    for (int i = 0; i < g->tensors; i++) {
        golden_tensor *t = &g->gradient[i];
        if (fscanf(f, " gradient %63s %" SCNd64 " %" SCNd64 " %lf %lf", t->name, &t->count,
                   &t->stride, &t->norm, &t->dot) != 5 ||
            t->stride < 1)
            return false;
        t->values = read_numbers(f, (t->count + t->stride - 1) / t->stride);
        if (!t->values) return false;
    }
    return true;
}

static bool read_curve(golden *g, FILE *f)
{
    int64_t steps;
    if (fscanf(f, " curve %" SCNd64, &steps) != 1 || steps != g->steps || !end_of_line(f))
        return false;
    for (int64_t s = 0; s < steps; s++)
        if (fscanf(f, "%lf %lf", &g->step_loss[s], &g->step_norm[s]) != 2) return false;
    return true;
}

static bool read_weights(golden *g, FILE *f)
{
    int tensors;
    char end[4];
    if (fscanf(f, " weights %d", &tensors) != 1 || tensors != g->tensors || !end_of_line(f))
        return false;
    for (int i = 0; i < tensors; i++)
        if (fscanf(f, " weight %63s %lf %lf", g->weight[i].name, &g->weight[i].norm,
                   &g->weight[i].dot) != 3)
            return false;
    return fscanf(f, "%3s", end) == 1 && strcmp(end, "end") == 0;
}

static const char *read_all(golden *g, FILE *f)
{
    int64_t rows, columns;
    if (getc(f) != '#' || !end_of_line(f)) return "a provenance line";
    if (!read_shape(g, f)) return "the model and train lines";
    if (fscanf(f, " logits %" SCNd64 " %" SCNd64, &rows, &columns) != 2 ||
        rows != g->batch * g->context || columns != g->vocab)
        return "logits of every position";
    g->logits = read_numbers(f, rows * columns);
    if (!g->logits) return "the logits";
    if (fscanf(f, " loss %lf", &g->loss) != 1) return "the loss";
    if (!read_gradients(g, f)) return "the gradients";
    if (!read_curve(g, f)) return "the curve";
    return read_weights(g, f) ? NULL : "the weights and an end";
}

bool golden_init(golden *out, const char *folder, const char *variant, char *text, int bytes)
{
    char path[1024];
    *out = (golden){0};
    (void)snprintf(path, sizeof path, "%s/%s.txt", folder, variant);
    FILE *f = fopen(path, "r");
    const char *missing = f ? read_all(out, f) : "a readable file";
    if (missing)
        (void)snprintf(text, (size_t)bytes, "%s: expected %s near byte %ld", path, missing,
                       f ? ftell(f) : 0);
    if (f) (void)fclose(f);
    if (missing) golden_deinit(out);
    return !missing;
}

void golden_deinit(golden *g)
{
    free(g->logits);
    for (int i = 0; i < GOLDEN_TENSORS; i++) free(g->gradient[i].values);
    *g = (golden){0};
}

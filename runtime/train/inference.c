#include "train/inference.h"
#include "base/file.h"
#include "base/nearest.h"
#include "train/checkpoint.h"
#include "train/model_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 4 }; /* weights, activations, workspace, one row of logits */

struct inference {
    model_config model;
    char path[1024];
    const ops *ops;
    device *device;
    layout layout;
    params params;
    activations act;
    transformer transformer;
    void *memory[KINDS];
    int64_t bytes[KINDS];
    float *logits, *losses;
    int32_t *tokens;
};

/* The step folder behind what the user named. */
static status find_step(char out[1024], const char *path)
{
    char inside[1100];
    (void)snprintf(inside, sizeof inside, "%s/manifest.json", path);
    if (file_exists(inside)) {
        (void)snprintf(out, 1024, "%s", path);
        return OK;
    }
    TRY(file_reach(inside));
    (void)snprintf(inside, sizeof inside, "%s/checkpoints", path);
    checkpoint_info found;
    REQUIRE(file_exists(path), ERR_IO, "there is no run or checkpoint %s%s", path,
            nearest_file(path).text);
    world *alone = NULL;
    TRY(world_open_self(&alone));
    status s = checkpoint_find(&found, alone, file_exists(inside) ? inside : path, NULL, NULL);
    world_close(alone);
    if (s == OK && !found.path[0])
        s = status_set(ERR_IO, __FILE__, __LINE__,
                       "%s holds no complete checkpoint (looked for %s/step-N)", path,
                       file_exists(inside) ? inside : path);
    (void)snprintf(out, 1024, "%s", found.path);
    return s;
}

static status take_memory(inference *i)
{
    op_shapes shapes = transformer_shapes(&i->model, 1, DTYPE_F32);
    i->bytes[0] = arena_piece(i->layout.physical * 4);
    const activations_spec spec = {.B = 1, .act = DTYPE_F32};
    i->bytes[1] = activations_bytes(&i->model, &spec);
    i->bytes[2] = arena_piece(i->ops->workspace_bytes(i->device, &shapes));
    i->bytes[3] = i->model.vocab * 4;
    for (int k = 0; k < KINDS; k++) TRY(i->ops->alloc(i->device, &i->memory[k], i->bytes[k]));
    TRY(i->ops->reserve(i->device, i->memory[2], i->bytes[2], &shapes));
    arena a;
    arena_view(&a, "activations", i->memory[1], i->bytes[1]);
    TRY(activations_init(&i->act, &a, &i->model, &spec));
    i->params = (params){.layout = &i->layout, .act = DTYPE_F32, .weights = i->memory[0]};
    i->transformer = (transformer){.ops = i->ops,
                                   .device = i->device,
                                   .config = &i->model,
                                   .params = &i->params,
                                   .act = &i->act};
    size_t V = (size_t)i->model.vocab, T = (size_t)i->model.context;
    i->logits = calloc(V, 4);
    i->losses = calloc(T, 4);
    i->tokens = calloc(T + 1, 4);
    REQUIRE(i->logits && i->losses && i->tokens, ERR_MEMORY, "no memory for %zu logits", V);
    return transformer_prepare(&i->transformer);
}

/* Logical vector of the file -> physical vector of the ops, bucket by bucket. */
static status load_weights(inference *i)
{
    float *logical = malloc((size_t)i->layout.params * 4);
    REQUIRE(logical, ERR_MEMORY, "no memory for %lld parameters", (long long)i->layout.params);
    status s = checkpoint_read_weights(i->path, &i->layout, logical);
    for (int32_t b = 0; s == OK && b < i->layout.bucket_count; b++) {
        const bucket *k = &i->layout.buckets[b];
        s = i->ops->upload(i->device, (float *)i->params.weights + k->physical,
                           logical + k->logical, k->count * 4);
    }
    free(logical);
    return s;
}

static status open_all(inference *i, const char *path, const char *backend)
{
    TRY(find_step(i->path, path));
    TRY(model_json_read(i->path, &i->model));
    const char *isa = getenv("ISOFLOP_CPU_PATH");
    TRY(backend_find(&i->ops, backend));
    TRY(i->ops->open(&i->device, &(device_options){.path = isa ? isa : "auto"}));
    TRY(layout_init(&i->layout, &i->model, 1));
    TRY(take_memory(i));
    return load_weights(i);
}

status inference_open(inference **out, const char *path, const char *backend)
{
    inference *i = calloc(1, sizeof *i);
    REQUIRE(i, ERR_MEMORY, "no memory to open a checkpoint");
    status s = open_all(i, path, backend);
    if (s != OK) {
        inference_close(i);
        return s;
    }
    *out = i;
    return OK;
}

void inference_close(inference *i)
{
    if (!i) return;
    activations_deinit(&i->act);
    for (int k = 0; i->ops && k < KINDS; k++)
        if (i->memory[k]) i->ops->release(i->device, i->memory[k], i->bytes[k]);
    if (i->ops) i->ops->close(i->device);
    layout_deinit(&i->layout);
    free(i->logits);
    free(i->losses);
    free(i->tokens);
    free(i);
}

const model_config *inference_model(const inference *i) { return &i->model; }
const char *inference_path(const inference *i) { return i->path; }

/* Causal: what stands after the given tokens does not matter, so the window is filled with zeros.
 */
static status load_tokens(inference *i, const int32_t *tokens, int64_t count)
{
    int64_t T = i->model.context;
    memset(i->tokens, 0, (size_t)(T + 1) * 4);
    for (int64_t j = 0; j < count; j++) {
        REQUIRE(tokens[j] >= 0 && tokens[j] < i->model.vocab, ERR_CONFIG,
                "token %d is outside the model's vocabulary [0, %lld)", tokens[j],
                (long long)i->model.vocab);
        i->tokens[j] = tokens[j];
    }
    return transformer_load(&i->transformer, i->tokens);
}

status inference_logits(inference *i, const int32_t *tokens, int64_t count, const float **logits)
{
    ASSERT(count >= 1 && count <= i->model.context);
    TRY(load_tokens(i, tokens, count));
    TRY(transformer_forward(&i->transformer));
    TRY(transformer_logits(&i->transformer, count - 1, i->logits, i->memory[3]));
    for (int64_t v = 0; v < i->model.vocab; v++)
        REQUIRE(isfinite(i->logits[v]), ERR_NUMERIC,
                "%s: the logit of token %lld is not finite; the weights cannot be used", i->path,
                (long long)v);
    *logits = i->logits;
    return OK;
}

status inference_losses(inference *i, const int32_t *tokens, int64_t count, float *losses)
{
    ASSERT(count >= 1 && count <= i->model.context);
    TRY(load_tokens(i, tokens, count + 1));
    TRY(transformer_losses(&i->transformer));
    TRY(i->ops->download(i->device, i->losses, i->act.losses.data, i->act.N * 4));
    memcpy(losses, i->losses, (size_t)count * 4);
    return OK;
}

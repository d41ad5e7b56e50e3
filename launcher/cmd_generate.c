#include "cli.h"
#include "commands.h"
#include "base/rng.h"
#include "data/tokenizer.h"
#include "train/inference.h"
#include "which_tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: isoflop generate CHECKPOINT [--prompt TEXT] [--tokens N] [--temperature X]\n"
    "                        [--top-k K] [--seed S] [--tokenizer SPEC]\n"
    "\n"
    "Writes text from a checkpoint: a run directory (its newest checkpoint) or one step-N folder.\n"
    "\n"
    "  --prompt TEXT      what the text begins with (default: a new document)\n"
    "  --tokens N         tokens to write (default 256)\n"
    "  --temperature X    0 = always the likeliest token (default 0.8)\n"
    "  --top-k K          choose among the K likeliest (default 0 = all)\n"
    "  --seed S           same seed, same text (default 1)\n"
    "  --tokenizer SPEC   bytes, a tokenizer.json, or a folder with encoder.json and vocab.bpe;\n"
    "                     default: that of the run's training data\n"
    "\n"
    "example: isoflop generate runs/quickstart --prompt \"Sea \" --tokens 400\n";

typedef struct choice {
    int64_t tokens, top_k, seed;
    double temperature;
} choice;

/* The k-th largest logit; candidates below it are out. */
static float threshold_of(const float *logits, int64_t V, int64_t k)
{
    if (k <= 0 || k >= V) return -INFINITY;
    float limit = INFINITY;
    for (int64_t taken = 0; taken < k;) {
        float best = -INFINITY;
        for (int64_t v = 0; v < V; v++)
            if (logits[v] < limit && logits[v] > best) best = logits[v];
        for (int64_t v = 0; v < V; v++) taken += logits[v] == best;
        limit = best;
    }
    return limit;
}

static int32_t sample(const float *logits, int64_t V, const choice *c, int64_t position)
{
    int64_t best = 0;
    for (int64_t v = 1; v < V; v++)
        if (logits[v] > logits[best]) best = v;
    if (c->temperature <= 0) return (int32_t)best;
    float limit = threshold_of(logits, V, c->top_k);
    double total = 0.0, at = 0.0;
    for (int64_t v = 0; v < V; v++)
        if (logits[v] >= limit) total += exp((double)(logits[v] - logits[best]) / c->temperature);
    double wanted = total * rng_uniform((uint64_t)c->seed, RNG_SAMPLE, 0, (uint64_t)position);
    for (int64_t v = 0; v < V; v++) {
        if (logits[v] < limit) continue;
        at += exp((double)(logits[v] - logits[best]) / c->temperature);
        if (at >= wanted) return (int32_t)v;
    }
    return (int32_t)best;
}

/* Token by token from the last T tokens; stops at end-of-text. */
static status write_text(inference *i, const tokenizer *t, int32_t *ids, int64_t count,
                         const choice *c)
{
    const model_config *m = inference_model(i);
    for (int64_t n = 0; n < c->tokens; n++) {
        const float *logits;
        int64_t window = count < m->context ? count : m->context;
        TRY(inference_logits(i, ids + count - window, window, &logits));
        int32_t id = sample(logits, m->vocab, c, n), length = 0;
        if (id == tokenizer_eot(t)) break;
        const uint8_t *bytes = tokenizer_bytes(t, id, &length);
        if (bytes) (void)fwrite(bytes, 1, (size_t)length, stdout);
        (void)fflush(stdout);
        ids[count++] = id;
    }
    (void)fputc('\n', stdout);
    return OK;
}

static status generate(const char *path, const char *spec, const char *prompt, const choice *c)
{
    inference *i = NULL;
    tokenizer *t = NULL;
    int32_t *ids = NULL, *all = NULL;
    int64_t count = 0;
    status s = inference_open(&i, path, "auto");
    if (s == OK) s = which_tokenizer(&t, spec, path, inference_model(i));
    if (s == OK)
        s = tokenizer_encode(t, (const uint8_t *)prompt, (int64_t)strlen(prompt), &ids, &count);
    if (s == OK) {
        all = calloc((size_t)(count + c->tokens + 1), sizeof *all);
        if (!all)
            s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for %lld tokens",
                           (long long)c->tokens);
    }
    if (s == OK) {
        /* every document of the training data follows an end-of-text */
        all[0] = tokenizer_eot(t);
        if (count) memcpy(all + 1, ids, (size_t)count * sizeof *ids);
        (void)fputs(prompt, stdout);
        s = write_text(i, t, all, count + 1, c);
    }
    free(all);
    free(ids);
    tokenizer_close(t);
    inference_close(i);
    return s;
}

static status run(int argc, char **argv, const char **rest)
{
    const char *prompt = "", *tokens = NULL, *temperature = NULL, *top_k = NULL, *seed = NULL,
               *spec = NULL;
    const cli_option options[] = {{"--prompt", &prompt, NULL},
                                  {"--tokens", &tokens, NULL},
                                  {"--temperature", &temperature, NULL},
                                  {"--top-k", &top_k, NULL},
                                  {"--seed", &seed, NULL},
                                  {"--tokenizer", &spec, NULL},
                                  {NULL, NULL, NULL}};
    int count;
    TRY(cli_parse(argc, argv, options, rest, &count));
    REQUIRE(count == 1, ERR_CONFIG,
            "generate needs one checkpoint: isoflop generate runs/NAME (--help shows more)");
    choice c = {.tokens = 256, .seed = 1, .temperature = 0.8};
    TRY(cli_integer(&c.tokens, "--tokens", tokens, 1, 10000000));
    TRY(cli_integer(&c.top_k, "--top-k", top_k, 0, 1000000));
    TRY(cli_integer(&c.seed, "--seed", seed, 0, INT64_C(9000000000000000)));
    TRY(cli_number(&c.temperature, "--temperature", temperature, 0, 100));
    REQUIRE(c.temperature > 0 || !top_k, ERR_CONFIG,
            "--top-k chooses among several; --temperature 0 takes the likeliest alone");
    return generate(rest[0], spec, prompt, &c);
}

int cmd_generate(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    int code = cli_report(rest ? run(argc, argv, rest) : ERR_MEMORY);
    free(rest);
    return code;
}

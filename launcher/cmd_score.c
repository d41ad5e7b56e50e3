#include "cli.h"
#include "commands.h"
#include "base/file.h"
#include "data/tokenizer.h"
#include "train/inference.h"
#include "which_tokenizer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: isoflop score CHECKPOINT FILE [--stride N] [--tokenizer SPEC] [--json]\n"
    "\n"
    "Loss of a checkpoint on a text file. The file is cut into windows of the model's context; "
    "every\n"
    "token but the first is scored once, with at least context - stride tokens before it.\n"
    "\n"
    "  --stride N         tokens from one window to the next (default: context)\n"
    "  --tokenizer SPEC   bytes, a tokenizer.json, or a folder with encoder.json and vocab.bpe;\n"
    "                     default: that of the run's training data\n"
    "  --json             one object: loss (nats/token), bits_per_byte and what they are of\n"
    "\n"
    "example: isoflop score runs/quickstart README.md --stride 128\n";

enum { FILE_MAX = 1 << 30 };

typedef struct score {
    int64_t tokens, bytes, windows, stride, context;
    double nats;
} score;

/* Window w covers tokens [w stride, w stride + T]; only what no earlier window scored counts. */
static status score_tokens(inference *i, const tokenizer *t, const int32_t *ids, int64_t count,
                           score *out)
{
    int64_t T = out->context, next = 0; /* next target to score: ids[next + 1] */
    float *losses = malloc((size_t)T * sizeof *losses);
    REQUIRE(losses, ERR_MEMORY, "no memory for a window");
    status s = OK;
    cli_meter m = cli_meter_begin("score");
    for (int64_t start = 0; s == OK && next + 1 < count; start += out->stride) {
        int64_t length = count - 1 - start < T ? count - 1 - start : T;
        s = inference_losses(i, ids + start, length, losses);
        for (; s == OK && next < start + length; next++) {
            int32_t bytes = 0;
            (void)tokenizer_bytes(t, ids[next + 1], &bytes);
            out->nats += (double)losses[next - start];
            out->bytes += bytes;
            out->tokens++;
        }
        out->windows++;
        cli_meter_show(&m, "windows", (double)next / (double)(count - 1));
    }
    cli_meter_end(&m);
    free(losses);
    return s;
}

static status print_score(const score *r, const char *checkpoint, const char *file, bool json)
{
    const double loss = r->nats / (double)r->tokens;
    const double bits = r->bytes ? r->nats / log(2.0) / (double)r->bytes : (double)NAN;
    if (!json) {
        printf("%s on %s:\n%.4f nats/token", checkpoint, file, loss);
        if (isfinite(bits)) printf(", %.4f bits/byte", bits);
        printf(" (%" PRId64 " tokens, %" PRId64 " bytes, context %" PRId64 ", stride %" PRId64
               ")\n",
               r->tokens, r->bytes, r->context, r->stride);
        return OK;
    }
    json_t *root = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "checkpoint",
                             checkpoint, "file", file, "tokens", (json_int_t)r->tokens, "bytes",
                             (json_int_t)r->bytes, "windows", (json_int_t)r->windows, "stride",
                             (json_int_t)r->stride, "context", (json_int_t)r->context, "loss",
                             json_finite(loss), "bits_per_byte", json_finite(bits));
    REQUIRE(root, ERR_CONFIG, "--json: %s or %s is not UTF-8", checkpoint, file);
    return cli_json(root);
}

static status score_file(const char *path, const char *file, const char *spec, const char *stride,
                         bool json)
{
    inference *i = NULL;
    tokenizer *t = NULL;
    char *text = NULL;
    int32_t *ids = NULL;
    int64_t bytes = 0, count = 0;
    score r = {0};
    status s = file_read_text(&text, &bytes, file, FILE_MAX);
    if (s == OK) s = inference_open(&i, path, "auto");
    if (s == OK) s = which_tokenizer(&t, spec, path, inference_model(i));
    if (s == OK) s = tokenizer_encode(t, (const uint8_t *)text, bytes, &ids, &count);
    if (s == OK && count < 2)
        s = status_set(ERR_IO, __FILE__, __LINE__,
                       "%s has %" PRId64 " tokens; at least 2 are needed", file, count);
    if (s == OK) {
        r.context = r.stride = inference_model(i)->context;
        s = cli_integer(&r.stride, "--stride", stride, 1, r.context);
    }
    if (s == OK) s = score_tokens(i, t, ids, count, &r);
    if (s == OK) s = print_score(&r, inference_path(i), file, json);
    free(ids);
    free(text);
    tokenizer_close(t);
    inference_close(i);
    return s;
}

static status run(int argc, char **argv, const char **rest)
{
    const char *stride = NULL, *spec = NULL;
    bool json = false;
    const cli_option options[] = {{"--stride", &stride, NULL},
                                  {"--tokenizer", &spec, NULL},
                                  {"--json", NULL, &json},
                                  {NULL, NULL, NULL}};
    int count;
    TRY(cli_parse(argc, argv, options, rest, &count));
    REQUIRE(count == 2, ERR_CONFIG,
            "score needs a checkpoint and a file: isoflop score runs/NAME FILE");
    return score_file(rest[0], rest[1], spec, stride, json);
}

int cmd_score(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    int code = cli_report(rest ? run(argc, argv, rest) : ERR_MEMORY);
    free(rest);
    return code;
}

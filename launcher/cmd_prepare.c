#include "cli.h"
#include "commands.h"
#include "base/clock.h"
#include "config/config.h"
#include "data/pool.h"
#include "data/prepare.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: isoflop prepare INPUT... --out DIR [options]\n"
    "\n"
    "Turns text into token shards: DIR/train, DIR/validation and DIR/test, each with llm.c files\n"
    "tokens-*.bin and a manifest.json; DIR/tokenizer.json unless tokens are bytes. An INPUT is a\n"
    "file, a folder (every file below it, sorted), - (stdin) or gcide (the dictionary of the "
    "package\n"
    "dict-gcide, cleaned). Files may end in .gz or .zst; lines of .jsonl files are documents.\n"
    "What is no text (Parquet, archives, UTF-16) is refused. The result does not depend on the\n"
    "number of workers.\n"
    "\n"
    "  --tokenizer T          bytes (default), bpe:VOCAB (trained on train), a tokenizer.json,\n"
    "                         gpt2:FOLDER with encoder.json and vocab.bpe\n"
    "  --validation FILE      the validation text; documents of it are dropped from the inputs\n"
    "  --validation-share S   or the share of the documents, chosen by their SHA-256\n"
    "                         (default 0.05; 0: none)\n"
    "  --test FILE, --test-share S   the same for test (default 0.05, or 0 beside --validation "
    "FILE)\n"
    "  --split RULE           what a document of plain text is: auto (default: a file, in pieces\n"
    "                         that are split apart but otherwise stay joined), file, blank (ends\n"
    "                         at a blank line), line\n"
    "  --field NAME           field of JSON lines (default text); with it, stdin is JSON lines\n"
    "  --workers N            threads (default: all processors)\n"
    "  --shard-tokens N       tokens of a shard (default 100M)\n"
    "  --force                replace what an earlier prepare wrote into DIR\n"
    "  --json                 print the result as JSON\n"
    "\n"
    "examples:\n"
    "  isoflop prepare gcide --out build/data/gcide\n"
    "  isoflop prepare books/ --tokenizer bpe:4096 --out data/books\n"
    "  zstd -dc dump.jsonl.zst | isoflop prepare - --field content --out data/dump\n";

typedef struct arguments {
    const char *out, *tokenizer, *held[PREPARE_SPLITS], *share[PREPARE_SPLITS], *cut, *field,
        *workers, *shard;
    bool force, json;
} arguments;

static status share_option(double *out, const char *text, double otherwise, const char *name)
{
    *out = otherwise;
    if (text) TRY(config_number(out, text));
    REQUIRE(*out >= 0 && *out < 1, ERR_CONFIG, "%s: %s is outside [0, 1)", name, text);
    return OK;
}

static status cut_option(cut_rule *out, const char *text)
{
    static const char *const names[] = {"auto", "file", "blank", "line"};
    for (int i = 0; i < 4; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (cut_rule)i;
            return OK;
        }
    FAIL(ERR_CONFIG, "--split: '%s'; allowed: auto, file, blank, line", text);
}

static status options_from(prepare_options *o, const arguments *a)
{
    int64_t workers = pool_processors();
    REQUIRE(a->out, ERR_CONFIG, "--out DIR is missing");
    REQUIRE(o->count > 0, ERR_CONFIG, "no input; give files, folders, - (stdin) or gcide");
    for (int k = 1; k < PREPARE_SPLITS; k++)
        REQUIRE(!a->held[k] || !a->share[k], ERR_CONFIG, "--%s and --%s-share: give one of them",
                prepare_split_name(k), prepare_split_name(k));
    TRY(share_option(&o->share[1], a->share[1], 0.05, "--validation-share"));
    TRY(share_option(&o->share[2], a->share[2], a->held[1] ? 0 : 0.05, "--test-share"));
    double apart = (a->held[1] ? 0 : o->share[1]) + (a->held[2] ? 0 : o->share[2]);
    REQUIRE(apart < 1, ERR_CONFIG,
            "--validation-share and --test-share leave nothing for training");
    TRY(cut_option(&o->cut, a->cut));
    o->shard_tokens = 100000000;
    TRY(cli_integer(&workers, "--workers", a->workers, 1, 1024));
    TRY(cli_integer(&o->shard_tokens, "--shard-tokens", a->shard, 1, INT32_MAX));
    o->out = a->out;
    o->tokenizer = a->tokenizer;
    o->field = a->field;
    o->workers = (int32_t)workers;
    o->force = a->force;
    /* an empty test split is no failure unless somebody asked for one */
    o->must[0] = true;
    o->must[1] = a->held[1] || o->share[1] > 0;
    o->must[2] = a->held[2] || (a->share[2] && o->share[2] > 0);
    for (int k = 1; k < PREPARE_SPLITS; k++) o->held[k] = a->held[k];
    return OK;
}

static void print_text(const prepare_result *r, const arguments *a, double time_s)
{
    printf("%s: tokenizer %s, vocabulary %" PRId64 ", %s\n", a->out, r->tokenizer, r->vocab,
           cli_duration(time_s).text);
    for (int k = 0; k < PREPARE_SPLITS; k++) {
        const token_manifest *m = &r->split[k];
        if (m->tokens == 0) continue;
        printf("  %-10s %10" PRId64 " tokens %10" PRId64 " bytes %8" PRId64 " documents  text %.8s",
               prepare_split_name(k), m->tokens, m->bytes, m->documents, m->text_sha256);
        if (k > 0) printf("  %.2f %% in train", 100 * r->overlap[k].share);
        printf("\n");
    }
    if (r->dropped > 0)
        printf("  %" PRId64 " documents of the inputs stand in held-out files and were dropped\n",
               r->dropped);
}

static json_t *split_json(const prepare_result *r, int k)
{
    const token_manifest *m = &r->split[k];
    json_t *out = json_pack("{s:I, s:I, s:I, s:s, s:I}", "tokens", (json_int_t)m->tokens, "bytes",
                            (json_int_t)m->bytes, "documents", (json_int_t)m->documents,
                            "text_sha256", m->text_sha256, "shards", (json_int_t)m->shards);
    if (k > 0) (void)json_object_set_new(out, "overlap_share", json_real(r->overlap[k].share));
    return out;
}

static status print_json(const prepare_result *r, const arguments *a, json_t *warnings,
                         double time_s)
{
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:O}", "out", a->out, "tokenizer",
                  r->tokenizer, "tokenizer_sha256", r->split[0].tokenizer_sha256, "vocab",
                  (json_int_t)r->vocab, "eot", (json_int_t)r->eot, "dropped_documents",
                  (json_int_t)r->dropped, "time_s", time_s, "warnings", warnings);
    for (int k = 0; root && k < PREPARE_SPLITS; k++)
        if (r->split[k].tokens > 0)
            (void)json_object_set_new(root, prepare_split_name(k), split_json(r, k));
    REQUIRE(root, ERR_CONFIG, "--json: %s is not UTF-8", a->out);
    return cli_json(root);
}

/* held-out text that stands in train flatters a validation loss */
static json_t *collect_warnings(const prepare_result *r)
{
    json_t *warnings = json_array();
    for (int k = 1; k < PREPARE_SPLITS; k++) {
        char text[256];
        if (r->overlap[k].share <= 0.05) continue;
        (void)snprintf(
            text, sizeof text,
            "%.1f %% of the bytes of %s lie inside a %d-byte string that also occurs in train",
            100 * r->overlap[k].share, prepare_split_name(k), OVERLAP_BYTES);
        (void)fprintf(stderr, "isoflop: warning: %s\n", text);
        (void)json_array_append_new(warnings, json_string(text));
    }
    return warnings;
}

static status run(int argc, char **argv, const char **names)
{
    arguments a = {.tokenizer = "bytes", .cut = "auto"};
    const cli_option rows[] = {
        {"--out", &a.out, NULL},
        {"--tokenizer", &a.tokenizer, NULL},
        {"--validation", &a.held[1], NULL},
        {"--validation-share", &a.share[1], NULL},
        {"--test", &a.held[2], NULL},
        {"--test-share", &a.share[2], NULL},
        {"--split", &a.cut, NULL},
        {"--field", &a.field, NULL},
        {"--workers", &a.workers, NULL},
        {"--shard-tokens", &a.shard, NULL},
        {"--force", NULL, &a.force},
        {"--json", NULL, &a.json},
        {NULL, NULL, NULL},
    };
    prepare_options o = {.names = names};
    int count = 0;
    TRY(cli_parse(argc, argv, rows, names, &count));
    o.count = count;
    TRY(options_from(&o, &a));
    cli_meter m = cli_meter_begin("prepare");
    o.progress = cli_meter_show;
    o.context = &m;
    prepare_result r;
    status s = prepare_run(&r, &o);
    cli_meter_end(&m);
    TRY(s);
    json_t *warnings = collect_warnings(&r);
    double time_s = clock_s() - m.begin_s;
    if (a.json)
        s = print_json(&r, &a, warnings, time_s);
    else
        print_text(&r, &a, time_s);
    json_decref(warnings);
    prepare_result_deinit(&r);
    return s;
}

int cmd_prepare(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    const char **names = calloc((size_t)argc + 1, sizeof *names);
    status s =
        names ? run(argc, argv, names) : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory");
    free(names);
    return cli_report(s);
}

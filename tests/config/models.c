/* Laws of the models files: every row is sound, counts as published, and can be changed by a
 * config. */
#include "config/config_text.h"

#include "model/block.h"
#include "plan/table_a9.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct names {
    int32_t count;
    char name[256][96];
} names;

static void collect(void *context, const char *name, const model_config *m)
{
    names *n = context;
    cr_assert_lt(n->count, 256);
    cr_assert_eq(config_check_model(m, name), OK, "%s", status_message());
    cr_assert(m->head_width > 0 && m->kv_heads > 0 && m->ffn > 0, "%s is not resolved", name);
    (void)snprintf(n->name[n->count++], 96, "%s", name);
}

Test(models, every_row_is_sound_and_has_its_own_name)
{
    static names all;
    cr_assert_eq(config_model_rows(collect, &all), OK, "%s", status_message());
    cr_assert_gt(all.count, 60);
    for (int32_t i = 0; i < all.count; i++)
        for (int32_t j = 0; j < i; j++) cr_assert_str_neq(all.name[i], all.name[j]);
}

Test(models, all_rows_of_table_a9_are_there_as_printed)
{
    for (int i = 0; i < TABLE_A9_ROWS; i++) {
        char name[32];
        model_config m;
        (void)snprintf(name, sizeof name, "a9-%dm", table_a9[i].millions);
        cr_assert_eq(config_model_row(&m, name), OK, "%s", status_message());
        cr_assert_eq(m.width, table_a9[i].width);
        cr_assert_eq(m.ffn, table_a9[i].ffn);
        cr_assert_eq(m.heads, table_a9[i].heads);
        cr_assert_eq(m.head_width, table_a9[i].head_width);
        cr_assert_eq(m.layers, table_a9[i].layers);
        cr_assert_float_eq((double)block_param_count(&m) / 1e6 / table_a9[i].millions, 1, 0.0067);
    }
}

Test(models, rows_have_their_published_counts)
{
    static const struct {
        const char *name;
        int64_t params;
    } known[] = {
        {"gpt2-small", 124439808},  {"gpt2-medium", 354823168}, {"gpt2-large", 774030080},
        {"gpt2-xl", 1557611200},    {"a9-74m", 73825280},       {"r1", 891648},
        {"r2", 12417024},           {"r3", 70371840},           {"chinchilla-70m", 69716480},
        {"gopher-280m", 259502080}, {"byte-1m", 1017344},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        model_config m;
        cr_assert_eq(config_model_row(&m, known[i].name), OK, "%s", status_message());
        cr_assert_eq(block_param_count(&m), known[i].params, "%s", known[i].name);
    }
    model_config m;
    cr_assert_eq(config_model_row(&m, "chinchilla-70b"), OK);
    cr_assert_float_eq((double)block_param_count(&m) / 1e9, 70.07, 0.005);
    cr_assert_eq(config_model_row(&m, "gopher-280b"), OK);
    cr_assert_float_eq((double)block_param_count(&m) / 1e9, 279.7, 0.05);
}

Test(models, twins_differ_from_their_rows_only_in_positions)
{
    static const char *const pairs[][2] = {{"chinchilla-70m", "a9-74m"},
                                           {"gopher-280m", "a9-278m"}};
    for (int i = 0; i < 2; i++) {
        model_config twin, row;
        cr_assert_eq(config_model_row(&twin, pairs[i][0]), OK);
        cr_assert_eq(config_model_row(&row, pairs[i][1]), OK);
        cr_assert_eq(row.positions, POSITIONS_RELATIVE);
        cr_assert_eq(twin.positions, POSITIONS_ROPE);
        const int64_t relative = row.layers * (row.width + 2) * row.heads * row.head_width;
        cr_assert_eq(block_param_count(&row) - block_param_count(&twin), relative);
    }
}

#define REST SMALL_DATA "train: {tokens: 1Mi, batch_tokens: 16Ki, micro_batch: 8}\n" SMALL_OPTIMIZER

Test(models, a_config_names_a_row_or_changes_one)
{
    config c = accepted("name: x\nmodel: byte-1m\n" REST, NULL);
    cr_assert_str_eq(c.model_name, "byte-1m");
    cr_assert_eq(c.model.layers, 5);
    c = accepted("name: x\nmodel: {row: byte-1m, layers: 3, mlp: swiglu}\n" REST, NULL);
    cr_assert_str_eq(c.model_name, "byte-1m");
    cr_assert_eq(c.model.layers, 3);
    cr_assert_eq(c.model.mlp, MLP_SWIGLU);
    cr_assert_eq(c.model.width, 128);
    c = accepted("name: x\nmodel: byte-1m\n" REST, (const char *[]){"model.layers=7", NULL});
    cr_assert_eq(c.model.layers, 7);
    /* a named model replaces all that was said of the model before it, not after it */
    c = accepted("name: x\nmodel: {row: byte-1m, layers: 3}\n" REST,
                 (const char *[]){"model.layers=9", "model=byte-test", "model.context=128", NULL});
    cr_assert_str_eq(c.model_name, "byte-test");
    cr_assert_eq(c.model.layers, 2);
    cr_assert_eq(c.model.context, 128);
    /* what a row leaves to its default follows a change */
    c = accepted("name: x\nmodel: {row: gpt2-small, width: 1536}\n" SMALL_DATA
                 "train: {tokens: 1Mi, batch_tokens: 16Ki, micro_batch: 8}\n" SMALL_OPTIMIZER,
                 NULL);
    cr_assert_eq(c.model.head_width, 128);
    cr_assert_eq(c.model.ffn, 6144);
}

Test(models, an_unknown_row_names_the_nearest)
{
    refused(
        "name: x\nmodel: chinchila-70m\n" REST,
        "run.yaml:2: model: 'chinchila-70m' is no row of configs/models; nearest: chinchilla-70m");
    refused("name: x\nmodel: \"\"\n" REST, "run.yaml:2: model: '' is no row");
    refused("name: x\nmodel: {row: {a: b}}\n" REST, "run.yaml:2: model.row: a mapping");
    refused_override("model=a9-45m", "override 'model=a9-45m': model: 'a9-45m' is no row");
    model_config m;
    cr_assert_eq(config_model_row(&m, "gpt2-smal"), ERR_CONFIG);
    cr_assert(strstr(status_message(), "nearest: gpt2-small"));
}

/* A folder of configs of our own with one models file. */
static void own_models(const char *text)
{
    char root[] = "/tmp/config_models_XXXXXX", path[128];
    cr_assert_not_null(mkdtemp(root));
    (void)snprintf(path, sizeof path, "%s/models", root);
    cr_assert_eq(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/models/own.yaml", root);
    FILE *out = fopen(path, "w");
    cr_assert_not_null(out);
    (void)fputs(text, out);
    cr_assert_eq(fclose(out), 0);
    cr_assert_eq(setenv("ISOFLOP_CONFIGS", root, 1), 0);
}

static void own_models_refused(const char *text, const char *message)
{
    own_models(text);
    model_config m;
    cr_assert_eq(config_model_row(&m, "mine"), ERR_CONFIG);
    cr_assert(strstr(status_message(), message), "expected: %s\ngot:      %s", message,
              status_message());
}

Test(models, rows_of_one_s_own_come_first)
{
    own_models("defaults: {vocab: 300, context: 8}\n"
               "rows:\n"
               "  mine: {layers: 1, width: 8, heads: 2}\n"
               "  r1: {layers: 1, width: 16, heads: 2, vocab: 7}\n");
    model_config m;
    cr_assert_eq(config_model_row(&m, "mine"), OK, "%s", status_message());
    cr_assert_eq(m.vocab, 300);
    cr_assert_eq(m.ffn, 32);
    cr_assert_eq(config_model_row(&m, "r1"), OK);
    cr_assert_eq(m.vocab, 7);
    cr_assert_eq(config_model_row(&m, "gpt2-small"), OK);
    static names all;
    cr_assert_eq(config_model_rows(collect, &all), OK, "%s", status_message());
    int32_t r1 = 0;
    for (int32_t i = 0; i < all.count; i++) r1 += strcmp(all.name[i], "r1") == 0;
    cr_assert_eq(r1, 1);
}

Test(models, a_wrong_models_file_is_named_with_its_line)
{
    own_models_refused("rows:\n  mine: {layers: 1, widht: 8}\n",
                       "own.yaml:2: model.widht: unknown key; nearest: model.width");
    own_models_refused("rows:\n  mine: {layers: 1, width: 8}\n",
                       "own.yaml:2: row 'mine': model.heads: not given");
    own_models_refused("rows:\n  mine: {layers: 1, width: 8, heads: 3, vocab: 9, context: 8}\n",
                       "own.yaml:2: row 'mine': model.width: 8 is not a multiple of heads (3)");
    own_models_refused("rows:\n  mine: 7\n", "own.yaml:2: row 'mine' is one value");
    own_models_refused("layers: 1\n", "own.yaml:1: layers; allowed in a models file");
    own_models_refused("rows: {}\ndefaults: {}\n", "own.yaml:2: defaults must come before rows");
    own_models_refused("rows: {}\nrows: {}\n", "own.yaml:2: rows: given twice");
    own_models_refused("rows:\n"
                       "  mine: {layers: 1, width: 8, heads: 2, vocab: 9, context: 8}\n"
                       "  mine: {layers: 2, width: 8, heads: 2, vocab: 9, context: 8}\n",
                       "own.yaml:3: a second row 'mine'");
}

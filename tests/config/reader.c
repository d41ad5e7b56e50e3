/* Laws of config_parse: values reach their fields, everything else is refused by name. */
#include "config/config_text.h"
#include "config/table.h"

Test(reader, values_reach_their_fields_and_defaults_fill_the_rest)
{
    const config c = accepted(SMALL_CONFIG, NULL);
    cr_assert_str_eq(c.run.name, "small");
    cr_assert_str_eq(c.model_name, "");
    cr_assert_eq(c.model.layers, 2);
    cr_assert_eq(c.model.head_width, 16);
    cr_assert_eq(c.model.kv_heads, 2);
    cr_assert_eq(c.model.ffn, 128);
    cr_assert_eq(c.model.norm, MODEL_RMSNORM);
    cr_assert(c.model.tied_embeddings);
    cr_assert_eq(c.train.tokens, 4096);
    cr_assert_eq(c.train.precision, PRECISION_BF16);
    cr_assert_eq(c.train.reduction, CONFIG_EXACT);
    cr_assert_eq(c.optimizer.learning_rate, 1e-3);
    cr_assert_eq(c.optimizer.beta2, 0.95);
    cr_assert_str_eq(c.data.validation, "corpus/validation");
    cr_assert_eq(c.limits.nonfinite_in_a_row, 5);
}

Test(reader, nested_sections_and_all_kinds_of_values_are_read)
{
    const config c =
        accepted("name: z\n"
                 "backend: ref\n"
                 "model:\n"
                 "  layers: 2\n  width: 32\n  heads: 2\n  vocab: 100\n  context: 64\n"
                 "  bias: true\n  norm: layernorm\n  norm_eps: 1e-6\n"
                 "data:\n"
                 "  synthetic: zipf_facts\n"
                 "  zipf_facts: {keys: 10K, values: 32, noise: 0.25}\n"
                 "  seed: 9\n"
                 "train: {tokens: 1Mi, batch_tokens: 1Ki, micro_batch: 8, precision: fp32}\n"
                 "optimizer:\n  learning_rate: 6.0e-4   # a comment\n"
                 "schedule: {name: wsd, warmup_tokens: 1K, decay_tokens: '100K'}\n",
                 NULL);
    cr_assert_eq(c.run.backend, BACKEND_REF);
    cr_assert(c.model.bias);
    cr_assert_eq(c.model.norm, MODEL_LAYERNORM);
    cr_assert_eq(c.model.norm_eps, 1e-6);
    cr_assert_eq(c.data.synthetic, SYNTHETIC_ZIPF_FACTS);
    cr_assert_eq(c.zipf.keys, 10000);
    cr_assert_eq(c.zipf.noise, 0.25);
    cr_assert_eq(c.data.seed, 9);
    cr_assert_eq(c.train.tokens, 1 << 20);
    cr_assert_eq(c.schedule.name, SCHEDULE_WSD);
    cr_assert_eq(c.schedule.decay_tokens, 100000);
    /* an unlimited source is evaluated on a set of fixed size */
    cr_assert_eq(c.evaluate.tokens, 1 << 18);
}

Test(reader, unknown_keys_name_the_nearest_or_all_allowed)
{
    refused(SMALL_CONFIG "chekpoint: {keep_last: 1}\n",
            "run.yaml:6: chekpoint: unknown key; nearest: checkpoint");
    refused(SMALL_CONFIG "evaluate:\n  tokens: 64\n  every_token: 64\n",
            "run.yaml:8: evaluate.every_token: unknown key; nearest: evaluate.every_tokens");
    refused(SMALL_CONFIG "limits: {learning_rate: 1}\n",
            "run.yaml:6: limits.learning_rate: unknown key; nearest: optimizer.learning_rate");
    refused(SMALL_CONFIG "forecast: {qqqqqqqqqqqqqqqqqqqqqq: 1}\n",
            "allowed: law, loss, low, high");
    refused(SMALL_CONFIG "zzzzzzzzzzzzzzzzzzzz: 1\n",
            "allowed: name, backend, share_gpu, model, data, train,");
    refused(SMALL_CONFIG "data.seed: 1\n", "run.yaml:6: data.seed: unknown key");
    refused(SMALL_CONFIG "zipf_facts: {keys: 5}\n", "run.yaml:6: zipf_facts: unknown key");
    refused("name: x\nmodel: {layer: 2}\n",
            "run.yaml:2: model.layer: unknown key; nearest: model.layers");
}

Test(reader, wrong_values_name_the_place_the_key_and_what_is_allowed)
{
    refused(SMALL_CONFIG "evaluate: {tokens: many}\n",
            "run.yaml:6: evaluate.tokens: 'many' is not a whole number; allowed: 12, ");
    refused(SMALL_CONFIG "evaluate: {tokens: 1.5}\n", "'1.5' is not a whole number");
    refused(SMALL_CONFIG "evaluate: {tokens: -1}\n", "evaluate.tokens: -1 is outside [0, ");
    refused(SMALL_CONFIG "evaluate: {tokens: 99999999999999999999}\n", "does not fit in 64 bits");
    refused(SMALL_CONFIG "checkpoint: {keep_last: 0}\n",
            "checkpoint.keep_last: 0 is outside [1, 1000]; nearest: 1");
    refused(SMALL_CONFIG "checkpoint: {keep_last: 1001}\n", "nearest: 1000");
    refused(SMALL_CONFIG "checkpoint: {asynchronous: yes}\n",
            "'yes' is not known; allowed: true, false");
    refused(SMALL_CONFIG "schedule: {name: cosinus}\n",
            "schedule.name: 'cosinus' is not known; allowed: cosine, linear, constant, wsd");
    refused(SMALL_CONFIG "schedule: {final_ratio: 1.5}\n", "1.5 is outside [0, 1]; nearest: 1");
    refused(SMALL_CONFIG "schedule: {final_ratio: fast}\n", "'fast' is not a number");
    refused(SMALL_CONFIG "schedule: {final_ratio: }\n", "run.yaml:6: final_ratio: no value");
    refused(SMALL_CONFIG "schedule: {final_ratio: ~}\n", "final_ratio: no value");
    refused(SMALL_CONFIG "schedule: cosine\n", "run.yaml:6: schedule: 'cosine' is one value");
    refused(SMALL_CONFIG "schedule: {name: {a: b}}\n", "run.yaml:6: schedule.name: a mapping");
    refused(SMALL_CONFIG "schedule: [cosine]\n", "run.yaml:6: a list");
    refused(SMALL_CONFIG "backend: {cpu: 1}\n", "run.yaml:6: backend: a mapping");
}

Test(reader, a_key_given_twice_is_refused_with_both_lines)
{
    refused("name: a\nbackend: cpu\nname: b\n", "run.yaml:3: name: given twice; first in line 1");
    refused(SMALL_CONFIG "train: {seed: 1}\n", "run.yaml:6: train: given twice; first in line 4");
    refused("model:\n  layers: 1\n  layers: 1\n", "run.yaml:3: model.layers: given twice");
    refused("model: byte-test\nmodel: byte-test\n", "run.yaml:2: model: given twice");
    refused("model: {row: byte-test, row: byte-test}\n", "model.row: given twice");
}

Test(reader, keys_without_a_default_must_be_given)
{
    refused(SMALL_MODEL SMALL_DATA SMALL_TRAIN SMALL_OPTIMIZER, "run.yaml: name: not given");
    refused("name: x\n" SMALL_DATA SMALL_TRAIN SMALL_OPTIMIZER,
            "run.yaml: model: not given; allowed: ");
    refused("name: x\nmodel: {layers: 2}\n" SMALL_DATA SMALL_TRAIN SMALL_OPTIMIZER,
            "run.yaml:2: model.width: not given, and it has no default");
    refused("name: x\n" SMALL_MODEL SMALL_DATA SMALL_TRAIN,
            "run.yaml: optimizer.learning_rate: not given");
}

Test(reader, overrides_win_over_the_file_and_later_ones_over_earlier_ones)
{
    const config c = accepted(SMALL_CONFIG, (const char *[]){"train.tokens=1K", "train.tokens=1M",
                                                             "model.layers=4", "name=other",
                                                             "data.zipf_facts.keys=77",
                                                             "data.validation=", NULL});
    cr_assert_eq(c.train.tokens, 1000000);
    cr_assert_eq(c.model.layers, 4);
    cr_assert_eq(c.zipf.keys, 77);
    cr_assert_str_eq(c.run.name, "other");
    cr_assert_str_eq(c.data.validation, "");
}

Test(reader, a_wrong_override_is_named)
{
    refused_override("train.tokens=x",
                     "override 'train.tokens=x': train.tokens: 'x' is not a whole number");
    refused_override("train.token=1",
                     "override 'train.token=1': train.token: unknown key; nearest: train.tokens");
    refused_override("trian.tokens=1", "trian: unknown key; nearest: train");
    refused_override("train.tokens", "override 'train.tokens': allowed: section.key=value");
    refused_override("=1", "override '=1': allowed: section.key=value");
    refused_override("", "override '': allowed: section.key=value");
    refused_override("train=1", "override 'train=1': train is a section; its keys are given one by "
                                "one: train.tokens=...");
    refused_override("data.zipf_facts=1", "data.zipf_facts is a section; its keys are given one by "
                                          "one: data.zipf_facts.keys=...");
    refused_override(".tokens=1", "override '.tokens=1'");
    refused_override("train.=1", "train.: unknown key");
    refused_override("name=", "override 'name=': name: empty");
    refused_override("name=a\nb", "control character U+000A");
    refused_override("name=\xff", "not valid UTF-8");
    refused_override("train.batch_tokens=513",
                     "override 'train.batch_tokens=513': train.batch_tokens: 513");
}

Test(reader, text_is_kept_as_written_and_never_cut)
{
    char text[2048], name[100];
    memset(name, 'n', sizeof name);
    name[95] = '\0';
    (void)snprintf(text, sizeof text,
                   "name: %s\n" SMALL_MODEL SMALL_DATA SMALL_TRAIN SMALL_OPTIMIZER, name);
    cr_assert_str_eq(accepted(text, NULL).run.name, name);
    name[95] = 'n';
    name[96] = '\0';
    (void)snprintf(text, sizeof text,
                   "name: %s\n" SMALL_MODEL SMALL_DATA SMALL_TRAIN SMALL_OPTIMIZER, name);
    refused(text, "run.yaml:1: name: 96 bytes of text; allowed: at most 95");
    const config c = accepted("name: 'größer \"ist\" \\ besser'\n" SMALL_MODEL SMALL_DATA
                                  SMALL_TRAIN SMALL_OPTIMIZER,
                              NULL);
    cr_assert_str_eq(c.run.name, "größer \"ist\" \\ besser");
}

Test(reader, a_byte_order_mark_and_the_line_ends_of_windows_change_nothing)
{
    const config plain =
        accepted("name: x\n" SMALL_MODEL SMALL_DATA SMALL_TRAIN SMALL_OPTIMIZER, NULL);
    const config marked =
        accepted("\xef\xbb\xbfname: x\r\n" SMALL_MODEL SMALL_DATA SMALL_TRAIN SMALL_OPTIMIZER,
                 NULL);
    cr_expect_str_eq(marked.run.name, plain.run.name);
    cr_expect_eq(config_same_identity(&marked, &plain), OK);
}

Test(reader, a_missing_file_says_where_it_was_looked_for)
{
    config c;
    cr_assert_eq(config_load(&c, "no-such-config", 0, NULL), ERR_CONFIG);
    cr_assert(strstr(status_message(), "no-such-config: no such file"));
    cr_assert(strstr(status_message(), "looked in the current folder, "));
    cr_assert_eq(config_load(&c, "./no-such-config.yaml", 0, NULL), ERR_CONFIG);
    cr_assert_str_eq(status_message(), "./no-such-config.yaml: no such file");
    cr_assert_eq(config_load(&c, "quickstrt", 0, NULL), ERR_CONFIG);
    cr_assert(strstr(status_message(), "; nearest: quickstart; looked in"), "%s", status_message());
    cr_assert_eq(config_load(&c, "", 0, NULL), ERR_CONFIG);
    cr_assert_eq(config_load(&c, "/", 0, NULL), ERR_CONFIG);
    cr_assert_eq(config_load(&c, "/dev/null", 0, NULL), ERR_CONFIG);
    cr_assert(strstr(status_message(), "not a regular file"));
}

Test(reader, a_name_is_found_in_the_source_tree_with_and_without_its_ending)
{
    char path[512];
    static const char *const names[] = {"quickstart", "quickstart.yaml", "configs/quickstart.yaml"};
    for (int i = 0; i < 3; i++) {
        config c;
        cr_assert_eq(config_find(path, sizeof path, "", names[i]), OK, "%s", status_message());
        cr_assert_eq(config_load(&c, names[i], 0, NULL), OK, "%s", status_message());
        cr_assert_eq(config_check_trainable(&c), OK, "%s", status_message());
    }
}

Test(reader, a_name_is_found_in_the_folder_of_its_kind)
{
    char path[512];
    cr_assert_eq(config_find(path, sizeof path, "studies", "isoflop-cpu"), OK);
    cr_expect(strstr(path, "/studies/isoflop-cpu.yaml"), "%s", path);
    cr_assert_eq(config_find(path, sizeof path, "clusters", "isoflop-cpu"), ERR_CONFIG);
    cr_assert_eq(config_find(path, sizeof path, "clusters", "8xh10"), ERR_CONFIG);
    cr_expect(strstr(status_message(), "; nearest: 8xh"), "%s", status_message());
    cr_assert_eq(config_find(path, sizeof path, "studies", "isoflp-cpu"), ERR_CONFIG);
    cr_expect(strstr(status_message(), "; nearest: isoflop-cpu;"), "%s", status_message());
}

/* The choices of model.positions, model.mlp and optimizer.name that training accepts. */
static void trained_choices(char *out, size_t bytes, const char *section_name, const field *f)
{
    out[0] = '\0';
    for (int32_t i = 0; config_choice(section_name, f->key, i); i++) {
        char override[128];
        const char *choice = config_choice(section_name, f->key, i);
        (void)snprintf(override, sizeof override, "%s.%s=%s", section_name, f->key, choice);
        const config c = accepted(SMALL_CONFIG, (const char *[]){override, NULL});
        if (config_check_trainable(&c) != OK) continue;
        const size_t used = strlen(out);
        (void)snprintf(out + used, bytes - used, "%s%s", used ? ", " : "", choice);
    }
}

/* who adds a choice to fields.h must say it here, and to config_check_trainable, when it trains */
Test(reader, a_key_names_the_choices_that_training_runs_or_all_are_trained)
{
    static const struct {
        const char *section, *key, *all;
    } keys[] = {{"model", "positions", NULL},
                {"model", "mlp", NULL},
                {"model", "norm", "rmsnorm, layernorm"},
                {"optimizer", "name", "adamw"}};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        section s;
        char trained[128], says[160];
        cr_assert(table_section(&s, keys[k].section));
        const field *f = &s.fields[table_field(&s, keys[k].key)];
        trained_choices(trained, sizeof trained, keys[k].section, f);
        (void)snprintf(says, sizeof says, "(train: %s)", trained);
        if (keys[k].all)
            cr_expect_str_eq(trained, keys[k].all);
        else
            cr_expect(strstr(f->meaning, says), "%s: '%s' does not say '%s'", f->key, f->meaning,
                      says);
    }
}

Test(reader, what_training_lacks_is_read_and_then_refused_by_name)
{
    static const struct {
        const char *override, *message;
    } cases[] = {
        {"model.positions=relative", "model.positions: 'relative'"},
        {"model.positions=alibi", "model.positions: 'alibi'"},
        {"model.mlp=geglu", "model.mlp: 'geglu'"},
        {"model.mlp=relu2", "model.mlp: 'relu2'"},
        {"model.qk_norm=true", "model.qk_norm"},
        {"model.parallel_block=true", "model.parallel_block"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const config c = accepted(SMALL_CONFIG, (const char *[]){cases[i].override, NULL});
        cr_assert_eq(config_check_trainable(&c), ERR_CONFIG, "%s", cases[i].override);
        cr_assert(strstr(status_message(), cases[i].message), "%s", status_message());
        cr_assert(strstr(status_message(), "trained: "), "%s", status_message());
    }
    static const char *const fine[] = {"model.positions=none", "model.positions=learned",
                                       "model.mlp=swiglu", "train.attention=cudnn", "backend=ref"};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        const config c = accepted(SMALL_CONFIG, (const char *[]){fine[i], NULL});
        cr_assert_eq(config_check_trainable(&c), OK, "%s", status_message());
    }
}

/* Laws of the resolved echo, the identity hash and the table of keys. */
#include "config/config_text.h"
#include "config/table.h"

#include <stdio.h>

/* What f prints, as text; the caller frees it. */
static char *printed(const config *cfg)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cr_assert_not_null(out);
    cr_assert_eq(cfg ? config_write(cfg, out) : config_write_table(out), OK);
    cr_assert_eq(fclose(out), 0);
    return text;
}

#define SAME_NUMBER(name, ...) cr_assert_eq(x->name, y->name, #name);
#define SAME_TEXT(name, ...)   cr_assert_str_eq(x->name, y->name, #name);
#define SAME_SECTION(prefix, type, member, LIST)                                                   \
    {                                                                                              \
        const type *x = &a->member, *y = &b->member;                                               \
        LIST(SAME_NUMBER, SAME_NUMBER, SAME_TEXT, SAME_NUMBER, SAME_NUMBER)                        \
    }

static void assert_same(const config *a, const config *b)
{
    CONFIG_SECTIONS(SAME_SECTION)
    cr_assert_str_eq(a->model_name, b->model_name);
    char first[17], second[17];
    config_hash(a, first);
    config_hash(b, second);
    cr_assert_str_eq(first, second);
    cr_assert_eq(config_same_identity(a, b), OK);
}

static void assert_round_trip(const char *text, const char *const *overrides)
{
    const config a = accepted(text, overrides);
    char *echo = printed(&a);
    const config b = accepted(echo, NULL);
    assert_same(&a, &b);
    char *again = printed(&b);
    cr_assert_str_eq(echo, again);
    free(echo);
    free(again);
}

Test(write, the_resolved_config_reads_back_to_the_same_structs)
{
    assert_round_trip(SMALL_CONFIG, NULL);
    assert_round_trip(SMALL_CONFIG,
                      (const char *[]){"optimizer.learning_rate=0.1", "optimizer.eps=3.3e-7",
                                       "schedule.final_ratio=0.333333333333333314829616256",
                                       "model.norm_eps=1e-12", "data.seed=9e18",
                                       "data.train=a \"b\" \\ # ü: {x}", "backend=ref",
                                       "data.validation= ~ ", NULL});
    assert_round_trip(SMALL_CONFIG,
                      (const char *[]){"data.synthetic=zipf_facts", "data.train=",
                                       "data.validation=", "data.zipf_facts.exponent=1.1", NULL});
}

Test(write, a_resolved_config_does_not_need_its_row_any_more)
{
    config a = accepted(SMALL_CONFIG, (const char *[]){"model=byte-test", NULL});
    (void)snprintf(a.model_name, sizeof a.model_name, "a row that is gone");
    char *echo = printed(&a);
    const config b = accepted(echo, NULL);
    assert_same(&a, &b);
    free(echo);
}

Test(write, the_quickstart_config_round_trips)
{
    config a;
    cr_assert_eq(config_load(&a, "quickstart", 0, NULL), OK, "%s", status_message());
    char *echo = printed(&a);
    const config b = accepted(echo, NULL);
    assert_same(&a, &b);
    free(echo);
}

/* --- identity ------------------------------------------------------------- */

static bool same_hash(const char *const *overrides)
{
    const config a = accepted(SMALL_CONFIG, NULL), b = accepted(SMALL_CONFIG, overrides);
    char first[17], second[17];
    config_hash(&a, first);
    config_hash(&b, second);
    const bool same = strcmp(first, second) == 0;
    cr_assert_eq(config_same_identity(&a, &b) == OK, same);
    return same;
}

Test(write, the_hash_sees_identity_keys_and_nothing_else)
{
    static const char *const changes[] = {"model.layers=3",        "data.seed=2",
                                          "train.tokens=8192",     "optimizer.beta1=0.91",
                                          "schedule.name=linear",  "train.precision=fp32",
                                          "train.reduction=fast",  "model.bias=true",
                                          "data.zipf_facts.keys=5"};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        cr_assert_not(same_hash((const char *[]){changes[i], NULL}), "%s", changes[i]);
    cr_assert_not(same_hash((const char *[]){"model.base_width=32", NULL}));
    static const char *const free_keys[] = {"name=other",
                                            "backend=ref",
                                            "data.train=elsewhere",
                                            "train.sharding=none",
                                            "checkpoint.keep_last=9",
                                            "evaluate.tokens=64",
                                            "limits.nonfinite_in_a_row=1"};
    for (size_t i = 0; i < sizeof free_keys / sizeof free_keys[0]; i++)
        cr_assert(same_hash((const char *[]){free_keys[i], NULL}), "%s", free_keys[i]);
}

/* Runs and weights of before there was such a key say nothing of it: that must mean its default. */
Test(write, keys_that_came_later_default_to_nothing_and_may_be_missing)
{
    section all[SECTIONS];
    int later = 0;
    table_sections(all);
    for (int32_t s = 0; s < SECTIONS; s++)
        for (int32_t i = 0; i < all[s].count; i++) {
            const field *f = &all[s].fields[i];
            if (f->identity != ID_SET) continue;
            cr_expect(strcmp(f->fallback, "0") == 0 || strcmp(f->fallback, "false") == 0, "%s",
                      f->key);
            later++;
        }
    cr_assert_gt(later, 0);
    cr_assert(same_hash((const char *[]){"model.base_width=0", NULL}));

    /* the resolved config of an older run, whose row is gone */
    config a = accepted(SMALL_CONFIG, (const char *[]){"model=byte-test", NULL});
    (void)snprintf(a.model_name, sizeof a.model_name, "a row that is gone");
    char *echo = printed(&a), *from = strstr(echo, "  base_width:"), *to = strstr(echo, "\ndata:");
    cr_assert(from && to && from < to);
    memmove(from, to + 1, strlen(to));
    const config b = accepted(echo, NULL);
    assert_same(&a, &b);
    free(echo);
}

Test(write, the_hash_does_not_depend_on_how_a_value_is_spelled)
{
    cr_assert(same_hash((const char *[]){"train.tokens=4.096K", "train.batch_tokens=0.5Ki",
                                         "optimizer.learning_rate=0.001", "model.head_width=16",
                                         "model.ffn=128", "model.kv_heads=2", "model.norm=rmsnorm",
                                         NULL}));
}

Test(write, the_hash_of_the_small_config_is_what_it_was)
{
    /* changes only where a key of the identity is added, dropped or gets another default: then
     * resume of older runs is refused, and this line changes with the reason in its commit */
    const config c = accepted(SMALL_CONFIG, NULL);
    char hash[17];
    config_hash(&c, hash);
    cr_assert_str_eq(hash, "d0c2f9bf0d968c86");
}

Test(write, a_change_of_identity_is_named_with_both_values)
{
    const config a = accepted(SMALL_CONFIG, NULL);
    const config b = accepted(SMALL_CONFIG, (const char *[]){"train.precision=fp32", NULL});
    cr_assert_eq(config_same_identity(&a, &b), ERR_CONFIG);
    cr_assert(strstr(status_message(), "train.precision: bf16 here, fp32 there"), "%s",
              status_message());
}

Test(write, choices_have_names_and_nothing_else_has)
{
    cr_assert_str_eq(config_choice("train", "precision", PRECISION_BF16), "bf16");
    cr_assert_str_eq(config_choice("", "backend", BACKEND_CUDA), "cuda");
    cr_assert_str_eq(config_choice("model", "positions", POSITIONS_ALIBI), "alibi");
    cr_assert_str_eq(config_choice("train", "reduction", CONFIG_FAST), "fast");
    cr_assert_str_eq(config_choice("schedule", "name", SCHEDULE_WSD), "wsd");
    cr_assert_str_eq(config_choice("model", "mlp", MLP_RELU2), "relu2");
    cr_assert_null(config_choice("train", "precision", 2));
    cr_assert_null(config_choice("train", "precision", -1));
    cr_assert_null(config_choice("train", "tokens", 0));
    cr_assert_null(config_choice("nowhere", "precision", 0));
}

/* --- the table in configs/README.md --------------------------------------- */

#define BEGIN "<!-- keys: begin (generated) -->\n"
#define END   "<!-- keys: end -->\n"

Test(write, the_readme_holds_the_table_of_keys)
{
    FILE *in = fopen(CONFIGS_README, "rb");
    cr_assert_not_null(in, "configs/README.md is missing");
    static char readme[1 << 18];
    readme[fread(readme, 1, sizeof readme - 1, in)] = '\0';
    (void)fclose(in);
    char *begin = strstr(readme, BEGIN), *end = strstr(readme, END);
    cr_assert(begin && end && begin < end, "the markers are missing");
    begin += strlen(BEGIN);

    /* on failure the right file lies beside the test: copy it */
    char *table = printed(NULL);
    const bool same =
        strlen(table) == (size_t)(end - begin) && memcmp(table, begin, strlen(table)) == 0;
    if (!same) {
        FILE *out = fopen("configs-README.md", "wb");
        cr_assert_not_null(out);
        (void)fprintf(out, "%.*s%s%s", (int)(begin - readme), readme, table, end);
        cr_assert_eq(fclose(out), 0);
    }
    free(table);
    cr_assert(same,
              "configs/README.md is not current; the right one was written to configs-README.md "
              "in the folder the test ran in");
}

/* What one key says about another: refused with the nearest values that are allowed, which then
 * are. */
#include "config/config_text.h"

#include <math.h>

/* The override is refused with this message, and each fix (an override) makes the config valid. */
static void fixed_by(const char *bad, const char *message, const char *fix)
{
    refused_override(bad, message);
    const config c = accepted(SMALL_CONFIG, (const char *[]){bad, fix, NULL});
    (void)c;
}

Test(relations, batch_tokens_is_a_multiple_of_micro_batch_and_context)
{
    fixed_by("train.batch_tokens=1000", "micro_batch 4 x context 64 = 256; nearest: 768 and 1024",
             "train.batch_tokens=768");
    fixed_by("train.batch_tokens=1000", "nearest: 768 and 1024", "train.batch_tokens=1024");
    fixed_by("train.batch_tokens=255", "less than one micro-batch", "train.batch_tokens=256");
    refused("name: x\n" SMALL_MODEL SMALL_DATA SMALL_OPTIMIZER
            "train:\n  tokens: 4096\n  batch_tokens: 500\n  micro_batch: 4\n",
            "run.yaml:7: train.batch_tokens: 500 is not a multiple");
}

Test(relations, a_run_has_at_least_one_step)
{
    fixed_by("train.tokens=511", "511 is less than one step; nearest: batch_tokens = 512",
             "train.tokens=512");
    refused_override("train.tokens=0", "0 is outside [1, ");
}

Test(relations, facts_are_no_more_than_their_tables_hold)
{
    refused_override("data.zipf_facts.keys=134217729",
                     "134217729 is outside [2, 134217728]; nearest: 134217728");
}

Test(relations, a_weight_without_a_gradient_stays_where_it_is)
{
    refused_override("optimizer.eps=0", "0 is outside [1e-30, 1]; nearest: 1e-30");
}

/* whose entropy every rank sums before it begins */
Test(relations, an_evaluation_set_of_synthetic_data_has_an_end)
{
#define FACTS "data: {synthetic: zipf_facts}\n"
    const char *const small = "name: small\n" SMALL_MODEL FACTS SMALL_TRAIN SMALL_OPTIMIZER;
    const char *const said = "evaluate.tokens: 100000001; synthetic data are unlimited";
    const char *const sizes[] = {"model.vocab=5000", "evaluate.tokens=100M",
                                 "evaluate.tokens=100000001"};
    config c;
    cr_expect_eq(parse(&c, small, 2, sizes), OK, "%s", status_message());
    cr_expect_eq(parse(&c, small, 3, sizes), ERR_CONFIG);
    cr_expect(strstr(status_message(), said), "%s", status_message());
    (void)accepted(SMALL_CONFIG, (const char *[]){"evaluate.tokens=9e18", NULL});
}

Test(relations, heads_divide_the_width_or_have_their_own)
{
    fixed_by("model.heads=5", "model.width: 32 is not a multiple of heads (5); nearest: 30 and 35",
             "model.head_width=8");
    fixed_by("model.heads=5", "nearest: 30 and 35", "model.width=30");
    fixed_by("model.heads=40", "40 heads are more than the width 32", "model.heads=16");
    fixed_by("model.kv_heads=3", "model.kv_heads: 3 does not divide heads (2); nearest: 2",
             "model.kv_heads=2");
    const char *const six[] = {"model.heads=6", "model.head_width=8", "model.kv_heads=4", NULL};
    config c;
    cr_assert_eq(parse(&c, SMALL_CONFIG, 3, six), ERR_CONFIG);
    cr_assert(strstr(status_message(), "4 does not divide heads (6); nearest: 3"), "%s",
              status_message());
}

Test(relations, a_base_of_mup_is_whole_and_not_far_wider)
{
    refused_override("model.base_width=-1", "-1 is outside [0, 65536]; nearest: 0");
    refused_override("model.base_width=65537", "65537 is outside [0, 65536]; nearest: 65536");
    refused_override("model.base_width=1.5", "model.base_width");
    refused_override("model.base_widht=16", "nearest: model.base_width");
    fixed_by("model.base_head_width=8", "8 without base_width, which it belongs to",
             "model.base_width=16");
    config c;
    cr_assert_eq(parse(&c, SMALL_CONFIG, 2,
                       (const char *[]){"optimizer.learning_rate=1", "model.base_width=512"}),
                 ERR_CONFIG);
    cr_assert(strstr(status_message(), "512 at width 32: hidden matrices would learn at a rate of "
                                       "16; allowed: at most 10"),
              "%s", status_message());
}

Test(relations, rotary_needs_even_heads)
{
    fixed_by("model.head_width=15", "15 is odd and positions is rope", "model.head_width=14");
    fixed_by("model.head_width=15", "nearest: 14 and 16", "model.positions=learned");
}

Test(relations, a_schedule_fits_into_the_run)
{
    fixed_by("schedule.warmup_tokens=4097", "4097 is more than train.tokens (4096)",
             "schedule.warmup_tokens=4096");
    fixed_by("schedule.decay_tokens=10", "only wsd has it", "schedule.name=wsd");
    fixed_by("schedule.name=wsd", "0, and the schedule is wsd", "schedule.decay_tokens=10");
    config c;
    const char *const over[] = {"schedule.name=wsd", "schedule.warmup_tokens=4000",
                                "schedule.decay_tokens=97"};
    cr_assert_eq(parse(&c, SMALL_CONFIG, 3, over), ERR_CONFIG);
    cr_assert(strstr(status_message(), "nearest: 96"), "%s", status_message());
    /* sums beyond 64 bits are not a way round it */
    const char *const wrap[] = {"schedule.name=wsd", "train.tokens=9e18",
                                "schedule.warmup_tokens=9e18", "schedule.decay_tokens=9e18"};
    cr_assert_eq(parse(&c, SMALL_CONFIG, 4, wrap), ERR_CONFIG);
}

Test(relations, data_comes_from_files_or_from_a_source)
{
    fixed_by("data.train=", "data.train: not given", "data.train=x");
    refused_override("data.synthetic=zipf_facts",
                     "data.train: 'corpus/train' beside synthetic data");
    config c;
    const char *const both[] = {"data.synthetic=zipf_facts", "data.train="};
    cr_assert_eq(parse(&c, SMALL_CONFIG, 2, both), ERR_CONFIG);
    cr_assert(strstr(status_message(), "data.validation: 'corpus/validation' beside"));
    const char *const vocabulary[] = {"data.synthetic=zipf_facts", "data.train=",
                                      "data.validation=", "data.zipf_facts.values=242"};
    cr_assert_eq(parse(&c, SMALL_CONFIG, 4, vocabulary), ERR_CONFIG);
    cr_assert(strstr(status_message(),
                     "base + values = 258 is more than model.vocab (257); nearest: 241"),
              "%s", status_message());
    cr_assert_eq(parse(&c, SMALL_CONFIG, 3, vocabulary), OK, "%s", status_message());
    const char *const unevaluated[] = {"evaluate.every_tokens=512", "data.validation="};
    cr_assert_eq(parse(&c, SMALL_CONFIG, 2, unevaluated), ERR_CONFIG);
    cr_assert(
        strstr(status_message(), "data.validation: not given, and evaluate.every_tokens is 512"));
}

Test(relations, evaluation_checkpoints_and_forecasts_make_sense)
{
    fixed_by("evaluate.tokens=63", "63 is less than one window; nearest: model.context = 64",
             "evaluate.tokens=64");
    fixed_by("checkpoint.keep_every_tokens=100", "every_tokens is 0", "checkpoint.every_tokens=50");
    config c;
    const char *const never[] = {"checkpoint.keep_every_tokens=100", "checkpoint.every_tokens=30"};
    cr_assert_eq(parse(&c, SMALL_CONFIG, 2, never), ERR_CONFIG);
    cr_assert(strstr(status_message(), "nearest: 90"), "%s", status_message());
    const char *const forecast[] = {"forecast.loss=3", "forecast.low=3.1", "forecast.high=3.5"};
    cr_assert_eq(parse(&c, SMALL_CONFIG, 3, forecast), ERR_CONFIG);
    cr_assert(strstr(status_message(), "3 is outside its own interval [3.1, 3.5]"));
}

Test(relations, a_name_names_a_folder)
{
    static const char *const bad[] = {"name=a/b", "name=..", "name=.hidden", "name=-n", "name=/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused_override(bad[i], "cannot name the folder runs/NAME");
}

Test(relations, the_largest_values_do_not_overflow)
{
    /* every size at its limit at once: counted and checked, not wrapped */
    const config c =
        accepted(SMALL_CONFIG,
                 (const char *[]){"model.layers=1024", "model.width=65536", "model.heads=1024",
                                  "model.head_width=1024", "model.ffn=1048576",
                                  "model.vocab=1048576", "model.context=1048576",
                                  "train.micro_batch=8", "train.batch_tokens=8388608",
                                  "train.tokens=9e18", NULL});
    cr_assert_eq(c.train.tokens, 9000000000000000000);
    refused_override("model.width=65537", "65537 is outside [1, 65536]; nearest: 65536");
}

Test(relations, a_model_from_elsewhere_is_checked_before_it_is_used)
{
    const model_config good = accepted(SMALL_CONFIG, NULL).model;
    cr_assert_eq(config_check_model(&good, "weights"), OK, "%s", status_message());
    model_config bad[9];
    for (int i = 0; i < 9; i++) bad[i] = good;
    bad[0].heads = 0;
    bad[1].layers = -1;
    bad[2].positions = 77;
    bad[3].norm = -1;
    bad[4].kv_heads = 0;
    bad[5].ffn = 0;
    bad[6].norm_eps = (double)NAN;
    bad[7].head_width = 0;
    bad[7].heads = 3;
    bad[8].vocab = INT64_MAX;
    for (int i = 0; i < 9; i++) {
        cr_assert_eq(config_check_model(&bad[i], "weights"), ERR_CONFIG, "case %d", i);
        cr_assert_eq(strncmp(status_message(), "weights: model.", 15), 0, "%s", status_message());
    }
    /* a default that leaves its own limits */
    refused_override("model.head_width=1025", "1025 is outside [0, 1024]");
    config c;
    const char *const wide[] = {"model.width=65536", "model.heads=2"};
    cr_assert_eq(parse(&c, SMALL_CONFIG, 2, wide), ERR_CONFIG);
    cr_assert(strstr(status_message(),
                     "model.head_width: 32768 is outside [0, 1024]; nearest: 1024"),
              "%s", status_message());
}

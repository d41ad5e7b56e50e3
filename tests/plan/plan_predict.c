/* The prediction command as a user or a script meets it: JSON fields, lists, answers, refusals. */
#include "launcher/plan_predict.h"

#include "base/clock.h"
#include "train/run.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the command prints, read as JSON, or NULL when it refuses. The caller decrefs. */
static char *printed(const plan_predict_options *o, status *code)
{
    FILE *file = tmpfile();
    cr_assert(file != NULL);
    (void)fflush(stdout);
    const int keep = dup(STDOUT_FILENO);
    cr_assert(dup2(fileno(file), STDOUT_FILENO) >= 0);
    *code = plan_predict(o);
    (void)fflush(stdout);
    cr_assert(dup2(keep, STDOUT_FILENO) >= 0);
    (void)close(keep);
    const long bytes = ftell(file) > 0 ? ftell(file) : (fseek(file, 0, SEEK_END), ftell(file));
    char *text = calloc((size_t)bytes + 1, 1);
    rewind(file);
    cr_assert(fread(text, 1, (size_t)bytes, file) == (size_t)bytes);
    (void)fclose(file);
    return text;
}

static json_t *answer(plan_predict_options o)
{
    status code;
    o.json = true;
    char *text = printed(&o, &code);
    cr_assert(code == OK, "%s", status_message());
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    cr_assert(root != NULL, "%s\n%s", error.text, text);
    free(text);
    return root;
}

static double number(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    cr_assert(json_is_number(v), "%s", key);
    return json_number_value(v);
}

static const plan_predict_options seven = {.model = "mpt-7b",
                                           .cluster = "8xh100",
                                           .ranks = "64",
                                           .micro_batch = "6",
                                           .accumulate = "2",
                                           .sequence = "2048",
                                           .sharding = "full",
                                           .recompute = "none"};

Test(plan_predict, one_prediction_has_the_agreed_fields)
{
    json_t *root = answer(seven), *p = json_object_get(root, "prediction");
    cr_assert(json_is_object(p));
    double sum = 0;
    const char *key;
    json_t *part;
    json_object_foreach(json_object_get(p, "parts"), key, part) sum += json_number_value(part);
    cr_expect(fabs(sum / number(p, "step_time_s") - 1) < 1e-12);
    cr_expect(fabs(number(p, "tokens_per_s_per_rank") * 64 / number(p, "tokens_per_s") - 1) <
              1e-12);
    cr_expect(number(p, "batch_tokens") == 64 * 2 * 6 * 2048);
    cr_expect(number(p, "mfu") > 0.3 && number(p, "mfu") < 0.6);
    cr_expect(number(p, "bytes_per_rank") > 1e9);
    cr_expect_str_eq(json_string_value(json_object_get(p, "source")), "modelled");
    /* every value of the machine says where it comes from */
    json_t *v;
    json_object_foreach(json_object_get(root, "cluster"), key, v)
        cr_expect(json_is_string(json_object_get(v, "source")), "%s", key);
    json_decref(root);
}

Test(plan_predict, values_that_follow_from_a_rule_are_shown_as_modelled)
{
    plan_predict_options o = seven;
    o.cluster = "8xb200"; /* gives none of these */
    static const char *const by_rule[] = {"efficiency.products",
                                          "efficiency.attention",
                                          "efficiency.memory",
                                          "efficiency.step_spread",
                                          "efficiency.launch_s",
                                          "storage_bandwidth",
                                          "restart_s"};
    json_t *root = answer(o), *values = json_object_get(root, "cluster");
    for (size_t i = 0; i < sizeof by_rule / sizeof by_rule[0]; i++) {
        const json_t *v = json_object_get(values, by_rule[i]);
        cr_expect(number(v, "value") > 0, "%s", by_rule[i]);
        cr_expect_str_eq(json_string_value(json_object_get(v, "source")), "modelled", "%s",
                         by_rule[i]);
    }
    json_decref(root);
}

Test(plan_predict, a_range_ends_where_the_critical_batch_has_no_more_work)
{
    plan_predict_options o = seven;
    o.ranks = NULL;
    o.critical_batch = "122880"; /* ten micro-batches */
    o.scale = "1..4096";
    json_t *list = answer(o);
    cr_assert(json_array_size(list) == 5);
    cr_expect(number(json_array_get(list, 4), "ranks") == 10);
    json_decref(list);
    /* what was asked for by name is refused */
    static const char *const beyond[] = {"1,2,16", "16..4096"};
    for (int i = 0; i < 2; i++) {
        o.scale = beyond[i];
        status code;
        free(printed(&o, &code));
        cr_expect(code == ERR_CONFIG, "%s", beyond[i]);
        cr_expect(strstr(status_message(), "nearest: 10 ranks") != NULL, "%s", status_message());
    }
}

Test(plan_predict, a_batch_that_cannot_be_counted_is_refused)
{
    plan_predict_options o = seven;
    o.micro_batch = "65536";
    o.sequence = "1048576";
    o.accumulate = "16777216";
    status code;
    free(printed(&o, &code));
    cr_expect(code == ERR_CONFIG);
    cr_expect(strstr(status_message(), "counted; nearest: 4096") != NULL, "%s", status_message());
    /* of a list the ranks are, and only those asked for */
    o.micro_batch = "8";
    o.sequence = "1024";
    free(printed(&o, &code));
    cr_expect(code == OK, "%s", status_message());
    o.ranks = NULL;
    o.scale = "1,1000000";
    free(printed(&o, &code));
    cr_expect(code == ERR_CONFIG);
    cr_expect(strstr(status_message(), "counted; nearest: 2048 ranks") != NULL, "%s",
              status_message());
}

Test(plan_predict, a_scale_is_an_array_of_powers_of_two_and_the_ends)
{
    plan_predict_options o = seven;
    o.ranks = NULL;
    o.scale = "1..100";
    json_t *list = answer(o);
    static const int expected[] = {1, 2, 4, 8, 16, 32, 64, 100};
    cr_assert(json_is_array(list) && json_array_size(list) == 8);
    for (size_t i = 0; i < 8; i++) {
        const json_t *p = json_array_get(list, i);
        cr_expect(number(p, "ranks") == expected[i]);
        cr_expect(number(p, "step_time_s") > 0 && number(p, "efficiency") > 0);
    }
    json_decref(list);
    o.scale = "3,5,8..16";
    list = answer(o);
    cr_expect(json_array_size(list) == 4);
    json_decref(list);
}

Test(plan_predict, a_hundred_thousand_ranks_are_answered_in_milliseconds)
{
    plan_predict_options o = seven;
    o.ranks = NULL;
    o.scale = "1..100000";
    const double start = clock_cpu_s();
    json_decref(answer(o));
    cr_expect(clock_cpu_s() - start < 0.25, "%g s", clock_cpu_s() - start);
}

Test(plan_predict, a_deadline_is_met_by_the_fewest_ranks_or_the_nearest_is_named)
{
    plan_predict_options o = seven;
    o.ranks = NULL;
    o.tokens = "140B";
    o.deadline = "3d";
    json_t *root = answer(o), *a = json_object_get(root, "answer");
    json_t *whole = json_object_get(json_object_get(root, "prediction"), "run");
    cr_expect(json_is_true(json_object_get(a, "met")));
    cr_expect(number(whole, "wall_hours") <= 72 && number(whole, "wall_hours") > 60);
    const double met = number(a, "ranks");
    json_decref(root);

    o.deadline = "60";
    root = answer(o);
    a = json_object_get(root, "answer");
    cr_expect(json_is_false(json_object_get(a, "met")));
    cr_expect(number(a, "ranks") > met);
    json_decref(root);
}

/* A model too large for the only machine there is: an answer, not an error. */
Test(plan_predict, what_fits_nowhere_is_answered_and_said)
{
    const plan_predict_options o = {.model = "mpt-70b",
                                    .cluster = "1xh200",
                                    .tokens = "140B",
                                    .deadline = "2d"};
    json_t *root = answer(o), *p = json_object_get(root, "prediction");
    cr_expect(json_is_false(json_object_get(p, "fits")));
    cr_expect(json_is_false(json_object_get(json_object_get(root, "answer"), "met")));
    cr_expect(number(p, "largest_params_that_fit") < number(p, "params"));
    json_decref(root);
}

Test(plan_predict, a_budget_is_spent_by_the_most_ranks_it_pays)
{
    plan_predict_options o = seven;
    o.ranks = NULL;
    o.tokens = "140B";
    o.budget = "13000";
    json_t *root = answer(o);
    cr_expect(json_is_true(json_object_get(json_object_get(root, "answer"), "met")));
    json_t *whole = json_object_get(json_object_get(root, "prediction"), "run");
    cr_expect(number(whole, "cost") <= 13000 && number(whole, "cost") > 12500);
    json_decref(root);
    o.budget = "1";
    root = answer(o);
    cr_expect(json_is_false(json_object_get(json_object_get(root, "answer"), "met")));
    json_decref(root);
}

Test(plan_predict, efficiency_is_kept_and_one_more_node_would_lose_it)
{
    plan_predict_options o = seven;
    o.ranks = o.accumulate = NULL;
    o.efficiency = "0.95";
    json_t *root = answer(o);
    const json_t *p = json_object_get(root, "prediction");
    cr_expect(number(p, "efficiency") >= 0.95);
    char more[16];
    (void)snprintf(more, sizeof more, "%d", (int)number(p, "ranks") + 64);
    json_decref(root);
    o.efficiency = NULL;
    o.scale = more;
    json_t *list = answer(o);
    cr_expect(number(json_array_get(list, 0), "efficiency") < 0.95);
    json_decref(list);
}

Test(plan_predict, a_whole_node_is_always_among_the_answers)
{
    static const int sizes[] = {1, 8, 131, 192, 1000};
    char path[64];
    (void)snprintf(path, sizeof path, "node-%d.yaml", (int)getpid());
    plan_predict_options o = {.model = "gpt2-small", .cluster = path, .efficiency = "0.001"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        FILE *f = fopen(path, "w");
        cr_assert(f);
        (void)fprintf(f,
                      "name: one\nnodes: 1\nranks_per_node: %d\npeak_flops: {fp32: 1e13, bf16: "
                      "1e14}\nmemory_bytes: 80e9\nmemory_bandwidth: 1e12\nlinks: {node: "
                      "{latency_s: 1e-6, bandwidth: 1e11}}\npower_w: unknown\npue: "
                      "unknown\ngrid_g_per_kwh: unknown\nprice_per_hour: unknown\nmtbf_hours: "
                      "unknown\n",
                      sizes[i]);
        (void)fclose(f);
        json_t *root = answer(o);
        cr_expect_eq(number(json_object_get(root, "answer"), "ranks"), sizes[i]);
        json_decref(root);
    }
    (void)unlink(path);
}

Test(plan_predict, text_fits_a_hundred_columns)
{
    plan_predict_options all[5] = {seven, seven, seven, seven, seven};
    all[0].tokens = "1.4T";
    all[1].ranks = NULL;
    all[1].scale = "1..10000000";
    all[1].tokens = "1e20";
    all[2].model = "mpt-70b";
    all[2].sharding = "zero1";
    all[3].ranks = "10000000";
    all[4] = (plan_predict_options){.model = "mpt-70b",
                                    .cluster = "8xh100",
                                    .sharding = "none",
                                    .tokens = "1e20",
                                    .deadline = "1",
                                    .budget = "1e9",
                                    .efficiency = "0.999"};
    for (int i = 0; i < 5; i++) {
        status code;
        char *text = printed(&all[i], &code), *rest = text;
        cr_assert(code == OK, "%s", status_message());
        for (char *line; (line = strsep(&rest, "\n")) != NULL;)
            cr_expect(strlen(line) <= 100, "%zu: %s", strlen(line), line);
        free(text);
    }
}

/* The same file through plan and through the run that opens it. */
Test(plan_predict, bytes_of_a_config_are_those_its_run_counts)
{
    static const char text[] = "name: z\n"
                               "model: {layers: 2, width: 64, heads: 2, vocab: 512, context: 128}\n"
                               "data: {synthetic: zipf_facts}\n"
                               "train: {tokens: 65536, batch_tokens: 8192, micro_batch: 4}\n"
                               "optimizer: {learning_rate: 1e-3}\n"
                               "evaluate: {tokens: 4096}\n";
    char path[] = "/tmp/plan-predict-XXXXXX";
    const int file = mkstemp(path);
    cr_assert(file >= 0);
    cr_assert(write(file, text, sizeof text - 1) == (ssize_t)(sizeof text - 1));
    (void)close(file);

    const plan_predict_options o = {.model = path, .cluster = "cpu-2core", .ranks = "1"};
    json_t *root = answer(o), *p = json_object_get(root, "prediction");
    config cfg;
    run *r;
    world *w;
    cr_assert(config_load(&cfg, path, 0, NULL) == OK);
    cr_assert(world_open_self(&w) == OK);
    cr_assert(run_check(&r, &cfg, w) == OK, "%s", status_message());
    cr_expect(number(p, "bytes_per_rank") == (double)r->plan.total, "%.0f, the run %lld",
              number(p, "bytes_per_rank"), (long long)r->plan.total);
    cr_expect_str_eq(json_string_value(json_object_get(json_object_get(p, "bytes"), "source")),
                     "runtime");
    run_close(r);
    world_close(w);
    json_decref(root);
    (void)unlink(path);
}

typedef struct refusal {
    size_t offset;
    const char *value, *message;
} refusal;

#define BAD(field, value, message)                                                                 \
    {                                                                                              \
        offsetof(plan_predict_options, field), value, message                                      \
    }
static const refusal refusals[] = {
    BAD(model, "mpt-8b", "nearest: mpt-"),
    BAD(model, "", "--model"),
    BAD(cluster, NULL, "--cluster"),
    BAD(cluster, "8xh1000", "8xh1000"),
    BAD(ranks, "0", "--ranks: 0 is outside"),
    BAD(ranks, "-8", "--ranks"),
    BAD(ranks, "1.5", "--ranks"),
    BAD(ranks, "99999999999999999999", "--ranks"),
    BAD(micro_batch, "x", "--micro-batch"),
    BAD(accumulate, "0", "--accumulate: 0"),
    BAD(sequence, "0", "--sequence: 0"),
    BAD(sharding, "zero3", "--sharding: 'zero3' is not known; allowed: none, zero1, full"),
    BAD(recompute, "some", "allowed: none, mlp, block"),
    BAD(precision, "fp8", "allowed: fp32, bf16"),
    BAD(batch_tokens, "4M", "give one of them"),
    BAD(tokens, "1e400", "--tokens"),
    BAD(tokens, "0", "--tokens"),
    BAD(scale, "1..8", "--ranks: not beside --scale"),
    BAD(deadline, "3d", "needs --tokens"),
};
enum { REFUSALS = sizeof refusals / sizeof refusals[0] };

Test(plan_predict, bad_input_is_refused_in_one_line)
{
    for (int i = 0; i < REFUSALS; i++) {
        plan_predict_options o = seven;
        memcpy((char *)&o + refusals[i].offset, &refusals[i].value, sizeof refusals[i].value);
        status code;
        char *text = printed(&o, &code);
        cr_expect(code == ERR_CONFIG, "case %d", i);
        cr_expect_str_eq(text, "");
        cr_expect(strstr(status_message(), refusals[i].message) != NULL, "case %d: '%s'", i,
                  status_message());
        cr_expect(strchr(status_message(), '\n') == NULL);
        free(text);
    }
}

Test(plan_predict, more_ranks_than_the_batch_holds_names_the_most)
{
    plan_predict_options o = seven;
    o.accumulate = NULL;
    o.batch_tokens = "122880"; /* ten micro-batches */
    status code;
    free(printed(&o, &code));
    cr_expect(code == ERR_CONFIG);
    cr_expect(strstr(status_message(), "nearest: 10 ranks") != NULL, "%s", status_message());
    static const char *const lists[] = {"8..1", "1,1", "2,1", "", "1..", "..8", "a", "1,,2", "0"};
    o.ranks = NULL;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        o.scale = lists[i];
        free(printed(&o, &code));
        cr_expect(code == ERR_CONFIG, "--scale %s", lists[i]);
    }
}

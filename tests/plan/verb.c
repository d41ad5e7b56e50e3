/* Laws of the verb plan, through the program: answers, bad input, files that run. */
#include "config/config.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT = 1 << 20 };

/* What a command printed (both streams) and its exit code. */
typedef struct result {
    int code;
    char *text; /* owned */
} result;

/* the shell finds the programs in its environment, whatever characters their folder has */
static result run_command(const char *command)
{
    cr_assert(setenv("plan", PLAN, 1) == 0 && setenv("isoflop", ISOFLOP, 1) == 0);
    result r = {.text = calloc(1, OUTPUT)};
    FILE *pipe = popen(command, "r");
    cr_assert(pipe && r.text);
    size_t used = 0, n;
    while (used < OUTPUT - 1 && (n = fread(r.text + used, 1, OUTPUT - 1 - used, pipe)) > 0)
        used += n;
    const int how = pclose(pipe);
    r.code = WIFEXITED(how) ? WEXITSTATUS(how) : 128;
    return r;
}

static result plan(const char *arguments)
{
    char command[4096];
    (void)snprintf(command, sizeof command, "\"$plan\" %s 2>&1", arguments);
    return run_command(command);
}

static json_t *answer(const char *arguments)
{
    char line[2048];
    json_error_t error;
    (void)snprintf(line, sizeof line, "%s --json", arguments);
    result r = plan(line);
    cr_assert(r.code == 0, "plan %s: %s", arguments, r.text);
    json_t *root = json_loads(r.text, 0, &error);
    cr_assert(root, "plan %s: %s: %.200s", arguments, error.text, r.text);
    free(r.text);
    return root;
}

/* "a.b.c" inside an object; NULL where it is not. */
static json_t *at(json_t *root, const char *path)
{
    char copy[256], *rest = copy;
    (void)snprintf(copy, sizeof copy, "%s", path);
    for (char *key; root && (key = strsep(&rest, ".")) != NULL;) root = json_object_get(root, key);
    return root;
}

static double number(json_t *root, const char *path)
{
    json_t *value = at(root, path);
    cr_assert(json_is_number(value), "%s is not a number", path);
    return json_number_value(value);
}

static json_t *law_of(json_t *root, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(root, "laws"), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0) return row;
    }
    cr_assert(false, "no law %s", name);
    return NULL;
}

static void expect_near(double got, double expected, double share, const char *what)
{
    cr_expect(fabs(got / expected - 1) <= share, "%s: %.10g, expected %.10g", what, got, expected);
}

/* The reference answers, every filled cell. */
Test(plan, reference_answers_of_all_budgets)
{
    static const char *const names[] = {"hoffmann-1",  "hoffmann-2",         "hoffmann-3-table",
                                        "hoffmann-3",  "hoffmann-3-rounded", "besiroglu",
                                        "huber-refit", "muennighoff"};
    static const struct {
        const char *flops;
        double cell[8][2]; /* N, D; 0: empty; the first three at 1e19 within 1 % */
    } rows[] = {
        {"1e19",
         {{2.885e8},
          {2.95e8},
          {2.76e8},
          {2.708e8, 6.154e9},
          {2.280e8, 7.311e9},
          {2.625e8, 6.350e9},
          {2.619e8, 6.365e9},
          {2.915e8, 5.717e9}}},
        {"1e20",
         {{9.085e8, 1.847e10},
          {9.117e8, 1.829e10},
          {7.962e8, 2.081e10},
          {7.749e8, 2.151e10},
          {6.449e8, 2.585e10},
          {8.545e8, 1.950e10},
          {8.550e8, 1.949e10},
          {9.218e8, 1.808e10}}},
        {"1e21",
         {{2.860e9, 5.867e10},
          {2.817e9, 5.918e10},
          {2.289e9, 7.233e10},
          {2.217e9, 7.518e10},
          {1.824e9, 9.136e10},
          {2.782e9, 5.991e10},
          {2.792e9, 5.970e10},
          {2.915e9, 5.717e10}}},
        {"5.76e23",
         {{6.782e10, 1.425e12},
          {6.342e10, 1.514e12},
          {4.223e10, 2.252e12},
          {4.036e10, 2.379e12},
          {3.219e10, 2.982e12},
          {7.236e10, 1.327e12},
          {7.319e10, 1.312e12},
          {6.996e10, 1.372e12}}},
        {"1e25",
         {{0},
          {0},
          {0},
          {1.485e11, 1.122e13},
          {1.168e11, 1.427e13},
          {3.126e11, 5.332e12},
          {3.173e11, 5.253e12},
          {2.915e11, 5.717e12}}},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        char arguments[64];
        (void)snprintf(arguments, sizeof arguments, "--flops %s", rows[r].flops);
        json_t *root = answer(arguments);
        for (int k = 0; k < 8; k++) {
            json_t *row = law_of(root, names[k]);
            const double *cell = rows[r].cell[k], share = r == 0 && k < 3 ? 0.01 : 0.005;
            if (cell[0] > 0) expect_near(number(row, "params"), cell[0], share, names[k]);
            if (cell[1] > 0) expect_near(number(row, "tokens"), cell[1], share, names[k]);
        }
        json_decref(root);
    }
}

Test(plan, losses_at_1e21_are_the_reference_answers)
{
    static const struct {
        const char *name;
        double loss;
    } rows[] = {{"hoffmann-3", 2.29549},
                {"hoffmann-3-rounded", 2.32888},
                {"besiroglu", 2.30480},
                {"huber-refit", 2.30445},
                {"muennighoff", 2.34769}};
    json_t *root = answer("--flops 1e21");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect(fabs(number(law_of(root, rows[i].name), "loss") - rows[i].loss) < 6e-6, "%s",
                  rows[i].name);
    json_decref(root);
}

Test(plan, the_object_has_all_its_keys)
{
    static const char *const numbers[] = {"flops",
                                          "recommendation.params",
                                          "recommendation.tokens",
                                          "recommendation.loss",
                                          "recommendation.tokens_per_param",
                                          "recommendation.loss_interval.level",
                                          "recommendation.loss_interval.low",
                                          "model.layers",
                                          "model.width",
                                          "model.heads",
                                          "model.head_width",
                                          "model.ffn",
                                          "model.vocab",
                                          "model.params",
                                          "model.params_without_embedding",
                                          "model.flops_per_token",
                                          "training.batch_tokens",
                                          "training.learning_rate",
                                          "training.steps",
                                          "prediction.ranks",
                                          "prediction.bytes_per_rank",
                                          "prediction.step_time_s",
                                          "prediction.hours",
                                          "prediction.mfu",
                                          "prediction.energy_j",
                                          "prediction.cost",
                                          "prediction.tokens_per_s",
                                          "prediction.tokens_per_s_per_rank",
                                          "prediction.parts.products"};
    json_t *root = answer("--flops 1e21 --cluster 8xh100");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) (void)number(root, numbers[i]);
    cr_expect_str_eq(json_string_value(at(root, "prediction.source")), "modelled");
    cr_expect_str_eq(json_string_value(at(root, "recommendation.law")), "besiroglu");
    cr_expect(number(root, "training.steps") * number(root, "training.batch_tokens") >=
              number(root, "recommendation.tokens"));
    /* what a law does not say is null and not missing */
    json_t *row = law_of(root, "kaplan");
    cr_expect(json_is_null(json_object_get(row, "tokens")));
    cr_expect(json_is_null(json_object_get(law_of(root, "hoffmann-1"), "params_interval")));
    /* N without embeddings is converted by exact counts: less than with them */
    cr_expect(number(row, "params") < number(row, "params_total"));
    json_decref(root);
}

Test(plan, bad_input_is_one_clear_line_and_exit_code_2)
{
    static const struct {
        const char *arguments, *says;
    } bad[] = {
        {"--flops 0", "--flops: 0 is outside (0, "},
        {"--flops -1e21", "--flops: -1e21 is outside"},
        {"--flops nan", "--flops: 'nan' is not a number"},
        {"--flops inf", "--flops: 'inf' is not a number"},
        {"--flops 1e400", "--flops: '1e400' is beyond the range"},
        {"--flops 1e21x", "--flops: '1e21x' is not a number"},
        {"--flops ''", "is not a number"},
        {"--flops 1e300", "--flops: 1e300 is outside"},
        {"--params -70B", "--params: -70B is outside"},
        {"--tokens 0", "--tokens: 0 is outside"},
        {"--loss 0", "--loss: 0 is outside"},
        {"--loss 1.2", "reach this loss on its data with any budget; allowed: above its E = 1.8"},
        {"--flops 1e21 --params 1B --tokens 1B", "two of them give the third"},
        {"--flops 1e21 --loss 2", "--loss with --flops"},
        {"--gpus 8", "how many hours"},
        {"--gpus 8 --hours 3d", "needs --cluster"},
        {"--gpus 1.5 --hours 3d --cluster 8xh100", "not a whole number"},
        {"--gpus 8 --hours 3d --cluster 8xh100 --mfu 1.5", "--mfu"},
        {"--gpus 8 --hours 3d --cluster 8xh100 --flops 1e21", "both are the budget"},
        {"--budget 100 --gpus 8 --hours 3 --cluster 8xh100", "both are the budget"},
        {"--flops 1e21 --tokens-per-param 0", "--tokens-per-param"},
        {"--flops 1e21 --flops 1e22", "--flops is given twice"},
        {"--flops 1e21 --law besirogl", "nearest: besiroglu"},
        {"--flops 1e21 --law no/such/law.json", "no/such/law.json"},
        {"--flops 1e21 --law kaplan-compute", "--law kaplan-compute"},
        {"--flops 1e21 --cluster no-such", "no-such"},
        {"--flops 1e21 --data no-such-folder", "--data no-such-folder"},
        {"--flops 1e21 --sharding zero9 --cluster 8xh100", "allowed: none, zero1, full"},
        {"--flops 1e21 --ranks 8", "--cluster"},
        {"--flops 1e21 --scale 1..8", "--scale belongs to --model"},
        {"--flops 1e21 --chart picture.png", ".svg"},
        {"--flops 1e21 --unknown", "unknown option --unknown"},
        {"--flops", "--flops needs a value"},
        {"", "plan needs a question"},
        {"1e21", "plan takes options only"},
        {"--systems --flops 1e21", "--systems answers no other question"},
        {"--systems --model chinchilla-70m --cluster 8xh100", "answers no other question"},
        {"--systems --law besiroglu", "--law belongs to a question"},
        {"--systems --cluster 8xh100", "--cluster belongs to a question"},
        {"--systems --unique-tokens 1B", "--unique-tokens belongs to a question"},
        {"--systems --mfu 0.4", "--mfu belongs to a question"},
        {"--systems --emit /tmp/none", "--emit belongs to a question"},
        {"--systems --sequence 512", "--sequence belongs to a question"},
        {"--chart a.svg --law besiroglu", "--chart alone asks none"},
        {"--chart a.svg --json", "--json belongs to a question"},
        {"--flops 1e20 --precision fp32", "--precision belongs to --cluster FILE or --emit DIR"},
        {"--flops 1e20 --recompute mlp", "--recompute belongs to --cluster FILE or --emit DIR"},
        {"--flops 1e20 --precision fp8 --cluster 8xh100", "'fp8' is not known; allowed: fp32, bf"},
        {"--flops 1e21 --batch-tokens 1M", "--batch-tokens: 1M is not a multiple of sequences of"},
        {"--gpus 8 --hours 1m --cluster 8xh100", "--hours: '1m' is not a number"},
        {"--model no-such-model --flops 1e21", "--model"},
        {"--flops 1e30", "can be described"},
        {"--tokens 300M --cluster 8xh100 --batch-tokens 512000 --micro-batch 3",
         "the plan: train.batch_tokens: 512000 is not a multiple"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        result r = plan(bad[i].arguments);
        const char *newline = strchr(r.text, '\n');
        cr_expect(r.code == 2, "plan %s: exit code %d: %.300s", bad[i].arguments, r.code, r.text);
        cr_expect(strstr(r.text, bad[i].says), "plan %s: %.300s", bad[i].arguments, r.text);
        cr_expect(newline && newline[1] == '\0', "plan %s: more than one line: %.300s",
                  bad[i].arguments, r.text);
        free(r.text);
    }
}

Test(plan, a_law_file_with_a_wrong_key_is_refused)
{
    char folder[] = "/tmp/plan_law_XXXXXX", path[64], arguments[128];
    cr_assert(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/law.json", folder);
    static const char *const texts[] = {
        "{\"schema\": 1, \"law\": \"chinchilla\", \"constnats\": {}}", "{\"schema\": 1", "[]",
        "{\"schema\": 1, \"law\": \"chinchilla\", \"constants\": {\"E\": \"x\"}}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        FILE *out = fopen(path, "w");
        cr_assert(out && fputs(texts[i], out) >= 0 && fclose(out) == 0);
        (void)snprintf(arguments, sizeof arguments, "--flops 1e21 --law %s", path);
        result r = plan(arguments);
        cr_expect(r.code == 2 && strstr(r.text, "law.json"), "%s: %d: %s", texts[i], r.code,
                  r.text);
        free(r.text);
    }
    (void)remove(path);
    (void)rmdir(folder);
}

Test(plan, nothing_is_better_than_the_best)
{
    static const char *const questions[] = {"--params 7B --unique-tokens 1M",
                                            "--params 70M --unique-tokens 290K",
                                            "--flops 1e20 --tokens 20B --unique-tokens 290K",
                                            "--model gpt2-small --unique-tokens 1B"};
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        json_t *root = answer(questions[i]);
        cr_expect_geq(number(root, "recommendation.loss_above_optimum"), 0);
        cr_expect_geq(number(root, "recommendation.flatness.half.loss_above"), 0);
        cr_expect_geq(number(root, "recommendation.flatness.twice.loss_above"), 0);
        json_decref(root);
        result r = plan(questions[i]);
        cr_expect_null(strstr(r.text, "-0.0000"), "plan %s", questions[i]);
        free(r.text);
    }
}

Test(plan, text_fits_100_columns)
{
    static const char *const questions[] = {
        "--flops 1e21",
        "--flops 5.76e23 --cluster 8xh100",
        "--params 70B",
        "--loss 2.1",
        "--flops 1e22 --unique-tokens 25B",
        "--systems",
        "--help",
        "--gpus 8 --hours 3d --cluster 8xh100",
        "--params 7B --inference-tokens 100B --law hoffmann-3",
        "--model chinchilla-70m --flops 1e19",
        "--flops 1e25 --cluster 8xh100",
        "--budget 1 --law hoffmann-3 --tokens-per-param 1 --cluster 8xh100 --sharding full",
        "--gpus 512 --hours 10 --mfu 0.4 --inference-tokens 1B --cluster tpu-v3",
        "--model byte-1m --inference-tokens 1e15",
        "--model gpt2-small --sequence 64 --cluster 8xh100 --precision fp32 --tokens 10B",
        "--tokens 1.4T --flops 5.76e23 --tokens-per-param 20 2>/dev/null || true"};
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        result r = plan(questions[i]);
        int columns = 0;
        for (const char *s = r.text; *s; s++) {
            if (*s == '\n') {
                cr_expect(columns <= 100, "plan %s: %d columns", questions[i], columns);
                columns = 0;
            } else if (((unsigned char)*s & 0xc0) != 0x80) {
                columns++;
            }
        }
        free(r.text);
    }
}

Test(plan, numbers_are_read_as_people_write_them)
{
    json_t *a = answer("--flops 10PFday"), *b = answer("--flops 8.64e20");
    json_t *c = answer("--gpus 8 --hours 3d --mfu 40% --cluster 8xh100");
    json_t *d = answer("--gpus 8 --hours 72 --mfu 0.4 --cluster 8xh100");
    expect_near(number(a, "flops"), number(b, "flops"), 1e-12, "PFday");
    expect_near(number(c, "flops"), 8 * 72 * 3600 * 0.4 * 989e12, 1e-9, "hours, MFU");
    expect_near(number(d, "flops"), number(c, "flops"), 1e-12, "3d is 72");
    json_decref(a);
    json_decref(b);
    json_decref(c);
    json_decref(d);
}

/* The budget that was modelled takes the time it was asked to take. */
Test(plan, machine_time_and_money_are_spent)
{
    json_t *a = answer("--gpus 8 --hours 3d --cluster 8xh100");
    const double hours = number(a, "prediction.hours");
    cr_expect(hours <= 72.1 && hours > 65, "%g of 72 hours", hours);
    cr_expect_str_eq(json_string_value(at(a, "prediction.budget_mfu_source")), "modelled");
    json_t *b = answer("--budget 5000 --ranks 8 --cluster 8xh100");
    const double spent = number(b, "prediction.cost");
    cr_expect(spent <= 5005 && spent > 4500, "%g of 5000", spent);
    /* nobody says how many ranks: as many as the batch keeps busy */
    json_t *c = answer("--budget 5000 --cluster 8xh100");
    cr_expect(number(c, "prediction.cost") <= 5000 && number(c, "prediction.cost") > 4500);
    json_t *d = answer("--gpus 512 --hours 1h --cluster 8xh100");
    cr_expect(number(d, "prediction.hours") <= 1.001 && number(d, "prediction.hours") > 0.9);
    json_decref(a);
    json_decref(b);
    json_decref(c);
    json_decref(d);
}

/* DeepSeek's M: a model of these layers and this context does so many FLOPs per token. */
Test(plan, flops_per_token_are_converted_by_the_model_s_own)
{
    json_t *root = answer("--flops 1e20 --law deepseek"), *row = law_of(root, "deepseek");
    const double M = number(row, "flops_per_token"), n = number(row, "params");
    expect_near(M, 0.1715 * pow(1e20, 0.5243), 1e-12, "M");
    expect_near(number(row, "tokens"), 5.8316 * pow(1e20, 0.4757), 1e-12, "D");
    const double attention = 12 * number(root, "model.layers") * number(root, "model.heads") *
                             number(root, "model.head_width") * number(root, "model.context");
    cr_expect(n < M / 6, "attention counts: %g of %g", n, M / 6);
    expect_near(6 * n + attention, M, 0.01, "6 N + 12 L d T");
    cr_expect(json_is_null(json_object_get(law_of(root, "besiroglu"), "flops_per_token")));
    /* the other way round: the tokens of a size */
    char back[64];
    (void)snprintf(back, sizeof back, "--params %.17g --law deepseek", number(row, "params_total"));
    json_t *again = answer(back);
    expect_near(number(law_of(again, "deepseek"), "flops"), 1e20, 0.02, "C of that N");
    json_decref(root);
    json_decref(again);
}

/* Every line of the examples in --help, as it stands there. */
Test(plan, the_examples_of_the_manual_work)
{
    char folder[] = "/tmp/plan_examples_XXXXXX", command[4096];
    cr_assert(mkdtemp(folder));
    result help = plan("--help");
    const char *at = strstr(help.text, "examples:\n");
    cr_assert(at);
    int examples = 0;
    for (at = strchr(at, '\n') + 1; *at; at = strchr(at, '\n') + 1) {
        const int length = (int)strcspn(at, "\n");
        cr_assert(strncmp(at, "  plan ", 7) == 0, "%.*s", length, at);
        (void)snprintf(command, sizeof command, "cd %s && \"$plan\" %.*s 2>&1", folder, length - 7,
                       at + 7);
        result r = run_command(command);
        cr_expect(r.code == 0, "%.*s: %d: %.300s", length, at, r.code, r.text);
        free(r.text);
        examples++;
    }
    cr_expect(examples >= 4);
    free(help.text);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    cr_expect(system(command) == 0);
}

Test(plan, what_does_not_fit_says_so_and_is_not_emitted)
{
    json_t *root = answer("--params 500B --cluster 8xh100");
    cr_expect(json_is_false(at(root, "prediction.fits")));
    const double most = number(root, "prediction.largest_params_that_fit");
    cr_expect(most > 1e8 && most < 5e11, "%g", most);
    json_decref(root);
    char folder[] = "/tmp/plan_emit_XXXXXX", arguments[128];
    cr_assert(mkdtemp(folder));
    (void)snprintf(arguments, sizeof arguments, "--params 500B --cluster 8xh100 --emit %s", folder);
    result r = plan(arguments);
    cr_expect(r.code == 2 && strstr(r.text, "fits: no"), "%d: %s", r.code, r.text);
    free(r.text);
    cr_expect(rmdir(folder) == 0, "something was written");
}

Test(plan, the_second_name_is_the_same_verb)
{
    result a = run_command("\"$isoflop\" plan --flops 1e21"), b = plan("--flops 1e21");
    cr_expect(a.code == 0 && strcmp(a.text, b.text) == 0);
    free(a.text);
    free(b.text);
}

Test(plan, a_chart_is_drawn_with_the_plan_among_the_systems)
{
    char folder[] = "/tmp/plan_chart_XXXXXX", arguments[256], path[128], *text = calloc(1, OUTPUT);
    cr_assert(mkdtemp(folder) && text);
    (void)snprintf(arguments, sizeof arguments, "--flops 1e23 --chart %s/a.svg", folder);
    result r = plan(arguments);
    cr_expect(r.code == 0, "%s", r.text);
    (void)snprintf(path, sizeof path, "%s/a.gnuplot", folder);
    FILE *script = fopen(path, "r");
    cr_assert(script, "no script");
    cr_expect(fread(text, 1, OUTPUT - 1, script) > 0);
    (void)fclose(script);
    static const char *const names[] = {"Chinchilla", "Gopher", "this plan", "GLaM",
                                        "10^{24} FLOPs"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_expect(strstr(text, names[i]), "%s", names[i]);
    (void)remove(path);
    (void)snprintf(path, sizeof path, "%s/a.svg", folder);
    const bool drawn = access(path, R_OK) == 0;
    cr_expect(drawn || strstr(r.text, "gnuplot is not here"), "%s", r.text);
    /* a folder that is no run is refused before anything is drawn */
    free(r.text);
    (void)snprintf(arguments, sizeof arguments, "--flops 1e23 --chart %s/b.svg /nowhere", folder);
    r = plan(arguments);
    cr_expect(r.code == 2 && strstr(r.text, "no finished run"), "%s", r.text);
    (void)remove(path);
    free(r.text);
    free(text);
    cr_expect(rmdir(folder) == 0);
}

Test(plan, systems_say_what_is_known_and_leave_the_rest_unknown)
{
    json_t *root = answer("--systems"), *list = at(root, "systems"), *row;
    size_t i;
    cr_expect(json_array_size(list) >= 13);
    json_array_foreach(list, i, row)
    {
        const char *name = json_string_value(at(row, "name"));
        json_t *loss = at(row, "loss.besiroglu"), *price = at(row, "cost_usd");
        cr_expect(loss, "%s", name);
        if (strcmp(name, "gopher") == 0) cr_expect(json_is_null(price));
        if (strcmp(name, "gpt-3") == 0) {
            cr_expect(fabs(number(row, "energy_mwh.value") - 1287) < 1e-9);
            cr_expect(json_is_string(at(row, "energy_mwh.source")));
            cr_expect(fabs(json_number_value(loss) - 2.00800) < 6e-6);
        }
        if (strcmp(name, "glam") == 0 || strcmp(name, "retro") == 0 || strcmp(name, "lamda") == 0)
            cr_expect(json_is_null(loss), "%s", name);
    }
    json_decref(root);
}

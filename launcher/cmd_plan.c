#include "cli.h"
#include "commands.h"
#include "plan_answer.h"
#include "plan_chart.h"
#include "plan_emit.h"
#include "plan_json.h"
#include "plan_print.h"
#include "plan_systems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: plan --flops C | --params N | --tokens D | --loss L | --gpus G --hours H |\n"
    "            --budget USD | --model CONFIG        [options]        (also: isoflop plan)\n"
    "\n"
    "How large a model, on how many tokens: every published law side by side, one recommendation,\n"
    "a model that can be built, learning rate and batch, and what it costs on a cluster.\n"
    "Numbers: 1e21, 70B, 1.4T, 3d (days), 12PFday. Two of --flops, --params, --tokens are judged.\n"
    "\n"
    "what is asked\n"
    "  --flops C               training compute, 6 N D\n"
    "  --params N, --tokens D  the other one, and the compute\n"
    "  --loss L                the least compute, on each law's own data\n"
    "  --gpus G --hours H      what fits into machine time; --mfu M if it is known, else modelled\n"
    "  --budget USD            what money buys on --cluster\n"
    "  --model CONFIG          this very model: a row of configs/models or a run config\n"
    "and how\n"
    "  --law NAME|FILE         this law recommends: a name of the table, or LAW.json of isoflop "
    "fit\n"
    "  --data DIR              folder of isoflop prepare: vocabulary, unique tokens, bytes per "
    "token\n"
    "  --unique-tokens U       no more fresh tokens than these (Muennighoff et al. 2023)\n"
    "  --inference-tokens T    so many will be served (Sardana et al. 2024)\n"
    "  --tokens-per-param R    instead of the optimum; says what that costs in loss\n"
    "  --sequence T            context, default 2048\n"
    "on a cluster\n"
    "  --cluster FILE          a file of configs/clusters: memory, time, energy, cost\n"
    "  --ranks N, --micro-batch B, --batch-tokens X, --sharding none|zero1|full,\n"
    "  --recompute none|mlp|block, --precision bf16|fp32, --reduction exact|fast\n"
    "  with --model and --cluster alone: --accumulate A, --scale 1..4096, --deadline 3d (or "
    "seconds),\n"
    "  --efficiency 0.9, --critical-batch TOKENS, --budget MONEY, --tokens D\n"
    "what comes out\n"
    "  --emit DIR              DIR/config.yaml for isoflop train, DIR/run.sbatch for Slurm or "
    "bash\n"
    "  --chart FILE.svg [RUN...]  the plan and your runs among the systems of the literature\n"
    "  --systems               those systems: size, tokens, compute, energy, CO2, cost\n"
    "  --json                  one object\n"
    "\n"
    "examples:\n"
    "  plan --flops 1e21\n"
    "  plan --gpus 8 --hours 3d --cluster 8xh100 --emit plans/first\n"
    "  plan --budget 5000 --cluster 8xh100\n"
    "  plan --model chinchilla-70m --cluster 8xh100 --ranks 8\n"
    "  plan --systems --chart systems.svg\n";

/* Options that go together, by name. */
static const char of_prediction[] =
    " --accumulate --scale --deadline --efficiency --critical-batch ";
static const char of_law[] = " --flops --params --loss --gpus --hours --mfu --unique-tokens "
                             "--inference-tokens --tokens-per-param --law --data --emit --chart ";
static const char of_question[] = /* they shape an answer: with nothing asked they do nothing */
    " --mfu --unique-tokens --inference-tokens --tokens-per-param --law --data --emit --cluster "
    "--batch-tokens --sequence --precision --recompute --reduction ";
static const char of_machine[] = " --ranks --micro-batch --sharding ";
static const char of_run[] = " --precision --recompute --reduction ";

/* The first option of a group that was given, or NULL. */
static const char *given(const cli_option *options, const char *group)
{
    for (; options->name; options++) {
        char word[32];
        snprintf(word, sizeof word, " %s ", options->name);
        if (options->value && *options->value && strstr(group, word)) return options->name;
    }
    return NULL;
}

/* What this model does on this cluster is plan_predict's question. */
static status route(plan_options *o, const cli_option *options, bool *alone)
{
    const char *only = given(options, of_prediction), *other = given(options, of_law);
    *alone = o->predict.model && o->predict.cluster && !other;
    REQUIRE(!only || *alone, ERR_CONFIG, "%s belongs to --model M --cluster F%s%s", only,
            other ? ", without " : " alone", other ? other : "");
    if (*alone) {
        o->predict.tokens = o->tokens;
        o->predict.budget = o->budget;
        return OK;
    }
    const char *machine = given(options, of_machine), *run = given(options, of_run);
    REQUIRE(!machine || o->predict.cluster, ERR_CONFIG, "%s belongs to --cluster FILE", machine);
    REQUIRE(!run || o->predict.cluster || o->emit, ERR_CONFIG,
            "%s belongs to --cluster FILE or --emit DIR", run);
    return OK;
}

static status say(const plan_options *o, const char *const *rest, int32_t count)
{
    plan_answer *a = calloc(1, sizeof *a);
    REQUIRE(a, ERR_MEMORY, "no memory for a plan");
    status s = plan_answer_build(a, o);
    if (s == OK && o->emit) s = plan_emit(a, o->emit);
    if (s == OK && o->chart) s = plan_chart(o->chart, a, rest, count);
    if (s == OK && o->predict.json) {
        s = plan_json_print(a, o->emit);
    } else if (s == OK) {
        plan_print(a);
        char folder[4096];
        if (o->emit) cli_word(folder, sizeof folder, o->emit);
        if (o->emit)
            printf("\nwritten      %s/config.yaml, %s/run.sbatch\n"
                   "next         sbatch %s/run.sbatch, or bash %s/run.sbatch\n",
                   o->emit, o->emit, folder, folder);
        if (o->chart) printf("\ndrawn        %s\n", o->chart);
    }
    plan_answer_deinit(a);
    free(a);
    return s;
}

static bool asked(const plan_options *o)
{
    return o->flops || o->params || o->tokens || o->loss || o->gpus || o->hours || o->budget ||
           o->predict.model;
}

static status run(int argc, char **argv, const char **rest)
{
    plan_options o = {0};
    plan_predict_options *p = &o.predict;
    const cli_option options[] = {
        {"--flops", &o.flops, NULL},
        {"--params", &o.params, NULL},
        {"--tokens", &o.tokens, NULL},
        {"--loss", &o.loss, NULL},
        {"--gpus", &o.gpus, NULL},
        {"--hours", &o.hours, NULL},
        {"--mfu", &o.mfu, NULL},
        {"--budget", &o.budget, NULL},
        {"--unique-tokens", &o.unique_tokens, NULL},
        {"--inference-tokens", &o.inference_tokens, NULL},
        {"--tokens-per-param", &o.tokens_per_param, NULL},
        {"--law", &o.law, NULL},
        {"--data", &o.data, NULL},
        {"--emit", &o.emit, NULL},
        {"--chart", &o.chart, NULL},
        {"--systems", NULL, &o.systems},
        {"--json", NULL, &p->json},
        {"--model", &p->model, NULL},
        {"--cluster", &p->cluster, NULL},
        {"--ranks", &p->ranks, NULL},
        {"--micro-batch", &p->micro_batch, NULL},
        {"--accumulate", &p->accumulate, NULL},
        {"--batch-tokens", &p->batch_tokens, NULL},
        {"--sequence", &p->sequence, NULL},
        {"--sharding", &p->sharding, NULL},
        {"--recompute", &p->recompute, NULL},
        {"--precision", &p->precision, NULL},
        {"--reduction", &p->reduction, NULL},
        {"--scale", &p->scale, NULL},
        {"--deadline", &p->deadline, NULL},
        {"--efficiency", &p->efficiency, NULL},
        {"--critical-batch", &p->critical_batch, NULL},
        {NULL, NULL, NULL},
    };
    int count;
    bool alone = false;
    TRY(cli_parse(argc, argv, options, rest, &count));
    REQUIRE(count == 0 || o.chart, ERR_CONFIG,
            "plan takes options only; '%.60s' is none (run directories belong to --chart)",
            rest[0]);
    const char *without = o.systems || (o.chart && !asked(&o)) ? given(options, of_question) : NULL;
    REQUIRE(!o.systems || !asked(&o), ERR_CONFIG,
            "--systems answers no other question; --chart alone goes with it");
    REQUIRE(!without, ERR_CONFIG, "%s belongs to a question (--flops 1e21), %s asks none", without,
            o.systems ? "--systems" : "--chart alone");
    TRY(route(&o, options, &alone));
    if (alone) return plan_predict(p);
    if (o.systems) {
        if (o.chart) TRY(plan_chart(o.chart, NULL, rest, count));
        return plan_systems(p->json);
    }
    if (o.chart && !asked(&o)) {
        REQUIRE(!p->json, ERR_CONFIG,
                "--chart alone prints no result: --json belongs to a question");
        TRY(plan_chart(o.chart, NULL, rest, count));
        printf("drawn        %s\n", o.chart);
        return OK;
    }
    return say(&o, rest, count);
}

int cmd_plan(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    const int code = cli_report(rest ? run(argc, argv, rest) : ERR_MEMORY);
    free(rest);
    return code;
}

#include "cli.h"
#include "commands.h"
#include "fit_print.h"
#include "base/file.h"
#include "data/samples.h"
#include "law/law_file.h"
#include "report/run_points.h"
#include "report/run_set.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
    "usage: isoflop fit POINTS.csv [options]\n"
    "       isoflop fit DIR... [options]          run directories, or folders and studies of them\n"
    "\n"
    "Fits a scaling law to runs and says how sure its constants are. POINTS.csv has a header line\n"
    "with at least params,tokens,loss (flops, unique_tokens, params_nonemb, group: used when\n"
    "there; other columns ignored). loss: final validation loss after full decay, nats per token;\n"
    "params: all parameters. Commas, semicolons or tabs divide the cells; numbers may be 70M, "
    "1e9,\n"
    "\"30,000,000\", or 3,52 where semicolons divide. Run directories of one setting (data,\n"
    "tokenizer, context, precision, optimizer, schedule) give the same points; unfinished,\n"
    "diverged, undecayed and repeated-data runs are left out and listed.\n"
    "\n"
    "  --law NAME        chinchilla (default), kaplan, kaplan-params, kaplan-tokens, power,\n"
    "                    power-offset, data-constrained, bnsl, bnsl-2, bnsl-3; or the best "
    "sizes\n"
    "                    themselves: approach-2 (parabolas at equal FLOPs), approach-1 (envelope "
    "of\n"
    "                    loss curves; run directories only, running ones too)\n"
    "  --loss KIND       huber (default), lad: sum |r|, mse: sum r^2; r = ln L_law - ln "
    "L_observed\n"
    "  --delta D         threshold of huber (default 1e-3)\n"
    "  --x VARIABLE      of laws of one variable: params, tokens or flops (default)\n"
    "  --nonemb          count parameters without embeddings (column params_nonemb)\n"
    "  --budgets LIST    of approach-2: 1e19,3e19,... (default: found among the points)\n"
    "  --undecayed       runs whose learning rate stayed up are points too\n"
    "  --any-schedule    runs of different schedules go into one fit\n"
    "  --drop-highest K  leave out the K highest losses\n"
    "  --bootstrap N     replicates for errors and intervals (default 1000; 0: none)\n"
    "  --seed S          of the bootstrap (default 1)\n"
    "  --flops C         the optimum for a budget of C, with intervals\n"
    "  --predict N,D     the loss of a new run of N parameters on D tokens, with its interval\n"
    "  --columns LIST    what a table calls its columns: \"params=N,tokens=D,loss=Final loss\"\n"
    "  --data NAME       what the runs of a table were trained on, for the law file; or\n"
    "  --trained-as CONFIG   a run config with the training data, validation set, tokenizer, "
    "context\n"
    "                    and schedule of the table's runs: plan then forecasts the loss of such "
    "runs\n"
    "  --out LAW.json    writes a law that plan --law LAW.json takes; of approach-1 and\n"
    "                    approach-2: best sizes without a loss\n"
    "  --json            one object instead of text\n"
    "\n"
    "examples:\n"
    "  isoflop fit tests/law/chinchilla_points.csv --drop-highest 5 --loss lad --out law.json\n"
    "  isoflop fit theirs.csv --columns params=n_params,loss=val_loss --law approach-2\n"
    "  isoflop fit runs/isoflop-cpu --flops 1e18\n";

/* The options as text. */
typedef struct fit_arguments {
    const char *law, *loss, *delta, *x, *drop, *bootstrap, *seed, *flops, *predict, *data, *columns,
        *trained_as, *out;
    const char *budgets;
    bool json, nonemb, undecayed, any_schedule;
} fit_arguments;

/* Which approach: 1 and 2 read off the best sizes, 3 fits a law of the loss. */
static int approach_of(const fit_arguments *a)
{
    const bool named = a->law && strncmp(a->law, "approach-", 9) == 0 && strlen(a->law) == 10;
    return named && (a->law[9] == '1' || a->law[9] == '2') ? a->law[9] - '0' : 3;
}

static status parse_options(fit_options *out, const fit_arguments *a)
{
    static const char *const losses[] = {"huber", "lad", "mse", NULL};
    static const char *const variables[] = {"params", "tokens", "flops", NULL};
    const char *names[32] = {NULL};
    for (int32_t i = 0; i < laws_count; i++) names[i] = laws[i].name;
    names[laws_count] = "approach-1", names[laws_count + 1] = "approach-2";
    int32_t form = 0, loss = FIT_HUBER, x = X_FLOPS;
    int64_t bootstrap = 1000, seed = 1;
    *out = (fit_options){.delta = 1e-3, .nonemb = a->nonemb};
    TRY(cli_choice(&form, "--law", a->law, names));
    if (form >= laws_count) form = 0;
    TRY(cli_choice(&loss, "--loss", a->loss, losses));
    TRY(cli_choice(&x, "--x", a->x, variables));
    TRY(cli_number(&out->delta, "--delta", a->delta, 1e-12, 1e3));
    REQUIRE(!a->delta || loss == FIT_HUBER, ERR_CONFIG, "--delta belongs to --loss huber");
    TRY(cli_integer(&bootstrap, "--bootstrap", a->bootstrap, 0, 1000000));
    REQUIRE(bootstrap != 1, ERR_CONFIG, "--bootstrap: 1 replicate has no spread; 0 or at least 2");
    TRY(cli_integer(&seed, "--seed", a->seed, 0, INT64_C(9007199254740992)));
    REQUIRE(!a->x || (approach_of(a) == 3 && (laws[form].needs & LAW_OF_X)), ERR_CONFIG,
            "--x belongs to laws of one free variable (power, power-offset, bnsl); %s has its own",
            approach_of(a) == 3 ? laws[form].name : a->law);
    const bool counts =
        (laws[form].needs & LAW_OF_PARAMS) || ((laws[form].needs & LAW_OF_X) && x == X_PARAMS);
    REQUIRE(!a->nonemb || counts, ERR_CONFIG, "--nonemb: %s%s counts no parameters",
            laws[form].name, (laws[form].needs & LAW_OF_X) ? " of this --x" : "");
    REQUIRE(!a->seed || bootstrap > 0, ERR_CONFIG,
            "--seed belongs to the bootstrap, and --bootstrap 0 has none");
    out->form = &laws[form];
    out->loss = (fit_loss)loss;
    out->x = (points_x)x;
    out->bootstrap = (int32_t)bootstrap;
    out->seed = (uint64_t)seed;
    return OK;
}

/* "N,D" */
static status parse_case(law_case *out, const char *text, const law *form)
{
    char first[64];
    const char *comma = strchr(text, ',');
    REQUIRE(comma && (size_t)(comma - text) < sizeof first, ERR_CONFIG,
            "--predict: '%.60s' is not N,D", text);
    (void)snprintf(first, sizeof first, "%.*s", (int)(comma - text), text);
    REQUIRE(!(form->needs & LAW_OF_X), ERR_CONFIG,
            "--predict belongs to laws of params and tokens");
    TRY(cli_number(&out->params, "--predict", first, 1, 1e30));
    return cli_number(&out->tokens, "--predict", comma + 1, 1, 1e30);
}

/* Where the points come from. */
typedef struct fit_input {
    points points;
    run_set set;
    left_out left;
    law_origin origin;
    const char *path; /* the table, or the first run; for messages */
} fit_input;

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* What a table does not say, from the config of one of its runs. */
static status origin_from(law_origin *o, const char *config_name)
{
    config cfg;
    samples *train = NULL, *validation = NULL;
    TRY(config_load(&cfg, config_name, 0, NULL));
    status s = samples_open(&train, &cfg, SPLIT_TRAIN);
    if (s == OK) s = samples_open(&validation, &cfg, SPLIT_VALIDATION);
    if (s == OK) {
        const samples_info *v = samples_about(validation);
        (void)snprintf(o->data, sizeof o->data, "%s", samples_about(train)->identity);
        (void)snprintf(o->validation_set, sizeof o->validation_set, "%s", v->identity);
        (void)snprintf(o->tokenizer_sha256, sizeof o->tokenizer_sha256, "%s", v->tokenizer_sha256);
        (void)snprintf(o->schedule_class, sizeof o->schedule_class, "%s",
                       config_choice("schedule", "name", cfg.schedule.name));
        o->context = (int32_t)cfg.model.context;
    }
    samples_close(train);
    samples_close(validation);
    return s;
}

/* One table, or folders of runs. */
static status read_input(fit_input *in, const fit_arguments *a, const char *const *paths,
                         int32_t count, bool repeated)
{
    in->path = paths[0];
    if (count > 1 || is_folder(paths[0])) {
        const run_points_rules rules = {repeated, a->undecayed, a->any_schedule};
        REQUIRE(!a->data && !a->trained_as && !a->columns, ERR_CONFIG,
                "--data, --trained-as and --columns tell of a table; run directories carry their "
                "own");
        TRY(run_set_read(&in->set, paths, count));
        /* curves need no whole runs */
        if (approach_of(a) == 1) {
            REQUIRE(!a->undecayed && !a->drop, ERR_CONFIG,
                    "%s chooses among points; approach-1 reads all loss curves, decayed or not",
                    a->undecayed ? "--undecayed" : "--drop-highest");
            return OK;
        }
        return run_points_of(&in->points, &in->left, &in->origin, in->set.run, in->set.count,
                             rules);
    }
    REQUIRE(approach_of(a) != 1, ERR_CONFIG,
            "%s: approach-1 needs the loss curves of run directories, not a table", paths[0]);
    REQUIRE(!a->undecayed && !a->any_schedule, ERR_CONFIG,
            "%s: --undecayed and --any-schedule belong to run directories; a table says nothing of "
            "schedules",
            paths[0]);
    TRY(points_read(&in->points, paths[0], a->columns));
    (void)snprintf(in->origin.flop_count, sizeof in->origin.flop_count, "%s",
                   in->points.has_flops ? "column flops" : "six_nd");
    return a->trained_as ? origin_from(&in->origin, a->trained_as) : OK;
}

static status require_columns(const points *p, const fit_options *w, const char *path)
{
    for (int32_t i = 0; i < p->count && w->nonemb; i++)
        REQUIRE(p->row[i].params_nonemb > 0, ERR_CONFIG,
                "%s:%d: --nonemb needs a column params_nonemb with a number in every line", path,
                p->row[i].line);
    for (int32_t i = 0; i < p->count && (w->form->needs & LAW_OF_UNIQUE); i++)
        REQUIRE(p->row[i].unique > 0, ERR_CONFIG,
                "%s:%d: --law %s needs a column unique_tokens with a number in every line", path,
                p->row[i].line, w->form->name);
    return OK;
}

/* Where the law comes from, for its file. */
static law_origin origin_of(const fit_arguments *a, const fit_input *in)
{
    law_origin origin = in->origin;
    origin.without_embedding = a->nonemb;
    if (a->data) (void)snprintf(origin.data, sizeof origin.data, "%s", a->data);
    if (a->trained_as)
        (void)snprintf(origin.source, sizeof origin.source, "fit of %.60s, trained as %.40s said",
                       in->path, a->trained_as);
    else
        (void)snprintf(origin.source, sizeof origin.source, "fit of %.100s", in->path);
    return origin;
}

static status write_law(const fit_arguments *a, const fit_result *r, const fit_input *in)
{
    const law_origin origin = origin_of(a, in);
    law_file file;
    law_file_of(&file, r, &origin);
    return law_file_write(&file, a->out);
}

static status write_lines(const fit_arguments *a, const optima *o, const fit_input *in)
{
    const law_origin origin = origin_of(a, in);
    law_file file;
    law_file_of_optima(&file, o, &origin);
    return law_file_write(&file, a->out);
}

static status drop_highest(points *p, const char *text)
{
    int64_t drop = 0;
    TRY(cli_integer(&drop, "--drop-highest", text, 0, 1000000000));
    REQUIRE(drop < p->count, ERR_CONFIG, "--drop-highest: %s of %d points", text, p->count);
    points_drop_highest(p, (int32_t)drop);
    REQUIRE(p->count > 0, ERR_CONFIG, "--drop-highest: %s leaves no points", text);
    return OK;
}

static status fit_and_print(const fit_arguments *a, const fit_options *w, fit_input *in)
{
    points *p = &in->points;
    fit_question q = {0};
    TRY(cli_number(&q.flops, "--flops", a->flops, 1, 1e40));
    if (a->predict) TRY(parse_case(&q.at, a->predict, w->form));
    fit_result *r = calloc(1, sizeof *r);
    REQUIRE(r, ERR_MEMORY, "no memory");
    cli_meter m = cli_meter_begin("fit");
    fit_options options = *w;
    options.progress = cli_meter_show;
    options.context = &m;
    status s = fit_run(r, p, options);
    cli_meter_end(&m);
    for (int32_t i = 0; s == OK && i < in->set.notes; i++) fit_warn(r, "%s", in->set.note[i]);
    for (int32_t i = 0; s == OK && i < in->left.count; i++)
        fit_warn(r, "left out %s", in->left.line[i]);
    if (s == OK && a->flops && !r->has_frontier)
        s = status_set(ERR_CONFIG, __FILE__, __LINE__, "--flops: %s has no optimum for a budget%s",
                       w->form->name,
                       isfinite(r->a.value) ? " with what these points give it (without --flops: "
                                              "constants and warnings)"
                                            : "");
    if (s == OK && a->out) s = write_law(a, r, in);
    if (s == OK) s = a->json ? fit_print_json(r, &q) : fit_print_text(r, &q);
    fit_deinit(r);
    free(r);
    return s;
}

/* --- approaches 1 and 2 --------------------------------------------------- */

enum { BUDGETS_MAX = 64 };

/* "1e19,3e19,..." */
static status parse_budgets(double *budget, int32_t *count, const char *text)
{
    char one[64];
    *count = 0;
    for (const char *at = text; at;) {
        const size_t length = strcspn(at, ",");
        REQUIRE(length < sizeof one && *count < BUDGETS_MAX, ERR_CONFIG,
                "--budgets: '%.60s' is not a list of at most %d numbers", text, BUDGETS_MAX);
        (void)snprintf(one, sizeof one, "%.*s", (int)length, at);
        TRY(cli_number(&budget[(*count)++], "--budgets", one, 1, 1e40));
        at = at[length] ? at + length + 1 : NULL;
    }
    return OK;
}

static status curves_only(optima *o, fit_input *in, const fit_arguments *a, optima_options w)
{
    run_curves curves;
    const run_points_rules rules = {true, true, a->any_schedule};
    for (int32_t i = 0; i < in->set.count; i++) {
        const run_record *r = &in->set.run[i];
        TRY(run_points_same_setting(&in->set.run[0], r, rules));
        REQUIRE(!a->nonemb || run_record_params_nonemb(r) > 0, ERR_CONFIG,
                "%s: --nonemb needs its parameters without embeddings, which it does not say",
                r->folder);
    }
    run_points_origin(&in->origin, &in->set.run[0]);
    TRY(run_curves_of(&curves, in->set.run, in->set.count));
    const status s = optima_of_curves(o, curves.curve, curves.count, w);
    run_curves_deinit(&curves);
    return s;
}

static status optima_and_print(const fit_arguments *a, const fit_options *w, fit_input *in)
{
    double budget[BUDGETS_MAX], flops = 0;
    optima_options options = {.nonemb = w->nonemb, .bootstrap = w->bootstrap, .seed = w->seed};
    const int approach = approach_of(a);
    REQUIRE(!a->predict && !a->loss && !a->delta, ERR_CONFIG,
            "--predict, --loss and --delta belong to laws of the loss; %s gives best sizes",
            a->law);
    TRY(cli_number(&flops, "--flops", a->flops, 1, 1e40));
    if (a->budgets) {
        TRY(parse_budgets(budget, &options.budgets, a->budgets));
        options.budget = budget;
    }
    optima *o = calloc(1, sizeof *o);
    REQUIRE(o, ERR_MEMORY, "no memory");
    /* the budgets of a study's ladder are in its own count */
    if (approach == 2 && in->set.count) run_points_count(&in->points, in->set.run, true);
    status s = approach == 2 ? optima_of_parabolas(o, &in->points, options)
                             : curves_only(o, in, a, options);
    for (int32_t i = 0; s == OK && i < in->set.notes; i++) optima_warn(o, "%s", in->set.note[i]);
    for (int32_t i = 0; s == OK && i < in->left.count; i++)
        optima_warn(o, "left out %s", in->left.line[i]);
    if (s == OK && a->out) s = write_lines(a, o, in);
    if (s == OK) s = a->json ? fit_print_optima_json(o, flops) : fit_print_optima_text(o, flops);
    optima_deinit(o);
    free(o);
    return s;
}

static status run(int argc, char **argv, const char **rest)
{
    fit_arguments a = {0};
    const cli_option options[] = {
        {"--law", &a.law, NULL},
        {"--loss", &a.loss, NULL},
        {"--delta", &a.delta, NULL},
        {"--x", &a.x, NULL},
        {"--nonemb", NULL, &a.nonemb},
        {"--drop-highest", &a.drop, NULL},
        {"--seed", &a.seed, NULL},
        {"--bootstrap", &a.bootstrap, NULL},
        {"--flops", &a.flops, NULL},
        {"--predict", &a.predict, NULL},
        {"--data", &a.data, NULL},
        {"--trained-as", &a.trained_as, NULL},
        {"--columns", &a.columns, NULL},
        {"--out", &a.out, NULL},
        {"--budgets", &a.budgets, NULL},
        {"--undecayed", NULL, &a.undecayed},
        {"--any-schedule", NULL, &a.any_schedule},
        {"--json", NULL, &a.json},
        {NULL, NULL, NULL},
    };
    fit_options w;
    fit_input in = {0};
    int count;
    TRY(cli_parse(argc, argv, options, rest, &count));
    REQUIRE(count >= 1, ERR_CONFIG,
            "fit needs a table of points or run directories: isoflop fit POINTS.csv");
    REQUIRE(!a.data || strlen(a.data) < LAW_FILE_TEXT, ERR_CONFIG, "--data: longer than %d letters",
            LAW_FILE_TEXT - 1);
    TRY(parse_options(&w, &a));
    REQUIRE((!a.data && !a.trained_as) || a.out, ERR_CONFIG,
            "--data and --trained-as are for the law file: each belongs to --out LAW.json");
    REQUIRE(!a.data || !a.trained_as, ERR_CONFIG, "--trained-as says the data; drop --data");
    REQUIRE(!a.budgets || approach_of(&a) == 2, ERR_CONFIG, "--budgets belongs to approach-2");
    status s = read_input(&in, &a, rest, count, w.form->needs & LAW_OF_UNIQUE);
    if (s == OK && a.drop) s = drop_highest(&in.points, a.drop);
    if (s == OK) s = require_columns(&in.points, &w, in.path);
    if (s == OK) s = (approach_of(&a) < 3 ? optima_and_print : fit_and_print)(&a, &w, &in);
    points_deinit(&in.points);
    left_out_deinit(&in.left);
    run_set_deinit(&in.set);
    return s;
}

int cmd_fit(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    const int code = cli_report(rest ? run(argc, argv, rest) : ERR_MEMORY);
    free(rest);
    return code;
}

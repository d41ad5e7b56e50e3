#include "cli.h"
#include "commands.h"
#include "study_fit.h"
#include "study_json.h"
#include "study_print.h"
#include "study_scale.h"
#include "study_session.h"
#include "study_slurm.h"
#include "base/file.h"
#include "base/log.h"
#include "comm/pin.h"
#include "law/published.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: isoflop study STUDY [--run DIR] [--resume] [options]\n"
    "\n"
    "Many runs from one file: a list, a grid, an IsoFLOP ladder or a token ladder (keys:\n"
    "configs/README.md). Under mpirun or srun the ranks work in groups of ranks_per_run, each on "
    "a\n"
    "run of its own, the longest first; what a run computes does not depend on them. Every start\n"
    "and end stands in DIR/ledger.jsonl, so a study that was stopped goes on where it was.\n"
    "\n"
    "  --run DIR      the study's directory (default runs/NAME); not empty only with --resume\n"
    "  --resume       go on: finished runs are kept, the others resume from their checkpoints\n"
    "  --scale NAME   of a list: the runs of this scale\n"
    "  --minutes M    of a list: the largest scale that fits, by five seconds of real steps\n"
    "  --dry-run      print runs, FLOPs, predicted losses and time, and stop\n"
    "  --law FILE     LAW.json of fit: losses are predicted, and at the end held against it\n"
    "  --cluster NAME watts of the machine, for energy without a meter (modelled)\n"
    "  --json         one object on stdout; what is said meanwhile goes to stderr\n"
    "  --retry        begin runs again that failed by their own fault\n"
    "  --slurm        write DIR/study.sbatch, an array job over the runs, and stop\n"
    "  --only N       the N-th job of that array\n"
    "  --accept-other-arithmetic   resume runs that other kernels or versions began (marked)\n"
    "\n"
    "DIR holds study.yaml, ledger.jsonl, runs/NAME/, and at the end table.csv (for fit) and\n"
    "study.json (everything).\n"
    "\n"
    "examples:\n"
    "  mpirun -n 2 isoflop study gopher-vs-chinchilla-cpu --minutes 10\n"
    "  isoflop study isoflop-cpu --dry-run --law configs/laws/gcide-bytes.json\n";

static volatile sig_atomic_t stop_asked = 0;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

/* --- hooks ---------------------------------------------------------------- */

static void begin(void *context, const study_run *which, int32_t group, int64_t from_step)
{
    const study_session *x = context;
    (void)group, (void)from_step;
    study_print_begin(which, x->runs.count);
}
static void end(void *context, const study_run *which, status s, const outcome *o, double busy_s)
{
    (void)context;
    study_print_end(which, s, o, busy_s);
}
static void message(void *context, const study_run *which, const char *text)
{
    (void)context;
    study_print_message(which, text);
}
static bool stop(void *context)
{
    (void)context;
    return stop_asked != 0;
}

/* --- the flow ------------------------------------------------------------- */

/* The object of --json goes where stdout went before its words were parted from it. */
static status put_object(const study_session *x, json_t *object)
{
    (void)fflush(stdout);
    if (dup2(x->objects, STDOUT_FILENO) < 0) {
        json_decref(object);
        FAIL(ERR_IO, "--json: stdout cannot be written");
    }
    return cli_json(object);
}

/* What repeated tokens are worth, by the published law; not a number where its row is missing. */
static double repeat_scale(void)
{
    published papers;
    double scale = (double)NAN;
    if (published_read(&papers) != OK) return scale;
    const published_law *row = published_find(&papers, "muennighoff-repeated");
    const int32_t k = row && row->form ? law_constant(row->form, "R_D") : -1;
    if (k >= 0) scale = row->constant[k];
    published_deinit(&papers);
    return scale;
}

static study_forecast forecast_of(const study_session *x, double flops_per_s)
{
    return (study_forecast){.law = x->law,
                            .unique = x->unique,
                            .bytes = x->bytes,
                            .flops_per_s = flops_per_s,
                            .groups = world_size(x->w) / (int32_t)x->ranks_per_run,
                            .machine = x->machine,
                            .repeat_scale = repeat_scale()};
}

static status dry_run(study_session *x)
{
    double rate = 0;
    TRY(study_scale_rate(x, 0.4, &rate));
    if (!x->first) return OK;
    const study_forecast f = forecast_of(x, rate);
    json_t *plan;
    study_print_plan(&x->s, &x->runs, &f);
    if (!x->a->json) return OK;
    TRY(study_json_plan(&plan, &x->s, &x->runs, &f));
    return put_object(x, plan);
}

/* The other seeds of what the sweep chose. COLLECTIVE */
static status second_stage(study_session *x, executor *e, execute_report *report, bool *any)
{
    status s = OK;
    const int32_t before = x->runs.count;
    if (x->first) {
        result *r = NULL;
        sweep_choice *choice = NULL;
        int32_t cells = 0;
        s = results_read(&r, &x->runs, x->folder);
        if (s == OK) s = results_choose(&choice, &cells, &x->runs, r);
        for (int32_t k = 0; s == OK && k < cells; k++)
            if (choice[k].run >= 0 && choice[k].missing == 0)
                s = expand_seeds(&x->runs, &x->s, choice[k].run);
        free(choice);
        free(r);
        if (s == OK) s = study_session_room(x);
    }
    TRY(study_session_share(x, s));
    *any = x->runs.count > before;
    return *any ? execute_runs(e, &x->runs, NULL, report) : OK;
}

/* What is said at the end, the fits, and the files. */
static status tell(study_session *x, const result *r, const execute_report *report)
{
    json_t *fits = json_array(), *object;
    REQUIRE(fits, ERR_MEMORY, "no memory for fits");
    study_print_report(report, &x->runs);
    study_print_results(&x->s, &x->runs, r, x->machine);
    const study_forecast f = forecast_of(x, 0);
    study_print_forecasts(&x->runs, r, &f);
    printf("tables     %s/table.csv, %s/study.json\n", x->folder, x->folder);
    /* before the fits too: a table is worth having where they fail */
    status s = results_write(x->folder, &x->s, &x->runs, r, fits);
    if (s == OK && report->left == 0) s = study_fit(fits, x->folder, &x->s, &x->runs, r);
    if (s == OK && json_array_size(fits) > 0)
        s = results_write(x->folder, &x->s, &x->runs, r, fits);
    json_decref(fits);
    if (s != OK || !x->a->json) return s;
    TRY(study_json_results(&object, x->folder, report));
    return put_object(x, object);
}

/* Tables, files, and what failed. Rank 0. */
static status conclude(study_session *x, const execute_report *report)
{
    result *r;
    TRY(results_read(&r, &x->runs, x->folder));
    status s = tell(x, r, report);
    for (int32_t i = 0; s == OK && i < x->runs.count; i++)
        /* a rate that diverges is what a sweep looks for */
        if (r[i].failed && !(x->runs.run[i].role == RUN_SWEEP && r[i].exit == ERR_NUMERIC))
            s = status_set((status)r[i].exit, __FILE__, __LINE__,
                           "%d of %d runs failed, the first one %s; the others are in the tables",
                           report->failed, x->runs.count, x->runs.run[i].name);
    free(r);
    return s;
}

static status execute(study_session *x)
{
    executor *e = NULL;
    execute_report report = {0};
    bool any = false;
    const execute_hooks hooks = {
        .context = x, .begin = begin, .end = end, .message = message, .stop = stop};
    const execute_options options = {.folder = x->folder,
                                     .test = x->test,
                                     .command = x->command,
                                     .ranks_per_run = (int32_t)x->ranks_per_run,
                                     .retry = x->a->retry,
                                     .accept_other_arithmetic = x->a->accept};
    TRY(world_agree(x->w, study_session_claim(x)));
    TRY(execute_open(&e, x->w, &options, &hooks));
    status s = execute_runs(e, &x->runs, x->mine, &report);
    if (s == OK && x->first && report.damaged_lines)
        log_warn("study",
                 "%s/ledger.jsonl:%d: damaged; recovered up to it, %d line%s set aside in "
                 "ledger.jsonl.damaged",
                 x->folder, report.damaged_from, report.damaged_lines,
                 report.damaged_lines == 1 ? "" : "s");
    int32_t sweep = x->first && x->s.keys.learning_rate_rule == RATE_SWEEP && x->s.seed_count > 1;
    if (s == OK) s = world_broadcast(x->w, &sweep, sizeof sweep, 0);
    if (s == OK && sweep && !x->a->job) s = second_stage(x, e, &report, &any);
    execute_close(e);
    /* what is done is worth a table, also when the study was interrupted */
    const bool whole = s == OK || s == INTERRUPTED;
    if (x->first && whole && !x->a->job) {
        const status concluded = conclude(x, &report);
        if (s == OK) s = concluded;
    }
    return s == INTERRUPTED ? s : world_agree(x->w, s);
}

/* Keys that every rank needs. */
static status load(study_session *x)
{
    const study_arguments *a = x->a;
    if (!x->first) return OK;
    TRY(study_load(&x->s, a->path));
    if (a->cluster) {
        x->machine = calloc(1, sizeof *x->machine);
        REQUIRE(x->machine, ERR_MEMORY, "no memory for a cluster");
        TRY(cluster_load(x->machine, a->cluster));
    }
    if (a->law) {
        x->law = calloc(1, sizeof *x->law);
        REQUIRE(x->law, ERR_MEMORY, "no memory for a law");
        TRY(law_file_read(x->law, a->law));
        REQUIRE(x->law->form->log_loss, ERR_CONFIG,
                "--law %s: %s gives best sizes, no loss to forecast", a->law, x->law->form->name);
    }
    if (a->scale) {
        REQUIRE(x->s.mode == STUDY_RUNS && strlen(a->scale) < STUDY_NAME, ERR_CONFIG,
                "--scale belongs to studies that list their runs");
        (void)snprintf(x->s.keys.scale, sizeof x->s.keys.scale, "%s", a->scale);
    }
    x->ranks_per_run = x->s.keys.ranks_per_run;
    (void)snprintf(x->test, sizeof x->test, "%s", x->s.test);
    const int n = snprintf(x->folder, sizeof x->folder, "%s%s", a->run ? a->run : "runs/",
                           a->run ? "" : x->s.keys.name);
    REQUIRE(n > 0 && n < 900, ERR_CONFIG, "--run: the path is longer than 900 bytes");
    REQUIRE(!a->slurm || x->s.keys.learning_rate_rule != RATE_SWEEP, ERR_CONFIG,
            "--slurm: a sweep decides between its runs; start it under mpirun or srun instead");
    return OK;
}

/* A loss is predicted for the validation set of the law alone. Rank 0, when the data are open. */
static void judge_law(study_session *x)
{
    if (!x->law || !*x->law->origin.validation_set) return;
    if (strcmp(x->law->origin.validation_set, x->validation_set) == 0) return;
    printf("law        %s was fitted on another validation set: it predicts no loss here\n",
           x->a->law);
    free(x->law);
    x->law = NULL;
}

static status study_main(study_session *x)
{
    TRY(world_agree(x->w, load(x)));
    TRY(world_broadcast(x->w, &x->ranks_per_run, sizeof x->ranks_per_run, 0));
    TRY(world_broadcast(x->w, x->folder, sizeof x->folder, 0));
    TRY(world_broadcast(x->w, x->test, sizeof x->test, 0));
    if (x->a->minutes)
        TRY(study_scale_choose(x));
    else
        TRY(study_session_share(x, study_session_prepare(x)));
    judge_law(x);
    if (x->a->dry) return dry_run(x);
    if (x->a->slurm)
        return world_agree(x->w, x->first
                                     ? study_slurm_write(x->folder, x->a->path, &x->s, &x->runs)
                                     : OK);
    if (x->a->job) TRY(study_slurm_job(&x->mine, &x->runs, x->a->job));
    return execute(x);
}

static status parse(study_arguments *a, int argc, char **argv, const char **rest)
{
    int count;
    const cli_option options[] = {{"--run", &a->run, NULL},
                                  {"--resume", NULL, &a->resume},
                                  {"--scale", &a->scale, NULL},
                                  {"--minutes", &a->minutes, NULL},
                                  {"--dry-run", NULL, &a->dry},
                                  {"--law", &a->law, NULL},
                                  {"--cluster", &a->cluster, NULL},
                                  {"--json", NULL, &a->json},
                                  {"--retry", NULL, &a->retry},
                                  {"--slurm", NULL, &a->slurm},
                                  {"--only", &a->only, NULL},
                                  {"--accept-other-arithmetic", NULL, &a->accept},
                                  {NULL, NULL, NULL}};
    TRY(cli_parse(argc, argv, options, rest, &count));
    REQUIRE(count >= 1, ERR_CONFIG,
            "study needs a file: isoflop study STUDY (--help shows examples)");
    REQUIRE(count == 1, ERR_CONFIG,
            "'%s': a study takes its keys from its file (`set` holds them for all runs)", rest[1]);
    REQUIRE(!a->law || !(a->slurm || a->only), ERR_CONFIG,
            "--law belongs to --dry-run and to tables: not with --slurm or --only");
    REQUIRE(!a->minutes || !a->scale, ERR_CONFIG, "--minutes chooses a scale, --scale names one");
    REQUIRE(!a->only || !(a->minutes || a->dry || a->slurm), ERR_CONFIG,
            "--only is for the jobs that --slurm writes");
    REQUIRE(!a->json || !(a->slurm || a->only), ERR_CONFIG,
            "--json belongs to a study that ends here: not with --slurm or --only");
    REQUIRE(!a->cluster || !(a->slurm || a->only), ERR_CONFIG,
            "--cluster belongs to --dry-run and to tables: not with --slurm or --only");
    a->path = rest[0];
    if (a->minutes) {
        const status s = config_number(&a->minutes_max, a->minutes);
        if (s != OK) return status_prefix(s, "--minutes");
        REQUIRE(a->minutes_max > 0, ERR_CONFIG, "--minutes: %s; allowed: above 0", a->minutes);
    }
    if (a->only) {
        int64_t job;
        const status s = config_integer(&job, a->only);
        if (s != OK) return status_prefix(s, "--only");
        REQUIRE(job >= 1 && job <= STUDY_RUNS_MAX, ERR_CONFIG, "--only: %s; allowed: 1 to %d",
                a->only, STUDY_RUNS_MAX);
        a->job = (int32_t)job;
    }
    return OK;
}

/* Words go to stderr, so that stdout holds the object alone. */
static status part_output(study_session *x)
{
    if (!x->a->json) return OK;
    x->objects = dup(STDOUT_FILENO);
    REQUIRE(x->objects >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0, ERR_IO,
            "--json: stdout cannot be parted");
    return OK;
}

static status study_verb(world *w, const study_arguments *a, int argc, char **argv)
{
    study_session x = {.a = a, .w = w, .first = world_rank(w) == 0};
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    const int signals[] = {SIGINT, SIGTERM, SIGUSR1};
    char pinned[256];
    log_open(world_rank(w), world_size(w));
    (void)pin_rank(w, pinned, sizeof pinned);
    for (int i = 0; i < 3; i++) (void)sigaction(signals[i], &action, NULL);
    (void)snprintf(x.command, sizeof x.command, "isoflop");
    for (int i = 0; i < argc; i++) {
        const size_t used = strlen(x.command);
        (void)snprintf(x.command + used, sizeof x.command - used, " %s", argv[i]);
    }
    status s = world_agree(w, part_output(&x));
    if (s == OK) s = study_main(&x);
    lock_close(x.lock);
    expand_deinit(&x.runs);
    study_deinit(&x.s);
    free(x.machine);
    free(x.law);
    free(x.mine);
    free(x.unique);
    free(x.bytes);
    return s;
}

int cmd_study(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    study_arguments a = {0};
    world *w = NULL;
    const status usage = rest ? parse(&a, argc, argv, rest) : ERR_MEMORY;
    status s = usage;
    if (s == OK) s = world_open(&w);
    if (s == OK) s = study_verb(w, &a, argc, argv);
    const int code = cli_report_rank(w, s, usage);
    world_close(w);
    free(rest);
    return code;
}

#include "cli.h"
#include "commands.h"
#include "study_fit.h"
#include "study_json.h"
#include "study_print.h"
#include "study_slurm.h"
#include "base/file.h"
#include "base/log.h"
#include "comm/pin.h"
#include "law/published.h"
#include "study/probe.h"
#include "train/lock.h"
#include "train/run.h"

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
    "  mpirun -n 2 isoflop study configs/studies/gopher-vs-chinchilla-cpu.yaml --minutes 10\n"
    "  isoflop study configs/studies/isoflop-cpu.yaml --dry-run --law law.json\n";

static volatile sig_atomic_t stop_asked = 0;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

typedef struct arguments {
    const char *run, *scale, *minutes, *law, *only, *cluster;
    bool resume, dry, slurm, retry, accept, json;
    const char *path;
    double minutes_max; /* 0: not given */
    int32_t job;        /* 0: not given */
} arguments;

typedef struct session {
    const arguments *a;
    world *w;
    bool first;      /* rank 0 */
    study s;         /* of rank 0 */
    study_runs runs; /* of all ranks */
    bool *mine;      /* (runs) with --only; NULL all */
    double *unique;  /* (runs) of rank 0 */
    int64_t *bytes;  /* (runs) of rank 0 */
    int64_t ranks_per_run;
    char folder[1024], test[768], command[2048];
    cluster *machine;        /* NULL: none named */
    law_file *law;           /* of rank 0 with --law; NULL: none */
    char validation_set[65]; /* identity; "" unknown          */
    int objects;             /* with --json: the stdout of before        */
    run_lock *lock;          /* of the study's folder, while rank 0 works on it */
} session;

/* --- what runs ------------------------------------------------------------ */

/* Data, counts and memory of the first run of every cell; nothing is written or trained. */
static status check_runs(session *x, int32_t first)
{
    world *alone = NULL;
    status s = world_open_self(&alone);
    int32_t cell = -1;
    for (int32_t i = first; s == OK && i < x->runs.count; i++) {
        const study_run *one = &x->runs.run[i];
        if (one->cell_index == cell && one->role != RUN_TRUNK && one->parent < 0) {
            x->unique[i] = x->unique[i - 1];
            x->bytes[i] = x->bytes[i - 1];
            continue;
        }
        run *r = NULL;
        cell = one->cell_index;
        s = run_check(&r, &one->cfg, alone);
        if (s != OK) {
            (void)status_prefix(s, "%s: run %s", x->s.path, one->name);
            break;
        }
        const samples_info *about = samples_about(r->train);
        x->unique[i] = about->tokens < INT64_MAX ? (double)about->tokens : 0;
        x->bytes[i] = r->plan.total;
        if (i == 0 && r->validation)
            (void)snprintf(x->validation_set, sizeof x->validation_set, "%s",
                           samples_about(r->validation)->identity);
        run_close(r);
    }
    world_close(alone);
    return s;
}

static status make_room(session *x)
{
    const size_t n = (size_t)x->runs.count + 1;
    double *unique = realloc(x->unique, n * sizeof *unique);
    if (unique) x->unique = unique;
    int64_t *bytes = realloc(x->bytes, n * sizeof *bytes);
    if (bytes) x->bytes = bytes;
    REQUIRE(unique && bytes, ERR_MEMORY, "no memory for %d runs", x->runs.count);
    return OK;
}

/* Rank 0 reads and expands; every rank gets the same runs, byte by byte. COLLECTIVE */
static status share_runs(session *x, status mine)
{
    TRY(world_agree(x->w, mine));
    int32_t count = x->runs.count;
    TRY(world_broadcast(x->w, &count, sizeof count, 0));
    status s = OK;
    if (!x->first) {
        free(x->runs.run);
        x->runs = (study_runs){calloc((size_t)count + 1, sizeof *x->runs.run), count, count + 1};
        if (!x->runs.run) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for the runs");
    }
    TRY(world_agree(x->w, s));
    return world_broadcast(x->w, x->runs.run, (int64_t)count * (int64_t)sizeof *x->runs.run, 0);
}

static status prepare(session *x)
{
    if (!x->first) return OK;
    TRY(expand_study(&x->runs, &x->s));
    TRY(make_room(x));
    return check_runs(x, 0);
}

/* --- scales --------------------------------------------------------------- */

enum { SCALES = 16 };

/* The scales of the list, in file order. */
static int32_t list_scales(const study *s, const char *scale[SCALES])
{
    int32_t count = 0;
    for (const tree *t = s->mode == STUDY_RUNS ? s->part->child : NULL; t; t = t->next) {
        const tree *tag = tree_find(t, "scale");
        bool known = !tag || tag->kind != TREE_TEXT;
        for (int32_t i = 0; i < count && !known; i++) known = strcmp(scale[i], tag->text) == 0;
        if (!known && count < SCALES) scale[count++] = tag->text;
    }
    return count;
}

/* Speed of the slowest kind of run, on all ranks at once as the study will use them. COLLECTIVE */
static status measure_rate(session *x, double *flops_per_s)
{
    world *group = NULL;
    double rates[2] = {0, 0}, mine;
    const int32_t each = (int32_t)x->ranks_per_run;
    int32_t last = 0;
    /* the cheapest and the dearest model per token */
    for (int32_t i = 1; i < x->runs.count; i++)
        if (x->runs.run[i].params > x->runs.run[last].params) last = i;
    const int32_t which[2] = {0, last};
    TRY(world_split(x->w, &group, world_rank(x->w) / each));
    status s = OK;
    for (int k = 0; k < 2 && s == OK; k++)
        s = probe_rate(&rates[k], group, &x->runs.run[which[k]].cfg, 2.2);
    world_close(group);
    TRY(world_agree(x->w, s));
    mine = fmin(rates[0], rates[1]);
    double *all = calloc((size_t)world_size(x->w), sizeof *all);
    s = world_agree(x->w,
                    all ? OK : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for rates"));
    if (s == OK) s = world_gather(x->w, all, &mine, sizeof mine);
    *flops_per_s = mine;
    for (int32_t r = 0; s == OK && r < world_size(x->w); r++)
        *flops_per_s = fmin(*flops_per_s, all[r]);
    free(all);
    return s;
}

/* The scale that a study was begun with stands in its folder. */
static status recall_scale(session *x, bool *known)
{
    char path[1100], *text;
    int64_t bytes;
    *known = false;
    (void)snprintf(path, sizeof path, "%s/scale", x->folder);
    if (!file_exists(path)) return OK;
    TRY(file_read_text(&text, &bytes, path, STUDY_NAME));
    text[strcspn(text, "\n")] = '\0';
    (void)snprintf(x->s.keys.scale, sizeof x->s.keys.scale, "%s", text);
    free(text);
    *known = true;
    return OK;
}

static status remember_scale(const session *x)
{
    char path[1100], text[STUDY_NAME + 2];
    if (!*x->s.keys.scale) return OK;
    (void)snprintf(path, sizeof path, "%s/scale", x->folder);
    const int n = snprintf(text, sizeof text, "%s\n", x->s.keys.scale);
    return file_write_text(path, text, n);
}

/* Room for evaluations, checkpoints and the ends of queues. */
static const double MARGIN = 1.15;

/* Tries the scales from the smallest on; leaves the runs of the largest that fits. COLLECTIVE */
static status choose_scale(session *x)
{
    const char *scale[SCALES] = {NULL};
    int32_t count = x->first ? list_scales(&x->s, scale) : 0;
    int32_t known = 0, groups = world_size(x->w) / (int32_t)x->ranks_per_run;
    double rate = 0, best_s = 0;
    char best[STUDY_NAME] = "";
    status s = OK;
    if (x->first) {
        bool found = false;
        s = recall_scale(x, &found);
        known = found;
        if (s == OK && count == 0)
            s = status_set(ERR_CONFIG, __FILE__, __LINE__,
                           "--minutes: the runs of %s name no scale", x->s.path);
        if (s == OK && !known)
            (void)snprintf(x->s.keys.scale, sizeof x->s.keys.scale, "%.31s", scale[0]);
    }
    TRY(share_runs(x, s == OK ? prepare(x) : s));
    TRY(world_broadcast(x->w, &known, sizeof known, 0));
    if (known) return OK;
    TRY(measure_rate(x, &rate));
    for (int32_t i = 0; x->first && s == OK && i < count; i++) {
        study_runs runs;
        (void)snprintf(x->s.keys.scale, sizeof x->s.keys.scale, "%.31s", scale[i]);
        s = expand_study(&runs, &x->s);
        if (s != OK) break;
        const double need_s = MARGIN * study_duration(&runs, groups, rate);
        printf("scale      %-8s about %s\n", scale[i], cli_duration(need_s).text);
        if (i > 0 && need_s > 60 * x->a->minutes_max) {
            expand_deinit(&runs);
            break;
        }
        expand_deinit(&x->runs);
        x->runs = runs;
        best_s = need_s;
        (void)snprintf(best, sizeof best, "%.31s", scale[i]);
    }
    if (x->first && s == OK) {
        (void)snprintf(x->s.keys.scale, sizeof x->s.keys.scale, "%s", best);
        printf("chosen     %s, at %.1f GFLOP/s per group (measured in five seconds)%s\n",
               x->s.keys.scale, rate * 1e-9,
               best_s > 60 * x->a->minutes_max ? ": the smallest there is, and it takes longer"
                                               : "");
        s = make_room(x);
        if (s == OK) s = check_runs(x, 0);
    }
    return share_runs(x, s);
}

/* --- the folder ----------------------------------------------------------- */

/* Runs that began as something else may not go on. */
static status same_runs(const session *x)
{
    config before;
    char path[1300];
    for (int32_t i = 0; i < x->runs.count; i++) {
        (void)snprintf(path, sizeof path, "%s/runs/%s/config.yaml", x->folder, x->runs.run[i].name);
        if (!file_exists(path)) continue;
        TRY(config_load(&before, path, 0, NULL));
        const status s = config_same_identity(&x->runs.run[i].cfg, &before);
        if (s != OK)
            return status_prefix(s, "run %s of %s was begun with another config",
                                 x->runs.run[i].name, x->folder);
    }
    return OK;
}

static status claim_folder(session *x)
{
    char path[1100], *text;
    int64_t bytes;
    if (!x->first) return OK;
    (void)snprintf(path, sizeof path, "%s/study.yaml", x->folder);
    REQUIRE(x->a->resume || !file_exists(path), ERR_CONFIG,
            "--run %s: a study stands there already; --resume continues it, or name another",
            x->folder);
    TRY(file_make_folder(x->folder));
    /* the tasks of an array job share the folder: each run's own lock parts them */
    if (!x->a->job) TRY(lock_open(&x->lock, x->folder));
    TRY(same_runs(x));
    TRY(file_read_text(&text, &bytes, x->s.path, STUDY_BYTES_MAX));
    status s = strcmp(x->s.path, path) == 0 ? OK : file_write_text(path, text, bytes);
    free(text);
    return s == OK ? remember_scale(x) : s;
}

/* --- hooks ---------------------------------------------------------------- */

static void begin(void *context, const study_run *which, int32_t group, int64_t from_step)
{
    const session *x = context;
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
static status put_object(const session *x, json_t *object)
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

static study_forecast forecast_of(const session *x, double flops_per_s)
{
    return (study_forecast){.law = x->law,
                            .unique = x->unique,
                            .bytes = x->bytes,
                            .flops_per_s = flops_per_s,
                            .groups = world_size(x->w) / (int32_t)x->ranks_per_run,
                            .machine = x->machine,
                            .repeat_scale = repeat_scale()};
}

static status dry_run(session *x)
{
    double rate = 0;
    TRY(measure_rate(x, &rate));
    if (!x->first) return OK;
    const study_forecast f = forecast_of(x, rate);
    json_t *plan;
    study_print_plan(&x->s, &x->runs, &f);
    if (!x->a->json) return OK;
    TRY(study_json_plan(&plan, &x->s, &x->runs, &f));
    return put_object(x, plan);
}

/* The other seeds of what the sweep chose. COLLECTIVE */
static status second_stage(session *x, executor *e, execute_report *report, bool *any)
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
        if (s == OK) s = make_room(x);
    }
    TRY(share_runs(x, s));
    *any = x->runs.count > before;
    return *any ? execute_runs(e, &x->runs, NULL, report) : OK;
}

/* What is said at the end, the fits, and the files. */
static status tell(session *x, const result *r, const execute_report *report)
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
static status conclude(session *x, const execute_report *report)
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

static status execute(session *x)
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
    TRY(world_agree(x->w, claim_folder(x)));
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
static status load(session *x)
{
    const arguments *a = x->a;
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
static void judge_law(session *x)
{
    if (!x->law || !*x->law->origin.validation_set) return;
    if (strcmp(x->law->origin.validation_set, x->validation_set) == 0) return;
    printf("law        %s was fitted on another validation set: it predicts no loss here\n",
           x->a->law);
    free(x->law);
    x->law = NULL;
}

static status study_main(session *x)
{
    TRY(world_agree(x->w, load(x)));
    TRY(world_broadcast(x->w, &x->ranks_per_run, sizeof x->ranks_per_run, 0));
    TRY(world_broadcast(x->w, x->folder, sizeof x->folder, 0));
    TRY(world_broadcast(x->w, x->test, sizeof x->test, 0));
    if (x->a->minutes)
        TRY(choose_scale(x));
    else
        TRY(share_runs(x, prepare(x)));
    judge_law(x);
    if (x->a->dry) return dry_run(x);
    if (x->a->slurm)
        return world_agree(x->w, x->first
                                     ? study_slurm_write(x->folder, x->a->path, &x->s, &x->runs)
                                     : OK);
    if (x->a->job) TRY(study_slurm_job(&x->mine, &x->runs, x->a->job));
    return execute(x);
}

static status parse(arguments *a, int argc, char **argv, const char **rest)
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
static status part_output(session *x)
{
    if (!x->a->json) return OK;
    x->objects = dup(STDOUT_FILENO);
    REQUIRE(x->objects >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0, ERR_IO,
            "--json: stdout cannot be parted");
    return OK;
}

static status study_verb(world *w, const arguments *a, int argc, char **argv)
{
    session x = {.a = a, .w = w, .first = world_rank(w) == 0};
    const struct sigaction action = {.sa_handler = on_signal};
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
    arguments a = {0};
    world *w = NULL;
    status s = rest ? parse(&a, argc, argv, rest) : ERR_MEMORY;
    if (s == OK) s = world_open(&w);
    if (s == OK) s = study_verb(w, &a, argc, argv);
    const int code = world_prints(w) ? cli_report(s) : (int)s;
    world_close(w);
    free(rest);
    return code;
}

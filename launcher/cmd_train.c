#include "cli.h"
#include "commands.h"
#include "comm/pin.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "measure/record.h"
#include "train/grade.h"
#include "train/loop.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: isoflop train CONFIG [key=value ...] [--run DIR] [--resume] [--check]\n"
    "\n"
    "Trains one model. Under mpirun or srun the ranks share the batch; the result has the same "
    "bits\n"
    "on any number of them. CONFIG is a YAML file or the name of one in configs/ (keys:\n"
    "configs/README.md).\n"
    "\n"
    "  key=value     replaces a key of the config: train.tokens=2M model.layers=6\n"
    "  --run DIR     the run directory (default runs/NAME); not empty only with --resume\n"
    "  --resume      go on from the newest complete checkpoint, on any number of ranks; starts if\n"
    "                there is none\n"
    "  --check       print the resolved config, counts, bytes per rank, the least time it can "
    "take\n"
    "                and the forecast of the config, and stop; with --json as one object\n"
    "  --time-limit T   write a checkpoint and leave with 75 before T seconds (2h, 1d) are over\n"
    "  --accept-other-arithmetic   resume although other kernels or versions computed the\n"
    "                checkpoint (marked)\n"
    "  --share-gpu   with backend cuda: ranks may share a GPU (for tests: slow)\n"
    "\n"
    "examples:\n"
    "  isoflop train quickstart\n"
    "  mpirun -n 4 isoflop train quickstart train.tokens=20M --run runs/longer\n"
    "  mpirun -n 2 isoflop train quickstart train.tokens=20M --run runs/longer --resume\n"
    "\n"
    "Ctrl-C, SIGTERM and SIGUSR1 write a checkpoint and leave with exit code 75.\n";

enum { EXCHANGE_BYTES = 1 << 24 };

typedef struct view {
    const config *cfg;
    const char *folder;
    bool terminal;
    double shown_s; /* clock of the last progress line */
    bool line_open; /* a progress line stands without newline */
} view;

/* Set by the signal handler, read by every rank between steps. */
static volatile sig_atomic_t stop_asked = 0;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    const int numbers[] = {SIGINT, SIGTERM, SIGUSR1};
    for (int i = 0; i < 3; i++) (void)sigaction(numbers[i], &action, NULL);
}

static bool stop(void *context)
{
    (void)context;
    return stop_asked != 0;
}

static void end_line(view *v)
{
    if (v->line_open) (void)fputc('\n', stdout);
    v->line_open = false;
}

static void print_counts(const config *cfg, int32_t ranks)
{
    flop_counts f;
    block_flops(&f, &cfg->model);
    int64_t n = block_param_count(&cfg->model), batch = cfg->train.batch_tokens;
    int64_t steps = (cfg->train.tokens + batch - 1) / batch;
    printf("model      %s: %" PRId64 " parameters, %" PRId64
           " without embeddings; %s FLOPs/token\n",
           cfg->model_name[0] ? cfg->model_name : cfg->run.name, n,
           block_param_count_without_embedding(&cfg->model), cli_count(f.model).text);
    printf("training   %s tokens in %" PRId64
           " steps of %s; %.3g FLOPs (model), %.1f tokens/parameter\n",
           cli_count((double)(steps * batch)).text, steps, cli_count((double)batch).text,
           f.model * (double)(steps * batch), (double)(steps * batch) / (double)n);
    printf("arithmetic %s, reduction %s, %d rank%s, optimizer sharding %s\n",
           config_choice("train", "precision", cfg->train.precision),
           config_choice("train", "reduction", cfg->train.reduction), ranks, ranks == 1 ? "" : "s",
           config_choice("train", "sharding", cfg->train.sharding));
    if (cfg->model.base_width > 0)
        printf("muP        rate and spread of width %" PRId64
               "; hidden matrices learn at %.3g of the rate\n",
               cfg->model.base_width, config_hidden_rate(&cfg->model));
}

/* What a device holds besides the arenas: known before, and measured when each was started. */
static void print_parts(const run *r)
{
    for (int32_t i = 0; i < r->part_count; i++) {
        const device_part *p = &r->parts[i];
        const char *grown =
            i == 0 ? "in use with it, by everyone on this GPU" : "more in use after its start";
        printf("           besides, %s:", p->name);
        if (p->grown_bytes < 0)
            printf(" not measured");
        else
            printf(" %s %s", cli_bytes((double)p->grown_bytes).text, grown);
        if (p->workspace_bytes > 0)
            printf("; of the workspace %s", cli_bytes((double)p->workspace_bytes).text);
        (void)fputc('\n', stdout);
    }
}

static void print_plan(const run *r)
{
    printf("memory     %s per rank (%" PRId64 " bytes)", cli_bytes((double)r->plan.total).text,
           r->plan.total);
    int shown = 0;
    for (memory_kind k = 0; k < MEMORY_KINDS; k++)
        if (r->plan.bytes[k])
            printf("%s%s %s", shown++ % 4 ? ", " : "\n           ", memory_kind_name(k),
                   cli_bytes((double)r->plan.bytes[k]).text);
    (void)fputc('\n', stdout);
    int64_t of_peers =
        memory_of_peers(&r->plan, r->cfg, r->layout.ranks, world_local_size(r->world));
    if (of_peers)
        printf("           a process also shows %s that belong to the other ranks of its node\n",
               cli_bytes((double)of_peers).text);
    print_parts(r);
}

/* Faster backends of this build that auto did not find. */
static void print_passed_over(const run *r)
{
    char why[256];
    if (r->cfg->run.backend != BACKEND_AUTO) return;
    for (int i = 0; backends[i] && backends[i] != r->ops; i++)
        if (backends[i]->present && backends[i]->present(why, sizeof why) == 0)
            printf("           not %s: %s\n", backends[i]->name, why);
}

static void print_data(const run *r)
{
    const samples_info *about = samples_about(r->train);
    double needed = (double)(r->steps_total * r->cfg->train.batch_tokens);
    printf("data       %s", about->tokenizer);
    if (about->tokens < INT64_MAX)
        printf(", %s training tokens (%.2f epochs)", cli_count((double)about->tokens).text,
               needed / (double)(about->count * r->cfg->model.context));
    if (r->eval_windows)
        printf(", evaluated on %" PRId64 " fixed windows of %" PRId64, r->eval_windows,
               r->cfg->model.context);
    printf("\n");
}

static void opened(void *context, const run *r)
{
    const view *v = context;
    print_counts(v->cfg, r->layout.ranks);
    print_plan(r);
    printf("computes   %s\n", r->arithmetic_id);
    print_passed_over(r);
    print_data(r);
    (void)fflush(stdout);
}

static void started(void *context, const run *r, double peak)
{
    const view *v = context;
    if (isfinite(peak))
        printf("peak       %.0f GFLOP/s per rank (measured: product burst)\n", peak * 1e-9);
    printf("run        %s, step %" PRId64 " of %" PRId64 "\n", v->folder, r->at.step,
           r->steps_total);
    (void)fflush(stdout);
}

/* "3.9148" */
static cli_text loss_text(double loss)
{
    cli_text out = {"not finite"};
    if (isfinite(loss)) (void)snprintf(out.text, sizeof out.text, "%.4f", loss);
    return out;
}

static void on_step(void *context, const run *r, const step_view *s)
{
    view *v = context;
    double now = clock_s();
    bool last = s->step.step == r->steps_total, first = v->shown_s == 0.0;
    if (!first && !last && !s->step.skipped && now - v->shown_s < (v->terminal ? 0.2 : 10.0))
        return;
    v->shown_s = now;
    char mfu[32] = "";
    if (isfinite(s->mfu)) (void)snprintf(mfu, sizeof mfu, " · MFU %4.1f %%", 100 * s->mfu);
    if (v->terminal) (void)fputs("\r\033[K", stdout);
    printf("step %*" PRId64 "/%" PRId64 " · %s tokens · loss %s · lr %.2e", v->terminal ? 1 : 6,
           s->step.step, r->steps_total, cli_count((double)s->step.tokens).text,
           loss_text(s->step.loss).text, s->step.learning_rate);
    if (s->step.skipped)
        printf(" · SKIPPED (loss or gradient not finite)");
    else
        printf(" · %s tokens/s%s · ETA %s", cli_count(s->tokens_per_s).text, mfu,
               cli_duration(s->left_s).text);
    if (!v->terminal || s->step.skipped) (void)fputc('\n', stdout);
    v->line_open = v->terminal && !s->step.skipped;
    (void)fflush(stdout);
}

static void print_evaluation(const evaluation *e)
{
    printf("validation loss %s", loss_text(e->loss).text);
    if (isfinite(e->loss_se)) printf(" ± %.4f", e->loss_se);
    if (isfinite(e->loss)) printf(" nats/token");
    if (isfinite(e->bits_per_byte)) printf(", %.4f bits/byte", e->bits_per_byte);
    if (isfinite(e->oracle)) printf(", exact entropy %.4f", e->oracle);
    printf(" (%s tokens)\n", cli_count((double)e->tokens).text);
}

static void evaluated(void *context, const run *r, const evaluation *e)
{
    end_line(context);
    printf("step %" PRId64 " · ", r->at.step);
    print_evaluation(e);
    (void)fflush(stdout);
}

static void message(void *context, const char *text)
{
    end_line(context);
    log_info("train", "%s", text);
}

/* Beside what was predicted: how far off, in words. */
static void print_graded(const char *what, const grade_value *v, const char *predicted,
                         const char *got)
{
    if (!isfinite(v->predicted)) return;
    if (isfinite(v->got))
        printf("           %s: predicted %s, got %s (%+.1f %%)\n", what, predicted, got,
               100 * (v->got / v->predicted - 1));
    else
        printf("           %s: predicted %s, not measured\n", what, predicted);
}

/* The forecast row. */
static void print_grade(const run *r, const run_summary *s)
{
    grade g;
    char kwh[2][32];
    grade_run(&g, r, s);
    if (!g.forecast || !s->finished) return;
    if (g.other_run)
        printf("forecast   it was about another size, length or validation set: not graded\n");
    else if (g.graded)
        printf("forecast   %s predicted %.4f [%.4f, %.4f], got %.4f: %s\n", r->cfg->forecast.law,
               g.loss, g.low, g.high, g.got, g.inside ? "inside" : "outside");
    else if (g.has_loss)
        printf("forecast   %s predicted %.4f [%.4f, %.4f], got no validation loss\n",
               r->cfg->forecast.law, g.loss, g.low, g.high);
    else
        printf("forecast   no law for this data and tokenizer: loss not forecast\n");
    print_graded("time", &g.time_s, cli_duration(g.time_s.predicted).text,
                 cli_duration(g.time_s.got).text);
    print_graded("memory per rank", &g.bytes_per_rank, cli_bytes(g.bytes_per_rank.predicted).text,
                 cli_bytes(g.bytes_per_rank.got).text);
    (void)snprintf(kwh[0], sizeof kwh[0], "%.4g kWh", g.energy_j.predicted / 3.6e6);
    (void)snprintf(kwh[1], sizeof kwh[1], "%.4g kWh", g.energy_j.got / 3.6e6);
    print_graded("energy", &g.energy_j, kwh[0], kwh[1]);
}

static void finished(void *context, const run *r, const run_summary *s)
{
    view *v = context;
    end_line(v);
    const run_times spent = run_times_so_far(r), *t = &spent;
    printf("%s    step %" PRId64 " of %" PRId64 ", %s tokens in %s: %s tokens/s",
           s->finished ? "done   " : "stopped", r->at.step, r->steps_total,
           cli_count((double)r->at.tokens).text, cli_duration(r->at.train_time_s).text,
           cli_count(s->tokens_per_s).text);
    if (isfinite(s->mfu)) printf(", MFU %.1f %%", 100 * s->mfu);
    printf("\ntime       compute %.1f s, reduction %.1f s, waiting %.1f s, data %.1f s, "
           "checkpoints %.1f s\n",
           t->compute, t->comm, t->wait, t->data, t->checkpoint);
    double ratio;
    const char *part;
    int32_t slow = straggler_slowest(&s->stragglers, &ratio, &part);
    if (slow >= 0)
        printf("slowest    rank %d on %s: %s takes %.2f times the median rank's\n", slow,
               s->stragglers.rows[slow].host, part, ratio);
    print_grade(r, s);
    char folder[4096];
    cli_word(folder, sizeof folder, v->folder);
    if (s->finished && v->cfg->data.synthetic == SYNTHETIC_NONE)
        printf("next       isoflop generate %s --prompt \"The \"\n", folder);
    else if (s->finished) // its tokens stand for no text
        printf("next       isoflop report %s\n", folder);
    else
        printf("next       the same command with --resume --run %s\n", folder);
    (void)fflush(stdout);
}

/* Rank 0 reads and checks the file; every rank gets the resolved text and parses the same bytes. */
static status share_config(config *out, world *w, const char *path, int count,
                           const char *const *overrides)
{
    char *text = NULL;
    size_t bytes = 0;
    status s = OK;
    if (world_rank(w) == 0) {
        s = config_load(out, path, count, overrides);
        FILE *memory = s == OK ? open_memstream(&text, &bytes) : NULL;
        const bool lacks = s == OK && !memory;
        if (memory) s = config_write(out, memory);
        if (lacks || (memory && fclose(memory) != 0))
            s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a config");
    }
    s = world_agree(w, s);
    int64_t length = (int64_t)bytes;
    if (s == OK) s = world_broadcast(w, &length, sizeof length, 0);
    if (s == OK && !text) text = calloc(1, (size_t)length + 1);
    if (s == OK) s = world_broadcast(w, text, length, 0);
    if (s == OK && world_rank(w) != 0) s = config_parse(out, path, text, length, 0, NULL);
    free(text);
    return s == OK ? world_agree(w, s) : s;
}

/* Nothing can be faster than all products at the rate measured now: seconds, NaN unknown. */
static double least_time_s(const run *r, double *peak)
{
    peak_rate rate = {0};
    flop_counts f;
    dtype type = r->cfg->train.precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
    for (int i = 0; i < 3; i++) peak_add(&rate, r->ops->burst ? r->ops->burst(r->device, type) : 0);
    block_flops(&f, &r->cfg->model);
    *peak = peak_median(&rate);
    return f.model * (double)(r->steps_total * r->cfg->train.batch_tokens) / *peak /
           r->layout.ranks;
}

/* The forecast of the config; null without one. */
static json_t *forecast_of(const config *cfg)
{
    const forecast_config *f = &cfg->forecast;
    if (f->loss <= 0) return json_null();
    return json_pack("{s:s, s:f, s:f, s:f, s:f}", "law", f->law, "loss", f->loss, "low", f->low,
                     "high", f->high, "level", f->level);
}

/* One line; the config comes first, so that scripts find the last value of a key. */
static status print_check_json(const run *r, double peak, double least_s)
{
    char hash[17];
    flop_counts f;
    const config *cfg = r->cfg;
    block_flops(&f, &cfg->model);
    config_hash(cfg, hash);
    const int64_t tokens = r->steps_total * cfg->train.batch_tokens;
    json_t *root =
        json_pack("{s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:f, s:i, s:I, s:o, s:s, s:o}",
                  "config", describe_config(cfg), "config_hash", hash, "forecast", forecast_of(cfg),
                  "params", (json_int_t)block_param_count(&cfg->model), "params_without_embedding",
                  (json_int_t)block_param_count_without_embedding(&cfg->model), "tokens",
                  (json_int_t)tokens, "steps", (json_int_t)r->steps_total, "micro_batches",
                  (json_int_t)r->M, "flops", f.model * (double)tokens, "ranks", r->layout.ranks,
                  "bytes_per_rank", (json_int_t)r->plan.total, "peak_flops_per_rank",
                  json_finite(peak), "peak_source", "measured", "least_time_s",
                  json_finite(least_s));
    char *text = root ? json_dumps(root, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17)) : NULL;
    if (text) printf("%s\n", text);
    free(text);
    json_decref(root);
    REQUIRE(text, ERR_MEMORY, "no memory for a result");
    return OK;
}

static void print_forecasts(const run *r, double least_s)
{
    const forecast_config *f = &r->cfg->forecast;
    if (isfinite(least_s))
        printf("forecast   at least %s on %d rank%s, at the product rate measured now\n",
               cli_duration(least_s).text, r->layout.ranks, r->layout.ranks == 1 ? "" : "s");
    if (f->loss > 0)
        printf("           validation loss %.4f (%g %% of new runs: %.4f to %.4f) by %s\n", f->loss,
               100 * f->level, f->low, f->high, f->law[0] ? f->law : "the config");
}

static status check_only(const config *cfg, world *w, bool json)
{
    run *r = NULL;
    double peak = 0.0;
    bool speaks = world_rank(w) == 0;
    /* whether stdout took it is asked at the end: the others wait in what follows */
    if (speaks && !json) {
        (void)config_write(cfg, stdout);
        (void)fputc('\n', stdout);
        print_counts(cfg, world_size(w));
    }
    TRY(run_check(&r, cfg, w));
    double least_s = least_time_s(r, &peak);
    status done = speaks && json ? print_check_json(r, peak, least_s) : OK;
    if (speaks && !json) {
        print_plan(r);
        print_forecasts(r, least_s);
    }
    run_close(r);
    return done == OK ? cli_printed() : done;
}

typedef struct arguments {
    const char *run;
    bool resume, check, accept, json, share;
    const char *time_limit;
    double time_limit_s;
    const char *path;
    int override_count;
    const char **overrides;
} arguments;

static status parse(arguments *a, int argc, char **argv, const char **rest)
{
    int count;
    const cli_option options[] = {{"--run", &a->run, NULL},
                                  {"--resume", NULL, &a->resume},
                                  {"--check", NULL, &a->check},
                                  {"--json", NULL, &a->json},
                                  {"--time-limit", &a->time_limit, NULL},
                                  {"--accept-other-arithmetic", NULL, &a->accept},
                                  {"--share-gpu", NULL, &a->share},
                                  {NULL, NULL, NULL}};
    TRY(cli_parse(argc, argv, options, rest, &count));
    REQUIRE(count >= 1, ERR_CONFIG,
            "train needs a config: isoflop train CONFIG (--help shows examples)");
    REQUIRE(!a->json || a->check, ERR_CONFIG,
            "--json goes with --check; a run leaves record.jsonl and summary.json");
    TRY(cli_positive(&a->time_limit_s, "--time-limit", a->time_limit, 1e9));
    REQUIRE(!a->accept || a->resume, ERR_CONFIG, "--accept-other-arithmetic belongs to --resume");
    a->path = rest[0];
    a->overrides = rest + 1;
    a->override_count = count - 1;
    if (a->share) a->overrides[a->override_count++] = "share_gpu=true";
    return OK;
}

static status train(world *w, const arguments *a, int argc, char **argv)
{
    config *cfg = calloc(1, sizeof *cfg);
    REQUIRE(cfg, ERR_MEMORY, "no memory for a config");
    status s = share_config(cfg, w, a->path, a->override_count, a->overrides);
    char folder[1024], command[2048] = "isoflop";
    (void)snprintf(folder, sizeof folder, "%s%s", a->run ? a->run : "runs/",
                   a->run ? "" : cfg->run.name);
    for (int i = 0; i < argc; i++) {
        size_t used = strlen(command);
        (void)snprintf(command + used, sizeof command - used, " %s", argv[i]);
    }
    view v = {.cfg = cfg, .folder = folder, .terminal = cli_terminal()};
    train_hooks hooks = {.context = &v,
                         .opened = opened,
                         .started = started,
                         .step = on_step,
                         .evaluated = evaluated,
                         .message = message,
                         .finished = finished,
                         .stop = stop};
    train_options options = {.folder = folder,
                             .resume = a->resume,
                             .accept_other_arithmetic = a->accept,
                             .command = command,
                             .time_limit_s = a->time_limit_s};
    if (s == OK && a->check)
        s = check_only(cfg, w, a->json);
    else if (s == OK)
        s = train_loop(w, cfg, &options, &hooks);
    end_line(&v);
    free(cfg);
    return s;
}

int cmd_train(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    arguments a = {0};
    world *w = NULL;
    const status usage = rest ? parse(&a, argc, argv, rest) : ERR_MEMORY;
    status s = usage;
    if (!a.check) catch_signals(); /* a check leaves nothing that a signal could cost */
    if (s == OK) s = world_open(&w);
    if (s == OK) {
        char pinned[256];
        log_open(world_rank(w), world_size(w));
        (void)pin_rank(w, pinned, sizeof pinned);
        log_debug("train", "%s", pinned);
        s = train(w, &a, argc, argv);
    }
    const int code = cli_report_rank(w, s, usage);
    world_close(w);
    free(rest);
    return code;
}

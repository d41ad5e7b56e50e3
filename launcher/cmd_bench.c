#include "bench_arguments.h"
#include "cli.h"
#include "commands.h"
#include "base/file.h"
#include "base/log.h"
#include "bench/bench.h"
#include "bench/bench_cluster.h"
#include "bench/bench_compare.h"
#include "bench/bench_page.h"
#include "bench/bench_result.h"
#include "bench/bench_series.h"
#include "comm/pin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum { COLUMNS = 98, RESULTS_MAX = 16 };

static const char help[] =
    "usage: isoflop bench [SECTION ...] [key=value ...] [options]\n"
    "       isoflop bench --compare A.json B.json [--json]\n"
    "       isoflop bench --from A.json[,B.json...] --write FILE.yaml\n"
    "\n"
    "How fast is this machine, and where does the time go? Under mpirun or srun all ranks take "
    "part.\n"
    "Without SECTION all of them, in some minutes:\n"
    "  gemm          products of the model in each precision and form, against the measured peak\n"
    "  memory        copy, triad, the optimizer's streams\n"
    "  collectives   bandwidth and latency from 1 KiB up, results verified, a fit per link\n"
    "  io            a checkpoint's bytes written and read, by one rank and by all\n"
    "  step          one optimizer step by part; communication hidden and exposed\n"
    "  scaling       the same and growing batches on 1, 2, 4, ... ranks; Amdahl and USL\n"
    "\n"
    "  --config NAME      model, batch and precision (default: a model of 12M parameters)\n"
    "  key=value          replaces a key of the config: model=chinchilla-70m train.precision=fp32\n"
    "  --json             the result as one object on stdout, instead of tables\n"
    "  --out DIR          bench.json, index.html with pictures, tables as CSV\n"
    "  --write FILE.yaml  the measured machine in the form that plan --cluster reads\n"
    "  --from A,B         with --write: of these results, measuring nothing; one node's ranks, "
    "then\n"
    "                     several nodes, make one file\n"
    "  --cluster NAME     the vendor's peaks beside the measured ones\n"
    "  --stand-in A.json  step, scaling: operations only rest for as long as they took in that\n"
    "                     result, so that ranks which share cores show what communication costs\n"
    "  --seconds S        aimed at per section (default 20)\n"
    "  --repeats N        of each point of scaling (default 5)\n"
    "  --max-bytes N      largest collective and stream (default 256Mi, less where /dev/shm is "
    "small)\n"
    "  --folder DIR       where io writes (default: that of --out, else here)\n"
    "\n"
    "examples:\n"
    "  isoflop bench gemm memory\n"
    "  mpirun -n 2 isoflop bench --write configs/clusters/mine.yaml --out runs/bench\n"
    "  isoflop bench step --config quickstart.yaml --json > one.json\n"
    "  mpirun -n 4 isoflop bench step --config quickstart.yaml --stand-in one.json\n"
    "  isoflop bench --compare before/bench.json after/bench.json\n";

/* Sections that need a model and were given none measure this one. */
static const char default_config[] =
    "name: bench-12m\n"
    "model: {layers: 6, width: 384, heads: 6, ffn: 1536, vocab: 4096, context: 256, mlp: gelu}\n"
    "data: {synthetic: zipf_facts}\n"
    "train: {tokens: 1M, batch_tokens: 1024, micro_batch: 4, precision: bf16}\n"
    "optimizer: {learning_rate: 1e-3}\n";

/* a quarter of what the memory for windows has left, as the ranks of this node share it */
static int64_t default_bytes(const world *w)
{
    struct statvfs fs;
    int64_t most = 256 << 20, room = most;
    if (statvfs("/dev/shm", &fs) == 0)
        room = (int64_t)(fs.f_bavail * fs.f_frsize) / 4 / world_local_size(w);
    while (most > room && most > 1 << 20) most /= 4;
    return most;
}

/* --- results -------------------------------------------------------------- */

static status save_json(json_t *root, const char *folder)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/bench.json", folder);
    return json_write(json_incref(root), path);
}

static status show(const bench_arguments *a, json_t *result)
{
    cluster vendor;
    page p = {0};
    if (a->cluster) TRY(cluster_load(&vendor, a->cluster));
    if (a->json) TRY(cli_json(json_incref(result)));
    TRY(bench_page(&p, result, a->cluster ? &vendor : NULL));
    status s = OK;
    if (a->out) s = page_write(&p, a->out, COLUMNS);
    if (s == OK && a->out) s = save_json(result, a->out);
    if (s == OK && !a->json) page_text(&p, stdout, COLUMNS);
    if (s == OK && !a->json && a->out) printf("\npage: %s/index.html\n", a->out);
    page_deinit(&p);
    if (s == OK && a->write) s = bench_cluster_write(&(const json_t *){result}, 1, a->write);
    if (s == OK && a->write && !a->json)
        printf("\nwrote %s; next: plan --flops 1e18 --cluster %s\n", a->write, a->write);
    return s;
}

static status compare(const bench_arguments *a)
{
    json_t *before = NULL, *after = NULL;
    bench_comparison c = {0};
    page p = {0};
    status s = bench_result_read(&before, a->compare[0]);
    if (s == OK) s = bench_result_read(&after, a->compare[1]);
    if (s == OK) s = bench_compare(&c, before, after);
    if (s == OK) s = bench_compare_page(&p, &c);
    if (s == OK && a->json) s = cli_json(page_json(&p));
    if (s == OK && !a->json) page_text(&p, stdout, COLUMNS);
    page_deinit(&p);
    bench_comparison_deinit(&c);
    json_decref(before);
    json_decref(after);
    return s;
}

/* names: "A,B", cut into pieces here. */
static status read_results(json_t **results, int32_t *count, char *names)
{
    for (char *name; (name = strsep(&names, ",")) != NULL; (*count)++) {
        REQUIRE(*name, ERR_CONFIG, "--from: an empty name; allowed: A.json or A.json,B.json");
        REQUIRE(*count < RESULTS_MAX, ERR_CONFIG, "--from: more than %d results", RESULTS_MAX);
        TRY(bench_result_read(&results[*count], name));
    }
    return OK;
}

static status write_from(const bench_arguments *a)
{
    json_t *results[RESULTS_MAX] = {NULL};
    int32_t count = 0;
    char *names = strdup(a->from);
    REQUIRE(names, ERR_MEMORY, "no memory for names");
    status s = read_results(results, &count, names);
    if (s == OK) s = bench_cluster_write((const json_t *const *)results, count, a->write);
    if (s == OK) printf("wrote %s\n", a->write);
    for (int32_t i = 0; i < count; i++) json_decref(results[i]);
    free(names);
    return s;
}

/* --- running -------------------------------------------------------------- */

static void say(void *context, const char *section, const char *what)
{
    (void)context;
    log_info("bench", "%s: %s", section, what);
}

static status load(config *cfg, const bench_arguments *a)
{
    if (a->config) return config_load(cfg, a->config, a->override_count, a->overrides);
    return config_parse(cfg, "bench's own config", default_config, sizeof default_config - 1,
                        a->override_count, a->overrides);
}

/* --stand-in: what operations took in a result of this config */
static status load_rates(bench_rates *out, const bench_arguments *a, const config *cfg)
{
    json_t *result = NULL;
    TRY(bench_result_read(&result, a->stand_in));
    const status s = series_rates(out, cfg, result);
    json_decref(result);
    return s == OK ? OK : status_prefix(s, "--stand-in: %s", a->stand_in);
}

static status measure(world *w, const bench_arguments *a)
{
    config *cfg = calloc(1, sizeof *cfg);
    REQUIRE(cfg, ERR_MEMORY, "no memory for a config");
    json_t *result = NULL;
    bench_rates rates;
    status s = load(cfg, a);
    if (s == OK) s = config_check_trainable(cfg);
    /* what could fail at the end fails at the start */
    cluster unused;
    if (s == OK && a->cluster) s = cluster_load(&unused, a->cluster);
    if (s == OK && a->out) s = file_make_folder(a->out);
    if (s == OK && a->stand_in) s = load_rates(&rates, a, cfg);
    s = world_agree(w, s);
    int64_t bytes = a->max_bytes ? a->max_bytes : default_bytes(w);
    if (s == OK) s = world_broadcast(w, &bytes, sizeof bytes, 0);
    bench_options options = {.cfg = cfg,
                             .folder = a->folder ? a->folder
                                       : a->out  ? a->out
                                                 : ".",
                             .seconds = a->seconds,
                             .max_bytes = bytes,
                             .repeats = (int32_t)a->repeats,
                             .rates = a->stand_in ? &rates : NULL,
                             .progress = say};
    if (s == OK) s = bench_run(&result, w, &options, a->sections);
    if (s != OK && world_size(w) > 1 && s == ERR_COMM) world_abort(w, s);
    if (s == OK) s = world_agree(w, result ? show(a, result) : OK);
    json_decref(result);
    free(cfg);
    return s;
}

int cmd_bench(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    bench_arguments a;
    world *w = NULL;
    const status usage = bench_arguments_read(&a, argc, argv);
    status s = usage;
    if (s == OK && a.compare[0]) {
        s = compare(&a);
    } else if (s == OK && a.from) {
        s = write_from(&a);
    } else if (s == OK) {
        s = world_open(&w);
        if (s == OK) {
            char pinned[256];
            log_open(world_rank(w), world_size(w));
            (void)pin_rank(w, pinned, sizeof pinned);
            s = measure(w, &a);
        }
    }
    const int code = cli_report_rank(w, s, usage);
    world_close(w);
    return code;
}

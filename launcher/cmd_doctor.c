#include "base/json.h"
#include "base/log.h"
#include "cli.h"
#include "commands.h"
#include "doctor/doctor.h"
#include "measure/record.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHOWN = 4 }; /* names of a list, and cores */

static const char help[] =
    "usage: isoflop doctor [CONFIG [key=value ...]] [--run DIR] [--time-limit T] [--json]\n"
    "\n"
    "Looks at an allocation before it is spent. Under mpirun or srun, with the ranks of the run "
    "to\n"
    "come: launch and PMIx, cores and hostnames, the run directory (shared, writable, locked), "
    "clocks,\n"
    "speed of each rank and of the links between nodes, limits, versions, GPUs. With a config "
    "also\n"
    "memory, space for checkpoints, micro-batches and time. Alone: what one rank sees.\n"
    "\n"
    "  --run DIR        the run directory to be (default runs)\n"
    "  --time-limit T   seconds (or 2h, 1d) of the job; inside Slurm its own limit\n"
    "  --json           one object: fit, findings, the map of ranks, what was measured\n"
    "\n"
    "examples:\n"
    "  mpirun -n 2 isoflop doctor quickstart\n"
    "  srun --mpi=pmix isoflop doctor chinchilla-70m --run runs/chinchilla-70m --json\n"
    "\n"
    "Exit code 0: fit. 10: it found something; each finding says what, where and how to mend it.\n";

typedef struct arguments {
    const char *run, *time_limit, *path;
    bool json;
    const char **overrides;
    int override_count;
} arguments;

static status parse(arguments *a, int argc, char **argv, const char **rest)
{
    int count;
    const cli_option options[] = {{"--run", &a->run, NULL},
                                  {"--time-limit", &a->time_limit, NULL},
                                  {"--json", NULL, &a->json},
                                  {NULL, NULL, NULL}};
    TRY(cli_parse(argc, argv, options, rest, &count));
    REQUIRE(count > 0 || !a->time_limit, ERR_CONFIG,
            "--time-limit is checked against a run: isoflop doctor CONFIG --time-limit T");
    a->path = count > 0 ? rest[0] : NULL;
    a->overrides = rest + 1;
    a->override_count = count > 0 ? count - 1 : 0;
    return OK;
}

/* Seconds of the job that are left: --time-limit, or what Slurm says; 0 unknown. */
static status time_left(double *out, const arguments *a)
{
    const char *end = getenv("SLURM_JOB_END_TIME");
    *out = 0.0;
    if (end) *out = difftime((time_t)strtoll(end, NULL, 10), time(NULL));
    return cli_positive(out, "--time-limit", a->time_limit, 1e9);
}

/* --- what people read ----------------------------------------------------- */

/* Adds the first of a list of names, and how many there are where that is not all of them. */
static void add_names(FILE *out, const char *what, const char *list)
{
    int count = list[0] ? 1 : 0, shown = 0;
    for (const char *c = list; *c; c++) count += *c == ',';
    for (const char *c = list; *c && shown < SHOWN; c += c[0] == ',') {
        const int length = (int)strcspn(c, ",");
        (void)fprintf(out, "%s%.*s", shown ? ", " : what, length, c);
        c += length;
        shown++;
    }
    if (count > shown) (void)fprintf(out, ", ... (%d)", count);
}

static void print_place(int32_t rank, const rank_place *p)
{
    char label[32], *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    ASSERT(out);
    (void)snprintf(label, sizeof label, "  %4d", rank);
    (void)fprintf(out, "%s%s%s, %d core%s of the system's", p->host, p->node[0] ? " = " : "",
                  p->node, p->core_count, p->core_count == 1 ? "" : "s");
    int shown = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && shown < SHOWN; cpu++)
        if (CPU_ISSET((size_t)cpu, &p->cores)) (void)fprintf(out, "%s%d", shown++ ? "," : " ", cpu);
    if (p->core_count > SHOWN) (void)fprintf(out, ",...");
    add_names(out, ", GPU ", p->gpus);
    add_names(out, ", net ", p->networks);
    const int closed = fclose(out);
    ASSERT(closed == 0);
    cli_wrapped(label, 11, text);
    free(text);
}

static void print_map(const doctor_report *r)
{
    printf("ranks      %d on %d node%s\n", r->ranks, r->nodes, r->nodes == 1 ? "" : "s");
    for (int32_t i = 0; i < r->ranks && i < 64; i++) print_place(i, &r->places[i]);
    if (r->ranks > 64) printf("  ...      --json shows all\n");
}

static void print_measured(const doctor_report *r)
{
    double least = (double)INFINITY, most = 0.0;
    for (int32_t i = 0; i < r->ranks; i++) {
        if (r->places[i].peak_flops < least) least = r->places[i].peak_flops;
        if (r->places[i].peak_flops > most) most = r->places[i].peak_flops;
    }
    printf("measured   products ");
    if (r->ranks > 1) printf("%.0f to ", least * 1e-9);
    printf("%.0f GFLOP/s per rank (fp32)", most * 1e-9);
    if (r->ranks > 1) printf("; clocks within %.3f s", r->skew_s);
    printf("\n");
    printf("           writing %s/s together", cli_bytes(r->write_bytes_per_s).text);
    if (isfinite(r->bytes_per_s))
        printf("; between nodes %s/s, %.0f us", cli_bytes(r->bytes_per_s).text, r->latency_s * 1e6);
    printf("\n");
    if (isfinite(r->checkpoint_s))
        printf("expected   a checkpoint takes %.1f s; the run at least %s\n", r->checkpoint_s,
               cli_duration(r->least_time_s).text);
}

static void print_findings(const doctor_report *r)
{
    for (int32_t i = 0; i < r->count; i++) {
        const finding *f = &r->findings[i];
        printf("%s %-10s %s: %s\n           %s\n", f->fault ? "FAULT" : "note ", f->check, f->where,
               f->what, f->fix);
    }
    int32_t faults = doctor_faults(r);
    if (faults)
        printf("not fit    %d fault%s\n", faults, faults == 1 ? "" : "s");
    else
        printf("fit        nothing found that stands in the way\n");
}

/* --- --json --------------------------------------------------------------- */

static json_t *place_object(const rank_place *p, int32_t rank)
{
    json_t *cores = json_array();
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, &p->cores))
            (void)json_array_append_new(cores, json_integer(cpu));
    return json_pack("{s:i, s:s, s:s, s:i, s:o, s:i, s:s, s:s, s:o, s:I, s:s, s:s}", "rank", rank,
                     "host", p->host, "node", p->node, "local_rank", p->local_rank, "cores", cores,
                     "numa_nodes", p->numa_nodes, "gpus", p->gpus, "networks", p->networks,
                     "peak_flops", p->peak_flops > 0 ? json_real(p->peak_flops) : json_null(),
                     "memory_bytes", (json_int_t)p->memory_bytes, "version", p->version,
                     "arithmetic", p->arithmetic);
}

static status print_json(const doctor_report *r)
{
    json_t *findings = json_array(), *places = json_array();
    for (int32_t i = 0; i < r->count; i++) {
        const finding *f = &r->findings[i];
        (void)json_array_append_new(findings, json_pack("{s:s, s:b, s:s, s:s, s:s}", "check",
                                                        f->check, "fault", (int)f->fault, "where",
                                                        f->where, "what", f->what, "fix", f->fix));
    }
    for (int32_t i = 0; i < r->ranks && r->places; i++)
        (void)json_array_append_new(places, place_object(&r->places[i], i));
    json_t *measured =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "clock_skew_s", json_finite(r->skew_s),
                  "link_latency_s", json_finite(r->latency_s), "link_bytes_per_s",
                  json_finite(r->bytes_per_s), "write_bytes_per_s",
                  json_finite(r->write_bytes_per_s), "checkpoint_s", json_finite(r->checkpoint_s),
                  "least_time_s", json_finite(r->least_time_s), "source", "measured");
    json_t *root = json_pack("{s:i, s:b, s:i, s:i, s:o, s:o, s:o}", "schema", 1, "fit",
                             doctor_faults(r) == 0, "ranks", r->ranks, "nodes", r->nodes,
                             "findings", findings, "map", places, "measured", measured);
    return cli_json(root);
}

static int print_report(const doctor_report *r, bool json)
{
    if (json) {
        const status s = print_json(r);
        if (s != OK) return cli_report(s);
    } else {
        if (r->places) print_map(r);
        if (r->places) print_measured(r);
        print_findings(r);
    }
    (void)fflush(stdout);
    return doctor_faults(r) ? FOUND : OK;
}

/* --- launch --------------------------------------------------------------- */

/* Ranks that cannot find each other are found before MPI ends the process. */
static bool launch_is_wrong(doctor_report *r)
{
    if (world_launch_check() == OK) return false;
    doctor_add(r, "launch", true, "all ranks",
               "srun --mpi=pmix (srun --mpi=list shows what there is), or mpirun in the allocation",
               "%s", status_message());
    return true;
}

static status examine(world *w, const arguments *a, int *code)
{
    doctor_report report = {0};
    config *cfg = a->path ? calloc(1, sizeof *cfg) : NULL;
    double limit = 0.0;
    status s = time_left(&limit, a);
    if (s == OK && cfg) s = config_load(cfg, a->path, a->override_count, a->overrides);
    s = world_agree(w, s);
    if (s == OK)
        s = doctor_run(&report, w,
                       &(doctor_options){.cfg = cfg,
                                         .folder = a->run ? a->run : "runs",
                                         .time_limit_s = limit});
    if (s == OK && world_rank(w) == 0) *code = print_report(&report, a->json);
    if (s == OK) s = world_broadcast(w, code, sizeof *code, 0);
    doctor_report_deinit(&report);
    free(cfg);
    return s;
}

int cmd_doctor(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    const char **rest = calloc((size_t)argc + 2, sizeof *rest);
    arguments a = {0};
    world *w = NULL;
    int code = OK;
    const status usage = rest ? parse(&a, argc, argv, rest) : ERR_MEMORY;
    status s = usage;
    doctor_report early = {0};
    if (s == OK && launch_is_wrong(&early)) {
        code = FOUND;
        if (world_prints(NULL)) code = print_report(&early, a.json);
        doctor_report_deinit(&early);
        free(rest);
        return code;
    }
    if (s == OK) s = world_open(&w);
    if (s == OK) {
        log_open(world_rank(w), world_size(w));
        s = examine(w, &a, &code);
    }
    if (s != OK) code = cli_report_rank(w, s, usage);
    world_close(w);
    free(rest);
    return code;
}

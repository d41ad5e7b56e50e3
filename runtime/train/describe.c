#include "base/json.h"
#include "base/version.h"
#include "train/describe.h"
#include "train/grade.h"
#include "measure/energy.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char *dump(json_t *root, size_t flags)
{
    char *text =
        root ? json_dumps(root, flags | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    return text;
}

void peak_add(peak_rate *p, double flops)
{
    if (!(flops > 0)) return;
    if (p->count == 64) memmove(p->samples, p->samples + 1, 63 * sizeof p->samples[0]), p->count--;
    p->samples[p->count++] = flops;
}

double peak_median(const peak_rate *p)
{
    double sorted[64];
    for (int32_t i = 0; i < p->count; i++) {
        int32_t j = i;
        for (; j > 0 && sorted[j - 1] > p->samples[i]; j--) sorted[j] = sorted[j - 1];
        sorted[j] = p->samples[i];
    }
    return p->count ? sorted[p->count / 2] : (double)NAN;
}

json_t *describe_config(const config *cfg)
{
    json_t *root = json_object();
#define PUT_I64(name, ...)  (void)json_object_set_new(o, #name, json_integer(section->name));
#define PUT_F64(name, ...)  (void)json_object_set_new(o, #name, json_real(section->name));
#define PUT_TEXT(name, ...) (void)json_object_set_new(o, #name, json_string(section->name));
#define PUT_ENUM(name, ...)                                                                        \
    (void)json_object_set_new(o, #name, json_string(config_choice(prefix, #name, section->name)));
#define PUT_BOOL(name, ...) (void)json_object_set_new(o, #name, json_boolean(section->name));
#define PUT_SECTION(path, type, member, LIST)                                                      \
    {                                                                                              \
        const char *prefix = path;                                                                 \
        const type *section = &cfg->member;                                                        \
        json_t *o = prefix[0] ? json_object() : root;                                              \
        LIST(PUT_I64, PUT_F64, PUT_TEXT, PUT_ENUM, PUT_BOOL)                                       \
        (void)prefix;                                                                              \
        const char *dot = strchr(prefix, '.');                                                     \
        json_t *parent = dot ? json_object_get(root, "data") : root;                               \
        if (o != root) (void)json_object_set_new(parent, dot ? dot + 1 : prefix, o);               \
    }
    CONFIG_SECTIONS(PUT_SECTION)
    return root;
}

/* First "model name" line of the processor description; "unknown" elsewhere. */
static void processor_name(char *out, size_t bytes)
{
    char line[256];
    (void)snprintf(out, bytes, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(out, bytes, "%s", colon + 2);
        break;
    }
    if (f) (void)fclose(f);
}

static json_t *hardware_object(const run *r)
{
    char host[128] = "?", processor[160];
    (void)gethostname(host, sizeof host - 1);
    processor_name(processor, sizeof processor);
    return json_pack("{s:s, s:s, s:I, s:i, s:i}", "host", host, "processor", processor, "cores",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "nodes", world_nodes(r->world),
                     "ranks_on_node", world_local_size(r->world));
}

static json_t *data_object(const samples *s)
{
    if (!s) return json_null();
    const samples_info *a = samples_about(s);
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "tokenizer", a->tokenizer,
                     "tokenizer_sha256", a->tokenizer_sha256, "text_sha256", a->text_sha256,
                     "identity", a->identity, "tokens", (json_int_t)a->tokens, "overlap_share",
                     json_finite(a->overlap_share));
}

static void now_text(char out[32])
{
    time_t now = time(NULL);
    struct tm parts;
    (void)gmtime_r(&now, &parts);
    (void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* The Slurm job this process belongs to, or null. */
static json_t *job_object(void)
{
    const char *id = getenv("SLURM_JOB_ID"), *restart = getenv("SLURM_RESTART_COUNT");
    const char *nodes = getenv("SLURM_JOB_NODELIST");
    if (!id) return json_null();
    return json_pack("{s:s, s:i, s:s}", "id", id, "restart", restart ? atoi(restart) : 0, "nodes",
                     nodes ? nodes : "");
}

/* Where joules come from; of a GPU also what is fixed about it. */
static json_t *meter_object(const energy_meter *m)
{
    json_t *o = json_pack("{s:s, s:s}", "source", energy_source(m), "detail", m->why);
    if (o && m->gpu) {
        nvml_about about;
        nvml_describe(m->gpu, &about);
        (void)json_object_set_new(o, "name", json_string(about.name));
        (void)json_object_set_new(o, "driver", json_string(about.driver));
        (void)json_object_set_new(o, "power_limit_w", json_finite(about.power_limit_w));
    }
    return o;
}

/* What device memory holds besides the arenas; null where nothing was measured. */
static json_t *parts_object(const run *r)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < r->part_count; i++) {
        const device_part *p = &r->parts[i];
        json_t *grown = p->grown_bytes < 0 ? json_null() : json_integer(p->grown_bytes);
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:I, s:o, s:s}", "name", p->name,
                                              "workspace_bytes", (json_int_t)p->workspace_bytes,
                                              "grown_bytes", grown, "source", "cudaMemGetInfo"));
    }
    return list;
}

char *describe_header(const run *r, const char *command, const peak_rate *peak)
{
    char hash[17], start[32];
    now_text(start);
    config_hash(r->cfg, hash);
    json_t *bytes = json_object();
    for (memory_kind k = 0; k < MEMORY_KINDS; k++)
        (void)json_object_set_new(bytes, memory_kind_name(k), json_integer(r->plan.bytes[k]));
    json_t *peaks = json_pack("{s:o, s:s}", "flops_per_rank", json_finite(peak_median(peak)),
                              "source", "measured");
    json_t *root =
        json_pack("{s:s, s:i, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:i, s:o, s:o, "
                  "s:o, s:o, s:s, s:s, s:o}",
                  "type", "header", "schema", 1, "config", describe_config(r->cfg), "config_hash",
                  hash, "arithmetic_id", r->arithmetic_id, "version", version_text(), "commit",
                  version_commit(), "compiler", __VERSION__, "mpi", world_describe(r->world),
                  "comm", comm_name(r->comm), "hardware", hardware_object(r), "command", command,
                  "ranks", r->layout.ranks, "peaks", peaks, "bytes_per_rank", bytes, "train_data",
                  data_object(r->train), "validation_data", data_object(r->validation),
                  "energy_source", energy_source(&r->meter), "started", start, "job", job_object());
    if (root) {
        const model_config *m = &r->cfg->model;
        (void)json_object_set_new(root, "meter", meter_object(&r->meter));
        if (r->part_count > 0) (void)json_object_set_new(root, "device_parts", parts_object(r));
        if (r->attention[0])
            (void)json_object_set_new(root, "attention", json_string(r->attention));
        (void)json_object_set_new(root, "params", json_integer(block_param_count(m)));
        (void)json_object_set_new(root, "params_without_embedding",
                                  json_integer(block_param_count_without_embedding(m)));
    }
    return dump(root, JSON_COMPACT);
}

char *describe_evaluation(const run *r, const evaluation *e)
{
    return dump(json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "type", "eval",
                          "step", (json_int_t)r->at.step, "tokens", (json_int_t)r->at.tokens,
                          "val_loss", json_finite(e->loss), "val_loss_se", json_finite(e->loss_se),
                          "bits_per_byte", json_finite(e->bits_per_byte), "entropy",
                          json_finite(e->oracle), "windows", (json_int_t)e->windows, "context",
                          (json_int_t)r->cfg->model.context, "stride", (json_int_t)e->stride,
                          "bytes", e->bytes > 0 ? json_integer(e->bytes) : json_null()),
                JSON_COMPACT);
}

static json_t *event_object(const run *r, const char *event, const char *detail)
{
    char when[32];
    now_text(when);
    return json_pack("{s:s, s:s, s:I, s:I, s:i, s:s, s:o, s:s}", "type", "event", "event", event,
                     "step", (json_int_t)r->at.step, "tokens", (json_int_t)r->at.tokens, "ranks",
                     r->layout.ranks, "time", when, "job", job_object(), "detail", detail);
}

char *describe_event(const run *r, const char *event, const char *detail)
{
    return dump(event_object(r, event, detail), JSON_COMPACT);
}

static json_t *gpu_object(int32_t rank, const nvml_sample *g)
{
    char held_back[160];
    nvml_throttle_text(g->throttle, held_back, sizeof held_back);
    return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "rank", rank, "power_w",
                     json_finite(g->power_w), "temperature_c", json_finite(g->temperature_c),
                     "sm_clock_mhz", json_finite(g->sm_clock_mhz), "memory_clock_mhz",
                     json_finite(g->memory_clock_mhz), "throttle",
                     g->throttle < 0 ? json_null() : json_string(held_back), "ecc_corrected",
                     json_finite(g->ecc_corrected), "ecc_uncorrected",
                     json_finite(g->ecc_uncorrected), "xid",
                     g->xid == 0 ? json_null() : json_integer(g->xid));
}

char *describe_gpus(const run *r)
{
    json_t *event = event_object(r, "gpus", ""), *all = json_array();
    for (int32_t rank = 0; event && rank < r->layout.ranks; rank++) {
        const nvml_sample g = run_gpu(r, rank);
        (void)json_array_append_new(all, gpu_object(rank, &g));
    }
    if (event) (void)json_object_set_new(event, "source", json_string("nvml"));
    if (event) (void)json_object_set_new(event, "gpus", all);
    if (!event) json_decref(all);
    return dump(event, JSON_COMPACT);
}

char *describe_checkpoint(const run *r)
{
    const checkpoint_cost *c = &r->checkpoint;
    json_t *event =
        event_object(r, "checkpoint", r->cfg->checkpoint.asynchronous ? "asynchronous" : "");
    if (event) {
        (void)json_object_set_new(event, "checkpoint_step", json_integer(c->step));
        (void)json_object_set_new(event, "bytes", json_integer(r->layout.params * 12));
        (void)json_object_set_new(event, "stall_s", json_real(c->stall_s));
        (void)json_object_set_new(event, "write_s", json_real(c->write_s));
    }
    return dump(event, JSON_COMPACT);
}

char *describe_resume(const run *r, const char *detail, int64_t steps, double seconds)
{
    json_t *event = event_object(r, "resume", detail);
    if (event) {
        (void)json_object_set_new(event, "interruptions", json_integer(r->at.interruptions));
        (void)json_object_set_new(event, "lost_steps", json_integer(steps));
        (void)json_object_set_new(event, "lost_s", json_real(seconds));
    }
    return dump(event, JSON_COMPACT);
}

static json_t *graded_object(const grade_value *v)
{
    return json_pack("{s:o, s:o}", "predicted", json_finite(v->predicted), "got",
                     json_finite(v->got));
}

static json_t *forecast_object(const run *r, const run_summary *s)
{
    grade g;
    grade_run(&g, r, s);
    if (!g.forecast) return json_null();
    json_t *out = json_pack("{s:s, s:o, s:o, s:o, s:o, s:f, s:o}", "law", r->cfg->forecast.law,
                            "loss", json_finite(g.loss), "low", json_finite(g.low), "high",
                            json_finite(g.high), "got", json_finite(g.got), "level", g.level,
                            "inside", g.graded ? json_boolean(g.inside) : json_null());
    (void)json_object_set_new(out, "about_another_run", json_boolean(g.other_run));
    (void)json_object_set_new(out, "time_s", graded_object(&g.time_s));
    (void)json_object_set_new(out, "bytes_per_rank", graded_object(&g.bytes_per_rank));
    (void)json_object_set_new(out, "energy_j", graded_object(&g.energy_j));
    return out;
}

char *describe_summary(const run *r, const run_summary *s)
{
    flop_counts per_token;
    block_flops(&per_token, &r->cfg->model);
    double tokens = (double)r->at.tokens;
    const run_times spent = run_times_so_far(r), *t = &spent;
    json_t *flops =
        json_pack("{s:f, s:f, s:f, s:f}", "model", per_token.model * tokens, "six_nd",
                  per_token.six_nd * tokens, "six_nd_nonemb", per_token.six_nd_nonemb * tokens,
                  "hoffmann_a4", per_token.hoffmann_a4 * tokens);
    json_t *time_s =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:f}", "compute", json_finite(t->compute), "comm",
                  json_finite(t->comm), "wait", json_finite(t->wait), "data", json_finite(t->data),
                  "checkpoint", json_finite(t->checkpoint), "total", r->at.train_time_s);
    bool evaluated = s->last.windows > 0;
    json_t *root =
        json_pack("{s:i, s:b, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
                  "s:s, s:o, s:s, s:s, s:I, s:I, s:i, s:o}",
                  "schema", 1, "finished", (int)s->finished, "params",
                  (json_int_t)block_param_count(&r->cfg->model), "params_without_embedding",
                  (json_int_t)block_param_count_without_embedding(&r->cfg->model), "steps",
                  (json_int_t)r->at.step, "tokens", (json_int_t)r->at.tokens, "loss",
                  json_finite(s->loss), "val_loss",
                  evaluated ? json_finite(s->last.loss) : json_null(), "val_loss_se",
                  evaluated ? json_finite(s->last.loss_se) : json_null(), "bits_per_byte",
                  evaluated ? json_finite(s->last.bits_per_byte) : json_null(), "flops", flops,
                  "time_s", time_s, "tokens_per_s", json_finite(s->tokens_per_s), "mfu",
                  json_finite(s->mfu), "energy_j", json_finite(s->energy_j), "energy_source",
                  isfinite(s->energy_j) ? energy_source(&r->meter) : "none", "forecast",
                  forecast_object(r, s), "reduction",
                  r->cfg->train.reduction == CONFIG_EXACT ? "exact" : "fast", "arithmetic_id",
                  r->arithmetic_id, "interruptions", (json_int_t)r->at.interruptions,
                  "skipped_steps", (json_int_t)r->at.nonfinite, "ranks", r->layout.ranks,
                  "stragglers", straggler_table_json(&s->stragglers));
    return dump(root, JSON_INDENT(1));
}

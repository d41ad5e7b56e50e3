#include "bench/bench.h"
#include "base/json.h"
#include "base/clock.h"
#include "base/version.h"
#include "bench/bench_forecast.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const bench_section bench_sections[] = {
    {"gemm", "products of the model in each precision and form, against the measured peak",
     bench_gemm},
    {"memory", "copy, triad and the optimizer's streams", bench_memory},
    {"collectives", "bandwidth and latency by size, results checked", bench_collectives},
    {"io", "writing and reading a checkpoint's bytes", bench_io},
    {"step", "one optimizer step by part", bench_step},
    {"scaling", "strong and weak series over rank counts", bench_scaling},
    {NULL, NULL, NULL},
};

status bench_find(const bench_section **out, const char *name)
{
    char names[256] = "";
    for (const bench_section *s = bench_sections; s->name; s++) {
        if (strcmp(s->name, name) == 0) {
            *out = s;
            return OK;
        }
        (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                       names[0] ? ", " : "", s->name);
    }
    FAIL(ERR_CONFIG, "bench: '%s' is no section; there are: %s", name, names);
}

void bench_say(const bench *b, const char *section, const char *format, ...)
{
    char text[256];
    if (!b->first || !b->options->progress) return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    b->options->progress(b->options->context, section, text);
}

/* --- numbers -------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_sort(bench_times *t) { qsort(t->s, (size_t)t->count, sizeof t->s[0], ascending); }

double bench_quantile(const bench_times *sorted, double q)
{
    if (sorted->count == 0) return (double)NAN;
    double at = q * (sorted->count - 1), below = floor(at);
    int32_t i = (int32_t)below, j = i + 1 < sorted->count ? i + 1 : i;
    return sorted->s[i] + (at - below) * (sorted->s[j] - sorted->s[i]);
}

double bench_spread(const bench_times *sorted)
{
    return (bench_quantile(sorted, 0.9) - bench_quantile(sorted, 0.1)) /
           bench_quantile(sorted, 0.5);
}

/* --- repeats -------------------------------------------------------------- */

void bench_undisturbed(bool *counts, const double *stolen_share, int32_t count)
{
    bench_times sorted = {.count = count};
    memcpy(sorted.s, stolen_share, (size_t)count * sizeof *stolen_share);
    bench_sort(&sorted);
    const double most = fmax(BENCH_DISTURBED, bench_quantile(&sorted, 0.5));
    for (int32_t i = 0; i < count; i++) counts[i] = !(stolen_share[i] > most);
}

void bench_count(bench *b, double took_s, double stolen_share)
{
    b->counted_s += took_s;
    b->counted_stolen_s += took_s * stolen_share;
}

/* the most of all ranks, NaN where none says; also a barrier */
static status most_of(world *w, double *value)
{
    int32_t size = world_size(w);
    if (size == 1) return OK;
    double *all = malloc((size_t)size * sizeof *all);
    ASSERT(all);
    status s = world_gather(w, all, value, sizeof *value);
    for (int32_t r = 0; s == OK && r < size; r++) *value = fmax(*value, all[r]);
    free(all);
    return s;
}

/* Repeats one after the other, long enough for the clock of stolen time, which ticks in 10 ms. */
typedef struct stretch {
    double took_s, stolen_share; /* the same on all ranks */
} stretch;

static status take_stretch(bench *b, stretch *out, bench_times *times, double seconds,
                           status (*run)(void *context), void *context)
{
    static const double most_s = 0.1;
    const double start_s = clock_s(), stolen_s = clock_stolen_s();
    out->took_s = 0.0;
    do {
        TRY(world_barrier(b->w));
        double start = clock_s();
        TRY(run(context));
        double took = clock_s() - start;
        TRY(most_of(b->w, &took));
        times->s[times->count++] = took;
        out->took_s += took;
    } while (out->took_s < fmin(seconds, most_s) && times->count < BENCH_REPEATS_MAX);
    out->stolen_share = clock_stolen_share(clock_stolen_s() - stolen_s, clock_s() - start_s);
    return most_of(b->w, &out->stolen_share);
}

status bench_time(bench *b, bench_times *out, double seconds, status (*run)(void *context),
                  void *context)
{
    enum { LEAST = 5, LONGER = 4 };
    double quiet_s = 0.0, total_s = 0.0, share[BENCH_REPEATS_MAX];
    bool counts[BENCH_REPEATS_MAX];
    out->count = 0;
    TRY(run(context));
    while (out->count < LEAST ||
           (quiet_s < seconds && total_s < LONGER * seconds && out->count < BENCH_REPEATS_MAX)) {
        stretch now;
        int32_t i = out->count;
        TRY(take_stretch(b, &now, out, seconds - quiet_s, run, context));
        while (i < out->count) share[i++] = now.stolen_share;
        total_s += now.took_s;
        if (!(now.stolen_share > BENCH_DISTURBED)) quiet_s += now.took_s;
    }
    bench_undisturbed(counts, share, out->count);
    int32_t kept = 0;
    for (int32_t i = 0; i < out->count; i++) {
        if (!counts[i]) continue;
        bench_count(b, out->s[i], share[i]);
        out->s[kept++] = out->s[i];
    }
    out->count = kept;
    bench_sort(out);
    return OK;
}

/* --- a line --------------------------------------------------------------- */

double bench_line(double *a, double *b, const double *x, const double *y, int32_t count)
{
    double sw = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int32_t i = 0; i < count; i++) {
        double w = 1.0 / (y[i] * y[i]);
        sw += w, sx += w * x[i], sy += w * y[i], sxx += w * x[i] * x[i], sxy += w * x[i] * y[i];
    }
    double d = sw * sxx - sx * sx;
    *b = d > 0 ? (sw * sxy - sx * sy) / d : 0.0;
    *a = (sy - *b * sx) / sw;
    if (*a < 0 || !(d > 0)) {
        *a = 0.0;
        *b = sxx > 0 ? sxy / sxx : 0.0;
    }
    bench_times residual = {0};
    for (int32_t i = 0; i < count && i < BENCH_REPEATS_MAX; i++)
        residual.s[residual.count++] = fabs((*a + *b * x[i]) / y[i] - 1.0);
    bench_sort(&residual);
    return bench_quantile(&residual, 0.5);
}

/* --- the whole ------------------------------------------------------------ */

static bool is_chosen(const char *const *chosen, const char *name)
{
    if (!chosen[0]) return true;
    for (int i = 0; chosen[i]; i++)
        if (strcmp(chosen[i], name) == 0) return true;
    return false;
}

/* the resolved config, as text: what the numbers of gemm, step and scaling are of */
static json_t *config_text(const config *cfg)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    if (!memory) return json_null();
    const status s = config_write(cfg, memory);
    (void)fclose(memory);
    json_t *o = s == OK ? json_string(text) : json_null();
    free(text);
    return o;
}

static json_t *header(const bench *b)
{
    char host[128] = "?", device_text[256], when[32];
    time_t now = time(NULL);
    struct tm parts;
    (void)gmtime_r(&now, &parts);
    (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts);
    (void)gethostname(host, sizeof host - 1);
    b->ops->describe(b->device, device_text, sizeof device_text);
    const config *cfg = b->options->cfg;
    json_t *hardware =
        json_pack("{s:s, s:i, s:i, s:i, s:i}", "host", host, "cores",
                  (int)sysconf(_SC_NPROCESSORS_ONLN), "nodes", world_nodes(b->w), "ranks",
                  world_size(b->w), "ranks_on_node", world_local_size(b->w));
    return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "type",
                     "bench", "schema", BENCH_SCHEMA, "version", version_text(), "commit",
                     version_commit(), "date", when, "mpi", world_describe(b->w), "compiler",
                     __VERSION__, "backend", b->ops->name, "device", device_text, "model",
                     cfg->model_name[0] ? cfg->model_name : cfg->run.name, "hardware", hardware,
                     "config", config_text(cfg));
}

static status open_device(bench *b)
{
    static const char *const names[] = {"auto", "ref", "cpu", "cuda"};
    const char *path = getenv("ISOFLOP_CPU_PATH");
    TRY(backend_find(&b->ops, names[b->options->cfg->run.backend]));
    return b->ops->open(&b->device, &(device_options){.local_rank = world_local_rank(b->w),
                                                      .path = path ? path : "auto"});
}

/* Share of the processors that hosts gave to others during the repeats that count; where a section
 * does not tell them apart, during all of it, at the worst machine; NaN where none says. Also a
 * barrier: a section that left something running shows here, not in the next one's numbers. */
static status stolen_share(bench *b, double *out, double stolen_s, double took_s)
{
    *out = clock_stolen_share(stolen_s, took_s);
    TRY(most_of(b->w, out));
    if (b->counted_s > 0.0) *out = b->counted_stolen_s / b->counted_s;
    b->counted_s = b->counted_stolen_s = 0.0;
    return OK;
}

static status run_sections(bench *b, json_t *root, const char *const *chosen)
{
    for (const bench_section *s = bench_sections; s->name; s++) {
        json_t *found = NULL;
        if (!is_chosen(chosen, s->name)) continue;
        const double start = clock_s(), stolen = clock_stolen_s();
        bench_say(b, s->name, "%s", s->does);
        status code = s->run(b, &found);
        if (code != OK) {
            json_decref(found);
            return code;
        }
        const double took = clock_s() - start;
        double share;
        if (found) (void)json_object_set_new(root, s->name, found);
        TRY(stolen_share(b, &share, clock_stolen_s() - stolen, took));
        if (!found) continue;
        (void)json_object_set_new(found, "took_s", json_real(took));
        (void)json_object_set_new(found, "stolen_share", json_finite(share));
    }
    return OK;
}

/* beside each measured row of scaling, what plan makes of the other sections */
static void add_forecasts(json_t *root)
{
    static const char *const series[] = {"strong", "weak"};
    bench_forecast *f = calloc(1, sizeof *f);
    ASSERT(f);
    json_t *scaling = json_object_get(root, "scaling"), *row;
    size_t at;
    if (scaling && bench_forecast_init(f, root) == OK)
        for (int k = 0; k < 2; k++) {
            json_array_foreach(json_object_get(json_object_get(scaling, series[k]), "rows"), at,
                               row)
            {
                const int32_t ranks = (int32_t)json_integer_value(json_object_get(row, "ranks"));
                const json_int_t M = json_integer_value(json_object_get(row, "micro_batches"));
                (void)json_object_set_new(row, "predicted_s",
                                          json_finite(bench_forecast_s(f, ranks, M)));
            }
        }
    free(f);
}

status bench_run(json_t **out, world *w, const bench_options *options, const char *const *chosen)
{
    bench b = {.options = options, .w = w, .first = world_rank(w) == 0};
    TRY(world_agree(w, open_device(&b)));
    json_t *root = b.first ? header(&b) : NULL;
    status s = run_sections(&b, root, chosen);
    b.ops->close(b.device);
    if (s != OK) {
        json_decref(root);
        return s;
    }
    if (root) add_forecasts(root);
    *out = root;
    return OK;
}

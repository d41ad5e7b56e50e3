#include "study_fit.h"

#include "cli.h"
#include "fit_print.h"
#include "base/json.h"
#include "data/zipf_facts.h"
#include "law/next_run.h"
#include "report/run_points.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 1300, REPLICATES = 1000, CELLS_MIN = 6, SIZES_MIN = 3 };

/* The points of one variant. */
typedef struct fit_set {
    const char *variant;
    const study_runs *runs;
    run_record *record; /* (count) */
    int32_t *index;     /* (count) in the study's runs */
    int32_t count;
    points points;
    left_out left;
    law_origin origin;
    json_t *out; /* what study.json says of it; borrowed */
} fit_set;

static void close_set(fit_set *f)
{
    for (int32_t i = 0; i < f->count; i++) run_record_deinit(&f->record[i]);
    free(f->record);
    free(f->index);
    points_deinit(&f->points);
    left_out_deinit(&f->left);
}

static status open_set(fit_set *f, const char *folder, const result *r, const bool *point)
{
    f->record = calloc((size_t)f->runs->count + 1, sizeof *f->record);
    f->index = calloc((size_t)f->runs->count + 1, sizeof *f->index);
    REQUIRE(f->record && f->index, ERR_MEMORY, "no memory for %d runs", f->runs->count);
    for (int32_t i = 0; i < f->runs->count; i++) {
        char path[PATH_BYTES];
        const study_run *run = &f->runs->run[i];
        if (!point[i] || !r[i].done || strcmp(run->variant, f->variant) != 0) continue;
        (void)snprintf(path, sizeof path, "%s/runs/%s", folder, run->name);
        TRY(run_record_read(&f->record[f->count], path));
        f->index[f->count++] = i;
    }
    /* a study of a constant rate asks for runs that have not decayed */
    const bool constant =
        f->count > 0 && f->runs->run[f->index[0]].cfg.schedule.name == SCHEDULE_CONSTANT;
    TRY(run_points_of(&f->points, &f->left, &f->origin, f->record, f->count,
                      (run_points_rules){.undecayed = constant}));
    /* branches of one trunk are drawn together */
    for (int32_t i = 0; i < f->points.count; i++) {
        fit_point *p = &f->points.row[i];
        const study_run *run = &f->runs->run[f->index[p->line - 1]];
        if (run->trunk >= 0) p->group = -1 - run->trunk;
    }
    return OK;
}

static int32_t different(const points *p, bool sizes)
{
    int32_t count = 0;
    for (int32_t i = 0; i < p->count; i++) {
        bool before = false;
        for (int32_t k = 0; k < i && !before; k++)
            before = sizes ? p->row[k].params == p->row[i].params
                           : p->row[k].params == p->row[i].params &&
                                 p->row[k].tokens == p->row[i].tokens;
        count += !before;
    }
    return count;
}

/* --- what is printed beside the fits -------------------------------------- */

static void say_known_entropy(const fit_set *f, const fit_result *r)
{
    const config *cfg = &f->runs->run[f->index[0]].cfg;
    const int32_t e = law_constant(r->options.form, "E");
    zipf_facts *source;
    if (cfg->data.synthetic != SYNTHETIC_ZIPF_FACTS || e < 0) return;
    if (zipf_facts_open(&source, &cfg->zipf, (uint64_t)cfg->data.seed, 0) != OK) return;
    const double exact = zipf_facts_entropy(source).token;
    zipf_facts_close(source);
    const fit_value *fitted = &r->constant[e];
    const double low = fitted->interval.p2_5, high = fitted->interval.p97_5;
    const bool holds = exact >= low && exact <= high;
    printf("\nentropy    the source's is %.4f nats/token; the fitted E %.4f [%.4f, %.4f] (95 %%)\n"
           "           bias %+.4f; the interval %s it\n",
           exact, fitted->value, low, high, fitted->value - exact,
           holds ? "holds" : "does NOT hold");
    (void)json_object_set_new(f->out, "entropy",
                              json_pack("{s:f, s:f, s:f, s:o, s:o, s:b}", "source", exact, "fitted",
                                        fitted->value, "bias", fitted->value - exact, "p2_5",
                                        json_finite(low), "p97_5", json_finite(high), "holds",
                                        (int)holds));
}

static void say_next_run(const fit_set *f, const fit_result *r)
{
    next_run next;
    next_run_best(&next, r, &f->points);
    if (*next.reason)
        printf("next run   not named: %s\n", next.reason);
    else
        printf("next run   %s parameters on %s tokens (%.3g FLOPs) would take %.0f %% off the "
               "variance of\n           ln N_opt(%.3g): the most per FLOP\n",
               cli_count(next.params).text, cli_count(next.tokens).text, next.flops,
               100 * next.gain, next.budget);
    (void)json_object_set_new(f->out, "next_run",
                              json_pack("{s:o, s:o, s:o, s:f, s:f, s:o}", "params",
                                        json_finite(next.params), "tokens",
                                        json_finite(next.tokens), "flops", json_finite(next.flops),
                                        "variance_removed", next.gain, "budget", next.budget,
                                        "reason",
                                        *next.reason ? json_string(next.reason) : json_null()));
}

/* --- the fits ------------------------------------------------------------- */

/* FLOPs of the points by the count of their budgets, so that a budget's points lie together; else
 * by the model count, as everywhere. */
static void count_flops(const fit_set *f, bool by_budget)
{
    for (int32_t i = 0; i < f->points.count; i++) {
        fit_point *p = &f->points.row[i];
        const study_run *run = &f->runs->run[f->index[p->line - 1]];
        p->flops = expand_flops(&run->cfg, by_budget ? run->flop_count : 0) * p->tokens;
    }
}

/* Why a fit is not made: what the status says. */
static void say_reason(const char *approach)
{
    char text[1200];
    (void)snprintf(text, sizeof text, "not from these runs: %s", status_message());
    (void)printf("\n%s\n", approach);
    cli_wrapped("", 2, text);
}

/* Approach 2 with N as the runs count it, and its exponent with N without embeddings as Kaplan et
 * al. count: the same runs, another answer. */
static status fit_parabolas(const fit_set *f)
{
    const char *count = expand_flops_name(f->runs->run[f->index[0]].flop_count);
    optima *o = calloc(1, sizeof *o);
    REQUIRE(o, ERR_MEMORY, "no memory");
    optima_options w = {.bootstrap = REPLICATES, .seed = 1};
    count_flops(f, true);
    (void)json_object_set_new(f->out, "flop_count", json_string(count));
    status s = optima_of_parabolas(o, &f->points, w);
    json_t *found = NULL;
    if (s == OK) {
        printf("\nApproach 2 (parabolas at equal FLOPs, count %s)\n", count);
        s = fit_print_optima_text(o, 0);
        if (s == OK) s = fit_optima_json(&found, o, 0);
        if (s == OK) (void)json_object_set_new(f->out, "approach_2", found);
    } else if (s == ERR_CONFIG) {
        say_reason("Approach 2");
        (void)json_object_set_new(f->out, "approach_2_reason", json_string(status_message()));
        s = OK;
    }
    optima_deinit(o);
    w.nonemb = true;
    if (s == OK && optima_of_parabolas(o, &f->points, w) == OK) {
        const fit_interval *i = &o->a.interval;
        printf("a with N counted without embeddings: %.3f", o->a.value);
        if (isfinite(i->p2_5) && isfinite(i->p97_5))
            printf(" [%.3f, %.3f] (95 %%)", i->p2_5, i->p97_5);
        (void)putchar('\n');
        s = fit_optima_json(&found, o, 0);
        if (s == OK) (void)json_object_set_new(f->out, "approach_2_without_embedding", found);
    }
    optima_deinit(o);
    free(o);
    count_flops(f, false);
    return s;
}

static status write_law(const fit_set *f, const fit_result *r, const char *folder, const char *name)
{
    char path[PATH_BYTES];
    law_file *file = calloc(1, sizeof *file);
    REQUIRE(file, ERR_MEMORY, "no memory");
    law_origin origin = f->origin;
    (void)snprintf(origin.source, sizeof origin.source, "study %.100s", name);
    law_file_of(file, r, &origin);
    (void)snprintf(path, sizeof path, "%s/LAW%s%s.json", folder, *f->variant ? "-" : "",
                   f->variant);
    const status s = law_file_write(file, path);
    free(file);
    if (s == OK) printf("law        %s (plan --law takes it)\n", path);
    if (s == OK) (void)json_object_set_new(f->out, "law_file", json_string(strrchr(path, '/') + 1));
    return s;
}

static status fit_surface(const fit_set *f, const char *folder, const char *name)
{
    fit_result *r = calloc(1, sizeof *r);
    REQUIRE(r, ERR_MEMORY, "no memory");
    const fit_options w = {.form = law_find("chinchilla"),
                           .loss = FIT_HUBER,
                           .delta = 1e-3,
                           .bootstrap = REPLICATES,
                           .seed = 1};
    const fit_question q = {0};
    status s = fit_run(r, &f->points, w);
    for (int32_t i = 0; s == OK && i < f->left.count; i++)
        fit_warn(r, "left out %s", f->left.line[i]);
    if (s == OK) {
        printf("\nApproach 3 (a law of the loss)\n");
        json_t *found;
        s = fit_print_text(r, &q);
        if (s == OK) s = fit_json(&found, r, &q);
        if (s == OK) (void)json_object_set_new(f->out, "law", found);
        if (s == OK) s = write_law(f, r, folder, name);
        if (s == OK) say_known_entropy(f, r);
        if (s == OK) say_next_run(f, r);
    } else if (s == ERR_CONFIG) {
        say_reason("Approach 3");
        (void)json_object_set_new(f->out, "law_reason", json_string(status_message()));
        s = OK;
    }
    fit_deinit(r);
    free(r);
    return s;
}

static status fit_variant(json_t *fits, const char *folder, const study *s, const study_runs *runs,
                          const result *r, const bool *point, const char *variant)
{
    fit_set f = {.variant = variant, .runs = runs, .out = json_object()};
    (void)json_array_append_new(fits, f.out);
    (void)json_object_set_new(f.out, "variant", *variant ? json_string(variant) : json_null());
    status code = open_set(&f, folder, r, point);
    const int32_t cells = different(&f.points, false), sizes = different(&f.points, true);
    if (*variant) printf("\n--- variant %s", variant);
    if (code == ERR_CONFIG) {
        printf("\nfit        none: %s\n", status_message());
        (void)json_object_set_new(f.out, "reason", json_string(status_message()));
        code = OK;
    } else if (code == OK && (cells < CELLS_MIN || sizes < SIZES_MIN)) {
        printf("\nfit        none: %d cells of %d sizes; at least %d of %d are needed\n", cells,
               sizes, CELLS_MIN, SIZES_MIN);
        (void)json_object_set_new(f.out, "reason", json_string("too few cells or sizes"));
    } else if (code == OK) {
        if (s->mode == STUDY_ISOFLOP) code = fit_parabolas(&f);
        if (code == OK) code = fit_surface(&f, folder, s->keys.name);
    }
    close_set(&f);
    return code;
}

status study_fit(json_t *fits, const char *folder, const study *s, const study_runs *runs,
                 const result *r)
{
    bool *point;
    if (s->keys.fit == STUDY_FIT_NONE || *s->arms[0]) return OK;
    TRY(results_points(&point, runs, r));
    status code = OK;
    for (int32_t i = 0; i < runs->count && code == OK; i++) {
        bool before = false;
        for (int32_t k = 0; k < i && !before; k++)
            before = strcmp(runs->run[k].variant, runs->run[i].variant) == 0;
        if (!before) code = fit_variant(fits, folder, s, runs, r, point, runs->run[i].variant);
    }
    free(point);
    return code;
}

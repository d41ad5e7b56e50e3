#include "study_print.h"

#include "cli.h"
#include "measure/energy.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_SHOWN = 60 };

static double run_tokens(const study_run *run)
{
    return (double)(expand_steps(&run->cfg) * run->cfg.train.batch_tokens);
}

/* --- before --------------------------------------------------------------- */

static int by_cost(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* What a run takes, in FLOPs of training: evaluations on both parts cost a third per token. */
static double run_cost(const study_run *run)
{
    const double per_token = run->flops / run_tokens(run);
    return run->own_flops + 2 * (double)run->cfg.evaluate.tokens * per_token / 3;
}

double study_duration(const study_runs *runs, int32_t groups, double flops_per_s)
{
    double *cost = malloc((size_t)runs->count * sizeof *cost);
    double *busy = calloc((size_t)groups, sizeof *busy), last = 0;
    for (int32_t i = 0; cost && busy && i < runs->count; i++) cost[i] = run_cost(&runs->run[i]);
    if (cost && busy) qsort(cost, (size_t)runs->count, sizeof *cost, by_cost);
    for (int32_t i = 0; cost && busy && i < runs->count; i++) {
        int32_t free_one = 0;
        for (int32_t g = 1; g < groups; g++)
            if (busy[g] < busy[free_one]) free_one = g;
        busy[free_one] += cost[i] / flops_per_s;
    }
    for (int32_t g = 0; busy && g < groups; g++) last = fmax(last, busy[g]);
    free(cost);
    free(busy);
    return last;
}

study_repeat study_repeats(const study_run *run, const study_forecast *f, int32_t i)
{
    const double tokens = run_tokens(run), unique = f->unique ? f->unique[i] : 0;
    const study_repeat fresh = {.epochs = unique > 0 ? tokens / unique : 1, .fresh_tokens = tokens};
    if (fresh.epochs <= 1) return fresh;
    const double more = -expm1(-(fresh.epochs - 1) / f->repeat_scale);
    return (study_repeat){fresh.epochs, unique * (1 + f->repeat_scale * more)};
}

bool study_predict(law_forecast *out, const study_run *run, const study_forecast *f, int32_t i)
{
    if (!f->law) return false;
    const double tokens = run_tokens(run);
    const study_repeat r = study_repeats(run, f, i);
    const bool without = f->law->origin.without_embedding;
    /* a law of fresh tokens sees repeated ones as the fresh ones they are worth */
    const bool knows = f->law->form->needs & LAW_OF_UNIQUE;
    law_case at = {.params = (double)(without ? run->params_without_embedding : run->params),
                   .tokens = knows ? tokens : r.fresh_tokens,
                   .unique = knows && r.epochs > 1 ? f->unique[i] : 0};
    at.x = f->law->x == X_PARAMS ? at.params : f->law->x == X_TOKENS ? at.tokens : run->flops;
    (void)law_file_predict(out, f->law, at, 0.8);
    return true;
}

double study_energy(const study *s, const study_forecast *f, double time_s)
{
    if (!(f->flops_per_s > 0)) return (double)NAN;
    return cluster_unmetered_j(f->machine, f->groups * (double)s->keys.ranks_per_run, time_s);
}

/* True when the law is asked beyond its points. */
static bool print_prediction(const study_run *run, const study_forecast *f, int32_t i)
{
    law_forecast p;
    if (!study_predict(&p, run, f, i)) return false;
    printf("  %.3f", p.loss);
    if (isfinite(p.low)) printf(" [%.3f, %.3f]", p.low, p.high);
    if (!p.inside) printf(" *");
    return !p.inside;
}

static void print_rows(const study_runs *runs, const study_forecast *f)
{
    int width = 3;
    bool beyond = false;
    const int32_t shown = runs->count < ROWS_SHOWN ? runs->count : ROWS_SHOWN;
    for (int32_t i = 0; i < shown; i++) {
        const int length = (int)strlen(runs->run[i].name);
        if (length > width) width = length;
    }
    printf("%-*s %8s %8s %7s %9s %9s%s\n", width, "run", "params", "tokens", "steps", "FLOPs",
           "rate", f->law ? "  predicted loss" : "");
    for (int32_t i = 0; i < shown; i++) {
        const study_run *run = &runs->run[i];
        printf("%-*s %8s %8s %7" PRId64 " %9.3g %9.3g", width, run->name,
               cli_count((double)run->params).text, cli_count(run_tokens(run)).text,
               expand_steps(&run->cfg), run->own_flops, run->cfg.optimizer.learning_rate);
        beyond |= print_prediction(run, f, i);
        (void)fputc('\n', stdout);
    }
    if (runs->count > shown) printf("... and %d more\n", runs->count - shown);
    if (beyond) printf("* beyond the points of the law\n");
    (void)fputc('\n', stdout);
}

/* Runs that read their data more than once: asked for, and not worth what they cost. */
static void print_repeats(const study_runs *runs, const study_forecast *f)
{
    int32_t count = 0, most = 0;
    double epochs = 1;
    for (int32_t i = 0; i < runs->count; i++) {
        const study_repeat r = study_repeats(&runs->run[i], f, i);
        count += r.epochs > 1;
        if (r.epochs > epochs) epochs = r.epochs, most = i;
    }
    if (!count) return;
    const study_run *run = &runs->run[most];
    printf("repeats    %d run%s read%s the data more than once, %s %.3g times", count,
           count == 1 ? "" : "s", count == 1 ? "s" : "", run->name, epochs);
    if (isfinite(f->repeat_scale))
        printf(":\n           its %s tokens are worth %s fresh ones (Muennighoff et al. 2023, "
               "published)",
               cli_count(run_tokens(run)).text,
               cli_count(study_repeats(run, f, most).fresh_tokens).text);
    (void)fputc('\n', stdout);
}

void study_print_plan(const study *s, const study_runs *runs, const study_forecast *f)
{
    double flops = 0;
    int32_t short_runs = 0;
    for (int32_t i = 0; i < runs->count; i++) {
        flops += runs->run[i].own_flops;
        short_runs += expand_steps(&runs->run[i].cfg) < 500 && runs->run[i].role != RUN_TRUNK;
    }
    printf("study      %s: %d runs, %.4g FLOPs (model)\n", s->keys.name, runs->count, flops);
    printf("groups     %d of %" PRId64 " rank%s\n\n", f->groups, s->keys.ranks_per_run,
           s->keys.ranks_per_run == 1 ? "" : "s");
    print_rows(runs, f);
    if (s->keys.learning_rate_rule == RATE_SWEEP)
        printf("sweep      these choose the rates; the other %d seeds of each cell follow\n",
               s->seed_count - 1);
    print_repeats(runs, f);
    if (short_runs) printf("short      %d runs have fewer than 500 steps\n", short_runs);
    const double time_s = f->flops_per_s > 0 ? study_duration(runs, f->groups, f->flops_per_s) : 0;
    const double energy_j = study_energy(s, f, time_s);
    energy_meter host;
    energy_open(&host, NULL);
    if (f->flops_per_s > 0)
        printf("time       about %s at %.1f GFLOP/s per group (measured now)\n",
               cli_duration(time_s).text, f->flops_per_s * 1e-9);
    if (isfinite(energy_j))
        printf("energy     about %.3g kJ (modelled: %.3g W a rank of %s, while it works)\n",
               energy_j * 1e-3, f->machine->power_w.value, f->machine->name);
    else if (f->machine)
        printf("energy     not known: power_w of %s is unknown\n", f->machine->name);
    else if (strcmp(energy_source(&host), "none") == 0)
        printf("energy     not known: this machine has no meter that may be read; --cluster NAME "
               "gives "
               "watts\n");
    energy_close(&host);
}

/* --- during --------------------------------------------------------------- */

void study_print_begin(const study_run *run, int32_t count)
{
    printf("begins %-34s %s parameters, %s tokens; one of %d runs\n", run->name,
           cli_count((double)run->params).text, cli_count(run_tokens(run)).text, count);
    (void)fflush(stdout);
}

void study_print_end(const study_run *run, status s, const outcome *o, double busy_s)
{
    if (s == OK) {
        printf("done   %-34s validation %.4f", run->name, o->validation.loss);
        if (isfinite(o->test.loss)) printf(", test %.4f", o->test.loss);
        if (isfinite(o->validation.entropy))
            printf(", entropy %.4f", o->validation.entropy);
        else
            printf(" nats/token");
        printf(" (%s, %s tokens/s)\n", cli_duration(busy_s).text, cli_count(o->tokens_per_s).text);
    } else if (s == INTERRUPTED) {
        printf("left   %-34s %s\n", run->name, status_message());
    } else {
        printf("FAILED %-34s exit code %d: %s\n", run->name, (int)s, status_message());
    }
    (void)fflush(stdout);
}

void study_print_message(const study_run *run, const char *text)
{
    printf("note   %s: %s\n", run->name, text);
    (void)fflush(stdout);
}

/* --- after ---------------------------------------------------------------- */

static void print_failures(const study_runs *runs, const result *r)
{
    for (int32_t i = 0; i < runs->count; i++)
        if (r[i].failed)
            printf("failed     %s ended with exit code %d; it is in no table and no fit\n",
                   runs->run[i].name, r[i].exit);
}

static void print_sweep(const study_runs *runs, const result *r)
{
    sweep_choice *choice;
    int32_t cells;
    double flops = 0;
    bool any = false;
    if (results_choose(&choice, &cells, runs, r) != OK) return;
    for (int32_t k = 0; k < cells; k++) {
        if (choice[k].run < 0) continue;
        const study_run *best = &runs->run[choice[k].run];
        if (!any) printf("\nlearning rates (validation loss, seed %" PRId64 ")\n", best->seed);
        any = true;
        printf("  %-30s", best->cell);
        for (int32_t i = 0; i < runs->count; i++) {
            const study_run *run = &runs->run[i];
            if (run->cell_index != k || run->role != RUN_SWEEP) continue;
            flops += run->own_flops;
            printf(" %.2e: %.4f%s", run->cfg.optimizer.learning_rate, r[i].got.validation.loss,
                   i == choice[k].run ? "*" : "");
        }
        printf("\n");
        if (!choice[k].interior) printf("  %-30s best at the edge: widen the factors\n", "");
    }
    if (any) printf("  search: %.3g FLOPs\n", flops);
    free(choice);
}

static void print_brackets(const study_runs *runs, const result *r)
{
    bool any = false;
    for (int32_t i = 0; i < runs->count; i++) {
        const study_run *run = &runs->run[i];
        if (run->role != RUN_BRACKET || !r[i].done) continue;
        for (int32_t k = 0; k < runs->count; k++) {
            const study_run *centre = &runs->run[k];
            if (centre->cell_index != run->cell_index || centre->role != RUN_POINT ||
                centre->seed != run->seed || !r[k].done)
                continue;
            if (!any) printf("\nlearning rates at the corners (change of validation loss)\n");
            any = true;
            const double change = r[i].got.validation.loss - r[k].got.validation.loss;
            printf("  %-30s x %-5.3g %+.4f%s\n", run->cell, run->factor, change,
                   change < 0 ? "  lower than the rule's" : "");
        }
    }
}

/* Joules of an arm's seeds: by the meter, else by the machine's watts. */
static double arm_energy(const compare_arm *a, const study *s, const cluster *machine)
{
    if (isfinite(a->energy_j)) return a->energy_j;
    return cluster_unmetered_j(machine, (double)s->keys.ranks_per_run, a->time_s);
}

static void print_comparison(const study *s, const study_runs *runs, const result *r,
                             const cluster *machine)
{
    comparison c;
    if (!*s->arms[0]) return;
    results_compare(&c, s, runs, r);
    printf("\ncomparison on the %s part, means over seeds; FLOPs by the model count\n",
           c.on_test ? "test" : "validation");
    printf("%-10s %-11s %7s %7s %9s %9s %11s %9s %9s\n", "row", "arm", "params", "tokens", "FLOPs",
           "rate", "nats/token", "bits/byte", "tokens/s");
    bool energy = true;
    for (int32_t k = 0; k < c.rows; k++) {
        const compare_row *w = &c.row[k];
        double joules[2] = {0, 0};
        for (int a = 0; a < 2; a++) {
            const compare_arm *arm = &w->arm[a];
            if (!arm->like) continue;
            const study_run *run = arm->like;
            printf("%-10s %-11s %7s %7s %9.3g %9.3g %11.4f %9.4f %9s", w->row, s->arms[a],
                   cli_count((double)run->params).text, cli_count(run_tokens(run)).text, run->flops,
                   run->cfg.optimizer.learning_rate, arm->loss, arm->bits_per_byte,
                   cli_count(arm->tokens_per_s).text);
            joules[a] = arm_energy(arm, s, machine);
            energy = energy && isfinite(joules[a]);
            (void)fputc('\n', stdout);
        }
        if (energy && w->arm[0].like)
            printf("%-10s energy of all seeds: %s %.3g kJ, %s %.3g kJ (%s)\n", w->row, s->arms[0],
                   joules[0] * 1e-3, s->arms[1], joules[1] * 1e-3,
                   isfinite(w->arm[0].energy_j) ? "measured" : "modelled: watts x time of steps");
        const paired *d = &w->difference;
        if (d->pairs == 0) {
            printf("%-10s no seed finished in both arms\n", w->row);
            continue;
        }
        printf("%-10s %s - %s: %+.4f", w->row, s->arms[0], s->arms[1], d->mean);
        if (isfinite(d->low))
            printf(" [%+.4f, %+.4f] (95 %%, paired t, %d seeds)", d->low, d->high, d->pairs);
        else
            printf(" (one seed: no interval)");
        printf(": %s\n", w->winner < 0 ? "no winner" : s->arms[w->winner]);
    }
    if (!energy) printf("energy     not measured: this machine has no meter that may be read\n");
    if (c.winner >= 0)
        printf("winner     %s, in all %d rows\n", s->arms[c.winner], c.rows);
    else
        printf("winner     none is named: the rows do not all agree\n");
}

static void print_trunks(const study_runs *runs, const result *r)
{
    const trunk_costs t = results_trunks(runs);
    if (t.branched > 0)
        printf("\ntrunks     %.4g FLOPs with branched cool-downs, %.4g as separate runs: %.0f %% "
               "saved\n",
               t.branched, t.separate, 100 * (1 - t.branched / t.separate));
    for (int32_t i = 0; i < runs->count; i++) {
        const study_run *twin = &runs->run[i];
        if (twin->role != RUN_TWIN || !r[i].done) continue;
        for (int32_t k = 0; k < runs->count; k++) {
            const study_run *run = &runs->run[k];
            if (run->role != RUN_POINT || run->trunk < 0 || run->seed != twin->seed || !r[k].done ||
                run->params != twin->params || run_tokens(run) != run_tokens(twin))
                continue;
            printf("  %-30s cool-down %.4f, cosine %.4f: %+.4f nats/token\n", run->name,
                   r[k].got.validation.loss, r[i].got.validation.loss,
                   r[k].got.validation.loss - r[i].got.validation.loss);
        }
    }
}

/* No model may beat the entropy of the tokens it is judged on. */
static void print_entropy(const study_runs *runs, const result *r)
{
    double lowest = INFINITY;
    int32_t which = -1, count = 0;
    for (int32_t i = 0; i < runs->count; i++) {
        const outcome_loss *l = &r[i].got.validation;
        if (!r[i].done || !isfinite(l->entropy)) continue;
        const double excess = (l->loss - l->entropy) / l->loss_se;
        if (excess < lowest) lowest = excess, which = i;
        count++;
    }
    if (which < 0) return;
    const outcome_loss *l = &r[which].got.validation;
    char text[512];
    (void)snprintf(text, sizeof text,
                   "%d runs against the exact entropy of their validation tokens: the nearest, "
                   "%.200s, lies %+.4f nats/token from it (%+.1f standard errors)%s",
                   count, runs->run[which].name, l->loss - l->entropy, lowest,
                   lowest < -4 ? ": BELOW what is possible" : "");
    (void)putchar('\n');
    cli_wrapped("entropy", 11, text);
}

void study_print_results(const study *s, const study_runs *runs, const result *r,
                         const cluster *machine)
{
    print_sweep(runs, r);
    print_brackets(runs, r);
    print_comparison(s, runs, r, machine);
    print_trunks(runs, r);
    print_entropy(runs, r);
    print_failures(runs, r);
    if (*s->keys.note) printf("note       %s\n", s->keys.note);
}

void study_print_forecasts(const study_runs *runs, const result *r, const study_forecast *f)
{
    int32_t inside = 0, graded = 0;
    if (!f->law) return;
    for (int32_t i = 0; i < runs->count; i++) {
        const study_run *run = &runs->run[i];
        law_forecast p;
        double sum = 0;
        int32_t count = 0;
        bool first = true;
        for (int32_t k = 0; k < runs->count; k++) {
            if (runs->run[k].cell_index != run->cell_index || runs->run[k].role != RUN_POINT ||
                runs->run[k].factor != run->factor)
                continue;
            first = first && k >= i;
            if (r[k].done) sum += r[k].got.validation.loss, count++;
        }
        if (!first || count == 0 || run->role != RUN_POINT || !study_predict(&p, run, f, i))
            continue;
        if (graded++ == 0)
            printf("\nforecasts  validation loss in nats/token by %s, 80 %% of new runs\n",
                   f->law->origin.source);
        const bool holds = sum / count >= p.low && sum / count <= p.high;
        inside += holds;
        printf("  %-36s %.4f [%.4f, %.4f]%s, was %.4f: %s\n", run->cell, p.loss, p.low, p.high,
               p.inside ? "" : " beyond its points", sum / count, holds ? "inside" : "outside");
    }
    if (graded) printf("  %d of %d hold their outcome\n", inside, graded);
}

void study_print_report(const execute_report *e, const study_runs *runs)
{
    printf("\nruns       %d of %d done", e->done, runs->count);
    if (e->failed) printf(", %d failed", e->failed);
    if (e->left) printf(", %d left", e->left);
    if (e->wall_s > 1)
        printf("; %s, groups busy %.1f %% of it", cli_duration(e->wall_s).text,
               100 * e->utilisation);
    (void)fputc('\n', stdout);
}

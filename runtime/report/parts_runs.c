/* Tables of runs, their cost, and the curves of their loss. */
#include "report/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- what the sections share ---------------------------------------------- */

const char *part_colour(char out[8], double place)
{
    /* dark to light, told apart on paper and by most eyes */
    static const double anchor[5][3] = {
        {68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 180, 80}, {214, 170, 20}};
    const double at = 4 * fmin(fmax(place, 0), 1);
    const int low = at >= 4 ? 3 : (int)at;
    int c[3];
    for (int k = 0; k < 3; k++)
        c[k] = (int)lround(anchor[low][k] + (at - low) * (anchor[low + 1][k] - anchor[low][k]));
    (void)snprintf(out, 8, "#%02x%02x%02x", c[0] & 255, c[1] & 255, c[2] & 255);
    return out;
}

/* The different sizes (params) of the runs, rising; returns their number. size has room for all. */
static int32_t sizes_of(double *size, const run_set *set)
{
    int32_t count = 0;
    for (int32_t i = 0; i < set->count; i++) {
        const double params = run_record_params(&set->run[i]);
        if (!(params > 0)) continue;
        int32_t at = count;
        for (int32_t k = 0; k < count; k++)
            if (size[k] == params) at = -1;
        if (at < 0) continue;
        for (; at > 0 && size[at - 1] > params; at--) size[at] = size[at - 1];
        size[at] = params;
        count++;
    }
    return count;
}

/* Joules of a run and where they come from; NaN when nobody knows. */
static double energy_of(const run_record *r, const report_options *options, number_source *source)
{
    const double measured = json_number_at(r->summary, "energy_j");
    *source = FROM_MEASURE;
    if (isfinite(measured)) return measured;
    *source = FROM_MODEL;
    return cluster_unmetered_j(options->machine, json_number_at(r->header, "ranks"),
                               run_record_time_s(r));
}

/* Money of a run after its machine's price; NaN without one. */
static double money_of(const run_record *r, const report_options *options)
{
    if (!options->machine) return NAN;
    return json_number_at(r->header, "ranks") * options->machine->price_per_hour.value *
           run_record_time_s(r) / 3600;
}

/* --- tables --------------------------------------------------------------- */

static void state_text(table_cell *c, const run_record *r)
{
    const double total = json_number_at(r->header, "config.train.tokens");
    if (run_record_finished(r))
        cell_text(c, isfinite(run_record_val_loss(r)) ? "finished" : "no loss");
    else
        cell_text(c, "at %.0f %%", 100 * fmin(1, run_record_tokens(r) / total));
    if (r->damaged_line) cell_text(c, "damaged, line %d", r->damaged_line);
}

static double last_se(const run_record *r)
{
    return r->evals ? r->eval[r->evals - 1].loss_se : NAN;
}

status part_runs(page *p, const run_set *set)
{
    static const table_column column[] = {
        {"run", "run", CELL_TEXT, FROM_NOTHING},
        {"params", "N", CELL_COUNT, FROM_COUNT},
        {"tokens", "D", CELL_COUNT, FROM_COUNT},
        {"tokens_per_param", "D/N", CELL_RATIO, FROM_COUNT},
        {"flops", "FLOPs", CELL_POWER, FROM_COUNT},
        {"learning_rate", "rate", CELL_PLAIN, FROM_CONFIG},
        {"seed", "seed", CELL_WHOLE, FROM_CONFIG},
        {"val_loss", "val. loss", CELL_LOSS, FROM_MEASURE},
        {"val_loss_se", "± s.e.", CELL_LOSS, FROM_MEASURE},
        {"bits_per_byte", "bits/byte", CELL_LOSS, FROM_MEASURE},
        {"state", "state", CELL_TEXT, FROM_NOTHING},
    };
    table *t;
    TRY(page_add_table(&t, p, "runs", "Runs: N parameters on D tokens, loss in nats per token",
                       column, sizeof column / sizeof *column));
    for (int32_t i = 0; i < set->count; i++) {
        const run_record *r = &set->run[i];
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        cell_text(&c[0], "%s", r->name);
        c[1].number = run_record_params(r);
        c[2].number = run_record_tokens(r);
        c[3].number = c[2].number / c[1].number;
        c[4].number = run_record_flops(r);
        c[5].number = json_number_at(r->header, "config.optimizer.learning_rate");
        c[6].number = json_number_at(r->header, "config.train.seed");
        c[7].number = run_record_val_loss(r);
        c[8].number = last_se(r);
        c[9].number = run_record_bits_per_byte(r);
        state_text(&c[10], r);
    }
    return OK;
}

status part_cost(page *p, const run_set *set, const report_options *options)
{
    static const table_column column[] = {
        {"run", "run", CELL_TEXT, FROM_NOTHING},
        {"ranks", "ranks", CELL_WHOLE, FROM_CONFIG},
        {"time_s", "time", CELL_SECONDS, FROM_MEASURE},
        {"tokens_per_s", "tokens/s", CELL_COUNT, FROM_MEASURE},
        {"mfu", "MFU", CELL_SHARE, FROM_MEASURE},
        {"energy_j", "energy", CELL_ENERGY, FROM_MEASURE},
        {"joules_per_token", "J/token", CELL_PLAIN, FROM_MEASURE},
        {"cost", "cost", CELL_PLAIN, FROM_MODEL},
        {"interruptions", "interrupted", CELL_WHOLE, FROM_MEASURE},
    };
    table *t;
    double joules = 0, money = 0, seconds = 0;
    bool metered = true, priced = true;
    TRY(page_add(p, BLOCK_HEADING, "Time, energy and cost"));
    TRY(page_add_table(&t, p, "cost", "Time, throughput, energy and cost of each run", column,
                       sizeof column / sizeof *column));
    for (int32_t i = 0; i < set->count; i++) {
        const run_record *r = &set->run[i];
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        number_source source;
        cell_text(&c[0], "%s", r->name);
        c[1].number = json_number_at(r->header, "ranks");
        c[2].number = run_record_time_s(r);
        c[3].number = json_number_at(r->summary, "tokens_per_s");
        if (!isfinite(c[3].number)) c[3].number = run_record_tokens(r) / c[2].number;
        c[4].number = json_number_at(r->summary, "mfu");
        c[5].number = energy_of(r, options, &source);
        c[6].number = c[5].number / run_record_tokens(r);
        if (isfinite(c[5].number)) c[5].source = c[6].source = source;
        c[7].number = money_of(r, options);
        c[8].number = json_number_at(r->summary, "interruptions");
        metered = metered && isfinite(c[5].number);
        priced = priced && isfinite(c[7].number);
        joules += c[5].number, money += c[7].number;
        if (isfinite(c[2].number)) seconds += c[2].number;
    }
    char text[2][32];
    TRY(page_add(p, BLOCK_PARAGRAPH, "Steps of all runs together: %s (measured). %s%s%s",
                 number_text(text[0], seconds, CELL_SECONDS),
                 metered ? "Energy together: "
                         : "No meter and no --cluster for some runs: their "
                           "energy is not known, and not 0.",
                 metered ? number_text(text[1], joules, CELL_ENERGY) : "", metered ? "." : ""));
    if (priced)
        TRY(page_add(p, BLOCK_PARAGRAPH, "Cost together: %.4g %s (modelled: ranks x hours x price)",
                     money, options->machine->currency));
    return page_add(p, BLOCK_PARAGRAPH,
                    "MFU: the PaLM count of FLOPs over the measured peak of the ranks. Throughput "
                    "is of training steps; evaluation and checkpoints are not in it.");
}

/* --- curves --------------------------------------------------------------- */

enum { CURVE_POINTS = 200 };

/* Means of the training loss over stretches that are even in the logarithm of x. */
static void curve_data(FILE *out, const run_record *r, int32_t index, bool by_flops)
{
    (void)fprintf(out, "$run%d << EOD\n", index);
    const double first = by_flops ? r->step[0].flops : r->step[0].tokens;
    const double last = by_flops ? r->step[r->steps - 1].flops : r->step[r->steps - 1].tokens;
    const double width = log(last / first) / CURVE_POINTS;
    double x = 0, y = 0, edge = log(first) + width;
    int32_t count = 0;
    for (int32_t i = 0; i < r->steps; i++) {
        const double at = by_flops ? r->step[i].flops : r->step[i].tokens;
        /* the last step ends the last stretch, whatever the rounding of its edge */
        if (count && log(at) > edge && i < r->steps - 1) {
            (void)fprintf(out, "%.8g %.6g\n", x / count, y / count);
            x = y = 0, count = 0;
            while (width > 0 && log(at) > edge) edge += width;
        }
        if (r->step[i].skipped || !isfinite(r->step[i].loss)) continue;
        x += at, y += r->step[i].loss, count++;
    }
    if (count) (void)fprintf(out, "%.8g %.6g\n", x / count, y / count);
    (void)fputs("EOD\n", out);
}

/* The last validation losses, one line per run. */
static void end_data(FILE *out, const run_set *set, bool by_flops)
{
    (void)fputs("$ends << EOD\n", out);
    for (int32_t i = 0; i < set->count; i++) {
        const run_record *r = &set->run[i];
        const double x = by_flops ? run_record_flops(r) : run_record_tokens(r);
        if (x > 0 && isfinite(run_record_val_loss(r)))
            (void)fprintf(out, "%.8g %.6g\n", x, run_record_val_loss(r));
    }
    (void)fputs("EOD\n", out);
}

/* One curve of the plot; title "": no entry in the key. */
static void plot_run(FILE *out, int32_t i, double place, const char *title)
{
    char colour[8];
    (void)fprintf(out, "  $run%d using 1:2 with lines lw 1.2 lc rgb '%s' ", i,
                  part_colour(colour, place));
    (void)fprintf(out, *title ? "title \"%s\"" : "notitle", title);
}

/* A few runs by name; many by size, one entry of the key for each size. */
static void plot_runs(FILE *out, const run_set *set, const double *size, int32_t sizes)
{
    enum { FEW = 6 };
    char title[160], number[32];
    for (int32_t k = 0; k < (set->count > FEW ? sizes : 1); k++) {
        bool named = false;
        for (int32_t i = 0; i < set->count; i++) {
            const run_record *r = &set->run[i];
            if (!r->steps || (set->count > FEW && run_record_params(r) != size[k])) continue;
            (void)fputs(", \\\n", out);
            if (set->count <= FEW) {
                plot_run(out, i, (double)i / fmax(set->count - 1, 1), figure_quote(title, r->name));
                continue;
            }
            (void)snprintf(title, sizeof title, "N = %s", number_text(number, size[k], CELL_COUNT));
            plot_run(out, i, (double)k / fmax(sizes - 1, 1), named ? "" : title);
            named = true;
        }
    }
}

static status curve_figure(page *p, const run_set *set, const double *size, int32_t sizes,
                           bool by_flops)
{
    figure *f;
    bool ends = false;
    TRY(page_add_figure(&f, p, by_flops ? "loss-flops" : "loss-tokens",
                        by_flops ? "Loss against FLOPs" : "Loss against tokens"));
    for (int32_t i = 0; i < set->count; i++) {
        if (set->run[i].steps) curve_data(f->to, &set->run[i], i, by_flops);
        ends = ends || isfinite(run_record_val_loss(&set->run[i]));
    }
    if (ends) end_data(f->to, set, by_flops);
    (void)fprintf(f->to,
                  "set logscale x\nset format x power\nset xlabel '%s'\n"
                  "set ylabel 'loss, nats per token'\nplot NaN notitle",
                  by_flops ? "FLOPs" : "training tokens");
    plot_runs(f->to, set, size, sizes);
    if (ends)
        (void)fprintf(f->to, ", \\\n  $ends using 1:2 with points pt 7 ps 0.5 lc rgb '#000000' "
                             "title 'validation, at the end'");
    (void)fputc('\n', f->to);
    return page_end_figure(f,
                           "Lines: training loss, means over stretches of equal length in the "
                           "logarithm (measured). Dots: last validation loss (measured).%s",
                           by_flops ? " FLOPs: the count of the model (counted)." : "");
}

status part_curves(page *p, const run_set *set)
{
    double *size = calloc((size_t)set->count + 1, sizeof *size);
    REQUIRE(size, ERR_MEMORY, "no memory for a report");
    const int32_t sizes = sizes_of(size, set);
    bool any = false;
    for (int32_t i = 0; i < set->count; i++) any = any || set->run[i].steps > 0;
    status s = OK;
    if (any) s = page_add(p, BLOCK_HEADING, "Loss curves");
    if (any && s == OK) s = curve_figure(p, set, size, sizes, false);
    if (any && s == OK) s = curve_figure(p, set, size, sizes, true);
    free(size);
    return s;
}

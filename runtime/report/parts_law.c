/* What the runs say together: means over seeds, laws, forecasts. */
#include "report/parts.h"

#include "law/next_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double part_half_width(double sd, int32_t count)
{
    /* quantile 0.975 of Student's t with 1, 2, ... degrees of freedom */
    static const double t[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                               2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                               2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                               2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
    enum { KNOWN = sizeof t / sizeof *t };
    if (count < 2) return NAN;
    return (count - 1 <= KNOWN ? t[count - 2] : 1.96 + 2.4 / (count - 1)) * sd / sqrt(count);
}

/* --- seeds ---------------------------------------------------------------- */

/* The same run but for its seeds. */
static bool same_cell(const run_record *a, const run_record *b)
{
    static const char *const path[] = {"config.model", "config.optimizer", "config.schedule",
                                       "config.train.batch_tokens", "config.train.precision"};
    if (run_record_params(a) != run_record_params(b)) return false;
    if (run_record_tokens(a) != run_record_tokens(b)) return false;
    for (size_t k = 0; k < sizeof path / sizeof *path; k++) {
        const json_t *x = json_at(a->header, path[k]), *y = json_at(b->header, path[k]);
        if ((x || y) && !json_equal(x, y)) return false;
    }
    return true;
}

static bool whole(const run_record *r)
{
    return run_record_finished(r) && isfinite(run_record_val_loss(r));
}

typedef struct cell {
    int32_t first, count;
    double mean, sd;
} cell;

/* Cells of the finished runs, in the order of their first runs. */
static int32_t find_cells(cell *out, const run_set *set)
{
    int32_t cells = 0;
    for (int32_t i = 0; i < set->count; i++) {
        if (!whole(&set->run[i])) continue;
        int32_t at = 0;
        while (at < cells && !same_cell(&set->run[out[at].first], &set->run[i])) at++;
        if (at == cells) out[cells++] = (cell){.first = i};
        out[at].count++;
        out[at].mean += run_record_val_loss(&set->run[i]);
    }
    for (int32_t k = 0; k < cells; k++) {
        cell *c = &out[k];
        double square = 0;
        c->mean /= c->count;
        for (int32_t i = 0; i < set->count; i++) {
            if (!whole(&set->run[i]) || !same_cell(&set->run[c->first], &set->run[i])) continue;
            const double away = run_record_val_loss(&set->run[i]) - c->mean;
            square += away * away;
        }
        c->sd = c->count > 1 ? sqrt(square / (c->count - 1)) : NAN;
    }
    return cells;
}

status part_seeds(page *p, const run_set *set)
{
    static const table_column column[] = {
        {"run", "first run", CELL_TEXT, FROM_NOTHING},
        {"params", "N", CELL_COUNT, FROM_COUNT},
        {"tokens", "D", CELL_COUNT, FROM_COUNT},
        {"flops", "FLOPs", CELL_POWER, FROM_COUNT},
        {"learning_rate", "rate", CELL_PLAIN, FROM_CONFIG},
        {"seeds", "seeds", CELL_WHOLE, FROM_CONFIG},
        {"mean", "mean loss", CELL_LOSS, FROM_MEASURE},
        {"sd", "s.d.", CELL_LOSS, FROM_MEASURE},
        {"half_width", "± (95 %)", CELL_LOSS, FROM_MEASURE},
    };
    cell *cells = calloc((size_t)set->count + 1, sizeof *cells);
    REQUIRE(cells, ERR_MEMORY, "no memory for a report");
    const int32_t count = find_cells(cells, set);
    bool repeated = false;
    for (int32_t k = 0; k < count; k++) repeated = repeated || cells[k].count > 1;
    table *t = NULL;
    status s = OK;
    if (repeated) s = page_add(p, BLOCK_HEADING, "Seeds");
    if (repeated && s == OK)
        s = page_add_table(&t, p, "seeds", "Means over seeds, with their 95 % interval (Student)",
                           column, sizeof column / sizeof *column);
    for (int32_t k = 0; t && k < count; k++) {
        const run_record *r = &set->run[cells[k].first];
        table_cell *c = table_row(t);
        if (!c) break;
        cell_text(&c[0], "%s", r->name);
        c[1].number = run_record_params(r);
        c[2].number = run_record_tokens(r);
        c[3].number = run_record_flops(r);
        c[4].number = json_number_at(r->header, "config.optimizer.learning_rate");
        c[5].number = cells[k].count;
        c[6].number = cells[k].mean;
        c[7].number = cells[k].sd;
        c[8].number = part_half_width(cells[k].sd, cells[k].count);
    }
    free(cells);
    return s;
}

/* --- approach 3 ----------------------------------------------------------- */

static status residual_figure(page *p, const points *runs, const fit_result *r)
{
    figure *f;
    TRY(page_add_figure(&f, p, "residuals", "Residuals of the fitted law"));
    (void)fputs("$points << EOD\n", f->to);
    for (int32_t i = 0; i < runs->count; i++)
        (void)fprintf(f->to, "%.8g %.6g %.6g\n", points_flops(&runs->row[i]), -100 * r->residual[i],
                      log10(runs->row[i].params));
    (void)fputs("EOD\nset logscale x\nset format x power\nset xlabel 'FLOPs'\n"
                "set ylabel 'observed / fitted - 1, %'\nset xzeroaxis lw 0.8 lc rgb '#666666'\n"
                "set palette defined (0 '#440154', 1 '#3b528b', 2 '#21918c', 3 '#5eb450', 4 "
                "'#d6aa14')\nset cblabel 'log_{10} N'\nplot $points using 1:2:3 with points pt 7 "
                "ps 0.8 lc palette notitle\n",
                f->to);
    return page_end_figure(f, "Each dot a run: measured loss over the loss of the fitted law "
                              "(modelled).");
}

static status say_next_run(page *p, const points *runs, const fit_result *r)
{
    static const table_column column[] = {
        {"params", "N", CELL_COUNT, FROM_COUNT},
        {"tokens", "D", CELL_COUNT, FROM_COUNT},
        {"flops", "FLOPs", CELL_POWER, FROM_COUNT},
        {"variance_removed", "variance removed", CELL_SHARE, FROM_MODEL},
        {"budget", "of ln N_opt at", CELL_POWER, FROM_COUNT},
    };
    next_run next;
    table *t;
    next_run_best(&next, r, runs);
    if (*next.reason) return page_add(p, BLOCK_PARAGRAPH, "Next-best run: none, %s.", next.reason);
    TRY(page_add_table(&t, p, "next_run",
                       "Next-best run: the cell that would narrow the interval of N_opt most per "
                       "FLOP",
                       column, sizeof column / sizeof *column));
    table_cell *c = table_row(t);
    REQUIRE(c, ERR_MEMORY, "no memory for a report");
    c[0].number = next.params, c[1].number = next.tokens, c[2].number = next.flops;
    c[3].number = next.gain, c[4].number = next.budget;
    return OK;
}

static status say_fit(page *p, const points *runs, const fit_result *r)
{
    table *t;
    TRY(page_add_table(&t, p, "law", "Approach 3: L = E + A / N^alpha + B / D^beta",
                       part_value_columns, PART_VALUE_COLUMNS));
    for (int32_t k = 0; k < r->options.form->constants; k++)
        TRY(part_value(t, r->options.form->constant[k], &r->constant[k]));
    TRY(part_value(t, "a", &r->a));
    TRY(part_value(t, "b", &r->b));
    char seeds[96] = "";
    if (r->seed_freedom)
        (void)snprintf(seeds, sizeof seeds,
                       "; seeds alone spread it by %.3g (%d degrees of freedom)", r->seed_sd,
                       r->seed_freedom);
    TRY(page_add(p, BLOCK_PARAGRAPH,
                 "%d points; Huber 1e-3 objective %.6g; residuals of ln loss spread by %.3g%s.",
                 r->points, r->objective, r->residual_sd, seeds));
    TRY(residual_figure(p, runs, r));
    TRY(say_next_run(p, runs, r));
    for (int32_t i = 0; i < r->warnings; i++)
        TRY(page_add(p, BLOCK_WARNING, "Approach 3: %s", r->warning[i]));
    return OK;
}

static status laws_of(page *p, points *runs, const run_set *set, const left_out *left,
                      const report_options *options)
{
    TRY(page_add(p, BLOCK_HEADING, "Scaling laws of these runs"));
    for (int32_t i = 0; i < left->count; i++)
        TRY(page_add(p, BLOCK_WARNING, "left out of every fit: %s", left->line[i]));
    optima *o = calloc(1, sizeof *o);
    fit_result *r = calloc(1, sizeof *r);
    status s = o && r ? OK : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a report");
    run_points_count(runs, set->run, true);
    if (s == OK &&
        optima_of_parabolas(o, runs, (optima_options){NULL, 0, false, options->bootstrap, 1}) == OK)
        s = part_optima(p, runs, o);
    else if (s == OK)
        s = page_add(p, BLOCK_PARAGRAPH, "Approach 2 (IsoFLOP parabolas): %s.", status_message());
    run_points_count(runs, set->run, false);
    const fit_options w = {
        law_find("chinchilla"), FIT_HUBER, 1e-3, options->bootstrap, 1, X_FLOPS, false, NULL, NULL};
    if (s == OK && fit_run(r, runs, w) == OK)
        s = say_fit(p, runs, r);
    else if (s == OK)
        s = page_add(p, BLOCK_PARAGRAPH, "Approach 3 (a law of the loss): %s.", status_message());
    if (o) optima_deinit(o);
    if (r) fit_deinit(r);
    free(o);
    free(r);
    return s;
}

/* Different sizes, or sizes and tokens, among the points. */
static int32_t different(const points *p, bool sizes)
{
    int32_t count = 0;
    for (int32_t i = 0; i < p->count; i++) {
        bool before = false;
        for (int32_t k = 0; k < i && !before; k++)
            before = p->row[k].params == p->row[i].params &&
                     (sizes || p->row[k].tokens == p->row[i].tokens);
        count += !before;
    }
    return count;
}

status part_laws(page *p, const run_set *set, const report_options *options)
{
    /* five constants from fewer cells would look exact and mean nothing */
    enum { CELLS_LEAST = 6, SIZES_LEAST = 3 };
    enum { LEAST = 4 };
    points runs = {0};
    left_out left = {0};
    law_origin origin;
    if (set->count < LEAST) return OK;
    /* variants differ on purpose: part_variants fits each by itself */
    for (int32_t i = 0; i < set->count; i++)
        if (*json_text_at(set->run[i].role, "variant")) return OK;
    /* messages name runs, not the folders they lie in */
    run_record *named = calloc((size_t)set->count, sizeof *named);
    REQUIRE(named, ERR_MEMORY, "no memory for a report");
    for (int32_t i = 0; i < set->count; i++) {
        named[i] = set->run[i];
        named[i].folder = (char *)(intptr_t)named[i].name;
    }
    status s = run_points_of(&runs, &left, &origin, named, set->count, (run_points_rules){0});
    free(named);
    const int32_t cells = different(&runs, false), sizes = different(&runs, true);
    if (s == OK && (cells < CELLS_LEAST || sizes < SIZES_LEAST)) {
        /* a comparison asks for no law */
        if (!json_is_object(json_at(set->study, "comparison")))
            s = page_add(p, BLOCK_PARAGRAPH,
                         "No law was fitted: %d cells of %d sizes; at least %d of %d are needed.",
                         cells, sizes, CELLS_LEAST, SIZES_LEAST);
    } else if (s == OK)
        s = laws_of(p, &runs, set, &left, options);
    else if (s == ERR_CONFIG) {
        s = page_add(p, BLOCK_HEADING, "Scaling laws of these runs");
        if (s == OK) s = page_add(p, BLOCK_PARAGRAPH, "No law was fitted: %s.", status_message());
    }
    points_deinit(&runs);
    left_out_deinit(&left);
    return s;
}

/* --- forecasts ------------------------------------------------------------ */

status part_forecasts(page *p, const run_set *set)
{
    static const table_column column[] = {
        {"run", "run", CELL_TEXT, FROM_NOTHING},
        {"law", "law", CELL_TEXT, FROM_NOTHING},
        {"predicted", "predicted", CELL_LOSS, FROM_MODEL},
        {"low", "from", CELL_LOSS, FROM_MODEL},
        {"high", "to", CELL_LOSS, FROM_MODEL},
        {"outcome", "outcome", CELL_LOSS, FROM_MEASURE},
        {"verdict", "", CELL_TEXT, FROM_NOTHING},
    };
    table *t = NULL;
    int32_t inside = 0, graded = 0;
    for (int32_t i = 0; i < set->count; i++) {
        const run_record *r = &set->run[i];
        const double loss = json_number_at(r->header, "config.forecast.loss");
        if (!(loss > 0)) continue;
        if (!t) {
            TRY(page_add(p, BLOCK_HEADING, "Forecast and outcome"));
            TRY(page_add_table(&t, p, "forecasts", "What was predicted before each run", column,
                               sizeof column / sizeof *column));
        }
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        cell_text(&c[0], "%s", r->name);
        cell_text(&c[1], "%.60s", json_text_at(r->header, "config.forecast.law"));
        c[2].number = loss;
        c[3].number = json_number_at(r->header, "config.forecast.low");
        c[4].number = json_number_at(r->header, "config.forecast.high");
        if (!whole(r)) continue;
        c[5].number = run_record_val_loss(r);
        const bool hit = c[5].number >= c[3].number && c[5].number <= c[4].number;
        inside += hit, graded++;
        cell_text(&c[6], hit ? "inside" : "outside");
    }
    if (!t) return OK;
    return page_add(p, BLOCK_PARAGRAPH, "%d of %d forecasts hold their outcome.", inside, graded);
}

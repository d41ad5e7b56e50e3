/* Approach 2 on a page: parabolas, their lowest points and the lines through those. */
#include "report/parts.h"

#include "law/published.h"

#include <math.h>

status part_parabolas(page *p, const points *runs, const optima *o, const char *name,
                      const char *title)
{
    figure *f;
    TRY(page_add_figure(&f, p, name, title));
    for (int32_t k = 0; k < o->budgets; k++) {
        const optimum *b = &o->budget[k];
        (void)fprintf(f->to, "$points%d << EOD\n", k);
        for (int32_t i = 0; i < runs->count; i++)
            if (fabs(log(points_flops(&runs->row[i]) / b->flops)) < 0.13)
                (void)fprintf(f->to, "%.8g %.6g\n", runs->row[i].params, runs->row[i].loss);
        (void)fputs("EOD\n", f->to);
        if (!b->used) continue;
        (void)fprintf(f->to, "$curve%d << EOD\n", k);
        for (int32_t i = 0; i <= 60; i++) {
            const double n =
                log(b->range_params[0]) + log(b->range_params[1] / b->range_params[0]) * i / 60;
            const double x = n - b->center;
            (void)fprintf(f->to, "%.8g %.6g\n", exp(n),
                          b->curve[0] + x * (b->curve[1] + x * b->curve[2]));
        }
        (void)fprintf(f->to, "EOD\n$least%d << EOD\n%.8g %.6g\nEOD\n", k, b->params, b->loss);
    }
    (void)fputs("set logscale x\nset format x power\nset xlabel 'parameters N'\n"
                "set ylabel 'validation loss, nats per token'\nplot \\\n",
                f->to);
    for (int32_t k = 0; k < o->budgets; k++) {
        char colour[8];
        (void)part_colour(colour, o->budgets > 1 ? (double)k / (o->budgets - 1) : 0);
        (void)fprintf(f->to,
                      "%s  $points%d using 1:2 with points pt 6 ps 0.7 lc rgb '%s' "
                      "title \"%.2g FLOPs\"",
                      k ? ", \\\n" : "", k, colour, o->budget[k].flops);
        if (o->budget[k].used)
            (void)fprintf(f->to,
                          ", \\\n  $curve%d using 1:2 with lines lc rgb '%s' notitle"
                          ", \\\n  $least%d using 1:2 with points pt 7 ps 0.9 lc rgb '%s' notitle",
                          k, colour, k, colour);
    }
    (void)fputc('\n', f->to);
    return page_end_figure(f, "Circles: runs (measured). Lines: a parabola in ln N at each budget; "
                              "full dots: their lowest points (modelled).");
}

/* One line of the literature over the range of the plot. */
static void published_data(FILE *out, const published_law *row, const char *name, bool tokens,
                           const double range[2])
{
    (void)fprintf(out, "$%s << EOD\n", name);
    for (int32_t i = 0; i <= 20; i++) {
        const double flops = range[0] * pow(range[1] / range[0], i / 20.0);
        const published_optimum at = published_optimum_of(row, flops);
        (void)fprintf(out, "%.8g %.8g\n", flops, tokens ? at.tokens : at.params);
    }
    (void)fputs("EOD\n", out);
}

static const struct {
    const char *name, *label, *title, *colour;
} lines[] = {{"kaplan", "kaplan", "Kaplan 2020", "#d62728"},
             {"hoffmann-1", "hoffmann1", "Hoffmann 2022, Approach 1", "#7f7f7f"},
             {"hoffmann-2", "hoffmann2", "Hoffmann 2022, Approach 2", "#999999"},
             {"hoffmann-3", "hoffmann3", "Hoffmann 2022, Approach 3", "#b5b5b5"},
             {"besiroglu", "besiroglu", "Besiroglu 2024", "#1f77b4"}};
enum { LINES = sizeof lines / sizeof *lines };

static status optima_figure(page *p, const optima *o, const published *papers, bool tokens)
{
    figure *f;
    const double range[2] = {o->range_flops[0] / 2, o->range_flops[1] * 4};
    TRY(page_add_figure(&f, p, tokens ? "optimal-tokens" : "optimal-params",
                        tokens ? "Compute-optimal tokens" : "Compute-optimal parameters"));
    for (int32_t k = 0; k < LINES; k++) {
        const published_law *row = published_find(papers, lines[k].name);
        if (row) published_data(f->to, row, lines[k].label, tokens, range);
    }
    (void)fputs("$own << EOD\n", f->to);
    for (int32_t i = 0; i <= 20; i++) {
        fit_value n, d;
        const double flops = range[0] * pow(range[1] / range[0], i / 20.0);
        optima_at(o, flops, &n, &d);
        const fit_value *v = tokens ? &d : &n;
        (void)fprintf(f->to, "%.8g %.8g %.8g %.8g\n", flops, v->value,
                      isfinite(v->interval.p10) ? v->interval.p10 : v->value,
                      isfinite(v->interval.p90) ? v->interval.p90 : v->value);
    }
    /* the line itself where there are budgets; beyond them it is dotted */
    (void)fputs("EOD\n$within << EOD\n", f->to);
    for (int end = 0; end < 2; end++) {
        fit_value n, d;
        optima_at(o, o->range_flops[end], &n, &d);
        (void)fprintf(f->to, "%.8g %.8g\n", o->range_flops[end], tokens ? d.value : n.value);
    }
    (void)fputs("EOD\n$minima << EOD\n", f->to);
    for (int32_t k = 0; k < o->budgets; k++)
        if (o->budget[k].used)
            (void)fprintf(f->to, "%.8g %.8g\n", o->budget[k].flops,
                          tokens ? o->budget[k].tokens : o->budget[k].params);
    (void)fprintf(
        f->to,
        "EOD\nset logscale xy\nset format xy power\nset xlabel 'FLOPs'\n"
        "set ylabel '%s'\nplot $own using 1:3:4 with filledcurves fc rgb '#cfe3e2' "
        "title '80 %% interval', \\\n  $own using 1:2 with lines dt 3 lw 1.5 lc rgb "
        "'#21918c' title 'extrapolated', \\\n  $within using 1:2 with lines lw 2.5 lc rgb "
        "'#21918c' title 'these runs', \\\n  $minima using 1:2 with points pt 7 ps 0.9 lc rgb "
        "'#21918c' title 'minima'",
        tokens ? "optimal tokens D" : "optimal parameters N");
    for (int32_t k = 0; k < LINES; k++)
        if (published_find(papers, lines[k].name))
            (void)fprintf(f->to, ", \\\n  $%s using 1:2 with lines dt 2 lc rgb '%s' title '%s'",
                          lines[k].label, lines[k].colour, lines[k].title);
    (void)fputc('\n', f->to);
    return page_end_figure(
        f,
        "Full line, band and dots: these runs (modelled from measured losses), dotted beyond their "
        "budgets. Dashed: published "
        "laws, extrapolated far below the sizes they were fitted on; Kaplan counts parameters "
        "without embeddings.");
}

static status optima_table(page *p, const optima *o)
{
    static const table_column column[] = {
        {"flops", "budget", CELL_POWER, FROM_COUNT},
        {"runs", "runs", CELL_WHOLE, FROM_COUNT},
        {"sizes", "sizes", CELL_WHOLE, FROM_COUNT},
        {"params", "N opt", CELL_COUNT, FROM_MODEL},
        {"params_p10", "80 % from", CELL_COUNT, FROM_MODEL},
        {"params_p90", "to", CELL_COUNT, FROM_MODEL},
        {"tokens", "D opt", CELL_COUNT, FROM_MODEL},
        {"loss", "loss there", CELL_LOSS, FROM_MODEL},
        {"remark", "", CELL_TEXT, FROM_NOTHING},
    };
    table *t;
    TRY(page_add_table(&t, p, "isoflop", "Approach 2: the lowest point of each budget's parabola",
                       column, sizeof column / sizeof *column));
    for (int32_t k = 0; k < o->budgets; k++) {
        const optimum *b = &o->budget[k];
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        c[0].number = b->flops, c[1].number = b->points, c[2].number = b->sizes;
        cell_text(&c[8], "%s", b->reason);
        if (!b->used) continue;
        c[3].number = b->params;
        c[4].number = b->params_interval.p10, c[5].number = b->params_interval.p90;
        c[6].number = b->tokens, c[7].number = b->loss;
    }
    return OK;
}

const table_column part_value_columns[PART_VALUE_COLUMNS] = {
    {"name", "", CELL_TEXT, FROM_NOTHING},
    {"value", "value", CELL_PLAIN, FROM_MODEL},
    {"standard_error", "error", CELL_PLAIN, FROM_MODEL},
    {"p10", "80 % from", CELL_PLAIN, FROM_MODEL},
    {"p90", "to", CELL_PLAIN, FROM_MODEL},
    {"p2_5", "95 % from", CELL_PLAIN, FROM_MODEL},
    {"p97_5", "to", CELL_PLAIN, FROM_MODEL},
};

status part_value(table *t, const char *name, const fit_value *v)
{
    table_cell *c = table_row(t);
    REQUIRE(c, ERR_MEMORY, "no memory for a report");
    cell_text(&c[0], "%s", name);
    c[1].number = v->value, c[2].number = v->standard_error;
    c[3].number = v->interval.p10, c[4].number = v->interval.p90;
    c[5].number = v->interval.p2_5, c[6].number = v->interval.p97_5;
    return OK;
}

/* " (80 % interval LOW to HIGH)"; nothing where it is not known. */
static const char *between(char out[64], const fit_interval *i, cell_kind kind)
{
    char low[32], high[32];
    out[0] = '\0';
    if (isfinite(i->p10) && isfinite(i->p90))
        (void)snprintf(out, 64, " (80 %% interval %s to %s)", number_text(low, i->p10, kind),
                       number_text(high, i->p90, kind));
    return out;
}

/* The answer in a sentence. */
static status say_growth(page *p, const optima *o)
{
    char text[3][32], interval[3][64];
    const optimum *top = NULL;
    for (int32_t k = 0; k < o->budgets; k++)
        if (o->budget[k].used) top = &o->budget[k];
    if (!top) return OK;
    return page_add(p, BLOCK_PARAGRAPH,
                    "The best size grows as C^%.3f%s, its tokens as C^%.3f%s. At %s FLOPs it has "
                    "%s parameters%s on %s tokens. Modelled from measured losses, by Approach 2.",
                    o->a.value, between(interval[0], &o->a.interval, CELL_PLAIN), o->b.value,
                    between(interval[1], &o->b.interval, CELL_PLAIN),
                    number_text(text[0], top->flops, CELL_POWER),
                    number_text(text[1], top->params, CELL_COUNT),
                    between(interval[2], &top->params_interval, CELL_COUNT),
                    number_text(text[2], top->tokens, CELL_COUNT));
}

status part_optima(page *p, const points *runs, const optima *o)
{
    published papers = {0};
    table *t;
    status s = OK;
    TRY(say_growth(p, o));
    TRY(part_parabolas(p, runs, o, "isoflop", "IsoFLOP curves"));
    TRY(optima_table(p, o));
    TRY(page_add_table(&t, p, "exponents", "Approach 2: N = kN C^a, D = kD C^b", part_value_columns,
                       PART_VALUE_COLUMNS));
    TRY(part_value(t, "a", &o->a));
    TRY(part_value(t, "b", &o->b));
    TRY(part_value(t, "kN", &o->params_factor));
    TRY(part_value(t, "kD", &o->tokens_factor));
    /* without the published rows the figures still show these runs */
    if (published_read(&papers) != OK)
        s = page_add(p, BLOCK_WARNING, "published laws are not drawn: %s", status_message());
    if (s == OK) s = optima_figure(p, o, &papers, false);
    if (s == OK) s = optima_figure(p, o, &papers, true);
    published_deinit(&papers);
    for (int32_t i = 0; i < o->warnings && s == OK; i++)
        s = page_add(p, BLOCK_WARNING, "Approach 2: %s", o->warning[i]);
    return s;
}

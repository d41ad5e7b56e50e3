#include "bench/bench_page_scaling.h"
#include "base/json.h"
#include "bench/bench_forecast.h"
#include "bench/bench_series.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static status series_rows(page *p, const char *name, const char *title, const json_t *rows)
{
    static const table_column column[] = {
        {"ranks", "ranks", CELL_WHOLE, FROM_CONFIG},
        {"nodes", "nodes", CELL_WHOLE, FROM_CONFIG},
        {"step_time_s", "s/step", CELL_PLAIN, FROM_MEASURE},
        {"predicted_s", "plan says", CELL_PLAIN, FROM_MODEL},
        {"speedup", "speed-up", CELL_RATIO, FROM_MEASURE},
        {"efficiency", "efficiency", CELL_SHARE, FROM_MEASURE},
        {"efficiency_low", "p10", CELL_SHARE, FROM_MEASURE},
        {"efficiency_high", "p90", CELL_SHARE, FROM_MEASURE},
        {"energy_per_token_j", "J/token", CELL_PLAIN, FROM_MEASURE},
        {"remark", "", CELL_TEXT, FROM_NOTHING},
    };
    table *t;
    size_t i;
    json_t *row;
    TRY(page_add_table(&t, p, name, title, column, (int32_t)(sizeof column / sizeof column[0])));
    json_array_foreach(rows, i, row)
    {
        const json_t *interval = json_object_get(row, "efficiency_interval");
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a table");
        c[0].number = json_number_at(row, "ranks");
        c[1].number = json_number_at(row, "nodes");
        c[2].number = json_number_at(row, "step_time_s");
        c[3].number = json_number_at(row, "predicted_s");
        c[4].number = json_number_at(row, "speedup");
        c[5].number = json_number_at(row, "efficiency");
        c[6].number = json_number_value(json_array_get(interval, 0));
        c[7].number = json_number_value(json_array_get(interval, 1));
        c[8].number = json_number_at(row, "energy_per_token_j");
        cell_text(&c[9], "%s",
                  json_is_true(json_object_get(row, "oversubscribed")) ? "more ranks than cores"
                                                                       : "");
    }
    return OK;
}

/* stacked seconds of a step against ranks */
static status stack_figure(page *p, const json_t *rows)
{
    figure *f;
    size_t i;
    json_t *row;
    TRY(page_add_figure(&f, p, "parts", "Time of a step by part against ranks"));
    p->block[p->blocks - 1]->page_only = true; /* letters have no fillings */
    (void)fprintf(f->to, "$rows << END\n");
    json_array_foreach(rows, i, row)
    {
        (void)fprintf(f->to, "%.0f", json_number_at(row, "ranks"));
        for (int k = 0; k < SERIES_PARTS; k++)
            (void)fprintf(f->to, " %.6g",
                          fmax(0.0,
                               json_number_at(json_object_get(row, "parts"), series_parts[k])));
        (void)fputc('\n', f->to);
    }
    (void)fprintf(f->to,
                  "END\nset style data histograms\nset style histogram rowstacked\n"
                  "set style fill solid 0.8 border -1\nset boxwidth 0.7\nset yrange [0:*]\n"
                  "set xlabel \"ranks\"\nset ylabel \"seconds\"\nset key outside right\nplot");
    for (int k = 0; k < SERIES_PARTS; k++)
        (void)fprintf(f->to, "%s $rows using %d%s title \"%s\"", k ? "," : "", k + 2,
                      k ? "" : ":xtic(1)", series_parts[k]);
    (void)fputc('\n', f->to);
    return page_end_figure(f, "A fixed batch on more and more ranks (strong scaling); means of "
                              "all steps.");
}

/* ranks and efficiency by plan: of the batch of the strong series, or of batches that grow */
static void predicted_curve(FILE *out, const char *name, const bench_forecast *f,
                            const json_t *measured, bool weak)
{
    const json_t *first = json_array_get(json_object_get(measured, "rows"), 0);
    const int64_t M = (int64_t)json_number_at(first, "micro_batches");
    const double one = bench_forecast_s(f, 1, M);
    (void)fprintf(out, "$%s << END\n", name);
    for (int32_t n = 1; n <= f->most_ranks; n += 1 + n / 16) {
        if (!weak && n > M) break;
        const double s = bench_forecast_s(f, n, weak ? n * M : M);
        if (isfinite(s)) (void)fprintf(out, "%d %.6g\n", (int)n, weak ? one / s : one / s / n);
    }
    (void)fprintf(out, "END\n");
}

/* measured efficiency with its interval, plan's lines and the laws drawn through it */
static status efficiency_figure(page *p, const json_t *result, const json_t *strong,
                                const json_t *weak)
{
    bench_forecast *plan = calloc(1, sizeof *plan);
    REQUIRE(plan, ERR_MEMORY, "no memory for a forecast");
    const bool knows = bench_forecast_init(plan, result) == OK;
    figure *f;
    size_t i;
    json_t *row;
    const json_t *amdahl = json_object_get(json_object_get(strong, "laws"), "amdahl");
    const json_t *usl = json_object_get(json_object_get(strong, "laws"), "usl");
    const json_t *both[] = {strong, weak};
    const status opened = page_add_figure(&f, p, "efficiency", "Efficiency against ranks");
    if (opened != OK) free(plan);
    TRY(opened);
    for (int k = 0; k < 2; k++) {
        (void)fprintf(f->to, "$series%d << END\n", k);
        json_array_foreach(json_object_get(both[k], "rows"), i, row)
        {
            const json_t *interval = json_object_get(row, "efficiency_interval");
            (void)fprintf(f->to, "%.0f %.6g %.6g %.6g\n", json_number_at(row, "ranks"),
                          json_number_at(row, "efficiency"),
                          json_number_value(json_array_get(interval, 0)),
                          json_number_value(json_array_get(interval, 1)));
        }
        (void)fprintf(f->to, "END\n");
    }
    if (knows) predicted_curve(f->to, "plan0", plan, strong, false);
    if (knows) predicted_curve(f->to, "plan1", plan, weak, true);
    free(plan);
    (void)fprintf(f->to, "set xlabel \"ranks\"\nset ylabel \"efficiency\"\nset yrange [0:*]\n"
                         "set grid\nset key outside right\nset xrange [1:*]\nset offsets 0, "
                         "graph 0.05, 0, 0\nset logscale x 2\nplot "
                         "$series0 with yerrorbars lc 1 pt 7 title \"strong, measured\", "
                         "$series1 with yerrorbars lc 2 pt 5 title \"weak, measured\"");
    if (knows)
        (void)fprintf(f->to, ", $plan0 with lines lc 1 lw 2 title \"strong, by plan\", "
                             "$plan1 with lines lc 2 lw 2 title \"weak, by plan\"");
    if (json_is_object(amdahl))
        (void)fprintf(f->to, ", 1/(x*(%.9g+(1-%.9g)/x)) dt 2 lc 1 title \"Amdahl\"",
                      json_number_at(amdahl, "serial_share"),
                      json_number_at(amdahl, "serial_share"));
    if (json_is_object(usl))
        (void)fprintf(f->to, ", 1/(1+%.9g*(x-1)+%.9g*x*(x-1)) dt 3 lc 1 title \"USL\"",
                      json_number_at(usl, "sigma"), json_number_at(usl, "kappa"));
    (void)fputc('\n', f->to);
    return page_end_figure(
        f, "Speed-up divided by ranks; bars from p10 to p90 of the repeats. Lines by plan come "
           "from the other sections of this result alone.");
}

/* Seconds of products, attention and memory-bound operations of one micro-batch. */
static double work_s(const json_t *row)
{
    const json_t *parts = json_object_get(row, "parts");
    const double sum = json_number_at(parts, "products") + json_number_at(parts, "attention") +
                       json_number_at(parts, "memory");
    return sum * json_number_at(row, "ranks") / json_number_at(row, "micro_batches");
}

static double waits_s(const json_t *row)
{
    const json_t *parts = json_object_get(row, "parts");
    return json_number_at(parts, "communication") + json_number_at(parts, "slowest");
}

/* Of a point that lies off plan's line by more than its spread: why. Plan starts from the section
 * step, so what the two measured differently is the reason. */
static status off_the_line(page *p, const char *name, const json_t *row, const json_t *step)
{
    const double took = json_number_at(row, "step_time_s"),
                 says = json_number_at(row, "predicted_s"),
                 spread = fmax(0.05, json_number_at(row, "spread"));
    if (!isfinite(says) || fabs(says / took - 1.0) <= spread) return OK;
    const double ranks = json_number_at(row, "ranks"), all = json_number_at(step, "ranks"),
                 share = work_s(row) / work_s(step);
    char why[192];
    if (fabs(share - 1.0) <= 0.05)
        (void)snprintf(why, sizeof why,
                       "communication and waiting took %.3g s, and %.3g s in the section step, "
                       "from which plan starts",
                       waits_s(row), waits_s(step));
    else if (ranks < all && share < 1.0)
        (void)snprintf(why, sizeof why,
                       "its work took %.2f of the time it takes on %.0f ranks, from which plan "
                       "starts: fewer share memory and clock",
                       share, all);
    else
        (void)snprintf(why, sizeof why,
                       "the machine's speed changed: the same work took %.2f of the time in the "
                       "section step, from which plan starts",
                       share);
    return page_add(
        p, BLOCK_PARAGRAPH,
        "Off the line: %s, %.0f rank%s, %.3g s where plan says %.3g s (spread %.0f %%); "
        "%s.",
        name, ranks, ranks == 1 ? "" : "s", took, says, 100.0 * spread, why);
}

static status say_what_is_off(page *p, const json_t *strong, const json_t *weak, const json_t *step)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(strong, "rows"), i, row)
        TRY(off_the_line(p, "strong", row, step));
    json_array_foreach(json_object_get(weak, "rows"), i, row)
        TRY(off_the_line(p, "weak", row, step));
    return OK;
}

status bench_page_scaling(page *p, const json_t *result)
{
    const json_t *all = json_object_get(result, "scaling");
    if (!all) return OK;
    const json_t *strong = json_object_get(all, "strong"), *weak = json_object_get(all, "weak");
    const json_t *laws = json_object_get(strong, "laws");
    const json_t *amdahl = json_object_get(laws, "amdahl"), *usl = json_object_get(laws, "usl");
    TRY(page_add(p, BLOCK_HEADING, "Scaling"));
    TRY(series_rows(p, "strong", "Strong: the same batch on more ranks",
                    json_object_get(strong, "rows")));
    TRY(series_rows(p, "weak", "Weak: as many sequences per rank", json_object_get(weak, "rows")));
    if (json_is_object(amdahl))
        TRY(page_add(p, BLOCK_PARAGRAPH, "Amdahl: %.2f %% of a step is serial.",
                     100 * json_number_at(amdahl, "serial_share")));
    if (json_is_object(usl))
        TRY(page_add(p, BLOCK_PARAGRAPH,
                     "Universal scalability law: contention %.4f, agreement %.5f.",
                     json_number_at(usl, "sigma"), json_number_at(usl, "kappa")));
    if (json_array_size(json_object_get(strong, "rows")) < 2) return OK;
    TRY(stack_figure(p, json_object_get(strong, "rows")));
    TRY(efficiency_figure(p, result, strong, weak));
    return say_what_is_off(p, strong, weak, json_object_get(result, "step"));
}

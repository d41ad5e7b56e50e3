/* Parameters against tokens: these runs among the systems of the article. */
#include "report/parts.h"

#include "plan/systems.h"

#include <math.h>

static void run_data(FILE *out, const run_set *set)
{
    (void)fputs("$runs << EOD\n", out);
    for (int32_t i = 0; i < set->count; i++) {
        const double n = run_record_params(&set->run[i]), d = run_record_tokens(&set->run[i]);
        if (n > 0 && d > 0) (void)fprintf(out, "%.8g %.8g\n", n, d);
    }
    (void)fputs("EOD\n", out);
}

/* Dense ones with both numbers have a place on these axes. */
static bool has_place(const system_row *row)
{
    return row->kind == SYSTEM_DENSE && row->of[SYSTEM_PARAMS].value > 0 &&
           row->of[SYSTEM_TOKENS].value > 0;
}

/* Each a series of its own: they lie too close for labels. */
static void plot_systems(FILE *out, const systems *all)
{
    static const int point[] = {4, 6, 8, 10, 12, 5, 9, 11, 13, 2};
    char title[160];
    int32_t count = 0;
    for (int32_t i = 0; i < all->count; i++) {
        if (!has_place(&all->row[i])) continue;
        (void)fprintf(out, ", \\\n  $system%d using 1:2 with points pt %d ps 0.9 lc rgb '#d62728' ",
                      i, point[count++ % 10]);
        (void)fprintf(out, "title \"%s\"", figure_quote(title, all->row[i].title));
    }
    (void)fputc('\n', out);
}

static status draw(page *p, const run_set *set, const systems *all)
{
    figure *f;
    double low[2] = {1e6, 1e6};
    TRY(page_add_figure(&f, p, "params-tokens", "Parameters against tokens"));
    run_data(f->to, set);
    for (int32_t i = 0; i < all->count; i++)
        if (has_place(&all->row[i]))
            (void)fprintf(f->to, "$system%d << EOD\n%.8g %.8g\nEOD\n", i,
                          all->row[i].of[SYSTEM_PARAMS].value, all->row[i].of[SYSTEM_TOKENS].value);
    for (int32_t i = 0; i < set->count; i++) {
        low[0] = fmin(low[0], run_record_params(&set->run[i]) / 3);
        low[1] = fmin(low[1], run_record_tokens(&set->run[i]) / 3);
    }
    (void)fprintf(f->to,
                  "set logscale xy\nset format xy power\nset xlabel 'parameters N'\n"
                  "set ylabel 'training tokens D'\nset xrange [%.3g:1e12]\nset yrange "
                  "[%.3g:1e14]\nset samples 50\nplot \\\n",
                  low[0], low[1]);
    /* contours of compute, then 20 tokens per parameter */
    for (int power = 12; power <= 24; power += 3)
        (void)fprintf(f->to, "  1e%d/(6*x) with lines lw 0.6 dt 3 lc rgb '#888888' %s, \\\n", power,
                      power == 12
                          ? "title '6 N D = ' . gprintf(power, 1e12) . ' .. ' . gprintf(power, "
                            "1e24)"
                          : "notitle");
    (void)fputs("  20*x with lines lw 1 lc rgb '#1f77b4' title 'D = 20 N', \\\n"
                "  $runs using 1:2 with points pt 7 ps 0.8 lc rgb '#21918c' title 'these runs'",
                f->to);
    plot_systems(f->to, all);
    return page_end_figure(f, "Dots: these runs (counted). Red: systems of the debate whether "
                              "bigger is better (published). D = 20 N: about what Chinchilla and "
                              "Besiroglu et al. find (published).");
}

status part_chart(page *p, const run_set *set)
{
    systems all;
    bool known = false;
    for (int32_t i = 0; i < set->count; i++) known = known || run_record_params(&set->run[i]) > 0;
    if (!known) return OK;
    if (systems_read(&all) != OK)
        return page_add(p, BLOCK_WARNING, "the article's systems are not drawn: %s",
                        status_message());
    status s = page_add(p, BLOCK_HEADING, "Among other systems");
    if (s == OK) s = draw(p, set, &all);
    systems_deinit(&all);
    return s;
}

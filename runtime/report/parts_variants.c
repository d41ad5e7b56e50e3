/* The variants of a study, e.g. the steps from Kaplan's exponent to Hoffmann's: each fitted by
 * itself, its budgets and its N by its own count. */
#include "report/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VARIANTS_MAX = 32 };

typedef struct variant {
    const char *name, *count; /* of FLOPs; borrowed from study.json */
    bool nonemb;
    points points;
    optima optima;
    bool fitted;
    char reason[512]; /* why it is not fitted */
} variant;

static const char *name_of(const run_record *r) { return json_text_at(r->role, "variant"); }

/* The runs of v that are points of it, and their parabolas. */
static status fit_variant(variant *v, const run_set *set, const report_options *options)
{
    left_out left = {0};
    law_origin origin;
    int32_t count = 0;
    run_record *mine = calloc((size_t)set->count + 1, sizeof *mine);
    REQUIRE(mine, ERR_MEMORY, "no memory for a report");
    for (int32_t i = 0; i < set->count; i++)
        if (strcmp(name_of(&set->run[i]), v->name) == 0) mine[count++] = set->run[i];
    v->count = json_text_at(mine[0].role, "flop_count");
    v->nonemb = strcmp(v->count, "six_nd_nonemb") == 0;
    /* a variant of a constant rate asks for runs that have not decayed */
    const bool constant =
        strcmp(json_text_at(mine[0].header, "config.schedule.name"), "constant") == 0;
    status s = run_points_of(&v->points, &left, &origin, mine, count,
                             (run_points_rules){.undecayed = constant});
    if (s == OK) {
        run_points_count(&v->points, mine, true);
        s = optima_of_parabolas(&v->optima, &v->points,
                                (optima_options){NULL, 0, v->nonemb, options->bootstrap, 1});
    }
    v->fitted = s == OK;
    /* what is drawn beside the parabolas is in their N */
    for (int32_t i = 0; v->nonemb && i < v->points.count; i++)
        v->points.row[i].params = v->points.row[i].params_nonemb;
    if (s == ERR_CONFIG) {
        (void)snprintf(v->reason, sizeof v->reason, "%s", status_message());
        s = OK;
    }
    left_out_deinit(&left);
    free(mine);
    return s;
}

static status variants_table(page *p, const variant *v, int32_t variants)
{
    static const table_column column[] = {
        {"variant", "variant", CELL_TEXT, FROM_NOTHING},
        {"flop_count", "FLOPs counted", CELL_TEXT, FROM_NOTHING},
        {"params", "N", CELL_TEXT, FROM_NOTHING},
        {"runs", "runs", CELL_WHOLE, FROM_COUNT},
        {"budgets", "minima", CELL_WHOLE, FROM_COUNT},
        {"a", "a", CELL_PLAIN, FROM_MODEL},
        {"a_p2_5", "95 % from", CELL_PLAIN, FROM_MODEL},
        {"a_p97_5", "to", CELL_PLAIN, FROM_MODEL},
        {"residual_sd", "residuals", CELL_LOSS, FROM_MODEL},
        {"remark", "", CELL_TEXT, FROM_NOTHING},
    };
    table *t;
    TRY(page_add_table(&t, p, "variants",
                       "Approach 2 for each variant: N_opt = kN C^a, N and C by its own count",
                       column, sizeof column / sizeof *column));
    for (int32_t k = 0; k < variants; k++) {
        const optima *o = &v[k].optima;
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        cell_text(&c[0], "%s", v[k].name);
        cell_text(&c[1], "%s", v[k].count);
        cell_text(&c[2], v[k].nonemb ? "without embeddings" : "all");
        c[3].number = v[k].points.count;
        cell_text(&c[9], "%s", v[k].fitted ? "" : "no line: too few minima");
        if (!v[k].fitted) continue;
        c[4].number = o->used;
        c[5].number = o->a.value;
        c[6].number = o->a.interval.p2_5, c[7].number = o->a.interval.p97_5;
        c[8].number = o->residual_sd;
        if (o->used < o->budgets)
            cell_text(&c[9], "%d budget%s without a minimum inside", o->budgets - o->used,
                      o->budgets - o->used == 1 ? "" : "s");
    }
    return OK;
}

/* Budgets whose minimum was not found: no vertex beyond their sizes stands for it. */
static status say_left_out(page *p, const variant *v)
{
    if (!v->fitted) return page_add(p, BLOCK_PARAGRAPH, "%s: no line; %s.", v->name, v->reason);
    char text[1024] = "";
    size_t used = 0;
    for (int32_t i = 0; i < v->optima.budgets; i++) {
        const optimum *b = &v->optima.budget[i];
        if (b->used || used + sizeof b->reason + 32 > sizeof text) continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.3g (%s)", used ? ", " : "",
                                 b->flops, b->reason);
    }
    if (!used) return OK;
    return page_add(p, BLOCK_PARAGRAPH,
                    "%s: no minimum was found, and none counts, at %s; a rests on the "
                    "others.",
                    v->name, text);
}

static status variants_figure(page *p, const variant *v, int32_t variants)
{
    figure *f;
    char title[160];
    TRY(page_add_figure(&f, p, "variants", "Compute-optimal parameters of each variant"));
    for (int32_t k = 0; k < variants; k++) {
        const optima *o = &v[k].optima;
        if (!v[k].fitted) continue;
        (void)fprintf(f->to, "$minima%d << EOD\n", k);
        for (int32_t i = 0; i < o->budgets; i++)
            if (o->budget[i].used)
                (void)fprintf(f->to, "%.8g %.8g %.8g %.8g\n", o->budget[i].flops,
                              o->budget[i].params, o->budget[i].params_interval.p10,
                              o->budget[i].params_interval.p90);
        (void)fprintf(f->to, "EOD\n$line%d << EOD\n", k);
        for (int end = 0; end < 2; end++) {
            fit_value n, d;
            optima_at(o, o->range_flops[end], &n, &d);
            (void)fprintf(f->to, "%.8g %.8g\n", o->range_flops[end], n.value);
        }
        (void)fputs("EOD\n", f->to);
    }
    (void)fputs("set logscale xy\nset format xy power\nset xlabel 'FLOPs, by its own count'\n"
                "set ylabel 'optimal parameters N, by its count'\nset key outside right top\n"
                "plot \\\n",
                f->to);
    bool any = false;
    for (int32_t k = 0; k < variants; k++) {
        char colour[8];
        if (!v[k].fitted) continue;
        (void)part_colour(colour, variants > 1 ? (double)k / (variants - 1) : 0);
        (void)fprintf(f->to,
                      "%s  $line%d using 1:2 with lines lw 2 lc rgb '%s' title \"%s, a = %.2f\", "
                      "\\\n  $minima%d using 1:2:3:4 with yerrorbars pt 7 ps 0.7 lc rgb '%s' "
                      "notitle",
                      any ? ", \\\n" : "", k, colour, figure_quote(title, v[k].name),
                      v[k].optima.a.value, k, colour);
        any = true;
    }
    (void)fputc('\n', f->to);
    return page_end_figure(f, "Dots: the lowest points of each budget's parabola with their 80 %% "
                              "intervals; lines through them (modelled from measured losses).");
}

static status say_variants(page *p, const variant *v, int32_t variants)
{
    bool any = false;
    TRY(page_add(p, BLOCK_HEADING, "Variants"));
    TRY(variants_table(p, v, variants));
    for (int32_t k = 0; k < variants; k++) TRY(say_left_out(p, &v[k]));
    for (int32_t k = 0; k < variants; k++) any = any || v[k].fitted;
    if (any) TRY(variants_figure(p, v, variants));
    for (int32_t k = 0; k < variants; k++) {
        char name[48], title[160];
        if (!v[k].fitted) continue;
        (void)snprintf(name, sizeof name, "isoflop-%d", k + 1);
        (void)snprintf(title, sizeof title, "IsoFLOP curves, variant %s%s", v[k].name,
                       v[k].nonemb ? ", N without embeddings" : "");
        TRY(part_parabolas(p, &v[k].points, &v[k].optima, name, title));
    }
    return OK;
}

status part_variants(page *p, const run_set *set, const report_options *options)
{
    int32_t variants = 0;
    variant *v = calloc(VARIANTS_MAX, sizeof *v);
    REQUIRE(v, ERR_MEMORY, "no memory for a report");
    status s = OK;
    for (int32_t i = 0; i < set->count && variants < VARIANTS_MAX; i++) {
        const char *name = name_of(&set->run[i]);
        bool seen = !*name;
        for (int32_t k = 0; k < variants && !seen; k++) seen = strcmp(v[k].name, name) == 0;
        if (!seen) v[variants++].name = name;
    }
    for (int32_t k = 0; k < variants && s == OK; k++) s = fit_variant(&v[k], set, options);
    if (variants && s == OK) s = say_variants(p, v, variants);
    for (int32_t k = 0; k < variants; k++) {
        points_deinit(&v[k].points);
        optima_deinit(&v[k].optima);
    }
    free(v);
    return s;
}

#include "plan_chart.h"

#include "base/file.h"
#include "plan/systems.h"
#include "report/figure.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 1200, SUMMARY_LIMIT = 1 << 22 };

/* The lines that are drawn: a law, how it is called, its colour. */
static const struct {
    const char *law, *label, *color;
} lines[] = {{"besiroglu", "Besiroglu", "#1b6ca8"},
             {"hoffmann-1", "Hoffmann 1", "#2e8b57"},
             {"hoffmann-3", "Hoffmann 3", "#c07a00"},
             {"kaplan", "Kaplan (no embeddings)", "#a03050"}};
enum { LINES = sizeof lines / sizeof lines[0] };

/* Extent of the picture, powers of ten. */
typedef struct extent {
    double low_n, high_n, low_d, high_d;
} extent;

static void include(extent *e, double n, double d)
{
    if (!(n > 0) || !(d > 0)) return;
    e->low_n = fmin(e->low_n, floor(log10(n / 2)));
    e->high_n = fmax(e->high_n, ceil(log10(n * 2)));
    e->low_d = fmin(e->low_d, floor(log10(d / 2)));
    e->high_d = fmax(e->high_d, ceil(log10(d * 2)));
}

/* Where it is drawn: a fine-tuned model lies on the one it starts from. */
static bool place_of(const system_row *r, double *n, double *d)
{
    *n = r->of[SYSTEM_PARAMS].value;
    *d = r->of[SYSTEM_TOKENS].value;
    return isfinite(*n) && isfinite(*d) && r->kind != SYSTEM_FINETUNED;
}

/* Another one close on the right, or the lines of the laws: the name goes to the left. */
static bool crowded(const systems *s, int32_t i)
{
    double n, d, other_n, other_d;
    if (!place_of(&s->row[i], &n, &d)) return false;
    if (d > 25 * n) return true;
    for (int32_t k = 0; k < s->count; k++)
        if (k != i && place_of(&s->row[k], &other_n, &other_d) && other_n > n &&
            other_n < 2.5 * n && fabs(log(other_d / d)) < 0.1)
            return true;
    return false;
}

/* Names to the right of their points, or to the left. */
static void put_systems(FILE *out, extent *e, const systems *s)
{
    for (int left = 0; left < 2; left++) {
        (void)fprintf(out, "$systems%d << EOD\n", left);
        for (int32_t i = 0; i < s->count; i++) {
            double n, d;
            char label[160];
            if (!place_of(&s->row[i], &n, &d) || crowded(s, i) != (left == 1)) continue;
            (void)fprintf(out, "%.6g %.6g \"%s\"\n", n, d, figure_quote(label, s->row[i].title));
            include(e, n, d);
        }
        (void)fputs("EOD\n", out);
    }
}

/* params and tokens of a run directory. */
static status read_run(double *n, double *d, const char *folder)
{
    char path[PATH_BYTES], *content;
    int64_t bytes;
    json_error_t error;
    (void)snprintf(path, sizeof path, "%.1000s/summary.json", folder);
    REQUIRE(file_exists(path), ERR_CONFIG, "--chart: %.200s is no finished run: no summary.json",
            folder);
    TRY(file_read_text(&content, &bytes, path, SUMMARY_LIMIT));
    json_t *root = json_loads(content, 0, &error);
    free(content);
    *n = json_number_value(json_object_get(root, "params"));
    *d = json_number_value(json_object_get(root, "tokens"));
    json_decref(root);
    REQUIRE(*n > 0 && *d > 0, ERR_CONFIG, "%s: no params or tokens in it", path);
    return OK;
}

static status put_own(FILE *out, extent *e, const plan_answer *plan, const char *const *runs,
                      int32_t count)
{
    (void)fputs("$plan << EOD\n", out);
    if (plan) {
        (void)fprintf(out, "%.6g %.6g \"this plan\"\n", (double)plan->shape.params, plan->tokens);
        include(e, (double)plan->shape.params, plan->tokens);
    }
    (void)fputs("EOD\n$runs << EOD\n", out);
    for (int32_t i = 0; i < count; i++) {
        double n = 0, d = 0;
        const char *slash = strrchr(runs[i], '/');
        char label[160];
        TRY(read_run(&n, &d, runs[i]));
        (void)fprintf(out, "%.6g %.6g \"%s\"\n", n, d,
                      figure_quote(label, slash && slash[1] ? slash + 1 : runs[i]));
        include(e, n, d);
    }
    (void)fputs("EOD\n", out);
    return OK;
}

/* N and D of each law along its budgets. */
static void put_lines(FILE *out, const published *known)
{
    for (int k = 0; k < LINES; k++) {
        const published_law *row = published_find(known, lines[k].law);
        (void)fprintf(out, "$line%d << EOD\n", k);
        for (double c = 12; row && c <= 30; c += 0.25) {
            const published_optimum o = published_optimum_of(row, pow(10, c));
            (void)fprintf(out, "%.6g %.6g\n", o.params, o.tokens);
        }
        (void)fputs("EOD\n", out);
    }
}

static const char head[] =
    "set terminal svg size 1000,720 font 'Helvetica,14' background '#ffffff' enhanced\n"
    "set logscale xy\n"
    "set format x '10^{%T}'\n"
    "set format y '10^{%T}'\n"
    "set xlabel 'parameters'\n"
    "set ylabel 'tokens'\n"
    "set title 'Is bigger better? Parameters against tokens' font ',17'\n"
    "set grid xtics ytics lc rgb '#eeeeee' lt 1\n"
    "set border 3 lc rgb '#888888'\n"
    "set tics nomirror out\n"
    "set key outside bottom center horizontal samplen 2 spacing 1.2\n"
    "unset mxtics\nunset mytics\n";

/* Lines of equal compute, D = C / (6 N), every second power of ten, named at the right border. */
static void put_contours(FILE *out, const extent *e)
{
    const double low = log10(6) + e->low_n + e->low_d, high = log10(6) + e->high_n + e->high_d;
    for (int c = (int)ceil(low / 2) * 2; c < high; c += 2) {
        /* where the line leaves the picture: the lower or the right border */
        double n = e->high_n - 0.08, d = c - log10(6) - n;
        if (d < e->low_d + 0.1) d = e->low_d + 0.1, n = c - log10(6) - d;
        if (n > e->low_n + 0.5 && d < e->high_d - 0.2)
            (void)fprintf(out,
                          "set label '10^{%d} FLOPs' at %.6g,%.6g right offset 0,0.6 "
                          "font ',11' tc rgb '#999999'\n",
                          c, pow(10, n), pow(10, d));
    }
    (void)fputs("plot \\\n", out);
    for (int c = (int)ceil(low / 2) * 2; c < high; c += 2)
        (void)fprintf(out, "  1e%d/(6*x) notitle with lines lc rgb '#cccccc' dt 2, \\\n", c);
}

static status put_script(FILE *out, const char *path, const plan_answer *plan,
                         const char *const *runs, int32_t count)
{
    systems s = {0};
    published known = {0};
    extent e = {8, 13, 10, 13};
    status code = systems_read(&s);
    if (code == OK) code = published_read(&known);
    if (code == OK) {
        put_systems(out, &e, &s);
        put_lines(out, &known);
        code = put_own(out, &e, plan, runs, count);
    }
    systems_deinit(&s);
    published_deinit(&known);
    if (code != OK) return code;
    (void)fputs(head, out);
    char output[2 * PATH_BYTES + 4];
    (void)fprintf(out, "set output %s\nset xrange [1e%.0f:1e%.0f]\nset yrange [1e%.0f:1e%.0f]\n",
                  figure_quote_path(output, sizeof output, path), e.low_n, e.high_n, e.low_d,
                  e.high_d);
    put_contours(out, &e);
    for (int k = 0; k < LINES; k++)
        (void)fprintf(out, "  $line%d title '%s' with lines lw 2 lc rgb '%s', \\\n", k,
                      lines[k].label, lines[k].color);
    if (count)
        (void)fputs("  $runs title 'your runs' with points pt 7 ps 0.7 lc rgb '#6a3fb5', \\\n",
                    out);
    if (plan)
        (void)fputs("  $plan notitle with points pt 9 ps 1.6 lc rgb '#d62728', \\\n"
                    "  $plan using 1:2:3 notitle with labels left offset 1,0 font ',14' "
                    "tc rgb '#d62728', \\\n",
                    out);
    for (int left = 0; left < 2; left++)
        (void)fprintf(out,
                      "  $systems%d notitle with points pt 7 ps 0.9 lc rgb '#222222', \\\n"
                      "  $systems%d using 1:2:3 notitle with labels %s offset %s,0.1 font ',12' "
                      "tc rgb '#222222'%s\n",
                      left, left, left ? "right" : "left", left ? "-0.9" : "0.9",
                      left ? "" : ", \\");
    return OK;
}

status plan_chart(const char *path, const plan_answer *plan, const char *const *runs,
                  int32_t run_count)
{
    char script[PATH_BYTES], said[PATH_BYTES + 8], *text = NULL;
    const size_t n = strlen(path);
    REQUIRE(n > 4 && n < PATH_BYTES - 8 && strcmp(path + n - 4, ".svg") == 0, ERR_CONFIG,
            "--chart: '%.60s' is not the name of an .svg file", path);
    (void)snprintf(script, sizeof script, "%.*s.gnuplot", (int)(n - 4), path);
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    REQUIRE(out, ERR_MEMORY, "no memory for a script");
    status s = put_script(out, path, plan, runs, run_count);
    if (fclose(out) != 0 && s == OK)
        s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a script");
    if (s == OK) s = file_write_text(script, text, (int64_t)bytes);
    free(text);
    if (s != OK) return s;
    if (!figure_can_draw()) {
        (void)fprintf(stderr, "plan: gnuplot is not here; gnuplot %s draws %s later\n", script,
                      path);
        return OK;
    }
    (void)snprintf(said, sizeof said, "%s.txt", script);
    s = figure_gnuplot("", script, said);
    (void)unlink(said);
    return s;
}

/* Records are read up to their damage, and what is absent stays absent. */
#include "report/run_points.h"
#include "report/run_set.h"
#include "report/table.h"

#include "base/file.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER        "{\"type\":\"header\",\"config\":{\"train\":{\"seed\":7}},\"ranks\":2}\n"
#define STEP(n, loss) "{\"type\":\"step\",\"step\":" #n ",\"tokens\":" #n "00,\"loss\":" loss "}\n"

/* A run directory that holds this record (and this summary). */
typedef struct folder {
    char path[64];
} folder;

static folder folder_of(const char *record, size_t bytes, const char *summary)
{
    folder f = {"/tmp/isoflop-record-XXXXXX"};
    char path[128];
    cr_assert(mkdtemp(f.path));
    (void)snprintf(path, sizeof path, "%s/record.jsonl", f.path);
    cr_assert(file_write_text(path, record, (int64_t)bytes) == OK);
    (void)snprintf(path, sizeof path, "%s/summary.json", f.path);
    if (summary) cr_assert(file_write_text(path, summary, (int64_t)strlen(summary)) == OK);
    return f;
}

static status read_text(run_record *r, const char *record, const char *summary)
{
    const folder f = folder_of(record, strlen(record), summary);
    const status s = run_record_read(r, f.path);
    cr_assert(file_remove_folder(f.path) == OK);
    return s;
}

Test(run_record, steps_evaluations_and_events_are_kept_in_order)
{
    run_record r;
    cr_assert(
        read_text(&r,
                  HEADER STEP(1, "5.5") STEP(
                      2, "null") "{\"type\":\"eval\",\"step\":2,"
                                 "\"val_loss\":5.25}\n{\"type\":\"event\",\"event\":\"resume\"}\n",
                  NULL) == OK,
        "%s", status_message());
    cr_assert(r.steps == 2 && r.evals == 1 && json_array_size(r.events) == 1);
    cr_expect(r.step[0].loss == 5.5 && r.step[1].tokens == 200);
    cr_expect(isnan(r.step[1].loss) && isnan(r.step[0].energy_j), "null and absent are no numbers");
    cr_expect(r.eval[0].loss == 5.25 && isnan(r.eval[0].bits_per_byte));
    cr_expect(json_number_at(r.header, "config.train.seed") == 7);
    cr_expect(isnan(json_number_at(r.header, "config.train.seed.deeper")));
    cr_expect(!run_record_finished(&r) && !r.damaged_line);
    cr_expect(run_record_tokens(&r) == 200 && run_record_val_loss(&r) == 5.25);
    cr_expect(isnan(run_record_params(&r)));
    run_record_deinit(&r);
}

Test(run_record, a_damaged_line_ends_the_record_and_is_counted)
{
    static const char *const damage[] = {"{\"type\":\"st\n", "[1]\n", "\n", "null\n", "{}}\n"};
    for (size_t k = 0; k < sizeof damage / sizeof *damage; k++) {
        run_record r;
        char text[1024];
        (void)snprintf(text, sizeof text, "%s%s%s%s", HEADER STEP(1, "5"), damage[k], STEP(2, "4"),
                       STEP(3, "3"));
        cr_assert(read_text(&r, text, NULL) == OK);
        cr_expect(r.steps == 1 && r.damaged_line == 3 && r.lost_lines == 3, "%d steps, line %d, %d",
                  r.steps, r.damaged_line, r.lost_lines);
        run_record_deinit(&r);
    }
}

Test(run_record, a_hole_of_zero_bytes_is_damage_and_no_end)
{
    char text[] = HEADER STEP(1, "5") "xxxxxxxxxxxx\n" STEP(2, "4");
    char *hole = strstr(text, "xxxx");
    memset(hole, 0, 12);
    const folder f = folder_of(text, sizeof text - 1, NULL);
    run_record r;
    cr_assert(run_record_read(&r, f.path) == OK);
    cr_expect(r.steps == 1 && r.damaged_line == 3 && r.lost_lines == 2);
    run_record_deinit(&r);
    cr_assert(file_remove_folder(f.path) == OK);
}

Test(run_record, a_line_still_being_written_is_no_damage)
{
    run_record r;
    cr_assert(read_text(&r, HEADER STEP(1, "5") "{\"type\":\"step\",\"st", NULL) == OK);
    cr_expect(r.steps == 1 && !r.damaged_line);
    run_record_deinit(&r);
}

Test(run_record, what_is_no_record_is_refused)
{
    run_record r;
    cr_expect(read_text(&r, "", NULL) == ERR_CONFIG && strstr(status_message(), "not begun"));
    cr_expect(read_text(&r, "garbage\n", NULL) == ERR_CONFIG);
    cr_expect(read_text(&r, STEP(1, "5"), NULL) == ERR_CONFIG &&
              strstr(status_message(), "no header line"));
    cr_expect(read_text(&r, HEADER, "{\"finished\":") == ERR_CONFIG &&
              strstr(status_message(), "summary.json: damaged"));
    cr_expect(run_record_read(&r, "/nonexistent") == ERR_CONFIG);
}

/* --- several studies ------------------------------------------------------ */

/* A study of three finished runs: two branches of a trunk, and one that is no point. */
static void write_study(const char *at)
{
    static const char summary[] = "{\"finished\":true,\"params\":1000,\"tokens\":20000,"
                                  "\"val_loss\":3,\"flops\":{\"model\":6e9}}";
    static const char study[] = "{\"runs\":["
                                "{\"run\":\"a\",\"state\":\"done\",\"point\":true,\"trunk\":0},"
                                "{\"run\":\"b\",\"state\":\"done\",\"point\":true,\"trunk\":0},"
                                "{\"run\":\"c\",\"state\":\"done\",\"point\":false}]}";
    char path[256];
    for (char name = 'a'; name <= 'c'; name++) {
        (void)snprintf(path, sizeof path, "%s/runs/%c", at, name);
        cr_assert(file_make_folder(path) == OK);
        (void)snprintf(path, sizeof path, "%s/runs/%c/record.jsonl", at, name);
        cr_assert(file_write_text(path, HEADER, (int64_t)strlen(HEADER)) == OK);
        (void)snprintf(path, sizeof path, "%s/runs/%c/summary.json", at, name);
        cr_assert(file_write_text(path, summary, (int64_t)strlen(summary)) == OK);
    }
    (void)snprintf(path, sizeof path, "%s/study.json", at);
    cr_assert(file_write_text(path, study, (int64_t)strlen(study)) == OK);
}

Test(run_set, each_study_says_which_of_its_runs_are_points)
{
    char root[] = "/tmp/isoflop-studies-XXXXXX", at[2][96];
    cr_assert(mkdtemp(root));
    for (int k = 0; k < 2; k++) {
        (void)snprintf(at[k], sizeof at[k], "%s/study-%d", root, k);
        write_study(at[k]);
    }
    run_set set;
    points p;
    left_out left;
    law_origin origin;
    cr_assert(run_set_read(&set, (const char *const[]){at[0], at[1]}, 2) == OK, "%s",
              status_message());
    cr_expect(set.count == 6 && set.studies == 2);
    for (int32_t i = 0; i < set.count; i++)
        cr_expect(set.run[i].role && set.run[i].study == i / 3, "run %d: study %d", i,
                  set.run[i].study);
    cr_assert(run_points_of(&p, &left, &origin, set.run, set.count, (run_points_rules){0}) == OK,
              "%s", status_message());
    /* branches of one trunk are a group, those of the other study's first trunk another */
    cr_expect(p.count == 4, "%d points", p.count);
    for (int32_t i = 0; i < p.count; i++)
        cr_expect(p.row[i].group == p.row[i / 2 * 2].group &&
                      (i < 2 || p.row[i].group != p.row[0].group),
                  "point %d: group %d", i, p.row[i].group);
    points_deinit(&p);
    left_out_deinit(&left);
    run_set_deinit(&set);
    cr_assert(file_remove_folder(root) == OK);
}

/* --- tables --------------------------------------------------------------- */

static const table_column columns[] = {{"run", "run", CELL_TEXT, FROM_NOTHING},
                                       {"energy_j", "energy", CELL_ENERGY, FROM_MEASURE},
                                       {"loss", "loss", CELL_LOSS, FROM_MEASURE}};

/* What a table prints, as a text. */
static char *printed(void (*print)(const table *, FILE *), const table *t)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    cr_assert(out);
    print(t, out);
    cr_assert(fclose(out) == 0);
    return text;
}

static void as_text(const table *t, FILE *out) { table_text(t, out, 98); }
static void as_narrow_text(const table *t, FILE *out) { table_text(t, out, 24); }

static void expect_in(char *text, const char *part)
{
    cr_expect(strstr(text, part), "no '%s' in\n%s", part, text);
    free(text);
}

static void two_rows(table *t)
{
    table_init(t, "t", "energy <of> runs", columns, 3);
    table_cell *c = table_row(t);
    cell_text(&c[0], "a, \"b\"");
    c[2].number = 3.14159265358979;
    c = table_row(t);
    cell_text(&c[0], "c");
    c[1].number = 1250, c[1].source = FROM_MODEL;
}

Test(table, an_absent_number_is_a_dash_null_or_nothing_and_never_zero)
{
    table t;
    two_rows(&t);
    char *text = printed(as_text, &t);
    cr_expect(strstr(text, "a, \"b\"         \xe2\x80\x93    3.1416"), "%s", text);
    cr_expect(!strstr(text, " 0"), "%s", text);
    free(text);
    expect_in(printed(table_csv, &t), "\"a, \"\"b\"\"\",,3.14159265358979");
    expect_in(printed(table_csv, &t), "\nc,1250,\n");
    expect_in(printed(table_html, &t), "<td>\xe2\x80\x93</td><td>3.1416</td>");
    json_t *root = table_json(&t), *rows = json_object_get(root, "rows");
    cr_expect(json_is_null(json_object_get(json_array_get(rows, 0), "energy_j")));
    cr_expect(json_number_at(json_array_get(rows, 0), "loss") == 3.14159265358979);
    json_decref(root);
    table_deinit(&t);
}

Test(table, a_number_of_another_source_than_its_column_says_so)
{
    table t;
    two_rows(&t);
    expect_in(printed(as_text, &t), "1.25 kJ*");
    expect_in(printed(as_text, &t), "* energy: modelled");
    expect_in(printed(table_html, &t), "1.25 kJ <small>modelled</small>");
    json_t *root = table_json(&t);
    const json_t *row = json_array_get(json_object_get(root, "rows"), 1);
    cr_expect(strcmp(json_text_at(row, "source.energy_j"), "modelled") == 0);
    cr_expect(strcmp(json_text_at(root, "source.energy_j"), "measured") == 0);
    json_decref(root);
    table_deinit(&t);
}

Test(table, names_cannot_inject_markup)
{
    table t;
    table_init(&t, "t", "x", columns, 3);
    cell_text(&table_row(&t)[0], "<script>&\"");
    expect_in(printed(table_html, &t), "&lt;script&gt;&amp;&quot;");
    table_deinit(&t);
}

Test(table, a_wide_table_continues_below_beside_its_first_column)
{
    table t;
    two_rows(&t);
    char *text = printed(as_narrow_text, &t);
    for (char *at = text, *next; *at; at = next) {
        next = strchr(at, '\n') + 1;
        cr_expect(next - at <= 27, "%.*s", (int)(next - at), at);
    }
    cr_expect(strstr(strstr(text, "a, \"b\"") + 1, "a, \"b\""), "%s", text);
    free(text);
    table_deinit(&t);
}

Test(table, numbers_read_well_at_every_size)
{
    static const struct {
        double x;
        cell_kind kind;
        const char *text;
    } rows[] = {{999, CELL_COUNT, "999"},         {999.7, CELL_COUNT, "1.00K"},
                {1234567, CELL_COUNT, "1.23M"},   {70e9, CELL_COUNT, "70.0B"},
                {0.5, CELL_ENERGY, "0.50 J"},     {0, CELL_ENERGY, "0 J"},
                {3599.9, CELL_SECONDS, "59m59s"}, {7265, CELL_SECONDS, "2h01m"},
                {0.404, CELL_SHARE, "40.4 %"},    {INFINITY, CELL_LOSS, "\xe2\x80\x93"}};
    char out[32];
    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        cr_expect(strcmp(number_text(out, rows[k].x, rows[k].kind), rows[k].text) == 0, "%g: '%s'",
                  rows[k].x, number_text(out, rows[k].x, rows[k].kind));
}

/* A finished run of a model this wide; base "" in records of before there was muP. */
static void recipe_run(run_record *r, int width, double init_std, const char *base)
{
    char header[1024], summary[256];
    (void)snprintf(header, sizeof header,
                   "{\"type\":\"header\",\"config\":{\"train\":{\"batch_tokens\":512},"
                   "\"optimizer\":{\"learning_rate\":0.01,\"beta2\":0.95,\"weight_decay\":0.1},"
                   "\"schedule\":{\"name\":\"cosine\",\"warmup_tokens\":0},"
                   "\"model\":{\"width\":%d,\"init_std\":%.17g%s}}}\n",
                   width, init_std, base);
    (void)snprintf(summary, sizeof summary,
                   "{\"finished\":true,\"params\":%d,\"tokens\":1000,\"val_loss\":3}",
                   width * width);
    cr_assert(read_text(r, header, summary) == OK, "%s", status_message());
}

static law_recipe recipe_of(const char *const base[2], const double std[2])
{
    run_record r[2];
    points p;
    left_out left;
    law_origin o;
    for (int i = 0; i < 2; i++) recipe_run(&r[i], 16 << 2 * i, std[i], base[i]);
    cr_assert(run_points_of(&p, &left, &o, r, 2, (run_points_rules){.undecayed = true}) == OK, "%s",
              status_message());
    points_deinit(&p);
    left_out_deinit(&left);
    for (int i = 0; i < 2; i++) run_record_deinit(&r[i]);
    return o.recipe;
}

/* A run by the recipe is trained as those of the law: of two parametrisations there is none. */
Test(run_points, a_recipe_is_of_one_parametrisation)
{
    static const char none[] = "", zero[] = ",\"base_width\":0,\"base_head_width\":0";
    static const char of_16[] = ",\"base_width\":16,\"base_head_width\":8";
    const double falling[] = {0.2, 0.1}, same[] = {0.2, 0.2};
    const law_recipe standard = recipe_of((const char *const[]){none, zero}, falling);
    cr_expect(standard.rate > 0 && standard.base_width == 0);
    cr_expect_float_eq(standard.init_scale, 0.8, 1e-12);
    const law_recipe mup = recipe_of((const char *const[]){of_16, of_16}, same);
    cr_expect(mup.rate > 0 && mup.base_width == 16 && mup.base_head_width == 8);
    cr_expect_float_eq(mup.exponent, 0, 1e-12);
    cr_expect_float_eq(mup.init_scale, 0.8, 1e-12);
    cr_expect(!(recipe_of((const char *const[]){zero, of_16}, falling).rate > 0));
    cr_expect(!(recipe_of((const char *const[]){of_16, of_16}, falling).rate > 0));
}

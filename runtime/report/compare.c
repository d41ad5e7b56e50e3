/* Two runs, or two sets of runs, side by side. */
#include "report/report.h"

#include "report/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const table_column two_texts[] = {{"key", "", CELL_TEXT, FROM_NOTHING},
                                         {"a", "A", CELL_TEXT, FROM_CONFIG},
                                         {"b", "B", CELL_TEXT, FROM_CONFIG}};

/* --- config differences --------------------------------------------------- */

static void value_text(table_cell *c, const json_t *value)
{
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(8)) : NULL;
    const char *from = text ? text : "absent";
    /* no folder of anybody's machine */
    const char *slash = json_is_string(value) ? strrchr(from, '/') : NULL;
    cell_text(c, "%s%s", slash ? "\"" : "", slash ? slash + 1 : from);
    free(text);
}

/* Rows for what differs below both objects; path is its name so far. */
static status differences(table *t, const json_t *a, const json_t *b, const char *path)
{
    const char *key;
    json_t *value;
    char name[TABLE_TEXT];
    /* keys of a, then those of b alone */
    for (int side = 0; side < 2; side++) {
        json_object_foreach((json_t *)(intptr_t)(side ? b : a), key, value)
        {
            const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);
            if ((side && x) || (x && y && json_equal(x, y))) continue;
            (void)snprintf(name, sizeof name, "%.90s%s%.20s", path, *path ? "." : "", key);
            if (json_is_object(x) && json_is_object(y)) {
                TRY(differences(t, x, y, name));
                continue;
            }
            table_cell *c = table_row(t);
            REQUIRE(c, ERR_MEMORY, "no memory for a report");
            cell_text(&c[0], "%s", name);
            value_text(&c[1], x);
            value_text(&c[2], y);
        }
    }
    return OK;
}

static status add_differences(page *p, const run_record *a, const run_record *b)
{
    static const char *const other[] = {"arithmetic_id",
                                        "version",
                                        "commit",
                                        "ranks",
                                        "train_data.identity",
                                        "validation_data.identity",
                                        "train_data.tokenizer_sha256"};
    table *t;
    TRY(page_add(p, BLOCK_HEADING, "What differs"));
    TRY(page_add_table(&t, p, "differences", "Keys of the configs, and what computed", two_texts,
                       3));
    TRY(differences(t, json_at(a->header, "config"), json_at(b->header, "config"), ""));
    for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
        const json_t *x = json_at(a->header, other[k]), *y = json_at(b->header, other[k]);
        if ((!x && !y) || json_equal(x, y)) continue;
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        cell_text(&c[0], "%s", other[k]);
        value_text(&c[1], x);
        value_text(&c[2], y);
    }
    if (!t->rows) return page_add(p, BLOCK_PARAGRAPH, "Nothing: the configs are the same.");
    return OK;
}

/* --- outcomes ------------------------------------------------------------- */

typedef double (*measure)(const run_record *r);

static double throughput(const run_record *r) { return json_number_at(r->summary, "tokens_per_s"); }
static double mfu(const run_record *r) { return json_number_at(r->summary, "mfu"); }
static double energy(const run_record *r) { return json_number_at(r->summary, "energy_j"); }

static const struct {
    const char *name;
    measure of;
    cell_kind kind;
    number_source source;
} outcomes[] = {{"parameters", run_record_params, CELL_COUNT, FROM_COUNT},
                {"tokens", run_record_tokens, CELL_COUNT, FROM_COUNT},
                {"FLOPs", run_record_flops, CELL_POWER, FROM_COUNT},
                {"validation loss, nats/token", run_record_val_loss, CELL_LOSS, FROM_MEASURE},
                {"bits/byte", run_record_bits_per_byte, CELL_LOSS, FROM_MEASURE},
                {"time of steps", run_record_time_s, CELL_SECONDS, FROM_MEASURE},
                {"tokens/s", throughput, CELL_COUNT, FROM_MEASURE},
                {"MFU", mfu, CELL_SHARE, FROM_MEASURE},
                {"energy", energy, CELL_ENERGY, FROM_MEASURE}};

static status add_outcomes(page *p, const run_record *a, const run_record *b)
{
    static const table_column column[] = {{"what", "", CELL_TEXT, FROM_NOTHING},
                                          {"source", "source", CELL_TEXT, FROM_NOTHING},
                                          {"a", "A", CELL_PLAIN, FROM_NOTHING},
                                          {"b", "B", CELL_PLAIN, FROM_NOTHING},
                                          {"b_over_a", "B / A", CELL_PLAIN, FROM_NOTHING}};
    table *t;
    TRY(page_add(p, BLOCK_HEADING, "Outcomes"));
    TRY(page_add_table(&t, p, "outcomes", "A and B at their ends", column, 5));
    for (size_t k = 0; k < sizeof outcomes / sizeof *outcomes; k++) {
        table_cell *c = table_row(t);
        char text[32];
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        cell_text(&c[0], "%s", outcomes[k].name);
        cell_text(&c[1], "%s", number_source_name(outcomes[k].source));
        c[2].number = outcomes[k].of(a), c[3].number = outcomes[k].of(b);
        for (int side = 2; side < 4; side++)
            cell_text(&c[side], "%s", number_text(text, c[side].number, outcomes[k].kind));
        c[4].number = c[3].number / c[2].number;
    }
    return OK;
}

/* --- loss at equal places ------------------------------------------------- */

typedef enum axis { BY_TOKENS, BY_FLOPS, BY_SECONDS, AXES } axis;
static const char *const axis_name[AXES] = {"tokens", "FLOPs", "seconds"};

static double place_of(const run_record *r, int32_t i, axis by, double seconds)
{
    return by == BY_TOKENS ? r->step[i].tokens : by == BY_FLOPS ? r->step[i].flops : seconds;
}

/* Training loss around a place: the mean of the steps within 5 % below it, at least one. */
static double loss_at(const run_record *r, axis by, double place)
{
    double sum = 0, last = NAN, seconds = 0;
    int32_t count = 0;
    for (int32_t i = 0; i < r->steps; i++) {
        seconds += isfinite(r->step[i].step_time_s) ? r->step[i].step_time_s : 0;
        const double at = place_of(r, i, by, seconds);
        if (at > place * (1 + 1e-9)) break;
        if (r->step[i].skipped || !isfinite(r->step[i].loss)) continue;
        last = r->step[i].loss;
        if (at < 0.95 * place) continue;
        sum += last, count++;
    }
    return count ? sum / count : last;
}

static double end_of(const run_record *r, axis by)
{
    return r->steps ? place_of(r, r->steps - 1, by, run_record_time_s(r)) : NAN;
}

static status add_equal(page *p, const run_record *a, const run_record *b)
{
    static const table_column column[] = {{"equal", "equal", CELL_TEXT, FROM_NOTHING},
                                          {"place", "place", CELL_POWER, FROM_COUNT},
                                          {"loss_a", "loss A", CELL_LOSS, FROM_MEASURE},
                                          {"loss_b", "loss B", CELL_LOSS, FROM_MEASURE},
                                          {"b_minus_a", "B - A", CELL_LOSS, FROM_MEASURE}};
    table *t;
    TRY(page_add(p, BLOCK_HEADING, "Loss at equal tokens, FLOPs and seconds"));
    TRY(page_add_table(&t, p, "equal", "Training loss (mean of the 5 % before), as far as both go",
                       column, 5));
    for (axis by = 0; by < AXES; by++) {
        const double end = fmin(end_of(a, by), end_of(b, by));
        for (int quarter = 1; quarter <= 4 && end > 0; quarter++) {
            table_cell *c = table_row(t);
            REQUIRE(c, ERR_MEMORY, "no memory for a report");
            const double place = end * quarter / 4;
            cell_text(&c[0], "%s", axis_name[by]);
            c[1].number = place;
            c[1].source = by == BY_SECONDS ? FROM_MEASURE : FROM_COUNT;
            c[2].number = loss_at(a, by, place);
            c[3].number = loss_at(b, by, place);
            c[4].number = c[3].number - c[2].number;
        }
    }
    return OK;
}

static status add_overlay(page *p, const run_record *a, const run_record *b, axis by)
{
    enum { POINTS = 200 };
    const run_record *const run[2] = {a, b};
    figure *f;
    char name[32], title[64], label[2][160];
    (void)snprintf(name, sizeof name, "loss-%s", by == BY_FLOPS ? "flops" : axis_name[by]);
    (void)snprintf(title, sizeof title, "Training loss against %s", axis_name[by]);
    TRY(page_add_figure(&f, p, name, title));
    for (int k = 0; k < 2; k++) {
        const double end = end_of(run[k], by);
        (void)fprintf(f->to, "$run%d << EOD\n", k);
        for (int i = 1; i <= POINTS && end > 0; i++) {
            const double place = end * pow(1e-3, 1 - (double)i / POINTS);
            const double loss = loss_at(run[k], by, place);
            if (isfinite(loss)) (void)fprintf(f->to, "%.8g %.6g\n", place, loss);
        }
        (void)fputs("EOD\n", f->to);
    }
    (void)fprintf(f->to,
                  "set logscale x\nset format x power\nset xlabel '%s'\n"
                  "set ylabel 'training loss, nats per token'\n"
                  "plot $run0 using 1:2 with lines lw 4 lc rgb '#440154' title \"A: %s\", \\\n"
                  "  $run1 using 1:2 with lines lw 1.5 lc rgb '#d6aa14' title \"B: %s\"\n",
                  axis_name[by], figure_quote(label[0], a->name), figure_quote(label[1], b->name));
    return page_end_figure(f, "Means of the 5 %% before each place (measured).");
}

/* --- pairs ---------------------------------------------------------------- */

static bool same_seeds(const run_record *a, const run_record *b)
{
    return json_number_at(a->header, "config.train.seed") ==
               json_number_at(b->header, "config.train.seed") &&
           json_number_at(a->header, "config.data.seed") ==
               json_number_at(b->header, "config.data.seed");
}

/* The run of the set that belongs to r: of the same name, else the only one of its seeds. */
static const run_record *partner(const run_set *set, const run_record *r)
{
    const run_record *found = NULL;
    for (int32_t i = 0; i < set->count; i++)
        if (strcmp(set->run[i].name, r->name) == 0) return &set->run[i];
    for (int32_t i = 0; i < set->count; i++) {
        if (!same_seeds(&set->run[i], r)) continue;
        if (found) return NULL;
        found = &set->run[i];
    }
    return found;
}

static status add_pairs(page *p, const run_set *a, const run_set *b)
{
    static const table_column column[] = {{"a", "A", CELL_TEXT, FROM_NOTHING},
                                          {"b", "B", CELL_TEXT, FROM_NOTHING},
                                          {"seed", "seed", CELL_WHOLE, FROM_CONFIG},
                                          {"loss_a", "loss A", CELL_LOSS, FROM_MEASURE},
                                          {"loss_b", "loss B", CELL_LOSS, FROM_MEASURE},
                                          {"b_minus_a", "B - A", CELL_LOSS, FROM_MEASURE}};
    table *t;
    double sum = 0, square = 0;
    int32_t pairs = 0;
    TRY(page_add(p, BLOCK_HEADING, "Pairs"));
    TRY(page_add_table(&t, p, "pairs", "Validation loss at the end, paired by name or seed", column,
                       6));
    for (int32_t i = 0; i < a->count; i++) {
        const run_record *x = &a->run[i], *y = partner(b, x);
        if (!y) continue;
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        cell_text(&c[0], "%s", x->name);
        cell_text(&c[1], "%s", y->name);
        c[2].number = json_number_at(x->header, "config.train.seed");
        c[3].number = run_record_val_loss(x), c[4].number = run_record_val_loss(y);
        c[5].number = c[4].number - c[3].number;
        if (!isfinite(c[5].number)) continue;
        sum += c[5].number, square += c[5].number * c[5].number, pairs++;
    }
    REQUIRE(t->rows, ERR_CONFIG,
            "no run of the first has a partner in the second: neither names nor seeds agree");
    if (pairs < 2)
        return page_add(p, BLOCK_PARAGRAPH, "%d pair%s: no interval of the difference.", pairs,
                        pairs == 1 ? "" : "s");
    const double mean = sum / pairs;
    const double sd = sqrt(fmax(0, (square - pairs * mean * mean) / (pairs - 1)));
    const double half = part_half_width(sd, pairs);
    return page_add(p, BLOCK_PARAGRAPH,
                    "Mean difference B - A over %d pairs: %.4f, 95 %% interval %.4f .. %.4f "
                    "(Student, measured): %s.",
                    pairs, mean, mean - half, mean + half,
                    mean - half > 0   ? "A is lower"
                    : mean + half < 0 ? "B is lower"
                                      : "the interval holds 0, neither is lower");
}

/* Losses of different validation sets or tokenizers say nothing about each other. */
static status add_caution(page *p, const run_record *a, const run_record *b)
{
    const json_t *x = json_at(a->header, "validation_data.identity");
    const json_t *y = json_at(b->header, "validation_data.identity");
    if (!json_equal(json_at(a->header, "validation_data.tokenizer_sha256"),
                    json_at(b->header, "validation_data.tokenizer_sha256")))
        return page_add(p, BLOCK_WARNING,
                        "The tokenizers differ: compare bits/byte, not nats per token.");
    if ((x || y) && !json_equal(x, y))
        return page_add(p, BLOCK_WARNING,
                        "The validation sets differ: their losses are not comparable.");
    return OK;
}

static status build(page *p, const run_set *a, const run_set *b)
{
    const bool two_runs = a->count == 1 && b->count == 1;
    const run_record *x = &a->run[0], *y = &b->run[0];
    for (int32_t i = 0; i < a->notes; i++) TRY(page_add(p, BLOCK_WARNING, "A: %s", a->note[i]));
    for (int32_t i = 0; i < b->notes; i++) TRY(page_add(p, BLOCK_WARNING, "B: %s", b->note[i]));
    TRY(add_caution(p, x, y));
    if (!two_runs) TRY(add_pairs(p, a, b));
    TRY(add_differences(p, x, y));
    if (!two_runs)
        TRY(page_add(p, BLOCK_PARAGRAPH, "What follows compares the first runs: %s and %s.",
                     x->name, y->name));
    TRY(add_outcomes(p, x, y));
    if (x->steps && y->steps) {
        TRY(add_equal(p, x, y));
        for (axis by = 0; by < AXES; by++) TRY(add_overlay(p, x, y, by));
    }
    return OK;
}

status compare_build(page *out, const run_set *a, const run_set *b)
{
    page p = {0};
    (void)snprintf(p.title, sizeof p.title, "A: %.60s against B: %.60s", a->run[0].name,
                   b->run[0].name);
    const status s = build(&p, a, b);
    if (s == OK)
        *out = p;
    else
        page_deinit(&p);
    return s;
}

#include "law/published.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static published table;

static void open_table(void) { cr_assert(published_read(&table) == OK, "%s", status_message()); }
static void close_table(void) { published_deinit(&table); }
TestSuite(published, .init = open_table, .fini = close_table);

/* parameters and tokens by budget, from independent programs; 0: not given */
typedef struct answer {
    const char *name;
    double flops, params, tokens, tolerance;
} answer;

Test(published, optima_match_the_reference_answers)
{
    static const answer answers[] = {
        {"hoffmann-1", 1e19, 2.885e8, 0, 0.01},
        {"hoffmann-1", 1e20, 9.085e8, 1.847e10, 0.005},
        {"hoffmann-1", 1e21, 2.860e9, 5.867e10, 0.005},
        {"hoffmann-1", 5.76e23, 6.782e10, 1.425e12, 0.005},
        {"hoffmann-2", 1e19, 2.95e8, 0, 0.01},
        {"hoffmann-2", 1e20, 9.117e8, 1.829e10, 0.005},
        {"hoffmann-2", 1e21, 2.817e9, 5.918e10, 0.005},
        {"hoffmann-2", 5.76e23, 6.342e10, 1.514e12, 0.005},
        {"hoffmann-3-table", 1e19, 2.76e8, 0, 0.01},
        {"hoffmann-3-table", 1e20, 7.962e8, 2.081e10, 0.005},
        {"hoffmann-3-table", 1e21, 2.289e9, 7.233e10, 0.005},
        {"hoffmann-3-table", 5.76e23, 4.223e10, 2.252e12, 0.005},
        {"hoffmann-3", 1e19, 2.708e8, 6.154e9, 0.0005},
        {"hoffmann-3", 1e20, 7.749e8, 2.151e10, 0.0005},
        {"hoffmann-3", 1e21, 2.217e9, 7.518e10, 0.0005},
        {"hoffmann-3", 5.76e23, 4.036e10, 2.379e12, 0.0005},
        {"hoffmann-3", 1e25, 1.485e11, 1.122e13, 0.0005},
        {"hoffmann-3-rounded", 1e19, 2.280e8, 7.311e9, 0.0005},
        {"hoffmann-3-rounded", 1e21, 1.824e9, 9.136e10, 0.0005},
        {"hoffmann-3-rounded", 1e25, 1.168e11, 1.427e13, 0.0005},
        {"besiroglu", 1e19, 2.625e8, 6.350e9, 0.0005},
        {"besiroglu", 1e20, 8.545e8, 1.950e10, 0.0005},
        {"besiroglu", 1e21, 2.782e9, 5.991e10, 0.0005},
        {"besiroglu", 5.76e23, 7.236e10, 1.327e12, 0.0005},
        {"besiroglu", 1e25, 3.126e11, 5.332e12, 0.0005},
        {"huber-refit", 1e19, 2.619e8, 6.365e9, 0.0005},
        {"huber-refit", 1e21, 2.792e9, 5.970e10, 0.0005},
        {"huber-refit", 1e25, 3.173e11, 5.253e12, 0.0005},
        {"muennighoff", 1e19, 2.915e8, 5.717e9, 0.0005},
        {"muennighoff", 1e21, 2.915e9, 5.717e10, 0.0005},
        {"muennighoff", 5.76e23, 6.996e10, 1.372e12, 0.0005},
        {"muennighoff", 1e25, 2.915e11, 5.717e12, 0.0005},
        {"kaplan", 1e21, 7.77e9, 0, 0.005},
        {"llama3", 3.8e25, 402e9, 16.55e12, 0.06},
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const answer *a = &answers[i];
        const published_law *row = published_find(&table, a->name);
        cr_assert(row, "%s", a->name);
        const published_optimum o = published_optimum_of(row, a->flops);
        cr_expect(fabs(o.params / a->params - 1) < a->tolerance, "%s at %g: N %g, not %g", a->name,
                  a->flops, o.params, a->params);
        cr_expect(a->tokens == 0 || fabs(o.tokens / a->tokens - 1) < a->tolerance,
                  "%s at %g: D %g, not %g", a->name, a->flops, o.tokens, a->tokens);
    }
}

/* Gopher and Chinchilla under each set of constants */
Test(published, losses_of_gopher_and_chinchilla_match_the_reference_answers)
{
    static const struct {
        const char *name;
        double gopher, chinchilla;
    } rows[] = {{"hoffmann-3-rounded", 1.99326, 1.93665},
                {"hoffmann-3", 1.96724, 1.92085},
                {"besiroglu", 1.99907, 1.97341},
                {"huber-refit", 1.99867, 1.97337},
                {"muennighoff", 2.05033, 2.02460}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const published_law *row = published_find(&table, rows[i].name);
        const double g = published_loss(row, (law_case){.params = 280e9, .tokens = 300e9});
        const double c = published_loss(row, (law_case){.params = 70e9, .tokens = 1.4e12});
        cr_expect(fabs(g - rows[i].gopher) < 6e-6, "%s: %.6f", rows[i].name, g);
        cr_expect(fabs(c - rows[i].chinchilla) < 6e-6, "%s: %.6f", rows[i].name, c);
    }
    cr_expect(isnan(
        published_loss(published_find(&table, "llama3"), (law_case){.params = 1, .tokens = 1})));
}

Test(published, every_row_says_where_it_comes_from_and_what_it_counts)
{
    for (int32_t i = 0; i < table.count; i++) {
        const published_law *row = &table.row[i];
        cr_expect(row->source[0] && row->data[0] && row->flop_count[0]);
        cr_expect(row->range_params[1] > 0 || row->range_flops[1] > 0, "%s has no range",
                  row->name);
        cr_expect(published_find(&table, row->name) == row);
        /* a pair of lines that spends the budget does so within the rounding of its constants */
        const published_optimum o = published_optimum_of(row, 1e21);
        if (row->form && (row->form->needs & LAW_OF_X)) continue;
        const double spent = 6 * o.params * o.tokens / 1e21;
        cr_expect(!row->pair || fabs(spent - 1) < 0.02, "%s spends %g", row->name, spent);
        cr_expect(row->pair || spent > 1.5);
    }
    cr_expect(!published_optimum_of(published_find(&table, "besiroglu"), 1e25).inside);
    cr_expect(published_optimum_of(published_find(&table, "besiroglu"), 1e21).inside);
}

/* Kaplan et al. 2020: 3.1e8 PF-days would bring the loss to 1 */
Test(published, a_law_of_compute_gives_a_loss_and_no_allocation)
{
    const published_law *row = published_find(&table, "kaplan-compute");
    cr_assert(row);
    cr_expect(fabs(published_loss(row, (law_case){.x = 8.64e19}) - pow(3.1e8, 0.05)) < 1e-9);
    cr_expect(isnan(published_optimum_of(row, 1e21).params));
}

Test(published, a_wrong_file_is_refused_with_line_and_field)
{
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"rows:\n  x: {source: a, data: b}\n", "laws.yaml:2: law 'x': neither a form nor lines"},
        {"rows:\n  x: {source: a, form: chinchilla}\n", "law 'x': data: not given"},
        {"rows:\n  x: {source: a, data: b, form: chinchila}\n", "'chinchila' is not known"},
        {"rows:\n  x: {source: a, data: b, form: power, constants: {K: 2}}\n",
         "constants.gamma is missing"},
        {"rows:\n  x:\n    source: a\n    constants: {Q: 2}\n",
         "laws.yaml:4: constants_Q: unknown field of a law; nearest: constants_"},
        {"rows:\n  x: {params: {factor: -1}}\n", "laws.yaml:2: params_factor: -1 is outside"},
        {"rows:\n  x: {source: a, data: b, tokens: {factor: 1e400}}\n", "beyond the range"},
        {"rows:\n  x: {source: a, data: b, tokens: {factor: 1}}\n  x: {source: a}\n",
         "a second row of this name"},
        {"rows: 3\n", "laws.yaml:1: rows; allowed in this file: the mappings"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        published p;
        const status s =
            published_parse(&p, "laws.yaml", bad[i].text, (int64_t)strlen(bad[i].text));
        cr_expect(s == ERR_CONFIG && strstr(status_message(), bad[i].says), "%s: %s", bad[i].text,
                  status_message());
        published_deinit(&p);
    }
}

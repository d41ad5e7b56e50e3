/* What study.json adds to the runs themselves: arms compared, learning rates chosen, trunks. */
#include "report/parts.h"

#include <math.h>
#include <string.h>

/* "small 694K on 14.0M" */
static void arm_text(table_cell *c, const json_t *arm)
{
    char n[32], d[32];
    cell_text(c, "%s: %s on %s", json_text_at(arm, "arm"),
              number_text(n, json_number_at(arm, "params"), CELL_COUNT),
              number_text(d, json_number_at(arm, "tokens"), CELL_COUNT));
}

static status add_rows(table *t, const json_t *rows)
{
    size_t index;
    const json_t *row;
    json_array_foreach(rows, index, row)
    {
        const json_t *a = json_array_get(json_at(row, "arms"), 0);
        const json_t *b = json_array_get(json_at(row, "arms"), 1);
        const char *winner = json_text_at(row, "winner");
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        cell_text(&c[0], "%s", json_text_at(row, "row"));
        arm_text(&c[1], a);
        arm_text(&c[2], b);
        c[3].number = json_number_at(a, "loss"), c[4].number = json_number_at(b, "loss");
        c[5].number = json_number_at(row, "difference.mean");
        c[6].number = json_number_at(row, "difference.low");
        c[7].number = json_number_at(row, "difference.high");
        c[8].number = json_number_at(row, "difference.pairs");
        c[10].number = json_number_at(a, "flops") / json_number_at(b, "flops");
        c[11].number = json_number_at(a, "bits_per_byte");
        c[12].number = json_number_at(b, "bits_per_byte");
        cell_text(&c[9], "%s", *winner ? winner : "not decided");
    }
    return OK;
}

static status add_verdict(page *p, const json_t *comparison)
{
    const char *winner = json_text_at(comparison, "winner");
    const char *of = json_text_at(comparison, "loss_of");
    if (*winner)
        return page_add(p, BLOCK_PARAGRAPH,
                        "The lower loss (%s, measured): %s, in every row, with an interval that "
                        "does not hold 0.",
                        of, winner);
    return page_add(p, BLOCK_PARAGRAPH,
                    "No winner: the rows do not agree, or an interval of the difference (%s loss, "
                    "measured) holds 0 or is not there yet.",
                    of);
}

static status add_comparison(page *p, const json_t *comparison)
{
    static const table_column column[] = {
        {"row", "row", CELL_TEXT, FROM_NOTHING},
        {"arm_a", "first: N on D", CELL_TEXT, FROM_COUNT},
        {"arm_b", "second: N on D", CELL_TEXT, FROM_COUNT},
        {"loss_a", "loss, 1st", CELL_LOSS, FROM_MEASURE},
        {"loss_b", "loss, 2nd", CELL_LOSS, FROM_MEASURE},
        {"difference", "1st - 2nd", CELL_LOSS, FROM_MEASURE},
        {"low", "95 % from", CELL_LOSS, FROM_MEASURE},
        {"high", "to", CELL_LOSS, FROM_MEASURE},
        {"pairs", "seeds", CELL_WHOLE, FROM_CONFIG},
        {"winner", "lower", CELL_TEXT, FROM_NOTHING},
        {"flops_ratio", "FLOPs, 1st/2nd", CELL_PLAIN, FROM_COUNT},
        {"bits_per_byte_a", "bits/byte, 1st", CELL_LOSS, FROM_MEASURE},
        {"bits_per_byte_b", "bits/byte, 2nd", CELL_LOSS, FROM_MEASURE},
    };
    table *t;
    TRY(page_add(p, BLOCK_HEADING, "The comparison"));
    TRY(add_verdict(p, comparison));
    TRY(page_add_table(&t, p, "comparison",
                       "Means over seeds; the difference with its interval, paired by seed "
                       "(Student)",
                       column, sizeof column / sizeof *column));
    return add_rows(t, json_at(comparison, "rows"));
}

static status add_sweep(page *p, const json_t *sweep)
{
    static const table_column column[] = {
        {"cell", "cell", CELL_TEXT, FROM_NOTHING},
        {"learning_rate", "chosen rate", CELL_PLAIN, FROM_CONFIG},
        {"factor", "x the rule", CELL_PLAIN, FROM_CONFIG},
        {"flops", "FLOPs of the sweep", CELL_POWER, FROM_COUNT},
        {"remark", "", CELL_TEXT, FROM_NOTHING},
    };
    table *t;
    size_t index;
    const json_t *row;
    if (!json_array_size(sweep)) return OK;
    TRY(page_add_table(&t, p, "sweep", "Learning rates, chosen by validation loss at one seed",
                       column, sizeof column / sizeof *column));
    json_array_foreach(sweep, index, row)
    {
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        cell_text(&c[0], "%s", json_text_at(row, "cell"));
        c[1].number = json_number_at(row, "learning_rate");
        c[2].number = json_number_at(row, "factor");
        c[3].number = json_number_at(row, "flops");
        cell_text(&c[4], "%s",
                  json_number_at(row, "open") > 0          ? "sweep not complete"
                  : json_is_true(json_at(row, "interior")) ? "minimum inside the sweep"
                                                           : "at the edge of the sweep");
    }
    return OK;
}

/* Models against the known entropy of the tokens they were scored on. */
static status add_entropy(page *p, const run_set *set)
{
    static const table_column column[] = {
        {"run", "run", CELL_TEXT, FROM_NOTHING},
        {"params", "N", CELL_COUNT, FROM_COUNT},
        {"tokens", "D", CELL_COUNT, FROM_COUNT},
        {"val_loss", "val. loss", CELL_LOSS, FROM_MEASURE},
        {"entropy", "entropy", CELL_LOSS, FROM_COUNT},
        {"excess", "excess", CELL_LOSS, FROM_MEASURE},
        {"val_loss_se", "± s.e.", CELL_LOSS, FROM_MEASURE},
    };
    table *t = NULL;
    for (int32_t i = 0; i < set->count; i++) {
        const run_record *r = &set->run[i];
        if (!r->evals || !isfinite(r->eval[r->evals - 1].entropy)) continue;
        const eval_point *last = &r->eval[r->evals - 1];
        if (!t) {
            TRY(page_add(p, BLOCK_HEADING, "Known entropy"));
            TRY(page_add_table(&t, p, "entropy",
                               "Validation loss above the exact entropy of the same tokens", column,
                               sizeof column / sizeof *column));
        }
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        cell_text(&c[0], "%s", r->name);
        c[1].number = run_record_params(r), c[2].number = run_record_tokens(r);
        c[3].number = last->loss, c[4].number = last->entropy;
        c[5].number = last->loss - last->entropy, c[6].number = last->loss_se;
    }
    return OK;
}

status part_study(page *p, const run_set *set)
{
    const json_t *comparison = json_at(set->study, "comparison");
    const char *note = json_text_at(set->study, "note");
    if (*note) TRY(page_add(p, BLOCK_PARAGRAPH, "%s", note));
    if (json_is_object(comparison)) TRY(add_comparison(p, comparison));
    TRY(add_sweep(p, json_at(set->study, "sweep")));
    const double flops = json_number_at(set->study, "trunks.flops");
    const double separate = json_number_at(set->study, "trunks.flops_of_separate_runs");
    char text[2][32];
    if (flops > 0)
        TRY(page_add(p, BLOCK_PARAGRAPH,
                     "Branched cool-downs: %s FLOPs (counted) instead of %s for separate runs, "
                     "%.0f %% saved.",
                     number_text(text[0], flops, CELL_POWER),
                     number_text(text[1], separate, CELL_POWER), 100 * (1 - flops / separate)));
    return add_entropy(p, set);
}

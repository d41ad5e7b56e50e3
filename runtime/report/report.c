#include "report/report.h"

#include "report/bundle.h"
#include "report/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- reproduction --------------------------------------------------------- */

/* Different texts at a path of the headers; rows of one table. */
static status add_texts(table *t, const run_set *set, const char *what, const char *path)
{
    for (int32_t i = 0; i < set->count; i++) {
        const char *text = json_text_at(set->run[i].header, path);
        bool seen = !*text;
        int32_t count = 0;
        for (int32_t j = 0; j < set->count; j++) {
            const bool same = strcmp(json_text_at(set->run[j].header, path), text) == 0;
            seen = seen || (same && j < i);
            count += same;
        }
        if (seen) continue;
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a report");
        cell_text(&c[0], "%s", what);
        cell_text(&c[1], "%s", text);
        c[2].number = count;
    }
    return OK;
}

static status add_commands(page *p, const run_set *set)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    REQUIRE(memory, ERR_MEMORY, "no memory for a report");
    /* a page shows no folder of anybody's machine; the runs of a study share their command */
    for (int32_t i = 0; i < set->count; i++) {
        const char *given = json_text_at(set->run[i].header, "command");
        bool seen = false;
        for (int32_t j = 0; j < i && !seen; j++)
            seen = strcmp(json_text_at(set->run[j].header, "command"), given) == 0;
        char *command = seen ? NULL : bundle_scrub(given);
        if (command) (void)fprintf(memory, "%s\n", command);
        free(command);
    }
    status s = fclose(memory) == 0 ? OK : ERR_MEMORY;
    if (s != OK) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a report");
    while (bytes && text[bytes - 1] == '\n') text[--bytes] = 0;
    if (s == OK && bytes) s = page_add(p, BLOCK_CODE, "%s", text);
    if (s == OK && bytes) p->block[p->blocks - 1]->page_only = true;
    free(text);
    return s;
}

/* What a header says at a path, or that it does not. */
static const char *recorded(char out[32], const run_record *r, const char *path)
{
    const char *text = json_text_at(r->header, path);
    const double number = json_number_at(r->header, path);
    (void)snprintf(out, 32, "unknown");
    if (*text) return text;
    if (isfinite(number)) (void)snprintf(out, 32, "%.4g", number);
    return out;
}

static status add_methods(page *p, const run_set *set)
{
    const run_record *r = &set->run[0];
    char text[3][32];
    double least = INFINITY, most = 0;
    for (int32_t i = 0; i < set->count; i++) {
        const double params = run_record_params(&set->run[i]);
        if (params > 0) least = fmin(least, params), most = fmax(most, params);
    }
    char sizes[80] = "unknown size";
    if (most > 0)
        (void)snprintf(sizes, sizeof sizes, least < most ? "%s to %s parameters" : "%s parameters",
                       number_text(text[0], least, CELL_COUNT),
                       number_text(text[1], most, CELL_COUNT));
    const double overlap = json_number_at(r->header, "validation_data.overlap_share");
    if (isfinite(overlap))
        TRY(page_add(
            p, BLOCK_PARAGRAPH,
            "Splits are by document. Near-duplicates between them: %.2g %% of the bytes of "
            "the validation text stand in the training text too, in strings of 50 bytes "
            "(measured).",
            100 * overlap));
    const double batch = json_number_at(r->header, "config.train.batch_tokens");
    const double base = json_number_at(r->header, "config.model.base_width");
    char said[9][32], mup[96] = "";
    if (base > 0)
        (void)snprintf(mup, sizeof mup, "; muP with a base width of %.0f (Yang et al. 2022)", base);
    return page_add(
        p, BLOCK_PARAGRAPH,
        "Methods: %d training run%s of decoder-only transformers (%s) with isoflop %s, commit %s; "
        "%s tokenizer, context %s; AdamW (beta2 %s, weight decay %s, clipping at %s)%s, %s "
        "schedule; batches of %s tokens; %s operands, %s reduction of gradients. Losses are means "
        "over a fixed validation set, in nats per token; FLOPs are the count of the model: all "
        "matrix products with logits and full-square attention, forward and backward.",
        set->count, set->count == 1 ? "" : "s", sizes, json_text_at(r->header, "version"),
        recorded(said[0], r, "commit"), recorded(said[1], r, "train_data.tokenizer"),
        recorded(said[2], r, "config.model.context"),
        recorded(said[3], r, "config.optimizer.beta2"),
        recorded(said[4], r, "config.optimizer.weight_decay"),
        recorded(said[5], r, "config.optimizer.clip"), mup,
        recorded(said[6], r, "config.schedule.name"),
        isfinite(batch) ? number_text(text[2], batch, CELL_COUNT) : "unknown",
        recorded(said[7], r, "config.train.precision"),
        recorded(said[8], r, "config.train.reduction"));
}

/* What another person needs to repeat this; a paragraph on methods. */
static status add_reproduction(page *p, const run_set *set)
{
    static const table_column column[] = {
        {"what", "", CELL_TEXT, FROM_NOTHING},
        {"value", "", CELL_TEXT, FROM_NOTHING},
        {"runs", "runs", CELL_WHOLE, FROM_COUNT},
    };
    static const char *const row[][2] = {
        {"isoflop", "version"},
        {"commit", "commit"},
        {"compiler", "compiler"},
        {"MPI", "mpi"},
        {"processor", "hardware.processor"},
        {"arithmetic", "arithmetic_id"},
        {"training data", "train_data.identity"},
        {"validation data", "validation_data.identity"},
        {"tokenizer", "train_data.tokenizer"},
        {"tokenizer sha256", "train_data.tokenizer_sha256"},
        {"training text sha256", "train_data.text_sha256"},
        {"validation text sha256", "validation_data.text_sha256"},
        {"config hash", "config_hash"},
    };
    table *t;
    TRY(page_add(p, BLOCK_HEADING, "To repeat this"));
    TRY(page_add_table(&t, p, "reproduce", "What computed this, on what", column, 3));
    for (size_t k = 0; k < sizeof row / sizeof *row; k++)
        TRY(add_texts(t, set, row[k][0], row[k][1]));
    p->block[p->blocks - 1]->page_only = true;
    TRY(add_commands(p, set));
    return add_methods(p, set);
}

/* --- the page ------------------------------------------------------------- */

status report_build(page *out, const run_set *set, const char *title, const report_options *options)
{
    page p = {0};
    (void)snprintf(p.title, sizeof p.title, "%s", title);
    status s = page_add(&p, BLOCK_PARAGRAPH,
                        "Every number says where it comes from: config (what was asked for), "
                        "counted (from config and architecture), measured (in the run), modelled "
                        "(fitted or predicted), published. A dash is a number that is not known.");
    for (int32_t i = 0; i < set->notes && s == OK; i++)
        s = page_add(&p, BLOCK_WARNING, "%s", set->note[i]);
    /* answers first, then what they come from */
    if (s == OK) s = part_study(&p, set);
    if (s == OK) s = part_variants(&p, set, options);
    if (s == OK) s = part_laws(&p, set, options);
    if (s == OK) s = part_forecasts(&p, set);
    if (s == OK) s = part_curves(&p, set);
    if (s == OK) s = part_chart(&p, set);
    if (s == OK) s = page_add(&p, BLOCK_HEADING, "Runs");
    if (s == OK) s = part_runs(&p, set);
    if (s == OK) s = part_seeds(&p, set);
    if (s == OK) s = part_cost(&p, set, options);
    if (s == OK) s = add_reproduction(&p, set);
    if (s == OK)
        *out = p;
    else
        page_deinit(&p);
    return s;
}

#include "bench/bench_page.h"
#include "base/json.h"
#include "bench/bench.h"
#include "bench/bench_page_scaling.h"
#include "bench/bench_series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- rows straight into a table ------------------------------------------- */

/* The columns' keys are keys of the rows. */
static status plain_table(page *p, const char *name, const char *title, const table_column *column,
                          int32_t columns, const json_t *rows)
{
    table *t;
    size_t i;
    json_t *row;
    TRY(page_add_table(&t, p, name, title, column, columns));
    json_array_foreach(rows, i, row)
    {
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a table");
        for (int32_t k = 0; k < columns; k++) {
            if (column[k].kind == CELL_TEXT)
                cell_text(&c[k], "%s", json_text_at(row, column[k].key));
            else
                c[k].number = json_number_at(row, column[k].key);
        }
    }
    return OK;
}

#define COLUMNS(c) (int32_t)(sizeof(c) / sizeof(c)[0])

static status gemm_part(page *p, const json_t *result, const cluster *vendor)
{
    static const table_column column[] = {
        {"product", "product", CELL_TEXT, FROM_CONFIG},
        {"form", "form", CELL_TEXT, FROM_CONFIG},
        {"precision", "", CELL_TEXT, FROM_CONFIG},
        {"m", "M", CELL_WHOLE, FROM_CONFIG},
        {"n", "N", CELL_WHOLE, FROM_CONFIG},
        {"k", "K", CELL_WHOLE, FROM_CONFIG},
        {"flops", "FLOP/s", CELL_COUNT, FROM_MEASURE},
        {"share_of_peak", "of peak", CELL_SHARE, FROM_MEASURE},
        {"spread", "spread", CELL_SHARE, FROM_MEASURE},
    };
    const json_t *gemm = json_object_get(result, "gemm");
    if (!gemm) return OK;
    const json_t *peak = json_object_get(gemm, "peak_flops");
    char fp32[32], bf16[32], of32[32], of16[32];
    TRY(page_add(p, BLOCK_HEADING, "Products"));
    TRY(page_add(p, BLOCK_PARAGRAPH, "Peak of one rank: %s FLOP/s in fp32, %s in bf16 (%s).",
                 number_text(fp32, json_number_at(peak, "fp32"), CELL_COUNT),
                 number_text(bf16, json_number_at(peak, "bf16"), CELL_COUNT),
                 json_text_at(peak, "source")));
    if (vendor)
        TRY(page_add(p, BLOCK_PARAGRAPH, "%s says: %s FLOP/s in fp32 (%s), %s in bf16 (%s).",
                     vendor->name, number_text(of32, vendor->peak_fp32.value, CELL_COUNT),
                     value_source_name(vendor->peak_fp32.source),
                     number_text(of16, vendor->peak_bf16.value, CELL_COUNT),
                     value_source_name(vendor->peak_bf16.source)));
    return plain_table(p, "gemm", "Products of the model, one rank", column, COLUMNS(column),
                       json_object_get(gemm, "rows"));
}

static status memory_part(page *p, const json_t *result)
{
    static const table_column column[] = {
        {"stream", "stream", CELL_TEXT, FROM_CONFIG},
        {"ranks", "ranks", CELL_TEXT, FROM_CONFIG},
        {"bytes", "bytes", CELL_COUNT, FROM_CONFIG},
        {"bytes_per_s", "bytes/s of a rank", CELL_COUNT, FROM_MEASURE},
        {"spread", "spread", CELL_SHARE, FROM_MEASURE},
    };
    const json_t *memory = json_object_get(result, "memory");
    if (!memory) return OK;
    TRY(page_add(p, BLOCK_HEADING, "Memory"));
    return plain_table(p, "memory", "Streams through memory; read and written bytes count", column,
                       COLUMNS(column), json_object_get(memory, "rows"));
}

/* --- collectives ---------------------------------------------------------- */

static status link_rows(page *p, const json_t *comms)
{
    static const table_column column[] = {
        {"comm", "through", CELL_TEXT, FROM_CONFIG},
        {"level", "link", CELL_TEXT, FROM_CONFIG},
        {"latency_s", "latency, s", CELL_PLAIN, FROM_MODEL},
        {"bandwidth", "bytes/s", CELL_COUNT, FROM_MODEL},
        {"residual", "off by", CELL_SHARE, FROM_MODEL},
        {"exact_over_fast", "exact/fast", CELL_RATIO, FROM_MEASURE},
        {"share_of_copy", "of a copy", CELL_SHARE, FROM_MEASURE},
    };
    table *t;
    size_t i;
    json_t *one;
    char bytes[32];
    const double copied = json_number_at(json_array_get(comms, 0), "beside_copy.bytes");
    TRY(page_add(
        p, BLOCK_PARAGRAPH,
        "Latency and bytes / bandwidth as plan counts them, fitted to scatters and gathers."));
    if (isfinite(copied))
        TRY(page_add(p, BLOCK_PARAGRAPH,
                     "Of a copy: bus bandwidth of an all-reduce of %s bytes against what all ranks "
                     "copy at once.",
                     number_text(bytes, copied, CELL_COUNT)));
    TRY(page_add_table(&t, p, "links", "Links", column, COLUMNS(column)));
    json_array_foreach(comms, i, one)
    {
        const json_t *link = json_object_get(one, "link");
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a table");
        cell_text(&c[0], "%s", json_text_at(one, "comm"));
        cell_text(&c[1], "%s", json_text_at(link, "level"));
        c[2].number = json_number_at(link, "latency_s");
        c[3].number = json_number_at(link, "bandwidth");
        c[4].number = json_number_at(link, "residual");
        c[5].number = json_number_at(one, "exact_over_fast");
        c[6].number = json_number_at(json_object_get(one, "beside_copy"), "share");
    }
    return OK;
}

/* one curve per operation and communicator, in the order in which they come */
static void bandwidth_curves(FILE *out, const json_t *rows)
{
    size_t i, count = json_array_size(rows);
    char name[96], previous[96] = "", quoted[160];
    const char *comma = "plot";
    /* data first, one block per curve: rows are ordered by size, so curves are gathered by name */
    for (size_t k = 0; k < count; k++) {
        const json_t *one = json_array_get(rows, k);
        if (json_number_at(one, "bytes") > json_number_at(json_array_get(rows, 0), "bytes"))
            continue;
        (void)snprintf(name, sizeof name, "%s %s %s", json_text_at(one, "operation"),
                       json_text_at(one, "type"), json_text_at(one, "comm"));
        if (strcmp(name, previous) == 0) continue;
        (void)snprintf(previous, sizeof previous, "%s", name);
        (void)fprintf(out, "$curve%zu << END\n", k);
        for (i = 0; i < count; i++) {
            const json_t *row = json_array_get(rows, i);
            if (strcmp(json_text_at(row, "operation"), json_text_at(one, "operation")) == 0 &&
                strcmp(json_text_at(row, "type"), json_text_at(one, "type")) == 0 &&
                strcmp(json_text_at(row, "comm"), json_text_at(one, "comm")) == 0)
                (void)fprintf(out, "%.9g %.9g\n", json_number_at(row, "bytes"),
                              json_number_at(row, "bus_bytes_per_s") / 1e9);
        }
        (void)fprintf(out, "END\n");
    }
    for (size_t k = 0; k < count; k++) {
        const json_t *one = json_array_get(rows, k);
        if (json_number_at(one, "bytes") > json_number_at(json_array_get(rows, 0), "bytes"))
            continue;
        (void)snprintf(name, sizeof name, "%s %s %s", json_text_at(one, "operation"),
                       json_text_at(one, "type"), json_text_at(one, "comm"));
        (void)fprintf(out, "%s $curve%zu using 1:2 with linespoints title \"%s\"", comma, k,
                      figure_quote(quoted, name));
        comma = ",";
    }
    (void)fputc('\n', out);
}

static status collectives_part(page *p, const json_t *result)
{
    static const table_column column[] = {
        {"operation", "operation", CELL_TEXT, FROM_CONFIG},
        {"type", "type", CELL_TEXT, FROM_CONFIG},
        {"comm", "through", CELL_TEXT, FROM_CONFIG},
        {"bytes", "bytes", CELL_COUNT, FROM_CONFIG},
        {"p50_s", "median, s", CELL_PLAIN, FROM_MEASURE},
        {"p99_s", "p99, s", CELL_PLAIN, FROM_MEASURE},
        {"algorithm_bytes_per_s", "alg. bytes/s", CELL_COUNT, FROM_MEASURE},
        {"bus_bytes_per_s", "bus bytes/s", CELL_COUNT, FROM_MEASURE},
    };
    const json_t *all = json_object_get(result, "collectives");
    const json_t *rows = json_object_get(all, "rows");
    if (json_array_size(rows) == 0) return OK;
    figure *f;
    TRY(page_add(p, BLOCK_HEADING, "Collectives"));
    TRY(link_rows(p, json_object_get(all, "comms")));
    TRY(plain_table(p, "collectives", "Results were verified on every rank", column,
                    COLUMNS(column), rows));
    TRY(page_add_figure(&f, p, "bandwidth", "Bus bandwidth against size"));
    (void)fprintf(f->to, "set logscale xy\nset xlabel \"bytes\"\nset ylabel \"bus GB/s\"\n"
                         "set format x \"%%.0s%%c\"\nset key outside right noenhanced\nset grid\n");
    bandwidth_curves(f->to, rows);
    return page_end_figure(f, "Bus bandwidth: bytes / time x (R-1)/R, twice that for all-reduce "
                              "(the factors of nccl-tests), so that rank counts compare.");
}

static status io_part(page *p, const json_t *result)
{
    static const table_column column[] = {
        {"what", "what", CELL_TEXT, FROM_CONFIG},
        {"ranks", "ranks", CELL_WHOLE, FROM_CONFIG},
        {"bytes_per_rank", "bytes each", CELL_COUNT, FROM_CONFIG},
        {"median_s", "median, s", CELL_PLAIN, FROM_MEASURE},
        {"bytes_per_s", "bytes/s together", CELL_COUNT, FROM_MEASURE},
        {"spread", "spread", CELL_SHARE, FROM_MEASURE},
    };
    const json_t *io = json_object_get(result, "io");
    if (!io) return OK;
    TRY(page_add(p, BLOCK_HEADING, "Files"));
    return plain_table(p, "io", "A checkpoint's bytes: written and synced, read again", column,
                       COLUMNS(column), json_object_get(io, "rows"));
}

/* --- the step ------------------------------------------------------------- */

static status step_rows(page *p, const json_t *step)
{
    static const table_column column[] = {
        {"part", "part", CELL_TEXT, FROM_CONFIG},
        {"time_s", "s/step", CELL_PLAIN, FROM_MEASURE},
        {"share", "share", CELL_SHARE, FROM_MEASURE},
    };
    table *t;
    const json_t *parts = json_object_get(step, "parts");
    double wall = json_number_at(step, "wall_s");
    TRY(page_add_table(&t, p, "step", "One step by part, mean of the ranks", column,
                       COLUMNS(column)));
    for (int k = 0; k <= SERIES_PARTS; k++) {
        double s = k < SERIES_PARTS ? json_number_at(parts, series_parts[k]) : wall;
        table_cell *c = table_row(t);
        REQUIRE(c, ERR_MEMORY, "no memory for a table");
        cell_text(&c[0], "%s", k < SERIES_PARTS ? series_parts[k] : "wall");
        c[1].number = s;
        c[2].number = s / wall;
    }
    return OK;
}

/* Seconds of a rank's own: what the others may have to wait for. */
static double own_s(const json_t *rank)
{
    double sum = 0.0;
    for (int k = 0; k < SERIES_PARTS; k++)
        if (k != SERIES_COMMUNICATION && k != SERIES_SLOWEST && k != SERIES_OTHER)
            sum += json_number_at(json_object_get(rank, "parts"), series_parts[k]);
    return sum;
}

static int slower_first(const void *a, const void *b)
{
    const double x = own_s(*(json_t *const *)a), y = own_s(*(json_t *const *)b);
    return (x < y) - (x > y);
}

/* Who keeps the others waiting: ranks by what they take for their own work, the slowest first. */
static status stragglers(page *p, const json_t *by_rank)
{
    enum { SHOWN = 16 };
    static const table_column column[] = {
        {"rank", "rank", CELL_WHOLE, FROM_CONFIG},
        {"node", "node", CELL_WHOLE, FROM_CONFIG},
        {"own_s", "own work, s", CELL_PLAIN, FROM_MEASURE},
        {"ratio", "of the median", CELL_SHARE, FROM_MEASURE},
        {"waits_s", "waits, s", CELL_PLAIN, FROM_MEASURE},
    };
    const size_t count = json_array_size(by_rank);
    if (count < 2) return OK;
    json_t **ranks = calloc(count, sizeof(json_t *));
    REQUIRE(ranks, ERR_MEMORY, "no memory for a table");
    for (size_t i = 0; i < count; i++) ranks[i] = json_array_get(by_rank, i);
    qsort(ranks, count, sizeof(json_t *), slower_first);
    const double median = (own_s(ranks[(count - 1) / 2]) + own_s(ranks[count / 2])) / 2.0;
    table *t;
    status s =
        page_add_table(&t, p, "stragglers", "Ranks, the slowest first", column, COLUMNS(column));
    for (size_t i = 0; s == OK && i < count && i < SHOWN; i++) {
        table_cell *c = table_row(t);
        if (!c) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a table");
        if (!c) break;
        c[0].number = json_number_at(ranks[i], "rank");
        c[1].number = json_number_at(ranks[i], "node");
        c[2].number = own_s(ranks[i]);
        c[3].number = own_s(ranks[i]) / median;
        c[4].number = json_number_at(ranks[i], "parts.slowest");
    }
    free(ranks);
    return s;
}

static status step_part(page *p, const json_t *result, const cluster *vendor)
{
    const json_t *step = json_object_get(result, "step");
    if (!step) return OK;
    char rate[32], mfu[32], peak[32], theirs[32];
    bool bf16 = strcmp(json_text_at(step, "precision"), "bf16") == 0;
    const double ranks = json_number_at(step, "ranks");
    TRY(page_add(p, BLOCK_HEADING, "The step"));
    TRY(step_rows(p, step));
    TRY(stragglers(p, json_object_get(step, "by_rank")));
    TRY(page_add(p, BLOCK_PARAGRAPH,
                 "%s tokens/s on %.0f rank%s; MFU %s of the measured peak (%s FLOP/s a rank).",
                 number_text(rate, json_number_at(step, "tokens_per_s"), CELL_COUNT), ranks,
                 ranks == 1 ? "" : "s", number_text(mfu, json_number_at(step, "mfu"), CELL_SHARE),
                 number_text(peak, json_number_at(step, "peak_flops_per_rank"), CELL_COUNT)));
    if (vendor) {
        double vendors = bf16 ? vendor->peak_bf16.value : vendor->peak_fp32.value;
        double share =
            json_number_at(step, "mfu") * json_number_at(step, "peak_flops_per_rank") / vendors;
        TRY(page_add(p, BLOCK_PARAGRAPH, "MFU %s of the %s peak of %s.",
                     number_text(theirs, share, CELL_SHARE),
                     value_source_name(bf16 ? vendor->peak_bf16.source : vendor->peak_fp32.source),
                     vendor->name));
    } else {
        TRY(page_add(p, BLOCK_PARAGRAPH,
                     "The vendor's peak stands beside it with --cluster NAME."));
    }
    return page_add(p, BLOCK_PARAGRAPH,
                    "Communication hidden beside the backward pass: %.4g s of %.4g s; without "
                    "overlap a step takes %.4g s, with it %.4g s. Parts with a name are %.1f %% of "
                    "the wall time.",
                    json_number_at(step, "hidden_communication_s"),
                    json_number_at(step, "communication_without_overlap_s"),
                    json_number_at(step, "wall_without_overlap_s"), json_number_at(step, "wall_s"),
                    100 * (1 - json_number_at(step, "unaccounted")));
}

/* --- the page ------------------------------------------------------------- */

/* A machine that was not ours alone: figures of a disturbed one, named for what they are. */
static status say_stolen(page *p, const json_t *result)
{
    char text[256] = "";
    for (const bench_section *s = bench_sections; s->name; s++) {
        const double share = json_number_at(json_object_get(result, s->name), "stolen_share");
        if (share > BENCH_DISTURBED)
            (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.0f %% during %s",
                           text[0] ? ", " : "", 100 * share, s->name);
    }
    if (!text[0]) return OK;
    return page_add(p, BLOCK_PARAGRAPH,
                    "Disturbed: this machine's host gave processors to others for %s (measured). "
                    "Measure again when it does not.",
                    text);
}

status bench_page(page *out, const json_t *result, const cluster *vendor)
{
    page p = {0};
    const json_t *hardware = json_object_get(result, "hardware");
    const double ranks = json_number_at(hardware, "ranks"),
                 nodes = json_number_at(hardware, "nodes");
    (void)snprintf(p.title, sizeof p.title, "isoflop bench: %.0f rank%s on %.0f node%s", ranks,
                   ranks == 1 ? "" : "s", nodes, nodes == 1 ? "" : "s");
    status s = page_add(&p, BLOCK_PARAGRAPH, "%s; %s; model %s; %s.",
                        json_text_at(result, "device"), json_text_at(result, "mpi"),
                        json_text_at(result, "model"), json_text_at(result, "date"));
    if (s == OK) s = say_stolen(&p, result);
    if (s == OK) s = gemm_part(&p, result, vendor);
    if (s == OK) s = memory_part(&p, result);
    if (s == OK) s = collectives_part(&p, result);
    if (s == OK) s = io_part(&p, result);
    if (s == OK) s = step_part(&p, result, vendor);
    if (s == OK) s = bench_page_scaling(&p, result);
    if (s != OK) {
        page_deinit(&p);
        return s;
    }
    *out = p;
    return OK;
}

/* --- two results ---------------------------------------------------------- */

static status compare_heading(page *p, const bench_comparison *c)
{
    (void)snprintf(p->title, sizeof p->title, "isoflop bench: two results");
    TRY(page_add(p, BLOCK_PARAGRAPH, "%d of %d quantities changed beyond the spread.",
                 (int)c->changed, (int)c->count));
    if (c->alone[0] + c->alone[1] > 0)
        TRY(page_add(p, BLOCK_PARAGRAPH,
                     "Not compared: %d that only the first result has, %d that only the second "
                     "has.",
                     (int)c->alone[0], (int)c->alone[1]));
    if (!c->differs[0]) return OK;
    return page_add(p, BLOCK_PARAGRAPH, "What was measured is not the same: %s.", c->differs);
}

status bench_compare_page(page *out, const bench_comparison *c)
{
    static const table_column column[] = {
        {"what", "what", CELL_TEXT, FROM_CONFIG},
        {"before", "before", CELL_PLAIN, FROM_MEASURE},
        {"after", "after", CELL_PLAIN, FROM_MEASURE},
        {"ratio", "ratio", CELL_RATIO, FROM_MEASURE},
        {"noise", "noise", CELL_SHARE, FROM_MEASURE},
        {"verdict", "", CELL_TEXT, FROM_MODEL},
    };
    page p = {0};
    table *t;
    status s = compare_heading(&p, c);
    if (s == OK && c->changed)
        s = page_add_table(&t, &p, "changes", "What changed", column, COLUMNS(column));
    for (int32_t i = 0; s == OK && i < c->count; i++) {
        const bench_change *one = &c->changes[i];
        if (!one->changed) continue;
        table_cell *cell = table_row(t);
        if (!cell) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a table");
        if (!cell) break;
        cell_text(&cell[0], "%s", one->what);
        cell[1].number = one->before;
        cell[2].number = one->after;
        cell[3].number = one->ratio;
        cell[4].number = one->noise;
        cell_text(&cell[5], "%s", one->better ? "better" : "worse");
    }
    if (s != OK) {
        page_deinit(&p);
        return s;
    }
    *out = p;
    return OK;
}

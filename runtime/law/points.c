#include "law/points.h"

#include "base/file.h"
#include "law/csv.h"
#include "law/vector.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 256, LIMIT = 1 << 28 };

/* The columns that are read; the first name is the usual one. */
typedef enum column { PARAMS, TOKENS, LOSS, FLOPS, UNIQUE, NONEMB, GROUP, COLUMNS } column;
static const char *const names[COLUMNS][2] = {
    {"params", "Model Size"}, {"tokens", NULL},        {"loss", NULL},  {"flops", "Training FLOP"},
    {"unique_tokens", NULL},  {"params_nonemb", NULL}, {"group", NULL},
};

/* Where a value stands, for messages. */
typedef struct place {
    const char *path;
    int32_t line;
} place;

/* What a table calls its columns, where not by the usual names: "params=N,loss=Final loss". */
typedef struct renamed {
    char text[512];
    const char *name[COLUMNS]; /* into text; NULL: the usual names */
} renamed;

static status read_renamed(renamed *r, const char *columns)
{
    *r = (renamed){0};
    if (!columns) return OK;
    REQUIRE(strlen(columns) < sizeof r->text, ERR_CONFIG, "--columns: longer than %zu bytes",
            sizeof r->text - 1);
    (void)snprintf(r->text, sizeof r->text, "%s", columns);
    for (char *at = r->text, *cell; (cell = csv_cell(&at, ','));) {
        char *name = strchr(cell, '=');
        if (name) *name++ = '\0';
        int c = PARAMS;
        while (c < COLUMNS && strcmp(cell, names[c][0]) != 0) c++;
        REQUIRE(name && *name && c < COLUMNS, ERR_CONFIG,
                "--columns: '%.60s'; allowed: params=NAME, tokens=, loss=, flops=, unique_tokens=, "
                "params_nonemb=, group=, with commas between",
                cell);
        r->name[c] = name;
    }
    return OK;
}

static bool is_column(const renamed *r, int c, const char *cell)
{
    if (r->name[c]) return csv_same_name(cell, r->name[c]);
    return csv_same_name(cell, names[c][0]) || (names[c][1] && csv_same_name(cell, names[c][1]));
}

/* Names the columns there are, or why there seems to be one only. */
static status missing_column(const renamed *r, int c, char *const *cell, int32_t count, place at)
{
    char all[240] = "";
    for (int32_t i = 0; i < count; i++) {
        const size_t used = strlen(all);
        (void)snprintf(all + used, sizeof all - used, "%s\"%.60s\"", i ? ", " : "", cell[i]);
    }
    FAIL(ERR_CONFIG,
         "%s:%d: column %s is missing; the header needs params,tokens,loss and has %s (--columns "
         "%s=NAME)",
         at.path, at.line, r->name[c] ? r->name[c] : names[c][0], all, names[c][0]);
}

/* index[c] of every known column in the header line, -1 where absent. */
static status read_header(int32_t *index, int32_t *count, char *line, place at, const renamed *r,
                          char separator)
{
    char *cell[COLUMNS_MAX];
    for (int c = 0; c < COLUMNS; c++) index[c] = -1;
    *count = 0;
    for (char *next; (next = csv_cell(&line, separator)); (*count)++) {
        REQUIRE(*count < COLUMNS_MAX, ERR_CONFIG, "%s:%d: more than %d columns", at.path, at.line,
                COLUMNS_MAX);
        cell[*count] = next;
        for (int c = 0; c < COLUMNS; c++) {
            if (!is_column(r, c, next)) continue;
            REQUIRE(index[c] < 0, ERR_CONFIG, "%s:%d: column %s stands there twice", at.path,
                    at.line, next);
            index[c] = *count;
        }
    }
    for (int c = PARAMS; c < COLUMNS; c++) {
        /* tokens follow from FLOPs and parameters */
        const bool needed = c <= LOSS && !(c == TOKENS && index[FLOPS] >= 0);
        if (index[c] < 0 && (needed || r->name[c])) return missing_column(r, c, cell, *count, at);
    }
    return OK;
}

static status read_number(double *out, const char *cell, column c, place at, char separator)
{
    const csv_reading read = csv_number(out, cell, separator, c != LOSS);
    REQUIRE(read != CSV_NO_NUMBER, ERR_CONFIG, "%s:%d: %s is '%.40s', not a number", at.path,
            at.line, names[c][0], cell);
    REQUIRE(read != CSV_TWO_NUMBERS, ERR_CONFIG,
            "%s:%d: %s is '%.40s', which can be read in two ways; allowed: no thousands separators "
            "and a decimal point",
            at.path, at.line, names[c][0], cell);
    REQUIRE(isfinite(*out) && *out > 0, ERR_CONFIG,
            "%s:%d: %s is %.40s; it must be finite and above 0", at.path, at.line, names[c][0],
            cell);
    return OK;
}

/* Group names become numbers: the first line that has the name. */
static int32_t group_of(const points *p, char **group, const char *name)
{
    for (int32_t i = 0; i < p->count; i++)
        if (strcmp(group[i], name) == 0) return i;
    return p->count;
}

static status read_row(points *p, const int32_t *index, int32_t count, char *line, place at,
                       char separator, char **group)
{
    char *cell[COLUMNS_MAX];
    int32_t cells = 0;
    bool blank = true;
    for (char *c; (c = csv_cell(&line, separator)); cells++) {
        if (cells < COLUMNS_MAX) cell[cells] = c;
        blank = blank && !*c;
    }
    /* spreadsheets leave rows of empty cells */
    if (blank) return OK;
    REQUIRE(cells == count, ERR_CONFIG, "%s:%d: %d cells, the header has %d", at.path, at.line,
            cells, count);
    fit_point row = {.group = p->count, .line = at.line};
    double *const target[] = {&row.params, &row.tokens, &row.loss,
                              &row.flops,  &row.unique, &row.params_nonemb};
    for (int c = 0; c < GROUP; c++) {
        if (index[c] < 0) continue;
        /* an optional column may be empty */
        if (c > LOSS && !cell[index[c]][0]) continue;
        TRY(read_number(target[c], cell[index[c]], (column)c, at, separator));
    }
    if (index[TOKENS] < 0) {
        REQUIRE(row.flops > 0, ERR_CONFIG, "%s:%d: flops is empty and there is no column tokens",
                at.path, at.line);
        row.tokens = row.flops / (6 * row.params);
    }
    if (index[GROUP] >= 0) {
        group[p->count] = cell[index[GROUP]];
        if (group[p->count][0]) row.group = group_of(p, group, group[p->count]);
    }
    return points_add(p, &row);
}

static status read_lines(points *p, char *text, const char *path, const renamed *r, char **group)
{
    int32_t index[COLUMNS], count = 0, line = 0;
    bool header = false;
    char separator = ',';
    for (char *at = text, *next; at; at = next) {
        next = strchr(at, '\n');
        if (next) *next++ = 0;
        line++;
        /* a byte order mark is no part of a name or a comment */
        if (!header && strncmp(at, "\xef\xbb\xbf", 3) == 0) at += 3;
        if (at[0] == '#' || !at[strspn(at, " \t\r")]) continue;
        const place where = {path, line};
        if (header) {
            TRY(read_row(p, index, count, at, where, separator, group));
            continue;
        }
        separator = csv_separator(at);
        TRY(read_header(index, &count, at, where, r, separator));
        header = true;
    }
    REQUIRE(header, ERR_CONFIG, "%s: empty; it needs a header params,tokens,loss", path);
    REQUIRE(p->count > 0, ERR_CONFIG, "%s: a header and no points", path);
    p->has_flops = index[FLOPS] >= 0;
    p->has_unique = index[UNIQUE] >= 0;
    p->has_nonemb = index[NONEMB] >= 0;
    return OK;
}

status points_read(points *out, const char *path, const char *columns)
{
    renamed r;
    char *text;
    int64_t bytes;
    *out = (points){0};
    TRY(read_renamed(&r, columns));
    TRY(file_read_text(&text, &bytes, path, LIMIT));
    status s = OK;
    if ((int64_t)strlen(text) != bytes)
        s = status_set(ERR_CONFIG, __FILE__, __LINE__,
                       "%s: not a text file; UTF-16 becomes one by iconv -f UTF-16 -t UTF-8", path);
    /* lines that end in a carriage return alone */
    if (!strchr(text, '\n'))
        for (char *at = text; (at = strchr(at, '\r'));) *at = '\n';
    /* one name of a group per line at most */
    size_t lines = 1;
    for (const char *at = text; (at = strchr(at, '\n')); at++) lines++;
    char **group = calloc(lines, sizeof *group);
    if (!group) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "%s: no memory", path);
    if (s == OK) s = read_lines(out, text, path, &r, group);
    if (s != OK) points_deinit(out);
    free(group);
    free(text);
    return s;
}

status points_add(points *p, const fit_point *row)
{
    if (p->count == p->capacity) {
        const int32_t capacity = p->capacity ? 2 * p->capacity : 64;
        fit_point *grown = realloc(p->row, (size_t)capacity * sizeof *grown);
        REQUIRE(grown, ERR_MEMORY, "no memory for %d points", capacity);
        p->row = grown;
        p->capacity = capacity;
    }
    p->row[p->count++] = *row;
    return OK;
}

static int downwards(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

void points_drop_highest(points *p, int32_t count)
{
    if (count <= 0 || p->count == 0) return;
    double *loss = calloc((size_t)p->count, sizeof *loss);
    ASSERT(loss);
    for (int32_t i = 0; i < p->count; i++) loss[i] = p->row[i].loss;
    qsort(loss, (size_t)p->count, sizeof *loss, downwards);
    const double limit = loss[count < p->count ? count - 1 : p->count - 1];
    free(loss);
    int32_t kept = 0;
    for (int32_t i = 0; i < p->count; i++)
        if (p->row[i].loss < limit) p->row[kept++] = p->row[i];
    p->count = kept;
}

void points_deinit(points *p)
{
    free(p->row);
    *p = (points){0};
}

double points_flops(const fit_point *p)
{
    return p->flops > 0 ? p->flops : 6 * p->params * p->tokens;
}

status points_columns(law_points *out, const points *p, points_x x, bool nonemb)
{
    const int32_t padded = (p->count + LANES - 1) / LANES * LANES;
    double *all = calloc(6 * (size_t)padded, sizeof *all);
    REQUIRE(all, ERR_MEMORY, "no memory for %d points", p->count);
    *out = (law_points){p->count,
                        padded,
                        all,
                        all + padded,
                        all + 2 * (size_t)padded,
                        all + 3 * (size_t)padded,
                        all + 4 * (size_t)padded,
                        all + 5 * (size_t)padded};
    for (int32_t i = 0; i < padded; i++) {
        const fit_point *row = &p->row[i < p->count ? i : p->count - 1];
        const double params = nonemb ? row->params_nonemb : row->params;
        out->log_params[i] = log(params);
        out->log_tokens[i] = log(row->tokens);
        out->log_unique[i] = log(row->unique > 0 ? row->unique : row->tokens);
        out->log_x[i] = x == X_PARAMS   ? out->log_params[i]
                        : x == X_TOKENS ? out->log_tokens[i]
                                        : log(points_flops(row));
        out->log_loss[i] = log(row->loss);
        out->weight[i] = i < p->count;
    }
    return OK;
}

void points_columns_deinit(law_points *columns)
{
    free(columns->log_params);
    *columns = (law_points){0};
}

#include "report/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *number_source_name(number_source s)
{
    static const char *const names[] = {"",         "config",   "counted",
                                        "measured", "modelled", "published"};
    return names[s];
}

/* --- numbers -------------------------------------------------------------- */

static void scaled(char out[32], double x, const char *const *unit, int units)
{
    int i = 0;
    /* 999.7 would round up to the next unit */
    while (fabs(x) >= 999.5 && i + 1 < units) x /= 1000, i++;
    (void)snprintf(out, 32,
                   fabs(x) >= 99.95 || (x == floor(x) && fabs(x) < 1000 && i == 0) ? "%.0f%s"
                   : fabs(x) >= 9.995                                              ? "%.1f%s"
                                                                                   : "%.2f%s",
                   x, unit[i]);
}

static void duration(char out[32], double s)
{
    if (s < 99.5)
        (void)snprintf(out, 32, s < 9.95 ? "%.1fs" : "%.0fs", s);
    else if (s < 3600)
        (void)snprintf(out, 32, "%dm%02ds", (int)(s / 60), (int)s % 60);
    else
        (void)snprintf(out, 32, "%dh%02dm", (int)(s / 3600), (int)(s / 60) % 60);
}

const char *number_text(char out[32], double x, cell_kind kind)
{
    static const char *const counts[] = {"", "K", "M", "B", "T"};
    static const char *const joules[] = {" J", " kJ", " MJ", " GJ", " TJ"};
    if (!isfinite(x)) return "\xe2\x80\x93";
    switch (kind) {
    case CELL_WHOLE:
        (void)snprintf(out, 32, "%.0f", x);
        break;
    case CELL_COUNT:
        scaled(out, x, counts, 5);
        break;
    case CELL_POWER:
        (void)snprintf(out, 32, "%.3g", x);
        break;
    case CELL_LOSS:
        (void)snprintf(out, 32, "%.4f", x);
        break;
    case CELL_RATIO:
        (void)snprintf(out, 32, "%.1f", x);
        break;
    case CELL_SHARE:
        (void)snprintf(out, 32, "%.1f %%", 100 * x);
        break;
    case CELL_SECONDS:
        duration(out, x);
        break;
    case CELL_ENERGY:
        scaled(out, x, joules, 5);
        break;
    default:
        (void)snprintf(out, 32, "%.4g", x);
        break;
    }
    return out;
}

/* --- rows ----------------------------------------------------------------- */

void table_init(table *t, const char *name, const char *title, const table_column *column,
                int32_t columns)
{
    ASSERT(columns <= TABLE_COLUMNS);
    *t = (table){.columns = columns};
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    (void)snprintf(t->title, sizeof t->title, "%s", title);
    memcpy(t->column, column, (size_t)columns * sizeof *column);
}

void table_deinit(table *t)
{
    free(t->cell);
    t->cell = NULL;
}

table_cell *table_row(table *t)
{
    const size_t columns = (size_t)t->columns, rows = (size_t)t->rows + 1;
    table_cell *grown = realloc(t->cell, rows * columns * sizeof *grown);
    if (!grown) return NULL;
    t->cell = grown;
    table_cell *row = grown + (rows - 1) * columns;
    memset(row, 0, columns * sizeof *row);
    for (size_t c = 0; c < columns; c++) row[c].number = NAN;
    t->rows++;
    return row;
}

void cell_text(table_cell *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(c->text, sizeof c->text, format, arguments);
    va_end(arguments);
}

static const table_cell *cell_at(const table *t, int32_t row, int32_t column)
{
    return &t->cell[(ptrdiff_t)row * t->columns + column];
}

/* A text wins over the number: "2.9 ± 0.1". */
static const char *shown(char out[32], const table *t, int32_t row, int32_t column)
{
    const table_cell *c = cell_at(t, row, column);
    if (c->text[0]) return c->text;
    return t->column[column].kind == CELL_TEXT
               ? ""
               : number_text(out, c->number, t->column[column].kind);
}

static number_source source_of(const table *t, int32_t row, int32_t column)
{
    const table_cell *c = cell_at(t, row, column);
    return c->source ? c->source : t->column[column].source;
}

/* --- text ----------------------------------------------------------------- */

/* Letters on a terminal: bytes that do not continue a letter. */
static int32_t letters(const char *s)
{
    int32_t count = 0;
    for (; *s; s++) count += ((unsigned char)*s & 0xc0) != 0x80;
    return count;
}

static void pad(FILE *out, const char *s, int32_t width, bool left)
{
    const int32_t blanks = width - letters(s);
    if (!left) (void)fprintf(out, "%*s", blanks > 0 ? (int)blanks : 0, "");
    (void)fputs(s, out);
    if (left) (void)fprintf(out, "%*s", blanks > 0 ? (int)blanks : 0, "");
}

static int32_t width_of(const table *t, int32_t c)
{
    char out[32];
    int32_t width = letters(t->column[c].title);
    const int32_t source = letters(number_source_name(t->column[c].source));
    width = width > source ? width : source;
    for (int32_t r = 0; r < t->rows; r++) {
        /* a star marks a number of another source */
        const bool other = source_of(t, r, c) != t->column[c].source;
        const int32_t here = letters(shown(out, t, r, c)) + other;
        width = here > width ? here : width;
    }
    return width;
}

/* The columns pick[first..last] beside column 0. */
static void text_block(const table *t, FILE *out, const int32_t *width, const int32_t *pick,
                       int32_t first, int32_t last)
{
    char text[32], cell[TABLE_TEXT + 2];
    bool sources = t->column[0].source != FROM_NOTHING;
    for (int32_t i = first; i <= last; i++)
        sources = sources || t->column[pick[i]].source != FROM_NOTHING;
    for (int32_t line = -2; line < t->rows; line++) {
        if (line == -1 && !sources) continue;
        for (int32_t i = 0; i <= last; i++) {
            if (i > 0 && i < first) continue;
            const int32_t c = pick[i];
            const bool left = t->column[c].kind == CELL_TEXT;
            const char *what = line == -2   ? t->column[c].title
                               : line == -1 ? number_source_name(t->column[c].source)
                                            : shown(text, t, line, c);
            const bool other = line >= 0 && source_of(t, line, c) != t->column[c].source;
            (void)snprintf(cell, sizeof cell, "%s%s", what, other ? "*" : "");
            (void)fputs(i ? "  " : "", out);
            pad(out, cell, i == last && left ? 0 : width[c], left);
        }
        (void)fputc('\n', out);
    }
}

/* A column says nothing on a terminal when nobody knows any of its numbers; the last one also when
 * it is one text over and over. */
static bool says_nothing(const table *t, int32_t c, bool last)
{
    if (c < 2 || t->rows < 2 || (t->column[c].kind == CELL_TEXT && !last)) return false;
    for (int32_t r = 0; r < t->rows; r++) {
        const table_cell *cell = cell_at(t, r, c);
        if (isfinite(cell->number) || strcmp(cell->text, cell_at(t, 0, c)->text) != 0) return false;
    }
    return true;
}

void table_text(const table *t, FILE *out, int32_t width)
{
    int32_t each[TABLE_COLUMNS], pick[TABLE_COLUMNS], columns = 0, end = t->columns;
    while (says_nothing(t, end - 1, true)) end--;
    for (int32_t c = 0; c < end; c++)
        if (!says_nothing(t, c, false)) pick[columns++] = c;
    for (int32_t c = 0; c < end; c++) each[c] = width_of(t, c);
    (void)fprintf(out, "%s\n", t->title);
    for (int32_t first = 1, last; first < columns; first = last + 1) {
        int32_t used = each[0] + 2 + each[pick[first]];
        last = first;
        while (last + 1 < columns && used + 2 + each[pick[last + 1]] <= width)
            used += 2 + each[pick[++last]];
        if (first > 1) (void)fputc('\n', out);
        text_block(t, out, each, pick, first, last);
    }
    /* what the stars mean */
    for (int32_t i = 0; i < columns; i++)
        for (int32_t r = 0; r < t->rows; r++) {
            const int32_t c = pick[i];
            if (source_of(t, r, c) == t->column[c].source) continue;
            (void)fprintf(out, "* %s: %s\n", t->column[c].title,
                          number_source_name(source_of(t, r, c)));
            break;
        }
}

/* --- HTML ----------------------------------------------------------------- */

void html_text(FILE *out, const char *text)
{
    for (const char *s = text; *s; s++) switch (*s) {
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        default:
            (void)fputc(*s, out);
        }
}

void table_html(const table *t, FILE *out)
{
    char text[32];
    (void)fprintf(out, "<table id=\"table-%s\"><caption>", t->name);
    html_text(out, t->title);
    (void)fputs("</caption>\n<thead><tr>", out);
    for (int32_t c = 0; c < t->columns; c++) {
        (void)fprintf(out, "<th%s>", t->column[c].kind == CELL_TEXT ? " class=\"text\"" : "");
        html_text(out, t->column[c].title);
        if (t->column[c].source)
            (void)fprintf(out, "<small>%s</small>", number_source_name(t->column[c].source));
        (void)fputs("</th>", out);
    }
    (void)fputs("</tr></thead>\n<tbody>\n", out);
    for (int32_t r = 0; r < t->rows; r++) {
        (void)fputs("<tr>", out);
        for (int32_t c = 0; c < t->columns; c++) {
            (void)fprintf(out, "<td%s>", t->column[c].kind == CELL_TEXT ? " class=\"text\"" : "");
            html_text(out, shown(text, t, r, c));
            if (source_of(t, r, c) != t->column[c].source)
                (void)fprintf(out, " <small>%s</small>", number_source_name(source_of(t, r, c)));
            (void)fputs("</td>", out);
        }
        (void)fputs("</tr>\n", out);
    }
    (void)fputs("</tbody></table>\n", out);
}

/* --- CSV and JSON --------------------------------------------------------- */

static void csv_text(FILE *out, const char *text)
{
    if (!strpbrk(text, ",\"\n")) {
        (void)fputs(text, out);
        return;
    }
    (void)fputc('"', out);
    for (; *text; text++) (void)fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
    (void)fputc('"', out);
}

void table_csv(const table *t, FILE *out)
{
    (void)fprintf(out, "# %s;", t->title);
    for (int32_t c = 0; c < t->columns; c++)
        if (t->column[c].source)
            (void)fprintf(out, " %s: %s", t->column[c].key,
                          number_source_name(t->column[c].source));
    (void)fputc('\n', out);
    for (int32_t c = 0; c < t->columns; c++)
        (void)fprintf(out, "%s%s", c ? "," : "", t->column[c].key);
    (void)fputc('\n', out);
    for (int32_t r = 0; r < t->rows; r++) {
        for (int32_t c = 0; c < t->columns; c++) {
            const table_cell *cell = cell_at(t, r, c);
            if (c) (void)fputc(',', out);
            if (isfinite(cell->number))
                (void)fprintf(out, "%.17g", cell->number);
            else if (t->column[c].kind == CELL_TEXT)
                csv_text(out, cell->text);
        }
        (void)fputc('\n', out);
    }
}

json_t *table_json(const table *t)
{
    json_t *rows = json_array(), *sources = json_object();
    for (int32_t c = 0; c < t->columns; c++)
        if (t->column[c].source)
            (void)json_object_set_new(sources, t->column[c].key,
                                      json_string(number_source_name(t->column[c].source)));
    for (int32_t r = 0; r < t->rows; r++) {
        json_t *row = json_object(), *others = NULL;
        for (int32_t c = 0; c < t->columns; c++) {
            const table_cell *cell = cell_at(t, r, c);
            json_t *value = isfinite(cell->number)           ? json_real(cell->number)
                            : t->column[c].kind == CELL_TEXT ? json_string(cell->text)
                                                             : json_null();
            (void)json_object_set_new(row, t->column[c].key, value);
            if (source_of(t, r, c) == t->column[c].source) continue;
            if (!others) others = json_object();
            (void)json_object_set_new(others, t->column[c].key,
                                      json_string(number_source_name(source_of(t, r, c))));
        }
        if (others) (void)json_object_set_new(row, "source", others);
        (void)json_array_append_new(rows, row);
    }
    return json_pack("{s:s,s:o,s:o}", "title", t->title, "source", sources, "rows", rows);
}

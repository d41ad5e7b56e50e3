#include "report/page.h"

#include "base/file.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

void page_deinit(page *p)
{
    for (int32_t i = 0; i < p->blocks; i++) {
        free(p->block[i]->text);
        table_deinit(&p->block[i]->table);
        figure_deinit(&p->block[i]->figure);
        free(p->block[i]);
    }
    free(p->block);
    *p = (page){0};
}

static status add_block(block **out, page *p, block_kind kind)
{
    block **grown = realloc(p->block, ((size_t)p->blocks + 1) * sizeof *grown);
    REQUIRE(grown, ERR_MEMORY, "no memory for a report");
    p->block = grown;
    REQUIRE(p->block[p->blocks] = calloc(1, sizeof(block)), ERR_MEMORY, "no memory for a report");
    *out = p->block[p->blocks++];
    (*out)->kind = kind;
    return OK;
}

status page_add(page *p, block_kind kind, const char *format, ...)
{
    block *b;
    va_list arguments;
    TRY(add_block(&b, p, kind));
    va_start(arguments, format);
    const int length = vasprintf(&b->text, format, arguments);
    va_end(arguments);
    if (length < 0) b->text = NULL;
    REQUIRE(length >= 0, ERR_MEMORY, "no memory for a report");
    return OK;
}

status page_add_table(table **out, page *p, const char *name, const char *title,
                      const table_column *column, int32_t columns)
{
    block *b;
    TRY(add_block(&b, p, BLOCK_TABLE));
    table_init(&b->table, name, title, column, columns);
    *out = &b->table;
    return OK;
}

status page_add_figure(figure **out, page *p, const char *name, const char *title)
{
    block *b;
    TRY(add_block(&b, p, BLOCK_FIGURE));
    TRY(figure_init(&b->figure, name, title));
    *out = &b->figure;
    return OK;
}

status page_end_figure(figure *f, const char *caption, ...)
{
    va_list arguments;
    va_start(arguments, caption);
    const int length = vasprintf(&f->caption, caption, arguments);
    va_end(arguments);
    if (length < 0) f->caption = NULL;
    REQUIRE(length >= 0, ERR_MEMORY, "no memory for a report");
    return figure_end(f);
}

/* --- text ----------------------------------------------------------------- */

/* Words wrapped at columns; lines after the first begin with indent blanks. */
static void wrap(FILE *out, const char *text, int columns, int indent)
{
    int at = 0;
    for (const char *s = text; *s;) {
        const size_t blanks = strspn(s, " ");
        s += blanks;
        const size_t length = strcspn(s, " ");
        if (at && at + 1 + (int)length > columns) {
            (void)fprintf(out, "\n%*s", indent, "");
            at = indent;
        } else if (at) {
            (void)fputc(' ', out);
            at++;
        }
        (void)fprintf(out, "%.*s", (int)length, s);
        at += (int)length;
        s += length;
    }
    (void)fputc('\n', out);
}

static void block_text(const block *b, FILE *out, int columns)
{
    switch (b->kind) {
    case BLOCK_HEADING:
        (void)fprintf(out, "\n%s\n", b->text);
        for (size_t i = 0; i < strlen(b->text); i++) (void)fputc('=', out);
        (void)fputc('\n', out);
        break;
    case BLOCK_WARNING:
        (void)fputs("! ", out);
        wrap(out, b->text, columns - 2, 2);
        break;
    case BLOCK_PARAGRAPH:
        wrap(out, b->text, columns, 0);
        break;
    case BLOCK_CODE:
        (void)fprintf(out, "%s\n", b->text);
        break;
    case BLOCK_TABLE:
        (void)fputc('\n', out);
        table_text(&b->table, out, columns);
        (void)fputc('\n', out);
        break;
    case BLOCK_FIGURE:
        if (!b->figure.text) break;
        (void)fprintf(out, "\n%s\n%s\n\n", b->figure.title, b->figure.text);
        break;
    }
}

void page_text(const page *p, FILE *out, int columns)
{
    (void)fprintf(out, "%s\n", p->title);
    for (int32_t i = 0; i < p->blocks; i++)
        if (!p->block[i]->page_only) block_text(p->block[i], out, columns);
}

/* --- HTML ----------------------------------------------------------------- */

static const char style[] =
    "body{font:16px/1.5 sans-serif;color:#222;background:#fff;max-width:60rem;"
    "margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2.2rem;border-bottom:1px solid #ccc}\n"
    "table{border-collapse:collapse;margin:1.2rem 0;font-size:.82rem;"
    "font-variant-numeric:tabular-nums;display:block;overflow-x:auto}\n"
    "caption{text-align:left;font-weight:bold;padding:.3rem 0;font-size:.9rem;"
    "white-space:nowrap}\n"
    "th,td{padding:.18rem .55rem;text-align:right;border-bottom:1px solid #e4e4e4;"
    "white-space:nowrap}\n"
    "th{vertical-align:bottom;border-bottom:2px solid #999}.text{text-align:left}\n"
    "small{color:#666;font-weight:normal}th small{display:block}\n"
    "tbody tr:nth-child(even){background:#f7f7f7}\n"
    "figure{margin:1.5rem 0}figure svg{width:100%;height:auto;background:#fff}\n"
    "figcaption{font-size:.85rem;color:#444}\n"
    ".warning{border-left:4px solid #c60;padding:.1rem .8rem;background:#fff6ec;font-size:.9rem}\n"
    "pre{background:#f4f4f4;padding:.8rem;overflow-x:auto;font-size:.8rem;white-space:pre-wrap}\n"
    "nav{font-size:.9rem}nav a{margin-right:1rem}\n"
    "@media print{body{max-width:none;margin:0;font-size:11pt}table{display:table;font-size:8pt}"
    "table,figure{break-inside:avoid}h2{break-after:avoid}nav{display:none}"
    "pre{white-space:pre-wrap}}\n"
    "@media screen and (prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}"
    "h2{border-color:#555}th,td{border-color:#383838}small,figcaption{color:#aaa}"
    "tbody tr:nth-child(even),pre{background:#252525}a{color:#8ab4f8}"
    ".warning{background:#2e2416}figure svg{border-radius:4px}}\n";

static void element(FILE *out, const char *open, const char *text, const char *close)
{
    (void)fputs(open, out);
    html_text(out, text);
    (void)fputs(close, out);
}

static void block_html(const block *b, FILE *out, int32_t number)
{
    switch (b->kind) {
    case BLOCK_HEADING:
        (void)fprintf(out, "<h2 id=\"s%d\">", number);
        element(out, "", b->text, "</h2>\n");
        break;
    case BLOCK_PARAGRAPH:
        element(out, "<p>", b->text, "</p>\n");
        break;
    case BLOCK_WARNING:
        element(out, "<p class=\"warning\">", b->text, "</p>\n");
        break;
    case BLOCK_CODE:
        element(out, "<pre>", b->text, "</pre>\n");
        break;
    case BLOCK_TABLE:
        table_html(&b->table, out);
        break;
    case BLOCK_FIGURE:
        (void)fprintf(out, "<figure id=\"figure-%s\">\n", b->figure.name);
        (void)fputs(b->figure.svg ? b->figure.svg
                                  : "<p>not drawn: gnuplot was not found; the script lies in "
                                    "figures/</p>\n",
                    out);
        element(out, "<figcaption><b>", b->figure.title, "</b> ");
        element(out, "", b->figure.caption ? b->figure.caption : "", "</figcaption></figure>\n");
        break;
    }
}

static void page_html(const page *p, FILE *out)
{
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n",
                out);
    element(out, "<title>", p->title, "</title>\n<style>\n");
    (void)fprintf(out, "%s</style></head><body>\n", style);
    element(out, "<h1>", p->title, "</h1>\n<nav>");
    for (int32_t i = 0; i < p->blocks; i++) {
        if (p->block[i]->kind != BLOCK_HEADING) continue;
        (void)fprintf(out, "<a href=\"#s%d\">", i);
        element(out, "", p->block[i]->text, "</a> ");
    }
    (void)fputs("</nav>\n", out);
    for (int32_t i = 0; i < p->blocks; i++) block_html(p->block[i], out, i);
    (void)fputs("</body></html>\n", out);
}

/* --- files ---------------------------------------------------------------- */

/* What one of the writers above puts out, as a file. */
typedef void (*writer)(const void *what, FILE *out);

static status write_file(const char *path, writer write, const void *what)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    REQUIRE(memory, ERR_MEMORY, "no memory for %s", path);
    write(what, memory);
    status s = OK;
    if (fclose(memory) != 0) s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory: %s", path);
    if (s == OK) s = file_write_text(path, text, (int64_t)bytes);
    free(text);
    return s;
}

static void write_page(const void *p, FILE *out) { page_html(p, out); }
static void write_table(const void *t, FILE *out) { table_csv(t, out); }

static void write_numbers(const void *p, FILE *out)
{
    json_t *root = page_json(p);
    (void)json_dumpf(root, out, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17));
    (void)fputc('\n', out);
    json_decref(root);
}

json_t *page_json(const page *p)
{
    json_t *tables = json_object(), *notes = json_array();
    for (int32_t i = 0; i < p->blocks; i++) {
        const block *b = p->block[i];
        if (b->kind == BLOCK_TABLE)
            (void)json_object_set_new(tables, b->table.name, table_json(&b->table));
        if (b->kind == BLOCK_WARNING || b->kind == BLOCK_PARAGRAPH)
            (void)json_array_append_new(notes, json_string(b->text));
    }
    return json_pack("{s:s,s:o,s:o}", "title", p->title, "tables", tables, "notes", notes);
}

status page_write(page *p, const char *folder, int columns)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/figures", folder);
    TRY(file_make_folder(path));
    for (int32_t i = 0; i < p->blocks; i++)
        if (p->block[i]->kind == BLOCK_FIGURE)
            TRY(figure_draw(&p->block[i]->figure, path, columns));
    (void)snprintf(path, sizeof path, "%s/tables", folder);
    TRY(file_make_folder(path));
    for (int32_t i = 0; i < p->blocks; i++) {
        if (p->block[i]->kind != BLOCK_TABLE) continue;
        (void)snprintf(path, sizeof path, "%s/tables/%s.csv", folder, p->block[i]->table.name);
        TRY(write_file(path, write_table, &p->block[i]->table));
    }
    (void)snprintf(path, sizeof path, "%s/numbers.json", folder);
    TRY(write_file(path, write_numbers, p));
    (void)snprintf(path, sizeof path, "%s/index.html", folder);
    return write_file(path, write_page, p);
}

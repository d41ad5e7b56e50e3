/* page.h — a report as a list of blocks, and the forms it is given out in: text for a terminal, one
 * self-contained HTML page, CSV and SVG files, one JSON file of all numbers.
 * The same blocks give the same bytes: nothing here looks at the clock or the machine.
 * Flow: report.c, compare.c -> page -> files, stdout                                            */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include "report/figure.h"
#include "report/table.h"

typedef enum block_kind {
    BLOCK_HEADING,
    BLOCK_PARAGRAPH,
    BLOCK_WARNING,
    BLOCK_CODE,
    BLOCK_TABLE,
    BLOCK_FIGURE
} block_kind;

typedef struct block {
    block_kind kind;
    bool page_only; /* too much for a terminal        */
    char *text;     /* owned                          */
    table table;
    figure figure;
} block;

typedef struct page {
    char title[160];
    block **block; /* owned, each too */
    int32_t blocks;
} page;

void page_deinit(page *p);
/* Text blocks, printf-style. ERR_MEMORY. */
__attribute__((format(printf, 3, 4))) status page_add(page *p, block_kind kind, const char *format,
                                                      ...);
/* Blocks to fill; borrowed from the page. */
status page_add_table(table **out, page *p, const char *name, const char *title,
                      const table_column *column, int32_t columns);
status page_add_figure(figure **out, page *p, const char *name, const char *title);
/* Ends the last figure with its caption. */
__attribute__((format(printf, 2, 3))) status page_end_figure(figure *f, const char *caption, ...);

/* Draws all figures into FOLDER/figures and writes FOLDER/index.html, FOLDER/tables/NAME.csv and
 * FOLDER/numbers.json. */
status page_write(page *p, const char *folder, int columns);
void page_text(const page *p, FILE *out, int columns);
/* {"title", "tables": {name: ...}, "notes": [...]}; new reference. */
json_t *page_json(const page *p);

#endif

/* table.h — numbers in rows and columns, each with its source, printed four ways: aligned text,
 * HTML, CSV and JSON. A number that is absent (NaN) stays absent: a dash, an empty cell, null;
 * never 0.
 * Flow: report.c, report_*.c -> page.h                                                          */
#ifndef REPORT_TABLE_H
#define REPORT_TABLE_H

#include "base/status.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

enum { TABLE_COLUMNS = 16, TABLE_TEXT = 112 };

/* How people read a number. */
typedef enum cell_kind {
    CELL_TEXT,
    CELL_WHOLE,   /* 12                 */
    CELL_COUNT,   /* 1.25M              */
    CELL_POWER,   /* 1.25e+15           */
    CELL_LOSS,    /* 3.1416             */
    CELL_RATIO,   /* 20.5               */
    CELL_SHARE,   /* 41.2 %             */
    CELL_SECONDS, /* 2h05m              */
    CELL_ENERGY,  /* 1.25 kJ, from J    */
    CELL_PLAIN    /* 0.0123, 4 digits   */
} cell_kind;

/* Where a number comes from; said beside it, everywhere. */
typedef enum number_source {
    FROM_NOTHING, /* names and texts                                       */
    FROM_CONFIG,  /* what was asked for                                    */
    FROM_COUNT,   /* counted exactly from config and architecture          */
    FROM_MEASURE, /* measured in the run                                   */
    FROM_MODEL,   /* modelled: fitted or predicted                         */
    FROM_PAPER,   /* published                                             */
} number_source;
const char *number_source_name(number_source s); /* "measured", ... */

typedef struct table_column {
    const char *key;   /* in CSV and JSON; the unit is its last part        */
    const char *title; /* for people                                        */
    cell_kind kind;
    number_source source;
} table_column;

typedef struct table_cell {
    double number;
    number_source source; /* FROM_NOTHING: that of the column */
    char text[TABLE_TEXT];
} table_cell;

typedef struct table {
    char name[48]; /* of its file                       */
    char title[160];
    table_column column[TABLE_COLUMNS];
    int32_t columns, rows;
    table_cell *cell; /* (rows, columns); owned         */
} table;

void table_init(table *t, const char *name, const char *title, const table_column *column,
                int32_t columns);
void table_deinit(table *t);
/* A new row of absent cells; NULL without memory. Borrowed until the next row. */
table_cell *table_row(table *t);
__attribute__((format(printf, 2, 3))) void cell_text(table_cell *c, const char *format, ...);

/* At most `width` columns wide: what does not fit goes below, beside the first column again. */
void table_text(const table *t, FILE *out, int32_t width);
void table_html(const table *t, FILE *out);
void table_csv(const table *t, FILE *out);
/* An array of objects, each with "source" for the columns; new reference. */
json_t *table_json(const table *t);

/* A number as people read it; absent is a dash. out has 32 bytes. */
const char *number_text(char out[32], double number, cell_kind kind);
/* The text with &, <, > and " replaced. */
void html_text(FILE *out, const char *text);

#endif

/* csv.h — a line of a table as cells, and cells as numbers, as spreadsheets write them. Private to
 * points.c. What can be read in two ways is refused. */
#ifndef LAW_CSV_H
#define LAW_CSV_H

#include <stdbool.h>

/* Comma, semicolon or tab: what divides the header line most often outside its quotes. */
char csv_separator(const char *header);
/* Cuts the next cell off *at, without blanks and quotes ("" inside them is one); NULL at the end of
 * the line. Writes into the line. */
char *csv_cell(char **at, char separator);
/* "1e9", "70M", "30,000,000" in quotes; "3,52" where semicolons divide. A count is a number of
 * things, so one comma in it can only divide thousands. */
typedef enum csv_reading { CSV_NUMBER, CSV_NO_NUMBER, CSV_TWO_NUMBERS } csv_reading;
csv_reading csv_number(double *out, const char *cell, char separator, bool count);
/* The same column: case, and blanks for underscores, make no difference. */
bool csv_same_name(const char *a, const char *b);

#endif

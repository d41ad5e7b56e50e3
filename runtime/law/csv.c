#include "law/csv.h"

#include "config/config.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char csv_separator(const char *header)
{
    static const char separators[] = ",;\t";
    int32_t count[3] = {0};
    bool quoted = false;
    for (; *header; header++) {
        if (*header == '"') quoted = !quoted;
        const char *found = quoted ? NULL : strchr(separators, *header);
        if (found) count[found - separators]++;
    }
    int32_t most = 0;
    for (int32_t i = 1; i < 3; i++)
        if (count[i] > count[most]) most = i;
    return separators[most];
}

/* The text behind an opening quote, in place; returns what follows the closing one. */
static char *unquote(char *cell)
{
    char *to = cell, *from = cell;
    for (; *from; from++) {
        if (*from == '"' && *++from != '"') break;
        *to++ = *from;
    }
    /* what is left of the cell is no longer part of it */
    if (to < from) *to = '\0';
    return from;
}

char *csv_cell(char **at, char separator)
{
    char *cell = *at;
    if (!cell) return NULL;
    while (*cell && *cell != separator && strchr(" \t\r", *cell)) cell++;
    char *end = cell;
    if (*cell == '"') end = unquote(++cell);
    char *next = strchr(end, separator);
    *at = next ? next + 1 : NULL;
    if (next) *next = '\0';
    size_t length = strlen(cell);
    while (length && strchr(" \t\r", cell[length - 1])) cell[--length] = '\0';
    return cell;
}

/* Digits in groups of three with `mark` between them: how many marks; 0: not that. */
static int32_t groups(const char *cell, char mark)
{
    int32_t marks = 0;
    size_t digits = strspn(cell, "0123456789");
    if (digits == 0 || digits > 3) return 0;
    for (cell += digits; *cell == mark; cell += 4, marks++)
        if (strspn(cell + 1, "0123456789") != 3) return 0;
    /* the fraction, by the other mark */
    if (*cell == (mark == ',' ? '.' : ',')) cell += 1 + strspn(cell + 1, "0123456789");
    return *cell ? 0 : marks;
}

/* A plain number or one with an ending: 1e9, 70M. Infinite and NaN are numbers here. */
static bool plain(double *out, const char *text)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text) return false;
    if (*end && (!strchr("KMBT", *end) || end[1] || config_number(out, text) != OK)) return false;
    if (!*end) *out = value;
    return true;
}

/* *out = cell without `dropped`, with a point where the decimal comma stands. */
static void normalise(char out[64], const char *cell, char dropped)
{
    size_t n = 0;
    for (; *cell && n + 1 < 64; cell++)
        if (*cell != dropped) out[n++] = *cell == ',' ? '.' : *cell;
    out[n] = '\0';
}

csv_reading csv_number(double *out, const char *cell, char separator, bool count)
{
    char text[64];
    const int32_t commas = groups(cell, ','), points = groups(cell, '.');
    const bool both = strchr(cell, ',') && strchr(cell, '.');
    /* one mark alone before three digits is whatever the table's other signs make of it */
    const bool lone_comma = commas == 1 && !both, lone_point = points == 1 && !both;
    const bool semicolons = separator == ';';
    if (lone_comma && count == semicolons) return CSV_TWO_NUMBERS;
    if (lone_point && count && semicolons) return CSV_TWO_NUMBERS;
    char dropped = '\0';
    if (commas && !(lone_comma && semicolons))
        dropped = ',';
    else if (points && !lone_point)
        dropped = '.';
    normalise(text, cell, dropped);
    return strlen(cell) < sizeof text && plain(out, text) ? CSV_NUMBER : CSV_NO_NUMBER;
}

bool csv_same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        const int x = *a == ' ' || *a == '-' ? '_' : tolower((unsigned char)*a);
        const int y = *b == ' ' || *b == '-' ? '_' : tolower((unsigned char)*b);
        if (x != y) return false;
    }
    return *a == *b;
}

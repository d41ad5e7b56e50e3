/* rows.h — data files of named rows of one kind: published laws, systems, rules.
 * A file holds `defaults` (fields that its rows share; may be missing) and `rows`, a mapping from
 * names to fields. Fields come from a field list like those of fields.h, with its columns; nested
 * mappings join their keys: range: {params_low: 1} gives the field range_params_low.
 * Flow: configs/laws/ *.yaml, configs/systems.yaml -> rows -> law/published.h, plan/rules.h, ... */
#ifndef CONFIG_ROWS_H
#define CONFIG_ROWS_H

#include "config/table.h"

/* Default of an F64 field that may be missing; it then holds NaN. */
#define UNKNOWN "unknown"

typedef struct row_kind {
    const char *what; /* "law", for messages    */
    section fields;   /* prefix "", offset 0    */
    size_t bytes;     /* of the struct of a row */
} row_kind;

/* static row_kind NAME(void): the kind of the struct `type` whose members LIST expands to. */
#define ROWS_KIND(function, word, type, LIST)                                                      \
    static row_kind function(void)                                                                 \
    {                                                                                              \
        typedef type owner;                                                                        \
        static const field rows[] = {                                                              \
            LIST(FIELD_ROW_I64, FIELD_ROW_F64, FIELD_ROW_TEXT, FIELD_ROW_ENUM, FIELD_ROW_BOOL)};   \
        const int32_t count = (int32_t)(sizeof rows / sizeof rows[0]);                             \
        return (row_kind){word, {.prefix = "", .fields = rows, .count = count}, sizeof(owner)};    \
    }
#define ROWS_STRUCT(type, LIST)                                                                    \
    typedef struct type {                                                                          \
        LIST(CONFIG_I64, CONFIG_F64, CONFIG_TEXT, CONFIG_ENUM, CONFIG_BOOL)                        \
    } type;

/* Receives each row; anything but OK ends the reading. place: "file:line: law 'name'". */
typedef status (*rows_visitor)(void *context, const char *place, const char *name, const void *row);

/* The file of configs called name ("laws/published"), found as config_find does. ERR_CONFIG names
 * file, line and key. */
status rows_load(const char *name, const row_kind *kind, rows_visitor visit, void *context);
/* The same from bytes; path is for messages. */
status rows_parse(const char *path, const char *bytes, int64_t size, const row_kind *kind,
                  rows_visitor visit, void *context);

#endif

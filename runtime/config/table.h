/* table.h — field lists (fields.h, and those of rows.h) as rows that can be walked, and single
 * values as text. Private to runtime/config, but for what rows.h needs of it.                    */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "config/config.h"

#include <stddef.h>

typedef enum field_kind { FIELD_I64, FIELD_F64, FIELD_TEXT, FIELD_ENUM, FIELD_BOOL } field_kind;

/* One key. */
typedef struct field {
    const char *key;
    field_kind kind;
    int64_t min_integer, max_integer; /* FIELD_I64                                  */
    double min, max;                  /* FIELD_F64                                  */
    const char *choices;              /* FIELD_ENUM: "a|b|c"                        */
    const char *fallback;             /* default as a user would write it, or NULL  */
    const char *meaning;
    size_t offset, bytes; /* of the member in its section's struct      */
    int identity;         /* NO, ID or ID_SET                              */
} field;

/* Expansions of a field list into rows; `owner` names the struct whose members they are. */
#define FIELD_MEMBER(name)                                                                         \
    .key = #name, .offset = offsetof(owner, name), .bytes = sizeof((owner *)0)->name
#define FIELD_ROW_I64(name, low, high, def, id, about)                                             \
    {FIELD_MEMBER(name),                                                                           \
     .kind = FIELD_I64,                                                                            \
     .min_integer = (int64_t)(low),                                                                \
     .max_integer = (int64_t)(high),                                                               \
     .fallback = def,                                                                              \
     .identity = id,                                                                               \
     .meaning = about},
#define FIELD_ROW_F64(name, low, high, def, id, about)                                             \
    {FIELD_MEMBER(name), .kind = FIELD_F64, .min = low,      .max = high,                          \
     .fallback = def,    .identity = id,    .meaning = about},
#define FIELD_ROW_TEXT(name, size, def, id, about)                                                 \
    {FIELD_MEMBER(name), .kind = FIELD_TEXT, .fallback = def, .identity = id, .meaning = about},
#define FIELD_ROW_ENUM(name, words, def, id, about)                                                \
    {FIELD_MEMBER(name), .kind = FIELD_ENUM, .choices = words,                                     \
     .fallback = def,    .identity = id,     .meaning = about},
#define FIELD_ROW_BOOL(name, def, id, about)                                                       \
    {FIELD_MEMBER(name), .kind = FIELD_BOOL, .fallback = def, .identity = id, .meaning = about},

/* One section of the file. */
typedef struct section {
    const char *prefix; /* "train"; "" = top level          */
    size_t offset;      /* of its struct in struct config   */
    const field *fields;
    int32_t count;
    int32_t first; /* number of its first key over all sections */
} section;

enum { SECTIONS = 11, FIELDS_MAX = 96, NAME_BYTES = 96 };

/* All sections, in file order. */
void table_sections(section out[SECTIONS]);
/* The section called prefix; false if there is none. */
bool table_section(section *out, const char *prefix);
/* Index of the key in the section, -1 if it has none. */
int32_t table_field(const section *s, const char *key);
/* "train.tokens"; "name" at top level. */
void table_name(char out[NAME_BYTES], const section *s, const field *f);
/* Where the value of f lies in *cfg; the section's struct at `base`. */
static inline void *table_value(const field *f, void *base) { return (char *)base + f->offset; }

/* Whether the value is within its limits. Messages from here on have no place and no key: callers
 * put them in front. */
status table_limits(const field *f, const void *base);
/* Sets the value from text; on failure the value is undefined. */
status table_read(const field *f, void *base, const char *text);
/* The value as text that table_read takes, in a canonical form: the same value, the same text.
 * TEXT without quotes. Truncates at bytes. */
void table_write(const field *f, const void *base, char *out, size_t bytes);

#endif

#include "config/rows.h"

#include "base/nearest.h"
#include "config/files.h"
#include "config/reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 512, NAMES_MAX = 512, ROW_NAME = 96 };

/* A file being read. */
typedef struct reading {
    const char *path;
    const row_kind *kind;
    rows_visitor visit;
    void *context;
    char *defaults, *row; /* structs as given by the file, by the row */
    int32_t default_lines[FIELDS_MAX], lines[FIELDS_MAX];
    char (*seen)[ROW_NAME];
    int32_t seen_count, defaults_line, rows_line;
    /* the mapping being read */
    char *target;
    int32_t *target_lines;
    char prefix[PATH_BYTES];
} reading;

static status unknown_field(const reading *r, const char *place, const char *key)
{
    const section *s = &r->kind->fields;
    nearest n = nearest_any(key);
    for (int32_t i = 0; i < s->count; i++) (void)nearest_offer(&n, s->fields[i].key);
    FAIL(ERR_CONFIG, "%s%.100s: unknown field of a %s; nearest: %s", place, key, r->kind->what,
         n.found);
}

/* One value, or a mapping whose keys are joined to its own. */
static status visit_field(void *context, document *d, const pair *p)
{
    reading *r = context;
    char key[2 * PATH_BYTES], place[PLACE_BYTES];
    const origin o = {.path = r->path};
    origin_place(place, &o, p->line);
    (void)snprintf(key, sizeof key, "%s%s", r->prefix, p->key);
    if (!p->text) {
        char before[PATH_BYTES];
        memcpy(before, r->prefix, sizeof before);
        REQUIRE(strlen(key) + 2 < sizeof before, ERR_CONFIG, "%skeys nested too deep", place);
        (void)snprintf(r->prefix, sizeof r->prefix, "%.500s_", key);
        TRY(document_mapping(d, visit_field, r));
        memcpy(r->prefix, before, sizeof before);
        return OK;
    }
    const int32_t index = table_field(&r->kind->fields, key);
    if (index < 0) return unknown_field(r, place, key);
    TRY(reader_once(place, key, r->target_lines[index]));
    TRY(reader_set(place, key, &r->kind->fields.fields[index], r->target, p->text));
    r->target_lines[index] = p->line;
    return OK;
}

static status read_fields(reading *r, document *d, char *target, int32_t *lines)
{
    r->target = target;
    r->target_lines = lines;
    r->prefix[0] = '\0';
    return document_mapping(d, visit_field, r);
}

/* Fields that neither the row nor the file's defaults gave. */
static status fill(reading *r, const char *place)
{
    const section *s = &r->kind->fields;
    for (int32_t i = 0; i < s->count; i++) {
        const field *f = &s->fields[i];
        if (r->lines[i] != 0 || r->default_lines[i] != 0) continue;
        if (f->kind == FIELD_F64 && f->fallback && strcmp(f->fallback, UNKNOWN) == 0) {
            *(double *)table_value(f, r->row) = NAN;
            continue;
        }
        REQUIRE(f->fallback, ERR_CONFIG, "%s: %s: not given, and it has no default (%s)", place,
                f->key, f->meaning);
        TRY(reader_set(place, f->key, f, r->row, f->fallback));
    }
    return OK;
}

static status visit_row(void *context, document *d, const pair *p)
{
    reading *r = context;
    char place[PLACE_BYTES + 128];
    (void)snprintf(place, sizeof place, "%.400s:%d: %s '%.90s'", r->path, (int)p->line,
                   r->kind->what, p->key);
    REQUIRE(!p->text, ERR_CONFIG, "%s is one value; allowed: a mapping of its fields", place);
    REQUIRE(strlen(p->key) < ROW_NAME && r->seen_count < NAMES_MAX, ERR_CONFIG,
            "%s: a name too long, or too many rows", place);
    for (int32_t i = 0; i < r->seen_count; i++)
        REQUIRE(strcmp(r->seen[i], p->key) != 0, ERR_CONFIG, "%s: a second row of this name",
                place);
    (void)snprintf(r->seen[r->seen_count++], ROW_NAME, "%s", p->key);
    char name[ROW_NAME];
    (void)snprintf(name, sizeof name, "%s", p->key);
    memcpy(r->row, r->defaults, r->kind->bytes);
    memset(r->lines, 0, sizeof r->lines);
    TRY(read_fields(r, d, r->row, r->lines));
    TRY(fill(r, place));
    return r->visit(r->context, place, name, r->row);
}

static status visit_file(void *context, document *d, const pair *p)
{
    reading *r = context;
    const bool defaults = strcmp(p->key, "defaults") == 0, rows = strcmp(p->key, "rows") == 0;
    REQUIRE((defaults || rows) && !p->text, ERR_CONFIG,
            "%s:%d: %s; allowed in this file: the mappings defaults and rows", r->path,
            (int)p->line, p->key);
    int32_t *before = defaults ? &r->defaults_line : &r->rows_line;
    REQUIRE(*before == 0, ERR_CONFIG, "%s:%d: %s: given twice", r->path, (int)p->line, p->key);
    REQUIRE(!defaults || r->rows_line == 0, ERR_CONFIG, "%s:%d: defaults must come before rows",
            r->path, (int)p->line);
    *before = p->line;
    if (defaults) return read_fields(r, d, r->defaults, r->default_lines);
    return document_mapping(d, visit_row, r);
}

status rows_parse(const char *path, const char *bytes, int64_t size, const row_kind *kind,
                  rows_visitor visit, void *context)
{
    ASSERT(kind->fields.count <= FIELDS_MAX);
    reading *r = calloc(1, sizeof *r);
    status s = r ? OK : ERR_MEMORY;
    if (r) {
        *r = (reading){.path = path, .kind = kind, .visit = visit, .context = context};
        r->defaults = calloc(1, kind->bytes);
        r->row = calloc(1, kind->bytes);
        r->seen = calloc(NAMES_MAX, sizeof *r->seen);
        if (!r->defaults || !r->row || !r->seen) s = ERR_MEMORY;
    }
    if (s != OK) s = status_set(s, __FILE__, __LINE__, "no memory to read %s", path);
    if (s == OK) s = document_read(path, bytes, size, visit_file, r);
    if (r) {
        free(r->defaults);
        free(r->row);
        free(r->seen);
    }
    free(r);
    return s;
}

status rows_load(const char *name, const row_kind *kind, rows_visitor visit, void *context)
{
    char path[FILES_PATH], *bytes = NULL;
    int64_t size = 0;
    TRY(config_find(path, sizeof path, "", name));
    TRY(files_read(&bytes, &size, path));
    const status s = rows_parse(path, bytes, size, kind, visit, context);
    free(bytes);
    return s;
}

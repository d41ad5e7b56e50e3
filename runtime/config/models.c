/* A models file: `defaults` (fields that all its rows share) and `rows`, a mapping from names to
 * fields. */
#include "config/models.h"

#include "base/nearest.h"
#include "config/files.h"
#include "config/reader.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef char row_name[96];

struct model_row {
    row_name name;
    model_config as_written;
};

/* Receives every row once, as written. */
typedef status (*row_visitor)(void *context, const char *name, const model_config *m);

/* All models files being read. */
typedef struct reading {
    row_visitor visit;
    void *context;
    section model;                              /* the field list of a row                   */
    row_name *seen;                             /* names so far; those of the earlier folders */
    int32_t seen_count, seen_capacity, earlier; /* come first                     */
    const char *path;                           /* the file being read                       */
    model_config defaults, row;                 /* as given by the file, by the row          */
    int32_t default_lines[FIELDS_MAX], lines[FIELDS_MAX];
    int32_t defaults_line, rows_line;
} reading;

static void place_of(char out[PLACE_BYTES], const reading *r, int32_t line)
{
    const origin o = {.path = r->path};
    origin_place(out, &o, line);
}

/* One field of a row or of the defaults. */
static status set_field(reading *r, const pair *p, model_config *m, int32_t *lines)
{
    char place[PLACE_BYTES], name[NAME_BYTES];
    place_of(place, r, p->line);
    const int32_t index = table_field(&r->model, p->key);
    if (index < 0) return reader_unknown(place, &r->model, p->key, NULL);
    table_name(name, &r->model, &r->model.fields[index]);
    TRY(reader_once(place, name, lines[index]));
    TRY(reader_set(place, name, &r->model.fields[index], m, p->text));
    lines[index] = p->line;
    return OK;
}

static status visit_default(void *context, document *d, const pair *p)
{
    (void)d;
    reading *r = context;
    return set_field(r, p, &r->defaults, r->default_lines);
}

static status visit_field(void *context, document *d, const pair *p)
{
    (void)d;
    reading *r = context;
    return set_field(r, p, &r->row, r->lines);
}

/* Notes a name. An earlier folder's row of this name hides it; twice in one folder is an error. */
static status note_name(reading *r, const pair *p, bool *hidden)
{
    REQUIRE(strlen(p->key) < sizeof(row_name), ERR_CONFIG, "%s:%d: the row's name is too long",
            r->path, (int)p->line);
    *hidden = false;
    for (int32_t i = 0; i < r->seen_count; i++) {
        if (strcmp(r->seen[i], p->key) != 0) continue;
        REQUIRE(i < r->earlier, ERR_CONFIG, "%s:%d: a second row '%s'", r->path, (int)p->line,
                p->key);
        *hidden = true;
        return OK;
    }
    if (r->seen_count == r->seen_capacity) {
        const int32_t capacity = r->seen_capacity ? 2 * r->seen_capacity : 128;
        row_name *more = realloc(r->seen, (size_t)capacity * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for the names of models");
        r->seen = more;
        r->seen_capacity = capacity;
    }
    memcpy(r->seen[r->seen_count++], p->key, strlen(p->key) + 1);
    return OK;
}

static status visit_row(void *context, document *d, const pair *p)
{
    reading *r = context;
    bool hidden = false;
    REQUIRE(!p->text, ERR_CONFIG,
            "%s:%d: row '%s' is one value; allowed: a mapping of model fields", r->path,
            (int)p->line, p->key);
    TRY(note_name(r, p, &hidden));
    r->row = r->defaults;
    memset(r->lines, 0, sizeof r->lines);
    TRY(document_mapping(d, visit_field, r));

    /* what the row gave, then the file's defaults, then those of the field list */
    char place[2 * PLACE_BYTES];
    (void)snprintf(place, sizeof place, "%.400s:%d: row '%s'", r->path, (int)p->line, p->key);
    for (int32_t i = 0; i < r->model.count; i++)
        if (r->lines[i] == 0) r->lines[i] = r->default_lines[i];
    const status s = reader_defaults("", &r->model, &r->row, r->lines);
    if (s != OK) return status_prefix(s, "%s", place);
    model_config resolved = r->row;
    config_resolve_model(&resolved);
    TRY(config_check_model(&resolved, place));
    return hidden ? OK : r->visit(r->context, p->key, &r->row);
}

static status visit_file(void *context, document *d, const pair *p)
{
    reading *r = context;
    const bool defaults = strcmp(p->key, "defaults") == 0, rows = strcmp(p->key, "rows") == 0;
    REQUIRE((defaults || rows) && !p->text, ERR_CONFIG,
            "%s:%d: %s; allowed in a models file: the mappings defaults and rows", r->path,
            (int)p->line, p->key);
    int32_t *before = defaults ? &r->defaults_line : &r->rows_line;
    REQUIRE(*before == 0, ERR_CONFIG, "%s:%d: %s: given twice", r->path, (int)p->line, p->key);
    REQUIRE(!defaults || r->rows_line == 0, ERR_CONFIG, "%s:%d: defaults must come before rows",
            r->path, (int)p->line);
    *before = p->line;
    return document_mapping(d, defaults ? visit_default : visit_row, r);
}

static status read_file(reading *r, const char *path)
{
    char *bytes = NULL;
    int64_t size = 0;
    TRY(files_read(&bytes, &size, path));
    r->path = path;
    r->defaults_line = r->rows_line = 0;
    memset(&r->defaults, 0, sizeof r->defaults);
    memset(r->default_lines, 0, sizeof r->default_lines);
    const status s = document_read(path, bytes, size, visit_file, r);
    free(bytes);
    return s;
}

static int is_yaml(const struct dirent *entry)
{
    const size_t n = strlen(entry->d_name);
    return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".yaml") == 0;
}

/* The models files of one folder of configs, by name. */
static status read_folder(reading *r, const char *root)
{
    char folder[FILES_PATH + 16], path[2 * FILES_PATH];
    (void)snprintf(folder, sizeof folder, "%.*s/models", FILES_PATH - 1, root);
    struct dirent **entries = NULL;
    const int n = scandir(folder, &entries, is_yaml, alphasort);
    REQUIRE(n >= 0 || errno == ENOENT || errno == ENOTDIR, ERR_IO, "%s: cannot list: %s", folder,
            strerror(errno));
    status s = OK;
    for (int i = 0; i < n; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (s == OK) s = read_file(r, path);
        free(entries[i]);
    }
    free(entries);
    return s;
}

static status each_row(row_visitor visit, void *context)
{
    reading r;
    memset(&r, 0, sizeof r);
    r.visit = visit;
    r.context = context;
    const bool known = table_section(&r.model, "model");
    ASSERT(known);
    char roots[FILES_ROOTS][FILES_PATH];
    const int32_t n = files_roots(roots);
    status s = OK;
    for (int32_t i = 0; i < n && s == OK; i++) {
        s = read_folder(&r, roots[i]);
        r.earlier = r.seen_count;
    }
    free(r.seen);
    return s;
}

/* --- one row, all rows ---------------------------------------------------- */

typedef struct search {
    const char *name;
    model_config *out;
    bool found;
    nearest best;
    row_name near_name; /* the found one: a row's name is lent only while it is visited */
} search;

static status match_row(void *context, const char *name, const model_config *m)
{
    search *s = context;
    if (strcmp(name, s->name) == 0) {
        *s->out = *m;
        s->found = true;
    } else if (nearest_offer(&s->best, name)) {
        (void)snprintf(s->near_name, sizeof s->near_name, "%s", name);
    }
    return OK;
}

static status keep_row(void *context, const char *name, const model_config *m)
{
    config_models *all = context;
    if (all->count == all->capacity) {
        const int32_t capacity = 2 * all->capacity + 64;
        struct model_row *more = realloc(all->row, (size_t)capacity * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for the rows of models");
        all->row = more;
        all->capacity = capacity;
    }
    struct model_row *row = &all->row[all->count++];
    (void)snprintf(row->name, sizeof row->name, "%s", name);
    row->as_written = *m;
    return OK;
}

void config_models_deinit(config_models *m)
{
    free(m->row);
    *m = (config_models){0};
}

/* Every row once, from those that are kept, which are read now if they were not. */
static status each_known(config_models *known, row_visitor visit, void *context)
{
    if (!known->read) {
        known->count = 0;
        TRY(each_row(keep_row, known));
        known->read = true;
    }
    for (int32_t i = 0; i < known->count; i++)
        TRY(visit(context, known->row[i].name, &known->row[i].as_written));
    return OK;
}

status models_row(model_config *out, config_models *known, const char *name)
{
    search s = {.name = name, .out = out, .best = nearest_any(name)};
    TRY(known ? each_known(known, match_row, &s) : each_row(match_row, &s));
    REQUIRE(s.found || *s.near_name, ERR_CONFIG,
            "'%.60s': there are no models files; set ISOFLOP_CONFIGS", name);
    REQUIRE(s.found, ERR_CONFIG, "'%.60s' is no row of configs/models; nearest: %s", name,
            s.near_name);
    return OK;
}

status config_model_row(model_config *out, const char *name)
{
    model_config m;
    TRY(models_row(&m, NULL, name));
    config_resolve_model(&m);
    *out = m;
    return OK;
}

typedef struct listing {
    void (*visit)(void *context, const char *name, const model_config *m);
    void *context;
} listing;

static status list_row(void *context, const char *name, const model_config *m)
{
    const listing *l = context;
    model_config resolved = *m;
    config_resolve_model(&resolved);
    l->visit(l->context, name, &resolved);
    return OK;
}

status config_model_rows(void (*visit)(void *context, const char *name, const model_config *m),
                         void *context)
{
    listing l = {visit, context};
    return each_row(list_row, &l);
}
